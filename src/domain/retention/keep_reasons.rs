//! Reasons to keep each generation of one profile.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Zoned;

use super::{Circumstances, KeepRules, MinimumRetention, Reason, Reasons, Verdict};
use crate::domain::measure::{Span, Timestamp};
use crate::domain::profile::{Content, Generation, GenerationNumber, Profile};
use crate::domain::uptimes;

/// The reasons gathered so far.
pub(super) struct KeepReasons<'a> {
    profile: &'a Profile,
    current: GenerationNumber,
    reasons: BTreeMap<GenerationNumber, BTreeSet<Reason>>,
}

impl<'a> KeepReasons<'a> {
    pub(super) fn new(profile: &'a Profile, current: GenerationNumber) -> Self {
        Self {
            profile,
            current,
            reasons: BTreeMap::new(),
        }
    }

    fn keep(&mut self, number: GenerationNumber, reason: Reason) {
        self.reasons.entry(number).or_default().insert(reason);
    }

    /// The current generation and what is older, from the newest number. What is newer than the current one stays
    /// anyway and takes no place of any rule, as with `nix-env --delete-generations +N`.
    fn up_to_current(&self) -> impl Iterator<Item = &'a Generation> + use<'a> {
        let generations = &self.profile.generations;
        generations.range(..=self.current).rev().map(|(_, g)| g)
    }

    /// Those of them that lead to something on disk. The others are kept anyway, and nobody can switch to them: if a
    /// broken link took a place of a rule, a working generation would be removed instead.
    fn usable(&self) -> impl Iterator<Item = &'a Generation> + use<'a> {
        self.up_to_current()
            .filter(|g| g.content.on_disk().is_some())
    }

    /// Keeps what is kept whatever the rules say.
    pub(super) fn always_kept(&mut self, circumstances: &Circumstances<'_>) {
        for generation in self.profile.generations.values() {
            self.by_state(generation, circumstances);
        }
        self.by_pins_and_fallback(circumstances);
    }

    /// Keeps pinned generations and, of the system, the rollback target.
    pub(super) fn by_pins_and_fallback(&mut self, circumstances: &Circumstances<'_>) {
        self.pins(circumstances);
        if self.profile.kind.is_system() {
            self.fallback();
        }
    }

    /// Keeps a generation for its own state: current, newer, booted, running, or not understood.
    pub(super) fn by_state(&mut self, generation: &Generation, circumstances: &Circumstances<'_>) {
        let number = generation.number;
        if number == self.current {
            self.keep(number, Reason::Current);
        }
        if number > self.current {
            self.keep(number, Reason::NewerThanCurrent);
        }
        if generation.created > circumstances.now {
            self.keep(number, Reason::FutureTimestamp);
        }
        match &generation.content {
            Content::Bootable(_) | Content::Present(_) => {}
            Content::Missing(_) => self.keep(number, Reason::TargetMissing),
            Content::Foreign => self.keep(number, Reason::TargetOutsideStore),
        }
        if circumstances.booted.iter().any(|s| generation.offers(s)) {
            self.keep(number, Reason::Booted);
        }
        if circumstances.running.iter().any(|s| generation.offers(s)) {
            self.keep(number, Reason::Running);
        }
    }

    fn pins(&mut self, circumstances: &Circumstances<'_>) {
        for pin in circumstances.pins {
            let holds = pin.until.is_none_or(|until| until > circumstances.now);
            if holds && pin.profile == self.profile.path {
                let (reason, until) = (pin.reason.clone(), pin.until);
                self.keep(pin.number, Reason::Pinned { reason, until });
            }
        }
    }

    /// Keeps the newest older system that looks bootable, or else the newest older one on disk; one that differs
    /// from the current system before one that is the same, or a specialisation of the same: that is no way back.
    fn fallback(&mut self) {
        let generations = &self.profile.generations;
        let current = generations.get(&self.current);
        let is_same = |g: &Generation, other: &Generation| {
            g.content
                .store_path()
                .is_some_and(|path| other.offers(path))
        };
        let older = || self.usable().filter(|g| g.number < self.current);
        let bootable = || older().filter(|g| matches!(g.content, Content::Bootable(_)));
        let differs =
            |g: &&Generation| !current.is_some_and(|here| is_same(g, here) || is_same(here, g));
        let choice = bootable()
            .find(differs)
            .or_else(|| bootable().next())
            .or_else(|| older().find(differs))
            .or_else(|| older().next());
        if let Some(generation) = choice {
            self.keep(generation.number, Reason::Fallback);
        }
    }

