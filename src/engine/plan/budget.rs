//! Plans within a budget: only as much as the goal needs, and never anything that a rule keeps.

mod choice;
mod report;

use crate::domain::analysis::StoreAnalysis;
use crate::domain::budget::{BudgetReport, Contradiction, DiskGoal, DiskUsage, Quantity};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::graph::NodeSet;
use crate::domain::measure::Timestamp;
use crate::domain::plan::{Decision, Plan, Subject};
use crate::domain::retention::Reason;
use crate::domain::snapshot::Snapshot;
use crate::operations::boot_menu;
use choice::RemovalSet;

/// What a budget is planned against.
#[derive(Debug, Clone, Copy)]
pub struct BudgetContext<'a> {
    /// The store.
    pub inspection: &'a StoreAnalysis,
    /// How full it is.
    pub disk_usage: DiskUsage,
    /// How much must go until the goal is reached.
    pub to_free: Quantity,
    /// What the collection keeps because it is recent.
    pub recent: Option<Recent>,
    /// The last run whose prediction the file system contradicted: nothing is then removed without a hold.
    pub contradiction: Option<&'a Contradiction>,
}

/// Paths that are too young to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent {
    /// They were registered then or later, in seconds since 1970.
    pub since: i64,
    /// When the last of them is old enough.
    pub until: Timestamp,
}

impl Plan {
    /// Makes the plan of a job whose goal is reached: nothing is done.
    pub fn build_when_within_budget(
        snapshot: &Snapshot,
        job: &EffectiveJob,
        goal: DiskGoal,
        disk_usage: DiskUsage,
    ) -> Self {
        let mut plan = Self::build(snapshot, job);
        for item in &mut plan.items {
            if item.removal().is_some() {
                item.keep(Reason::NotNeeded);
            }
        }
        plan.vanished.clear();
        plan.steps.clear();
        plan.skips_collection = false;
        plan.budget = Some(BudgetReport::reached(goal, disk_usage));
        plan
    }

    /// Makes the plan of a job with a budget. `weigh` gives the space that a set of dead paths takes; a larger set must not weigh
    /// less.
    ///
    /// Removed is a beginning of: dead paths, expired holds, leftovers, with `ifNeeded` open holds, generations that no rule keeps, each from
    /// the oldest; without what frees nothing because something else keeps it, and without what is riskier than the job allows.
    ///
    /// # Errors
    /// When something cannot be weighed.
    pub fn build_for_budget<E>(
        snapshot: &Snapshot,
        job: &EffectiveJob,
        goal: DiskGoal,
        context: BudgetContext<'_>,
        weigh: impl FnMut(&NodeSet) -> Result<Quantity, E>,
    ) -> Result<Self, E> {
        if context.to_free == Quantity(0) {
            return Ok(Self::build_when_within_budget(
                snapshot,
                job,
                goal,
                context.disk_usage,
            ));
        }
        let mut plan = Self::build(snapshot, job);
        let mut choice = choice::choose(&plan, snapshot, job, goal, context, weigh)?;
        plan.budget = choice.report.take();
        plan.restrict_to(choice);
        boot_menu::omit_needless(&mut plan, snapshot);
        Ok(plan)
    }

    /// Leaves only what was chosen of holds and generations, and adds open holds that were chosen.
    fn restrict_to(&mut self, mut choice: RemovalSet) {
        for item in &mut self.items {
            match &item.subject {
                Subject::Root { .. } => continue,
                Subject::Leftovers { class, dir, .. } => {
                    let is_chosen = choice.leftovers.contains(&(*class, dir.clone()));
                    if item.removal().is_some() && !is_chosen {
                        item.keep(Reason::NotNeeded);
                    }
                    continue;
                }
                Subject::Generation { .. } | Subject::RootLink { .. } | Subject::Hold { .. } => {}
            }
            if let Some(removal) = choice.removals.remove(&item.subject.link()) {
                item.decision = Decision::Remove(removal);
            } else if item.removal().is_some() {
                item.keep(Reason::NotNeeded);
            }
        }
    }
}
