//! The choice of removals that a budget needs.

use std::collections::{HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{BudgetContext, report};
use crate::domain::analysis::{CumulativeFreed, RemovalSequence};
use crate::domain::budget::{BudgetReport, DiskGoal, LeftOut, Quantity, ReleaseHolds, SizeMetric};
use crate::domain::collect::CollectMethod;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::graph::NodeSet;
use crate::domain::job::CollectOperation;
use crate::domain::leftover::LeftoverClass;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::plan::{
    Action, GenerationFacts, LeftoverFacts, Plan, Removal, RemovalRule, RootLinkFacts,
};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::{Hold, Snapshot};
use crate::operations::holds::early_release;

/// What was chosen of what may be removed.
#[derive(Debug, Default)]
pub(super) struct RemovalSet {
    /// Holds and generations, by their links.
    pub(super) removals: HashMap<Utf8PathBuf, Removal>,
    /// Leftovers, by their class and directory.
    pub(super) leftovers: HashSet<(LeftoverClass, Utf8PathBuf)>,
    /// How much the collection deletes, in what the goal counts; `None` for all that is dead.
    pub(super) most: Option<Quantity>,
    /// The comparison with the goal; `None` where it is reached.
    pub(super) report: Option<BudgetReport>,
}

/// A link that may be removed, and how.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) link: Utf8PathBuf,
    pub(super) removal: Removal,
}

/// Everything that may be removed, from the oldest.
pub(super) struct RemovalOrder {
    /// Holds whose window has ended.
    expired: Vec<Step>,
    /// Holds whose window is open, and that may be released.
    early: Vec<Step>,
    /// Every hold whose window is open, with its end.
    open: Vec<(Utf8PathBuf, Timestamp)>,
    /// Links of roots that a rule removes, and generations that no rule keeps, as the job would remove them.
    links: Vec<Step>,
    /// How many of them are links of roots, which come first.
    roots: usize,
}

pub(super) fn choose<E>(
    plan: &Plan,
    snapshot: &Snapshot,
    job: &EffectiveJob,
    goal: DiskGoal,
    context: BudgetContext<'_>,
    mut weigh: impl FnMut(&NodeSet) -> Result<Quantity, E>,
) -> Result<RemovalSet, E> {
    let steps = RemovalOrder::of(plan, snapshot, job);
    let mut ceiling = UpperBound::of(job);
    let now = ceiling.allowed(steps.that_free_now(plan, job, goal, context));
    let recent = context.recent.map(|recent| recent.since);
    let mut choice = RemovalSet::default();
    let to_free = context.to_free;
    let (context, beside) = if plan.removed_leftovers().next().is_some() {
        let expired = ceiling.allowed(steps.expired.clone());
        let inspection = context.inspection;
        let sequence = inspection.removal_sequence(&[], &links(&expired), recent);
        let dead = sequence.fewest_to_free(to_free, &mut weigh)?.freed;
        choice.take_leftovers(plan, snapshot, (goal, context), dead)
    } else {
        (context, Quantity(0))
    };
    let sequence = context
        .inspection
        .removal_sequence(&[], &links(&now), recent);
    let reached = sequence.fewest_to_free(context.to_free, &mut weigh)?;
    let freeing = sequence.links_that_free(&reached, &mut weigh)?;
    let mut idle = idle(&sequence, &reached, &freeing, context);
    let gone = choice.take(&now, freeing.into_iter());
    // Nix's own collector takes everything.
    let whole = |c: &CollectOperation| c.method == CollectMethod::Full;
    let in_parts = !job.operations.collect.as_ref().is_some_and(whole);
    if in_parts && gone.is_empty() && reached.freed >= context.to_free {
        choice.most = (reached.freed > context.to_free).then_some(context.to_free);
    }
    let frees = match choice.most {
        Some(_) => context.to_free,
        None => reached.freed,
    };
    if frees < context.to_free {
        // Nothing more can be done about it now; what waits for its window to end counts for the day when it does.
        let held = steps.links.iter().filter(|s| !gone.contains(&s.link));
        let held = held.filter(|step| context.contradiction.is_none() || step.is_held());
        let held = ceiling.allowed(held.cloned().collect());
        let waiting = steps.waiting(snapshot, context);
        let waiting = waiting.iter().map(|(link, _)| link.as_path());
        let waiting: Vec<&Utf8Path> = gone
            .iter()
            .map(Utf8PathBuf::as_path)
            .chain(waiting)
            .collect();
        let sequence = context
            .inspection
            .removal_sequence(&waiting, &links(&held), None);
        let reached = sequence.fewest_to_free(context.to_free, &mut weigh)?;
        let freeing = sequence.links_that_free(&reached, &mut weigh)?;
        idle.extend(self::idle(&sequence, &reached, &freeing, context));
        choice.take(&held, freeing.into_iter());
    }
    let outcome = report::Outcome {
        goal,
        to_free,
        frees: Quantity(frees.0.saturating_add(beside.0)),
        too_risky: ceiling.left_out(),
        free_nothing: idle.len() as u64,
    };
    let report = report::write(outcome, &choice, &steps, snapshot, context, weigh)?;
    choice.report = Some(report);
    Ok(choice)
}

