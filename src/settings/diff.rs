//! Comparison of two settings, key by key, with the risk of each change.
//!
//! The risk of a change is how much more a run can remove after it. Order has no meaning: settings that differ only in
//! order do not differ.

mod jobs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::declare::{Key, Risk};
use super::finding::{Code, Finding, Pointer, Severity};
use super::platform::Platform;
use super::reader::OutOfRange;
use super::slot::{Group, Part, Slot};
use super::syntax::At;
use super::values::Shape;
use super::{JobSettings, Parsed, Settings, keys};
use crate::domain::blocker::CheckCode;
use crate::domain::job::{Job, JobName, ProfileSelector};
use crate::domain::risk::{self, RiskLevel};
use jobs::{operations, reach, reach_of, removes_after};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its place: in the new settings, or in the old ones if it is removed.
    pub pointer: Pointer,
    /// The value before; `None` if there was none.
    pub old: Option<Value>,
    /// The value after; `None` if there is none.
    pub new: Option<Value>,
    /// The risk of the change.
    pub risk: RiskLevel,
    /// A description of the change.
    pub message: &'static str,
}

/// All differences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsDiff {
    /// The changes, the riskiest first.
    pub changes: Vec<Difference>,
}

impl SettingsDiff {
    /// Compares settings with those that they replace; without old ones everything is new.
    pub fn of(old: Option<&Settings>, new: &Settings, platform: Platform) -> Self {
        let mut defaults = keys::Settings::default();
        defaults.fill(platform);
        let before = old.map_or(&defaults, |old| &old.keys).parts();
        let mut builder = DiffBuilder {
            old,
            new,
            platform,
            changes: Vec::new(),
        };
        builder.group(At::Root, &before, &new.keys.parts(), Jobs::default());
        let mut changes = builder.changes;
        changes.sort_by(|a, b| {
            let by_risk = b.risk.cmp(&a.risk);
            by_risk.then_with(|| a.pointer.cmp(&b.pointer))
        });
        Self { changes }
    }

    /// Compares a text of settings with those that it replaces; `None`, with the findings, if it cannot be used.
    ///
    /// A text whose only fault is an unprotected critical path cannot be used either, but is compared: the result must
    /// show that this is critical.
    pub fn of_text(
        old: Option<&Settings>,
        text: &str,
        platform: Platform,
    ) -> (Option<Self>, Vec<Finding>) {
        let parsed = Parsed::of(text, platform, OutOfRange::Refuse);
        let mut errors = parsed.findings.iter();
        let usable = errors.all(|finding| {
            finding.severity == Severity::Warning || finding.code == Code::MissingCritical
        });
        let new = parsed.settings.filter(|_| usable);
        (
            new.map(|new| Self::of(old, &new, platform)),
            parsed.findings,
        )
    }

    /// The highest risk of all changes; `None` when there is none.
    pub fn risk(&self) -> Option<RiskLevel> {
        self.changes.iter().map(|change| change.risk).max()
    }
}

/// The keys of a group and their values.
type Parts = [(&'static Key, Option<Part>)];

/// The compared job, before and after.
#[derive(Clone, Copy, Default)]
struct Jobs<'a> {
    old: Option<&'a Job>,
    new: Option<&'a Job>,
}

struct DiffBuilder<'a> {
    old: Option<&'a Settings>,
    new: &'a Settings,
    platform: Platform,
    changes: Vec<Difference>,
}

