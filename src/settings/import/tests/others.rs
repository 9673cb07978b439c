//! Imported settings remove no generation that the other tool keeps: the rules of the other tools, written here in short,
//! against ours on random generations.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath,
};
use crate::domain::retention::{Circumstances, Verdict, judge};
use crate::domain::store_path::StorePathRef;
use crate::settings::Settings;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Generations by number with their ages in seconds, and which one is current.
#[derive(Debug, Clone)]
struct Made {
    ages: BTreeMap<u32, u64>,
    current: u32,
}

type Numbers = BTreeSet<u32>;

/// Ages fall with the numbers, as they do but for links that somebody touched.
fn made() -> impl Strategy<Value = Made> {
    let age = prop_oneof![1..3 * DAY, 1..60 * DAY, 1..900 * DAY];
    (
        prop::collection::vec(age, 1..14),
        any::<prop::sample::Index>(),
        0..10,
        any::<bool>(),
    )
        .prop_map(|(mut ages, index, touched, back)| {
            if touched > 0 {
                ages.sort_unstable_by(|a, b| b.cmp(a));
            }
            let ages: BTreeMap<u32, u64> = (1..).zip(ages).collect();
            let newest = u32::try_from(ages.len()).unwrap();
            let current = if back {
                1 + u32::try_from(index.index(ages.len())).unwrap()
            } else {
                newest
            };
            Made { ages, current }
        })
}

impl Made {
    /// From the highest number down.
    fn newest(&self, n: usize) -> Numbers {
        self.ages.keys().rev().take(n).copied().collect()
    }

    fn not_older(&self, age: u64) -> Numbers {
        self.those(|a| a <= age)
    }

    fn those(&self, is: impl Fn(u64) -> bool) -> Numbers {
        let those = self.ages.iter().filter(|(_, age)| is(**age));
        those.map(|(number, _)| *number).collect()
    }

    /// What the settings would remove, by our own rules.
    fn removed(&self, tool: &str, words: &[String], file: &str) -> Numbers {
        let read = |_: &Utf8Path| Ok(file.to_string());
        let context = ImportContext {
            read: &read,
            ..context(Scope::System)
        };
        let imported = import(tool, words, &context).unwrap();
        let (settings, _) = Settings::parse(&imported.text).unwrap();
        let Some(job) = settings.jobs().next() else {
            return Numbers::new();
        };
        let Some(generations) = &job.job().operations.generations else {
            return Numbers::new();
        };
        let now: Timestamp = "2026-11-28T12:34:56.789Z".parse().unwrap();
        let path = |n: u32| {
            let name = format!("{n:032}-system");
            StorePathRef::from_base_name(&name).unwrap().to_owned()
        };
        let generation = |(&n, &age): (&u32, &u64)| {
            let age: Span = format!("{age}s").parse().unwrap();
            let generation = Generation {
                number: GenerationNumber(n),
                target: format!("/nix/store/{}", path(n)).into(),
                content: Content::Present(path(n)),
                specialisations: Vec::new(),
                created: now.before(age),
            };
            (GenerationNumber(n), generation)
        };
        let profile = Profile {
            path: ProfilePath::new(Utf8Path::new("/nix/var/nix/profiles/x")).unwrap(),
            kind: ProfileKind::User,
            owner: Owner { uid: 0, name: None },
            current: Current::Known(GenerationNumber(self.current)),
            generations: self.ages.iter().map(generation).collect(),
            is_nix_own: false,
            blocked: None,
        };
        let circumstances = Circumstances {
            now,
            zone: &TimeZone::UTC,
            booted: &[],
            running: &[],
            pins: &[],
            uptimes: &std::collections::BTreeMap::new(),
        };
        let verdicts = judge(&profile, &generations.keep, &circumstances);
        let removed = verdicts
            .iter()
            .filter(|(_, v)| matches!(v, Verdict::Remove { .. }));
        removed.map(|(number, _)| number.0).collect()
    }

    fn never_more(
        &self,
        kept: &Numbers,
        tool: &str,
        words: &str,
        file: &str,
    ) -> Result<(), TestCaseError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_string).collect();
        let removed = self.removed(tool, &words, file);
        let lost: Vec<&u32> = removed.intersection(kept).collect();
        prop_assert!(
            lost.is_empty(),
            "{} {:?} {}: keeps {:?}, ours removes {:?}",
            tool,
            words,
            file,
            kept,
            removed
        );
        Ok(())
    }
}

/// angrr: the current one, the newest, those not older, and of each window back from now the youngest that no earlier window
/// kept.
fn angrr_keeps(
    made: &Made,
    since: Option<u64>,
    latest: Option<usize>,
    buckets: &[(usize, u64, u64)],
) -> Numbers {
    let mut kept = Numbers::from([made.current]);
    kept.extend(since.iter().flat_map(|&since| made.not_older(since)));
    kept.extend(latest.iter().flat_map(|&n| made.newest(n)));
    let mut by_age: Vec<(u64, u32)> = made.ages.iter().map(|(&n, &age)| (age, n)).collect();
    by_age.sort_unstable();
    let mut taken = Numbers::new();
    for &(n, window, amount) in buckets {
        for i in 0..amount {
            let inside = |age: u64| window * i <= age && age < window * (i + 1);
            let here: Vec<u32> = by_age
                .iter()
                .filter(|(age, number)| inside(*age) && !taken.contains(number))
                .take(n)
                .map(|(_, number)| *number)
                .collect();
            taken.extend(here);
        }
    }
    kept.extend(taken);
    kept
}

