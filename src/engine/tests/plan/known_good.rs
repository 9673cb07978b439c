//! The rule `knownGood` in a plan.

use nix_prune::domain::note::NoteCode;
use nix_prune::domain::retention::{KeepPolicy, KeepRules};
use rstest::rstest;

use super::*;
use crate::support::plan_of;

/// The oldest system ran for so long.
fn ran(hours: u64, rule: bool, selector: &str) -> Plan {
    let mut snapshot = snapshot(vec![system(), alice()]);
    let oldest = snapshot.profiles[0].generations.values().next().unwrap();
    let path = oldest.content.store_path().unwrap().clone();
    snapshot.uptimes.insert(path, Span::seconds(hours * 3600));
    let mut job = job();
    let generations = job.operations.generations.as_mut().unwrap();
    generations.profiles = vec![ProfileSelector::parse(selector).unwrap()];
    let rules = KeepRules {
        last: Some(1),
        known_good: rule,
        ..KeepRules::default()
    };
    generations.keep = KeepPolicy::new(rules).unwrap();
    plan_of(&snapshot, &job)
}

#[rstest]
#[case::known(24, true, "system", true, false)]
#[case::unknown_yet(23, true, "system", false, true)]
#[case::not_asked(24, false, "system", false, false)]
#[case::unknown_and_not_asked(23, false, "system", false, false)]
#[case::no_system(23, true, "users", true, false)]
fn the_known_good_system_is_kept_or_a_note_says_that_none_is_known(
    #[case] hours: u64,
    #[case] rule: bool,
    #[case] selector: &str,
    #[case] kept: bool,
    #[case] noted: bool,
) {
    let plan = ran(hours, rule, selector);
    assert_eq!(!gone(&plan, SYSTEM).contains(&1), kept);
    let mut notes = plan.notes.iter();
    assert_eq!(
        notes.any(|note| note.code == NoteCode::NothingKnownGood),
        noted
    );
}
