//! Text to the shape of settings, with every fault of the shape.
//!
//! Serde stops at the first fault. So what it stops at is left out, and it reads again, until nothing more is wrong; what
//! was left out is never used, as a finding stands for it.

mod explain;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::finding::{Code, Finding, Pointer};
use super::gone::Gone;
use super::locate;
use super::raw::{Job, Object, Settings, Whole};
use super::{VERSION, check};
use explain::explain;
use tree::{At, Tree};

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
        && let Some(finding) = check::version(Some(version), VERSION)
    {
        return Read::failed(finding);
    }
    let mut faults = Faults::default();
    faults.findings.extend(twice.iter().map(written_twice));
    let settings = faults.settings(&mut value);
    Read {
        settings: settings.filter(|_| !faults.too_many()),
        findings: faults.findings,
        gone: faults.gone,
        left_out: faults.left_out,
    }
}

/// The version of a text that may be of any, if it says one.
///
/// # Errors
/// When it is no JSON, or a key in it is written twice, so that it is not clear what it says.
pub(super) fn version(text: &str) -> Result<Option<Whole>, Vec<Finding>> {
    let mut twice = Vec::new();
    let value = tree(text, &mut twice).map_err(|error| located(text, [syntax(text, &error)]))?;
    if !twice.is_empty() {
        return Err(located(text, twice.iter().map(written_twice)));
    }
    let version = value.get("version");
    Ok(version.and_then(|version| Whole::deserialize(version).ok()))
}

/// Findings with their places in the text.
pub(super) fn located(text: &str, findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = findings.into_iter().collect();
    locate::locate(text, &mut findings);
    findings
}

fn written_twice(at: &Pointer) -> Finding {
    let key = at.segments().last().unwrap_or_default();
    let message = format!("the key `{key}` is written twice");
    Finding::error(Code::DuplicateKey, at, &message, "write it once")
}

fn tree(text: &str, twice: &mut Vec<Pointer>) -> Result<Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    let tree = Tree {
        at: At::Root,
        twice,
        most: MOST,
    };
    let value = tree.deserialize(&mut from)?;
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
    fn too_many(&self) -> bool {
        self.findings.len() >= MOST
    }

    /// Reads settings; `None` where nothing is left of them.
    ///
    /// What can be long is read piece by piece, so that a fault at its end is no reason to read all of it again.
    fn settings(&mut self, value: &mut Value) -> Option<Settings> {
        let root = Pointer::root();
        let jobs = match take(value, "jobs") {
            Some(Value::Object(jobs)) => Some(self.jobs(jobs, &root.key("jobs"))),
            other => put_back(value, "jobs", other),
        };
        let (mut paths, mut generations, mut roots) = (None, None, None);
        if let Some(protect) = value.get_mut("protect") {
            let at = root.key("protect");
            paths = self.list(protect, "paths", &at);
            generations = self.list(protect, "generations", &at);
            roots = self.list(protect, "roots", &at);
        }
        let Object(mut settings) = self.shape::<Object<Settings>>(value, &root)?;
        settings.jobs = jobs.or(settings.jobs);
        if let Some(Object(protect)) = &mut settings.protect {
            protect.paths = paths.or_else(|| protect.paths.take());
            protect.generations = generations.or_else(|| protect.generations.take());
            protect.roots = roots.or_else(|| protect.roots.take());
        }
        Some(settings)
    }

    fn jobs(&mut self, jobs: Map<String, Value>, at: &Pointer) -> BTreeMap<String, Object<Job>> {
        let mut read = BTreeMap::new();
        for (name, mut job) in jobs {
            if self.too_many() {
                break;
            }
            if let Some(job) = self.shape(&mut job, &at.key(&name)) {
                read.insert(name, job);
            }
        }
        read
    }

    /// The items of a list, if there is one.
    fn list<T: DeserializeOwned>(
        &mut self,
        around: &mut Value,
        key: &str,
        at: &Pointer,
    ) -> Option<Vec<T>> {
        let items = match take(around, key) {
            Some(Value::Array(items)) => items,
            other => return put_back(around, key, other),
        };
        let at = at.key(key);
        let mut read = Vec::with_capacity(items.len());
        for (index, mut item) in items.into_iter().enumerate() {
            if self.too_many() {
                break;
            }
            match self.shape(&mut item, &at.index(index)) {
                Some(item) => read.push(item),
                None => self.gone.note(&at, index),
            }
        }
        Some(read)
    }

    /// Reads what is at a place, without what is wrong in it; `None` if all of it is.
    fn shape<T: DeserializeOwned>(&mut self, value: &mut Value, at: &Pointer) -> Option<T> {
        loop {
            // To note the way to each value takes as long as to read it, and only faults need it.
            if let Ok(read) = T::deserialize(&*value) {
                return Some(read);
            }
            match serde_path_to_error::deserialize::<_, T>(&*value) {
                Ok(read) => return Some(read),
                Err(error) => {
                    self.leave_out(value, at, error.path(), &error.inner().to_string())?;
                }
            }
            if self.too_many() {
                return None;
            }
        }
    }

    /// Tells a fault and leaves out what has it; `None` when that is all there is.
    fn leave_out(
        &mut self,
        value: &mut Value,
        base: &Pointer,
        path: &Path,
        message: &str,
    ) -> Option<()> {
        let mut path: Vec<String> = path.iter().filter_map(segment).collect();
        let at = self.written(value, base, &path);
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
        let around = self.written(value, base, &path);
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
    fn written(&self, value: &Value, base: &Pointer, path: &[String]) -> Pointer {
        let mut now = Some(value);
        let mut at = base.clone();
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

fn take(object: &mut Value, key: &str) -> Option<Value> {
    object.as_object_mut()?.remove(key)
}

/// What is no list or object is told where the rest is read.
fn put_back<T>(object: &mut Value, key: &str, value: Option<Value>) -> Option<T> {
    if let (Some(value), Some(object)) = (value, object.as_object_mut()) {
        object.insert(key.to_string(), value);
    }
    None
}
