//! What is browsed: the store, everything that may be removed of it, and the figures of both.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::analysis::{Fate, Share, StoreAnalysis, StoreRoot, WhatIf};
use crate::domain::graph::{NodeIdx, Weight};
use crate::domain::leftover::by_class;
use crate::domain::measure::{Bytes, Span};
use crate::domain::plan::{Item, Plan, Subject};
use crate::domain::profile::ProfileNames;
use crate::domain::root::RootKind;
use crate::domain::snapshot::{Hold, Snapshot};
use crate::domain::store_path::StorePathRef;
use crate::render::json::{self, UsageDocument};

/// The removal of everything that may be removed, with one undo window.
#[derive(Debug)]
pub struct Way {
    /// The undo window.
    pub window: Span,
    /// The plan.
    pub plan: Plan,
    /// What becomes of the link of each of its items.
    pub fates: Vec<Fate>,
}

/// A package, with the figures of its paths.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// One of its paths, which has its name.
    pub node: NodeIdx,
    /// How many versions there are.
    pub versions: u64,
    /// How many paths, and their size.
    pub weight: Weight,
}

/// What is browsed. The items of both ways are the same, at the same places.
#[derive(Debug)]
pub struct Scene {
    /// Profiles and roots.
    pub snapshot: Snapshot,
    /// The store.
    pub store: StoreAnalysis,
    /// The removals with the undo window of the job.
    pub usual: Way,
    /// The removals without an undo window, where the machine's policy allows it and the job has one.
    pub at_once: Option<Way>,
    what_if: WhatIf,
    alone: Vec<Weight>,
    usage: UsageDocument,
    roots: Vec<usize>,
    dead: Vec<NodeIdx>,
    packages: OnceCell<Vec<Package>>,
}

impl Scene {
    /// Computes the figures that do not depend on marks.
    pub fn new(
        snapshot: Snapshot,
        store: StoreAnalysis,
        usual: Way,
        at_once: Option<Way>,
        what_if: WhatIf,
    ) -> Self {
        let shares: Vec<Share> = store.shares(&snapshot);
        let leftovers = by_class(&snapshot.leftovers);
        let notes = store.notes(what_if.dead().paths > 0);
        let directory = store.store().as_path().to_string();
        let usage = json::usage(&directory, usual.plan.disk, &shares, &leftovers, notes);
        let items = usual.plan.items.iter();
        let listed: HashSet<Utf8PathBuf> = items.map(link_of).collect();
        let roots = store.roots().iter().enumerate();
        let roots = roots
            .filter(|(_, it)| it.root.kind != RootKind::Hold && !listed.contains(&it.root.link));
        let roots = roots.map(|(at, _)| at).collect();
        let mut dead: Vec<NodeIdx> = store.dead().iter().collect();
        dead.sort_by_key(|node| Reverse(store.graph().nar_size_of(*node)));
        // Of what cannot be removed as well: it says how much a kept generation or a hold takes.
        let links: Vec<Utf8PathBuf> = usual.plan.items.iter().map(link_of).collect();
        let links = links.iter().map(|link| Some(link.as_path()));
        let alone = WhatIf::new(&store, links, None).alone(&store);
        Self {
            alone,
            snapshot,
            store,
            usual,
            at_once,
            what_if,
            usage,
            roots,
            dead,
            packages: OnceCell::new(),
        }
    }

    /// The items of the plan.
    pub(super) fn items(&self) -> &[Item] {
        &self.usual.plan.items
    }

    pub(super) fn item(&self, index: usize) -> Option<&Item> {
        self.items().get(index)
    }

    pub(super) fn what_if(&self) -> &WhatIf {
        &self.what_if
    }

    /// What an item frees if it alone is removed.
    pub(super) fn alone(&self, index: usize) -> Weight {
        self.alone.get(index).copied().unwrap_or_default()
    }

    /// The store by who keeps what.
    pub(super) fn usage(&self) -> &UsageDocument {
        &self.usage
    }

    /// The roots that no item of the plan is about, by their places in the analysis.
    pub(super) fn other_roots(&self) -> &[usize] {
        &self.roots
    }

    pub(super) fn root(&self, index: usize) -> Option<&StoreRoot> {
        self.store.roots().get(index)
    }

    /// The dead paths, the largest first.
    pub(super) fn dead(&self) -> &[NodeIdx] {
        &self.dead
    }

    /// The packages, the largest first. They are grouped when they are first looked at.
    pub(super) fn packages(&self) -> &[Package] {
        self.packages.get_or_init(|| self.grouped())
    }

    fn grouped(&self) -> Vec<Package> {
        let graph = self.store.graph();
        let mut first = std::collections::HashMap::new();
        for node in graph.nodes() {
            first.entry(graph.package_name(node)).or_insert(node);
        }
        let groups = graph.groups_by_package(graph.nodes());
        let package = |group: &crate::domain::graph::PackageGroup<'_>| {
            Some(Package {
                node: *first.get(group.name)?,
                versions: group.versions,
                weight: group.weight,
            })
        };
        groups.iter().filter_map(package).collect()
    }

    /// The size of all valid paths.
    pub(super) fn all(&self) -> Bytes {
        let parts = self.usage.parts.iter().map(|part| part.nar_bytes.0);
        Bytes(parts.fold(0, u64::saturating_add))
    }

    /// Short names of the profiles.
    pub(super) fn names(&self) -> ProfileNames<'_> {
        let profiles = self.usual.plan.profiles.iter();
        profiles.map(|planned| &planned.profile).collect()
    }

    /// The store path that an item leads to, if it is valid.
    pub(super) fn node_of(&self, item: &Item) -> Option<NodeIdx> {
        let link = item.subject.link();
        let roots = self.store.roots().iter();
        let of_root = || {
            roots
                .clone()
                .find(|it| it.root.link == link)
                .map(|it| it.node)
        };
        match &item.subject {
            Subject::Generation { target, .. } => self.find(target).or_else(of_root),
            Subject::RootLink { .. } | Subject::Root { .. } | Subject::Hold { .. } => of_root(),
            Subject::Leftovers { .. } => None,
        }
    }

    fn find(&self, path: &Utf8Path) -> Option<NodeIdx> {
        let (path, _) = StorePathRef::from_absolute_path_full(path, self.store.store()).ok()?;
        self.store.graph().find(&path.to_string())
    }

    /// The hold that an item is about.
    pub(super) fn hold_of(&self, item: &Item) -> Option<&Hold> {
        let Subject::Hold { link, .. } = &item.subject else {
            return None;
        };
        self.snapshot.holds.iter().find(|hold| hold.link == *link)
    }
}

fn link_of(item: &Item) -> Utf8PathBuf {
    item.subject.link()
}
