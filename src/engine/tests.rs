//! The engine over a world in memory.

#![cfg(test)]

mod boot_menu;
mod budgets;
mod collecting;
mod direct;
mod journal;
mod killed;
mod lasting;
mod nets;
mod nix;
mod plan;
mod planning;
mod predicting;
mod root_links;
mod rounds;
mod runs;
mod snapshots;
mod undoing;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::support::{plan_of, unrestricted};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::domain::baseline::SnapshotScope;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::budget::FreeSpace;
use nix_prune::domain::job::{
    CollectOperation, GenerationsOperation, Job, JobName, Operations, ProfileSelector,
    RootsOperation,
};
use nix_prune::domain::leftover::{LeftoverQuery, Leftovers, LeftoversOperation};
use nix_prune::domain::maintenance::{Damage, Optimised, Registrations, Verified};
use nix_prune::domain::measure::{Bytes, Span, Timestamp};
use nix_prune::domain::plan::{
    Action, Decision, GenerationFacts, HoldFacts, LeftoverFacts, OptimiseFacts, RootFacts,
    RootLinkFacts,
};
use nix_prune::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath,
};
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::receipt::{Outcome, Receipt, RunId, RunKind};
use nix_prune::domain::retention::{KeepPolicy, KeepRules};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::root::{Dangling, GcRoot, RootKind, RootState};
use nix_prune::domain::snapshot::{Actor, Hold, MachineId, Pin, Snapshot, VanishedRoot};
use nix_prune::domain::store_path::{StoreDir, StorePath, StorePathRef};
use nix_prune::engine::{Engine, EngineError, GateError, failed_in_a_row, gate};
use nix_prune::ports::{
    ArgLimit, Clock, Collected, Deleted, Interrupt, JournalError, LinkState, NixActions,
    PerformError, RestoreMode, RunJournal, Survey, SurveyError, UndeletedPath,
};
use rstest::rstest;

const DAY: i64 = 86_400;
const NOW: i64 = 1_795_000_000;
const PROFILE: &str = "/state/profiles/system";
const ENTRY: &str = "/state/gcroots/auto/dangling";

/// A machine: generations as links, holds as links, and what is on disk.
#[derive(Default)]
struct World {
    links: RefCell<BTreeMap<u32, (Utf8PathBuf, Timestamp)>>,
    current: Cell<u32>,
    holds: RefCell<BTreeMap<Utf8PathBuf, StorePath<String>>>,
    disk: RefCell<BTreeSet<StorePath<String>>>,
    /// Links that are gone, and what they kept.
    vanished: RefCell<BTreeMap<Utf8PathBuf, StorePath<String>>>,
    entries: RefCell<BTreeMap<Utf8PathBuf, Utf8PathBuf>>,
    journal: RefCell<BTreeMap<RunId, Receipt>>,
    pins: RefCell<Vec<Pin>>,
    locked: Cell<bool>,
    /// Dies at this many more port calls; the deed is done or not according to `die_after`.
    steps_to_death: Cell<Option<usize>>,
    die_after: Cell<bool>,
    now: Cell<i64>,
    fail_hold: Cell<bool>,
    fail_drop: Cell<bool>,
    lie_about_drop: Cell<bool>,
    removes_more: Cell<bool>,
    /// Whose the profile is.
    owner: Cell<u32>,
    /// The profile belongs to a user other than the one who runs this.
    of_another_user: Cell<bool>,
    /// The seconds that each drop and each restoring takes.
    takes: Cell<i64>,
    /// Drops and restorings wait in vain for the lock of the profile.
    times_out: Cell<bool>,
    stop_after_drops: Cell<Option<usize>>,
    drops: Cell<usize>,
    change_before_drop: Cell<bool>,
    machine: RefCell<String>,
    /// Nix works on another store.
    is_elsewhere: Cell<bool>,
    /// Dead paths that are deleted by name, and how often it was collected wholly.
    dead: RefCell<BTreeSet<StorePath<String>>>,
    collections: Cell<usize>,
    blockers: RefCell<Vec<nix_prune::domain::blocker::Blocker>>,
    /// Links of a user, which are roots.
    roots: RefCell<BTreeMap<Utf8PathBuf, StorePath<String>>>,
    /// Links of a user that are indirect roots, with their times.
    root_links: RefCell<BTreeMap<Utf8PathBuf, (StorePath<String>, Timestamp)>>,
    /// Somebody removes these links behind so many more drops.
    unlinks_after: Cell<Option<usize>>,
    /// Holds that are no roots any more, though their links are there.
    lost: RefCell<BTreeSet<Utf8PathBuf>>,
    /// A path that cannot be held.
    leftovers: RefCell<Vec<Leftovers>>,
    unholdable: RefCell<Option<StorePath<String>>>,
    /// Paths that Nix refuses to delete by name, and a path that comes alive at the first refusal.
    refuses: RefCell<BTreeSet<StorePath<String>>>,
    comes_alive: RefCell<Option<StorePath<String>>>,
    /// This Nix is not known to check what it deletes by name.
    only_wholly: Cell<bool>,
    /// What the reserve and the record of a run take of the disk after it.
    takes_of_the_disk: Cell<u64>,
    /// When failures were acknowledged.
    acknowledged_at: Cell<Option<Timestamp>>,
    /// How full the disk is cannot be read any more once something was deleted.
    loses_sight: Cell<bool>,
    /// How many names in the store directory only a full collection deletes.
    foreign: Cell<u64>,
    /// The disk is full; what Nix has set aside for that; how often space was set aside.
    full: Cell<bool>,
    reserve_of_nix: Cell<bool>,
    restocked: Cell<usize>,
    /// How often Nix only tidied up.
    tidied: Cell<usize>,
    /// The boot menu, how often it was refreshed, and whether that fails.
    boot: RefCell<nix_prune::domain::boot_menu::BootState>,
    refreshes: Cell<usize>,
    fail_refresh: Cell<bool>,
    boot_free: Cell<Option<Bytes>>,
    /// There is no space for a lock either, until Nix gives up what it has set aside.
    full_for_a_lock: Cell<bool>,
    /// The failed checks of each snapshot whose roots were recorded.
    recorded: RefCell<Vec<Vec<CheckCode>>>,
    /// How long the arguments of one deletion may be, and how many deletions there were.
    limit: Cell<Option<ArgLimit>>,
    deletions: Cell<usize>,
    /// What was done to the store after a collection.
    maintained: RefCell<Vec<String>>,
    /// How far the database has come, how many paths are new since any moment, and the paths that a check finds damaged.
    registrations: Cell<Option<Registrations>>,
    new_paths: Cell<Option<u64>>,
    damaged: RefCell<Vec<StorePath<String>>>,
    /// What a deletion frees, where a test is about that.
    blocks: RefCell<Option<rounds::Blocks>>,
    direct: direct::Script,
}

