//! Settings of several files, one over the other.
//!
//! A key of a file that counts more takes the place of the same key below; so does a job, whole, for a job put together
//! from two files is one that nobody wrote and nobody checked. What protects (`protect`, `policy`) adds up instead: no
//! file takes back what another one asks for. What loosens (`accept`) counts in the file that counts least alone, which is
//! the machine's where there is one. Each file has been checked by itself before it comes here.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::finding::{Code, Finding, Pointer};
use super::{Said, Settings, Written};
use crate::domain::accept::Acceptance;
use crate::domain::job::Job;
use crate::domain::risk::RiskLevel;

/// The settings of one file.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The file, as people know it.
    pub name: String,
    /// What it says.
    pub settings: Settings,
    /// As it is written.
    pub written: Written,
}

/// What holds when all files are read, and where it comes from.
#[derive(Debug, Clone)]
pub struct Stack {
    /// What holds.
    pub settings: Settings,
    /// What comes of their meeting.
    pub findings: Vec<Finding>,
    /// The file that says `safeMode`.
    pub safe_mode_from: Option<String>,
    /// The file that says `undoWindow`.
    pub undo_window_from: Option<String>,
}

/// Puts settings over one another, the ones that count least first; `None` where there is none.
pub fn stack(layers: &[Layer]) -> Option<Stack> {
    let (first, above) = layers.split_first()?;
    let name = |said: bool, layer: &Layer| said.then(|| layer.name.clone());
    let said = first.settings.said;
    let mut stack = Stack {
        settings: first.settings.clone(),
        findings: Vec::new(),
        safe_mode_from: name(said.safe_mode.is_some(), first),
        undo_window_from: name(said.undo_window, first),
    };
    let mut beyond = Vec::new();
    for layer in above {
        beyond.extend(accepted_beyond(first, layer));
        let said = layer.settings.said;
        stack.settings = over(&stack.settings, &layer.settings);
        let from = name(said.safe_mode.is_some(), layer);
        stack.safe_mode_from = from.or(stack.safe_mode_from);
        stack.undo_window_from = name(said.undo_window, layer).or(stack.undo_window_from);
    }
    stack.findings = beyond;
    stack.findings.extend(common(&mut stack.settings));
    stack
        .findings
        .extend(stack.settings.where_the_policy_bites());
    Some(stack)
}

/// Says which safety checks a file accepts that the one that counts least does not: these entries do not hold.
fn accepted_beyond(first: &Layer, layer: &Layer) -> Vec<Finding> {
    let allowed = &first.settings.accepted;
    let entries = layer.settings.accepted.iter().enumerate();
    let beyond =
        entries.filter(|(_, entry)| !allowed.iter().any(|other| other.is_for_the_same(entry)));
    let finding = |(index, entry): (usize, &Acceptance)| {
        Finding::warning(
            Code::AcceptBeyond,
            &Pointer::root().key("accept").index(index),
            &format!(
                "{} accepts {} at {}, and {} does not",
                layer.name, entry.code, entry.place, first.name
            ),
            &format!("write it in {}, whose entries alone hold", first.name),
        )
    };
    beyond.map(finding).collect()
}

/// The upper settings over the lower ones; what is common to all jobs is not given to them yet.
fn over(lower: &Settings, upper: &Settings) -> Settings {
    let mut both = lower.clone();
    if upper.said.safe_mode.is_some() {
        both.safe_mode = upper.safe_mode;
    }
    if upper.said.undo_window {
        both.undo_window = upper.undo_window;
    }
    both.said = Said {
        safe_mode: upper.said.safe_mode.or(lower.said.safe_mode),
        undo_window: upper.said.undo_window || lower.said.undo_window,
    };
    let more = upper.protected_paths.iter();
    let more = more.filter(|path| !lower.protected_paths.contains(path));
    both.protected_paths.extend(more.cloned());
    both.protect = Arc::new(lower.protect.and(&upper.protect));
    both.policy = lower.policy.and(upper.policy);
    both.limits = lower.limits.and(upper.limits);
    for job in both.jobs.values_mut() {
        job.on_top = false;
    }
    both.jobs.extend(upper.jobs.clone());
    both
}

/// Gives every job what is common to all of them.
fn common(settings: &mut Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, found) in &mut settings.jobs {
        let Job {
            name: _,
            max_risk,
            safe_mode,
            undo_window,
            protect,
            budget: _,
            limits,
            accept: _,
            accepted,
            policy,
            operations: _,
        } = &mut found.job;
        *safe_mode = settings.safe_mode;
        *undo_window = settings.undo_window;
        *protect = Arc::clone(&settings.protect);
        *accepted = Arc::clone(&settings.accepted);
        *policy = settings.policy;
        *limits = settings.limits;
        if *safe_mode && *max_risk == RiskLevel::Critical {
            // The file of the job switches the safe mode off, and one that counts more switches it on.
            *max_risk = RiskLevel::High;
            let at = Pointer::root()
                .key("jobs")
                .key(&name.to_string())
                .key("maxRisk");
            findings.push(Finding::warning(
                Code::RiskAgainstSafeMode,
                &at,
                "the job may do what is critical, and the safe mode of settings that count more refuses that",
                "write high in the file that has the job",
            ));
        }
    }
    findings
}

impl Settings {
    /// Says where jobs ask for more than the policy allows; it holds all the same.
    pub(super) fn where_the_policy_bites(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut warn = |code, at: &Pointer, message: &str, hint: &str| {
            findings.push(Finding::warning(code, at, message, hint));
        };
        let policy = self.policy;
        if self.undo_window < policy.undo_window {
            let least = policy.undo_window;
            warn(
                Code::PolicyWindow,
                &Pointer::root().key("undoWindow"),
                &format!(
                    "the undo window is {}, and the policy asks for at least {least}",
                    self.undo_window
                ),
                &format!("write `{least}`; it holds in any case"),
            );
        }
        for (name, found) in &self.jobs {
            let (job, bound) = (&found.job, found.job.bound());
            let at = Pointer::root().key("jobs").key(&name.to_string());
            if bound.max_risk != job.max_risk {
                let most = bound.max_risk;
                warn(
                    Code::PolicyRisk,
                    &at.key("maxRisk"),
                    &format!(
                        "the job may have the risk {}, and the policy allows at most {most}",
                        job.max_risk
                    ),
                    &format!("write `{most}`; it holds in any case"),
                );
            }
            if bound.budget != job.budget {
                warn(
                    Code::PolicyWindow,
                    &at.key("budget").key("releaseHolds"),
                    "the budget would end undo windows early, and the policy lets none end before its time",
                    "write `never`; it holds in any case",
                );
            }
            let Some(operation) = &job.operations.generations else {
                continue;
            };
            let (rules, floor) = (operation.keep.rules(), policy.keep);
            let fewer = rules.last.unwrap_or(0) < floor.last;
            let shorter = rules.within.unwrap_or_default() < floor.within;
            if fewer || shorter {
                warn(
                    Code::PolicyKeep,
                    &at.key("operations").key("generations").key("keep"),
                    "the rules may keep less than the policy asks for",
                    "write at least as much; what the policy keeps stays in any case",
                );
            }
        }
        findings
    }
}
