//! A direct collection by a world in memory: refusals, failures and requests to stop, at once and in rounds.

use std::fmt::Write as _;

use nix_prune::domain::budget::BudgetEnd;
use nix_prune::domain::collect::{CollectMethod, DeletionSet, FullGcReason, Unregistered};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags};
use nix_prune::domain::plan::CollectFacts;
use nix_prune::engine::{Collection, collect};
use nix_prune::ports::{DirectCollection, DirectStep, Finished};

use super::rounds::{DEAD, Kind, StoreData, deleted, number, run_with, world};
use super::*;
use crate::engine::collect::{Means, collect_from};

/// What direct collections of a world do, and did.
#[derive(Default)]
pub(super) struct Script {
    /// How many batches each step takes; one if it is not set.
    takes: Cell<usize>,
    /// The step that fails.
    fails_at: Cell<Option<usize>>,
    /// The step behind which somebody asks to stop.
    stops_at: Cell<Option<usize>>,
    /// What becomes of the files.
    unfinished: Cell<u64>,
    left: RefCell<Vec<String>>,
    /// Names beside paths, and what they free.
    foreign: Cell<(u64, u64)>,
    /// The directory cannot be read at the end.
    is_unreadable: Cell<bool>,
    /// There is no direct collection.
    unsupported: Cell<bool>,
    begun: Cell<usize>,
    is_running: Cell<bool>,
    steps: Cell<usize>,
    /// Every path that came.
    seen: RefCell<BTreeSet<StorePath<String>>>,
    /// Each path keeps the one whose number is so much higher.
    keeps: Cell<u32>,
    /// What was deleted since it was finished.
    removed: Cell<u64>,
    /// Of each time it was finished, whether the collection was whole.
    finished: RefCell<Vec<bool>>,
}

/// A collection under way.
struct Running<'a>(&'a World);

impl World {
    pub(super) fn begin(&self) -> Result<Box<dyn DirectCollection + '_>, PerformError> {
        let script = &self.direct;
        assert!(!script.is_running.get(), "two collections at once");
        if script.unsupported.get() {
            return Err(PerformError::Unsupported("of the test".to_string()));
        }
        script.begun.set(script.begun.get() + 1);
        script.is_running.set(true);
        Ok(Box::new(Running(self)))
    }
}

impl Running<'_> {
    /// What keeps a path and is there.
    fn keeper(&self, kept: &StorePath<String>) -> Option<StorePath<String>> {
        let by = Some(self.0.direct.keeps.get()).filter(|by| *by > 0)?;
        let keeper = path(number(kept).checked_sub(by).filter(|n| *n >= DEAD)?);
        self.0.disk.borrow().contains(&keeper).then_some(keeper)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.direct.is_running.set(false);
    }
}

impl DirectCollection for Running<'_> {
    fn delete(&self, batches: &[Vec<StorePath<String>>]) -> DirectStep {
        let (world, script) = (self.0, &self.0.direct);
        script.steps.set(script.steps.get() + 1);
        let step = script.steps.get();
        let taken = script.takes.get().max(1).min(batches.len());
        if script.stops_at.get() == Some(step) {
            world.stop_after_drops.set(Some(0));
        }
        let mut deleted = Deleted {
            paths: Vec::new(),
            bytes: Some(Bytes(0)),
            refused: Vec::new(),
            outcome: Ok(()),
        };
        if script.fails_at.get() == Some(step) {
            deleted.outcome = Err(PerformError::Disagreement {
                path: path(DEAD).to_string(),
                keeper: "something keeps it".to_string(),
            });
            return DirectStep { taken, deleted };
        }
        for path in batches[..taken].concat() {
            let is_new = script.seen.borrow_mut().insert(path.clone());
            assert!(is_new, "{path} comes twice");
            let keeper = self.keeper(&path);
            let mut refused = deleted.refused.iter();
            let follows = refused.any(|it| Some(&it.path) == keeper.as_ref());
            assert!(keeper.is_none() || follows, "{path} is kept");
            if follows || world.refuses.borrow().contains(&path) {
                let why = "it is alive".to_string();
                deleted.refused.push(UndeletedPath { path, why });
                continue;
            }
            assert!(world.disk.borrow_mut().remove(&path), "nobody chose {path}");
            world.blocks.borrow_mut().as_mut().unwrap().delete(&path);
            deleted.paths.push(path);
        }
        let count = u64::try_from(deleted.paths.len()).unwrap();
        script.removed.set(script.removed.get() + count);
        DirectStep { taken, deleted }
    }

    fn finish(&self, whole: bool) -> Finished {
        let script = &self.0.direct;
        script.finished.borrow_mut().push(whole);
        let (names, bytes) = if whole { script.foreign.get() } else { (0, 0) };
        let unread = || PerformError::Stale("of the test".to_string());
        Finished {
            names,
            bytes: Bytes(bytes + 1000 * script.removed.take()),
            unfinished: script.unfinished.get(),
            left: script.left.borrow().clone(),
            outcome: if script.is_unreadable.get() {
                Err(unread())
            } else {
                Ok(())
            },
        }
    }
}

