//! What must hold for every history whatever the policy. Ten thousand random ones each.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use nix_prune::domain::measure::Span;
use nix_prune::domain::policy::MinimumRetention;
use nix_prune::domain::profile::{Content, GenerationNumber};
use nix_prune::domain::retention::{
    Calendar, KeepPolicy, KeepRules, PeriodCounts, Verdict, always_kept, judge, kept_by_floor,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};

use super::histories::{Dice, History, dropped, histories, store_path};
use super::oracle::{in_words, opinion};
use super::zones::berlin;

/// How many histories each property is tried on.
const CASES: u32 = 10_000;

fn config() -> Config {
    Config {
        cases: CASES,
        // A seed is no shorter when it is smaller: only the length is worth shrinking.
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    }
}

type Checked = Result<(), TestCaseError>;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_whole_policy_is_what_the_oracle_says(history in histories()) {
        prop_assert_eq!(in_words(&history.judged()), opinion(&history));
    }

    #[test]
    fn what_is_always_kept_is_never_dropped(history in histories()) {
        let gone: BTreeSet<_> = dropped(&history.judged()).into_iter().collect();
        for number in must_stay(&history) {
            prop_assert!(!gone.contains(&number), "{} goes", number);
        }
    }

    #[test]
    fn every_generation_gets_one_verdict_and_what_goes_can_be_held(history in histories()) {
        totality(&history)?;
    }

    #[test]
    fn a_longer_policy_never_drops_more(history in histories()) {
        let mut dice = history.dice.clone();
        let longer = longer(history.rules, &mut dice);
        never_more(&history, longer)?;
    }

    #[test]
    fn one_more_rule_never_drops_more(history in histories()) {
        let mut dice = history.dice.clone();
        let added = one_more(history.rules, &mut dice);
        never_more(&history, added)?;
    }

    #[test]
    fn a_policy_of_the_machine_holds_beside_any_rules(history in histories()) {
        let mut dice = history.dice.clone();
        let floor = MinimumRetention {
            last: u16::try_from(dice.below(6)).unwrap(),
            within: Span::days(u32::try_from(dice.below(40)).unwrap()),
        };
        let zone = history.zone().time_zone();
        let circumstances = history.circumstances(&zone);
        let rules = KeepPolicy::new(history.rules).unwrap().at_least(floor);
        let both = judge(&history.profile, &rules, &circumstances);
        let gone: BTreeSet<_> = dropped(&both).into_iter().collect();
        let without: BTreeSet<_> = dropped(&history.judged()).into_iter().collect();
        prop_assert!(gone.is_subset(&without));
        // A policy that asks for no time asks for nothing; a rule of no time keeps what is active now.
        let within = Some(floor.within).filter(|age| !age.is_zero());
        let alone = KeepRules { last: Some(floor.last), within, ..KeepRules::default() };
        if let Ok(alone) = KeepPolicy::new(alone) {
            let alone = dropped(&judge(&history.profile, &alone, &circumstances));
            prop_assert!(gone.is_subset(&alone.into_iter().collect()));
        }
        for number in without.difference(&gone) {
            prop_assert!(kept_by_floor(&history.profile, *number, floor, &circumstances));
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(history in histories()) {
        let mut other = history.clone();
        let mut dice = history.dice.clone();
        let mut generations: Vec<_> = std::mem::take(&mut other.profile.generations).into_iter().collect();
        dice.shuffle(&mut generations);
        other.profile.generations.extend(generations);
        dice.shuffle(&mut other.pins);
        dice.shuffle(&mut other.booted);
        dice.shuffle(&mut other.running);
        prop_assert_eq!(other.judged(), history.judged());
    }

    #[test]
    fn the_zone_matters_only_to_the_calendar(history in histories()) {
        let KeepRules { last, within, .. } = history.rules;
        let rules = KeepRules { last: last.or(Some(2)), within, ..KeepRules::default() };
        if KeepPolicy::new(rules).is_ok() {
            let here = history.judged_with(rules, &history.zone().time_zone());
            prop_assert_eq!(&history.judged_with(rules, &TimeZone::UTC), &here);
            prop_assert_eq!(&history.judged_with(rules, &berlin()), &here);
        }
    }

    #[test]
    fn judging_what_is_left_drops_nothing(history in histories()) {
        let mut left = history.clone();
        for number in dropped(&history.judged()) {
            left.profile.generations.remove(&number);
        }
        prop_assert_eq!(dropped(&left.judged()), vec![]);
    }

    #[test]
    fn dropping_only_some_does_not_condemn_others(history in histories()) {
        // An interrupted run: the next one must not want more than the first.
        let all = dropped(&history.judged());
        let mut left = history.clone();
        let mut dice = history.dice.clone();
        for number in all.iter().filter(|_| dice.percent(50)) {
            left.profile.generations.remove(number);
        }
        for number in dropped(&left.judged()) {
            prop_assert!(all.contains(&number), "{} goes now", number);
        }
    }

    #[test]
    fn a_link_that_breaks_lets_nothing_else_go(history in histories()) {
        breaking(&history)?;
    }

    #[test]
    fn a_pin_or_a_boot_lets_nothing_go(history in histories()) {
        let mut dice = history.dice.clone();
        let mut other = history.clone();
        let paths = history.profile.generations.values().filter_map(|g| g.content.store_path());
        other.running.extend(paths.filter(|_| dice.percent(20)).cloned());
        other.booted.push(store_path(dice.below(1_000)));
        let before = dropped(&history.judged());
        for number in dropped(&other.judged()) {
            prop_assert!(before.contains(&number), "{} goes now", number);
        }
    }

    #[test]
    fn the_second_look_knows_what_is_always_kept(history in histories()) {
        second_look(&history)?;
    }
}

/// The always-kept set, found anew: from the design and by other means than the code's.
fn must_stay(history: &History) -> BTreeSet<GenerationNumber> {
    let generations = &history.profile.generations;
    let Some(current) = history.current() else {
        return generations.keys().copied().collect();
    };
    let mut stay = BTreeSet::from([current]);
    stay.extend(generations.keys().filter(|n| n.0 > current.0));
    for path in history.booted.iter().chain(&history.running) {
        let theirs = generations
            .values()
            .filter(|g| g.content.store_path() == Some(path));
        stay.extend(theirs.map(|g| g.number));
    }
    for pin in &history.pins {
        if pin.profile == history.profile.path && pin.until.is_none_or(|end| end > history.now) {
            stay.insert(pin.number);
        }
    }
    if let Some(age) = history.rules.within {
        let cutoff = history.now.before(age);
        let mut before: Vec<_> = generations.values().collect();
        before
            .retain(|g| g.number <= current && g.created < cutoff && g.content.on_disk().is_some());
        before.sort_by_key(|g| (g.created, g.number));
        stay.extend(before.last().map(|g| g.number));
    }
    if history.profile.kind.is_system() {
        let older = generations.values().filter(|g| g.number < current);
        let mut bootable: Vec<_> = older
            .filter(|g| matches!(g.content, Content::Bootable(_)))
            .collect();
        let survivors = dropped(&history.judged());
        // At least one of them, whichever it is.
        bootable.sort_by_key(|g| survivors.contains(&g.number));
        stay.extend(bootable.first().map(|g| g.number));
    }
    stay
}

fn totality(history: &History) -> Checked {
    let verdicts = history.judged();
    let generations = &history.profile.generations;
    prop_assert!(verdicts.keys().eq(generations.keys()));
    for (number, verdict) in &verdicts {
        let on_disk = generations[number].content.on_disk();
        match verdict {
            Verdict::Keep(reasons) => {
                let told: Vec<_> = reasons.iter().collect();
                prop_assert!(told.is_sorted() && !told.is_empty());
            }
            Verdict::Remove { store_path } => {
                prop_assert_eq!(on_disk, Some(store_path));
                prop_assert!(history.current().is_some_and(|current| *number < current));
            }
        }
    }
    Ok(())
}

fn longer(rules: KeepRules, dice: &mut Dice) -> KeepRules {
    let known_good = rules.known_good || dice.percent(20);
    let mut more = |count: Option<u16>| {
        let extra = u16::try_from(dice.below(5)).unwrap();
        count.map(|n| n + if dice.percent(50) { extra } else { 0 })
    };
    let mut longer = KeepRules {
        last: more(rules.last),
        within: rules.within,
        calendar: PeriodCounts::default()
            .with(Calendar::Daily, more(rules.calendar.get(Calendar::Daily)))
            .with(Calendar::Weekly, more(rules.calendar.get(Calendar::Weekly)))
            .with(
                Calendar::Monthly,
                more(rules.calendar.get(Calendar::Monthly)),
            )
            .with(Calendar::Yearly, more(rules.calendar.get(Calendar::Yearly))),
        known_good,
    };
    if let Some(age) = rules.within {
        let most = if dice.percent(50) { 200_000 } else { 9_000_000 };
        longer.within = Some(seconds(age.as_seconds() + dice.below(most)));
    }
    longer
}

fn one_more(rules: KeepRules, dice: &mut Dice) -> KeepRules {
    let count = Some(u16::try_from(dice.below(8)).unwrap());
    let mut added = rules;
    match dice.below(6) {
        0 => added.last = rules.last.or(count),
        1 => added.within = rules.within.or(Some(seconds(dice.below(9_000_000)))),
        nth => {
            let rule = Calendar::ALL[usize::try_from(nth - 2).unwrap()];
            let counted = rules.calendar.get(rule).or(count);
            added.calendar = rules.calendar.with(rule, counted);
        }
    }
    added
}

fn seconds(seconds: u64) -> Span {
    format!("{seconds}s").parse().unwrap()
}

fn never_more(history: &History, rules: KeepRules) -> Checked {
    let before = dropped(&history.judged());
    for number in dropped(&history.judged_with(rules, &history.zone().time_zone())) {
        prop_assert!(before.contains(&number), "{} goes by {:?}", number, rules);
    }
    Ok(())
}

/// What cannot be used any more may stop a run, never widen it.
fn breaking(history: &History) -> Checked {
    let mut broken = history.clone();
    let mut dice = history.dice.clone();
    let current = history.current();
    for generation in broken.profile.generations.values_mut() {
        if Some(generation.number) != current && dice.percent(15) {
            generation.content = match generation.content.store_path() {
                Some(path) if dice.percent(50) => Content::Missing(path.clone()),
                _ => Content::Foreign,
            };
        }
    }
    let before = dropped(&history.judged());
    for number in dropped(&broken.judged()) {
        prop_assert!(before.contains(&number), "{} goes now", number);
    }
    Ok(())
}

fn second_look(history: &History) -> Checked {
    let zone = history.zone().time_zone();
    let circumstances = history.circumstances(&zone);
    let least = KeepPolicy::new(KeepRules {
        last: Some(1),
        ..KeepRules::default()
    })
    .unwrap();
    let verdicts = judge(&history.profile, &least, &circumstances);
    let kept_by_last_alone = |number| {
        let usable = history.profile.generations.values().rev().find(|g| {
            g.content.on_disk().is_some()
                && g.created <= history.now
                && history.current().is_some_and(|c| g.number <= c)
        });
        usable.is_some_and(|g| g.number == number)
    };
    for (number, verdict) in verdicts {
        let always = always_kept(&history.profile, number, &circumstances).is_some();
        let kept = matches!(verdict, Verdict::Keep(_));
        prop_assert!(!always || kept, "{} is always kept and goes", number);
        prop_assert!(
            always || !kept || kept_by_last_alone(number),
            "{} is forgotten",
            number
        );
    }
    let nobody = GenerationNumber(u32::MAX);
    prop_assert!(always_kept(&history.profile, nobody, &circumstances).is_none());
    Ok(())
}
