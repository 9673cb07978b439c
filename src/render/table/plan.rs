//! A plan: kept and removed items, actions, failed checks, and the prediction.

use std::ops::Deref;

use crate::domain::accept::Acceptance;
use crate::domain::blocker::Blocker;
use crate::domain::plan::{Decision, Item, Plan, PlannedAction, Prediction, Subject};
use crate::domain::profile::ProfileNames;
use crate::domain::risk::RiskLevel;
use crate::domain::root::is_in_auto;
use crate::render::reason;
use crate::render::text::{capital, count, escape};

use super::{Page, Paint, View, budget};

mod consequences;
mod profiles;

pub use consequences::consequences;

/// A plan: what is kept and removed with the reasons, what will be done, what was refused, and the consequences.
pub fn plan(plan: &Plan, view: &View) -> String {
    let mut page = Page::default();
    let title = format!(
        "Plan for job {}, made {}",
        plan.job,
        view.time(plan.taken_at)
    );
    page.line(view.paint(&escape(&title), Paint::Bold));
    profiles::write(plan, view, &mut page);
    roots(plan, view, &mut page);
    holds(plan, view, &mut page);
    actions(plan, view, &mut page);
    blockers(&plan.failed_checks, plan.skips_collection, view, &mut page);
    accepted(&plan.accepted_checks, &plan.accept, view, &mut page);
    notes(&all_notes(plan), view, &mut page);
    if let Some(report) = &plan.budget {
        budget::write(report, view, &mut page);
    }
    page.gap();
    if let Some(sentence) = prediction(&plan.prediction) {
        page.line(sentence);
    }
    if let Some(sentence) = later(&plan.prediction) {
        page.line(sentence);
    }
    for sentence in consequences(plan, view) {
        page.prose("", &escape(&sentence), view.style);
    }
    page.finish()
}

/// The most holds of vanished roots that are listed one by one.
pub(super) const MAX_HOLDS_SHOWN: usize = 10;

/// Dangling roots, grouped by what is done with them. Each path has a line of its own, so that it can be copied.
fn roots(plan: &Plan, view: &View, page: &mut Page) {
    let vanished: Vec<String> = plan.vanished.iter().map(|f| f.link.to_string()).collect();
    if !vanished.is_empty() {
        page.heading(view, "Roots that vanished since the last run");
        // Thousands of links come and go on a build machine.
        group(
            "their closures are held for the undo window",
            &vanished,
            MAX_HOLDS_SHOWN,
            page,
        );
    }
    let roots = plan.items.iter().filter_map(|item| match &item.subject {
        Subject::Root { link, entry, .. } => {
            let by_hand = entry.as_ref().filter(|entry| !is_in_auto(entry));
            let text = by_hand.map_or(link.to_string(), |entry| format!("{entry} -> {link}"));
            Some((item, text))
        }
        _ => None,
    });
    gathered(roots, "Dangling GC roots", view, page);
}

fn holds(plan: &Plan, view: &View, page: &mut Page) {
    let holds = plan.items.iter().filter_map(|item| match &item.subject {
        Subject::Hold { held, until, .. } => {
            Some((item, format!("until {}: {held}", view.time(*until))))
        }
        _ => None,
    });
    gathered(holds, "Holds of earlier runs", view, page);
}

fn gathered<'a>(
    items: impl Iterator<Item = (&'a Item, String)>,
    heading: &str,
    view: &View,
    page: &mut Page,
) {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (item, text) in items {
        let verdict = match item.decision {
            Decision::Remove(_) => "remove",
            Decision::Keep { .. } => "keep",
        };
        let why = reason::of_decision(&item.decision, &|time| view.time(time));
        let name = format!("{verdict}: {why}");
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(text),
            None => groups.push((name, vec![text])),
        }
    }
    if groups.is_empty() {
        return;
    }
    page.heading(view, heading);
    for (name, members) in groups {
        group(&name, &members, usize::MAX, page);
    }
}

fn group(name: &str, members: &[String], most: usize, page: &mut Page) {
    page.line(format!("  {name}"));
    for member in members.iter().take(most) {
        page.line(format!("    {}", escape(member)));
    }
    if members.len() > most {
        let more = members.len() - most;
        page.line(format!(
            "    {more} more; `nix-prune plan --json` lists all"
        ));
    }
}

