use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::Sizes;
use crate::domain::blocker::Blocker;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::plan::pins_of;
use crate::domain::profile::{Current, Generation, GenerationNumber, Owner, Profile, ProfileKind};
use crate::domain::snapshot::{Pin, Snapshot};
use crate::domain::store_path::StorePath;

/// The profiles and their generations.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationsDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/generations/1"))]
    pub schema: &'static str,
    /// When the look began.
    pub taken_at: Timestamp,
    /// Every profile.
    pub profiles: Vec<ProfileDocument>,
    /// What could not be read.
    pub refusals: Vec<Blocker>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A profile.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileDocument {
    /// Where its link is.
    pub path: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: ProfileKind,
    /// Whose directory it lies in.
    pub owner: Owner,
    /// The number of the current generation; null when it cannot be told.
    pub current: Option<GenerationNumber>,
    /// Why nothing of it is ever touched; null when there is no such reason.
    pub problem: Option<String>,
    /// Its generations by number.
    pub generations: Vec<GenerationDocument>,
}

/// A generation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationDocument {
    /// Its number.
    pub number: GenerationNumber,
    /// Where its link is.
    pub link: String,
    /// The text of its link.
    pub target: String,
    /// The time of its link.
    pub created: Timestamp,
    /// What is special about it.
    pub flags: Vec<Flag>,
    /// The size of its closure, by references; null where the store's database was not read.
    pub closure_bytes: Option<Bytes>,
    /// The size of what would be dead without it; null as above.
    pub only_here_bytes: Option<Bytes>,
}

/// What is special about a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Flag {
    /// It is the current one.
    Current,
    /// The machine was booted with it.
    Booted,
    /// The machine is running it.
    Running,
    /// It is pinned.
    Pinned,
    /// A hold keeps its closure as well.
    Held,
}

impl Flag {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Booted => "booted",
            Self::Running => "running",
            Self::Pinned => "pinned",
            Self::Held => "held",
        }
    }
}

/// The profiles and generations of a snapshot, with what each costs where that is known. A job adds the pins of the
/// settings.
pub fn generations(
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
    sizes: Option<&Sizes>,
) -> GenerationsDocument {
    let profile = |profile: &Profile| {
        let pins = match job {
            Some(job) => pins_of(profile, snapshot, job),
            None => snapshot.pins.clone(),
        };
        profile_document(profile, snapshot, &pins, sizes)
    };
    GenerationsDocument {
        schema: "nix-prune/generations/1",
        taken_at: snapshot.taken_at,
        profiles: snapshot.profiles.iter().map(profile).collect(),
        refusals: snapshot.refusals.clone(),
        notes: Vec::new(),
    }
}

fn profile_document(
    profile: &Profile,
    snapshot: &Snapshot,
    pins: &[Pin],
    sizes: Option<&Sizes>,
) -> ProfileDocument {
    let problem = match (&profile.current, &profile.blocked) {
        (_, Some(why)) => Some(why.clone()),
        (Current::Unknown(why), None) => Some(why.to_string()),
        (Current::Known(_), None) => None,
    };
    let size_of = |generation: &Generation| {
        let link = profile.path.link(generation.number);
        let path = generation.content.store_path();
        sizes.map(|sizes| sizes.of(&link, path)).unwrap_or_default()
    };
    let generation = |generation: &Generation| GenerationDocument {
        number: generation.number,
        link: profile.path.link(generation.number).into_string(),
        target: generation.target.to_string(),
        created: generation.created,
        flags: flags(profile, generation, snapshot, pins),
        closure_bytes: size_of(generation).closure,
        only_here_bytes: size_of(generation).only_here,
    };
    ProfileDocument {
        path: profile.path.to_string(),
        name: profile.path.name().to_string(),
        kind: profile.kind,
        owner: profile.owner.clone(),
        current: profile.current(),
        problem,
        generations: profile.generations.values().map(generation).collect(),
    }
}

fn flags(
    profile: &Profile,
    generation: &Generation,
    snapshot: &Snapshot,
    pins: &[Pin],
) -> Vec<Flag> {
    let path = generation.content.store_path();
    let one_of = |systems: &[StorePath<String>]| systems.iter().any(|s| generation.offers(s));
    let pinned = pins.iter().any(|pin| {
        pin.profile == profile.path
            && pin.number == generation.number
            && pin.until.is_none_or(|until| until > snapshot.taken_at)
    });
    let held = |path: &StorePath<String>| {
        snapshot
            .holds
            .iter()
            .any(|h| h.intact && h.store_path == *path)
    };
    let all = [
        (Flag::Current, profile.current() == Some(generation.number)),
        (Flag::Booted, one_of(&snapshot.booted)),
        (Flag::Running, one_of(&snapshot.running)),
        (Flag::Pinned, pinned),
        (Flag::Held, path.is_some_and(held)),
    ];
    all.into_iter()
        .filter(|(_, is)| *is)
        .map(|(flag, _)| flag)
        .collect()
}
