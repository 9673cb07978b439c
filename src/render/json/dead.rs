//! The documents of `dead --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::StoreAnalysis;
use crate::domain::graph::{NodeIdx, StoreGraph};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::Note;

/// The dead paths.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/dead/1"))]
    pub schema: &'static str,
    /// The dead valid paths, by name.
    pub paths: Vec<DeadPathDocument>,
    /// Totals and notes.
    #[serde(flatten)]
    pub sum: DeadSum,
}

/// Totals and notes of all dead paths.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadSum {
    /// Names in the store directory that are not in the database, as absolute paths.
    pub unregistered: Vec<String>,
    /// Totals of the dead valid paths.
    pub total: DeadTotalDocument,
    /// Whether some roots could not be read, so that fewer paths may be dead.
    pub at_most: bool,
    /// Notes.
    pub notes: Vec<Note>,
}

/// A dead path.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadPathDocument {
    /// The path.
    pub path: String,
    /// Its NAR size.
    pub nar_bytes: Option<Bytes>,
    /// When it was registered.
    pub registered: Option<Timestamp>,
}

/// Totals of dead paths.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadTotalDocument {
    /// Number of paths.
    pub count: u64,
    /// NAR size.
    pub nar_bytes: Bytes,
    /// Disk usage; null if not measured.
    pub disk_bytes: Option<Bytes>,
    /// Whether `diskBytes` is an upper bound.
    pub disk_bytes_at_most: bool,
}

/// The dead paths of a store, with the notes on them.
pub fn dead(inspection: &StoreAnalysis, sum: DeadSum) -> DeadDocument {
    let graph = inspection.graph();
    let path = |node: NodeIdx| DeadPathDocument {
        path: inspection.path(node),
        // No archive has no bytes: that is what Nix writes where it does not know.
        nar_bytes: Some(graph.nar_size_of(node)).filter(|size| size.0 > 0),
        registered: Timestamp::from_unix(graph.registered(node), 0),
    };
    DeadDocument {
        schema: "nix-prune/dead/1",
        paths: dead_by_name(inspection).into_iter().map(path).collect(),
        sum,
    }
}

/// The dead paths in the order of their names.
pub fn dead_by_name(inspection: &StoreAnalysis) -> Vec<NodeIdx> {
    let (graph, dead) = (inspection.graph(), inspection.dead());
    let mut sorted: Vec<(u64, NodeIdx)> = dead.iter().map(|n| (beginning(graph, n), n)).collect();
    // The first bytes nearly always decide the order, without a look at the names.
    sorted.sort_unstable_by(|(a, one), (b, other)| {
        let names = || graph.base_name(*one).cmp(graph.base_name(*other));
        a.cmp(b).then_with(names)
    });
    sorted.into_iter().map(|(_, node)| node).collect()
}

/// What the dead paths of a store come to, with what was measured of them.
pub fn dead_sum(
    inspection: &StoreAnalysis,
    disk: Option<Bytes>,
    disk_bytes_at_most: bool,
    notes: Vec<Note>,
) -> DeadSum {
    let weight = inspection.graph().weight(&inspection.dead());
    let names = inspection.unregistered().iter();
    let names = names.map(|name| inspection.store().as_path().join(&name.name).into_string());
    DeadSum {
        unregistered: names.collect(),
        total: DeadTotalDocument {
            count: weight.paths,
            nar_bytes: weight.nar_bytes,
            disk_bytes: disk,
            disk_bytes_at_most,
        },
        at_most: inspection.is_at_most(),
        notes: inspection
            .notes(weight.paths > 0)
            .into_iter()
            .chain(notes)
            .collect(),
    }
}

/// The first bytes of a name, as a number in the order of the names.
fn beginning(graph: &StoreGraph, node: NodeIdx) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(graph.base_name(node).bytes()) {
        *to = from;
    }
    u64::from_be_bytes(first)
}
