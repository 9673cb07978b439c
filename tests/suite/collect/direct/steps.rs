//! The steps of a direct collection, one by one: which roots count, what stays, and whom a claim holds up.

use nix::fcntl::{Flock, FlockArg};
use nix_prune::domain::graph::KeepFlags;
use nix_prune::domain::store_path::{StorePath, StorePathRef};
use nix_prune::ports::{Deleted, DirectCollection, NixActions};

use super::*;

/// What became of the only path of a step.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Gone,
    Stays(&'static str),
    /// The collection stops.
    Stops,
}

const WHYS: [&str; 6] = [
    "a build needs it",
    "a process uses it",
    "it has become a root",
    "it is not dead for Nix's collector",
    "keeps it",
    "it was registered meanwhile",
];

fn fate(direct: &dyn DirectCollection, path: StorePath<String>) -> Fate {
    let step = direct.delete(&[vec![path]]);
    assert_eq!(step.taken, 1);
    let Deleted {
        paths,
        refused,
        outcome,
        ..
    } = step.deleted;
    match (paths.as_slice(), refused.as_slice(), outcome) {
        ([_], [], Ok(())) => Fate::Gone,
        ([], [refused], Ok(())) => {
            let named = WHYS.into_iter().find(|why| refused.why.contains(why));
            Fate::Stays(named.unwrap_or_else(|| panic!("{refused:?}")))
        }
        ([], [], Err(PerformError::Disagreement { .. })) => Fate::Stops,
        other => panic!("{other:?}"),
    }
}

/// A temporary root, as long as it is there.
fn temporary(store: &Store, name: &str) -> Flock<fs::File> {
    let dir = store.scratch.state_dir().join("temproots");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("1");
    fs::write(&file, format!("{}\0", store.absolute(name))).unwrap();
    Flock::lock(fs::File::open(file).unwrap(), FlockArg::LockExclusive).unwrap()
}

/// A lasting root counts while it is there, a temporary one until the end.
#[rstest]
#[case::none(false, [false, false], Fate::Gone)]
#[case::overlooked(false, [true, true], Fate::Stops)]
#[case::gone(false, [true, false], Fate::Gone)]
#[case::new(false, [false, true], Fate::Stays("it has become a root"))]
#[case::temporary(true, [true, true], Fate::Stays("a process uses it"))]
#[case::temporary_and_gone(true, [true, false], Fate::Stays("a process uses it"))]
#[case::temporary_and_new(true, [false, true], Fate::Stays("a process uses it"))]
fn roots_are_looked_at_twice(
    #[case] is_temporary: bool,
    #[case] looks: [bool; 2],
    #[case] expected: Fate,
) {
    let [before, then] = looks;
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[Row::new("one", &[])]);
        let cli = store.scratch.nix().unwrap();
        let mut held = None;
        let mut set = |is_there: bool| match (is_temporary, is_there) {
            (true, true) => held = Some(temporary(&store, "one")),
            (true, false) => held = None,
            (false, true) => store.root("one"),
            (false, false) => {
                let link = store.scratch.state_dir().join("gcroots/one");
                let _ = fs::remove_file(link);
            }
        };
        set(before);
        let direct = cli.begin_direct().unwrap();
        if before != then {
            set(then);
        }
        assert_eq!(fate(&*direct, store.path("one")), expected);
        direct.finish(false);
        assert_eq!(store.has("one"), expected != Fate::Gone);
    });
}

/// A build locks `HASH-name.lock`, whatever the plan takes it for.
#[test]
fn names_beside_a_temporary_root_stay() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let name = format!("{}.lock", store.path("one"));
        let beside = StorePathRef::from_base_name(&name).unwrap().to_owned();
        fs::write(beside.to_absolute_path(store.scratch.store()), "").unwrap();
        let held = temporary(&store, "one");
        let cli = store.scratch.nix().unwrap();
        let direct = cli.begin_direct().unwrap();
        drop(held);
        assert_eq!(fate(&*direct, beside), Fate::Stays("a build needs it"));
        assert!(store.names().contains(&name));
    });
}

