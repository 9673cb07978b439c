//! The engine over a world in memory: every refusal, every failure, and a death at every single step.

#![cfg(test)]

mod budgets;
mod collecting;
mod nets;
mod plan;
mod planning;
mod predicting;
mod rounds;
mod snapshots;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::support::{plan_of, unrestricted};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::domain::baseline::SnapshotScope;
use nix_prune::domain::budget::FreeSpace;
use nix_prune::domain::job::{
    CollectOperation, GenerationsOperation, Job, JobName, Operations, ProfileSelector,
    RootsOperation,
};
use nix_prune::domain::measure::{Bytes, Span, Timestamp};
use nix_prune::domain::plan::{Action, Decision, GenerationFacts, HoldFacts, RootFacts};
use nix_prune::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath,
};
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::receipt::{Outcome, Receipt, RunId, RunKind, Undo};
use nix_prune::domain::retention::{KeepPolicy, KeepRules};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::root::{Dangling, GcRoot, RootKind, RootState};
use nix_prune::domain::snapshot::{Actor, Held, Hold, MachineId, Pin, Snapshot, VanishedRoot};
use nix_prune::domain::store_path::{StoreDir, StorePath, StorePathRef};
use nix_prune::engine::{Engine, EngineError, GateError, gate};
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
    /// Dead paths that are deleted by name, and how often it was collected wholly.
    dead: RefCell<BTreeSet<StorePath<String>>>,
    collections: Cell<usize>,
    refusals: RefCell<Vec<nix_prune::domain::blocker::Blocker>>,
    /// Links of a user, which are roots.
    roots: RefCell<BTreeMap<Utf8PathBuf, StorePath<String>>>,
    /// Somebody removes these links behind so many more drops.
    unlinks_after: Cell<Option<usize>>,
    /// Holds that are no roots any more, though their links are there.
    lost: RefCell<BTreeSet<Utf8PathBuf>>,
    /// A path that cannot be held.
    unholdable: RefCell<Option<StorePath<String>>>,
    /// Paths that Nix refuses to delete by name, and a path that comes alive at the first refusal.
    refuses: RefCell<BTreeSet<StorePath<String>>>,
    comes_alive: RefCell<Option<StorePath<String>>>,
    /// This Nix is not known to check what it deletes by name.
    only_wholly: Cell<bool>,
    /// The disk is full; what Nix has set aside for that; how often room was set aside.
    full: Cell<bool>,
    reserve_of_nix: Cell<bool>,
    restocked: Cell<usize>,
    /// How often Nix only tidied up.
    tidied: Cell<usize>,
    /// What a deletion frees, where a test is about that.
    blocks: RefCell<Option<rounds::Blocks>>,
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
    }

    /// What a collector does: everything goes that no generation, link or hold leads to.
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
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let generation = |(&n, (target, created)): (&u32, &(Utf8PathBuf, Timestamp))| {
            let named = StorePathRef::from_base_name(target.file_name().unwrap_or_default());
            let path = named.map_or(path(n), |path| path.to_owned());
            let on_disk = self.disk.borrow().contains(&path);
            let number = GenerationNumber(n);
            let content = if on_disk {
                Content::Bootable(path)
            } else {
                Content::Missing(path)
            };
            let generation = Generation {
                number,
                target: target.clone(),
                content,
                specialisations: Vec::new(),
                created: *created,
            };
            (number, generation)
        };
        let profile = Profile {
            path: ProfilePath::new(Utf8Path::new(PROFILE)).unwrap(),
            kind: ProfileKind::System,
            owner: Owner {
                uid: self.owner.get(),
                name: None,
            },
            current: Current::Known(GenerationNumber(self.current.get())),
            generations: self.links.borrow().iter().map(generation).collect(),
            is_nix_own: false,
            blocked: None,
        };
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
            last_used: None,
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
            last_used: None,
        }));
        let holds = self.journal.borrow();
        let holds = holds.values().flat_map(|receipt| {
            receipt
                .entries
                .iter()
                .filter_map(|entry| match (&entry.action, &entry.undo) {
                    (
                        Action::RemoveGeneration(facts),
                        Some(Undo::RestoreGeneration { hold, until }),
                    ) => {
                        let there = self.holds.borrow().contains_key(hold);
                        there.then(|| Hold {
                            run: receipt.run.clone(),
                            link: hold.clone(),
                            store_path: facts.store_path.clone(),
                            held: Held::Generation {
                                profile: facts.profile.clone(),
                                number: facts.number,
                            },
                            until: *until,
                            intact: !self.lost.borrow().contains(hold),
                        })
                    }
                    _ => None,
                })
        });
        Ok(Snapshot {
            unseen_roots: None,
            taken_at: self.now(),
            zone: TimeZone::UTC,
            machine: MachineId(self.machine.borrow().clone()),
            store: StoreDir::new(Utf8Path::new("/store")).unwrap(),
            state_dir: "/state".into(),
            actor: Actor::Root,
            profiles: vec![profile],
            roots: roots.collect(),
            booted: Vec::new(),
            running: Vec::new(),
            pins: self.pins.borrow().clone(),
            holds: holds.collect(),
            vanished: self.still_vanished(),
            scope: SnapshotScope::default(),
            refusals: self.refusals.borrow().clone(),
            notes: Vec::new(),
        })
    }
}

