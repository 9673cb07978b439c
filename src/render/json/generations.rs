//! The document of `generations --json`.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::Sizes;
use crate::domain::blocker::Blocker;
use crate::domain::boot_menu::BootMenu;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::Note;
use crate::domain::profile::{
    Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfileNames,
};
use crate::domain::snapshot::{Pin, Snapshot};
use crate::domain::store_path::StorePath;
use crate::domain::system_info::SystemInfo;

/// The profiles and their generations.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationsDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/generations/2"))]
    pub schema: &'static str,
    /// When the snapshot was taken.
    pub taken_at: Timestamp,
    /// Every profile.
    pub profiles: Vec<ProfileDocument>,
    /// Failed safety checks.
    pub failed_checks: Vec<Blocker>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// A profile.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileDocument {
    /// Path of its link.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its short name, such as `alice/home-manager`; its path if two profiles share the name.
    pub short_name: String,
    /// Its kind.
    pub kind: ProfileKind,
    /// Owner of its directory.
    pub owner: Owner,
    /// The number of the current generation; null if unknown.
    pub current: Option<GenerationNumber>,
    /// Why no generation of it is ever removed; null if there is no such reason.
    pub problem: Option<String>,
    /// Its generations, by number.
    pub generations: Vec<GenerationDocument>,
}

/// A generation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationDocument {
    /// Its number.
    pub number: GenerationNumber,
    /// Path of its link.
    pub link: String,
    /// Target of its link.
    pub target: String,
    /// Modification time of its link.
    pub created: Timestamp,
    /// Flags.
    pub flags: Vec<Flag>,
    /// The NAR size of its closure, by references; null if the store database was not read.
    pub closure_bytes: Option<Bytes>,
    /// Its exclusive size: the NAR size of the paths that would be dead without it; null as above.
    pub exclusive_bytes: Option<Bytes>,
    /// The NAR size of the paths that would be dead without this and all older generations of the profile; null as above.
    pub frees_with_older_bytes: Option<Bytes>,
    /// The size of the files of the boot menu that only this generation uses; null for other profiles, and for one that is not on a
    /// menu that could be read.
    pub boot_bytes: Option<Bytes>,
    /// What the closure of a system says of itself; null for other profiles, and where there is no closure.
    pub system: Option<SystemInfo>,
}

/// What is known of systems, by store path.
pub type Systems = HashMap<StorePath<String>, SystemInfo>;

/// A flag of a generation.
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
    systems: &Systems,
) -> GenerationsDocument {
    let names = snapshot.profiles.iter().map(|profile| &profile.path);
    let names: ProfileNames<'_> = names.collect();
    let profile = |profile: &Profile| {
        let pins = match job {
            Some(job) => job.pins_of(profile, snapshot),
            None => snapshot.pins.clone(),
        };
        let generations = profile.generations.values();
        let generations = generations.map(|generation| GenerationDocument {
            flags: flags(profile, generation, snapshot, &pins),
            ..generation_document(profile, generation, sizes, systems)
        });
        ProfileDocument {
            path: profile.path.to_string(),
            name: profile.path.name().to_string(),
            short_name: names.of(&profile.path),
            kind: profile.kind,
            owner: profile.owner.clone(),
            current: profile.current(),
            problem: problem(profile),
            generations: generations.collect(),
        }
    };
    GenerationsDocument {
        schema: "nix-prune/generations/2",
        taken_at: snapshot.taken_at,
        profiles: snapshot.profiles.iter().map(profile).collect(),
        failed_checks: snapshot.blockers.clone(),
        notes: Vec::new(),
    }
}

impl GenerationsDocument {
    /// Adds what each generation takes on the file system of the boot menu.
    pub fn add_boot_menu(&mut self, menu: &BootMenu, snapshot: &Snapshot) {
        for (document, profile) in self.profiles.iter_mut().zip(&snapshot.profiles) {
            for generation in &mut document.generations {
                generation.boot_bytes = menu.bytes_alone(profile, generation.number);
            }
        }
    }
}

fn problem(profile: &Profile) -> Option<String> {
    match (&profile.current, &profile.blocked) {
        (_, Some(why)) => Some(why.clone()),
        (Current::Unknown(why), None) => Some(why.to_string()),
        (Current::Known(_), None) => None,
    }
}

fn generation_document(
    profile: &Profile,
    generation: &Generation,
    sizes: Option<&Sizes>,
    systems: &Systems,
) -> GenerationDocument {
    let link = profile.path.link(generation.number);
    let path = generation.content.store_path();
    let size = sizes.map(|sizes| sizes.of(&link, path)).unwrap_or_default();
    GenerationDocument {
        number: generation.number,
        link: link.into_string(),
        target: generation.target.to_string(),
        created: generation.created,
        flags: Vec::new(),
        closure_bytes: size.closure,
        exclusive_bytes: size.exclusive,
        frees_with_older_bytes: size.with_older,
        boot_bytes: None,
        system: path.and_then(|path| systems.get(path)).cloned(),
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
