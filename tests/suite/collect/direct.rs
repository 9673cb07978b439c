//! Collecting in the place of Nix: the same goes as with Nix's collector, whatever happens meanwhile.

#![cfg(test)]

mod disks;
mod refusals;
mod steps;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use nix::fcntl::{Flock, FlockArg};
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::adapters::nix_dirs::NixDirs;
use nix_prune::adapters::process::ChildEnv;
use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::graph::KeepFlags;
use nix_prune::engine::{Collection, collect};
use nix_prune::ports::{NixActions, PerformError, error_chain};
use rstest::rstest;
use rusqlite::Connection;

use super::alike::{seeds, twins};
use super::looker::{Blind, Looker, Never, StopAfter};
use super::stores::{Dice, Row, Store};
use super::{BOTH, KEPT_BY_MIDDLE, ages, assert_done, chain, many, refused};
use crate::support::{Nix, as_ordinary_user, by_hand, is_root, skipped, with_each_nix};

fn directly(store: &Store, looker: &Looker<'_>) -> Collection {
    let nix = store.scratch.nix().unwrap();
    collect(looker, &nix, &Never, CollectMethod::Direct)
}

/// With each Nix, as root.
fn as_root(test: impl Fn(&Nix)) {
    if !is_root() {
        return skipped("direct collection: only root may collect directly");
    }
    with_each_nix(|nix| test(nix));
}

/// `SQLite` finds nothing wrong, and Nix neither.
fn assert_clean(store: &Store) {
    let database = store.scratch.state_dir().join("db/db.sqlite");
    let connection = Connection::open(database).unwrap();
    let check = |pragma: &str| {
        let mut found = connection.prepare(pragma).unwrap();
        let found = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
        found.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(check("pragma integrity_check"), ["ok"]);
    assert_eq!(check("pragma foreign_key_check"), Vec::<String>::new());
    drop(connection);
    store.assert_clean();
}

/// A client that needs paths, as every build is one.
struct Build(UnixStream);

impl Build {
    fn of(store: &Store) -> Self {
        let socket = store.scratch.state_dir().join("gc-socket/socket");
        let stream = UnixStream::connect(socket).unwrap();
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        Self(stream)
    }

    fn needs(&mut self, path: &str) {
        writeln!(self.0, "{path}").unwrap();
        let mut answer = [0];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"1");
    }
}

#[test]
fn direct_collection_leaves_what_nix_leaves() {
    as_root(|nix| {
        for (seed, flags) in seeds() {
            let [by_nix, ours] = twins(nix, &mut Dice::new(seed), flags);
            let before = ours.names().len();
            by_hand(&by_nix.scratch, "nix-collect-garbage", &[]);
            let collection = directly(&ours, &Looker::new(&ours));
            let told = format!("seed {seed}, {flags:?}: {collection:?}");
            assert_eq!(ours.names(), by_nix.names(), "{told}");
            assert_eq!(ours.valid(), by_nix.valid(), "{told}");
            assert_eq!(collection.refused, [], "{told}");
            let gone = before - ours.names().len();
            assert_done(&collection, u64::try_from(gone).unwrap());
            assert_clean(&ours);
        }
    });
}

#[test]
fn whatever_we_get_wrong_the_second_look_stops_it() {
    as_root(|nix| {
        let mut stopped = 0;
        for (seed, flags) in seeds() {
            let [by_nix, ours] = twins(nix, &mut Dice::new(seed), flags);
            by_hand(&by_nix.scratch, "nix-collect-garbage", &[]);
            let blind = Blind::with(Looker::new(&ours).blind_selection());
            let cli = ours.scratch.nix().unwrap();
            let collection = collect(&blind, &cli, &Never, CollectMethod::Direct);
            let told = format!("seed {seed}, {flags:?}: {collection:?}");
            let live = by_nix.valid();
            match &collection.outcome {
                Err(PerformError::Disagreement { .. }) => stopped += 1,
                Err(error) => panic!("{}: {told}", error_chain(error)),
                Ok(()) => assert!(live.is_empty(), "{told}"),
            }
            let left = ours.valid();
            let lost: Vec<_> = live.difference(&left).collect();
            assert_eq!(lost, Vec::<&String>::new(), "{told}");
            ours.assert_sound();
        }
        assert!(stopped > 1, "{stopped}");
    });
}

