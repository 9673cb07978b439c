//! The document of `du --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::{Keeper, Share};
use crate::domain::budget::Disk;
use crate::domain::leftover::{LeftoverClass, LeftoverSum};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::Note;
use crate::domain::profile::{ProfileNames, ProfilePath};
use crate::domain::receipt::RunId;

/// The store, by who keeps what.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/usage/1"))]
    pub schema: &'static str,
    /// The store directory.
    pub store: String,
    /// How full its file system is; null if unknown.
    pub disk: Option<Disk>,
    /// The parts of the store; they add up to it.
    pub parts: Vec<PartDocument>,
    /// What Nix left beside the store, old and in use, by class.
    pub leftovers: Vec<LeftoverDocument>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// The leftovers of a class.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftoverDocument {
    /// The class.
    pub class: LeftoverClass,
    /// All of its entries.
    #[serde(flatten)]
    pub sum: LeftoverSum,
}

/// A part of the store.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartDocument {
    /// Who keeps it.
    pub keeper: KeeperDocument,
    /// The profile; null for other parts.
    pub profile: Option<ProfilePath>,
    /// Its short name; null for other parts.
    pub short_name: Option<String>,
    /// The run that made the holds; null for other parts.
    pub run: Option<RunId>,
    /// When these holds end; null for other parts.
    pub until: Option<Timestamp>,
    /// Number of roots.
    pub roots: usize,
    /// Number of paths that only these roots keep.
    pub paths: u64,
    /// Their NAR size.
    pub nar_bytes: Bytes,
}

/// Who keeps a part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeeperDocument {
    /// The generations of a profile.
    Profile,
    /// Other links.
    Roots,
    /// Holds of nix-prune.
    Hold,
    /// Processes and temporary roots, and no link.
    Process,
    /// Several of these.
    Shared,
    /// Nobody.
    Dead,
}

/// The parts of a store, without those that do not exist.
pub fn usage(
    store: &str,
    disk: Option<Disk>,
    shares: &[Share],
    leftovers: &[(LeftoverClass, LeftoverSum)],
    notes: Vec<Note>,
) -> UsageDocument {
    let names = profile_names(shares.iter().map(|share| &share.keeper));
    UsageDocument {
        schema: "nix-prune/usage/1",
        store: store.to_string(),
        disk,
        parts: shares
            .iter()
            .filter_map(|share| part(share, &names))
            .collect(),
        leftovers: leftover_documents(leftovers),
        notes,
    }
}

/// The leftovers by class.
pub(super) fn leftover_documents(
    leftovers: &[(LeftoverClass, LeftoverSum)],
) -> Vec<LeftoverDocument> {
    let document = |&(class, sum): &(_, _)| LeftoverDocument { class, sum };
    leftovers.iter().map(document).collect()
}

/// The names of the profiles among the keepers.
pub(super) fn profile_names<'a>(keepers: impl Iterator<Item = &'a Keeper>) -> ProfileNames<'a> {
    let profiles = keepers.filter_map(|keeper| match keeper {
        Keeper::Profile(path) => Some(path),
        _ => None,
    });
    profiles.collect()
}

/// A part; `None` where it does not exist.
pub(super) fn part(share: &Share, names: &ProfileNames<'_>) -> Option<PartDocument> {
    let exists = share.weight.paths > 0 || (share.roots > 0 && share.keeper != Keeper::Processes);
    let part = |keeper| PartDocument {
        keeper,
        profile: None,
        short_name: None,
        run: None,
        until: None,
        roots: share.roots,
        paths: share.weight.paths,
        nar_bytes: share.weight.nar_bytes,
    };
    exists.then(|| match &share.keeper {
        Keeper::Profile(path) => PartDocument {
            short_name: Some(names.of(path)),
            profile: Some(path.clone()),
            ..part(KeeperDocument::Profile)
        },
        Keeper::Holds { run, until } => PartDocument {
            run: Some(run.clone()),
            until: Some(*until),
            ..part(KeeperDocument::Hold)
        },
        Keeper::OtherRoots => part(KeeperDocument::Roots),
        Keeper::UnknownHolds => part(KeeperDocument::Hold),
        Keeper::Processes => part(KeeperDocument::Process),
        Keeper::Shared => part(KeeperDocument::Shared),
        Keeper::Dead => part(KeeperDocument::Dead),
    })
}
