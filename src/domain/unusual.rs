//! Unusual runs: how a run differs from the earlier runs of its job.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::job::JobName;
use super::measure::Bytes;
use super::receipt::{Receipt, RunKind};
use super::store_path::StoreDir;

/// Fewer earlier runs say nothing about a run.
pub const MIN_RUNS: usize = 8;
/// So many earlier runs are looked back at.
const MAX_RUNS: usize = 30;
/// The least distance from the median, in standard deviations that are estimated by the median absolute deviation.
const MIN_DEVIATIONS: f64 = 5.0;
/// The standard deviation of normally distributed values whose median absolute deviation is 1.
const SIGMA_PER_MAD: f64 = 1.4826;
/// The least distance from the median, as a factor.
const MIN_FACTOR: f64 = 4.0;
/// The least distance from the extreme of the earlier runs, as a factor.
const MIN_FACTOR_OF_EXTREME: f64 = 1.5;
/// A difference of less is none: an update of a system.
const MIN_BYTES: f64 = 268_435_456.0;
const MIN_SECONDS: f64 = 300.0;
/// Amounts below this are as good as equal, so that a factor says nothing about them.
const SMALL_BYTES: f64 = 16_777_216.0;
const SMALL_SECONDS: f64 = 30.0;

/// How a run differs from the earlier runs of its job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum DeviationCode {
    /// It freed far less.
    FreedLess,
    /// It freed far more.
    FreedMore,
    /// It took far longer.
    TookLonger,
    /// It freed far less or far more than its plan predicted.
    PredictionWrong,
    /// The free space rose by far less than was freed.
    SpaceNotGained,
}

/// One way in which a run differs from the earlier runs of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// The way.
    pub code: DeviationCode,
    /// The seconds that the run took (`tookLonger`), by how many bytes the free space rose (`spaceNotGained`), or the bytes
    /// that it freed.
    pub value: i64,
    /// The value that the median of the earlier runs makes likely, in the same unit.
    pub expected: i64,
}

/// How each run differs from the earlier runs of its job and store, in the order of `receipts`, which is from the oldest; `None` for a
/// run that is not compared: it is no run of a job, did not come to a good end, or has too few before it.
///
/// Amounts are compared by their logarithms, because they are products of chances: twice as much is as far from the usual as half
/// as much. A value is unusual if it is far from the median, by the spread of the earlier values and by a factor,
/// and beyond all of them. So a job that frees much once a week is not marked each week.
pub fn deviations(receipts: &[Receipt]) -> Vec<Option<Vec<Deviation>>> {
    let mut jobs: HashMap<(&StoreDir, &JobName), VecDeque<Measures>> = HashMap::new();
    let of_run = |receipt| {
        let (job, run) = comparable(receipt)?;
        let earlier = jobs.entry((&receipt.store, job)).or_default();
        let found = (earlier.len() >= MIN_RUNS).then(|| run.against(earlier));
        if earlier.len() == MAX_RUNS {
            earlier.pop_front();
        }
        earlier.push_back(run);
        found
    };
    receipts.iter().map(of_run).collect()
}

/// The job and the measures of a run that carried out a job as planned.
fn comparable(receipt: &Receipt) -> Option<(&JobName, Measures)> {
    let job = receipt.job.as_ref()?;
    let is_whole = receipt.kind == RunKind::Run
        && !receipt.is_interrupted()
        && !receipt.stopped
        && !receipt.has_failures();
    is_whole.then(|| (job, Measures::of(receipt)))
}

/// A value, and the value that it would have if it were as large as something else of the same run.
#[derive(Debug, Clone, Copy)]
struct Measure {
    value: f64,
    base: f64,
    small: f64,
}

impl Measure {
    fn log(self) -> f64 {
        ((self.value.max(0.0) + self.small) / (self.base + self.small)).ln()
    }

