//! What other settings would change, and how much each change can hurt: two checked settings, compared.
//!
//! The risk of a change is how much a run can take away after it that it could not before. Order means nothing: settings
//! that say the same in another order differ in nothing.

mod accept;
mod jobs;
mod policy;
mod protect;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use super::finding::{Code, Finding, Pointer, Severity};
use super::platform::Platform;
use super::sanitize::Clamping;
use super::{Report, Settings, check, read, sanitize};
use crate::domain::limits::Limits;
use crate::domain::measure::{Bytes, Span};
use crate::domain::risk::RiskLevel;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Where it is written: in the new settings, or in the old ones for what is gone from them.
    #[schemars(with = "String")]
    pub pointer: Pointer,
    /// What held before; null for what was not there.
    pub old: Option<Value>,
    /// What holds after; null for what is not there any more.
    pub new: Option<Value>,
    /// How much it can hurt.
    pub risk: RiskLevel,
    /// The change in words.
    pub message: String,
}

/// A value of the settings, short enough for a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A number.
    Number(u64),
    /// Anything else, in words.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => on.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Everything that is different.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assessment {
    /// The changes, the riskiest first.
    pub changes: Vec<Difference>,
}

impl Assessment {
    /// Compares settings with those that they are to replace; without any, everything in them is new.
    pub fn of(old: Option<&Settings>, new: &Settings, platform: Platform) -> Self {
        // Each field is compared somewhere below; a new one must be, too.
        let Settings {
            safe_mode: is_safe,
            undo_window: is_window,
            limits: most,
            protected_paths: _,
            protect: _,
            accepted: _,
            policy: _,
            // How it was said makes no difference.
            said: _,
            jobs: _,
        } = new;
        let mut ledger = Ledger::default();
        let (safe, window) = old.map_or((true, Settings::UNDO_WINDOW), |old| {
            (old.safe_mode, old.undo_window)
        });
        safe_mode(safe, *is_safe, &mut ledger);
        undo_window(window, *is_window, &mut ledger);
        protect::compare(old, new, platform, &mut ledger);
        let accepted = old.map(|old| &*old.accepted).unwrap_or_default();
        accept::compare(accepted, &new.accepted, &mut ledger);
        let policy = old.map(|old| old.policy).unwrap_or_default();
        policy::compare(policy, new.policy, &mut ledger);
        limits(
            old.map(|old| old.limits).unwrap_or_default(),
            *most,
            &mut ledger,
        );
        jobs::compare(old, new, &mut ledger);
        let mut changes = ledger.changes;
        changes.sort_by(|a, b| {
            let by_risk = b.risk.cmp(&a.risk);
            by_risk.then_with(|| a.pointer.cmp(&b.pointer))
        });
        Self { changes }
    }

    /// Compares a text of settings with those that it is to replace; `None` when it cannot be used, with why.
    ///
    /// A text that only leaves a critical path unprotected cannot be used either, and is compared all the same: that this
    /// is critical is what a person must hear.
    pub fn of_text(
        old: Option<&Settings>,
        text: &str,
        platform: Platform,
    ) -> (Option<Self>, Vec<Finding>) {
        let report = Report::of(text, platform, Clamping::Refuse);
        let errors = report.findings.iter();
        let mut errors = errors.filter(|finding| finding.severity == Severity::Error);
        let new = match report.settings {
            None if errors.all(|finding| finding.code == Code::MissingCritical) => {
                read::read(text).settings.and_then(|raw| {
                    let (clean, _, _) = sanitize::sanitize(raw, Clamping::Refuse);
                    check::check_but_for_critical_paths(&clean, platform)
                })
            }
            settings => settings,
        };
        let assessment = new.map(|new| Self::of(old, &new, platform));
        (assessment, report.findings)
    }

    /// The highest risk of all changes; `None` when there is none.
    pub fn risk(&self) -> Option<RiskLevel> {
        self.changes.iter().map(|change| change.risk).max()
    }
}

