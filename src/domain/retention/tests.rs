//! Each rule, worked out by hand.

mod always;

use camino::{Utf8Path, Utf8PathBuf};
use rstest::rstest;

use super::*;
use crate::domain::profile::{Content, Generation, Owner, ProfileKind, ProfilePath};
use crate::domain::store_path::StorePathRef;

/// Generation N of [`Case::days`] was made N days after 1 November, at noon.
const NOW: &str = "2026-11-22T12:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn path(n: u32) -> StorePath<String> {
    let name = format!("{n:032}-system");
    StorePathRef::from_base_name(&name).unwrap().to_owned()
}

fn number(n: u32) -> GenerationNumber {
    GenerationNumber(n)
}

/// A profile and what surrounds it, changed step by step.
struct Case {
    profile: Profile,
    now: Timestamp,
    booted: Vec<StorePath<String>>,
    running: Vec<StorePath<String>>,
    pins: Vec<Pin>,
    uptimes: Uptimes,
}

impl Case {
    /// A user's profile with these generations, one a day; the last one is current.
    fn days(days: impl IntoIterator<Item = u32>) -> Self {
        let start = time("2026-11-01T12:00:00Z");
        let generation = |n: u32| {
            let generation = Generation {
                number: number(n),
                target: Utf8PathBuf::from(format!("/nix/store/{}", path(n))),
                content: Content::Present(path(n)),
                specialisations: Vec::new(),
                created: start.after(Span::days(n)),
            };
            (number(n), generation)
        };
        let generations: BTreeMap<_, _> = days.into_iter().map(generation).collect();
        let last = *generations.keys().last().unwrap();
        let profile = Profile {
            path: ProfilePath::new(Utf8Path::new("/p/profile")).unwrap(),
            kind: ProfileKind::User,
            owner: Owner { uid: 0, name: None },
            current: Current::Known(last),
            generations,
            is_nix_own: false,
            blocked: None,
        };
        Self {
            profile,
            now: time(NOW),
            booted: Vec::new(),
            running: Vec::new(),
            pins: Vec::new(),
            uptimes: Uptimes::new(),
        }
    }

    /// The same as a system profile of which everything looks bootable.
    fn system(days: impl IntoIterator<Item = u32>) -> Self {
        let mut case = Self::days(days);
        case.profile.kind = ProfileKind::System;
        for generation in case.profile.generations.values_mut() {
            generation.content = Content::Bootable(path(generation.number.0));
        }
        case
    }

    fn current(mut self, n: u32) -> Self {
        self.profile.current = Current::Known(number(n));
        self
    }

    fn content(mut self, n: u32, content: Content) -> Self {
        self.generation(n).content = content;
        self
    }

    fn created(mut self, n: u32, text: &str) -> Self {
        self.generation(n).created = time(text);
        self
    }

    fn pin(mut self, n: u32, until: Option<&str>) -> Self {
        self.pins.push(Pin {
            profile: self.profile.path.clone(),
            number: number(n),
            reason: None,
            until: until.map(time),
        });
        self
    }

    fn generation(&mut self, n: u32) -> &mut Generation {
        self.profile.generations.get_mut(&number(n)).unwrap()
    }

    fn judged(&self, rules: KeepRules) -> BTreeMap<GenerationNumber, Verdict> {
        let circumstances = Circumstances {
            now: self.now,
            zone: &TimeZone::UTC,
            booted: &self.booted,
            running: &self.running,
            pins: &self.pins,
            uptimes: &self.uptimes,
        };
        judge(
            &self.profile,
            &KeepPolicy::new(rules).unwrap(),
            &circumstances,
        )
    }

    fn kept(&self, rules: KeepRules) -> Vec<u32> {
        let judged = self.judged(rules);
        let keeps = judged.iter().filter(|(_, v)| matches!(v, Verdict::Keep(_)));
        keeps.map(|(n, _)| n.0).collect()
    }

