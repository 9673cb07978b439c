//! Who keeps what in the store.

use crate::domain::measure::Bytes;
use crate::render::json::{KeeperDocument, LeftoverDocument, PartDocument, UsageDocument};
use crate::render::text::{count, escape};

use super::grid::{Column, Grid};
use super::plan::notes;
use super::{Page, Paint, View};

const BAR_COLUMNS: u128 = 20;

/// The store, by who keeps what: the disk, profiles and other roots, holds, what is shared and what is dead.
pub fn usage(document: &UsageDocument, view: &View) -> String {
    let mut page = Page::default();
    if let Some(disk) = document.disk {
        let store = escape(&document.store);
        let used = format!("{} used, {} free", disk.used, disk.available);
        let percent = disk.percent_used();
        page.prose(
            "",
            &format!("{store}: disk {percent}% full, {used}"),
            view.style,
        );
        page.gap();
    }
    let all = document.parts.iter().map(|part| part.nar_bytes.0);
    let all = Bytes(all.fold(0, u64::saturating_add));
    let mut grid = Grid::new(&[
        Column::new("Kept by").cut_end(),
        Column::new("Paths").right().importance(1),
        Column::new("Size").right(),
        Column::new("Share").right().importance(2),
        Column::new("").importance(0),
    ]);
    for part in &document.parts {
        grid.row([
            name(part, view),
            part.paths.to_string(),
            part.nar_bytes.to_string(),
            percent(part.nar_bytes, all),
            view.paint(&bar(part.nar_bytes, all), Paint::Dim),
        ]);
    }
    let paths: u64 = document.parts.iter().map(|part| part.paths).sum();
    grid.row([
        view.paint("total", Paint::Bold),
        paths.to_string(),
        all.to_string(),
    ]);
    grid.write(&mut page, view.style);
    page.gap();
    leftovers(document, view, &mut page);
    page.prose("", MEANING, view.style);
    notes(&document.notes, view, &mut page);
    page.finish()
}

/// What Nix left beside the store. It takes blocks on disk, while a path of the store has its NAR size.
fn leftovers(document: &UsageDocument, view: &View, page: &mut Page) {
    if document.leftovers.is_empty() {
        return;
    }
    let mut grid = Grid::new(&[
        Column::new("Beside the store").cut_end(),
        Column::new("Entries").right().importance(1),
        Column::new("On disk").right(),
    ]);
    for LeftoverDocument { class, sum } in &document.leftovers {
        grid.row([
            class.to_string(),
            sum.entries.to_string(),
            sum.bytes.to_string(),
        ]);
    }
    grid.write(page, view.style);
    page.gap();
}

const MEANING: &str = "Sizes are NAR sizes of the paths that only this profile, or these roots, keep. Shared paths are \
    kept by several. `nix-prune generations` and `nix-prune roots` show each; `nix-prune run` deletes what is dead.";

fn name(part: &PartDocument, view: &View) -> String {
    match (part.keeper, &part.short_name, part.until) {
        (KeeperDocument::Profile, Some(name), _) => escape(name),
        (KeeperDocument::Profile, None, _) => "profile".to_string(),
        (KeeperDocument::Roots, ..) => count(part.roots, "other root"),
        (KeeperDocument::Hold, _, Some(until)) => {
            let state = if until > view.now { "until" } else { "ended" };
            format!("held by nix-prune, {state} {}", view.time(until))
        }
        (KeeperDocument::Hold, ..) => "held by nix-prune elsewhere".to_string(),
        (KeeperDocument::Process, ..) => "running programs only".to_string(),
        (KeeperDocument::Shared, ..) => "shared".to_string(),
        (KeeperDocument::Dead, ..) => view.paint("dead", Paint::Yellow),
    }
}

/// Rounded down, so that only all of it is 100%.
fn percent(part: Bytes, all: Bytes) -> String {
    let hundredths = u128::from(part.0) * 100 / u128::from(all.0).max(1);
    match (hundredths, part.0) {
        (0, 1..) => "<1%".to_string(),
        _ => format!("{hundredths}%"),
    }
}

fn bar(part: Bytes, all: Bytes) -> String {
    let columns = (u128::from(part.0) * BAR_COLUMNS).div_ceil(u128::from(all.0).max(1));
    "#".repeat(usize::try_from(columns).unwrap_or_default())
}
