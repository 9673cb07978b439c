//! What a plan says beside its actions: its size, its checks, and its notes.

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::budget::{Amount, Budget, DiskGoal, ReleaseHolds};
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::limits::PlanSize;
use nix_prune::domain::measure::Bytes;
use nix_prune::domain::policy::{MinimumRetention, Policy};
use nix_prune::domain::snapshot::VanishedRoot;
use rstest::rstest;

use super::*;
use crate::support::plan_of;

fn check(code: CheckCode) -> Blocker {
    Blocker::new(code, code.to_string(), String::new())
}

fn codes(checks: &[Blocker]) -> Vec<CheckCode> {
    checks.iter().map(|check| check.code).collect()
}

#[rstest]
#[case::nothing(Policy::default(), &[])]
#[case::less_than_the_job(Policy { undo_window: Span::days(1), max_risk: Some(RiskLevel::Critical), ..Policy::default() }, &["early release"])]
#[case::a_lower_risk(Policy { max_risk: Some(RiskLevel::Low), ..Policy::default() }, &["risk to low; the job allows high"])]
#[case::a_longer_window(Policy { undo_window: Span::days(30), ..Policy::default() }, &["at least 30d; the job has 7d", "early release"])]
fn what_the_policy_changes_is_noted(#[case] policy: Policy, #[case] expected: &[&str]) {
    let mut job = job();
    let budget = Budget::MinFree(Amount::Bytes(Bytes(1)));
    job.budget = Some(DiskGoal::new(budget, ReleaseHolds::IfNeeded));
    let job = EffectiveJob::new(job, policy);
    let plan = Plan::build(&snapshot(vec![system()]), &job);
    assert_eq!(plan.notes.len(), expected.len(), "{:?}", plan.notes);
    for (note, says) in plan.notes.iter().zip(expected) {
        assert!(note.contains(says), "{note}");
    }
}

fn away(name: &str) -> GcRoot {
    GcRoot {
        state: RootState::Dangling(Dangling::ParentMissing),
        ..root(name)
    }
}

#[rstest]
#[case::one(vec![away("a")], Some("1 dangling root "))]
#[case::two(vec![away("a"), away("b"), root("c")], Some("2 dangling roots "))]
#[case::its_place_is_there(vec![root("a")], None)]
#[case::made_by_hand(vec![GcRoot { entry: Some("/nix/var/nix/gcroots/a".into()), ..away("a") }], None)]
#[case::without_an_entry(vec![GcRoot { entry: None, ..away("a") }], None)]
#[case::of_nix_build(vec![GcRoot { link: "/tmp/nix-build-7-0/result".into(), ..away("a") }], None)]
fn roots_that_nix_removes_with_their_place_away_are_noted(
    #[case] roots: Vec<GcRoot>,
    #[case] expected: Option<&str>,
) {
    let mut snapshot = snapshot(Vec::new());
    snapshot.roots = roots;
    let noted = |job: &Job| {
        let notes = plan_of(&snapshot, job).notes;
        notes.first().map(ToString::to_string)
    };
    let note = noted(&job());
    assert_eq!(note.is_some(), expected.is_some(), "{note:?}");
    if let (Some(note), Some(expected)) = (note, expected) {
        assert!(note.contains(expected), "{note}");
    }
    let mut idle = job();
    idle.operations.collect = None;
    assert_eq!(noted(&idle), None);
}

#[test]
fn what_vanished_is_held_where_something_is_collected() {
    let mut snapshot = snapshot(Vec::new());
    snapshot.vanished.push(VanishedRoot {
        link: "/home/a/result".into(),
        store_path: path_of("a", 1),
    });
    let mut job = job();
    job.operations.maintenance.clear();
    assert_eq!(
        steps(&plan_of(&snapshot, &job)),
        ["hold /home/a/result", "collect"]
    );
    job.operations.collect = None;
    assert!(plan_of(&snapshot, &job).is_empty());
}

#[test]
fn a_plan_is_empty_without_a_hold_a_step_and_a_removal() {
    let empty = || plan_of(&snapshot(Vec::new()), &idle());
    assert!(empty().is_empty());
    let full = plan_of(&snapshot(vec![system()]), &job());
    let plans = [
        Plan {
            steps: full.steps.clone(),
            ..empty()
        },
        Plan {
            items: full.items.clone(),
            ..empty()
        },
        Plan {
            vanished: vec![nix_prune::domain::plan::VanishedFacts {
                link: "/home/a/result".into(),
                store_path: path_of("a", 1),
                hold: Span::days(7),
            }],
            ..empty()
        },
    ];
    for plan in plans {
        assert!(!plan.is_empty(), "{plan:?}");
    }
}

