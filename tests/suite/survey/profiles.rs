//! Where profiles are found.

use std::collections::BTreeSet;
use std::fs;

use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::profile::{Current, GenerationNumber, ProfileKind};
use nix_prune::domain::snapshot::Actor;
use rstest::rstest;

use super::tree::{NOW, Tree, codes, give_away, names, numbers, profile, uid};

#[rstest]
#[case("state/profiles/system", ProfileKind::System)]
#[case("state/profiles/default", ProfileKind::Default)]
#[case("state/profiles/mine", ProfileKind::Other)]
#[case("state/profiles/home-manager", ProfileKind::Other)]
#[case("state/profiles/system-profiles/test", ProfileKind::NamedSystem)]
#[case("state/profiles/system-profiles/system", ProfileKind::NamedSystem)]
#[case("state/profiles/per-user/me/profile", ProfileKind::User)]
#[case("state/profiles/per-user/me/channels", ProfileKind::Channels)]
#[case("state/profiles/per-user/me/home-manager", ProfileKind::HomeManager)]
#[case("state/profiles/per-user/me/tools", ProfileKind::User)]
#[case("state/profiles/a/b/c/deep", ProfileKind::Other)]
#[case("state/profiles/nix-on-droid", ProfileKind::NixOnDroid)]
#[case("state/profiles/system-manager", ProfileKind::Other)]
#[case(
    "state/profiles/system-manager-profiles/system-manager",
    ProfileKind::SystemManager
)]
#[case("state/profiles/system-manager-profiles/other", ProfileKind::Other)]
#[case("state/profiles/per-user/me/nix-on-droid", ProfileKind::User)]
#[case("home/me/.local/state/nix/profiles/nix-on-droid", ProfileKind::User)]
#[case("home/me/.local/state/nix/profiles/profile", ProfileKind::User)]
#[case("home/me/.local/state/nix/profiles/channels", ProfileKind::Channels)]
#[case(
    "home/me/.local/state/nix/profiles/home-manager",
    ProfileKind::HomeManager
)]
#[case("home/me/.local/state/nix/profiles/system", ProfileKind::User)]
fn trap_13_profiles_are_found_where_nix_keeps_them(#[case] path: &str, #[case] kind: ProfileKind) {
    let tree = Tree::new();
    let path = tree.rooted(path, &[1, 2, 10]);
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(names(&snapshot), [path.to_string()]);
        let found = profile(&snapshot, &path);
        assert_eq!(found.kind, kind);
        assert_eq!(found.current, Current::Known(GenerationNumber(10)));
        assert_eq!(numbers(found), [1, 2, 10]);
        assert_eq!(found.owner.uid, uid());
        assert_eq!(found.owner.name.as_deref(), Some("me"));
        assert_eq!(found.blocked, None);
        assert_eq!(snapshot.blockers, []);
    }
}

/// Below `per-container` only root's directories are the machine's to change.
#[rstest]
#[case("web/system", ProfileKind::Container)]
#[case("web/default", ProfileKind::Other)]
#[case("web/home-manager", ProfileKind::Other)]
#[case("web/per-user/me/profile", ProfileKind::Other)]
#[case("web/per-user/me/channels", ProfileKind::Other)]
#[case("web/system-profiles/test", ProfileKind::Other)]
#[case("web/per-container/inner/system", ProfileKind::Other)]
#[case("system", ProfileKind::Other)]
#[case("a\n\u{1b}[2Jb/system", ProfileKind::Container)]
#[case("per-container/system", ProfileKind::Container)]
fn containers_have_profiles_of_their_own(#[case] path: &str, #[case] kind: ProfileKind) {
    let tree = Tree::new();
    let path = tree.profile(&format!("state/profiles/per-container/{path}"), &[1, 2]);
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [path.to_string()]);
    let found = profile(&snapshot, &path);
    assert_eq!(found.kind, kind);
    assert_eq!(found.current, Current::Known(GenerationNumber(2)));
    assert_eq!(numbers(found), [1, 2]);
    assert_eq!(snapshot.blockers, []);
    let is_in_a_container = path.dir() != tree.at("state/profiles/per-container");
    let is_ours = uid() == 0 || !is_in_a_container;
    assert_eq!(found.blocked.is_none(), is_ours, "{:?}", found.blocked);
    if is_in_a_container && give_away(path.dir()) {
        let blocked = profile(&tree.as_root(), &path).blocked.clone();
        let blocked = blocked.unwrap();
        assert!(blocked.contains("of a container"), "{blocked}");
    }
}

#[rstest]
#[case("state/profiles/per-container", "elsewhere", "elsewhere/web/system")]
#[case("state/profiles/per-container/web", "elsewhere", "elsewhere/system")]
#[case(
    "state/profiles/system-manager-profiles",
    "elsewhere",
    "elsewhere/system-manager"
)]
fn no_directory_of_systems_is_reached_through_a_link(
    #[case] link: &str,
    #[case] text: &str,
    #[case] real: &str,
) {
    let tree = Tree::new();
    tree.profile(real, &[1, 2]);
    tree.link(link, &format!("{{}}/{text}"));
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [""; 0]);
    assert_eq!(snapshot.blockers, []);
}