fn failed(what: &str) -> PerformError {
    PerformError::Nix {
        what: what.to_string(),
        source: "exit status 1".into(),
    }
}

impl World {
    fn wait(&self) -> Result<(), PerformError> {
        self.now.set(self.now.get() + self.takes.get());
        if self.times_out.get() {
            return Err(PerformError::TimedOut {
                what: "nix-env".to_string(),
                source: "the profile is locked".into(),
            });
        }
        Ok(())
    }
}

impl NixActions for World {
    fn give_up_reserve(&self) -> Result<bool, PerformError> {
        Ok(self.reserve_of_nix.replace(false))
    }

    fn is_ourselves(&self, _: &Owner) -> bool {
        !self.of_another_user.get()
    }

    fn nix_version(&self) -> Result<String, PerformError> {
        Ok("2.34.8".to_string())
    }

    fn hold(&self, path: &StorePath<String>, link: &Utf8Path) -> Result<(), PerformError> {
        if self.fail_hold.get() || self.unholdable.borrow().as_ref() == Some(path) {
            return Err(failed("nix-store --realise"));
        }
        self.point(|| {
            assert!(self.disk.borrow().contains(path));
            self.lost.borrow_mut().remove(link);
            self.holds
                .borrow_mut()
                .insert(link.to_path_buf(), path.clone());
        });
        Ok(())
    }

    fn remove_generation(&self, facts: &GenerationFacts) -> Result<(), PerformError> {
        let n = facts.number.0;
        if self.change_before_drop.get() {
            self.current.set(n);
            return Err(PerformError::Stale(
                "the current generation changed".to_string(),
            ));
        }
        if self.fail_drop.get() {
            return Err(failed("nix-env --delete-generations"));
        }
        self.wait()?;
        assert_ne!(n, self.current.get(), "the current generation was dropped");
        self.point(|| self.links.borrow_mut().remove(&n));
        self.drops.set(self.drops.get() + 1);
        if self.unlinks_after.get() == Some(self.drops.get()) {
            self.roots.borrow_mut().clear();
        }
        if self.removes_more.get() {
            return Err(PerformError::RemovedMore {
                what: "nix-env --delete-generations".to_string(),
                more: "with it went the generations 8".to_string(),
            });
        }
        if self.lie_about_drop.get() {
            return Err(failed("nix-env --delete-generations"));
        }
        Ok(())
    }

