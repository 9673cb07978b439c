//! Plans of what a person marks: everything that may be removed, restricted to a part of it.

use camino::Utf8PathBuf;

use super::{Exact, PlanError, Planner, boot_menu, recent, with_usual};
use crate::domain::analysis::{Fate, StoreAnalysis, WhatIf};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::plan::{Item, Plan};
use crate::domain::retention::Reason;
use crate::domain::snapshot::Snapshot;
use crate::operations::{Frees, boot_menu as refresh};
use crate::ports::RunJournal;

/// What can be removed by a job, with the store that it was decided on.
#[derive(Debug)]
pub struct Exploration {
    /// Profiles and roots.
    pub snapshot: Snapshot,
    /// The store.
    pub store: StoreAnalysis,
    /// Everything that the job removes, with what that frees.
    pub plan: Plan,
}

/// What becomes of the paths that are dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadPaths {
    /// Nothing is collected.
    Keep,
    /// A collection deletes them, with those that the removals make dead.
    Delete,
}

impl<R: RunJournal> Planner<'_, R> {
    /// Plans a job without a budget, and keeps what the plan was decided on. Limits of one run are not checked: they are
    /// about the part that is carried out.
    ///
    /// # Errors
    /// When nothing can be said at all, or the store cannot be read.
    pub fn explore(&self, job: &EffectiveJob) -> Result<Exploration, PlanError> {
        let observation = self.observe(job)?;
        self.check_store()?;
        let (snapshot, store) = (observation.snapshot, observation.store?);
        let records = self.remember.receipts().ok();
        let job = with_usual(job, &snapshot, records.as_deref());
        let mut plan = Plan::build(&snapshot, &job);
        boot_menu::fit(&mut plan, &snapshot, &job);
        self.predict(&mut plan, &snapshot, Ok(&store), Exact::Never)?;
        plan.disk = self.store.fullness().ok();
        Ok(Exploration {
            snapshot,
            store,
            plan,
        })
    }
}

impl Exploration {
    /// The plan of another job on the same store, without a prediction.
    pub fn replan(&self, job: &EffectiveJob) -> Plan {
        let mut plan = Plan::build(&self.snapshot, job);
        plan.disk = self.plan.disk;
        plan
    }

    /// The question what removing a part of the plan's items frees. Each item has its place in it.
    pub fn what_if(&self, job: &EffectiveJob) -> WhatIf {
        let links: Vec<_> = self.plan.items.iter().map(removed_link).collect();
        let links = links.iter().map(Option::as_deref);
        let recent = recent(job, &self.snapshot).map(|recent| recent.since);
        WhatIf::new(&self.store, links, recent)
    }
}

/// The link of an item that is removed and keeps store paths alive.
fn removed_link(item: &Item) -> Option<Utf8PathBuf> {
    match item.removal()?.action.operation().frees() {
        Frees::Now(link) | Frees::WhenWindowEnds(link) => Some(link),
        Frees::OnDisk(_) | Frees::Nothing => None,
    }
}

fn fate(item: &Item) -> Fate {
    let frees = item
        .removal()
        .map(|removal| removal.action.operation().frees());
    match frees {
        Some(Frees::Now(_)) => Fate::RemovedNow,
        Some(Frees::WhenWindowEnds(_)) => Fate::Held,
        Some(Frees::OnDisk(_) | Frees::Nothing) | None => Fate::Kept,
    }
}

impl Plan {
    /// What becomes of the links of its items if these are removed as it says.
    pub fn fates(&self) -> Vec<Fate> {
        self.items.iter().map(fate).collect()
    }

    /// Leaves only the removals of items that are marked, by their place in the plan. Its prediction is none of the rest.
    pub fn restrict_to_marked(
        &mut self,
        snapshot: &Snapshot,
        dead_paths: DeadPaths,
        is_marked: impl Fn(usize) -> bool,
    ) {
        for (index, item) in self.items.iter_mut().enumerate() {
            if item.removal().is_some() && !is_marked(index) {
                item.keep(Reason::NotMarked);
            }
        }
        if dead_paths == DeadPaths::Keep {
            self.steps.retain(|step| step.action.collection().is_none());
            // Only a collection would delete what they kept.
            self.vanished.clear();
            self.skips_collection = false;
        }
        // The rules of the job have decided nothing of what is left.
        self.keep = None;
        refresh::omit_needless(self, snapshot);
    }
}
