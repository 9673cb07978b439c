//! The same goes as in a full collection.

#![cfg(test)]

use std::cell::Cell;
use std::fs;

use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::graph::KeepFlags;
use nix_prune::engine::collect;
use nix_prune::ports::{NixActions, PerformError};

use super::looker::{Blind, Looker, Never, StopAfter};
use super::stores::{Dice, Row, Store, any_store};
use super::{BOTH, ages, assert_done, chain, many, selectively};
use crate::support::{Nix, by_hand, with_each_nix};

const FLAGS: [KeepFlags; 4] = [
    KeepFlags::REFERENCES,
    KeepFlags::NIX_DEFAULT,
    KeepFlags {
        derivations: false,
        outputs: true,
    },
    BOTH,
];

/// How many random stores each Nix gets, and the seed of the first: `NIX_PRUNE_TEST_STORES`, `NIX_PRUNE_TEST_SEED`.
pub(super) fn seeds() -> impl Iterator<Item = (u64, KeepFlags)> {
    let number = |name: &str, default: u64| {
        let set = std::env::var(name);
        set.map_or(default, |text| text.parse().expect("a number"))
    };
    let (count, first) = (
        number("NIX_PRUNE_TEST_STORES", 30) / 3,
        number("NIX_PRUNE_TEST_SEED", 2026),
    );
    (first..first + count).zip(FLAGS.into_iter().cycle())
}

/// The same store twice.
pub(super) fn twins(nix: &Nix, dice: &mut Dice, flags: KeepFlags) -> [Store; 2] {
    let (rows, roots) = any_store(dice);
    [(); 2].map(|()| {
        let store = Store::new(nix, flags);
        store.fill(&rows);
        for root in &roots {
            store.root(root);
        }
        (0..3).for_each(|n| store.unregistered(&format!("left-over-{n}")));
        store
    })
}

#[test]
fn trap_24_the_same_goes_as_nix_itself_collects() {
    with_each_nix(|nix| {
        for (seed, flags) in seeds() {
            let mut dice = Dice::new(seed);
            let [by_nix, by_name] = twins(nix, &mut dice, flags);
            let before = by_name.names().len();
            by_hand(&by_nix.scratch, "nix-collect-garbage", &[]);
            // Batches from one path to all of them.
            let limit = [1, 400, 2_000, usize::MAX][dice.below(4)];
            let collection = selectively(&by_name, &Looker::new(&by_name), limit);
            let told = format!("seed {seed}, {flags:?}, {limit}: {collection:?}");
            assert_eq!(by_name.names(), by_nix.names(), "{told}");
            assert_eq!(by_name.valid(), by_nix.valid(), "{told}");
            assert_eq!(collection.refused, [], "{told}");
            let gone = before - by_name.names().len();
            assert_done(&collection, u64::try_from(gone).unwrap());
            by_name.assert_clean();
        }
    });
}

#[test]
fn whatever_we_get_wrong_nix_deletes_nothing_that_is_alive() {
    with_each_nix(|nix| {
        for (seed, flags) in seeds().take(8) {
            let [by_nix, by_name] = twins(nix, &mut Dice::new(seed), flags);
            by_hand(&by_nix.scratch, "nix-collect-garbage", &[]);
            let blind = Blind::with(Looker::new(&by_name).blind_selection());
            let cli = by_name.scratch.nix().unwrap();
            let collection = collect(&blind, &cli, &Never, CollectMethod::Auto);
            let told = format!("seed {seed}, {flags:?}: {collection:?}");
            assert!(collection.outcome.is_ok(), "{told}");
            let (left, live) = (by_name.names(), by_nix.names());
            assert!(
                left.is_superset(&live),
                "{:?} lost: {told}",
                live.difference(&left)
            );
            by_name.assert_sound();
        }
    });
}

