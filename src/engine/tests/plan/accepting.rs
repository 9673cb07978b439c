//! Failed checks and what they reach: what is accepted where, and which profiles were asked for.

use nix_prune::domain::accept::{Acceptance, Place};
use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::profile::{Current, CurrentUnknown, ProfileNames};
use rstest::rstest;

use super::*;
use crate::support::{plan_of, recheck, unrestricted};

fn blocker(code: CheckCode, places: &[&str]) -> Blocker {
    Blocker {
        places: places.iter().map(|place| (*place).into()).collect(),
        ..Blocker::new(code, format!("{code} at {places:?}"), "look".to_string())
    }
}

fn accepting(entries: &[(CheckCode, &str)]) -> Job {
    let entry = |(code, place): &(CheckCode, &str)| Acceptance {
        code: *code,
        place: Place::new(place).unwrap(),
        reason: format!("because of {place}"),
    };
    Job {
        accepted: entries.iter().map(entry).collect(),
        ..job()
    }
}

#[rstest]
#[case::its_place(&["/home/a/result"], &[(CheckCode::RootsUnreadable, "/home/a")], true)]
#[case::a_pattern(&["/home/a/result"], &[(CheckCode::RootsUnreadable, "/home/*/result")], true)]
#[case::another_place(&["/home/b/result"], &[(CheckCode::RootsUnreadable, "/home/a")], false)]
#[case::another_code(&["/home/a/result"], &[(CheckCode::RootsAway, "/home/a")], false)]
#[case::one_of_two(&["/home/a/x", "/home/b/x"], &[(CheckCode::RootsUnreadable, "/home/a")], false)]
#[case::both(&["/home/a/x", "/home/b/x"], &[(CheckCode::RootsUnreadable, "/home/a"), (CheckCode::RootsUnreadable, "/home/b")], true)]
#[case::no_place(&[], &[(CheckCode::RootsUnreadable, "/home")], false)]
fn the_settings_accept_a_check_where_they_say(
    #[case] places: &[&str],
    #[case] entries: &[(CheckCode, &str)],
    #[case] passes: bool,
) {
    let mut snapshot = snapshot(vec![alice()]);
    snapshot.blockers = vec![blocker(CheckCode::RootsUnreadable, places)];
    let plan = plan_of(&snapshot, &accepting(entries));
    assert_eq!(steps(&plan).contains(&"collect".to_string()), passes);
    assert_eq!(plan.skips_collection, !passes);
    assert_eq!(plan.accepted_checks.len(), usize::from(passes));
    assert!(
        plan.accepted_checks
            .iter()
            .all(|accepted| accepted.reason.is_some())
    );
    // Whether it accepts something or not, every plan has the entry.
    assert_eq!(plan.accept.len(), entries.len());
}

#[test]
fn what_was_accepted_by_the_settings_lets_nothing_else_pass_at_the_last_moment() {
    let mut snapshot = snapshot(vec![alice()]);
    snapshot.blockers = vec![blocker(CheckCode::RootsAway, &["/mnt/a"])];
    let plan = plan_of(&snapshot, &accepting(&[(CheckCode::RootsAway, "/mnt")]));
    let came_since = blocker(CheckCode::RootsAway, &["/mnt/b"]);
    assert!(snapshot.blockers[0].is_among(&plan.accepted_checks));
    assert!(!came_since.is_among(&plan.accepted_checks));
}

const BOB: &str = "/home/bob/profiles/profile";