    fn see_generation(&self, facts: &GenerationFacts) -> Result<LinkState, PerformError> {
        Ok(match self.links.borrow().get(&facts.number.0) {
            None => LinkState::Gone,
            Some((target, time)) if *target == facts.target && *time == facts.created => {
                LinkState::Unchanged
            }
            Some((target, _)) if *target == facts.target => LinkState::Unfinished,
            Some(_) => LinkState::Different,
        })
    }

    fn restore_generation(
        &self,
        facts: &GenerationFacts,
        claim: RestoreMode,
    ) -> Result<(), PerformError> {
        self.wait()?;
        let n = facts.number.0;
        if claim == RestoreMode::Fresh && self.links.borrow().contains_key(&n) {
            return Err(PerformError::Stale(format!("the number {n} is taken")));
        }
        if !self.disk.borrow().contains(&facts.store_path) {
            return Err(PerformError::Stale(format!("{} is gone", facts.target)));
        }
        let wrong = Timestamp::from_unix(self.now.get(), 0).unwrap();
        self.point(|| {
            self.links
                .borrow_mut()
                .insert(n, (facts.target.clone(), wrong));
        });
        self.point(|| {
            self.links
                .borrow_mut()
                .insert(n, (facts.target.clone(), facts.created));
        });
        Ok(())
    }

    fn remove_root(&self, facts: &RootFacts, _: &ProtectedPaths) -> Result<(), PerformError> {
        self.point(|| self.entries.borrow_mut().remove(&facts.entry));
        Ok(())
    }

    fn see_root(&self, facts: &RootFacts) -> Result<LinkState, PerformError> {
        Ok(match self.entries.borrow().get(&facts.entry) {
            None => LinkState::Gone,
            Some(link) if *link == facts.link => LinkState::Unchanged,
            Some(_) => LinkState::Different,
        })
    }

    fn restore_root(&self, facts: &RootFacts) -> Result<(), PerformError> {
        self.point(|| {
            self.entries
                .borrow_mut()
                .insert(facts.entry.clone(), facts.link.clone());
        });
        Ok(())
    }

    fn release_hold(&self, facts: &HoldFacts) -> Result<(), PerformError> {
        self.point(|| self.holds.borrow_mut().remove(&facts.link));
        Ok(())
    }

    fn see_hold(&self, facts: &HoldFacts) -> Result<LinkState, PerformError> {
        Ok(match self.holds.borrow().get(&facts.link) {
            None => LinkState::Gone,
            Some(path) if *path == facts.store_path => LinkState::Unchanged,
            Some(_) => LinkState::Different,
        })
    }

    fn collect(&self) -> Result<Collected, PerformError> {
        self.collections.set(self.collections.get() + 1);
        let before = self.disk.borrow().len();
        self.point(|| self.collect_garbage());
        let gone = u64::try_from(before - self.disk.borrow().len()).unwrap();
        Ok(Collected {
            paths: Some(gone),
            bytes: Some(Bytes(gone * 1000)),
        })
    }

    fn deletion_limit(&self) -> Result<Option<ArgLimit>, PerformError> {
        let limit = ArgLimit {
            bytes: 1,
            per_path: 1,
        };
        Ok(Some(limit).filter(|_| !self.only_wholly.get()))
    }

    fn delete_paths(&self, paths: &[StorePath<String>]) -> Deleted {
        self.tidied
            .set(self.tidied.get() + usize::from(paths.is_empty()));
        if let [path] = paths
            && self.refuses.borrow().contains(path)
        {
            if let Some(path) = self.comes_alive.borrow_mut().take() {
                self.holds.borrow_mut().insert("/alive".into(), path);
            }
            return Deleted {
                paths: Vec::new(),
                bytes: Some(Bytes(0)),
                refused: vec![UndeletedPath {
                    path: path.clone(),
                    why: "it is alive".to_string(),
                }],
                outcome: Ok(()),
            };
        }
        let chosen = |path: &&StorePath<String>| {
            if let Some(blocks) = &mut *self.blocks.borrow_mut() {
                assert!(!self.is_kept(path), "{path} is alive");
                blocks.delete(path);
                return self.disk.borrow_mut().remove(*path);
            }
            self.dead.borrow_mut().remove(*path)
        };
        let gone: Vec<_> = paths.iter().filter(chosen).cloned().collect();
        assert_eq!(gone.len(), paths.len(), "nobody chose {paths:?}");
        Deleted {
            bytes: Some(Bytes(1000 * paths.len() as u64)),
            paths: gone,
            refused: Vec::new(),
            outcome: Ok(()),
        }
    }

