//! Collections in a store without any Nix: what comes first, and what waits for what.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::thread;

use nix::fcntl::FlockArg;

use super::world::World;
use super::*;

fn paths(numbers: impl IntoIterator<Item = usize>) -> Vec<StorePath<String>> {
    numbers.into_iter().map(World::path).collect()
}

/// Why the only path of a step stays; nothing where it goes.
fn why(direct: &Direct<'_>, n: usize) -> String {
    let step = direct.delete(&[paths([n])]);
    step.deleted.outcome.unwrap();
    let refused = step.deleted.refused.into_iter().next();
    assert_eq!(step.deleted.paths.is_empty(), refused.is_some());
    refused.map(|refused| refused.why).unwrap_or_default()
}

fn taken(file: &Utf8Path) -> u64 {
    file.symlink_metadata().unwrap().blocks() * 512
}

#[test]
fn nothing_is_served_or_read_before_the_lock_is_held() {
    let world = World::new();
    world.add(1, &[]);
    let held = world.lock("gc.lock", FlockArg::LockShared);
    thread::scope(|scope| {
        let begun = scope.spawn(|| world.begin().unwrap());
        thread::sleep(Duration::from_millis(100));
        let is_served = world.places.state_dir.join("gc-socket").exists();
        world.add(2, &[]);
        let temporary = world.temporary(1);
        drop(held);
        let direct = begun.join().unwrap();
        assert!(!is_served);
        drop(temporary);
        assert_eq!(why(&direct, 1), "a process uses it");
        assert_eq!(why(&direct, 2), "");
    });
}

#[test]
fn a_root_that_was_made_anew_by_another_link_stays_and_stops_nothing() {
    let world = World::new();
    world.add(1, &[]);
    let link = world.root("before", 1);
    let direct = world.begin().unwrap();
    fs::remove_file(link).unwrap();
    world.root("now", 1);
    assert_eq!(why(&direct, 1), "it has become a root");
}

#[test]
fn a_step_waits_for_the_files_of_earlier_ones() {
    let world = World::new();
    let steps: Vec<_> = (0..6).map(|n| paths(n * 20..(n + 1) * 20)).collect();
    (0..120).for_each(|n| world.add(n, &[]));
    let direct = world.begin().unwrap();
    world.gate.is_shut.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        let deleted = scope.spawn(|| {
            let ends = steps
                .iter()
                .map(|step| direct.delete(std::slice::from_ref(step)));
            ends.for_each(|end| end.deleted.outcome.unwrap());
        });
        let begun = Instant::now();
        while !deleted.is_finished() && begun.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(5));
        }
        let has_ended = deleted.is_finished();
        world.gate.is_shut.store(false, Ordering::SeqCst);
        deleted.join().unwrap();
        assert!(!has_ended);
    });
}

#[test]
fn while_another_writer_is_waited_for_no_build_is_held_up() {
    let world = World::new();
    world.add(1, &[]);
    let direct = world.begin().unwrap();
    let writer = world.database();
    writer.execute_batch("begin immediate").unwrap();
    thread::scope(|scope| {
        let deleted = scope.spawn(|| why(&direct, 1));
        thread::sleep(Duration::from_millis(200));
        let name = World::path(1).to_string();
        let goes_on = direct.server.claims().need(hash_of(&name).unwrap());
        writer.execute_batch("rollback").unwrap();
        assert_eq!(deleted.join().unwrap(), "a build needs it");
        assert!(goes_on);
    });
}

/// A statement that takes this long while a path is deleted.
fn slow(world: &World, path: usize, time: Duration) {
    let database = world.database();
    let count = |rows: u128| {
        format!(
            "select count(*) from (with recursive counted(n) as
            (select 1 union all select n + 1 from counted where n < {rows}) select n from counted)"
        )
    };
    let begun = Instant::now();
    let sample = 100_000;
    database
        .query_row(&count(sample), [], |row| row.get::<_, i64>(0))
        .unwrap();
    let rows = sample * time.as_micros() / begun.elapsed().as_micros().max(1);
    let (file, count) = (world.file(path), count(rows));
    let trigger = format!(
        "create trigger Slow before delete on ValidPaths when old.path = '{file}' begin {count}; end"
    );
    database.execute_batch(&trigger).unwrap();
}

