//! What a plan was made by, and what it is expected to free.

use serde::{Deserialize, Serialize};

use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::Note;
use crate::domain::profile::{GenerationNumber, Owner, ProfilePath};
use crate::domain::retention::KeepRules;

/// The keep rules of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKeep {
    /// The rules.
    pub rules: KeepRules,
    /// Whether they were given for this run, in place of the job's rules.
    pub overrides_job: bool,
}

/// A profile of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedProfile {
    /// The profile.
    pub profile: ProfilePath,
    /// Whose it is.
    pub owner: Owner,
    /// Its current generation, if it is known.
    pub current: Option<GenerationNumber>,
    /// The store paths that only its removed generations keep alive together, by NAR size; null where that was not computed.
    pub frees: Option<Bytes>,
}

/// What is expected to be freed; unknown is null.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// By NAR size.
    pub nar_bytes: Option<Bytes>,
    /// On disk.
    pub disk_bytes: Option<Bytes>,
    /// Whether `diskBytes` is an upper bound.
    pub disk_bytes_at_most: bool,
    /// How many store paths.
    pub paths: Option<u64>,
    /// What is freed besides when the holds of what is removed end.
    pub when_windows_end: Option<Later>,
    /// What the links of roots that are removed keep together, by NAR size.
    pub root_links: Option<Bytes>,
    /// What only the open holds of earlier runs keep.
    pub open_holds: Option<Later>,
    /// What a reader should know about these figures.
    pub notes: Vec<Note>,
}

/// What is freed later, if nothing else changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Later {
    /// By NAR size.
    pub nar_bytes: Bytes,
    /// How many store paths.
    pub paths: u64,
}

impl Prediction {
    /// The least that a run now has freed by a moment: at once, when the undo windows of what it removes end, and when the open holds of
    /// earlier runs do. Those count if all of them have ended, because their paths are known together alone.
    pub fn freed_by(
        &self,
        at: Timestamp,
        windows_end: Timestamp,
        last_hold_ends: Option<Timestamp>,
    ) -> Option<Later> {
        let (nar_bytes, paths) = self.nar_bytes.zip(self.paths)?;
        let now = Later { nar_bytes, paths };
        let new = self.when_windows_end.filter(|_| windows_end <= at);
        let old = self
            .open_holds
            .filter(|_| last_hold_ends.is_some_and(|end| end <= at));
        let later = [new, old].into_iter().flatten();
        Some(later.fold(now, |sum, later| Later {
            nar_bytes: Bytes(sum.nar_bytes.0.saturating_add(later.nar_bytes.0)),
            paths: sum.paths.saturating_add(later.paths),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::measure::Span;
    use rstest::rstest;

    /// Now 1, with the windows 10, with the open holds 100; the windows end on day 7.
    #[rstest]
    #[case::today(0, Some(9), 1)]
    #[case::before_the_windows_end(6, Some(9), 1)]
    #[case::windows(7, Some(9), 11)]
    #[case::holds(9, Some(9), 111)]
    #[case::holds_alone(5, Some(5), 101)]
    #[case::holds_of_unknown_end(30, None, 11)]
    fn what_has_ended_is_freed(#[case] day: u32, #[case] holds: Option<u32>, #[case] bytes: u64) {
        let at = |day| Timestamp::from_unix(0, 0).unwrap().after(Span::days(day));
        let later = |bytes| Later {
            nar_bytes: Bytes(bytes),
            paths: bytes,
        };
        let prediction = Prediction {
            nar_bytes: Some(Bytes(1)),
            paths: Some(1),
            when_windows_end: Some(later(10)),
            open_holds: Some(later(100)),
            ..Prediction::default()
        };
        let freed = prediction.freed_by(at(day), at(7), holds.map(at));
        assert_eq!(freed, Some(later(bytes)));
        let unknown = Prediction {
            nar_bytes: None,
            ..prediction
        };
        assert_eq!(unknown.freed_by(at(day), at(7), holds.map(at)), None);
    }
}
