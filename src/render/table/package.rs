//! The versions of a package.

use crate::render::json::PackageDocument;
use crate::render::text::{count, escape, short_target};

use super::grid::{Column, Grid};
use super::plan::notes;
use super::{Page, Paint, View};

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
        Column::new("Kept by").cut_end(),
    ]);
    for version in &document.versions {
        let kept_by = match version.kept_by.as_slice() {
            [] => view.paint("dead", Paint::Yellow),
            kept_by => escape(&kept_by.join(", ")),
        };
        let path = escape(&short_target(&version.path));
        grid.row([path, version.nar_bytes.to_string(), kept_by]);
    }
    grid.write(&mut page, view.style);
    page.gap();
    page.prose(
        "",
        "`nix-prune why PATH` shows how a root leads to a path.",
        view.style,
    );
    notes(&document.notes, view, &mut page);
    page.finish()
}
