//! Undo: restores what a run removed.

use super::delays::Delays;
use super::{Engine, EngineError, pending};
use crate::domain::receipt::{Entry, Outcome, Receipt, RunId, RunKind};
use crate::domain::risk::RiskLevel;
use crate::ports::{JournalError, LinkState, RunJournal};

impl<R: RunJournal> Engine<'_, R> {
    /// Undoes a run, or without one the latest run that has something to undo.
    ///
    /// Each generation is restored with its number, target and time, or not at all. The receipt has the reason for each
    /// one that cannot be restored.
    ///
    /// # Errors
    /// When there is nothing to undo, or the record cannot be kept.
    pub fn undo(&self, run: Option<&RunId>) -> Result<Receipt, EngineError> {
        let lock = self.lock()?;
        self.recover(&lock)?;
        let original = self.to_undo(run)?;
        let snapshot = self.survey.snapshot()?;
        // Not the machine: its number may change at a boot, and what is put back is looked at piece by piece.
        if original.store != snapshot.store {
            return Err(EngineError::OtherStore {
                run: original.run,
                store: original.store,
            });
        }
        let mut receipt = self.new_receipt(RunKind::Undo(original.run.clone()), &snapshot)?;
        receipt.job.clone_from(&original.job);
        // Last done, first undone.
        receipt.entries = original
            .entries
            .iter()
            .filter(|entry| entry.is_undoable() || self.came_to_pass(entry, &original))
            .filter_map(restore_entry)
            .collect();
        receipt.entries.reverse();
        self.remember.begin(&lock, &mut receipt)?;
        let mut delays = Delays::default();
        for index in 0..receipt.entries.len() {
            if self.interrupt.requested() {
                self.skip_rest(&mut receipt);
                break;
            }
            self.step(&lock, &mut receipt, index, None, &mut delays)?;
        }
        self.mark_undone(&lock, &original.run, &receipt)?;
        self.finish(&lock, receipt)
    }

    fn to_undo(&self, run: Option<&RunId>) -> Result<Receipt, EngineError> {
        let mut receipts = self.remember.receipts()?;
        let nothing = |why: &str| EngineError::NothingToUndo {
            why: why.to_string(),
        };
        let Some(run) = run else {
            receipts.retain(|r| r.entries.iter().any(|entry| self.can_come_back(entry, r)));
            return receipts
                .pop()
                .ok_or_else(|| nothing("no run has removed anything that is still held"));
        };
        let found = receipts.into_iter().find(|r| r.run == *run);
        let found = found.ok_or_else(|| JournalError::NoSuchRun(run.to_string()))?;
        let possible = |entry: &Entry| entry.is_undoable() || self.came_to_pass(entry, &found);
        if found.entries.iter().any(possible) {
            return Ok(found);
        }
        if found.entries.iter().any(|e| e.undone_by.is_some()) {
            return Err(nothing("it is already undone"));
        }
        if found.count(Outcome::Done) == 0 {
            return Err(nothing("the run did nothing"));
        }
        Err(nothing("the run did nothing that can be undone"))
    }

    fn can_come_back(&self, entry: &Entry, receipt: &Receipt) -> bool {
        (entry.is_undoable() && self.is_held(entry, receipt)) || self.came_to_pass(entry, receipt)
    }

    /// Whether a generation is gone and held although its removal is not on record as done: its state was not certain when
    /// an interrupted run was recovered, or the removal finished afterwards.
    fn came_to_pass(&self, entry: &Entry, receipt: &Receipt) -> bool {
        let Some(facts) = entry.action.removed_generation() else {
            return false;
        };
        !matches!(entry.outcome, Outcome::Done | Outcome::Pending)
            && entry.undone_by.is_none()
            && self.is_held(entry, receipt)
            && matches!(self.perform.see_generation(facts), Ok(LinkState::Gone))
    }

    /// Whether a generation is still held. A removed root alone does not make a run the latest one to undo: its link
    /// was gone, and Nix would have removed it as well. A run asked for by name is tried in any case.
    fn is_held(&self, entry: &Entry, receipt: &Receipt) -> bool {
        let hold = entry.hold(&receipt.run);
        let hold = hold.filter(|_| entry.action.removed_generation().is_some());
        hold.is_some_and(|hold| matches!(self.perform.see_hold(&hold), Ok(LinkState::Unchanged)))
    }
}

fn restore_entry(entry: &Entry) -> Option<Entry> {
    let action = entry.action.operation().inverse()?;
    Some(pending(action, RiskLevel::Low))
}
