//! Vanished roots, between two runs and during one: their former targets are held before a collection.

use camino::{Utf8Path, Utf8PathBuf};

use super::settle;
use super::{Engine, EngineError, pending};
use crate::domain::baseline::gone_between;
use crate::domain::measure::Span;
use crate::domain::plan::{Action, CollectFacts, GenerationFacts, VanishedFacts};
use crate::domain::protected::ProtectedPaths;
use crate::domain::receipt::{Entry, Outcome, Receipt, Undo};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::{Actor, Snapshot, VanishedRoot};
use crate::domain::store_path::StorePath;
use crate::ports::{Cause, JournalError, PerformError, RunJournal, error_chain, nth_link};

/// The most holds that are made in one call of Nix.
const MAX_HOLDS_PER_CALL: usize = 200;
/// The shortest time for which a root is held that vanished in the middle of a run: also without an undo window nobody
/// has planned to delete what it kept.
const MIN_HOLD: Span = Span::days(1);

/// What a run knew when it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The look under the lock.
    pub(super) snapshot: &'a Snapshot,
    /// The undo window.
    pub(super) window: Span,
    /// The paths that the settings protect.
    pub(super) protected: Option<&'a ProtectedPaths>,
}

/// Names the links of consecutive holds so that one call of Nix makes many of them.
#[derive(Debug, Default)]
pub(super) struct Links {
    first: Utf8PathBuf,
    made: usize,
}

impl Links {
    /// The next link; `name` names the first one of a call.
    pub(super) fn next(
        &mut self,
        name: impl FnOnce() -> Result<Utf8PathBuf, JournalError>,
    ) -> Result<Utf8PathBuf, JournalError> {
        if self.made.is_multiple_of(MAX_HOLDS_PER_CALL) {
            (self.first, self.made) = (name()?, 0);
        }
        let link = nth_link(&self.first, self.made);
        self.made += 1;
        Ok(link)
    }
}

