//! Made series, whose answers are known.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::print_stderr
)]

use proptest::prelude::*;
use rstest::rstest;

use super::DeviationCode::{FreedLess, FreedMore, PredictionWrong, SpaceNotGained, TookLonger};
use super::*;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::receipt::FreedBytes;

const GIB: i64 = 1 << 30;
const MIB: i64 = 1 << 20;

/// What a run freed, by the plan, by Nix and on disk, and its seconds.
#[derive(Debug, Clone, Copy)]
struct Made {
    predicted: i64,
    reported: i64,
    measured: i64,
    seconds: u64,
}

/// A run that freed as much as was predicted and is free now, in a minute.
fn freed(bytes: i64) -> Made {
    Made {
        predicted: bytes,
        reported: bytes,
        measured: bytes,
        seconds: 60,
    }
}

fn receipt(day: u32, made: Made) -> Receipt {
    let started = Timestamp::from_unix(1_790_000_000 + i64::from(day) * 86_400, 0).unwrap();
    let bytes = |bytes: i64| Some(Bytes(u64::try_from(bytes).unwrap()));
    let receipt = serde_json::json!({
        "schema": "nix-prune/receipt/2", "run": format!("run-{day}"), "kind": "run", "job": "daily",
        "toolVersion": "1", "nixVersion": "2.34", "machine": "m", "store": "/nix/store",
        "startedAt": started, "finishedAt": started.after(Span::seconds(made.seconds)), "entries": [],
        "bytes": FreedBytes {
            predicted: bytes(made.predicted),
            predicted_at_most: false,
            reported: bytes(made.reported),
            measured: Some(made.measured),
            paths: None,
        },
    });
    serde_json::from_value(receipt).unwrap()
}

fn receipts(runs: impl IntoIterator<Item = Made>) -> Vec<Receipt> {
    let days = (0..).zip(runs);
    days.map(|(day, made)| receipt(day, made)).collect()
}

fn codes(found: Option<&Vec<Deviation>>) -> Option<Vec<DeviationCode>> {
    found.map(|found| found.iter().map(|it| it.code).collect())
}

/// The codes of a run after ten steady ones.
fn after_ten(made: Made) -> Option<Vec<DeviationCode>> {
    let runs = (0..10).map(|n| freed(3 * GIB + n * 50 * MIB)).chain([made]);
    codes(deviations(&receipts(runs)).last().unwrap().as_ref())
}

#[rstest]
#[case::as_usual(freed(3 * GIB), &[])]
#[case::twice(freed(6 * GIB), &[])]
#[case::half(freed(GIB + GIB / 2), &[])]
#[case::nothing(freed(0), &[FreedLess])]
#[case::far_less(freed(100 * MIB), &[FreedLess])]
#[case::far_more(freed(40 * GIB), &[FreedMore])]
#[case::ten_minutes(Made { seconds: 600, ..freed(3 * GIB) }, &[TookLonger])]
#[case::four_minutes(Made { seconds: 240, ..freed(3 * GIB) }, &[])]
#[case::at_once(Made { seconds: 0, ..freed(3 * GIB) }, &[])]
#[case::less_than_predicted(Made { predicted: 30 * GIB, ..freed(3 * GIB) }, &[PredictionWrong])]
#[case::more_than_predicted(Made { predicted: 100 * MIB, ..freed(3 * GIB) }, &[PredictionWrong])]
#[case::a_third_less_than_predicted(Made { predicted: 4 * GIB, ..freed(3 * GIB) }, &[])]
#[case::nothing_is_free(Made { measured: 0, ..freed(3 * GIB) }, &[SpaceNotGained])]
#[case::less_is_free(Made { measured: -9 * GIB, ..freed(3 * GIB) }, &[SpaceNotGained])]
#[case::half_is_free(Made { measured: 3 * GIB / 2, ..freed(3 * GIB) }, &[])]
#[case::more_is_free(Made { measured: 90 * GIB, ..freed(3 * GIB) }, &[])]
fn a_run_is_compared_with_those_before_it(#[case] made: Made, #[case] expected: &[DeviationCode]) {
    assert_eq!(after_ten(made).as_deref(), Some(expected));
}

#[test]
fn a_deviation_has_what_was_and_what_was_to_be_expected() {
    let with = |seconds, measured| Made {
        measured,
        seconds,
        ..freed(4 * GIB)
    };
    let steady = std::iter::repeat_n(with(60, 2 * GIB), 8);
    let found = deviations(&receipts(steady.chain([with(3600, 0)])));
    let found = found.last().unwrap().as_deref().unwrap();
    let of = |code, value, expected| Deviation {
        code,
        value,
        expected,
    };
    // Half of what is freed is usual here: snapshots share the blocks.
    let expected = [of(TookLonger, 3600, 60), of(SpaceNotGained, 0, 2 * GIB)];
    assert_eq!(found, expected);
}

