//! The question before a run, with its numbers.

use crate::domain::measure::Span;
use crate::domain::plan::{Action, Plan, RemovalRule};
use crate::render::table::View;
use crate::render::text::{capital, count, list};

use super::{held, removed_by, removed_links};

/// What a person is asked to agree to: "Remove 103 generations (restorable until 5 Dec) and delete 24 dead paths (3.30 MiB)?"
///
/// Nothing in it comes from outside.
pub fn question(plan: &Plan, view: &View) -> String {
    let mut parts = Vec::new();
    if let Some(hold) = held(plan).filter_map(Action::promised_hold).min() {
        let until = view.day(view.now.after(hold));
        let links = removed_links(held(plan));
        parts.push(format!("remove {links} (restorable until {until})"));
    }
    let is_for_good = |action: &&Action| action.promised_hold().is_some_and(Span::is_zero);
    if plan.removed_links().any(|action| is_for_good(&action)) {
        let links = removed_links(plan.removed_links().filter(is_for_good));
        parts.push(format!("remove {links} for good"));
    }
    for (rule, verb, noun, end) in [
        (RemovalRule::Dangling, "remove", "dangling root", ""),
        (RemovalRule::WindowEnded, "release", "ended hold", ""),
        (RemovalRule::NeededNow, "release", "hold", " early"),
    ] {
        match removed_by(plan, rule) {
            0 => {}
            number => parts.push(format!("{verb} {}{end}", count(number, noun))),
        }
    }
    let leftovers = super::leftover_counts(plan);
    if !leftovers.is_empty() {
        parts.push(format!("remove {}", list(&leftovers)));
    }
    if plan.collection().is_some() {
        let bytes = plan.prediction.nar_bytes.map(|bytes| format!(" ({bytes})"));
        parts.push(match plan.prediction.paths {
            Some(paths) if paths > 0 => {
                let paths = count(paths, "dead path");
                format!("delete {paths}{}", bytes.unwrap_or_default())
            }
            _ => "collect garbage".to_string(),
        });
    }
    let names = crate::domain::profile::ProfileNames::default();
    let others = plan
        .steps
        .iter()
        .filter(|step| step.action.collection().is_none());
    parts.extend(others.map(|step| step.action.operation().describe(&names)));
    if parts.is_empty() {
        parts.push(format!(
            "hold {}",
            count(plan.vanished.len(), "vanished root")
        ));
    }
    format!("{}?", capital(&list(&parts)))
}
