//! What the last run saw and this look does not.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix_prune::domain::baseline::{RootBaseline, gone_between};
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::note::Note;
use nix_prune::domain::plan::{Action, GenerationFacts};
use nix_prune::domain::profile::{GenerationNumber, Owner};
use nix_prune::domain::receipt::{Entry, Outcome, RunId};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::root::{Dangling, GcRoot, RootState};
use nix_prune::domain::snapshot::{Actor, Held, Hold};
use nix_prune::domain::store_path::StorePathRef;

use super::tree::{NOW, Tree, codes, root};
use crate::support::{is_root, skipped};

/// The mounted file systems, as the kernel lists them.
fn mount(tree: &Tree, places: &[&str]) {
    let line = |at: &&str| format!("36 35 98:0 / {at} rw,noatime master:1 - ext4 /dev/x rw\n");
    tree.file("mounts", &places.iter().map(line).collect::<String>());
}

/// A look whose results the next one remembers.
fn remember(tree: &mut Tree) {
    let seen = RootBaseline::of(&tree.as_root(), &[], tree.previous_runs.seen.as_ref());
    tree.previous_runs.seen = Some(seen);
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
    assert_eq!(codes(&snapshot), [CheckCode::RootsVanished]);
    assert!(snapshot.blockers[0].message.contains("gcroots/machines/a"));
    // A run that did not let it pass does not forget it, and one that did does.
    remember(&mut tree);
    assert_eq!(codes(&tree.as_root()), [CheckCode::RootsVanished]);
    let mut accepted = tree.as_root();
    accepted.blockers.clear();
    tree.previous_runs.seen = Some(RootBaseline::of(
        &accepted,
        &[],
        tree.previous_runs.seen.as_ref(),
    ));
    assert_eq!(codes(&tree.as_root()), []);
    fs::remove_dir_all(tree.at("state/profiles/per-user/bob")).unwrap();
    assert_eq!(codes(&tree.as_root()), [CheckCode::RootsVanished]);
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
    let seen = tree.previous_runs.seen.as_ref().unwrap();
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
    assert_eq!(codes(&snapshot), [CheckCode::RootsAway]);
    assert_eq!(
        snapshot.blockers[0]
            .message
            .matches("1 root points")
            .count(),
        1
    );
    // Nor may the root itself be taken for one whose link somebody removed.
    let root = snapshot
        .roots
        .iter()
        .find(|root| root.link == link)
        .unwrap();
    assert_eq!(root.state, RootState::Dangling(Dangling::ParentMissing));
    remember(&mut tree);
    assert_eq!(
        codes(&tree.as_root()),
        [CheckCode::RootsAway],
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
        tree.previous_runs.seen.as_mut().unwrap().taken_at = time;
        codes(&tree.as_root())
    };
    let day = 86_400;
    assert_eq!(set(&mut tree, NOW + 60), []);
    assert_eq!(set(&mut tree, NOW + day), [CheckCode::ClockJumped]);
    // Nor does it become the one that later runs are compared with.
    remember(&mut tree);
    assert_eq!(codes(&tree.as_root()), [CheckCode::ClockJumped]);
    assert_eq!(set(&mut tree, NOW - 100 * day), []);
    assert_eq!(set(&mut tree, NOW - 200 * day), [CheckCode::ClockJumped]);
    tree.profile("state/profiles/system", &[1, 2]);
    assert_eq!(
        set(&mut tree, NOW - 200 * day),
        [],
        "there is a young generation"
    );
}

/// The links that vanished, below the tree.
fn vanished(tree: &Tree) -> Vec<String> {
    let snapshot = tree.as_root();
    let links = snapshot.vanished.iter();
    let links = links.map(|root| root.link.strip_prefix(&tree.base).unwrap().to_string());
    links.collect()
}

