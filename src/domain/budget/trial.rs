//! Trial of a file system: whether it frees as much as predicted, and how much may be removed permanently before that is known.

use serde::{Deserialize, Serialize};

use super::{Quantity, SizeMetric};
use crate::domain::measure::Timestamp;
use crate::domain::receipt::{Outcome, Receipt, RunId};
use crate::domain::store_path::StoreDir;

/// Less than this is not judged: other programs, Nix's database and our own records write as much beside it.
const MIN_JUDGED_BYTES: u64 = 1 << 20;
/// The same in inodes.
const MIN_JUDGED_INODES: u64 = 256;
/// A file system contradicts a prediction when it frees less than this part of it. Compression alone rarely saves more,
/// where a file system does not say how far it compresses.
const MIN_FREED_PART: i128 = 4;

/// One round of a budget: a collection, with what was removed for good before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Round {
    /// How many holds and generations were removed for good before the collection.
    pub steps: u64,
    /// How much the paths that were deleted were predicted to free.
    pub predicted: Quantity,
    /// How much more the file system had free afterwards; null where that is not known.
    pub measured: Option<i64>,
}

/// Why the rounds of a budget ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetEnd {
    /// The goal is reached.
    Reached,
    /// Nothing is left that may go.
    NothingLeft,
    /// The file system freed nearly nothing of what was predicted, in this run or in the last one.
    Contradicted,
    /// How much is free, or what is dead, is not known.
    Unknown,
    /// The collection failed or the run was stopped.
    Stopped,
}

/// What a run shows about predictions on this file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The file system freed about as much as was predicted.
    Agrees,
    /// It freed nearly nothing of it.
    Contradicts,
    /// Too little was predicted so far, or nothing was measured.
    TooLittle,
}

/// Judges rounds. Those that are too small by themselves are judged together.
#[derive(Debug, Clone, Copy)]
pub struct Judge {
    least: u64,
    predicted: u64,
    measured: i128,
}

impl Judge {
    /// Of what is predicted in this metric. The store's own sizes are not the file system's to contradict.
    pub fn of(metric: SizeMetric) -> Option<Self> {
        let least = match metric {
            SizeMetric::OnDisk => MIN_JUDGED_BYTES,
            SizeMetric::Inodes => MIN_JUDGED_INODES,
            SizeMetric::NarSize => return None,
        };
        Some(Self {
            least,
            predicted: 0,
            measured: 0,
        })
    }

    /// What is known after this round.
    pub fn add(&mut self, round: &Round) -> Finding {
        let Some(measured) = round.measured else {
            return Finding::TooLittle;
        };
        self.predicted = self.predicted.saturating_add(round.predicted.0);
        self.measured += i128::from(measured);
        if self.predicted < self.least {
            return Finding::TooLittle;
        }
        let predicted = std::mem::take(&mut self.predicted);
        let measured = std::mem::take(&mut self.measured);
        if measured * MIN_FREED_PART < i128::from(predicted) {
            Finding::Contradicts
        } else {
            Finding::Agrees
        }
    }
}

/// How many steps a round may take for good: one until the file system has freed what was predicted for it, then twice as
/// many each time, and none after a contradiction until a round agrees.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    judge: Option<Judge>,
    steps: u64,
}

impl Trial {
    /// Of a budget in this metric.
    pub fn new(metric: SizeMetric, contradicted: bool) -> Self {
        let judge = Judge::of(metric);
        Self {
            steps: u64::from(judge.is_none() || !contradicted),
            judge,
        }
    }

    /// How many steps the next round may take.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What is known after this round.
    pub fn add(&mut self, round: &Round) -> Finding {
        let judge = self.judge.as_mut();
        let finding = judge.map_or(Finding::Agrees, |judge| judge.add(round));
        self.steps = match finding {
            Finding::Agrees if round.steps > 0 => self.steps.saturating_mul(2).max(1),
            Finding::Agrees => self.steps.max(1),
            Finding::Contradicts => 0,
            Finding::TooLittle => self.steps,
        };
        finding
    }
}

/// What an earlier run was predicted to free, and what the file system freed instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Contradiction {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub at: Timestamp,
    /// What its sizes count.
    #[serde(default = "bytes_on_disk")]
    pub metric: SizeMetric,
    /// What it was predicted to free.
    pub predicted: Quantity,
    /// How much more the file system had free afterwards.
    pub measured: i64,
}