#[rstest]
#[case::a_reference(KeepFlags::REFERENCES, "base", "top")]
#[case::a_deriver(KeepFlags::NIX_DEFAULT, "top.drv", "top")]
#[case::an_output(BOTH, "top", "top.drv")]
fn each_way_to_keep_a_path_is_looked_at(
    #[case] flags: KeepFlags,
    #[case] wrong: &str,
    #[case] keeper: &str,
) {
    as_root(|nix| {
        let store = Store::new(nix, flags);
        chain(&store);
        let looker = Looker::new(&store);
        // A plan that holds one path alone for dead.
        let mut selection = looker.selection();
        let all: Vec<_> = selection.batches(usize::MAX, str::len).concat();
        for path in all.iter().filter(|path| **path != store.path(wrong)) {
            selection.deleted(std::slice::from_ref(path));
        }
        let cli = store.scratch.nix().unwrap();
        let collection = collect(&Blind::with(selection), &cli, &Never, CollectMethod::Direct);
        match &collection.outcome {
            Err(PerformError::Disagreement { path, keeper: told }) => {
                assert_eq!(*path, store.path(wrong).to_string());
                let is_keeper = told.contains(store.absolute(keeper).as_str())
                    || keeper == "top" && told.contains("-middle");
                assert!(is_keeper, "{told}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((store.names().len(), store.valid().len()), (7, 7));
    });
}

#[test]
fn a_root_that_the_plan_overlooks_stops_it() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[Row::new("one", &[]), Row::new("two", &[])]);
        let selection = Looker::new(&store).selection();
        store.root("one");
        let cli = store.scratch.nix().unwrap();
        let collection = collect(&Blind::with(selection), &cli, &Never, CollectMethod::Direct);
        let stopped = matches!(&collection.outcome, Err(PerformError::Disagreement { keeper, .. }) if keeper.contains("root"));
        assert!(stopped, "{collection:?}");
        assert_eq!(store.names().len(), 2);
    });
}

#[test]
fn what_becomes_a_root_after_the_look_stays_with_what_it_keeps() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let looker = Looker::new(&store).meanwhile(|_| store.root("middle"));
        let collection = directly(&store, &looker);
        assert_done(&collection, 4);
        assert_eq!(refused(&collection), ["middle", "middle.drv", "base"]);
        let left: std::collections::BTreeSet<String> = KEPT_BY_MIDDLE
            .map(|name| store.path(name).to_string())
            .into();
        assert_eq!(store.valid(), left);
        assert_clean(&store);
    });
}

#[test]
fn what_a_build_needs_stays_with_what_it_keeps() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        // A name belongs to the build of the path whose hash it begins with.
        let lock = format!("{}.lock", store.absolute("to-be-built"));
        fs::write(&lock, "").unwrap();
        let build = RefCell::new(None);
        let looker = Looker::new(&store).meanwhile(|_| {
            let mut it = Build::of(&store);
            it.needs(store.absolute("middle").as_str());
            it.needs(store.absolute("to-be-built").as_str());
            it.needs("no store path");
            *build.borrow_mut() = Some(it);
        });
        let collection = directly(&store, &looker);
        assert_done(&collection, 4);
        for name in KEPT_BY_MIDDLE {
            assert!(store.has(name), "{name}");
        }
        assert!(fs::exists(&lock).unwrap());
    });
}

