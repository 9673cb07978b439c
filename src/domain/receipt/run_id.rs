//! Names of runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::measure::Timestamp;

/// The name of a run: `20261122T221644Z`, with `-2` and so on behind it where a second has more than one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[derive(schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct RunId(String);

/// A text that cannot name a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run; `nix-prune history` lists the runs")]
pub struct NotARunId(String);

impl RunId {
    /// The name of the `nth` run (from 1) that began at `time`.
    pub fn at(time: Timestamp, nth: u32) -> Self {
        let stamp = time
            .in_zone(&jiff::tz::TimeZone::UTC)
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        Self(if nth < 2 {
            stamp
        } else {
            format!("{stamp}-{nth}")
        })
    }

    /// When the run began, to the second; `None` of a name that does not say so.
    pub fn started(&self) -> Option<Timestamp> {
        let stamp = self.0.split('-').next()?;
        let time = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", stamp).ok()?;
        let time = time.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC);
        Some(Timestamp::from(time.ok()?.timestamp()))
    }

    /// The name; it is also the base name of the record's file, and has no slash or dot in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RunId {
    type Error = NotARunId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !text.is_empty() && text.len() <= 40 && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(NotARunId(text))
        }
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0
    }
}
