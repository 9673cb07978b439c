//! Safety checks: named conditions that can stop a collection or a run, and never widen one.
//!
//! An owner can accept a check by its code, and the acceptance is recorded. A code is an interface for scripts and never changes its
//! meaning.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::accept::{self, Acceptance};
use super::nearest::nearest;

/// The name of a failed check; stable, for scripts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum CheckCode {
    /// A directory or link of a profile could not be read.
    #[serde(rename = "profile.unreadable")]
    ProfileUnreadable,
    /// The current generation of a profile is unknown.
    #[serde(rename = "profile.current-unknown")]
    CurrentUnknown,
    /// A profile that the settings name is not there.
    #[serde(rename = "profile.absent")]
    ProfileAbsent,
    /// A profile that the job asks for must not be touched.
    #[serde(rename = "profile.blocked")]
    ProfileBlocked,
    /// A name in a profile's directory looks like a generation but is none.
    #[serde(rename = "profile.odd-name")]
    OddName,
    /// A directory of roots, or a root in it, could not be read.
    #[serde(rename = "roots.unreadable")]
    RootsUnreadable,
    /// Roots are read with their owner's rights and Nix cannot read them, or generations of another user are no roots.
    #[serde(rename = "roots.hidden")]
    RootsHidden,
    /// Roots point into a home or file system that is not there now.
    #[serde(rename = "roots.away")]
    RootsAway,
    /// A directory of roots that the last run saw is gone.
    #[serde(rename = "roots.vanished")]
    RootsVanished,
    /// A generation is no root, so that a collection would delete its target.
    #[serde(rename = "profile.unrooted")]
    Unrooted,
    /// The lock file of a flake whose inputs are kept could not be read.
    #[serde(rename = "flake.unreadable")]
    FlakeUnreadable,
    /// The record of pins could not be read.
    #[serde(rename = "pins.unreadable")]
    PinsUnreadable,
    /// The record of an earlier run could not be read, so that its holds are not known.
    #[serde(rename = "journal.unreadable")]
    JournalUnreadable,
    /// Another state directory than the usual one is used, and that has pins or holds.
    #[serde(rename = "state.elsewhere")]
    StateElsewhere,
    /// The list of users could not be read.
    #[serde(rename = "users.unreadable")]
    UsersUnreadable,
    /// The store directory and the database are not of one store.
    #[serde(rename = "store.mismatch")]
    StoreMismatch,
    /// The database is damaged, so that Nix would delete live paths.
    #[serde(rename = "store.damaged")]
    StoreDamaged,
    /// The clock cannot be right.
    #[serde(rename = "clock.jumped")]
    ClockJumped,
    /// The plan removes more generations than one run may.
    #[serde(rename = "limits.generations")]
    LimitGenerations,
    /// The plan deletes more bytes than one run may.
    #[serde(rename = "limits.bytes")]
    LimitBytes,
    /// The plan removes far more generations than the last runs.
    #[serde(rename = "anomaly.generations")]
    AnomalyGenerations,
    /// The plan deletes far more bytes than the last runs.
    #[serde(rename = "anomaly.bytes")]
    AnomalyBytes,
    /// The last runs of the job failed, and nobody has acknowledged that.
    #[serde(rename = "job.paused")]
    JobPaused,
    /// The plan removes a far larger part of all generations than the last runs.
    #[serde(rename = "anomaly.share")]
    AnomalyShare,
}

/// What a failed check stands in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockScope {
    /// Nothing: it is only shown.
    Nothing,
    /// The profiles that it names: they keep every generation, and the rest is done.
    Profile,
    /// A collection.
    Collection,
    /// The whole run.
    Run,
}

