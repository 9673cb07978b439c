//! Execution of an approved plan, one recorded step after the other.

use std::collections::HashSet;

use super::budget::Collect;
use super::collect::{LastLook, collect_after, collect_from};
use super::delays::{Delayer, Delays, changed_generation};
use super::vanished::{Known, Links};
use super::{Approved, Collection, Engine, EngineError, Proposal, pending};
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::collect::CollectMethod;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::plan::{
    Action, CollectFacts, GenerationFacts, HoldFacts, VanishedFacts, recheck,
};
use crate::domain::protected::ProtectedPaths;
use crate::domain::receipt::{BudgetOutcome, Entry, Outcome, Receipt, RunKind, Undo};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::{Held, Snapshot};
use crate::ports::{Clock, LinkState, PerformError, RestoreMode, RunJournal, error_chain};

impl<R: RunJournal> Engine<'_, R> {
    /// Carries out an approved proposal: lock, settle what was interrupted, look again, write the record with
    /// everything pending, then do and record one action after the other.
    ///
    /// `job` tells what the settings protect now. A saved plan is refused as a whole when anything it relies on has
    /// changed; in a run only the action concerned is left out, as stale.
    ///
    /// # Errors
    /// When nothing was done, or the record could not be kept; single failures are in the receipt.
    pub fn apply(
        &self,
        approved: Approved,
        job: Option<&EffectiveJob>,
    ) -> Result<Receipt, EngineError> {
        let proposal = approved.into_proposal();
        let lock = self.lock()?;
        self.recover(&lock)?;
        let mut snapshot = self.survey.snapshot()?;
        let accepted = &proposal.accepted;
        // What was let pass is what was shown, and nothing that came since.
        snapshot.refusals.retain(|seen| !seen.is_among(accepted));
        Self::same_machine(&proposal.machine, &snapshot)?;
        if let Some(stop) = snapshot.refusals.iter().find(|r| r.code.stops_run()) {
            let Blocker {
                code,
                message,
                hint,
                ..
            } = stop.clone();
            return Err(EngineError::Refused {
                code,
                message,
                hint,
            });
        }
        let mut receipt = self.new_receipt(proposal.kind.clone(), &snapshot)?;
        receipt.job = Some(proposal.job.clone());
        receipt.bytes.predicted = proposal.prediction.disk_bytes;
        receipt.bytes.predicted_at_most = proposal.prediction.disk_bytes_at_most;
        receipt.budget = proposal.budget.clone().map(BudgetOutcome::pending);
        receipt.extent = Some(proposal.extent);
        receipt.accepted.clone_from(accepted);
        receipt.refused.clone_from(&proposal.refused);
        receipt.entries = self.checked_entries(&proposal, &snapshot, job)?;
        self.remember.saw(&lock, &snapshot, &receipt)?;
        self.remember.begin(&lock, &mut receipt)?;
        self.prepare_holds(&lock, &mut receipt)?;
        self.repair_holds(&snapshot, &mut receipt);
        self.skip_without_collection(&mut receipt);
        let mut delays = Delays::default();
        let known = Known {
            snapshot: &snapshot,
            window: job.map_or(Span::ZERO, |job| job.undo_window),
            protected: job.map(|job| &job.protect.paths),
        };
        self.hold_roots(&lock, &mut receipt)?;
        for index in 0..receipt.entries.len() {
            if self.interrupt.requested() {
                self.skip_rest(&mut receipt);
                break;
            }
            if !Self::waits_for_rounds(&receipt, index) {
                self.step(&lock, &mut receipt, index, Some(known), &mut delays)?;
            }
        }
        self.retain_rest(&mut receipt);
        self.measure_budget(&mut receipt);
        self.finish(&lock, receipt)
    }

    /// Looks at every action once more, under the lock.
    fn checked_entries(
        &self,
        proposal: &Proposal,
        snapshot: &Snapshot,
        job: Option<&EffectiveJob>,
    ) -> Result<Vec<Entry>, EngineError> {
        let mut entries = Vec::new();
        let mut changes = Vec::new();
        for planned in newly_vanished(proposal, snapshot, job) {
            if proposal.kind == RunKind::Apply {
                let link = &planned.link;
                changes.push(format!(
                    "{link} is gone, and its former target must be held first"
                ));
            }
            entries.push(pending(Action::HoldRoot(planned), RiskLevel::Low));
        }
        for planned in &proposal.actions {
            let mut entry = pending(planned.action.clone(), planned.risk);
            if let Err(change) = recheck(&planned.action, snapshot, job) {
                changes.push(change.clone());
                settle(&mut entry, Outcome::Stale, Some(change), self.clock);
            }
            entries.push(entry);
        }
        if proposal.kind == RunKind::Apply && !changes.is_empty() {
            return Err(EngineError::Changed { changes });
        }
        Ok(entries)
    }

    /// Writes down where each hold will be and until when, before the first one is made.
    fn prepare_holds(&self, lock: &R::Lock, receipt: &mut Receipt) -> Result<(), EngineError> {
        let (run, started) = (receipt.run.clone(), receipt.started_at);
        let mut any = false;
        let mut links = Links::default();
        for (index, entry) in receipt.entries.iter_mut().enumerate() {
            if entry.outcome != Outcome::Pending {
                continue;
            }
            match &entry.action {
                Action::DropGeneration(facts) if !facts.hold.is_zero() => {
                    let hold = self.remember.hold_link(lock, &run, index)?;
                    let until = started.after(facts.hold);
                    entry.undo = Some(Undo::RestoreGeneration { hold, until });
                }
                Action::HoldRoot(facts) => {
                    let hold = links.next(|| self.remember.hold_link(lock, &run, index))?;
                    let until = started.after(facts.hold);
                    entry.undo = Some(Undo::Kept { hold, until });
                }
                Action::RemoveRoot(_) => entry.undo = Some(Undo::RestoreRoot),
                _ => continue,
            }
            any = true;
        }
        if any {
            self.remember.record(lock, receipt)?;
        }
        Ok(())
    }

    /// Does one pending action and records what became of it.
    pub(super) fn step(
        &self,
        lock: &R::Lock,
        receipt: &mut Receipt,
        index: usize,
        known: Option<Known<'_>>,
        delays: &mut Delays,
    ) -> Result<(), EngineError> {
        if let Some(entry) = receipt.entries.get_mut(index)
            && entry.outcome == Outcome::Pending
            && let Some(why) = self.reason_to_skip(delays, &entry.action)
        {
            settle(entry, Outcome::Skipped, Some(why), self.clock);
            return self.append_step(lock, receipt, index);
        }
        let Some(entry) = receipt.entries.get(index) else {
            return Ok(());
        };
        if entry.outcome != Outcome::Pending {
            return Ok(());
        }
        let action = entry.action.clone();
        tracing::info!(action = %summary(&action), "starting");
        if let Action::Collect(facts) = action {
            let collect = Collect {
                facts,
                lock,
                index,
                known,
            };
            return self.collect(collect, receipt, delays);
        }
        let begun = self.clock.now();
        let mut note = None;
        let done = match &action {
            // They are held together, before the first step; a collection is no single deed.
            Action::HoldRoot(_) | Action::Collect(_) => return Ok(()),
            Action::DropGeneration(facts) => {
                self.drop_generation(facts, entry.undo.as_ref(), receipt, &mut note)
            }
            Action::RemoveRoot(facts) => {
                let nothing = ProtectedPaths::default();
                let protected = known.and_then(|known| known.protected);
                self.perform
                    .remove_root(facts, protected.unwrap_or(&nothing))
            }
            Action::ReleaseHold(facts) => self.perform.release_hold(facts),
            Action::ReleaseEarly(facts) => self.perform.release_hold(&facts.hold),
            Action::Optimise => self.perform.optimise(),
            Action::Verify { contents } => self.perform.verify(*contents),
            Action::RestoreGeneration(facts) => {
                self.perform.restore_generation(facts, RestoreMode::Fresh)
            }
            Action::RestoreRoot(facts) => self.perform.restore_root(facts),
        };
        let timed_out = matches!(done, Err(PerformError::TimedOut { .. }));
        let span = (begun, self.clock.now());
        self.add_delay(delays, &action, span, timed_out);
        let removed_more = matches!(done, Err(PerformError::RemovedMore { .. }));
        if let Some(entry) = receipt.entries.get_mut(index) {
            match done {
                Ok(()) => settle(entry, Outcome::Done, note, self.clock),
                Err(error) => {
                    let outcome = match error {
                        PerformError::Stale(_) => Outcome::Stale,
                        // The generation is gone and held.
                        PerformError::RemovedMore { .. } => Outcome::Done,
                        _ => Outcome::Failed,
                    };
                    tracing::warn!(action = %summary(&action), error = %error_chain(&error), "not done");
                    let mut detail = error_chain(&error);
                    if let Some(note) = note {
                        detail = format!("{detail}; {note}");
                    }
                    settle(entry, outcome, Some(detail), self.clock);
                }
            }
        }
        self.append_step(lock, receipt, index)?;
        if let (true, Action::DropGeneration(facts)) = (removed_more, &action) {
            self.stop_after(facts, receipt, known);
        }
        Ok(())
    }

    /// The reason to skip an action because of what came before it in this run.
    pub(super) fn reason_to_skip(&self, delays: &Delays, action: &Action) -> Option<String> {
        let facts = changed_generation(action)?;
        delays.reason_to_skip(&self.delayer(facts), &facts.owner)
    }

    /// Adds the time that an action took.
    pub(super) fn add_delay(
        &self,
        delays: &mut Delays,
        action: &Action,
        span: (Timestamp, Timestamp),
        timed_out: bool,
    ) {
        if let Some(facts) = changed_generation(action) {
            delays.add(self.delayer(facts), span, timed_out);
        }
    }

    fn delayer(&self, facts: &GenerationFacts) -> Delayer {
        if self.perform.is_ourselves(&facts.owner) {
            Delayer::Ours(facts.profile.to_path())
        } else {
            Delayer::Theirs(facts.owner.uid)
        }
    }

    /// Holds the closure, then drops the generation. Where the hold fails the generation stays; where the drop
    /// fails and the generation is still there, the hold is not needed.
    fn drop_generation(
        &self,
        facts: &GenerationFacts,
        undo: Option<&Undo>,
        receipt: &Receipt,
        note: &mut Option<String>,
    ) -> Result<(), PerformError> {
        let hold = match undo {
            Some(Undo::RestoreGeneration { hold, until }) => {
                self.perform.hold(&facts.store_path, hold)?;
                Some(hold_facts(facts, receipt, hold, *until))
            }
            _ if facts.hold.is_zero() => None,
            // A hold was promised and has no place: that must never go on to the drop.
            _ => return Err(PerformError::Stale("the hold has no place".to_string())),
        };
        let Err(error) = self.perform.drop_generation(facts) else {
            return Ok(());
        };
        match self.perform.see_generation(facts) {
            // Nix complained after the deed; what counts is that it is gone, held, and recorded so.
            Ok(LinkState::Gone)
                if !matches!(
                    error,
                    PerformError::Stale(_) | PerformError::RemovedMore { .. }
                ) =>
            {
                *note = Some(error_chain(&error));
                Ok(())
            }
            Ok(LinkState::Unchanged) => {
                if let Some(hold) = hold
                    && let Err(error) = self.perform.release_hold(&hold)
                {
                    tracing::warn!(error = %error_chain(&error), "an unneeded hold stays until its undo window ends");
                }
                Err(error)
            }
            // What is there cannot be told for sure: the hold stays until its window ends.
            Ok(LinkState::Gone | LinkState::Unfinished | LinkState::Different) | Err(_) => {
                Err(error)
            }
        }
    }

    /// Collects, with what Nix says and what the file system says of it.
    fn collect(
        &self,
        collect: Collect<'_, R::Lock>,
        receipt: &mut Receipt,
        delays: &mut Delays,
    ) -> Result<(), EngineError> {
        let Collect {
            facts,
            lock,
            index,
            known,
        } = collect;
        let before = self.perform.free_space().ok();
        // Who lets damage pass has left it to Nix to find what is dead.
        let damage = |it: &Blocker| it.code == CheckCode::StoreDamaged;
        let method = match facts.method {
            CollectMethod::Auto if receipt.accepted.iter().any(damage) => CollectMethod::Full,
            method => method,
        };
        let facts = CollectFacts { method, ..facts };
        let collection = if receipt.budget.is_some() {
            let collect = Collect { facts, ..collect };
            self.collect_in_rounds(collect, receipt, delays)?
        } else {
            self.collect_at_once(facts, &mut || self.last_look(facts, lock, receipt, known))
        };
        let after = self.perform.free_space().ok();
        let measured = before.zip(after);
        receipt.bytes.measured = measured.and_then(|(before, after)| before.freed_until(after));
        // Also of a collection that failed: much may have gone by then.
        receipt.bytes.reported = collection.collected.bytes;
        receipt.bytes.paths = collection.collected.paths;
        let note = collection.detail();
        if let Some(entry) = receipt.entries.get_mut(index)
            && entry.outcome == Outcome::Pending
        {
            let (outcome, detail) = match &collection.outcome {
                Ok(()) => (Outcome::Done, note),
                Err(error) => {
                    tracing::warn!(error = %error_chain(error), "not collected");
                    let detail = [Some(error_chain(error)), note];
                    let detail: Vec<String> = detail.into_iter().flatten().collect();
                    let outcome = match error {
                        PerformError::Stale(_) => Outcome::Stale,
                        _ => Outcome::Failed,
                    };
                    (outcome, Some(detail.join("; ")))
                }
            };
            settle(entry, outcome, detail, self.clock);
        }
        self.append_step(lock, receipt, index)
    }

    /// Collects everything that is dead, or everything that is old enough.
    fn collect_at_once(&self, facts: CollectFacts, last_look: LastLook<'_>) -> Collection {
        let Some(before) = facts.registered_before else {
            return collect_after(
                self.survey,
                self.perform,
                self.interrupt,
                facts.method,
                last_look,
            );
        };
        // A part of a second is left out, which spares what was registered in it.
        let look = || Ok(self.survey.dead()?.before(before.to_unix().0));
        let method = CollectMethod::Selective;
        collect_from(
            self.survey,
            self.perform,
            self.interrupt,
            method,
            look,
            last_look,
        )
    }

    pub(super) fn skip_rest(&self, receipt: &mut Receipt) {
        for entry in &mut receipt.entries {
            if entry.outcome == Outcome::Pending {
                let why = "the run was stopped before this step".to_string();
                settle(entry, Outcome::Skipped, Some(why), self.clock);
            }
        }
    }
}

