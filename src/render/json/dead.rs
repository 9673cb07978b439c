use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::graph::NodeIdx;
use crate::domain::inspection::Inspection;
use crate::domain::measure::{Bytes, Timestamp};

/// What a collection would delete.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/dead/1"))]
    pub schema: &'static str,
    /// The valid paths that nothing keeps, in the order of their names.
    pub paths: Vec<DeadPathDocument>,
    /// What else is in the store directory and in no row of the database, as absolute paths.
    pub unregistered: Vec<String>,
    /// What the valid paths come to.
    pub total: DeadTotalDocument,
    /// Whether there may be roots that were not seen, so that less may be dead.
    pub at_most: bool,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A dead path.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadPathDocument {
    /// The path.
    pub path: String,
    /// Its size by the store's own figure.
    pub nar_bytes: Option<Bytes>,
    /// When it was registered.
    pub registered: Option<Timestamp>,
}

/// What dead paths come to.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadTotalDocument {
    /// How many.
    pub count: u64,
    /// By the store's own sizes.
    pub nar_bytes: Bytes,
    /// On disk; null where it was not measured.
    pub disk_bytes: Option<Bytes>,
}

/// The dead paths of a store, with what was measured of them.
pub fn dead(inspection: &Inspection, disk: Option<Bytes>, notes: Vec<String>) -> DeadDocument {
    let (graph, dead) = (inspection.graph(), inspection.dead());
    let path = |node: NodeIdx| DeadPathDocument {
        path: inspection.path(node),
        // No archive has no bytes: that is what Nix writes where it does not know.
        nar_bytes: Some(graph.nar_size_of(node)).filter(|size| size.0 > 0),
        registered: Timestamp::from_unix(graph.registered(node), 0),
    };
    let mut paths: Vec<DeadPathDocument> = dead.iter().map(path).collect();
    paths.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let weight = graph.weight(&dead);
    let strays = inspection.unregistered().iter();
    let strays = strays.map(|stray| inspection.store().as_path().join(&stray.name).into_string());
    DeadDocument {
        schema: "nix-prune/dead/1",
        paths,
        unregistered: strays.collect(),
        total: DeadTotalDocument {
            count: weight.paths,
            nar_bytes: weight.nar_bytes,
            disk_bytes: disk,
        },
        at_most: inspection.is_at_most(),
        notes: inspection.notes().into_iter().chain(notes).collect(),
    }
}
