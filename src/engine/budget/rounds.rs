//! The rounds of a collection for a budget: what was measured, and the next removal.

use std::collections::{BTreeSet, VecDeque};

use crate::domain::budget::{BudgetReport, DiskUsage, FreeSpace, Quantity, SizeMetric, Trial};
use crate::domain::collect::{FullGcReason, Part};
use crate::domain::receipt::{Entry, Outcome, Receipt};
use crate::domain::store_path::StorePath;
use crate::operations::Loss;

/// How full the store is, and what is free beside what Nix keeps for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) disk_usage: DiskUsage,
    pub(super) free: Option<FreeSpace>,
}

impl Measured {
    /// How much more is free later.
    pub(super) fn freed_until(self, later: Self, metric: SizeMetric) -> Option<i64> {
        match metric {
            SizeMetric::OnDisk => self.free?.freed_until(later.free?),
            SizeMetric::NarSize => {
                let (before, after) = (self.disk_usage.store_bytes?, later.disk_usage.store_bytes?);
                difference(after.0, before.0)
            }
            SizeMetric::Inodes => {
                let free = |usage: DiskUsage| Some(usage.disk?.inodes?.free);
                difference(free(self.disk_usage)?, free(later.disk_usage)?)
            }
        }
    }
}

/// How much more the second is.
fn difference(from: u64, to: u64) -> Option<i64> {
    i64::try_from(i128::from(to) - i128::from(from)).ok()
}

/// What the rounds of a run share.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) planned: BudgetReport,
    pub(super) start: Measured,
    pub(super) trial: Trial,
    /// The entries that may be removed for good, with the least regret first.
    pub(super) steps: VecDeque<usize>,
    /// Paths that were deleted or that Nix did not delete: they are not tried again.
    pub(super) spent: BTreeSet<StorePath<String>>,
}

impl Rounds {
    /// How much must still go. What Nix's own files gave up does not count, for Nix takes it again.
    pub(super) fn missing(&self, now: Measured) -> Option<Quantity> {
        let goal = self.planned.goal;
        let missing = goal.to_free(now.disk_usage)?;
        let freed = self.start.freed_until(now, SizeMetric::OnDisk);
        let beside =
            freed.and_then(|freed| goal.to_free(self.start.disk_usage.after_freeing(freed)));
        Some(match self.planned.metric {
            SizeMetric::OnDisk => missing.max(beside.unwrap_or_default()),
            SizeMetric::NarSize | SizeMetric::Inodes => missing,
        })
    }

    /// The next entry to remove for good in a round that has removed `steps` of them: only where no dead path is left to
    /// collect first, and more only where what is dead is not enough.
    pub(super) fn next_step(
        &mut self,
        part: &Result<Part, FullGcReason>,
        missing: Quantity,
        steps: u64,
        receipt: &Receipt,
    ) -> Option<usize> {
        let part = part.as_ref().ok()?;
        let nothing_dead = part.selection.is_empty();
        if part.weight >= missing || (steps == 0 && !nothing_dead) {
            return None;
        }
        let next = *self.steps.front()?;
        // The undo window of a hold that has ended was not shortened by a prediction.
        let entry = receipt.entries.get(next);
        let regret = entry.and_then(|entry| entry.action.operation().regret());
        let ended = regret.is_some_and(|regret| regret.of == Loss::EndedHold);
        let may = self.trial.steps().max(u64::from(ended));
        // Steps that share their paths free them together.
        if steps < may || (steps > 0 && nothing_dead) {
            self.steps.pop_front()
        } else {
            None
        }
    }
}

/// The goal of a run that has not reached it.
pub(super) fn goal_of(receipt: &Receipt) -> Option<&BudgetReport> {
    let planned = receipt.budget.as_ref().map(|outcome| &outcome.planned);
    planned.filter(|planned| !planned.is_reached())
}

pub(super) fn outcome_of(receipt: &Receipt, index: usize) -> Option<Outcome> {
    receipt.entries.get(index).map(|entry| entry.outcome)
}

/// The entries that are removed for good, with the least regret first.
pub(super) fn steps_of(receipt: &Receipt) -> VecDeque<usize> {
    let pending = |(_, entry): &(usize, &Entry)| entry.outcome == Outcome::Pending;
    let entries = receipt.entries.iter().enumerate().filter(pending);
    let steps =
        entries.filter_map(|(index, entry)| Some((entry.action.operation().regret()?, index)));
    let mut steps: Vec<_> = steps.collect();
    steps.sort();
    steps.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::{Disk, Inodes};
    use crate::domain::measure::Bytes;
    use rstest::rstest;

    /// How much was freed is counted in what the goal counts.
    #[rstest]
    #[case(SizeMetric::OnDisk, Some(100))]
    #[case(SizeMetric::NarSize, Some(-20))]
    #[case(SizeMetric::Inodes, Some(3))]
    fn what_was_freed_is_counted_in_the_metric(
        #[case] metric: SizeMetric,
        #[case] freed: Option<i64>,
    ) {
        let measured = |available, nar, inodes| Measured {
            disk_usage: DiskUsage {
                disk: Some(Disk {
                    used: Bytes(0),
                    available: Bytes(available),
                    inodes: Some(Inodes {
                        total: 100,
                        free: inodes,
                    }),
                }),
                store_bytes: Some(Bytes(nar)),
            },
            free: Some(FreeSpace {
                available: Bytes(available),
                nix_files: Bytes(0),
            }),
        };
        let (before, after) = (measured(1_000, 500, 50), measured(1_100, 520, 53));
        assert_eq!(before.freed_until(after, metric), freed);
        assert_eq!(
            after.freed_until(before, metric),
            freed.map(i64::wrapping_neg)
        );
        let unknown = Measured {
            disk_usage: DiskUsage::default(),
            free: None,
        };
        assert_eq!(before.freed_until(unknown, metric), None);
    }
}
