//! Garbage collector roots.

use std::fs;

use camino::Utf8PathBuf;
use nix_prune::domain::baseline::RootBaseline;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::note::{Note, NoteCode};
use nix_prune::domain::root::{Dangling, RootKind, RootState};
use nix_prune::domain::snapshot::{Actor, Snapshot};
use rstest::rstest;

use super::tree::{NOW, Tree, codes, root, touch, uid};

const AUTO: &str = "state/gcroots/auto/a";

fn dangling(why: Dangling) -> RootState {
    RootState::Dangling(why)
}

/// The text for a link into the store.
fn in_store(name: &str) -> String {
    format!("{{}}/store/{}", Tree::base_name(name))
}

#[test]
fn trap_16_an_entry_leads_to_a_link_and_that_into_the_store() {
    let tree = Tree::new();
    let link = tree.to_store("home/me/result", "built");
    touch(&link, NOW - 5, 7);
    let entry = tree.auto("a", &link);
    let snapshot = tree.as_root();
    assert_eq!(snapshot.roots.len(), 1);
    let found = root(&snapshot, &entry);
    assert_eq!(found.link, link);
    assert_eq!(found.entry.as_ref(), Some(&entry));
    assert_eq!(found.target.as_ref(), Some(&tree.store_path("built")));
    assert_eq!(found.store_path.as_ref().unwrap().name(), "built");
    assert_eq!(found.state, RootState::Live);
    assert_eq!(found.kind, RootKind::Result);
    assert_eq!(found.owner.as_ref().unwrap().name.as_deref(), Some("me"));
    assert_eq!(found.made_at.unwrap().to_unix(), (NOW - 5, 7));
    assert!(found.exact);
}

/// Entries of `auto` and of `per-user` that lead to the same link, and one of `per-user` whose link is gone.
#[test]
fn trap_16_a_link_is_one_root_however_many_entries_lead_to_it() {
    let tree = Tree::new();
    let link = tree.to_store("home/me/flake/.direnv/input", "built");
    let auto = tree.auto("a", &link);
    let doubled = link.as_str().replace("/.direnv/", "//.direnv/");
    tree.link("state/gcroots/per-user/me/b", &doubled);
    tree.link("state/gcroots/per-user/me/c", link.as_str());
    let gone = tree.at("home/me/flake/.direnv/gone");
    tree.auto("d", &gone);
    let by_hand = tree.link("state/gcroots/per-user/me/d", gone.as_str());
    let snapshot = tree.as_root();
    let found: Vec<_> = snapshot
        .roots
        .iter()
        .map(|root| {
            (
                root.link.clone(),
                root.entry.clone().unwrap(),
                root.state.clone(),
            )
        })
        .collect();
    let is_gone = dangling(Dangling::LinkGone);
    let expected = [
        (
            gone.clone(),
            tree.at("state/gcroots/auto/d"),
            is_gone.clone(),
        ),
        (gone, by_hand, is_gone),
        (link, auto, RootState::Live),
    ];
    assert_eq!(found, expected);
}

#[rstest]
#[case::direct(|t: &Tree| t.to_store(AUTO, "p"))]
#[case::below_a_store_path(|t: &Tree| { t.store_path("p"); t.link(AUTO, &format!("{}/bin/x", in_store("p"))) })]
#[case::not_in_auto(|t: &Tree| t.to_store("state/gcroots/mine/deeper/x", "p"))]
#[case::in_profiles(|t: &Tree| t.to_store("state/profiles/per-user/me/x", "p"))]
#[case::relative(|t: &Tree| { t.to_store("state/x", "p"); t.link(AUTO, "../../x") })]
#[case::through_a_linked_directory(|t: &Tree| {
    t.to_store("real/x", "p");
    t.link("linked", "real");
    t.link(AUTO, "{}/linked/x")
})]
#[case::regular_file(|t: &Tree| { t.store_path("p"); t.file(&format!("state/gcroots/{}", Tree::base_name("p")), "") })]
fn trap_18_live_roots(#[case] make: fn(&Tree) -> Utf8PathBuf) {
    let tree = Tree::new();
    let name = make(&tree);
    let snapshot = tree.as_root();
    let found = root(&snapshot, &name);
    assert_eq!(found.state, RootState::Live);
    assert_eq!(found.store_path.as_ref().unwrap().name(), "p");
    assert_eq!(snapshot.roots.len(), 1);
    assert_eq!(snapshot.blockers, []);
}

