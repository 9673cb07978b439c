//! Directories of profiles: their purpose, and whether root may act in them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use camino::Utf8PathBuf;

use crate::domain::profile::ProfileKind;
use crate::domain::snapshot::Actor;

use super::dirs::DirHandle;
use super::names::shown;
use super::users::Users;

/// The purpose of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DirKind {
    /// `$NIX_STATE_DIR/profiles`.
    Top,
    /// `system-profiles` in it.
    SystemProfiles,
    /// `system-manager-profiles` in it.
    SystemManager,
    /// `per-user` in it.
    PerUser,
    /// `per-container` in it.
    PerContainer,
    /// The directory of a container, which has it as its own `profiles`.
    OfContainer,
    /// A directory in that, such as the container's `per-user`.
    InContainer,
    /// A user's own directory of profiles.
    OfUser,
    /// Another one below `profiles`.
    Elsewhere,
    /// The directory of a profile that the settings name.
    Asked,
    /// A directory found through a root.
    Revealed,
}

impl DirKind {
    pub(super) fn kind(self, name: &str) -> ProfileKind {
        match (self, name) {
            (Self::Top, "system") => ProfileKind::System,
            (Self::Top, "default") => ProfileKind::Default,
            (Self::Top, "nix-on-droid") => ProfileKind::NixOnDroid,
            (Self::SystemProfiles, _) => ProfileKind::NamedSystem,
            (Self::SystemManager, "system-manager") => ProfileKind::SystemManager,
            (Self::OfContainer, "system") => ProfileKind::Container,
            (Self::OfUser, "channels") => ProfileKind::Channels,
            (Self::OfUser | Self::Asked | Self::Revealed, "home-manager") => {
                ProfileKind::HomeManager
            }
            (Self::OfUser, _) => ProfileKind::User,
            _ => ProfileKind::Other,
        }
    }

    /// The purpose of a subdirectory.
    pub(super) fn below(self, name: &str) -> Self {
        match (self, name) {
            (Self::Top, "system-profiles") => Self::SystemProfiles,
            (Self::Top, "system-manager-profiles") => Self::SystemManager,
            (Self::Top, "per-user") => Self::PerUser,
            (Self::Top, "per-container") => Self::PerContainer,
            (Self::PerContainer, _) => Self::OfContainer,
            (Self::OfContainer | Self::InContainer, _) => Self::InContainer,
            (Self::PerUser | Self::OfUser, _) => Self::OfUser,
            (Self::Revealed, _) => Self::Revealed,
            _ => Self::Elsewhere,
        }
    }
}

/// A directory to search.
#[derive(Debug)]
pub(super) struct ProfileDir {
    pub(super) place: DirHandle,
    pub(super) dir: Utf8PathBuf,
    pub(super) role: DirKind,
    /// A link on the way that somebody other than root could have made.
    pub(super) link: Option<PathBuf>,
    /// The requested profiles; `None` for all.
    pub(super) only: Option<BTreeSet<String>>,
    /// Whether `nix-collect-garbage -d` includes its profiles.
    pub(super) is_nix_own: bool,
    /// Whether the account of its owner is gone.
    pub(super) is_of_removed_user: bool,
}

impl ProfileDir {
    /// What a profile in it is for.
    pub(super) fn kind(&self, name: &str) -> ProfileKind {
        if self.is_of_removed_user {
            ProfileKind::RemovedUser
        } else {
            self.role.kind(name)
        }
    }

    /// A directory with nothing special about it.
    pub(super) fn new(place: DirHandle, dir: Utf8PathBuf, role: DirKind) -> Self {
        Self {
            place,
            dir,
            role,
            link: None,
            only: None,
            is_nix_own: false,
            is_of_removed_user: false,
        }
    }

    /// Why root must change nothing in this directory: anybody who can replace its content during an action would make
    /// root act on another place.
    pub(super) fn is_unsafe(&self, actor: Actor, users: &Users) -> Option<String> {
        if actor != Actor::Root {
            return None;
        }
        let (dir, uid) = (shown(&self.dir), self.place.uid());
        if let Some(link) = &self.link {
            let link = shown(link);
            return Some(format!(
                "{dir} is reached through the link {link}; only its owner can prune it"
            ));
        }
        if self.place.is_open_to_others() {
            return Some(format!("users other than its owner may write to {dir}"));
        }
        let is_of_container = matches!(self.role, DirKind::OfContainer | DirKind::InContainer);
        if is_of_container && uid != 0 {
            // A user of the machine with this number is somebody else.
            return Some(format!("{dir} belongs to user {uid} of a container"));
        }
        (uid != 0 && !users.knows(uid) && !self.is_of_removed_user).then(|| {
            format!(
                "{dir} belongs to user {uid}, who is not in the list of users; pins are unknown"
            )
        })
    }
}
