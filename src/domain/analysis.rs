//! Analysis of a store: valid paths, roots, and what Nix keeps.

mod collection;
mod reach;
mod shares;
mod sharing;
mod sizes;
mod sources;
#[cfg(test)]
mod tests;
mod usage;
mod what_if;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::collect::{DeletionSet, Unregistered};
use super::graph::{Chain, KeepFlags, NodeIdx, NodeSet, StoreGraph};
use super::note::{Note, NoteCode};
use super::root::{GcRoot, RootKind, RootState};
use super::snapshot::VanishedRoot;
use super::store_path::{StoreDir, StorePathRef};

pub use collection::{CollectionPrediction, RemovedLinks};
pub use reach::{CumulativeFreed, RemovalSequence};
pub use shares::{Keeper, Part, PartPackages, Share};
pub use sharing::{Keeping, RootGroup, Sharing};
pub use sizes::{Size, Sizes};
pub use usage::{GroupBy, Sets, Usage, UsageRow};
pub use what_if::{Fate, FreedTogether, WhatIf};

/// What was seen of a store.
#[derive(Debug)]
pub struct StoreData {
    /// The store directory.
    pub store: StoreDir,
    /// The valid paths.
    pub graph: Arc<StoreGraph>,
    /// What Nix keeps beside references.
    pub flags: KeepFlags,
    /// Every root: links, files, temporary ones, processes.
    pub roots: Vec<GcRoot>,
    /// Names in the store directory that may be no valid paths; those that are do not matter.
    pub names: Vec<UnregisteredPath>,
    /// Why there may be roots that were not seen.
    pub doubts: Vec<String>,
    /// Why it is not known which paths some derivations have made, if it is not.
    pub unknown_outputs: Option<String>,
    /// What else a reader should know.
    pub notes: Vec<Note>,
}

/// A name in the store directory that the database does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnregisteredPath {
    /// The name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// Whether it is the name letter for letter.
    pub exact: bool,
}

/// A root that keeps a valid path.
#[derive(Debug, Clone)]
pub struct StoreRoot {
    /// The root.
    pub root: GcRoot,
    /// The path.
    pub node: NodeIdx,
}

/// A store with all that keeps its paths.
#[derive(Debug)]
pub struct StoreAnalysis {
    store: StoreDir,
    graph: Arc<StoreGraph>,
    flags: KeepFlags,
    roots: Vec<StoreRoot>,
    /// The dead paths, once that was asked for.
    dead: OnceLock<NodeSet>,
    unregistered: Vec<UnregisteredPath>,
    doubts: Vec<String>,
    unknown_outputs: Option<String>,
    notes: Vec<Note>,
    /// What Nix itself keeps, where more is kept.
    kept_by_nix: Option<KeepFlags>,
}

impl StoreAnalysis {
    /// Counts what live paths were built with as kept, whatever Nix keeps.
    pub fn keep_build_dependencies(&mut self) {
        if !self.flags.outputs {
            self.doubts.extend(self.unknown_outputs.clone());
        }
        self.kept_by_nix = Some(self.flags);
        self.flags = KeepFlags::BUILD_DEPENDENCIES;
        self.dead = OnceLock::new();
    }

    /// Counts what vanished roots kept as kept, as a run that holds it does.
    pub fn keep_vanished(&mut self, vanished: &[VanishedRoot]) {
        for root in vanished {
            let Some(node) = self.graph.find(&root.store_path.to_string()) else {
                continue;
            };
            let root = GcRoot {
                link: root.link.clone(),
                entry: None,
                exact: true,
                target: None,
                store_path: Some(root.store_path.clone()),
                kind: RootKind::Hold,
                owner: None,
                state: RootState::Live,
                made_at: None,
            };
            self.roots.push(StoreRoot { root, node });
        }
        self.dead = OnceLock::new();
    }

    /// Joins what was seen. A root counts if its path is valid, whatever its link looks like; a temporary root keeps
    /// every name that has its hash, valid or not.
    pub fn new(seen: StoreData) -> Self {
        let StoreData {
            store,
            graph,
            flags,
            roots,
            names,
            mut doubts,
            unknown_outputs,
            notes,
        } = seen;
        // Without `keep-outputs` nothing hangs on it.
        doubts.extend(unknown_outputs.clone().filter(|_| flags.outputs));
        let temporary = roots.iter().filter(|r| r.kind == RootKind::Temporary);
        let temporary = temporary.filter_map(|root| root.store_path.as_ref());
        let spared: HashSet<[u8; 20]> = temporary.map(|path| *path.digest()).collect();
        let is_spared = |name: &str| {
            let path = StorePathRef::from_base_name(name);
            path.is_ok_and(|path| spared.contains(path.digest()))
        };
        let mut unregistered = names;
        unregistered.retain(|name| graph.find(&name.name).is_none() && !is_spared(&name.name));
        unregistered.sort_unstable();
        let mut kept = Vec::new();
        for root in roots {
            let Some(path) = &root.store_path else {
                continue;
            };
            match graph.find(&path.to_string()) {
                Some(node) => kept.push(StoreRoot { root, node }),
                None if root.kind == RootKind::Temporary => {
                    let nodes = same_hash(&graph, path.digest());
                    kept.extend(nodes.into_iter().map(|node| StoreRoot {
                        root: root.clone(),
                        node,
                    }));
                }
                None => {}
            }
        }
        Self {
            store,
            graph,
            flags,
            roots: kept,
            dead: OnceLock::new(),
            unregistered,
            doubts,
            unknown_outputs,
            notes,
            kept_by_nix: None,
        }
    }

