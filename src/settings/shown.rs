//! Settings as they hold: those of all files together, with what nobody wrote, each value with where it comes from.
//!
//! What adds up (`protect`, `policy`) is taken from the checked settings, so that what is shown cannot be something
//! else than what holds. Only jobs, which count whole, are shown as their file writes them.

mod common;
mod defaults;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::finding::{Finding, Pointer};
use super::layers::{Layer, Stack, stack};
use super::platform::Platform;
use super::raw::{self, Object, Whole};
use super::{Settings, VERSION};
use crate::domain::measure::Span;
use crate::domain::risk::RiskLevel;

/// Settings as they hold; written as settings, they mean the same.
#[derive(Debug, Clone)]
pub struct InForce {
    settings: raw::Settings,
    origins: BTreeMap<Pointer, Origin>,
    /// What comes of the meeting of several files.
    pub findings: Vec<Finding>,
    /// What is to be run, checked.
    pub checked: Settings,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// A file, by its name.
    File(String),
    /// A variable, by its name.
    Environment(String),
    /// A flag, by its name.
    Flag(String),
    /// The policy asks for it, whatever else is said.
    Policy,
    /// The safe mode allows no more, whatever else is said.
    SafeMode,
}

/// What is said beside the files.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The undo window.
    pub undo_window: Option<(Span, Origin)>,
    /// The ceiling of every job.
    pub max_risk: Option<(RiskLevel, Origin)>,
}

/// A value, its place, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The place in the document.
    pub pointer: Pointer,
    /// The value: a text, a number, a switch, or an empty list or object.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

impl InForce {
    /// What holds with these files, the one that counts least first; `None` where there is none.
    pub fn of(layers: &[Layer], beside: &Beside, platform: Platform) -> Option<Self> {
        let stack = stack(layers)?;
        let mut shown = Self {
            settings: raw::Settings {
                version: Some(Whole(VERSION)),
                safe_mode: Some(stack.settings.safe_mode()),
                undo_window: None,
                limits: None,
                protect: None,
                accept: None,
                policy: None,
                jobs: Some(BTreeMap::new()),
            },
            origins: BTreeMap::new(),
            findings: stack.findings.clone(),
            checked: stack.settings.clone(),
        };
        if let Some(top) = layers.last() {
            shown.note(&Pointer::root().key("version"), file(&top.name));
        }
        if let Some(name) = &stack.safe_mode_from {
            shown.note(&Pointer::root().key("safeMode"), file(name));
        }
        shown.undo_window(&stack, beside);
        shown.protect(layers, &stack.settings);
        shown.accept(layers, &stack.settings);
        shown.limits(layers, &stack.settings);
        shown.policy(layers, &stack.settings);
        shown.jobs(layers, &stack.settings, beside);
        defaults::fill(&mut shown.settings, platform);
        Some(shown)
    }

    /// The settings as a document that can be used as settings.
    ///
    /// # Errors
    /// Never: what was read as JSON can be written as JSON.
    pub fn document(&self) -> Result<Map<String, Value>, serde_json::Error> {
        match serde_json::to_value(&self.settings)? {
            Value::Object(map) => Ok(map),
            _ => Ok(Map::new()),
        }
    }

    /// Every value with where it comes from, in the order of the document.
    ///
    /// # Errors
    /// As [`InForce::document`].
    pub fn values(&self) -> Result<Vec<Shown>, serde_json::Error> {
        let mut leaves = Vec::new();
        gather(
            &Value::Object(self.document()?),
            &Pointer::root(),
            &mut leaves,
        );
        let shown = leaves.into_iter().map(|(pointer, value)| Shown {
            origin: self
                .origins
                .get(&pointer)
                .cloned()
                .unwrap_or(Origin::Default),
            pointer,
            value,
        });
        Ok(shown.collect())
    }

    fn note(&mut self, at: &Pointer, origin: Origin) {
        self.origins.insert(at.clone(), origin);
    }

    fn undo_window(&mut self, stack: &Stack, beside: &Beside) {
        let at = Pointer::root().key("undoWindow");
        let mut window = stack.settings.undo_window();
        if let Some(name) = &stack.undo_window_from {
            self.note(&at, file(name));
        }
        if let Some((other, origin)) = &beside.undo_window {
            window = *other;
            self.note(&at, origin.clone());
        }
        let least = stack.settings.policy().undo_window;
        if window < least {
            window = least;
            self.note(&at, Origin::Policy);
        }
        self.settings.undo_window = Some(window.to_string());
    }

    fn jobs(&mut self, layers: &[Layer], settings: &Settings, beside: &Beside) {
        let mut shown = BTreeMap::new();
        for found in settings.jobs() {
            let name = found.job().name.to_string();
            let mut holders = layers
                .iter()
                .rev()
                .filter_map(|l| Some((l, l.written.job(&name)?)));
            let Some((layer, job)) = holders.next() else {
                continue;
            };
            let at = Pointer::root().key("jobs").key(&name);
            let mut leaves = Vec::new();
            if let Ok(value) = serde_json::to_value(job) {
                gather(&value, &at, &mut leaves);
            }
            for (pointer, _) in leaves {
                self.note(&pointer, file(&layer.name));
            }
            let mut job = job.clone();
            self.risk(&mut job, found.job().max_risk, &at.key("maxRisk"), beside);
            self.releases(&mut job, found, &at.key("budget").key("releaseHolds"));
            shown.insert(name, Object(job));
        }
        self.settings.jobs = Some(shown);
    }

    /// The ceiling of a job; `checked` is that of its file, under the safe mode of all of them.
    fn risk(&mut self, job: &mut raw::Job, checked: RiskLevel, at: &Pointer, beside: &Beside) {
        let said = job.max_risk.as_ref().and_then(|text| text.parse().ok());
        let mut level = checked;
        if said.is_some_and(|said: RiskLevel| said > checked) {
            self.note(at, Origin::SafeMode);
        }
        if let Some((other, origin)) = &beside.max_risk {
            level = *other;
            self.note(at, origin.clone());
        }
        if level == RiskLevel::Critical && self.checked.safe_mode() {
            level = RiskLevel::High;
            self.note(at, Origin::SafeMode);
        }
        let most = self.checked.policy().ceiling(level);
        if most < level {
            level = most;
            self.note(at, Origin::Policy);
        }
        job.max_risk = Some(level.to_string());
    }

    fn releases(&mut self, job: &mut raw::Job, found: &super::JobSettings, at: &Pointer) {
        let bound = found.job().bound().budget;
        if let (Some(Object(budget)), Some(goal)) = (&mut job.budget, bound)
            && Some(goal) != found.job().budget
        {
            budget.release_holds = Some(goal.release_holds.to_string());
            self.note(at, Origin::Policy);
        }
    }
}

/// What a file says, mended; nothing but a check makes one.
#[derive(Debug, Clone)]
pub struct Written(pub(super) raw::Settings);

impl Written {
    fn job(&self, name: &str) -> Option<&raw::Job> {
        let jobs = self.0.jobs.as_ref()?;
        jobs.get(name).map(|Object(job)| job)
    }
}

fn file(name: &str) -> Origin {
    Origin::File(name.to_string())
}

/// The values within a value; lists and objects are their items, unless they have none.
fn gather(value: &Value, at: &Pointer, into: &mut Vec<(Pointer, Value)>) {
    match value {
        Value::Null => {}
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                gather(value, &at.key(key), into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                gather(value, &at.index(index), into);
            }
        }
        value => into.push((at.clone(), value.clone())),
    }
}
