//! A machine with a bit of everything; every name that others choose carries `odd`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::{actions, plan_of};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::domain::analysis::{GroupBy, Sets, StoreAnalysis, StoreData, UnregisteredPath};
use nix_prune::domain::baseline::SnapshotScope;
use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::budget::{Disk, Inodes, Quantity, SizeMetric};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags, NodeIdx};
use nix_prune::domain::growth::FullForecast;
use nix_prune::domain::job::{
    CollectOperation, GenerationsOperation, Job, JobName, Operations, ProfileRef, ProfileSelector,
    ProtectedGeneration, RootsOperation,
};
use nix_prune::domain::leftover::{LeftoverClass, LeftoverSum, Leftovers, by_class};
use nix_prune::domain::measure::{Bytes, Span, Timestamp};
use nix_prune::domain::note::{Note, NoteCode};
use nix_prune::domain::notice::{NoticeEvent, Trouble};
use nix_prune::domain::plan::{Action, OptimiseFacts, Plan};
use nix_prune::domain::profile::{
    Content, Current, CurrentUnknown, Generation, GenerationNumber, Owner, Profile, ProfileKind,
    ProfilePath,
};
use nix_prune::domain::receipt::{
    Entry, FreedBytes, Outcome, Receipt, ReceiptSchema, RunId, RunKind, Undo,
};
use nix_prune::domain::retention::{Calendar, KeepPolicy, KeepRules, PeriodCounts};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::root::{Dangling, GcRoot, RootKind, RootState};
use nix_prune::domain::root_use::{LastUse, LinkUse, SeenUse, UseSignal};
use nix_prune::domain::snapshot::{Actor, Held, Hold, MachineId, Pin, Snapshot, VanishedRoot};
use nix_prune::domain::store_path::{StoreDir, StorePath, StorePathRef};
use nix_prune::domain::system_info::SystemInfo;
use nix_prune::domain::undo::{UndoItem, UndoPreview};
use nix_prune::render::json::{self, DuDocument, PinDocument, PinListDocument};
use nix_prune::render::table::{self, View};

/// A pin that was set.
pub(crate) fn pin(odd: &str) -> PinDocument {
    json::pin(&snapshot(odd).pins[0], true, true)
}

/// A notice of a missed goal, with everything that it may have.
pub(crate) fn notice(odd: &str) -> json::NoticeDocument {
    let receipt = receipt(odd);
    let check = Blocker::new(
        CheckCode::RootsAway,
        format!("away{odd}"),
        format!("mount it{odd}"),
    );
    json::notice(json::NoticeDocument {
        schema: "nix-prune/notice/1",
        event: NoticeEvent::GoalMissed,
        host: format!("host{odd}"),
        job: receipt.job.clone(),
        run: Some(receipt.run),
        time: now(),
        result: "budget".to_string(),
        exit: 5,
        message: format!("missed{odd}"),
        detail: Some(format!("detail{odd}")),
        commands: vec!["nix-prune plan daily".to_string()],
        standing: vec![Trouble::CheckFailed, Trouble::GoalMissed],
        checks: vec![json::NoticeCheckDocument::of(&check); 99],
        bytes: Some(receipt.bytes),
        missing: Some(json::MissingDocument {
            metric: SizeMetric::OnDisk,
            amount: Quantity(5),
        }),
        forecast: Some(FullForecast::NotWithin { days: 9 }),
    })
}

/// What a run did not do.
pub(crate) fn not_done(receipt: &Receipt, view: &View) -> Vec<String> {
    let entries = table::not_done(receipt, view).into_iter();
    entries.map(|entry| entry.text).collect()
}

/// The pins so many days later: beside that one, the settings pin a generation, and one of a profile that is not there.
pub(crate) fn pins(odd: &str, days: u32) -> PinListDocument {
    let pin = |profile: String, number| ProtectedGeneration {
        profile: ProfileRef::parse(&profile).unwrap(),
        number: GenerationNumber(number),
        reason: Some(format!("for the auditors{odd}")),
    };
    let protected = [
        pin("system".to_string(), 5),
        pin(format!("/srv/gone{odd}"), 7),
    ];
    let mut snapshot = snapshot(odd);
    snapshot.taken_at = snapshot.taken_at.after(Span::days(days));
    json::pin_list(&snapshot, &protected)
}