    fn optimise(&self) -> Result<(), PerformError> {
        Ok(())
    }

    fn verify(&self, _: bool) -> Result<(), PerformError> {
        Ok(())
    }

    fn free_space(&self) -> Result<FreeSpace, PerformError> {
        if let Some(blocks) = &mut *self.blocks.borrow_mut() {
            return Ok(free(blocks.available()));
        }
        let taken = 1000 * self.disk.borrow().len() + 50 * self.dead.borrow().len();
        Ok(free(1_000_000 - u64::try_from(taken).unwrap()))
    }
}

/// Dying releases a lock, as the kernel does; `locked` is another process's.
struct Token;

impl RunJournal for World {
    type Lock = Token;

    fn make_room(&self, _: &Token) -> bool {
        !self.full.get()
    }

    fn restock(&self, _: &Token) {
        self.restocked.set(self.restocked.get() + 1);
    }

    fn lock(&self) -> Result<Token, JournalError> {
        if self.locked.get() {
            return Err(JournalError::Locked {
                lock: "/lock".to_string(),
                holder: None,
            });
        }
        Ok(Token)
    }

    fn begin(&self, _: &Token, receipt: &mut Receipt) -> Result<(), JournalError> {
        let free = |nth: &u32| {
            let run = RunId::at(receipt.started_at, *nth);
            !self.journal.borrow().contains_key(&run)
        };
        let nth = (1..1000).find(free).unwrap();
        receipt.run = RunId::at(receipt.started_at, nth);
        self.record(&Token, receipt)
    }

    fn record(&self, _: &Token, receipt: &Receipt) -> Result<(), JournalError> {
        self.point(|| {
            self.journal
                .borrow_mut()
                .insert(receipt.run.clone(), receipt.clone());
        });
        Ok(())
    }

    /// The rest of the record stays as it was written last, as a journal does it.
    fn record_step(&self, _: &Token, receipt: &Receipt, index: usize) -> Result<(), JournalError> {
        self.point(|| {
            let mut journal = self.journal.borrow_mut();
            let recorded = journal.get_mut(&receipt.run).unwrap();
            recorded.entries[index] = receipt.entries[index].clone();
            recorded.bytes = receipt.bytes;
        });
        Ok(())
    }

    fn receipts(&self) -> Result<Vec<Receipt>, JournalError> {
        Ok(self.journal.borrow().values().cloned().collect())
    }

    fn hold_link(&self, _: &Token, run: &RunId, index: usize) -> Result<Utf8PathBuf, JournalError> {
        Ok(format!("/holds/{run}/{index}").into())
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
                keep: KeepPolicy::new(KeepRules {
                    last: Some(3),
                    ..KeepRules::default()
                })
                .unwrap(),
            }),
            roots: Some(RootsOperation { dangling: true }),
            collect: Some(CollectOperation::default()),
            maintenance: Vec::new(),
        },
    }
}

fn run(world: &World, job: &Job) -> Result<Receipt, EngineError> {
    let plan = plan_of(&world.snapshot().unwrap(), job);
    let approved = gate(&plan, RunKind::Run).unwrap();
    world.engine().apply(approved, Some(&unrestricted(job)))
}