#[rstest]
#[case::path_gone(|t: &Tree| t.link(AUTO, &in_store("p")), Dangling::PathGone)]
#[case::path_behind_gone(|t: &Tree| { t.link("x", &in_store("p")); t.link(AUTO, "{}/x") }, Dangling::PathGone)]
#[case::file_without_path(|t: &Tree| t.file(&format!("state/gcroots/{}", Tree::base_name("p")), ""), Dangling::PathGone)]
#[case::link_gone_from_an_empty_home(|t: &Tree| { t.other_user("home/other"); t.link(AUTO, "{}/home/other/result") }, Dangling::ParentMissing)]
#[case::link_gone_from_a_used_home(|t: &Tree| { t.file("home/me/x", ""); t.link(AUTO, "{}/home/me/result") }, Dangling::LinkGone)]
#[case::link_gone_from_an_empty_directory(|t: &Tree| { t.dir("home/me/p"); t.link(AUTO, "{}/home/me/p/result") }, Dangling::LinkGone)]
#[case::link_gone_relative(|t: &Tree| t.link(AUTO, "b"), Dangling::LinkGone)]
#[case::place_gone(|t: &Tree| t.link(AUTO, "{}/mnt/disk/result"), Dangling::ParentMissing)]
#[case::place_is_a_file(|t: &Tree| { t.file("f", ""); t.link(AUTO, "{}/f/result") }, Dangling::ParentMissing)]
#[case::place_is_a_dangling_link(|t: &Tree| { t.link("l", "away"); t.link(AUTO, "{}/l/result") }, Dangling::ParentMissing)]
#[case::directory(|t: &Tree| t.link(AUTO, "{}/home"), Dangling::NotARoot)]
#[case::file(|t: &Tree| t.link(AUTO, "{}/passwd"), Dangling::NotARoot)]
#[case::link_elsewhere(|t: &Tree| { t.link("x", "passwd"); t.link(AUTO, "{}/x") }, Dangling::NotARoot)]
#[case::two_links(|t: &Tree| { t.to_store("y", "p"); t.link("x", "{}/y"); t.link(AUTO, "{}/x") }, Dangling::NotARoot)]
#[case::itself(|t: &Tree| t.link(AUTO, "a"), Dangling::NotARoot)]
#[case::no_store_path(|t: &Tree| t.link(AUTO, "{}/store/.links/x"), Dangling::NotARoot)]
#[case::doubled_slash(|t: &Tree| { t.store_path("p"); t.link(AUTO, &in_store("p").replace("store/", "store//")) }, Dangling::NotARoot)]
#[case::store_itself(|t: &Tree| t.link(AUTO, "{}/store"), Dangling::NotARoot)]
fn trap_17_dangling_roots(#[case] make: fn(&Tree) -> Utf8PathBuf, #[case] why: Dangling) {
    let mut tree = Tree::new();
    // What a first run finds gone is another matter.
    tree.previous_runs.seen = Some(RootBaseline::of(&tree.as_root(), &[], None));
    let name = make(&tree);
    for snapshot in [tree.as_root(), tree.as_me()] {
        let found = root(&snapshot, &name);
        assert_eq!(found.state, dangling(why));
        assert_eq!(snapshot.roots.len(), 1);
        let home_is_away =
            why == Dangling::ParentMissing && found.link.starts_with(tree.at("home"));
        let expected = home_is_away.then_some(CheckCode::RootsAway);
        assert_eq!(codes(&snapshot), Vec::from_iter(expected));
        assert_eq!(found.owner.as_ref().unwrap().uid, uid());
    }
}

