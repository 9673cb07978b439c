//! What a job can do, before and after: its goal, and the highest risk that it can reach.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{At, DiffBuilder, Jobs, Part, Risk, by_identity, items};
use crate::domain::budget::{Amount, Budget, DiskGoal, InodeAmount, ReleaseHolds};
use crate::domain::job::{Job, ProfileSelector};
use crate::domain::profile::ProfileKind;
use crate::domain::risk::{self, RiskLevel};

impl DiffBuilder<'_> {
    pub(super) fn operation(&mut self, at: At<'_>, is_new: bool, risk: Risk, jobs: Jobs<'_>) {
        let removes = jobs.new.filter(|_| is_new && risk == Risk::Removes);
        let operation = removes.and_then(|job| Some((job, job.operations.generations.as_ref()?)));
        let level = operation.map_or(RiskLevel::Low, |(job, o)| reach_of(&o.profiles, job));
        let message = if is_new {
            "the job does this as well"
        } else {
            "the job no longer does this"
        };
        let (was, is) = (Value::Bool(!is_new), Value::Bool(is_new));
        self.add(at, Some(was), Some(is), (level, message));
    }

    /// A list that restricts whose generations are removed; without one they are everybody's.
    pub(super) fn restriction(
        &mut self,
        at: At<'_>,
        old: Option<&Part>,
        new: Option<&Part>,
        jobs: Jobs<'_>,
    ) {
        let before = old.map(|_| by_identity(items(old)));
        let after = new.map(|_| by_identity(items(new)));
        let is_more = match (&before, &after) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(before), Some(after)) => after.keys().any(|user| !before.contains_key(user)),
        };
        let names = |list: &Option<BTreeMap<String, _>>| {
            let list = list.as_ref();
            list.map(|list| list.keys().cloned().collect::<Vec<_>>())
        };
        let (was, is) = (names(&before), names(&after));
        if was == is {
            return;
        }
        let change = if is_more {
            let level = jobs.new.map_or(RiskLevel::High, |job| {
                let held = !job.undo_window.is_zero();
                risk::of_generation(false, held, 0).min(highest(job))
            });
            (level, "profiles of more users lose generations")
        } else {
            (RiskLevel::Low, "profiles of fewer users lose generations")
        };
        self.add(at, was.map(Value::from), is.map(Value::from), change);
    }

    pub(super) fn budget(&mut self, at: At<'_>, jobs: Jobs<'_>) {
        let goal = |job: Option<&Job>| job.and_then(|job| job.budget);
        let release = |goal| jobs.new.map_or(RiskLevel::Low, |job| early(goal, job));
        let text = |goal: DiskGoal| Value::from(goal.to_string());
        match (goal(jobs.old), goal(jobs.new)) {
            (None, None) => {}
            (None, Some(is)) => {
                let change = (release(is), "the job removes only what the goal needs");
                self.add(at, None, Some(text(is)), change);
            }
            (Some(was), None) => {
                let change = (RiskLevel::Medium, "the job removes all that no rule keeps");
                self.add(at, Some(text(was)), None, change);
            }
            (Some(was), Some(is)) => {
                if was.beside == is.beside {
                    self.goals(at, was.budget, is.budget);
                } else {
                    let (was, is) = (text(was), text(is));
                    self.add(at, Some(was), Some(is), (RiskLevel::Medium, "another goal"));
                }
                if was.release_holds != is.release_holds {
                    let message = match is.release_holds {
                        ReleaseHolds::Never => "no hold is released early",
                        ReleaseHolds::IfNeeded => "holds may be released early, irreversibly",
                    };
                    let text = |goal: DiskGoal| Some(goal.release_holds.to_string().into());
                    let at = At::Key(&at, "releaseHolds");
                    self.add(at, text(was), text(is), (release(is), message));
                }
            }
        }
    }

    fn goals(&mut self, at: At<'_>, was: Budget, is: Budget) {
        let (key, is_stricter) = match (was, is) {
            (was, is) if was == is => return,
            (Budget::MinFree(Amount::Bytes(was)), Budget::MinFree(Amount::Bytes(is))) => {
                ("minFree", is > was)
            }
            (Budget::MinFree(Amount::Percent(was)), Budget::MinFree(Amount::Percent(is))) => {
                ("minFree", is > was)
            }
            (
                Budget::MinFreeInodes(InodeAmount::Count(was)),
                Budget::MinFreeInodes(InodeAmount::Count(is)),
            ) => ("minFreeInodes", is > was),
            (
                Budget::MinFreeInodes(InodeAmount::Percent(was)),
                Budget::MinFreeInodes(InodeAmount::Percent(is)),
            ) => ("minFreeInodes", is > was),
            (Budget::MaxUsed(was), Budget::MaxUsed(is)) => ("maxUsed", is < was),
            (Budget::MaxStore(was), Budget::MaxStore(is)) => ("maxStore", is < was),
            // The stricter one depends on the machine.
            (was, is) => {
                let (was, is) = (was.to_string().into(), is.to_string().into());
                let change = (RiskLevel::Medium, "another goal");
                return self.add(at, Some(was), Some(is), change);
            }
        };
        let change = if is_stricter {
            (RiskLevel::Medium, "the goal is stricter")
        } else {
            (RiskLevel::Low, "the goal is looser")
        };
        self.add(
            At::Key(&at, key),
            Some(amount(was)),
            Some(amount(is)),
            change,
        );
    }
}

