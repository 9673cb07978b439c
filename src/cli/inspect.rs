//! What the commands that look into the store share.

use std::sync::Arc;

use camino::Utf8Path;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::adapters::disk::{AtMost, DiskUse};
use crate::adapters::store::{Care, StoreReader};
use crate::domain::analysis::{StoreAnalysis, UnregisteredPath};
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::budget::SizeMetric;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::graph::{NodeIdx, NodeSet, StoreGraph, Weight};
use crate::domain::measure::Bytes;
use crate::domain::plan::{Later, Plan, Prediction};
use crate::domain::snapshot::Snapshot;
use crate::ports::{
    NixActions, Observation, PerformError, ReadStore, StoreReadTrouble, error_chain,
};

/// As many paths are measured without being asked to.
const FEW: usize = 2000;

/// Whether to measure what is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact {
    /// However long it takes.
    Always,
    /// Where it does not take long.
    IfCheap,
}

impl Exact {
    /// As `--exact` says.
    pub(super) fn from_flag(exact: bool) -> Self {
        if exact { Self::Always } else { Self::IfCheap }
    }
}

/// What was measured, with what there is to say of it.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// What would be freed.
    pub(super) bytes: Option<Bytes>,
    /// Whether that is only the most.
    pub(super) at_most: bool,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
}

impl Context {
    /// Looks at profiles, roots and the store, for the profiles that a job names besides those found.
    ///
    /// # Errors
    /// When nothing can be said at all.
    pub(super) fn look(&self, job: Option<&EffectiveJob>) -> Result<Observation, Failure> {
        // What is let pass must be what is found again under the lock.
        let passes = |job: &EffectiveJob| job.accept.contains(&CheckCode::StoreDamaged);
        let care = if job.is_some_and(passes) {
            Care::Thorough
        } else {
            Care::Quick
        };
        self.look_with(care, job.as_slice())
    }

    /// The same for several jobs, looking at the database so closely.
    ///
    /// # Errors
    /// As [`Context::look`].
    pub(super) fn look_with(
        &self,
        care: Care,
        jobs: &[&EffectiveJob],
    ) -> Result<Observation, Failure> {
        let nix = self.nix().ok();
        let progress = self.progress(|| Some("Looking into the store".to_string()));
        let reader = StoreReader {
            care,
            ..self.reader(nix.as_ref())
        };
        let look = reader.look(&self.observer_of(jobs))?;
        drop(progress);
        match look.store {
            // Not a look without the store, which takes as long again.
            Err(error) if error.kind == StoreReadTrouble::Interrupted => Err(error.into()),
            Err(error) => Ok(Observation {
                store: Err(error),
                ..look
            }),
            Ok(mut store) => {
                if jobs.iter().any(|job| job.holds_what_vanished()) {
                    store.keep_vanished(&look.snapshot.vanished);
                }
                Ok(Observation {
                    store: Ok(store),
                    ..look
                })
            }
        }
    }

    /// The same where it is no answer without the store.
    ///
    /// # Errors
    /// When the store cannot be looked into.
    pub(super) fn read_store(&self) -> Result<(Snapshot, StoreAnalysis), Failure> {
        let look = self.look(None)?;
        Ok((look.snapshot, look.store?))
    }

    /// The same where it is no answer without all roots.
    ///
    /// # Errors
    /// When the store cannot be looked into, or something hides roots.
    pub(super) fn look_at_dead(&self) -> Result<(Snapshot, StoreAnalysis), Failure> {
        let (snapshot, inspection) = self.read_store()?;
        if let Some(refusal) = snapshot.hidden_roots().next() {
            return Err(roots_are_hidden(refusal));
        }
        Ok((snapshot, inspection))
    }

    /// Checks that Nix works on the local store, where Nix can be asked.
    ///
    /// # Errors
    /// When it works on another store.
    pub(super) fn check_store(&self) -> Result<(), Failure> {
        match self.nix().map(|nix| nix.check_store()) {
            Ok(Err(error @ PerformError::OtherStore(_))) => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn reader<'a>(
        &'a self,
        nix: Option<&'a crate::adapters::nix_cli::NixCli>,
    ) -> StoreReader<'a> {
        StoreReader {
            places: &self.places,
            proc: Utf8Path::new("/proc"),
            nix,
            care: Care::Quick,
            interrupt: &self.signals,
        }
    }

