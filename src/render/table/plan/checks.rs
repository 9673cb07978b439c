//! Failed and accepted safety checks.

use crate::domain::accept::Acceptance;
use crate::domain::blocker::Blocker;
use crate::render::table::{Page, Paint, View};
use crate::render::text::escape;

/// What was refused, each with what to do about it.
pub(in crate::render::table) fn blockers(
    blockers: &[Blocker],
    no_collection: bool,
    view: &View,
    page: &mut Page,
) {
    if blockers.is_empty() {
        return;
    }
    page.gap();
    let heading = format!("Failed safety checks: {}", blockers.len());
    page.line(view.paint(&heading, Paint::Red));
    for blocker in blockers {
        let code = view.paint(blocker.code.as_str(), Paint::Yellow);
        page.prose(
            "  ",
            &format!("{code}: {}", escape(&blocker.message)),
            view.style,
        );
        if !blocker.hint.is_empty() {
            page.prose("    Hint: ", &escape(&blocker.hint), view.style);
        }
    }
    if no_collection {
        let text = "No garbage is collected until this is fixed or accepted.";
        page.line(format!("  {}", view.paint(text, Paint::Red)));
    }
}

/// The safety checks that are accepted, with the reasons of the settings; `entries` that accept nothing now are shown as
/// well, so that nobody forgets them.
pub(in crate::render::table) fn accepted(
    accepted: &[Blocker],
    entries: &[Acceptance],
    view: &View,
    page: &mut Page,
) {
    if accepted.is_empty() && entries.is_empty() {
        return;
    }
    page.heading(view, "Accepted safety checks");
    for blocker in accepted {
        let code = view.paint(blocker.code.as_str(), Paint::Yellow);
        page.prose(
            "  ",
            &format!("{code}: {}", escape(&blocker.message)),
            view.style,
        );
        if let Some(reason) = &blocker.reason {
            page.prose("    Reason: ", &escape(reason), view.style);
        }
    }
    let is_used = |entry: &&Acceptance| {
        let mut same = accepted.iter().filter(|blocker| blocker.code == entry.code);
        same.any(|blocker| blocker.places.iter().any(|place| entry.place.covers(place)))
    };
    for entry in entries.iter().filter(|entry| !is_used(entry)) {
        let code = view.paint(entry.code.as_str(), Paint::Yellow);
        let place = escape(entry.place.as_str());
        page.line(format!("  {code} at {place}: no matching check now"));
        page.line(format!("    Reason: {}", escape(&entry.reason)));
    }
}