#[test]
fn trap_14_profiles_in_homes_are_no_roots_by_themselves() {
    let tree = Tree::new();
    let dir = "home/me/.local/state/nix/profiles";
    tree.profile(&format!("{dir}/profile"), &[1, 2]);
    assert_eq!(tree.as_root().profiles.len(), 1);
    assert_eq!(tree.as_root().roots.len(), 0);
    let link = tree.at(&format!("{dir}/profile-2-link"));
    let entry = tree.auto("a", &link);
    let snapshot = tree.as_root();
    assert_eq!(snapshot.roots.len(), 1);
    assert_eq!(root(&snapshot, &entry).kind, RootKind::Profile);
}

#[test]
fn a_link_that_is_a_root_itself_is_told_once() {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 2]);
    for number in [1, 2] {
        let link = tree.at(&format!("state/profiles/system-{number}-link"));
        tree.auto(&number.to_string(), &link);
    }
    let snapshot = tree.as_root();
    let found: Vec<_> = snapshot
        .roots
        .iter()
        .map(|r| (r.link.clone(), r.kind))
        .collect();
    let link = |number| path.link(nix_prune::domain::profile::GenerationNumber(number));
    assert_eq!(
        found,
        [(link(1), RootKind::Profile), (link(2), RootKind::Profile)]
    );
}

#[test]
fn trap_18_systems_and_trap_23_homes_have_their_kind() {
    let mut tree = Tree::new();
    tree.previous_runs.holds_dir = Some(tree.at("holds"));
    tree.to_store("run/current-system", "now");
    let system = tree.link("state/gcroots/current-system", "{}/run/current-system");
    let state = "home/me/.local/state/home-manager/gcroots/current-home";
    let home = tree.auto("home", &tree.to_store(state, "home"));
    let direnv = tree.auto(
        "direnv",
        &tree.to_store("home/me/p/.direnv/flake-profile", "env"),
    );
    let hold = tree.auto("hold", &tree.to_store("holds/run/3", "held"));
    let other = tree.auto("other", &tree.to_store("home/me/p/x", "x"));
    let snapshot = tree.as_root();
    let expected = [
        (system, RootKind::System),
        (home, RootKind::Home),
        (direnv, RootKind::Direnv),
        (hold, RootKind::Hold),
        (other, RootKind::Other),
    ];
    for (entry, kind) in expected {
        assert_eq!(root(&snapshot, &entry).kind, kind, "{entry}");
    }
}

#[test]
fn the_collector_does_not_follow_linked_directories_nor_do_we() {
    let tree = Tree::new();
    tree.to_store("elsewhere/x", "p");
    tree.link("state/gcroots/profiles", "{}/elsewhere");
    // Every machine has such a link, and it is neither followed nor a root that leads nowhere.
    assert!(tree.as_root().roots.is_empty());
}

#[rstest]
#[case::gcroots_gone(&["gcroots"], true, true)]
#[case::both_gone(&["gcroots", "profiles"], true, true)]
#[case::never_used(&["gcroots", "profiles"], false, false)]
#[case::no_profiles_yet(&["profiles"], true, false)]
fn roots_do_not_vanish_silently(#[case] gone: &[&str], #[case] used: bool, #[case] refused: bool) {
    let tree = Tree::new();
    for dir in gone {
        fs::remove_dir_all(tree.at("state").join(dir)).unwrap();
    }
    if !used {
        fs::remove_dir(tree.at("state/db")).unwrap();
    }
    for actor in [Actor::Root, Actor::User(uid()), Actor::User(uid() + 1)] {
        let snapshot = tree.observe(actor);
        assert_eq!(
            codes(&snapshot),
            vec![CheckCode::RootsUnreadable; usize::from(refused)]
        );
        assert!(
            snapshot
                .blockers
                .iter()
                .all(|r| r.message.contains("vanished"))
        );
    }
}

#[test]
fn a_linked_gcroots_hides_all_roots() {
    let tree = Tree::new();
    fs::rename(tree.at("state/gcroots"), tree.at("elsewhere")).unwrap();
    tree.link("state/gcroots", "../elsewhere");
    for actor in [Actor::Root, Actor::User(uid() + 1)] {
        assert_eq!(codes(&tree.observe(actor)), [CheckCode::RootsUnreadable]);
    }
}

