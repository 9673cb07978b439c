//! What somebody who means ill could leave in our way.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::root::{Dangling, RootState};
use rstest::rstest;

use super::tree::{Tree, codes, give_away, numbers, profile, root};

/// A tree with something of everything.
fn busy() -> Tree {
    let tree = Tree::new();
    let system = tree.profile("state/profiles/system", &[1, 2, 3]);
    tree.profile("home/me/.local/state/nix/profiles/profile", &[1, 2]);
    tree.to_store("state/profiles/system-09-link", "odd");
    tree.auto("gone", &tree.at("home/me/gone"));
    tree.auto("result", &tree.to_store("home/me/result", "built"));
    tree.auto("missing", &tree.link("home/me/missing", "{}/store/nothing"));
    let work = tree.profile("work/p", &[1]);
    tree.auto(
        "work",
        &work.link(nix_prune::domain::profile::GenerationNumber(1)),
    );
    tree.to_store("run/current-system", "system-3");
    tree.link("state/gcroots/current-system", "{}/run/current-system");
    tree.file("state/gcroots/file", "");
    mkfifo(tree.at("state/gcroots/fifo").as_std_path(), Mode::S_IRWXU).unwrap();
    mkfifo(
        tree.at("state/profiles/fifo-1-link").as_std_path(),
        Mode::S_IRWXU,
    )
    .unwrap();
    assert!(system.to_path().is_symlink());
    tree
}

#[test]
fn trap_25_looking_changes_nothing() {
    let mut tree = busy();
    tree.extra = vec![tree.at("work/p"), tree.at("nowhere/p")];
    let before = tree.listing();
    let first = tree.as_root();
    let second = tree.as_me();
    assert_eq!(tree.listing(), before);
    assert!(before.len() > 30);
    assert_eq!((first.profiles.len(), second.profiles.len()), (3, 3));
}

#[test]
fn the_same_tree_is_told_the_same_way() {
    let tree = busy();
    let told = || {
        let seen = tree.as_root();
        format!(
            "{:?} {:?} {:?} {:?}",
            seen.profiles, seen.roots, seen.blockers, seen.notes
        )
    };
    assert_eq!(told(), told());
}

#[test]
fn fifos_and_sockets_are_not_opened() {
    let tree = Tree::new();
    for dir in [
        "state/gcroots",
        "state/gcroots/auto",
        "state/profiles",
        "home/me/.local/state/nix/profiles",
    ] {
        tree.dir(dir);
        let at = |name: &str| tree.at(dir).join(name);
        mkfifo(at("fifo").as_std_path(), Mode::S_IRWXU).unwrap();
        mkfifo(at(&Tree::base_name("fifo")).as_std_path(), Mode::S_IRWXU).unwrap();
        mkfifo(at("p-1-link").as_std_path(), Mode::S_IRWXU).unwrap();
    }
    // A socket's path is short: it is bound from its own directory's name.
    drop(UnixListener::bind(tree.at("s")).unwrap());
    fs::rename(tree.at("s"), tree.at("state/gcroots/socket")).unwrap();
    let entry = tree.auto("a", &tree.at("state/gcroots/fifo"));
    tree.auto("b", &tree.at("state/gcroots/fifo/result"));
    tree.link("home/me/.local/state/nix/profiles/q-1-link", "fifo");
    let snapshot = tree.as_root();
    assert_eq!(snapshot.roots.len(), 2);
    assert_eq!(
        root(&snapshot, &entry).state,
        RootState::Dangling(Dangling::NotARoot)
    );
}

#[test]
fn a_profiles_place_that_is_a_fifo_is_not_opened() {
    let tree = Tree::new();
    tree.dir("home/me/.local/state/nix");
    let path = tree.at("home/me/.local/state/nix/profiles");
    mkfifo(path.as_std_path(), Mode::S_IRWXU).unwrap();
    assert_eq!(codes(&tree.as_root()), [CheckCode::ProfileUnreadable]);
}