#[test]
fn a_root_that_is_gone_is_known_until_a_run_holds_what_it_kept() {
    let mut tree = Tree::new();
    let result = tree.to_store("home/me/project/result", "built");
    tree.auto("a", &result);
    tree.to_store("state/gcroots/by-hand", "kept");
    tree.rooted("state/profiles/system", &[1, 2, 3]);
    assert_eq!(vanished(&tree), [""; 0], "there was no run");
    remember(&mut tree);
    assert_eq!(vanished(&tree), [""; 0]);

    fs::remove_file(&result).unwrap();
    fs::remove_file(tree.at("state/gcroots/by-hand")).unwrap();
    fs::remove_file(tree.at("state/profiles/system-1-link")).unwrap();
    let all = [
        "home/me/project/result",
        "state/gcroots/by-hand",
        "state/profiles/system-1-link",
    ];
    assert_eq!(vanished(&tree), all);
    let notes = words(&tree.as_root().notes);
    assert!(
        notes.contains("3 roots vanished since the last run"),
        "{notes}"
    );
    // A run that does not hold them leaves them to the next one.
    remember(&mut tree);
    assert_eq!(vanished(&tree), all);

    // One that is there again, one that is held already, and one that has nothing left to lose.
    tree.to_store("home/me/project/result", "built");
    hold(&mut tree, "state/gcroots/by-hand", "kept");
    fs::remove_dir(tree.store_path("system-1")).unwrap();
    assert_eq!(vanished(&tree), [""; 0]);
}

/// Makes a hold of ours, of what a root kept.
fn hold(tree: &mut Tree, root: &str, name: &str) {
    let link = tree.at("holds/20260101T000000Z/0");
    if !link.is_symlink() {
        tree.to_store("holds/20260101T000000Z/0", name);
        tree.auto("hold", &link);
    }
    tree.previous_runs.holds_dir = Some(tree.at("holds"));
    tree.previous_runs.holds = vec![Hold {
        run: RunId::try_from("20260101T000000Z".to_string()).unwrap(),
        link,
        store_path: StorePathRef::from_base_name(&Tree::base_name(name))
            .unwrap()
            .to_owned(),
        held: Held::Root {
            root: tree.at(root),
        },
        until: Timestamp::from_unix(NOW + 86_400, 0).unwrap(),
        intact: true,
    }];
}

#[test]
fn what_keeps_the_same_path_for_now_is_no_reason_to_leave_a_root_out() {
    let mut tree = Tree::new();
    tree.rooted("state/profiles/system", &[1, 2, 3]);
    tree.to_store("run/booted-system", "system-1");
    tree.link("state/gcroots/booted-system", "{}/run/booted-system");
    remember(&mut tree);
    fs::remove_file(tree.at("state/profiles/system-1-link")).unwrap();
    // With the next boot nothing keeps it, and with the end of somebody else's hold neither.
    assert_eq!(vanished(&tree), ["state/profiles/system-1-link"]);
    hold(&mut tree, "home/me/another/result", "system-1");
    assert_eq!(vanished(&tree), ["state/profiles/system-1-link"]);
    // A hold that lost its own root is none.
    hold(&mut tree, "state/profiles/system-1-link", "system-1");
    assert_eq!(vanished(&tree), [""; 0]);
    fs::remove_file(tree.at("state/gcroots/auto/hold")).unwrap();
    assert_eq!(vanished(&tree), ["state/profiles/system-1-link"]);
}

#[test]
fn a_link_that_leads_elsewhere_or_is_hidden_did_not_vanish() {
    let mut tree = Tree::new();
    let link = |name: &str| format!("home/me/{name}/result");
    for name in [
        "moved",
        "replaced",
        "away",
        "derivation",
        "held",
        "system",
        "running",
    ] {
        let target = if name == "derivation" { "x.drv" } else { name };
        let link = tree.to_store(&link(name), target);
        tree.auto(name, &link);
    }
    tree.previous_runs.holds_dir = Some(tree.at("home/me/held"));
    tree.to_store("run/current-system", "running-system");
    tree.link("state/gcroots/current-system", "{}/run/current-system");
    remember(&mut tree);
    let elsewhere = tree.store_path("elsewhere");
    for name in ["moved", "replaced", "derivation", "held"] {
        fs::remove_file(tree.at(&link(name))).unwrap();
    }
    tree.link(&link("moved"), elsewhere.as_str());
    tree.file(&link("replaced"), "a file");
    fs::remove_dir_all(tree.at("home/me/away")).unwrap();
    fs::remove_file(tree.at("run/current-system")).unwrap();
    // A file keeps nothing. A place that is gone keeps nothing either, wherever it went.
    assert_eq!(vanished(&tree), [link("away"), link("replaced")]);
}

