//! The snapshot: everything observed before a decision.

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8PathBuf;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::baseline::SnapshotScope;
use super::blocker::{Blocker, CheckCode};
use super::boot_menu::BootState;
use super::leftover::Leftovers;
use super::measure::Timestamp;
use super::note::Note;
use super::profile::{GenerationNumber, Profile, ProfilePath};
use super::receipt::RunId;
use super::root::GcRoot;
use super::root_use::LinkUse;
use super::store_path::{StoreDir, StorePath};
use super::uptimes::Uptimes;

/// The state of a machine's profiles and roots at one moment. The only clock a decision knows is `taken_at`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the look began.
    pub taken_at: Timestamp,
    /// The zone whose calendar the buckets follow.
    pub zone: TimeZone,
    /// Which machine, store and state directory this is; a saved plan of another one is refused.
    pub machine: MachineId,
    /// The store directory.
    pub store: StoreDir,
    /// Nix's state directory.
    pub state_dir: Utf8PathBuf,
    /// Who looks, and would act.
    pub actor: Actor,
    /// Every profile found, in the order of their paths.
    pub profiles: Vec<Profile>,
    /// Every root found.
    pub roots: Vec<GcRoot>,
    /// The use of links that rules may remove, where it was asked for.
    pub uses: BTreeMap<Utf8PathBuf, LinkUse>,
    /// The systems the machine was booted with.
    pub booted: Vec<StorePath<String>>,
    /// The systems the machine is running.
    pub running: Vec<StorePath<String>>,
    /// Generations that are never dropped.
    pub pins: Vec<Pin>,
    /// What is held for an undo.
    pub holds: Vec<Hold>,
    /// Roots that are gone since the last run, in the order of their links.
    pub vanished: Vec<VanishedRoot>,
    /// The flakes whose locked inputs are among the roots, as far as they could be read.
    pub flakes: Vec<Utf8PathBuf>,
    /// The boot menu, and the system that writes it.
    pub boot: BootState,
    /// How long the machine ran each of its systems, as far as runs have seen it.
    pub uptimes: Uptimes,
    /// Leftovers, where a job asks for them.
    pub leftovers: Vec<Leftovers>,
    /// Where roots are and lead to.
    pub scope: SnapshotScope,
    /// What could not be read.
    pub blockers: Vec<Blocker>,
    /// What a reader should know and need not act on.
    pub notes: Vec<Note>,
    /// The roots of other users that we could not read and nix-daemon, which collects, can: what they keep only looks dead.
    pub unseen_roots: Option<String>,
}

impl Snapshot {
    /// What hides roots, so that it is not known what is alive.
    pub fn hidden_roots(&self) -> impl Iterator<Item = &Blocker> {
        let hides = |blocker: &&Blocker| blocker.code == CheckCode::RootsUnreadable;
        self.blockers.iter().filter(hides)
    }
}

/// Identifies a machine, store and state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(schemars::JsonSchema)]
pub struct MachineId(pub String);

/// The user on whose behalf we act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Root: may act on every profile.
    Root,
    /// An ordinary user: may act on what lies in directories of their own.
    User(u32),
}

impl Actor {
    /// Whether a profile in a directory of `uid` may be changed by us.
    pub fn may_act_for(self, uid: u32) -> bool {
        match self {
            Self::Root => true,
            Self::User(own) => own == uid,
        }
    }
}

/// A generation that is never dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Which profile.
    pub profile: ProfilePath,
    /// Which generation.
    pub number: GenerationNumber,
    /// Why, in its owner's words.
    pub reason: Option<String>,
    /// Until when; without it, for good.
    pub until: Option<Timestamp>,
}

/// A root of ours that keeps a closure until its undo window ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The run that made it.
    pub run: RunId,
    /// The root's link.
    pub link: Utf8PathBuf,
    /// What it holds.
    pub store_path: StorePath<String>,
    /// What it takes the place of.
    pub held: Held,
    /// When the undo window ends.
    pub until: Timestamp,
    /// Whether link and path are still there.
    pub intact: bool,
}

/// What a hold takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Held {
    /// A generation that we dropped.
    Generation {
        /// Its profile.
        profile: ProfilePath,
        /// The number it had.
        number: GenerationNumber,
    },
    /// A root that was there at one run and gone at the next.
    Root {
        /// The link that it was.
        #[schemars(with = "String")]
        root: Utf8PathBuf,
    },
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation { profile, number } => write!(f, "generation {number} of {profile}"),
            Self::Root { root } => write!(f, "the former target of {root}"),
        }
    }
}

/// A root that the last run saw, and that is gone without our doing, while what it kept is still there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VanishedRoot {
    /// The link that it was.
    pub link: Utf8PathBuf,
    /// The store path that it led to.
    pub store_path: StorePath<String>,
}
