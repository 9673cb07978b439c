//! What must not be read, or not be touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix_prune::adapters::nix_dirs::NameServices;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::profile::ProfileKind;
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

/// Another person, whose home is there, a directory of a user that is gone, and every sign of that.
fn tree_with_a_removed_user() -> Option<Tree> {
    let mut tree = Tree::new();
    let ann = tree.dir("home/ann");
    let switch = tree.file("nsswitch.conf", "passwd: files systemd\n");
    tree.places.name_services = NameServices {
        switch,
        records: vec![tree.at("userdb"), tree.dir("homed")],
        providers: tree.dir("providers"),
        processes: tree.dir("proc"),
    };
    tree.link("proc/self", "1");
    let list = format!("root:x:0:0::/root:/bin/sh\nann:x:4343:100::{ann}:/bin/sh\n");
    tree.file("passwd", &list);
    tree.profile("state/profiles/per-user/left/profile", &[1, 2]);
    let ours = give_away(&tree.at("state/profiles/per-user/left"));
    (ours && std::os::unix::fs::lchown(&ann, Some(4343), None).is_ok()).then_some(tree)
}

#[rstest]
#[case::every_sign(|_: &mut Tree| {}, true)]
#[case::in_the_list(|tree: &mut Tree| add(tree, "left:x:4242:100::/home/left:/bin/sh"), false)]
#[case::other_name_in_the_list(|tree: &mut Tree| add(tree, "l:x:4242:100::/home/l:/bin/sh"), false)]
#[case::other_number_in_the_list(|tree: &mut Tree| add(tree, "left:x:4244:100::/home/l:/bin/sh"), false)]
#[case::no_root_in_the_list(|tree: &mut Tree| {
    let list = fs::read_to_string(&tree.places.passwd).unwrap();
    tree.file("passwd", list.split_once('\n').unwrap().1);
}, false)]
#[case::home(|tree: &mut Tree| { tree.dir("home/left"); }, false)]
#[case::home_is_a_dangling_link(|tree: &mut Tree| { tree.link("home/left", "/nowhere/at/all"); }, false)]
#[case::home_on_a_disk(|tree: &mut Tree| { tree.dir("media/left"); }, false)]
#[case::nobody_has_a_home(|tree: &mut Tree| fs::remove_dir(tree.at("home/ann")).unwrap(), false)]
#[case::homes_are_not_mounted(|tree: &mut Tree| fs::remove_dir_all(tree.at("home")).unwrap(), false)]
#[case::directory_service(|tree: &mut Tree| { tree.file("nsswitch.conf", "passwd: files sss\n"); }, false)]
#[case::no_name_services(|tree: &mut Tree| fs::remove_file(tree.at("nsswitch.conf")).unwrap(), false)]
#[case::record_of_the_number(|tree: &mut Tree| { tree.file("userdb/4242.user", "{}"); }, false)]
#[case::record_of_the_name(|tree: &mut Tree| { tree.file("userdb/left.user", "{}"); }, false)]
#[case::systemd_home(|tree: &mut Tree| { tree.file("homed/left.identity", "{}"); }, false)]
#[case::provider_of_systemd(|tree: &mut Tree| { tree.file("providers/io.systemd.DynamicUser", ""); }, true)]
#[case::provider_of_ranges(|tree: &mut Tree| { tree.link("providers/io.systemd.NamespaceResource", "../x"); }, true)]
#[case::other_provider(|tree: &mut Tree| { tree.file("providers/com.example.Directory", ""); }, false)]
#[case::renamed(|tree: &mut Tree| {
    tree.link("home/ann/.nix-profile", "{}/state/profiles/per-user/left/profile");
}, false)]
#[case::root_by_hand(|tree: &mut Tree| {
    tree.link("state/gcroots/app", "{}/state/profiles/per-user/left/profile");
}, false)]
#[case::other_profile(|tree: &mut Tree| {
    tree.link("home/ann/.nix-profile", "{}/state/profiles/per-user/left-over/profile");
}, true)]
#[case::process(|tree: &mut Tree| {
    std::os::unix::fs::chown(tree.dir("proc/12"), Some(4242), None).unwrap();
}, false)]
#[case::no_processes(|tree: &mut Tree| fs::remove_file(tree.at("proc/self")).unwrap(), false)]
#[case::open_to_others(|tree: &mut Tree| {
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(tree.at("state/profiles/per-user/left"), open).unwrap();
}, false)]
#[case::service(|tree: &mut Tree| own(tree, 999), false)]
#[case::dynamic_user(|tree: &mut Tree| own(tree, 61_184), false)]
#[case::systemd_homed(|tree: &mut Tree| own(tree, 60_001), false)]
#[case::container(|tree: &mut Tree| own(tree, 100_000), false)]
#[case::per_user_is_not_roots(|tree: &mut Tree| {
    std::os::unix::fs::chown(tree.at("state/profiles/per-user"), Some(4343), None).unwrap();
}, false)]
#[case::per_user_is_a_link(|tree: &mut Tree| {
    fs::rename(tree.at("state/profiles/per-user"), tree.at("per-user")).unwrap();
    tree.link("state/profiles/per-user", "{}/per-user");
}, false)]
fn trap_44_a_user_is_removed_only_if_everything_says_so(
    #[case] change: fn(&mut Tree),
    #[case] removed: bool,
) {
    let Some(mut tree) = tree_with_a_removed_user() else {
        return;
    };
    change(&mut tree);
    let snapshot = tree.as_root();
    let kinds = snapshot.profiles.iter();
    let kinds: Vec<_> = kinds.map(|it| (it.kind, it.blocked.is_some())).collect();
    let is_removed = kinds == [(ProfileKind::RemovedUser, false)];
    assert_eq!(is_removed, removed, "{kinds:?}");
    // Whatever is missing, nothing of it is changed then.
    let is_safe = |it: &(ProfileKind, bool)| it.1 || it.0 == ProfileKind::RemovedUser || uid() != 0;
    let is_listed = snapshot.profiles.iter().any(|it| it.owner.name.is_some());
    assert!(is_listed || kinds.iter().all(is_safe), "{kinds:?}");
    for user in [4242, 4343] {
        let snapshot = tree.observe(nix_prune::domain::snapshot::Actor::User(user));
        assert!(
            snapshot
                .profiles
                .iter()
                .all(|it| it.kind != ProfileKind::RemovedUser)
        );
    }
}

fn add(tree: &mut Tree, line: &str) {
    let list = fs::read_to_string(&tree.places.passwd).unwrap();
    tree.file("passwd", &format!("{list}{line}\n"));
}

fn own(tree: &mut Tree, uid: u32) {
    let dir = tree.at("state/profiles/per-user/left");
    std::os::unix::fs::lchown(dir, Some(uid), None).unwrap();
}

/// What is left after its generations were removed stops nothing.
#[test]
fn the_empty_profile_of_a_removed_user_is_no_failure() {
    let Some(tree) = tree_with_a_removed_user() else {
        return;
    };
    for number in [1, 2] {
        let link = format!("state/profiles/per-user/left/profile-{number}-link");
        fs::remove_file(tree.at(&link)).unwrap();
    }
    let snapshot = tree.as_root();
    assert_eq!(snapshot.profiles.len(), 1);
    assert_eq!(snapshot.blockers, []);
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
