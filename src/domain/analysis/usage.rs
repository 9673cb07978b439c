//! Store disk usage by root, profile, generation, user, package, path or source.

use std::collections::{BTreeMap, HashMap};

use camino::Utf8PathBuf;

use super::{StoreAnalysis, StoreRoot};
use crate::domain::graph::{KeepFlags, NodeIdx, NodeSet, Weight};
use crate::domain::measure::Bytes;
use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::domain::snapshot::Snapshot;

/// What the store is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GroupBy {
    /// Links, temporary roots, processes.
    Root,
    /// Profiles.
    Profile,
    /// Generations of profiles.
    Generation,
    /// The owners of roots.
    User,
    /// Names of packages, without their versions.
    Package,
    /// Store paths.
    Path,
    /// Source trees, by name and size.
    Source,
}

/// Whether the paths of each row are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    /// They are.
    Listed,
    /// They are not.
    Left,
}

/// Disk usage, the largest first.
#[derive(Debug)]
pub struct Usage {
    /// What it is divided by.
    pub by: GroupBy,
    /// The largest.
    pub rows: Vec<UsageRow>,
    /// How many there are beyond these.
    pub more: u64,
    /// What is divided: all valid paths, or all source trees.
    pub whole: NodeSet,
    /// Its size.
    pub all: Weight,
    /// Of these, the dead ones.
    pub dead: Weight,
}

/// One of them. Packages and paths have a size of their own, the others are what they keep.
#[derive(Debug)]
pub struct UsageRow {
    /// What it is.
    pub name: String,
    /// How many paths: of the package, else of the closure.
    pub paths: u64,
    /// Of how many versions.
    pub versions: Option<u64>,
    /// The sum of the sizes of the paths themselves.
    pub own: Option<Bytes>,
    /// The size of the closure, by references.
    pub closure: Option<Bytes>,
    /// The size of what would be dead without it, and what these paths are.
    pub exclusive: Option<Bytes>,
    /// What of a group of source trees is dead.
    pub dead: Option<Weight>,
    /// The paths that go with it, or that it is, where they were asked for.
    pub set: Vec<NodeIdx>,
}

/// What would be dead without a group of roots, and what it reaches.
type Costs = (Weight, Weight);

impl StoreAnalysis {
    /// Disk usage of the `top` largest; with the paths of each if `sets` asks for them, which takes a walk for each.
    pub fn usage(&self, snapshot: &Snapshot, by: GroupBy, top: usize, sets: Sets) -> Usage {
        let links = links_of_generations(snapshot);
        let generation = |root: &StoreRoot| {
            let root = Some(root).filter(|root| !root.root.kind.is_runtime())?;
            links.get(&root.root.link)
        };
        let (rows, count) = match by {
            GroupBy::Root => self.kept_by(top, sets, &|root| Some(root_name(root, self))),
            GroupBy::Profile => {
                self.kept_by(top, sets, &|root| Some(generation(root)?.0.to_string()))
            }
            GroupBy::Generation => self.kept_by(top, sets, &|root| {
                let (profile, number) = generation(root)?;
                Some(format!("{profile}:{number}"))
            }),
            GroupBy::User => self.kept_by(top, sets, &|root| Some(user_name(root))),
            GroupBy::Package => self.packages(top, sets),
            GroupBy::Path => self.paths(top),
            GroupBy::Source => self.sources(top, sets),
        };
        let whole = match by {
            GroupBy::Source => self.source_trees(),
            _ => self.everything(),
        };
        Usage {
            by,
            more: u64::try_from(count.saturating_sub(rows.len())).unwrap_or(u64::MAX),
            rows,
            all: self.graph.weight(&whole),
            dead: self.dead_of(&whole),
            whole,
        }
    }

    /// Groups of roots by name, and how many there are; the roots without a name are there all the same.
    fn kept_by(
        &self,
        top: usize,
        sets: Sets,
        name: &dyn Fn(&StoreRoot) -> Option<String>,
    ) -> (Vec<UsageRow>, usize) {
        let mut named: BTreeMap<String, Vec<NodeIdx>> = BTreeMap::new();
        let mut others = Vec::new();
        for root in &self.roots {
            match name(root) {
                Some(name) => named.entry(name).or_default().push(root.node),
                None => others.push(root.node),
            }
        }
        let (labels, mut groups): (Vec<String>, Vec<Vec<NodeIdx>>) = named.into_iter().unzip();
        groups.push(others);
        let exclusive = self.graph.exclusive(&groups, self.flags);
        let costs = exclusive.into_iter().zip(self.closures(&groups));
        let mut rows: Vec<(usize, (String, Costs))> =
            labels.into_iter().zip(costs).enumerate().collect();
        rows.sort_by(|(_, (a, (only_a, all_a))), (_, (b, (only_b, all_b)))| {
            let only = only_b.nar_bytes.cmp(&only_a.nar_bytes);
            only.then(all_b.nar_bytes.cmp(&all_a.nar_bytes))
                .then(a.cmp(b))
        });
        let count = rows.len();
        rows.truncate(top);
        let row = |(index, (name, (only, closure))): (usize, (String, Costs))| UsageRow {
            name,
            paths: closure.paths,
            versions: None,
            own: None,
            closure: Some(closure.nar_bytes),
            exclusive: Some(only.nar_bytes),
            dead: None,
            set: match sets {
                Sets::Listed => self.goes_without(&groups, index).iter().collect(),
                Sets::Left => Vec::new(),
            },
        };
        (rows.into_iter().map(row).collect(), count)
    }