/// A job that removes generations and roots, and no more.
fn idle() -> Job {
    let mut job = job();
    (job.operations.collect, job.operations.maintenance) = (None, Vec::new());
    job
}

#[test]
fn the_profiles_of_a_plan_begin_with_the_systems() {
    let work = profile("/z/work", ProfileKind::NamedSystem, 0, 2);
    let plan = plan_of(&snapshot(vec![alice(), work, system()]), &job());
    let profiles: Vec<String> = plan
        .profiles
        .iter()
        .map(|it| it.profile.to_string())
        .collect();
    assert_eq!(profiles, [SYSTEM, "/z/work", ALICE]);
}

#[rstest]
#[case::of_a_collection(vec![system()], true, (2, Some(4), Some(Bytes(7))))]
#[case::without_one(vec![system()], false, (2, Some(4), Some(Bytes(0))))]
#[case::without_generations(Vec::new(), false, (0, None, Some(Bytes(0))))]
fn the_size_of_a_plan_is_what_it_takes(
    #[case] profiles: Vec<Profile>,
    #[case] collects: bool,
    #[case] size: (u64, Option<u64>, Option<Bytes>),
) {
    let job = if collects { job() } else { idle() };
    let mut plan = plan_of(&snapshot(profiles), &job);
    plan.prediction.nar_bytes = Some(Bytes(7));
    let of = PlanSize::of(&plan);
    assert_eq!((of.generations, of.of_generations, of.nar_bytes), size);
}

#[rstest]
#[case::and_a_collection(true, &[CheckCode::ProfileBlocked, CheckCode::RootsAway])]
#[case::and_no_collection(false, &[CheckCode::ProfileBlocked])]
fn checks_leave_out_profiles(#[case] collection: bool, #[case] left_out: &[CheckCode]) {
    let mut plan = plan_of(&snapshot(vec![system()]), &job());
    plan.skips_collection = collection;
    let codes = [
        CheckCode::ProfileBlocked,
        CheckCode::RootsAway,
        CheckCode::ClockJumped,
    ];
    plan.failed_checks = codes.map(check).to_vec();
    let of_plan: Vec<_> = plan.left_out().map(|check| check.code).collect();
    assert_eq!(of_plan, left_out);
}

#[test]
fn what_stops_a_run_is_added_once_and_accepted_on_a_word() {
    let (generations, share, bytes) = (
        CheckCode::LimitGenerations,
        CheckCode::AnomalyShare,
        CheckCode::LimitBytes,
    );
    let mut plan = plan_of(&snapshot(vec![system()]), &job());
    plan.failed_checks = vec![check(CheckCode::RootsAway), check(generations)];
    let anomalies = || [generations, share, bytes].map(check).to_vec();
    let accept = [bytes].into();
    for _ in 0..2 {
        plan.add_anomalies(anomalies(), &accept);
        assert_eq!(
            codes(&plan.failed_checks),
            [CheckCode::RootsAway, generations, share]
        );
        assert_eq!(codes(&plan.accepted_checks), [bytes]);
    }
    plan.accept_stops();
    assert_eq!(codes(&plan.failed_checks), [CheckCode::RootsAway]);
    assert_eq!(codes(&plan.accepted_checks), [generations, bytes, share]);
    assert_eq!(plan.stops().count(), 0);
}

#[rstest]
#[case::no_more_than_the_job(2, 0, &[1, 2])]
#[case::one_more(3, 0, &[1])]
#[case::all_of_so_many_days(0, 60, &[])]
fn a_plan_keeps_what_the_policy_keeps(
    #[case] last: u16,
    #[case] within: u32,
    #[case] removed: &[u32],
) {
    let policy = Policy {
        keep: MinimumRetention {
            last,
            within: Span::days(within),
        },
        ..Policy::default()
    };
    let job = EffectiveJob::new(job(), policy);
    let plan = Plan::build(&snapshot(vec![system()]), &job);
    assert_eq!(gone(&plan, SYSTEM), removed);
}
