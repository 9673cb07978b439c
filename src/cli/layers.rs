//! The settings files in use, their precedence, and whether they can be trusted.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::context::{Context, SettingsText, invalid};
use super::failure::{Exit, Failure};
use crate::adapters::nix_dirs::variable;
use crate::domain::snapshot::Actor;
use crate::settings::{Finding, Layer, OutOfRange, Platform, Report, Settings, stack};

/// The file for the whole machine.
const SYSTEM: &str = "/etc/nix-prune/config.json";

impl Context {
    /// The effective settings: those of every existing file, merged, each valid by itself.
    ///
    /// # Errors
    /// When a file cannot be read, is not valid, or, as root, could have been written by another user; nothing is
    /// assumed instead.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        if let Some(settings) = self.known_settings.get() {
            return Ok(settings.clone());
        }
        let settings = self.read_layers()?;
        Ok(self.known_settings.get_or_init(|| settings).clone())
    }

    fn read_layers(&self) -> Result<Settings, Failure> {
        let layers = self.layers()?;
        let stack = stack(&layers, Platform::HERE).map_err(|findings| together(&findings))?;
        let Some(stack) = stack else {
            return Self::builtin();
        };
        if let [_, _, ..] = layers.as_slice() {
            for finding in &stack.findings {
                tracing::warn!("the settings together: {finding}");
            }
        }
        Ok(stack.settings)
    }

    /// The content of each existing file, the lowest first.
    ///
    /// # Errors
    /// As [`Context::settings`].
    pub(super) fn layers(&self) -> Result<Vec<Layer>, Failure> {
        let paths = self.settings_paths()?.into_iter();
        paths.map(|path| layer(&self.settings_at(path)?)).collect()
    }

    /// The existing files, the lowest first.
    ///
    /// # Errors
    /// When the environment names invalid places.
    pub(super) fn settings_paths(&self) -> Result<Vec<Utf8PathBuf>, Failure> {
        let said = self.global.config.clone();
        if self.ignore_default_files {
            return Ok(said.into_iter().collect());
        }
        let found = [Some(SYSTEM.into()), self.own_settings()?];
        // A dangling link is a file that somebody meant to exist: it counts, and reading it fails.
        let there = |path: &Utf8PathBuf| !matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound);
        let mut paths: Vec<Utf8PathBuf> = found.into_iter().flatten().filter(there).collect();
        paths.extend(said);
        Ok(without_duplicates(paths))
    }

    /// The file for new settings: the machine's for root, the user's own otherwise.
    ///
    /// # Errors
    /// When the environment names no such place.
    pub(super) fn new_settings_path(&self) -> Result<Utf8PathBuf, Failure> {
        if let Some(path) = &self.global.config {
            return Ok(path.clone());
        }
        if self.actor == Actor::Root {
            return Ok(SYSTEM.into());
        }
        self.own_settings()?.ok_or_else(|| {
            let message =
                "neither HOME nor XDG_CONFIG_HOME is set, so there is no directory for settings";
            Failure::new(Exit::Usage, message).hint("Name a file with --output.")
        })
    }

    /// The settings file of the user. Root ignores a home of another user, as `sudo` may leave it in `HOME`: its owner
    /// could put any file there. Nix does the same.
    fn own_settings(&self) -> Result<Option<Utf8PathBuf>, Failure> {
        let dir = match (variable("XDG_CONFIG_HOME")?, &self.places.home) {
            (Some(xdg), _) => xdg,
            (None, Some(home)) => home.join(".config"),
            (None, None) => return Ok(None),
        };
        let file = dir.join("nix-prune/config.json");
        let of_root = self.actor == Actor::Root;
        if of_root && file.symlink_metadata().is_ok() && owner_in(&dir).is_some_and(|uid| uid != 0)
        {
            tracing::warn!(
                "{file} is ignored because root does not own the home it is in; use --config, or move its \
                 protections to {SYSTEM}"
            );
            return Ok(None);
        }
        Ok(Some(file))
    }
}

/// The owner of the directory, or of the home that contains it. If one of them is not root's, nothing below it is.
fn owner_in(dir: &Utf8Path) -> Option<u32> {
    let owners = dir.ancestors().filter_map(|dir| dir.metadata().ok());
    let mut owners = owners.map(|metadata| metadata.uid());
    owners.find(|&uid| uid != 0)
}

/// Removes duplicates, by links or by hand; the highest of them counts.
fn without_duplicates(paths: Vec<Utf8PathBuf>) -> Vec<Utf8PathBuf> {
    let real = |path: &Utf8PathBuf| path.canonicalize_utf8().unwrap_or_else(|_| path.clone());
    let reals: Vec<Utf8PathBuf> = paths.iter().map(real).collect();
    let last =
        |index: usize, path: &Utf8PathBuf| !reals.iter().skip(index + 1).any(|later| later == path);
    let keep: Vec<bool> = reals.iter().enumerate().map(|(i, p)| last(i, p)).collect();
    let paths = paths.into_iter().zip(keep);
    paths
        .filter_map(|(path, keep)| keep.then_some(path))
        .collect()
}

/// The content of a text, which must be valid by itself.
///
/// # Errors
/// When it is not.
pub(super) fn layer(text: &SettingsText) -> Result<Layer, Failure> {
    let report = Report::of(&text.text, Platform::HERE, OutOfRange::Refuse);
    let (Some(settings), Some(written)) = (report.settings, report.written) else {
        return Err(invalid(text, &report.findings));
    };
    for finding in report.findings {
        tracing::warn!("{}: {finding}", text.name);
    }
    for change in report.changes {
        tracing::debug!("{}: {change:?}", text.name);
    }
    Ok(Layer {
        name: text.name.clone(),
        settings,
        written,
    })
}

/// The error for files that are each valid and cannot be used together.
pub(super) fn together(findings: &[Finding]) -> Failure {
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let message = format!(
        "the settings files cannot be used together: {}",
        findings.join("; ")
    );
    Failure::new(Exit::Config, message).hint("`nix-prune config check` reports on each file.")
}