fn path(n: u32) -> StorePath<String> {
    let text = format!("{n:032}-generation-{n}");
    StorePathRef::from_base_name(&text).unwrap().to_owned()
}

fn target(n: u32) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("/store/{}", path(n)))
}

fn created(n: u32) -> Timestamp {
    Timestamp::from_unix(NOW - i64::from(100 - n) * DAY, i64::from(n)).unwrap()
}

fn free(available: u64) -> FreeSpace {
    FreeSpace {
        available: Bytes(available),
        nix_files: Bytes(0),
    }
}

impl World {
    fn new(generations: u32, current: u32) -> Self {
        let world = Self::default();
        for n in 1..=generations {
            world.links.borrow_mut().insert(n, (target(n), created(n)));
            world.disk.borrow_mut().insert(path(n));
        }
        world.current.set(current);
        world.now.set(NOW);
        world
            .entries
            .borrow_mut()
            .insert(ENTRY.into(), "/gone/result".into());
        *world.machine.borrow_mut() = "machine".to_string();
        world
    }

    fn engine(&self) -> Engine<'_, Self> {
        Engine {
            survey: self,
            perform: self,
            remember: self,
            clock: self,
            interrupt: self,
        }
    }

    /// A point where the machine may die: before the deed, or behind it.
    fn point<T>(&self, deed: impl FnOnce() -> T) -> T {
        let dies = match self.steps_to_death.get() {
            Some(0) => true,
            Some(n) => {
                self.steps_to_death.set(Some(n - 1));
                false
            }
            None => false,
        };
        assert!(!dies || self.die_after.get(), "killed before the deed");
        let value = deed();
        assert!(!dies, "killed behind the deed");
        value
    }

    /// The holds of all runs whose links are there.
    fn found_holds(&self) -> Vec<Hold> {
        let journal = self.journal.borrow();
        let holds = journal.values().flat_map(|receipt| {
            let removed = receipt.entries.iter();
            let removed = removed.filter(|entry| entry.action.removed_link().is_some());
            let holds = removed.filter_map(|entry| entry.hold(&receipt.run));
            let there = holds.filter(|hold| self.holds.borrow().contains_key(&hold.link));
            there.map(|hold| Hold {
                intact: !self.lost.borrow().contains(&hold.link),
                run: hold.run,
                link: hold.link,
                store_path: hold.store_path,
                held: hold.held,
                until: hold.until,
            })
        });
        holds.collect()
    }

    fn numbers(&self) -> Vec<u32> {
        self.links.borrow().keys().copied().collect()
    }

    /// As a look finds them: what is gone from the store or held is nothing to lose.
    fn still_vanished(&self) -> Vec<VanishedRoot> {
        let (disk, holds) = (self.disk.borrow(), self.holds.borrow());
        let lost = |path: &StorePath<String>| {
            disk.contains(path) && holds.values().all(|held| held != path)
        };
        let vanished = self.vanished.borrow();
        let lost = vanished.iter().filter(|(_, path)| lost(path));
        lost.map(|(link, path)| VanishedRoot {
            link: link.clone(),
            store_path: path.clone(),
        })
        .collect()
    }

    /// Makes a path that only a link kept, which is gone.
    fn lose_root(&self, n: u32) {
        let link = format!("/gone/{n}/result");
        self.vanished.borrow_mut().insert(link.into(), path(n));
        self.disk.borrow_mut().insert(path(n));
    }

    /// Whether a generation or a hold leads to a path.
    fn is_kept(&self, path: &StorePath<String>) -> bool {
        let links = self.links.borrow();
        let mut targets = links.values().map(|(target, _)| target.as_str());
        targets.any(|target| target.ends_with(&path.to_string()))
            || self.holds.borrow().values().any(|held| held == path)
            || self
                .root_links
                .borrow()
                .values()
                .any(|(kept, _)| kept == path)
    }

    /// What a collector does: everything that no generation, link or hold leads to is deleted.
    fn collect_garbage(&self) {
        let links = self.links.borrow();
        let (roots, lost) = (self.roots.borrow(), self.lost.borrow());
        let holds = self.holds.borrow();
        let held: Vec<_> = holds
            .iter()
            .filter(|(link, _)| !lost.contains(*link))
            .collect();
        self.disk.borrow_mut().retain(|p| {
            links
                .values()
                .any(|(t, _)| t.as_str().ends_with(&p.to_string()))
                || roots.values().any(|path| path == p)
                || self.root_links.borrow().values().any(|(kept, _)| kept == p)
                || held.iter().any(|(_, held)| *held == p)
        });
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now.get(), 0).unwrap()
    }
}

