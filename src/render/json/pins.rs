//! The document of `pin list --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::job::{ProfileRef, ProtectedGeneration};
use crate::domain::measure::Timestamp;
use crate::domain::profile::{GenerationNumber, Profile};
use crate::domain::snapshot::Snapshot;

/// The pins.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinListDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/pin-list/1"))]
    pub schema: &'static str,
    /// Every pin, by profile and number.
    pub pins: Vec<ListedPinDocument>,
}

/// A pin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedPinDocument {
    /// The path of the profile; its name in the settings if there is no such profile.
    pub profile: String,
    /// The generation.
    pub number: GenerationNumber,
    /// What pinned it.
    pub source: PinSource,
    /// Why it is pinned.
    pub reason: Option<String>,
    /// End of the pin; null if there is none.
    pub until: Option<Timestamp>,
    /// Whether it keeps a generation.
    pub state: PinState,
}

/// What pinned a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PinSource {
    /// `nix-prune pin`.
    Command,
    /// `protect.generations` of the settings.
    Settings,
}

/// Whether a pin keeps a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PinState {
    /// It does.
    Active,
    /// It has ended.
    Ended,
    /// There is no such generation.
    Missing,
}

/// The pins of a snapshot and of the settings.
pub fn pin_list(snapshot: &Snapshot, protected: &[ProtectedGeneration]) -> PinListDocument {
    let state = |number, until: Option<Timestamp>, profile: Option<&Profile>| {
        let exists = profile.is_some_and(|it| it.generations.contains_key(&number));
        match until.is_some_and(|until| until <= snapshot.taken_at) {
            true => PinState::Ended,
            false if exists => PinState::Active,
            false => PinState::Missing,
        }
    };
    let recorded = snapshot.pins.iter().map(|pin| {
        let mut profiles = snapshot.profiles.iter();
        let profile = profiles.find(|profile| profile.path == pin.profile);
        ListedPinDocument {
            profile: pin.profile.to_string(),
            number: pin.number,
            source: PinSource::Command,
            reason: pin.reason.clone(),
            until: pin.until,
            state: state(pin.number, pin.until, profile),
        }
    });
    let from_settings = protected.iter().flat_map(|pin| {
        let named = snapshot.profiles.iter();
        let named = named.filter(|profile| pin.profile.names(&profile.path));
        let mut named: Vec<Option<&Profile>> = named.map(Some).collect();
        if named.is_empty() {
            named.push(None);
        }
        named.into_iter().map(|profile| ListedPinDocument {
            profile: match (profile, &pin.profile) {
                (Some(profile), _) => profile.path.to_string(),
                (None, ProfileRef::Path(path)) => path.to_string(),
                (None, ProfileRef::Name(name)) => name.clone(),
            },
            number: pin.number,
            source: PinSource::Settings,
            reason: pin.reason.clone(),
            until: None,
            state: state(pin.number, None, profile),
        })
    });
    let mut pins: Vec<_> = recorded.chain(from_settings).collect();
    pins.sort();
    pins.dedup();
    PinListDocument {
        schema: "nix-prune/pin-list/1",
        pins,
    }
}