    pub(super) fn closures(&self, groups: &[Vec<NodeIdx>]) -> Vec<Weight> {
        let single: Vec<NodeIdx> = groups
            .iter()
            .filter_map(|group| match group.as_slice() {
                [node] => Some(*node),
                _ => None,
            })
            .collect();
        let mut single = self
            .graph
            .closure_sizes(&single, KeepFlags::REFERENCES)
            .into_iter();
        let of_group = |group: &Vec<NodeIdx>| match group.as_slice() {
            [_] => single.next().unwrap_or_default(),
            many => self
                .graph
                .weight(&self.graph.live(many, KeepFlags::REFERENCES)),
        };
        groups.iter().map(of_group).collect()
    }

    /// What is alive and would be dead without one of the groups.
    fn goes_without(&self, groups: &[Vec<NodeIdx>], without: usize) -> NodeSet {
        let roots = groups
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != without);
        let roots: Vec<NodeIdx> = roots.flat_map(|(_, group)| group.iter().copied()).collect();
        self.graph.dead(&roots, self.flags).without(&self.dead())
    }

    fn packages(&self, top: usize, sets: Sets) -> (Vec<UsageRow>, usize) {
        let groups = self.graph.groups_by_package(self.graph.nodes());
        let count = groups.len();
        let mut members: HashMap<&str, Vec<NodeIdx>> = HashMap::new();
        if sets == Sets::Listed {
            members.extend(
                groups
                    .iter()
                    .take(top)
                    .map(|group| (group.name, Vec::new())),
            );
            for node in self.graph.nodes() {
                if let Some(set) = members.get_mut(self.graph.package_name(node)) {
                    set.push(node);
                }
            }
        }
        let row = |group: &crate::domain::graph::PackageGroup<'_>| UsageRow {
            name: group.name.to_string(),
            paths: group.weight.paths,
            versions: Some(group.versions),
            own: Some(group.weight.nar_bytes),
            closure: None,
            exclusive: None,
            dead: None,
            set: members.remove(group.name).unwrap_or_default(),
        };
        (groups.iter().take(top).map(row).collect(), count)
    }

    fn paths(&self, top: usize) -> (Vec<UsageRow>, usize) {
        let mut nodes: Vec<NodeIdx> = self.graph.nodes().collect();
        let count = nodes.len();
        nodes.sort_by_key(|&node| std::cmp::Reverse(self.graph.nar_size_of(node)));
        nodes.truncate(top);
        let closures = self.graph.closure_sizes(&nodes, KeepFlags::REFERENCES);
        let row = |(node, closure): (NodeIdx, Weight)| UsageRow {
            name: self.path(node),
            paths: closure.paths,
            versions: None,
            own: Some(self.graph.nar_size_of(node)),
            closure: Some(closure.nar_bytes),
            exclusive: None,
            dead: None,
            set: vec![node],
        };
        (nodes.into_iter().zip(closures).map(row).collect(), count)
    }
}

pub(super) fn links_of_generations(
    snapshot: &Snapshot,
) -> HashMap<Utf8PathBuf, (&ProfilePath, GenerationNumber)> {
    let mut links = HashMap::new();
    for profile in &snapshot.profiles {
        for &number in profile.generations.keys() {
            links.insert(profile.path.link(number), (&profile.path, number));
        }
    }
    links
}

/// A path that processes use has the first of them for its name, and the path with it.
pub(super) fn root_name(root: &StoreRoot, inspection: &StoreAnalysis) -> String {
    if root.root.kind.is_runtime() {
        format!("{} -> {}", root.root.link, inspection.path(root.node))
    } else {
        root.root.link.to_string()
    }
}

fn user_name(root: &StoreRoot) -> String {
    match &root.root.owner {
        Some(owner) => owner.to_string(),
        None if root.root.kind.is_runtime() => "(processes)".to_string(),
        None => "(unknown)".to_string(),
    }
}
