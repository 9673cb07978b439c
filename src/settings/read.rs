//! Text to the shape of settings, with every fault of the shape.
//!
//! Serde stops at the first fault. So what it stops at is left out, and it reads again, until nothing more is wrong; what
//! was left out is never used, as a finding stands for it.

mod explain;
mod tree;

use std::collections::BTreeSet;

use serde::de::{Deserialize, DeserializeSeed};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::check;
use super::finding::{Code, Finding, Pointer};
use super::gone::Gone;
use super::raw::{Object, Settings, Whole};
use explain::explain;
use tree::Tree;

/// The most faults that are told; a file with more of them was not meant to be settings.
const MOST: usize = 100;

/// What a text holds, and what is wrong with its shape.
pub(super) struct Read {
    /// The settings without what is wrong; `None` where nothing is left.
    pub(super) settings: Option<Settings>,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// What was left out of lists.
    pub(super) gone: Gone,
    left_out: BTreeSet<Pointer>,
}

impl Read {
    fn failed(finding: Finding) -> Self {
        Self {
            settings: None,
            findings: vec![finding],
            gone: Gone::default(),
            left_out: BTreeSet::new(),
        }
    }

    /// Whether a finding of the check may be due to what was left out, and is not worth telling beside the cause.
    pub(super) fn explains(&self, finding: &Finding) -> bool {
        // Rules that ask for something to be there.
        let misses = matches!(
            finding.code,
            Code::VersionMissing
                | Code::MissingCritical
                | Code::JobsNone
                | Code::JobWithoutOperation
                | Code::ProfilesNone
                | Code::KeepsNothing
                | Code::BudgetGoals
        );
        let at = &finding.pointer;
        misses && self.left_out.iter().any(|left| left.is_within(at))
    }
}

/// Reads the shape. The version comes first, because the keys of a later one are not ours to call unknown.
pub(super) fn read(text: &str) -> Read {
    let mut twice = Vec::new();
    let mut value = match tree(text, &mut twice) {
        Ok(value) => value,
        Err(error) => return Read::failed(syntax(text, &error)),
    };
    let version = value.get("version").map(Whole::deserialize);
    if let Some(Ok(version)) = version
        && let Some(finding) = check::version(Some(version))
    {
        return Read::failed(finding);
    }
    let mut faults = Faults::default();
    for at in twice.into_iter().take(MOST) {
        let key = at.segments().last().unwrap_or_default();
        let message = format!("the key `{key}` is written twice");
        let hint = "write it once";
        let finding = Finding::error(Code::DuplicateKey, &at, &message, hint);
        faults.findings.push(finding);
    }
    let settings = loop {
        match serde_path_to_error::deserialize::<_, Object<Settings>>(&value) {
            Ok(Object(settings)) => break Some(settings),
            Err(error) => {
                let left = faults.leave_out(&mut value, error.path(), &error.inner().to_string());
                if left.is_none() || faults.findings.len() >= MOST {
                    break None;
                }
            }
        }
    };
    Read {
        settings,
        findings: faults.findings,
        gone: faults.gone,
        left_out: faults.left_out,
    }
}

fn tree(text: &str, twice: &mut Vec<Pointer>) -> Result<Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    let at = Pointer::root();
    let value = Tree { at, twice }.deserialize(&mut from)?;
    from.end().map(|()| value)
}

fn syntax(text: &str, error: &serde_json::Error) -> Finding {
    let (line, column) = (error.line(), error.column());
    let told = error.to_string();
    let place = format!(" at line {line} column {column}");
    let told = told.strip_suffix(&place).unwrap_or(&told);
    let hint = if text.starts_with('\u{feff}') {
        "remove the byte order mark at the beginning of the file"
    } else if text.trim().is_empty() {
        "write settings, such as those of `nix-prune config init`"
    } else {
        "write JSON, without comments and without a comma after the last item"
    };
    Finding {
        line: (line > 0).then_some(line),
        column: (column > 0).then_some(column),
        ..Finding::error(Code::Syntax, &Pointer::root(), told, hint)
    }
}

/// What was found so far, and what was left out for it.
#[derive(Default)]
struct Faults {
    findings: Vec<Finding>,
    left_out: BTreeSet<Pointer>,
    gone: Gone,
}

impl Faults {
    /// Tells a fault and leaves out what has it; `None` when that is all there is.
    fn leave_out(&mut self, value: &mut Value, path: &Path, message: &str) -> Option<()> {
        let mut path: Vec<String> = path.iter().filter_map(segment).collect();
        let at = self.written(value, &path);
        let fault = explain(message);
        let meant = fault.key.as_ref().map(|key| match fault.code {
            Code::MissingKey => at.key(key),
            _ => at.parent().key(key),
        });
        let follows = self.left_out.contains(&at)
            || (fault.code == Code::MissingKey
                && meant
                    .as_ref()
                    .is_some_and(|key| self.left_out.contains(key)));
        if !follows {
            let finding = Finding::error(fault.code, &at, &fault.message, &fault.hint);
            self.findings.push(finding);
        }
        if fault.code == Code::UnknownKey {
            self.left_out.extend(meant);
        }
        if !self.left_out.insert(at.clone()) {
            path.pop();
        }
        let last = path.pop()?;
        let around = self.written(value, &path);
        let parent = path.iter().try_fold(value, |value, step| match value {
            Value::Object(object) => object.get_mut(step),
            Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        })?;
        match parent {
            Value::Object(object) => object.remove(&last).map(drop),
            Value::Array(items) => {
                let index = last.parse().ok().filter(|&index| index < items.len())?;
                self.gone.leave_out(&around, index);
                items.remove(index);
                Some(())
            }
            _ => None,
        }
    }

    /// The place in the text of what is at a place now.
    fn written(&self, value: &Value, path: &[String]) -> Pointer {
        let mut now = Some(value);
        let mut at = Pointer::root();
        for step in path {
            let index = step.parse::<usize>().ok();
            at = match (now, index) {
                (Some(Value::Array(_)), Some(index)) => at.index(self.gone.nth_left(&at, index)),
                _ => at.key(step),
            };
            now = match now {
                Some(Value::Array(items)) => index.and_then(|index| items.get(index)),
                Some(Value::Object(object)) => object.get(step),
                _ => None,
            };
        }
        at
    }
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(key.clone()),
        Segment::Unknown => None,
    }
}