/// The link is made by `system-manager` and has the store path itself.
#[test]
fn system_manager_names_the_system_that_it_runs() {
    let tree = Tree::new();
    let path = "state/profiles/system-manager-profiles/system-manager";
    let path = tree.profile(path, &[1, 2, 3]);
    let link = tree.to_store("state/gcroots/system-manager-current", "system-manager-1");
    let snapshot = tree.as_root();
    assert_eq!(
        snapshot.running[0].to_string(),
        Tree::base_name("system-manager-1")
    );
    assert_eq!(snapshot.running.len(), 1);
    fs::remove_file(&link).unwrap();
    tree.link("state/gcroots/system-manager-current", "/etc");
    let system = tree.profile("state/profiles/system", &[1]);
    let snapshot = tree.as_root();
    assert!(profile(&snapshot, &path).blocked.is_some());
    assert_eq!(profile(&snapshot, &system).blocked, None);
}

#[test]
fn the_record_of_a_running_container_must_be_readable() {
    let tree = Tree::new();
    let web = tree.profile("state/profiles/per-container/web/system", &[1, 2]);
    let db = tree.profile("state/profiles/per-container/db/system", &[1, 2]);
    tree.file("run/systemd/machines/web", "NAME=web\n");
    let snapshot = tree.as_root();
    let blocked = profile(&snapshot, &web).blocked.clone().unwrap();
    if uid() == 0 {
        assert!(blocked.contains("names no process"), "{blocked}");
        assert_eq!(profile(&snapshot, &db).blocked, None);
    }
    assert_eq!(codes(&snapshot), [CheckCode::ProfileUnreadable]);
    assert_eq!(snapshot.blockers[0].places, [web.to_path()]);
    assert!(!snapshot.blockers[0].code.stops_collection());
}

#[test]
fn the_snapshot_says_when_and_where_it_was_taken() {
    let tree = Tree::new();
    let snapshot = tree.as_me();
    assert_eq!(snapshot.taken_at, Timestamp::from_unix(NOW, 0).unwrap());
    assert_eq!(snapshot.actor, Actor::User(uid()));
    assert_eq!(snapshot.store, tree.places.store);
    assert_eq!(snapshot.state_dir, tree.places.state_dir);
    assert_eq!(snapshot.machine.0.len(), 32);
    assert!(snapshot.profiles.is_empty() && snapshot.roots.is_empty());
    assert!(snapshot.blockers.is_empty() && snapshot.notes.is_empty());
}

#[test]
fn another_machine_has_another_id() {
    let tree = Tree::new();
    let mut ids = BTreeSet::from([tree.as_me().machine.0]);
    tree.file("machine-id", "fedcba9876543210\n");
    ids.insert(tree.as_me().machine.0);
    fs::remove_file(&tree.places.machine_id).unwrap();
    ids.insert(tree.as_me().machine.0);
    let mut other = Tree::new();
    other.file("machine-id", "0123456789abcdef");
    ids.insert(other.as_me().machine.0);
    other.places.store = tree.places.store.clone();
    ids.insert(other.as_me().machine.0);
    assert_eq!(ids.len(), 5);
}

/// Adds users to the list, beside ourselves.
fn users(tree: &Tree, lines: &[&str]) {
    let me = format!("me:x:{}:100::{}:/bin/sh", uid(), tree.at("home/me"));
    let lines = lines
        .iter()
        .map(|line| line.replace("{}", tree.base.as_str()));
    let lines: Vec<String> = std::iter::once(me).chain(lines).collect();
    tree.file("passwd", &lines.join("\n"));
}

#[test]
fn trap_13_root_sees_the_homes_of_all_users_and_a_user_their_own() {
    let tree = Tree::new();
    users(
        &tree,
        &[
            "broken line",
            "nobody:x:65534:65534::/nonexistent:/bin/false",
            "daemon:x:1:1::/:/bin/false",
            "null:x:2:2::/dev/null:/bin/false",
            "file:x:3:3::{}/passwd:/bin/false",
            "alice:x:4242:100::{}/home/alice:/bin/sh",
            "twin:x:4243:100::{}/home/alice:/bin/sh",
            "gone:x:4244:100::{}/home/gone:/bin/sh",
        ],
    );
    let mine = tree.rooted("home/me/.local/state/nix/profiles/profile", &[1]);
    let hers = tree.profile("home/alice/.local/state/nix/profiles/home-manager", &[1]);
    // A root, but none that leads there.
    tree.to_store("state/gcroots/hers", "home-manager-1");
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [hers.to_string(), mine.to_string()]);
    assert_eq!(profile(&snapshot, &hers).kind, ProfileKind::HomeManager);
    assert_eq!(snapshot.blockers, []);
    assert_eq!(names(&tree.as_me()), [mine.to_string()]);
}

