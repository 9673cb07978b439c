//! Growth of the used space: when a file system will be full, from samples of earlier days.

use serde::{Deserialize, Serialize};

use super::budget::Disk;
use super::measure::{Bytes, Span, Timestamp};

/// Older samples say little about the growth of today.
const WINDOW: Span = Span::days(60);
/// Older samples are forgotten.
const KEPT: Span = Span::days(120);
/// Samples of the last days are kept at this interval, older ones one a day.
const INTERVAL: Span = Span::minutes(10);
const KEPT_AT_INTERVALS: Span = Span::days(2);

/// Fewer days with samples say nothing.
const MIN_DAYS: usize = 5;
/// Nor do days so close to each other.
const MIN_SPAN_DAYS: f64 = 7.0;
/// A forecast reaches so many times as far as the samples go back.
const HORIZON: f64 = 4.0;
const MAX_HORIZON_DAYS: f64 = 365.0;
/// Slopes are taken between days that are this part of all days apart, so that each pair spans several collections.
const PAIR_DISTANCE: f64 = 1.0 / 4.0;
/// The range holds the slopes between these quantiles.
const LOW: f64 = 0.1;
const HIGH: f64 = 0.9;

const DAY_SECONDS: f64 = 86_400.0;

/// How full a file system was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpaceSample {
    /// When.
    pub at: Timestamp,
    /// The bytes in use.
    pub used: Bytes,
    /// The bytes that anybody may still use.
    pub available: Bytes,
}

impl SpaceSample {
    /// A file system at a moment.
    pub fn of(disk: Disk, at: Timestamp) -> Self {
        Self {
            at,
            used: disk.used,
            available: disk.available,
        }
    }
}

/// Samples of a file system, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpaceHistory(Vec<SpaceSample>);

/// When a file system will be full if it grows as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(
    rename_all = "camelCase",
    tag = "state",
    rename_all_fields = "camelCase"
)]
pub enum FullForecast {
    /// There are too few samples, or from too few days.
    NotEnoughData,
    /// Not for so many days. A forecast reaches no further.
    NotWithin {
        /// The days.
        days: u32,
    },
    /// Within the days that a forecast reaches.
    Within {
        /// The days until then if it grows as fast as it did at times.
        earliest_days: u32,
        /// The days until then at the usual growth; null beyond the reach of a forecast.
        likely_days: Option<u32>,
        /// The days until then if it grows as slowly as it did at times; null beyond the reach of a forecast.
        latest_days: Option<u32>,
    },
}

impl FullForecast {
    /// The earliest moment at which the file system may be full, within the reach of a forecast.
    pub fn earliest(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Within { earliest_days, .. } => Some(now.after(Span::days(earliest_days))),
            Self::NotEnoughData | Self::NotWithin { .. } => None,
        }
    }
}

impl SpaceHistory {
    /// The samples.
    pub fn samples(&self) -> &[SpaceSample] {
        &self.0
    }

    /// Adds a sample, and forgets those that say nothing new: of older days the highest one is kept.
    pub fn add(&mut self, sample: SpaceSample) {
        let recent = sample.at.before(KEPT_AT_INTERVALS);
        let last = sample.at.before(INTERVAL);
        // Later ones are from a clock that was ahead.
        self.0
            .retain(|old| old.at > sample.at.before(KEPT) && old.at < last);
        self.0.push(sample);
        let mut kept: Vec<SpaceSample> = Vec::with_capacity(self.0.len());
        for sample in self.0.drain(..) {
            match kept.last_mut() {
                Some(before) if sample.at < recent && day(*before) == day(sample) => {
                    if sample.used > before.used {
                        *before = sample;
                    }
                }
                _ => kept.push(sample),
            }
        }
        self.0 = kept;
    }

    /// When the file system will be full.
    ///
    /// Collections make the used space a saw-tooth, and copies of large files make it jump. So the growth is the median of
    /// the slopes between the highest samples of days that lie far apart (Theil and Sen), and the file system counts as
    /// full when the teeth reach its end.
    pub fn forecast(&self, disk: Disk, now: Timestamp) -> FullForecast {
        let mut peaks = self.peaks(now);
        peaks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (peaks.first(), peaks.last()) else {
            return FullForecast::NotEnoughData;
        };
        let span = last.0 - first.0;
        if peaks.len() < MIN_DAYS || span < MIN_SPAN_DAYS {
            return FullForecast::NotEnoughData;
        }
        let slopes = slopes(&peaks, span * PAIR_DISTANCE);
        let growth = quantile(&slopes, 0.5);
        // Days count from now, so the line ends at its value now.
        let levels: Vec<f64> = sorted(peaks.iter().map(|(day, used)| used - growth * day));
        let teeth = quantile(&levels, HIGH).max(as_float(disk.used));
        let left = as_float(Bytes(disk.size())) - teeth;
        let horizon = (span * HORIZON).min(MAX_HORIZON_DAYS);
        let days = |growth: f64| {
            let days = if left <= 0.0 { 0.0 } else { left / growth };
            (growth > 0.0 && days <= horizon).then(|| whole(days))
        };
        match days(quantile(&slopes, HIGH)) {
            None => FullForecast::NotWithin {
                days: whole(horizon),
            },
            Some(earliest_days) => FullForecast::Within {
                earliest_days,
                likely_days: days(growth),
                latest_days: days(quantile(&slopes, LOW)),
            },
        }
    }

    /// The highest sample of each day in days from now, and its bytes.
    fn peaks(&self, now: Timestamp) -> Vec<(f64, f64)> {
        let in_window = |sample: &&SpaceSample| sample.at > now.before(WINDOW) && sample.at <= now;
        let mut peaks: Vec<SpaceSample> = Vec::new();
        for sample in self.0.iter().filter(in_window) {
            match peaks.last_mut() {
                Some(peak) if day(*peak) == day(*sample) => {
                    if sample.used > peak.used {
                        *peak = *sample;
                    }
                }
                _ => peaks.push(*sample),
            }
        }
        let now = seconds(now);
        let point =
            |peak: &SpaceSample| ((seconds(peak.at) - now) / DAY_SECONDS, as_float(peak.used));
        peaks.iter().map(point).collect()
    }
}

/// The growth a day between all days that are far enough apart, in ascending order.
fn slopes(peaks: &[(f64, f64)], distance: f64) -> Vec<f64> {
    let pairs = peaks.iter().enumerate().flat_map(|(index, a)| {
        let later = peaks.iter().skip(index + 1);
        let far = later.filter(move |b| b.0 - a.0 >= distance);
        far.map(|b| (b.1 - a.1) / (b.0 - a.0))
    });
    sorted(pairs)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which so large a part of the sorted values lies.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a list"
)]
fn quantile(values: &[f64], part: f64) -> f64 {
    let last = values.len().saturating_sub(1) as f64;
    values
        .get((last * part).round() as usize)
        .copied()
        .unwrap_or_default()
}

fn day(sample: SpaceSample) -> i64 {
    sample.at.to_unix().0.div_euclid(86_400)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds(at: Timestamp) -> f64 {
    at.to_unix().0 as f64
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_float(bytes: Bytes) -> f64 {
    bytes.0 as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the horizon"
)]
fn whole(days: f64) -> u32 {
    days as u32
}

#[cfg(test)]
mod tests;