/// A file system that is nearly full.
pub(crate) fn disk() -> Disk {
    Disk {
        used: Bytes(930 << 30),
        available: Bytes(70 << 30),
        inodes: Some(Inodes {
            total: 1000,
            free: 590,
        }),
    }
}

/// 2026-11-22 22:16:44 UTC.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T22:16:44Z".parse().unwrap()
}

/// Two classes are enough for a screen.
const CLASSES: [LeftoverClass; 2] = [LeftoverClass::BuildDirs, LeftoverClass::BuildLogs];

fn leftovers(class: LeftoverClass, odd: &str) -> Leftovers {
    let sum = |entries: u64| LeftoverSum {
        entries,
        bytes: Bytes(entries * 70_000_000),
        inodes: entries * 1000,
    };
    Leftovers {
        class,
        dir: format!("/tmp{odd}").into(),
        owner: Owner {
            uid: 0,
            name: Some(format!("root{odd}")),
        },
        old: sum(12),
        kept: sum(3),
        oldest: Some(days_ago(99)),
        is_on_store: true,
        problems: vec![format!("/tmp{odd}/nix-build-a: something is mounted there")],
    }
}

fn days_ago(days: u32) -> Timestamp {
    now().before(Span::days(days))
}

fn store_path(n: u32, name: &str) -> StorePath<String> {
    let base = format!("{n:032}-{name}");
    StorePathRef::from_base_name(&base).unwrap().to_owned()
}

fn owner(uid: u32, name: &str) -> Owner {
    let name = Some(name.to_string());
    Owner { uid, name }
}

fn profile(path: &str, kind: ProfileKind, owner: Owner, ages: &[u32]) -> Profile {
    let path = ProfilePath::new(Utf8Path::new(path)).unwrap();
    let generation = |(n, &age): (u32, &u32)| {
        let store_path = store_path(n, path.name_or("generation"));
        let generation = Generation {
            number: GenerationNumber(n),
            target: Utf8Path::new("/nix/store").join(store_path.to_string()),
            specialisations: Vec::new(),
            content: if kind.is_system() {
                Content::Bootable(store_path)
            } else {
                Content::Present(store_path)
            },
            created: days_ago(age),
        };
        (GenerationNumber(n), generation)
    };
    Profile {
        kind,
        owner,
        current: Current::Known(GenerationNumber(ages.len().try_into().unwrap())),
        generations: (1..).zip(ages).map(generation).collect(),
        is_nix_own: false,
        blocked: None,
        path,
    }
}

trait NameOr {
    fn name_or<'a>(&'a self, other: &'a str) -> &'a str;
}

impl NameOr for ProfilePath {
    fn name_or<'a>(&'a self, other: &'a str) -> &'a str {
        let plain = |c: char| c.is_ascii_lowercase();
        Some(self.name())
            .filter(|n| n.chars().all(plain))
            .unwrap_or(other)
    }
}

fn profiles(odd: &str) -> Vec<Profile> {
    let system = profile(
        "/nix/var/nix/profiles/system",
        ProfileKind::System,
        owner(0, "root"),
        &[400, 300, 200, 170, 140, 110, 80, 50, 45, 20, 9, 2],
    );
    let mut default = profile(
        "/nix/var/nix/profiles/default",
        ProfileKind::Default,
        owner(0, "root"),
        &[30, 20],
    );
    for generation in default.generations.values_mut().take(1) {
        generation.target = format!("/elsewhere{odd}").into();
        generation.content = Content::Foreign;
    }
    let odd_name = if odd.is_empty() { "profile" } else { odd };
    let alice = profile(
        &format!("/home/alice{odd}/.local/state/nix/profiles/{odd_name}"),
        ProfileKind::User,
        owner(1000, &format!("alice{odd}")),
        &[90, 60, 30, 1],
    );
    let mut home = profile(
        "/home/bob/.local/state/nix/profiles/home-manager",
        ProfileKind::HomeManager,
        owner(1001, "bob"),
        &[12, 8],
    );
    home.current = Current::Unknown(CurrentUnknown::OtherText(format!(
        "/elsewhere/home-manager-2-link{odd}"
    )));
    let mut blocked = profile(
        "/home/carol/.local/state/nix/profiles/profile",
        ProfileKind::User,
        owner(1002, "carol"),
        &[12, 8],
    );
    blocked.blocked = Some(format!("its directory is writable by others{odd}"));
    vec![alice, home, blocked, default, system]
}

