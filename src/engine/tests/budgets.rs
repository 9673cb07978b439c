//! What the engine does for a disk goal.

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::budget::{
    Amount, Budget, BudgetReport, Disk, DiskGoal, DiskUsage, Quantity, ReleaseHolds, SizeMetric,
};
use nix_prune::domain::collect::{CollectMethod, DeletionSet, FullGcReason, Unregistered};
use nix_prune::domain::disk_use::Taken;
use nix_prune::domain::graph::{GraphBuilder, KeepFlags};
use nix_prune::domain::plan::{CollectFacts, EarlyFacts, Plan, PlannedAction, VanishedFacts};

use super::*;
use crate::support::{plan_of, unrestricted, with_actions};

/// Of each dead path, by its own size and on disk.
const NAR: u64 = 100;
const ON_DISK: u64 = 50;
/// More than this world ever has free.
const OUT_OF_REACH: u64 = 1_000_000;

/// The world, with what is dead in it: paths of which each takes half of the space that its own size promises.
struct StoreData<'a>(&'a World);

impl StoreData<'_> {
    fn available(&self) -> u64 {
        10_000 - ON_DISK * u64::try_from(self.0.dead.borrow().len()).unwrap()
    }
}

impl Survey for StoreData<'_> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        self.0.snapshot()
    }

    fn disk_usage(&self, _: SizeMetric) -> DiskUsage {
        let disk = Disk {
            inodes: None,
            used: Bytes(0),
            available: Bytes(self.available()),
        };
        DiskUsage {
            disk: Some(disk),
            store_bytes: None,
        }
    }

    fn weigh(&self, names: &[&str]) -> Result<Vec<Taken>, FullGcReason> {
        let taken = Taken {
            bytes: Bytes(ON_DISK),
            inodes: 1,
        };
        Ok(vec![taken; names.len()])
    }

    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        let mut builder = GraphBuilder::new();
        let disk = self.0.disk.borrow();
        let let_go = disk.iter().filter(|path| !self.0.is_kept(path));
        for (id, path) in (1..).zip(self.0.dead.borrow().iter().chain(let_go)) {
            builder.add_path(id, &path.to_string(), NAR, id, None);
        }
        let graph = builder.finish().unwrap();
        let dead = graph.set_of(graph.nodes());
        Ok(DeletionSet::new(
            graph,
            KeepFlags::NIX_DEFAULT,
            dead,
            Unregistered::default(),
        ))
    }
}

fn with_dead(count: u32) -> World {
    let world = World::new(9, 9);
    world.dead.borrow_mut().extend((100..100 + count).map(path));
    world
}

/// The report of a goal for which the collection deletes so much.
fn report(goal: u64, collect_at_least: Option<u64>) -> BudgetReport {
    let goal = DiskGoal::new(
        Budget::MinFree(Amount::Bytes(Bytes(goal))),
        ReleaseHolds::IfNeeded,
    );
    BudgetReport {
        to_free: Quantity(1),
        collect_at_least: collect_at_least.map(Quantity),
        ..BudgetReport::reached(goal, DiskUsage::default())
    }
}

