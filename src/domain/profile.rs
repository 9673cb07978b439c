//! Profiles and generations: a link `NAME` to `NAME-N-link` beside it.

use std::collections::BTreeMap;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::measure::Timestamp;
use super::store_path::StorePath;

mod names;

pub use names::ProfileNames;

/// The absolute path of a profile's link, such as `/nix/var/nix/profiles/system`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Utf8PathBuf", into = "Utf8PathBuf")]
#[derive(schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct ProfilePath {
    dir: Utf8PathBuf,
    name: String,
}

/// A path that cannot be a profile: relative, or without a name at its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an absolute path")]
pub struct NotAProfilePath(pub Utf8PathBuf);

impl ProfilePath {
    /// The profile called `name` in `dir`.
    ///
    /// # Errors
    /// When the path is not absolute or has no name.
    pub fn new(path: &Utf8Path) -> Result<Self, NotAProfilePath> {
        let error = || NotAProfilePath(path.to_path_buf());
        match (path.is_absolute(), path.parent(), path.file_name()) {
            (true, Some(dir), Some(name)) => Ok(Self {
                dir: dir.to_path_buf(),
                name: name.to_string(),
            }),
            _ => Err(error()),
        }
    }

    /// The directory that holds the profile's link and its generations' links.
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// The profile's name, `system` for instance.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole path.
    pub fn to_path(&self) -> Utf8PathBuf {
        self.dir.join(&self.name)
    }

    /// The base name of a generation's link.
    pub fn link_name(&self, number: GenerationNumber) -> String {
        format!("{}-{number}-link", self.name)
    }

    /// The path of a generation's link.
    pub fn link(&self, number: GenerationNumber) -> Utf8PathBuf {
        self.dir.join(self.link_name(number))
    }

    /// The number of the generation whose link has this base name; `None` for every other name.
    ///
    /// Exactly `NAME-N-link`: Nix's own parser also takes text behind `-link` and zeros before the number, but
    /// `nix-env` would then unlink another name than the one that was looked at.
    pub fn number_of(&self, link_name: &str) -> Option<GenerationNumber> {
        let digits = link_name
            .strip_prefix(&self.name)?
            .strip_prefix('-')?
            .strip_suffix("-link")?;
        let canonical = digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        canonical
            .then(|| digits.parse().ok().map(GenerationNumber))
            .flatten()
    }
}

impl fmt::Display for ProfilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_path().fmt(f)
    }
}

impl TryFrom<Utf8PathBuf> for ProfilePath {
    type Error = NotAProfilePath;
    fn try_from(path: Utf8PathBuf) -> Result<Self, Self::Error> {
        Self::new(&path)
    }
}

impl From<ProfilePath> for Utf8PathBuf {
    fn from(path: ProfilePath) -> Self {
        path.to_path()
    }
}

/// The number of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(schemars::JsonSchema)]
pub struct GenerationNumber(pub u32);

impl fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a profile is for; decides who selects it and what losing a generation of it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub enum ProfileKind {
    /// `profiles/system`: what the machine boots.
    System,
    /// A profile in `profiles/system-profiles`: a named boot profile.
    NamedSystem,
    /// Root's `profiles/default`.
    Default,
    /// A user's own profile.
    User,
    /// A `channels` profile.
    Channels,
    /// A home-manager profile.
    HomeManager,
    /// A profile in the directory of a user whose account is gone.
    RemovedUser,
    /// `system` in a directory of `profiles/per-container`: what a NixOS container boots.
    Container,
    /// `profiles/system-manager-profiles/system-manager`: the system of system-manager.
    SystemManager,
    /// `profiles/nix-on-droid`: the system of nix-on-droid.
    NixOnDroid,
    /// Anything else that was found or asked for.
    Other,
}

impl ProfileKind {
    /// The kinds whose generations are systems.
    pub const SYSTEMS: [Self; 5] = [
        Self::System,
        Self::NamedSystem,
        Self::Container,
        Self::SystemManager,
        Self::NixOnDroid,
    ];

    /// Whether its generations are systems: of the machine, or of something that runs on it.
    pub fn is_system(self) -> bool {
        Self::SYSTEMS.contains(&self)
    }

    /// Whether the machine boots from generations of this profile.
    pub fn boots_the_machine(self) -> bool {
        matches!(self, Self::System | Self::NamedSystem)
    }
}

/// The user that a directory or link belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The user's name, if the machine knows it.
    pub name: Option<String>,
}

impl Owner {
    /// Whether a text is the user's number, or their name if it is no number.
    pub fn is_called(&self, text: &str) -> bool {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            self.uid.to_string() == text
        } else {
            self.name.as_deref() == Some(text)
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.uid.fmt(f),
        }
    }
}

