//! The only orchestration: plan, gate, apply, undo, release, recover. It decides the order, nothing else.
//!
//! `gate` is the only way from a plan to something that can be carried out: [`Approved`] has no other constructor.

mod budget;
mod checks;
mod collect;
mod delays;
mod gate;
mod plan;
mod recover;
mod repair;
mod run;
#[cfg(test)]
mod tests;
mod undo;
mod vanished;

use camino::Utf8PathBuf;
use delays::Delays;

use crate::domain::blocker::CheckCode;
use crate::domain::plan::{Action, HoldFacts};
use crate::domain::receipt::{
    Entry, FreedBytes, Outcome, Receipt, ReceiptSchema, RunId, RunKind, Undo,
};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::{MachineId, Snapshot};
use crate::domain::store_path::StoreDir;
use crate::ports::{
    Clock, Interrupt, JournalError, NixActions, PerformError, RunJournal, Survey, SurveyError,
    error_chain,
};

pub use checks::failed_in_a_row;
pub use collect::{Collection, collect};
pub use gate::{Approved, GateError, gate};
pub use plan::{BudgetContext, DeadPaths, Exact, Exploration, PlanError, Planner, Recent, names};

/// The world, as the engine sees it.
pub struct Engine<'a, R> {
    /// Looks.
    pub survey: &'a dyn Survey,
    /// Acts.
    pub perform: &'a dyn NixActions,
    /// Remembers.
    pub remember: &'a R,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// Requests to stop.
    pub interrupt: &'a dyn Interrupt,
}

