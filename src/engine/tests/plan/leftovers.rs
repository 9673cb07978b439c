//! Leftovers: what a plan removes, the second look, and their place in the order of a budget.

use std::convert::Infallible;

use nix_prune::domain::analysis::{StoreAnalysis, StoreData};
use nix_prune::domain::budget::{
    Amount, Budget, DiskGoal, DiskUsage, InodeAmount, Quantity, ReleaseHolds,
};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags, NodeSet};
use nix_prune::domain::leftover::{LeftoverSum, LeftoversOperation};
use nix_prune::domain::measure::Bytes;
use nix_prune::domain::note::NoteCode;
use nix_prune::domain::plan::{Decision, LeftoverFacts, RemovalRule};
use nix_prune::engine::BudgetContext;
use rstest::rstest;

use super::super::snapshots::leftovers;
use super::*;
use crate::support::{actions, plan_of, recheck, unrestricted};

const CLASSES: [LeftoverClass; 2] = [LeftoverClass::BuildDirs, LeftoverClass::BuildLogs];

/// A machine with leftovers of every class, and nothing else.
fn machine() -> Snapshot {
    let mut snapshot = snapshot(Vec::new());
    snapshot.leftovers = CLASSES.map(leftovers).to_vec();
    snapshot
}

/// A job that removes leftovers of a class, and nothing else.
fn job_of(class: LeftoverClass, age: Span) -> Job {
    let mut job = job();
    job.operations = Operations {
        leftovers: [(class, age)].into_iter().collect(),
        ..Operations::default()
    };
    job
}

fn facts(plan: &Plan) -> Vec<LeftoverFacts> {
    plan.removed_leftovers().cloned().collect()
}

#[test]
fn only_the_classes_of_the_job_are_removed_up_to_their_age() {
    let plan = plan_of(&machine(), &job_of(LeftoverClass::BuildLogs, Span::days(9)));
    let [item] = plan.items.as_slice() else {
        panic!("{:?}", plan.items);
    };
    let removal = item.removal().unwrap();
    assert_eq!(
        (removal.rule, removal.risk),
        (RemovalRule::Leftover, RiskLevel::Low)
    );
    let [facts] = facts(&plan).try_into().unwrap();
    assert_eq!(facts.class, LeftoverClass::BuildLogs);
    assert_eq!(facts.before, time(NOW).before(Span::days(9)));
    assert_eq!((facts.old.entries, facts.old.bytes), (3, Bytes(30 << 10)));
    assert!(plan.is_consistent() && !plan.is_empty());
    assert_eq!(plan.removed_for_good(), 0);
    assert_eq!(removal.action.operation().undo(None), None);
}

#[rstest]
#[case::young_ones(0, 1, Some(Reason::YoungOrInUse))]
#[case::nothing(0, 0, None)]
fn a_directory_without_old_ones_is_kept_or_not_listed(
    #[case] old: u64,
    #[case] kept: u64,
    #[case] expected: Option<Reason>,
) {
    let mut machine = machine();
    let sum = |entries| LeftoverSum {
        entries,
        ..LeftoverSum::default()
    };
    for found in &mut machine.leftovers {
        (found.old, found.kept) = (sum(old), sum(kept));
        found.problems = vec!["/x: something is mounted there".to_string()];
    }
    let plan = plan_of(&machine, &job_of(LeftoverClass::BuildDirs, Span::days(1)));
    assert!(plan.is_empty());
    let reasons = plan
        .items
        .iter()
        .flat_map(|item| item.decision.reasons().cloned());
    assert_eq!(reasons.collect::<Vec<_>>(), Vec::from_iter(expected));
    let [note] = plan.notes.as_slice() else {
        panic!("{:?}", plan.notes);
    };
    assert_eq!(note.code, NoteCode::LeftoversKept);
    assert_eq!(
        note.text,
        "some build directories are kept: /x: something is mounted there"
    );
}

#[test]
fn they_follow_the_holds_and_precede_the_collection() {
    let mut machine = machine();
    machine.holds = vec![hold(1, "2026-11-20T00:00:00Z")];
    let plan = plan_of(&machine, &job());
    let expected = [
        "release 1",
        "clear BuildDirs",
        "clear BuildLogs",
        "collect",
        "optimise",
        "verify true",
    ];
    assert_eq!(steps(&plan), expected);
}

#[rstest]
#[case::as_planned(Some(job_of(LeftoverClass::BuildLogs, Span::days(9))), Ok(()))]
#[case::for_less(Some(job_of(LeftoverClass::BuildLogs, Span::days(8))), Ok(()))]
#[case::for_longer(
    Some(job_of(LeftoverClass::BuildLogs, Span::days(10))),
    Err("the job keeps build logs in /leftovers/BuildLogs for longer than planned")
)]
#[case::no_longer(
    Some(job_of(LeftoverClass::BuildDirs, Span::days(9))),
    Err("the job no longer removes build logs")
)]
#[case::no_job(None, Err("the job that removes build logs is not known"))]
fn settings_and_clock_are_looked_at_again(
    #[case] now: Option<Job>,
    #[case] expected: Result<(), &str>,
) {
    let plan = plan_of(&machine(), &job_of(LeftoverClass::BuildLogs, Span::days(9)));
    let action = &actions(&plan)[0].action;
    let now = now.map(|job| unrestricted(&job));
    let done = recheck(action, &machine(), now.as_ref());
    assert_eq!(done, expected.map_err(str::to_string));
}

