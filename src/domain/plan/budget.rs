//! Plans within a budget: only as much as the goal needs, and never anything that a rule keeps.

mod choice;
mod report;

use std::collections::{HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Action, Decision, DropRule, EarlyFacts, HoldFacts, Item, KeepCause, Plan, PlannedAction,
    Subject,
};
use crate::domain::analysis::StoreAnalysis;
use crate::domain::blocker::CheckCode;
use crate::domain::budget::{BudgetReport, Contradiction, DiskGoal, DiskUsage};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::graph::NodeSet;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::profile::ProfilePath;
use crate::domain::retention::{Reason, Reasons};
use crate::domain::snapshot::{Held, Snapshot};
use choice::RemovalSet;

/// What a budget is planned against.
#[derive(Debug, Clone, Copy)]
pub struct BudgetContext<'a> {
    /// The store.
    pub inspection: &'a StoreAnalysis,
    /// How full it is.
    pub standing: DiskUsage,
    /// How much must go until the goal is reached.
    pub to_free: Bytes,
    /// What the collection spares for its youth.
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
    /// Draws the plan of a job whose goal is reached: nothing is done.
    pub fn build_when_within_budget(
        snapshot: &Snapshot,
        job: &EffectiveJob,
        standing: DiskUsage,
    ) -> Self {
        let mut plan = Self::build(snapshot, job);
        plan.restrict_to(&RemovalSet::default());
        plan.actions.clear();
        plan.collection_refused = false;
        plan.budget = job.budget.map(|goal| BudgetReport::reached(goal, standing));
        plan
    }

    /// Draws the plan of a job with a budget. `weigh` tells how much room a set of dead paths takes; a larger set must
    /// not weigh less.
    ///
    /// What goes is a beginning of: dead paths, expired holds, with `ifNeeded` open holds, generations that the rules
    /// let go, each from the oldest; without what frees nothing because something else keeps it, and without what is
    /// riskier than the job may be.
    ///
    /// # Errors
    /// When something cannot be weighed.
    pub fn build_for_budget<E>(
        snapshot: &Snapshot,
        job: &EffectiveJob,
        room: BudgetContext<'_>,
        weigh: impl FnMut(&NodeSet) -> Result<Bytes, E>,
    ) -> Result<Self, E> {
        if room.to_free == Bytes(0) {
            return Ok(Self::build_when_within_budget(snapshot, job, room.standing));
        }
        let mut plan = Self::build(snapshot, job);
        let Some(goal) = job.budget else {
            return Ok(plan);
        };
        let choice = choice::choose(&plan, snapshot, job, goal, room, weigh)?;
        plan.restrict_to(&choice);
        plan.budget = choice.report;
        Ok(plan)
    }

    /// Leaves only what was chosen; what was let go and is not needed stays.
    fn restrict_to(&mut self, choice: &RemovalSet) {
        let mut early: Vec<PlannedAction> = choice.early.clone();
        let mut actions = Vec::new();
        for mut planned in std::mem::take(&mut self.actions) {
            match &mut planned.action {
                Action::DropGeneration(facts) => {
                    match choice.dropped.get(&facts.profile.link(facts.number)) {
                        Some(chosen) => planned = chosen.clone(),
                        None => continue,
                    }
                }
                Action::ReleaseHold(facts) if !choice.released.contains(&facts.link) => continue,
                Action::HoldRoot(_) | Action::RemoveRoot(_) | Action::ReleaseHold(_) => {}
                // What is released early comes before the collection that frees it.
                _ => actions.append(&mut early),
            }
            actions.push(planned);
        }
        self.actions = actions;
        for item in &mut self.items {
            apply_choice(item, choice);
        }
    }
}

/// Says of an item what became of it.
fn apply_choice(item: &mut Item, choice: &RemovalSet) {
    let dropped = matches!(item.fate, Decision::Drop { .. });
    match &item.subject {
        Subject::Generation {
            profile, number, ..
        } if dropped => {
            item.fate = match choice.dropped.get(&profile.link(*number)) {
                Some(chosen) => Decision::Drop {
                    rule: DropRule::NoRuleKeepsIt,
                    risk: chosen.risk,
                },
                None => Decision::KeepGeneration(Reasons::one(Reason::NotNeeded)),
            };
        }
        Subject::Hold { link, .. } if dropped && !choice.released.contains(link) => {
            item.fate = Decision::Keep(KeepCause::NotNeeded);
        }
        Subject::Hold { link, .. } => {
            let is_it = |planned: &&PlannedAction| matches!(&planned.action, Action::ReleaseEarly(facts) if facts.hold.link == *link);
            if let Some(chosen) = choice.early.iter().find(is_it) {
                item.fate = Decision::Drop {
                    rule: DropRule::NeededNow,
                    risk: chosen.risk,
                };
            }
        }
        Subject::Root { .. } if dropped && choice.report.is_none() => {
            item.fate = Decision::Keep(KeepCause::NotNeeded);
        }
        _ => {}
    }
}

/// Whether a hold keeps a system, so that its end narrows the way back of the machine. A profile that is not there any
/// more may have been one, and so may every root that lay where the machine's profiles are.
pub(super) fn holds_a_system(held: &Held, snapshot: &Snapshot) -> bool {
    match held {
        Held::Generation { profile, .. } => {
            let mut found = snapshot.profiles.iter().filter(|p| p.path == *profile);
            found.next().is_none_or(|p| p.kind.is_system())
        }
        Held::Root { root } => root.parent() == Some(&snapshot.state_dir.join("profiles")),
    }
}

/// Whether a generation of the profile may be pinned without our knowing.
fn pins_are_unknown(profile: &ProfilePath, snapshot: &Snapshot) -> bool {
    let mut refusals = snapshot.refusals.iter();
    let mut profiles = snapshot.profiles.iter();
    refusals.any(|refusal| refusal.code == CheckCode::PinsUnreadable)
        && profiles
            .find(|found| found.path == *profile)
            .is_none_or(|found| found.blocked.is_some())
}

/// Whether somebody said that what a hold keeps must stay.
pub(super) fn is_spared(hold: &HoldFacts, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> bool {
    let protected = |link| job.is_some_and(|job| job.protect.roots.matches(link));
    let spared = match &hold.held {
        Held::Generation { profile, number } => {
            let pinned = snapshot.pins.iter().any(|pin| {
                pin.profile == *profile
                    && pin.number == *number
                    && pin.until.is_none_or(|until| until > snapshot.taken_at)
            });
            let named = job.is_some_and(|job| {
                let mut generations = job.protect.generations.iter();
                generations.any(|p| p.number == *number && p.profile.names(profile))
            });
            pinned || named || pins_are_unknown(profile, snapshot)
        }
        Held::Root { root } => protected(root),
    };
    spared || protected(&hold.link)
}