/// The links that are left out because what they keep frees nothing. Of a goal that is reached nobody asks.
fn idle(
    sequence: &RemovalSequence<'_>,
    reached: &CumulativeFreed,
    freeing: &[&Utf8Path],
    context: BudgetContext<'_>,
) -> HashSet<Utf8PathBuf> {
    let links = sequence.links().filter(|link| !freeing.contains(link));
    let links = links.filter(|_| reached.freed < context.to_free);
    links.map(Utf8Path::to_path_buf).collect()
}

/// What a job may risk. A budget plans nothing that the gate would refuse: it would refuse the rest with it, and a disk
/// that fills up would not even be rid of what is dead.
struct UpperBound {
    highest: RiskLevel,
    /// A step is tried twice: for now, and for the day when what it frees may go.
    too_risky: HashSet<(Utf8PathBuf, RiskLevel)>,
}

impl UpperBound {
    fn of(job: &EffectiveJob) -> Self {
        let highest = if job.safe_mode {
            job.max_risk.min(RiskLevel::High)
        } else {
            job.max_risk
        };
        Self {
            highest,
            too_risky: HashSet::new(),
        }
    }

    fn allowed(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let may = |step: &Step| step.removal.risk <= self.highest;
        let (good, bad): (Vec<_>, Vec<_>) = steps.into_iter().partition(may);
        let bad = bad.into_iter().map(|step| (step.link, step.removal.risk));
        self.too_risky.extend(bad);
        good
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let count = |risk: RiskLevel| {
            let steps = self
                .too_risky
                .iter()
                .filter(|(_, left)| *left == risk)
                .count();
            let steps = u64::try_from(steps).unwrap_or(u64::MAX);
            (steps > 0).then_some(LeftOut { risk, steps })
        };
        RiskLevel::ALL.into_iter().filter_map(count).collect()
    }
}

fn links(steps: &[Step]) -> Vec<&Utf8Path> {
    steps.iter().map(|step| step.link.as_path()).collect()
}

impl RemovalSet {
    /// Takes leftovers where `dead`, which dead paths and ended holds free, is not enough. Gives what is left to free in the store, and
    /// what the leftovers free.
    fn take_leftovers<'a>(
        &mut self,
        plan: &Plan,
        snapshot: &Snapshot,
        (goal, context): (DiskGoal, BudgetContext<'a>),
        dead: Quantity,
    ) -> (BudgetContext<'a>, Quantity) {
        let metric = goal.budget.metric();
        let missing = context.to_free.0.saturating_sub(dead.0);
        let is_on_store = |facts: &&LeftoverFacts| {
            let mut found = snapshot.leftovers.iter();
            found.any(|it| it.is_on_store && (it.class, &it.dir) == (facts.class, &facts.dir))
        };
        let mut sum = 0_u64;
        for facts in plan.removed_leftovers().filter(is_on_store) {
            // What is beside the store does not make it smaller.
            let frees = match metric {
                SizeMetric::NarSize => Quantity(0),
                metric => metric.on_disk(facts.old.taken()),
            };
            if sum < missing && frees > Quantity(0) {
                sum = sum.saturating_add(frees.0);
                self.leftovers.insert((facts.class, facts.dir.clone()));
            }
        }
        let to_free = if sum >= missing {
            context.to_free.min(dead)
        } else {
            Quantity(context.to_free.0 - sum)
        };
        (BudgetContext { to_free, ..context }, Quantity(sum))
    }

