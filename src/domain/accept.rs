//! Accepted safety checks: code, place and reason.

use std::fmt;
use std::sync::Arc;

use camino::Utf8Path;
use globset::GlobMatcher;
use serde::{Deserialize, Serialize};

use super::blocker::{Blocker, CheckCode};
use super::job::{glob, has_wildcard};

/// A safety check that the settings accept at one place, until somebody takes the entry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Acceptance {
    /// The safety check.
    pub code: CheckCode,
    /// The place.
    #[schemars(with = "String")]
    pub place: Place,
    /// Why, in its owner's words.
    pub reason: String,
}

impl Acceptance {
    /// Whether the settings can accept this check: it must be about places, so that no entry accepts more than somebody
    /// wrote down. What is about the whole store, the clock or the size of a plan takes a new word each time.
    pub fn is_possible(code: CheckCode) -> bool {
        match code {
            CheckCode::ProfileUnreadable
            | CheckCode::CurrentUnknown
            | CheckCode::ProfileAbsent
            | CheckCode::ProfileBlocked
            | CheckCode::RootsUnreadable
            | CheckCode::RootsAway
            | CheckCode::RootsVanished
            | CheckCode::Unrooted
            | CheckCode::FlakeUnreadable => true,
            CheckCode::OddName
            | CheckCode::RootsHidden
            | CheckCode::PinsUnreadable
            | CheckCode::JournalUnreadable
            | CheckCode::UsersUnreadable
            | CheckCode::StoreMismatch
            | CheckCode::StoreDamaged
            | CheckCode::StateElsewhere
            | CheckCode::ClockJumped
            | CheckCode::LimitGenerations
            | CheckCode::LimitBytes
            | CheckCode::AnomalyGenerations
            | CheckCode::AnomalyBytes
            | CheckCode::AnomalyShare
            | CheckCode::JobPaused => false,
        }
    }

    /// The codes that the settings can accept.
    pub fn codes() -> impl Iterator<Item = CheckCode> {
        CheckCode::ALL
            .into_iter()
            .filter(|code| Self::is_possible(*code))
    }

    /// Whether it is the same check at the same place, whatever the reason.
    pub fn is_for_the_same(&self, other: &Self) -> bool {
        self.code == other.code && self.place == other.place
    }
}

