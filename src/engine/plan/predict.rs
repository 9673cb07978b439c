//! Prediction of what a plan frees.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Exact, PlanError, Planner, names, unregistered};
use crate::domain::analysis::{RemovedLinks, StoreAnalysis};
use crate::domain::budget::{Quantity, SizeMetric};
use crate::domain::collect::CollectMethod;
use crate::domain::disk_use::DiskUse;
use crate::domain::graph::{NodeSet, Weight};
use crate::domain::measure::count;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{CollectFacts, Decision, Later, Plan, Prediction, Subject};
use crate::domain::profile::ProfilePath;
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::StorePathRef;
use crate::operations::Frees;
use crate::ports::{RunJournal, StoreReadError, error_chain};

impl<R: RunJournal> Planner<'_, R> {
    /// Predicts what a plan frees; what cannot be known stays unknown, with a note.
    pub(super) fn predict(
        &self,
        plan: &mut Plan,
        snapshot: &Snapshot,
        store: Result<&StoreAnalysis, &StoreReadError>,
        exact: Exact,
    ) -> Result<(), PlanError> {
        let Some(collection) = plan.collection().cloned() else {
            return Ok(());
        };
        let unknown = |why: &str| {
            vec![Note::new(
                NoteCode::FreedUnknown,
                format!("the amount freed is unknown: {why}"),
            )]
        };
        let store = match store {
            Ok(store) => store,
            Err(error) => {
                plan.prediction.notes = unknown(&error_chain(error));
                return Ok(());
            }
        };
        if let Some(blocker) = snapshot.hidden_roots().next() {
            plan.prediction.notes = unknown(&blocker.message);
            return Ok(());
        }
        let exclusive = store.exclusive_by_link();
        for item in &mut plan.items {
            if !matches!(item.subject, Subject::Root { .. }) {
                let bytes = exclusive.get(item.subject.link().as_path()).copied();
                item.exclusive_bytes = Some(bytes.unwrap_or_default());
            }
        }
        let [open_holds, root_links] = add_group_sizes(plan, store);
        let mut predicted = store.predict_collection(&removed_links(plan));
        let part = self.part(plan, store, &predicted.dead)?;
        let is_part = part.is_some();
        if let Some(part) = part {
            predicted.now = store.graph().weight(&part);
            predicted.dead = part;
        }
        let mut names = names(store.graph(), predicted.dead.iter());
        let mut notes = Vec::new();
        // The age of a name that Nix does not know is not known, so it is kept where recent paths are.
        if collection.registered_before.is_some() {
            notes.push(spared(predicted.spared));
        } else if !is_part {
            let dead = names.len();
            names.extend(unregistered(store));
            let unregistered = names.iter().skip(dead).copied();
            notes.extend(without_entry(unregistered, collection.method));
        }
        notes.extend(of_flakes(&collection, store));
        notes.extend(built_with(predicted.built_with));
        let measured = if exact.measures(names.len()) {
            Some(self.store.measure(&names)?)
        } else {
            None
        };
        let disk_bytes = measured.as_ref().map(|used| used.bytes);
        notes.extend(store.notes(predicted.now.paths > 0));
        notes.extend(measured.iter().flat_map(DiskUse::notes));
        plan.prediction = Prediction {
            nar_bytes: Some(predicted.now.nar_bytes),
            disk_bytes,
            disk_bytes_at_most: measured
                .as_ref()
                .is_some_and(|used| !used.at_most.is_empty()),
            paths: Some(predicted.now.paths),
            when_windows_end: Some(Later {
                nar_bytes: predicted.later.nar_bytes,
                paths: predicted.later.paths,
            }),
            root_links: Some(root_links.nar_bytes),
            open_holds: Some(open_holds).filter(|held| held.paths > 0),
            notes,
        };
        let metric = plan.budget.as_ref().map(|report| report.metric);
        let beside = metric
            .map(|metric| beside(plan, metric))
            .unwrap_or_default();
        if let Some(report) = &mut plan.budget {
            let frees = match report.metric {
                SizeMetric::NarSize => Some(Quantity(predicted.now.nar_bytes.0)),
                metric => measured.map(|used| metric.on_disk(used.taken())),
            };
            let frees = frees.map(|frees| frees.0.saturating_add(beside.0));
            report.frees = frees.map_or(report.frees, Quantity);
        }
        Ok(())
    }

    /// The dead paths that a budget needs, as the run chooses them; `None` where it needs all of them.
    fn part(
        &self,
        plan: &Plan,
        store: &StoreAnalysis,
        dead: &NodeSet,
    ) -> Result<Option<NodeSet>, PlanError> {
        let budget = plan.budget.as_ref();
        let needed = budget.and_then(|report| Some((report.collect_at_least?, report.metric)));
        let Some((goal, metric)) = needed else {
            return Ok(None);
        };
        let (graph, flags) = (store.graph(), store.flags());
        let order = plan
            .collection()
            .map(CollectFacts::order)
            .unwrap_or_default();
        let oldest = graph.oldest_dead_by(dead, flags, (goal, order), |nodes| match metric {
            SizeMetric::OnDisk | SizeMetric::Inodes => {
                let names = names(graph, nodes.iter().copied());
                let each = self.store.measure_each(&names)?;
                Ok::<_, PlanError>(
                    each.into_iter()
                        .map(|taken| metric.on_disk(taken))
                        .collect(),
                )
            }
            SizeMetric::NarSize => Ok(nodes
                .iter()
                .map(|node| Quantity(graph.nar_size_of(*node).0))
                .collect()),
        })?;
        // Where valid paths are not enough, names that the database does not know go as well.
        Ok((oldest.weight >= goal).then(|| graph.set_of(oldest.nodes)))
    }
}

