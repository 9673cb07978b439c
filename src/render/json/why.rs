//! The document of `why --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::{StoreAnalysis, StoreRoot};
use crate::domain::graph::{Chain, NodeIdx, Via};
use crate::domain::note::Note;
use crate::domain::root::RootKind;

/// Why a path is live.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/why/1"))]
    pub schema: &'static str,
    /// The store path.
    pub path: String,
    /// Whether it is live; null if no readable root keeps it, but some roots are unreadable.
    pub live: Option<bool>,
    /// The shortest chain from each of the nearest roots to it, the nearest first.
    pub chains: Vec<Vec<StepDocument>>,
    /// Number of chains that are left out.
    pub more: u64,
    /// Notes.
    pub notes: Vec<Note>,
}

/// One path of a chain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepDocument {
    /// The path.
    pub path: String,
    /// How the previous element keeps it.
    pub via: ViaDocument,
    /// The root, for the first element of a chain: a link, `/proc/1/exe`, `{temp:1}`.
    pub root: Option<String>,
    /// The kind of that root.
    pub root_kind: Option<RootKind>,
}

/// How a path of a chain is kept by the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ViaDocument {
    /// It is the target of a root.
    Root,
    /// The previous path references it.
    Reference,
    /// It is the deriver of the previous path, and `keep-derivations` is set.
    Deriver,
    /// It is an output of the previous derivation, and `keep-outputs` is set.
    Output,
}

impl From<Via> for ViaDocument {
    fn from(via: Via) -> Self {
        match via {
            Via::Root => Self::Root,
            Via::Reference => Self::Reference,
            Via::Deriver => Self::Deriver,
            Via::Output => Self::Output,
        }
    }
}

/// Why a path is alive, at most so many chains.
pub fn why(inspection: &StoreAnalysis, target: NodeIdx, most: usize) -> WhyDocument {
    let chains = inspection.why(target, usize::MAX);
    let more = chains.len().saturating_sub(most);
    WhyDocument {
        schema: "nix-prune/why/1",
        path: inspection.path(target),
        live: (!chains.is_empty() || !inspection.is_at_most()).then_some(!chains.is_empty()),
        chains: chains
            .iter()
            .take(most)
            .map(|(root, chain)| steps(inspection, root, chain))
            .collect(),
        more: u64::try_from(more).unwrap_or(u64::MAX),
        notes: inspection.notes(chains.is_empty()),
    }
}

fn steps(inspection: &StoreAnalysis, root: &StoreRoot, chain: &Chain) -> Vec<StepDocument> {
    let step = |step: &crate::domain::graph::Step| {
        let root = (step.via == Via::Root).then_some(&root.root);
        StepDocument {
            path: inspection.path(step.node),
            via: step.via.into(),
            root: root.map(|root| root.link.to_string()),
            root_kind: root.map(|root| root.kind),
        }
    };
    chain.steps.iter().map(step).collect()
}
