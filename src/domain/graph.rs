//! The store as a compact graph: live and dead paths, sizes of roots, and why a path is kept.
//!
//! Nodes are the valid paths. An edge points from a path to a path that it keeps alive, as in Nix's collector: to its
//! references; with `keep-derivations` to its deriver, if that is valid; with `keep-outputs` from a derivation to its
//! valid outputs. All algorithms are linear in nodes and edges and use explicit stacks, so no shape of a store can make them slow or
//! overflow the thread's stack. The graph only predicts: Nix checks every path again before it deletes one.

mod batches;
mod builder;
mod closure;
mod components;
mod csr;
mod keepers;
mod live;
mod names;
mod packages;
mod rows;
mod set;
#[cfg(test)]
mod tests;
mod why;

use std::sync::OnceLock;

pub use batches::{DeletionOrder, Oldest};
pub use builder::{GraphBuilder, GraphError};
pub use keepers::KeptPart;
pub use live::KeptBy;
pub use packages::{PackageGroup, split_name};
pub use set::NodeSet;
pub use why::{Chain, Step, Via};

use super::measure::Bytes;
use csr::Csr;
use names::{Lookup, Names};

/// No node: the mark in tables of nodes for what is absent.
const NONE: u32 = u32::MAX;

/// A valid path in a graph; it means something only to the graph that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIdx(u32);

/// Nix's two settings that decide what else a live path keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeepFlags {
    /// `keep-derivations`: a path keeps the derivation that made it.
    pub derivations: bool,
    /// `keep-outputs`: a derivation keeps its outputs.
    pub outputs: bool,
}

impl KeepFlags {
    /// References alone: the closure in Nix's sense.
    pub const REFERENCES: Self = Self {
        derivations: false,
        outputs: false,
    };
    /// What a path was built with is kept as well.
    pub const BUILD_DEPENDENCIES: Self = Self {
        derivations: true,
        outputs: true,
    };
    /// The defaults of Nix.
    pub const NIX_DEFAULT: Self = Self {
        derivations: true,
        outputs: false,
    };
}

/// How much a set of paths is, in the store's own figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// How many paths.
    pub paths: u64,
    /// The sum of their archive sizes.
    pub nar_bytes: Bytes,
}

/// What dropping something frees.
pub type Freed = Weight;

impl Weight {
    pub(super) fn add(&mut self, other: Self) {
        self.paths += other.paths;
        self.nar_bytes = Bytes(self.nar_bytes.0.saturating_add(other.nar_bytes.0));
    }

    /// The rest of a set without a part of it.
    pub(super) fn without(self, part: Self) -> Self {
        Self {
            paths: self.paths.saturating_sub(part.paths),
            nar_bytes: Bytes(self.nar_bytes.0.saturating_sub(part.nar_bytes.0)),
        }
    }
}

/// All valid paths of a store, and what keeps what.
#[derive(Debug)]
pub struct StoreGraph {
    names: Names,
    lookup: Lookup,
    nar_sizes: Vec<u64>,
    registered: Vec<i64>,
    /// The length of the name that the deriver gave, within the path's own; 0 when it is not known.
    stems: Vec<u8>,
    derivers: Vec<u32>,
    references: Csr,
    outputs: Csr,
    orphans: u64,
    backward: OnceLock<Backward>,
}

/// The edges seen from their ends; made when first asked for.
#[derive(Debug)]
struct Backward {
    referrers: Csr,
    derived: Csr,
    producers: Csr,
}

