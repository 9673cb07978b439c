//! Planning: observe, build, fit to the budget, predict, run the safety checks.

pub(super) mod boot_menu;
mod budget;
mod marked;
mod predict;

pub use self::budget::{BudgetContext, Recent};
pub use self::marked::{DeadPaths, Exploration};
use super::checks;
use crate::domain::analysis::StoreAnalysis;
use crate::domain::budget::{Budget, Contradiction, DiskGoal, DiskUsage, Quantity, SizeMetric};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::graph::{NodeIdx, NodeSet, StoreGraph};
use crate::domain::leftover::LeftoverQuery;
use crate::domain::plan::{Plan, Prediction};
use crate::domain::receipt::Receipt;
use crate::domain::snapshot::Snapshot;
use crate::operations::optimise;
use crate::ports::{
    DiskError, JournalError, NixActions, Observation, PerformError, ReadStore, RunJournal,
    StoreReadError, StoreReadTrouble, Survey, SurveyError,
};

/// The most paths that are measured where that was not asked for.
const MAX_UNASKED: usize = 2000;

/// Whether to measure what is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    /// However long it takes.
    Always,
    /// Where it does not take long.
    IfCheap,
    /// Not at all.
    Never,
}

impl Exact {
    /// As `--exact` says.
    pub fn from_flag(exact: bool) -> Self {
        if exact { Self::Always } else { Self::IfCheap }
    }

    /// Whether so many paths are measured.
    pub fn measures(self, paths: usize) -> bool {
        match self {
            Self::Always => true,
            Self::IfCheap => paths <= MAX_UNASKED,
            Self::Never => false,
        }
    }
}

