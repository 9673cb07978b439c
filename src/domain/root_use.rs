//! The last use of a root's link, and the sign that it was seen by.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::measure::Timestamp;

/// What is known of the use of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkUse {
    /// Its project could not be looked at.
    Unknown(String),
    /// A process works in its project.
    Process(u32),
    /// It was looked at.
    Seen(SeenUse),
}

/// What was seen of a link and its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenUse {
    /// The last use.
    pub last: LastUse,
    /// Whether its project is gone, and only what was built for it is left.
    pub project_gone: bool,
    /// Whether it is on a file system that has neither the machine's files, nor the store, nor its owner's home.
    pub elsewhere: bool,
    /// Whether it cannot be removed with the rights of its owner.
    pub out_of_reach: bool,
}

/// The last use, by the latest sign of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct LastUse {
    /// When it was.
    pub at: Timestamp,
    /// How that is known.
    pub signal: UseSignal,
}

/// A sign that a project is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub enum UseSignal {
    /// The time of the link: when it was made, or `nix-prune touch`.
    Link,
    /// The time of a file in `.direnv` or `.devenv`.
    Environment,
    /// The time of `.envrc`, `flake.nix`, `flake.lock`, `shell.nix`, `default.nix`, `devenv.nix`, `devenv.yaml` or `devenv.lock`.
    ProjectFile,
    /// The time of git's index, `HEAD` or its log.
    Git,
    /// When `.envrc` or a file that direnv reads was last read, where the file system keeps that.
    Access,
}

impl fmt::Display for UseSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Environment => "environment",
            Self::ProjectFile => "project file",
            Self::Git => "git",
            Self::Access => "access",
        })
    }
}
