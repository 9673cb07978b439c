//! Profiles of users whose account is gone.

use nix_prune::domain::job::{ProfileRef, ProtectedGeneration};
use nix_prune::domain::measure::Span;
use nix_prune::domain::plan::RemovalRule;
use nix_prune::domain::policy::{MinimumRetention, Policy};
use rstest::rstest;

use super::*;
use crate::support::{plan_of, recheck, unrestricted};

const LEFT: &str = "/nix/var/nix/profiles/per-user/left/profile";
const NEVER: [u32; 0] = [];

/// Four generations, the last of them current and 48 days old.
fn left() -> Profile {
    profile(LEFT, ProfileKind::RemovedUser, 1005, 4)
}

fn job_after(days: Option<u32>, profiles: &[&str]) -> Job {
    let mut job = job();
    let generations = job.operations.generations.as_mut().unwrap();
    let selectors = profiles
        .iter()
        .map(|it| ProfileSelector::parse(it).unwrap());
    generations.profiles = selectors.collect();
    if profiles.is_empty() {
        job.operations.generations = None;
    }
    let roots = job.operations.roots.as_mut().unwrap();
    roots.removed_users = days.map(Span::days);
    job
}

#[rstest]
#[case::held("7d")]
#[case::for_good("0s")]
fn all_of_it_is_removed_with_high_risk_and_no_other_profile(#[case] window: &str) {
    let mut job = job_after(Some(30), &[]);
    job.undo_window = window.parse().unwrap();
    let plan = plan_of(&snapshot(vec![left(), alice(), system()]), &job);
    assert_eq!(gone(&plan, LEFT), [1, 2, 3, 4]);
    for other in [ALICE, SYSTEM] {
        assert_eq!(gone(&plan, other), NEVER);
    }
    let rule = (RemovalRule::OwnerRemoved, RiskLevel::High);
    let of_generations = plan.removals().filter(|it| it.rule == rule.0);
    let rules: Vec<_> = of_generations.map(|it| (it.rule, it.risk)).collect();
    assert_eq!(rules, [rule; 4]);
    assert_eq!(plan.risk(), Some(RiskLevel::High));
}

/// Only the rule itself selects it.
#[rstest]
#[case::users(&["users", "home-manager"])]
#[case::nix(&["nix-collect-garbage"])]
#[case::everything(&["/**"])]
#[case::its_pattern(&["/nix/var/nix/profiles/per-user/left/*"])]
#[case::its_path(&[LEFT])]
fn no_selector_means_it(#[case] selectors: &[&str]) {
    let mut left = left();
    left.is_nix_own = true;
    let snapshot = snapshot(vec![left]);
    let plan = plan_of(&snapshot, &job_after(None, selectors));
    assert_eq!(gone(&plan, LEFT), NEVER);
    assert_eq!(reasons(&plan, LEFT, 1), [Reason::NotSelected]);
    let says = plan
        .failed_checks
        .iter()
        .any(|it| it.message.contains("roots.removedUsers"));
    assert_eq!(says, selectors == [LEFT]);
    let plan = plan_of(&snapshot, &job_after(Some(30), selectors));
    assert_eq!(gone(&plan, LEFT), [1, 2, 3, 4]);
}

#[rstest]
#[case(47, &[1, 2, 3, 4])]
#[case(49, &[])]
fn one_that_is_younger_keeps_all(#[case] days: u32, #[case] expected: &[u32]) {
    let plan = plan_of(&snapshot(vec![left()]), &job_after(Some(days), &[]));
    assert_eq!(gone(&plan, LEFT), expected);
    if expected.is_empty() {
        let reason = Reason::MadeWithin(Span::days(days));
        assert_eq!(reasons(&plan, LEFT, 1), [reason]);
    }
}

