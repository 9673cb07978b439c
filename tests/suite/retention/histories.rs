//! Random histories of profiles, made fast: everything follows from a length and a seed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::profile::{
    Content, Current, CurrentUnknown, Generation, GenerationNumber, Owner, Profile, ProfileKind,
    ProfilePath,
};
use nix_prune::domain::retention::{
    Calendar, Circumstances, KeepPolicy, KeepRules, PeriodCounts, Verdict, judge,
};
use nix_prune::domain::snapshot::Pin;
use nix_prune::domain::store_path::{StorePath, StorePathRef};
use nix_prune::domain::uptimes::Uptimes;
use proptest::prelude::*;

use super::zones::{ZONES, Zone};

/// A profile, a policy and the circumstances.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub profile: Profile,
    pub rules: KeepRules,
    pub uptimes: Uptimes,
    pub now: Timestamp,
    pub zone: usize,
    pub booted: Vec<StorePath<String>>,
    pub running: Vec<StorePath<String>>,
    pub pins: Vec<Pin>,
    pub dice: Dice,
}

impl History {
    pub(super) fn zone(&self) -> &'static Zone {
        &ZONES[self.zone]
    }

    /// Judges it in its own zone.
    pub(super) fn judged(&self) -> BTreeMap<GenerationNumber, Verdict> {
        self.judged_with(self.rules, &self.zone().time_zone())
    }

    pub(super) fn judged_with(
        &self,
        rules: KeepRules,
        zone: &TimeZone,
    ) -> BTreeMap<GenerationNumber, Verdict> {
        let policy = KeepPolicy::new(rules).unwrap();
        judge(&self.profile, &policy, &self.circumstances(zone))
    }

    pub(super) fn circumstances<'a>(&'a self, zone: &'a TimeZone) -> Circumstances<'a> {
        Circumstances {
            now: self.now,
            zone,
            booted: &self.booted,
            running: &self.running,
            pins: &self.pins,
            uptimes: &self.uptimes,
        }
    }

    /// The current generation, if the profile may be touched.
    pub(super) fn current(&self) -> Option<GenerationNumber> {
        let current = self.profile.current();
        current.filter(|n| self.profile.blocked.is_none() && self.has(*n))
    }

    pub(super) fn has(&self, number: GenerationNumber) -> bool {
        self.profile.generations.contains_key(&number)
    }
}

/// The numbers that go.
pub(super) fn dropped(verdicts: &BTreeMap<GenerationNumber, Verdict>) -> Vec<GenerationNumber> {
    let goes = |v: &Verdict| matches!(v, Verdict::Remove { .. });
    let those = verdicts.iter().filter(|(_, v)| goes(v));
    those.map(|(n, _)| *n).collect()
}

/// Histories of up to forty generations; a failing one is made shorter first.
pub(super) fn histories() -> impl Strategy<Value = History> {
    (0usize..=40, any::<u64>()).prop_map(|(length, seed)| history(length, Dice(seed)))
}

/// A small generator of numbers (splitmix64): proptest's own costs more than what is tested.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to one below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(super) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(high.abs_diff(low) + 1)).unwrap()
    }

    pub(super) fn shuffle<T>(&mut self, things: &mut [T]) {
        for i in (1..things.len()).rev() {
            things.swap(i, self.index(i + 1));
        }
    }
}

/// The store path number `n` (below 1001) of a pool; equal numbers are equal paths. Made once: it is read and
/// written in full each time otherwise, half a million times.
pub(super) fn store_path(n: u64) -> StorePath<String> {
    static POOL: LazyLock<Vec<StorePath<String>>> = LazyLock::new(|| {
        let name = |n| format!("{n:032}-system-{n}");
        let path = |n| StorePathRef::from_base_name(&name(n)).unwrap().to_owned();
        (0..=1_000).map(path).collect()
    });
    POOL[usize::try_from(n).unwrap()].clone()
}

fn at(second: i64, nanosecond: i64) -> Timestamp {
    Timestamp::from_unix(second, nanosecond).unwrap()
}

fn history(length: usize, mut dice: Dice) -> History {
    let zone = dice.index(ZONES.len());
    let now_second = pick_now(&ZONES[zone], &mut dice);
    let nanos = if dice.percent(30) { 999_999_999 } else { 0 };
    let now = at(now_second, nanos);
    let kind = match dice.below(10) {
        0..4 => ProfileKind::System,
        4 => ProfileKind::NamedSystem,
        5 => ProfileKind::HomeManager,
        6 => ProfileKind::Other,
        _ => ProfileKind::User,
    };
    // A small pool makes generations that lead to the same path.
    let pool = if dice.percent(30) { 3 } else { 1_000 };
    let generations = generations(length, &ZONES[zone], now_second, pool, &mut dice);
    let numbers: Vec<GenerationNumber> = generations.keys().copied().collect();
    let current = current(&numbers, &mut dice);
    let pins = pins(&numbers, now_second, &mut dice);
    let some_paths = |dice: &mut Dice| -> Vec<StorePath<String>> {
        let known = generations.values().filter_map(|g| g.content.store_path());
        let known: Vec<_> = known.cloned().collect();
        let mut paths = Vec::new();
        while dice.percent(40) && !known.is_empty() {
            paths.push(known[dice.index(known.len())].clone());
        }
        if dice.percent(20) {
            paths.push(store_path(1_000));
        }
        paths
    };
    let (booted, running) = (some_paths(&mut dice), some_paths(&mut dice));
    let uptimes = some_paths(&mut dice).into_iter();
    let uptimes = uptimes.map(|path| (path, Span::seconds(dice.below(4) * 43_200)));
    let uptimes: Uptimes = uptimes.collect();
    let rules = rules(&generations, now_second, &mut dice);
    History {
        profile: Profile {
            path: profile_path("system"),
            kind,
            owner: Owner { uid: 0, name: None },
            current,
            generations,
            is_nix_own: false,
            blocked: dice.percent(2).then(|| "it is blocked".to_string()),
        },
        rules,
        uptimes,
        now,
        zone,
        booted,
        running,
        pins,
        dice,
    }
}

