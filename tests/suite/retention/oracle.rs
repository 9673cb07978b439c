//! The policy once more, written from the text of the design: slowly, one generation at a time, with a calendar of
//! its own. Nothing in here calls what it is compared with.

use std::collections::{BTreeMap, BTreeSet};

use nix_prune::domain::profile::{Content, GenerationNumber, ProfileKind};
use nix_prune::domain::retention::{Calendar, Reason, Verdict};
use nix_prune::domain::store_path::StorePath;

use super::histories::History;
use super::zones::offset_at;

/// The reasons to keep each generation; none means that it goes.
pub(super) type Opinion = BTreeMap<u32, BTreeSet<String>>;

struct StoreData {
    number: u32,
    nanos: i128,
    path: Option<StorePath<String>>,
    on_disk: bool,
    bootable: bool,
    /// The names of its day, ISO week, month and year.
    buckets: [String; 4],
}

/// What the design says of a history.
pub(super) fn opinion(history: &History) -> Opinion {
    let all: Vec<StoreData> = seen(history);
    let blanket = |why: &str| {
        let reasons = BTreeSet::from([why.to_string()]);
        all.iter().map(|g| (g.number, reasons.clone())).collect()
    };
    let Some(GenerationNumber(current)) = history.profile.current() else {
        return blanket("currentUnknown");
    };
    if history.profile.blocked.is_some() {
        return blanket("blocked");
    }
    if !all.iter().any(|g| g.number == current) {
        return blanket("currentUnknown");
    }
    let now = nanos(history.now.to_unix());
    let mut opinion = Opinion::new();
    for g in &all {
        let mut reasons = disk_usage(g, current, now, history);
        reasons.extend(by_rules(g, &all, current, now, history));
        if is_fallback(g, &all, current, history.profile.kind) {
            reasons.insert("fallback".to_string());
        }
        opinion.insert(g.number, reasons);
    }
    opinion
}

fn disk_usage(g: &StoreData, current: u32, now: i128, history: &History) -> BTreeSet<String> {
    let content = &history.profile.generations[&GenerationNumber(g.number)].content;
    let among =
        |paths: &[StorePath<String>]| paths.iter().any(|path| Some(path) == g.path.as_ref());
    let pinned = history.pins.iter().any(|pin| {
        pin.profile.name() == "system"
            && pin.number.0 == g.number
            && pin.until.is_none_or(|until| nanos(until.to_unix()) > now)
    });
    let facts = [
        ("current", g.number == current),
        ("newerThanCurrent", g.number > current),
        ("futureTimestamp", g.nanos > now),
        ("targetMissing", matches!(content, Content::Missing(_))),
        ("targetOutsideStore", matches!(content, Content::Foreign)),
        ("booted", among(&history.booted)),
        ("running", among(&history.running)),
        ("pinned", pinned),
    ];
    let true_ones = facts.iter().filter(|(_, is)| *is);
    true_ones.map(|(name, _)| (*name).to_string()).collect()
}

/// The best older system: bootable before not, another than the current one before the same, then the newest.
fn is_fallback(g: &StoreData, all: &[StoreData], current: u32, kind: ProfileKind) -> bool {
    let system = kind == ProfileKind::System || kind == ProfileKind::NamedSystem;
    let here = all.iter().find(|g| g.number == current).unwrap();
    let rank = |g: &StoreData| (g.bootable, g.path != here.path, g.number);
    let eligible = |g: &StoreData| g.on_disk && g.number < current;
    system && eligible(g) && !all.iter().any(|o| eligible(o) && rank(o) > rank(g))
}