impl CheckCode {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::ProfileUnreadable,
        Self::CurrentUnknown,
        Self::ProfileAbsent,
        Self::ProfileBlocked,
        Self::OddName,
        Self::RootsUnreadable,
        Self::RootsHidden,
        Self::RootsAway,
        Self::RootsVanished,
        Self::Unrooted,
        Self::FlakeUnreadable,
        Self::PinsUnreadable,
        Self::JournalUnreadable,
        Self::StateElsewhere,
        Self::UsersUnreadable,
        Self::StoreMismatch,
        Self::StoreDamaged,
        Self::ClockJumped,
        Self::LimitGenerations,
        Self::LimitBytes,
        Self::AnomalyGenerations,
        Self::AnomalyBytes,
        Self::AnomalyShare,
        Self::JobPaused,
    ];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProfileUnreadable => "profile.unreadable",
            Self::CurrentUnknown => "profile.current-unknown",
            Self::ProfileAbsent => "profile.absent",
            Self::ProfileBlocked => "profile.blocked",
            Self::OddName => "profile.odd-name",
            Self::RootsUnreadable => "roots.unreadable",
            Self::RootsHidden => "roots.hidden",
            Self::RootsAway => "roots.away",
            Self::RootsVanished => "roots.vanished",
            Self::Unrooted => "profile.unrooted",
            Self::FlakeUnreadable => "flake.unreadable",
            Self::PinsUnreadable => "pins.unreadable",
            Self::JournalUnreadable => "journal.unreadable",
            Self::StateElsewhere => "state.elsewhere",
            Self::UsersUnreadable => "users.unreadable",
            Self::StoreMismatch => "store.mismatch",
            Self::StoreDamaged => "store.damaged",
            Self::ClockJumped => "clock.jumped",
            Self::LimitGenerations => "limits.generations",
            Self::LimitBytes => "limits.bytes",
            Self::AnomalyGenerations => "anomaly.generations",
            Self::AnomalyBytes => "anomaly.bytes",
            Self::AnomalyShare => "anomaly.share",
            Self::JobPaused => "job.paused",
        }
    }

    /// An odd name beside a profile's generations stops nothing: it is not touched, Nix sees it as the root that it is,
    /// and no generation was mistaken for it.
    ///
    /// Hidden roots stop nothing either: garbage is collected by name then, without what they keep.
    ///
    /// A profile or a record of pins that cannot be read keeps generations from being removed. A collection takes nothing
    /// of them: generations are roots, and a root that cannot be read has a code of its own.
    const fn reach(self) -> BlockScope {
        match self {
            Self::OddName | Self::RootsHidden => BlockScope::Nothing,
            Self::ProfileUnreadable
            | Self::CurrentUnknown
            | Self::ProfileAbsent
            | Self::ProfileBlocked
            | Self::PinsUnreadable => BlockScope::Profile,
            Self::RootsUnreadable
            | Self::RootsAway
            | Self::RootsVanished
            | Self::Unrooted
            | Self::FlakeUnreadable
            | Self::JournalUnreadable
            | Self::UsersUnreadable
            | Self::StoreMismatch
            | Self::StoreDamaged => BlockScope::Collection,
            Self::StateElsewhere
            | Self::ClockJumped
            | Self::LimitGenerations
            | Self::LimitBytes
            | Self::AnomalyGenerations
            | Self::AnomalyBytes
            | Self::AnomalyShare
            | Self::JobPaused => BlockScope::Run,
        }
    }

    /// Whether nothing may be collected while this stands.
    pub fn stops_collection(self) -> bool {
        self.reach() == BlockScope::Collection
    }

    /// Whether it keeps the profiles that it names from being touched, and stops nothing else.
    pub fn keeps_profiles(self) -> bool {
        self.reach() == BlockScope::Profile
    }

    /// Whether nothing at all may be done while this stands.
    pub fn stops_run(self) -> bool {
        self.reach() == BlockScope::Run
    }

    /// Those that stand in the way of something, and that an owner can let pass.
    pub fn acceptable() -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(|code| code.reach() != BlockScope::Nothing)
    }
}

impl fmt::Display for CheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names nothing which can be let pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown check code `{text}`{} known codes: {}", meant(text), known())]
pub struct NotAcceptable {
    text: String,
}

fn meant(text: &str) -> String {
    let meant = nearest(text, CheckCode::acceptable().map(CheckCode::as_str));
    meant.map_or(";".to_string(), |code| format!(", did you mean `{code}`?"))
}

fn known() -> String {
    let names: Vec<&str> = CheckCode::acceptable().map(CheckCode::as_str).collect();
    names.join(", ")
}

impl FromStr for CheckCode {
    type Err = NotAcceptable;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut codes = Self::acceptable();
        codes
            .find(|code| code.as_str() == text)
            .ok_or_else(|| NotAcceptable {
                text: text.to_string(),
            })
    }
}

