//! What a job would do: plans drawn from snapshots made by hand, and the second look before a deed.

// Clippy's leave for tests does not reach the functions beside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod accepting;
mod budgets;
mod drawing;
mod rechecking;
mod roots;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::domain::baseline::SnapshotScope;
use nix_prune::domain::job::{
    CollectOperation, GenerationsOperation, Job, JobName, Operations, ProfileSelector,
    RootsOperation, VerifyOperation,
};
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::plan::{Action, Decision, Plan, Subject};
use nix_prune::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath,
};
use nix_prune::domain::receipt::RunId;
use nix_prune::domain::retention::{KeepPolicy, KeepRules, Reason};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::root::{Dangling, GcRoot, RootKind, RootState};
use nix_prune::domain::snapshot::{Actor, Held, Hold, MachineId, Snapshot};
use nix_prune::domain::store_path::{StoreDir, StorePath, StorePathRef};
use std::sync::Arc;

const NOW: &str = "2026-11-22T12:00:00Z";
const SYSTEM: &str = "/nix/var/nix/profiles/system";
const ALICE: &str = "/home/alice/.local/state/nix/profiles/profile";
const AUTO: &str = "/nix/var/nix/gcroots/auto";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn path_of(name: &str, n: u32) -> StorePath<String> {
    let base = format!("{n:032}-{name}");
    StorePathRef::from_base_name(&base).unwrap().to_owned()
}

fn profile_path(path: &str) -> ProfilePath {
    ProfilePath::new(Utf8Path::new(path)).unwrap()
}

fn owner(uid: u32) -> Owner {
    Owner { uid, name: None }
}

/// A profile with generations 1 to `count`, one a day, the last one current; all that of a system looks bootable.
pub(crate) fn profile(path: &str, kind: ProfileKind, uid: u32, count: u32) -> Profile {
    let path = profile_path(path);
    let start = time("2026-10-01T12:00:00Z");
    let generation = |n: u32| {
        let store_path = path_of(path.name(), n);
        let generation = Generation {
            number: GenerationNumber(n),
            target: Utf8PathBuf::from(format!("/nix/store/{store_path}")),
            specialisations: Vec::new(),
            content: if kind.is_system() {
                Content::Bootable(store_path)
            } else {
                Content::Present(store_path)
            },
            created: start.after(Span::days(n)),
        };
        (generation.number, generation)
    };
    Profile {
        generations: (1..=count).map(generation).collect(),
        path,
        kind,
        owner: owner(uid),
        current: Current::Known(GenerationNumber(count)),
        is_nix_own: false,
        blocked: None,
    }
}

pub(crate) fn system() -> Profile {
    profile(SYSTEM, ProfileKind::System, 0, 4)
}

pub(crate) fn alice() -> Profile {
    profile(ALICE, ProfileKind::User, 1000, 4)
}

/// The entry `name` of `gcroots/auto`, whose link is gone.
pub(crate) fn root(name: &str) -> GcRoot {
    GcRoot {
        link: Utf8PathBuf::from(format!("/home/alice/src/{name}/result")),
        entry: Some(Utf8Path::new(AUTO).join(name)),
        exact: true,
        target: None,
        store_path: None,
        kind: RootKind::Result,
        owner: Some(owner(1000)),
        state: RootState::Dangling(Dangling::LinkGone),
        last_used: None,
    }
}

pub(crate) fn held(profile: &str, n: u32) -> Held {
    Held::Generation {
        profile: profile_path(profile),
        number: GenerationNumber(n),
    }
}

fn hold(n: u32, until: &str) -> Hold {
    Hold {
        run: RunId::at(time("2026-11-01T00:00:00Z"), n),
        link: Utf8PathBuf::from(format!("/var/lib/nix-prune/holds/{n}")),
        store_path: path_of("held", n),
        held: held(SYSTEM, n),
        until: time(until),
        intact: true,
    }
}

pub(crate) fn snapshot(profiles: Vec<Profile>) -> Snapshot {
    Snapshot {
        unseen_roots: None,
        taken_at: time(NOW),
        zone: TimeZone::UTC,
        machine: MachineId("a machine".to_string()),
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        state_dir: Utf8PathBuf::from("/nix/var/nix"),
        actor: Actor::Root,
        profiles,
        roots: Vec::new(),
        booted: Vec::new(),
        running: Vec::new(),
        pins: Vec::new(),
        holds: Vec::new(),
        vanished: Vec::new(),
        ground: SnapshotScope::default(),
        refusals: Vec::new(),
        notes: Vec::new(),
    }
}

/// A job with every operation, which keeps the last two generations of the usual profiles.
fn job() -> Job {
    let keep = KeepRules {
        last: Some(2),
        ..KeepRules::default()
    };
    Job {
        name: JobName::try_from("daily".to_string()).unwrap(),
        max_risk: RiskLevel::High,
        safe_mode: true,
        undo_window: Span::days(7),
        protect: Arc::default(),
        budget: None,
        limits: nix_prune::domain::limits::Limits::default(),
        accept: std::collections::BTreeSet::new(),
        accepted: std::sync::Arc::default(),
        operations: Operations {
            generations: Some(GenerationsOperation {
                profiles: vec![
                    ProfileSelector::System,
                    ProfileSelector::Users,
                    ProfileSelector::HomeManager,
                ],
                keep: KeepPolicy::new(keep).unwrap(),
            }),
            roots: Some(RootsOperation { dangling: true }),
            collect: Some(CollectOperation::default()),
            optimise: true,
            verify: Some(VerifyOperation { contents: true }),
        },
    }
}

/// The actions in a few words.
fn steps(plan: &Plan) -> Vec<String> {
    plan.actions.iter().map(|a| step(&a.action)).collect()
}

fn step(action: &Action) -> String {
    match action {
        Action::DropGeneration(facts) => format!("drop {}:{}", facts.profile.name(), facts.number),
        Action::HoldRoot(facts) => format!("hold {}", facts.link),
        Action::RemoveRoot(facts) => format!("remove {}", facts.entry.file_name().unwrap()),
        Action::ReleaseHold(facts) => format!("release {}", number(&facts.held)),
        Action::ReleaseEarly(facts) => format!("release early {}", number(&facts.hold.held)),
        Action::Collect(_) => "collect".to_string(),
        Action::Optimise => "optimise".to_string(),
        Action::Verify { contents } => format!("verify {contents}"),
        Action::RestoreGeneration(_) | Action::RestoreRoot(_) => "restore".to_string(),
    }
}

fn number(held: &Held) -> String {
    match held {
        Held::Generation { number, .. } => number.to_string(),
        Held::Root { root } => root.to_string(),
    }
}

/// The numbers of a profile that go.
pub(crate) fn gone(plan: &Plan, profile: &str) -> Vec<u32> {
    let numbers = plan.actions.iter().filter_map(|a| match &a.action {
        Action::DropGeneration(f) if f.profile == profile_path(profile) => Some(f.number.0),
        _ => None,
    });
    numbers.collect()
}

/// The reasons to keep a generation; none when it goes.
fn reasons(plan: &Plan, path: &str, n: u32) -> Vec<Reason> {
    let of_it = plan.items.iter().find(|item| {
        matches!(&item.subject, Subject::Generation { profile, number, .. }
            if *profile == profile_path(path) && number.0 == n)
    });
    match &of_it.unwrap().fate {
        Decision::KeepGeneration(reasons) => reasons.iter().cloned().collect(),
        _ => Vec::new(),
    }
}