impl<R: RunJournal> Engine<'_, R> {
    /// Holds the targets of vanished roots, before anything else is done. They are recorded together; the next run
    /// recovers a run that is killed before that.
    pub(super) fn hold_roots(
        &self,
        lock: &R::Lock,
        receipt: &mut Receipt,
    ) -> Result<(), EngineError> {
        let mut open = Vec::new();
        for (index, entry) in receipt.entries.iter_mut().enumerate() {
            let Some(facts) = entry.action.vanished_root() else {
                continue;
            };
            if entry.outcome != Outcome::Pending {
                continue;
            }
            if let Some(Undo::Held { hold, .. }) = &entry.undo {
                open.push((index, facts.store_path.clone(), hold.clone()));
            } else {
                let why = "the hold has no place".to_string();
                settle(entry, Outcome::Failed, Some(why), self.clock);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let holds: Vec<(&StorePath<String>, &Utf8Path)> = open
            .iter()
            .map(|(_, path, link)| (path, link.as_path()))
            .collect();
        let mut failed = None;
        for ((index, ..), done) in open.iter().zip(self.perform.hold_all(&holds)) {
            let Some(entry) = receipt.entries.get_mut(*index) else {
                continue;
            };
            let (outcome, why) = match done {
                Ok(()) => (Outcome::Done, None),
                Err(error @ PerformError::Stale(_)) => (Outcome::Stale, Some(error_chain(&error))),
                Err(error) => (Outcome::Failed, Some(error_chain(&error))),
            };
            settle(entry, outcome, why, self.clock);
            if outcome == Outcome::Failed {
                failed = Some(*index);
            }
        }
        self.save_record(lock, receipt, &receipt.run)?;
        if let Some(index) = failed {
            self.skip_what_vanished(receipt, index);
        }
        Ok(())
    }

    /// Observes again right before a collection, and holds what vanished since the first observation without our doing.
    pub(super) fn last_check(
        &self,
        facts: &CollectFacts,
        lock: &R::Lock,
        receipt: &mut Receipt,
        known: Option<Known<'_>>,
    ) -> Result<(), PerformError> {
        let Some(known) = known else {
            return Err(PerformError::Stale(
                "there is no earlier observation".to_string(),
            ));
        };
        let mut now = self
            .survey
            .snapshot()
            .map_err(|error| cannot_observe(error.into()))?;
        now.blockers
            .retain(|seen| !seen.is_among(&receipt.accepted_checks));
        let collect = Action::Collect(facts.clone());
        let rechecked = collect.operation().recheck(&now, None);
        rechecked.map_err(PerformError::Stale)?;
        self.repair(&now)?;
        let mut gone = gone_between(known.snapshot, &now, &receipt.entries);
        // As in a plan: Nix makes no root of a derivation without building it.
        gone.retain(|root| root.store_path.name().strip_suffix(".drv").is_none());
        if gone.is_empty() {
            return Ok(());
        }
        tracing::warn!(count = gone.len(), "roots vanished during the run");
        self.hold_now(lock, receipt, known, gone)
            .map_err(|error| cannot_observe(error.into()))?;
        let failed = |entry: &&Entry| entry.outcome == Outcome::Failed;
        let mut failed = receipt.entries.iter().filter(failed);
        match failed.find_map(|entry| entry.action.vanished_root()) {
            Some(facts) => Err(cannot_observe(not_held(facts).into())),
            None => Ok(()),
        }
    }

    fn hold_now(
        &self,
        lock: &R::Lock,
        receipt: &mut Receipt,
        known: Known<'_>,
        gone: Vec<VanishedRoot>,
    ) -> Result<(), EngineError> {
        let hold = known.window.max(MIN_HOLD);
        let until = self.clock.now().after(hold);
        let run = receipt.run.clone();
        let mut links = Links::default();
        for root in gone {
            let index = receipt.entries.len();
            let facts = VanishedFacts {
                link: root.link,
                store_path: root.store_path,
                hold,
            };
            let mut entry = pending(Action::HoldRoot(facts), RiskLevel::Low);
            let link = links.next(|| self.remember.hold_link(lock, &run, index))?;
            entry.undo = Some(Undo::Held { hold: link, until });
            receipt.entries.push(entry);
        }
        self.save_record(lock, receipt, &run)?;
        self.hold_roots(lock, receipt)
    }

    /// Records the roots that exist at the end of a run. If that fails, the record made at its beginning is kept, which
    /// has more roots: some that are already held may be held once more.
    pub(super) fn record_baseline(&self, lock: &R::Lock, receipt: &Receipt) {
        let saved = self
            .survey
            .snapshot_of_roots()
            .map_err(|error| error_chain(&error))
            .and_then(|mut snapshot| {
                snapshot
                    .blockers
                    .retain(|seen| !seen.is_among(&receipt.accepted_checks));
                let saved = self.remember.record_baseline(lock, &snapshot, receipt);
                saved.map_err(|error| error_chain(&error))
            });
        if let Err(error) = saved {
            tracing::warn!("roots that are already held may be held again: {error}");
        }
    }

    /// Stops what would build on a removal that took more than it should. What another user's `nix-env` does to that
    /// user's profiles stops nothing for others: the last look holds what it took.
    pub(super) fn stop_after(
        &self,
        facts: &GenerationFacts,
        receipt: &mut Receipt,
        known: Option<Known<'_>>,
    ) {
        let ours = match known.map(|known| known.snapshot.actor) {
            Some(Actor::User(uid)) => facts.owner.uid == uid,
            Some(Actor::Root) | None => facts.owner.uid == 0,
        };
        let why = format!(
            "removing generation {} of {} removed other generations as well",
            facts.number, facts.profile
        );
        for entry in &mut receipt.entries {
            if entry.outcome != Outcome::Pending {
                continue;
            }
            let removed = entry.action.removed_generation();
            if removed.is_some_and(|other| other.profile == facts.profile) {
                settle(entry, Outcome::Skipped, Some(why.clone()), self.clock);
            } else if ours && entry.action.collection().is_some() {
                settle(entry, Outcome::Failed, Some(why.clone()), self.clock);
            }
        }
        self.skip_without_collection(receipt);
    }

    /// Leaves out the collection that would take what a vanished root kept and nothing holds, and what is given up for
    /// it. What is gone from the store has nothing to lose.
    fn skip_what_vanished(&self, receipt: &mut Receipt, index: usize) {
        let entry = receipt.entries.get(index);
        let Some(facts) = entry.and_then(|entry| entry.action.vanished_root()) else {
            return;
        };
        let why = not_held(facts);
        for entry in &mut receipt.entries {
            if entry.action.collection().is_some() && entry.outcome == Outcome::Pending {
                settle(entry, Outcome::Failed, Some(why.clone()), self.clock);
            }
        }
        self.skip_without_collection(receipt);
    }
}

fn not_held(facts: &VanishedFacts) -> String {
    format!(
        "the root {} is gone, and its store path could not be held; a collection would delete it",
        facts.link
    )
}

fn cannot_observe(source: Cause) -> PerformError {
    PerformError::Nix {
        what: "reading the roots again before the collection".to_string(),
        source,
    }
}