#[test]
fn only_a_generation_that_a_run_has_removed_is_forgotten() {
    let mut tree = Tree::new();
    let profile = tree.rooted("state/profiles/system", &[1, 2, 3, 4, 5]);
    // Another profile may have a generation of the same name.
    let twin = "state/profiles/other/system-1-link";
    tree.to_store(twin, "other-1");
    let snapshot = tree.as_root();
    let generation = |number: u32, outcome: Outcome| {
        let seen = &snapshot.profiles[0].generations[&GenerationNumber(number)];
        let action = Action::RemoveGeneration(GenerationFacts {
            profile: profile.clone(),
            profile_kind: snapshot.profiles[0].kind,
            owner: snapshot.profiles[0].owner.clone(),
            number: GenerationNumber(number),
            target: seen.target.clone(),
            store_path: seen.content.on_disk().unwrap().clone(),
            created: seen.created,
            current: GenerationNumber(5),
            hold: Span::days(7),
        });
        Entry {
            outcome,
            ..entry(action)
        }
    };
    let remove = |tree: &Tree, number: u32| {
        let link = format!("state/profiles/system-{number}-link");
        fs::remove_file(tree.at(&link)).unwrap();
        link
    };
    // A run that is killed after its beginning has forgotten nothing.
    let planned = [1, 2, 3].map(|number| generation(number, Outcome::Pending));
    let at_its_beginning = RootBaseline::of(&snapshot, &planned, None);
    let removed = remove(&tree, 1);
    tree.previous_runs.seen = Some(at_its_beginning);
    assert_eq!(vanished(&tree), [removed]);
    // At its end, what it removed is not missed. What it failed to remove is, should somebody else remove it.
    let run = [
        generation(1, Outcome::Done),
        generation(2, Outcome::Failed),
        generation(3, Outcome::Stale),
        generation(4, Outcome::Failed),
    ];
    let meanwhile = remove(&tree, 4);
    fs::remove_file(tree.at(twin)).unwrap();
    let at_its_end = RootBaseline::of(&tree.as_root(), &run, tree.previous_runs.seen.as_ref());
    let failed = [2, 3].map(|number| remove(&tree, number));
    tree.previous_runs.seen = Some(at_its_end);
    let [second, third] = failed;
    assert_eq!(
        vanished(&tree),
        [twin.to_string(), second, third, meanwhile]
    );
}

#[test]
fn what_vanishes_between_two_looks_of_a_run_is_told_from_what_it_removed() {
    let mut tree = Tree::new();
    let profile = tree.rooted("state/profiles/system", &[1, 2, 3]);
    let links = ["gone", "hidden", "held", "there"].map(|name| {
        let link = tree.to_store(&format!("home/me/{name}/result"), name);
        tree.auto(name, &link);
        link
    });
    tree.to_store("run/current-system", "running");
    tree.link("state/gcroots/current-system", "{}/run/current-system");
    let before = tree.as_root();
    let system = before.profiles.iter().find(|it| it.path == profile);
    let system = system.unwrap();
    let seen = &system.generations[&GenerationNumber(1)];
    let run = [Entry {
        outcome: Outcome::Done,
        ..entry(Action::RemoveGeneration(GenerationFacts {
            profile: profile.clone(),
            profile_kind: system.kind,
            owner: system.owner.clone(),
            number: GenerationNumber(1),
            target: seen.target.clone(),
            store_path: seen.content.on_disk().unwrap().clone(),
            created: seen.created,
            current: GenerationNumber(3),
            hold: Span::days(7),
        }))
    }];
    for number in [1, 2] {
        fs::remove_file(tree.at(&format!("state/profiles/system-{number}-link"))).unwrap();
    }
    for link in [&links[0], &links[2], &tree.at("run/current-system")] {
        fs::remove_file(link).unwrap();
    }
    hold(&mut tree, "home/me/held/result", "held");
    let mut after = tree.as_root();
    let hidden = after.roots.iter_mut().find(|root| root.link == links[1]);
    hidden.unwrap().state = RootState::Unreadable("permission denied".to_string());
    let gone = gone_between(&before, &after, &run);
    let gone: Vec<_> = gone
        .iter()
        .map(|root| root.link.strip_prefix(&tree.base).unwrap())
        .collect();
    let expected = [
        "home/me/gone/result",
        "run/current-system",
        "state/profiles/system-2-link",
    ];
    assert_eq!(gone, expected);
}

