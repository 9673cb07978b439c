//! The rounds of a budget on file systems that free what they are to free, or do not: they lag, lie, compress and share.

use nix_prune::domain::budget::{
    Amount, Budget, BudgetEnd, BudgetReport, Contradiction, Disk, DiskGoal, DiskUsage, Finding,
    Judge, Quantity, ReleaseHolds, SizeMetric,
};
use nix_prune::domain::collect::{DeletionSet, FullGcReason, Unregistered};
use nix_prune::domain::disk_use::Taken;
use nix_prune::domain::graph::{GraphBuilder, KeepFlags};
use nix_prune::domain::plan::{CollectFacts, EarlyFacts, Plan, PlannedAction};
use proptest::prelude::*;

use super::*;
use crate::support::{plan_of, unrestricted, with_actions};

const MIB: u64 = 1 << 20;
/// Dead paths have numbers from here on.
pub(super) const DEAD: u32 = 100;

/// What a file system makes of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It frees what the path takes.
    Honest,
    /// It frees so many percent of it.
    Compresses(u64),
    /// A snapshot keeps the blocks of every path with a lower number than this.
    Shares(u32),
    /// What it has free changes as it likes.
    Lies(i64),
    /// It counts what was freed only when it was asked so many times more.
    Lags(u32),
}

/// The number that a path was made of.
pub(super) fn number(path: &StorePath<String>) -> u32 {
    path.to_string()
        .rsplit('-')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// A file system: what the paths on it take, and how much of it is free.
#[derive(Debug)]
pub(super) struct Blocks {
    kind: Kind,
    sizes: BTreeMap<StorePath<String>, u64>,
    available: u64,
    late: Vec<(u32, u64)>,
    /// Every path that was deleted.
    deleted: Vec<StorePath<String>>,
}

impl Blocks {
    pub(super) fn delete(&mut self, path: &StorePath<String>) {
        let size = self.sizes[path];
        self.deleted.push(path.clone());
        match self.kind {
            Kind::Compresses(percent) => self.available += size * percent / 100,
            Kind::Shares(below) if number(path) < below => {}
            Kind::Honest | Kind::Shares(_) => self.available += size,
            Kind::Lies(by) => self.available = self.available.saturating_add_signed(by),
            Kind::Lags(looks) => self.late.push((looks, size)),
        }
    }

    pub(super) fn available(&mut self) -> u64 {
        for (looks, size) in &mut self.late {
            if *looks == 0 {
                self.available += std::mem::take(size);
            }
            *looks = looks.saturating_sub(1);
        }
        self.available
    }
}

/// Looks at a world with a file system.
pub(super) struct StoreData<'a>(pub(super) &'a World);

impl Survey for StoreData<'_> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        self.0.snapshot()
    }

    fn disk_usage(&self, _: SizeMetric) -> DiskUsage {
        if self.0.loses_sight.get() && !deleted(self.0).is_empty() {
            return DiskUsage::default();
        }
        DiskUsage {
            disk: Some(Disk {
                inodes: None,
                used: Bytes(u64::MAX / 2),
                available: self.0.free_space().unwrap().available,
            }),
            store_bytes: None,
        }
    }

    fn weigh(&self, names: &[&str]) -> Result<Vec<Taken>, FullGcReason> {
        let blocks = self.0.blocks.borrow();
        let sizes = &blocks.as_ref().unwrap().sizes;
        let unknown = || FullGcReason::Unknown("a path cannot be measured".to_string());
        let size = |name: &&str| {
            let path = StorePathRef::from_base_name(name).unwrap().to_owned();
            let bytes = Bytes(sizes.get(&path).copied().ok_or_else(unknown)?);
            Ok(Taken { bytes, inodes: 1 })
        };
        names.iter().map(size).collect()
    }

    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        let disk = self.0.disk.borrow();
        let mut builder = GraphBuilder::new();
        for path in &*disk {
            let id = i64::from(number(path));
            // The store's own sizes are no help.
            builder.add_path(id, &path.to_string(), 1, id, None);
        }
        let graph = builder.finish().unwrap();
        let dead = disk.iter().filter(|path| !self.0.is_kept(path));
        let dead = graph.set_of(dead.filter_map(|path| graph.find(&path.to_string())));
        let unregistered = Unregistered {
            foreign: self.0.foreign.get(),
            ..Unregistered::default()
        };
        Ok(DeletionSet::new(
            graph,
            KeepFlags::NIX_DEFAULT,
            dead,
            unregistered,
        ))
    }
}