    /// The store directory.
    pub fn store(&self) -> &StoreDir {
        &self.store
    }

    /// The valid paths.
    pub fn graph(&self) -> &StoreGraph {
        &self.graph
    }

    /// What Nix keeps beside references.
    pub fn flags(&self) -> KeepFlags {
        self.flags
    }

    /// The roots that keep a valid path.
    pub fn roots(&self) -> &[StoreRoot] {
        &self.roots
    }

    /// The names in the store directory that are no valid paths and that no temporary root keeps, in their order.
    pub fn unregistered(&self) -> &[UnregisteredPath] {
        &self.unregistered
    }

    /// Whether there may be roots that were not seen: what looks dead is then the most that can be dead.
    pub fn is_at_most(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// What a reader should know of what was seen; `shows_dead` tells whether some of it is dead, which a root that was not
    /// seen may keep.
    pub fn notes(&self, shows_dead: bool) -> Vec<Note> {
        let doubts = self.doubts.iter().filter(|_| shows_dead);
        let doubts = doubts.map(|doubt| {
            let text = format!("dead paths may be over-reported: {doubt}");
            Note::new(NoteCode::DeadAtMost, text)
        });
        doubts.chain(self.notes.iter().cloned()).collect()
    }

    /// The same without what concerns only what is dead.
    pub fn remarks(&self) -> &[Note] {
        &self.notes
    }

    /// The absolute path of a valid path.
    pub fn path(&self, node: NodeIdx) -> String {
        self.store.prefix() + self.graph.base_name(node)
    }

    /// Every valid path.
    pub fn everything(&self) -> NodeSet {
        self.graph.set_of([]).complement()
    }

    /// The valid paths that no root keeps alive.
    pub fn dead(&self) -> NodeSet {
        let dead = || self.graph.dead(&self.root_nodes(|_| true), self.flags);
        self.dead.get_or_init(dead).clone()
    }

    /// The shortest chains from roots to a path, at most `most`: for each a root that begins it. Roots of one path have
    /// a chain each.
    pub fn why(&self, target: NodeIdx, most: usize) -> Vec<(&StoreRoot, Chain)> {
        let mut by_node: HashMap<NodeIdx, Vec<&StoreRoot>> = HashMap::new();
        for root in &self.roots {
            by_node.entry(root.node).or_default().push(root);
        }
        let nodes = self.root_nodes(|_| true);
        let chains = self.graph.why(&nodes, target, self.flags, most);
        let mut all = Vec::new();
        for chain in chains {
            let first = chain.steps.first().map(|step| step.node);
            for &root in first
                .and_then(|node| by_node.get(&node))
                .into_iter()
                .flatten()
            {
                all.push((root, chain.clone()));
            }
        }
        all.truncate(most);
        all
    }

    /// Whether a package has a path that is no derivation.
    pub fn has_package(&self, name: &str) -> bool {
        self.package_paths(name).next().is_some()
    }

    /// The paths of a package, without derivations.
    pub fn package_paths<'a>(&'a self, name: &'a str) -> impl Iterator<Item = NodeIdx> + 'a {
        let nodes = self.graph.nodes();
        let nodes = nodes.filter(move |node| self.graph.package_name(*node) == name);
        nodes.filter(|node| self.graph.base_name(*node).strip_suffix(".drv").is_none())
    }

    /// All that is dead, to be deleted by name.
    pub fn into_selection(self) -> DeletionSet {
        let dead = self.dead();
        let mut unregistered = Unregistered::default();
        for name in &self.unregistered {
            match StorePathRef::from_base_name(&name.name) {
                Ok(path) if name.exact => unregistered.paths.push(path.to_owned()),
                _ => unregistered.foreign += 1,
            }
        }
        let unknown_outputs = self.unknown_outputs;
        DeletionSet::new(self.graph, self.flags, dead, unregistered)
            .with_unknown_outputs(unknown_outputs)
    }

    fn root_nodes(&self, takes: impl Fn(&StoreRoot) -> bool) -> Vec<NodeIdx> {
        let roots = self.roots.iter().filter(|root| takes(root));
        roots.map(|root| root.node).collect()
    }

    /// The roots that go together: those that a link is, however many entries lead to it; every temporary root and
    /// every path that processes use is one by itself.
    fn by_link(&self) -> Vec<Vec<&StoreRoot>> {
        let mut links: BTreeMap<(bool, &str, Option<NodeIdx>), Vec<&StoreRoot>> = BTreeMap::new();
        for root in &self.roots {
            let runtime = root.root.kind.is_runtime();
            let node = runtime.then_some(root.node);
            let key = (runtime, root.root.link.as_str(), node);
            links.entry(key).or_default().push(root);
        }
        links.into_values().collect()
    }
}

fn nodes_of(links: &[Vec<&StoreRoot>]) -> Vec<Vec<NodeIdx>> {
    let nodes = |roots: &Vec<&StoreRoot>| roots.iter().map(|root| root.node).collect();
    links.iter().map(nodes).collect()
}

fn same_hash(graph: &StoreGraph, digest: &[u8; 20]) -> Vec<NodeIdx> {
    let same = |node: &NodeIdx| {
        let path = StorePathRef::from_base_name(graph.base_name(*node));
        path.is_ok_and(|path| path.digest() == digest)
    };
    graph.nodes().filter(same).collect()
}