#[test]
fn entries_into_a_directory_of_holds_that_is_not_there_stop_a_collection() {
    let mut tree = Tree::new();
    tree.previous_runs.holds_dir = Some(tree.at("state-of-ours/holds"));
    let link = tree.to_store("state-of-ours/holds/20260101T000000Z/0-2", "held");
    tree.auto("hold", &link);
    assert_eq!(codes(&tree.as_root()), []);
    let (dir, away) = (tree.at("state-of-ours"), tree.at("away"));
    fs::rename(&dir, &away).unwrap();
    for there in [false, true] {
        if there {
            fs::create_dir(&dir).unwrap();
        }
        let snapshot = tree.as_root();
        assert_eq!(codes(&snapshot), [CheckCode::RootsAway], "{there}");
        assert_eq!(snapshot.blockers[0].places, [dir.join("holds")]);
    }
    // Another one by mistake does not make it right.
    tree.previous_runs.holds_dir = Some(tree.at("another/holds"));
    assert_eq!(codes(&tree.as_root()), [CheckCode::RootsAway]);
    // An older copy of it does not know the run.
    fs::create_dir(dir.join("holds")).unwrap();
    tree.previous_runs.holds_dir = Some(dir.join("holds"));
    assert_eq!(codes(&tree.as_root()), [], "the run is on record");
    tree.previous_runs.forgotten = true;
    assert_eq!(codes(&tree.as_root()), [CheckCode::RootsAway]);
}

#[test]
fn holds_that_their_owner_removed_stop_nobody_else() {
    if !is_root() {
        return skipped("only root can make what belongs to another user");
    }
    let tree = Tree::new();
    let link = tree.to_store("homes/bob/state/holds/20260101T000000Z/0", "held");
    tree.auto("hold", &link);
    tree.file("homes/bob/x", "");
    chown(tree.at("homes/bob"), Some(4242), None).unwrap();
    fs::remove_dir_all(tree.at("homes/bob/state")).unwrap();
    assert_eq!(codes(&tree.as_root()), []);
    let theirs = tree.observe(Actor::User(4242));
    assert_eq!(codes(&theirs), [CheckCode::RootsAway]);
}

