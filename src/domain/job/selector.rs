//! Which profiles lose generations.

use camino::{Utf8Path, Utf8PathBuf};

use super::{PathPatterns, has_wildcard};
use crate::domain::profile::{Profile, ProfileKind, ProfilePath};
use crate::domain::retention::KeepPolicy;

/// Which profiles lose generations, and which generations are kept.
#[derive(Debug, Clone)]
pub struct GenerationsOperation {
    /// The profiles.
    pub profiles: Vec<ProfileSelector>,
    /// The users, by name or number, whose profiles may be among them; empty for everybody's.
    pub users: Vec<String>,
    /// Which generations are kept.
    pub keep: KeepPolicy,
}

impl GenerationsOperation {
    /// Whether the job removes generations of the profile.
    pub fn selects(&self, profile: &Profile) -> bool {
        self.covers_owner(profile)
            && self
                .profiles
                .iter()
                .any(|selector| selector.selects(profile))
    }

    /// Whether the owner is one of `users`. A system belongs to the machine, and `users` is not about it.
    pub fn covers_owner(&self, profile: &Profile) -> bool {
        let is_listed = |user: &String| profile.owner.is_called(user);
        self.users.is_empty() || profile.kind.is_system() || self.users.iter().any(is_listed)
    }

    /// Whether a profile of this kind may be among its profiles.
    pub fn may_select(&self, kind: ProfileKind) -> bool {
        self.profiles.iter().any(|it| it.may_select(kind))
    }
}

/// A group of profiles, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSelector {
    /// `system`: the system profile and the named ones in `system-profiles`.
    System,
    /// `users`: users' own profiles, root's default and channels.
    Users,
    /// `home-manager`: every home-manager profile.
    HomeManager,
    /// `containers`: the systems of NixOS containers.
    Containers,
    /// `system-manager`: the system of system-manager.
    SystemManager,
    /// `nix-on-droid`: the system of nix-on-droid.
    NixOnDroid,
    /// `nix-collect-garbage`: what `nix-collect-garbage -d` takes in. Every profile in and below Nix's directories of
    /// profiles, the machine's and one's own, and in the directory of the one that `~/.nix-profile` leads to.
    NixCollectGarbage,
    /// Every profile whose path matches a pattern.
    Pattern(PathPatterns),
    /// One profile by its path.
    Path(ProfilePath),
}

impl ProfileSelector {
    /// The words that select profiles.
    pub const WORDS: [&str; 7] = [
        "system",
        "users",
        "home-manager",
        "containers",
        "system-manager",
        "nix-on-droid",
        "nix-collect-garbage",
    ];

    /// Reads one of [`Self::WORDS`], an absolute path, or a pattern for absolute paths.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "system" => Some(Self::System),
            "users" => Some(Self::Users),
            "home-manager" => Some(Self::HomeManager),
            "containers" => Some(Self::Containers),
            "system-manager" => Some(Self::SystemManager),
            "nix-on-droid" => Some(Self::NixOnDroid),
            "nix-collect-garbage" => Some(Self::NixCollectGarbage),
            path => {
                let profile = ProfilePath::new(Utf8Path::new(path)).ok()?;
                let is_pattern = has_wildcard(path);
                // A name may have a bracket that makes no pattern.
                let pattern = is_pattern.then(|| PathPatterns::new([path]).ok()).flatten();
                Some(pattern.map_or(Self::Path(profile), Self::Pattern))
            }
        }
    }

    /// The path of a profile that is asked for by path.
    pub fn path(&self) -> Option<Utf8PathBuf> {
        match self {
            Self::Path(path) => Some(path.to_path()),
            _ => None,
        }
    }

    /// Whether the profile is meant. Those of removed users have a rule of their own.
    pub fn selects(&self, profile: &Profile) -> bool {
        if profile.kind == ProfileKind::RemovedUser {
            return false;
        }
        match self {
            Self::NixCollectGarbage => profile.is_nix_own,
            Self::Pattern(pattern) => pattern.matches(&profile.path.to_path()),
            Self::Path(path) => profile.path == *path,
            group => group.may_select(profile.kind),
        }
    }

    /// Whether a profile of this kind may be meant.
    pub fn may_select(&self, kind: ProfileKind) -> bool {
        match self {
            Self::System => kind.boots_the_machine(),
            Self::Users => matches!(
                kind,
                ProfileKind::User | ProfileKind::Default | ProfileKind::Channels
            ),
            Self::HomeManager => kind == ProfileKind::HomeManager,
            Self::Containers => kind == ProfileKind::Container,
            Self::SystemManager => kind == ProfileKind::SystemManager,
            Self::NixOnDroid => kind == ProfileKind::NixOnDroid,
            Self::NixCollectGarbage | Self::Pattern(_) | Self::Path(_) => true,
        }
    }
}
