//! The last lines of a plan: what is irreversible, and until when the rest can be undone.

use crate::domain::plan::{Plan, RemovalRule};
use crate::domain::risk::RiskLevel;
use crate::render::table::View;
use crate::render::text::{count, list};

/// What carrying out a plan comes to, for the last lines of the plan and for the question before the deed: what
/// cannot be undone, and until when the rest can.
///
/// The sentences have nothing from outside in them that would need escaping.
pub fn consequences(plan: &Plan, view: &View) -> Vec<String> {
    if plan.is_empty() {
        return vec![nothing(plan).to_string()];
    }
    let mut sentences = Vec::new();
    sentences.extend(reversible(plan, view));
    sentences.extend(irreversible(plan));
    if sentences.is_empty() {
        sentences.push("Nothing is removed.".to_string());
    }
    sentences.extend(ceiling(plan));
    sentences
}

/// Why a plan has no action.
fn nothing(plan: &Plan) -> &'static str {
    if plan.is_refused() {
        "Nothing will be done: a safety check failed."
    } else if plan.left_out().next().is_some() {
        "Nothing will be done; some profiles are skipped, as shown above."
    } else {
        "There is nothing to do."
    }
}

fn removed_by(plan: &Plan, rule: RemovalRule) -> usize {
    plan.removals()
        .filter(|removal| removal.rule == rule)
        .count()
}

fn reversible(plan: &Plan, view: &View) -> Vec<String> {
    let mut sentences = Vec::new();
    let held = || {
        plan.removed_generations()
            .filter(|facts| !facts.hold.is_zero())
    };
    // Should holds differ, the earliest end is the one to promise.
    if let Some(hold) = held().map(|facts| facts.hold).min() {
        let until = view.time(view.now.after(hold));
        let generations = count(held().count(), "generation");
        sentences.push(format!(
            "`nix-prune undo` can restore {generations} until {until}; their space is freed after that."
        ));
    }
    let roots = removed_by(plan, RemovalRule::Dangling);
    if roots > 0 {
        let roots = count(roots, "dangling root");
        sentences.push(format!("`nix-prune undo` can restore {roots}."));
    }
    sentences
}

fn irreversible(plan: &Plan) -> Option<String> {
    let mut parts = Vec::new();
    let removed = plan.removed_generations();
    let gone = removed.filter(|facts| facts.hold.is_zero()).count();
    if gone > 0 {
        parts.push(format!("removing {}", count(gone, "generation")));
    }
    let ended = removed_by(plan, RemovalRule::WindowEnded);
    if ended > 0 {
        parts.push(format!("releasing {}", count(ended, "hold")));
    }
    let early = removed_by(plan, RemovalRule::NeededNow);
    if early > 0 {
        parts.push(format!("releasing {} early", count(early, "hold")));
    }
    if plan.collection().is_some() {
        parts.push("deleting dead store paths".to_string());
    }
    (!parts.is_empty()).then(|| format!("Irreversible: {}.", list(&parts)))
}

/// Says beforehand that the run would be refused.
fn ceiling(plan: &Plan) -> Option<String> {
    let risk = plan.risk()?;
    if plan.safe_mode && risk == RiskLevel::Critical {
        Some("Risk: critical. Safe mode refuses critical actions.".to_string())
    } else if risk > plan.max_risk {
        Some(format!(
            "Risk: {risk}. The job allows at most {}.",
            plan.max_risk
        ))
    } else {
        None
    }
}
