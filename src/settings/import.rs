//! Takes over what other tools' flags and files mean, as settings of ours; pure: files come through [`Around::read`].
//!
//! Nothing here removes a generation or a root that the other tool keeps: where ours cannot say the same it keeps more, and
//! a note says so. Dead store paths may be deleted sooner, which a note says as well. A flag that is not the tool's is an error, for a slip of the pen must not become a policy.

mod angrr;
mod collect_garbage;
mod draft;
mod flags;
mod harmonia;
mod nh;
mod nix_sweep;
mod shell;
mod spans;
#[cfg(test)]
mod tests;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::domain::nearest::nearest;

/// A tool whose settings can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The options `nix.gc` of NixOS, home-manager and nix-darwin, written as flags: `--options '…'`.
    NixGc,
    /// `nh clean`.
    Nh,
    /// angrr: its TOML file.
    Angrr,
    /// `nix-sweep cleanout`, `nix-sweep gc`, and its presets.
    NixSweep,
    /// `nix-collect-garbage`.
    NixCollectGarbage,
    /// harmonia-gc, formerly fast-nix-gc, and the options `services.harmonia.gc`.
    HarmoniaGc,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NixGc,
        Self::Nh,
        Self::Angrr,
        Self::NixSweep,
        Self::NixCollectGarbage,
        Self::HarmoniaGc,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NixGc => "nix-gc",
            Self::Nh => "nh",
            Self::Angrr => "angrr",
            Self::NixSweep => "nix-sweep",
            Self::NixCollectGarbage => "nix-collect-garbage",
            Self::HarmoniaGc => "harmonia-gc",
        }
    }

    /// The tool of that name.
    ///
    /// # Errors
    /// When there is none, with the one that was perhaps meant.
    pub fn named(name: &str) -> Result<Self, ImportError> {
        if name == "fast-nix-gc" {
            return Ok(Self::HarmoniaGc);
        }
        let known = || Self::ALL.into_iter();
        known().find(|tool| tool.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = known().map(Self::as_str).collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(meant) => format!("Did you mean `{meant}`?"),
                None => format!("Known: {}.", names.join(", ")),
            };
            ImportError::new(format!("unknown tool `{name}`"), hint)
        })
    }
}

/// Whose profiles the settings are for, where the other tool decides it by who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The machine's: root runs it.
    System,
    /// One user's.
    User,
}

/// What the meaning of flags hangs on.
pub struct Around<'a> {
    /// Whose profiles are meant.
    pub scope: Scope,
    /// The home that `~` stands for.
    pub home: Option<&'a Utf8Path>,
    /// The name of the user.
    pub user: Option<&'a str>,
    /// Nix's state directory.
    pub state_dir: &'a Utf8Path,
    /// The home of the user of that number.
    pub home_of: &'a dyn Fn(u32) -> Option<Utf8PathBuf>,
    /// What is in a directory; nothing where it cannot be read.
    pub entries: &'a dyn Fn(&Utf8Path) -> Vec<Entry>,
    /// Reads a file that a flag names.
    pub read: &'a dyn Fn(&Utf8Path) -> Result<String, ImportError>,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it says, where it is a link.
    pub link: Option<String>,
}

impl Around<'_> {
    /// The profiles directly in a directory: links to a generation of their own.
    fn profiles_in(&self, dir: &Utf8Path) -> Vec<Utf8PathBuf> {
        let mut profiles: Vec<Utf8PathBuf> = (self.entries)(dir)
            .into_iter()
            .filter(|entry| {
                entry
                    .link
                    .as_deref()
                    .is_some_and(|to| is_generation(&entry.name, to))
            })
            .map(|entry| dir.join(entry.name))
            .collect();
        profiles.sort();
        profiles
    }

    /// The directory of a user's profiles in Nix's state directory.
    fn per_user(&self, user: &str) -> Utf8PathBuf {
        self.state_dir.join("profiles/per-user").join(user)
    }

    fn in_home(&self, below: &str) -> Result<Utf8PathBuf, ImportError> {
        let home = self.home.filter(|home| home.is_absolute());
        home.map(|home| home.join(below)).ok_or_else(|| {
            ImportError::new(
                "the home that `~` stands for is not known",
                "Set HOME to the absolute path of the user's home.",
            )
        })
    }
}

fn is_generation(profile: &str, link: &str) -> bool {
    let name = link.rsplit('/').next().unwrap_or(link);
    let number = name
        .strip_prefix(profile)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix("-link"));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The settings, as JSON.
    pub text: String,
    /// What a reader must know about them.
    pub notes: Vec<Note>,
}

/// One thing that is not, or not quite, the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// The flag or key.
    pub about: String,
    /// What is the matter with it.
    pub kind: NoteKind,
    /// It in words.
    pub message: String,
}

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// There is nothing here that does it, and it was left out.
    NoEquivalent,
    /// It means something else here.
    Different,
    /// More is kept than there.
    KeepsMore,
    /// More dead store paths are deleted than there; never a generation or a root.
    DeletesMore,
}

/// Why nothing was taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImportError {
    /// What is wrong.
    pub message: String,
    /// What to do now.
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

/// Takes over the flags of a tool.
///
/// # Errors
/// When a flag is not the tool's, a value is none, or what is left does nothing.
pub fn import(tool: Tool, words: &[String], around: &Around<'_>) -> Result<Imported, ImportError> {
    let draft = match tool {
        Tool::NixGc => collect_garbage::nix_gc(words),
        Tool::NixCollectGarbage => collect_garbage::collect_garbage(words),
        Tool::Nh => nh::nh(words, around),
        Tool::Angrr => angrr::angrr(words, around),
        Tool::HarmoniaGc => harmonia::harmonia(words, around),
        Tool::NixSweep => nix_sweep::nix_sweep(words, around),
    };
    draft?.finish()
}
