//! What is marked, and what removing it would free.

use std::collections::{BTreeSet, HashMap};

use super::list::Heading;
use super::scene::{Scene, Way};
use crate::domain::analysis::{Fate, FreedTogether};
use crate::domain::graph::Weight;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::plan::{Item, RemovalRule};
use crate::domain::risk::RiskLevel;

/// The marked items, with the figures of their removal.
#[derive(Debug)]
pub(super) struct Marks {
    items: BTreeSet<usize>,
    dead_paths: bool,
    window: Window,
    /// What becomes of each item's link; the figures are of it.
    fates: Vec<Fate>,
    together: FreedTogether,
    added: Vec<Weight>,
}

/// Whether removed links are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// As the job says.
    Usual,
    /// They are not, so that their space is free at once.
    None,
}

/// What the marks come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary {
    /// How many items are marked, all dead paths being one.
    pub(super) marked: usize,
    /// What a collection deletes, by NAR size.
    pub(super) now: Bytes,
    /// What becomes dead when the undo windows end.
    pub(super) later: Bytes,
    /// When they end.
    pub(super) until: Option<Timestamp>,
    /// What leftovers take on disk.
    pub(super) leftovers: Bytes,
    /// What is dead after the removals and is not deleted, because dead paths are not marked.
    pub(super) left_dead: Bytes,
    /// The highest risk.
    pub(super) risk: Option<RiskLevel>,
    /// The limit that it is above.
    pub(super) above: Option<RiskLevel>,
}

impl Marks {
    /// What every run deletes is marked: dead paths and ended holds.
    pub(super) fn new(scene: &Scene) -> Self {
        let is_ended = |item: &Item| {
            let removal = item.removal();
            removal.is_some_and(|removal| removal.rule == RemovalRule::WindowEnded)
        };
        let items = scene.items().iter().enumerate();
        let ended = items.filter(|(_, item)| is_ended(item));
        let mut marks = Self {
            items: ended.map(|(at, _)| at).collect(),
            dead_paths: scene.usual.plan.collection().is_some() && scene.what_if().dead().paths > 0,
            window: Window::Usual,
            fates: Vec::new(),
            together: FreedTogether::default(),
            added: Vec::new(),
        };
        marks.compute(scene);
        marks
    }

    /// The same marks in what was read anew; without those on what cannot be removed any more.
    pub(super) fn carried_over(&self, from: &Scene, to: &Scene) -> Self {
        let marked = self.items.iter().filter_map(|at| from.item(*at));
        let marked: BTreeSet<String> = marked.map(key).collect();
        let items = to.items().iter().enumerate();
        let same =
            items.filter(|(_, item)| item.removal().is_some() && marked.contains(&key(item)));
        let window = if to.at_once.is_some() {
            self.window
        } else {
            Window::Usual
        };
        let mut marks = Self {
            items: same.map(|(at, _)| at).collect(),
            dead_paths: self.dead_paths && to.usual.plan.collection().is_some(),
            window,
            fates: Vec::new(),
            together: FreedTogether::default(),
            added: Vec::new(),
        };
        marks.compute(to);
        marks
    }

    pub(super) fn is_marked(&self, item: usize) -> bool {
        self.items.contains(&item)
    }

    pub(super) fn count(&self) -> usize {
        self.items.len()
    }

    pub(super) fn are_dead_paths_marked(&self) -> bool {
        self.dead_paths
    }

    pub(super) fn window(&self) -> Window {
        self.window
    }

    /// Marks these items; takes the marks away where all that can be removed are marked. Says whether any can be.
    pub(super) fn toggle(&mut self, items: &[usize], scene: &Scene) -> bool {
        let can_be_removed = |at: &&usize| {
            scene
                .item(**at)
                .is_some_and(|item| item.removal().is_some())
        };
        let items: Vec<usize> = items.iter().filter(can_be_removed).copied().collect();
        if items.iter().all(|at| self.items.contains(at)) {
            for at in &items {
                self.items.remove(at);
            }
        } else {
            self.items.extend(&items);
        }
        self.compute(scene);
        !items.is_empty()
    }