#[test]
fn a_missing_store_directory_is_refused() {
    let tree = Tree::new();
    tree.profile("state/profiles/system", &[1]);
    fs::rename(tree.at("store"), tree.at("away")).unwrap();
    let snapshot = tree.as_root();
    assert!(codes(&snapshot).contains(&CheckCode::RootsUnreadable));
    let found = &snapshot.profiles[0];
    assert!(found.blocked.is_some());
    assert!(
        found
            .generations
            .values()
            .all(|g| g.content.on_disk().is_none())
    );
    assert!(
        snapshot
            .roots
            .iter()
            .all(|r| matches!(r.state, RootState::Unreadable(_)))
    );
}

#[test]
fn a_missing_store_directory_is_refused_without_any_root() {
    let tree = Tree::new();
    fs::remove_dir(tree.at("store")).unwrap();
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(codes(&snapshot), [CheckCode::RootsUnreadable]);
        assert!(snapshot.blockers[0].message.contains("store directory"));
    }
}

#[test]
fn a_missing_state_directory_is_an_error() {
    let tree = Tree::new();
    fs::rename(tree.at("state"), tree.at("away")).unwrap();
    let error = tree.try_observe(Actor::Root).unwrap_err();
    assert!(error.to_string().contains(tree.places.state_dir.as_str()));
}

/// An entry whose way is a loop of links: an error for root as well.
fn looped() -> (Tree, Utf8PathBuf) {
    let tree = Tree::new();
    tree.link("loop", "loop");
    let entry = tree.link(AUTO, "{}/loop/result");
    (tree, entry)
}

fn is_unreadable(snapshot: &Snapshot, entry: &Utf8PathBuf) -> bool {
    matches!(root(snapshot, entry).state, RootState::Unreadable(_))
}

#[test]
fn an_unreadable_root_is_refused_with_the_rights_of_the_collector() {
    let (tree, entry) = looped();
    for actor in [Actor::Root, Actor::User(uid())] {
        let snapshot = tree.observe(actor);
        assert!(is_unreadable(&snapshot, &entry));
        assert_eq!(codes(&snapshot), [CheckCode::RootsUnreadable]);
        assert!(snapshot.blockers[0].message.contains("loop/result"));
    }
}

#[test]
fn an_unreadable_root_is_counted_for_a_daemons_user() {
    let (tree, entry) = looped();
    tree.link("state/gcroots/auto/b", "{}/loop/result2");
    let snapshot = tree.observe(Actor::User(uid() + 1));
    assert!(is_unreadable(&snapshot, &entry));
    assert_eq!(snapshot.blockers, []);
    let note = "2 roots of other users cannot be read; the daemon sees them";
    assert_eq!(snapshot.notes, [Note::new(NoteCode::RootsUnseen, note)]);
}

#[test]
fn many_unreadable_roots_are_counted() {
    let (tree, _) = looped();
    for n in 0..30 {
        tree.link(&format!("state/gcroots/auto/{n}"), "{}/loop/result");
    }
    let snapshot = tree.as_root();
    assert_eq!(snapshot.blockers.len(), 11);
    assert!(snapshot.blockers[10].message.contains("21 more"));
}

#[test]
fn ones_own_home_that_is_there_and_empty_is_not_away() {
    let tree = Tree::new();
    let home = tree.at("home/me");
    let entry = tree.auto("a", &home.join("result"));
    let own = Actor::User(uid());
    let snapshot = tree.observe(own);
    assert_eq!(root(&snapshot, &entry).state, dangling(Dangling::LinkGone));
    assert_eq!(codes(&snapshot), []);
    // It is somebody else's as well, not there, or what somebody else left of it.
    let away = |tree: &Tree| {
        let snapshot = tree.observe(own);
        assert_eq!(
            root(&snapshot, &entry).state,
            dangling(Dangling::ParentMissing)
        );
        assert_eq!(codes(&snapshot), [CheckCode::RootsAway]);
    };
    let list = fs::read_to_string(&tree.places.passwd).unwrap();
    tree.other_user("home/me");
    away(&tree);
    fs::write(&tree.places.passwd, list).unwrap();
    fs::remove_dir(&home).unwrap();
    away(&tree);
    tree.dir("home/me");
    if super::tree::give_away(&home) {
        away(&tree);
    }
}
