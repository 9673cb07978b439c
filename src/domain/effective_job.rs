//! A job bound by the policy of its machine.

use std::ops::Deref;

use super::blocker::CheckCode;
use super::budget::DiskGoal;
use super::job::Job;
use super::limits::Usual;
use super::measure::Span;
use super::note::{Note, NoteCode};
use super::policy::Policy;
use super::profile::Profile;
use super::risk::RiskLevel;
use super::snapshot::{Pin, Snapshot};

/// A job as far as the policy of its machine allows it. Plans, rechecks and views take this type and never a [`Job`]
/// as written, which may remove more than the policy permits.
#[derive(Debug, Clone)]
pub struct EffectiveJob {
    bound: Job,
    policy: Policy,
    notes: Vec<Note>,
}

impl EffectiveJob {
    /// Binds a job, with every change that the command line makes to it. There is no other way to make one.
    pub fn new(mut job: Job, policy: Policy) -> Self {
        let limits = PolicyLimits {
            max_risk: policy.ceiling(job.max_risk),
            undo_window: job.undo_window.max(policy.undo_window),
            budget: job.budget.map(|goal| policy.bound_goal(goal)),
        };
        let notes = limits.differences(&job);
        job.max_risk = limits.max_risk;
        job.undo_window = limits.undo_window;
        job.budget = limits.budget;
        if let Some(operation) = &mut job.operations.generations {
            operation.keep = operation.keep.clone().at_least(policy.keep);
        }
        let bound = job;
        Self {
            bound,
            policy,
            notes,
        }
    }

    /// The same with another risk limit, within the policy, and without safe mode: for a plan that a person must confirm.
    #[must_use]
    pub fn with_risk_limit(mut self, limit: RiskLevel) -> Self {
        self.bound.max_risk = self.policy.ceiling(limit);
        self.bound.safe_mode = false;
        self
    }

    /// The same with these checks accepted: to find out what could be removed, and not to remove it.
    #[must_use]
    pub fn accepting(mut self, codes: impl IntoIterator<Item = CheckCode>) -> Self {
        self.bound.accept.extend(codes);
        self
    }

    /// The policy that binds it.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What the policy changes of the job, in sentences.
    pub(crate) fn policy_notes(&self) -> &[Note] {
        &self.notes
    }

    /// The pins of a profile: the recorded ones and those of the settings.
    pub fn pins_of(&self, profile: &Profile, snapshot: &Snapshot) -> Vec<Pin> {
        let recorded = snapshot.pins.iter().filter(|p| p.profile == profile.path);
        let protected = self.protect.generations.iter();
        let protected = protected.filter(|p| p.profile.names(&profile.path));
        let from_settings = protected.map(|p| Pin {
            profile: profile.path.clone(),
            number: p.number,
            reason: p.reason.clone(),
            until: None,
        });
        recorded.cloned().chain(from_settings).collect()
    }

    /// Whether rules ask for the last use of links.
    pub fn asks_for_uses(&self) -> bool {
        let roots = self.bound.operations.roots.as_ref();
        roots.is_some_and(|roots| !roots.rules.is_empty())
    }

    /// Whether a run holds what vanished roots kept.
    pub fn holds_what_vanished(&self) -> bool {
        self.bound.operations.collect.is_some() && !self.bound.undo_window.is_zero()
    }

    /// The same job, with what its earlier runs removed.
    #[must_use]
    pub fn with_usual(mut self, usual: Usual) -> Self {
        self.bound.limits.usual = usual;
        self
    }
}

/// Reads only: what the policy bound cannot be changed any more.
impl Deref for EffectiveJob {
    type Target = Job;
    fn deref(&self) -> &Job {
        &self.bound
    }
}

/// What a policy leaves of a job.
struct PolicyLimits {
    max_risk: RiskLevel,
    undo_window: Span,
    budget: Option<DiskGoal>,
}

impl PolicyLimits {
    fn differences(&self, job: &Job) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |text: String| notes.push(Note::new(NoteCode::PolicyStricter, text));
        if self.max_risk != job.max_risk {
            note(format!(
                "The policy limits the risk to {}; the job allows {}.",
                self.max_risk, job.max_risk
            ));
        }
        if self.undo_window != job.undo_window {
            note(format!(
                "The policy requires an undo window of at least {}; the job has {}.",
                self.undo_window, job.undo_window
            ));
        }
        if self.budget != job.budget {
            note("The policy forbids early release of holds, which the budget allows.".to_string());
        }
        notes
    }
}
