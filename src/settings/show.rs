//! The effective settings: those of all files together with defaults, each value with its origin.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::finding::{Finding, Pointer};
use super::layers::{Layer, stack};
use super::platform::Platform;
use super::slot::{Origin, Slot, Sourced};
use super::syntax::At;
use super::{JobSettings, Settings, keys};
use crate::domain::job::JobName;
use crate::domain::measure::Span;
use crate::domain::risk::RiskLevel;

/// The effective settings; written as settings, they mean the same.
#[derive(Debug, Clone)]
pub struct Effective {
    keys: keys::Settings,
    /// Findings that only several files together can have.
    pub findings: Vec<Finding>,
    /// The jobs.
    pub settings: Settings,
}

/// Values from variables and flags.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The undo window.
    pub undo_window: Option<(Span, Origin)>,
    /// The highest risk of every job.
    pub max_risk: Option<(RiskLevel, Origin)>,
}

/// A value, its place and its origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The place in the document.
    pub pointer: Pointer,
    /// A text, a number, a switch, or an empty list.
    pub value: Value,
    /// Its origin.
    pub origin: Origin,
}

impl Effective {
    /// The effective settings of these files, from the lowest to the highest; `None` if there is none.
    ///
    /// # Errors
    /// As [`stack`].
    pub fn of(
        layers: &[Layer],
        overrides: &Overrides,
        platform: Platform,
    ) -> Result<Option<Self>, Vec<Finding>> {
        let stack = stack(layers, platform)?;
        Ok(stack.map(|stack| {
            let mut effective = Self {
                keys: stack.settings.keys.clone(),
                findings: stack.findings,
                settings: stack.settings,
            };
            effective.undo_window(overrides.undo_window.as_ref());
            effective.jobs(overrides.max_risk.as_ref());
            effective
        }))
    }

    /// The settings as a document that is valid settings.
    pub fn document(&self) -> Map<String, Value> {
        match self.keys.part().json() {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Every value with its origin, in the order of the declaration.
    pub fn values(&self) -> Vec<Shown> {
        let mut leaves = Vec::new();
        self.keys.part().leaves(At::Root, &mut leaves);
        let shown = leaves.into_iter();
        let shown = shown.map(|(pointer, value, origin)| Shown {
            pointer,
            value,
            origin,
        });
        shown.collect()
    }

    fn undo_window(&mut self, other: Option<&(Span, Origin)>) {
        let keys = &mut self.keys.undo_window;
        if let Some((window, origin)) = other {
            *keys = Some(Sourced::new(*window, &window.to_string(), origin.clone()));
        }
        let least = self.settings.policy().undo_window;
        if keys.as_ref().is_some_and(|window| window.value < least) {
            *keys = Some(Sourced::new(least, &least.to_string(), Origin::Policy));
        }
    }

    fn jobs(&mut self, other: Option<&(RiskLevel, Origin)>) {
        let (policy, safe_mode) = (self.settings.policy(), self.settings.safe_mode());
        for (name, job) in self.keys.jobs.iter_mut().flat_map(|jobs| &mut jobs.0) {
            let mut set = |level: RiskLevel, origin| {
                job.max_risk = Some(Sourced::new(level, level.as_str(), origin));
                level
            };
            let name = JobName::try_from(name.clone()).ok();
            let found = name.and_then(|name| self.settings.jobs.get(&name));
            let bound = found.map(JobSettings::job);
            let mut level = bound.map_or(RiskLevel::High, |job| job.max_risk);
            if let Some((other, origin)) = other {
                level = set(*other, origin.clone());
            }
            if safe_mode && level == RiskLevel::Critical {
                level = set(RiskLevel::High, Origin::SafeMode);
            }
            if policy.ceiling(level) < level {
                set(policy.ceiling(level), Origin::Policy);
            }
            let (Some(budget), Some(goal)) = (&mut job.budget, bound.and_then(|job| job.budget))
            else {
                continue;
            };
            let holds = policy.bound_goal(goal).release_holds;
            if holds != goal.release_holds {
                let origin = Origin::Policy;
                budget.release_holds = Some(Sourced::new(holds, &holds.to_string(), origin));
            }
        }
    }
}
