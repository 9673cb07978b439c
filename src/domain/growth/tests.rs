//! Made histories, whose answers are known.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stderr
)]

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const SIZE: f64 = 500.0 * GIB;
/// Midnight of a day.
const START: i64 = 1_790_000_000 / 86_400 * 86_400;

fn at(day: f64) -> Timestamp {
    Timestamp::from_unix(START + (day * DAY_SECONDS) as i64, 0).unwrap()
}

fn disk(used: f64) -> Disk {
    let used = used.clamp(0.0, SIZE);
    Disk {
        used: Bytes(used as u64),
        available: Bytes((SIZE - used) as u64),
        inodes: None,
    }
}

/// Numbers that look random and are always the same.
struct Noise(u64);

impl Noise {
    /// Between -1 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 / (1u64 << 52) as f64) - 1.0
    }
}

/// The life of a disk: used space grows each day, and a collection takes a part of it away every few days.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// A day, without collections.
    grows: f64,
    /// Days between collections, and what each takes away.
    every: f64,
    takes: f64,
    /// What comes and goes at random.
    noise: f64,
    begins: f64,
    /// Something large that is copied once, and when.
    copied: (f64, f64),
    seed: u64,
}

impl Life {
    fn used(&self, day: f64) -> f64 {
        let collections = if self.every > 0.0 {
            (day / self.every).floor()
        } else {
            0.0
        };
        let copied = if day >= self.copied.0 {
            self.copied.1
        } else {
            0.0
        };
        self.begins + self.grows * day - self.takes * collections + copied
    }

    /// The first moment at which it is full, in days; `None` within ten years.
    fn full(&self) -> Option<f64> {
        (0..36_500)
            .map(|tenth| f64::from(tenth) / 10.0)
            .find(|day| self.used(*day) >= SIZE)
    }

    /// What is known after so many days, with a sample every few hours, some of them missing.
    fn history(&self, days: f64) -> (SpaceHistory, Timestamp, Disk) {
        let (mut history, mut noise) = (SpaceHistory::default(), Noise(self.seed));
        let mut hours = 0.0;
        let mut last = disk(self.begins);
        while hours / 24.0 < days {
            last = disk(self.used(hours / 24.0) + self.noise * noise.next());
            if noise.next() < 0.5 {
                history.add(SpaceSample::of(last, at(hours / 24.0)));
            }
            hours += 3.0;
        }
        (history, at(days), last)
    }
}

/// 200 lives of five kinds. The truth lies in the range as often as the documentation says, and the likely day is near it.
#[test]
fn made_histories_are_forecast() {
    let mut noise = Noise(1);
    let mut unit = move || f64::midpoint(noise.next(), 1.0);
    let (mut within, mut widths, mut errors) = (0, Vec::new(), Vec::new());
    for seed in 0u32.. {
        if widths.len() == 200 {
            break;
        }
        let grows = (0.5 + 4.5 * unit()) * GIB;
        let every = [0.0, 1.0, 7.0, 7.0, 14.0][seed as usize % 5];
        let life = Life {
            grows,
            every,
            takes: every * grows * 0.7 * unit(),
            noise: 4.0 * unit() * GIB,
            begins: (100.0 + 300.0 * unit()) * GIB,
            copied: (30.0 * unit(), 20.0 * (unit() - 0.5).max(0.0) * GIB),
            seed: u64::from(seed),
        };
        let days = 20.0 + 40.0 * unit();
        let Some(full) = life.full().filter(|full| *full > days) else {
            continue;
        };
        let left = full - days;
        let (history, now, disk) = life.history(days);
        let FullForecast::Within {
            earliest_days,
            likely_days,
            latest_days,
        } = history.forecast(disk, now)
        else {
            assert!(left > days * 2.0, "{life:?}: full in {left} days");
            continue;
        };
        let latest = latest_days.map_or(f64::INFINITY, f64::from);
        within += usize::from(f64::from(earliest_days) - 1.0 <= left && left <= latest + 2.0);
        widths.push((latest - f64::from(earliest_days)) / left.max(7.0));
        match likely_days {
            Some(likely) => errors.push((f64::from(likely) - left).abs() / left.max(7.0)),
            // Beyond the reach of a forecast.
            None => assert!(left > days * 2.0, "{life:?}: full in {left} days"),
        }
    }
    errors.sort_by(f64::total_cmp);
    widths.sort_by(f64::total_cmp);
    let (error, most, width) = (
        errors[errors.len() / 2],
        errors[errors.len() * 9 / 10],
        widths[100],
    );
    eprintln!(
        "{within} of 200 in range; error of {}: median {error:.3}, 90 % below {most:.3}; width: median {width:.3}",
        errors.len()
    );
    assert!(within >= 180, "{within} of 200 lie in the range");
    assert!(error < 0.08, "median error {error}");
    assert!(most < 0.25, "90 % have an error below {most}");
    assert!(width < 0.5, "median width of the range {width}");
}

