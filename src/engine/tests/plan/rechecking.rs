//! The second look: whatever changed since the plan makes the action stale.

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::job::{PathPatterns, ProfileRef, ProtectedGeneration};
use nix_prune::domain::profile::CurrentUnknown;
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::snapshot::Pin;
use rstest::rstest;

use super::*;
use crate::support::{actions, plan_of, recheck, unrestricted};

/// A snapshot with a plan that has every kind of action.
fn before() -> Snapshot {
    let mut snapshot = snapshot(vec![system(), alice()]);
    snapshot.roots = vec![root("a"), root("b")];
    snapshot.holds = vec![hold(1, NOW), hold(2, NOW)];
    snapshot
}

/// The action of the plan that these words name.
fn planned(snapshot: &Snapshot, words: &str) -> Action {
    let plan = plan_of(snapshot, &job());
    let action = plan.actions().find(|a| step(&a.action) == words);
    action.unwrap().action
}

fn generation(snapshot: &mut Snapshot, n: u32) -> &mut Generation {
    let generations = &mut snapshot.profiles[0].generations;
    generations.get_mut(&GenerationNumber(n)).unwrap()
}

fn pin(n: u32, until: Option<&str>) -> Pin {
    Pin {
        profile: profile_path(SYSTEM),
        number: GenerationNumber(n),
        reason: None,
        until: until.map(time),
    }
}

#[test]
fn what_has_not_changed_is_fresh() {
    let snapshot = before();
    let plan = plan_of(&snapshot, &job());
    assert!(actions(&plan).len() > 8);
    for planned in actions(&plan) {
        assert_eq!(
            recheck(&planned.action, &snapshot, Some(&unrestricted(&job()))),
            Ok(())
        );
        assert_eq!(recheck(&planned.action, &snapshot, None), Ok(()));
    }
}

#[rstest]
#[case::later(|s: &mut Snapshot| s.taken_at = time("2026-11-22T13:00:00Z"))]
#[case::others_came(|s: &mut Snapshot| s.profiles.push(profile("/p/other", ProfileKind::User, 5, 9)))]
#[case::the_other_one_went(|s: &mut Snapshot| { s.profiles[0].generations.remove(&GenerationNumber(2)); })]
#[case::another_was_pinned(|s: &mut Snapshot| s.pins.push(pin(2, None)))]
#[case::a_pin_that_is_over(|s: &mut Snapshot| s.pins.push(pin(1, Some(NOW))))]
#[case::another_was_booted(|s: &mut Snapshot| s.booted.push(path_of("system", 4)))]
#[case::odd_names_beside(|s: &mut Snapshot| s.blockers.push(blocker(CheckCode::OddName)))]
fn what_does_not_concern_the_action_does_not_matter(#[case] change: fn(&mut Snapshot)) {
    let mut snapshot = before();
    let action = planned(&snapshot, "drop system:1");
    change(&mut snapshot);
    assert_eq!(
        recheck(&action, &snapshot, Some(&unrestricted(&job()))),
        Ok(())
    );
}