fn by_rules(
    g: &StoreData,
    all: &[StoreData],
    current: u32,
    now: i128,
    history: &History,
) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    if g.number > current {
        return reasons;
    }
    let rules = history.rules;
    let counted = |o: &StoreData| o.on_disk && o.number <= current;
    let how_many = |test: &dyn Fn(&StoreData) -> bool| all.iter().filter(|o| test(o)).count();
    let past = |o: &StoreData| counted(o) && o.nanos <= now;
    if let Some(last) = rules.last
        && past(g)
        && how_many(&|o| past(o) && o.number > g.number) < usize::from(last)
    {
        reasons.insert("last".to_string());
    }
    let system = history.profile.kind == ProfileKind::System
        || history.profile.kind == ProfileKind::NamedSystem;
    let ran = |o: &StoreData| {
        let span = history.uptimes.get(o.path.as_ref()?)?.as_seconds();
        (counted(o) && span >= 86_400).then_some((span, o.number))
    };
    if rules.known_good && system && ran(g).is_some() && all.iter().all(|o| ran(o) <= ran(g)) {
        reasons.insert("knownGood".to_string());
    }
    if let Some(age) = rules.within {
        let cutoff = now - i128::from(age.as_seconds()) * 1_000_000_000;
        if g.nanos >= cutoff {
            reasons.insert("within".to_string());
        }
        let before = |o: &StoreData| counted(o) && o.nanos < cutoff;
        let highest = how_many(&|o| before(o) && o.number > g.number) == 0;
        let latest = how_many(&|o| before(o) && later(o, g)) == 0;
        if before(g) && (highest || latest) {
            reasons.insert("activeAtCutoff".to_string());
        }
    }
    let kinds = [
        ("daily", rules.calendar.get(Calendar::Daily)),
        ("weekly", rules.calendar.get(Calendar::Weekly)),
        ("monthly", rules.calendar.get(Calendar::Monthly)),
        ("yearly", rules.calendar.get(Calendar::Yearly)),
    ];
    for (kind, (name, count)) in kinds.into_iter().enumerate() {
        let newer = all.iter().filter(|o| past(o) && later(o, g));
        let newer: BTreeSet<&str> = newer.map(|o| o.buckets[kind].as_str()).collect();
        let bucket = &g.buckets[kind];
        let open = newer.len() < usize::from(count.unwrap_or(0));
        if past(g) && open && !newer.contains(bucket.as_str()) {
            reasons.insert(format!("{name} {bucket}"));
        }
    }
    reasons
}

fn later(a: &StoreData, b: &StoreData) -> bool {
    (a.nanos, a.number) > (b.nanos, b.number)
}

fn nanos((seconds, nanoseconds): (i64, i64)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

fn seen(history: &History) -> Vec<StoreData> {
    let generations = history.profile.generations.iter();
    generations
        .map(|(number, g)| {
            let second = g.created.to_unix().0;
            let day = (second + offset_at(history.zone(), second)).div_euclid(86_400);
            let (path, on_disk, bootable) = match &g.content {
                Content::Bootable(path) => (Some(path.clone()), true, true),
                Content::Present(path) => (Some(path.clone()), true, false),
                Content::Missing(path) => (Some(path.clone()), false, false),
                Content::Foreign => (None, false, false),
            };
            StoreData {
                number: number.0,
                nanos: nanos(g.created.to_unix()),
                path,
                on_disk,
                bootable,
                buckets: buckets(day),
            }
        })
        .collect()
}

/// Names the day (counted from 1 January 1970, a Thursday), its ISO week, month and year.
pub(super) fn buckets(day: i64) -> [String; 4] {
    let (year, month, of_month) = date(day);
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let week_year = date(thursday).0;
    let week = day_of_year(thursday) / 7 + 1;
    [
        format!("{year:04}-{month:02}-{of_month:02}"),
        format!("{week_year:04}-W{week:02}"),
        format!("{year:04}-{month:02}"),
        format!("{year:04}"),
    ]
}

/// Counts through the years and the months.
fn date(day: i64) -> (i64, i64, i64) {
    let (year, mut left) = year_of(day);
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

/// How many days of its year came before this one.
fn day_of_year(day: i64) -> i64 {
    year_of(day).1
}

fn year_of(mut day: i64) -> (i64, i64) {
    let mut year = 1970;
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    (year, day)
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// What was judged, in the oracle's words.
pub(super) fn in_words(verdicts: &BTreeMap<GenerationNumber, Verdict>) -> Opinion {
    let words = |verdict: &Verdict| match verdict {
        Verdict::Keep(reasons) => reasons.iter().map(word).collect(),
        Verdict::Remove { .. } => BTreeSet::new(),
    };
    verdicts.iter().map(|(n, v)| (n.0, words(v))).collect()
}

/// The code of a reason; of a bucket with its name.
pub(super) fn word(reason: &Reason) -> String {
    match reason {
        Reason::NewestOf { rule, period } => format!("{} {period}", rule.as_str()),
        other => code(other).to_string(),
    }
}

/// The code of a reason, as documents have it; of a calendar rule its name.
pub(super) fn code(reason: &Reason) -> &'static str {
    if let Reason::NewestOf { rule, .. } = reason {
        return rule.as_str();
    }
    let document = serde_json::to_value(reason).unwrap();
    document["code"].as_str().unwrap().to_string().leak()
}