#[test]
fn thousands_of_paths_go_in_several_batches() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 5_000);
        let looker = Looker::new(&store);
        let limit = store.scratch.nix().unwrap().deletion_limit().unwrap();
        let cost = |name: &str| name.len() + limit.unwrap().per_path;
        let batches = looker.selection().batches(80_000, cost);
        assert!(batches.len() > 4, "{}", batches.len());
        assert_done(&selectively(&store, &looker, 80_000), 4_999);
        assert!(store.has("many-0") && store.has("alive"));
        store.assert_clean();
    });
}

#[test]
fn as_much_as_fits_goes_in_one_call() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 9_000);
        let looker = Looker::new(&store);
        let cli = store.scratch.nix().unwrap();
        let limit = cli.deletion_limit().unwrap().unwrap();
        let cost = |name: &str| name.len() + limit.per_path;
        let batches = looker.selection().batches(limit.bytes, cost);
        let largest = batches.iter().map(Vec::len).max().unwrap();
        assert_eq!(cli.delete_paths(&batches[0]).paths.len(), batches[0].len());
        // On Linux with its usual limits, many thousands.
        assert!(limit.bytes < 1 << 20 || largest > 5_000, "{largest}");
    });
}

#[test]
fn paths_that_keep_each_other_go_together() {
    with_each_nix(|nix| {
        let store = Store::new(nix, BOTH);
        store.fill(&[
            Row::derivation("x.drv", &["x-out", "x-dev"]),
            Row::new("x-out", &[]).derived_from("x.drv"),
            Row::new("x-dev", &["x-out"]).derived_from("x.drv"),
            Row::new("user", &["x-dev"]),
        ]);
        let looker = Looker::new(&store);
        let batches = looker.selection().batches(1, str::len);
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 3]);
        assert_done(&selectively(&store, &looker, 1), 4);
        store.assert_clean();
    });
}

#[test]
fn an_interruption_between_batches_leaves_a_sound_store() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 300);
        let looker = Looker::new(&store);
        let cli = store.scratch.nix().unwrap().with_max_argument_bytes(5_000);
        let stop = StopAfter(Cell::new(2));
        let collection = collect(&looker, &cli, &stop, CollectMethod::Auto);
        let interrupted = matches!(collection.outcome, Err(PerformError::Interrupted { .. }));
        assert!(interrupted, "{collection:?}");
        let gone = collection.collected.paths.unwrap();
        assert!((1..299).contains(&gone), "{gone}");
        assert_eq!(store.names().len() as u64, 301 - gone);
        store.assert_sound();
        // The next one does the rest.
        let rest = selectively(&store, &looker, usize::MAX);
        assert_done(&rest, 299 - gone);
        store.assert_clean();
    });
}

#[test]
fn recent_paths_stay_with_what_they_need() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let looker = ages(&store);
        assert!(!looker.selection().is_everything());
        assert_done(&selectively(&store, &looker, usize::MAX), 1);
        assert!(!store.has("old"));
        assert_eq!(store.names().len(), 3);
    });
}

#[test]
fn foreign_names_are_for_a_whole_collection() {
    with_each_nix(|nix| {
        for (method, stays) in [
            (CollectMethod::Auto, false),
            (CollectMethod::Full, false),
            (CollectMethod::Selective, true),
        ] {
            let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
            chain(&store);
            let junk = store.scratch.store().as_path().join("junkfile");
            fs::write(&junk, "").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(30));
            let cli = store.scratch.nix().unwrap();
            let collection = collect(&Looker::new(&store), &cli, &Never, method);
            assert!(collection.outcome.is_ok(), "{collection:?}");
            assert!(!store.has("top"));
            assert_eq!(junk.exists(), stays, "{method:?}: {collection:?}");
            let detail = collection.detail().unwrap_or_default();
            let told = detail.contains("names that are not store paths (1)");
            assert_eq!(told, method != CollectMethod::Full, "{detail}");
        }
    });
}

#[test]
fn nothing_dead_calls_nobody() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        for name in ["top", "other", "lone"] {
            store.root(name);
        }
        assert_done(&selectively(&store, &Looker::new(&store), usize::MAX), 0);
        assert_eq!(store.names().len(), 7);
    });
}
