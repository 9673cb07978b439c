//! Which profiles a plan selects.

use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::note::NoteCode;
use nix_prune::domain::retention::{KeepPolicy, KeepRules};
use rstest::rstest;

use super::*;
use crate::support::plan_of;

const WEB: &str = "/nix/var/nix/profiles/per-container/web/system";

/// A job that keeps the current generation of these profiles.
fn of(selectors: &[&str], users: &[&str]) -> Job {
    let mut job = job();
    let generations = job.operations.generations.as_mut().unwrap();
    let selectors = selectors
        .iter()
        .map(|it| ProfileSelector::parse(it).unwrap());
    generations.profiles = selectors.collect();
    generations.users = users.iter().map(ToString::to_string).collect();
    let rules = KeepRules {
        last: Some(1),
        ..KeepRules::default()
    };
    generations.keep = KeepPolicy::new(rules).unwrap();
    job
}

/// The same guards as for the machine's own system: the current one, one to go back to, and what runs.
#[rstest]
#[case::container("containers", ProfileKind::Container, WEB)]
#[case::system_manager("system-manager", ProfileKind::SystemManager, "/p/system-manager")]
#[case::nix_on_droid("nix-on-droid", ProfileKind::NixOnDroid, "/p/nix-on-droid")]
fn a_system_that_is_not_the_machines_has_the_guards_of_one(
    #[case] word: &str,
    #[case] kind: ProfileKind,
    #[case] path: &str,
) {
    let mut snapshot = snapshot(vec![profile(path, kind, 0, 6), system(), alice()]);
    snapshot.running = vec![path_of(profile_path(path).name(), 2)];
    let plan = plan_of(&snapshot, &of(&[word], &[]));
    assert_eq!(gone(&plan, path), [1, 3, 4]);
    assert_eq!(reasons(&plan, path, 2), [Reason::Running]);
    assert_eq!(reasons(&plan, path, 5), [Reason::Fallback]);
    assert_eq!(plan.risk(), Some(RiskLevel::High));
    for other in [SYSTEM, ALICE] {
        assert_eq!(reasons(&plan, other, 1), [Reason::NotSelected]);
    }
    // The boot menu of the machine is about neither.
    assert!(
        plan.notes
            .iter()
            .all(|it| it.code != NoteCode::BootNotRefreshed)
    );
    // The words for the machine's system and for users leave it alone.
    let plan = plan_of(&snapshot, &of(&["system", "users", "home-manager"], &[]));
    assert_eq!(gone(&plan, path), [0; 0]);
    assert_eq!(reasons(&plan, path, 1), [Reason::NotSelected]);
}

#[rstest]
#[case::found(&["/home/*/.local/state/nix/profiles/*"], &[], &[])]
#[case::not_found(&["/home/*/dev*", "/srv/**"], &[], &[
    "No profile was found that matches /home/*/dev*.",
    "No profile was found that matches /srv/**.",
])]
#[case::user(&["users"], &["1000"], &[])]
#[case::no_such_user(&["users"], &["1000", "alcie"], &["No profile of the user alcie was found."])]
#[case::a_word(&["containers"], &[], &[])]
fn what_selects_nothing_is_noted(
    #[case] selectors: &[&str],
    #[case] users: &[&str],
    #[case] expected: &[&str],
) {
    let plan = plan_of(&snapshot(vec![alice()]), &of(selectors, users));
    let notes = plan.notes.iter();
    let notes = notes.filter(|note| note.code == NoteCode::NothingSelected);
    let notes: Vec<&str> = notes.map(|note| note.text.as_str()).collect();
    assert_eq!(notes, expected);
    assert!(plan.failed_checks.is_empty(), "{:?}", plan.failed_checks);
}

#[test]
fn users_restrict_what_words_and_patterns_select() {
    let bob = "/home/bob/.local/state/nix/profiles/profile";
    let snapshot = snapshot(vec![
        alice(),
        profile(bob, ProfileKind::User, 1001, 4),
        system(),
    ]);
    for selectors in [["users", "system"], ["/**", "system"]] {
        let plan = plan_of(&snapshot, &of(&selectors, &["1000"]));
        assert_eq!(gone(&plan, ALICE), [1, 2, 3]);
        assert_eq!(gone(&plan, bob), [0; 0]);
        assert_eq!(reasons(&plan, bob, 1), [Reason::NotSelected]);
        assert_eq!(gone(&plan, SYSTEM), [1, 2]);
    }
    // A path that the same job excludes is a contradiction, and no order.
    let plan = plan_of(&snapshot, &of(&[bob], &["1000"]));
    assert_eq!(gone(&plan, bob), [0; 0]);
    let codes: Vec<CheckCode> = plan.failed_checks.iter().map(|it| it.code).collect();
    assert_eq!(codes, [CheckCode::ProfileBlocked]);
    let message = &plan.failed_checks[0].message;
    assert!(
        message.contains("`users` does not list its owner 1001"),
        "{message}"
    );
}

/// A container that cannot be judged is one that the job asked for.
#[rstest]
#[case("containers", true)]
#[case("/nix/var/nix/profiles/per-container/*/system", false)]
fn a_blocked_container_is_reported_where_it_is_selected_by_the_word(
    #[case] selector: &str,
    #[case] reported: bool,
) {
    let mut web = profile(WEB, ProfileKind::Container, 0, 4);
    web.blocked = Some("for a test".to_string());
    let plan = plan_of(&snapshot(vec![web]), &of(&[selector], &[]));
    assert_eq!(gone(&plan, WEB), [0; 0]);
    assert_eq!(!plan.failed_checks.is_empty(), reported);
}
