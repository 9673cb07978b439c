//! Observation and prediction, shared by the commands that read the store.

use std::sync::Arc;

use camino::Utf8Path;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::progress::Progress;
use crate::adapters::journal::Journal;
use crate::adapters::nix_cli::NixCli;
use crate::adapters::store::{Care, StoreReader};
use crate::domain::analysis::StoreAnalysis;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::budget::Disk;
use crate::domain::disk_use::{DiskUse, Taken};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::Bytes;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::Plan;
use crate::domain::snapshot::Snapshot;
use crate::engine::{Exact, Exploration, PlanError, Planner};
use crate::ports::{
    DiskError, NixActions, Observation, ReadStore, StoreReadError, StoreReadTrouble, Survey,
    SurveyError, error_chain,
};

/// Plans a job.
pub(super) fn plan(context: &Context, job: &EffectiveJob, exact: Exact) -> Result<Plan, Failure> {
    with_planner(context, job, |planner| planner.plan(job, exact))
}

/// Predicts anew what a saved plan frees, and checks it.
pub(super) fn renew(
    context: &Context,
    job: &EffectiveJob,
    plan: Plan,
    exact: Exact,
) -> Result<Plan, Failure> {
    with_planner(context, job, |planner| planner.renew(plan, job, exact))
}

/// Plans a job, and keeps what the plan was decided on.
pub(super) fn explore(context: &Context, job: &EffectiveJob) -> Result<Exploration, Failure> {
    let exploration = with_planner(context, job, |planner| planner.explore(job))?;
    if let Some(blocker) = exploration.snapshot.hidden_roots().next() {
        return Err(roots_are_hidden(blocker));
    }
    Ok(exploration)
}

fn with_planner<T>(
    context: &Context,
    job: &EffectiveJob,
    plan: impl FnOnce(Planner<'_, Journal>) -> Result<T, PlanError>,
) -> Result<T, Failure> {
    let nix = context.nix().ok();
    // What is let pass must be what is found again under the lock.
    let care = if job.accept.contains(&CheckCode::StoreDamaged) {
        Care::Thorough
    } else {
        Care::Quick
    };
    Ok(plan(Planner {
        survey: &context.observer(Some(job)),
        store: &Shown {
            reader: context.reader(nix).with_care(care),
            context,
        },
        nix: nix.map(|nix| nix as &dyn NixActions),
        remember: &context.journal,
    })?)
}

/// Reads the store, and shows progress.
struct Shown<'a> {
    reader: StoreReader<'a>,
    context: &'a Context,
}

impl ReadStore for Shown<'_> {
    fn observe(&self, survey: &dyn Survey) -> Result<Observation, SurveyError> {
        let text = || Some("Reading the store".to_string());
        let _progress = self.context.progress(text);
        self.reader.observe(survey)
    }

    fn fullness(&self) -> Result<Disk, DiskError> {
        self.reader.fullness()
    }

    fn measure(&self, names: &[&str]) -> Result<DiskUse, DiskError> {
        let _progress = self.context.measuring();
        self.reader.measure(names)
    }

    fn measure_each(&self, names: &[&str]) -> Result<Vec<Taken>, DiskError> {
        let _progress = self.context.measuring();
        self.reader.measure_each(names)
    }
}

impl Context {
    /// Observes profiles, roots and the store.
    ///
    /// # Errors
    /// When nothing can be said at all.
    pub(super) fn observe(&self) -> Result<Observation, Failure> {
        self.observe_with(Care::Quick, &[])
    }

    /// The same with what the enabled jobs of the settings look for and keep.
    ///
    /// # Errors
    /// As [`Context::observe`].
    pub(super) fn observe_for_jobs(&self) -> Result<Observation, Failure> {
        let jobs = self.enabled_jobs();
        self.observe_with(Care::Quick, &jobs.iter().collect::<Vec<_>>())
    }

    /// The same for the profiles that jobs name besides those found, checking the database with this care.
    ///
    /// # Errors
    /// As [`Context::observation`].
    pub(super) fn observe_with(
        &self,
        care: Care,
        jobs: &[&EffectiveJob],
    ) -> Result<Observation, Failure> {
        self.observe_by(care, &self.observer_of(jobs))
    }

    /// The same with a survey of one's own.
    ///
    /// # Errors
    /// As [`Context::observe`].
    pub(super) fn observe_by(
        &self,
        care: Care,
        survey: &dyn Survey,
    ) -> Result<Observation, Failure> {
        let nix = self.nix().ok();
        let store = Shown {
            reader: self.reader(nix).with_care(care),
            context: self,
        };
        let observation = store.observe(survey)?;
        match observation.store {
            // Observing without the store takes as long again.
            Err(error) if error.kind == StoreReadTrouble::Interrupted => Err(error.into()),
            store => Ok(Observation {
                store,
                ..observation
            }),
        }
    }

    /// The same where it is no answer without the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn read_store(&self) -> Result<(Snapshot, StoreAnalysis), Failure> {
        let observation = self.observe()?;
        Ok((observation.snapshot, observation.store?))
    }

    /// The same where it is no answer without all roots.
    ///
    /// # Errors
    /// When the store cannot be read, or something hides roots.
    pub(super) fn observe_all_roots(&self) -> Result<(Snapshot, StoreAnalysis), Failure> {
        let (snapshot, inspection) = self.read_store()?;
        if let Some(blocker) = snapshot.hidden_roots().next() {
            return Err(roots_are_hidden(blocker));
        }
        Ok((snapshot, inspection))
    }

    pub(super) fn reader<'a>(&'a self, nix: Option<&'a NixCli>) -> StoreReader<'a> {
        StoreReader {
            places: &self.places,
            proc: Utf8Path::new("/proc"),
            nix,
            care: Care::Quick,
            previous_runs: &self.journal,
            in_run: false,
            cache: &self.cache,
            interrupt: &self.signals,
            counter: &self.counter,
        }
    }

    /// Measures what deleting store paths would free on disk.
    ///
    /// # Errors
    /// When somebody asked to stop, or the store directory cannot be opened.
    pub(super) fn measure(&self, names: &[&str]) -> Result<DiskUse, Failure> {
        let _progress = self.measuring();
        Ok(self.reader(None).measure(names)?)
    }

    /// Measures what deleting each of several groups of store paths would free while the others stay.
    ///
    /// # Errors
    /// As [`Context::measure`].
    pub(super) fn measure_groups(&self, groups: &[Vec<&str>]) -> Result<Vec<Bytes>, Failure> {
        let _progress = self.measuring();
        let used = self.reader(None).meter().measure_groups(groups)?;
        Ok(used.into_iter().map(|used| used.bytes).collect())
    }

    fn measuring(&self) -> Progress {
        let shown = Arc::clone(&self.counter);
        self.progress(move || Some(format!("Measuring: {} files", shown.measured())))
    }
}

/// The note where a list has no sizes.
pub(super) fn sizes_unknown(error: &StoreReadError) -> Note {
    let text = format!("sizes are unknown: {}", error_chain(error));
    Note::new(NoteCode::SizesUnknown, text)
}

/// Something is not known to be dead while there may be roots that were not seen.
pub(super) fn roots_are_hidden(blocker: &Blocker) -> Failure {
    let message = format!("cannot determine which paths are dead: {}", blocker.message);
    Failure::new(Exit::Unavailable, message).hint(blocker.hint.clone())
}
