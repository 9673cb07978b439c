//! The budget report of a plan: what it frees, what is missing, when more is freed, and what prevents it.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::BudgetContext;
use super::choice::{RemovalOrder, RemovalSet};
use crate::domain::budget::{BudgetReport, DiskGoal, FreeLater, LeftOut, Quantity, StillKept};
use crate::domain::graph::NodeSet;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::snapshot::Snapshot;

/// How many roots that keep the rest are named.
const NAMED: usize = 5;

/// What came out of the choice.
pub(super) struct Outcome {
    pub(super) goal: DiskGoal,
    pub(super) to_free: Quantity,
    pub(super) frees: Quantity,
    pub(super) too_risky: Vec<LeftOut>,
    pub(super) free_nothing: u64,
}

pub(super) fn write<E>(
    outcome: Outcome,
    choice: &RemovalSet,
    steps: &RemovalOrder,
    snapshot: &Snapshot,
    context: BudgetContext<'_>,
    weigh: impl FnMut(&NodeSet) -> Result<Quantity, E>,
) -> Result<BudgetReport, E> {
    let Outcome {
        goal,
        to_free,
        frees,
        too_risky,
        free_nothing,
    } = outcome;
    let missing = Quantity(to_free.0.saturating_sub(frees.0));
    let mut report = BudgetReport {
        to_free,
        frees,
        missing,
        collect_at_least: choice.most,
        contradiction: context.contradiction.cloned(),
        free_nothing,
        ..BudgetReport::reached(goal, context.disk_usage)
    };
    if missing == Quantity(0) {
        return Ok(report);
    }
    let ends = Ends::of(choice, steps, snapshot, context);
    ends.later(&mut report, context, weigh)?;
    let inspection = context.inspection;
    let all = ends.all();
    let kept = inspection.largest_without(&all, NAMED);
    report.kept_by = kept
        .into_iter()
        .map(|(root, exclusive_bytes)| StillKept {
            root,
            exclusive_bytes,
        })
        .collect();
    report.too_risky = too_risky;
    Ok(report)
}

/// What is gone after the run, and what is removed when windows end, from the earliest end.
struct Ends {
    gone: Vec<Utf8PathBuf>,
    ends: Vec<(Timestamp, Utf8PathBuf)>,
}

impl Ends {
    fn of(
        choice: &RemovalSet,
        steps: &RemovalOrder,
        snapshot: &Snapshot,
        context: BudgetContext<'_>,
    ) -> Self {
        let mut gone: Vec<Utf8PathBuf> = Vec::new();
        let mut ends: Vec<(Timestamp, Utf8PathBuf)> = Vec::new();
        for (link, removal) in &choice.removals {
            match removal.action.operation().hold() {
                Some(hold) => ends.push((snapshot.taken_at.after(hold), link.clone())),
                None => gone.push(link.clone()),
            }
        }
        for (link, until) in steps.waiting(snapshot, context) {
            if !gone.contains(&link) {
                ends.push((until, link));
            }
        }
        ends.sort();
        Self { gone, ends }
    }

    fn all(&self) -> Vec<&Utf8Path> {
        let ends = self.ends.iter().map(|(_, link)| link);
        self.gone
            .iter()
            .chain(ends)
            .map(Utf8PathBuf::as_path)
            .collect()
    }

    fn later<E>(
        &self,
        report: &mut BudgetReport,
        context: BudgetContext<'_>,
        mut weigh: impl FnMut(&NodeSet) -> Result<Quantity, E>,
    ) -> Result<(), E> {
        let gone: Vec<&Utf8Path> = self.gone.iter().map(Utf8PathBuf::as_path).collect();
        let links: Vec<&Utf8Path> = self.ends.iter().map(|(_, link)| link.as_path()).collect();
        let sequence = context.inspection.removal_sequence(&gone, &links, None);
        let by_link = self.ends.iter().map(|(at, link)| (link.as_path(), *at));
        let by_link: HashMap<&Utf8Path, Timestamp> = by_link.collect();
        let end_of = |link: &Utf8Path| by_link.get(link).copied();
        for (link, freed) in sequence.links().zip(sequence.freed_by_each()) {
            let Some(at) = end_of(link).filter(|_| freed.nar_bytes > Bytes(0)) else {
                continue;
            };
            match report.later.last_mut() {
                Some(last) if last.at == at => last.nar_bytes.0 += freed.nar_bytes.0,
                _ => report.later.push(FreeLater {
                    at,
                    nar_bytes: freed.nar_bytes,
                }),
            }
        }
        let reached = sequence.fewest_to_free(context.to_free, &mut weigh)?;
        // What was predicted for now was wrong, and may be so for later.
        if reached.freed >= context.to_free && context.contradiction.is_none() {
            let last = sequence.links_of(&reached).last();
            let young = context.recent.map(|recent| recent.until);
            report.reached_at = last.and_then(end_of).max(young);
        }
        Ok(())
    }
}
