//! Reading settings: one walk over the tree of the text that reports every fault with its position.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use serde_json::Value as Json;

use super::declare::{Key, Required, Tidy};
use super::finding::{Code, Finding, Pointer, Severity};
use super::slot::Slot;
use super::syntax::{At, MAX_FAULTS, Node, Object, Value};
use super::values::{Fault, Shape, Type};
use crate::domain::job::JobName;
use crate::domain::nearest::nearest;

/// One correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub pointer: Pointer,
    /// The kind of correction.
    pub kind: ChangeKind,
    /// The original.
    pub from: String,
    /// The corrected value; `None` if it was removed.
    pub to: Option<String>,
}

/// Kinds of corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// White space around a text.
    Whitespace,
    /// A duplicate path.
    Duplicate,
    /// A number out of range.
    Clamped,
}

impl ChangeKind {
    /// Its name, for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whitespace => "blanks",
            Self::Duplicate => "duplicate",
            Self::Clamped => "clamped",
        }
    }
}

/// How a number out of range is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfRange {
    /// It is kept, and refused by the check.
    Refuse,
    /// It is replaced by the nearest number in the range.
    Clamp,
}

/// Keys of version 1 that no release acted on.
pub(super) const RETIRED: [&str; 1] = ["refreshBootMenu"];

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) findings: Vec<Finding>,
    /// The number of faults in keys and types.
    shape_faults: usize,
    /// Whether the text has version 1, whose values are read with their own meaning.
    pub(super) is_version_1: bool,
    /// Places with a wrong shape, and keys that unknown keys were perhaps meant to be.
    misshapen: BTreeSet<Pointer>,
    /// Places with a wrong value.
    invalid: BTreeSet<Pointer>,
}

impl Reader {
    /// Continues with earlier findings.
    pub(super) fn beside(findings: Vec<Finding>) -> Self {
        Self {
            shape_faults: findings.len().min(MAX_FAULTS - 1),
            findings,
            ..Self::default()
        }
    }

    pub(super) fn error(&mut self, code: Code, at: At<'_>, message: &str, hint: &str) {
        self.findings
            .push(Finding::error(code, &at.pointer(), message, hint));
    }

    pub(super) fn warn(&mut self, code: Code, at: At<'_>, message: &str, hint: &str) {
        self.findings
            .push(Finding::warning(code, &at.pointer(), message, hint));
    }

