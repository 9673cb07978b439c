//! The record of a run.

use crate::domain::job::JobName;
use crate::domain::measure::Bytes;
use crate::domain::profile::ProfileNames;
use crate::domain::receipt::{Entry, FreedBytes, Outcome, Receipt, RunKind, Undo};
use crate::render::json::is_open;
use crate::render::text::{capital, count, escape, list};

use super::plan::MAX_HOLDS_SHOWN;
use super::{Page, Paint, View, budget, damage};

/// The record of a run: what was done and what was not, how much was freed, and how to undo it.
pub fn receipt(receipt: &Receipt, view: &View) -> String {
    let mut page = Page::default();
    head(receipt, view, &mut page);
    for outcome in Outcome::ALL {
        entries(receipt, outcome, view, &mut page);
    }
    page.gap();
    let budget = receipt.budget.as_ref().map(budget::outcome);
    let sentences = freed(receipt).into_iter().chain(budget);
    for sentence in sentences.chain(undo(receipt, view)) {
        page.prose("", &sentence, view.style);
    }
    page.finish()
}

fn head(receipt: &Receipt, view: &View, page: &mut Page) {
    let what = capital(&what_it_was(&receipt.kind, receipt.job.as_ref()));
    let title = format!("{what}, started {}", view.time(receipt.started_at));
    page.line(view.paint(&escape(&title), Paint::Bold));
    let end = match receipt.finished_at {
        Some(at) if receipt.stopped => format!("stopped {}", view.time(at)),
        Some(at) => format!("ended {}", view.time(at)),
        None => "still running or interrupted".to_string(),
    };
    let (ours, nix) = (&receipt.tool_version, &receipt.nix_version);
    let by = format!("{end}, by nix-prune {ours} with Nix {nix}");
    page.line(format!("  Run {}, {}", receipt.run, escape(&by)));
    let mut refused: Vec<&str> = receipt
        .failed_checks
        .iter()
        .map(|r| r.code.as_str())
        .collect();
    refused.dedup();
    if receipt.entries.is_empty() || !refused.is_empty() {
        page.gap();
    }
    match (receipt.entries.is_empty(), refused.is_empty()) {
        (true, true) => page.line("There was nothing to do."),
        (true, false) => page.line(format!(
            "Nothing was done. Failed safety checks: {}.",
            refused.join(", ")
        )),
        (false, false) => page.line(format!("Failed safety checks: {}.", refused.join(", "))),
        (false, true) => {}
    }
    super::plan::accepted(&receipt.accepted_checks, &[], view, page);
}

/// The kind of a run, with its job.
pub(in crate::render) fn what_it_was(kind: &RunKind, job: Option<&JobName>) -> String {
    let job = job.map_or(String::new(), |job| format!(" of job {job}"));
    match kind {
        RunKind::Run => format!("run{job}"),
        RunKind::Free => format!("free{job}"),
        RunKind::Apply => format!("saved plan{job}"),
        RunKind::Undo(run) => format!("undo of {run}"),
        RunKind::Release => "holds released".to_string(),
    }
}

fn entries(receipt: &Receipt, outcome: Outcome, view: &View, page: &mut Page) {
    let entries: Vec<&Entry> = receipt
        .entries
        .iter()
        .filter(|e| e.outcome == outcome)
        .collect();
    if entries.is_empty() {
        return;
    }
    let (heading, paint, advice) = match outcome {
        Outcome::Done => ("Done", Paint::Green, None),
        Outcome::Retained => (
            "Retained: not needed, or would free nothing",
            Paint::Green,
            None,
        ),
        Outcome::Stale => (
            "Stale: changed since the plan",
            Paint::Yellow,
            Some("A new run plans with the current state."),
        ),
        Outcome::Failed => (
            "Failed",
            Paint::Red,
            Some("Fix the cause and run the job again; completed actions are not repeated."),
        ),
        Outcome::Skipped => ("Skipped", Paint::Yellow, None),
        Outcome::Pending if receipt.is_interrupted() => (
            "Unfinished",
            Paint::Yellow,
            Some("If this run has stopped, the next run recovers it."),
        ),
        Outcome::Pending => ("Unfinished", Paint::Yellow, None),
    };
    page.gap();
    page.line(view.paint(&format!("{heading}: {}", entries.len()), paint));
    let mut holds = 0;
    for entry in entries {
        // Thousands of links come and go on a build machine; `--json` and `hold list` name every one.
        if entry.action.vanished_root().is_some() && entry.detail.is_none() {
            holds += 1;
            if holds > MAX_HOLDS_SHOWN {
                continue;
            }
        }
        let undone = entry.undone_by.as_ref();
        let undone = undone.map_or(String::new(), |run| format!(" (undone by run {run})"));
        let what = entry.action.operation().describe(&ProfileNames::default());
        let what = format!("{what}{undone}");
        page.line(format!("  {}", escape(&what)));
        if let Some(detail) = &entry.detail {
            page.line(format!("    {}", escape(detail)));
        }
        if let Some(found) = entry.damage() {
            let lines = damage::lines(found, &receipt.store, &receipt.run, &view.program);
            for line in lines {
                page.line(format!("    {line}"));
            }
        }
    }
    if let Some(more) = holds.checked_sub(MAX_HOLDS_SHOWN).filter(|more| *more > 0) {
        page.line(format!(
            "  and holds for {} more; `nix-prune hold list` shows them",
            count(more, "vanished root")
        ));
    }
    if let Some(advice) = advice {
        page.line(advice);
    }
}