/// What planning needs of the world. Nothing in it changes anything.
pub struct Planner<'a, R> {
    /// Reads profiles and roots.
    pub survey: &'a dyn Survey,
    /// Reads the store, and measures it.
    pub store: &'a dyn ReadStore,
    /// Nix, where it can be asked.
    pub nix: Option<&'a dyn NixActions>,
    /// The records of earlier runs.
    pub remember: &'a R,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no snapshot.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// The store cannot be read, so that no plan can be made.
    #[error(transparent)]
    Store(#[from] StoreReadError),
    /// The store cannot be read, and a budget needs to know what is in it.
    #[error("cannot determine what the budget needs to remove")]
    BudgetUnknown(#[source] StoreReadError),
    /// The file system does not say how full it is, or what paths take.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The records of earlier runs cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nix works on another store.
    #[error(transparent)]
    Nix(#[from] PerformError),
}

impl<R: RunJournal> Planner<'_, R> {
    /// Plans a job: observes, decides, predicts what the plan frees, and checks it against earlier runs and limits.
    ///
    /// # Errors
    /// When nothing can be said at all, or what a budget must remove is unknown: then nothing is chosen by guess.
    pub fn plan(&self, job: &EffectiveJob, exact: Exact) -> Result<Plan, PlanError> {
        // Records that cannot be read fail a safety check of the snapshot.
        let records = self.remember.receipts().ok();
        let mut plan = self.build(job, exact, records.as_deref())?;
        plan.disk = self.store.fullness().ok();
        let records = records.unwrap_or_default();
        optimise::fit(&mut plan, self.survey, &records);
        checks::add(self.remember, &records, job, &mut plan);
        Ok(plan)
    }

    /// The same for a plan that was made before: predicts anew what it frees, and checks it.
    ///
    /// # Errors
    /// When nothing can be said at all.
    pub fn renew(
        &self,
        mut plan: Plan,
        job: &EffectiveJob,
        exact: Exact,
    ) -> Result<Plan, PlanError> {
        plan.prediction = Prediction::default();
        plan.disk = self.store.fullness().ok();
        if plan.collection().is_some() {
            let observation = self.observe(job)?;
            self.predict(
                &mut plan,
                &observation.snapshot,
                observation.store.as_ref(),
                exact,
            )?;
        }
        let records = self.remember.receipts().unwrap_or_default();
        checks::add(self.remember, &records, job, &mut plan);
        Ok(plan)
    }
}

impl<R: RunJournal> Planner<'_, R> {
    fn build(
        &self,
        job: &EffectiveJob,
        exact: Exact,
        records: Option<&[Receipt]>,
    ) -> Result<Plan, PlanError> {
        if let Some(goal) = job.budget {
            return self.within_budget(job, goal, exact, records);
        }
        if job.operations.collect.is_none() {
            self.check_store()?;
            let mut snapshot = self.survey.snapshot()?;
            self.add_leftovers(&mut snapshot, job);
            let job = with_usual(job, &snapshot, records);
            let mut plan = Plan::build(&snapshot, &job);
            boot_menu::fit(&mut plan, &snapshot, &job);
            return Ok(plan);
        }
        let observation = match self.observe(job)? {
            Observation {
                store: Err(error), ..
            } if matches!(
                error.kind,
                StoreReadTrouble::OtherStore | StoreReadTrouble::NoAnswer
            ) =>
            {
                return Err(error.into());
            }
            observation => observation,
        };
        self.check_store()?;
        let job = with_usual(job, &observation.snapshot, records);
        let mut plan = Plan::build(&observation.snapshot, &job);
        boot_menu::fit(&mut plan, &observation.snapshot, &job);
        self.predict(
            &mut plan,
            &observation.snapshot,
            observation.store.as_ref(),
            exact,
        )?;
        Ok(plan)
    }

    /// A plan for a store that Nix does not work on could not be carried out, and its figures would be another store's. Reading the
    /// store asks Nix meanwhile, so this comes behind it.
    fn check_store(&self) -> Result<(), PlanError> {
        match self.nix.map(NixActions::check_store) {
            Some(Err(error @ PerformError::OtherStore(_))) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn observe(&self, job: &EffectiveJob) -> Result<Observation, PlanError> {
        let Observation {
            mut snapshot,
            store,
            running,
        } = self.store.observe(self.survey)?;
        let mut store = match store {
            // Observing without the store takes as long again.
            Err(error) if error.kind == StoreReadTrouble::Interrupted => return Err(error.into()),
            store => store,
        };
        if let Ok(store) = &mut store
            && job.holds_what_vanished()
        {
            store.keep_vanished(&snapshot.vanished);
        }
        let collect = job.operations.collect.as_ref();
        if let Ok(store) = &mut store
            && collect.is_some_and(|collect| collect.keep_build_dependencies)
        {
            store.keep_build_dependencies();
        }
        self.add_leftovers(&mut snapshot, job);
        Ok(Observation {
            snapshot,
            store,
            running,
        })
    }

    /// Looks for the leftovers that the job removes. Without any nothing is searched.
    fn add_leftovers(&self, snapshot: &mut Snapshot, job: &EffectiveJob) {
        let operation = &job.operations.leftovers;
        if !operation.is_empty() {
            snapshot.leftovers = self.survey.leftovers(LeftoverQuery {
                operation,
                now: snapshot.taken_at,
                protected: &job.protect.paths,
            });
        }
    }

    /// Fits a plan to a budget. If the goal is reached, the store is not read.
    fn within_budget(
        &self,
        job: &EffectiveJob,
        goal: DiskGoal,
        exact: Exact,
        records: Option<&[Receipt]>,
    ) -> Result<Plan, PlanError> {
        let taken = self.remember.reserve_takes();
        let taken = taken.with(self.remember.record_takes());
        let mut disk_usage = DiskUsage {
            disk: Some(self.store.fullness()?.after_taking(taken)),
            store_bytes: None,
        };
        let is_reached = |budget: Budget| budget.to_free(disk_usage) == Some(Quantity(0));
        if goal.budgets().all(is_reached) {
            self.check_store()?;
            let snapshot = self.survey.snapshot()?;
            let job = with_usual(job, &snapshot, records);
            let mut plan = Plan::build_when_within_budget(&snapshot, &job, goal, disk_usage);
            boot_menu::fit(&mut plan, &snapshot, &job);
            return Ok(plan);
        }
        let Observation {
            snapshot, store, ..
        } = self.observe(job)?;
        self.check_store()?;
        let store = store.map_err(PlanError::BudgetUnknown)?;
        disk_usage.store_bytes = Some(store.graph().nar_size(&store.everything()));
        let job = with_usual(job, &snapshot, records);
        let fit = |budget| {
            let goal = DiskGoal::new(budget, goal.release_holds);
            let contradiction = self.contradiction(goal, &snapshot, records)?;
            let context = BudgetContext {
                inspection: &store,
                disk_usage,
                to_free: budget.to_free(disk_usage).unwrap_or_default(),
                recent: recent(&job, &snapshot),
                contradiction: contradiction.as_ref(),
            };
            let weigh = |dead: &_| self.weigh(goal, &store, dead, context.recent);
            let mut plan = Plan::build_for_budget(&snapshot, &job, goal, context, weigh)?;
            boot_menu::fit(&mut plan, &snapshot, &job);
            if !plan.is_empty() {
                self.predict(&mut plan, &snapshot, Ok(&store), exact)?;
            }
            Ok::<_, PlanError>(plan)
        };
        let mut plan = fit(goal.budget)?;
        if let Some(beside) = goal.beside {
            // Both goals remove a beginning of one order, so the longer one reaches the other as well.
            let other = fit(beside)?;
            if extent(&other) > extent(&plan) {
                plan = other;
            }
        }
        Ok(plan)
    }

    /// The last run whose prediction the file system contradicted, where the goal is the file system's.
    fn contradiction(
        &self,
        goal: DiskGoal,
        snapshot: &Snapshot,
        records: Option<&[Receipt]>,
    ) -> Result<Option<Contradiction>, PlanError> {
        if goal.budget.metric() == SizeMetric::NarSize {
            return Ok(None);
        }
        let store = &snapshot.store;
        Ok(match records {
            Some(records) => Contradiction::last_of(records, store),
            // Without the records it is not known, and the error is why.
            None => Contradiction::last_of(&self.remember.receipts()?, store),
        })
    }

    /// How much space dead paths take, in the metric of the goal. On disk that is measured, however many there are: an
    /// estimate that is too low would remove more generations than the goal needs.
    fn weigh(
        &self,
        goal: DiskGoal,
        store: &StoreAnalysis,
        dead: &NodeSet,
        recent: Option<Recent>,
    ) -> Result<Quantity, PlanError> {
        let metric = goal.budget.metric();
        if metric == SizeMetric::NarSize {
            return Ok(Quantity(store.graph().nar_size(dead).0));
        }
        let mut names = names(store.graph(), dead.iter());
        // The age of a name that Nix does not know is not known, so it is kept where recent paths are.
        if recent.is_none() {
            names.extend(unregistered(store));
        }
        Ok(metric.on_disk(self.store.measure(&names)?.taken()))
    }
}

/// How far a plan goes in the order of a budget.
fn extent(plan: &Plan) -> impl Ord + use<> {
    let missing = plan
        .budget
        .as_ref()
        .is_some_and(|report| !report.is_reached());
    (missing, plan.removals().count(), plan.prediction.paths)
}

/// The job with what its earlier runs removed.
fn with_usual(
    job: &EffectiveJob,
    snapshot: &Snapshot,
    records: Option<&[Receipt]>,
) -> EffectiveJob {
    let usual = checks::usual(records.unwrap_or_default(), &snapshot.store, &job.name);
    job.clone().with_usual(usual)
}

/// The base names of paths.
pub fn names(graph: &StoreGraph, nodes: impl Iterator<Item = NodeIdx>) -> Vec<&str> {
    nodes.map(|node| graph.base_name(node)).collect()
}

/// The names in the store directory that the database does not know.
fn unregistered(store: &StoreAnalysis) -> impl Iterator<Item = &str> {
    let exact = store
        .unregistered()
        .iter()
        .filter(|unregistered| unregistered.exact);
    exact.map(|unregistered| unregistered.name.as_str())
}

/// What the collection keeps because it is recent.
fn recent(job: &EffectiveJob, snapshot: &Snapshot) -> Option<Recent> {
    let collect = job.operations.collect.as_ref()?;
    let since = collect.cutoff(snapshot.taken_at)?;
    let until = snapshot.taken_at.after(collect.keep_recent?);
    Some(Recent {
        since: since.to_unix().0,
        until,
    })
}