#[test]
fn own_profiles_may_be_elsewhere() {
    let mut tree = Tree::new();
    tree.places.own_profiles = Some(tree.at("xdg/nix/profiles"));
    let mine = tree.profile("xdg/nix/profiles/profile", &[1]);
    for snapshot in [tree.as_root(), tree.as_me()] {
        assert_eq!(names(&snapshot), [mine.to_string()]);
        assert_eq!(snapshot.profiles[0].kind, ProfileKind::User);
    }
}

#[test]
fn profiles_elsewhere_are_revealed_by_their_roots() {
    let tree = Tree::new();
    let path = tree.rooted("work/p", &[1, 2]);
    let home = tree.rooted("work/home-manager", &[1]);
    let unknown = tree.rooted("work/q", &[1, 2]);
    tree.profile("work/unrevealed", &[1]);
    // Neither direct links nor results reveal anything.
    tree.to_store("state/gcroots/auto/direct-1-link", "direct");
    tree.auto("result", &tree.to_store("work2/result", "result"));
    fs::remove_file(unknown.to_path()).unwrap();
    for snapshot in [tree.as_root(), tree.as_me()] {
        let expected = [home.to_string(), path.to_string(), unknown.to_string()];
        assert_eq!(names(&snapshot), expected);
        assert_eq!(profile(&snapshot, &home).kind, ProfileKind::HomeManager);
        let found = profile(&snapshot, &path);
        assert_eq!(found.kind, ProfileKind::Other);
        assert_eq!(numbers(found), [1, 2]);
        assert!(found.current().is_some());
        assert!(profile(&snapshot, &unknown).current().is_none());
        // Anybody can leave such a link behind; it must not stop a collection.
        assert_eq!(snapshot.blockers, []);
        assert_eq!(snapshot.notes.len(), 1);
    }
    let other = tree.observe(Actor::User(uid() + 1));
    assert_eq!(other.profiles, []);
}

#[test]
fn holds_reveal_nothing() {
    let mut tree = Tree::new();
    tree.previous_runs.holds_dir = Some(tree.at("holds"));
    tree.auto("hold", &tree.to_store("holds/run/system-1-link", "held"));
    assert!(tree.as_root().profiles.is_empty());
}

#[test]
fn the_settings_may_name_profiles() {
    let mut tree = Tree::new();
    let path = tree.rooted("work/p", &[1]);
    tree.profile("work/not-asked", &[1]);
    let system = tree.profile("state/profiles/system", &[1]);
    let twice = tree.at("work//p");
    tree.extra = vec![path.to_path(), system.to_path(), twice];
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [system.to_string(), path.to_string()]);
    assert_eq!(snapshot.blockers, []);
}

#[rstest]
#[case("work/p")]
#[case("work/q")]
#[case("state/profiles/q")]
#[case("away/p")]
#[case("state/profiles/system-1-link")]
fn a_profile_that_the_settings_name_must_be_there(#[case] path: &str) {
    let mut tree = Tree::new();
    tree.dir("work/p");
    tree.profile("state/profiles/system", &[1]);
    tree.extra = vec![tree.at(path)];
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [CheckCode::ProfileAbsent]);
    assert!(snapshot.blockers[0].message.contains(path));
    assert_eq!(snapshot.blockers[0].places, [tree.at(path)]);
}

#[rstest]
#[case::a_slip("state/profiles/sytem", Some("state/profiles/system"))]
#[case::a_generation("state/profiles/system-1-link", Some("state/profiles/system"))]
#[case::another_directory("work/system", Some("state/profiles/system"))]
#[case::nothing_like_it("state/profiles/tools", None)]
fn an_absent_profile_comes_with_the_one_that_was_meant(
    #[case] asked: &str,
    #[case] meant: Option<&str>,
) {
    let mut tree = Tree::new();
    tree.profile("state/profiles/default", &[1]);
    tree.profile("state/profiles/system", &[1]);
    tree.extra = vec![tree.at(asked)];
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [CheckCode::ProfileAbsent]);
    let hint = &snapshot.blockers[0].hint;
    let question = meant.map(|meant| format!("did you mean {}?", tree.at(meant)));
    match question {
        Some(question) => assert!(hint.contains(&question), "{hint}"),
        None => assert!(!hint.contains("did you mean"), "{hint}"),
    }
}

#[test]
fn a_profile_that_the_settings_call_by_another_name_stays() {
    let mut tree = Tree::new();
    let path = tree.profile("home/me/.local/state/nix/profiles/profile", &[1, 2]);
    tree.link("h", "{}/home");
    tree.extra = vec![tree.at("h/me/.local/state/nix/profiles/profile")];
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [path.to_string()]);
    let blocked = profile(&snapshot, &path).blocked.clone().unwrap();
    assert!(
        blocked.contains("h/me") && blocked.contains(path.to_path().as_str()),
        "{blocked}"
    );
}
