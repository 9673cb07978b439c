//! Which generations stay: invariants over random histories, an oracle, and cases worked out by hand.

// Clippy's leave for tests does not reach the functions beside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod calendar;
mod histories;
mod known_good;
mod oracle;
mod properties;
mod zones;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::tz::TimeZone;
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind,
};
use nix_prune::domain::retention::{
    Calendar, Circumstances, KeepPolicy, KeepRules, PeriodCounts, Verdict, judge,
};

/// A number, its date, whether it stays, and the codes of all the reasons, in their order.
pub(crate) type YearRow = (u32, &'static str, bool, Vec<&'static str>);

/// The moment at which [`year_of_generations`] is judged.
pub(crate) const YEAR_NOW: &str = "2026-11-22T12:00:00Z";

/// Twelve generations of a user's profile over a year, the last one current, judged at [`YEAR_NOW`] in UTC by
/// `last` 3, `within` 30d (cutoff 2026-10-23T12:00:00Z) and `monthly` 6 (November, October, September, August, June,
/// May). In a system profile, 11 is also the `fallback`.
pub(crate) fn year_of_generations() -> Vec<YearRow> {
    vec![
        (1, "2025-11-30T08:00:00Z", false, vec![]),
        (2, "2026-01-10T09:30:00Z", false, vec![]),
        (3, "2026-03-05T10:00:00Z", false, vec![]),
        (4, "2026-05-20T21:15:00Z", true, vec!["monthly"]),
        (5, "2026-06-02T07:45:00Z", false, vec![]),
        (6, "2026-06-28T18:20:00Z", true, vec!["monthly"]),
        (7, "2026-08-14T06:00:00Z", true, vec!["monthly"]),
        (8, "2026-09-03T12:00:00Z", false, vec![]),
        (9, "2026-09-30T23:59:59Z", true, vec!["monthly"]),
        (
            10,
            "2026-10-20T09:10:00Z",
            true,
            vec!["activeAtCutoff", "last", "monthly"],
        ),
        (11, "2026-11-01T00:00:00Z", true, vec!["last", "within"]),
        (
            12,
            "2026-11-21T20:00:00Z",
            true,
            vec!["current", "last", "within", "monthly"],
        ),
    ]
}

/// The rules of [`year_of_generations`].
pub(crate) fn year_rules() -> KeepRules {
    KeepRules {
        last: Some(3),
        within: Some("30d".parse().unwrap()),
        calendar: PeriodCounts::default().with(Calendar::Monthly, Some(6)),
        known_good: false,
    }
}

#[test]
fn a_year_of_generations_is_thinned_out() {
    let year = year_of_generations();
    let dates: Vec<(u32, &str)> = year.iter().map(|row| (row.0, row.1)).collect();
    let profile = profile(&dates, 12);
    let verdicts = verdicts(&profile, year_rules(), YEAR_NOW, &TimeZone::UTC);
    let got: Vec<YearRow> = year
        .iter()
        .map(|row| {
            let (keep, codes) = outcome_of(&verdicts[&GenerationNumber(row.0)]);
            (row.0, row.1, keep, codes)
        })
        .collect();
    assert_eq!(got, year);
}

/// A user's profile with these generations, each on disk with a path of its own.
fn profile(dates: &[(u32, &str)], current: u32) -> Profile {
    let generation = |&(number, date): &(u32, &str)| {
        let path = histories::store_path(u64::from(number));
        let generation = Generation {
            number: GenerationNumber(number),
            target: Utf8PathBuf::from(format!("/nix/store/{path}")),
            content: Content::Present(path),
            specialisations: Vec::new(),
            created: date.parse().unwrap(),
        };
        (generation.number, generation)
    };
    Profile {
        path: histories::profile_path("profile"),
        kind: ProfileKind::User,
        owner: Owner {
            uid: 1000,
            name: None,
        },
        current: Current::Known(GenerationNumber(current)),
        generations: dates.iter().map(generation).collect(),
        is_nix_own: false,
        blocked: None,
    }
}

fn verdicts(
    profile: &Profile,
    rules: KeepRules,
    now: &str,
    zone: &TimeZone,
) -> BTreeMap<GenerationNumber, Verdict> {
    let now: Timestamp = now.parse().unwrap();
    let circumstances = Circumstances {
        now,
        zone,
        booted: &[],
        running: &[],
        pins: &[],
        uptimes: &BTreeMap::new(),
    };
    judge(profile, &KeepPolicy::new(rules).unwrap(), &circumstances)
}

/// Whether it stays, and the codes of the reasons.
fn outcome_of(verdict: &Verdict) -> (bool, Vec<&'static str>) {
    match verdict {
        Verdict::Keep(reasons) => (true, reasons.iter().map(oracle::code).collect()),
        Verdict::Remove { .. } => (false, Vec::new()),
    }
}
