//! Lock files of flakes as they may be found.

use std::fs;

use camino::Utf8PathBuf;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::note::NoteCode;
use nix_prune::domain::root::RootKind;
use nix_prune::domain::snapshot::Snapshot;
use nix_prune::domain::store_path::StorePath;
use rstest::rstest;
use serde_json::json;

use crate::support::skipped;

use super::tree::{Tree, codes, give_away, uid};

/// 32 zeros, and 32 zeros before a one.
const HASHES: [&str; 2] = [
    "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
];

fn lock() -> String {
    let locked = |hash| json!({ "locked": { "type": "git", "narHash": hash } });
    let nodes = json!({ "root": {}, "a": locked(HASHES[0]), "b": locked(HASHES[1]) });
    json!({ "version": 7, "root": "root", "nodes": nodes }).to_string()
}

/// A flake that locks two inputs, one of which is in the store.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let path = StorePath::of_source("source", &[0; 32], &tree.places.store).unwrap();
    fs::create_dir_all(path.to_absolute_path(&tree.places.store)).unwrap();
    tree.file("home/me/flake/flake.nix", "{ }");
    tree.file("home/me/flake/flake.lock", &lock());
    tree.flakes = vec![tree.at("home/me/flake")];
    tree
}

fn inputs(snapshot: &Snapshot) -> Vec<String> {
    let roots = snapshot.roots.iter();
    let roots = roots.filter(|root| root.kind == RootKind::FlakeInput);
    roots.map(|root| root.link.to_string()).collect()
}

#[test]
fn locked_inputs_in_the_store_are_roots_and_the_others_are_counted() {
    let tree = tree();
    for snapshot in [tree.as_root(), tree.as_me()] {
        let link = tree.at("home/me/flake/flake.lock");
        assert_eq!(inputs(&snapshot), [link.to_string()]);
        assert!(!codes(&snapshot).contains(&CheckCode::FlakeUnreadable));
        let mut notes = snapshot.notes.iter();
        let note = notes.find(|note| note.code == NoteCode::FlakeInputsAbsent);
        assert!(note.unwrap().contains("1 of the 2 locked inputs"));
        assert_eq!(snapshot.flakes, tree.flakes);
    }
}

#[test]
fn a_flake_without_a_lock_is_noted() {
    let tree = tree();
    fs::remove_file(tree.at("home/me/flake/flake.lock")).unwrap();
    let snapshot = tree.as_root();
    assert_eq!(inputs(&snapshot), [""; 0]);
    assert!(!codes(&snapshot).contains(&CheckCode::FlakeUnreadable));
    let mut notes = snapshot.notes.iter();
    assert!(notes.any(|note| note.contains("has no flake.lock")));
}

#[test]
fn beside_an_input_without_a_hash_the_others_are_kept() {
    for (kind, stops) in [("path", false), ("indirect", false), ("git", true)] {
        let tree = tree();
        let locked = |locked| json!({ "locked": locked });
        let nodes = json!({
            "root": {},
            "a": locked(json!({ "type": kind, "path": "/a" })),
            "b": locked(json!({ "type": "git", "narHash": HASHES[0] })),
        });
        let text = json!({ "version": 7, "root": "root", "nodes": nodes }).to_string();
        fs::write(tree.at("home/me/flake/flake.lock"), text).unwrap();
        let snapshot = tree.as_root();
        assert_eq!(inputs(&snapshot).len(), 1, "{kind}");
        let is_stopped = codes(&snapshot).contains(&CheckCode::FlakeUnreadable);
        assert_eq!(is_stopped, stops, "{kind}");
        let text = "no narHash for 1 input of the flake";
        let is_noted = snapshot.notes.iter().any(|note| note.contains(text));
        assert_eq!(is_noted, !stops, "{kind}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Lock {
    Text(&'static str),
    Link,
    Fifo,
    Directory,
    Large,
    NoFlake,
    NoDirectory,
}

#[rstest]
#[case(Lock::Text(""), "not a lock file (line 1, column 0)")]
#[case(Lock::Text("root:x:0"), "not a lock file (line 1, column 1)")]
#[case(Lock::Text(r#"{"version": 9}"#), "version 9")]
#[case(Lock::Link, "flake.lock: it is a symbolic link")]
#[case(Lock::Fifo, "not a regular file")]
#[case(Lock::Directory, "not a regular file")]
#[case(Lock::Large, "larger than")]
#[case(Lock::NoFlake, "there is no flake.nix")]
#[case(Lock::NoDirectory, "there is no such directory")]
fn a_lock_that_cannot_be_read_stops_a_collection(#[case] lock: Lock, #[case] why: &str) {
    let tree = tree();
    let file = tree.at("home/me/flake/flake.lock");
    fs::rename(&file, tree.at("lock")).unwrap();
    match lock {
        Lock::Text(text) => fs::write(&file, text).unwrap(),
        Lock::Link => _ = tree.link("home/me/flake/flake.lock", tree.at("lock").as_str()),
        Lock::Fifo => nix::unistd::mkfifo(
            file.as_std_path(),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap(),
        Lock::Directory => fs::create_dir(&file).unwrap(),
        Lock::Large => fs::write(&file, " ".repeat((4 << 20) + 1)).unwrap(),
        Lock::NoFlake => fs::remove_file(tree.at("home/me/flake/flake.nix")).unwrap(),
        Lock::NoDirectory => fs::remove_dir_all(tree.at("home/me/flake")).unwrap(),
    }
    let snapshot = tree.as_root();
    let mut blockers = snapshot.blockers.iter();
    let blocker = blockers.find(|blocker| blocker.code == CheckCode::FlakeUnreadable);
    let blocker = blocker.unwrap();
    assert!(blocker.message.contains(why), "{}", blocker.message);
    assert!(!blocker.message.contains("x:0"));
    assert_eq!(blocker.places, tree.flakes);
    assert_eq!(inputs(&snapshot), [""; 0]);
}

/// With root's rights, a link in the right place would make us read any file of this name.
#[test]
fn root_follows_a_users_link_with_that_users_rights_only() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Utf8PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut tree = tree();
    mode(&tree.base, 0o755);
    tree.other_user("home/other");
    tree.link("home/me/link", &tree.at("home/me/flake").into_string());
    tree.flakes = vec![tree.at("home/me/link")];
    assert_eq!(inputs(&tree.as_me()).len(), 1);
    if !give_away(&tree.at("home/me/link")) || uid() != 0 {
        return skipped("reading a flake with another user's rights, which takes root");
    }
    assert_eq!(inputs(&tree.as_root()).len(), 1);
    mode(&tree.at("home/me/flake"), 0o700);
    let snapshot = tree.as_root();
    assert_eq!(inputs(&snapshot), [""; 0]);
    assert!(codes(&snapshot).contains(&CheckCode::FlakeUnreadable));
}