    /// Marks the dead paths, or takes the mark away. Says whether they can be deleted.
    pub(super) fn toggle_dead_paths(&mut self, scene: &Scene) -> bool {
        let can_be_deleted = scene.usual.plan.collection().is_some();
        self.dead_paths = can_be_deleted && !self.dead_paths;
        self.compute(scene);
        can_be_deleted
    }

    pub(super) fn clear(&mut self, scene: &Scene) {
        self.items.clear();
        self.dead_paths = false;
        self.compute(scene);
    }

    /// Switches the undo window off or on. Says whether that is possible.
    pub(super) fn toggle_window(&mut self, scene: &Scene) -> bool {
        self.window = match (self.window, &scene.at_once) {
            (Window::Usual, Some(_)) => Window::None,
            _ => Window::Usual,
        };
        // Only a collection frees at once what is not held.
        if self.window == Window::None {
            self.dead_paths = scene.usual.plan.collection().is_some();
        }
        self.compute(scene);
        scene.at_once.is_some()
    }

    /// The plan that the marks are a part of.
    pub(super) fn way<'a>(&self, scene: &'a Scene) -> &'a Way {
        match (self.window, &scene.at_once) {
            (Window::None, Some(way)) => way,
            _ => &scene.usual,
        }
    }

    /// What an item that is not marked frees beside those that are.
    pub(super) fn added(&self, item: usize) -> Weight {
        self.added.get(item).copied().unwrap_or_default()
    }

    /// What each group of items frees beside those that are marked.
    pub(super) fn added_by(&self, scene: &Scene, groups: &[Heading]) -> Vec<Weight> {
        let mut group_of: HashMap<usize, usize> = HashMap::new();
        for (group, heading) in groups.iter().enumerate() {
            group_of.extend(heading.items.iter().map(|item| (*item, group)));
        }
        let what_if = scene.what_if();
        what_if.by_group(&scene.store, &self.fates, groups.len(), |item| {
            group_of.get(&item).copied()
        })
    }

    fn fates_of_marks(&self, scene: &Scene) -> Vec<Fate> {
        let way = self.way(scene);
        let fates = way.fates.iter().enumerate().map(|(at, fate)| {
            if self.items.contains(&at) {
                *fate
            } else {
                Fate::Kept
            }
        });
        fates.collect()
    }

    fn compute(&mut self, scene: &Scene) {
        let fates = self.fates_of_marks(scene);
        // Dead paths and leftovers are no links.
        if self.added.is_empty() || fates != self.fates {
            self.together = scene.what_if().together(&scene.store, &fates);
            self.added = scene.what_if().in_addition(&scene.store, &fates);
            self.fates = fates;
        }
    }

    /// What the marks come to.
    pub(super) fn summary(&self, scene: &Scene) -> Summary {
        let way = self.way(scene);
        let marked = self.items.iter().filter_map(|at| way.plan.items.get(*at));
        let mut sum = Summary {
            marked: self.items.len() + usize::from(self.dead_paths),
            later: self.together.later.nar_bytes,
            ..Summary::default()
        };
        if self.dead_paths {
            sum.now = self.together.now.nar_bytes;
            sum.risk = Some(RiskLevel::Low);
        } else {
            sum.left_dead = self.together.now.nar_bytes;
        }
        for removal in marked.filter_map(Item::removal) {
            sum.risk = sum.risk.max(Some(removal.risk));
            if let Some(facts) = removal.action.removed_leftovers() {
                sum.leftovers.0 = sum.leftovers.0.saturating_add(facts.old.bytes.0);
            }
            let hold = removal.action.promised_hold();
            if hold.is_some_and(|hold| !hold.is_zero()) {
                sum.until = Some(way.plan.taken_at.after(way.window));
            }
        }
        let limit = way.plan.max_risk;
        sum.above = Some(limit).filter(|limit| sum.risk.is_some_and(|risk| risk > *limit));
        sum
    }
}

/// What a person marked: a link of that name which leads somewhere else by now is another item.
fn key(item: &Item) -> String {
    use crate::domain::plan::{Action, Subject};
    let target = match item.removal().map(|removal| &removal.action) {
        Some(Action::RemoveRootLink(facts)) => Some(&facts.store_path),
        _ => None,
    };
    match &item.subject {
        // Their sums change all the time.
        Subject::Leftovers { class, dir, .. } => format!("{class:?} {dir}"),
        subject => format!("{subject:?} {target:?}"),
    }
}
