//! Dead paths, disk usage, and the roots that keep a path alive.

use crate::domain::analysis::{GroupBy, StoreAnalysis};
use crate::domain::measure::Bytes;
use crate::domain::root::RootKind;
use crate::render::json::{
    DeadSum, DuDocument, DuRowDocument, StepDocument, ViaDocument, WhyDocument, dead_by_name,
};
use crate::render::text::{capital, count, escape, escape_into, short_target};

use super::grid::{Column, Grid};
use super::plan::notes;
use super::{Page, Paint, View};

/// The dead paths, one a line and nothing else.
pub fn dead(inspection: &StoreAnalysis) -> String {
    let mut text = String::new();
    let store = escape(inspection.store().as_path().join("").as_str());
    // There may be a million: the text grows in place, without one for each line.
    for name in inspection.graph().base_names(&dead_by_name(inspection)) {
        text.push_str(&store);
        escape_into(&mut text, name);
        text.push('\n');
    }
    text
}

/// The dead paths by package, the largest first.
pub fn dead_by_package(inspection: &StoreAnalysis, top: usize, view: &View) -> String {
    let mut page = Page::default();
    let groups = inspection
        .graph()
        .groups_by_package(inspection.dead().iter());
    let mut grid = Grid::new(&[
        Column::new("Size").right(),
        Column::new("Paths").right().importance(1),
        Column::new("Versions").right().importance(0),
        Column::new("Package").cut_end(),
    ]);
    for group in groups.iter().take(top) {
        grid.row([
            group.weight.nar_bytes.to_string(),
            group.weight.paths.to_string(),
            group.versions.to_string(),
            escape(group.name),
        ]);
    }
    grid.write(&mut page, view.style);
    if let Some(more) = groups.len().checked_sub(top).filter(|more| *more > 0) {
        page.gap();
        let packages = count(more, "more package");
        page.line(format!("{packages} not shown; raise `--top` to see them."));
    }
    page.finish()
}

/// What the dead paths come to, in sentences.
pub fn dead_total(document: &DeadSum) -> Vec<String> {
    let total = document.total;
    let paths = count(total.count, "dead path");
    let mut sizes = vec![format!("{} NAR size", total.nar_bytes)];
    let most = super::plan::at_most(total.disk_bytes_at_most);
    sizes.extend(
        total
            .disk_bytes
            .map(|bytes| format!("{most}{bytes} on disk")),
    );
    let at_most = if document.at_most { "At most " } else { "" };
    let mut lines = vec![format!("{at_most}{paths}: {}.", sizes.join(", "))];
    if !document.unregistered.is_empty() {
        let names = count(document.unregistered.len(), "name");
        lines.push(format!(
            "Also {names} in the store directory but not in the database; `--json` lists them."
        ));
    }
    lines.extend(
        document
            .notes
            .iter()
            .map(|note| format!("Note: {}", escape(note))),
    );
    lines
}

/// Why a path is alive: a chain a paragraph.
pub fn why(document: &WhyDocument, view: &View) -> String {
    let mut page = Page::default();
    let (state, paint) = match document.live {
        Some(true) => ("live", Paint::Green),
        Some(false) => ("dead: not reachable from any root", Paint::Yellow),
        None => (
            "not known to be live: not reachable from any readable root",
            Paint::Yellow,
        ),
    };
    let path = shown(&document.path, view);
    page.prose(
        "",
        &format!("{path} is {}", view.paint(state, paint)),
        view.style,
    );
    for chain in &document.chains {
        page.gap();
        for step in chain {
            write_step(step, view, &mut page);
        }
    }
    if document.more > 0 {
        page.gap();
        let chains = count(document.more, "more chain");
        page.line(format!("{chains} not shown; raise `--most` to see them."));
    }
    notes(&document.notes, view, &mut page);
    page.finish()
}