fn actions(plan: &Plan, view: &View, page: &mut Page) {
    let all: Vec<PlannedAction> = plan.actions().collect();
    if all.is_empty() {
        return;
    }
    page.heading(view, "Actions");
    let digits = all.len().to_string().len();
    let width = all.iter().map(|a| a.risk.as_str().len()).max().unwrap_or(0);
    // The sections above show where each profile is.
    let names = plan.items.iter().filter_map(|item| match &item.subject {
        Subject::Generation { profile, .. } => Some(profile),
        _ => None,
    });
    let names: ProfileNames<'_> = names.collect();
    let holds = plan.vanished.len();
    for (index, planned) in all.iter().enumerate() {
        // They come first.
        if index >= MAX_HOLDS_SHOWN && index < holds {
            if index == MAX_HOLDS_SHOWN {
                let more = count(holds - MAX_HOLDS_SHOWN, "more vanished root");
                page.line(format!(
                    "  {:digits$}  hold the former targets of {more}",
                    ""
                ));
            }
            continue;
        }
        let paint = match planned.risk {
            RiskLevel::Low => Paint::Dim,
            RiskLevel::Medium => Paint::Green,
            RiskLevel::High => Paint::Yellow,
            RiskLevel::Critical => Paint::Red,
        };
        let risk = view.paint(&format!("{:width$}", planned.risk.as_str()), paint);
        let what = escape(&planned.action.operation().describe(&names));
        page.line(format!("  {:digits$}  {risk}  {what}", index + 1));
    }
}

/// What was refused, each with what to do about it.
pub(super) fn blockers(blockers: &[Blocker], no_collection: bool, view: &View, page: &mut Page) {
    if blockers.is_empty() {
        return;
    }
    page.gap();
    let heading = format!("Failed safety checks: {}", blockers.len());
    page.line(view.paint(&heading, Paint::Red));
    for blocker in blockers {
        let code = view.paint(blocker.code.as_str(), Paint::Yellow);
        page.line(format!("  {code}: {}", escape(&blocker.message)));
        if !blocker.hint.is_empty() {
            page.line(format!("    Hint: {}", escape(&blocker.hint)));
        }
    }
    if no_collection {
        let text = "No garbage is collected until this is fixed or accepted.";
        page.line(format!("  {}", view.paint(text, Paint::Red)));
    }
}

/// The safety checks that are accepted, with the reasons of the settings; `entries` that accept nothing now are shown as
/// well, so that nobody forgets them.
pub(super) fn accepted(accepted: &[Blocker], entries: &[Acceptance], view: &View, page: &mut Page) {
    if accepted.is_empty() && entries.is_empty() {
        return;
    }
    page.heading(view, "Accepted safety checks");
    for blocker in accepted {
        let code = view.paint(blocker.code.as_str(), Paint::Yellow);
        page.line(format!("  {code}: {}", escape(&blocker.message)));
        if let Some(reason) = &blocker.reason {
            page.line(format!("    Reason: {}", escape(reason)));
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

/// What a reader should know.
pub(super) fn notes<T: Deref<Target = str>>(notes: &[T], view: &View, page: &mut Page) {
    if notes.is_empty() {
        return;
    }
    page.heading(view, "Notes");
    for note in notes {
        page.prose("  ", &capital(&escape(note)), view.style);
    }
}

fn prediction(prediction: &Prediction) -> Option<String> {
    let nar = prediction
        .nar_bytes
        .map(|bytes| format!("{bytes} NAR size"));
    let most = at_most(prediction.disk_bytes_at_most);
    let disk = prediction
        .disk_bytes
        .map(|bytes| format!("{most}{bytes} on disk"));
    let sizes: Vec<String> = [nar, disk].into_iter().flatten().collect();
    let paths = prediction.paths.map(|paths| count(paths, "store path"));
    let what: Vec<String> = paths
        .into_iter()
        .chain((!sizes.is_empty()).then(|| sizes.join(", ")))
        .collect();
    (!what.is_empty()).then(|| format!("Will free {}.", what.join(": ")))
}

/// The words before a figure that is only a bound.
pub(super) fn at_most(is: bool) -> &'static str {
    if is { "at most " } else { "" }
}

fn later(prediction: &Prediction) -> Option<String> {
    let later = prediction.when_windows_end.filter(|l| l.paths > 0)?;
    let paths = count(later.paths, "store path");
    let bytes = later.nar_bytes;
    Some(format!(
        "After the undo windows end: {paths}, {bytes} (NAR size)."
    ))
}

fn all_notes(plan: &Plan) -> Vec<&str> {
    let notes = plan.notes.iter().chain(&plan.prediction.notes);
    let mut notes: Vec<&str> = notes.map(|note| &**note).collect();
    let mut removed = plan.removed_generations();
    if removed.any(|facts| facts.profile_kind.is_system()) {
        notes.push(
            "The boot menu still lists removed generations until the next `nixos-rebuild boot`.",
        );
    }
    notes
}
