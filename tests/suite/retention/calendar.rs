//! Calendar buckets where the calendar is odd; every expectation was worked out by hand.

use jiff::tz::TimeZone;
use nix_prune::domain::profile::GenerationNumber;
use nix_prune::domain::retention::{Calendar, KeepRules, PeriodCounts};
use rstest::rstest;

use super::oracle::{buckets, in_words};
use super::zones::{apia, berlin, st_johns};
use super::{profile, verdicts};

fn daily(n: u16) -> KeepRules {
    KeepRules {
        calendar: PeriodCounts::default().with(Calendar::Daily, Some(n)),
        ..KeepRules::default()
    }
}

fn weekly(n: u16) -> KeepRules {
    KeepRules {
        calendar: PeriodCounts::default().with(Calendar::Weekly, Some(n)),
        ..KeepRules::default()
    }
}

fn monthly(n: u16) -> KeepRules {
    KeepRules {
        calendar: PeriodCounts::default().with(Calendar::Monthly, Some(n)),
        ..KeepRules::default()
    }
}

fn yearly(n: u16) -> KeepRules {
    KeepRules {
        calendar: PeriodCounts::default().with(Calendar::Yearly, Some(n)),
        ..KeepRules::default()
    }
}

fn kathmandu() -> TimeZone {
    TimeZone::posix("<+0545>-5:45").unwrap()
}

