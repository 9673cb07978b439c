//! The store divided by the set of keepers of each path: what profiles, roots and holds share.

use std::cmp::Reverse;

use camino::Utf8PathBuf;

use super::StoreAnalysis;
use super::shares::Links;
use crate::domain::graph::{KeptPart, NodeIdx, Weight};
use crate::domain::measure::Timestamp;
use crate::domain::profile::ProfilePath;
use crate::domain::receipt::RunId;
use crate::domain::snapshot::Snapshot;

/// The smallest parts beyond so many are joined.
const MAX_PARTS: usize = 40;

/// Roots that count as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootGroup {
    /// The generations of a profile, with the links of the running system and home that lead to one of them.
    Profile(ProfilePath),
    /// Any other link.
    Root(Utf8PathBuf),
    /// The holds of a run.
    Holds {
        /// The run.
        run: RunId,
        /// When the last of them ends.
        until: Timestamp,
    },
    /// Holds that this state directory does not know.
    UnknownHolds,
    /// The smaller groups together.
    Others {
        /// The number of groups.
        groups: usize,
    },
    /// Processes and temporary roots, for the paths that no link keeps.
    Processes,
}

/// A group of roots, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// The group.
    pub group: RootGroup,
    /// How many roots it has.
    pub roots: usize,
    /// The paths that no other group keeps.
    pub exclusive: Weight,
}

/// Who shares what. Exclusive, shared and dead paths add up to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// The groups of roots, the largest first.
    pub groups: Vec<Keeping>,
    /// The paths that the same two or more groups keep, by their positions in `groups`, the largest part first.
    pub shared: Vec<KeptPart>,
    /// The smaller parts together. Not each of its keepers keeps each of its paths.
    pub smaller: Option<KeptPart>,
    /// The paths that nothing keeps.
    pub dead: Weight,
}

impl StoreAnalysis {
    /// Who shares what, with the `top` groups of roots that keep the most, and the others as one.
    pub fn sharing(&self, snapshot: &Snapshot, top: usize) -> Sharing {
        let links = self.links_by_keeper(snapshot);
        let runtime = links.runtime.len();
        let (groups, nodes) = self.largest_groups(links, top);
        let mut groups: Vec<Keeping> = groups
            .into_iter()
            .zip(&nodes)
            .map(|(group, nodes)| Keeping {
                group,
                roots: nodes.len(),
                exclusive: Weight::default(),
            })
            .collect();
        let dead = self.graph.weight(&self.dead());
        let mut shared = Vec::new();
        for part in self.graph.by_keepers(&nodes, self.flags) {
            match part.keepers.as_slice() {
                [] if part.weight.paths > dead.paths => groups.push(Keeping {
                    group: RootGroup::Processes,
                    roots: runtime,
                    exclusive: part.weight.without(dead),
                }),
                [] => {}
                [one] => {
                    if let Some(group) = groups.get_mut(*one) {
                        group.exclusive = part.weight;
                    }
                }
                _ => shared.push(part),
            }
        }
        shared.sort_by(|a, b| {
            let larger = b.weight.nar_bytes.cmp(&a.weight.nar_bytes);
            larger.then_with(|| a.keepers.cmp(&b.keepers))
        });
        let smaller = shared.split_off(shared.len().min(MAX_PARTS));
        Sharing {
            groups,
            shared,
            smaller: smaller.into_iter().reduce(joined),
            dead,
        }
    }

    /// The groups of roots, those with the largest closures first, and the roots of each.
    fn largest_groups(&self, links: Links<'_>, top: usize) -> (Vec<RootGroup>, Vec<Vec<NodeIdx>>) {
        let profiles = links.profiles.into_iter();
        let profiles = profiles.map(|(path, nodes)| (RootGroup::Profile(path.clone()), nodes));
        let others = links.others.into_iter();
        let others = others.map(|(link, nodes)| (RootGroup::Root(link.to_path_buf()), nodes));
        let holds = links.holds.into_iter().map(|((until, run), nodes)| {
            let run = run.clone();
            (RootGroup::Holds { run, until }, nodes)
        });
        let unknown = [(RootGroup::UnknownHolds, links.unknown_holds)];
        let all = profiles.chain(others).chain(holds).chain(unknown);
        let (groups, nodes): (Vec<_>, Vec<_>) = all.filter(|(_, nodes)| !nodes.is_empty()).unzip();
        let mut sized: Vec<_> = self
            .closures(&nodes)
            .into_iter()
            .zip(groups.into_iter().zip(nodes))
            .collect();
        sized.sort_by_key(|(closure, _)| Reverse(closure.nar_bytes));
        let (mut groups, mut nodes): (Vec<_>, Vec<_>) =
            sized.into_iter().map(|(_, group)| group).unzip();
        let rest = nodes.split_off(nodes.len().min(top));
        groups.truncate(top);
        if !rest.is_empty() {
            groups.push(RootGroup::Others { groups: rest.len() });
            nodes.push(rest.concat());
        }
        (groups, nodes)
    }
}

fn joined(mut all: KeptPart, part: KeptPart) -> KeptPart {
    all.keepers.extend(part.keepers);
    all.keepers.sort_unstable();
    all.keepers.dedup();
    all.weight.add(part.weight);
    all
}