/// Why these entries accept a failed check: the reasons, once each. `None` when they do not accept all places that it is about.
pub fn reason(blocker: &Blocker, entries: &[Acceptance]) -> Option<String> {
    let mut reasons: Vec<&str> = Vec::new();
    for place in &blocker.places {
        let covers = |entry: &&Acceptance| entry.code == blocker.code && entry.place.covers(place);
        let entry = entries.iter().find(covers)?;
        if !reasons.contains(&entry.reason.as_str()) {
            reasons.push(&entry.reason);
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// An absolute path with everything below it, or a pattern such as `/home/*/.cache/**`; `*` does not cross a slash.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    text: String,
    /// None for a path without wildcards.
    patterns: Option<Arc<[GlobMatcher]>>,
}

/// A text that is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlace {
    /// It would accept a check everywhere.
    #[error("`{0}` is everywhere")]
    Everywhere(String),
    /// It is no pattern.
    #[error("the pattern cannot be read: {0}")]
    Pattern(#[from] globset::Error),
}

impl Place {
    /// Reads an absolute path or pattern, without doubled slashes and `..`.
    ///
    /// # Errors
    /// When its first name has a wildcard or is missing, or the pattern cannot be read.
    pub fn new(text: &str) -> Result<Self, NotAPlace> {
        let first = text.split('/').nth(1).unwrap_or_default();
        if first.is_empty() || has_wildcard(first) {
            return Err(NotAPlace::Everywhere(text.to_string()));
        }
        let matcher = |text: &str| Ok::<_, globset::Error>(glob(text)?.compile_matcher());
        let patterns = if has_wildcard(text) {
            // `/home/alice/**` is about the home itself as well.
            let around = text.strip_suffix("/**").map(matcher).transpose()?;
            Some([matcher(text)?].into_iter().chain(around).collect())
        } else {
            None
        };
        Ok(Self {
            text: text.to_string(),
            patterns,
        })
    }

    /// Whether a path lies there.
    pub fn covers(&self, path: &Utf8Path) -> bool {
        match &self.patterns {
            Some(patterns) => patterns.iter().any(|pattern| pattern.is_match(path)),
            None => path.starts_with(&self.text),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl TryFrom<String> for Place {
    type Error = NotAPlace;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/home/alice", "/home/alice", true)]
    #[case("/home/alice", "/home/alice/result", true)]
    #[case("/home/alice", "/home/alice2/result", false)]
    #[case("/home/alice", "/home", false)]
    #[case("/home/alice/**", "/home/alice", true)]
    #[case("/home/alice/**", "/home/alice/a/b/result", true)]
    #[case("/home/alice/**", "/home/bob/result", false)]
    #[case("/home/alice/*", "/home/alice", false)]
    #[case("/home/alice/*", "/home/alice/a/b", false)]
    #[case("/home/*/result", "/home/bob/result", true)]
    #[case("/home/*/result", "/home/bob/x/result", false)]
    #[case("/home/{alice,bob}/**", "/home/bob/x", true)]
    fn a_place_covers_what_lies_there(#[case] place: &str, #[case] path: &str, #[case] is: bool) {
        assert_eq!(Place::new(place).unwrap().covers(Utf8Path::new(path)), is);
    }

    #[rstest]
    #[case("/")]
    #[case("/**")]
    #[case("/*/alice")]
    #[case("/{home,srv}/**")]
    #[case("")]
    fn everywhere_is_no_place(#[case] text: &str) {
        assert!(matches!(Place::new(text), Err(NotAPlace::Everywhere(_))));
    }

    fn entry(code: CheckCode, place: &str) -> Acceptance {
        Acceptance {
            code,
            place: Place::new(place).unwrap(),
            reason: format!("for {place}"),
        }
    }

    #[test]
    fn an_entry_accepts_its_own_check_where_it_covers_every_place() {
        let blocker = |places: &[&str]| Blocker {
            places: places.iter().map(|place| (*place).into()).collect(),
            ..Blocker::new(CheckCode::RootsUnreadable, "x".into(), String::new())
        };
        let (a, b) = ("/home/a", "/home/b");
        let entries = [
            entry(CheckCode::RootsUnreadable, a),
            entry(CheckCode::RootsAway, b),
        ];
        assert_eq!(reason(&blocker(&[a]), &entries), Some("for /home/a".into()));
        assert_eq!(reason(&blocker(&[b]), &entries), None);
        assert_eq!(reason(&blocker(&[a, b]), &entries), None);
        // What hides everything is about no place, and no entry accepts it.
        assert_eq!(reason(&blocker(&[]), &entries), None);
    }

    #[test]
    fn what_stops_a_whole_run_is_never_accepted_for_good() {
        let codes: Vec<CheckCode> = Acceptance::codes().collect();
        assert!(codes.contains(&CheckCode::RootsAway));
        for code in codes {
            assert!(
                !code.stops_run() && code != CheckCode::StoreMismatch,
                "{code}"
            );
        }
    }

    #[rstest]
    #[case::another_reason(entry(CheckCode::RootsAway, "/mnt"), true)]
    #[case::another_check(entry(CheckCode::Unrooted, "/mnt"), false)]
    #[case::another_place(entry(CheckCode::RootsAway, "/mnt/usb"), false)]
    fn an_entry_is_the_same_by_check_and_place(#[case] mut other: Acceptance, #[case] is: bool) {
        other.reason = "another".to_string();
        let known = entry(CheckCode::RootsAway, "/mnt");
        assert_eq!(known.is_for_the_same(&other), is);
    }

    #[rstest]
    #[case("/home/alice")]
    #[case("/home/*/.cache/**")]
    fn a_place_is_written_as_it_was_read(#[case] text: &str) {
        let place = Place::new(text).unwrap();
        assert_eq!(place.as_str(), text);
        assert_eq!(place.to_string(), text);
        assert_eq!(format!("{place:?}"), format!("{text:?}"));
    }
}
