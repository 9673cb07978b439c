//! `config check`: validates settings.

use super::super::args::{CheckArgs, Level};
use super::super::context::{Context, SettingsText};
use super::super::failure::{Exit, Failure};
use super::super::out;
use super::findings;
use crate::render::json::{self, ChangeDocument, FindingDocument, SeverityDocument};
use crate::render::text::escape;
use crate::settings::{
    Change, ChangeKind, Finding, Layer, OutOfRange, Platform, Report, Severity, stack,
};

/// Checks one file, or all files in use: each by itself, and all of them together.
pub(super) fn check(context: &Context, args: &CheckArgs) -> Result<Exit, Failure> {
    let texts = texts(context, args)?;
    let clamping = if args.sanitize {
        OutOfRange::Clamp
    } else {
        OutOfRange::Refuse
    };
    let checked: Vec<Checked> = texts
        .into_iter()
        .map(|text| Checked::of(text, clamping, args.level))
        .collect();
    let together = judge(together(&checked), args.level);
    let findings = || checked.iter().flat_map(|checked| &checked.findings);
    let valid = (findings().chain(&together)).all(|f| f.severity == Severity::Warning);
    if args.json.json {
        let mut findings: Vec<FindingDocument> = Vec::new();
        let mut changes = Vec::new();
        for Checked {
            text,
            report,
            findings: found,
        } in &checked
        {
            findings.extend(found.iter().map(|f| finding(Some(&text.name), f)));
            changes.extend(report.changes.iter().map(|c| change(&text.name, c)));
        }
        findings.extend(together.iter().map(|f| finding(None, f)));
        out::json(&json::config_check(valid, findings, changes))?;
    } else {
        let mut parts: Vec<String> = checked.iter().map(|c| summary(context, c)).collect();
        parts.extend(
            together
                .iter()
                .map(|f| format!("All files together: {}.", escape(&f.to_string()))),
        );
        out::text(&parts.join("\n"));
    }
    Ok(if valid { Exit::Done } else { Exit::Config })
}

/// A file and its findings.
struct Checked {
    text: SettingsText,
    report: Report,
    /// The findings that count at the requested level.
    findings: Vec<Finding>,
}

impl Checked {
    fn of(text: SettingsText, clamping: OutOfRange, level: Level) -> Self {
        let mut report = Report::of(&text.text, Platform::HERE, clamping);
        let findings = judge(std::mem::take(&mut report.findings), level);
        Self {
            text,
            report,
            findings,
        }
    }
}

fn texts(context: &Context, args: &CheckArgs) -> Result<Vec<SettingsText>, Failure> {
    if let Some(file) = &args.file {
        return Ok(vec![SettingsText::of(file)?]);
    }
    let paths = context.settings_paths()?;
    if paths.is_empty() {
        return Ok(vec![SettingsText::builtin()]);
    }
    paths
        .into_iter()
        .map(|path| context.settings_at(path))
        .collect()
}

/// Findings that only several files together can have; none while one of them is not valid.
fn together(checked: &[Checked]) -> Vec<Finding> {
    let layers = checked.iter().map(|Checked { text, report, .. }| {
        Some(Layer {
            name: text.name.clone(),
            settings: report.settings.clone()?,
            written: report.written.clone()?,
        })
    });
    let layers: Option<Vec<Layer>> = layers.collect();
    match layers.as_deref() {
        Some(layers @ [_, _, ..]) => match stack(layers, Platform::HERE) {
            Ok(stack) => stack.map_or(Vec::new(), |stack| stack.findings),
            Err(findings) => findings,
        },
        _ => Vec::new(),
    }
}

/// The findings that count at this level.
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

fn summary(context: &Context, checked: &Checked) -> String {
    let (text, findings, changes) = (&checked.text, &checked.findings, &checked.report.changes);
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
        (errors, 0) => format!("{name}: invalid, {}.", counted(errors, "error")),
        (errors, warnings) => format!(
            "{name}: invalid, {} and {}.",
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
        ChangeKind::Whitespace => format!("{at}: white space around `{from}` is removed."),
        ChangeKind::Duplicate => format!("{at}: `{from}` is listed already and is removed."),
        ChangeKind::Clamped => format!("{at}: {from} is out of range; {} is used.", escape(&to)),
    }
}

pub(super) fn finding(file: Option<&str>, finding: &Finding) -> FindingDocument {
    FindingDocument {
        file: file.map(str::to_string),
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

fn change(file: &str, change: &Change) -> ChangeDocument {
    ChangeDocument {
        file: file.to_string(),
        pointer: change.pointer.to_string(),
        kind: change.kind.as_str().to_string(),
        from: change.from.clone(),
        to: change.to.clone(),
    }
}