    /// The value whose logarithm is this.
    fn at(self, log: f64) -> f64 {
        (log.exp() * (self.base + self.small) - self.small).max(0.0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Measures {
    freed: Option<Measure>,
    duration: Option<Measure>,
    against_prediction: Option<Measure>,
    against_freed: Option<Measure>,
    predicted_at_most: bool,
}

impl Measures {
    fn of(receipt: &Receipt) -> Self {
        let bytes = receipt.bytes;
        let amount = |value: f64, base: f64| Measure {
            value,
            base,
            small: SMALL_BYTES,
        };
        let freed = bytes.reported.map(float);
        let ended = receipt.finished_at.map(|at| at.to_unix().0);
        let duration = ended.map(|ended| ended.saturating_sub(receipt.started_at.to_unix().0));
        Self {
            freed: freed.map(|freed| amount(freed, 0.0)),
            duration: duration
                .filter(|seconds| *seconds >= 0)
                .map(|seconds| Measure {
                    value: signed(seconds),
                    base: 0.0,
                    small: SMALL_SECONDS,
                }),
            against_prediction: freed
                .zip(bytes.predicted)
                .map(|(freed, predicted)| amount(freed, float(predicted))),
            against_freed: freed
                .zip(bytes.measured)
                .map(|(freed, measured)| amount(signed(measured), freed)),
            predicted_at_most: bytes.predicted_at_most,
        }
    }

    fn against(&self, earlier: &VecDeque<Self>) -> Vec<Deviation> {
        let compare = |of: fn(&Self) -> Option<Measure>, least| {
            compare(of(self)?, earlier.iter().filter_map(of), least)
        };
        let freed = compare(|run| run.freed, MIN_BYTES).map(|found| {
            let code = match found.side {
                Side::Below => DeviationCode::FreedLess,
                Side::Above => DeviationCode::FreedMore,
            };
            found.named(code)
        });
        let duration = compare(|run| run.duration, MIN_SECONDS)
            .filter(|found| found.side == Side::Above)
            .map(|found| found.named(DeviationCode::TookLonger));
        let prediction = compare(|run| run.against_prediction, MIN_BYTES)
            .filter(|found| found.side == Side::Above || !self.predicted_at_most)
            .map(|found| found.named(DeviationCode::PredictionWrong));
        let gained = compare(|run| run.against_freed, MIN_BYTES)
            .filter(|found| found.side == Side::Below)
            .map(|found| found.named(DeviationCode::SpaceNotGained));
        [freed, duration, prediction, gained]
            .into_iter()
            .flatten()
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Below,
    Above,
}

struct Outlier {
    side: Side,
    value: f64,
    expected: f64,
}

impl Outlier {
    fn named(self, code: DeviationCode) -> Deviation {
        Deviation {
            code,
            value: whole(self.value),
            expected: whole(self.expected),
        }
    }
}

/// Whether a measure is far from earlier ones, and differs from the usual by `least`.
fn compare(
    measure: Measure,
    earlier: impl Iterator<Item = Measure>,
    least: f64,
) -> Option<Outlier> {
    let logs = sorted(earlier.map(Measure::log));
    if logs.len() < MIN_RUNS {
        return None;
    }
    let (lowest, highest) = logs.first().zip(logs.last())?;
    let usual = median(&logs);
    let mad = median(&sorted(logs.iter().map(|log| (log - usual).abs())));
    let distance = (mad * SIGMA_PER_MAD * MIN_DEVIATIONS).max(MIN_FACTOR.ln());
    let beyond = MIN_FACTOR_OF_EXTREME.ln();
    let log = measure.log();
    let side = if log > usual + distance && log > highest + beyond {
        Side::Above
    } else if log < usual - distance && log < lowest - beyond {
        Side::Below
    } else {
        return None;
    };
    let expected = measure.at(usual);
    let value = measure.value;
    ((value - expected).abs() >= least).then_some(Outlier {
        side,
        value,
        expected,
    })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of sorted values; 0 without any.
fn median(values: &[f64]) -> f64 {
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    let half = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(at(half.saturating_sub(1)), at(half))
    } else {
        at(half)
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared by its logarithm")]
fn float(bytes: Bytes) -> f64 {
    bytes.0 as f64
}

#[expect(clippy::cast_precision_loss, reason = "compared by its logarithm")]
fn signed(value: i64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the nearest value is taken"
)]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests;
