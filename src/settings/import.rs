//! Converts the flags and files of other tools to settings; pure: files come through [`ImportContext::read`].
//!
//! The result removes no generation and no root that the other tool keeps. Where a rule cannot be expressed it keeps more,
//! or deletes dead store paths sooner, and a note reports it. An unknown flag is an error: a typo must not become a policy.

mod angrr;
mod collectors;
mod draft;
mod durations;
mod flags;
mod home_manager;
mod meanings;
mod nh;
mod nix_sweep;
mod shell;
#[cfg(test)]
mod tests;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;

use self::draft::Draft;
use crate::domain::nearest::nearest;
use crate::domain::profile::ProfilePath;

type Result<T = (), E = ImportError> = std::result::Result<T, E>;
type Convert = fn(&[String], &ImportContext<'_>, &mut Draft) -> Result;

/// The tools whose settings can be imported.
const TOOLS: [(&str, Convert); 8] = [
    ("nix-gc", collectors::nix_gc),
    ("nix-collect-garbage", collectors::collect_garbage),
    ("harmonia-gc", collectors::harmonia_gc),
    ("fast-nix-gc", collectors::harmonia_gc),
    ("home-manager", home_manager::home_manager),
    ("nh", nh::nh),
    ("nix-sweep", nix_sweep::nix_sweep),
    ("angrr", angrr::angrr),
];

/// Whose profiles the settings cover, where the other tool decides by the user who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The profiles of the machine: root runs it.
    System,
    /// The profiles of one user.
    User,
}

/// What the meaning of flags depends on.
pub struct ImportContext<'a> {
    /// Whose profiles the settings cover.
    pub scope: Scope,
    /// The home directory that `~` stands for.
    pub home: Option<&'a Utf8Path>,
    /// The name of the user.
    pub user: Option<&'a str>,
    /// Nix's state directory.
    pub state_dir: &'a Utf8Path,
    /// The home directory of a user, by number.
    pub home_of: &'a dyn Fn(u32) -> Option<Utf8PathBuf>,
    /// The entries of a directory; none if it cannot be read.
    pub entries: &'a dyn Fn(&Utf8Path) -> Vec<Entry>,
    /// Reads a file that a flag names.
    pub read: &'a dyn Fn(&Utf8Path) -> Result<String, ImportError>,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The target, if it is a link.
    pub link: Option<String>,
}

impl ImportContext<'_> {
    /// The profiles directly in a directory: links to a generation of their own.
    fn profiles_in(&self, dir: &Utf8Path) -> Vec<Utf8PathBuf> {
        let is_profile = |entry: &Entry| {
            let name = entry.link.as_deref().and_then(|to| to.rsplit('/').next());
            let profile = ProfilePath::new(&dir.join(&entry.name)).ok();
            name.is_some_and(|name| profile.is_some_and(|it| it.number_of(name).is_some()))
        };
        let entries = (self.entries)(dir).into_iter().filter(is_profile);
        let mut profiles: Vec<_> = entries.map(|entry| dir.join(entry.name)).collect();
        profiles.sort();
        profiles
    }

    /// The directory of a user's profiles in Nix's state directory.
    fn per_user(&self, user: &str) -> Utf8PathBuf {
        self.state_dir.join("profiles/per-user").join(user)
    }

    fn in_home(&self, below: &str) -> Result<Utf8PathBuf> {
        let home = self.home.filter(|home| home.is_absolute());
        home.map(|home| home.join(below)).ok_or_else(|| {
            ImportError::new(
                "the home directory that `~` stands for is not known",
                "Set HOME to the absolute path of the home directory.",
            )
        })
    }
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The settings, as JSON.
    pub text: String,
    /// The differences.
    pub notes: Vec<Note>,
}

/// One difference between the settings and the other tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The flag or key.
    pub about: String,
    /// The kind of difference.
    pub kind: NoteKind,
    /// The difference in words.
    pub message: String,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// Nothing here does the same; it is left out.
    NoEquivalent,
    /// It has another meaning here.
    Different,
    /// The settings keep more.
    KeepsMore,
    /// The settings delete more dead store paths, never a generation or a root.
    DeletesMore,
}

/// Why nothing was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImportError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl ImportError {
    /// With a hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Imports the flags of a tool.
///
/// # Errors
/// When there is no such tool, it has no such flag, a value is none, or what is left does nothing.
pub fn import(
    tool: &str,
    words: &[String],
    context: &ImportContext<'_>,
) -> Result<Imported, ImportError> {
    let found = TOOLS.iter().find(|(name, _)| *name == tool);
    let (_, convert) = found.ok_or_else(|| {
        let names = TOOLS.map(|(name, _)| name);
        let hint = match nearest(tool, names) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => format!("Known: {}.", names.join(", ")),
        };
        ImportError::new(format!("unknown tool `{tool}`"), hint)
    })?;
    let mut draft = Draft::default();
    convert(words, context, &mut draft)?;
    draft.finish()
}

/// A path that is the same wherever it is read.
fn absolute(path: &str) -> Result<String> {
    if path.starts_with('/') {
        return Ok(path.to_string());
    }
    Err(ImportError::new(
        format!("`{path}` is not the absolute path of a profile"),
        "Write the whole path, from `/`.",
    ))
}

fn from_toml<T: DeserializeOwned>(
    file: &str,
    what: &str,
    context: &ImportContext<'_>,
) -> Result<T> {
    let text = (context.read)(file.into())?;
    toml::from_str(&text).map_err(|error| {
        let message = format!("{file} holds no {what}: {}", error.message());
        ImportError::new(message, "Correct the file.")
    })
}