impl StoreGraph {
    /// The number of valid paths.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no valid path.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every path, in the order in which they were added.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIdx> + use<> {
        (0..self.node_count()).map(NodeIdx)
    }

    /// The path with this base name, if it is valid.
    pub fn find(&self, base_name: &str) -> Option<NodeIdx> {
        self.lookup.find(&self.names, base_name).map(NodeIdx)
    }

    /// Those of many names that are base names of no valid path, in their order; much faster than one by one.
    pub fn without_known<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
        let mut unknown = Vec::new();
        let keep = |name, node: Option<u32>| unknown.extend(node.is_none().then_some(name));
        self.lookup.find_each(&self.names, names, keep);
        unknown
    }

    /// The base name of a path.
    pub fn base_name(&self, node: NodeIdx) -> &str {
        self.names.get(node.0).unwrap_or_default()
    }

    /// The base names of many paths, in their order; much faster than one by one where they lie far from each other.
    pub fn base_names(&self, nodes: &[NodeIdx]) -> impl Iterator<Item = &str> {
        nodes.chunks(names::TOGETHER).flat_map(|some| {
            self.names.fetch(some.iter().map(|node| node.0));
            some.iter().map(|node| self.base_name(*node))
        })
    }

    /// The archive size of a path.
    pub fn nar_size_of(&self, node: NodeIdx) -> Bytes {
        Bytes(at(&self.nar_sizes, node.0).unwrap_or(0))
    }

    /// When a path was registered, in seconds since 1970.
    pub fn registered(&self, node: NodeIdx) -> i64 {
        at(&self.registered, node.0).unwrap_or(i64::MAX)
    }

    /// How many rows of the database named a path that is not valid; Nix joins them away, so they keep nothing.
    pub fn orphan_rows(&self) -> u64 {
        self.orphans
    }

    /// A set of paths of this graph.
    pub fn set_of(&self, nodes: impl IntoIterator<Item = NodeIdx>) -> NodeSet {
        let mut set = NodeSet::empty(self.len());
        for node in nodes {
            set.insert(node);
        }
        set
    }

    /// The sum of the archive sizes of a set.
    pub fn nar_size(&self, set: &NodeSet) -> Bytes {
        self.weight(set).nar_bytes
    }

    /// The number and the archive sizes of a set.
    pub fn weight(&self, set: &NodeSet) -> Weight {
        self.weight_of_each(set.iter())
    }

    /// The number and the archive sizes of paths, each of which is given once.
    pub fn weight_of_each(&self, nodes: impl IntoIterator<Item = NodeIdx>) -> Weight {
        let mut weight = Weight::default();
        for node in nodes {
            weight.add(self.weight_of(node.0));
        }
        weight
    }

    fn node_count(&self) -> u32 {
        // The builder refuses more paths than there are indices.
        u32::try_from(self.len()).unwrap_or(NONE)
    }

    fn weight_of(&self, node: u32) -> Weight {
        Weight {
            paths: 1,
            nar_bytes: Bytes(at(&self.nar_sizes, node).unwrap_or(0)),
        }
    }

    fn deriver_of(&self, node: u32) -> Option<u32> {
        at(&self.derivers, node).filter(|&deriver| deriver != NONE)
    }

    fn kept(&self, flags: KeepFlags) -> Kept<'_> {
        Kept { graph: self, flags }
    }

    fn backward(&self) -> &Backward {
        self.backward.get_or_init(|| Backward {
            referrers: self.references.reversed(),
            derived: Csr::inverse_of(&self.derivers, NONE),
            producers: self.outputs.reversed(),
        })
    }
}

/// The edges that the keep flags leave.
#[derive(Clone, Copy)]
struct Kept<'g> {
    graph: &'g StoreGraph,
    flags: KeepFlags,
}

impl Kept<'_> {
    /// Calls `visit` with everything that `node` keeps alive itself.
    fn each(self, node: u32, mut visit: impl FnMut(u32)) {
        for &reference in self.graph.references.row(node) {
            visit(reference);
        }
        if self.flags.derivations
            && let Some(deriver) = self.graph.deriver_of(node)
        {
            visit(deriver);
        }
        if self.flags.outputs {
            for &output in self.graph.outputs.row(node) {
                visit(output);
            }
        }
    }

    /// The edge number `at` in the order of [`Kept::each`]: for walks that must come back to a node.
    fn nth(self, node: u32, at: u32) -> Option<u32> {
        let mut at = at as usize;
        let references = self.graph.references.row(node);
        if let Some(&reference) = references.get(at) {
            return Some(reference);
        }
        at -= references.len();
        if self.flags.derivations
            && let Some(deriver) = self.graph.deriver_of(node)
        {
            if at == 0 {
                return Some(deriver);
            }
            at -= 1;
        }
        if !self.flags.outputs {
            return None;
        }
        self.graph.outputs.row(node).get(at).copied()
    }
}

/// An element of a table of nodes.
fn at<T: Copy>(table: &[T], node: u32) -> Option<T> {
    table.get(node as usize).copied()
}

/// Changes an element of a table of nodes.
#[inline]
fn change<T: Copy>(table: &mut [T], node: u32, to: impl FnOnce(T) -> T) {
    if let Some(slot) = table.get_mut(node as usize) {
        *slot = to(*slot);
    }
}
