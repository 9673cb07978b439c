//! The documents of `hold list --json`, `pin PROFILE:N --json` and `unpin --json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::{Keeper, Share};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::domain::receipt::RunId;
use crate::domain::snapshot::{Held, Hold, Pin, Snapshot};
use crate::domain::store_path::StorePath;

/// The holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldsDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/holds/1"))]
    pub schema: &'static str,
    /// Every hold.
    pub holds: Vec<HoldDocument>,
    /// The runs that made them, in the order in which the holds end.
    pub runs: Vec<HeldRunDocument>,
}

/// The holds of a run that end together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldRunDocument {
    /// The run.
    pub run: RunId,
    /// When they end.
    pub until: Timestamp,
    /// Number of holds.
    pub holds: usize,
    /// NAR size of the paths that are dead once these and all earlier holds have ended, without those of the earlier
    /// ones; null if the store database was not read.
    pub nar_bytes: Option<Bytes>,
}

/// A hold.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldDocument {
    /// The run that made it.
    pub run: RunId,
    /// The removed generation or vanished root.
    #[serde(flatten)]
    pub held: Held,
    /// Its link.
    pub link: String,
    /// The base name of the held store path.
    pub store_path: StorePath<String>,
    /// End of its undo window.
    pub until: Timestamp,
    /// Whether its link and store path exist.
    pub intact: bool,
    /// Whether its undo window has ended.
    pub expired: bool,
}

/// The holds of a snapshot, with the parts of the store if they are known.
pub fn holds(snapshot: &Snapshot, shares: Option<&[Share]>) -> HoldsDocument {
    let mut counts: BTreeMap<(Timestamp, &RunId), usize> = BTreeMap::new();
    for hold in &snapshot.holds {
        *counts.entry((hold.until, &hold.run)).or_default() += 1;
    }
    let nar_bytes = |until: Timestamp, run: &RunId| {
        let is_of = |share: &&Share| match &share.keeper {
            Keeper::Holds {
                run: of,
                until: end,
            } => (of, *end) == (run, until),
            _ => false,
        };
        let share = shares?.iter().find(is_of);
        Some(share.map_or(Bytes(0), |share| share.weight.nar_bytes))
    };
    let runs = counts.into_iter();
    let runs = runs.map(|((until, run), holds)| HeldRunDocument {
        nar_bytes: nar_bytes(until, run),
        run: run.clone(),
        until,
        holds,
    });
    let hold = |hold: &Hold| HoldDocument {
        run: hold.run.clone(),
        held: hold.held.clone(),
        link: hold.link.to_string(),
        store_path: hold.store_path.clone(),
        until: hold.until,
        intact: hold.intact,
        expired: hold.until <= snapshot.taken_at,
    };
    HoldsDocument {
        schema: "nix-prune/holds/1",
        holds: snapshot.holds.iter().map(hold).collect(),
        runs: runs.collect(),
    }
}

/// Result of `pin` or `unpin`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/pin/1"))]
    pub schema: &'static str,
    /// The profile.
    pub profile: ProfilePath,
    /// The generation.
    pub number: GenerationNumber,
    /// Why it is pinned.
    pub reason: Option<String>,
    /// End of the pin; null if there is none.
    pub until: Option<Timestamp>,
    /// Whether the generation is pinned now.
    pub pinned: bool,
    /// Whether the command changed that.
    pub changed: bool,
}

/// A pin that was set (`pinned`) or taken away, and whether that changed anything.
pub fn pin(pin: &Pin, pinned: bool, changed: bool) -> PinDocument {
    PinDocument {
        schema: "nix-prune/pin/1",
        profile: pin.profile.clone(),
        number: pin.number,
        reason: pin.reason.clone(),
        until: pin.until,
        pinned,
        changed,
    }
}