impl<'a> DiffBuilder<'a> {
    fn add(
        &mut self,
        at: At<'_>,
        old: Option<Value>,
        new: Option<Value>,
        (risk, message): (RiskLevel, &'static str),
    ) {
        self.changes.push(Difference {
            pointer: at.pointer(),
            old,
            new,
            risk,
            message,
        });
    }

    fn group(&mut self, at: At<'_>, old: &Parts, new: &Parts, jobs: Jobs<'_>) {
        for ((key, old), (_, new)) in old.iter().zip(new) {
            let at = At::Key(&at, key.name);
            self.key(key, at, old.as_ref(), new.as_ref(), jobs);
        }
    }

    fn key(
        &mut self,
        key: &'static Key,
        at: At<'_>,
        old: Option<&Part>,
        new: Option<&Part>,
        jobs: Jobs<'_>,
    ) {
        match ((key.shape)(), key.risk) {
            (_, Risk::Meaningless) => {}
            (_, Risk::Budget) => self.budget(at, jobs),
            (Shape::Group(_, keys), each) => {
                let absent: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
                match (parts_of(old), parts_of(new)) {
                    (None, None) => {}
                    (Some(old), Some(new)) => self.group(at, old, new, jobs),
                    (old, new) if each == Risk::Each => {
                        let (old, new) = (old.unwrap_or(&absent), new.unwrap_or(&absent));
                        self.group(at, old, new, jobs);
                    }
                    (old, _) => self.operation(at, old.is_none(), each, jobs),
                }
            }
            (Shape::Named(..), _) => self.jobs(at, old, new),
            (Shape::List(_), Risk::Rules) => {
                let (old, new) = (old.map(Part::json), new.map(Part::json));
                let none = |rules: &Option<Value>| rules.as_ref().is_none_or(|it| *it == json!([]));
                if old != new && !(none(&old) && none(&new)) {
                    let held = jobs.new.is_some_and(|job| !job.undo_window.is_zero());
                    let change = (risk::of_root_link(held), "other links of roots are removed");
                    self.add(at, old, new, change);
                }
            }
            (Shape::List(_), Risk::Restricts) => self.restriction(at, old, new, jobs),
            (Shape::List(_), _) => self.list(key, at, items(old), items(new), jobs),
            _ => self.leaf(key, at, old, new, jobs),
        }
    }

    fn leaf(
        &mut self,
        key: &Key,
        at: At<'_>,
        old: Option<&Part>,
        new: Option<&Part>,
        jobs: Jobs<'_>,
    ) {
        let weight = |part: Option<&Part>| match part {
            Some(Part::Leaf { weight, .. }) => *weight,
            _ => None,
        };
        let (before, after) = (weight(old), weight(new));
        let (old, new) = (old.map(Part::json), new.map(Part::json));
        if old == new || before.is_some() && before == after {
            return;
        }
        let is_on = new == Some(Value::Bool(true));
        let change = match key.risk {
            Risk::Guard if is_on => (RiskLevel::Low, "critical actions are refused"),
            Risk::Guard => (
                RiskLevel::High,
                "critical actions are allowed where a job allows them",
            ),
            Risk::Keeps => (keeps(before, after), "how much is kept, or for how long"),
            Risk::Spares if after.is_none() && before > Some(0) => {
                (RiskLevel::High, "recent paths are no longer kept")
            }
            Risk::Spares => (keeps(before, after), "how recent a path must be to be kept"),
            Risk::Allows if before.is_some_and(|old| after.is_none_or(|new| new > old)) => (
                RiskLevel::Medium,
                "one run may remove more without a confirmation",
            ),
            Risk::Allows => (
                RiskLevel::Low,
                "one run removes less without a confirmation",
            ),
            Risk::Tidies => (RiskLevel::Low, "leftovers of another age are removed"),
            Risk::RemovesAfter => removes_after(before, after),
            Risk::Ceiling => ceiling(new.as_ref(), before, after),
            Risk::Enables if is_on => (jobs.new.map_or(RiskLevel::High, reach), "the job runs"),
            Risk::Enables => (RiskLevel::Low, "the job no longer runs"),
            _ => (RiskLevel::Low, "another value"),
        };
        self.add(at, old, new, change);
    }

    /// Lists are sets. Entries that differ only in their reason are the same entry.
    fn list(&mut self, key: &Key, at: At<'_>, old: &[Part], new: &[Part], jobs: Jobs<'_>) {
        let (before, after) = (by_identity(old), by_identity(new));
        for (item, (index, _)) in &before {
            if !after.contains_key(item) {
                let critical = self.platform.critical_paths().any(|path| path == item);
                let change = match key.risk {
                    Risk::Protects if critical => (
                        RiskLevel::Critical,
                        "a critical path is no longer protected",
                    ),
                    Risk::Protects => (RiskLevel::High, "no longer protected"),
                    Risk::Accepts => (RiskLevel::Low, "the safety check stops a run there again"),
                    _ => (RiskLevel::Low, "no longer listed"),
                };
                self.add(
                    At::Index(&at, *index),
                    Some(item.as_str().into()),
                    None,
                    change,
                );
            }
        }
        for (item, (index, part)) in &after {
            let at = At::Index(&at, *index);
            match (before.get(item), part) {
                (Some((_, Part::Group(old))), Part::Group(new)) => self.group(at, old, new, jobs),
                (Some(_), _) => {}
                (None, part) => {
                    let change = added(key.risk, part, jobs);
                    self.add(at, None, Some(item.as_str().into()), change);
                }
            }
        }
    }

    fn jobs(&mut self, at: At<'_>, old: Option<&Part>, new: Option<&Part>) {
        let (before, after) = (named(old), named(new));
        for (name, part) in &after {
            let at = At::Key(&at, name);
            let key = JobName::try_from((*name).to_string()).ok();
            let job = |settings: &'a Settings| settings.jobs.get(key.as_ref()?);
            let new = job(self.new);
            if let (Some(Part::Group(parts)), Part::Group(other)) = (before.get(name), part) {
                let jobs = Jobs {
                    old: self.old.and_then(job).map(JobSettings::job),
                    new: new.map(JobSettings::job),
                };
                self.group(at, parts, other, jobs);
                continue;
            }
            let change = match new.filter(|new| new.is_enabled()) {
                Some(new) => (reach(new.job()), "a new job"),
                None => (RiskLevel::Low, "a new job, which is disabled"),
            };
            self.add(at, None, Some(operations(part)), change);
        }
        for (name, part) in &before {
            if !after.contains_key(name) {
                let change = (RiskLevel::Low, "the job is removed");
                self.add(At::Key(&at, name), Some(operations(part)), None, change);
            }
        }
    }
}

fn parts_of(part: Option<&Part>) -> Option<&Vec<(&'static Key, Option<Part>)>> {
    match part {
        Some(Part::Group(parts)) => Some(parts),
        _ => None,
    }
}

fn items(part: Option<&Part>) -> &[Part] {
    match part {
        Some(Part::List(items)) => items,
        _ => &[],
    }
}

fn named(part: Option<&Part>) -> BTreeMap<&str, &Part> {
    match part {
        Some(Part::Named(entries)) => entries.iter().map(|(name, p)| (name.as_str(), p)).collect(),
        _ => BTreeMap::new(),
    }
}

/// The items by their identity, with the first place of each.
fn by_identity(items: &[Part]) -> BTreeMap<String, (usize, &Part)> {
    let mut found = BTreeMap::new();
    for (index, part) in items.iter().enumerate() {
        found.entry(identity(part)).or_insert((index, part));
    }
    found
}

fn identity(part: &Part) -> String {
    match part {
        Part::Group(keys) => {
            let keys = keys.iter().filter(|(key, _)| key.name != "reason");
            let values = keys.filter_map(|(_, part)| part.as_ref().map(identity));
            values.collect::<Vec<_>>().join(" ")
        }
        other => match other.json() {
            Value::String(text) => text,
            json => json.to_string(),
        },
    }
}

/// The risk of a change to a value that keeps more the larger it is.
fn keeps(old: Option<u64>, new: Option<u64>) -> RiskLevel {
    match (old, new) {
        (Some(old), Some(0)) if old > 0 => RiskLevel::High,
        (Some(old), None) if old > 0 => RiskLevel::Medium,
        (Some(old), Some(new)) if new < old => RiskLevel::Medium,
        _ => RiskLevel::Low,
    }
}

/// Without a limit in the policy, the limit of each job applies, so nothing becomes critical only because it is
/// removed.
fn ceiling(
    new: Option<&Value>,
    before: Option<u64>,
    after: Option<u64>,
) -> (RiskLevel, &'static str) {
    let most = |weight: Option<u64>| weight.unwrap_or(u64::MAX);
    if most(after) <= most(before) {
        return (RiskLevel::Low, "the risk is limited further");
    }
    let level = new
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    (
        level.unwrap_or(RiskLevel::High),
        "riskier actions are allowed",
    )
}

fn added(risk: Risk, part: &Part, jobs: Jobs<'_>) -> (RiskLevel, &'static str) {
    match risk {
        Risk::Protects => (RiskLevel::Low, "protected"),
        Risk::Accepts => {
            let json = part.json();
            let code = json.get("code").and_then(Value::as_str).unwrap_or_default();
            let mut codes = CheckCode::ALL.into_iter();
            match codes.find(|known| known.as_str() == code) {
                Some(code) if !code.stops_collection() => (
                    RiskLevel::Low,
                    "a run that skips the profile counts as done",
                ),
                _ => (
                    RiskLevel::High,
                    "collections delete what only the roots there keep alive",
                ),
            }
        }
        Risk::Removes => {
            let json = part.json();
            let selector = json.as_str().and_then(ProfileSelector::parse);
            let level = selector
                .zip(jobs.new)
                .map(|(selector, job)| reach_of(&[selector], job));
            let level = level.unwrap_or(RiskLevel::High);
            (level, "these profiles lose generations as well")
        }
        _ => (RiskLevel::Low, "added"),
    }
}