impl Interrupt for World {
    fn requested(&self) -> bool {
        self.stop_after_drops
            .get()
            .is_some_and(|n| self.drops.get() >= n)
    }
}

impl Survey for World {
    fn new_paths(&self, _: Registrations) -> Option<u64> {
        self.new_paths.get()
    }

    fn leftovers(&self, _: LeftoverQuery<'_>) -> Vec<Leftovers> {
        self.leftovers.borrow().clone()
    }

    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let entries = self.entries.borrow();
        let roots = entries.iter().map(|(entry, link)| GcRoot {
            link: link.clone(),
            entry: Some(entry.clone()),
            exact: true,
            target: None,
            store_path: None,
            kind: RootKind::Result,
            owner: None,
            state: RootState::Dangling(Dangling::LinkGone),
            made_at: None,
        });
        let links = self.roots.borrow();
        let roots = roots.chain(links.iter().map(|(link, path)| GcRoot {
            link: link.clone(),
            entry: None,
            exact: true,
            target: None,
            store_path: Some(path.clone()),
            kind: RootKind::Result,
            owner: None,
            state: RootState::Live,
            made_at: None,
        }));
        let links = self.root_links.borrow();
        let roots = roots.chain(links.iter().map(root_links::root_of));
        let uses = links
            .iter()
            .map(|(link, (_, time))| (link.clone(), root_links::used(*time)));
        Ok(Snapshot {
            unseen_roots: None,
            taken_at: self.now(),
            zone: TimeZone::UTC,
            machine: MachineId(self.machine.borrow().clone()),
            store: StoreDir::new(Utf8Path::new("/store")).unwrap(),
            state_dir: "/state".into(),
            actor: Actor::Root,
            profiles: vec![self.profile()],
            roots: roots.collect(),
            boot: self.boot.borrow().clone(),
            uses: uses.collect(),
            booted: Vec::new(),
            running: Vec::new(),
            pins: self.pins.borrow().clone(),
            holds: self.found_holds(),
            vanished: self.still_vanished(),
            uptimes: BTreeMap::new(),
            flakes: Vec::new(),
            leftovers: Vec::new(),
            scope: SnapshotScope::default(),
            blockers: self.blockers.borrow().clone(),
            notes: Vec::new(),
        })
    }
}

fn job(window: Span) -> Job {
    Job {
        name: JobName::try_from("default".to_string()).unwrap(),
        max_risk: RiskLevel::High,
        safe_mode: true,
        undo_window: window,
        protect: Arc::default(),
        budget: None,
        limits: nix_prune::domain::limits::Limits::default(),
        accept: BTreeSet::new(),
        accepted: std::sync::Arc::default(),
        operations: Operations {
            generations: Some(GenerationsOperation {
                profiles: vec![ProfileSelector::System],
                users: Vec::new(),
                keep: KeepPolicy::new(KeepRules {
                    last: Some(3),
                    ..KeepRules::default()
                })
                .unwrap(),
            }),
            roots: Some(RootsOperation {
                dangling: true,
                rules: Vec::new(),
                removed_users: None,
            }),
            leftovers: LeftoversOperation::default(),
            collect: Some(CollectOperation::default()),
            boot_menu: None,
            maintenance: Vec::new(),
        },
    }
}

fn run(world: &World, job: &Job) -> Result<Receipt, EngineError> {
    let plan = plan_of(&world.snapshot().unwrap(), job);
    let approved = gate(&plan, RunKind::Run).unwrap();
    world.engine().apply(approved, Some(&unrestricted(job)))
}

/// Runs `deed` with a death at its `n`th point; tells whether it got that far.
fn dies_at(world: &World, n: usize, after: bool, deed: impl FnOnce(&World)) -> bool {
    world.steps_to_death.set(Some(n));
    world.die_after.set(after);
    let outcome = catch_unwind(AssertUnwindSafe(|| deed(world)));
    world.steps_to_death.set(None);
    outcome.is_err()
}
