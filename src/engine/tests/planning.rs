//! Planning over the ports: when the store is read, what a plan says where it cannot be, and its safety checks.

use crate::domain::limits::Usual;
use crate::domain::note::Note;
use crate::engine::checks;
use crate::support::actions;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::budget::{Amount, Budget, Disk, DiskGoal, ReleaseHolds};
use nix_prune::domain::disk_use::{DiskUse, Taken};
use nix_prune::domain::plan::Plan;
use nix_prune::engine::{Exact, PlanError, Planner};
use nix_prune::ports::{
    DiskError, Observation, ReadStore, RunningRoots, StoreReadError, StoreReadTrouble,
};

use super::*;

/// A store that cannot be read, on a disk with 100 bytes available.
struct Closed {
    kind: StoreReadTrouble,
    tried: Cell<u32>,
}

impl ReadStore for Closed {
    fn observe(&self, survey: &dyn Survey) -> Result<Observation, SurveyError> {
        self.tried.set(self.tried.get() + 1);
        let error = StoreReadError {
            kind: self.kind,
            hint: "",
            source: "it is closed".into(),
        };
        Ok(Observation {
            snapshot: survey.snapshot()?,
            store: Err(error),
            running: RunningRoots::default(),
        })
    }

    fn fullness(&self) -> Result<Disk, DiskError> {
        Ok(Disk {
            inodes: None,
            used: Bytes(900),
            available: Bytes(100),
        })
    }

    fn measure(&self, _: &[&str]) -> Result<DiskUse, DiskError> {
        Err(DiskError::Interrupted)
    }

    fn measure_each(&self, _: &[&str]) -> Result<Vec<Taken>, DiskError> {
        Err(DiskError::Interrupted)
    }
}

/// The plan of a job with nine generations, and how often the store was tried.
fn plan(job: &Job, kind: StoreReadTrouble) -> (Result<Plan, PlanError>, u32) {
    plan_in(&World::new(9, 9), job, kind)
}

fn plan_in(world: &World, job: &Job, kind: StoreReadTrouble) -> (Result<Plan, PlanError>, u32) {
    let plan = |planner: Planner<'_, World>| planner.plan(&unrestricted(job), Exact::IfCheap);
    with_planner(world, kind, plan)
}

