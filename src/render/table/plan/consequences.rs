use crate::domain::plan::{Action, GenerationFacts, Plan};
use crate::domain::risk::RiskLevel;
use crate::render::table::View;
use crate::render::text::{count, list};

/// What carrying out a plan comes to, for the last lines of the plan and for the question before the deed: what
/// cannot be undone, and until when the rest can.
///
/// The sentences have nothing from outside in them that would need escaping.
pub fn consequences(plan: &Plan, view: &View) -> Vec<String> {
    if plan.actions.is_empty() {
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

fn dropped(plan: &Plan) -> impl Iterator<Item = &GenerationFacts> {
    plan.actions
        .iter()
        .filter_map(|planned| match &planned.action {
            Action::DropGeneration(facts) => Some(facts),
            _ => None,
        })
}

fn how_many(plan: &Plan, is: impl Fn(&Action) -> bool) -> usize {
    plan.actions
        .iter()
        .filter(|planned| is(&planned.action))
        .count()
}

fn reversible(plan: &Plan, view: &View) -> Vec<String> {
    let mut sentences = Vec::new();
    let held = || dropped(plan).filter(|facts| !facts.hold.is_zero());
    // Should holds differ, the earliest end is the one to promise.
    if let Some(hold) = held().map(|facts| facts.hold).min() {
        let until = view.time(view.now.after(hold));
        let generations = count(held().count(), "generation");
        sentences.push(format!(
            "`nix-prune undo` can restore {generations} until {until}; their space is freed after that."
        ));
    }
    let roots = how_many(plan, |action| matches!(action, Action::RemoveRoot(_)));
    if roots > 0 {
        let roots = count(roots, "dangling root");
        sentences.push(format!("`nix-prune undo` can restore {roots}."));
    }
    sentences
}

fn irreversible(plan: &Plan) -> Option<String> {
    let mut parts = Vec::new();
    let gone = dropped(plan).filter(|facts| facts.hold.is_zero()).count();
    if gone > 0 {
        parts.push(format!("removing {}", count(gone, "generation")));
    }
    let ended = how_many(plan, |action| matches!(action, Action::ReleaseHold(_)));
    if ended > 0 {
        parts.push(format!("releasing {}", count(ended, "hold")));
    }
    let early = how_many(plan, |action| matches!(action, Action::ReleaseEarly(_)));
    if early > 0 {
        parts.push(format!("releasing {} early", count(early, "hold")));
    }
    if how_many(plan, |action| action.collection().is_some()) > 0 {
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
