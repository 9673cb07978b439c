//! What the rights of an ordinary user do not reach. Root looks as another user for these tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown};

use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::note::{Note, NoteCode};
use nix_prune::domain::root::RootState;
use nix_prune::domain::root_use::LinkUse;
use nix_prune::domain::snapshot::{Actor, Snapshot};

use crate::support::skipped;

use super::tree::{Tree, codes, give_away, profile, root, uid};

/// Sets the rights of a file or directory.
fn allow(tree: &Tree, path: &str, mode: u32) {
    fs::set_permissions(tree.at(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// What a user without special rights sees, whose own files are those of user 4242 or, without root, ours.
fn as_somebody(tree: &Tree, actor: u32) -> Option<Snapshot> {
    allow(tree, ".", 0o755);
    if uid() == 0 {
        as_user(tree, actor)
    } else {
        Some(tree.observe(Actor::User(actor)))
    }
}

/// Looks as another user: in a thread of its own, whose rights end with it.
#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_wraps)]
fn as_user(tree: &Tree, uid: u32) -> Option<Snapshot> {
    use nix_prune::ports::Survey;

    let places = tree.places.clone();
    let observe = move || {
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(uid));
        let observer = nix_prune::adapters::survey::Observer {
            places: &places,
            actor: Actor::User(uid),
            zone: jiff::tz::TimeZone::UTC,
            extra_profiles: Vec::new(),
            boot_menu: false,
            all_of_nix: false,
            flakes: Vec::new(),
            uses_of_links: false,
            previous_runs: &super::tree::Fake::default(),
            clock: &super::tree::Stopped,
        };
        observer.snapshot().unwrap()
    };
    let seen = std::thread::spawn(observe).join();
    Some(seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

#[cfg(not(target_os = "linux"))]
fn as_user(_: &Tree, _: u32) -> Option<Snapshot> {
    eprintln!("SKIPPED: only on Linux can a thread of root's look as another user");
    None
}

/// The user whose the tree is not: a daemon's client.
fn other() -> u32 {
    if uid() == 0 { 4242 } else { uid() + 1 }
}

#[test]
fn what_we_may_not_read_is_not_gone() {
    let tree = Tree::new();
    tree.to_store("locked/result", "p");
    let entry = tree.auto("a", &tree.at("locked/result"));
    let nested = tree.to_store("state/gcroots/private/x", "q");
    let listed = tree.to_store("state/gcroots/listed/x", "r");
    let dirs = ["locked", "state/gcroots/private", "state/gcroots/listed"];
    for (dir, mode) in dirs.into_iter().zip([0o000, 0o000, 0o444]) {
        allow(&tree, dir, mode);
    }
    let seen = as_somebody(&tree, other());
    let own = (uid() != 0).then(|| tree.as_me());
    for dir in dirs {
        allow(&tree, dir, 0o755);
    }
    if let Some(own) = own {
        assert_eq!(codes(&own), [CheckCode::RootsUnreadable; 3]);
    }
    let Some(seen) = seen else { return };
    let state = &root(&seen, &entry).state;
    assert!(matches!(state, RootState::Unreadable(_)), "{state:?}");
    assert!(
        seen.roots
            .iter()
            .all(|root| root.link != nested && root.link != listed)
    );
    assert_eq!(seen.blockers, []);
    let note =
        "1 root and 2 directories of roots of other users cannot be read; the daemon sees them";
    assert_eq!(seen.notes, [Note::new(NoteCode::RootsUnseen, note)]);
}

#[test]
fn a_store_that_we_may_not_search_is_not_empty() {
    let tree = Tree::new();
    let link = tree.to_store("state/gcroots/x", "p");
    let path = tree.profile("state/profiles/per-user/me/profile", &[1, 2]);
    allow(&tree, "store", 0o444);
    let seen = as_somebody(&tree, other());
    allow(&tree, "store", 0o755);
    let Some(seen) = seen else { return };
    let state = &root(&seen, &link).state;
    assert!(matches!(state, RootState::Unreadable(_)), "{state:?}");
    assert!(
        profile(&seen, &path)
            .blocked
            .as_ref()
            .unwrap()
            .contains("cannot read")
    );
    assert!(codes(&seen).contains(&CheckCode::ProfileUnreadable));
}

#[test]
fn other_users_profiles_need_not_be_readable() {
    let tree = Tree::new();
    tree.profile("state/profiles/per-user/her/profile", &[1]);
    allow(&tree, "state/profiles/per-user/her", 0o700);
    let home = "home/me/.local/state/nix/profiles";
    tree.dir(home);
    if uid() == 0 {
        // Ours is the home, hers the directory that only root may read.
        give_away(&tree.at(home));
    } else {
        allow(&tree, "state/profiles/per-user/her", 0o000);
    }
    let seen = as_somebody(&tree, other());
    allow(&tree, "state/profiles/per-user/her", 0o700);
    let Some(seen) = seen else { return };
    assert_eq!(seen.profiles, []);
    assert_eq!(seen.blockers, []);
}

#[test]
fn own_profiles_that_can_only_be_listed_are_refused() {
    let tree = Tree::new();
    let dir = "home/me/.local/state/nix/profiles";
    tree.rooted(&format!("{dir}/profile"), &[1, 2]);
    let actor = if uid() == 0 { 4242 } else { uid() };
    if uid() == 0 && !give_away(&tree.at(dir)) {
        return;
    }
    allow(&tree, dir, 0o444);
    let listed = as_somebody(&tree, actor);
    allow(&tree, dir, 0o000);
    let locked = as_somebody(&tree, actor);
    allow(&tree, dir, 0o755);
    let open = as_somebody(&tree, actor);
    for seen in [listed, locked].into_iter().flatten() {
        assert_eq!(seen.profiles, []);
        assert_eq!(codes(&seen), [CheckCode::ProfileUnreadable]);
    }
    if let Some(open) = open {
        let path = tree.path(&format!("{dir}/profile"));
        assert_eq!(profile(&open, &path).blocked, None);
        assert_eq!(codes(&open), []);
    }
}

#[test]
fn links_that_cannot_be_removed_with_their_owners_rights_are_known() {
    if uid() != 0 {
        return skipped("giving links to other users takes root");
    }
    let tree = Tree::new();
    allow(&tree, ".", 0o755);
    tree.other_user("home/other");
    let expected = [
        ("own", 4242, false),
        ("own-group", 4242, false),
        ("of-root", 4242, true),
        ("group-of-root", 4242, true),
        ("closed", 4242, true),
        ("without-account", 4_242_424, true),
    ];
    for (name, owner, _) in expected {
        let link = tree.to_store(&format!("home/{name}/src/result"), name);
        tree.auto(name, &link);
        lchown(&link, Some(owner), None).unwrap();
        let dir = link.parent().unwrap();
        match name {
            // The user's first group is 100.
            "own-group" => chown(dir, Some(0), Some(100)).unwrap(),
            "of-root" | "group-of-root" => {}
            _ => chown(dir, Some(owner), None).unwrap(),
        }
        if name.contains("group") {
            allow(&tree, &format!("home/{name}/src"), 0o775);
        }
    }
    allow(&tree, "home/closed", 0o700);
    let snapshot = tree.as_root();
    for (name, _, out_of_reach) in expected {
        let link = tree.at(&format!("home/{name}/src/result"));
        let LinkUse::Seen(seen) = &snapshot.uses[&link] else {
            panic!("{name}: {:?}", snapshot.uses);
        };
        assert_eq!(seen.out_of_reach, out_of_reach, "{name}");
    }
}
