//! `config diff`: what other settings would change, and how risky that is.

use camino::Utf8Path;

use super::super::args::DiffArgs;
use super::super::context::{SettingsText, invalid};
use super::super::failure::{Exit, Failure};
use super::super::out;
use crate::domain::risk::RiskLevel;
use crate::render::json::{self, BeforeDocument, DifferenceDocument, ValueDocument};
use crate::render::text::escape;
use crate::settings::{
    Assessment, Clamping, Difference, Platform, Report, Settings, Severity, Value,
};

/// The settings that are to be replaced.
enum Before {
    Valid(Box<Settings>),
    /// There is no such file.
    Absent,
    /// It cannot be read, or not be used; why.
    Invalid(String),
}

/// Compares two files; neither need be the one in force.
pub(super) fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let before = before(&args.old);
    let new = SettingsText::of(&args.new)?;
    let old = match &before {
        Before::Valid(settings) => Some(&**settings),
        Before::Absent | Before::Invalid(_) => None,
    };
    let (assessment, findings) = Assessment::of_text(old, &new.text, Platform::HERE);
    let Some(assessment) = assessment else {
        return Err(invalid(&new, &findings));
    };
    let valid = findings.iter().all(|f| f.severity == Severity::Warning);
    if args.json.json {
        out::json(&document(&before, valid, &assessment))?;
    } else {
        out::text(&error_chain(args, &before, &assessment));
    }
    if assessment.risk() == Some(RiskLevel::Critical) {
        return Ok(Exit::Refused);
    }
    // What is not valid for lack of a critical path is critical, and was dealt with.
    Ok(if valid { Exit::Done } else { Exit::Config })
}

/// A file that is not there or is no use is no reason to say nothing: then everything is new.
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
    let report = Report::of(&text, Platform::HERE, Clamping::Refuse);
    if let Some(settings) = report.settings {
        return Before::Valid(Box::new(settings));
    }
    let mut errors = report.findings.iter();
    let first = errors.find(|finding| finding.severity == Severity::Error);
    Before::Invalid(first.map_or(String::new(), ToString::to_string))
}

fn error_chain(args: &DiffArgs, before: &Before, assessment: &Assessment) -> String {
    let old = escape(args.old.as_str());
    let mut lines = match before {
        Before::Valid(_) => Vec::new(),
        Before::Absent => vec![format!("{old} is not there, so that everything is new.")],
        Before::Invalid(why) => vec![format!(
            "{old} cannot be used, so that everything is new: {}.",
            escape(why)
        )],
    };
    lines.extend(assessment.changes.iter().map(line));
    lines.push(match (assessment.changes.len(), assessment.risk()) {
        (_, None) => "The settings say the same.".to_string(),
        (1, Some(risk)) => format!("1 change, of the risk {risk}."),
        (count, Some(risk)) => format!("{count} changes, the highest risk is {risk}."),
    });
    lines.join("\n")
}

fn line(change: &Difference) -> String {
    let at = escape(change.pointer.as_str());
    let said = |value: &Value| escape(&value.to_string());
    let values = match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("{} -> {}", said(old), said(new)),
        (Some(old), None) => format!("- {}", said(old)),
        (None, Some(new)) => format!("+ {}", said(new)),
        (None, None) => String::new(),
    };
    format!(
        "{:<8}  {at}: {values} ({})",
        change.risk.as_str(),
        escape(&change.message)
    )
}

fn document(before: &Before, valid: bool, assessment: &Assessment) -> json::ConfigDiffDocument {
    let before = match before {
        Before::Valid(_) => BeforeDocument::Valid,
        Before::Absent => BeforeDocument::Absent,
        Before::Invalid(_) => BeforeDocument::Invalid,
    };
    let changes = assessment.changes.iter().map(difference).collect();
    json::config_diff(before, valid, changes, assessment.risk())
}

fn difference(change: &Difference) -> DifferenceDocument {
    let value = |value: &Value| match value {
        Value::Switch(on) => ValueDocument::Switch(*on),
        Value::Number(number) => ValueDocument::Number(*number),
        Value::Text(text) => ValueDocument::Text(text.clone()),
    };
    DifferenceDocument {
        pointer: change.pointer.to_string(),
        old: change.old.as_ref().map(value),
        new: change.new.as_ref().map(value),
        risk: change.risk,
        message: change.message.clone(),
    }
}