/// What is gone since the plan was drawn, and must be held as well before anything is collected.
fn newly_vanished(
    proposal: &Proposal,
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
) -> Vec<VanishedFacts> {
    let mut actions = proposal.actions.iter().map(|planned| &planned.action);
    if actions.all(|action| action.collection().is_none()) {
        return Vec::new();
    }
    let window = job.map(|job| job.undo_window);
    let Some(hold) = window.filter(|window| !window.is_zero()) else {
        return Vec::new();
    };
    let planned = proposal
        .actions
        .iter()
        .filter_map(|planned| match &planned.action {
            Action::HoldRoot(facts) => Some((&facts.link, &facts.store_path)),
            _ => None,
        });
    let planned: HashSet<_> = planned.collect();
    let vanished = snapshot.vanished.iter();
    let new = vanished.filter(|root| !planned.contains(&(&root.link, &root.store_path)));
    new.map(|root| VanishedFacts {
        link: root.link.clone(),
        store_path: root.store_path.clone(),
        hold,
    })
    .collect()
}

/// What a hold made for these facts is.
pub(super) fn hold_facts(
    facts: &GenerationFacts,
    receipt: &Receipt,
    link: &camino::Utf8Path,
    until: crate::domain::measure::Timestamp,
) -> HoldFacts {
    HoldFacts {
        run: receipt.run.clone(),
        link: link.to_path_buf(),
        store_path: facts.store_path.clone(),
        held: Held::Generation {
            profile: facts.profile.clone(),
            number: facts.number,
        },
        until,
    }
}