fn root(name: &str, kind: RootKind, state: RootState, odd: &str) -> GcRoot {
    let live = state == RootState::Live;
    GcRoot {
        link: format!("/home/alice/src/{name}{odd}").into(),
        entry: Some(Utf8PathBuf::from(format!(
            "/nix/var/nix/gcroots/auto/{name}{odd}"
        ))),
        exact: true,
        target: live.then(|| format!("/nix/store/{}", store_path(70, "hello")).into()),
        store_path: live.then(|| store_path(70, "hello")),
        kind,
        owner: Some(owner(1000, &format!("alice{odd}"))),
        state,
        made_at: live.then(|| days_ago(3)),
    }
}

fn hold(number: u32, until: Timestamp, intact: bool, odd: &str) -> Hold {
    let run = RunId::at(days_ago(7), 1);
    Hold {
        link: format!("/nix/var/nix/gcroots/nix-prune/{run}/{number}{odd}").into(),
        run,
        store_path: store_path(50 + number, "system"),
        held: Held::Generation {
            profile: ProfilePath::new(Utf8Path::new("/nix/var/nix/profiles/system")).unwrap(),
            number: GenerationNumber(number),
        },
        until,
        intact,
    }
}

/// The use of the links of which there is one to know.
fn uses(odd: &str) -> BTreeMap<Utf8PathBuf, LinkUse> {
    let link = |name: &str| Utf8PathBuf::from(format!("/home/alice/src/{name}{odd}"));
    let seen = |signal, project_gone| {
        LinkUse::Seen(SeenUse {
            last: LastUse {
                at: days_ago(2),
                signal,
            },
            project_gone,
            elsewhere: false,
            out_of_reach: false,
        })
    };
    BTreeMap::from([
        (link("result"), seen(UseSignal::ProjectFile, false)),
        (link("empty"), seen(UseSignal::Link, true)),
        (link("file"), LinkUse::Process(4321)),
        (
            link("shut"),
            LinkUse::Unknown(format!("permission denied{odd}")),
        ),
    ])
}

