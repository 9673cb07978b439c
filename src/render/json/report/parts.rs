//! The parts of the store by who keeps them, each by package.

use schemars::JsonSchema;
use serde::Serialize;

use super::PackageSumDocument;
use crate::domain::analysis::{Keeper, Part, StoreAnalysis};
use crate::domain::profile::Owner;
use crate::domain::snapshot::Snapshot;
use crate::render::json::usage::{self, profile_names};
use crate::render::json::{FreesDocument, PartDocument};

/// A part of the store, by package.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorePartDocument {
    /// The part.
    #[serde(flatten)]
    pub part: PartDocument,
    /// The owner of the profile; null for other parts.
    pub owner: Option<Owner>,
    /// Its largest packages, and all that are large beside the store.
    pub packages: Vec<PackageSumDocument>,
    /// Number of its other packages.
    pub other_packages: u64,
    /// The paths of the other packages.
    pub others: FreesDocument,
}

/// The parts of a store, without those that do not exist.
pub(super) fn parts(
    store: &StoreAnalysis,
    snapshot: &Snapshot,
    division: &[Part],
) -> Vec<StorePartDocument> {
    let names = profile_names(division.iter().map(|part| &part.keeper));
    let all = store.graph().nar_size(&store.everything());
    let document = |part: &Part| {
        let packages = store.packages_of(part, all);
        Some(StorePartDocument {
            part: usage::part(&store.share_of(part), &names)?,
            owner: owner(&part.keeper, snapshot),
            packages: packages.largest.iter().map(Into::into).collect(),
            other_packages: packages.others,
            others: packages.weight_of_others.into(),
        })
    };
    division.iter().filter_map(document).collect()
}

fn owner(keeper: &Keeper, snapshot: &Snapshot) -> Option<Owner> {
    let Keeper::Profile(path) = keeper else {
        return None;
    };
    let mut profiles = snapshot.profiles.iter();
    let profile = profiles.find(|profile| profile.path == *path)?;
    Some(profile.owner.clone())
}
