//! What is mended without asking, because it can mean one thing only, and what is mended when somebody asks for it.
//!
//! Nothing else is ever changed: no protection is added or dropped, no switch is thrown, no order is touched. What is wrong
//! beyond this is found by the check.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use super::finding::Pointer;
use super::gone::Gone;
use super::raw::{self, Object, Whole};
use crate::domain::budget::Budget;

/// One thing that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub pointer: Pointer,
    /// What was changed about it.
    pub kind: ChangeKind,
    /// What was written.
    pub from: String,
    /// What it was taken for; null for what was left out.
    pub to: Option<String>,
}

/// Kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Blanks around a text.
    Blanks,
    /// The second time that a path is written.
    Duplicate,
    /// A number beyond its range.
    Clamped,
}

impl ChangeKind {
    /// Its name, for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blanks => "blanks",
            Self::Duplicate => "duplicate",
            Self::Clamped => "clamped",
        }
    }
}

/// Whether a number beyond its range is taken for the nearest one in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clamping {
    /// It stays, and the check refuses it.
    Refuse,
    /// It is taken for the nearest.
    Clamp,
}

/// Gives the settings as they are meant, what is different about them, and what was left out of lists. Done twice it
/// changes nothing more.
pub(super) fn sanitize(
    mut clean: raw::Settings,
    clamping: Clamping,
) -> (raw::Settings, Vec<Change>, Gone) {
    let mut changes = Vec::new();
    let mut gone = Gone::default();
    if let Some(Object(protect)) = &mut clean.protect
        && let Some(paths) = &mut protect.paths
    {
        let at = Pointer::root().key("protect").key("paths");
        for (index, path) in paths.iter_mut().enumerate() {
            trim(path, || at.index(index), &mut changes);
        }
        *paths = without_duplicates(std::mem::take(paths), &at, &mut changes, &mut gone);
    }
    for (name, Object(job)) in clean.jobs.iter_mut().flatten() {
        let at = Pointer::root().key("jobs").key(name);
        if let Some(description) = &mut job.description {
            trim(description, || at.key("description"), &mut changes);
        }
        if clamping == Clamping::Clamp
            && let Some(Object(budget)) = &mut job.budget
            && let Some(Whole(percent)) = &mut budget.max_used
        {
            clamp(percent, &at.key("budget").key("maxUsed"), &mut changes);
        }
    }
    (clean, changes, gone)
}

fn trim(text: &mut String, at: impl FnOnce() -> Pointer, changes: &mut Vec<Change>) {
    let trimmed = text.trim();
    if trimmed.len() == text.len() {
        return;
    }
    let to = trimmed.to_string();
    changes.push(Change {
        pointer: at(),
        kind: ChangeKind::Blanks,
        from: std::mem::replace(text, to.clone()),
        to: Some(to),
    });
}

/// Leaves out what is there already, though with another number of slashes. What stays is not written anew.
fn without_duplicates(
    paths: Vec<String>,
    at: &Pointer,
    changes: &mut Vec<Change>,
    gone: &mut Gone,
) -> Vec<String> {
    let mut seen = HashSet::new();
    let first: Vec<bool> = paths
        .iter()
        .map(|path| seen.insert(spelled(path)))
        .collect();
    let mut kept = Vec::with_capacity(seen.len());
    for (index, (path, first)) in paths.into_iter().zip(first).enumerate() {
        if first {
            kept.push(path);
            continue;
        }
        gone.note(at, index);
        changes.push(Change {
            pointer: at.clone(),
            kind: ChangeKind::Duplicate,
            from: path,
            to: None,
        });
    }
    kept
}

/// A path without the slashes that mean nothing.
fn spelled(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return Cow::Borrowed(path);
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    Cow::Owned(format!("{root}{}", parts.join("/")))
}

fn clamp(percent: &mut i64, at: &Pointer, changes: &mut Vec<Change>) {
    let to = (*percent).clamp(Budget::LEAST_USED.into(), Budget::MOST_USED.into());
    if to == *percent {
        return;
    }
    changes.push(Change {
        pointer: at.clone(),
        kind: ChangeKind::Clamped,
        from: percent.to_string(),
        to: Some(to.to_string()),
    });
    *percent = to;
}
