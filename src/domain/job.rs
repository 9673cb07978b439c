//! Jobs: validated operations, as set in the settings or on the command line.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

pub use self::patterns::PathPatterns;
pub(in crate::domain) use self::patterns::{glob, has_wildcard};
pub use self::selector::{GenerationsOperation, ProfileSelector};
use super::accept::Acceptance;
use super::blocker::CheckCode;
use super::budget::DiskGoal;
use super::collect::CollectMethod;
use super::leftover::LeftoversOperation;
use super::limits::Limits;
use super::measure::{Bytes, Span, Timestamp};
use super::plan::Action;
use super::profile::{GenerationNumber, ProfilePath};
use super::protected::ProtectedPaths;
use super::risk::RiskLevel;
use super::root_rules::{RootRule, RuleVerdict};

mod patterns;
mod selector;

/// The name of a job: 1 to 50 letters, digits, `_` or `-`, beginning with a letter or digit.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
#[derive(schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct JobName(String);

/// A text that cannot name a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid job name; use 1 to 50 letters, digits, `_` and `-`, starting with a letter or digit"
)]
pub struct NotAJobName(String);

impl TryFrom<String> for JobName {
    type Error = NotAJobName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if begins && text.len() <= 50 && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(NotAJobName(text))
        }
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0
    }
}

impl JobName {
    /// The name of what a person marks in `browse`. Its runs are not those of a job of the settings, and say nothing about what one
    /// usually removes.
    pub fn by_hand() -> Self {
        Self("browse".to_string())
    }

    /// Whether it is that name.
    pub fn is_by_hand(&self) -> bool {
        *self == Self::by_hand()
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job with everything that bears on it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// Actions above this level stop the run.
    pub max_risk: RiskLevel,
    /// Refuses critical actions whatever `max_risk` says.
    pub safe_mode: bool,
    /// How long what was dropped is held.
    pub undo_window: Span,
    /// What the settings protect.
    pub protect: Arc<Protect>,
    /// The disk goal; with one the job removes only as much as it needs.
    pub budget: Option<DiskGoal>,
    /// Per-run limits: what a run may do without a confirmation.
    pub limits: Limits,
    /// What its owner lets pass although it would stop a run.
    pub accept: BTreeSet<CheckCode>,
    /// What the settings accept, each at a place and for a reason.
    pub accepted: Arc<[Acceptance]>,
    /// What to do.
    pub operations: Operations,
}

/// What no operation may take away.
#[derive(Debug, Clone, Default)]
pub struct Protect {
    /// Generations that the settings pin.
    pub generations: Vec<ProtectedGeneration>,
    /// Roots whose link matches one of these.
    pub roots: PathPatterns,
    /// Paths that no operation removes.
    pub paths: ProtectedPaths,
}

/// A generation that the settings pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedGeneration {
    /// Which profile.
    pub profile: ProfileRef,
    /// Which generation.
    pub number: GenerationNumber,
    /// Why.
    pub reason: Option<String>,
}

/// A profile as a person names it: by path or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileRef {
    /// By its path.
    Path(ProfilePath),
    /// By its short name, such as `alice/home-manager`, or by the last part of it: then every profile of that name is meant, so
    /// that a pin protects too much rather than too little.
    Name(String),
}

impl ProfileRef {
    /// Reads what a person wrote; `None` for an empty text or a relative path.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            ProfilePath::new(Utf8Path::new(text)).ok().map(Self::Path)
        } else {
            let mut parts = text.split('/');
            let is_short = parts.clone().count() <= 2;
            let is_name = is_short && parts.all(|part| !matches!(part, "" | "." | ".."));
            is_name.then(|| Self::Name(text.to_string()))
        }
    }

    /// Whether the profile is meant.
    pub fn names(&self, profile: &ProfilePath) -> bool {
        match self {
            Self::Path(path) => path == profile,
            Self::Name(name) => {
                let short = profile.short();
                // Of a path, the last part; the short name of a container's system is that of the container.
                short == *name || short.rsplit('/').next() == Some(name)
            }
        }
    }
}

/// The operations of a job; each is there or not, and they run in this order.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    /// Thin out generations.
    pub generations: Option<GenerationsOperation>,
    /// Remove roots.
    pub roots: Option<RootsOperation>,
    /// Remove files of Nix beside the store.
    pub leftovers: LeftoversOperation,
    /// Collect garbage.
    pub collect: Option<CollectOperation>,
    /// Refresh the boot menu.
    pub boot_menu: Option<BootMenuOperation>,
    /// What is done to the store after that, in order.
    pub maintenance: Vec<Action>,
}

impl Operations {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.generations.is_none()
            && self.roots.is_none()
            && self.leftovers.is_empty()
            && self.collect.is_none()
            && self.boot_menu.is_none()
            && self.maintenance.is_empty()
    }
}

/// The boot menu follows the generations of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootMenuOperation {
    /// The least that is free on its file system.
    pub min_free: Option<Bytes>,
}

/// How garbage is collected, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CollectOperation {
    /// How.
    pub method: CollectMethod,
    /// Paths registered within this time are kept, with everything that they need.
    pub keep_recent: Option<Span>,
    /// The flakes whose locked inputs are kept.
    pub keep_flake_inputs: Vec<Utf8PathBuf>,
    /// Whether what live paths were built with is kept.
    pub keep_build_dependencies: bool,
    /// Whether a budget deletes dead source trees before other dead paths.
    pub sources_first: bool,
}

/// Something that is kept although it is dead, together with a full collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{key} needs method selective or auto")]
pub struct NeedsSelective {
    /// The key that keeps it.
    pub key: &'static str,
}

impl CollectOperation {
    /// Checks that what is kept can be kept: Nix's own collector deletes everything that is dead.
    ///
    /// # Errors
    /// When something is kept from a full collection.
    pub fn check(&self) -> Result<(), NeedsSelective> {
        let keeps = [
            ("keepRecent", self.keep_recent.is_some()),
            ("keepFlakeInputs", !self.keep_flake_inputs.is_empty()),
            ("keepBuildDependencies", self.keep_build_dependencies),
        ];
        let full = self.method == CollectMethod::Full;
        match keeps.into_iter().find(|(_, keeps)| full && *keeps) {
            Some((key, _)) => Err(NeedsSelective { key }),
            None => Ok(()),
        }
    }

    /// Only paths registered before this moment are deleted.
    pub fn cutoff(&self, now: Timestamp) -> Option<Timestamp> {
        let recent = self.keep_recent.filter(|age| !age.is_zero())?;
        let before = now.before(recent);
        // Nix counts seconds.
        Some(Timestamp::from_unix(before.to_unix().0, 0).unwrap_or(before))
    }
}

/// Which roots are removed.
#[derive(Debug, Clone, Default)]
pub struct RootsOperation {
    /// Entries whose link is gone.
    pub dangling: bool,
    /// Rules for links; the first one that fits a root decides.
    pub rules: Vec<RootRule>,
    /// Profiles of removed users in which nothing is younger than this.
    pub removed_users: Option<Span>,
}

impl RootsOperation {
    /// Whether it removes anything at all.
    pub fn removes_something(&self) -> bool {
        let removes = |rule: &RootRule| rule.verdict == RuleVerdict::Remove;
        self.dangling || self.rules.iter().any(removes) || self.removed_users.is_some()
    }
}

#[cfg(test)]
mod tests;
