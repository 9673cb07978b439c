//! What must not be read, or not be touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix_prune::domain::blocker::CheckCode;
use rstest::rstest;

use super::tree::{Tree, codes, give_away, names, numbers, profile, uid};

#[rstest]
#[case("home/me/.local", "{}/elsewhere", "elsewhere/state/nix/profiles")]
#[case("home/me/.local/state/nix", "../../real", "home/me/real/profiles")]
#[case("home/me/.local/state/nix/profiles", "{}/elsewhere", "elsewhere")]
fn root_touches_nothing_behind_a_users_link(
    #[case] link: &str,
    #[case] text: &str,
    #[case] real: &str,
) {
    let tree = Tree::new();
    tree.profile(&format!("{real}/profile"), &[1, 2]);
    tree.link(link, text);
    let path = tree.path("home/me/.local/state/nix/profiles/profile");
    let snapshot = tree.as_me();
    assert_eq!(profile(&snapshot, &path).blocked, None);
    let snapshot = tree.as_root();
    let found = profile(&snapshot, &path);
    // A link of root's in a directory that only root can write to is the machine's layout; the tree is root's when
    // root runs this, a user's when a user does.
    assert_eq!(found.blocked.is_some(), uid() != 0, "{:?}", found.blocked);
    assert_eq!(numbers(found), [1, 2]);
    if give_away(&tree.at(link)) {
        let blocked = profile(&tree.as_root(), &path).blocked.clone().unwrap();
        let through = format!("through the link {}", tree.at(link));
        assert!(blocked.contains(&through), "{blocked}");
    }
}

#[test]
fn a_home_may_lie_behind_a_link() {
    let mut tree = Tree::new();
    tree.link("h", "{}/home");
    tree.places.home = Some(tree.at("h/me"));
    tree.places.own_profiles = Some(tree.at("h/me/.local/state/nix/profiles"));
    let home = tree.at("h/me");
    tree.file("passwd", &format!("me:x:{}:100::{home}:/bin/sh", uid()));
    tree.profile("home/me/.local/state/nix/profiles/profile", &[1]);
    give_away(&tree.at("h"));
    let path = tree.path("h/me/.local/state/nix/profiles/profile");
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(names(&snapshot), [path.to_string()]);
        assert_eq!(profile(&snapshot, &path).blocked, None);
    }
}

#[rstest]
#[case(0o755, false)]
#[case(0o700, false)]
#[case(0o775, true)]
#[case(0o757, true)]
#[case(0o1777, false)]
fn root_touches_nothing_where_others_may_write(#[case] mode: u32, #[case] blocked: bool) {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/per-user/me/profile", &[1, 2]);
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(tree.at("state/profiles/per-user/me"), permissions).unwrap();
    assert_eq!(profile(&tree.as_root(), &path).blocked.is_some(), blocked);
    assert_eq!(profile(&tree.as_me(), &path).blocked, None);
}

#[test]
fn trap_44_the_profiles_of_an_unknown_user_stay() {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/per-user/left/profile", &[1, 2]);
    if !give_away(&tree.at("state/profiles/per-user/left")) {
        return;
    }
    let found = tree.as_root();
    let found = profile(&found, &path);
    assert!(found.blocked.as_ref().unwrap().contains("user 4242"));
    assert_eq!((found.owner.uid, found.owner.name.as_deref()), (4242, None));
}

#[rstest]
#[case::file(|tree: &Tree| { tree.file("home/me/.local/state", ""); })]
#[case::loop_of_links(|tree: &Tree| { tree.link("home/me/.local", ".local"); })]
#[case::dangling(|tree: &Tree| { tree.link("home/me/.local/state/nix/profiles", "{}/away"); })]
fn what_cannot_be_read_is_refused(#[case] make: fn(&Tree)) {
    let tree = Tree::new();
    make(&tree);
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(codes(&snapshot), [CheckCode::ProfileUnreadable]);
        assert!(snapshot.blockers[0].message.contains("home/me/.local"));
    }
}