/// The names of a job's operations.
pub(super) fn operations(job: &Part) -> Value {
    let json = job.json();
    let names = json.get("operations").and_then(Value::as_object);
    let names: Vec<&str> = names
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        "nothing".into()
    } else {
        names.join(", ").into()
    }
}

fn amount(budget: Budget) -> Value {
    match budget {
        Budget::MinFree(amount) => amount.to_string().into(),
        Budget::MaxUsed(percent) => percent.get().into(),
        Budget::MaxStore(bytes) => bytes.to_string().into(),
        Budget::MinFreeInodes(InodeAmount::Count(count)) => count.into(),
        Budget::MinFreeInodes(percent) => percent.to_string().into(),
    }
}

/// The highest risk that a job can reach.
pub(super) fn reach(job: &Job) -> RiskLevel {
    let generations = job.operations.generations.as_ref();
    let removes = generations.map_or(RiskLevel::Low, |o| reach_of(&o.profiles, job));
    let rules = match &job.operations.roots {
        Some(roots) if !roots.rules.is_empty() => {
            risk::of_root_link(!job.undo_window.is_zero()).min(highest(job))
        }
        _ => RiskLevel::Low,
    };
    let removed_users = match &job.operations.roots {
        Some(roots) if roots.removed_users.is_some() => risk::OF_REMOVED_USER.min(highest(job)),
        _ => RiskLevel::Low,
    };
    let removes = removes.max(rules).max(removed_users);
    removes.max(job.budget.map_or(RiskLevel::Low, |goal| early(goal, job)))
}

/// The highest risk of removing generations of these profiles, within the job's limit.
pub(super) fn reach_of(profiles: &[ProfileSelector], job: &Job) -> RiskLevel {
    let held = !job.undo_window.is_zero();
    let risks = profiles.iter().map(|selector| {
        let may_be_a_system = ProfileKind::SYSTEMS
            .into_iter()
            .any(|kind| selector.may_select(kind));
        risk::of_generation(may_be_a_system, held, 0)
    });
    risks.max().unwrap_or(RiskLevel::Low).min(highest(job))
}

/// The risk of another age from which profiles of removed users are removed.
pub(super) fn removes_after(before: Option<u64>, after: Option<u64>) -> (RiskLevel, &'static str) {
    if after.is_some_and(|new| before.is_none_or(|old| new < old)) {
        (
            risk::OF_REMOVED_USER,
            "profiles of removed users are removed, or sooner",
        )
    } else {
        (
            RiskLevel::Low,
            "profiles of removed users are kept, or longer",
        )
    }
}

fn early(goal: DiskGoal, job: &Job) -> RiskLevel {
    match goal.release_holds {
        ReleaseHolds::Never => RiskLevel::Low,
        // Holds of any profile, whatever profiles this job selects.
        ReleaseHolds::IfNeeded => risk::of_early_release(true).min(highest(job)),
    }
}

fn highest(job: &Job) -> RiskLevel {
    if job.safe_mode {
        job.max_risk.min(RiskLevel::High)
    } else {
        job.max_risk
    }
}