#[test]
fn a_place_that_only_root_could_have_removed_stops_a_collection() {
    if !is_root() {
        return skipped("only root can make places that only root can remove");
    }
    let mut tree = Tree::new();
    let links = [
        "homes/ldap/project/result",
        "users/ldap/.local/state/nix/profiles/profile-1-link",
        "media/disk/project/result",
        "run/media/disk/project/result",
    ];
    for (n, link) in links.iter().enumerate() {
        let link = tree.to_store(link, &format!("built-{n}"));
        tree.auto(&n.to_string(), &link);
    }
    // A person whom the list has: homes are here.
    let home = tree.dir("homes/bob");
    chown(&home, Some(4242), None).unwrap();
    let users = fs::read_to_string(&tree.places.passwd).unwrap();
    tree.file(
        "passwd",
        &format!("{users}bob:x:4242:100::{home}:/bin/sh\n"),
    );
    for other in ["homes/carol/x", "users/x", "media/x", "run/media/x"] {
        tree.file(other, "");
    }
    let theirs = tree.to_store("homes/carol/project/result", "theirs");
    tree.auto("theirs", &theirs);
    chown(tree.at("homes/carol"), Some(4343), None).unwrap();
    remember(&mut tree);
    assert_eq!(tree.as_root().blockers, []);

    // What a user has removed from a place of their own is held, and stops nobody.
    fs::remove_dir_all(tree.at("homes/carol/project")).unwrap();
    assert_eq!(codes(&tree.as_root()), []);
    assert_eq!(vanished(&tree), ["homes/carol/project/result"]);

    // A home that root made, with a link right in it.
    let link = tree.to_store("homes/dave/result", "daves");
    tree.auto("daves", &link);
    remember(&mut tree);
    fs::remove_file(&link).unwrap();
    assert_eq!(tree.as_root().blockers[0].places, [tree.at("homes/dave")]);
    tree.to_store("homes/dave/result", "daves");

    // The generations of a home that the list has, in a directory of root's.
    tree.rooted("home/me/.local/state/nix/profiles/profile", &[1]);
    remember(&mut tree);
    let (state, away) = (tree.at("home/me/.local/state"), tree.at("away"));
    fs::rename(&state, &away).unwrap();
    assert_eq!(codes(&tree.as_root()), [CheckCode::RootsAway]);
    fs::rename(&away, &state).unwrap();

    for empty in [false, true] {
        for place in ["homes/ldap", "users/ldap", "media/disk", "run/media/disk"] {
            let (place, away) = (tree.at(place), tree.at("away"));
            fs::rename(&place, &away).unwrap();
            if empty {
                fs::create_dir(&place).unwrap();
            }
            let snapshot = tree.as_root();
            assert_eq!(codes(&snapshot), [CheckCode::RootsAway], "{place}");
            assert_eq!(
                snapshot.blockers[0].places.as_slice(),
                std::slice::from_ref(&place)
            );
            // A run that does not let it pass forgets none of its roots.
            remember(&mut tree);
            let known = &tree.previous_runs.seen.as_ref().unwrap().roots;
            assert!(known.keys().any(|link| link.starts_with(&place)));
            fs::remove_dir_all(&place).unwrap_or_default();
            fs::rename(&away, &place).unwrap();
            assert_eq!(codes(&tree.as_root()), []);
        }
    }
}

/// Links in places of root's that are removed on machines every day, and the directories that are removed with them.
const REMOVED_BY_ROOT: [(&str, &str); 10] = [
    ("srv/ci/job/result", "srv/ci/job"),
    ("srv/ci/job-2/.direnv/flake-profile-1-link", "srv/ci/job-2"),
    ("builds/x/project/result", "builds/x"),
    ("opt/x/result", "opt/x"),
    ("etc/nixos/result", "etc/nixos"),
    ("var/lib/private/service/result", "var/lib/private/service"),
    ("var/lib/service/result", "var/lib/service"),
    ("var/cache/service/a/result", "var/cache/service"),
    ("run/user/1000/result", "run/user/1000"),
    (
        "home/me/project/.direnv/flake-profile-1-link",
        "home/me/project",
    ),
];

/// A machine with those, and users of services, who have homes beside them.
fn with_places_of_root() -> Tree {
    let tree = Tree::new();
    for (n, (link, _)) in REMOVED_BY_ROOT.iter().enumerate() {
        let link = tree.to_store(link, &format!("built-{n}"));
        tree.auto(&n.to_string(), &link);
    }
    let mut users = fs::read_to_string(&tree.places.passwd).unwrap();
    for (uid, home) in [(990, "var/lib/runner"), (30001, "var/cache/empty")] {
        let path = tree.dir(home);
        let owner = (uid == 990).then_some(uid);
        chown(&path, owner, None).unwrap();
        users.extend([format!("user-{uid}:x:{uid}:100::{path}:/bin/sh\n")]);
    }
    tree.file("passwd", &users);
    tree
}

