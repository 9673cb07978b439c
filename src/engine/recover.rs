//! Recovery of an interrupted run: every open action is examined, none is guessed.

use super::delays::Delays;
use super::run::{hold_facts, settle};
use super::{Engine, EngineError};
use crate::domain::plan::Action;
use crate::domain::receipt::{Entry, Outcome, Receipt, RunId, RunKind, Undo};
use crate::domain::store_path::StorePath;
use crate::ports::{LinkState, PerformError, RestoreMode, RunJournal, error_chain};

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
                None => self.examine(entry),
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
    fn examine(&self, entry: &Entry) -> (Outcome, String) {
        let seen = match &entry.action {
            Action::HoldRoot(facts) => return self.finish_hold(&facts.store_path, entry),
            Action::DropGeneration(facts) => self.perform.see_generation(facts),
            Action::RestoreGeneration(facts) => match self.perform.see_generation(facts) {
                // The link is there and only its time or its root is missing: that is finished, not undone.
                Ok(LinkState::Unfinished | LinkState::Unchanged) => self
                    .perform
                    .restore_generation(facts, RestoreMode::Resume)
                    .map(|()| LinkState::Unchanged),
                seen => seen,
            },
            Action::RemoveRoot(facts) | Action::RestoreRoot(facts) => self.perform.see_root(facts),
            Action::ReleaseHold(facts) => self.perform.see_hold(facts),
            Action::ReleaseEarly(facts) => self.perform.see_hold(&facts.hold),
            Action::Collect(_) | Action::Optimise | Action::Verify { .. } => {
                let why = "interrupted; unknown whether it finished, and safe to repeat";
                return (Outcome::Skipped, why.to_string());
            }
        };
        let makes = matches!(
            entry.action,
            Action::RestoreGeneration(_) | Action::RestoreRoot(_)
        );
        match seen {
            Ok(LinkState::Gone) if makes => not_begun(),
            Ok(LinkState::Unchanged) if makes => found_done(),
            Ok(LinkState::Gone) => found_done(),
            // The hold, should there be one, stays until its window ends: a `nix-env` that outlived us may still be
            // waiting for the profile's lock, and drop the generation after all.
            Ok(LinkState::Unchanged) => not_begun(),
            Ok(LinkState::Unfinished | LinkState::Different) => (
                Outcome::Stale,
                "interrupted; something else is in its place now".to_string(),
            ),
            Err(error) => (
                Outcome::Failed,
                format!(
                    "interrupted; its progress is unknown: {}",
                    error_chain(&error)
                ),
            ),
        }
    }

    /// What was to be held is still to be held, whatever came of it.
    fn finish_hold(&self, path: &StorePath<String>, entry: &Entry) -> (Outcome, String) {
        let Some((hold, ..)) = entry.hold() else {
            return not_begun();
        };
        match self.perform.hold(path, hold) {
            Ok(()) => (Outcome::Done, "interrupted; now held".to_string()),
            Err(error @ PerformError::Stale(_)) => (Outcome::Stale, error_chain(&error)),
            Err(error) => (
                Outcome::Failed,
                format!("interrupted; {}", error_chain(&error)),
            ),
        }
    }

    /// A generation that is still there needs no hold; should the release fail, its window ends it.
    fn drop_needless_hold(&self, entry: &Entry, receipt: &Receipt) {
        if let (Action::DropGeneration(facts), Some(Undo::RestoreGeneration { hold, until })) =
            (&entry.action, &entry.undo)
        {
            let hold = hold_facts(facts, receipt, hold, *until);
            if let Err(error) = self.perform.release_hold(&hold) {
                tracing::warn!(error = %error_chain(&error), "an unneeded hold stays until its undo window ends");
            }
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
            let restored = undo
                .entries
                .iter()
                .any(|done| done.outcome == Outcome::Done && restores(&done.action, &entry.action));
            if restored && entry.undone_by.is_none() {
                entry.undone_by = Some(undo.run.clone());
                // The generation is a root again by itself.
                self.drop_needless_hold(entry, &before);
            }
        }
        if original == before {
            return Ok(());
        }
        self.save_record(lock, &original, &undo.run)
    }
}

fn found_done() -> (Outcome, String) {
    (Outcome::Done, "interrupted; found completed".to_string())
}

fn not_begun() -> (Outcome, String) {
    (
        Outcome::Skipped,
        "interrupted; found not completed".to_string(),
    )
}

/// Whether the first action puts back what the second took away.
fn restores(restore: &Action, drop: &Action) -> bool {
    match (restore, drop) {
        (Action::RestoreGeneration(a), Action::DropGeneration(b)) => a == b,
        (Action::RestoreRoot(a), Action::RemoveRoot(b)) => a == b,
        _ => false,
    }
}
