//! What is mended without asking, because it can mean one thing only, and what is mended when somebody asks for it.
//!
//! Nothing else is ever changed: no protection is added or dropped, no switch is thrown, no order is touched. What is wrong
//! beyond this is found by the check.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

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
    raw: &raw::Settings,
    clamping: Clamping,
) -> (raw::Settings, Vec<Change>, Gone) {
    let mut clean = raw.clone();
    let mut changes = Vec::new();
    let mut gone = Gone::default();
    if let Some(Object(protect)) = &mut clean.protect
        && let Some(paths) = &mut protect.paths
    {
        let at = Pointer::root().key("protect").key("paths");
        for (index, path) in paths.iter_mut().enumerate() {
            trim(path, &at.index(index), &mut changes);
        }
        *paths = without_duplicates(paths, &at, &mut changes, &mut gone);
    }
    for (name, Object(job)) in clean.jobs.iter_mut().flatten() {
        let at = Pointer::root().key("jobs").key(name);
        if let Some(description) = &mut job.description {
            trim(description, &at.key("description"), &mut changes);
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

fn trim(text: &mut String, at: &Pointer, changes: &mut Vec<Change>) {
    let trimmed = text.trim();
    if trimmed.len() == text.len() {
        return;
    }
    let to = trimmed.to_string();
    changes.push(Change {
        pointer: at.clone(),
        kind: ChangeKind::Blanks,
        from: std::mem::replace(text, to.clone()),
        to: Some(to),
    });
}

/// Leaves out what is there already, though with another number of slashes. What stays is not written anew.
fn without_duplicates(
    paths: &[String],
    at: &Pointer,
    changes: &mut Vec<Change>,
    gone: &mut Gone,
) -> Vec<String> {
    let same = |path: &str| -> Vec<String> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        let root = path.starts_with('/').then(String::new);
        root.into_iter().chain(parts.map(str::to_string)).collect()
    };
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        if seen.insert(same(path)) {
            kept.push(path.clone());
            continue;
        }
        gone.note(at, index);
        changes.push(Change {
            pointer: at.clone(),
            kind: ChangeKind::Duplicate,
            from: path.clone(),
            to: None,
        });
    }
    kept
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