/// Writes down what became of an entry.
pub(super) fn settle(
    entry: &mut Entry,
    outcome: Outcome,
    detail: Option<String>,
    clock: &dyn Clock,
) {
    entry.outcome = outcome;
    entry.detail = detail;
    entry.at = Some(clock.now());
    if outcome != Outcome::Done {
        // What was not done needs no undoing; where a hold was left behind, it is found by its link.
        let left_behind = matches!(
            entry.undo,
            Some(Undo::RestoreGeneration { .. } | Undo::Kept { .. })
        );
        if !left_behind {
            entry.undo = None;
        }
    }
}

/// An action in a few words, for the log.
pub(super) fn summary(action: &Action) -> String {
    match action {
        Action::HoldRoot(facts) => format!("hold the former target of {}", facts.link),
        Action::DropGeneration(facts) => {
            format!("remove generation {} of {}", facts.number, facts.profile)
        }
        Action::RemoveRoot(facts) => format!("remove the root {}", facts.entry),
        Action::ReleaseHold(facts) => format!("release the hold {}", facts.link),
        Action::ReleaseEarly(facts) => {
            format!("release the hold {} early", facts.hold.link)
        }
        Action::Collect(_) => "collect garbage".to_string(),
        Action::Optimise => "optimise the store".to_string(),
        Action::Verify { .. } => "verify the store".to_string(),
        Action::RestoreGeneration(facts) => {
            format!("restore generation {} of {}", facts.number, facts.profile)
        }
        Action::RestoreRoot(facts) => format!("restore the root {}", facts.entry),
    }
}