/// What was freed, each figure with who says so.
fn freed(receipt: &Receipt) -> Vec<String> {
    let collected = |entry: &&Entry| {
        entry.action.collection().is_some()
            && !matches!(entry.outcome, Outcome::Skipped | Outcome::Stale)
    };
    if receipt.entries.iter().find(collected).is_none() && receipt.bytes == FreedBytes::default() {
        return Vec::new();
    }
    let FreedBytes {
        predicted,
        predicted_at_most,
        reported,
        measured,
        paths,
    } = receipt.bytes;
    let mut sentences = Vec::new();
    if let Some(bytes) = predicted {
        let most = super::plan::at_most(predicted_at_most);
        sentences.push(format!("Predicted: {most}{bytes} freed."));
    }
    match (reported, paths) {
        (Some(bytes), Some(paths)) => {
            let paths = count(paths, "store path");
            sentences.push(format!("Reported by Nix: {bytes} freed in {paths}."));
        }
        (Some(bytes), None) => sentences.push(format!("Reported by Nix: {bytes} freed.")),
        (None, Some(paths)) => {
            let paths = count(paths, "store path");
            sentences.push(format!("Reported by Nix: {paths} deleted, size unknown."));
        }
        (None, None) => {}
    }
    if let Some(bytes) = measured {
        let change = if bytes < 0 { "less" } else { "more" };
        let bytes = Bytes(bytes.unsigned_abs());
        sentences.push(format!(
            "Measured on the file system: {bytes} {change} free than before (includes writes by other processes)."
        ));
    }
    if sentences.is_empty() {
        sentences.push("The amount freed is unknown.".to_string());
    }
    sentences
}

/// What can be undone of a run, and until when.
pub(super) fn undo(receipt: &Receipt, view: &View) -> Vec<String> {
    let open: Vec<&Undo> = receipt
        .undoable()
        .filter(|entry| is_open(entry, view.now))
        .filter_map(|entry| entry.undo.as_ref())
        .collect();
    let number = |is: fn(&Undo) -> bool| open.iter().filter(|undo| is(undo)).count();
    let mut parts = Vec::new();
    let held = [
        (
            number(|it| matches!(it, Undo::RestoreGeneration { .. })),
            "generation",
        ),
        (number(|it| matches!(it, Undo::RestoreLink { .. })), "root"),
    ];
    let held = held.into_iter().filter(|(number, _)| *number > 0);
    let held: Vec<String> = held.map(|(number, noun)| count(number, noun)).collect();
    if let Some((_, until)) = open
        .iter()
        .filter_map(|undo| undo.hold())
        .min_by_key(|(_, until)| *until)
    {
        parts.push(format!("{} until {}", list(&held), view.time(until)));
    }
    let dangling = number(|it| *it == Undo::RestoreRoot);
    if dangling > 0 {
        parts.push(count(dangling, "dangling root"));
    }
    let closed = receipt.undoable().count() - open.len();
    let mut sentences = Vec::new();
    if !parts.is_empty() {
        let parts = list(&parts);
        sentences.push(format!(
            "`nix-prune undo {}` restores {parts}.",
            receipt.run
        ));
    }
    if closed > 0 {
        let closed = count(closed, "generation");
        sentences.push(format!("The undo window of {closed} has ended."));
    }
    sentences
}