/// Why nothing, or nothing more, was done.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The look under the lock failed.
    #[error("cannot look at the store")]
    Survey(#[from] SurveyError),
    /// The record could not be begun or read; nothing was done.
    #[error("cannot keep the record of the run")]
    Journal(#[from] JournalError),
    /// The record could not be kept up in the middle of a run.
    #[error("the run {run} stopped in the middle")]
    Stopped {
        /// The run.
        run: RunId,
        /// Why.
        source: JournalError,
    },
    /// Nix cannot be used.
    #[error("nothing was done")]
    Unusable(#[source] PerformError),
    /// A saved plan is of another machine, store or state directory.
    #[error("the plan was made for another machine or store")]
    OtherMachine,
    /// The run to undo was in another store.
    #[error("the run {run} was in another store, {store}")]
    OtherStore {
        /// The run.
        run: RunId,
        /// Its store.
        store: StoreDir,
    },
    /// What a saved plan relies on has changed.
    #[error("the plan is stale: {}", changes.join("; "))]
    Changed {
        /// What has changed.
        changes: Vec<String>,
    },
    /// Something came up since the plan that must be looked at first.
    #[error("{message}")]
    Refused {
        /// Its name.
        code: CheckCode,
        /// What it is.
        message: String,
        /// What to do now.
        hint: String,
    },
    /// The run removed nothing of that name.
    #[error("run {run} removed nothing called `{item}`")]
    NoSuchItem {
        /// The run.
        run: RunId,
        /// What was named.
        item: String,
        /// What can be restored of the run.
        items: Vec<String>,
    },
    /// The run removed no such root: it vanished before, and the run only holds what it led to.
    #[error("run {run} did not remove {link}, but holds its former target")]
    Vanished {
        /// The run.
        run: RunId,
        /// The link.
        link: Utf8PathBuf,
        /// Its former target.
        path: Utf8PathBuf,
    },
    /// There is nothing to undo.
    #[error("there is nothing to undo: {why}")]
    NothingToUndo {
        /// Why.
        why: String,
    },
}

impl<R: RunJournal> Engine<'_, R> {
    /// Releases holds before their time, by hand. This cannot be undone.
    ///
    /// # Errors
    /// When there is no lock to be had or the record cannot be kept.
    pub fn release(&self, holds: Vec<HoldFacts>) -> Result<Receipt, EngineError> {
        let lock = self.lock()?;
        self.recover(&lock)?;
        let snapshot = self.survey.snapshot()?;
        let mut receipt = self.new_receipt(RunKind::Release, &snapshot)?;
        let entry = |facts| pending(Action::ReleaseHold(facts), RiskLevel::High);
        receipt.entries = holds.into_iter().map(entry).collect();
        self.remember.begin(&lock, &mut receipt)?;
        let mut delays = Delays::default();
        for index in 0..receipt.entries.len() {
            self.step(&lock, &mut receipt, index, None, &mut delays)?;
        }
        self.finish(&lock, receipt)
    }

    /// Settles what interrupted runs left open, and does nothing else; gives the records of those runs.
    ///
    /// # Errors
    /// When there is no lock to be had or a record cannot be kept.
    pub fn resume(&self) -> Result<Vec<Receipt>, EngineError> {
        let mut receipts = self.remember.receipts()?;
        receipts.retain(Receipt::is_interrupted);
        if receipts.is_empty() {
            return Ok(receipts);
        }
        let lock = self.lock()?;
        self.recover(&lock)
    }

    /// Takes the lock, with space reserved for what is written under it. On a disk that was full before there was a
    /// reserve, that space is what Nix reserves for its own collections.
    fn lock(&self) -> Result<R::Lock, EngineError> {
        let lock = match self.remember.lock() {
            Err(error) if error.is_of_full_disk() => {
                if !self.take_reserve_of_nix() {
                    return Err(error.into());
                }
                self.remember.lock()?
            }
            lock => lock?,
        };
        if !self.remember.make_space(&lock) && self.take_reserve_of_nix() {
            // Nix makes its reserve again whenever it opens the store.
            self.remember.restock(&lock);
            self.remember.make_space(&lock);
        }
        Ok(lock)
    }

    fn take_reserve_of_nix(&self) -> bool {
        self.perform.give_up_reserve().unwrap_or_else(|error| {
            tracing::debug!("the disk is full: {}", error_chain(&error));
            false
        })
    }

    fn new_receipt(&self, kind: RunKind, snapshot: &Snapshot) -> Result<Receipt, EngineError> {
        let run = RunId::at(snapshot.taken_at, 1);
        let nix_version = self.perform.nix_version().map_err(EngineError::Unusable)?;
        Ok(Receipt {
            schema: ReceiptSchema::V2,
            run,
            kind,
            job: None,
            tool_version: env!("CARGO_PKG_VERSION").to_string(),
            nix_version,
            machine: snapshot.machine.clone(),
            store: snapshot.store.clone(),
            started_at: self.clock.now(),
            finished_at: None,
            stopped: false,
            entries: Vec::new(),
            bytes: FreedBytes::default(),
            budget: None,
            boot_menu: None,
            size: None,
            accepted_checks: Vec::new(),
            failed_checks: Vec::new(),
        })
    }

    fn finish(&self, lock: &R::Lock, mut receipt: Receipt) -> Result<Receipt, EngineError> {
        // Before the run counts as ended, so that a run killed in between is settled and written down by the next one.
        self.record_baseline(lock, &receipt);
        receipt.finished_at = Some(self.clock.now());
        receipt.stopped =
            self.interrupt.requested() && receipt.count(Outcome::Done) < receipt.entries.len();
        self.save_record(lock, &receipt, &receipt.run)?;
        // The run is done and recorded: old records that cannot be removed now are no reason to call it failed.
        match self.remember.prune(lock, self.clock.now()) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed the records of old runs"),
            Err(error) => tracing::warn!("old records stay: {}", error_chain(&error)),
        }
        self.remember.restock(lock);
        Ok(receipt)
    }

    /// Writes a record anew in the middle of a run; where that fails the run stops, and the next one settles it.
    fn save_record(
        &self,
        lock: &R::Lock,
        receipt: &Receipt,
        run: &RunId,
    ) -> Result<(), EngineError> {
        self.remember
            .record(lock, receipt)
            .map_err(|source| EngineError::Stopped {
                run: run.clone(),
                source,
            })
    }

    /// Writes down one entry in the middle of a run, as [`Engine::save_record`].
    fn append_step(
        &self,
        lock: &R::Lock,
        receipt: &Receipt,
        index: usize,
    ) -> Result<(), EngineError> {
        self.remember
            .record_step(lock, receipt, index)
            .map_err(|source| EngineError::Stopped {
                run: receipt.run.clone(),
                source,
            })
    }

    fn same_machine(machine: &MachineId, snapshot: &Snapshot) -> Result<(), EngineError> {
        if *machine == snapshot.machine {
            Ok(())
        } else {
            Err(EngineError::OtherMachine)
        }
    }
}

fn pending(action: Action, risk: RiskLevel) -> Entry {
    Entry {
        action,
        risk,
        outcome: Outcome::Pending,
        at: None,
        detail: None,
        undo: None,
        undone_by: None,
        report: None,
    }
}

/// Writes down what became of an entry.
fn settle(entry: &mut Entry, outcome: Outcome, detail: Option<String>, clock: &dyn Clock) {
    entry.outcome = outcome;
    entry.detail = detail;
    entry.at = Some(clock.now());
    if outcome != Outcome::Done {
        // What was not done needs no undoing; where a hold was left behind, it is found by its link.
        let left_behind = matches!(
            entry.undo,
            Some(Undo::RestoreGeneration { .. } | Undo::RestoreLink { .. } | Undo::Held { .. })
        );
        if !left_behind {
            entry.undo = None;
        }
    }
}