/// The machine.
pub(crate) fn snapshot(odd: &str) -> Snapshot {
    let dangling = |kind| RootState::Dangling(kind);
    Snapshot {
        unseen_roots: None,
        taken_at: now(),
        zone: TimeZone::UTC,
        machine: MachineId("0123456789abcdef".to_string()),
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        state_dir: "/nix/var/nix".into(),
        actor: Actor::Root,
        profiles: profiles(odd),
        roots: vec![
            root("result", RootKind::Result, RootState::Live, odd),
            root("gone", RootKind::Result, dangling(Dangling::LinkGone), odd),
            root(
                "away",
                RootKind::Result,
                dangling(Dangling::ParentMissing),
                odd,
            ),
            root("empty", RootKind::Direnv, dangling(Dangling::PathGone), odd),
            root("file", RootKind::Other, dangling(Dangling::NotARoot), odd),
            root(
                "shut",
                RootKind::Other,
                RootState::Unreadable(format!("permission denied{odd}")),
                odd,
            ),
        ],
        boot: nix_prune::domain::boot_menu::BootState::default(),
        uses: uses(odd),
        booted: vec![store_path(11, "system")],
        running: vec![store_path(12, "system")],
        pins: vec![Pin {
            profile: ProfilePath::new(Utf8Path::new("/nix/var/nix/profiles/system")).unwrap(),
            number: GenerationNumber(4),
            reason: Some(format!("last good kernel{odd}")),
            until: Some(now().after(Span::days(30))),
        }],
        holds: vec![
            hold(1, days_ago(1), true, odd),
            hold(2, now().after(Span::days(3)), true, odd),
            hold(3, now().after(Span::days(4)), false, odd),
            Hold {
                held: Held::Root {
                    root: format!("/home/alice/old/result{odd}").into(),
                },
                ..hold(4, now().after(Span::days(5)), true, odd)
            },
        ],
        vanished: vec![VanishedRoot {
            link: format!("/home/alice/thesis/result{odd}").into(),
            store_path: store_path(60, "thesis"),
        }],
        uptimes: nix_prune::domain::uptimes::Uptimes::new(),
        flakes: Vec::new(),
        leftovers: CLASSES.map(|class| leftovers(class, odd)).to_vec(),
        scope: SnapshotScope::default(),
        blockers: vec![
            Blocker {
                code: CheckCode::CurrentUnknown,
                message: format!("the current generation of home-manager{odd} is unknown"),
                hint: format!("link the profile{odd} to one of its generations by its bare name"),
                places: Vec::new(),
                reason: None,
            },
            Blocker {
                code: CheckCode::RootsUnreadable,
                message: format!("cannot read the root /home/bob/result{odd}: Permission denied"),
                hint: "find out why".to_string(),
                places: vec![format!("/home/bob/result{odd}").into()],
                reason: None,
            },
            Blocker {
                code: CheckCode::OddName,
                message: format!("system-007-link{odd} is no name of a generation"),
                hint: "rename it, or leave it".to_string(),
                places: Vec::new(),
                reason: None,
            },
        ],
        notes: vec![Note::new(
            NoteCode::RootsUnseen,
            format!("users' temporary roots are not shown{odd}"),
        )],
    }
}

/// The same machine with nothing that stops a collection.
pub(crate) fn calm_snapshot(odd: &str) -> Snapshot {
    let mut snapshot = snapshot(odd);
    snapshot.blockers.clear();
    snapshot
}

/// What some of its systems say of themselves.
pub(crate) fn systems(odd: &str) -> json::Systems {
    let info = |n: u32| SystemInfo {
        nixos_version: Some(format!("26.05.202611{n:02}.5a5b0f{n}{odd}")),
        kernel_version: Some(format!("6.12.{n}{odd}")),
        configuration_revision: Some(format!("{n:040}{odd}")),
        description: (n == 12).then(|| format!("a new shell{odd}")),
    };
    let systems = (2..=12).map(|n| (store_path(n, "system"), info(n)));
    systems.collect()
}

/// A job that does everything but for `default`.
pub(crate) fn job(undo_window: Span, odd: &str) -> Job {
    let rules = KeepRules {
        last: Some(2),
        within: Some(Span::days(14)),
        calendar: PeriodCounts::default().with(Calendar::Monthly, Some(3)),
        known_good: false,
    };
    let alice = snapshot(odd).profiles.swap_remove(0);
    Job {
        name: JobName::try_from("weekly".to_string()).unwrap(),
        max_risk: RiskLevel::High,
        safe_mode: true,
        undo_window,
        protect: Arc::default(),
        budget: None,
        limits: nix_prune::domain::limits::Limits::default(),
        accept: BTreeSet::new(),
        accepted: std::sync::Arc::default(),
        operations: Operations {
            generations: Some(GenerationsOperation {
                profiles: vec![
                    ProfileSelector::System,
                    ProfileSelector::HomeManager,
                    ProfileSelector::Path(alice.path),
                    ProfileSelector::parse("/home/carol/.local/state/nix/profiles/profile")
                        .unwrap(),
                ],
                users: Vec::new(),
                keep: KeepPolicy::new(rules).unwrap(),
            }),
            roots: Some(RootsOperation {
                dangling: true,
                rules: Vec::new(),
                removed_users: None,
            }),
            leftovers: CLASSES
                .map(|class| (class, Span::days(30)))
                .into_iter()
                .collect(),
            collect: Some(CollectOperation::default()),
            boot_menu: None,
            maintenance: vec![
                Action::Optimise(OptimiseFacts::default()),
                Action::Verify { contents: true },
            ],
        },
    }
}