/// nix-sweep: what is too old or too many is marked; what is young enough, among the first, the newest or active is not.
fn nix_sweep_keeps(
    made: &Made,
    min: usize,
    max: Option<usize>,
    newer: Option<u64>,
    older: Option<u64>,
) -> Numbers {
    let newest = |n| made.newest(n);
    let first = max.map(newest);
    let mut kept = made.those(|age| older.is_none_or(|older| age < older));
    kept.retain(|n| first.as_ref().is_none_or(|first| first.contains(n)));
    kept.extend(
        newer
            .iter()
            .flat_map(|&newer| made.those(|age| age < newer)),
    );
    kept.extend(newest(min.max(1)));
    kept.insert(made.current);
    kept
}

/// Nix and harmonia-gc: the current one, those not older, and the highest number of the older ones.
fn nix_keeps(made: &Made, older: Option<u64>) -> Numbers {
    let mut kept = Numbers::from([made.current]);
    if let Some(older) = older {
        let old = made.those(|age| age > older);
        kept.extend(made.not_older(older));
        kept.extend(old.last());
    }
    kept
}

fn window() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(6 * HOUR),
        Just(DAY),
        Just(7 * DAY),
        Just(30 * DAY),
        Just(365 * DAY),
        1..40 * DAY
    ]
}

proptest! {
    #[test]
    fn never_more_than_angrr(
        made in made(),
        since in prop::option::of(1..60 * DAY),
        latest in prop::option::of(0usize..6),
        buckets in prop::collection::vec((0usize..4, window(), 0u64..8), 0..4),
    ) {
        let rows: Vec<String> = buckets
            .iter()
            .map(|(n, window, amount)| format!("{{ n = {n}, bucket-window = \"{window}s\", bucket-amount = {amount} }}"))
            .collect();
        let since_line = since.map(|since| format!("keep-since = \"{since}s\"\n")).unwrap_or_default();
        let latest_line = latest.map(|n| format!("keep-latest-n = {n}\n")).unwrap_or_default();
        let file = format!(
            "[profile-policies.x]\nprofile-paths = [\"/nix/var/nix/profiles/x\"]\n{since_line}{latest_line}keep-n-per-bucket = [{}]\n",
            rows.join(", ")
        );
        let words = ["run".to_string(), "x.toml".to_string()];
        let read = |_: &Utf8Path| Ok(file.clone());
        let context = ImportContext { read: &read, ..context(Scope::System) };
        // A policy that keeps nothing is no job.
        if import("angrr", &words, &context).is_ok() {
            let kept = angrr_keeps(&made, since, latest, &buckets);
            made.never_more(&kept, "angrr", "run x.toml", &file)?;
        }
    }

    #[test]
    fn never_more_than_nh(made in made(), keep in 0usize..6, since in 0..90 * DAY) {
        let mut kept = made.newest(keep);
        kept.extend(made.not_older(since));
        made.never_more(&kept, "nh", &format!("clean all --keep {keep} --keep-since {since}s"), "")?;
        made.never_more(&made.newest(keep), "nh", &format!("clean profile /nix/var/nix/profiles/x -k {keep}"), "")?;
    }

    #[test]
    fn never_more_than_nix_sweep(
        made in made(),
        min in 0usize..5,
        max in prop::option::of(5usize..9),
        newer in prop::option::of(1..20 * DAY),
        older in prop::option::of(20 * DAY..90 * DAY),
    ) {
        let flag = |name: &str, value: Option<String>| value.map(|v| format!(" --{name} {v}")).unwrap_or_default();
        let words = format!(
            "cleanout /nix/var/nix/profiles/x --gc --keep-min {min}{}{}{}",
            flag("keep-max", max.map(|n| n.to_string())),
            flag("keep-newer", newer.map(|n| format!("{n}s"))),
            flag("remove-older", older.map(|n| format!("{n}s"))),
        );
        made.never_more(&nix_sweep_keeps(&made, min, max, newer, older), "nix-sweep", &words, "")?;
    }

    #[test]
    fn never_more_than_nix_and_harmonia_gc(made in made(), days in 1u64..60) {
        let kept = nix_keeps(&made, Some(days * DAY));
        for tool in ["nix-collect-garbage", "harmonia-gc"] {
            made.never_more(&kept, tool, &format!("--delete-older-than {days}d"), "")?;
            made.never_more(&kept, tool, &format!("-d --delete-older-than {days}d"), "")?;
            made.never_more(&nix_keeps(&made, None), tool, "-d", "")?;
            prop_assert_eq!(made.removed(tool, &[], ""), Numbers::new());
        }
    }
}
