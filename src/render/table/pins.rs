//! The pins.

use camino::Utf8Path;

use crate::domain::profile::{ProfileNames, ProfilePath};
use crate::render::json::{PinListDocument, PinSource, PinState};
use crate::render::text::escape;

use super::grid::{Column, Grid};
use super::{Page, Paint, View};

/// The pinned generations, with reason and end.
pub fn pin_list(document: &PinListDocument, view: &View) -> String {
    let mut page = Page::default();
    if document.pins.is_empty() {
        page.line("There are no pins.");
        return page.finish();
    }
    let path = |text: &str| ProfilePath::new(Utf8Path::new(text)).ok();
    let pins = document.pins.iter();
    let paths: Vec<ProfilePath> = pins.filter_map(|pin| path(&pin.profile)).collect();
    let names: ProfileNames<'_> = paths.iter().collect();
    let mut grid = Grid::new(&[
        Column::new("Generation"),
        Column::new("State"),
        Column::new("Until").importance(2),
        Column::new("Pinned by").importance(1),
        Column::new("Reason").cut_end(),
    ]);
    for pin in &document.pins {
        let name = path(&pin.profile).map_or_else(|| pin.profile.clone(), |path| names.of(&path));
        let (state, paint) = match pin.state {
            PinState::Active => ("active", Paint::Green),
            PinState::Ended => ("ended", Paint::Yellow),
            PinState::Missing => ("no such generation", Paint::Yellow),
        };
        let source = match pin.source {
            PinSource::Command => "command",
            PinSource::Settings => "settings",
        };
        grid.row([
            escape(&format!("{name}:{}", pin.number)),
            view.paint(state, paint),
            pin.until.map_or("-".to_string(), |at| view.time(at)),
            source.to_string(),
            escape(pin.reason.as_deref().unwrap_or_default()),
        ]);
    }
    grid.write(&mut page, view.style);
    page.gap();
    let hint = "`nix-prune unpin PROFILE:N` removes a pin of the command; those of the settings are in \
                `protect.generations`.";
    page.prose("", hint, view.style);
    page.finish()
}