#[test]
fn what_is_pinned_running_or_not_understood_stays() {
    let mut left = left();
    let third = left.generations.get_mut(&GenerationNumber(3)).unwrap();
    third.content = Content::Foreign;
    let mut snapshot = snapshot(vec![left]);
    snapshot.running = vec![path_of("profile", 4)];
    let mut job = job_after(Some(30), &[]);
    let pin = ProtectedGeneration {
        profile: ProfileRef::Path(profile_path(LEFT)),
        number: GenerationNumber(2),
        reason: None,
    };
    let protect = nix_prune::domain::job::Protect {
        generations: vec![pin],
        ..nix_prune::domain::job::Protect::default()
    };
    job.protect = std::sync::Arc::new(protect);
    assert_eq!(gone(&plan_of(&snapshot, &job), LEFT), [1]);
    snapshot.profiles[0].blocked = Some("for a test".to_string());
    assert_eq!(gone(&plan_of(&snapshot, &job), LEFT), NEVER);
}

/// The current one is unknown once it was removed; the rest must still be removable.
#[test]
fn a_run_that_was_interrupted_is_continued() {
    let mut left = left();
    left.generations.remove(&GenerationNumber(4));
    let dangling = nix_prune::domain::profile::CurrentUnknown::Dangling(GenerationNumber(4));
    left.current = Current::Unknown(dangling);
    let plan = plan_of(&snapshot(vec![left]), &job_after(Some(30), &[]));
    assert_eq!(gone(&plan, LEFT), [1, 2, 3]);
}

#[test]
fn the_policy_of_the_machine_holds_for_it() {
    let job = job_after(Some(30), &[]);
    let keep = |last, within| MinimumRetention {
        last,
        within: Span::days(within),
    };
    for (floor, expected) in [
        (keep(2, 0), &[1, 2][..]),
        (keep(0, 10), &[1, 2, 3]),
        (keep(9, 0), &[]),
    ] {
        let policy = Policy {
            keep: floor,
            ..Policy::default()
        };
        let bound = nix_prune::domain::effective_job::EffectiveJob::new(job.clone(), policy);
        let plan = Plan::build(&snapshot(vec![left()]), &bound);
        assert_eq!(gone(&plan, LEFT), expected);
    }
}

#[test]
fn an_ordinary_user_removes_none() {
    let mut snapshot = snapshot(vec![left()]);
    snapshot.actor = Actor::User(1000);
    let plan = plan_of(&snapshot, &job_after(Some(30), &[]));
    assert_eq!(gone(&plan, LEFT), NEVER);
}

/// Right before it is removed, the account may be back.
#[rstest]
#[case::same(|_: &mut Snapshot| {}, true)]
#[case::another_went(|it: &mut Snapshot| { it.profiles[0].generations.remove(&GenerationNumber(1)); }, true)]
#[case::account(|it: &mut Snapshot| it.profiles[0].kind = ProfileKind::User, false)]
#[case::owner(|it: &mut Snapshot| it.profiles[0].owner.uid = 1006, false)]
#[case::blocked(|it: &mut Snapshot| it.profiles[0].blocked = Some("for a test".into()), false)]
#[case::used(|it: &mut Snapshot| it.running = vec![path_of("profile", 4)], false)]
#[case::changed(|it: &mut Snapshot| { it.profiles[0].generations.get_mut(&GenerationNumber(4)).unwrap().created = time("2026-09-01T00:00:00Z"); }, false)]
#[case::younger_one(|it: &mut Snapshot| {
    let mut new = it.profiles[0].generations[&GenerationNumber(4)].clone();
    (new.number, new.created) = (GenerationNumber(5), time(NOW));
    it.profiles[0].generations.insert(new.number, new);
}, false)]
fn the_second_look_sees_who_came_back(#[case] change: fn(&mut Snapshot), #[case] fresh: bool) {
    let mut snapshot = snapshot(vec![left()]);
    let job = job_after(Some(30), &[]);
    let plan = plan_of(&snapshot, &job);
    let action = plan
        .actions()
        .find(|it| step(&it.action) == "drop profile:4");
    let action = action.unwrap().action;
    change(&mut snapshot);
    let result = recheck(&action, &snapshot, Some(&unrestricted(&job)));
    assert_eq!(result.is_ok(), fresh, "{result:?}");
    assert!(recheck(&action, &snapshot, None).is_err());
}
