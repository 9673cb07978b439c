//! The text of settings, as a file or the program has it.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;

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
    files::read_bounded(&real, SETTINGS_LIMIT).map_err(|error| unreadable(path, &error))
}

pub(super) fn unreadable(path: &Utf8Path, error: &(dyn Error + 'static)) -> Failure {
    let message = format!("cannot read the settings {path}: {}", error_chain(error));
    let mut causes = successors(Some(error), |&error| error.source());
    let missing = causes.any(|error| {
        let error = error.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == ErrorKind::NotFound)
    });
    let hint = if missing {
        "Name an existing file with --config or NIX_PRUNE_CONFIG; `nix-prune config init` writes a new one."
    } else {
        "Make it readable, or name another one with --config."
    };
    Failure::new(Exit::Config, message).hint(hint)
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
