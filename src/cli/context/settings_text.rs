//! The text of settings, as a file or the program has it.

use camino::Utf8Path;

use super::SETTINGS_LIMIT;
use crate::adapters::files;
use crate::cli::config::findings::drawn;
use crate::cli::failure::{Exit, Failure};
use crate::ports::error_chain;
use crate::render::table::Style;
use crate::settings::{BUILTIN, Finding, Severity};

/// The text of settings and its name.
pub(in crate::cli) struct SettingsText {
    /// The path of the file, or that the settings are built in.
    pub(in crate::cli) name: String,
    /// The content.
    pub(in crate::cli) text: String,
}

impl SettingsText {
    /// Reads a file only to show it: anybody may have written it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(in crate::cli) fn of(file: &Utf8Path) -> Result<Self, Failure> {
        Ok(Self {
            name: file.to_string(),
            text: read_resolved(file)?,
        })
    }

    /// The built-in settings.
    pub(in crate::cli) fn builtin() -> Self {
        Self {
            name: "the built-in settings".to_string(),
            text: BUILTIN.to_string(),
        }
    }
}

/// Reads a file, with links resolved.
pub(in crate::cli) fn read_resolved(path: &Utf8Path) -> Result<String, Failure> {
    let real = path
        .canonicalize_utf8()
        .map_err(|error| unreadable(path, &error))?;
    files::read_bounded(&real, SETTINGS_LIMIT).map_err(|error| {
        unreadable(path, &error).hint("Make it readable, or name another one with --config.")
    })
}

pub(super) fn unreadable(path: &Utf8Path, error: &dyn std::error::Error) -> Failure {
    let message = format!("cannot read the settings {path}: {}", error_chain(error));
    Failure::new(Exit::Config, message)
}

pub(in crate::cli) fn invalid(text: &SettingsText, findings: &[Finding]) -> Failure {
    let plain = Style {
        color: false,
        width: None,
    };
    let errors: Vec<Finding> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .cloned()
        .collect();
    let message = format!("the settings {} are invalid; nothing was done", text.name);
    Failure::new(Exit::Config, message).hint(drawn(&text.name, &text.text, &errors, plain))
}