#[test]
fn a_run_holds_drops_collects_and_is_undone() {
    let world = World::new(9, 9);
    let before = world.links.borrow().clone();
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.numbers(), [7, 8, 9]);
    assert_eq!(receipt.count(Outcome::Done), receipt.entries.len());
    assert_eq!(world.disk.borrow().len(), 9, "what was dropped is held");
    assert_eq!(world.holds.borrow().len(), 6);
    assert_eq!(receipt.bytes.paths, Some(0));

    let undone = world.engine().undo(None).unwrap();
    assert_eq!(undone.kind, RunKind::Undo(receipt.run.clone()));
    assert_eq!(undone.count(Outcome::Done), 7, "six generations and a root");
    assert_eq!(*world.links.borrow(), before);
    assert!(
        world.holds.borrow().is_empty(),
        "a restored generation needs no hold"
    );
    assert!(matches!(
        world.engine().undo(None),
        Err(EngineError::NothingToUndo { .. })
    ));
    assert!(matches!(
        world.engine().undo(Some(&receipt.run)),
        Err(EngineError::NothingToUndo { .. })
    ));
}

#[rstest]
#[case::locked(true, 30, true, 1)]
#[case::each_step_is_slow(true, 20, false, 2)]
#[case::a_slow_machine(true, 3, false, 6)]
#[case::our_own_and_locked(false, 60, true, 1)]
#[case::our_own_and_slow(false, 20, false, 6)]
fn a_user_holds_up_a_run_only_for_so_long(
    #[case] of_another_user: bool,
    #[case] takes: i64,
    #[case] times_out: bool,
    #[case] tried: usize,
) {
    let world = World::new(9, 9);
    world.of_another_user.set(of_another_user);
    world.takes.set(takes);
    world.times_out.set(times_out);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    let skipped: Vec<&str> = receipt
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Skipped)
        .filter_map(|entry| entry.detail.as_deref())
        .collect();
    assert_eq!(skipped.len(), 6 - tried);
    assert!(
        skipped.iter().all(|why| why.starts_with("skipped: ")),
        "{skipped:?}"
    );
    let dropped = if times_out { 0 } else { tried };
    assert_eq!(world.drops.get(), dropped);
    assert_eq!(
        world.holds.borrow().len(),
        dropped,
        "what stays is not held"
    );
    assert_eq!(world.collections.get(), 1, "the garbage was collected");
    assert!(world.now.get() - NOW <= takes * 6);
}

#[rstest]
#[case::of_roots_profile(0, 0)]
#[case::of_another_users_profile(4242, 1)]
fn a_removal_that_took_more_stops_the_others_there_and_roots_own_the_collection(
    #[case] owner: u32,
    #[case] collections: usize,
) {
    let world = World::new(9, 9);
    world.owner.set(owner);
    world.removes_more.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.drops.get(), 1);
    assert_eq!(receipt.count(Outcome::Skipped), 5);
    assert_eq!(world.collections.get(), collections);
    assert_eq!(receipt.count(Outcome::Failed), 1 - collections);
}

#[test]
fn an_undo_gives_up_a_locked_profile_and_can_be_repeated() {
    let world = World::new(9, 9);
    let before = world.links.borrow().clone();
    run(&world, &job(Span::days(7))).unwrap();
    world.of_another_user.set(true);
    world.times_out.set(true);
    let undone = world.engine().undo(None).unwrap();
    assert_eq!(undone.count(Outcome::Failed), 1);
    assert_eq!(undone.count(Outcome::Skipped), 5);
    world.times_out.set(false);
    world.engine().undo(None).unwrap();
    assert_eq!(*world.links.borrow(), before);
}

#[test]
fn what_a_vanished_root_kept_is_held_first() {
    let world = World::new(9, 9);
    world.lose_root(50);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert!(matches!(receipt.entries[0].action, Action::HoldRoot(_)));
    assert!(world.disk.borrow().contains(&path(50)));
    assert_eq!(world.holds.borrow().len(), 7);
    // Undoing the run puts back what it took, and that was not the root.
    world.engine().undo(None).unwrap();
    assert_eq!(world.holds.borrow().len(), 1);
    assert!(world.engine().undo(None).is_err());
}