/// Sees that nobody else collects while it looks for what is dead.
struct Chained<'a>(&'a World);

impl Survey for Chained<'_> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        self.0.snapshot()
    }

    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        let is_running = self.0.direct.is_running.get();
        assert!(is_running, "the look is before the lock");
        let mut builder = GraphBuilder::new();
        let numbers: Vec<u32> = (DEAD..u32::MAX)
            .take_while(|n| self.0.disk.borrow().contains(&path(*n)))
            .collect();
        for &n in &numbers {
            let id = i64::from(n);
            builder.add_path(id, &path(n).to_string(), 1, id, None);
        }
        let keeps = self.0.direct.keeps.get();
        let keeper = |n: &&u32| keeps > 0 && numbers.contains(&(**n + keeps));
        for &n in numbers.iter().filter(keeper) {
            builder.add_reference(i64::from(n), i64::from(n + keeps));
        }
        let graph = builder.finish().unwrap();
        let flags = KeepFlags::NIX_DEFAULT;
        let dead = graph.dead(&[], flags);
        Ok(DeletionSet::new(
            graph,
            flags,
            dead,
            Unregistered::default(),
        ))
    }
}

/// Two generations and 200 dead paths, which are four batches.
fn four_batches() -> World {
    world(Kind::Honest, &[16; 2], &[8; 200])
}

fn collected(world: &World) -> Collection {
    let collection = collect(&Chained(world), world, world, CollectMethod::Direct);
    assert!(!world.direct.is_running.get(), "it keeps the lock");
    // Nix deletes nothing.
    assert_eq!((world.collections.get(), world.deletions.get()), (0, 0));
    collection
}

fn count(paths: u64, bytes: u64) -> Collected {
    Collected {
        paths: Some(paths),
        bytes: Some(Bytes(bytes)),
    }
}

#[rstest]
#[case::one_batch_each(1, 4)]
#[case::two_batches_each(2, 2)]
#[case::as_many_as_there_are(9, 1)]
fn what_is_dead_goes_in_steps(#[case] takes: usize, #[case] steps: usize) {
    let world = four_batches();
    world.direct.takes.set(takes);
    world.direct.foreign.set((3, 7));
    let collection = collected(&world);
    assert!(collection.outcome.is_ok() && collection.refused.is_empty());
    assert_eq!(collection.detail(), None);
    assert_eq!(collection.collected, count(203, 200_007));
    assert_eq!(collection.deleted.unwrap().len(), 200);
    assert_eq!(world.disk.borrow().len(), 2);
    assert_eq!(world.direct.steps.get(), steps);
    assert_eq!(*world.direct.finished.borrow(), [true]);
}

/// The world panics when a path comes again, or after what keeps it stayed.
#[test]
fn what_comes_alive_stays_with_what_it_keeps_in_later_batches() {
    let world = four_batches();
    // Two chains, longer than a batch.
    world.direct.keeps.set(2);
    let refused = [DEAD + 7, DEAD + 30].map(path);
    world.refuses.borrow_mut().extend(refused.clone());
    let collection = collected(&world);
    assert!(collection.outcome.is_ok());
    for path in &refused {
        assert!(collection.refused.iter().any(|it| it.path == *path));
    }
    let mut gone: Vec<u32> = deleted(&world).iter().map(number).collect();
    gone.sort_unstable();
    let expected = (0..200).filter(|n| *n < if n % 2 == 0 { 30 } else { 7 });
    assert_eq!(gone, expected.map(|n| DEAD + n).collect::<Vec<_>>());
    assert_eq!(collection.collected, count(18, 18_000));
    assert_eq!(*world.direct.finished.borrow(), [true]);
}

#[test]
fn an_error_ends_it_and_what_went_before_counts() {
    let world = four_batches();
    world.direct.fails_at.set(Some(3));
    let collection = collected(&world);
    let stopped = matches!(collection.outcome, Err(PerformError::Disagreement { .. }));
    assert!(stopped, "{collection:?}");
    assert_eq!(collection.collected, count(128, 128_000));
    assert_eq!(collection.deleted.unwrap().len(), 128);
    assert_eq!(
        (world.direct.steps.get(), world.disk.borrow().len()),
        (3, 74)
    );
    assert_eq!(*world.direct.finished.borrow(), [false]);
}

#[test]
fn a_request_to_stop_ends_it_behind_a_step_and_what_has_files_left_does_not_count() {
    let world = four_batches();
    world.direct.stops_at.set(Some(2));
    world.direct.unfinished.set(5);
    let collection = collected(&world);
    let stopped = matches!(collection.outcome, Err(PerformError::Interrupted { .. }));
    assert!(stopped, "{collection:?}");
    assert_eq!(collection.collected, count(123, 128_000));
    assert_eq!(world.direct.steps.get(), 2);
    assert_eq!(*world.direct.finished.borrow(), [false]);
}