    pub(super) fn has_error(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// Whether there are too many faults to continue.
    pub(super) fn gives_up(&self) -> bool {
        self.shape_faults >= MAX_FAULTS
    }

    /// Whether keys or types are wrong there or within: a key that seems absent may then be a misspelt one.
    pub(super) fn is_misshapen(&self, at: At<'_>) -> bool {
        is_within(&self.misshapen, &at.pointer())
    }

    /// Whether anything is wrong there or within.
    pub(super) fn is_faulty(&self, at: At<'_>) -> bool {
        self.is_misshapen(at) || is_within(&self.invalid, &at.pointer())
    }

    fn shape_fault(&mut self, code: Code, at: At<'_>, message: &str, hint: &str) {
        if self.gives_up() {
            return;
        }
        self.shape_faults += 1;
        self.misshapen.insert(at.pointer());
        self.error(code, at, message, hint);
    }

    /// Whether the key is one of version 1 without effect.
    fn is_retired(&self, name: &str, node: &Node) -> bool {
        let is_empty = match &node.value {
            Value::Null | Value::Bool(false) => true,
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        self.is_version_1 && is_empty && RETIRED.contains(&name)
    }

    pub(super) fn wrong_type(&mut self, at: At<'_>, node: &Node, expected: &str) {
        let message = format!("{node} is not {expected}");
        self.shape_fault(Code::WrongType, at, &message, &format!("write {expected}"));
    }

    pub(super) fn unknown_keys(&mut self, at: At<'_>, object: &Object, keys: &[&Key]) {
        for (name, node) in object {
            if keys.iter().any(|key| key.name == name) || self.is_retired(name, node) {
                continue;
            }
            let known = keys.iter().map(|key| key.name);
            let hint = if let Some(meant) = nearest(name, known.clone()) {
                self.misshapen.insert(at.pointer().key(meant));
                format!("did you mean `{meant}`? Otherwise remove the key")
            } else {
                let known: Vec<&str> = known.collect();
                format!("remove it; known keys: {}", known.join(", "))
            };
            let message = format!("unknown key `{name}`");
            self.shape_fault(Code::UnknownKey, At::Key(&at, name), &message, &hint);
        }
    }

    /// Reads the value of a key; `null` means absent if the key is optional.
    pub(super) fn slot<T: Slot>(
        &mut self,
        at: At<'_>,
        object: &Object,
        key: &'static Key,
    ) -> Option<T> {
        if self.gives_up() {
            return None;
        }
        let here = At::Key(&at, key.name);
        let node = object.get(key.name);
        match (node, key.required) {
            (Some(node), Required::Yes) => T::read(self, here, node, key),
            (Some(node), _) if !node.is_null() => T::read(self, here, node, key),
            (_, Required::No) => None,
            // An unknown key of nearly this name is reported already.
            _ if self.is_misshapen(here) => None,
            (_, Required::As(code)) => {
                let message = format!("`{}` is missing", key.name);
                let hint = match key.range {
                    Some((_, newest)) => format!("write {newest}"),
                    None => "write it".to_string(),
                };
                self.error(code, here, &message, &hint);
                None
            }
            (_, Required::Yes) => {
                let message = format!("the key `{}` is missing", key.name);
                self.shape_fault(Code::MissingKey, at, &message, "write it");
                None
            }
        }
    }

    /// Reads one value.
    pub(super) fn value<T: Type>(
        &mut self,
        at: At<'_>,
        node: &Node,
        key: &Key,
    ) -> Option<(T, Json)> {
        let older = match &node.value {
            Value::Text(text) if self.is_version_1 => T::version_1(text).map(Value::Text),
            _ => None,
        };
        let value = older.as_ref().unwrap_or(&node.value);
        match T::read(value, key) {
            Ok(read) => {
                let written = read.written(value);
                Some((read, written))
            }
            Err(Fault::Type(expected)) => {
                self.wrong_type(at, node, expected);
                None
            }
            Err(Fault::Value {
                code,
                message,
                hint,
            }) => {
                self.invalid.insert(at.pointer());
                self.error(code.unwrap_or(key.code), at, &message, &hint);
                None
            }
        }
    }

    pub(super) fn job_name(&mut self, at: At<'_>, name: &str) {
        if JobName::try_from(name.to_string()).is_err() {
            let message = format!("`{name}` is not a valid job name");
            let hint = "use 1 to 50 letters, digits, `_` and `-`, starting with a letter or digit";
            self.error(Code::JobName, at, &message, hint);
        }
    }

    /// Checks the number of items.
    pub(super) fn count(&mut self, at: At<'_>, count: usize, key: &Key) -> Option<()> {
        let (least, most) = key.items;
        let (message, hint) = if count < least {
            (
                format!("`{}` is empty", key.name),
                "write at least one entry".to_string(),
            )
        } else if count > most {
            (
                format!("there are {count} entries, and at most {most} are allowed"),
                "combine some by `*` and `**`".to_string(),
            )
        } else {
            return Some(());
        };
        self.invalid.insert(at.pointer());
        self.error(key.items_code, at, &message, &hint);
        None
    }
}

fn is_within(places: &BTreeSet<Pointer>, at: &Pointer) -> bool {
    let below = at.key("");
    let first = places.range(&below..).next();
    places.contains(at) || first.is_some_and(|place| place.as_str().starts_with(below.as_str()))
}

/// Makes the corrections that the declaration allows, and records each. A second pass changes nothing.
pub(super) fn tidy(
    node: &mut Node,
    keys: &[&Key],
    at: At<'_>,
    clamping: OutOfRange,
    changes: &mut Vec<Change>,
) {
    let Value::Object(object) = &mut node.value else {
        return;
    };
    for key in keys {
        let Some(node) = object.get_mut(key.name) else {
            continue;
        };
        let at = At::Key(&at, key.name);
        match (key.tidy, &mut node.value) {
            (Tidy::Trim, Value::Text(text)) => trim(text, at, changes),
            (Tidy::Paths, Value::List(items)) => paths(items, at, changes),
            (Tidy::Clamp, Value::Number(number)) if clamping == OutOfRange::Clamp => {
                clamp(number, key, at, changes);
            }
            _ => {}
        }
        match ((key.shape)(), &mut node.value) {
            (Shape::Group(_, keys), _) => tidy(node, keys, at, clamping, changes),
            (Shape::Named(_, keys), Value::Object(entries)) => {
                for (name, entry) in entries {
                    tidy(entry, keys, At::Key(&at, name), clamping, changes);
                }
            }
            _ => {}
        }
    }
}

fn trim(text: &mut String, at: At<'_>, changes: &mut Vec<Change>) {
    let trimmed = text.trim();
    if trimmed.len() == text.len() {
        return;
    }
    let to = trimmed.to_string();
    changes.push(Change {
        pointer: at.pointer(),
        kind: ChangeKind::Whitespace,
        from: std::mem::replace(text, to.clone()),
        to: Some(to),
    });
}

/// Removes duplicate paths, also those with additional slashes. The others are not rewritten.
fn paths(items: &mut Vec<(usize, Node)>, at: At<'_>, changes: &mut Vec<Change>) {
    for (index, item) in items.iter_mut() {
        if let Value::Text(path) = &mut item.value {
            trim(path, At::Index(&at, *index), changes);
        }
    }
    let mut seen = HashSet::new();
    items.retain(|(_, item)| {
        let Value::Text(path) = &item.value else {
            return true;
        };
        let first = seen.insert(normal_slashes(path).into_owned());
        if !first {
            changes.push(Change {
                pointer: at.pointer(),
                kind: ChangeKind::Duplicate,
                from: path.clone(),
                to: None,
            });
        }
        first
    });
}

/// A path without redundant slashes.
fn normal_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return Cow::Borrowed(path);
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    Cow::Owned(format!("{root}{}", parts.join("/")))
}

fn clamp(number: &mut String, key: &Key, at: At<'_>, changes: &mut Vec<Change>) {
    let Some(((least, most), whole)) = key.range.zip(super::values::whole(number)) else {
        return;
    };
    let to = whole.clamp(least, most);
    if to != whole {
        let to = to.to_string();
        changes.push(Change {
            pointer: at.pointer(),
            kind: ChangeKind::Clamped,
            from: std::mem::replace(number, to.clone()),
            to: Some(to),
        });
    }
}