/// Generations and dead paths of these sizes, in MiB; the last generation is the current one.
pub(super) fn world(kind: Kind, generations: &[u64], dead: &[u64]) -> World {
    let count = u32::try_from(generations.len()).unwrap();
    let world = World::new(count, count);
    let numbers = (1..).zip(generations).chain((DEAD..).zip(dead));
    let sizes: BTreeMap<_, _> = numbers.map(|(n, size)| (path(n), size * MIB)).collect();
    world.disk.borrow_mut().extend(sizes.keys().cloned());
    *world.blocks.borrow_mut() = Some(Blocks {
        kind,
        sizes,
        available: 1 << 40,
        late: Vec::new(),
        deleted: Vec::new(),
    });
    world
}

fn available(world: &World) -> u64 {
    world.blocks.borrow().as_ref().unwrap().available
}

pub(super) fn deleted(world: &World) -> Vec<StorePath<String>> {
    world.blocks.borrow().as_ref().unwrap().deleted.clone()
}

/// Removes for good what a goal of so many MiB needs of all generations but the current one.
pub(super) fn run_for(world: &World, to_free: u64) -> Receipt {
    run_with(world, to_free, CollectFacts::default())
}

/// The same, where these are the facts of the collection.
pub(super) fn run_with(world: &World, to_free: u64, facts: CollectFacts) -> Receipt {
    let goal = DiskGoal::new(
        Budget::MinFree(Amount::Bytes(Bytes(available(world) + to_free * MIB))),
        ReleaseHolds::IfNeeded,
    );
    let mut job = job(Span::days(0));
    job.safe_mode = false;
    job.max_risk = RiskLevel::Critical;
    let rules = KeepRules {
        last: Some(1),
        ..KeepRules::default()
    };
    job.operations.generations.as_mut().unwrap().keep = KeepPolicy::new(rules).unwrap();
    job.operations.roots = None;
    let snapshot = world.snapshot().unwrap();
    let plan = plan_of(&snapshot, &job);
    let mut actions = crate::support::actions(&plan);
    actions.retain(|planned| matches!(planned.action, Action::RemoveGeneration(_)));
    actions.extend(snapshot.holds.iter().map(|hold| PlannedAction {
        action: Action::ReleaseEarly(EarlyFacts {
            hold: HoldFacts::from(hold),
            system: true,
        }),
        risk: RiskLevel::Critical,
    }));
    actions.push(PlannedAction {
        action: Action::Collect(facts),
        risk: RiskLevel::Low,
    });
    let plan = Plan {
        budget: Some(BudgetReport {
            to_free: Quantity(to_free * MIB),
            ..BudgetReport::reached(goal, DiskUsage::default())
        }),
        ..with_actions(plan, actions)
    };
    let survey = StoreData(world);
    let engine = Engine {
        survey: &survey,
        ..world.engine()
    };
    engine
        .apply(
            gate(&plan, RunKind::Run).unwrap(),
            Some(&unrestricted(&job)),
        )
        .unwrap()
}

fn ended(receipt: &Receipt) -> BudgetEnd {
    receipt.budget.as_ref().unwrap().ended.unwrap()
}

/// How many generations are gone.
fn dropped(receipt: &Receipt) -> usize {
    let done = receipt
        .entries
        .iter()
        .filter(|e| e.outcome == Outcome::Done);
    done.filter(|e| matches!(e.action, Action::RemoveGeneration(_)))
        .count()
}

#[rstest]
#[case::nothing_dead(Kind::Shares(DEAD), &[], 1)]
#[case::what_is_dead_shows_it(Kind::Shares(u32::MAX), &[8; 10], 0)]
#[case::what_is_dead_is_young(Kind::Shares(DEAD), &[8; 10], 1)]
#[case::more_is_used_each_time(Kind::Lies(-1000), &[], 1)]
fn what_frees_nothing_ends_the_budget_at_the_first_step(
    #[case] kind: Kind,
    #[case] dead: &[u64],
    #[case] lost: usize,
) {
    let world = world(kind, &[16; 14], dead);
    let receipt = run_for(&world, 150);
    assert_eq!(ended(&receipt), BudgetEnd::Contradicted);
    assert_eq!(dropped(&receipt), lost);
    // The system keeps one generation to fall back to beside the current one.
    assert_eq!(receipt.count(Outcome::Retained), 12 - lost);
    // Nor does any later run, however often.
    for _ in 0..3 {
        let receipt = run_for(&world, 150);
        assert_eq!(
            (ended(&receipt), dropped(&receipt)),
            (BudgetEnd::Contradicted, 0)
        );
    }
    assert_eq!(world.numbers().len(), 14 - lost);
}