/// A plan with everything in it.
pub(crate) fn plan(odd: &str) -> Plan {
    plan_of(&snapshot(odd), &job(Span::days(7), odd))
}

/// A receipt of a calm plan in which all that can happen did.
pub(crate) fn receipt(odd: &str) -> Receipt {
    let plan = plan_of(&calm_snapshot(odd), &job(Span::days(7), odd));
    let run = RunId::at(now(), 1);
    let outcomes = [
        (Outcome::Done, None),
        (Outcome::Stale, Some("generation 2 is gone")),
        (Outcome::Done, None),
        (Outcome::Failed, Some("nix-env failed with exit code 1")),
    ];
    let last = [Outcome::Done, Outcome::Skipped, Outcome::Pending];
    let from_end = actions(&plan).len() - last.len();
    let entry = |(index, planned): (usize, &nix_prune::domain::plan::PlannedAction)| {
        let early = outcomes.get(index).copied();
        let late = last.get(index.wrapping_sub(from_end)).map(|o| (*o, None));
        let (outcome, detail) = late.or(early).unwrap_or((Outcome::Done, None));
        let undo = match (&planned.action, outcome) {
            (Action::RemoveGeneration(_), Outcome::Done) => Some(Undo::RestoreGeneration {
                hold: format!("/nix/var/nix/gcroots/nix-prune/{run}/{index}").into(),
                until: now().after(Span::days(7)),
            }),
            (Action::RemoveRoot(_), Outcome::Done) => Some(Undo::RestoreRoot),
            _ => None,
        };
        Entry {
            action: planned.action.clone(),
            risk: planned.risk,
            outcome,
            at: (outcome != Outcome::Pending).then(now),
            detail: detail.map(|detail| format!("{detail}{odd}")),
            undo,
            undone_by: (index == 2).then(|| RunId::at(now(), 2)),
            report: None,
        }
    };
    Receipt {
        schema: ReceiptSchema::V2,
        kind: RunKind::Run,
        job: Some(plan.job.clone()),
        tool_version: "0.1.0".to_string(),
        nix_version: format!("2.34.8{odd}"),
        machine: plan.machine.clone(),
        store: plan.store.clone(),
        started_at: now(),
        finished_at: Some(now().after("90s".parse().unwrap())),
        stopped: false,
        entries: actions(&plan).iter().enumerate().map(entry).collect(),
        bytes: FreedBytes {
            predicted: None,
            predicted_at_most: false,
            reported: Some(Bytes(5_000_000_000)),
            measured: Some(-1_048_576),
            paths: Some(120),
        },
        budget: None,
        boot_menu: None,
        size: None,
        accepted_checks: Vec::new(),
        failed_checks: Vec::new(),
        run,
    }
}

/// Three runs: the one above, its undoing, and one that was interrupted.
pub(crate) fn receipts(odd: &str) -> Vec<Receipt> {
    let first = receipt(odd);
    let mut undo = first.clone();
    undo.run = RunId::at(now(), 2);
    undo.kind = RunKind::Undo(first.run.clone());
    undo.job = None;
    undo.bytes = FreedBytes::default();
    undo.entries.truncate(3);
    undo.entries.remove(1);
    for entry in &mut undo.entries {
        if let Action::RemoveGeneration(facts) = &entry.action {
            entry.action = Action::RestoreGeneration(facts.clone());
            (entry.undo, entry.undone_by) = (None, None);
        }
    }
    let mut interrupted = first.clone();
    interrupted.run = RunId::at(now(), 3);
    interrupted.kind = RunKind::Apply;
    interrupted.finished_at = None;
    interrupted.bytes = FreedBytes::default();
    vec![first, undo, interrupted]
}