#[test]
fn what_vanishes_between_plan_and_run_is_held_as_well() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    world.lose_root(50);
    let error = world.engine().apply(
        gate(&plan, RunKind::Apply).unwrap(),
        Some(&unrestricted(&job)),
    );
    assert!(matches!(error, Err(EngineError::Changed { .. })));
    let approved = gate(&plan, RunKind::Run).unwrap();
    world
        .engine()
        .apply(approved, Some(&unrestricted(&job)))
        .unwrap();
    assert!(world.disk.borrow().contains(&path(50)));
    assert_eq!(world.collections.get(), 1);
}

#[rstest]
#[case::no_undo_window(Span::ZERO, true)]
#[case::no_collection(Span::days(7), false)]
fn nothing_is_held_where_that_is_not_asked_for_or_not_needed(
    #[case] window: Span,
    #[case] collects: bool,
) {
    let world = World::new(9, 9);
    world.lose_root(50);
    let mut job = job(window);
    job.safe_mode = false;
    job.max_risk = RiskLevel::Critical;
    job.operations.collect = job.operations.collect.filter(|_| collects);
    let receipt = run(&world, &job).unwrap();
    assert!(
        receipt
            .entries
            .iter()
            .all(|e| !matches!(e.action, Action::HoldRoot(_)))
    );
    assert_eq!(world.disk.borrow().contains(&path(50)), !collects);
}

#[test]
fn what_a_vanished_root_kept_and_cannot_be_held_is_not_collected() {
    let world = World::new(9, 9);
    world.lose_root(50);
    world.fail_hold.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.collections.get(), 0);
    assert!(world.disk.borrow().contains(&path(50)));
    let collect = receipt.entries.last().unwrap();
    assert_eq!(collect.outcome, Outcome::Failed);
    let why = collect.detail.as_ref().unwrap();
    assert!(why.contains("/gone/50/result"), "{why}");
}

#[test]
fn a_run_killed_at_any_point_loses_nothing_that_vanished_roots_kept() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            world.lose_root(50);
            world.lose_root(51);
            let job = job(Span::days(7));
            if !dies_at(&world, n, after, |world| drop(run(world, &job))) {
                break;
            }
            points += 1;
            run(&world, &job).unwrap();
            for n in [50, 51] {
                let is_it = |held: &&StorePath<String>| **held == path(n);
                let times = world.holds.borrow().values().filter(is_it).count();
                assert_eq!(times, 1, "{n} after a death at point {points} ({after})");
                assert!(world.disk.borrow().contains(&path(n)));
            }
            for receipt in world.journal.borrow().values() {
                assert!(!receipt.is_interrupted());
            }
        }
    }
    assert!(points > 40, "{points}");
}

#[test]
fn expired_holds_are_released_and_collected_and_cannot_be_undone() {
    let world = World::new(9, 9);
    let first = run(&world, &job(Span::days(7))).unwrap();
    world.now.set(NOW + 8 * DAY);
    let second = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(second.bytes.paths, Some(6));
    assert_eq!(second.bytes.reported, Some(Bytes(6000)));
    assert_eq!(second.bytes.measured, Some(6000));
    assert!(world.holds.borrow().is_empty());
    assert!(matches!(
        world.engine().undo(None),
        Err(EngineError::NothingToUndo { .. }) | Ok(_)
    ));
    let undone = world.engine().undo(Some(&first.run));
    let stale = undone.map(|receipt| receipt.count(Outcome::Stale));
    assert!(
        matches!(stale, Ok(6)),
        "every generation says that it is gone"
    );
    assert_eq!(world.numbers(), [7, 8, 9]);
}

