//! What changes between the choice and the deletion.

#![cfg(test)]

use std::sync::atomic::{AtomicBool, Ordering};

use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::graph::KeepFlags;
use nix_prune::engine::collect;

use super::looker::{Blind, Looker, Never};
use super::stores::{Row, Store};
use super::{BOTH, KEPT_BY_MIDDLE, assert_done, chain, many, refused, selectively};
use crate::support::{Over, by_hand, command, with_each_nix};

#[test]
fn what_comes_alive_meanwhile_is_refused_and_the_rest_goes() {
    with_each_nix(|nix| {
        for limit in [1, usize::MAX] {
            let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
            chain(&store);
            let looker = Looker::new(&store).meanwhile(|look| {
                if look == 1 {
                    store.root("middle");
                }
            });
            let collection = selectively(&store, &looker, limit);
            assert_done(&collection, 4);
            assert_eq!(store.names().len(), 3, "{collection:?}");
            assert!(KEPT_BY_MIDDLE.iter().all(|name| store.has(name)));
            // One refusal is enough: after it we look again.
            let refused = refused(&collection);
            assert_eq!(refused.len(), 1, "{refused:?}");
            assert!(KEPT_BY_MIDDLE.contains(&refused[0]), "{refused:?}");
            let detail = collection.detail().unwrap();
            assert!(
                detail.starts_with("1 dead path was not deleted (")
                    && detail.ends_with(": it is still alive)"),
                "{detail}"
            );
            assert!(looker.looks.get() <= 2);
            store.assert_clean();
        }
    });
}

#[test]
fn roots_are_looked_for_behind_the_paths() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let looker = Looker::new(&store);
        let before = looker.selection().len();
        // With the roots first, it would be known and its root would not.
        let around = looker.selection_around(|| {
            store.fill(&[Row::new("late", &[])]);
            store.root("late");
        });
        assert_eq!((before, around.len()), (7, 7));
        assert_eq!(looker.selection().len(), 7);
    });
}

#[test]
fn a_new_path_that_needs_a_chosen_one_keeps_it() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let looker = Looker::new(&store).meanwhile(|look| {
            if look == 1 {
                store.fill(&[Row::new("new", &["base"])]);
            }
        });
        let collection = selectively(&store, &looker, usize::MAX);
        // It is dead as well, but it was not chosen.
        assert_done(&collection, 6);
        assert!(store.has("new") && store.has("base"));
        assert_eq!(refused(&collection), ["base"]);
        store.assert_sound();
        assert_done(&selectively(&store, &looker, usize::MAX), 2);
    });
}

#[test]
fn a_cycle_that_comes_alive_stays_whole() {
    with_each_nix(|nix| {
        let store = Store::new(nix, BOTH);
        store.fill(&[
            Row::derivation("x.drv", &["x-out", "x-dev"]),
            Row::new("x-out", &[]).derived_from("x.drv"),
            Row::new("x-dev", &[]).derived_from("x.drv"),
            Row::new("user", &["x-dev"]),
        ]);
        let looker = Looker::new(&store).meanwhile(|look| {
            if look == 1 {
                store.root("x-out");
            }
        });
        assert_done(&selectively(&store, &looker, usize::MAX), 1);
        assert_eq!(store.names().len(), 3);
        store.assert_clean();
    });
}

#[test]
fn trap_20_a_process_that_we_do_not_see_is_heeded() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let mut process = command("sleep")
            .arg("600")
            .env("HELD", store.absolute("middle").as_str())
            .spawn()
            .unwrap();
        // As for an ordinary user: what others' processes use is not among the roots.
        let blind = Blind::with(Looker::new(&store).blind_selection());
        let cli = store.scratch.nix().unwrap();
        let collection = collect(&blind, &cli, &Never, CollectMethod::Selective);
        process.kill().unwrap();
        process.wait().unwrap();
        assert_done(&collection, 4);
        assert!(KEPT_BY_MIDDLE.iter().all(|name| store.has(name)));
    });
}

#[test]
fn trap_21_the_paths_that_we_pass_are_not_kept_by_being_passed() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let collection = selectively(&store, &Looker::new(&store), usize::MAX);
        assert_done(&collection, 7);
        assert_eq!(refused(&collection), [""; 0]);
    });
}

#[test]
fn a_choice_of_some_is_never_made_up_by_a_whole_collection() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 400);
        store.fill(&[Row::new("young", &[]).registered(99)]);
        let mut looker = Looker::new(&store);
        looker.narrow = |all| all.before(50);
        let blind = Blind::with(looker.blind_selection());
        // Every chain comes alive.
        (0..40).for_each(|n| store.root(&format!("many-{}", n * 10 + 9)));
        (0..40).for_each(|n| store.root(&format!("many-{}", n * 10 + 5)));
        let cli = store.scratch.nix().unwrap();
        let collection = collect(&blind, &cli, &Never, CollectMethod::Auto);
        assert_done(&collection, 0);
        assert!(store.has("young"));
        assert_eq!(collection.refused.len(), 32);
        let detail = collection.detail().unwrap();
        assert!(
            detail.contains("more dead paths were not deleted"),
            "{detail}"
        );
        assert!(detail.contains("and 24 more"), "{detail}");
    });
}

#[test]
fn where_nix_refuses_too_much_it_collects_itself() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 400);
        let blind = Blind::with(Looker::new(&store).blind_selection());
        (0..40).for_each(|n| store.root(&format!("many-{}", n * 10 + 8)));
        let cli = store.scratch.nix().unwrap();
        let collection = collect(&blind, &cli, &Never, CollectMethod::Auto);
        // Of each chain its head.
        assert_done(&collection, 40);
        let detail = collection.detail().unwrap();
        assert!(
            detail.starts_with("full collection by nix-collect-garbage"),
            "{detail}"
        );
        store.assert_clean();
    });
}

#[test]
fn builds_go_on_while_paths_are_deleted() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        many(&store, 1_000);
        let looker = Looker::new(&store);
        let stop = AtomicBool::new(false);
        let (collection, built) = std::thread::scope(|scope| {
            let scratch = &store.scratch;
            let builder = scope.spawn(|| {
                let mut built = 0;
                while built == 0 || !stop.load(Ordering::Relaxed) {
                    build(scratch, built);
                    built += 1;
                }
                built
            });
            let over = Over(&stop);
            let collection = selectively(&store, &looker, 5_000);
            drop(over);
            (collection, builder.join().unwrap())
        });
        assert!(collection.outcome.is_ok(), "{collection:?}");
        assert!(built > 0);
        let left = store
            .names()
            .into_iter()
            .filter(|name| name.contains("-many-"));
        assert_eq!(left.count(), 1, "{collection:?}");
        assert!(store.has("many-0") && store.has("alive"));
        store.assert_sound();
    });
}

/// Builds two derivations, one of which needs the other; it has to succeed.
fn build(scratch: &Scratch, n: u32) {
    let text = r#"
        let make = name: needs: derivation {
            inherit name needs;
            system = builtins.currentSystem;
            builder = "/bin/sh";
            args = [ "-c" "echo $needs > $out" ];
        };
        in make "second-@" (make "first-@" "nothing")"#;
    let text = text.replace('@', &n.to_string());
    by_hand(scratch, "nix-build", &["--no-out-link", "--expr", &text]);
}