    /// Measures what deleting store paths would free on disk, where that is asked for or cheap.
    ///
    /// # Errors
    /// When somebody asked to stop, or the store directory cannot be opened.
    pub(super) fn measure(&self, names: &[&str], exact: Exact) -> Result<Measured, Failure> {
        if exact == Exact::IfCheap && names.len() > FEW {
            return Ok(Measured::default());
        }
        let progress = self.measuring();
        let used = self.reader(None).measure(names, &self.tally)?;
        drop(progress);
        Ok(Measured {
            notes: notes_on(&used),
            bytes: Some(used.bytes),
            at_most: !used.at_most.is_empty(),
        })
    }

    /// Measures what deleting each of several groups of store paths would free while the others stay.
    ///
    /// # Errors
    /// As [`Context::measure`].
    pub(super) fn measure_groups(&self, groups: &[Vec<&str>]) -> Result<Vec<Bytes>, Failure> {
        let progress = self.measuring();
        let used = self.reader(None).measure_groups(groups, &self.tally)?;
        drop(progress);
        Ok(used.into_iter().map(|used| used.bytes).collect())
    }

    fn measuring(&self) -> super::progress::Progress {
        let shown = Arc::clone(&self.tally);
        self.progress(move || Some(format!("Measuring: {} files", shown.measured())))
    }
}

impl Context {
    /// Measures what deleting each of these paths would free on disk after those before it.
    ///
    /// # Errors
    /// As [`Context::measure`].
    fn measure_each(&self, names: &[&str]) -> Result<Vec<Bytes>, Failure> {
        let shown = Arc::clone(&self.tally);
        let _progress =
            self.progress(move || Some(format!("Measuring: {} files", shown.measured())));
        Ok(self.reader(None).measure_each(names, &self.tally)?)
    }
}

/// Something is not known to be dead while there may be roots that were not seen.
pub(super) fn roots_are_hidden(refusal: &Blocker) -> Failure {
    let message = format!("it is not known what is dead: {}", refusal.message);
    Failure::new(Exit::Unavailable, message).hint(refusal.hint.clone())
}

fn notes_on(used: &DiskUse) -> Vec<String> {
    let mut notes = Vec::new();
    if used.unreadable > 0 {
        let files = crate::render::text::count(used.unreadable, "file");
        notes.push(format!(
            "{files} or directories could not be looked at, so more may be freed on disk: {}",
            used.examples.join(", ")
        ));
    }
    if used.elsewhere > Bytes(0) {
        notes.push(format!(
            "another {} on disk stays, because snapshots or copies share it",
            used.elsewhere
        ));
    }
    if !used.at_most.is_empty() {
        let why: Vec<_> = used.at_most.iter().map(|&why| because(why)).collect();
        notes.push(format!(
            "the bytes on disk are the most that is freed: {}",
            why.join("; ")
        ));
    }
    notes
}

fn because(why: AtMost) -> String {
    match why {
        AtMost::Compressed => "some files are compressed".to_string(),
        AtMost::Shared => "some files share blocks, perhaps with others that stay".to_string(),
        AtMost::Layers => "a lower layer of the overlay keeps its files".to_string(),
        AtMost::Unknown(system) => {
            format!("on {system} blocks may be compressed or belong to snapshots")
        }
    }
}

/// The base names of paths.
pub(super) fn names(graph: &StoreGraph, nodes: impl Iterator<Item = NodeIdx>) -> Vec<&str> {
    nodes.map(|node| graph.base_name(node)).collect()
}

/// Draws the plan of a job, and predicts what it frees where it collects.
pub(super) fn build(context: &Context, job: &EffectiveJob, exact: Exact) -> Result<Plan, Failure> {
    let mut plan = drawn(context, &super::brake::with_usual(context, job), exact)?;
    super::brake::check(context, job, &mut plan);
    Ok(plan)
}

