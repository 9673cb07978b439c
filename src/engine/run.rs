//! Execution of an approved plan, one recorded step after the other.

use super::budget::{Collect, boot_menu_pending};
use super::collect::{LastCheck, Means, collect_from};
use super::delays::{Delayer, Delays};
use super::vanished::{Known, Links};
use super::{Approved, Collection, Engine, EngineError, pending, settle};
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::collect::{CollectMethod, DeletionSet, FullGcReason};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::limits::PlanSize;
use crate::domain::maintenance::Report;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::plan::{Action, CollectFacts, GenerationFacts, Plan};
use crate::domain::profile::ProfileNames;
use crate::domain::protected::ProtectedPaths;
use crate::domain::receipt::{BudgetOutcome, Entry, Outcome, Receipt, RunKind};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Snapshot;
use crate::operations::{ActionContext, boot_menu, vanished};
use crate::ports::{DirectCollection, PerformError, RunJournal, error_chain};

impl<R: RunJournal> Engine<'_, R> {
    /// Carries out an approved plan: lock, settle what was interrupted, look again, write the record with
    /// everything pending, then do and record one action after the other.
    ///
    /// `job` has the protections of the settings now. A saved plan is refused as a whole when anything it relies on has
    /// changed; in a run only the action concerned is left out, as stale.
    ///
    /// # Errors
    /// When nothing was done, or the record could not be kept; single failures are in the receipt.
    pub fn apply(
        &self,
        approved: Approved,
        job: Option<&EffectiveJob>,
    ) -> Result<Receipt, EngineError> {
        let (plan, kind) = approved.into_parts();
        let lock = self.lock()?;
        self.recover(&lock)?;
        let mut snapshot = self.survey.snapshot()?;
        let accepted = &plan.accepted_checks;
        // Accepted is what was shown, and nothing that came since.
        snapshot.blockers.retain(|seen| !seen.is_among(accepted));
        Self::same_machine(&plan.machine, &snapshot)?;
        if let Some(stop) = snapshot.blockers.iter().find(|r| r.code.stops_run()) {
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
        let mut receipt = self.new_receipt(kind, &snapshot)?;
        receipt.job = Some(plan.job.clone());
        receipt.bytes.predicted = plan.prediction.disk_bytes;
        receipt.bytes.predicted_at_most = plan.prediction.disk_bytes_at_most;
        receipt.budget = plan.budget.clone().map(BudgetOutcome::pending);
        receipt.boot_menu = plan.boot_menu.clone().map(boot_menu_pending);
        receipt.size = Some(PlanSize::of(&plan));
        receipt.accepted_checks.clone_from(accepted);
        receipt.failed_checks = plan.left_out().cloned().collect();
        receipt.entries = self.checked_entries(&plan, &receipt.kind, &snapshot, job)?;
        self.remember.record_baseline(&lock, &snapshot, &receipt)?;
        self.remember.begin(&lock, &mut receipt)?;
        self.prepare_undo(&lock, &mut receipt)?;
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
            if boot_menu::is_needless(&receipt, index, &snapshot) {
                self.retain_refresh(&lock, &mut receipt, index)?;
            } else if !Self::waits_for_rounds(&receipt, index) {
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
        plan: &Plan,
        kind: &RunKind,
        snapshot: &Snapshot,
        job: Option<&EffectiveJob>,
    ) -> Result<Vec<Entry>, EngineError> {
        let mut entries = Vec::new();
        let mut changes = Vec::new();
        // What vanished since the plan was made must be held as well before anything is collected.
        let vanished = job
            .filter(|_| plan.collection().is_some())
            .map(|job| vanished::not_held(snapshot, job, &plan.vanished));
        for facts in vanished.unwrap_or_default() {
            changes.push(format!(
                "{} is gone, and its former target must be held first",
                facts.link
            ));
            entries.push(pending(Action::HoldRoot(facts), RiskLevel::Low));
        }
        for planned in plan.actions() {
            // A saved plan may be older than the policy.
            let allowed = job.map_or(Ok(()), |job| job.policy().allows(&planned.action));
            let rechecked = allowed.map_err(|short| short.to_string());
            let rechecked =
                rechecked.and_then(|()| planned.action.operation().recheck(snapshot, job));
            let mut entry = pending(planned.action, planned.risk);
            if let Err(change) = rechecked {
                changes.push(change.clone());
                settle(&mut entry, Outcome::Stale, Some(change), self.clock);
            }
            entries.push(entry);
        }
        if *kind == RunKind::Apply && !changes.is_empty() {
            return Err(EngineError::Changed { changes });
        }
        Ok(entries)
    }

    /// Records how each step is undone, where each hold will be and until when, before the first one is made.
    fn prepare_undo(&self, lock: &R::Lock, receipt: &mut Receipt) -> Result<(), EngineError> {
        let (run, started) = (receipt.run.clone(), receipt.started_at);
        let mut links = Links::default();
        for (index, entry) in receipt.entries.iter_mut().enumerate() {
            if entry.outcome != Outcome::Pending {
                continue;
            }
            let operation = entry.action.operation();
            let hold = match operation.hold() {
                None => None,
                Some(span) => {
                    let name = || self.remember.hold_link(lock, &run, index);
                    // These are made together, so that one call of Nix makes many.
                    let link = if entry.action.vanished_root().is_some() {
                        links.next(name)?
                    } else {
                        name()?
                    };
                    Some((link, started.after(span)))
                }
            };
            let undo = operation.undo(hold);
            drop(operation);
            entry.undo = undo;
        }
        if receipt.entries.iter().any(|entry| entry.undo.is_some()) {
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
        let sentence = action.operation().describe(&ProfileNames::default());
        tracing::info!(action = %sentence, "starting");
        if let Action::Collect(facts) = action {
            let collect = Collect {
                facts: &facts,
                lock,
                index,
                known,
                direct: None,
            };
            return self.collect(collect, receipt, delays);
        }
        // They are held together, before the first step.
        if action.vanished_root().is_some() {
            return Ok(());
        }
        let nothing = ProtectedPaths::default();
        let begun = self.clock.now();
        let done = action.operation().perform(&ActionContext {
            nix: self.perform,
            hold: entry.hold(&receipt.run),
            protected: known.and_then(|known| known.protected).unwrap_or(&nothing),
        });
        let timed_out = matches!(done, Err(PerformError::TimedOut { .. }));
        let span = (begun, self.clock.now());
        self.add_delay(delays, &action, span, timed_out);
        let removed_more = matches!(done, Err(PerformError::RemovedMore { .. }));
        if let Some(entry) = receipt.entries.get_mut(index) {
            match done {
                Ok(done) => {
                    entry.report = done.report;
                    settle(entry, Outcome::Done, done.note, self.clock);
                }
                Err(error) => {
                    let outcome = match error {
                        PerformError::Stale(_) => Outcome::Stale,
                        // The generation is gone and held.
                        PerformError::RemovedMore { .. } => Outcome::Done,
                        _ => Outcome::Failed,
                    };
                    tracing::info!(action = %sentence, error = %error_chain(&error), "not done");
                    settle(entry, outcome, Some(error_chain(&error)), self.clock);
                    if let PerformError::Damaged(found) = error {
                        entry.report = Some(Report::Verified(*found));
                    }
                }
            }
        }
        self.append_step(lock, receipt, index)?;
        if let (true, Some(facts)) = (removed_more, action.removed_generation()) {
            self.stop_after(facts, receipt, known);
        }
        Ok(())
    }

    /// Records that the boot menu needs no refresh after all.
    fn retain_refresh(
        &self,
        lock: &R::Lock,
        receipt: &mut Receipt,
        index: usize,
    ) -> Result<(), EngineError> {
        if let Some(entry) = receipt.entries.get_mut(index) {
            let why = "no system generation was removed".to_string();
            settle(entry, Outcome::Retained, Some(why), self.clock);
        }
        self.append_step(lock, receipt, index)
    }

    /// The reason to skip an action because of what came before it in this run.
    pub(super) fn reason_to_skip(&self, delays: &Delays, action: &Action) -> Option<String> {
        let facts = action.changed_generation()?;
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
        if let Some(facts) = action.changed_generation() {
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
            ..
        } = collect;
        let before = self.perform.free_space().ok();
        // With damage accepted, it is left to Nix to find what is dead.
        let damage = |it: &Blocker| it.code == CheckCode::StoreDamaged;
        let method = match facts.method {
            CollectMethod::Auto if receipt.accepted_checks.iter().any(damage) => {
                CollectMethod::Full
            }
            method => method,
        };
        let facts = &CollectFacts {
            method,
            ..facts.clone()
        };
        // It is looked for what is dead while nobody else collects, so the lock comes before the first look.
        let direct = match method {
            CollectMethod::Direct => self.perform.begin_direct().map(Some),
            _ => Ok(None),
        };
        let collection = match &direct {
            Err(_) => Collection::default(),
            Ok(direct) if receipt.budget.is_some() => {
                let direct = direct.as_deref();
                let collect = Collect {
                    facts,
                    direct,
                    ..collect
                };
                self.collect_in_rounds(collect, receipt, delays)?
            }
            Ok(direct) => {
                let mut last_check = || self.last_check(facts, lock, receipt, known);
                self.collect_at_once(facts, direct.as_deref(), &mut last_check)
            }
        };
        let collection = match direct {
            Err(error) => Collection {
                outcome: Err(error),
                ..collection
            },
            Ok(_) => collection,
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
    fn collect_at_once(
        &self,
        facts: &CollectFacts,
        direct: Option<&dyn DirectCollection>,
        last_check: LastCheck<'_>,
    ) -> Collection {
        let method = facts.method.of_part(facts.registered_before.is_some());
        collect_from(
            self.survey,
            self.perform,
            self.interrupt,
            Means { method, direct },
            || self.dead(facts),
            last_check,
        )
    }

    /// What is dead now and old enough to be deleted.
    pub(super) fn dead(&self, facts: &CollectFacts) -> Result<DeletionSet, FullGcReason> {
        let mut dead = self.survey.dead()?;
        if facts.keep_build_dependencies {
            dead = dead.without_build_dependencies()?;
        }
        Ok(match facts.registered_before {
            // A part of a second is left out, which spares what was registered in it.
            Some(before) => dead.before(before.to_unix().0),
            None => dead,
        })
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
