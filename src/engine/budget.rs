//! The budget of a run: choose dead paths by measured size, collect, measure the freed space, and decide again.
//!
//! Holds and generations that a budget removes permanently are removed here, a few at a time and only while the file system
//! frees as much as predicted: on a file system that shares blocks with snapshots they would be lost for nothing.

mod rounds;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::collect::{Means, collect_from};
use super::delays::Delays;
use super::settle;
use super::vanished::Known;
use super::{Collection, Engine, EngineError};
use crate::domain::boot_menu::BootReport;
use crate::domain::budget::{
    BudgetEnd, Contradiction, DiskUsage, Finding, FreeSpace, Quantity, Round, SizeMetric, Trial,
};
use crate::domain::collect::{CollectMethod, FullGcReason, Part};
use crate::domain::disk_use::Taken;
use crate::domain::measure::Bytes;
use crate::domain::plan::CollectFacts;
use crate::domain::receipt::{BootMenuOutcome, Entry, Outcome, Receipt};
use crate::operations::Loss;
use crate::ports::{DirectCollection, RunJournal};
use rounds::{Measured, Rounds, goal_of, outcome_of, steps_of};

/// The most rounds of one run. Every round deletes a path or removes a step, so it ends without this; other programs may
/// go on making garbage.
const MAX_ROUNDS: usize = 200;

