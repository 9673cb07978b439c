//! The choice of removals that a budget needs.

use super::{
    Action, BudgetContext, BudgetReport, Bytes, DiskGoal, EarlyFacts, EffectiveJob, HashMap,
    HashSet, HoldFacts, NodeSet, Plan, PlannedAction, Snapshot, Utf8Path, Utf8PathBuf,
    holds_a_system, is_spared, report,
};
use crate::domain::analysis::{CumulativeFreed, RemovalSequence};
use crate::domain::budget::{LeftOut, ReleaseHolds};
use crate::domain::collect::CollectMethod;
use crate::domain::job::CollectOperation;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::plan::GenerationFacts;
use crate::domain::risk::{self, RiskLevel};
use crate::domain::snapshot::Hold;

/// What was chosen of what may go.
#[derive(Debug, Default)]
pub(super) struct RemovalSet {
    /// The expired holds that end.
    pub(super) released: HashSet<Utf8PathBuf>,
    /// The open holds that end.
    pub(super) early: Vec<PlannedAction>,
    /// The generations that go, by their links.
    pub(super) dropped: HashMap<Utf8PathBuf, PlannedAction>,
    /// How much the collection deletes, by the store's own sizes; `None` for all that is dead.
    pub(super) most: Option<Bytes>,
    /// What there is to say; `None` where the goal is reached.
    pub(super) report: Option<BudgetReport>,
}

/// A link that may go, and the action that takes it away.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) link: Utf8PathBuf,
    pub(super) planned: PlannedAction,
}

/// Everything that may go, from the oldest.
pub(super) struct RemovalOrder {
    /// Holds whose window has ended.
    expired: Vec<Step>,
    /// Holds whose window is open, and that may be ended.
    early: Vec<Step>,
    /// Every hold whose window is open, with its end.
    open: Vec<(Utf8PathBuf, Timestamp)>,
    /// What the rules let go, as the job would do it.
    generations: Vec<Step>,
}

pub(super) fn choose<E>(
    plan: &Plan,
    snapshot: &Snapshot,
    job: &EffectiveJob,
    goal: DiskGoal,
    room: BudgetContext<'_>,
    mut weigh: impl FnMut(&NodeSet) -> Result<Bytes, E>,
) -> Result<RemovalSet, E> {
    let steps = RemovalOrder::of(plan, snapshot, job);
    let mut ceiling = UpperBound::of(job);
    let now = ceiling.allowed(steps.that_free_now(plan, job, goal, room));
    let recent = room.recent.map(|recent| recent.since);
    let ladder = room.inspection.ladder(&[], &links(&now), recent);
    let climb = ladder.climb(room.to_free, &mut weigh)?;
    let mut choice = RemovalSet::default();
    let freeing = ladder.links_that_free(&climb, &mut weigh)?;
    let mut idle = idle(&ladder, &climb, &freeing, room);
    let gone = choice.take(&now, freeing.into_iter());
    // Nix's own collector takes everything.
    let whole = |c: CollectOperation| c.method == CollectMethod::Full;
    let in_parts = !job.operations.collect.is_some_and(whole);
    if in_parts && gone.is_empty() && climb.bytes >= room.to_free {
        choice.most = (climb.bytes > room.to_free).then_some(room.to_free);
    }
    let frees = match choice.most {
        Some(_) => room.to_free,
        None => climb.bytes,
    };
    if frees < room.to_free {
        // Nothing more can be done about it now; what waits for its window to end counts for the day when it does.
        let held = steps.generations.iter().filter(|s| !gone.contains(&s.link));
        let held = held.filter(|step| room.contradiction.is_none() || step.is_held());
        let held = ceiling.allowed(held.cloned().collect());
        let waiting = steps.waiting(snapshot, room);
        let waiting = waiting.iter().map(|(link, _)| link.as_path());
        let waiting: Vec<&Utf8Path> = gone
            .iter()
            .map(Utf8PathBuf::as_path)
            .chain(waiting)
            .collect();
        let ladder = room.inspection.ladder(&waiting, &links(&held), None);
        let climb = ladder.climb(room.to_free, &mut weigh)?;
        let freeing = ladder.links_that_free(&climb, &mut weigh)?;
        idle.extend(self::idle(&ladder, &climb, &freeing, room));
        choice.take(&held, freeing.into_iter());
    }
    let outcome = report::Outcome {
        goal,
        frees,
        left_out: ceiling.left_out(),
        free_nothing: idle.len() as u64,
    };
    let report = report::write(outcome, &choice, &steps, snapshot, room, weigh)?;
    choice.report = Some(report);
    Ok(choice)
}

/// The links that are left out because what they keep frees nothing. Of a goal that is reached nobody asks.
fn idle(
    ladder: &RemovalSequence<'_>,
    climb: &CumulativeFreed,
    freeing: &[&Utf8Path],
    room: BudgetContext<'_>,
) -> HashSet<Utf8PathBuf> {
    let links = ladder.links().filter(|link| !freeing.contains(link));
    let links = links.filter(|_| climb.bytes < room.to_free);
    links.map(Utf8Path::to_path_buf).collect()
}

