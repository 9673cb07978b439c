//! Snapshots made by hand, for tests of plans.

// Clippy's leave for tests does not reach the functions beside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
// The suite uses a part of it.
#![allow(dead_code)]

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::domain::baseline::SnapshotScope;
use nix_prune::domain::leftover::{LeftoverClass, LeftoverSum, Leftovers};
use nix_prune::domain::measure::{Bytes, Span, Timestamp};
use nix_prune::domain::plan::Plan;
use nix_prune::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath,
};
use nix_prune::domain::root::{Dangling, GcRoot, RootKind, RootState};
use nix_prune::domain::snapshot::{Actor, Held, MachineId, Snapshot};
use nix_prune::domain::store_path::{StoreDir, StorePath, StorePathRef};
use nix_prune::domain::uptimes::Uptimes;

pub(crate) const NOW: &str = "2026-11-22T12:00:00Z";
pub(crate) const SYSTEM: &str = "/nix/var/nix/profiles/system";
pub(crate) const ALICE: &str = "/home/alice/.local/state/nix/profiles/profile";
pub(crate) const AUTO: &str = "/nix/var/nix/gcroots/auto";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn path_of(name: &str, n: u32) -> StorePath<String> {
    let base = format!("{n:032}-{name}");
    StorePathRef::from_base_name(&base).unwrap().to_owned()
}

pub(crate) fn profile_path(path: &str) -> ProfilePath {
    ProfilePath::new(Utf8Path::new(path)).unwrap()
}

pub(crate) fn owner(uid: u32) -> Owner {
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
        made_at: None,
    }
}

/// Three leftovers of a class that are old, with 30 KiB in 6 inodes, and one that is not.
pub(crate) fn leftovers(class: LeftoverClass) -> Leftovers {
    let sum = |entries: u64| LeftoverSum {
        entries,
        bytes: Bytes(entries * (10 << 10)),
        inodes: entries * 2,
    };
    Leftovers {
        class,
        dir: format!("/leftovers/{class:?}").into(),
        owner: owner(0),
        old: sum(3),
        kept: sum(1),
        oldest: Some(time("2026-10-01T12:00:00Z")),
        is_on_store: true,
        problems: Vec::new(),
    }
}

pub(crate) fn held(profile: &str, n: u32) -> Held {
    Held::Generation {
        profile: profile_path(profile),
        number: GenerationNumber(n),
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
        boot: nix_prune::domain::boot_menu::BootState::default(),
        uses: std::collections::BTreeMap::new(),
        booted: Vec::new(),
        running: Vec::new(),
        pins: Vec::new(),
        holds: Vec::new(),
        vanished: Vec::new(),
        uptimes: Uptimes::new(),
        flakes: Vec::new(),
        leftovers: Vec::new(),
        scope: SnapshotScope::default(),
        blockers: Vec::new(),
        notes: Vec::new(),
    }
}

/// The numbers of a profile that go.
pub(crate) fn gone(plan: &Plan, profile: &str) -> Vec<u32> {
    let removed = plan.removed_generations();
    let of_it = removed.filter(|facts| facts.profile == profile_path(profile));
    of_it.map(|facts| facts.number.0).collect()
}