    /// Takes the steps of these links, and gives the links.
    fn take<'a>(
        &mut self,
        steps: &[Step],
        links: impl Iterator<Item = &'a Utf8Path>,
    ) -> HashSet<Utf8PathBuf> {
        let links: HashSet<Utf8PathBuf> = links.map(Utf8Path::to_path_buf).collect();
        for step in steps.iter().filter(|step| links.contains(&step.link)) {
            self.removals
                .insert(step.link.clone(), step.removal.clone());
        }
        links
    }
}

impl RemovalOrder {
    fn of(plan: &Plan, snapshot: &Snapshot, job: &EffectiveJob) -> Self {
        let mut expired = Vec::new();
        let mut roots: Vec<(&RootLinkFacts, Step)> = Vec::new();
        let mut generations: Vec<(&GenerationFacts, Step)> = Vec::new();
        for item in &plan.items {
            let Some(removal) = item.removal() else {
                continue;
            };
            let step = Step {
                link: item.subject.link(),
                removal: removal.clone(),
            };
            // Holds are in the order of their ends already.
            if removal.action.released_hold().is_some() {
                expired.push(step);
            } else if let Some(facts) = removal.action.removed_generation() {
                generations.push((facts, step));
            } else if let Some(facts) = removal.action.removed_root_link() {
                roots.push((facts, step));
            }
        }
        roots.sort_by_key(|(facts, _)| (facts.last_use.at, &facts.link));
        generations.sort_by_key(|(facts, _)| (facts.created, &facts.profile, facts.number));
        let mut open: Vec<&Hold> = snapshot
            .holds
            .iter()
            .filter(|h| h.until > snapshot.taken_at)
            .collect();
        open.sort_by(|a, b| (a.until, &a.link).cmp(&(b.until, &b.link)));
        let early = open.iter().filter_map(|hold| {
            let action = Action::ReleaseEarly(early_release(hold, snapshot, job)?);
            let risk = action.operation().risk();
            Some(Step {
                link: hold.link.clone(),
                removal: Removal {
                    rule: RemovalRule::NeededNow,
                    risk,
                    action,
                },
            })
        });
        Self {
            expired,
            early: early.collect(),
            open: open
                .iter()
                .map(|hold| (hold.link.clone(), hold.until))
                .collect(),
            roots: roots.len(),
            links: roots
                .into_iter()
                .map(|(_, step)| step)
                .chain(generations.into_iter().map(|(_, step)| step))
                .collect(),
        }
    }

    /// Every hold, with the time when it has ended and what it keeps may go. One that ended already and does not go now
    /// keeps what is too young.
    pub(super) fn waiting(
        &self,
        snapshot: &Snapshot,
        context: BudgetContext<'_>,
    ) -> Vec<(Utf8PathBuf, Timestamp)> {
        let ripe = context
            .recent
            .map_or(snapshot.taken_at, |recent| recent.until);
        let expired = self.expired.iter().map(|step| (step.link.clone(), ripe));
        self.open.iter().cloned().chain(expired).collect()
    }

    /// What frees space at once, and may be done for that: nothing irreversible without a collection that profits.
    fn that_free_now(
        &self,
        plan: &Plan,
        job: &EffectiveJob,
        goal: DiskGoal,
        context: BudgetContext<'_>,
    ) -> Vec<Step> {
        let mut steps = self.expired.clone();
        if context.contradiction.is_some() {
            return steps;
        }
        if goal.release_holds == ReleaseHolds::IfNeeded && plan.collection().is_some() {
            let (roots, generations) = self.links.split_at(self.roots);
            steps.extend(roots.iter().map(Step::not_held));
            steps.extend(self.early.iter().cloned());
            steps.extend(generations.iter().map(Step::not_held));
        } else if job.undo_window.is_zero() {
            steps.extend(self.links.iter().cloned());
        }
        steps
    }
}

impl Step {
    pub(super) fn is_held(&self) -> bool {
        self.removal.action.operation().hold().is_some()
    }

    /// The removal of the same link without a hold.
    fn not_held(&self) -> Self {
        let mut step = self.clone();
        match &mut step.removal.action {
            Action::RemoveGeneration(facts) => facts.hold = Span::ZERO,
            Action::RemoveRootLink(facts) => facts.hold = Span::ZERO,
            _ => return step,
        }
        let risk = step.removal.action.operation().risk();
        step.removal.risk = step.removal.risk.max(risk);
        step
    }
}