/// Adds to each profile what its removed generations keep together; gives what the open holds do, and the removed links of
/// roots.
fn add_group_sizes(plan: &mut Plan, store: &StoreAnalysis) -> [Later; 2] {
    let profiles = plan.profiles.iter().enumerate();
    let index: HashMap<&ProfilePath, usize> = profiles
        .map(|(index, planned)| (&planned.profile, index))
        .collect();
    let holds = plan.profiles.len();
    let links = holds + 1;
    let grouped = plan.items.iter().filter_map(|item| {
        let group = match (&item.subject, &item.decision) {
            (Subject::Generation { profile, .. }, Decision::Remove(_)) => *index.get(profile)?,
            (Subject::Hold { .. }, Decision::Keep { .. }) => holds,
            (Subject::RootLink { .. }, Decision::Remove(_)) => links,
            _ => return None,
        };
        Some((item.subject.link(), group))
    });
    let grouped: HashMap<Utf8PathBuf, usize> = grouped.collect();
    let weights = store.exclusive_of(links + 1, |link| grouped.get(link).copied());
    let later = |group: usize| {
        let weight = weights.get(group).copied().unwrap_or_default();
        Later {
            nar_bytes: weight.nar_bytes,
            paths: weight.paths,
        }
    };
    let others = [later(holds), later(links)];
    for (planned, weight) in plan.profiles.iter_mut().zip(weights) {
        planned.frees = Some(weight.nar_bytes);
    }
    others
}

/// What a plan frees beside the store.
fn beside(plan: &Plan, metric: SizeMetric) -> Quantity {
    let frees = plan
        .removals()
        .map(|removal| removal.action.operation().frees());
    let taken = frees.filter_map(|frees| match frees {
        Frees::OnDisk(taken) if metric != SizeMetric::NarSize => Some(metric.on_disk(taken).0),
        _ => None,
    });
    Quantity(taken.fold(0, u64::saturating_add))
}

/// The links that a plan removes.
fn removed_links(plan: &Plan) -> RemovedLinks {
    let mut removed = RemovedLinks {
        registered_before: plan.collection().and_then(|facts| facts.registered_before),
        ..RemovedLinks::default()
    };
    for removal in plan.removals() {
        match removal.action.operation().frees() {
            Frees::Now(link) => _ = removed.now.insert(link),
            Frees::WhenWindowEnds(link) => _ = removed.when_windows_end.insert(link),
            Frees::OnDisk(_) | Frees::Nothing => {}
        }
    }
    removed
}

/// What only the locked inputs of flakes keep.
fn of_flakes(collection: &CollectFacts, store: &StoreAnalysis) -> Option<Note> {
    let flakes = &collection.keep_flake_inputs;
    let is_lock = |link: &Utf8Path| flakes.iter().any(|flake| link.parent() == Some(flake));
    let weights = store.exclusive_of(1, |link| is_lock(link).then_some(0));
    let weight = weights.first().filter(|weight| weight.paths > 0)?;
    let text = format!(
        "{} of {} are kept because flakes lock them (keepFlakeInputs).",
        count(weight.paths, "dead path"),
        weight.nar_bytes
    );
    Some(Note::new(NoteCode::DeadFlakeInputs, text))
}

/// What an interrupted collection leaves, for instance. No count of dead paths has them. A selective collection keeps the names that
/// are not those of store paths.
fn without_entry<'a>(names: impl Iterator<Item = &'a str>, method: CollectMethod) -> Option<Note> {
    let is_deleted = |name: &&str| {
        method != CollectMethod::Selective || StorePathRef::from_base_name(name).is_ok()
    };
    let deleted = names.filter(is_deleted).count();
    let text = format!(
        "The collection also deletes {} in the store directory but not in the database.",
        count(deleted, "name")
    );
    (deleted > 0).then(|| Note::new(NoteCode::DeadUnregistered, text))
}

fn built_with(weight: Weight) -> Option<Note> {
    let text = format!(
        "{} of {} are kept because live paths were built with them (keepBuildDependencies).",
        count(weight.paths, "dead path"),
        weight.nar_bytes
    );
    (weight.paths > 0).then(|| Note::new(NoteCode::DeadBuildDependencies, text))
}

fn spared(weight: Weight) -> Note {
    let paths = count(weight.paths, "dead path");
    let text = format!(
        "{paths} of {} are kept because they are recent, or a recent path needs them.",
        weight.nar_bytes
    );
    Note::new(NoteCode::DeadRecent, text)
}
