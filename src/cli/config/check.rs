//! `config check`: everything that is wrong with settings, and where.

use super::super::args::{CheckArgs, Level};
use super::super::context::{Context, SettingsText};
use super::super::failure::{Exit, Failure};
use super::super::out;
use super::findings;
use crate::render::json::{self, ChangeDocument, FindingDocument, SeverityDocument};
use crate::render::text::escape;
use crate::settings::{Change, ChangeKind, Clamping, Finding, Platform, Report, Severity};

/// Checks a file, or the settings in force.
pub(super) fn check(context: &Context, args: &CheckArgs) -> Result<Exit, Failure> {
    let text = match &args.file {
        Some(file) => SettingsText::of(file)?,
        None => context.settings_text()?,
    };
    let clamping = if args.sanitize {
        Clamping::Clamp
    } else {
        Clamping::Refuse
    };
    let mut report = Report::of(&text.text, Platform::HERE, clamping);
    let judged = judge(std::mem::take(&mut report.findings), args.level);
    let valid = judged.iter().all(|f| f.severity == Severity::Warning);
    if args.json.json {
        let findings = judged.iter().map(finding).collect();
        let changes = report.changes.iter().map(change).collect();
        out::json(&json::config_check(valid, findings, changes))?;
    } else {
        out::text(&told(context, &text, &judged, &report.changes));
    }
    Ok(if valid { Exit::Done } else { Exit::Config })
}

/// What counts at this level.
fn judge(mut findings: Vec<Finding>, level: Level) -> Vec<Finding> {
    match level {
        Level::Basic => findings.retain(|f| f.severity == Severity::Error),
        Level::Comprehensive => {}
        Level::Strict => {
            for finding in &mut findings {
                finding.severity = Severity::Error;
            }
        }
    }
    findings
}

fn told(
    context: &Context,
    text: &SettingsText,
    findings: &[Finding],
    changes: &[Change],
) -> String {
    let style = out::style(context.global.color);
    let mut parts: Vec<String> = Vec::new();
    if !findings.is_empty() {
        parts.push(findings::drawn(&text.name, &text.text, findings, style) + "\n");
    }
    parts.extend(changes.iter().map(sentence));
    let errors = findings.iter().filter(|f| f.severity == Severity::Error);
    let (errors, all) = (errors.count(), findings.len());
    let name = escape(&text.name);
    parts.push(match (errors, all - errors) {
        (0, 0) => format!("{name}: valid."),
        (0, warnings) => format!("{name}: valid, with {}.", counted(warnings, "warning")),
        (errors, 0) => format!("{name}: not valid, {}.", counted(errors, "error")),
        (errors, warnings) => format!(
            "{name}: not valid, {} and {}.",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    });
    parts.join("\n")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn sentence(change: &Change) -> String {
    let (at, from) = (change.pointer.to_string(), change.from.clone());
    let (at, from) = (escape(&at), escape(&from));
    let to = change.to.clone().unwrap_or_default();
    match change.kind {
        ChangeKind::Blanks => format!("{at}: blanks around `{from}` are left out."),
        ChangeKind::Duplicate => format!("{at}: `{from}` is there already, and is left out."),
        ChangeKind::Clamped => format!("{at}: {from} is taken for {}.", escape(&to)),
    }
}

pub(super) fn finding(finding: &Finding) -> FindingDocument {
    FindingDocument {
        severity: match finding.severity {
            Severity::Error => SeverityDocument::Error,
            Severity::Warning => SeverityDocument::Warning,
        },
        code: finding.code.to_string(),
        pointer: finding.pointer.to_string(),
        line: finding.line,
        column: finding.column,
        message: finding.message.clone(),
        hint: finding.hint.clone(),
    }
}

fn change(change: &Change) -> ChangeDocument {
    ChangeDocument {
        pointer: change.pointer.to_string(),
        kind: change.kind.as_str().to_string(),
        from: change.from.clone(),
        to: change.to.clone(),
    }
}