#[test]
fn an_error_at_the_end_is_told_and_what_went_counts() {
    let world = four_batches();
    world.direct.is_unreadable.set(true);
    let collection = collected(&world);
    let failed = matches!(collection.outcome, Err(PerformError::Stale(_)));
    assert!(failed, "{collection:?}");
    assert_eq!(collection.collected, count(200, 200_000));
}

#[test]
fn files_that_are_left_are_named_up_to_eight() {
    let world = four_batches();
    // Those of foreign names were never counted.
    *world.direct.left.borrow_mut() = (0..10).map(|n| format!("file-{n}")).collect();
    world.direct.unfinished.set(7);
    let collection = collected(&world);
    assert!(collection.outcome.is_ok());
    assert_eq!(collection.collected, count(193, 200_000));
    let mut note = "some files could not be removed: ".to_string();
    (0..8).for_each(|n| write!(note, "file-{n}; ").unwrap());
    assert_eq!(collection.detail().unwrap(), note + "and 2 more");
}

#[test]
fn where_it_cannot_begin_nothing_is_deleted() {
    let world = four_batches();
    world.direct.unsupported.set(true);
    let collection = collected(&world);
    let refused = matches!(collection.outcome, Err(PerformError::Unsupported(_)));
    assert!(refused, "{collection:?}");
    assert_eq!(collection.collected, count(0, 0));
    assert_eq!(deleted(&world), []);
}

#[rstest]
#[case::a_part_leaves_foreign_names(true, 50, &[false])]
#[case::the_last_check_ends_it(false, 0, &[])]
fn a_part_and_a_last_check(#[case] passes: bool, #[case] gone: usize, #[case] finished: &[bool]) {
    let world = four_batches();
    let direct = world.begin().unwrap();
    let before = i64::from(DEAD + 50);
    let find_dead = || StoreData(&world).dead().map(|dead| dead.before(before));
    let collection = collect_from(
        &StoreData(&world),
        &world,
        &world,
        Means {
            method: CollectMethod::Direct,
            direct: Some(&*direct),
        },
        find_dead,
        &mut || {
            if passes {
                Ok(())
            } else {
                Err(PerformError::Stale("a hold is gone".to_string()))
            }
        },
    );
    assert_eq!(collection.outcome.is_ok(), passes);
    assert_eq!(deleted(&world).len(), gone);
    assert_eq!(*world.direct.finished.borrow(), finished);
}

/// One collection holds the lock from the first round to the last.
#[test]
fn a_budget_is_met_in_rounds_by_one_collection() {
    let world = world(Kind::Honest, &[16; 8], &[8; 4]);
    // It has less than the goal needs, so generations go as well.
    let facts = CollectFacts {
        method: CollectMethod::Direct,
        ..CollectFacts::default()
    };
    let receipt = run_with(&world, 70, facts);
    let ended = receipt.budget.as_ref().unwrap().ended.unwrap();
    assert_eq!(ended, BudgetEnd::Reached);
    let script = &world.direct;
    assert_eq!((script.begun.get(), script.is_running.get()), (1, false));
    assert!(script.steps.get() > 1, "{}", script.steps.get());
    assert_eq!(script.steps.get(), script.finished.borrow().len());
    assert_eq!((world.collections.get(), world.deletions.get()), (0, 0));
    let paths = u64::try_from(deleted(&world).len()).unwrap();
    assert!(paths > 4);
    assert_eq!(receipt.bytes.paths, Some(paths));
    assert_eq!(receipt.bytes.reported, Some(Bytes(1000 * paths)));
}

#[rstest]
#[case::unsupported(0)]
#[case::in_the_second_round(2)]
fn what_fails_in_a_round_ends_the_budget(#[case] fails_at: usize) {
    let world = world(Kind::Honest, &[16; 8], &[8; 4]);
    world.direct.unsupported.set(fails_at == 0);
    world.direct.fails_at.set(Some(fails_at));
    let facts = CollectFacts {
        method: CollectMethod::Direct,
        ..CollectFacts::default()
    };
    let receipt = run_with(&world, 70, facts);
    assert_eq!(world.direct.steps.get(), fails_at);
    let collection =
        |entry: &&nix_prune::domain::receipt::Entry| entry.action.collection().is_some();
    let entry = receipt.entries.iter().find(collection).unwrap();
    assert_eq!(entry.outcome, Outcome::Failed);
    assert_eq!(deleted(&world).is_empty(), fails_at == 0);
    assert_eq!((world.collections.get(), world.deletions.get()), (0, 0));
    assert!(!world.direct.is_running.get());
}