#[test]
fn roots_are_read_again_when_the_last_look_is_old() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[Row::new("one", &[]), Row::new("two", &[])]);
        let cli = store.scratch.nix().unwrap();
        let direct = cli.begin_direct().unwrap();
        assert_eq!(fate(&*direct, store.path("one")), Fate::Gone);
        store.root("two");
        std::thread::sleep(Duration::from_millis(2100));
        let why = "it has become a root";
        assert_eq!(fate(&*direct, store.path("two")), Fate::Stays(why));
    });
}

#[test]
fn what_is_not_dead_for_nix_stays_where_that_is_compared() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[Row::new("one", &[]), Row::new("two", &[])]);
        store.root("one");
        let cli = store.scratch.nix().unwrap().comparing_dead(true);
        let direct = cli.begin_direct().unwrap();
        fs::remove_file(store.scratch.state_dir().join("gcroots/one")).unwrap();
        let why = "it is not dead for Nix's collector";
        assert_eq!(fate(&*direct, store.path("one")), Fate::Stays(why));
        assert_eq!(fate(&*direct, store.path("two")), Fate::Gone);
    });
}

/// The path that was registered last before the collection was there before it.
#[test]
fn what_was_registered_before_stops_it_and_what_came_later_keeps() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[
            Row::new("base", &[]),
            Row::new("middle", &["base"]),
            Row::new("last", &["middle"]),
        ]);
        let cli = store.scratch.nix().unwrap();
        let direct = cli.begin_direct().unwrap();
        assert_eq!(fate(&*direct, store.path("middle")), Fate::Stops);
        assert_eq!(fate(&*direct, store.path("last")), Fate::Gone);
        store.fill(&[Row::new("new", &["middle"])]);
        let why = "it was registered meanwhile";
        assert_eq!(fate(&*direct, store.path("new")), Fate::Stays(why));
        // By what stayed in an earlier step, too.
        for name in ["middle", "base"] {
            let stays = Fate::Stays("keeps it");
            assert_eq!(fate(&*direct, store.path(name)), stays, "{name}");
        }
        assert_eq!(store.valid().len(), 3);
    });
}

#[rstest]
#[case::gone("alone", Fate::Gone)]
#[case::kept_by_something_new("base", Fate::Stays("keeps it"))]
#[case::kept_by_something_old("needed", Fate::Stops)]
fn a_build_waits_no_longer_than_for_the_files(#[case] name: &str, #[case] expected: Fate) {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[
            Row::new("alone", &[]),
            Row::new("base", &[]),
            Row::new("needed", &[]),
            Row::new("old", &["needed"]),
        ]);
        let cli = store.scratch.nix().unwrap();
        let direct = cli.begin_direct().unwrap();
        store.fill(&[Row::new("new", &["base"])]);
        assert_eq!(fate(&*direct, store.path(name)), expected);
        Build::of(&store).needs(store.absolute(name).as_str());
        assert_eq!(store.has(name), expected != Fate::Gone);
    });
}

#[test]
fn a_part_leaves_foreign_names_and_looks_at_links_where_a_file_had_several() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[
            Row::new("old", &[]).registered(10),
            Row::new("old-too", &[]).registered(20),
            Row::new("young", &[]).registered(99),
        ]);
        let dir = store.scratch.store().as_path();
        let links = dir.join(".links");
        fs::create_dir_all(&links).unwrap();
        fs::write(dir.join("junk"), "").unwrap();
        fs::write(links.join("0unused"), "").unwrap();
        for (before, has_link) in [(15, false), (50, true)] {
            if has_link {
                fs::hard_link(store.absolute("old-too"), links.join("0old")).unwrap();
            }
            let mut looker = Looker::new(&store);
            looker.narrow = match before {
                15 => |all| all.before(15),
                _ => |all| all.before(50),
            };
            assert_done(&directly(&store, &looker), 1);
            assert!(dir.join("junk").exists() && store.has("young"));
            assert_eq!(links.join("0unused").exists(), !has_link);
            assert!(!links.join("0old").exists());
        }
        // The log is empty, and still there: whoever may not make it could not read the database.
        let log = store.scratch.state_dir().join("db/db.sqlite-wal");
        assert_eq!(fs::metadata(log).unwrap().len(), 0);
    });
}
