//! GC roots that are links or files below `gcroots` and `profiles`.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::measure::Timestamp;
use super::profile::Owner;
use super::store_path::StorePath;

/// Where a root comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub enum RootKind {
    /// A generation of a profile.
    Profile,
    /// A `result` link of a build.
    Result,
    /// A link of direnv, in a `.direnv` directory.
    Direnv,
    /// A link of devenv, in a `.devenv` directory.
    Devenv,
    /// A link of lorri.
    Lorri,
    /// A link of cached-nix-shell.
    NixShell,
    /// A link of home-manager, `current-home` among them.
    Home,
    /// The booted or the running system.
    System,
    /// A link of a container.
    Container,
    /// A process that uses the path.
    Process,
    /// A temporary root of a running Nix command.
    Temporary,
    /// A hold of ours.
    Hold,
    /// A locked input of a flake that `keepFlakeInputs` names. Nix does not know it as a root.
    FlakeInput,
    /// Anything else.
    Other,
}

impl RootKind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Profile,
        Self::Result,
        Self::Direnv,
        Self::Devenv,
        Self::Lorri,
        Self::NixShell,
        Self::Home,
        Self::System,
        Self::Container,
        Self::Process,
        Self::Temporary,
        Self::Hold,
        Self::FlakeInput,
        Self::Other,
    ];

    /// Its word, as in the JSON documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Result => "result",
            Self::Direnv => "direnv",
            Self::Devenv => "devenv",
            Self::Lorri => "lorri",
            Self::NixShell => "nixShell",
            Self::Home => "home",
            Self::System => "system",
            Self::Container => "container",
            Self::Process => "process",
            Self::Temporary => "temporary",
            Self::Hold => "hold",
            Self::FlakeInput => "flakeInput",
            Self::Other => "other",
        }
    }

    /// Whether it lives and ends with a process.
    pub fn is_runtime(self) -> bool {
        matches!(self, Self::Process | Self::Temporary)
    }

    /// Whether somebody made it, who may miss what it keeps once it is gone.
    pub fn may_be_missed(self) -> bool {
        !self.is_runtime() && !matches!(self, Self::Hold | Self::FlakeInput)
    }
}

impl GcRoot {
    /// Whether it is what a released hold leaves: an entry of `gcroots/auto` that Nix drops with its next collection.
    pub fn is_released_hold(&self) -> bool {
        self.kind == RootKind::Hold && self.state == RootState::Dangling(Dangling::LinkGone)
    }
}

/// Whether a root keeps something alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootState {
    /// It leads to a store path that is there.
    Live,
    /// It leads nowhere.
    Dangling(Dangling),
    /// It could not be looked at.
    Unreadable(String),
}

/// Why a root leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dangling {
    /// The link that the entry names is gone, from a directory that is still there.
    LinkGone,
    /// The whole place that the entry names is gone: deleted, or not mounted now.
    ParentMissing,
    /// The link is there, its store path is not.
    PathGone,
    /// What the entry names is there and is no link into the store: it holds nothing.
    NotARoot,
}

/// Whether an entry is one of `gcroots/auto`: only from there Nix removes entries whose link is gone.
pub fn is_in_auto(entry: &Utf8Path) -> bool {
    entry
        .parent()
        .is_some_and(|dir| dir.ends_with("gcroots/auto"))
}

/// One root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcRoot {
    /// The link that leads into the store: a user's `result`, or the entry itself. Not exact where the file
    /// system's name is not UTF-8 (see `exact`).
    pub link: Utf8PathBuf,
    /// The entry below `gcroots` that leads to `link`, for an indirect root.
    pub entry: Option<Utf8PathBuf>,
    /// Whether the two names above are what the file system has, letter for letter.
    pub exact: bool,
    /// The text of the link.
    pub target: Option<Utf8PathBuf>,
    /// The store path that it keeps alive.
    pub store_path: Option<StorePath<String>>,
    /// Where it comes from.
    pub kind: RootKind,
    /// Whose link it is.
    pub owner: Option<Owner>,
    /// Whether it keeps something alive.
    pub state: RootState,
    /// The modification time of the link.
    pub made_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_in_json() {
        let schema = schemars::schema_for!(RootKind);
        let kinds = schema.get("oneOf").unwrap().as_array().unwrap();
        for kind in kinds {
            let kind: RootKind = serde_json::from_value(kind["const"].clone()).unwrap();
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(kinds.len(), RootKind::ALL.len());
    }

    #[test]
    fn what_nobody_made_is_not_missed() {
        let missed = RootKind::ALL.map(RootKind::may_be_missed);
        let never = [
            RootKind::Process,
            RootKind::Temporary,
            RootKind::Hold,
            RootKind::FlakeInput,
        ];
        assert_eq!(missed, RootKind::ALL.map(|kind| !never.contains(&kind)));
    }

    #[rstest::rstest]
    #[case("/nix/var/nix/gcroots/auto/0abc", true)]
    #[case("/nix/var/nix/gcroots/auto", false)]
    #[case("/nix/var/nix/gcroots/auto/a/0abc", false)]
    #[case("/nix/var/nix/gcroots/by-hand", false)]
    fn only_entries_of_auto_lie_there(#[case] entry: &str, #[case] is: bool) {
        assert_eq!(is_in_auto(Utf8Path::new(entry)), is);
    }
}