/// Ten runs that all ended well, and one that freed next to nothing and took an hour.
pub(crate) fn unusual_receipts(odd: &str) -> Vec<Receipt> {
    let run = |day: u32| {
        let mut run = receipt(odd);
        run.entries.retain(|entry| entry.outcome == Outcome::Done);
        run.started_at = now().before(Span::days(11 - day));
        run.run = RunId::at(run.started_at, 1);
        run.finished_at = Some(run.started_at.after("90s".parse().unwrap()));
        let bytes = 4_000_000_000 + u64::from(day) * 100_000_000;
        run.bytes.reported = Some(Bytes(bytes));
        run.bytes.predicted = Some(Bytes(bytes));
        run.bytes.measured = Some(4_000_000_000);
        if day == 11 {
            run.finished_at = Some(run.started_at.after("1h".parse().unwrap()));
            run.bytes.reported = Some(Bytes(1_048_576));
            run.bytes.measured = Some(-5_000_000_000);
        }
        run
    };
    (1..=11).map(run).collect()
}

/// What an undo of the first run would restore.
pub(crate) fn undo_preview(odd: &str) -> UndoPreview {
    let receipt = receipt(odd);
    let actions = receipt.entries.iter();
    let actions = actions.filter_map(|entry| entry.action.operation().inverse());
    let items = actions.enumerate().map(|(index, action)| UndoItem {
        action,
        obstacle: (index == 1).then(|| format!("its name is taken{odd}")),
    });
    UndoPreview {
        run: receipt.run,
        started_at: receipt.started_at,
        items: items.collect(),
    }
}

/// A store in which every generation of a snapshot is valid and refers to a path of its own and one of all; a path is
/// dead, another is kept as a deriver, a name is in no row.
pub(crate) fn inspection(odd: &str, snapshot: &Snapshot) -> StoreAnalysis {
    let names: BTreeSet<String> = snapshot
        .profiles
        .iter()
        .flat_map(|profile| profile.generations.values())
        .filter_map(|generation| generation.content.store_path())
        .map(ToString::to_string)
        // The others' names hang on what is odd.
        .filter(|name| name.ends_with("-system"))
        .collect();
    let mut graph = GraphBuilder::new();
    let (shared, drv) = (
        store_path(900, "shared").to_string(),
        store_path(901, "shared.drv").to_string(),
    );
    let dead = store_path(902, "dead-1.0").to_string();
    graph.add_path(1, &shared, 5000, 1_700_000_000, Some(&drv));
    graph.add_path(2, &drv, 300, 1_700_000_000, None);
    graph.add_path(3, &dead, 70_000, 1_700_000_000, None);
    for (id, name) in (10..).zip(&names) {
        graph.add_path(id, name, 1_000_000, 1_700_000_000, None);
    }
    for (id, _) in (10..).zip(&names) {
        graph.add_reference(id, 1);
    }
    let mut roots = snapshot.roots.clone();
    let node = names.iter().next().unwrap();
    let path = StorePathRef::from_base_name(node).unwrap().to_owned();
    for (link, kind) in [
        ("/proc/1/exe", RootKind::Process),
        ("/home/result", RootKind::Result),
    ] {
        roots.push(GcRoot {
            link: format!("{link}{odd}").into(),
            entry: None,
            exact: true,
            target: Some(path.to_absolute_path(&snapshot.store)),
            store_path: Some(path.clone()),
            kind,
            owner: None,
            state: RootState::Live,
            made_at: None,
        });
    }
    StoreAnalysis::new(StoreData {
        store: snapshot.store.clone(),
        graph: graph.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots,
        names: vec![UnregisteredPath {
            name: format!("junk{odd}"),
            exact: true,
        }],
        doubts: vec![format!("1 process of another user is not readable{odd}")],
        unknown_outputs: None,
        notes: Vec::new(),
    })
}

/// The path that is kept as a deriver.
pub(crate) fn deep(store: &StoreAnalysis) -> NodeIdx {
    let drv = store_path(901, "shared.drv").to_string();
    store.graph().find(&drv).unwrap()
}