#[test]
fn an_undo_does_not_take_a_number_that_is_taken() {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    world.links.borrow_mut().insert(3, (target(9), created(9)));
    let undone = world.engine().undo(None).unwrap();
    assert_eq!(undone.count(Outcome::Stale), 1);
    assert_eq!(world.links.borrow().get(&3).unwrap().0, target(9));
    assert_eq!(
        world.holds.borrow().len(),
        1,
        "what could not come back stays held"
    );
}

#[test]
fn what_cannot_be_held_stays() {
    let world = World::new(9, 9);
    world.fail_hold.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.numbers().len(), 9);
    assert_eq!(receipt.count(Outcome::Failed), 6);
}

#[test]
fn a_failed_drop_leaves_no_hold_behind() {
    let world = World::new(9, 9);
    world.fail_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Failed), 6);
    assert!(world.holds.borrow().is_empty());
}

#[test]
fn a_drop_that_nix_complains_of_behind_the_deed_is_recorded_as_done_and_held() {
    let world = World::new(9, 9);
    world.lie_about_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Failed), 0);
    assert_eq!(world.holds.borrow().len(), 6);
    world.lie_about_drop.set(false);
    world.engine().undo(None).unwrap();
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn what_changes_between_plan_and_deed_is_stale() {
    let world = World::new(9, 9);
    world.change_before_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Stale), 6);
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn a_pin_set_between_plan_and_run_holds() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    world.pins.borrow_mut().push(Pin {
        profile: ProfilePath::new(Utf8Path::new(PROFILE)).unwrap(),
        number: GenerationNumber(4),
        reason: None,
        until: None,
    });
    let approved = gate(&plan, RunKind::Run).unwrap();
    let receipt = world
        .engine()
        .apply(approved, Some(&unrestricted(&job)))
        .unwrap();
    assert_eq!(receipt.count(Outcome::Stale), 1);
    assert_eq!(world.numbers(), [4, 7, 8, 9]);
}

#[test]
fn a_saved_plan_that_is_stale_is_refused_as_a_whole() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    world.links.borrow_mut().remove(&2);
    let error = world.engine().apply(
        gate(&plan, RunKind::Apply).unwrap(),
        Some(&unrestricted(&job)),
    );
    assert!(matches!(error, Err(EngineError::Changed { .. })));
    assert!(world.journal.borrow().is_empty());
    assert_eq!(world.numbers().len(), 8);
}

#[test]
fn a_plan_of_another_machine_is_refused() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    *world.machine.borrow_mut() = "another".to_string();
    let error = world.engine().apply(
        gate(&plan, RunKind::Run).unwrap(),
        Some(&unrestricted(&job)),
    );
    assert!(matches!(error, Err(EngineError::OtherMachine)));
}

#[test]
fn a_second_run_is_locked_out() {
    let world = World::new(9, 9);
    world.locked.set(true);
    let error = run(&world, &job(Span::days(7)));
    assert!(matches!(
        error,
        Err(EngineError::Journal(JournalError::Locked { .. }))
    ));
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn a_request_to_stop_skips_the_rest_and_says_so() {
    let world = World::new(9, 9);
    world.stop_after_drops.set(Some(2));
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Done), 2);
    assert_eq!(receipt.count(Outcome::Skipped), receipt.entries.len() - 2);
    assert!(!receipt.is_interrupted());
    assert_eq!(world.numbers().len(), 7);
}

