//! Metrics of the last run of each job, and of holds.

use prometheus_client::registry::Unit;

use super::{JobMetrics, Labels, Machine, Metrics, amount, count, float, seconds, signed};
use crate::domain::plan::Action;
use crate::domain::receipt::{Entry, Outcome, Receipt};

/// When the last run of each job was, and how it ended.
pub(super) fn runs(machine: &Machine<'_>, page: &mut Metrics) {
    page.gauge(
        "last_run_timestamp",
        "When the last run of the job began, in seconds since 1970",
        Some(Unit::Seconds),
        each(machine, &|last| Some(seconds(last.started_at))),
    );
    let successes = machine
        .jobs
        .iter()
        .filter_map(|it| Some((it, it.last_success?)));
    page.gauge(
        "last_success_timestamp",
        "When the last run of the job that did all of its work began, in seconds since 1970",
        Some(Unit::Seconds),
        successes.map(|(it, run)| (it.labels(), seconds(run.started_at))),
    );
    page.gauge(
        "last_run_duration",
        "How long the last run of the job took",
        Some(Unit::Seconds),
        each(machine, &|last| {
            Some(seconds(last.finished_at?) - seconds(last.started_at))
        }),
    );
    page.gauge(
        "last_run_result",
        "Result of the last run of the job; always 1",
        None,
        last(machine)
            .map(|(it, last)| (it.labels_with("result", RunResult::of(last).as_str()), 1.0)),
    );
    page.gauge(
        "last_run_success",
        "Whether the last run of the job did all of its work",
        None,
        each(machine, &|last| {
            Some(f64::from(u8::from(RunResult::of(last) == RunResult::Done)))
        }),
    );
    page.gauge(
        "failures_in_a_row",
        "How many runs of the job failed one after the other; it pauses after five",
        None,
        machine
            .jobs
            .iter()
            .map(|it| (it.labels(), count(it.failures))),
    );
}

/// What the last run of each job freed.
pub(super) fn freed(machine: &Machine<'_>, page: &mut Metrics) {
    let freed = last(machine).flat_map(|(it, last)| {
        let bytes = last.bytes;
        let known = [
            ("predicted", bytes.predicted.map(float)),
            ("reported", bytes.reported.map(float)),
            ("measured", bytes.measured.map(signed)),
        ];
        let known = known
            .into_iter()
            .filter_map(|(what, bytes)| Some((what, bytes?)));
        known.map(|(what, bytes)| (it.labels_with("source", what), bytes))
    });
    page.gauge(
        "last_run_freed",
        "Bytes that the last run of the job freed: predicted by the plan, reported by Nix, measured on disk",
        Some(Unit::Bytes),
        freed,
    );
    page.gauge(
        "last_run_prediction_error",
        "By how much the last run of the job freed more than predicted, as a part of the prediction",
        Some(Unit::Other("ratio".to_string())),
        each(machine, &|last| prediction_error(last)),
    );
}

/// What the last run of each job decided.
pub(super) fn decided(machine: &Machine<'_>, page: &mut Metrics) {
    let decided = last(machine).flat_map(|(it, last)| {
        let removed = |entry: &&Entry| {
            entry.outcome == Outcome::Done && matches!(entry.action, Action::RemoveGeneration(_))
        };
        let removed = last.entries.iter().filter(removed).count();
        let seen = last.size.and_then(|size| size.of_generations);
        let kept = seen.map(|seen| amount(seen) - count(removed));
        let kept = kept.map(|kept| (it.labels_with("decision", "keep"), kept));
        kept.into_iter()
            .chain([(it.labels_with("decision", "remove"), count(removed))])
    });
    page.gauge(
        "last_run_generations",
        "Generations that the last run of the job kept and removed",
        None,
        decided,
    );
    let checks = last(machine).flat_map(|(it, last)| {
        let mut codes: Vec<_> = last.failed_checks.iter().map(|check| check.code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
            .into_iter()
            .map(|code| (it.labels_with("code", code.as_str()), 1.0))
    });
    page.gauge(
        "failed_check",
        "Safety checks that failed in the last run of the job; always 1",
        None,
        checks,
    );
}

/// The holds.
pub(super) fn holds(machine: &Machine<'_>, page: &mut Metrics) {
    page.gauge(
        "holds",
        "Holds of removed generations and roots",
        None,
        [(Vec::new(), count(machine.holds.len()))],
    );
    let ends = machine.holds.iter().map(|hold| hold.until).min();
    page.gauge(
        "next_hold_end_timestamp",
        "When the next hold ends, in seconds since 1970",
        Some(Unit::Seconds),
        ends.map(|end| (Vec::new(), seconds(end))),
    );
}

/// The jobs that have run, with their last run.
fn last<'a>(machine: &'a Machine<'a>) -> impl Iterator<Item = (&'a JobMetrics<'a>, &'a Receipt)> {
    machine.jobs.iter().filter_map(|it| Some((it, it.last?)))
}

fn each(machine: &Machine<'_>, value: &dyn Fn(&Receipt) -> Option<f64>) -> Vec<(Labels, f64)> {
    let values = last(machine).filter_map(|(it, last)| Some((it.labels(), value(last)?)));
    values.collect()
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunResult {
    Done,
    Partial,
    Failed,
    BudgetMissed,
    Refused,
    Stopped,
    Unfinished,
}

impl RunResult {
    fn of(run: &Receipt) -> Self {
        let done = run.count(Outcome::Done) + run.count(Outcome::Retained);
        let missed = run
            .budget
            .as_ref()
            .is_some_and(|budget| !budget.is_reached());
        let menu_missed = run
            .boot_menu
            .as_ref()
            .is_some_and(|menu| menu.missing().is_some());
        match run.entries.len() - done {
            _ if run.is_interrupted() => Self::Unfinished,
            _ if run.stopped => Self::Stopped,
            1.. if run.count(Outcome::Done) == 0 => Self::Failed,
            1.. => Self::Partial,
            0 if missed || menu_missed => Self::BudgetMissed,
            0 if !run.failed_checks.is_empty() => Self::Refused,
            0 => Self::Done,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::BudgetMissed => "budgetMissed",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Whether a run did all of its work and reached its goals.
pub fn is_success(run: &Receipt) -> bool {
    RunResult::of(run) == RunResult::Done
}

fn prediction_error(run: &Receipt) -> Option<f64> {
    let predicted = float(run.bytes.predicted.filter(|bytes| bytes.0 > 0)?);
    Some((signed(run.bytes.measured?) - predicted) / predicted)
}
