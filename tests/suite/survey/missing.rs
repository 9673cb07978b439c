//! What the last run saw and this look does not.

use std::collections::BTreeSet;
use std::fs;

use nix_prune::domain::refusal::RefusalCode;
use nix_prune::domain::root::{Dangling, RootState};
use nix_prune::domain::seen::Seen;

use super::tree::{NOW, Tree, codes};

/// The mounted file systems, as the kernel lists them.
fn mount(tree: &Tree, places: &[&str]) {
    let line = |at: &&str| format!("36 35 98:0 / {at} rw,noatime master:1 - ext4 /dev/x rw\n");
    tree.file("mounts", &places.iter().map(line).collect::<String>());
}

/// A look whose results the next one remembers.
fn remember(tree: &mut Tree) {
    let seen = Seen::of(&tree.as_root(), tree.memory.seen.as_ref());
    tree.memory.seen = Some(seen);
}

#[test]
fn a_directory_of_roots_that_vanished_stops_a_collection_until_it_is_let_pass() {
    let mut tree = Tree::new();
    tree.to_store("state/gcroots/machines/a/root", "kept");
    tree.profile("state/profiles/per-user/bob/channels", &[1]);
    tree.dir("state/gcroots/empty");
    remember(&mut tree);
    assert_eq!(codes(&tree.as_root()), []);
    fs::remove_dir(tree.at("state/gcroots/empty")).unwrap();
    assert_eq!(codes(&tree.as_root()), [], "it had no roots");
    fs::remove_dir_all(tree.at("state/gcroots/machines")).unwrap();
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [RefusalCode::RootsVanished]);
    assert!(snapshot.refusals[0].message.contains("gcroots/machines/a"));
    // A run that did not let it pass does not forget it, and one that did does.
    remember(&mut tree);
    assert_eq!(codes(&tree.as_root()), [RefusalCode::RootsVanished]);
    let mut accepted = tree.as_root();
    accepted.refusals.clear();
    tree.memory.seen = Some(Seen::of(&accepted, tree.memory.seen.as_ref()));
    assert_eq!(codes(&tree.as_root()), []);
    fs::remove_dir_all(tree.at("state/profiles/per-user/bob")).unwrap();
    assert_eq!(codes(&tree.as_root()), [RefusalCode::RootsVanished]);
}

#[test]
fn roots_on_a_file_system_that_is_not_mounted_now_stop_a_collection() {
    let mut tree = Tree::new();
    let at = tree.dir("mnt/my disk");
    let link = tree.to_store("mnt/my disk/project/result", "built");
    tree.auto("entry", &link);
    let name = at.as_str().replace(' ', "\\040");
    let elsewhere = tree.at("elsewhere");
    mount(&tree, &["/", &name, elsewhere.as_str()]);
    remember(&mut tree);
    let seen = tree.memory.seen.as_ref().unwrap();
    assert_eq!(seen.mounts, BTreeSet::from([at.clone()]));
    assert_eq!(codes(&tree.as_root()), []);

    // What is left of a disk that is not mounted is an empty directory.
    fs::remove_dir_all(at.join("project")).unwrap();
    assert_eq!(
        codes(&tree.as_root()),
        [],
        "it is mounted: somebody removed it"
    );
    fs::create_dir(at.join("project")).unwrap();
    mount(&tree, &["/", elsewhere.as_str()]);
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [RefusalCode::RootsAway]);
    assert_eq!(
        snapshot.refusals[0].message.matches("1 root leads").count(),
        1
    );
    // Nor may the root itself be taken for one whose link somebody removed.
    let root = snapshot
        .roots
        .iter()
        .find(|root| root.link == link)
        .unwrap();
    assert_eq!(root.state, RootState::Dangling(Dangling::PlaceGone));
    remember(&mut tree);
    assert_eq!(
        codes(&tree.as_root()),
        [RefusalCode::RootsAway],
        "not forgotten"
    );
    // Where nothing leads there, nothing is lost.
    fs::remove_file(tree.at("state/gcroots/auto/entry")).unwrap();
    assert_eq!(codes(&tree.as_root()), []);
}

#[test]
fn a_machine_that_does_not_tell_what_is_mounted_refuses_nothing_for_it() {
    let mut tree = Tree::new();
    let link = tree.to_store("mnt/result", "built");
    tree.auto("entry", &link);
    mount(&tree, &[tree.at("mnt").as_str()]);
    remember(&mut tree);
    fs::remove_file(tree.at("mounts")).unwrap();
    fs::remove_file(link).unwrap();
    assert_eq!(codes(&tree.as_root()), []);
}

#[test]
fn the_clock_is_compared_with_the_last_run_and_the_youngest_generation() {
    let mut tree = Tree::new();
    remember(&mut tree);
    let set = |tree: &mut Tree, seconds: i64| {
        let time = nix_prune::domain::measure::Timestamp::from_unix(seconds, 0).unwrap();
        tree.memory.seen.as_mut().unwrap().taken_at = time;
        codes(&tree.as_root())
    };
    let day = 86_400;
    assert_eq!(set(&mut tree, NOW + 60), []);
    assert_eq!(set(&mut tree, NOW + day), [RefusalCode::ClockJumped]);
    assert_eq!(set(&mut tree, NOW - 100 * day), []);
    assert_eq!(set(&mut tree, NOW - 200 * day), [RefusalCode::ClockJumped]);
    tree.profile("state/profiles/system", &[1, 2]);
    assert_eq!(
        set(&mut tree, NOW - 200 * day),
        [],
        "there is a young generation"
    );
}