#[rstest]
#[case(Span::days(7), RiskLevel::High, true, None)]
#[case(Span::days(7), RiskLevel::Medium, true, Some(RiskLevel::High))]
#[case(Span::ZERO, RiskLevel::Critical, true, Some(RiskLevel::Critical))]
#[case(Span::ZERO, RiskLevel::High, false, Some(RiskLevel::Critical))]
#[case(Span::ZERO, RiskLevel::Critical, false, None)]
fn the_gate_stops_what_is_too_risky(
    #[case] window: Span,
    #[case] ceiling: RiskLevel,
    #[case] safe: bool,
    #[case] stopped: Option<RiskLevel>,
) {
    let world = World::new(9, 9);
    let mut job = job(window);
    job.max_risk = ceiling;
    job.safe_mode = safe;
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    match (gate(&plan, RunKind::Run), stopped) {
        (Ok(_), None) => {}
        (Err(GateError::SafeMode { count: 6 }), Some(RiskLevel::Critical)) => assert!(safe),
        (Err(GateError::TooRisky { highest, .. }), Some(level)) => assert_eq!(highest, level),
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn a_saved_plan_cannot_say_that_its_risk_is_less_than_it_is() {
    let world = World::new(9, 9);
    let mut plan = plan_of(&world.snapshot().unwrap(), &job(Span::ZERO));
    for item in &mut plan.items {
        if let Decision::Remove(removal) = &mut item.decision {
            removal.risk = RiskLevel::Low;
        }
    }
    assert_eq!(plan.risk(), Some(RiskLevel::Low));
    let gated = gate(&plan, RunKind::Run);
    assert!(matches!(gated, Err(GateError::SafeMode { .. })));
}

/// Runs `deed` with a death at its `n`th point; tells whether it got that far.
fn dies_at(world: &World, n: usize, after: bool, deed: impl FnOnce(&World)) -> bool {
    world.steps_to_death.set(Some(n));
    world.die_after.set(after);
    let outcome = catch_unwind(AssertUnwindSafe(|| deed(world)));
    world.steps_to_death.set(None);
    outcome.is_err()
}

/// Whatever happened: what is kept is there, what is gone is held or was never promised.
fn nothing_is_lost(world: &World, at: &str) {
    world.collect_garbage();
    for n in 1..=9 {
        let linked = world.links.borrow().contains_key(&n);
        let held = world.holds.borrow().values().any(|p| *p == path(n));
        assert!(
            linked || held,
            "generation {n} is neither there nor held {at}"
        );
        assert!(
            world.disk.borrow().contains(&path(n)),
            "generation {n} was collected {at}"
        );
    }
    for kept in [7, 8, 9] {
        assert!(
            world.links.borrow().contains_key(&kept),
            "{kept} is gone {at}"
        );
    }
}

#[test]
fn a_run_killed_at_any_point_loses_nothing_and_is_settled_by_the_next_one() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            let before = world.links.borrow().clone();
            let job = job(Span::days(7));
            if !dies_at(&world, n, after, |world| drop(run(world, &job))) {
                break;
            }
            points += 1;
            let at = format!("after a death at point {n} ({after})");
            nothing_is_lost(&world, &at);
            run(&world, &job).unwrap();
            nothing_is_lost(&world, &at);
            assert_eq!(world.numbers(), [7, 8, 9], "{at}");
            for receipt in world.journal.borrow().values() {
                assert!(!receipt.is_interrupted(), "{at}");
                assert_eq!(receipt.count(Outcome::Pending), 0, "{at}");
            }
            // Both runs together took six away; undoing them brings all back.
            while world
                .engine()
                .undo(None)
                .is_ok_and(|r| r.count(Outcome::Done) > 0)
            {}
            assert_eq!(*world.links.borrow(), before, "{at}");
        }
    }
    assert!(points > 40, "only {points} points");
}

#[test]
fn an_undo_killed_at_any_point_is_finished_by_the_next_one() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            let before = world.links.borrow().clone();
            run(&world, &job(Span::days(7))).unwrap();
            if !dies_at(&world, n, after, |world| drop(world.engine().undo(None))) {
                break;
            }
            points += 1;
            let at = format!("after a death at point {n} ({after})");
            nothing_is_lost(&world, &at);
            while world
                .engine()
                .undo(None)
                .is_ok_and(|r| r.count(Outcome::Done) > 0)
            {}
            assert_eq!(*world.links.borrow(), before, "{at}");
            assert!(world.holds.borrow().is_empty(), "{at}");
        }
    }
    assert!(points > 40, "only {points} points");
}