#[test]
fn a_build_that_asks_while_rows_are_deleted_is_answered_at_once_and_the_path_is_still_there() {
    let world = World::new();
    (0..64).for_each(|n| world.add(n, &[]));
    let batches: Vec<_> = (0..64).map(|n| paths([n])).collect();
    let direct = world.begin().unwrap();
    slow(&world, 1, Duration::from_secs(2));
    let name = World::path(1).to_string();
    let hash = hash_of(&name).unwrap();
    let step = thread::scope(|scope| {
        let step = scope.spawn(|| direct.delete(&batches));
        let writer = world.database();
        writer.busy_timeout(Duration::ZERO).unwrap();
        while writer.execute_batch("begin immediate; rollback").is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(300));
        let is_free = direct.server.claims().need(hash);
        let is_undecided = !step.is_finished();
        assert!(is_free && is_undecided);
        step.join().unwrap()
    });
    // Fewer at once are done sooner.
    assert_eq!((step.taken, step.deleted.paths.len()), (16, 15));
    assert_eq!(step.deleted.refused[0].path.to_string(), name);
    assert_eq!(step.deleted.refused[0].why, "a build needs it");
    direct.finish(false);
    let valid: Vec<_> = (0..20).filter(|n| world.is_valid(*n)).collect();
    assert_eq!(valid, [1, 16, 17, 18, 19]);
    assert!(world.file(1).exists() && !world.file(2).exists());
}

#[test]
fn no_build_waits_for_a_path_whose_deletion_failed() {
    let world = World::new();
    world.add(1, &[]);
    let direct = world.begin().unwrap();
    let (database, file) = (world.database(), world.file(1));
    let refer = format!(
        "create table Late (path text references ValidPaths(path) deferrable initially deferred);
        insert into Late values ('{file}')"
    );
    database.execute_batch(&refer).unwrap();
    let step = direct.delete(&[paths([1])]);
    assert!(step.deleted.outcome.is_err() && step.deleted.paths.is_empty());
    let hash = hash_of(&World::path(1).to_string()).unwrap();
    assert!(direct.server.claims().is_free(&hash));
    assert!(world.is_valid(1) && file.exists());
    database.execute_batch("drop table Late").unwrap();
    assert_eq!(why(&direct, 1), "");
}

#[test]
fn a_step_takes_no_more_than_half_as_many_paths_again() {
    let world = World::new();
    (0..70).for_each(|n| world.add(n, &[]));
    let direct = world.begin().unwrap();
    assert_eq!(direct.delete(&[paths(0..10), paths(10..20)]).taken, 2);
    assert_eq!(direct.delete(&[paths(20..40), paths(40..51)]).taken, 1);
    assert_eq!(direct.delete(&[paths(40..60), paths(60..70)]).taken, 2);
}

#[test]
fn a_long_log_is_moved_into_the_database() {
    let world = World::new();
    (1..3).for_each(|n| world.add(n, &[]));
    let direct = world.begin().unwrap();
    let writer = world.database();
    writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    for (n, megabytes, is_long) in [(1, 1, false), (2, 33, true)] {
        let insert = "insert into ValidPaths (path, hash, registrationTime) values (?1, zeroblob(?1 << 20), 0)";
        writer.execute(insert, [megabytes]).unwrap();
        assert_eq!(why(&direct, n), "");
        let database = world.places.state_dir.join("db/db.sqlite");
        assert_eq!(database.metadata().unwrap().len() > MAX_LOG_BYTES, is_long);
    }
}

