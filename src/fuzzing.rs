//! Fuzz targets: every parser of external input, and a test that runs the kept inputs.
//!
//! Built for tests and with `--cfg fuzzing` only.

#[cfg(test)]
mod tests;

use crate::adapters::{boot, http, journal, nix_cli, plan_file, survey};
use crate::cli;
use crate::settings;

/// A reader, or several that read the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Settings: reading, mending, checking, comparing, and drawing what is wrong.
    Settings,
    /// Names and texts of links: generations, profiles, roots; lock files of flakes; and the files of
    /// boot menus.
    Links,
    /// What Nix prints: roots in both quotings, what was freed, what is refused, paths with what is registered of them,
    /// outputs of derivations, versions.
    Nix,
    /// The journal: records, the steps behind them, pins, what was seen.
    Journal,
    /// A saved plan.
    Plan,
    /// The head of a request to `serve`.
    Request,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Settings,
        Self::Links,
        Self::Nix,
        Self::Journal,
        Self::Plan,
        Self::Request,
    ];

    /// Its name, which is that of its binary and of the directory of its inputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Links => "links",
            Self::Nix => "nix",
            Self::Journal => "journal",
            Self::Plan => "plan",
            Self::Request => "request",
        }
    }

    /// Reads an input; ends the process, or the test, when something does not hold.
    pub fn run(self, input: &[u8]) {
        let text = std::str::from_utf8(input);
        match (self, text) {
            (Self::Links, text) => {
                survey::fuzzing::read(input);
                boot::fuzzing::read(input, text.ok());
            }
            (Self::Nix, text) => nix_cli::fuzzing::read(input, text.ok()),
            (Self::Request, _) => http::fuzzing::request(input),
            // The others come from files, which are refused when they are not UTF-8.
            (_, Err(_)) => {}
            (Self::Settings, Ok(text)) => cli::fuzzing::build(text, &settings::fuzzing::read(text)),
            (Self::Journal, Ok(text)) => journal::fuzzing::read(text),
            (Self::Plan, Ok(text)) => plan_file::fuzzing::read(text),
        }
    }
}