    /// Those of them that are not dated in the future. Such a date is wrong, and the generation is kept anyway: if it
    /// took a place of a rule, a clock that was once ahead would remove generations.
    fn dated(&self, now: Timestamp) -> impl Iterator<Item = &'a Generation> + use<'a> {
        self.usable().filter(move |g| g.created <= now)
    }

    pub(super) fn last(&mut self, last: Option<u16>, now: Timestamp) {
        let Some(last) = last else { return };
        for generation in self.dated(now).take(usize::from(last)) {
            self.keep(generation.number, Reason::Last(last));
        }
    }

    pub(super) fn within(&mut self, within: Option<Span>, now: Timestamp) {
        let Some(age) = within else { return };
        self.not_older(age, now, &Reason::Within(age), &Reason::ActiveAtCutoff);
    }

    /// What the policy of the machine keeps, beside every rule of the job.
    pub(super) fn floor(&mut self, floor: MinimumRetention, now: Timestamp) {
        for generation in self.dated(now).take(usize::from(floor.last)) {
            self.keep(generation.number, Reason::PolicyLast(floor.last));
        }
        if !floor.within.is_zero() {
            let reason = Reason::PolicyWithin(floor.within);
            self.not_older(floor.within, now, &reason, &reason);
        }
    }

    /// Keeps the system that ran longest, if that is long enough.
    pub(super) fn known_good(&mut self, circumstances: &Circumstances<'_>) {
        if !self.profile.kind.is_system() {
            return;
        }
        let ran =
            |g: &'a Generation| Some((uptimes::known_good(circumstances.uptimes, g)?, g.number));
        if let Some((span, number)) = self.usable().filter_map(ran).max() {
            self.keep(number, Reason::KnownGood(span));
        }
    }

    fn not_older(&mut self, age: Span, now: Timestamp, younger: &Reason, active: &Reason) {
        let cutoff = now.before(age);
        let (mut latest, mut highest): (Option<&Generation>, Option<&Generation>) = (None, None);
        for generation in self.up_to_current() {
            if generation.created >= cutoff {
                self.keep(generation.number, younger.clone());
            }
        }
        for generation in self.usable().filter(|g| g.created < cutoff) {
            // From the newest number down: the first one is the highest, and an equal time does not displace it.
            highest = highest.or(Some(generation));
            if latest.is_none_or(|best| generation.created > best.created) {
                latest = Some(generation);
            }
        }
        // Where times do not rise with the numbers (restored or touched links) both may have been the active one.
        for generation in [latest, highest].into_iter().flatten() {
            self.keep(generation.number, active.clone());
        }
    }

    pub(super) fn buckets(&mut self, rules: &KeepRules, circumstances: &Circumstances<'_>) {
        if rules
            .calendar
            .iter()
            .all(|(_, count)| count.unwrap_or(0) == 0)
        {
            return;
        }
        let mut newest_first: Vec<&Generation> = self.dated(circumstances.now).collect();
        newest_first.sort_by_key(|g| std::cmp::Reverse((g.created, g.number)));
        let dated: Vec<(Zoned, &Generation)> = newest_first
            .into_iter()
            .map(|g| (g.created.in_zone(circumstances.zone), g))
            .collect();
        for (rule, count) in rules.calendar.iter() {
            // A set, not the last period seen: where a zone goes back over midnight, a day comes twice.
            let mut seen = BTreeSet::new();
            for (time, generation) in &dated {
                if seen.len() >= usize::from(count.unwrap_or(0)) {
                    break;
                }
                let period = rule.period(time);
                if seen.insert(period.clone()) {
                    self.keep(generation.number, Reason::NewestOf { rule, period });
                }
            }
        }
    }

    /// Takes a reason away from every generation.
    pub(super) fn forget(&mut self, reason: &Reason) {
        for reasons in self.reasons.values_mut() {
            reasons.remove(reason);
        }
    }

    /// The reasons of one generation so far.
    pub(super) fn reasons_of(mut self, number: GenerationNumber) -> Option<Reasons> {
        Reasons::gather(self.reasons.remove(&number)?)
    }

    pub(super) fn verdicts(mut self) -> BTreeMap<GenerationNumber, Verdict> {
        let mut verdicts = BTreeMap::new();
        for (&number, generation) in &self.profile.generations {
            let reasons = Reasons::gather(self.reasons.remove(&number).unwrap_or_default());
            let verdict = match (reasons, generation.content.on_disk()) {
                (Some(reasons), _) => Verdict::Keep(reasons),
                (None, Some(path)) => Verdict::Remove {
                    store_path: path.clone(),
                },
                (None, None) => Verdict::Keep(Reasons::one(Reason::TargetMissing)),
            };
            verdicts.insert(number, verdict);
        }
        verdicts
    }
}
