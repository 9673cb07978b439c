//! `config show`: prints the effective settings and their origin.

use std::str::FromStr;

use super::super::args::ShowArgs;
use super::super::context::{Context, SettingsText, named_job};
use super::super::failure::{Exit, Failure};
use super::super::layers::{layer, together};
use super::super::out;
use super::check::finding;
use crate::render::json::{self, ConfigShowDocument, OriginDocument, ShownDocument};
use crate::render::text::escape;
use crate::settings::{Effective, Origin, Overrides, Platform, Shown};

/// Prints every value with its origin, or the document.
pub(super) fn show(context: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let document = document(context, args)?;
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&summary(&document));
        let sentence = |f: &json::FindingDocument| {
            format!(
                "{}: {}; {}.",
                escape(&f.pointer),
                escape(&f.message),
                escape(&f.hint)
            )
        };
        if !document.findings.is_empty() {
            out::eprint_lines(&document.findings.iter().map(sentence).collect::<Vec<_>>());
        }
    }
    Ok(Exit::Done)
}

fn document(context: &Context, args: &ShowArgs) -> Result<ConfigShowDocument, Failure> {
    let mut layers = context.layers()?;
    let files: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
    if layers.is_empty() {
        layers.push(layer(&SettingsText::builtin())?);
    }
    let shown = Effective::of(&layers, &overrides(args)?, Platform::HERE)
        .map_err(|findings| together(&findings))?
        .ok_or_else(|| Failure::new(Exit::Failed, "there are no settings"))?;
    let built_in = files.is_empty();
    let values = shown.values().into_iter();
    // Warnings of one file appear when it is read.
    let findings = if layers.len() > 1 {
        shown.findings.as_slice()
    } else {
        &[]
    };
    Ok(ConfigShowDocument {
        files,
        default_job: named_job(&shown.settings, None)
            .ok()
            .map(|job| job.name.to_string()),
        values: values
            .map(|value| value_document(value, built_in))
            .collect(),
        findings: findings.iter().map(|f| finding(None, f)).collect(),
        ..json::config_show(shown.document())
    })
}

fn overrides(args: &ShowArgs) -> Result<Overrides, Failure> {
    Ok(Overrides {
        undo_window: given(args.undo_window, "--undo-window", "NIX_PRUNE_UNDO_WINDOW")?,
        max_risk: given(args.max_risk, "--max-risk", "NIX_PRUNE_MAX_RISK")?,
    })
}

/// A flag takes precedence over the variable of the same meaning.
fn given<T: FromStr<Err: std::fmt::Display>>(
    flag: Option<T>,
    name: &str,
    variable: &str,
) -> Result<Option<(T, Origin)>, Failure> {
    if let Some(value) = flag {
        return Ok(Some((value, Origin::Flag(name.to_string()))));
    }
    #[expect(clippy::disallowed_methods, reason = "a layer of the settings")]
    let Some(text) = std::env::var_os(variable) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let value = text.parse().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("the variable {variable} cannot be used: {error}"),
        )
        .hint("Unset it, or correct it.")
    })?;
    Ok(Some((value, Origin::Environment(variable.to_string()))))
}

fn value_document(shown: Shown, built_in: bool) -> ShownDocument {
    let (from, name) = match shown.origin {
        Origin::Default => (OriginDocument::Default, None),
        Origin::File(_) if built_in => (OriginDocument::BuiltIn, None),
        Origin::File(name) => (OriginDocument::File, Some(name)),
        Origin::Environment(name) => (OriginDocument::Environment, Some(name)),
        Origin::Flag(name) => (OriginDocument::Flag, Some(name)),
        Origin::Policy => (OriginDocument::Policy, None),
        Origin::SafeMode => (OriginDocument::SafeMode, None),
    };
    ShownDocument {
        pointer: shown.pointer.to_string(),
        value: shown.value,
        from,
        name,
    }
}

/// Three columns, the value last, because it may be long. Files are numbered, because their names are long as well.
fn summary(document: &ConfigShowDocument) -> String {
    let files = match document.files.as_slice() {
        [] => "There are no settings files; the built-in settings are used.\n".to_string(),
        files => {
            let lines = files.iter().zip(1..);
            let lines = lines.map(|(file, n)| format!("  file {n}  {}\n", escape(file)));
            let head = if files.len() == 1 {
                "Settings:\n"
            } else {
                "Settings; later files take precedence:\n"
            };
            head.to_string() + &lines.collect::<String>()
        }
    };
    let job = match &document.default_job {
        Some(job) => format!("Default job: {}\n\n", escape(job)),
        None => "No default job: there are several, and none is called `default`.\n\n".to_string(),
    };
    let values = document.values.iter();
    let rows: Vec<[String; 3]> = values.map(|v| row(v, &document.files)).collect();
    let width = |column: fn(&[String; 3]) -> &String| {
        let widths = rows.iter().map(|row| column(row).chars().count());
        widths.max().unwrap_or(0)
    };
    let (pointers, origins) = (width(|[pointer, _, _]| pointer), width(|[_, from, _]| from));
    let lines = rows
        .iter()
        .map(|[pointer, from, value]| format!("{pointer:pointers$}  {from:origins$}  {value}\n"));
    files + &job + &lines.collect::<String>()
}

fn row(shown: &ShownDocument, files: &[String]) -> [String; 3] {
    let name = shown.name.clone().unwrap_or_default();
    let from = match shown.from {
        OriginDocument::Default => "default".to_string(),
        OriginDocument::BuiltIn => "built-in".to_string(),
        OriginDocument::File => {
            let number = files.iter().position(|file| *file == name).unwrap_or(0) + 1;
            format!("file {number}")
        }
        OriginDocument::Environment | OriginDocument::Flag => name,
        OriginDocument::Policy => "policy".to_string(),
        OriginDocument::SafeMode => "safe mode".to_string(),
    };
    [shown.pointer.clone(), from, shown.value.to_string()].map(|cell| escape(&cell))
}
