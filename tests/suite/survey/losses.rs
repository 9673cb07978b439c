//! What a collection would take although somebody wants it.

use std::fs;

use nix_prune::domain::baseline::RootBaseline;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::profile::GenerationNumber;
use nix_prune::domain::receipt::RunId;
use nix_prune::domain::snapshot::{Held, Hold};
use nix_prune::domain::store_path::StorePathRef;
use rstest::rstest;

use super::tree::{NOW, Tree, codes, uid};

const DIR: &str = "home/me/.local/state/nix/profiles";

#[test]
fn trap_14_a_generation_in_a_home_needs_a_root() {
    let tree = Tree::new();
    tree.rooted(&format!("{DIR}/profile"), &[1, 2]);
    tree.profile("state/profiles/system", &[1, 2]);
    assert_eq!(codes(&tree.as_root()), []);
    tree.profile(&format!("{DIR}/home-manager"), &[1, 3]);
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(codes(&snapshot), [CheckCode::Unrooted]);
        let blocker = &snapshot.blockers[0];
        assert!(
            blocker.message.contains("generation 1, 3 of"),
            "{blocker:?}"
        );
        assert!(blocker.hint.contains("home-manager-1-link"), "{blocker:?}");
    }
    // A root of another kind will do, and what is gone already needs none.
    tree.auto(
        "a",
        &tree.to_store("home/me/current-home", "home-manager-3"),
    );
    fs::remove_dir(tree.store_path("home-manager-1")).unwrap();
    assert_eq!(codes(&tree.as_root()), []);
}

#[test]
fn trap_14_what_no_job_selects_is_only_noted_unless_the_settings_name_it() {
    let mut tree = Tree::new();
    let path = tree.profile("work/p", &[1, 2]);
    tree.auto("a", &tree.at("work/p-2-link"));
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), []);
    assert!(
        snapshot.notes[0].contains("generation 1 of"),
        "{:?}",
        snapshot.notes
    );
    tree.extra = vec![path.to_path()];
    assert_eq!(codes(&tree.as_root()), [CheckCode::Unrooted]);
}

#[rstest]
#[case::empty(|tree: &Tree| { tree.dir("home/her"); }, 2)]
#[case::not_there(|_: &Tree| {}, 2)]
#[case::there(|tree: &Tree| { tree.file("home/her/x", ""); }, 0)]
#[case::a_file(|tree: &Tree| { tree.file("home/her", ""); }, 0)]
fn trap_17_roots_lead_into_a_home_that_is_away(#[case] make: fn(&Tree), #[case] away: usize) {
    let mut tree = Tree::new();
    tree.previous_runs.seen = Some(RootBaseline::of(&tree.as_root(), &[], None));
    let me = format!("me:x:{}:100::{}:/bin/sh", uid(), tree.at("home/me"));
    let her = format!("her:x:4242:100::{}:/bin/sh", tree.at("home/her"));
    tree.file("passwd", &format!("{me}\n{her}\n"));
    make(&tree);
    tree.auto("a", &tree.at("home/her/project/result"));
    tree.auto("b", &tree.at("home/her/.direnv/x"));
    tree.auto("c", &tree.at("mnt/gone/result"));
    let snapshot = tree.as_root();
    if away == 0 {
        assert_eq!(codes(&snapshot), []);
    } else {
        assert_eq!(codes(&snapshot), [CheckCode::RootsAway]);
        let message = &snapshot.blockers[0].message;
        assert!(
            message.contains("home/her") && message.contains("2 roots"),
            "{message}"
        );
    }
}

#[rstest]
#[case::rooted(true, true, 7, true, None)]
#[case::forgotten(false, true, 7, false, Some("lost the entry"))]
#[case::forgotten_and_ended(false, true, -1, false, None)]
#[case::broken(false, false, 7, false, Some("cannot be undone"))]
fn trap_14_a_hold_holds_while_an_entry_leads_to_it(
    #[case] has_entry: bool,
    #[case] intact: bool,
    #[case] days: i64,
    #[case] expected: bool,
    #[case] note: Option<&str>,
) {
    let mut tree = Tree::new();
    let link = tree.to_store("holds/20260101T000000Z/0", "held");
    if has_entry {
        tree.auto("a", &link);
    }
    let base = Tree::base_name("held");
    tree.previous_runs.holds = vec![Hold {
        run: RunId::try_from("20260101T000000Z".to_string()).unwrap(),
        link,
        store_path: StorePathRef::from_base_name(&base).unwrap().to_owned(),
        held: Held::Generation {
            profile: tree.path("state/profiles/system"),
            number: GenerationNumber(1),
        },
        until: Timestamp::from_unix(NOW + days * 86_400, 0).unwrap(),
        intact,
    }];
    let snapshot = tree.as_root();
    assert_eq!(snapshot.holds[0].intact, expected);
    assert_eq!(
        snapshot.notes.len(),
        usize::from(note.is_some()),
        "{:?}",
        snapshot.notes
    );
    if let Some(note) = note {
        assert!(snapshot.notes[0].contains(note), "{:?}", snapshot.notes);
    }
}