/// A home on a disk that is away, behind a link: Nix would forget what leads there.
#[test]
fn trap_17_roots_behind_a_link_that_leads_nowhere_are_away() {
    let tree = Tree::new();
    let dir = "home/me/.local/state/nix/profiles";
    tree.link(dir, "{}/away");
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(codes(&snapshot), [CheckCode::ProfileUnreadable]);
        assert!(!snapshot.blockers[0].code.stops_collection());
    }
    tree.auto("a", &tree.at(&format!("{dir}/profile-1-link")));
    for snapshot in [tree.as_root(), tree.as_me()] {
        let away = snapshot
            .blockers
            .iter()
            .find(|r| r.code == CheckCode::RootsAway);
        assert_eq!(away.unwrap().places, [tree.at(dir)]);
    }
}

#[test]
fn a_linked_profiles_directory_is_refused() {
    let tree = Tree::new();
    fs::remove_dir(tree.at("state/profiles")).unwrap();
    tree.profile("elsewhere/system", &[1]);
    tree.link("state/profiles", "{}/elsewhere");
    let snapshot = tree.as_root();
    let expected = [CheckCode::RootsUnreadable, CheckCode::ProfileUnreadable];
    assert_eq!(codes(&snapshot), expected);
    assert!(snapshot.profiles.is_empty());
}

#[test]
fn links_to_directories_are_not_followed() {
    let tree = Tree::new();
    tree.profile("elsewhere/system", &[1]);
    tree.link("state/profiles/per-user", "{}/elsewhere");
    let snapshot = tree.as_root();
    assert!(snapshot.profiles.is_empty());
}

#[test]
fn deep_directories_are_noted() {
    let tree = Tree::new();
    let deep = |n| format!("state/profiles{}", "/d".repeat(n));
    tree.profile(&format!("{}/p", deep(64)), &[1]);
    tree.profile(&format!("{}/p", deep(65)), &[1]);
    let snapshot = tree.as_root();
    assert_eq!(snapshot.profiles.len(), 1);
    assert_eq!(snapshot.notes.len(), 1);
    assert!(snapshot.notes[0].contains(&deep(65)));
}

#[test]
fn root_needs_the_list_of_users() {
    let tree = Tree::new();
    fs::remove_file(&tree.places.passwd).unwrap();
    assert_eq!(codes(&tree.as_root()), [CheckCode::UsersUnreadable]);
    assert_eq!(codes(&tree.as_me()), []);
}

#[test]
fn booted_and_running_systems_are_read() {
    let tree = Tree::new();
    tree.to_store("run/booted-system", "booted");
    tree.link(
        "run/current-system",
        &format!("{{}}/store/{}", Tree::base_name("gone")),
    );
    tree.link("state/gcroots/booted-system", "{}/run/booted-system");
    tree.to_store("state/gcroots/current-system", "other");
    let snapshot = tree.as_root();
    let found = |paths: &[nix_prune::domain::store_path::StorePath<String>]| {
        paths
            .iter()
            .map(|path| path.name().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&snapshot.booted), ["booted"]);
    assert_eq!(found(&snapshot.running), ["gone", "other"]);
    assert_eq!(snapshot.blockers, []);
}

#[rstest]
#[case::dangling("{}/away", false)]
#[case::file("{}/passwd", true)]
#[case::into_the_store_directory("{}/store/.links", true)]
#[case::loop_of_links("booted-system", true)]
fn an_unknown_booted_system_blocks_all_of_them(#[case] text: &str, #[case] unknown: bool) {
    let tree = Tree::new();
    let system = tree.profile("state/profiles/system", &[1]);
    let named = tree.profile("state/profiles/system-profiles/x", &[1]);
    let other = tree.profile("state/profiles/per-user/me/profile", &[1]);
    tree.link("run/booted-system", text);
    let snapshot = tree.as_root();
    for path in [&system, &named] {
        assert_eq!(profile(&snapshot, path).blocked.is_some(), unknown);
    }
    assert_eq!(profile(&snapshot, &other).blocked, None);
    assert_eq!(
        codes(&snapshot).contains(&CheckCode::RootsUnreadable),
        unknown
    );
}