/// One thing that was refused.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Blocker {
    /// Its name.
    pub code: CheckCode,
    /// What happened, to what. It says nothing that changes by itself, for an acceptance holds for this message alone.
    pub message: String,
    /// What to do now.
    pub hint: String,
    /// The profiles, links and directories that it is about, if it is about such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub places: Vec<Utf8PathBuf>,
    /// Why the settings accept it; absent for what they do not accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Blocker {
    /// A failed check that is about no place.
    pub fn new(code: CheckCode, message: String, hint: String) -> Self {
        Self {
            code,
            message,
            hint,
            places: Vec::new(),
            reason: None,
        }
    }

    /// Whether it is about this path, or a directory that the path lies in.
    pub fn concerns(&self, path: &Utf8Path) -> bool {
        self.places.iter().any(|place| path.starts_with(place))
    }

    /// Whether it is one of the accepted blockers. The code alone does not suffice: accepting that one home is away
    /// does not accept the next one.
    pub fn is_among(&self, accepted: &[Self]) -> bool {
        accepted
            .iter()
            .any(|known| known.code == self.code && known.message == self.message)
    }
}

/// Parts failed checks into those that stand and those that are accepted, by their code or by the settings, each in order and
/// once.
pub fn split_accepted(
    blockers: impl IntoIterator<Item = Blocker>,
    accept: &BTreeSet<CheckCode>,
    entries: &[Acceptance],
) -> (Vec<Blocker>, Vec<Blocker>) {
    let mut blockers: Vec<Blocker> = blockers.into_iter().collect();
    blockers.sort();
    blockers.dedup();
    for blocker in &mut blockers {
        blocker.reason = accept::reason(blocker, entries);
    }
    blockers
        .into_iter()
        .partition(|blocker| blocker.reason.is_none() && !accept.contains(&blocker.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_in_json_and_each_stands_in_the_list() {
        for code in CheckCode::ALL {
            let json = serde_json::to_value(code).unwrap();
            assert_eq!(json.as_str(), Some(code.as_str()));
            assert_eq!(code.to_string(), code.as_str());
        }
        let schema = serde_json::to_value(schemars::schema_for!(CheckCode)).unwrap();
        let listed = schema["oneOf"].as_array().unwrap();
        assert_eq!(listed.len(), CheckCode::ALL.len());
    }

    #[test]
    fn what_stops_nothing_cannot_be_accepted_and_all_else_can() {
        for code in CheckCode::ALL {
            let accepted = code.as_str().parse() == Ok(code);
            let shown_only = [CheckCode::OddName, CheckCode::RootsHidden];
            assert_eq!(accepted, !shown_only.contains(&code), "{code}");
        }
        let error = "roots".parse::<CheckCode>().unwrap_err().to_string();
        assert!(error.contains("`roots`") && error.contains("roots.away"));
        assert!(!error.contains("odd-name"));
        let error = "roots.awy".parse::<CheckCode>().unwrap_err().to_string();
        assert!(
            error.contains("`roots.awy`, did you mean `roots.away`? known"),
            "{error}"
        );
    }

    /// Each stands in the way of one thing, and those that are only shown of nothing.
    #[test]
    fn a_check_stops_a_run_or_a_collection_or_keeps_profiles() {
        let stops = |code: CheckCode| {
            let of_code = [
                code.stops_run(),
                code.stops_collection(),
                code.keeps_profiles(),
            ];
            of_code.into_iter().filter(|it| *it).count()
        };
        for code in CheckCode::ALL {
            let accepted = CheckCode::acceptable().any(|known| known == code);
            assert_eq!(stops(code), usize::from(accepted), "{code}");
        }
    }

    #[test]
    fn accepting_one_accepts_no_other() {
        let blocker = |code, message: &str| Blocker::new(code, message.to_string(), String::new());
        let all = CheckCode::ALL.map(|code| blocker(code, "x"));
        for code in CheckCode::acceptable() {
            let (standing, accepted) = split_accepted(all.clone(), &BTreeSet::from([code]), &[]);
            assert_eq!(accepted, [blocker(code, "x")]);
            assert_eq!(standing.len(), all.len() - 1);
            assert!(!blocker(code, "y").is_among(&accepted));
        }
    }
}