    fn reasons(&self, rules: KeepRules, n: u32) -> Vec<Reason> {
        match &self.judged(rules)[&number(n)] {
            Verdict::Keep(reasons) => reasons.iter().cloned().collect(),
            Verdict::Remove { .. } => Vec::new(),
        }
    }
}

fn last(n: u16) -> KeepRules {
    KeepRules {
        last: Some(n),
        ..KeepRules::default()
    }
}

fn within(age: &str) -> KeepRules {
    KeepRules {
        within: Some(age.parse().unwrap()),
        ..KeepRules::default()
    }
}

fn newest_of(rule: Calendar, period: &str) -> Reason {
    let period = period.to_string();
    Reason::NewestOf { rule, period }
}

fn daily(n: u16) -> KeepRules {
    KeepRules {
        calendar: PeriodCounts::default().with(Calendar::Daily, Some(n)),
        ..KeepRules::default()
    }
}

#[rstest]
#[case(1, &[4, 5, 6, 7, 8, 9])]
#[case(2, &[3, 4, 5, 6, 7, 8, 9])]
#[case(1000, &[1, 2, 3, 4, 5, 6, 7, 8, 9])]
fn trap_1_last_counts_back_from_the_current_one(#[case] n: u16, #[case] kept: &[u32]) {
    let case = Case::days(1..=9).current(4);
    assert_eq!(case.kept(last(n)), kept);
}