#[test]
fn what_root_removed_is_held_and_stops_nothing() {
    if !is_root() {
        return skipped("only root can make places that only root can remove");
    }
    let mut tree = with_places_of_root();
    remember(&mut tree);
    // On a disk that is there as well.
    let link = tree.to_store("media/disk/project/result", "on-disk");
    tree.auto("on-disk", &link);
    mount(&tree, &["/", tree.at("media/disk").as_str()]);
    fs::remove_dir_all(tree.at("media/disk/project")).unwrap();
    for (_, place) in REMOVED_BY_ROOT {
        fs::remove_dir_all(tree.at(place)).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(tree.as_root().blockers, []);
        let mut links = REMOVED_BY_ROOT.map(|(link, _)| link);
        links.sort_unstable_by(|a, b| std::path::Path::new(a).cmp(std::path::Path::new(b)));
        assert_eq!(vanished(&tree), links);
        // The night after.
        remember(&mut tree);
    }
    // What was made and removed between two runs stops nothing either.
    let link = tree.to_store("srv/ci/job-3/result", "built-3");
    tree.auto("job-3", &link);
    fs::remove_dir_all(tree.at("srv/ci")).unwrap();
    assert_eq!(codes(&tree.as_root()), []);
}

#[test]
fn what_no_run_has_seen_stops_a_collection_until_it_is_let_pass() {
    if !is_root() {
        return skipped("only root can make places that only root can remove");
    }
    let mut tree = with_places_of_root();
    // What their owners could have removed, in a home that the list has, and what was no directory of its own.
    for (n, link) in ["srv/theirs/x/result", "tmp/build/result"]
        .iter()
        .enumerate()
    {
        let link = tree.to_store(link, &format!("theirs-{n}"));
        tree.auto(&format!("theirs-{n}"), &link);
    }
    chown(tree.at("srv/theirs"), Some(4242), None).unwrap();
    tree.file("tmp/another", "");
    tree.file("srv/theirs/another", "");
    fs::set_permissions(tree.at("tmp"), Permissions::from_mode(0o1777)).unwrap();
    for place in ["srv/theirs/x", "tmp/build", "home/me/project"] {
        fs::remove_dir_all(tree.at(place)).unwrap();
    }
    fs::remove_file(tree.at("opt/x/result")).unwrap();
    tree.auto("state", &tree.at("state/profiles/gone/p-1-link"));
    assert_eq!(codes(&tree.as_root()), []);
    let gone = [tree.at("srv/ci/job"), tree.at("run/user/1000")];
    let away = gone.each_ref().map(|place| {
        let away = place.with_extension("away");
        fs::rename(place, &away).unwrap();
        away
    });
    for _ in 0..3 {
        let snapshot = tree.as_root();
        assert_eq!(codes(&snapshot), [CheckCode::RootsAway]);
        assert_eq!(snapshot.blockers[0].places, gone[..1]);
        remember(&mut tree);
    }
    fs::rename(&away[0], &gone[0]).unwrap();
    assert_eq!(codes(&tree.as_root()), [], "it came back");
    fs::rename(&gone[0], &away[0]).unwrap();
    let mut accepted = tree.as_root();
    accepted.blockers.clear();
    tree.previous_runs.seen = Some(RootBaseline::of(
        &accepted,
        &[],
        tree.previous_runs.seen.as_ref(),
    ));
    assert_eq!(codes(&tree.as_root()), []);
}

