//! Random stores: what we hold for dead is what each Nix holds for dead.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use camino::Utf8PathBuf;
use nix_prune::domain::blocker::CheckCode;

use super::number;
use super::world::{KINDS, World};
use crate::support::{Nix, nixes, print_dead, words};

/// How many random stores there are without a word.
const STORES: u64 = 200;

/// Where the seeds begin.
const FIRST: u64 = 1;

/// What Nix holds for dead. It gives up on a process of anybody's whose working directory has too long a name, as other
/// tests have: then once more.
fn dead_by_nix(world: &World) -> Vec<Utf8PathBuf> {
    let mut left = 20;
    loop {
        match print_dead(&world.scratch) {
            Ok(dead) => return dead,
            Err(error) if left > 0 && error.contains("/proc/") => left -= 1,
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// What kinds of things the store of a seed has, and what is wrong with our answer for it.
fn difference(nix: &Nix, seed: u64) -> (Vec<&'static str>, Option<String>) {
    let world = World::new(nix, seed);
    let (snapshot, inspection) = world.observe();
    assert_eq!(inspection.flags(), world.flags, "seed {seed}: trap 24");
    let hidden = snapshot
        .blockers
        .iter()
        .any(|r| r.code == CheckCode::RootsUnreadable);
    assert!(!hidden, "seed {seed}: {:?}", snapshot.blockers);
    let dead = inspection.dead();
    let mut ours: BTreeSet<String> = dead.iter().map(|node| inspection.path(node)).collect();
    let store = inspection.store().as_path();
    let names = inspection.unregistered().iter();
    ours.extend(names.map(|name| store.join(&name.name).into_string()));
    // Last, for it deletes (trap 45).
    let theirs: BTreeSet<String> = dead_by_nix(&world)
        .into_iter()
        .map(Utf8PathBuf::into_string)
        .collect();
    let list = |set: BTreeSet<&String>| set.into_iter().cloned().collect::<Vec<_>>().join("\n    ");
    let difference = (ours != theirs).then(|| {
        format!(
            "seed {seed} ({:?}):\n  only we say dead:\n    {}\n  only Nix says dead:\n    {}",
            world.flags,
            list(ours.difference(&theirs).collect()),
            list(theirs.difference(&ours).collect()),
        )
    });
    (world.kinds(), difference)
}

/// A kind that hardly any store has is not tested, whatever the generator is meant to make.
fn assert_every_kind(stores: u64, kinds: &BTreeMap<&'static str, u64>) {
    for kind in KINDS {
        let count = kinds.get(kind).copied().unwrap_or_default();
        assert!(
            count * 20 >= stores,
            "{kind}: only in {count} of {stores} random stores; {kinds:#?}"
        );
    }
}

/// `NIX_PRUNE_TEST_STORES` says how many, `NIX_PRUNE_TEST_SEED` which is the first; the seed of a failure is told.
#[test]
fn trap_25_our_dead_paths_are_those_of_every_nix_on_random_stores() {
    let nixes = nixes();
    if nixes.is_empty() {
        return;
    }
    let (stores, first) = (
        number("NIX_PRUNE_TEST_STORES", STORES),
        number("NIX_PRUNE_TEST_SEED", FIRST),
    );
    let next = std::sync::atomic::AtomicU64::new(first);
    let work = || {
        let mut failures = Vec::new();
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= first + stores {
                return (failures, kinds);
            }
            let index = usize::try_from(seed).unwrap() % nixes.len();
            let nix = &nixes[index];
            // A panic must not hide what is wrong with other seeds, nor its own.
            match catch_unwind(AssertUnwindSafe(|| difference(nix, seed))) {
                Ok((has, difference)) => {
                    for kind in has {
                        *kinds.entry(kind).or_default() += 1;
                    }
                    failures.extend(difference.map(|what| format!("{}: {what}", nix.version)));
                }
                Err(cause) => {
                    let why = words(&*cause);
                    failures.push(format!("{}: seed {seed}: {why}", nix.version));
                }
            }
        }
    };
    let (mut failures, mut kinds) = (Vec::new(), BTreeMap::new());
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        for other in others {
            let (failed, has) = other.join().unwrap();
            failures.extend(failed);
            for (kind, count) in has {
                *kinds.entry(kind).or_default() += count;
            }
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if stores >= STORES {
        assert_every_kind(stores, &kinds);
    }
    for (kind, count) in kinds {
        println!("{count:6} of {stores} stores: {kind}");
    }
}
