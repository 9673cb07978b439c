//! What earlier runs have left behind: pins and holds.

use nix_prune::domain::blocker::CheckCode;

use super::tree::{Tree, codes, give_away, profile, uid};

/// A tree with a user `her` (number 4242) who has a profile, if the files could be given to her.
fn with_her() -> Option<Tree> {
    let tree = Tree::new();
    let me = format!("me:x:{}:100::{}:/bin/sh", uid(), tree.at("home/me"));
    let her = format!("her:x:4242:100::{}:/bin/sh", tree.at("home/her"));
    tree.file("passwd", &format!("{me}\n{her}\n"));
    tree.profile("state/profiles/per-user/her/profile", &[1, 2]);
    give_away(&tree.at("state/profiles/per-user/her")).then_some(tree)
}

#[test]
fn own_pins_are_known() {
    let mut tree = Tree::new();
    tree.profile("state/profiles/system", &[1, 2]);
    let pins = vec![
        tree.pin("state/profiles/system", 1),
        tree.pin("nowhere/x", 3),
    ];
    tree.previous_runs.pins = pins.clone();
    assert_eq!(tree.as_root().pins, pins);
    assert_eq!(tree.as_me().pins, pins);
}

#[test]
fn a_pin_counts_under_every_name_of_its_profile() {
    let mut tree = Tree::new();
    let path = tree.profile("home/me/.local/state/nix/profiles/profile", &[1, 2]);
    tree.link("h", "{}/home");
    tree.previous_runs.pins = vec![tree.pin("h/me/.local/state/nix/profiles/profile", 1)];
    let snapshot = tree.as_me();
    assert_eq!(snapshot.pins[0].profile, path);
}

#[test]
fn unreadable_pins_block_everything() {
    let mut tree = Tree::new();
    let system = tree.profile("state/profiles/system", &[1, 2]);
    let mine = tree.rooted("home/me/.local/state/nix/profiles/profile", &[1, 2]);
    tree.previous_runs.broken_pins = true;
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(codes(&snapshot), [CheckCode::PinsUnreadable]);
        assert!(snapshot.blockers[0].message.contains("broken on purpose"));
        for path in [&system, &mine] {
            assert!(profile(&snapshot, path).blocked.is_some());
        }
    }
}

#[test]
fn a_users_pins_count_for_their_own_profiles() {
    let Some(mut tree) = with_her() else { return };
    tree.profile("state/profiles/system", &[1, 2]);
    let hers = tree.pin("state/profiles/per-user/her/profile", 1);
    let system = tree.pin("state/profiles/system", 1);
    tree.previous_runs.theirs = vec![(4242, hers.clone()), (4242, system), (4243, hers.clone())];
    assert_eq!(tree.as_root().pins, [hers]);
    assert_eq!(tree.as_me().pins, []);
}

#[test]
fn unreadable_pins_of_a_user_block_their_profiles() {
    let Some(mut tree) = with_her() else { return };
    let system = tree.profile("state/profiles/system", &[1, 2]);
    tree.previous_runs.broken_pins_of = Some(4242);
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [CheckCode::PinsUnreadable]);
    let hers = profile(&snapshot, &tree.path("state/profiles/per-user/her/profile"));
    assert!(hers.blocked.as_ref().unwrap().contains("pins of her"));
    assert_eq!(profile(&snapshot, &system).blocked, None);
    assert_eq!(codes(&tree.as_me()), []);
}

#[test]
fn users_without_a_profile_are_not_asked_for_pins() {
    let mut tree = Tree::new();
    let home = tree.at("home/me");
    tree.file(
        "passwd",
        &format!("me:x:{}:100::{home}:\nher:x:4242:1::{home}:\n", uid()),
    );
    tree.previous_runs.broken_pins_of = Some(4242);
    assert_eq!(codes(&tree.as_root()), []);
    assert_eq!(tree.previous_runs.asked.get(), 0);
}

#[test]
fn unreadable_holds_are_refused() {
    let mut tree = Tree::new();
    tree.previous_runs.broken_holds = true;
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [CheckCode::JournalUnreadable]);
    assert!(snapshot.holds.is_empty());
}