/// What a job may risk. A budget plans nothing that the gate would refuse: it would refuse the rest with it, and a disk
/// that fills up would not even be rid of what is dead.
struct UpperBound {
    highest: RiskLevel,
    left_out: Vec<RiskLevel>,
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
            left_out: Vec::new(),
        }
    }

    fn allowed(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let may = |step: &Step| step.planned.risk <= self.highest;
        let (good, bad): (Vec<_>, Vec<_>) = steps.into_iter().partition(may);
        self.left_out
            .extend(bad.iter().map(|step| step.planned.risk));
        good
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let count = |risk: RiskLevel| {
            let steps = self.left_out.iter().filter(|&&r| r == risk).count();
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
    /// Takes the steps of these links, and gives the links.
    fn take<'a>(
        &mut self,
        steps: &[Step],
        links: impl Iterator<Item = &'a Utf8Path>,
    ) -> HashSet<Utf8PathBuf> {
        let links: HashSet<Utf8PathBuf> = links.map(Utf8Path::to_path_buf).collect();
        for step in steps.iter().filter(|step| links.contains(&step.link)) {
            let planned = step.planned.clone();
            match &planned.action {
                Action::ReleaseHold(_) => {
                    self.released.insert(step.link.clone());
                }
                Action::ReleaseEarly(_) => self.early.push(planned),
                _ => {
                    self.dropped.insert(step.link.clone(), planned);
                }
            }
        }
        links
    }
}

impl RemovalOrder {
    fn of(plan: &Plan, snapshot: &Snapshot, job: &EffectiveJob) -> Self {
        let mut expired = Vec::new();
        let mut generations: Vec<(&GenerationFacts, Step)> = Vec::new();
        for planned in &plan.actions {
            let step = |link: Utf8PathBuf| Step {
                link,
                planned: planned.clone(),
            };
            match &planned.action {
                // They are in the order of their ends already.
                Action::ReleaseHold(facts) => expired.push(step(facts.link.clone())),
                Action::DropGeneration(facts) => {
                    generations.push((facts, step(facts.profile.link(facts.number))));
                }
                _ => {}
            }
        }
        generations.sort_by_key(|(facts, _)| (facts.created, &facts.profile, facts.number));
        let mut open: Vec<&Hold> = snapshot
            .holds
            .iter()
            .filter(|h| h.until > snapshot.taken_at)
            .collect();
        open.sort_by(|a, b| (a.until, &a.link).cmp(&(b.until, &b.link)));
        let early = open.iter().map(|hold| HoldFacts::from(*hold));
        let early = early.filter(|hold| !is_spared(hold, snapshot, Some(job)));
        let early = early.map(|hold| {
            let system = holds_a_system(&hold.held, snapshot);
            Step {
                link: hold.link.clone(),
                planned: PlannedAction {
                    action: Action::ReleaseEarly(EarlyFacts { hold, system }),
                    risk: risk::of_early_release(system),
                },
            }
        });
        Self {
            expired,
            early: early.collect(),
            open: open
                .iter()
                .map(|hold| (hold.link.clone(), hold.until))
                .collect(),
            generations: generations.into_iter().map(|(_, step)| step).collect(),
        }
    }

    /// Every hold, with the time when it has ended and what it keeps may go. One that ended already and does not go now
    /// keeps what is too young.
    pub(super) fn waiting(
        &self,
        snapshot: &Snapshot,
        room: BudgetContext<'_>,
    ) -> Vec<(Utf8PathBuf, Timestamp)> {
        let ripe = room.recent.map_or(snapshot.taken_at, |recent| recent.until);
        let expired = self.expired.iter().map(|step| (step.link.clone(), ripe));
        self.open.iter().cloned().chain(expired).collect()
    }

    /// What makes room at once, and may be done for that: nothing irreversible without a collection that profits.
    fn that_free_now(
        &self,
        plan: &Plan,
        job: &EffectiveJob,
        goal: DiskGoal,
        room: BudgetContext<'_>,
    ) -> Vec<Step> {
        let mut steps = self.expired.clone();
        if room.contradiction.is_some() {
            return steps;
        }
        let collects = plan
            .actions
            .iter()
            .any(|planned| planned.action.collection().is_some());
        if goal.release_holds == ReleaseHolds::IfNeeded && collects {
            steps.extend(self.early.iter().cloned());
            steps.extend(self.generations.iter().map(Step::not_held));
        } else if job.undo_window.is_zero() {
            steps.extend(self.generations.iter().cloned());
        }
        steps
    }
}

impl Step {
    fn is_held(&self) -> bool {
        match &self.planned.action {
            Action::DropGeneration(facts) => !facts.hold.is_zero(),
            _ => false,
        }
    }

    /// The same drop without a hold.
    fn not_held(&self) -> Self {
        let mut step = self.clone();
        if let Action::DropGeneration(facts) = &mut step.planned.action {
            facts.hold = Span::days(0);
            let system = facts.profile_kind.is_system();
            let risk = risk::of_generation(system, false, usize::MAX);
            step.planned.risk = step.planned.risk.max(risk);
        }
        step
    }
}