#[test]
fn trap_2_what_is_newer_than_current_takes_no_place_and_stays() {
    let case = Case::days(1..=9).current(4);
    assert_eq!(case.kept(daily(2)), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(case.reasons(last(2), 9), [Reason::NewerThanCurrent]);
    assert_eq!(case.reasons(last(2), 4), [Reason::Current, Reason::Last(2)]);
}

#[test]
fn gaps_in_the_numbers_are_no_generations() {
    let case = Case::days([1, 4, 5, 17, 20]);
    assert_eq!(case.kept(last(3)), [5, 17, 20]);
}

#[rstest]
// Generation 10 is eleven days old, to the second.
#[case("11d", &[9, 10, 11, 12])]
#[case("950401s", &[9, 10, 11, 12])]
#[case("950399s", &[10, 11, 12])]
// Nothing is as young as that: only the one that is active.
#[case("1s", &[12])]
#[case("365d", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])]
fn trap_3_within_keeps_the_one_that_was_active_at_the_cutoff(
    #[case] age: &str,
    #[case] kept: &[u32],
) {
    let case = Case::days(1..=12);
    assert_eq!(case.kept(within(age)), kept);
}

#[rstest]
#[case::exactly_at_the_cutoff("2026-11-12T12:00:00Z", &[Reason::Within(Span::days(10))])]
#[case::a_nanosecond_before("2026-11-12T11:59:59.999999999Z", &[Reason::ActiveAtCutoff])]
#[case::a_nanosecond_behind("2026-11-12T12:00:00.000000001Z", &[Reason::Within(Span::days(10))])]
fn the_cutoff_is_exact(#[case] created: &str, #[case] reasons: &[Reason]) {
    let case = Case::days([1, 11, 12]).created(11, created);
    assert_eq!(case.reasons(within("10d"), 11), reasons);
}

#[test]
fn trap_4_where_times_do_not_rise_both_that_may_have_been_active_stay() {
    // Restored from a backup: 2 has the latest time before the cutoff, 8 the highest number.
    let case = Case::days(1..=9).created(2, "2026-11-10T12:00:00Z");
    let case = case.created(9, "2026-11-20T12:00:00Z");
    assert_eq!(case.kept(within("10d")), [2, 8, 9]);
    assert_eq!(case.reasons(within("10d"), 2), [Reason::ActiveAtCutoff]);
    assert_eq!(case.reasons(within("10d"), 8), [Reason::ActiveAtCutoff]);
}

#[test]
fn of_equal_times_the_higher_number_was_active() {
    let case = Case::days(1..=4)
        .created(2, "2026-11-03T00:00:00Z")
        .created(3, "2026-11-03T00:00:00Z");
    let case = case.created(4, "2026-11-22T00:00:00Z");
    assert_eq!(case.kept(within("10d")), [3, 4]);
}

#[test]
fn trap_8_a_time_after_now_keeps_and_stands_for_no_bucket() {
    let case = Case::days(1..=4).created(2, "2026-11-22T12:00:00.000000001Z");
    assert_eq!(case.kept(daily(2)), [2, 3, 4]);
    assert_eq!(case.reasons(daily(2), 2), [Reason::FutureTimestamp]);
    let case = case.created(2, NOW);
    assert_eq!(
        case.reasons(daily(2), 2),
        [newest_of(Calendar::Daily, "2026-11-22")]
    );
}

#[test]
fn last_0_leaves_the_others_to_their_rules() {
    let rules = KeepRules {
        last: Some(0),
        ..daily(1)
    };
    let case = Case::days(1..=4);
    assert_eq!(case.kept(rules), [4]);
    let today = newest_of(Calendar::Daily, "2026-11-05");
    assert_eq!(case.reasons(rules, 4), [Reason::Current, today]);
}

#[rstest]
#[case::last(last(2), &[3, 5, 6])]
#[case::daily(daily(2), &[3, 5, 6])]
#[case::within(within("15d12h"), &[3, 5, 6])]
fn broken_links_stay_and_take_no_place(#[case] rules: KeepRules, #[case] kept: &[u32]) {
    // Generation 5 was made on the 6th and is missing; 4 is not there at all.
    let case = Case::days([1, 2, 3, 5, 6]).content(5, Content::Missing(path(5)));
    assert_eq!(case.kept(rules), kept);
    assert_eq!(case.reasons(rules, 5), [Reason::TargetMissing]);
}

#[test]
fn all_reasons_are_shown_in_their_order() {
    let mut case = Case::system(1..=2).pin(2, None);
    case.booted.push(path(2));
    case.running.push(path(2));
    case.now = time("2026-11-04T00:00:00Z");
    let rules = KeepRules {
        last: Some(1),
        within: Some(Span::days(1)),
        known_good: false,
        calendar: PeriodCounts::default()
            .with(Calendar::Daily, Some(1))
            .with(Calendar::Weekly, Some(1))
            .with(Calendar::Monthly, Some(1))
            .with(Calendar::Yearly, Some(1)),
    };
    let pinned = Reason::Pinned {
        reason: None,
        until: None,
    };
    let expected = [
        Reason::Current,
        Reason::Booted,
        Reason::Running,
        pinned,
        Reason::Last(1),
        Reason::Within(Span::days(1)),
        newest_of(Calendar::Daily, "2026-11-03"),
        newest_of(Calendar::Weekly, "2026-W45"),
        newest_of(Calendar::Monthly, "2026-11"),
        newest_of(Calendar::Yearly, "2026"),
    ];
    assert_eq!(case.reasons(rules, 2), expected);
    assert_eq!(
        case.reasons(rules, 1),
        [Reason::ActiveAtCutoff, Reason::Fallback]
    );
}

#[test]
fn a_profile_without_generations_gets_no_verdicts() {
    let mut case = Case::days(1..=1);
    case.profile.generations.clear();
    assert!(case.judged(last(1)).is_empty());
}

#[test]
fn times_at_the_ends_of_the_calendar_are_judged() {
    let ends = [jiff::Timestamp::MIN, jiff::Timestamp::MAX].map(Timestamp::from);
    let mut case = Case::days(1..=3);
    case.generation(1).created = ends[0];
    case.generation(2).created = ends[1];
    for now in ends {
        case.now = now;
        let rules = KeepRules {
            calendar: PeriodCounts::default()
                .with(Calendar::Weekly, Some(9))
                .with(Calendar::Yearly, Some(9)),
            ..within("3000000d")
        };
        assert!(case.kept(rules).contains(&3));
    }
}

#[rstest]
#[case(KeepRules::default(), Err(KeepError::KeepsNothing))]
#[case(last(0), Err(KeepError::KeepsNothing))]
#[case(within("0s"), Err(KeepError::KeepsNothing))]
#[case(KeepRules { last: Some(0), within: Some(Span::ZERO), ..daily(0) }, Err(KeepError::KeepsNothing))]
#[case(last(1), Ok(()))]
#[case(daily(1), Ok(()))]
#[case(within("1s"), Ok(()))]
#[case(KeepRules { calendar: PeriodCounts::default().with(Calendar::Yearly, Some(1)), ..last(0) }, Ok(()))]
#[case(last(1000), Ok(()))]
#[case(last(1001), Err(KeepError::TooMany { rule: "last", value: 1001 }))]
#[case(KeepRules { calendar: PeriodCounts::default().with(Calendar::Yearly, Some(u16::MAX)), ..last(1) }, Err(KeepError::TooMany { rule: "yearly", value: u16::MAX }))]
fn a_policy_keeps_something(#[case] rules: KeepRules, #[case] checked: Result<(), KeepError>) {
    assert_eq!(
        KeepPolicy::new(rules).map(|p| *p.rules()),
        checked.map(|()| rules)
    );
}

#[test]
fn a_policy_knows_whether_it_replaces_the_rules_of_a_job() {
    let rules = KeepRules {
        last: Some(1),
        ..KeepRules::default()
    };
    let policy = KeepPolicy::new(rules).unwrap();
    assert!(!policy.overrides_job());
    assert!(policy.overriding_job().overrides_job());
}

#[test]
fn every_calendar_rule_has_a_count_of_its_own() {
    for rule in Calendar::ALL {
        let counts = PeriodCounts::default().with(rule, Some(3));
        for other in Calendar::ALL {
            assert_eq!(counts.get(other), (other == rule).then_some(3));
        }
    }
}

#[rstest]
#[case::nothing_known(&[], &[7, 8], None)]
#[case::not_for_a_day(&[(2, 23)], &[7, 8], None)]
#[case::a_day(&[(2, 24)], &[2, 7, 8], Some(24))]
#[case::the_longest(&[(2, 24), (3, 80), (4, 30)], &[3, 7, 8], Some(80))]
#[case::the_newest_of_the_longest(&[(2, 24), (3, 24)], &[3, 7, 8], Some(24))]
#[case::the_current_one(&[(2, 24), (8, 25)], &[7, 8], Some(25))]
#[case::one_that_is_gone(&[(3, 30), (99, 90)], &[3, 7, 8], Some(30))]
fn the_system_that_ran_longest_is_known_good(
    #[case] hours: &[(u32, u64)],
    #[case] kept: &[u32],
    #[case] longest: Option<u64>,
) {
    let hours = hours.iter();
    let uptimes: Uptimes = hours
        .map(|(n, hours)| (path(*n), Span::seconds(hours * 3600)))
        .collect();
    let rules = KeepRules {
        known_good: true,
        ..last(1)
    };
    let mut case = Case::system(1..=8);
    case.uptimes.clone_from(&uptimes);
    assert_eq!(case.kept(rules), kept);
    let good = |reason: &Reason| match reason {
        Reason::KnownGood(span) => Some(span.as_seconds() / 3600),
        _ => None,
    };
    let reasons = (1..=8).flat_map(|n| match case.judged(rules).remove(&number(n)) {
        Some(Verdict::Keep(reasons)) => reasons.iter().filter_map(good).collect(),
        _ => Vec::new(),
    });
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        longest.into_iter().collect::<Vec<_>>()
    );
    assert_eq!(case.kept(last(1)), [7, 8], "only with the rule");
    // A profile that is no system is never booted.
    let mut case = Case::days(1..=8);
    case.uptimes = uptimes;
    assert_eq!(case.kept(rules), [8]);
}
