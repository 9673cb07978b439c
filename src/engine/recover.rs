//! Recovery of an interrupted run: every open action is examined, none is guessed.

use super::delays::Delays;
use super::settle;
use super::{Engine, EngineError};
use crate::domain::protected::ProtectedPaths;
use crate::domain::receipt::{Entry, Outcome, Receipt, RunId, RunKind};
use crate::operations::ActionContext;
use crate::ports::{RunJournal, error_chain};

impl<R: RunJournal> Engine<'_, R> {
    /// Settles every interrupted run. Called under the lock, so none of them can still be under way.
    ///
    /// First it is checked that Nix works on the store that is looked at: what is recorded here would be done elsewhere.
    pub(super) fn recover(&self, lock: &R::Lock) -> Result<Vec<Receipt>, EngineError> {
        self.perform.check_store().map_err(EngineError::Unusable)?;
        let mut interrupted = self.remember.receipts()?;
        interrupted.retain(Receipt::is_interrupted);
        if interrupted.is_empty() {
            return Ok(interrupted);
        }
        // What was done in another store cannot be examined from here.
        let store = self.survey.snapshot()?.store;
        let ours = interrupted.into_iter().filter(|r| r.store == store);
        ours.map(|receipt| self.settle_run(lock, receipt)).collect()
    }

    fn settle_run(&self, lock: &R::Lock, mut receipt: Receipt) -> Result<Receipt, EngineError> {
        tracing::warn!(run = %receipt.run, "recovering an interrupted run");
        let mut delays = Delays::default();
        for index in 0..receipt.entries.len() {
            let Some(entry) = receipt.entries.get(index) else {
                continue;
            };
            if entry.outcome != Outcome::Pending {
                continue;
            }
            let begun = self.clock.now();
            let (outcome, detail) = match self.reason_to_skip(&delays, &entry.action) {
                Some(why) => (Outcome::Failed, format!("interrupted, and {why}")),
                None => self.examine(entry, &receipt.run),
            };
            let span = (begun, self.clock.now());
            self.add_delay(&mut delays, &entry.action, span, false);
            if let Some(entry) = receipt.entries.get_mut(index) {
                settle(entry, outcome, Some(detail), self.clock);
            }
            self.remember.record_step(lock, &receipt, index)?;
        }
        if let RunKind::Undo(of) = receipt.kind.clone() {
            self.mark_undone(lock, &of, &receipt)?;
        }
        self.finish(lock, receipt)
    }

    /// Finds out what became of one action.
    fn examine(&self, entry: &Entry, run: &RunId) -> (Outcome, String) {
        entry.action.operation().examine(&ActionContext {
            nix: self.perform,
            hold: entry.hold(run),
            protected: &ProtectedPaths::default(),
        })
    }

    /// A generation that is there again needs no hold; should the release fail, its window ends it.
    fn release_needless_hold(&self, entry: &Entry, run: &RunId) {
        if let Some(hold) = entry.hold(run)
            && let Err(error) = self.perform.release_hold(&hold)
        {
            tracing::warn!(error = %error_chain(&error), "an unneeded hold remains until its undo window ends");
        }
    }

    /// Writes into the record of `of` which of its entries `undo` has put back, and ends their holds.
    pub(super) fn mark_undone(
        &self,
        lock: &R::Lock,
        of: &RunId,
        undo: &Receipt,
    ) -> Result<(), EngineError> {
        let receipts = self.remember.receipts()?;
        let Some(mut original) = receipts.into_iter().find(|r| r.run == *of) else {
            return Ok(());
        };
        let before = original.clone();
        for entry in &mut original.entries {
            let inverse = entry.action.operation().inverse();
            let restored = undo.entries.iter().any(|done| {
                done.outcome == Outcome::Done && Some(&done.action) == inverse.as_ref()
            });
            if restored && entry.undone_by.is_none() {
                entry.undone_by = Some(undo.run.clone());
                // The generation is a root again by itself.
                self.release_needless_hold(entry, &before.run);
            }
        }
        if original == before {
            return Ok(());
        }
        self.save_record(lock, &original, &undo.run)
    }
}