#[rstest]
#[case("a\nb")]
#[case("a\u{1b}[31mb")]
#[case("a\u{202e}b")]
#[case("a -> b")]
#[case("-rf")]
fn strange_names_are_names(#[case] name: &str) {
    let tree = Tree::new();
    let link = tree.to_store(&format!("home/me/{name}/result"), "p");
    let entry = tree.auto(name, &link);
    let path = tree.profile(&format!("state/profiles/{name}"), &[1, 2]);
    tree.link(&format!("state/gcroots/{name}"), "{}/loop");
    tree.link("loop", "{}/loop/x");
    tree.link("state/gcroots/auto/x", "{}/loop/x\u{1b}");
    let snapshot = tree.as_root();
    let found = root(&snapshot, &entry);
    assert_eq!((found.link.as_path(), found.exact), (link.as_path(), true));
    assert_eq!(numbers(profile(&snapshot, &path)), [1, 2]);
    assert_eq!(codes(&snapshot), [CheckCode::RootsUnreadable]);
    for blocker in &snapshot.blockers {
        assert!(
            !blocker.message.contains(['\n', '\u{1b}', '\u{202e}']),
            "{blocker:?}"
        );
    }
}

#[test]
fn names_that_are_not_utf_8_are_not_exact() {
    let tree = Tree::new();
    let bytes = OsStr::from_bytes(b"caf\xe9");
    let at = |dir: &str| tree.dir(dir).into_std_path_buf().join(bytes);
    let store_path = tree.store_path("p");
    symlink(&store_path, at("home/me")).unwrap();
    symlink(at("home/me"), tree.at("state/gcroots/auto/indirect")).unwrap();
    symlink(&store_path, at("state/gcroots/auto")).unwrap();
    symlink(at("home/me/p"), tree.at("state/gcroots/auto/gone")).unwrap();
    symlink(
        store_path.into_std_path_buf().join(bytes),
        tree.at("state/gcroots/auto/text"),
    )
    .unwrap();
    let snapshot = tree.as_root();
    assert_eq!(snapshot.roots.len(), 4);
    assert!(snapshot.roots.iter().all(|root| !root.exact));
    let live = snapshot
        .roots
        .iter()
        .filter(|root| root.state == RootState::Live);
    assert_eq!(live.count(), 3);
    assert_eq!(snapshot.blockers, []);
}

#[test]
fn profiles_that_are_not_utf_8_are_refused() {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 2]);
    let at = |name: &[u8]| {
        tree.at("state/profiles")
            .into_std_path_buf()
            .join(OsStr::from_bytes(name))
    };
    symlink(tree.store_path("p"), at(b"system-\xff-link")).unwrap();
    fs::create_dir(at(b"dir\xff")).unwrap();
    let snapshot = tree.as_root();
    let expected = [CheckCode::OddName, CheckCode::ProfileUnreadable];
    assert_eq!(codes(&snapshot), expected);
    assert_eq!(numbers(profile(&snapshot, &path)), [1, 2]);
}

#[test]
fn a_generation_whose_text_is_not_utf_8_is_foreign() {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[2]);
    let text = OsStr::from_bytes(b"/nix/store/\xff");
    symlink(text, tree.at("state/profiles/system-1-link")).unwrap();
    let snapshot = tree.as_root();
    let found = profile(&snapshot, &path);
    assert_eq!(numbers(found), [1, 2]);
    assert!(
        found
            .generations
            .values()
            .next()
            .unwrap()
            .content
            .store_path()
            .is_none()
    );
}

