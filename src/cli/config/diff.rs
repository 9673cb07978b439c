//! `config diff`: compares two settings files and rates the risk.

use camino::Utf8Path;
use serde_json::Value;

use super::super::args::DiffArgs;
use super::super::context::{SettingsText, invalid};
use super::super::failure::{Exit, Failure};
use super::super::out;
use crate::domain::risk::RiskLevel;
use crate::render::json::{self, BeforeDocument, DifferenceDocument, ValueDocument};
use crate::render::text::escape;
use crate::settings::{Difference, OutOfRange, Platform, Report, Settings, SettingsDiff, Severity};

/// The old settings.
enum Before {
    Valid(Box<Settings>),
    /// The file does not exist.
    Absent,
    /// It cannot be read or used, with the reason.
    Invalid(String),
}

/// Compares two files, whether in use or not.
pub(super) fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let before = before(&args.old);
    let new = SettingsText::of(&args.new)?;
    let old = match &before {
        Before::Valid(settings) => Some(&**settings),
        Before::Absent | Before::Invalid(_) => None,
    };
    let (changes, findings) = SettingsDiff::of_text(old, &new.text, Platform::HERE);
    let Some(changes) = changes else {
        return Err(invalid(&new, &findings));
    };
    let valid = findings.iter().all(|f| f.severity == Severity::Warning);
    if args.json.json {
        out::json(&document(&before, valid, &changes))?;
    } else {
        out::text(&summary(args, &before, &changes));
    }
    if changes.risk() == Some(RiskLevel::Critical) {
        return Ok(Exit::Refused);
    }
    // Settings that leave a critical path unprotected are critical, which is handled above.
    Ok(if valid { Exit::Done } else { Exit::Config })
}

/// If the old file is missing or invalid, everything is new.
fn before(path: &Utf8Path) -> Before {
    if let Err(error) = path.symlink_metadata()
        && error.kind() == std::io::ErrorKind::NotFound
    {
        return Before::Absent;
    }
    let text = match SettingsText::of(path) {
        Ok(text) => text.text,
        Err(failure) => return Before::Invalid(failure.message),
    };
    let report = Report::of(&text, Platform::HERE, OutOfRange::Refuse);
    if let Some(settings) = report.settings {
        return Before::Valid(Box::new(settings));
    }
    let mut errors = report.findings.iter();
    let first = errors.find(|finding| finding.severity == Severity::Error);
    Before::Invalid(first.map_or(String::new(), ToString::to_string))
}

fn summary(args: &DiffArgs, before: &Before, diff: &SettingsDiff) -> String {
    let old = escape(args.old.as_str());
    let mut lines = match before {
        Before::Valid(_) => Vec::new(),
        Before::Absent => vec![format!(
            "{old} does not exist, so everything counts as added."
        )],
        Before::Invalid(why) => vec![format!(
            "{old} is unusable, so everything counts as added: {}.",
            escape(why)
        )],
    };
    lines.extend(diff.changes.iter().map(line));
    lines.push(match (diff.changes.len(), diff.risk()) {
        (_, None) => "No differences.".to_string(),
        (1, Some(risk)) => format!("1 change, risk {risk}."),
        (count, Some(risk)) => format!("{count} changes, highest risk {risk}."),
    });
    lines.join("\n")
}

fn line(change: &Difference) -> String {
    let at = escape(change.pointer.as_str());
    let text = |value: &Value| match value {
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    };
    let values = match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("{} -> {}", text(old), text(new)),
        (Some(old), None) => format!("- {}", text(old)),
        (None, Some(new)) => format!("+ {}", text(new)),
        (None, None) => String::new(),
    };
    format!(
        "{:<8}  {at}: {values} ({})",
        change.risk.as_str(),
        escape(change.message)
    )
}

fn document(before: &Before, valid: bool, diff: &SettingsDiff) -> json::ConfigDiffDocument {
    let before = match before {
        Before::Valid(_) => BeforeDocument::Valid,
        Before::Absent => BeforeDocument::Absent,
        Before::Invalid(_) => BeforeDocument::Invalid,
    };
    let changes = diff.changes.iter().map(difference).collect();
    json::config_diff(before, valid, changes, diff.risk())
}

fn difference(change: &Difference) -> DifferenceDocument {
    let value = |value: &Value| match value {
        Value::Bool(on) => ValueDocument::Switch(*on),
        Value::String(text) => ValueDocument::Text(text.clone()),
        other => match other.as_u64() {
            Some(number) => ValueDocument::Number(number),
            None => ValueDocument::Text(other.to_string()),
        },
    };
    DifferenceDocument {
        pointer: change.pointer.to_string(),
        old: change.old.as_ref().map(value),
        new: change.new.as_ref().map(value),
        risk: change.risk,
        message: change.message.to_string(),
    }
}