#[test]
fn what_is_registered_meanwhile_stays_with_what_it_refers_to() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        store.unregistered("new");
        let looker = Looker::new(&store).meanwhile(|_| store.fill(&[Row::new("new", &["base"])]));
        let collection = directly(&store, &looker);
        assert!(collection.outcome.is_ok(), "{collection:?}");
        assert!(store.has("new") && store.has("base") && !store.has("top"));
        store.assert_sound();
    });
}

#[test]
fn another_collection_is_waited_for_until_somebody_asks_to_stop() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let lock = store.scratch.state_dir().join("gc.lock");
        let file = fs::File::create(&lock).unwrap();
        let held = Flock::lock(file, FlockArg::LockShared).unwrap();
        std::thread::scope(|scope| {
            let waited = scope.spawn(|| {
                // Long enough for a busy machine to begin.
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(2) && store.has("top") {
                    std::thread::sleep(Duration::from_millis(20));
                }
                let has_waited = store.has("top");
                drop(held);
                has_waited
            });
            assert_done(&directly(&store, &Looker::new(&store)), 7);
            assert!(waited.join().unwrap());
        });
    });
}

#[test]
fn stopped_in_the_middle_it_leaves_a_sound_store() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 9_000);
        let cli = store.scratch.nix().unwrap();
        let stop = StopAfter(Cell::new(1));
        let collection = collect(&Looker::new(&store), &cli, &stop, CollectMethod::Direct);
        let stopped = matches!(collection.outcome, Err(PerformError::Interrupted { .. }));
        assert!(stopped, "{:?}", collection.outcome);
        let gone = collection.collected.paths.unwrap();
        assert!((1..8_999).contains(&gone), "{gone}");
        store.assert_sound();
        assert_done(&directly(&store, &Looker::new(&store)), 8_999 - gone);
        assert_clean(&store);
    });
}

/// Nobody waits for who reads the database: while one did, nobody could write.
#[test]
fn a_long_reader_of_the_database_delays_nobody() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let database = store.scratch.state_dir().join("db/db.sqlite");
        let reader = Connection::open(database).unwrap();
        let read = "begin; select count(*) from ValidPaths";
        reader.execute_batch(read).unwrap();
        let begun = Instant::now();
        assert_done(&directly(&store, &Looker::new(&store)), 7);
        assert!(begun.elapsed() < Duration::from_secs(30));
        drop(reader);
        assert_clean(&store);
    });
}

/// Every way in which Nix does not take a link for a root.
#[rstest]
#[case("{store}//{name}")]
#[case("{store}/./{name}")]
#[case("/{store}/{name}")]
fn an_odd_link_is_no_root_and_stops_nothing(#[case] target: &str) {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[Row::new("one", &[])]);
        let (dir, name) = (
            store.scratch.store().as_path(),
            store.path("one").to_string(),
        );
        let target = target
            .replace("{store}", dir.as_str())
            .replace("{name}", &name);
        let link = store.scratch.state_dir().join("gcroots/odd");
        symlink(target, link).unwrap();
        let collection = directly(&store, &Looker::new(&store));
        assert!(collection.outcome.is_ok(), "{:?}", collection.outcome);
    });
}

#[test]
fn a_path_of_any_depth_goes() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let path = store.absolute("lone");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        // A whole path of so many names is too long for any call.
        let mut inside = path.clone();
        for _ in 0..15 {
            let top = store.scratch.base().join("top");
            let part = top.join(["d"; 100].join("/"));
            fs::create_dir_all(&part).unwrap();
            fs::rename(&inside, part.join("rest")).unwrap();
            inside = top;
            let moved = store.scratch.base().join("moved");
            fs::rename(&inside, &moved).unwrap();
            inside = moved;
        }
        fs::rename(&inside, &path).unwrap();
        assert_done(&directly(&store, &Looker::new(&store)), 7);
        assert!(store.names().is_empty());
    });
}

#[test]
fn young_paths_stay_with_what_they_need() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let looker = ages(&store);
        assert_done(&directly(&store, &looker), 1);
        assert!(!store.has("old"));
        assert_eq!(store.names().len(), 3);
    });
}