#[test]
fn ten_thousand_links_take_bounded_time() {
    let tree = Tree::new();
    let store_path = tree.store_path("p");
    tree.dir("many");
    for n in 0..5_000 {
        let link = tree.at(&format!("many/p{n}-1-link"));
        symlink(&store_path, &link).unwrap();
        symlink(&link, tree.at(&format!("state/gcroots/auto/{n}"))).unwrap();
        let generation = format!("state/profiles/many-{n}-link");
        symlink(&store_path, tree.at(&generation)).unwrap();
    }
    tree.link("state/profiles/many", "many-4999-link");
    let began = Instant::now();
    let snapshot = tree.as_root();
    let took = began.elapsed();
    assert_eq!(snapshot.roots.len(), 10_000);
    assert_eq!(snapshot.profiles.len(), 5_001);
    assert_eq!(
        numbers(profile(&snapshot, &tree.path("state/profiles/many"))).len(),
        5_000
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn links_to_links_are_followed_once() {
    let tree = Tree::new();
    tree.to_store("bomb-0", "p");
    for n in 1..500 {
        tree.link(&format!("bomb-{n}"), &format!("{{}}/bomb-{}", n - 1));
        tree.auto(&n.to_string(), &tree.at(&format!("bomb-{n}")));
    }
    let snapshot = tree.as_root();
    let found = snapshot.roots.iter();
    assert_eq!(
        found
            .filter(|r| r.state == RootState::Dangling(Dangling::NotARoot))
            .count(),
        499
    );
}

#[test]
fn roots_are_found_however_deep_they_are_nested() {
    let tree = Tree::new();
    // Deeper than directories are kept open, with a second directory beside each that must not keep any.
    let mut dir = "state/gcroots".to_string();
    for _ in 0..300 {
        tree.dir(&format!("{dir}/e"));
        dir.push_str("/d");
    }
    tree.to_store(&format!("{dir}/x"), "p");
    let snapshot = tree.as_root();
    assert_eq!((snapshot.roots.len(), codes(&snapshot)), (1, vec![]));
    assert_eq!(snapshot.roots[0].link, tree.at(&format!("{dir}/x")));
}

#[test]
fn more_than_twenty_thousand_roots_in_one_directory_are_all_found() {
    let tree = Tree::new();
    let path = tree.store_path("p");
    let count = 20_001;
    for n in 0..count {
        symlink(&path, tree.at(&format!("state/gcroots/auto/{n}"))).unwrap();
    }
    let snapshot = tree.as_root();
    assert_eq!(snapshot.roots.len(), count);
    assert_eq!(codes(&snapshot), []);
}

#[test]
fn a_user_with_too_many_names_costs_no_profile_but_their_own() {
    let tree = Tree::new();
    let system = tree.profile("state/profiles/system", &[1, 2]);
    let theirs = tree.profile("state/profiles/per-user/them/a", &[1, 2]);
    let dir = tree.dir("state/profiles/per-user/them/many");
    fs::write(dir.join("0"), "").unwrap();
    for n in 1..=50_000 {
        fs::hard_link(dir.join("0"), dir.join(n.to_string())).unwrap();
    }
    let above = dir.parent().unwrap().to_path_buf();
    let given = [dir, above].iter().all(|dir| give_away(dir));
    if !given {
        return;
    }
    let list = fs::read_to_string(&tree.places.passwd).unwrap();
    tree.file(
        "passwd",
        &format!("{list}them:x:4242:100::/nowhere:/bin/sh\n"),
    );
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), []);
    assert_eq!(profile(&snapshot, &system).blocked, None);
    let why = profile(&snapshot, &theirs).blocked.as_ref().unwrap();
    assert!(why.contains("them has more than 50000 names"), "{why}");
    assert!(
        snapshot.notes.iter().any(|note| note.text == *why),
        "{:?}",
        snapshot.notes
    );
}

#[test]
fn notes_that_anybody_can_cause_are_counted_beyond_a_hundred() {
    let tree = Tree::new();
    tree.profile("state/profiles/system", &[1]);
    for n in 0..20 {
        tree.profile(&format!("state/profiles/d{n}/p"), &[1]);
        for odd in 0..20 {
            tree.to_store(&format!("state/profiles/d{n}/p-1-link~{odd}"), "odd");
        }
    }
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [CheckCode::OddName; 100]);
    let last = snapshot.notes.last().unwrap();
    assert!(last.contains("120 more"), "{last}");
}