#[rstest]
#[case::the_profile(|s: &mut Snapshot| { s.profiles.remove(0); })]
#[case::current_moved(|s: &mut Snapshot| s.profiles[0].current = Current::Known(GenerationNumber(3)))]
#[case::current_lost(|s: &mut Snapshot| s.profiles[0].current = Current::Unknown(CurrentUnknown::NoLink))]
#[case::current_went(|s: &mut Snapshot| { s.profiles[0].generations.remove(&GenerationNumber(4)); })]
#[case::blocked(|s: &mut Snapshot| s.profiles[0].blocked = Some("odd".to_string()))]
#[case::owner(|s: &mut Snapshot| s.profiles[0].owner = owner(7))]
#[case::kind(|s: &mut Snapshot| s.profiles[0].kind = ProfileKind::NamedSystem)]
#[case::actor(|s: &mut Snapshot| s.actor = Actor::User(1000))]
#[case::the_generation(|s: &mut Snapshot| { s.profiles[0].generations.remove(&GenerationNumber(1)); })]
#[case::target(|s: &mut Snapshot| generation(s, 1).target = "/nix/store/elsewhere".into())]
#[case::created(|s: &mut Snapshot| generation(s, 1).created = time("2026-10-02T12:00:00.000000001Z"))]
#[case::store_path(|s: &mut Snapshot| generation(s, 1).content = Content::Bootable(path_of("system", 77)))]
#[case::content_missing(|s: &mut Snapshot| generation(s, 1).content = Content::Missing(path_of("system", 1)))]
#[case::content_foreign(|s: &mut Snapshot| generation(s, 1).content = Content::Foreign)]
#[case::booted(|s: &mut Snapshot| s.booted.push(path_of("system", 1)))]
#[case::running(|s: &mut Snapshot| s.running.push(path_of("system", 1)))]
#[case::pinned(|s: &mut Snapshot| s.pins.push(pin(1, None)))]
#[case::pinned_for_a_second(|s: &mut Snapshot| s.pins.push(pin(1, Some("2026-11-22T12:00:01Z"))))]
#[case::the_clock_went_back(|s: &mut Snapshot| s.taken_at = time("2026-10-02T11:59:59Z"))]
#[case::the_others_went(|s: &mut Snapshot| s.profiles[0].generations.retain(|n, _| [1, 4].contains(&n.0)))]
#[case::the_current_one_broke_and_one_other_is_left(|s: &mut Snapshot| {
    s.profiles[0].generations.remove(&GenerationNumber(2));
    generation(s, 4).content = Content::Missing(path_of("system", 4));
})]
#[case::it_became_the_fallback(|s: &mut Snapshot| {
    // With what is newer than the current one, more than enough are left, and none to go back to.
    s.profiles[0].generations.retain(|n, _| [1, 4].contains(&n.0));
    let newer = profile(SYSTEM, ProfileKind::System, 0, 6).generations;
    s.profiles[0].generations.extend(newer.into_iter().filter(|(n, _)| n.0 > 4));
})]
fn any_fact_that_changed_makes_a_drop_stale(#[case] change: fn(&mut Snapshot)) {
    let mut snapshot = before();
    let action = planned(&snapshot, "drop system:1");
    change(&mut snapshot);
    let changed = recheck(&action, &snapshot, Some(&unrestricted(&job()))).unwrap_err();
    assert!(changed.contains(SYSTEM), "{changed}");
    assert!(recheck(&action, &snapshot, None).is_err());
}

#[rstest]
#[case::booted(|s: &mut Snapshot| s.booted.push(path_of("system", 1)), "is now booted or running")]
#[case::running(|s: &mut Snapshot| s.running.push(path_of("system", 1)), "is now booted or running")]
#[case::pinned(|s: &mut Snapshot| s.pins.push(pin(1, None)), "is now pinned")]
#[case::in_the_future(|s: &mut Snapshot| s.taken_at = time("2026-10-02T11:59:59Z"), "has a timestamp in the future")]
#[case::the_last_older_one(|s: &mut Snapshot| {
    s.profiles[0].generations.retain(|n, _| [1, 4].contains(&n.0));
    let newer = profile(SYSTEM, ProfileKind::System, 0, 6).generations;
    s.profiles[0].generations.extend(newer.into_iter().filter(|(n, _)| n.0 > 4));
}, "is now the rollback target")]
fn a_stale_drop_says_why_the_generation_stays(
    #[case] change: fn(&mut Snapshot),
    #[case] says: &str,
) {
    let mut snapshot = before();
    let action = planned(&snapshot, "drop system:1");
    change(&mut snapshot);
    let changed = recheck(&action, &snapshot, None).unwrap_err();
    assert_eq!(changed, format!("generation 1 of {SYSTEM} {says}"));
}

#[test]
fn the_last_ones_to_fall_back_to_do_not_go_together() {
    // Every action is looked at in the same snapshot: each must see that it is the last one by itself.
    let mut snapshot = before();
    let actions = ["drop system:1", "drop system:2"].map(|words| planned(&snapshot, words));
    snapshot.profiles[0]
        .generations
        .remove(&GenerationNumber(3));
    let fresh = actions.map(|action| recheck(&action, &snapshot, None).is_ok());
    assert_eq!(fresh, [true, false]);
}

#[test]
fn a_pin_in_the_settings_of_now_counts() {
    let snapshot = before();
    let action = planned(&snapshot, "drop system:1");
    let mut job = job();
    std::sync::Arc::make_mut(&mut job.protect)
        .generations
        .push(ProtectedGeneration {
            profile: ProfileRef::Name("system".to_string()),
            number: GenerationNumber(1),
            reason: None,
        });
    let changed = recheck(&action, &snapshot, Some(&unrestricted(&job))).unwrap_err();
    assert!(changed.ends_with("is now pinned"), "{changed}");
}