/// Every kind of thing that a path may have in it, and foreign names.
#[test]
fn trees_and_foreign_names_go_but_for_those_that_builds_hold() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let dir = store.scratch.store().as_path();
        let path = store.absolute("lone");
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("a/b/c")).unwrap();
        symlink("/etc", path.join("a/etc")).unwrap();
        symlink("nowhere", path.join("a/b/broken")).unwrap();
        fs::write(path.join("a/b/c/file"), vec![1; 10_000]).unwrap();
        nix::unistd::mkfifo(
            path.join("a/fifo").as_std_path(),
            nix::sys::stat::Mode::S_IRWXU,
        )
        .unwrap();
        let read_only = fs::Permissions::from_mode(0o555);
        fs::set_permissions(path.join("a/b"), read_only).unwrap();
        fs::write(dir.join("junk"), "").unwrap();
        fs::create_dir(dir.join("tmp-1-0")).unwrap();
        fs::create_dir(dir.join("tmp-2-0")).unwrap();
        let used = fs::File::open(dir.join("tmp-2-0")).unwrap();
        let _used = Flock::lock(used, FlockArg::LockExclusive).unwrap();
        let collection = directly(&store, &Looker::new(&store));
        assert!(collection.outcome.is_ok(), "{collection:?}");
        assert_eq!(store.names().into_iter().collect::<Vec<_>>(), ["tmp-2-0"]);
        assert!(fs::metadata("/etc").is_ok());
    });
}

#[test]
fn freed_bytes_are_those_of_files_that_lose_their_last_link() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[
            Row::new("gone", &[]),
            Row::new("gone-too", &[]),
            Row::new("stays", &[]),
        ]);
        store.root("stays");
        let links = store.scratch.store().as_path().join(".links");
        fs::create_dir_all(&links).unwrap();
        let write = |name: &str, size: usize| {
            let path = store.absolute(name);
            fs::write(&path, vec![7; size]).unwrap();
            path
        };
        // One file is shared by both that go, one with the path that stays.
        let shared = write("gone", 300_000);
        fs::hard_link(&shared, links.join("0shared")).unwrap();
        fs::remove_file(store.absolute("gone-too")).unwrap();
        fs::create_dir(store.absolute("gone-too")).unwrap();
        fs::hard_link(&shared, store.absolute("gone-too").join("same")).unwrap();
        let kept = write("stays", 500_000);
        fs::hard_link(&kept, store.absolute("gone-too").join("kept")).unwrap();
        fs::hard_link(&kept, links.join("0kept")).unwrap();
        let blocks = |path: &camino::Utf8Path| fs::metadata(path).unwrap().blocks() * 512;
        let expected = blocks(&shared) + blocks(&store.absolute("gone-too"));
        let collection = directly(&store, &Looker::new(&store));
        assert_done(&collection, 2);
        assert_eq!(collection.collected.bytes.unwrap().0, expected);
        assert!(!links.join("0shared").exists() && links.join("0kept").exists());
    });
}

