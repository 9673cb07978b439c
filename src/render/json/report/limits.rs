//! Lists that end after the rows that a page can show.

use schemars::JsonSchema;
use serde::Serialize;

use super::ListedProfileDocument;
use crate::render::json::ProfileDocument;

/// The most rows of a list: a page of them is still quick to open.
const MAX_ROWS: usize = 200;
/// The most generations of a profile.
const MAX_GENERATIONS: usize = 400;
/// The most generations of all profiles together.
const MAX_GENERATIONS_OF_ALL: usize = 2000;

/// The first rows of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed<T> {
    /// The first rows.
    pub rows: Vec<T>,
    /// Number of rows that are not listed.
    pub more: u64,
}

impl<T> Listed<T> {
    /// As many rows as a page shows.
    pub fn of(rows: impl IntoIterator<Item = T>) -> Self {
        let mut rows = rows.into_iter();
        let first = rows.by_ref().take(MAX_ROWS).collect();
        let more = u64::try_from(rows.count()).unwrap_or(u64::MAX);
        Self { rows: first, more }
    }
}

/// The newest generations of each profile. A profile whose generations find no more room is listed with their number.
pub(super) fn newest(profiles: Vec<ProfileDocument>) -> Vec<ListedProfileDocument> {
    let mut room = MAX_GENERATIONS_OF_ALL;
    let newest = |mut profile: ProfileDocument| {
        let count = profile.generations.len();
        let older = count - count.min(MAX_GENERATIONS).min(room);
        profile.generations.drain(..older);
        room -= profile.generations.len();
        let older = u64::try_from(older).unwrap_or(u64::MAX);
        ListedProfileDocument { profile, older }
    };
    profiles.into_iter().map(newest).collect()
}