fn with_planner<T>(
    world: &World,
    kind: StoreReadTrouble,
    plan: impl FnOnce(Planner<'_, World>) -> T,
) -> (T, u32) {
    let store = Closed {
        kind,
        tried: Cell::new(0),
    };
    let made = plan(Planner {
        survey: world,
        store: &store,
        nix: Some(world),
        remember: world,
    });
    (made, store.tried.get())
}

fn with_goal(bytes: u64) -> Job {
    Job {
        budget: Some(DiskGoal::new(
            Budget::MinFree(Amount::Bytes(Bytes(bytes))),
            ReleaseHolds::Never,
        )),
        ..job(Span::days(7))
    }
}

fn without_collection() -> Job {
    let mut job = job(Span::days(7));
    job.operations.collect = None;
    job
}

#[test]
fn a_store_that_cannot_be_read_leaves_the_prediction_open() {
    let (plan, tried) = plan(&job(Span::days(7)), StoreReadTrouble::Denied);
    let plan = plan.unwrap();
    assert!(plan.collection().is_some());
    assert_eq!((plan.prediction.paths, tried), (None, 1));
    let told = |note: &Note| note.starts_with("the amount freed is unknown: ");
    assert!(
        plan.prediction.notes.iter().any(told),
        "{:?}",
        plan.prediction.notes
    );
}

#[rstest]
#[case(StoreReadTrouble::OtherStore)]
#[case(StoreReadTrouble::NoAnswer)]
#[case(StoreReadTrouble::Interrupted)]
fn a_plan_for_another_store_is_none(#[case] kind: StoreReadTrouble) {
    let (plan, _) = plan(&job(Span::days(7)), kind);
    assert!(matches!(plan, Err(PlanError::Store(error)) if error.kind == kind));
}

/// Whatever else is wrong, and whether or not the store is read.
#[rstest]
#[case::a_collection(&job(Span::days(7)))]
#[case::a_budget(&with_goal(101))]
#[case::a_budget_that_is_reached(&with_goal(100))]
#[case::no_collection(&without_collection())]
fn nothing_is_planned_where_nix_works_on_another_store(#[case] job: &Job) {
    let world = World::new(9, 9);
    world.is_elsewhere.set(true);
    let (plan, _) = plan_in(&world, job, StoreReadTrouble::Denied);
    assert!(matches!(
        plan,
        Err(PlanError::Nix(PerformError::OtherStore(_)))
    ));
    let explore = |planner: Planner<'_, World>| planner.explore(&unrestricted(job)).map(drop);
    let (explored, _) = with_planner(&world, StoreReadTrouble::Denied, explore);
    assert!(matches!(
        explored,
        Err(PlanError::Nix(PerformError::OtherStore(_)))
    ));
}

#[test]
fn a_budget_chooses_nothing_by_guess() {
    let (plan, _) = plan(&with_goal(101), StoreReadTrouble::Denied);
    assert!(matches!(plan, Err(PlanError::BudgetUnknown(_))));
}

#[test]
fn a_budget_that_is_reached_needs_no_look_into_the_store() {
    let (plan, tried) = plan(&with_goal(100), StoreReadTrouble::Denied);
    let plan = plan.unwrap();
    assert_eq!((actions(&plan).len(), tried), (0, 0));
    assert!(plan.budget.unwrap().is_reached());
}

#[test]
fn without_a_collection_the_store_is_not_read() {
    let (plan, tried) = plan(&without_collection(), StoreReadTrouble::Denied);
    assert_eq!((plan.unwrap().is_empty(), tried), (false, 0));
}

#[test]
fn every_plan_has_its_safety_checks() {
    let mut limited = job(Span::days(7));
    limited.limits.generations = Some(2);
    let codes = |job: &Job| {
        let (plan, _) = plan(job, StoreReadTrouble::Denied);
        let plan = plan.unwrap();
        let stops: Vec<CheckCode> = plan.stops().map(|stop| stop.code).collect();
        stops
    };
    assert_eq!(codes(&limited), [CheckCode::LimitGenerations]);
    limited.accept.insert(CheckCode::LimitGenerations);
    assert_eq!(codes(&limited), []);
}

/// Three runs say what is usual, and two do not.
#[rstest]
#[case::it_counts(|_: &mut Receipt| {}, true)]
#[case::a_saved_plan(|it: &mut Receipt| it.kind = RunKind::Apply, true)]
#[case::an_undo(|it: &mut Receipt| it.kind = RunKind::Undo(it.run.clone()), false)]
#[case::a_release(|it: &mut Receipt| it.kind = RunKind::Release, false)]
#[case::interrupted(|it: &mut Receipt| it.finished_at = None, false)]
#[case::without_a_job(|it: &mut Receipt| it.job = None, false)]
#[case::of_another_store(|it: &mut Receipt| it.store = StoreDir::new("/other".into()).unwrap(), false)]
fn completed_runs_of_the_job_on_the_store_say_what_is_usual(
    #[case] change: fn(&mut Receipt),
    #[case] counts: bool,
) {
    let receipt = run(&World::new(9, 9), &job(Span::days(7))).unwrap();
    let mut records = vec![receipt.clone(); 3];
    change(&mut records[1]);
    let (store, job) = (&receipt.store, receipt.job.as_ref().unwrap());
    let usual = checks::usual(&records, store, job);
    assert_eq!(usual != Usual::default(), counts);
}

#[rstest]
#[case::nothing(Some(0), Outcome::Done, None)]
#[case::something(Some(3), Outcome::Done, Some((true, Some(3))))]
#[case::nobody_knows(None, Outcome::Done, Some((false, None)))]
#[case::it_was_not_completed(Some(0), Outcome::Failed, Some((false, None)))]
fn a_store_is_optimised_unless_nothing_is_new(
    #[case] new: Option<u64>,
    #[case] outcome: Outcome,
    #[case] planned: Option<(bool, Option<u64>)>,
) {
    let world = World::new(9, 9);
    let mark = Registrations {
        last_id: 7,
        newest: NOW,
        database: 1,
        links: Some(2),
    };
    world.registrations.set(Some(mark));
    let mut job = job(Span::days(7));
    job.operations.maintenance = vec![Action::Optimise(OptimiseFacts::default())];
    let mut earlier = run(&world, &job).unwrap();
    earlier.entries.last_mut().unwrap().outcome = outcome;
    world.new_paths.set(new);
    let mut plan = plan_of(&world.snapshot().unwrap(), &job);
    crate::operations::optimise::fit(&mut plan, &world, &[earlier.clone()]);
    let seen = plan.steps.iter().find_map(|step| match &step.action {
        Action::Optimise(facts) => Some((facts.since == Some(mark), facts.new_paths)),
        _ => None,
    });
    assert_eq!(seen, planned);
    let code = crate::domain::note::NoteCode::NothingToOptimise;
    let says = plan.notes.iter().any(|note| note.code == code);
    assert_eq!(says, planned.is_none());
    // A record of another store says nothing of this one.
    earlier.machine.0.push('x');
    let mut plan = plan_of(&world.snapshot().unwrap(), &job);
    crate::operations::optimise::fit(&mut plan, &world, &[earlier]);
    let optimise = Action::Optimise(OptimiseFacts::default());
    assert!(plan.steps.iter().any(|step| step.action == optimise));
}