fn drawn(context: &Context, job: &EffectiveJob, exact: Exact) -> Result<Plan, Failure> {
    // A plan for a store that Nix does not work on could not be carried out, and its figures would be another store's.
    context.check_store()?;
    if let Some(goal) = job.budget {
        return super::budget::build(context, job, goal, exact);
    }
    if job.operations.collect.is_none() {
        return Ok(Plan::build(&context.snapshot(Some(job))?, job));
    }
    let look = context.look(Some(job))?;
    let look = match look.store {
        Err(error)
            if matches!(
                error.kind,
                StoreReadTrouble::OtherStore | StoreReadTrouble::NoAnswer
            ) =>
        {
            return Err(error.into());
        }
        store => Observation { store, ..look },
    };
    let mut plan = Plan::build(&look.snapshot, job);
    predict(context, &mut plan, &look, exact)?;
    Ok(plan)
}

/// Whether the collection spares what is recent: then when a name that Nix does not know came cannot be told, and it stays.
fn spares_recent(plan: &Plan) -> bool {
    let mut collections = plan
        .actions
        .iter()
        .filter_map(|planned| planned.action.collection());
    collections.any(|facts| facts.registered_before.is_some())
}

fn spared(weight: Weight) -> String {
    let paths = crate::render::text::count(weight.paths, "dead path");
    format!(
        "{paths} of {} stay, for they are recent or something recent needs them.",
        weight.nar_bytes
    )
}

/// Predicts what a plan frees; what cannot be known stays unknown, with a note.
pub(super) fn predict(
    context: &Context,
    plan: &mut Plan,
    look: &Observation,
    exact: Exact,
) -> Result<(), Failure> {
    let collects =
        |planned: &crate::domain::plan::PlannedAction| planned.action.collection().is_some();
    if !plan.actions.iter().any(collects) {
        return Ok(());
    }
    let inspection = match &look.store {
        Ok(inspection) => inspection,
        Err(error) => {
            let note = format!("what this frees is not known: {}", error_chain(error));
            plan.notes.push(note);
            return Ok(());
        }
    };
    if let Some(refusal) = look.snapshot.hidden_roots().next() {
        let note = format!("what this frees is not known: {}", refusal.message);
        plan.notes.push(note);
        return Ok(());
    }
    let mut forecast = inspection.forecast(&plan.actions);
    let part = part(context, plan, inspection, &forecast.dead)?;
    let is_part = part.is_some();
    if let Some(part) = part {
        forecast.now = inspection.graph().weight(&part);
        forecast.dead = part;
    }
    let mut names = names(inspection.graph(), forecast.dead.iter());
    if spares_recent(plan) {
        plan.notes.push(spared(forecast.spared));
    } else if !is_part {
        let strays = inspection.unregistered().iter().filter(|stray| stray.exact);
        names.extend(strays.map(|stray: &UnregisteredPath| stray.name.as_str()));
    }
    let measured = context.measure(&names, exact)?;
    plan.prediction = Prediction {
        nar_bytes: Some(forecast.now.nar_bytes),
        disk_bytes: measured.bytes,
        disk_bytes_at_most: measured.at_most,
        paths: Some(forecast.now.paths),
        when_windows_end: Some(Later {
            nar_bytes: forecast.later.nar_bytes,
            paths: forecast.later.paths,
        }),
    };
    if let Some(report) = &mut plan.budget {
        let frees = match report.figure {
            SizeMetric::OnDisk => measured.bytes,
            SizeMetric::NarSize => Some(forecast.now.nar_bytes),
        };
        report.frees = frees.unwrap_or(report.frees);
    }
    plan.notes.extend(inspection.notes());
    plan.notes.extend(measured.notes);
    Ok(())
}

/// The dead paths that a budget needs, as the run chooses them; `None` where it needs all of them.
fn part(
    context: &Context,
    plan: &Plan,
    inspection: &StoreAnalysis,
    dead: &NodeSet,
) -> Result<Option<NodeSet>, Failure> {
    let budget = plan.budget.as_ref();
    let needed = budget.and_then(|report| Some((report.collects_most?, report.figure)));
    let Some((goal, figure)) = needed else {
        return Ok(None);
    };
    let (graph, flags) = (inspection.graph(), inspection.flags());
    let oldest = graph.oldest_dead_by(dead, flags, goal, |nodes| match figure {
        SizeMetric::OnDisk => context.measure_each(&names(graph, nodes.iter().copied())),
        SizeMetric::NarSize => Ok(nodes.iter().map(|node| graph.nar_size_of(*node)).collect()),
    })?;
    // Where valid paths are not enough, names that the database does not know go as well.
    Ok((oldest.weight >= goal).then(|| graph.set_of(oldest.nodes)))
}
