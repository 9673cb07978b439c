//! What a profile's names and links say.

use std::fs;

use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::profile::{Content, Current, CurrentUnknown, GenerationNumber};
use rstest::rstest;

use super::tree::{NOW, Tree, codes, names, numbers, profile, touch};

#[rstest]
#[case("{}/state/profiles/system-2-link", "absolute")]
#[case("./system-2-link", "dotted")]
#[case("../profiles/system-2-link", "roundabout")]
#[case("system-02-link", "zero")]
#[case("other-2-link", "of another")]
#[case("system-2-link~", "with a tail")]
#[case("{}/store", "into the store")]
#[case("nowhere", "nowhere")]
fn trap_12_only_the_bare_name_tells_the_current_one(#[case] text: &str, #[case] what: &str) {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 2]);
    fs::remove_file(path.to_path()).unwrap();
    tree.link("state/profiles/system", text);
    let snapshot = tree.as_root();
    let found = profile(&snapshot, &path);
    let text = text.replace("{}", tree.base.as_str());
    let unknown = Current::Unknown(CurrentUnknown::OtherText(text));
    assert_eq!(found.current, unknown, "{what}");
    assert_eq!(numbers(found), [1, 2]);
    assert!(
        codes(&snapshot).contains(&CheckCode::CurrentUnknown),
        "{what}"
    );
}

#[rstest]
#[case::no_link(|_: &Tree| {}, CurrentUnknown::NoLink)]
#[case::file(|tree: &Tree| { tree.file("state/profiles/system", ""); }, CurrentUnknown::NotALink)]
#[case::directory(|tree: &Tree| { tree.dir("state/profiles/system"); }, CurrentUnknown::NotALink)]
#[case::dangling(
    |tree: &Tree| { tree.link("state/profiles/system", "system-3-link"); },
    CurrentUnknown::Dangling(GenerationNumber(3))
)]
fn trap_05_an_unknown_current_generation_is_refused(
    #[case] make: fn(&Tree),
    #[case] why: CurrentUnknown,
) {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 2]);
    fs::remove_file(path.to_path()).unwrap();
    make(&tree);
    let snapshot = tree.as_root();
    assert_eq!(profile(&snapshot, &path).current, Current::Unknown(why));
    let dangling = matches!(
        profile(&snapshot, &path).current,
        Current::Unknown(CurrentUnknown::Dangling(_))
    );
    // Nothing but its link kept the system that is gone.
    let vanished = dangling.then_some(CheckCode::RootsVanished);
    let expected = [CheckCode::CurrentUnknown].into_iter().chain(vanished);
    assert_eq!(codes(&snapshot), expected.collect::<Vec<_>>());
    let blocker = &snapshot.blockers[0];
    assert_eq!(blocker.places, [path.to_path()]);
    assert!(blocker.message.contains(path.to_path().as_str()));
    assert!(blocker.hint.contains("--switch-generation"));
}

#[test]
fn a_link_without_generations_is_a_profile_that_lost_them() {
    let tree = Tree::new();
    tree.link("state/profiles/system", "system-3-link");
    tree.link("state/profiles/tools", "{}/state/profiles/tools-1-link");
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot).len(), 2);
    assert!(
        snapshot
            .profiles
            .iter()
            .all(|p| p.generations.is_empty() && p.current().is_none())
    );
    let (unknown, vanished) = (CheckCode::CurrentUnknown, CheckCode::RootsVanished);
    assert_eq!(codes(&snapshot), [unknown, vanished, unknown]);
    assert!(
        snapshot.blockers[0]
            .hint
            .contains("no generation to switch to")
    );
}

#[test]
fn another_name_of_a_profile_is_no_profile() {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/per-user/root/profile", &[1]);
    tree.link(
        "state/profiles/default",
        "{}/state/profiles/per-user/root/profile",
    );
    tree.link("state/profiles/per-user/root/x", "profile");
    tree.link(
        "home/me/.nix-profile",
        "{}/home/me/.local/state/nix/profiles/profile",
    );
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [path.to_string()]);
    assert_eq!(snapshot.blockers, []);
}

