//! The history of runs, and what is unusual about a run.

use crate::domain::measure::{Bytes, Span};
use crate::domain::receipt::{Outcome, Receipt};
use crate::domain::unusual::{Deviation, DeviationCode, deviations};
use crate::render::json::is_open;
use crate::render::reason::outcome_word;
use crate::render::text::{count, escape};

use super::grid::{Column, Grid};
use super::receipt::what_it_was;
use super::{Page, Paint, View};

/// Marks an unusual run.
const SIGN: &str = "!";

/// The runs on record, from the oldest.
pub fn history(receipts: &[Receipt], view: &View) -> String {
    let mut page = Page::default();
    if receipts.is_empty() {
        page.line("There are no recorded runs.");
        return page.finish();
    }
    let found = deviations(receipts);
    let is_unusual = |found: &Option<Vec<_>>| found.as_ref().is_some_and(|it| !it.is_empty());
    let any_unusual = found.iter().any(is_unusual);
    let sign = any_unusual.then(|| Column::new(""));
    let columns: Vec<Column> = sign
        .into_iter()
        .chain([
            Column::new("Run").cut_end(),
            Column::new("Started").importance(0),
            Column::new("What").importance(1).cut_end().at_least(12),
            Column::new("Freed").right(),
            Column::new("Restorable").right().importance(2),
            Column::new("Outcome").cut_end().at_least(14),
        ])
        .collect();
    let mut grid = Grid::new(&columns);
    for (receipt, found) in receipts.iter().zip(&found) {
        let undoable = receipt.undoable().filter(|e| is_open(e, view.now)).count();
        let freed = receipt.bytes.reported.map(|bytes| bytes.to_string());
        let sign = any_unusual.then(|| {
            if is_unusual(found) {
                view.paint(SIGN, Paint::Yellow)
            } else {
                String::new()
            }
        });
        let cells = [
            receipt.run.to_string(),
            view.time(receipt.started_at),
            escape(&what_it_was(&receipt.kind, receipt.job.as_ref())),
            freed.unwrap_or_else(|| "-".to_string()),
            if undoable == 0 {
                "-".to_string()
            } else {
                undoable.to_string()
            },
            outcomes(receipt, view),
        ];
        grid.row(sign.into_iter().chain(cells));
    }
    grid.write(&mut page, view.style);
    if any_unusual {
        page.gap();
        let text = format!(
            "{SIGN} Unusual against the earlier runs of the job; `{} history RUN` has the figures.",
            view.program
        );
        page.prose("", &text, view.style);
    }
    page.finish()
}

fn outcomes(receipt: &Receipt, view: &View) -> String {
    let mut parts: Vec<String> = Outcome::ALL
        .into_iter()
        .map(|outcome| (receipt.count(outcome), outcome_word(outcome)))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    if !receipt.failed_checks.is_empty() {
        parts.push(count(receipt.failed_checks.len(), "failed check"));
    }
    if receipt.stopped {
        parts.push("stopped".to_string());
    }
    if receipt.is_interrupted() {
        parts.push("unfinished".to_string());
    }
    let bad = receipt.is_interrupted() || receipt.count(Outcome::Failed) > 0;
    let text = if parts.is_empty() {
        "nothing to do".to_string()
    } else {
        parts.join(", ")
    };
    view.paint(&text, if bad { Paint::Red } else { Paint::Green })
}

/// A sentence for each way in which a run is unusual.
pub fn unusual(found: &[Deviation], view: &View) -> String {
    let mut page = Page::default();
    for deviation in found {
        let text = format!("Unusual: {}.", sentence(*deviation));
        page.prose("", &view.paint(&text, Paint::Yellow), view.style);
    }
    page.finish()
}

fn sentence(deviation: Deviation) -> String {
    let Deviation {
        code,
        value,
        expected,
    } = deviation;
    let bytes = |value: i64| Bytes(value.unsigned_abs());
    let seconds = |value: i64| Span::seconds(value.unsigned_abs());
    let (was, usual) = (bytes(value), bytes(expected));
    match code {
        DeviationCode::FreedLess | DeviationCode::FreedMore => {
            format!("{was} freed; earlier runs of the job freed about {usual}")
        }
        DeviationCode::TookLonger => format!(
            "it took {}; earlier runs of the job took about {}",
            seconds(value),
            seconds(expected)
        ),
        DeviationCode::PredictionWrong => {
            format!("{was} freed; its prediction made about {usual} likely")
        }
        DeviationCode::SpaceNotGained => {
            let change = if value < 0 { "fell" } else { "rose" };
            format!("the free space {change} by {was}; a rise of about {usual} was likely")
        }
    }
}
