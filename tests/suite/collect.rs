//! Collecting by name with every real Nix: what goes is what Nix itself would collect, and never more.

// The lints spare what has the attribute of a test, and not what tests call.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod alike;
mod direct;
mod faults;
mod flakes;
mod looker;
mod program;
mod sources;
mod stores;
mod surprises;

use nix_prune::adapters::database::{Database, PathRow, RowSink};
use nix_prune::adapters::nix_dirs::NixDirs;
use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::graph::{GraphBuilder, KeepFlags, StoreGraph};
use nix_prune::engine::{Collection, collect};
use nix_prune::ports::error_chain;

use looker::{Looker, Never};
use stores::{Row, Store};

const BOTH: KeepFlags = KeepFlags {
    derivations: true,
    outputs: true,
};

struct Rows(GraphBuilder);

impl RowSink for Rows {
    fn path(&mut self, row: PathRow<'_>) {
        let size = row.nar_size.unwrap_or(0);
        self.0
            .add_path(row.id, row.base_name, size, row.registered, row.deriver);
    }

    fn reference(&mut self, referrer: i64, reference: i64) {
        self.0.add_reference(referrer, reference);
    }

    fn output(&mut self, drv: i64, base_name: &str) {
        self.0.add_output(drv, base_name);
    }
}

fn graph_of(places: &NixDirs) -> StoreGraph {
    let database = Database::new(&places.state_dir, places.store.clone());
    let (rows, _) = database.read(|| Rows(GraphBuilder::new())).unwrap();
    rows.0.finish().unwrap()
}

/// Deletes the listed paths only, in calls of at most so many bytes.
fn selectively(store: &Store, looker: &Looker<'_>, limit: usize) -> Collection {
    let nix = store.scratch.nix().unwrap().with_max_argument_bytes(limit);
    collect(looker, &nix, &Never, CollectMethod::Selective)
}

fn assert_done(collection: &Collection, paths: u64) {
    if let Err(error) = &collection.outcome {
        panic!("{}: {collection:?}", error_chain(error));
    }
    assert_eq!(collection.collected.paths, Some(paths), "{collection:?}");
}

fn refused(collection: &Collection) -> Vec<&str> {
    let refused = collection.refused.iter();
    refused.map(|refused| refused.path.name()).collect()
}

/// A chain `top` to `middle` to `base` with derivations, `other` that also needs `base`, and `lone`: seven paths.
fn chain(store: &Store) {
    store.fill(&[
        Row::new("top", &["middle"]).derived_from("top.drv"),
        Row::new("middle", &["base"]).derived_from("middle.drv"),
        Row::new("base", &[]),
        Row::derivation("top.drv", &["top"]),
        Row::derivation("middle.drv", &["middle"]),
        Row::new("other", &["base"]),
        Row::new("lone", &[]),
    ]);
}

/// Dead paths of two ages, of which the young one needs an old one, and a name of unknown age: of those before 50, `old` may go.
fn ages(store: &Store) -> Looker<'_> {
    store.fill(&[
        Row::new("old", &[]).registered(10),
        Row::new("old-needed", &[]).registered(10),
        Row::new("young", &["old-needed"]).registered(99),
    ]);
    store.unregistered("of-unknown-age");
    let mut looker = Looker::new(store);
    looker.narrow = |all| all.before(50);
    looker
}

/// A path of `chain` that is a root, and what it keeps.
const KEPT_BY_MIDDLE: [&str; 3] = ["middle", "base", "middle.drv"];

/// So many paths in chains of ten, of which all are dead but the end of the first, which `alive` keeps.
fn many(store: &Store, count: usize) {
    let row = |n: usize| {
        let name = format!("many-{n}");
        let before = format!("many-{}", n.saturating_sub(1));
        match n % 10 {
            0 => Row::new(&name, &[]),
            _ => Row::new(&name, &[&before]),
        }
    };
    let mut rows: Vec<_> = (0..count).map(row).collect();
    rows.push(Row::new("alive", &["many-0"]));
    store.fill(&rows);
    store.root("alive");
}