#[test]
fn trap_07_names_that_begin_with_each_other_do_not_mix() {
    let tree = Tree::new();
    let dir = "state/profiles";
    let system = tree.profile(&format!("{dir}/system"), &[1, 3]);
    let manager = tree.profile(&format!("{dir}/system-manager"), &[4]);
    let named = tree.profile(&format!("{dir}/system-profiles/x"), &[5]);
    let dashed = tree.profile(&format!("{dir}/a-1"), &[6]);
    let plain = tree.profile(&format!("{dir}/a"), &[1, 7]);
    let snapshot = tree.as_root();
    let expected = [
        (&system, vec![1, 3]),
        (&manager, vec![4]),
        (&named, vec![5]),
    ];
    for (path, expected) in expected
        .into_iter()
        .chain([(&dashed, vec![6]), (&plain, vec![1, 7])])
    {
        assert_eq!(numbers(profile(&snapshot, path)), expected, "{path}");
        assert!(profile(&snapshot, path).current().is_some(), "{path}");
    }
    assert_eq!(snapshot.profiles.len(), 5);
    assert_eq!(snapshot.blockers, []);
}

#[test]
fn trap_07_a_profile_of_a_profile_is_not_a_generation() {
    let tree = Tree::new();
    let inner = tree.profile("state/profiles/p-1-link", &[6, 7]);
    let snapshot = tree.as_root();
    assert_eq!(names(&snapshot), [inner.to_string()]);
    assert_eq!(snapshot.blockers, []);

    // Beside a link `p` it is what Nix takes it for: a generation, and one that leads to no store path.
    let outer = tree.path("state/profiles/p");
    tree.to_store("state/profiles/p-2-link", "p-2");
    tree.link("state/profiles/p", "p-2-link");
    let snapshot = tree.as_root();
    let found = profile(&snapshot, &outer);
    assert_eq!(numbers(found), [1, 2]);
    assert_eq!(
        found.generations[&GenerationNumber(1)].content,
        Content::Foreign
    );
    assert_eq!(numbers(profile(&snapshot, &inner)), [6, 7]);
    assert_eq!(snapshot.blockers, []);
}

#[rstest]
#[case("system-007-link")]
#[case("system-1-link~")]
#[case("system-3-link.tmp")]
#[case("system-+3-link")]
#[case("system-4294967296-link")]
#[case("system-3-link\n\u{1b}[2J")]
fn trap_07_odd_names_are_told_and_left_alone(#[case] name: &str) {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 2]);
    tree.to_store(&format!("state/profiles/{name}"), "odd");
    tree.link("state/profiles/system.lock", "nothing");
    let snapshot = tree.as_root();
    assert_eq!(numbers(profile(&snapshot, &path)), [1, 2]);
    assert_eq!(profile(&snapshot, &path).blocked, None);
    assert_eq!(codes(&snapshot), [CheckCode::OddName]);
    let message = &snapshot.blockers[0].message;
    assert!(
        message.contains("system-") && !message.contains(['\n', '\u{1b}']),
        "{message}"
    );
}

#[test]
fn trap_07_a_dot_is_no_profile() {
    let tree = Tree::new();
    tree.to_store("state/profiles/.-1-link", "p");
    tree.to_store("state/profiles/..-1-link", "p");
    tree.link("state/profiles/profiles", ".-1-link");
    let own = tree.profile("state/profiles", &[]);
    let snapshot = tree.as_root();
    assert_eq!(snapshot.profiles, [], "{own}");
}

#[test]
fn many_odd_names_are_counted() {
    let tree = Tree::new();
    tree.profile("state/profiles/system", &[1]);
    for n in 0..50 {
        tree.to_store(&format!("state/profiles/system-0{n}-link"), "odd");
    }
    let snapshot = tree.as_root();
    assert_eq!(snapshot.blockers.len(), 11);
    assert!(snapshot.blockers[10].message.contains("40 more"));
}

#[rstest]
#[case::file(|tree: &Tree| { tree.file("state/profiles/system-2-link", ""); })]
#[case::directory(|tree: &Tree| { tree.dir("state/profiles/system-2-link"); })]
#[case::fifo(|tree: &Tree| {
    let path = tree.at("state/profiles/system-2-link");
    nix::unistd::mkfifo(path.as_std_path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
})]
fn a_generation_that_is_no_link_blocks_its_profile(#[case] make: fn(&Tree)) {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 3]);
    make(&tree);
    let snapshot = tree.as_root();
    let found = profile(&snapshot, &path);
    assert_eq!(numbers(found), [1, 3]);
    assert!(
        found
            .blocked
            .as_ref()
            .unwrap()
            .contains("system-2-link is not a link")
    );
    assert_eq!(codes(&snapshot), [CheckCode::OddName]);
}