#[rstest]
#[case::no_sample(&[], FullForecast::NotEnoughData)]
#[case::few_days(&[(0.0, 100.0), (1.0, 110.0), (2.0, 120.0), (3.0, 130.0)], FullForecast::NotEnoughData)]
#[case::close_days(&[(0.0, 100.0), (1.0, 110.0), (2.0, 120.0), (3.0, 130.0), (4.0, 140.0), (5.0, 150.0)], FullForecast::NotEnoughData)]
#[case::steady(
    &[(0.0, 250.0), (2.0, 270.0), (4.0, 290.0), (6.0, 310.0), (8.0, 330.0)],
    FullForecast::Within { earliest_days: 17, likely_days: Some(17), latest_days: Some(17) }
)]
#[case::no_growth(
    &[(0.0, 300.0), (2.0, 300.0), (4.0, 300.0), (6.0, 300.0), (8.0, 300.0)],
    FullForecast::NotWithin { days: 32 }
)]
#[case::shrinks(
    &[(0.0, 300.0), (2.0, 290.0), (4.0, 280.0), (6.0, 270.0), (8.0, 260.0)],
    FullForecast::NotWithin { days: 32 }
)]
#[case::full(
    &[(0.0, 460.0), (2.0, 470.0), (4.0, 480.0), (6.0, 490.0), (8.0, 500.0)],
    FullForecast::Within { earliest_days: 0, likely_days: Some(0), latest_days: Some(0) }
)]
#[case::forever_ago(
    &[(-90.0, 100.0), (-88.0, 120.0), (-86.0, 140.0), (-84.0, 160.0), (-80.0, 180.0)],
    FullForecast::NotEnoughData
)]
fn forecasts(#[case] samples: &[(f64, f64)], #[case] expected: FullForecast) {
    let mut history = SpaceHistory::default();
    for (day, used) in samples {
        history.add(SpaceSample::of(disk(used * GIB), at(*day)));
    }
    let (day, used) = samples.last().copied().unwrap_or_default();
    let now = if day < 0.0 { at(0.0) } else { at(day) };
    assert_eq!(history.forecast(disk(used * GIB), now), expected);
}

/// A disk that grows is full no later than before.
#[test]
fn a_larger_disk_is_full_later() {
    let life = Life {
        grows: 2.0 * GIB,
        every: 7.0,
        takes: 5.0 * GIB,
        noise: 0.0,
        begins: 350.0 * GIB,
        copied: (0.0, 0.0),
        seed: 1,
    };
    let (history, now, small) = life.history(40.0);
    let large = Disk {
        available: Bytes(small.available.0 + (60.0 * GIB) as u64),
        ..small
    };
    let likely = |disk| match history.forecast(disk, now) {
        FullForecast::Within { likely_days, .. } => likely_days.unwrap_or(u32::MAX),
        _ => u32::MAX,
    };
    assert!(likely(small).saturating_add(30) < likely(large));
}

proptest! {
    #[test]
    fn samples_are_few_and_in_order(steps in proptest::collection::vec((0u32..90_000, 0u64..1000), 0..400)) {
        let (mut history, mut seconds, mut highest) = (SpaceHistory::default(), START, Bytes(0));
        for (step, used) in steps {
            seconds += i64::from(step);
            let sample = SpaceSample {
                at: Timestamp::from_unix(seconds, 0).unwrap(),
                used: Bytes(used),
                available: Bytes(1000 - used),
            };
            history.add(sample);
            prop_assert_eq!(history.samples().last(), Some(&sample));
            highest = highest.max(sample.used);
        }
        let samples = history.samples();
        prop_assert!(samples.is_sorted_by(|a, b| a.at < b.at));
        // Two days at intervals, and one for each day before.
        prop_assert!(samples.len() <= 2 * 24 * 6 + 1 + 121);
        if seconds - START < 100 * 86_400 {
            let kept = samples.iter().filter(|it| seconds - it.at.to_unix().0 > 3 * 86_400);
            prop_assert!(kept.map(|it| day(*it)).is_sorted_by(|a, b| a < b));
        }
    }

    /// Nothing that is in a file makes it fail.
    #[test]
    fn any_history_is_judged(samples in proptest::collection::vec((-1_000_000_000_000i64..1_000_000_000_000, any::<u64>(), any::<u64>()), 0..40), used: u64, available: u64) {
        let sample = |(at, used, available)| SpaceSample {
            at: Timestamp::from_unix(at, 0).unwrap_or(at_zero()),
            used: Bytes(used),
            available: Bytes(available),
        };
        let history = SpaceHistory(samples.into_iter().map(sample).collect());
        let disk = Disk { used: Bytes(used), available: Bytes(available), inodes: None };
        history.forecast(disk, at(0.0));
    }
}

fn at_zero() -> Timestamp {
    at(0.0)
}