#[test]
fn a_database_that_is_not_known_is_not_touched() {
    as_root(|nix| {
        for (change, named) in [
            ("create table Unheard (x)", "Unheard"),
            (
                "create trigger Odd before delete on ValidPaths begin select 1; end",
                "Odd",
            ),
            (
                "create table if not exists Realisations (id integer primary key, drvPath text);
                 insert into Realisations (id, drvPath) values (1, 'sha256:ab')",
                "content-addressed",
            ),
            (
                "drop table Refs; create table Refs (
                    referrer integer not null, reference integer not null,
                    primary key (referrer, reference),
                    foreign key (referrer) references ValidPaths(id) on delete cascade,
                    foreign key (reference) references ValidPaths(id) on delete cascade)",
                "does not refuse",
            ),
        ] {
            let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
            chain(&store);
            let database = store.scratch.state_dir().join("db/db.sqlite");
            Connection::open(database)
                .unwrap()
                .execute_batch(change)
                .unwrap();
            let collection = directly(&store, &Looker::new(&store));
            match &collection.outcome {
                Err(error @ PerformError::Unsupported(_)) => {
                    assert!(error_chain(error).contains(named), "{error:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!((store.names().len(), store.valid().len()), (7, 7));
        }
    });
}

const CHILD: &str = "NIX_PRUNE_TEST_DIRECT";

/// The part of the test below that runs as another user.
#[test]
fn child_begins_directly() {
    // Only as a child of the test that starts it, as another user.
    let Ok(bin) = std::env::var(CHILD) else {
        return;
    };
    let (places, bin) = (NixDirs::from_env().unwrap(), Utf8Path::new(&bin));
    let nix = NixCli::new(places, Some(bin), ChildEnv::default(), Arc::new(Never)).unwrap();
    match nix.begin_direct() {
        Err(error) => println!("\nREFUSED {error}"),
        Ok(_) => println!("\nBEGUN"),
    }
}

#[test]
fn whoever_is_not_root_is_refused() {
    // Nobody asks these programs for anything.
    let dir = tempfile::tempdir().unwrap();
    let open = || fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path(), open()).unwrap();
    for name in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
        let program = dir.path().join(name);
        fs::write(&program, "").unwrap();
        fs::set_permissions(program, open()).unwrap();
    }
    let test = "collect::direct::child_begins_directly";
    let printed = as_ordinary_user(test, CHILD, dir.path().to_str().unwrap());
    assert!(
        printed.contains("REFUSED direct collection is not possible: it needs root"),
        "{printed}"
    );
}

/// Real builds, additions and profiles with a real Nix, while a loop collects.
#[test]
fn builds_beside_a_direct_collection_lose_nothing() {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let rounds = number("NIX_PRUNE_TEST_ROUNDS", 12);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let expression = store.scratch.base().join("build.nix");
        let text = r#"
            { n }: derivation {
              name = "built-${toString n}"; system = builtins.currentSystem; builder = "/bin/sh";
              args = [ "-c" "echo ${builtins.toFile "needed-${toString n}" "text ${toString n}"} > $out" ];
            }"#;
        fs::write(&expression, text).unwrap();
        std::thread::scope(|scope| {
            let (store, stop, expression) = (&store, &stop, &expression);
            let collector = scope.spawn(move || {
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let collection = directly(store, &Looker::new(store));
                    let outcome = &collection.outcome;
                    assert!(outcome.is_ok(), "{outcome:?} {:?}", collection.refused);
                    count += 1;
                }
                count
            });
            // Ends the loop above when something fails in here.
            let ends = Ends(stop);
            for n in 0..rounds {
                let link = store.scratch.base().join(format!("result-{}", n % 3));
                let args =
                    [expression.as_str(), "--argstr", "n", &n.to_string()].map(str::to_string);
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let built = [&args[..], &["-o", link.as_str()]].concat();
                by_hand(&store.scratch, "nix-build", &built);
                let text = fs::read_to_string(&link).unwrap();
                let needed = text.trim_end();
                assert!(fs::exists(needed).unwrap(), "round {n}: {needed} is gone");
                let profile = store.scratch.state_dir().join("profiles/of-test");
                let target = fs::read_link(&link).unwrap();
                let set = ["-p", profile.as_str(), "--set", target.to_str().unwrap()];
                by_hand(&store.scratch, "nix-env", &set);
                // Garbage for the collector.
                let junk = store.scratch.base().join("junk");
                fs::write(&junk, format!("junk {n}")).unwrap();
                by_hand(&store.scratch, "nix-store", &["--add", junk.as_str()]);
            }
            drop(ends);
            assert!(collector.join().unwrap() > 1);
        });
        assert!(directly(&store, &Looker::new(&store)).outcome.is_ok());
        assert_clean(&store);
    });
}

/// Says that a loop is to end.
struct Ends<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable);
    set.map_or(usual, |text| text.parse().expect("a number"))
}