/// Mostly late in the zone's era, often right beside one of its changes.
fn pick_now(zone: &Zone, dice: &mut Dice) -> i64 {
    let changes = &zone.offsets[1..];
    if !changes.is_empty() && dice.percent(40) {
        let (change, _) = changes[dice.index(changes.len())];
        dice.between(change - 100_000, change + 100_000)
    } else {
        dice.between(i64::midpoint(zone.era.0, zone.era.1), zone.era.1 - 90_000)
    }
}

fn generations(
    length: usize,
    zone: &Zone,
    now: i64,
    pool: u64,
    dice: &mut Dice,
) -> BTreeMap<GenerationNumber, Generation> {
    let mut generations = BTreeMap::new();
    let mut number = u32::try_from(dice.below(3)).unwrap();
    let step = [60, 3_600, 40_000, 86_400, 700_000, 2_600_000][dice.index(6)];
    let ordered = dice.percent(70);
    let broken = if dice.percent(50) { 0 } else { 15 };
    let mut second = now - step * i64::try_from(length).unwrap();
    let mut nanos = 0;
    for _ in 0..length {
        match dice.below(20) {
            // A time once more, to the nanosecond.
            0 => {}
            1 => second = now + dice.between(-1, 90_000),
            2 if zone.offsets.len() > 1 => {
                let (change, _) = zone.offsets[1 + dice.index(zone.offsets.len() - 1)];
                second = dice.between(change - 7_300, change + 7_300);
            }
            _ if ordered => second += dice.between(0, step * 2),
            _ => second = dice.between(zone.era.0, now),
        }
        if second > now && !dice.percent(20) {
            second = now - dice.between(0, step);
        }
        second = second.clamp(zone.era.0, zone.era.1);
        if dice.percent(20) {
            nanos = dice.between(0, 999_999_999);
        }
        let path = store_path(dice.below(pool));
        let content = match dice.below(100) {
            n if n < broken => Content::Missing(path.clone()),
            n if n < broken * 3 / 2 => Content::Foreign,
            n if n < 70 => Content::Bootable(path.clone()),
            _ => Content::Present(path.clone()),
        };
        let generation = Generation {
            number: GenerationNumber(number),
            // Retention never reads the link's text.
            target: Utf8PathBuf::new(),
            content,
            specialisations: Vec::new(),
            created: at(second, nanos),
        };
        generations.insert(generation.number, generation);
        number += 1 + u32::try_from(if dice.percent(25) { dice.below(6) } else { 0 }).unwrap();
    }
    generations
}

fn current(numbers: &[GenerationNumber], dice: &mut Dice) -> Current {
    let Some(last) = numbers.last() else {
        return Current::Unknown(CurrentUnknown::NoLink);
    };
    match dice.below(100) {
        0..3 => Current::Unknown(CurrentUnknown::OtherText("elsewhere".to_string())),
        // The link of the current one went away between two looks.
        3..6 => Current::Known(GenerationNumber(
            u32::try_from(dice.below(u64::from(last.0) + 3)).unwrap(),
        )),
        6..50 => Current::Known(numbers[dice.index(numbers.len())]),
        _ => Current::Known(*last),
    }
}

fn pins(numbers: &[GenerationNumber], now: i64, dice: &mut Dice) -> Vec<Pin> {
    let mut pins = Vec::new();
    while dice.percent(40) {
        let number = match numbers.len() {
            0 => GenerationNumber(1),
            length => numbers[dice.index(length)],
        };
        let until = match dice.below(4) {
            0 => Some(at(now - 1, 0)),
            1 => Some(at(now, 0)),
            2 => Some(at(now + 5, 0)),
            _ => None,
        };
        let profile = profile_path(if dice.percent(80) { "system" } else { "other" });
        let reason = dice.percent(50).then(|| "mine".to_string());
        pins.push(Pin {
            profile,
            number,
            reason,
            until,
        });
    }
    pins
}

fn rules(
    generations: &BTreeMap<GenerationNumber, Generation>,
    now: i64,
    dice: &mut Dice,
) -> KeepRules {
    let count = |dice: &mut Dice| {
        let most = if dice.percent(20) { 60 } else { 6 };
        dice.percent(40)
            .then(|| u16::try_from(dice.below(most)).unwrap())
    };
    let within = dice.percent(50).then(|| {
        let created: Vec<i64> = generations
            .values()
            .map(|g| g.created.to_unix().0)
            .collect();
        let seconds = match dice.below(4) {
            0 => 0,
            // Exactly as old as one of them.
            1 if !created.is_empty() => (now - created[dice.index(created.len())]).max(0),
            2 => dice.between(0, 100_000),
            _ => dice.between(0, 20_000_000),
        };
        format!("{seconds}s").parse::<Span>().unwrap()
    });
    let rules = KeepRules {
        last: count(dice),
        within,
        calendar: PeriodCounts::default()
            .with(Calendar::Daily, count(dice))
            .with(Calendar::Weekly, count(dice))
            .with(Calendar::Monthly, count(dice))
            .with(Calendar::Yearly, count(dice)),
        known_good: dice.percent(30),
    };
    if KeepPolicy::new(rules).is_ok() {
        return rules;
    }
    KeepRules {
        last: Some(1),
        ..rules
    }
}

pub(super) fn profile_path(name: &str) -> ProfilePath {
    ProfilePath::new(&Utf8Path::new("/nix/var/nix/profiles").join(name)).unwrap()
}