/// What is left alone of what a job asks for, of a system and two users.
fn left_alone(selectors: &[&str], actor: Actor, change: fn(&mut Snapshot)) -> Vec<String> {
    let mut snapshot = snapshot(vec![
        system(),
        alice(),
        profile(BOB, ProfileKind::User, 1001, 3),
    ]);
    snapshot.actor = actor;
    change(&mut snapshot);
    let mut job = job();
    let parse = |text: &&str| ProfileSelector::parse(text).unwrap();
    let operation = job.operations.generations.as_mut().unwrap();
    operation.profiles = selectors.iter().map(parse).collect();
    let plan = plan_of(&snapshot, &job);
    assert_eq!(plan.is_refused(), !plan.skipped_profiles.is_empty());
    // Nothing of this is a reason to leave garbage.
    assert!(steps(&plan).contains(&"collect".to_string()));
    // Each is told once, with a code.
    for path in &plan.skipped_profiles {
        let told = plan
            .failed_checks
            .iter()
            .filter(|r| r.concerns(path))
            .count();
        assert_eq!(told, 1, "{path}: {:?}", plan.failed_checks);
    }
    plan.skipped_profiles
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn blur(snapshot: &mut Snapshot) {
    for profile in &mut snapshot.profiles {
        profile.current = Current::Unknown(CurrentUnknown::NoLink);
        let path = profile.path.to_path();
        let blocker = blocker(CheckCode::CurrentUnknown, &[path.as_str()]);
        snapshot.blockers.push(blocker);
    }
}

fn block(snapshot: &mut Snapshot) {
    for profile in &mut snapshot.profiles {
        profile.blocked = Some("others may write there".to_string());
    }
}

fn keep(_: &mut Snapshot) {}

fn lose(snapshot: &mut Snapshot) {
    snapshot.profiles.clear();
}

#[rstest]
#[case::nothing_is_wrong(&["system", "users", BOB], keep, &[])]
#[case::groups_are_what_is_there(&["users", "home-manager"], blur, &[])]
#[case::the_machines_own(&["system"], blur, &[SYSTEM])]
#[case::by_its_path(&[BOB], blur, &[BOB])]
#[case::blocked(&["system", BOB], block, &[BOB, SYSTEM])]
#[case::blocked_in_a_group(&["users"], block, &[])]
#[case::not_there(&[BOB], lose, &[BOB])]
#[case::no_system_here(&["system"], lose, &[])]
fn what_is_asked_for_and_left_alone_is_no_nothing_to_do(
    #[case] selectors: &[&str],
    #[case] change: fn(&mut Snapshot),
    #[case] expected: &[&str],
) {
    assert_eq!(left_alone(selectors, Actor::Root, change), expected);
}

#[test]
fn another_users_profile_is_asked_for_by_its_path_alone() {
    let me = Actor::User(1000);
    assert_eq!(left_alone(&[BOB], me, keep), [BOB]);
    let groups = ["system", "users"];
    assert_eq!(left_alone(&groups, me, blur), Vec::<String>::new());
}

#[rstest]
#[case::its_path(BOB, true)]
#[case::its_home("/home/bob/**", true)]
#[case::another("/home/alice", false)]
fn the_settings_accept_that_a_profile_is_left_alone(#[case] place: &str, #[case] passes: bool) {
    let mut snapshot = snapshot(vec![system()]);
    snapshot.blockers = vec![blocker(CheckCode::ProfileAbsent, &[BOB])];
    let mut job = accepting(&[(CheckCode::ProfileAbsent, place)]);
    let operation = job.operations.generations.as_mut().unwrap();
    operation.profiles = vec![ProfileSelector::parse(BOB).unwrap()];
    let plan = plan_of(&snapshot, &job);
    assert_eq!(plan.skipped_profiles.is_empty(), passes);
    assert_eq!(plan.is_refused(), !passes);
}

/// Nix's own collector deletes what roots keep that it cannot read.
#[rstest]
#[case::not_accepted(None, true)]
#[case::accepted_there(Some("/nfs/alice"), false)]
#[case::accepted_elsewhere(Some("/nfs/bob"), true)]
fn beside_hidden_roots_garbage_is_collected_by_name(
    #[case] accepted: Option<&str>,
    #[case] by_name: bool,
    #[values(CollectMethod::Auto, CollectMethod::Full)] asked: CollectMethod,
) {
    let mut snapshot = snapshot(vec![alice()]);
    let entries: Vec<_> = accepted
        .map(|place| (CheckCode::RootsUnreadable, place))
        .into_iter()
        .collect();
    let mut job = accepting(&entries);
    job.operations.collect = Some(CollectOperation {
        method: asked,
        ..CollectOperation::default()
    });
    let collection = |plan: &Plan| {
        let mut actions = plan.actions().map(|planned| planned.action);
        actions
            .find(|action| action.collection().is_some())
            .unwrap()
    };
    let before = collection(&plan_of(&snapshot, &job));
    snapshot.blockers = vec![blocker(CheckCode::RootsHidden, &["/nfs/alice/result"])];
    let action = collection(&plan_of(&snapshot, &job));
    let method = if by_name {
        CollectMethod::Selective
    } else {
        asked
    };
    assert_eq!(action.collection().unwrap().method, method);
    assert!(recheck(&action, &snapshot, Some(&unrestricted(&job))).is_ok());
    // They came since the plan.
    assert_eq!(
        recheck(&before, &snapshot, Some(&unrestricted(&job))).is_err(),
        by_name
    );
}

/// Nix's own collector would delete them.
#[test]
fn build_dependencies_are_kept_by_a_selective_collection() {
    let mut job = accepting(&[]);
    job.operations.collect = Some(CollectOperation {
        keep_build_dependencies: true,
        keep_flake_inputs: vec!["/f".into()],
        ..CollectOperation::default()
    });
    let plan = plan_of(&snapshot(vec![alice()]), &job);
    let facts = plan.collection().unwrap().clone();
    assert_eq!(facts.method, CollectMethod::Selective);
    assert!(facts.keep_build_dependencies);
    assert_eq!(
        Action::Collect(facts)
            .operation()
            .describe(&ProfileNames::default()),
        "collect garbage except build dependencies and the locked inputs of /f (selective)"
    );
}

/// Nix does not know locked inputs as roots.
#[rstest]
#[case::read(true)]
#[case::not_looked_for(false)]
fn locked_inputs_are_kept_by_a_selective_collection_that_looked_for_them(#[case] read: bool) {
    let mut snapshot = snapshot(vec![alice()]);
    let mut job = accepting(&[]);
    let flakes = vec![Utf8PathBuf::from("/etc/nixos"), Utf8PathBuf::from("/b")];
    job.operations.collect = Some(CollectOperation {
        keep_flake_inputs: flakes.clone(),
        ..CollectOperation::default()
    });
    let plan = plan_of(&snapshot, &job);
    let facts = plan.collection().unwrap().clone();
    assert_eq!(facts.method, CollectMethod::Selective);
    assert_eq!(facts.keep_flake_inputs, flakes);
    let action = Action::Collect(facts);
    assert_eq!(
        action.operation().describe(&ProfileNames::default()),
        "collect garbage except the locked inputs of /etc/nixos, /b (selective)"
    );
    let seen = if read { &flakes[..] } else { &flakes[..1] };
    snapshot.flakes = seen.to_vec();
    let rechecked = recheck(&action, &snapshot, Some(&unrestricted(&job)));
    assert_eq!(rechecked.is_ok(), read, "{rechecked:?}");
}

/// Each profile that is skipped has one check: a check that says so already, or one of its own.
#[rstest]
#[case::of_its_path(CheckCode::CurrentUnknown, &[BOB], true)]
#[case::of_its_home(CheckCode::CurrentUnknown, &["/home/bob"], true)]
#[case::of_another(CheckCode::CurrentUnknown, &[SYSTEM], false)]
#[case::of_no_profile(CheckCode::CurrentUnknown, &[], false)]
#[case::our_own_pins(CheckCode::PinsUnreadable, &[], true)]
#[case::pins_of_another(CheckCode::PinsUnreadable, &["/home/alice"], false)]
#[case::of_a_collection(CheckCode::RootsUnreadable, &[BOB], false)]
fn a_check_says_why_a_profile_is_skipped(
    #[case] code: CheckCode,
    #[case] places: &[&str],
    #[case] says: bool,
) {
    let mut snapshot = snapshot(vec![profile(BOB, ProfileKind::User, 1001, 3)]);
    block(&mut snapshot);
    snapshot.blockers = vec![blocker(code, places)];
    let mut job = job();
    let operation = job.operations.generations.as_mut().unwrap();
    operation.profiles = vec![ProfileSelector::parse(BOB).unwrap()];
    let plan = plan_of(&snapshot, &job);
    assert_eq!(plan.skipped_profiles, [BOB]);
    let own = plan.failed_checks.iter();
    let own: Vec<&str> = own
        .filter(|check| check.code == CheckCode::ProfileBlocked)
        .map(|check| check.message.as_str())
        .collect();
    let message = format!("the profile {BOB} is skipped: others may write there");
    assert_eq!(own, if says { vec![] } else { vec![message.as_str()] });
}
