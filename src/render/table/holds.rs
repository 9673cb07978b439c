//! The holds, by run.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::measure::Timestamp;
use crate::domain::profile::{ProfileNames, ProfilePath};
use crate::domain::receipt::RunId;
use crate::domain::reference::ranges;
use crate::domain::snapshot::{Held, Hold, Snapshot};
use crate::render::json::HoldsDocument;
use crate::render::text::{count, escape};

use super::grid::{Column, Grid};
use super::store::size;
use super::{Page, Paint, View};

/// The holds of each run with what their end frees, and how to end them.
pub fn holds(snapshot: &Snapshot, document: &HoldsDocument, view: &View) -> String {
    let mut page = Page::default();
    if snapshot.holds.is_empty() {
        page.line("There are no holds.");
        return page.finish();
    }
    let mut groups: BTreeMap<(Timestamp, &RunId, bool), Vec<&Hold>> = BTreeMap::new();
    for hold in &snapshot.holds {
        let key = (hold.until, &hold.run, hold.intact);
        groups.entry(key).or_default().push(hold);
    }
    let mut grid = Grid::new(&[
        Column::new("Run"),
        Column::new("Until"),
        Column::new("Frees").right().importance(1),
        Column::new("Held").wrap().at_least(28),
    ]);
    for ((until, run, intact), holds) in groups {
        let until_when = match (intact, until > snapshot.taken_at) {
            (false, _) => view.paint("broken", Paint::Red),
            (true, true) => view.time(until),
            (true, false) => view.paint("ended", Paint::Yellow),
        };
        let mut runs = document.runs.iter().filter(|it| intact && it.run == *run);
        let frees = runs
            .find(|it| it.until == until)
            .and_then(|it| it.nar_bytes);
        grid.row([
            run.to_string(),
            until_when,
            size(frees),
            escape(&held(&holds)),
        ]);
    }
    grid.write(&mut page, view.style);
    page.gap();
    for sentence in [
        "`nix-prune undo RUN` restores what a run removed while its hold exists.",
        "The next run releases holds whose undo window has ended; `nix-prune hold release RUN` releases holds early; undo \
         can then not restore them.",
    ] {
        page.prose("", sentence, view.style);
    }
    if snapshot.holds.iter().any(|hold| !hold.intact) {
        let broken = "A broken hold has lost its link, its store path or its entry in gcroots/auto and keeps nothing. The \
                      next run that collects garbage restores the entry.";
        page.prose("", broken, view.style);
    }
    page.finish()
}

/// `system:1..55, alice/home-manager:7, 2 roots`: generations as `undo` takes them.
fn held(holds: &[&Hold]) -> String {
    let mut profiles: BTreeMap<&ProfilePath, BTreeSet<u32>> = BTreeMap::new();
    let mut roots = Vec::new();
    for hold in holds {
        match &hold.held {
            Held::Generation { profile, number } => {
                profiles.entry(profile).or_default().insert(number.0);
            }
            Held::Root { .. } => roots.push(hold.held.to_string()),
        }
    }
    let names: ProfileNames<'_> = profiles.keys().copied().collect();
    let generations = profiles.iter().flat_map(|(profile, numbers)| {
        let name = names.of(profile);
        let parts = ranges(numbers).into_iter();
        parts.map(move |(first, last)| {
            if first == last {
                format!("{name}:{first}")
            } else {
                format!("{name}:{first}..{last}")
            }
        })
    });
    let roots = match roots.as_slice() {
        [] => None,
        [root] => Some(root.clone()),
        roots => Some(count(roots.len(), "root")),
    };
    generations.chain(roots).collect::<Vec<_>>().join(", ")
}

/// What a release of holds whose undo window is open means.
pub fn open_windows(open: usize) -> String {
    format!(
        "{open} of these undo windows {} still open; a release makes their removals final.",
        if open == 1 { "is" } else { "are" },
    )
}