#[test]
fn a_round_that_frees_what_was_predicted_takes_back_a_contradiction() {
    let world = world(Kind::Shares(DEAD), &[16; 6], &[]);
    assert_eq!(dropped(&run_for(&world, 40)), 1);
    // The snapshot is gone, and something is dead.
    world.blocks.borrow_mut().as_mut().unwrap().kind = Kind::Honest;
    assert_eq!(dropped(&run_for(&world, 40)), 0);
    let more = path(DEAD);
    world.disk.borrow_mut().insert(more.clone());
    if let Some(blocks) = &mut *world.blocks.borrow_mut() {
        blocks.sizes.insert(more, 8 * MIB);
    }
    let receipt = run_for(&world, 40);
    assert_eq!(
        (ended(&receipt), dropped(&receipt)),
        (BudgetEnd::Reached, 2)
    );
}

#[test]
fn steps_that_free_only_together_are_taken_together() {
    let world = world(Kind::Honest, &[16; 4], &[]);
    // The first two generations are one path.
    let target = target(1);
    world.links.borrow_mut().get_mut(&2).unwrap().0 = target;
    world.disk.borrow_mut().remove(&path(2));
    world
        .blocks
        .borrow_mut()
        .as_mut()
        .unwrap()
        .sizes
        .remove(&path(2));
    let receipt = run_for(&world, 10);
    assert_eq!(
        (ended(&receipt), dropped(&receipt)),
        (BudgetEnd::Reached, 2)
    );
}

#[test]
fn nothing_is_removed_after_a_step_that_would_free_nothing() {
    let world = world(Kind::Honest, &[0, 16, 16, 16], &[]);
    let receipt = run_for(&world, 10);
    assert_eq!(
        (ended(&receipt), dropped(&receipt)),
        (BudgetEnd::NothingLeft, 1)
    );
    assert_eq!(receipt.count(Outcome::Retained), 1);
}

/// What is dead is collected as Nix does it, and the first step whose paths cannot be measured is the last one.
#[test]
fn what_cannot_be_measured_ends_the_budget_at_the_first_step() {
    let world = world(Kind::Honest, &[16; 4], &[8]);
    if let Some(blocks) = &mut *world.blocks.borrow_mut() {
        blocks.sizes.clear();
    }
    let receipt = run_for(&world, 40);
    assert_eq!(
        (ended(&receipt), dropped(&receipt)),
        (BudgetEnd::Unknown, 1)
    );
    assert_eq!(world.collections.get(), 1);
    assert!(!world.disk.borrow().contains(&path(DEAD)));
}

/// What a run takes back when it ends is no free space.
#[test]
fn a_goal_counts_what_the_run_takes_itself() {
    for (takes, deleted_paths) in [(0, 1), (9 * MIB, 3)] {
        let world = world(Kind::Honest, &[16], &[8; 4]);
        world.takes_of_the_disk.set(takes);
        let receipt = run_for(&world, 8);
        assert_eq!(ended(&receipt), BudgetEnd::Reached);
        assert_eq!(deleted(&world).len(), deleted_paths);
    }
}

#[test]
fn nothing_more_is_chosen_once_the_disk_cannot_be_read() {
    let world = world(Kind::Honest, &[16; 4], &[8, 8]);
    world.loses_sight.set(true);
    let receipt = run_for(&world, 40);
    assert_eq!(
        (ended(&receipt), dropped(&receipt)),
        (BudgetEnd::Unknown, 0)
    );
    assert_eq!(deleted(&world).len(), 2);
}

/// Names that only a full collection deletes may stay after it: one collection is enough to see that.
#[test]
fn foreign_names_are_collected_once() {
    let world = world(Kind::Honest, &[16], &[]);
    world.foreign.set(3);
    let receipt = run_for(&world, 40);
    assert_eq!(ended(&receipt), BudgetEnd::NothingLeft);
    assert_eq!(world.collections.get(), 1);
}