/// Carries out these actions for a goal.
fn carry_out(world: &World, actions: Vec<PlannedAction>, budget: BudgetReport) -> Receipt {
    let job = Job {
        safe_mode: false,
        max_risk: RiskLevel::Critical,
        ..job(Span::days(7))
    };
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    let plan = Plan {
        budget: Some(budget),
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

fn collect() -> PlannedAction {
    PlannedAction {
        action: Action::Collect(CollectFacts::default()),
        risk: RiskLevel::Low,
    }
}

#[rstest]
#[case::two_paths_are_enough(100, 100, 2, 0)]
#[case::a_part_of_a_path_takes_it(201, 201, 5, 0)]
#[case::all_of_it_is_not_enough(600, 600, 10, 100)]
fn a_part_is_collected_until_the_goal_is_reached(
    #[case] to_free: u64,
    #[case] most: u64,
    #[case] deleted: usize,
    #[case] missing: u64,
) {
    let world = with_dead(10);
    let goal = StoreData(&world).available() + to_free;
    let receipt = carry_out(&world, vec![collect()], report(goal, Some(most)));
    assert_eq!(receipt.count(Outcome::Done), 1);
    assert_eq!(world.dead.borrow().len(), 10 - deleted);
    // The least recently registered go first.
    assert!(
        world
            .dead
            .borrow()
            .iter()
            .all(|left| *left >= path(100 + u32::try_from(deleted).unwrap()))
    );
    assert_eq!(receipt.bytes.paths, Some(deleted as u64));
    let outcome = receipt.budget.unwrap();
    assert_eq!(outcome.missing, Some(Quantity(missing)));
    assert_eq!(outcome.is_reached(), missing == 0);
}

#[test]
fn a_part_is_never_widened_to_the_whole() {
    let world = with_dead(3);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    let plan = Plan {
        budget: Some(report(1, Some(NAR))),
        ..with_actions(plan, vec![collect()])
    };
    // In this world it is unknown what is dead.
    let receipt = world
        .engine()
        .apply(
            gate(&plan, RunKind::Run).unwrap(),
            Some(&unrestricted(&job)),
        )
        .unwrap();
    assert_eq!(receipt.count(Outcome::Failed), 1);
    assert_eq!(world.collections.get(), 0);
    assert_eq!(world.dead.borrow().len(), 3);
    assert_eq!(receipt.budget.unwrap().missing, None, "nor how full it is");
}

/// A world with an open hold of generation 1, and what a budget that needs it at once would do.
fn for_good(world: &World) -> Vec<PlannedAction> {
    run(world, &job(Span::days(7))).unwrap();
    let snapshot = world.snapshot().unwrap();
    let hold = snapshot
        .holds
        .iter()
        .find(|hold| hold.held == snapshots::held(PROFILE, 1));
    let early = Action::ReleaseEarly(EarlyFacts {
        hold: HoldFacts::from(hold.unwrap()),
        system: true,
    });
    // The world's own collector takes all that nothing keeps.
    let whole = CollectFacts {
        method: CollectMethod::Full,
        ..CollectFacts::default()
    };
    vec![
        PlannedAction {
            action: early,
            risk: RiskLevel::Critical,
        },
        PlannedAction {
            action: Action::Collect(whole),
            ..collect()
        },
    ]
}

#[test]
fn an_early_end_is_recorded_and_for_good() {
    let world = World::new(9, 9);
    let actions = for_good(&world);
    let receipt = carry_out(&world, actions, report(OUT_OF_REACH, None));
    assert_eq!(receipt.count(Outcome::Done), 2);
    assert!(receipt.undoable().next().is_none());
    assert!(!world.disk.borrow().contains(&path(1)));
    // The run that dropped it puts back the rest.
    world.engine().undo(None, &[]).unwrap();
    assert_eq!(world.numbers(), [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_was_let_pass_is_recorded_and_what_came_since_stops_the_collection() {
    let blocker = |message: &str| Blocker {
        code: CheckCode::RootsAway,
        message: message.to_string(),
        hint: String::new(),
        places: Vec::new(),
        reason: None,
    };
    for (later, collections) in [("/home/a is away", 1), ("/home/b is away", 0)] {
        let world = World::new(9, 9);
        world.blockers.borrow_mut().push(blocker("/home/a is away"));
        let job = Job {
            accept: [CheckCode::RootsAway].into(),
            ..job(Span::days(7))
        };
        let plan = plan_of(&world.snapshot().unwrap(), &job);
        let approved = gate(&plan, RunKind::Run).unwrap();
        world.blockers.replace(vec![blocker(later)]);
        let receipt = world
            .engine()
            .apply(approved, Some(&unrestricted(&job)))
            .unwrap();
        assert_eq!(world.collections.get(), collections, "{later}");
        assert_eq!(receipt.accepted_checks, [blocker("/home/a is away")]);
    }
}

#[test]
fn nothing_goes_for_good_when_nothing_is_collected() {
    let world = World::new(9, 9);
    let mut actions = for_good(&world);
    world.blockers.borrow_mut().push(Blocker {
        code: CheckCode::RootsUnreadable,
        message: "the roots cannot be read".to_string(),
        hint: String::new(),
        places: Vec::new(),
        reason: None,
    });
    let snapshot = world.snapshot().unwrap();
    let plan = plan_of(&snapshot, &job_that_keeps_two());
    let unheld = plan.actions();
    let unheld = unheld.filter(|planned| matches!(planned.action, Action::RemoveGeneration(_)));
    actions.splice(0..0, unheld.collect::<Vec<_>>());
    let receipt = carry_out(&world, actions, report(OUT_OF_REACH, None));
    assert_eq!(receipt.count(Outcome::Stale), receipt.entries.len());
    assert_eq!(receipt.entries.len(), 3);
    assert_eq!(world.numbers(), [7, 8, 9]);
    assert_eq!(world.holds.borrow().len(), 6);
}

#[test]
fn nothing_goes_for_good_when_a_vanished_root_cannot_be_held() {
    let world = World::new(9, 9);
    let mut actions = for_good(&world);
    world.lose_root(50);
    world.fail_hold.set(true);
    let vanished = Action::HoldRoot(VanishedFacts {
        link: "/gone/50/result".into(),
        store_path: path(50),
        hold: Span::days(7),
    });
    let risk = RiskLevel::Low;
    actions.insert(
        0,
        PlannedAction {
            action: vanished,
            risk,
        },
    );
    let receipt = carry_out(&world, actions, report(OUT_OF_REACH, None));
    let outcomes: Vec<Outcome> = receipt.entries.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Stale, Outcome::Failed]);
    assert_eq!(world.holds.borrow().len(), 6);
}

#[test]
fn nothing_goes_for_good_when_a_removal_took_more() {
    let world = World::new(9, 9);
    let mut actions: Vec<_> = plan_of(&world.snapshot().unwrap(), &job_that_keeps_two())
        .actions()
        .collect();
    actions.retain(|planned| matches!(planned.action, Action::RemoveGeneration(_)));
    assert_eq!(actions.len(), 7);
    actions.push(collect());
    world.removes_more.set(true);
    let receipt = carry_out(&world, actions, report(OUT_OF_REACH, None));
    let outcomes: Vec<Outcome> = receipt.entries.iter().map(|entry| entry.outcome).collect();
    let spared = [Outcome::Skipped; 6];
    assert_eq!(outcomes[0], Outcome::Done);
    assert_eq!(outcomes[1..7], spared);
    assert_eq!(outcomes[7], Outcome::Failed);
    assert_eq!(world.collections.get(), 0);
}

fn job_that_keeps_two() -> Job {
    let mut job = job(Span::days(0));
    let rules = KeepRules {
        last: Some(2),
        ..KeepRules::default()
    };
    job.operations.generations.as_mut().unwrap().keep = KeepPolicy::new(rules).unwrap();
    job.operations.roots = None;
    job
}

#[test]
fn a_run_killed_at_an_early_end_is_settled_by_the_next_one() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            let actions = for_good(&world);
            if !dies_at(&world, n, after, |world| {
                drop(carry_out(
                    world,
                    actions.clone(),
                    report(OUT_OF_REACH, None),
                ));
            }) {
                break;
            }
            points += 1;
            let _ = world.engine().undo(None, &[]);
            let back = world.links.borrow().contains_key(&1);
            let journal = world.journal.borrow();
            let ended = journal.values().flat_map(|receipt| &receipt.entries);
            let mut ended = ended.filter(|entry| matches!(entry.action, Action::ReleaseEarly(_)));
            // It could be put back, or it was ended and the record says so; until it is collected, both may be.
            let done = ended.any(|entry| entry.outcome == Outcome::Done);
            let there = world.disk.borrow().contains(&path(1));
            assert!(back || done, "after a death at point {n} ({after})");
            assert_eq!(back, there, "after a death at point {n} ({after})");
            assert!(world.numbers().ends_with(&[2, 3, 4, 5, 6, 7, 8, 9]));
        }
    }
    assert!(points >= 8, "{points}");
}