impl Contradiction {
    /// Of the last run on this store that says anything about predictions; `receipts` are in the order of the runs.
    pub fn last_of(receipts: &[Receipt], store: &StoreDir) -> Option<Self> {
        let of_store = receipts.iter().rev().filter(|run| run.store == *store);
        let mut judged = of_store.filter_map(|run| judged(run).map(|found| (run, found)));
        let (run, (metric, finding, round)) = judged.next()?;
        (finding == Finding::Contradicts).then(|| Self {
            run: run.run.clone(),
            at: run.started_at,
            metric,
            predicted: round.predicted,
            measured: round.measured.unwrap_or_default(),
        })
    }
}

/// What records of runs counted before there were others.
fn bytes_on_disk() -> SizeMetric {
    SizeMetric::OnDisk
}

/// The last finding of a run, with the round that it is about.
fn judged(receipt: &Receipt) -> Option<(SizeMetric, Finding, Round)> {
    let (metric, rounds) = match &receipt.budget {
        Some(outcome) => (outcome.planned.metric, outcome.rounds.clone()),
        None => (SizeMetric::OnDisk, whole_run(receipt).into_iter().collect()),
    };
    let mut judge = Judge::of(metric)?;
    let findings = rounds.into_iter().map(|round| (judge.add(&round), round));
    let (finding, round) = findings
        .filter(|(finding, _)| *finding != Finding::TooLittle)
        .last()?;
    Some((metric, finding, round))
}

/// A run without a budget, as one round.
fn whole_run(receipt: &Receipt) -> Option<Round> {
    let collected = receipt
        .entries
        .iter()
        .any(|entry| entry.action.collection().is_some() && entry.outcome == Outcome::Done);
    Some(Round {
        steps: 0,
        predicted: Quantity(receipt.bytes.predicted.filter(|_| collected)?.0),
        measured: Some(receipt.bytes.measured?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const MIB: u64 = 1 << 20;

    fn round(predicted: u64, measured: i64) -> Round {
        Round {
            steps: 1,
            predicted: Quantity(predicted),
            measured: Some(measured),
        }
    }

    #[rstest]
    #[case::to_the_byte(MIB, 1 << 20, Finding::Agrees)]
    #[case::a_quarter(4 * MIB, 1 << 20, Finding::Agrees)]
    #[case::less_than_a_quarter(4 * MIB, (1 << 20) - 1, Finding::Contradicts)]
    #[case::nothing(MIB, 0, Finding::Contradicts)]
    #[case::others_wrote_more(u64::MAX, i64::MIN, Finding::Contradicts)]
    #[case::too_little(MIB - 1, 0, Finding::TooLittle)]
    fn a_round_is_judged_by_what_was_freed(
        #[case] predicted: u64,
        #[case] measured: i64,
        #[case] expected: Finding,
    ) {
        assert_eq!(
            Judge::of(SizeMetric::OnDisk)
                .unwrap()
                .add(&round(predicted, measured)),
            expected
        );
    }

    #[test]
    fn small_rounds_are_judged_together() {
        let mut judge = Judge::of(SizeMetric::OnDisk).unwrap();
        for _ in 0..3 {
            assert_eq!(judge.add(&round(MIB / 4, 0)), Finding::TooLittle);
        }
        assert_eq!(judge.add(&round(MIB / 4, 0)), Finding::Contradicts);
        assert_eq!(judge.add(&round(MIB / 4, 0)), Finding::TooLittle);
    }

    #[test]
    fn steps_double_while_predictions_hold_and_end_when_they_do_not() {
        let mut trial = Trial::new(SizeMetric::OnDisk, false);
        assert_eq!(trial.steps(), 1);
        for expected in [2, 4, 8] {
            trial.add(&round(MIB, 1 << 20));
            assert_eq!(trial.steps(), expected);
        }
        trial.add(&round(MIB, 0));
        assert_eq!(trial.steps(), 0);
        trial.add(&round(1, 0));
        assert_eq!(trial.steps(), 0);
        trial.add(&round(2 * MIB, 2 << 20));
        assert_eq!(trial.steps(), 1);
        // A round that took no step shows that a collection frees what it should, and no more.
        trial.add(&Round {
            steps: 0,
            ..round(MIB, 1 << 20)
        });
        assert_eq!(trial.steps(), 1);
        assert_eq!(Trial::new(SizeMetric::OnDisk, true).steps(), 0);
        assert_eq!(Trial::new(SizeMetric::NarSize, true).steps(), 1);
    }
}