/// A file system that compresses frees half of what is predicted, always.
#[test]
fn a_prediction_that_is_always_wrong_is_not_unusual() {
    let run = Made {
        predicted: 40 * GIB,
        ..freed(2 * GIB)
    };
    let found = deviations(&receipts([run; 20]));
    assert!(found.iter().flatten().all(Vec::is_empty), "{found:?}");
}

#[test]
fn an_upper_bound_is_not_missed_from_below() {
    let made = Made {
        predicted: 30 * GIB,
        ..freed(3 * GIB)
    };
    let mut runs = receipts([freed(3 * GIB); 10].into_iter().chain([made]));
    let code = |runs: &[Receipt]| codes(deviations(runs).last().unwrap().as_ref());
    assert_eq!(code(&runs), Some(vec![PredictionWrong]));
    runs.last_mut().unwrap().bytes.predicted_at_most = true;
    assert_eq!(code(&runs), Some(vec![]));
}

#[test]
fn too_few_runs_say_nothing() {
    let runs = receipts([freed(3 * GIB); 9]);
    let found = deviations(&runs);
    let compared: Vec<bool> = found.iter().map(Option::is_some).collect();
    assert_eq!(compared, [vec![false; MIN_RUNS], vec![true]].concat());
    // Nor do runs of which one figure is not known.
    let mut runs = receipts([freed(3 * GIB); 9].into_iter().chain([freed(0)]));
    for run in &mut runs[..2] {
        run.bytes.reported = None;
    }
    assert_eq!(codes(deviations(&runs)[9].as_ref()), Some(vec![]));
    runs[1].bytes.reported = Some(Bytes(3 << 30));
    assert_eq!(codes(deviations(&runs)[9].as_ref()), Some(vec![FreedLess]));
}

type Change = fn(&mut Receipt);

#[rstest]
#[case::another_kind(|run: &mut Receipt| run.kind = RunKind::Free)]
#[case::no_job(|run: &mut Receipt| run.job = None)]
#[case::interrupted(|run: &mut Receipt| run.finished_at = None)]
#[case::stopped(|run: &mut Receipt| run.stopped = true)]
#[case::another_job(|run: &mut Receipt| run.job = Some(serde_json::from_value("other".into()).unwrap()))]
#[case::another_store(|run: &mut Receipt| run.store = StoreDir::new("/other/store".into()).unwrap())]
#[case::failed(|run: &mut Receipt| {
    let entry = serde_json::json!({
        "action": { "kind": "removeRoot", "entry": "/auto/x", "link": "/home/a/result" }, "risk": "low", "outcome": "failed",
        "at": null, "detail": null, "undo": null, "undoneBy": null,
    });
    run.entries.push(serde_json::from_value(entry).unwrap());
})]
fn other_runs_are_neither_compared_nor_compared_with(#[case] change: Change) {
    let mut runs = receipts([freed(3 * GIB); 10].into_iter().chain([freed(0)]));
    assert!(deviations(&runs)[10].is_some());
    change(&mut runs[10]);
    assert_eq!(deviations(&runs)[10], None);
    let mut runs = receipts([freed(3 * GIB); 10].into_iter().chain([freed(0)]));
    for run in &mut runs[..3] {
        change(run);
    }
    assert_eq!(deviations(&runs)[10], None);
}

/// A new level is marked once: a second run there is not beyond the first one.
#[test]
fn a_new_level_is_marked_once() {
    let runs = [freed(GIB); 20].into_iter().chain([freed(20 * GIB); 20]);
    let found = deviations(&receipts(runs));
    let marked: Vec<usize> = (0..found.len())
        .filter(|at| found[*at].as_ref().is_some_and(|it| !it.is_empty()))
        .collect();
    assert_eq!(marked, [20]);
}

/// Numbers that look random and are always the same.
struct Noise(u64);

impl Noise {
    /// From 0 to 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of a normal distribution.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Around a size, by a factor that is lognormal.
    fn around(&mut self, bytes: i64, sigma: f64) -> f64 {
        bytes as f64 * (self.normal() * sigma).exp()
    }
}

/// The bytes that the nth run frees.
type Series = fn(&mut Noise, usize) -> f64;