#[test]
fn the_rest_is_done_while_files_are_removed() {
    let world = World::new();
    world.add(1, &[]);
    let foreign = world.places.store.as_path().join("junk.drv");
    fs::write(&foreign, "").unwrap();
    let direct = world.begin().unwrap();
    let writer = world.database();
    writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    let insert =
        "insert into ValidPaths (path, hash, registrationTime) values (1, zeroblob(2 << 20), 0)";
    writer.execute(insert, []).unwrap();
    world.gate.is_shut.store(true, Ordering::SeqCst);
    assert_eq!(why(&direct, 1), "");
    let log = world.places.state_dir.join("db/db.sqlite-wal");
    let is_done = || log.metadata().unwrap().len() == 0 && !foreign.exists();
    let was_done = !is_done()
        && thread::scope(|scope| {
            let finished = scope.spawn(|| direct.finish(true));
            let begun = Instant::now();
            while !is_done() && begun.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(5));
            }
            let was_done = is_done() && !finished.is_finished() && world.file(1).exists();
            world.gate.is_shut.store(false, Ordering::SeqCst);
            finished.join().unwrap();
            was_done
        });
    assert!(was_done && !world.file(1).exists());
}

#[test]
fn a_part_looks_at_links_once_after_a_file_lost_one_of_several() {
    let world = World::new();
    (1..3).for_each(|n| world.add(n, &[]));
    let links = world.places.store.as_path().join(".links");
    fs::create_dir(&links).unwrap();
    fs::hard_link(world.file(1), links.join("one")).unwrap();
    let freed = taken(&links.join("one"));
    let direct = world.begin().unwrap();
    for (n, bytes) in [(1, freed), (2, taken(&world.file(2)))] {
        fs::write(links.join(n.to_string()), "").unwrap();
        assert_eq!(why(&direct, n), "");
        assert_eq!(direct.finish(false).bytes, Bytes(bytes));
    }
    assert!(!links.join("one").exists() && !links.join("1").exists());
    // No file lost one of several links since.
    assert!(links.join("2").exists());
    direct.finish(true);
    assert!(!links.join("2").exists());
}

#[test]
fn foreign_names_count_with_what_they_free_and_those_that_are_left_are_named() {
    let world = World::new();
    let store = world.places.store.as_path();
    fs::create_dir(store.join("junk")).unwrap();
    fs::write(store.join("junk/file"), vec![1; 100_000]).unwrap();
    let freed = taken(&store.join("junk")) + taken(&store.join("junk/file"));
    fs::create_dir(store.join("tmp-1")).unwrap();
    let used = fs::File::open(store.join("tmp-1")).unwrap();
    let _used = nix::fcntl::Flock::lock(used, FlockArg::LockExclusive).unwrap();
    fs::create_dir_all(store.join("deep").join("d/".repeat(512))).unwrap();
    let direct = world.begin().unwrap();
    let finished = direct.finish(true);
    assert_eq!((finished.names, finished.bytes), (1, Bytes(freed)));
    assert_eq!(finished.left, ["deep: it is nested too deeply"]);
    assert_eq!(finished.unfinished, 0);
    assert!(store.join("tmp-1").exists() && !store.join("junk").exists());
}

#[test]
fn more_files_may_be_open_as_far_as_that_is_allowed_and_never_fewer() {
    const CHILD: &str = "NIX_PRUNE_TEST_OPEN_FILES";
    const NAME: &str = "more_files_may_be_open_as_far_as_that_is_allowed_and_never_fewer";
    // The limit belongs to the process, so another one changes its own.
    if std::env::var_os(CHILD).is_none() {
        let binary = std::env::current_exe().unwrap();
        let module = module_path!().split_once("::").unwrap().1;
        let ran = std::process::Command::new(binary)
            .args(["--exact", &format!("{module}::{NAME}")])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let limits = || getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let (_, most) = limits();
    for (now, most, raised) in [
        (256, most, most.min(OPEN_FILES)),
        (most, most, most),
        (256, 512, 512),
    ] {
        setrlimit(Resource::RLIMIT_NOFILE, now, most).unwrap();
        World::new().begin().unwrap();
        assert_eq!(limits(), (raised, most));
    }
}
