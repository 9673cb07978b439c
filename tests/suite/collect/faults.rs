//! Deleting by name where Nix, or what lies in the store, is not as it should be.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use camino::Utf8PathBuf;
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::domain::collect::{CollectMethod, FullGcReason};
use nix_prune::domain::graph::KeepFlags;
use nix_prune::engine::collect;
use nix_prune::ports::{NixActions, error_chain};

use super::looker::{Looker, Never};
use super::stores::{Row, Store};
use super::{assert_done, chain, refused, selectively};
use crate::support::{Nix, by_hand, script, with_each_nix};

/// The commands of a Nix of which one is something else; `REAL` in its text is the real one.
fn with_fake(store: &Store, nix: &Nix, tool: &str, text: &str) -> NixCli {
    let bin: Utf8PathBuf = store.scratch.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
        if name == tool {
            let text = text.replace("REAL", nix.bin.join(name).as_str());
            script(&bin.join(name), &text);
        } else {
            symlink(nix.bin.join(name), bin.join(name)).unwrap();
        }
    }
    let child_env = store.scratch.child_env().clone();
    let places = store.scratch.places();
    NixCli::new(places, Some(&bin), child_env, Arc::new(Never)).unwrap()
}

#[test]
fn a_path_that_is_not_there_does_not_count() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let cli = store.scratch.nix().unwrap();
        let deleted = cli.delete_paths(&[store.path("nobody"), store.path("lone")]);
        assert!(deleted.outcome.is_ok(), "{deleted:?}");
        assert_eq!(deleted.paths, [store.path("lone")]);
        assert_eq!(deleted.refused, []);
    });
}

#[test]
fn a_path_that_is_a_link_to_another_goes_itself() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        store.fill(&[Row::new("link", &[])]);
        fs::remove_file(store.absolute("link")).unwrap();
        symlink(store.absolute("top"), store.absolute("link")).unwrap();
        let cli = store.scratch.nix().unwrap();
        let deleted = cli.delete_paths(&[store.path("link")]);
        assert_eq!(deleted.paths, [store.path("link")], "{deleted:?}");
        assert_eq!(store.names().len(), 7);
    });
}

#[test]
fn trap_31_a_failure_that_is_no_refusal_is_told_with_what_went() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let text = "REAL \"$@\"; echo 'error: no space left on device' >&2; exit 1";
        let cli = with_fake(&store, nix, "nix-store", text).with_max_argument_bytes(1);
        let looker = Looker::new(&store);
        let collection = collect(&looker, &cli, &Never, CollectMethod::Selective);
        let error = error_chain(collection.outcome.as_ref().unwrap_err());
        assert!(
            error.starts_with("deleting dead paths failed: `"),
            "{error}"
        );
        assert!(error.contains("no space left on device"), "{error}");
        assert_eq!(collection.collected.paths, Some(1));
        assert_eq!(store.names().len(), 6);
    });
}

/// The look before a collection is the last: with "unknown", `auto` would leave a damaged database to Nix.
#[test]
fn a_database_that_was_damaged_since_the_plan_is_collected_by_nobody() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        store.root("top");
        let looker = Looker::new(&store);
        assert!(!looker.selection().is_empty());
        let database = store.scratch.state_dir().join("db/db.sqlite");
        let writer = rusqlite::Connection::open(&database).unwrap();
        writer
            .query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))
            .unwrap();
        writer.close().unwrap();
        crate::database::damage::spoil(&database, "IndexReference", false);
        let why = looker.blocker();
        assert!(matches!(why, FullGcReason::Unsafe(_)), "{why:?}");
    });
}

#[test]
fn where_nothing_lives_auto_leaves_the_whole_store_to_nix() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let cli = store.scratch.nix().unwrap();
        let looker = Looker::new(&store);
        let collection = collect(&looker, &cli, &Never, CollectMethod::Auto);
        assert_done(&collection, 7);
        let told = collection.notes.join(" ");
        assert!(told.contains("nothing in the store is live"), "{told}");
        assert_eq!(store.names().len(), 0);
    });
}

#[test]
fn trap_31_what_nix_leaves_without_a_word_is_named() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let spared = store.path("lone").to_absolute_path(store.scratch.store());
        // All but one of them.
        let text = format!(
            "for path; do shift; [ \"$path\" = {spared} ] || set -- \"$@\" \"$path\"; done; REAL \"$@\""
        );
        let cli = with_fake(&store, nix, "nix-store", &text);
        let looker = Looker::new(&store);
        let collection = collect(&looker, &cli, &Never, CollectMethod::Selective);
        assert_done(&collection, 6);
        assert_eq!(refused(&collection), ["lone"]);
        assert_eq!(collection.refused[0].why, "Nix did not delete it");
    });
}

#[test]
fn trap_31_a_nix_that_ends_well_and_does_nothing_has_failed() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let text = "echo '7 store paths deleted, 1.00 MiB freed'";
        let cli = with_fake(&store, nix, "nix-store", text);
        let looker = Looker::new(&store);
        let collection = collect(&looker, &cli, &Never, CollectMethod::Selective);
        // What Nix says is one thing; what went is another.
        let error = error_chain(collection.outcome.as_ref().unwrap_err());
        assert!(
            error.contains("exited successfully but deleted nothing"),
            "{error}"
        );
        assert_eq!(store.names().len(), 7);
    });
}

#[test]
fn trap_24_a_nix_that_was_not_tried_collects_wholly() {
    with_each_nix(|nix| {
        for version in ["2.35.0", "2.93.0", "2.99.0"] {
            let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
            chain(&store);
            let text = format!("echo 'nix (Nix) {version}'");
            let cli = with_fake(&store, nix, "nix", &text);
            let looker = Looker::new(&store);
            let none = collect(&looker, &cli, &Never, CollectMethod::Selective);
            let error = error_chain(none.outcome.as_ref().unwrap_err());
            let why = "is not tested with selective collection";
            assert!(error.contains(why), "{error}");
            assert_eq!(store.names().len(), 7);
            let whole = collect(&looker, &cli, &Never, CollectMethod::Auto);
            assert_done(&whole, 7);
            assert!(whole.detail().unwrap().contains(why));
            assert_eq!(looker.looks.get(), 0);
        }
    });
}

#[test]
fn trap_26_after_a_refusal_no_file_stays_behind_in_links() {
    with_each_nix(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        for name in ["a", "b", "kept"] {
            store.scratch.add_path(name, &[], 5_000).unwrap();
        }
        by_hand(&store.scratch, "nix-store", &["--optimise"]);
        let links = store.scratch.store().as_path().join(".links");
        assert_eq!(links.read_dir_utf8().unwrap().count(), 3);
        let looker = Looker::new(&store).meanwhile(|look| {
            if look == 1 {
                store.root("kept");
            }
        });
        let collection = selectively(&store, &looker, usize::MAX);
        assert_done(&collection, 2);
        assert_eq!(refused(&collection), ["kept"]);
        let left = links.read_dir_utf8().unwrap();
        let counts: Vec<_> = left
            .map(|link| link.unwrap().path().metadata().unwrap().nlink())
            .collect();
        assert_eq!(counts, [2]);
    });
}
