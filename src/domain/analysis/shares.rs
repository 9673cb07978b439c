//! The store divided by who alone keeps each path: profiles, other roots, holds, processes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use camino::Utf8Path;

use super::{StoreAnalysis, StoreRoot};
use crate::domain::graph::{NodeIdx, Weight};
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

/// A part of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Who keeps it.
    pub keeper: Keeper,
    /// How many roots that is.
    pub roots: usize,
    /// The paths, by the store's own sizes.
    pub weight: Weight,
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
    /// The store in parts that add up to it. A process counts only for what no link keeps: what a running system uses
    /// belongs to its profile.
    pub fn shares(&self, snapshot: &Snapshot) -> Vec<Share> {
        let links = self.links_by_keeper(snapshot);
        let (mut keepers, mut groups) = (Vec::new(), Vec::new());
        for (path, nodes) in &links.profiles {
            keepers.push(Keeper::Profile((*path).clone()));
            groups.push(nodes.clone());
        }
        keepers.push(Keeper::OtherRoots);
        groups.push(links.others.into_values().flatten().collect());
        keepers.push(Keeper::UnknownHolds);
        groups.push(links.unknown_holds);
        let always: Vec<NodeIdx> = groups.iter().flatten().copied().collect();
        let holds: Vec<Vec<NodeIdx>> = links.holds.values().cloned().collect();
        let freed = self.graph.freed_by_order(&always, &holds, self.flags);

        let mut shares = Vec::new();
        groups.push(holds.concat());
        let exclusive = self.graph.exclusive(&groups, self.flags);
        for ((keeper, nodes), weight) in keepers.into_iter().zip(&groups).zip(exclusive) {
            shares.push((keeper, nodes.len(), weight));
        }
        // The largest profile first.
        shares.sort_by_key(|(keeper, _, weight)| match keeper {
            Keeper::Profile(_) => (false, Reverse(weight.nar_bytes)),
            _ => (true, Reverse(Bytes(0))),
        });
        for (((until, run), nodes), weight) in links.holds.iter().zip(freed) {
            let (run, until) = ((*run).clone(), *until);
            shares.push((Keeper::Holds { run, until }, nodes.len(), weight));
        }
        let nodes: Vec<NodeIdx> = groups.into_iter().flatten().collect();
        let dead = self.dead();
        let by_processes = self.graph.dead(&nodes, self.flags).without(&dead);
        let (dead, by_processes) = (self.graph.weight(&dead), self.graph.weight(&by_processes));
        shares.push((Keeper::Processes, links.runtime.len(), by_processes));
        shares.push((Keeper::Dead, 0, dead));
        let all = self.graph.weight(&self.everything());
        let parts = shares.iter().map(|(_, _, weight)| *weight);
        let rest = parts.fold(all, Weight::without);
        shares.push((Keeper::Shared, 0, rest));
        let share = |(keeper, roots, weight)| Share {
            keeper,
            roots,
            weight,
        };
        shares.into_iter().map(share).collect()
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