#[test]
fn generations_say_what_they_lead_to() {
    let tree = Tree::new();
    let base = |name: &str| format!("state/profiles/system-{name}-link");
    tree.dir(&format!("store/{}/kernel", Tree::base_name("a")));
    tree.file(&format!("store/{}/boot.json", Tree::base_name("b")), "");
    tree.file(
        &format!("store/{}/bin/switch-to-configuration", Tree::base_name("c")),
        "",
    );
    tree.file(&format!("store/{}", Tree::base_name("file")), "");
    let texts = [
        tree.store_path("a").to_string(),
        tree.store_path("b").to_string(),
        tree.store_path("c").to_string(),
        tree.store_path("plain").to_string(),
        format!("{}/store/{}", tree.base, Tree::base_name("file")),
        format!("{}/store/{}", tree.base, Tree::base_name("gone")),
        format!("/{}//store///{}", tree.base, Tree::base_name("plain")),
        format!("{}/kernel", tree.store_path("a")),
        format!("{}/", tree.store_path("a")),
        "system-1-link".to_string(),
        tree.base.to_string(),
    ];
    for (n, text) in texts.iter().enumerate() {
        tree.link(&base(&(n + 1).to_string()), text);
    }
    tree.link("state/profiles/system", "system-11-link");
    let snapshot = tree.as_root();
    let found = profile(&snapshot, &tree.path("state/profiles/system"));
    let kinds: Vec<String> = found
        .generations
        .values()
        .map(|g| {
            let kind = match g.content {
                Content::Bootable(_) => "boots",
                Content::Present(_) => "is",
                Content::Missing(_) => "misses",
                Content::Foreign => "foreign",
            };
            let name = g.content.store_path().map_or("", |path| path.name());
            format!("{kind} {name}")
        })
        .collect();
    let expected = [
        "boots a",
        "boots b",
        "boots c",
        "is plain",
        "is file",
        "misses gone",
        "is plain",
    ];
    assert_eq!(kinds[..7], expected);
    assert!(
        kinds[7..].iter().all(|kind| kind == "foreign "),
        "{kinds:?}"
    );
    let targets = found.generations.values().map(|g| g.target.as_str());
    assert!(targets.eq(texts.iter().map(String::as_str)));
    assert_eq!(snapshot.blockers, []);
}

#[rstest]
#[case(NOW, 123_456_789)]
#[case(0, 1)]
#[case(-1, 999_999_999)]
#[case(4_102_444_800, 0)]
fn trap_08_the_time_is_the_links_own(#[case] seconds: i64, #[case] nanoseconds: i64) {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1]);
    touch(
        &tree.at("state/profiles/system-1-link"),
        seconds,
        nanoseconds,
    );
    let snapshot = tree.as_root();
    let created = profile(&snapshot, &path).generations[&GenerationNumber(1)].created;
    assert_eq!(created.to_unix(), (seconds, nanoseconds));
}

#[test]
fn specialisations_are_read_in_the_store_alone() {
    let tree = Tree::new();
    let path = tree.profile("state/profiles/system", &[1, 2, 3, 4]);
    let system = |n: u32| format!("store/{}", Tree::base_name(&format!("system-{n}")));
    let in_store = |name: &str| format!("{{}}/store/{}", Tree::base_name(name));
    // As NixOS makes them; one by a relative text, one that is no link, one that leads out of the store.
    tree.link(
        &format!("{}/specialisation/work", system(1)),
        &in_store("work"),
    );
    let relative = format!("../../{}", Tree::base_name("relative"));
    tree.link(&format!("{}/specialisation/relative", system(1)), &relative);
    tree.dir(&format!("{}/specialisation/directory", system(1)));
    tree.link(&format!("{}/specialisation/out", system(1)), "{}/home/me");
    // As older releases did.
    tree.link(
        &format!("{}/fine-tune/child-1", system(2)),
        &in_store("child"),
    );
    // The directory is another store path's.
    tree.link(
        &format!("store/{}/spec/linked", Tree::base_name("other")),
        &in_store("linked"),
    );
    tree.link(
        &format!("{}/specialisation", system(3)),
        &format!("{}/spec", in_store("other")),
    );
    // The directory is nobody's that Nix made.
    tree.link("outside/work", &in_store("outside"));
    tree.link(&format!("{}/specialisation", system(4)), "{}/outside");
    let snapshot = tree.as_root();
    let found = &profile(&snapshot, &path).generations;
    let names = |n: u32| {
        let paths = found[&GenerationNumber(n)].specialisations.iter();
        let mut names: Vec<&str> = paths
            .map(nix_prune::domain::store_path::StorePath::name)
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(1), ["relative", "work"]);
    assert_eq!(names(2), ["child"]);
    assert_eq!(names(3), ["linked"]);
    assert!(names(4).is_empty());
}