fn write_step(step: &StepDocument, view: &View, page: &mut Page) {
    let how = match step.via {
        ViaDocument::Root => "is the root of",
        ViaDocument::Reference => "refers to",
        ViaDocument::Deriver => "has the deriver (keep-derivations)",
        ViaDocument::Output => "has the output (keep-outputs)",
    };
    if let Some(root) = &step.root {
        let kind = step.root_kind.map_or("root", RootKind::as_str);
        let kind = view.paint(&format!("({kind})"), Paint::Dim);
        page.cut_line(format!("{} {kind}", escape(root)), view.style);
    }
    let path = shown(&step.path, view);
    page.cut_line(
        format!("  {} {path}", view.paint(how, Paint::Dim)),
        view.style,
    );
}

/// A store path: whole for a program that reads it, short on a terminal.
fn shown(path: &str, view: &View) -> String {
    match view.style.width {
        Some(_) => escape(&short_target(path)),
        None => escape(path),
    }
}

/// Disk usage of the store.
pub fn du(document: &DuDocument, view: &View) -> String {
    let mut page = Page::default();
    if document.rows.is_empty() {
        page.line("There is nothing to show.");
    }
    let exact = document.rows.iter().any(|row| row.disk_bytes.is_some());
    let mut header = match document.by {
        GroupBy::Package => vec!["Size", "Paths", "Versions"],
        GroupBy::Path => vec!["Size", "Closure", "Paths"],
        GroupBy::Source => vec!["Size", "Dead", "Trees", "Dead trees"],
        GroupBy::Root | GroupBy::Profile | GroupBy::Generation | GroupBy::User => {
            vec!["Exclusive", "Closure", "Paths"]
        }
    };
    if exact {
        header.insert(1, "On disk");
    }
    let mut columns: Vec<Column> = header
        .into_iter()
        .map(|heading| Column::new(heading).right())
        .collect();
    columns.push(Column::new("Name").cut_front());
    let mut grid = Grid::new(&columns);
    for row in &document.rows {
        grid.row(cells(row, document.by, exact));
    }
    grid.write(&mut page, view.style);
    page.gap();
    if document.more > 0 {
        page.line(format!(
            "{} more not shown; raise `--top` to see them.",
            document.more
        ));
    }
    let total = document.total;
    let most = super::plan::at_most(total.disk_bytes_at_most);
    let what = match document.by {
        GroupBy::Source => "source tree",
        _ => "path",
    };
    let sentence = format!(
        "{} in the store, {}{}; {} of them dead, {}. Sizes are NAR sizes{}.",
        capital(&count(total.paths, what)),
        total.nar_bytes,
        total
            .disk_bytes
            .map_or(String::new(), |bytes| format!(" ({most}{bytes} on disk)")),
        total.dead_paths,
        total.dead_nar_bytes,
        if exact { " except those on disk" } else { "" },
    );
    page.prose("", &sentence, view.style);
    notes(&document.notes, view, &mut page);
    page.finish()
}

fn cells(row: &DuRowDocument, by: GroupBy, exact: bool) -> Vec<String> {
    let count = |number: Option<u64>| number.map_or("-".to_string(), |n| n.to_string());
    let paths = Some(row.paths);
    let mut cells = match by {
        GroupBy::Package => vec![size(row.nar_bytes), count(paths), count(row.versions)],
        GroupBy::Path => vec![size(row.nar_bytes), size(row.closure_bytes), count(paths)],
        GroupBy::Source => vec![
            size(row.nar_bytes),
            size(row.dead_nar_bytes),
            count(paths),
            count(row.dead_paths),
        ],
        GroupBy::Root | GroupBy::Profile | GroupBy::Generation | GroupBy::User => vec![
            size(row.exclusive_bytes),
            size(row.closure_bytes),
            count(paths),
        ],
    };
    if exact {
        cells.insert(1, size(row.disk_bytes));
    }
    cells.push(escape(&row.name));
    cells
}

/// A size for a column; unknown is a dash.
pub(super) fn size(bytes: Option<Bytes>) -> String {
    bytes.map_or("-".to_string(), |bytes| bytes.to_string())
}