/// What takes the room of it.
pub(crate) fn usage(store: &StoreAnalysis, snapshot: &Snapshot) -> DuDocument {
    let usage = store.usage(snapshot, GroupBy::Root, 20, Sets::Left);
    json::du(&usage, store.notes(true))
}

/// Who keeps what of it.
pub(crate) fn overview(store: &StoreAnalysis, snapshot: &Snapshot) -> json::UsageDocument {
    let shares = store.shares(snapshot);
    let leftovers = by_class(&snapshot.leftovers);
    json::usage(
        "/nix/store",
        Some(disk()),
        &shares,
        &leftovers,
        store.notes(true),
    )
}

/// The state of the store, for a plan.
pub(crate) fn status(plan: &Plan) -> json::StatusDocument {
    let last = json::history(&[receipt("")], now());
    let job = |name: &str, last_run, next_run| json::JobDocument {
        name: name.to_string(),
        last_run,
        next_run,
    };
    let jobs = vec![
        job(
            "weekly",
            last.runs.into_iter().next(),
            Some(now().after(Span::days(2))),
        ),
        job("daily", None, None),
    ];
    let attention = json::CheckDocument {
        name: "jobs".to_string(),
        state: json::CheckState::Warning,
        message: "weekly: the last 2 runs failed".to_string(),
        hint: Some("`nix-prune history` shows them.".to_string()),
    };
    let plan = Plan {
        disk: Some(disk()),
        ..plan.clone()
    };
    let forecast = FullForecast::Within {
        earliest_days: 18,
        likely_days: Some(25),
        latest_days: Some(40),
    };
    json::StatusDocument {
        forecast,
        frees_before_full: Some(json::FreesDocument {
            nar_bytes: Bytes(12_000_000_000),
            paths: 4321,
        }),
        ..json::status(&plan, jobs, vec![attention])
    }
}

/// The report, and the plan that it shows first.
pub(crate) fn report(odd: &str) -> (json::ReportDocument, Plan) {
    let snapshot = snapshot(odd);
    let store = inspection(odd, &snapshot);
    let sizes = store.sizes(&snapshot);
    let week = job(Span::days(7), odd);
    let plan = plan_of(&calm_snapshot(odd), &week);
    let planned = json::JobPlanDocument {
        job: plan.job.to_string(),
        description: Some(format!("each week{odd}")),
        plan: Some(json::plan_summary(&plan)),
        problem: None,
    };
    let unplanned = json::JobPlanDocument {
        job: "daily".to_string(),
        description: None,
        plan: None,
        problem: Some(format!("the store cannot be read{odd}")),
    };
    let document = json::report(json::ReportFacts {
        host_name: Some(format!("thinkpad{odd}")),
        snapshot: &snapshot,
        store: &store,
        sizes: &sizes,
        status: status(&plan),
        plans: vec![planned, unplanned],
        generations: json::generations(
            &snapshot,
            Some(&crate::support::unrestricted(&week)),
            Some(&sizes),
            &systems(odd),
        ),
        leftovers: &by_class(&snapshot.leftovers),
        receipts: &receipts(odd),
    });
    (document, plan)
}

/// What is wrong with some settings.
pub(super) fn config_check() -> json::ConfigCheckDocument {
    let finding = json::FindingDocument {
        file: Some("/etc/nix-prune/config.json".to_string()),
        severity: json::SeverityDocument::Error,
        code: "age.invalid".to_string(),
        pointer: "/undoWindow".to_string(),
        line: Some(3),
        column: Some(17),
        message: "`7 d d` is not an age".to_string(),
        hint: "write numbers with s, m, h, d or w behind them".to_string(),
    };
    let change = json::ChangeDocument {
        file: "/etc/nix-prune/config.json".to_string(),
        pointer: "/protect/paths/1".to_string(),
        kind: "blanks".to_string(),
        from: " /usr".to_string(),
        to: Some("/usr".to_string()),
    };
    json::config_check(false, vec![finding], vec![change])
}