impl<R: RunJournal> Engine<'_, R> {
    /// What a budget gives up for good, it gives up for a collection. Where that is left out, nothing would be freed.
    pub(super) fn skip_without_collection(&self, receipt: &mut Receipt) {
        if receipt.budget.is_none() {
            return;
        }
        let collection = |entry: &&Entry| entry.action.collection().is_some();
        let collection = receipt.entries.iter().find(collection);
        if collection.is_none_or(|entry| entry.outcome == Outcome::Pending) {
            return;
        }
        for entry in &mut receipt.entries {
            let regret = entry.action.operation().regret();
            let for_good = regret.is_some_and(|regret| regret.of != Loss::EndedHold);
            if for_good && entry.outcome == Outcome::Pending {
                let why = "it would free nothing, because no garbage is collected".to_string();
                settle(entry, Outcome::Stale, Some(why), self.clock);
            }
        }
    }

    /// Measures how a run came out.
    pub(super) fn measure_budget(&self, receipt: &mut Receipt) {
        if let Some(outcome) = &mut receipt.boot_menu {
            outcome.free = self.perform.free_space_at(&outcome.planned.dir).ok();
        }
        if let Some(outcome) = &mut receipt.budget {
            let taken = self.remember.reserve_takes();
            outcome.after = self.disk_usage(outcome.planned.metric, taken);
            outcome.missing = outcome.planned.goal.to_free(outcome.after);
        }
    }

    /// Whether an entry waits for the rounds of the budget, which decide whether it is needed.
    pub(super) fn waits_for_rounds(receipt: &Receipt, index: usize) -> bool {
        let pending = |entry: &Entry| entry.outcome == Outcome::Pending;
        let mut collections = receipt
            .entries
            .iter()
            .filter(|e| e.action.collection().is_some());
        let entry = receipt.entries.get(index);
        goal_of(receipt).is_some()
            && collections.any(pending)
            && entry
                .is_some_and(|entry| pending(entry) && entry.action.operation().regret().is_some())
    }

    /// Keeps what no round has removed.
    pub(super) fn retain_rest(&self, receipt: &mut Receipt) {
        let Some(outcome) = &receipt.budget else {
            return;
        };
        let why = match outcome.ended {
            Some(BudgetEnd::Reached) => "the goal is reached without it",
            Some(BudgetEnd::NothingLeft) => "removing it frees nothing",
            Some(BudgetEnd::Contradicted) => {
                "the file system does not free what is predicted, so removing it may gain nothing"
            }
            Some(BudgetEnd::Unknown) => "it is not known what removing it frees",
            Some(BudgetEnd::Stopped) | None => "nothing more is collected in this run",
        };
        for entry in &mut receipt.entries {
            if entry.outcome == Outcome::Pending && entry.action.operation().regret().is_some() {
                settle(entry, Outcome::Retained, Some(why.to_string()), self.clock);
            }
        }
    }

    /// Collects in rounds until the goal is reached, nothing is left, or a round freed nearly nothing.
    ///
    /// # Errors
    /// When the record cannot be kept.
    pub(super) fn collect_in_rounds(
        &self,
        collect: Collect<'_, R::Lock>,
        receipt: &mut Receipt,
        delays: &mut Delays,
    ) -> Result<Collection, EngineError> {
        let mut all = Collection::default();
        let Some(planned) = goal_of(receipt).cloned() else {
            return Ok(all);
        };
        // Records that cannot be read may have the contradiction.
        let contradicted = self.remember.receipts().map_or(true, |receipts| {
            Contradiction::last_of(&receipts, &receipt.store).is_some()
        });
        let mut rounds = Rounds {
            trial: Trial::new(planned.metric, contradicted),
            steps: steps_of(receipt),
            spent: BTreeSet::new(),
            start: self.measure(planned.metric),
            planned,
        };
        let ended = self.run_rounds(collect, &mut rounds, &mut all, receipt, delays)?;
        if let Some(outcome) = &mut receipt.budget {
            outcome.ended = Some(ended);
            outcome.file_system = self.survey.file_system();
        }
        self.retain_rest(receipt);
        Ok(all)
    }

    fn run_rounds(
        &self,
        collect: Collect<'_, R::Lock>,
        rounds: &mut Rounds,
        all: &mut Collection,
        receipt: &mut Receipt,
        delays: &mut Delays,
    ) -> Result<BudgetEnd, EngineError> {
        let metric = rounds.planned.metric;
        let mut before = rounds.start;
        let mut finding = Finding::TooLittle;
        for number in 0..MAX_ROUNDS {
            let known = rounds.missing(before);
            let missing = match known {
                Some(Quantity(0)) => return Ok(BudgetEnd::Reached),
                Some(missing) => missing,
                // What is dead may go as it was planned, and nothing else.
                None if number == 0 => rounds.planned.to_free,
                None => return Ok(BudgetEnd::Unknown),
            };
            if finding == Finding::Contradicts {
                return Ok(BudgetEnd::Contradicted);
            }
            let mut part = self.part(collect.facts, rounds, missing);
            let mut steps = 0;
            while known.is_some()
                && let Some(index) = rounds.next_step(&part, missing, steps, receipt)
            {
                if self.interrupt.requested() {
                    return Ok(BudgetEnd::Stopped);
                }
                self.step(collect.lock, receipt, index, collect.known, delays)?;
                // A step that took more than it should ends the collection.
                if outcome_of(receipt, collect.index) != Some(Outcome::Pending) {
                    return Ok(BudgetEnd::Stopped);
                }
                if outcome_of(receipt, index) == Some(Outcome::Done) {
                    steps += 1;
                    part = self.part(collect.facts, rounds, missing);
                }
            }
            let is_unknown = part.is_err();
            if is_unknown && number > 0 {
                return Ok(BudgetEnd::Unknown);
            }
            if let Ok(part) = &part
                && part.selection.is_empty()
                // Only a full collection deletes names that are no store paths.
                && (number > 0 || part.selection.foreign_names() == 0)
            {
                return Ok(if rounds.steps.is_empty() {
                    BudgetEnd::NothingLeft
                } else {
                    BudgetEnd::Contradicted
                });
            }
            if steps > 0 && part.as_ref().is_ok_and(|part| part.weight == Quantity(0)) {
                // It was removed because it was to free something.
                rounds.steps.clear();
            }
            if self.interrupt.requested() {
                return Ok(BudgetEnd::Stopped);
            }
            let (collection, predicted) = self.collect_part(collect, rounds, part, receipt);
            let after = self.measure(metric);
            let round = Round {
                steps,
                predicted,
                measured: before.freed_until(after, metric),
            };
            tracing::info!(predicted = round.predicted.0, measured = ?round.measured, "measured what was freed");
            let stopped = collection.outcome.is_err();
            all.join(collection);
            if let Some(outcome) = &mut receipt.budget {
                outcome.rounds.push(round);
            }
            self.save_record(collect.lock, receipt, &receipt.run)?;
            if stopped {
                return Ok(BudgetEnd::Stopped);
            }
            finding = rounds.trial.add(&round);
            before = after;
        }
        Ok(BudgetEnd::Stopped)
    }

    /// The dead paths that are enough, least recently registered first; all of them where that is not enough.
    fn part(
        &self,
        facts: &CollectFacts,
        rounds: &Rounds,
        missing: Quantity,
    ) -> Result<Part, FullGcReason> {
        let mut dead = self.dead(facts)?;
        for path in &rounds.spent {
            dead.refused(path);
        }
        let goal = match facts.method {
            CollectMethod::Full => Quantity(u64::MAX),
            CollectMethod::Auto | CollectMethod::Selective | CollectMethod::Direct => missing,
        };
        dead.freeing(goal, facts.order(), |graph, names| {
            match rounds.planned.metric {
                SizeMetric::NarSize => {
                    let size = |name: &&str| graph.find(name).map(|node| graph.nar_size_of(node));
                    let sizes = names.iter().map(|name| size(name).unwrap_or_default());
                    Ok(sizes.map(|bytes| Quantity(bytes.0)).collect())
                }
                metric => {
                    let each = self.survey.weigh(names)?;
                    Ok(each
                        .into_iter()
                        .map(|taken| metric.on_disk(taken))
                        .collect())
                }
            }
        })
    }

    /// Collects a part, which is never widened to the whole. Returns what the deleted paths were predicted to free, too.
    fn collect_part(
        &self,
        collect: Collect<'_, R::Lock>,
        rounds: &mut Rounds,
        part: Result<Part, FullGcReason>,
        receipt: &mut Receipt,
    ) -> (Collection, Quantity) {
        let Collect {
            facts,
            lock,
            known,
            direct,
            ..
        } = collect;
        let (chosen, weights) = match part {
            Ok(part) => (Ok(part.selection), part.registered),
            Err(why) => (Err(why), BTreeMap::new()),
        };
        let is_part =
            rounds.planned.collect_at_least.is_some() || facts.registered_before.is_some();
        let is_part = is_part || chosen.as_ref().is_ok_and(|it| !it.is_everything());
        let method = facts.method.of_part(is_part);
        let mut last_check = || self.last_check(facts, lock, receipt, known);
        let collection = collect_from(
            self.survey,
            self.perform,
            self.interrupt,
            Means { method, direct },
            || chosen,
            &mut last_check,
        );
        let mut predicted = Quantity(0);
        let deleted = collection.deleted.as_ref();
        let deleted: Option<HashSet<_>> = deleted.map(|deleted| deleted.iter().collect());
        for (path, weight) in weights {
            // Nix does not say which paths a full collection deleted.
            if deleted
                .as_ref()
                .is_none_or(|deleted| deleted.contains(&path))
            {
                predicted.0 = predicted.0.saturating_add(weight.0);
            }
            rounds.spent.insert(path);
        }
        (collection, predicted)
    }

    fn measure(&self, metric: SizeMetric) -> Measured {
        let remember = self.remember;
        let taken = remember.reserve_takes().with(remember.record_takes());
        let free = self.perform.free_space().ok();
        Measured {
            disk_usage: self.disk_usage(metric, taken),
            free: free.map(|free| FreeSpace {
                available: Bytes(free.available.0.saturating_sub(taken.bytes.0)),
                ..free
            }),
        }
    }

    /// How full the store is once this is taken as well.
    fn disk_usage(&self, metric: SizeMetric, taken: Taken) -> DiskUsage {
        let usage = self.survey.disk_usage(metric);
        DiskUsage {
            disk: usage.disk.map(|disk| disk.after_taking(taken)),
            ..usage
        }
    }
}

/// How a run that is under way compares with the goal of the boot menu.
pub(super) fn boot_menu_pending(planned: BootReport) -> BootMenuOutcome {
    BootMenuOutcome {
        planned,
        free: None,
    }
}

/// A collection that is under way.
pub(super) struct Collect<'a, L> {
    pub(super) facts: &'a CollectFacts,
    pub(super) lock: &'a L,
    /// Its entry.
    pub(super) index: usize,
    pub(super) known: Option<Known<'a>>,
    /// The collection that is under way, where Nix does not delete.
    pub(super) direct: Option<&'a dyn DirectCollection>,
}

impl<L> Clone for Collect<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Collect<'_, L> {}
