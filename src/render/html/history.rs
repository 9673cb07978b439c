//! Holds, past runs, free space over time and notes on the page.

use super::markup::{Cell, Html, Table};
use crate::domain::measure::Bytes;
use crate::domain::snapshot::Held;
use crate::render::json::{HoldDocument, ReportDocument, RunDocument};
use crate::render::table::View;
use crate::render::table::receipt::what_it_was;
use crate::render::text::{count, short_target};

/// Adds the sections.
pub(super) fn write(document: &ReportDocument, view: &View, html: &mut Html) {
    holds(document, view, html);
    runs(document, view, html);
    html.own("<section id=\"notes\" aria-labelledby=\"notes-h\"><h2 id=\"notes-h\">Notes</h2>\n");
    if document.notes.is_empty() {
        html.paragraph("There are no notes.");
    } else {
        html.list(document.notes.iter().map(|note| &**note));
    }
    html.own("</section>\n");
}

fn holds(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own("<section id=\"holds\" aria-labelledby=\"holds-h\"><h2 id=\"holds-h\">Holds</h2>\n");
    if document.holds.rows.is_empty() {
        html.paragraph("There are no holds. A run holds the closures of what it removes until the undo window ends.");
    } else {
        let rows = document.held_runs.iter().map(|run| {
            vec![
                Cell::Name(run.run.to_string()),
                Cell::Time(Some(run.until)),
                Cell::Count(u64::try_from(run.holds).unwrap_or(u64::MAX)),
                Cell::Size(run.nar_bytes),
            ]
        });
        Table {
            id: "held-runs",
            caption: "The runs whose removals can be undone",
            columns: &["Run", "Until", "Holds", "Frees then"],
            rows: rows.collect(),
            more: 0,
        }
        .write(view, html);
        html.paragraph("`nix-prune undo RUN` restores what a run removed while its holds exist.");
        let rows = document.holds.rows.iter().map(hold_row);
        Table {
            id: "held",
            caption: "What is held",
            columns: &["Held", "Until", "State", "Run", "Store path"],
            rows: rows.collect(),
            more: document.holds.more,
        }
        .write_folded(view, html);
    }
    html.own("</section>\n");
}

fn hold_row(hold: &HoldDocument) -> Vec<Cell> {
    let name = match &hold.held {
        Held::Generation { profile, number } => format!("{}:{number}", profile.short()),
        Held::Root { root } => root.to_string(),
    };
    let state = match (hold.intact, hold.expired) {
        (false, _) => "broken",
        (true, true) => "ended",
        (true, false) => "open",
    };
    vec![
        Cell::Name(name),
        Cell::Time(Some(hold.until)),
        Cell::Text(state.to_string()),
        Cell::Name(hold.run.to_string()),
        Cell::Name(short_target(&format!("/nix/store/{}", hold.store_path))),
    ]
}

fn runs(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own(
        "<section id=\"history\" aria-labelledby=\"history-h\"><h2 id=\"history-h\">History</h2>\n",
    );
    if document.runs.rows.is_empty() {
        html.paragraph("No run is recorded.");
    } else {
        html.own("<figure class=\"picture\" data-picture=\"runs\" hidden></figure>\n");
        Table {
            id: "runs",
            caption: "The recorded runs, from the newest",
            columns: &[
                "Run",
                "Started",
                "What",
                "Predicted",
                "Reported",
                "Measured on disk",
                "Outcome",
            ],
            rows: document.runs.rows.iter().map(run_row).collect(),
            more: document.runs.more,
        }
        .write(view, html);
    }
    if !document.disk_history.is_empty() {
        html.own("<h3>Free space</h3>\n")
            .own("<figure class=\"picture\" data-picture=\"disk\" hidden></figure>\n");
        let rows = document.disk_history.iter().map(|point| {
            vec![
                Cell::Time(Some(point.at)),
                Cell::Name(point.run.to_string()),
                Cell::Size(Some(point.disk.available)),
                Cell::Size(Some(point.disk.used)),
            ]
        });
        Table {
            id: "disk",
            caption: "Free space before and after runs with a budget",
            columns: &["Measured", "Run", "Free", "Used"],
            rows: rows.collect(),
            more: 0,
        }
        .write_folded(view, html);
    }
    html.own("</section>\n");
}

fn run_row(run: &RunDocument) -> Vec<Cell> {
    let measured = run.bytes.measured.map(|bytes| match u64::try_from(bytes) {
        Ok(more) => Bytes(more).to_string(),
        Err(_) => format!("−{}", Bytes(bytes.unsigned_abs())),
    });
    vec![
        Cell::Name(run.run.to_string()),
        Cell::Time(Some(run.started_at)),
        Cell::Text(what_it_was(&run.kind, run.job.as_ref())),
        Cell::Size(run.bytes.predicted),
        Cell::Size(run.bytes.reported),
        Cell::Text(measured.unwrap_or_default()),
        Cell::Text(outcome(run)),
    ]
}

fn outcome(run: &RunDocument) -> String {
    let parts = [
        (run.done, "done"),
        (run.failed, "failed"),
        (run.stale, "stale"),
        (run.skipped, "skipped"),
        (run.pending, "pending"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let mut parts: Vec<String> = parts
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    if run.failed_checks > 0 {
        parts.push(count(run.failed_checks, "failed check"));
    }
    if run.restorable > 0 {
        parts.push(format!("{} restorable", run.restorable));
    }
    if run.finished_at.is_none() {
        parts.push("unfinished".to_string());
    } else if run.stopped {
        parts.push("stopped".to_string());
    }
    if run.unusual.as_ref().is_some_and(|found| !found.is_empty()) {
        parts.push("unusual".to_string());
    }
    parts.join(", ")
}