/// What stands behind a generation's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A store path on disk with what a boot loader needs (a kernel or a boot specification).
    Bootable(StorePath<String>),
    /// A store path on disk.
    Present(StorePath<String>),
    /// A store path that is not there any more.
    Missing(StorePath<String>),
    /// A link whose target is not a store path; it is never touched.
    Foreign,
}

impl Content {
    /// The store path, wherever it is.
    pub fn store_path(&self) -> Option<&StorePath<String>> {
        match self {
            Self::Bootable(path) | Self::Present(path) | Self::Missing(path) => Some(path),
            Self::Foreign => None,
        }
    }

    /// The store path, if it is on disk.
    pub fn on_disk(&self) -> Option<&StorePath<String>> {
        match self {
            Self::Bootable(path) | Self::Present(path) => Some(path),
            Self::Missing(_) | Self::Foreign => None,
        }
    }
}

/// One generation: a link and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: GenerationNumber,
    /// The text of its link.
    pub target: Utf8PathBuf,
    /// What stands behind the link.
    pub content: Content,
    /// The systems that it offers to boot beside its own: `specialisation/*`.
    pub specialisations: Vec<StorePath<String>>,
    /// The modification time of the link itself.
    pub created: Timestamp,
}

impl Generation {
    /// Whether a system is this generation's own or one of its specialisations.
    pub fn offers(&self, system: &StorePath<String>) -> bool {
        self.content.store_path() == Some(system) || self.specialisations.contains(system)
    }
}

/// Which generation is the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// The profile's link names this generation, and its link is there.
    Known(GenerationNumber),
    /// It is unknown, so no generation of the profile may be removed.
    Unknown(CurrentUnknown),
}

/// Why the current generation is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CurrentUnknown {
    /// The profile's link has vanished while its generations stayed.
    #[error("there are generations but no link to the current one")]
    NoLink,
    /// The profile is no symbolic link.
    #[error("it is not a symbolic link")]
    NotALink,
    /// The link's text is not `NAME-N-link`: absolute, of another profile, or straight into the store.
    /// `nix-env` would not know the current generation either, and its `old` would delete all of them.
    #[error("its link is `{0}`, not the bare name of one of its generations")]
    OtherText(String),
    /// The link names a generation that has no link.
    #[error("its link points to generation {0}, which does not exist")]
    Dangling(GenerationNumber),
}

/// A profile with all that its directory says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Where its link is.
    pub path: ProfilePath,
    /// What it is for.
    pub kind: ProfileKind,
    /// Whose directory it lies in.
    pub owner: Owner,
    /// Which generation is current.
    pub current: Current,
    /// Whether `nix-collect-garbage -d` of the calling user includes it.
    pub is_nix_own: bool,
    /// Its generations by number.
    pub generations: BTreeMap<GenerationNumber, Generation>,
    /// Why nothing of it may be touched, if there is such a reason beside `current`.
    pub blocked: Option<String>,
}

impl Profile {
    /// The number of the current generation, if it is known.
    pub fn current(&self) -> Option<GenerationNumber> {
        match self.current {
            Current::Known(number) => Some(number),
            Current::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("system", "system-1-link", Some(1))]
    #[case("system", "system-4294967295-link", Some(u32::MAX))]
    #[case("system", "system-4294967296-link", None)]
    #[case("system", "system-007-link", None)]
    #[case("system", "system-0-link", Some(0))]
    #[case("system", "system--1-link", None)]
    #[case("system", "system-+1-link", None)]
    #[case("system", "system--link", None)]
    #[case("system", "system-1-link~", None)]
    #[case("system", "system-1-linkage", None)]
    #[case("system", "system-1-link\n", None)]
    #[case("system", "system-profiles", None)]
    #[case("system", "system-manager-3-link", None)]
    #[case("system", "system-1-link-7-link", None)]
    #[case("system-1-link", "system-1-link-7-link", Some(7))]
    #[case("home-manager", "home-manager-12-link", Some(12))]
    #[case("a b", "a b-2-link", Some(2))]
    fn trap_7_names_are_matched_exactly(
        #[case] profile: &str,
        #[case] name: &str,
        #[case] number: Option<u32>,
    ) {
        let profile = ProfilePath::new(&Utf8Path::new("/p").join(profile)).unwrap();
        assert_eq!(profile.number_of(name), number.map(GenerationNumber));
        if let Some(number) = profile.number_of(name) {
            assert_eq!(profile.link_name(number), name);
        }
    }

    #[rstest]
    #[case("system")]
    #[case("/")]
    #[case("")]
    #[case("/p/..")]
    fn other_paths_are_no_profiles(#[case] path: &str) {
        assert!(ProfilePath::new(Utf8Path::new(path)).is_err());
    }
}
