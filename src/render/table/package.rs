//! The versions of a package.

use crate::render::json::{PackageDocument, PackagePathDocument};
use crate::render::text::{count, escape, short_target};

use super::grid::{Column, Grid};
use super::listing::short_link;
use super::plan::notes;
use super::{Page, Paint, View};

/// The most keepers of a path that are named.
const MOST_KEEPERS: usize = 5;

/// The versions of a package, with what keeps each.
pub fn package(document: &PackageDocument, view: &View) -> String {
    let mut page = Page::default();
    let name = view.paint(&escape(&document.package), Paint::Bold);
    let paths = count(document.versions.len(), "path");
    page.line(format!("{name} — {paths}, {}", document.nar_bytes));
    page.gap();
    let mut grid = Grid::new(&[
        Column::new("Path").cut_middle(),
        Column::new("Size").right(),
        Column::new("Kept by").wrap_names(),
    ]);
    for version in &document.versions {
        let kept_by = match version.kept_by.as_slice() {
            [] => view.paint("dead", Paint::Yellow),
            kept_by => escape(&first_of(kept_by, view)),
        };
        let path = escape(&short_target(&version.path));
        grid.row([path, version.nar_bytes.to_string(), kept_by]);
    }
    grid.write(&mut page, view.style);
    page.gap();
    let mut text = "`nix-prune why PATH` shows how a root leads to a path.".to_string();
    let is_cut = |version: &PackagePathDocument| version.kept_by.len() > MOST_KEEPERS;
    if document.versions.iter().any(is_cut) {
        text.push_str(" `--json` names all that keep one.");
    }
    page.prose("", &text, view.style);
    notes(&document.notes, view, &mut page);
    page.finish()
}

/// The first keepers, and how many more there are.
fn first_of(kept_by: &[String], view: &View) -> String {
    let first = kept_by.iter().take(MOST_KEEPERS);
    let first: Vec<String> = first.map(|keeper| short_link(keeper, view)).collect();
    let first = first.join(", ");
    match kept_by.len().saturating_sub(MOST_KEEPERS) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
