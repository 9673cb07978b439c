//! The question before a run, with its numbers.

use crate::domain::plan::{Plan, RemovalRule};
use crate::render::table::View;
use crate::render::text::{capital, count, list};

use super::removed_by;

/// What a person is asked to agree to: "Remove 103 generations (restorable until 5 Dec) and delete 24 dead paths (3.30 MiB)?"
///
/// Nothing in it comes from outside.
pub fn question(plan: &Plan, view: &View) -> String {
    let mut parts = Vec::new();
    let held = || {
        plan.removed_generations()
            .filter(|facts| !facts.hold.is_zero())
    };
    if let Some(hold) = held().map(|facts| facts.hold).min() {
        let until = view.day(view.now.after(hold));
        let generations = count(held().count(), "generation");
        parts.push(format!("remove {generations} (restorable until {until})"));
    }
    match plan.removed_generations().count() - held().count() {
        0 => {}
        gone => parts.push(format!("remove {} for good", count(gone, "generation"))),
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
