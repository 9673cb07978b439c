//! The store divided by who alone keeps each path: profiles, other roots, holds, processes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use camino::Utf8Path;

use super::{StoreAnalysis, StoreRoot};
use crate::domain::graph::{KeptBy, NodeIdx, PackageGroup, Weight};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::profile::ProfilePath;
use crate::domain::receipt::RunId;
use crate::domain::root::RootKind;
use crate::domain::snapshot::Snapshot;

/// Who keeps a part of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// The generations of a profile, with the links of the running system and home that lead to one of them.
    Profile(ProfilePath),
    /// Every other link.
    OtherRoots,
    /// The holds of a run, once those that end earlier have ended.
    Holds {
        /// The run.
        run: RunId,
        /// When the last of them ends.
        until: Timestamp,
    },
    /// Holds that this state directory does not know.
    UnknownHolds,
    /// Processes and temporary roots, and no link.
    Processes,
    /// Several of these.
    Shared,
    /// Nobody.
    Dead,
}

/// A part of the store, path by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Who keeps it.
    pub keeper: Keeper,
    /// How many roots that is.
    pub roots: usize,
    /// The paths. Each path of the store is in exactly one part.
    pub paths: Vec<NodeIdx>,
}

impl Part {
    fn of(keeper: Keeper, roots: usize) -> Self {
        Self {
            keeper,
            roots,
            paths: Vec::new(),
        }
    }
}

/// The size of a part of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Who keeps it.
    pub keeper: Keeper,
    /// How many roots that is.
    pub roots: usize,
    /// The paths, by the store's own sizes.
    pub weight: Weight,
}

/// So many packages of a part are named however small they are.
const LARGEST_OF_PART: usize = 12;
/// A package of at least the store divided by this is named.
const PARTS_OF_STORE: u128 = 1000;

/// The packages of a part of the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartPackages<'g> {
    /// Those that are named, the largest first.
    pub largest: Vec<PackageGroup<'g>>,
    /// How many others there are.
    pub others: u64,
    /// The paths of the others.
    pub weight_of_others: Weight,
}

/// The nodes of the links, by keeper.
#[derive(Default)]
pub(super) struct Links<'a> {
    pub(super) profiles: BTreeMap<&'a ProfilePath, Vec<NodeIdx>>,
    pub(super) others: BTreeMap<&'a Utf8Path, Vec<NodeIdx>>,
    pub(super) holds: BTreeMap<(Timestamp, &'a RunId), Vec<NodeIdx>>,
    pub(super) unknown_holds: Vec<NodeIdx>,
    pub(super) runtime: Vec<NodeIdx>,
}

impl StoreAnalysis {
    /// The sizes of the parts of [`StoreAnalysis::division`], which add up to the store.
    pub fn shares(&self, snapshot: &Snapshot) -> Vec<Share> {
        let parts = self.division(snapshot);
        parts.iter().map(|part| self.share_of(part)).collect()
    }

    /// The size of a part.
    pub fn share_of(&self, part: &Part) -> Share {
        Share {
            keeper: part.keeper.clone(),
            roots: part.roots,
            weight: self.graph.weight_of_each(part.paths.iter().copied()),
        }
    }

    /// The store divided by who alone keeps each path. A process counts only for what no link keeps: what a running system
    /// uses belongs to its profile.
    pub fn division(&self, snapshot: &Snapshot) -> Vec<Part> {
        let links = self.links_by_keeper(snapshot);
        let (mut parts, mut groups) = (Vec::new(), Vec::new());
        for (path, nodes) in links.profiles {
            parts.push(Part::of(Keeper::Profile(path.clone()), nodes.len()));
            groups.push(nodes);
        }
        let profiles = parts.len();
        for (keeper, nodes) in [
            (
                Keeper::OtherRoots,
                links.others.into_values().flatten().collect(),
            ),
            (Keeper::UnknownHolds, links.unknown_holds),
        ] {
            parts.push(Part::of(keeper, nodes.len()));
            groups.push(nodes);
        }
        let (always, first_hold) = (groups.concat(), parts.len());
        let mut holds = Vec::new();
        for ((until, run), nodes) in links.holds {
            let run = run.clone();
            parts.push(Part::of(Keeper::Holds { run, until }, nodes.len()));
            holds.push(nodes);
        }
        groups.push(holds.concat());
        let dead = self.dead();
        let mut of_processes = Part::of(Keeper::Processes, links.runtime.len());
        let mut of_nobody = Part::of(Keeper::Dead, 0);
        let mut shared = Part::of(Keeper::Shared, 0);
        self.graph
            .each_kept_by(&groups, self.flags, |node, kept_by| {
                let part = match kept_by {
                    // The holds are divided below.
                    KeptBy::One(group) if group == first_hold => None,
                    KeptBy::One(group) => parts.get_mut(group),
                    KeptBy::Several => Some(&mut shared),
                    KeptBy::None if dead.contains(node) => Some(&mut of_nobody),
                    KeptBy::None => Some(&mut of_processes),
                };
                if let Some(part) = part {
                    part.paths.push(node);
                }
            });
        self.graph
            .each_freed_by_order(&always, &holds, self.flags, |hold, node| {
                if let Some(part) = parts.get_mut(first_hold + hold) {
                    part.paths.push(node);
                }
            });
        // The largest profile first.
        if let Some(profiles) = parts.get_mut(..profiles) {
            profiles.sort_by_cached_key(|part| Reverse(self.share_of(part).weight.nar_bytes));
        }
        parts.extend([of_processes, of_nobody, shared]);
        parts
    }

    /// The packages of a part of the store, the largest first. A package that is small beside the store, and not among the
    /// largest of the part, is only counted.
    pub fn packages_of(&self, part: &Part, all: Bytes) -> PartPackages<'_> {
        let groups = self.graph.groups_by_package(part.paths.iter().copied());
        let mut packages = PartPackages::default();
        for (rank, group) in groups.into_iter().enumerate() {
            let bytes = u128::from(group.weight.nar_bytes.0);
            let is_large = bytes * PARTS_OF_STORE >= u128::from(all.0);
            if rank < LARGEST_OF_PART || is_large {
                packages.largest.push(group);
            } else {
                packages.others += 1;
                packages.weight_of_others.add(group.weight);
            }
        }
        packages
    }

    pub(super) fn links_by_keeper<'a>(&'a self, snapshot: &'a Snapshot) -> Links<'a> {
        let generations = super::usage::links_of_generations(snapshot);
        let holds: HashMap<_, _> = snapshot.holds.iter().map(|it| (&it.link, it)).collect();
        let generation = |root: &StoreRoot| {
            let (profile, _) = generations.get(&root.root.link)?;
            Some((root.node, *profile))
        };
        let by_node: HashMap<NodeIdx, &ProfilePath> =
            self.roots.iter().filter_map(generation).collect();
        let mut links = Links::default();
        for root in &self.roots {
            let profile = match root.root.kind {
                RootKind::System | RootKind::Home => by_node.get(&root.node).copied(),
                _ => generation(root).map(|(_, profile)| profile),
            };
            let nodes = match (root.root.kind, profile, holds.get(&root.root.link)) {
                (RootKind::Process | RootKind::Temporary, ..) => &mut links.runtime,
                (_, Some(profile), _) => links.profiles.entry(profile).or_default(),
                (_, _, Some(hold)) => links.holds.entry((hold.until, &hold.run)).or_default(),
                (RootKind::Hold, ..) => &mut links.unknown_holds,
                _ => links.others.entry(&root.root.link).or_default(),
            };
            nodes.push(root.node);
        }
        links
    }
}
