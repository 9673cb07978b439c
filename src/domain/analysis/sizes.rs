//! Closure and exclusive sizes of roots and generations.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{StoreAnalysis, StoreRoot, nodes_of};
use crate::domain::graph::{KeepFlags, NodeIdx, Weight};
use crate::domain::measure::Bytes;
use crate::domain::root::GcRoot;
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::StorePath;

/// What something costs, by the store's own sizes; unknown is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// The size of the closure: the path with all that it refers to.
    pub closure: Option<Bytes>,
    /// The size of what would be dead if this alone were gone, with what the keep flags add to closures.
    pub exclusive: Option<Bytes>,
    /// For a generation: the size of what would be dead if this and all older ones of its profile were gone.
    pub with_older: Option<Bytes>,
}

/// What the roots and generations of a snapshot cost.
#[derive(Debug, Default)]
pub struct Sizes {
    closures: HashMap<String, Bytes>,
    exclusive: HashMap<Utf8PathBuf, Bytes>,
    with_older: HashMap<Utf8PathBuf, Bytes>,
    /// Of what processes use: one of them may use many paths, so the path belongs to the name.
    running: HashMap<(Utf8PathBuf, String), Bytes>,
}

impl StoreAnalysis {
    /// What the roots and generations of a snapshot cost.
    pub fn sizes(&self, snapshot: &Snapshot) -> Sizes {
        let generations = snapshot
            .profiles
            .iter()
            .flat_map(|p| p.generations.values());
        let of_generations = generations.filter_map(|g| g.content.store_path());
        let of_generations = of_generations.filter_map(|path| self.graph.find(&path.to_string()));
        let mut nodes: Vec<NodeIdx> = self.root_nodes(|_| true);
        nodes.extend(of_generations);
        nodes.sort_unstable();
        nodes.dedup();
        let weights = self.graph.closure_sizes(&nodes, KeepFlags::REFERENCES);
        let name = |node: &NodeIdx| self.graph.base_name(*node).to_string();
        let closures = nodes.iter().map(name);
        let closures = closures.zip(weights.iter().map(|weight| weight.nar_bytes));
        let (mut exclusive, mut running) = (HashMap::new(), HashMap::new());
        for (root, bytes) in self.exclusive() {
            let link = root.root.link.clone();
            if root.root.kind.is_runtime() {
                let path = self.graph.base_name(root.node).to_string();
                running.insert((link, path), bytes);
            } else {
                exclusive.insert(link, bytes);
            }
        }
        Sizes {
            closures: closures.collect(),
            exclusive,
            with_older: self.freed_with_older(snapshot),
            running,
        }
    }

    /// What would be dead if a generation and all older ones of its profile were gone, by the link.
    fn freed_with_older(&self, snapshot: &Snapshot) -> HashMap<Utf8PathBuf, Bytes> {
        let mut freed = HashMap::new();
        for profile in &snapshot.profiles {
            let numbers = profile.generations.keys();
            let links: Vec<Utf8PathBuf> = numbers.map(|n| profile.path.link(*n)).collect();
            let order: Vec<&Utf8Path> = links.iter().map(Utf8PathBuf::as_path).collect();
            let sequence = self.removal_sequence(&[], &order, None);
            let each: HashMap<&Utf8Path, Weight> =
                sequence.links().zip(sequence.freed_by_each()).collect();
            let mut sum = Bytes(0);
            for link in &links {
                let bytes = each.get(link.as_path()).map_or(0, |it| it.nar_bytes.0);
                sum = Bytes(sum.0.saturating_add(bytes));
                freed.insert(link.clone(), sum);
            }
        }
        freed
    }

    /// What would be dead if each link alone were gone, by its link.
    pub fn exclusive_by_link(&self) -> HashMap<&Utf8Path, Bytes> {
        let exclusive = self.exclusive().into_iter();
        let of_links = exclusive.filter(|(root, _)| !root.root.kind.is_runtime());
        of_links
            .map(|(root, bytes)| (root.root.link.as_path(), bytes))
            .collect()
    }

    /// What only the roots of each group keep alive together; `group_of` gives the group, below `groups`, that a link belongs to.
    pub fn exclusive_of(
        &self,
        groups: usize,
        group_of: impl Fn(&Utf8Path) -> Option<usize>,
    ) -> Vec<Weight> {
        let mut nodes = vec![Vec::new(); groups + 1];
        for StoreRoot { root, node } in &self.roots {
            let group = Some(root).filter(|root| !root.kind.is_runtime());
            let group = group
                .and_then(|root| group_of(&root.link))
                .unwrap_or(groups);
            if let Some(nodes) = nodes.get_mut(group) {
                nodes.push(*node);
            }
        }
        let mut weights = self.graph.exclusive(&nodes, self.flags);
        weights.truncate(groups);
        weights
    }

    fn exclusive(&self) -> Vec<(&StoreRoot, Bytes)> {
        let links = self.by_link();
        let weights = self.graph.exclusive(&nodes_of(&links), self.flags);
        let first = links.into_iter().zip(weights);
        first
            .filter_map(|(roots, weight)| Some((*roots.first()?, weight.nar_bytes)))
            .collect()
    }
}

impl Sizes {
    /// What a root costs: as [`Sizes::of`], and for what a process uses, what this use alone keeps.
    pub fn of_root(&self, root: &GcRoot) -> Size {
        let size = self.of(&root.link, root.store_path.as_ref());
        let path = match &root.store_path {
            Some(path) if root.kind.is_runtime() => path.to_string(),
            _ => return size,
        };
        let key = (root.link.clone(), path);
        let exclusive = self.running.get(&key).copied();
        Size {
            exclusive: size.closure.and(exclusive),
            ..size
        }
    }

    /// What a link costs that leads to `path`. Where the link is no root, nothing hangs on it alone; where the path is
    /// not valid, nothing is known.
    pub fn of(&self, link: &Utf8Path, path: Option<&StorePath<String>>) -> Size {
        let closure = path.and_then(|path| self.closures.get(&path.to_string()).copied());
        let exclusive = self.exclusive.get(link).copied().unwrap_or_default();
        Size {
            closure,
            exclusive: closure.map(|_| exclusive),
            with_older: closure.and_then(|_| self.with_older.get(link).copied()),
        }
    }
}