/// A store with one dead path of 100 bytes and one that only an ended hold keeps.
fn store() -> (Snapshot, StoreAnalysis) {
    let mut snapshot = machine();
    snapshot.holds = vec![hold(1, "2026-11-20T00:00:00Z")];
    let held = snapshot.holds[0].store_path.clone();
    let mut builder = GraphBuilder::new();
    builder.add_path(0, &path_of("dead", 9).to_string(), 100, 0, None);
    builder.add_path(1, &held.to_string(), 100, 1, None);
    let root = GcRoot {
        link: snapshot.holds[0].link.clone(),
        entry: None,
        store_path: Some(held),
        state: RootState::Live,
        ..root("any")
    };
    let store = StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: builder.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots: vec![root],
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: None,
        notes: Vec::new(),
    });
    (snapshot, store)
}

fn within(snapshot: &Snapshot, store: &StoreAnalysis, budget: Budget, to_free: u64) -> Plan {
    let context = BudgetContext {
        inspection: store,
        disk_usage: DiskUsage::default(),
        to_free: Quantity(to_free),
        recent: None,
        contradiction: None,
    };
    let weigh = |dead: &NodeSet| -> Result<Quantity, Infallible> {
        Ok(Quantity(store.graph().nar_size(dead).0))
    };
    let goal = DiskGoal::new(budget, ReleaseHolds::Never);
    Plan::build_for_budget(snapshot, &unrestricted(&job()), goal, context, weigh).unwrap()
}

const BYTES: u64 = 30 << 10;

/// Dead paths and ended holds come first, then leftovers from the first class, and no more than the goal needs.
#[rstest]
#[case::dead(100, &[], 100, 0)]
#[case::an_ended_hold(101, &["release 1"], 200, 0)]
#[case::leftovers(201, &["release 1", "clear BuildDirs"], 200 + BYTES, 0)]
#[case::both(201 + BYTES, &["release 1", "clear BuildDirs", "clear BuildLogs"], 200 + 2 * BYTES, 0)]
#[case::not_enough(999 + 2 * BYTES, &["release 1", "clear BuildDirs", "clear BuildLogs"], 200 + 2 * BYTES, 799)]
fn a_budget_takes_leftovers_after_dead_paths_and_ended_holds(
    #[case] to_free: u64,
    #[case] removals: &[&str],
    #[case] frees: u64,
    #[case] missing: u64,
) {
    let (snapshot, store) = store();
    let budget = Budget::MinFree(Amount::Bytes(Bytes(1)));
    let plan = within(&snapshot, &store, budget, to_free);
    let mut found = steps(&plan);
    found.retain(|step| !["collect", "optimise", "verify true"].contains(&step.as_str()));
    assert_eq!(found, removals);
    let report = plan.budget.unwrap();
    assert_eq!(
        (report.frees, report.missing),
        (Quantity(frees), Quantity(missing))
    );
    assert_eq!(report.to_free, Quantity(to_free));
}

#[test]
fn a_goal_of_inodes_counts_their_inodes() {
    let (snapshot, store) = store();
    let budget = Budget::min_free_inodes(InodeAmount::Count(1)).unwrap();
    let plan = within(&snapshot, &store, budget, 207);
    assert_eq!(facts(&plan).len(), 2);
    assert_eq!(plan.budget.unwrap().frees, Quantity(212));
}

#[rstest]
#[case::on_another_file_system(Budget::MinFree(Amount::Bytes(Bytes(1))), false)]
#[case::beside_a_store_that_is_too_large(Budget::MaxStore(Bytes(1)), true)]
fn what_frees_nothing_for_the_goal_is_kept(#[case] budget: Budget, #[case] is_on_store: bool) {
    let (mut snapshot, store) = store();
    for found in &mut snapshot.leftovers {
        found.is_on_store = is_on_store;
    }
    let plan = within(&snapshot, &store, budget, 1000);
    assert_eq!(facts(&plan), []);
    let mut items = plan.items.iter();
    let is_not_needed = |decision: &Decision| decision.reasons().any(|it| *it == Reason::NotNeeded);
    assert_eq!(
        items
            .by_ref()
            .filter(|item| is_not_needed(&item.decision))
            .count(),
        2
    );
}

#[test]
fn a_job_without_them_is_not_changed_by_what_was_found() {
    let mut job = job();
    job.operations.leftovers = LeftoversOperation::default();
    assert!(plan_of(&machine(), &job).items.is_empty());
}