fn safe_mode(old: bool, new: bool, ledger: &mut Ledger) {
    let (risk, message) = match (old, new) {
        (true, false) => (
            RiskLevel::High,
            "jobs may do what is critical, if they are allowed to",
        ),
        (false, true) => (RiskLevel::Low, "what is critical is refused"),
        _ => return,
    };
    let at = Pointer::root().key("safeMode");
    ledger.changed(&at, Value::Switch(old), Value::Switch(new), risk, message);
}

fn undo_window(old: Span, new: Span, ledger: &mut Ledger) {
    let at = Pointer::root().key("undoWindow");
    let words = if new.is_zero() {
        "nothing that is dropped can be put back"
    } else {
        "what is dropped can be put back for another time"
    };
    ledger.span(&at, Some(old), Some(new), words);
}

fn limits(old: Limits, new: Limits, ledger: &mut Ledger) {
    let at = Pointer::root().key("limits");
    let number = Value::Number;
    let size = |bytes: u64| Value::Text(Bytes(bytes).to_string());
    let (many, much) = ("maxGenerationsPerRun", "maxBytesPerRun");
    ledger.most(&at.key(many), old.generations, new.generations, number);
    let bytes = |limits: Limits| limits.bytes.map(|bytes| bytes.0);
    ledger.most(&at.key(much), bytes(old), bytes(new), size);
}

/// The changes found so far.
#[derive(Default)]
struct Ledger {
    changes: Vec<Difference>,
}

impl Ledger {
    fn changed(&mut self, at: &Pointer, old: Value, new: Value, risk: RiskLevel, message: &str) {
        self.add(at, Some(old), Some(new), risk, message);
    }

    fn added(&mut self, at: &Pointer, new: Value, risk: RiskLevel, message: &str) {
        self.add(at, None, Some(new), risk, message);
    }

    fn removed(&mut self, at: &Pointer, old: Value, risk: RiskLevel, message: &str) {
        self.add(at, Some(old), None, risk, message);
    }

    fn add(
        &mut self,
        at: &Pointer,
        old: Option<Value>,
        new: Option<Value>,
        risk: RiskLevel,
        message: &str,
    ) {
        self.changes.push(Difference {
            pointer: at.clone(),
            old,
            new,
            risk,
            message: message.to_string(),
        });
    }

    /// A span of time that keeps the more the longer it is.
    fn span(&mut self, at: &Pointer, old: Option<Span>, new: Option<Span>, words: &str) {
        if old == new {
            return;
        }
        let risk = lowered(old.map(Span::as_seconds), new.map(Span::as_seconds));
        let said = |age: Span| Value::Text(age.to_string());
        self.add(at, old.map(said), new.map(said), risk, words);
    }

    /// The most that a run may take unasked; without one there is none.
    fn most(
        &mut self,
        at: &Pointer,
        old: Option<u64>,
        new: Option<u64>,
        said: impl Fn(u64) -> Value,
    ) {
        if old == new {
            return;
        }
        let loosened = old.is_some_and(|old| new.is_none_or(|new| new > old));
        let (risk, words) = if loosened {
            (RiskLevel::Medium, "one run may take more unasked")
        } else {
            (RiskLevel::Low, "one run takes less unasked")
        };
        self.add(at, old.map(&said), new.map(&said), risk, words);
    }

    /// A number that keeps the more the larger it is.
    fn number(&mut self, at: &Pointer, old: Option<u64>, new: Option<u64>, words: &str) {
        if old != new {
            let risk = lowered(old, new);
            self.add(
                at,
                old.map(Value::Number),
                new.map(Value::Number),
                risk,
                words,
            );
        }
    }
}

/// The risk of changing what keeps the more the larger it is.
fn lowered(old: Option<u64>, new: Option<u64>) -> RiskLevel {
    match (old, new) {
        (Some(old), Some(0)) if old > 0 => RiskLevel::High,
        (Some(old), None) if old > 0 => RiskLevel::Medium,
        (Some(old), Some(new)) if new < old => RiskLevel::Medium,
        _ => RiskLevel::Low,
    }
}