#[rstest]
#[case::collected(Outcome::Done, true)]
#[case::not_collected(Outcome::Skipped, false)]
fn only_a_run_that_collected_says_something_of_predictions(
    #[case] collection: Outcome,
    #[case] contradicts: bool,
) {
    let world = world(Kind::Honest, &[16; 3], &[]);
    let mut receipt = run_for(&world, 16);
    receipt.budget = None;
    receipt.bytes.predicted = Some(Bytes(MIB));
    receipt.bytes.measured = Some(0);
    for entry in &mut receipt.entries {
        if entry.action.collection().is_some() {
            entry.outcome = collection;
        }
    }
    assert!(receipt.count(Outcome::Done) > 0);
    let store = receipt.store.clone();
    let found = Contradiction::last_of(&[receipt], &store);
    assert_eq!(found.is_some(), contradicts);
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Honest),
        (0u64..=100).prop_map(Kind::Compresses),
        prop::sample::select(vec![0, 3, 6, DEAD, DEAD + 3, u32::MAX]).prop_map(Kind::Shares),
        (-40i64..40).prop_map(|mib| Kind::Lies(mib << 20)),
        (0u32..8).prop_map(Kind::Lags),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_file_system_costs_more_than_a_round(
        kind in kinds(),
        generations in prop::collection::vec(1u64..20, 1..10),
        dead in prop::collection::vec(0u64..20, 0..8),
        to_free in 1u64..200,
    ) {
        let world = world(kind, &generations, &dead);
        let before = available(&world);
        let receipt = run_for(&world, to_free);
        let outcome = receipt.budget.as_ref().unwrap();
        prop_assert!(outcome.ended.is_some());
        // Nothing is removed for good after a round that contradicted.
        let mut judge = Judge::of(SizeMetric::OnDisk).unwrap();
        let findings: Vec<Finding> = outcome.rounds.iter().map(|round| judge.add(round)).collect();
        let contradicted = findings.iter().position(|it| *it == Finding::Contradicts);
        prop_assert!(contradicted.is_none_or(|at| at + 1 == outcome.rounds.len()));
        // The number of steps doubles at most, from one on.
        let mut allowed = 1;
        for round in &outcome.rounds {
            prop_assert!(round.steps <= allowed);
            allowed = if round.steps > 0 { allowed * 2 } else { allowed };
        }
        let steps: u64 = outcome.rounds.iter().map(|round| round.steps).sum();
        prop_assert!(dropped(&receipt) as u64 >= steps);
        // Dead paths are deleted before any generation is removed.
        let deleted = deleted(&world);
        let alive = deleted.iter().position(|path| number(path) < DEAD);
        let last_dead = deleted.iter().rposition(|path| number(path) >= DEAD);
        prop_assert!(alive.is_none() || last_dead < alive);
        let freed = available(&world).saturating_sub(before);
        let goal = to_free * MIB;
        match ended(&receipt) {
            BudgetEnd::Reached => prop_assert!(freed >= goal || matches!(kind, Kind::Lies(_))),
            BudgetEnd::NothingLeft => prop_assert_eq!(receipt.count(Outcome::Retained), 0),
            BudgetEnd::Contradicted => prop_assert!(kind != Kind::Honest),
            BudgetEnd::Unknown | BudgetEnd::Stopped => prop_assert!(false),
        }
        if kind == Kind::Honest {
            let order = (DEAD..).zip(&dead).map(|(n, size)| (path(n), size));
            let order = order.chain((1..).zip(&generations).map(|(n, size)| (path(n), size)));
            let order: Vec<_> = order.take(dead.len() + generations.len().saturating_sub(2)).collect();
            // The beginning of the order that is enough, and no more.
            let mut sum = 0;
            let enough = order.iter().take_while(|(_, size)| {
                let missing = sum < goal;
                sum += **size * MIB;
                missing
            });
            let enough: BTreeSet<_> = enough.map(|(path, _)| path.clone()).collect();
            let deleted: BTreeSet<_> = deleted.into_iter().collect();
            let sized = |set: &BTreeSet<StorePath<String>>| -> BTreeSet<_> {
                let sizes = order.iter().filter(|(path, size)| **size > 0 && set.contains(path));
                sizes.map(|(path, _)| path.clone()).collect()
            };
            prop_assert_eq!(sized(&deleted), sized(&enough));
        }
    }
}
