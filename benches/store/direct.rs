//! Direct collection against Nix, against a peer's collector and against the least that the same deletion takes, in turns, each on a
//! fresh copy of the same store.
//!
//! `NIX_PRUNE_BENCH_PEER` names the peer's program: `harmonia-gc`. What is left must be the same each time.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Extent;
use super::collect::{Pristine, Shape, names};
use super::measure::{self, Samples};
use super::stores::{Files, Store, bins};

/// How long a store is left alone before it is measured: one that changed less than two seconds ago is read again at each look.
const REST: Duration = Duration::from_millis(2300);
/// How many threads remove files in the least work.
const THREADS: usize = 2;

pub(crate) fn run(extent: Extent) {
    let Some(newest) = bins().into_iter().next_back() else {
        println!("SKIPPED: direct collection, for no nix-store was found (NIX_PRUNE_TEST_NIX)");
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: direct collection, for it needs root");
        return;
    }
    if extent == Extent::Smoke {
        let tiny = Pristine::make("collect-tiny", &newest, 2_000, Files::Trees);
        return compare(&tiny, Shape::ManyRoots, &newest, 1);
    }
    let sizes: &[u32] = match extent {
        Extent::Full => &[50_000, 100_000],
        _ => &[10_000],
    };
    for &size in sizes {
        let trees = Pristine::make(&format!("direct-{size}"), &newest, size, Files::Trees);
        for shape in [Shape::ManyRoots, Shape::FewRoots, Shape::Optimised] {
            compare(&trees, shape, &newest, 3);
        }
    }
    if extent == Extent::Full {
        let large = Pristine::make("direct-large", &newest, 1_000_000, Files::One);
        compare(&large, Shape::ManyRoots, &newest, 3);
    }
}

fn compare(pristine: &Pristine, shape: Shape, bin: &Path, rounds: usize) {
    let store = Store::at(&pristine.work, bin, pristine.size);
    let peer = std::env::var_os("NIX_PRUNE_BENCH_PEER");
    // Nix takes minutes for many roots, and hours for a million paths.
    let asks_nix = pristine.size <= 10_000 || pristine.size <= 100_000 && shape != Shape::ManyRoots;
    let (mut ours, mut peers, mut theirs, mut least) = (vec![], vec![], vec![], vec![]);
    let mut expected: Option<(BTreeSet<OsString>, BTreeSet<OsString>)> = None;
    for _ in 0..rounds {
        let mut collected = |command: &dyn Fn() -> Command| {
            renew(pristine, &store, shape);
            let mut command = command();
            let before = names(&store.store());
            let time = measure::command(&mut command);
            let left = names(&store.store());
            let (_, same) = expected.get_or_insert_with(|| (&before - &left, left.clone()));
            assert!(*same == left, "{command:?} leaves other paths");
            time
        };
        ours.push(collected(&|| directly(&store)));
        if let Some(peer) = &peer {
            peers.push(collected(&|| with_peer(&store, peer)));
        }
        if asks_nix {
            theirs.push(collected(&|| store.nix("nix-collect-garbage", &[])));
        }
        renew(pristine, &store, shape);
        let (dead, _) = expected.as_ref().unwrap();
        least.push(least_work(&store, dead));
    }
    let (dead, left) = expected.unwrap();
    let (size, dead, left) = (pristine.size, dead.len(), left.len());
    println!("\ndirect collection, {size} paths, {shape:?}: {dead} go, {left} stay:");
    let ours = Samples::of(ours);
    println!("  nix-prune run, direct                 {ours}");
    for (what, times) in [
        ("peer", peers),
        ("nix-collect-garbage", theirs),
        ("files and rows alone", least),
    ] {
        if !times.is_empty() {
            let times = Samples::of(times);
            println!("  {what:<37} {times}");
            println!(
                "    times as long as ours               {:.2}",
                times.over(&ours)
            );
        }
    }
}

fn renew(pristine: &Pristine, store: &Store, shape: Shape) {
    pristine.renew(store, shape);
    std::thread::sleep(REST);
}

/// A run of a job that does nothing but collect.
fn directly(store: &Store) -> Command {
    let mut command = super::collect::program(store);
    command.args(["--collect-method", "direct"]);
    command
}

fn with_peer(store: &Store, peer: &OsStr) -> Command {
    let mut command = Command::new(peer);
    let (dir, state) = (store.store(), store.state());
    command
        .arg("--store-dir")
        .arg(dir)
        .arg("--state-dir")
        .arg(state);
    command
}

/// Deletes the same rows in one transaction, and then the same files in several threads.
fn least_work(store: &Store, dead: &BTreeSet<OsString>) -> Duration {
    let begun = Instant::now();
    let mut connection = Connection::open(store.state().join("db/db.sqlite")).unwrap();
    connection
        .pragma_update(None, "synchronous", "normal")
        .unwrap();
    let all = connection.transaction().unwrap();
    all.execute_batch("create temp table chosen (id integer primary key)")
        .unwrap();
    let mut choose = all
        .prepare("insert into chosen select id from ValidPaths where path = ?")
        .unwrap();
    for name in dead {
        let path = store.store().join(name);
        choose.execute([path.to_str().unwrap()]).unwrap();
    }
    drop(choose);
    all.execute_batch(
        "delete from Refs where referrer in (select id from chosen);
         delete from DerivationOutputs where drv in (select id from chosen);
         delete from ValidPaths where id in (select id from chosen);",
    )
    .unwrap();
    all.commit().unwrap();
    let (next, dead) = (AtomicUsize::new(0), dead.iter().collect::<Vec<_>>());
    let remove = || {
        while let Some(name) = dead.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = store.store().join(name);
            if path.symlink_metadata().unwrap().is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|_| drop(scope.spawn(remove)));
    });
    let links = store.store().join(".links");
    for entry in fs::read_dir(&links).into_iter().flatten() {
        use std::os::unix::fs::MetadataExt;
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().nlink() == 1 {
            fs::remove_file(path).unwrap();
        }
    }
    begun.elapsed()
}