/// The generations are numbered from 1, the last one is current and judged a day later. Beside each date stands the
/// bucket that keeps it; nothing for one that goes, `-` for one that only being current keeps.
#[rstest]
#[case::a_day_of_23_hours(berlin(), daily(3), &[
    ("2026-03-28T22:59:59Z", "daily 2026-03-28"),
    ("2026-03-28T23:00:00Z", ""),
    ("2026-03-29T21:59:59Z", "daily 2026-03-29"),
    ("2026-03-29T22:00:00Z", ""),
    ("2026-03-30T10:00:00Z", "daily 2026-03-30"),
])]
#[case::a_day_of_25_hours(berlin(), daily(3), &[
    ("2026-10-24T21:59:59Z", "daily 2026-10-24"),
    ("2026-10-24T22:00:00Z", ""),
    ("2026-10-25T00:30:00Z", ""),
    ("2026-10-25T01:30:00Z", ""),
    ("2026-10-25T22:59:59Z", "daily 2026-10-25"),
    ("2026-10-25T23:00:00Z", "daily 2026-10-26"),
])]
// The clock went from 00:01 on the 7th back to 23:01 on the 6th: both days come twice, and count once.
#[case::a_day_that_comes_twice(st_johns(), daily(5), &[
    ("2010-11-07T01:00:00Z", ""),
    ("2010-11-07T02:30:30Z", ""),
    ("2010-11-07T02:31:00Z", ""),
    ("2010-11-07T03:29:59Z", "daily 2010-11-06"),
    ("2010-11-07T03:30:00Z", "daily 2010-11-07"),
    ("2010-11-08T12:00:00Z", "daily 2010-11-08"),
])]
#[case::a_day_that_never_was(apia(), daily(3), &[
    ("2011-12-29T20:00:00Z", ""),
    ("2011-12-30T09:59:59Z", "daily 2011-12-29"),
    ("2011-12-30T10:00:00Z", ""),
    ("2011-12-31T09:59:59Z", "daily 2011-12-31"),
    ("2011-12-31T10:00:00Z", "daily 2012-01-01"),
])]
#[case::a_year_that_ends_early(apia(), yearly(2), &[
    ("2011-12-30T09:59:59Z", ""),
    ("2011-12-31T09:59:59Z", "yearly 2011"),
    ("2011-12-31T10:00:00Z", "yearly 2012"),
])]
#[case::week_53_of_2015(TimeZone::UTC, weekly(3), &[
    ("2015-12-27T23:59:59Z", "weekly 2015-W52"),
    ("2015-12-28T00:00:00Z", ""),
    ("2016-01-03T23:59:59Z", "weekly 2015-W53"),
    ("2016-01-04T00:00:00Z", "weekly 2016-W01"),
])]
#[case::week_53_of_2020(TimeZone::UTC, weekly(3), &[
    ("2020-12-27T23:59:59Z", "weekly 2020-W52"),
    ("2020-12-28T00:00:00Z", ""),
    ("2021-01-01T00:00:00Z", ""),
    ("2021-01-03T23:59:59Z", "weekly 2020-W53"),
    ("2021-01-04T00:00:00Z", "weekly 2021-W01"),
])]
#[case::week_53_of_2026(TimeZone::UTC, weekly(3), &[
    ("2026-12-27T23:59:59Z", "weekly 2026-W52"),
    ("2026-12-28T00:00:00Z", ""),
    ("2027-01-01T12:00:00Z", "weekly 2026-W53"),
    ("2027-01-04T00:00:00Z", "weekly 2027-W01"),
])]
#[case::january_the_first_in_week_1(TimeZone::UTC, weekly(2), &[
    ("2024-12-29T23:59:59Z", "weekly 2024-W52"),
    ("2024-12-30T00:00:00Z", ""),
    ("2025-01-01T00:00:00Z", "weekly 2025-W01"),
])]
#[case::january_the_first_in_week_52(TimeZone::UTC, weekly(2), &[
    ("2022-12-31T12:00:00Z", ""),
    ("2023-01-01T23:59:59Z", "weekly 2022-W52"),
    ("2023-01-02T00:00:00Z", "weekly 2023-W01"),
])]
#[case::months_without_any_do_not_count(TimeZone::UTC, monthly(2), &[
    ("2026-01-31T12:00:00Z", ""),
    ("2026-06-01T00:00:00Z", ""),
    ("2026-06-30T23:59:59Z", "monthly 2026-06"),
    ("2026-11-01T00:00:00Z", "monthly 2026-11"),
])]
#[case::the_same_month_of_another_year(TimeZone::UTC, monthly(2), &[
    ("2025-11-05T12:00:00Z", "monthly 2025-11"),
    ("2026-11-05T12:00:00Z", "monthly 2026-11"),
])]
#[case::years(TimeZone::UTC, yearly(4), &[
    ("2023-12-31T23:59:59Z", "yearly 2023"),
    ("2024-01-01T00:00:00Z", "yearly 2024"),
    ("2025-06-01T00:00:00Z", "yearly 2025"),
    ("2026-01-01T00:00:00Z", "yearly 2026"),
])]
#[case::years_begin_when_the_zone_says(kathmandu(), yearly(4), &[
    ("2023-12-31T23:59:59Z", ""),
    ("2024-01-01T00:00:00Z", "yearly 2024"),
    ("2025-06-01T00:00:00Z", "yearly 2025"),
    ("2026-01-01T00:00:00Z", "yearly 2026"),
])]
#[case::of_equal_times_the_higher_number(TimeZone::UTC, daily(2), &[
    ("2026-11-20T10:00:00Z", ""),
    ("2026-11-20T10:00:00Z", "daily 2026-11-20"),
    ("2026-11-21T10:00:00Z", "daily 2026-11-21"),
])]
// Somebody touched the second link: it is the newest of its day all the same.
#[case::trap_4_times_that_do_not_rise(TimeZone::UTC, daily(1), &[
    ("2026-11-01T10:00:00Z", ""),
    ("2026-11-20T12:00:00Z", "daily 2026-11-20"),
    ("2026-11-20T10:00:00Z", "-"),
])]
#[case::no_more_than_the_count(TimeZone::UTC, daily(1), &[
    ("2026-11-19T10:00:00Z", ""),
    ("2026-11-20T10:00:00Z", ""),
    ("2026-11-21T10:00:00Z", "daily 2026-11-21"),
])]
fn buckets_follow_the_calendar(
    #[case] zone: TimeZone,
    #[case] rules: KeepRules,
    #[case] rows: &[(&str, &str)],
) {
    let dates: Vec<(u32, &str)> = (1..).zip(rows).map(|(n, row)| (n, row.0)).collect();
    let (current, last) = *dates.last().unwrap();
    let last: jiff::Timestamp = last.parse().unwrap();
    let now = (last + jiff::SignedDuration::from_hours(24)).to_string();
    let verdicts = verdicts(&profile(&dates, current), rules, &now, &zone);
    let words = in_words(&verdicts);
    for (number, (date, expected)) in (1..).zip(rows) {
        let mut reasons = words[&number].clone();
        let by_rules = if reasons.remove("current") && reasons.is_empty() {
            "-".to_string()
        } else {
            reasons.into_iter().collect::<Vec<_>>().join(", ")
        };
        assert_eq!(by_rules, *expected, "generation {number} of {date}");
        assert!(verdicts.contains_key(&GenerationNumber(number)));
    }
}

/// The oracle's own calendar against dates that anybody can look up.
#[rstest]
#[case(0, ["1970-01-01", "1970-W01", "1970-01", "1970"])]
#[case(16_800, ["2015-12-31", "2015-W53", "2015-12", "2015"])]
#[case(18_321, ["2020-02-29", "2020-W09", "2020-02", "2020"])]
#[case(18_630, ["2021-01-03", "2020-W53", "2021-01", "2021"])]
#[case(19_358, ["2023-01-01", "2022-W52", "2023-01", "2023"])]
#[case(20_086, ["2024-12-29", "2024-W52", "2024-12", "2024"])]
#[case(20_087, ["2024-12-30", "2025-W01", "2024-12", "2024"])]
fn the_oracle_has_a_calendar(#[case] day: i64, #[case] names: [&str; 4]) {
    assert_eq!(buckets(day), names.map(str::to_string));
}