#[test]
fn a_file_system_of_fstab_that_is_not_mounted_stops_a_collection() {
    let mut tree = Tree::new();
    let link = tree.to_store("home/me/data/project/result", "built");
    tree.auto("entry", &link);
    let at = tree.at("home/me/data");
    let escaped = at.as_str().replace(' ', "\\040");
    tree.file("fstab", &format!("/dev/x\t{escaped}/ ext4 nofail 0 2\n"));
    mount(&tree, &["/", &escaped]);
    remember(&mut tree);
    fs::remove_dir_all(at.join("project")).unwrap();
    assert_eq!(codes(&tree.as_root()), [], "it is mounted");
    mount(&tree, &["/"]);
    assert_eq!(tree.as_root().blockers.len(), 1, "told once");
    tree.previous_runs.seen = None;
    let snapshot = tree.as_root();
    assert_eq!(codes(&snapshot), [CheckCode::RootsAway]);
    assert_eq!(snapshot.blockers[0].places, std::slice::from_ref(&at));
    // A link that is not there, in a directory that is: a disk has its own.
    fs::remove_file(tree.at("state/gcroots/auto/entry")).unwrap();
    let link = tree.to_store("home/me/data/result", "other");
    tree.auto("entry", &link);
    fs::remove_file(&link).unwrap();
    assert_eq!(codes(&tree.as_root()), [CheckCode::RootsAway]);
    tree.file("fstab", "");
    assert_eq!(codes(&tree.as_root()), []);
}

#[test]
fn a_clock_that_jumped_ahead_ends_no_window() {
    let mut tree = Tree::new();
    remember(&mut tree);
    let at = |days: i64| Timestamp::from_unix(NOW + days * 86_400, 0).unwrap();
    hold(&mut tree, "state/gcroots/gone", "held");
    let hold = &mut tree.previous_runs.holds[0];
    (hold.run, hold.until) = (RunId::at(at(-101), 1), at(-94));
    let set =
        |tree: &mut Tree, days: i64| tree.previous_runs.seen.as_mut().unwrap().taken_at = at(days);
    let is_open = |tree: &Tree| {
        let snapshot = tree.as_root();
        (
            snapshot.holds[0].until > snapshot.taken_at,
            words(&snapshot.notes),
        )
    };
    set(&mut tree, -2);
    assert!(!is_open(&tree).0, "the machine was off for a weekend");
    set(&mut tree, -100);
    let (open, notes) = is_open(&tree);
    assert!(open && notes.contains("hold release"), "{notes}");
    // The run writes down what was skipped, and the one a day later believes it.
    remember(&mut tree);
    assert!(is_open(&tree).0, "a second run at once proves nothing");
    let seen = tree.previous_runs.seen.as_mut().unwrap();
    seen.skips[0].seen = at(-1);
    set(&mut tree, -1);
    assert!(!is_open(&tree).0);
}

#[test]
fn roots_without_end_stop_nobody_elses_from_being_remembered() {
    let mut tree = Tree::new();
    tree.to_store("state/gcroots/ours", "kept");
    remember(&mut tree);
    let mut snapshot = tree.as_root();
    let ours = root(&snapshot, &tree.at("state/gcroots/ours")).clone();
    let of_another = |n: usize| GcRoot {
        link: format!("/home/mallory/{}/{n}", "x".repeat(4000)).into(),
        owner: Some(Owner {
            uid: 4242,
            name: None,
        }),
        ..ours.clone()
    };
    // A hundred megabytes of names, and ours behind them.
    snapshot.roots.splice(0..0, (0..25_000).map(of_another));
    let seen = RootBaseline::of(&snapshot, &[], tree.previous_runs.seen.as_ref());
    assert!(seen.roots.contains_key(&ours.link));
    assert!(seen.roots.len() > 1000);
    let bytes: usize = seen.roots.keys().map(|link| link.as_str().len()).sum();
    assert!(bytes < 8 << 20, "{bytes}");
}

fn entry(action: Action) -> Entry {
    Entry {
        action,
        risk: RiskLevel::Low,
        outcome: Outcome::Pending,
        at: None,
        detail: None,
        undo: None,
        undone_by: None,
        report: None,
    }
}

fn words(notes: &[Note]) -> String {
    let notes: Vec<&str> = notes.iter().map(|note| &**note).collect();
    notes.join("\n")
}