/// 300 series of 60 runs of each kind: the marks among the runs that are compared, per mille. The documentation has the highest.
#[rstest]
#[case::constant(|_: &mut Noise, _: usize| 3e9, 0)]
#[case::nothing(|_: &mut Noise, _: usize| 0.0, 0)]
#[case::little(|noise: &mut Noise, _: usize| noise.uniform() * 1e6, 0)]
#[case::tenth(|noise: &mut Noise, _: usize| 3e9 * (1.0 + 0.1 * noise.normal()), 0)]
#[case::third(|noise: &mut Noise, _: usize| (3e9 * (1.0 + 0.3 * noise.normal())).max(0.0), 6)]
#[case::lognormal(|noise: &mut Noise, _: usize| noise.around(GIB, 0.5), 1)]
#[case::wide(|noise: &mut Noise, _: usize| noise.around(GIB, 1.0), 3)]
#[case::exponential(|noise: &mut Noise, _: usize| -noise.uniform().max(1e-9).ln() * 3e9, 5)]
#[case::growing(|noise: &mut Noise, n: usize| noise.around(GIB, 0.2) * (1.0 + n as f64 / 30.0), 0)]
#[case::weekly(|noise: &mut Noise, n: usize| if n.is_multiple_of(7) { noise.around(5 * GIB, 0.2) } else { noise.around(300 * MIB, 0.2) }, 2)]
#[case::every_second(|noise: &mut Noise, _: usize| if noise.uniform() < 0.5 { 0.0 } else { noise.around(5 * GIB, 0.3) }, 3)]
#[case::every_fifth(|noise: &mut Noise, _: usize| if noise.uniform() < 0.8 { 0.0 } else { noise.around(5 * GIB, 0.3) }, 10)]
fn steady_series_have_few_marks(#[case] series: Series, #[case] most_per_mille: usize) {
    let (mut marked, mut compared) = (0, 0);
    for seed in 0..300 {
        let mut noise = Noise(seed * 7919 + 1);
        for _ in 0..10 {
            noise.uniform();
        }
        let made = |n| {
            let bytes = series(&mut noise, n);
            // What is predicted and measured is a few per cent off, and runs take longer when they delete more.
            Made {
                predicted: (bytes * (1.0 + 0.05 * noise.normal()).max(0.0)) as i64,
                reported: bytes as i64,
                measured: (bytes * (1.0 + 0.1 * noise.normal()) + 5e7 * noise.normal()) as i64,
                seconds: whole(20.0 + bytes / 1e8 * (0.3 * noise.normal()).exp()).unsigned_abs(),
            }
        };
        let found = deviations(&receipts((0..60).map(made)));
        compared += found.iter().flatten().count();
        marked += found.iter().flatten().filter(|it| !it.is_empty()).count();
    }
    eprintln!("{marked} of {compared} runs are marked");
    assert!(
        marked * 1000 <= most_per_mille * compared,
        "{marked} of {compared} runs are marked"
    );
}

/// Of 300 runs that free a hundredth, or a hundredfold, or stick, in series that are steady or noisy, so many are marked.
#[rstest]
#[case::hundredth(0.01, 0.5, 285)]
#[case::hundredfold(100.0, 0.5, 299)]
#[case::tenfold(10.0, 0.2, 299)]
fn far_ones_are_found(#[case] factor: f64, #[case] sigma: f64, #[case] least: usize) {
    let is_found = |seed: u64| {
        let mut noise = Noise(seed * 7919 + 1);
        let mut runs: Vec<Made> = (0..20)
            .map(|_| freed(noise.around(4 * GIB, sigma) as i64))
            .collect();
        runs.push(freed((4.0 * GIB as f64 * factor) as i64));
        let found = deviations(&receipts(runs));
        found
            .last()
            .unwrap()
            .as_ref()
            .is_some_and(|it| !it.is_empty())
    };
    let found = (0..300).filter(|seed| is_found(*seed)).count();
    eprintln!("{found} of 300 are found");
    assert!(found >= least, "{found} of 300 are found");
}

proptest! {
    /// Of the same amount every time there is nothing unusual, whatever it is.
    #[test]
    fn a_constant_is_never_unusual(predicted in 0..i64::MAX, reported in 0..i64::MAX, measured: i64, seconds in 0u64..100_000, n in 0usize..40) {
        let made = Made { predicted, reported, measured, seconds };
        let found = deviations(&receipts(std::iter::repeat_n(made, n)));
        prop_assert!(found.iter().flatten().all(Vec::is_empty));
    }

    /// Whatever is on record: each run has its answer, a mark has one side, and what comes later changes nothing.
    #[test]
    fn any_history_is_judged(runs in proptest::collection::vec((0..i64::MAX, 0..i64::MAX, any::<i64>(), 0u64..10_000_000), 0..40)) {
        let made = runs.iter().map(|(predicted, reported, measured, seconds)| Made {
            predicted: *predicted, reported: *reported, measured: *measured, seconds: *seconds,
        });
        let receipts = receipts(made);
        let found = deviations(&receipts);
        prop_assert_eq!(found.len(), receipts.len());
        for (at, found) in found.iter().enumerate() {
            prop_assert_eq!(found.is_some(), at >= MIN_RUNS);
            let found = codes(found.as_ref()).unwrap_or_default();
            prop_assert!(found.is_sorted());
            prop_assert!(!(found.contains(&FreedLess) && found.contains(&FreedMore)));
        }
        let half = receipts.len() / 2;
        prop_assert_eq!(&deviations(&receipts[..half])[..], &found[..half]);
    }
}
