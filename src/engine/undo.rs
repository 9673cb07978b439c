//! Undo: restores what a run removed, or a part of it.

use super::delays::Delays;
use super::{Engine, EngineError, pending};
use crate::domain::receipt::{Entry, Outcome, Receipt, RunId, RunKind};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Snapshot;
use crate::domain::undo::{ItemRef, Parts, UndoItem, UndoPreview};
use crate::operations::boot_menu;
use crate::ports::{JournalError, LinkState, RunJournal, error_chain};

impl<R: RunJournal> Engine<'_, R> {
    /// Undoes a run, or without one the latest run that has something to undo. With `items` only these are restored, and the
    /// latest run is the latest one that can restore them.
    ///
    /// Each generation is restored with its number, target and time, or not at all. The receipt has the reason for each
    /// one that cannot be restored.
    ///
    /// # Errors
    /// When there is nothing to undo, an item is not of the run, or the record cannot be kept.
    pub fn undo(&self, run: Option<&RunId>, items: &[ItemRef]) -> Result<Receipt, EngineError> {
        let lock = self.lock()?;
        self.recover(&lock)?;
        let (original, snapshot) = self.run_to_undo(run, items)?;
        let mut receipt = self.new_receipt(RunKind::Undo(original.run.clone()), &snapshot)?;
        receipt.job.clone_from(&original.job);
        receipt.entries = self
            .entries_to_undo(&original, items)
            .filter_map(restore_entry)
            .collect();
        let refresh = boot_menu::after_undo(&original, &receipt.entries, &snapshot);
        let refresh = refresh.map(|action| pending(action, RiskLevel::Low));
        receipt.entries.extend(refresh);
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

    /// What [`Engine::undo`] would restore; reads only.
    ///
    /// # Errors
    /// As [`Engine::undo`].
    pub fn preview_undo(
        &self,
        run: Option<&RunId>,
        items: &[ItemRef],
    ) -> Result<UndoPreview, EngineError> {
        let (original, _) = self.run_to_undo(run, items)?;
        let preview = |entry| {
            Some(UndoItem {
                action: restore_entry(entry)?.action,
                obstacle: self.obstacle(entry, &original),
            })
        };
        let entries = self.entries_to_undo(&original, items);
        Ok(UndoPreview {
            run: original.run.clone(),
            started_at: original.started_at,
            items: entries.filter_map(preview).collect(),
        })
    }

    /// The entries to undo: last done, first undone.
    fn entries_to_undo<'r>(
        &self,
        original: &'r Receipt,
        items: &[ItemRef],
    ) -> impl Iterator<Item = &'r Entry> {
        let entries = original.entries.iter().rev();
        entries.filter(move |entry| is_named(entry, items) && self.is_possible(entry, original))
    }

    fn run_to_undo(
        &self,
        run: Option<&RunId>,
        items: &[ItemRef],
    ) -> Result<(Receipt, Snapshot), EngineError> {
        let original = self.find_run(run, items)?;
        for item in items {
            self.check_item(item, &original)?;
        }
        if self.entries_to_undo(&original, items).next().is_none() {
            let mut named = original.entries.iter().filter(|e| is_named(e, items));
            let why = if named.any(|entry| entry.undone_by.is_some()) {
                "it is already undone"
            } else if original.count(Outcome::Done) == 0 {
                "the run did nothing"
            } else {
                "the run did nothing that can be undone"
            };
            return Err(nothing_to_undo(why));
        }
        let snapshot = self.survey.snapshot()?;
        // Not the machine: its number may change at a boot, and what is put back is looked at piece by piece.
        if original.store != snapshot.store {
            return Err(EngineError::OtherStore {
                run: original.run,
                store: original.store,
            });
        }
        Ok((original, snapshot))
    }

    fn find_run(&self, run: Option<&RunId>, items: &[ItemRef]) -> Result<Receipt, EngineError> {
        let mut receipts = self.remember.receipts()?;
        if let Some(run) = run {
            let found = receipts.into_iter().find(|r| r.run == *run);
            return Ok(found.ok_or_else(|| JournalError::NoSuchRun(run.to_string()))?);
        }
        let is_open = |entry: &Entry, receipt: &Receipt| {
            let action = &entry.action;
            let is_entry = action.removed_root().is_some() && entry.is_undoable();
            let is_named = !items.is_empty() && (is_entry || action.vanished_root().is_some());
            is_named || self.can_come_back(entry, receipt)
        };
        let has = |receipt: &Receipt, item: &ItemRef| {
            let mut entries = receipt.entries.iter();
            entries.any(|e| item.names(&e.action) && is_open(e, receipt))
        };
        let has_all = |receipt: &Receipt| items.iter().all(|item| has(receipt, item));
        receipts.retain(|r| r.entries.iter().any(|entry| is_open(entry, r)));
        let index = receipts.iter().rposition(has_all);
        let index = index.or(receipts.len().checked_sub(1));
        index
            .map(|index| receipts.swap_remove(index))
            .ok_or_else(|| nothing_to_undo("no run has removed anything that is still held"))
    }

    /// Checks that the run removed an item.
    fn check_item(&self, item: &ItemRef, original: &Receipt) -> Result<(), EngineError> {
        let entries = original.entries.iter();
        let named: Vec<&Entry> = entries.filter(|e| item.names(&e.action)).collect();
        let vanished = |entry: &&Entry| entry.action.vanished_root().is_some();
        let run = original.run.clone();
        match named.iter().find_map(|e| e.action.vanished_root()) {
            Some(facts) if named.iter().all(vanished) => Err(EngineError::Vanished {
                run,
                link: facts.link.clone(),
                path: facts.store_path.to_absolute_path(&original.store),
            }),
            _ if !named.is_empty() => Ok(()),
            _ => {
                let entries = original.entries.iter();
                let possible = entries.filter(|entry| self.is_possible(entry, original));
                let parts: Parts<'_> = possible.map(|entry| &entry.action).collect();
                Err(EngineError::NoSuchItem {
                    run,
                    item: item.to_string(),
                    items: parts.items(),
                })
            }
        }
    }

    /// What is known to prevent that an entry is restored.
    fn obstacle(&self, entry: &Entry, original: &Receipt) -> Option<String> {
        let needs_hold = entry.action.removed_link().is_some();
        match entry.action.operation().state(self.perform)? {
            Ok(LinkState::Gone) if !needs_hold || self.is_held(entry, original) => None,
            Ok(LinkState::Gone) => Some("it is no longer held".to_string()),
            Ok(LinkState::Unchanged) => Some("it is there already".to_string()),
            Ok(LinkState::Unfinished | LinkState::Different) => {
                Some("its name is taken".to_string())
            }
            Err(error) => Some(error_chain(&error)),
        }
    }

    fn is_possible(&self, entry: &Entry, receipt: &Receipt) -> bool {
        entry.is_undoable() || self.came_to_pass(entry, receipt)
    }

    fn can_come_back(&self, entry: &Entry, receipt: &Receipt) -> bool {
        (entry.is_undoable() && self.is_held(entry, receipt)) || self.came_to_pass(entry, receipt)
    }

    /// Whether a generation or link is gone and held although its removal is not on record as done: its state was not certain when
    /// an interrupted run was recovered, or the removal finished afterwards.
    fn came_to_pass(&self, entry: &Entry, receipt: &Receipt) -> bool {
        let is_gone = || {
            let state = entry.action.operation().state(self.perform);
            matches!(state, Some(Ok(LinkState::Gone)))
        };
        !matches!(entry.outcome, Outcome::Done | Outcome::Pending)
            && entry.undone_by.is_none()
            && self.is_held(entry, receipt)
            && is_gone()
    }

    /// Whether a generation or link is still held. A removed dangling root alone does not make a run the latest one to undo: its link
    /// was gone, and Nix would have removed it as well. A run asked for by name is tried in any case.
    fn is_held(&self, entry: &Entry, receipt: &Receipt) -> bool {
        let hold = entry.hold(&receipt.run);
        let hold = hold.filter(|_| entry.action.removed_link().is_some());
        hold.is_some_and(|hold| matches!(self.perform.see_hold(&hold), Ok(LinkState::Unchanged)))
    }
}

fn restore_entry(entry: &Entry) -> Option<Entry> {
    let action = entry.action.operation().inverse()?;
    Some(pending(action, RiskLevel::Low))
}

fn is_named(entry: &Entry, items: &[ItemRef]) -> bool {
    items.is_empty() || items.iter().any(|item| item.names(&entry.action))
}

fn nothing_to_undo(why: &str) -> EngineError {
    let why = why.to_string();
    EngineError::NothingToUndo { why }
}