#[rstest]
#[case::gone(|s: &mut Snapshot| { s.roots.remove(0); })]
#[case::alive(|s: &mut Snapshot| s.roots[0].state = RootState::Live)]
#[case::unreadable(|s: &mut Snapshot| s.roots[0].state = RootState::Unreadable(String::new()))]
#[case::place_gone(|s: &mut Snapshot| s.roots[0].state = RootState::Dangling(Dangling::ParentMissing))]
#[case::path_gone(|s: &mut Snapshot| s.roots[0].state = RootState::Dangling(Dangling::PathGone))]
#[case::another_link(|s: &mut Snapshot| s.roots[0].link = "/elsewhere".into())]
#[case::another_entry(|s: &mut Snapshot| s.roots[0].entry = Some(Utf8Path::new(AUTO).join("c")))]
#[case::no_entry(|s: &mut Snapshot| s.roots[0].entry = None)]
#[case::not_exact(|s: &mut Snapshot| s.roots[0].exact = false)]
#[case::another_user(|s: &mut Snapshot| s.actor = Actor::User(1001))]
#[case::another_state_directory(|s: &mut Snapshot| s.state_dir = "/elsewhere".into())]
fn any_fact_that_changed_makes_a_removal_stale(#[case] change: fn(&mut Snapshot)) {
    let mut snapshot = before();
    let action = planned(&snapshot, "remove a");
    change(&mut snapshot);
    assert!(recheck(&action, &snapshot, Some(&unrestricted(&job()))).is_err());
    assert!(recheck(&action, &snapshot, None).is_err());
}

#[test]
fn a_root_that_is_protected_by_now_stays() {
    let snapshot = before();
    let action = planned(&snapshot, "remove a");
    let mut job = job();
    std::sync::Arc::make_mut(&mut job.protect).roots =
        PathPatterns::new(["/home/alice/**"]).unwrap();
    assert!(recheck(&action, &snapshot, Some(&unrestricted(&job))).is_err());
    let protect = std::sync::Arc::make_mut(&mut job.protect);
    (protect.roots, protect.paths) = (
        PathPatterns::default(),
        ProtectedPaths::new(vec!["/home/alice".into()]),
    );
    assert!(recheck(&action, &snapshot, Some(&unrestricted(&job))).is_err());
}

#[rstest]
#[case::gone(|s: &mut Snapshot| { s.holds.remove(0); })]
#[case::another_link(|s: &mut Snapshot| s.holds[0].link = "/elsewhere".into())]
#[case::another_path(|s: &mut Snapshot| s.holds[0].store_path = path_of("held", 9))]
#[case::more_time(|s: &mut Snapshot| s.holds[0].until = time("2027-01-01T00:00:00Z"))]
#[case::another_run(|s: &mut Snapshot| s.holds[0].run = RunId::at(time(NOW), 9))]
#[case::another_profile(|s: &mut Snapshot| s.holds[0].held = held(ALICE, 1))]
#[case::another_number(|s: &mut Snapshot| s.holds[0].held = held(SYSTEM, 9))]
fn any_fact_that_changed_makes_a_release_stale(#[case] change: fn(&mut Snapshot)) {
    let mut snapshot = before();
    let action = planned(&snapshot, "release 1");
    change(&mut snapshot);
    assert!(recheck(&action, &snapshot, Some(&unrestricted(&job()))).is_err());
}

fn blocker(code: CheckCode) -> Blocker {
    Blocker {
        code,
        message: "a directory could not be read".to_string(),
        hint: String::new(),
        places: Vec::new(),
        reason: None,
    }
}

#[test]
fn a_refusal_stops_the_collection_at_the_last_moment() {
    let mut snapshot = before();
    let (collect, optimise) = (
        planned(&snapshot, "collect"),
        planned(&snapshot, "optimise"),
    );
    snapshot.blockers.push(blocker(CheckCode::OddName));
    assert_eq!(recheck(&collect, &snapshot, None), Ok(()));
    snapshot.blockers.push(blocker(CheckCode::RootsUnreadable));
    let message = "a directory could not be read".to_string();
    assert_eq!(recheck(&collect, &snapshot, None), Err(message));
    assert_eq!(recheck(&optimise, &snapshot, None), Ok(()));
}
