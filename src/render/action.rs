//! Actions in words.

use crate::domain::plan::Action;
use crate::domain::receipt::Outcome;

use super::reason::generation;

/// What an action does, in the imperative; names in it are as they are, for a terminal they must be escaped.
pub fn sentence(action: &Action) -> String {
    match action {
        Action::DropGeneration(facts) => {
            let what = generation(facts.number, &facts.profile);
            if facts.hold.is_zero() {
                format!("drop {what} without holding its closure")
            } else {
                format!("drop {what} and hold its closure for {}", facts.hold)
            }
        }
        Action::RemoveRoot(facts) => {
            format!(
                "remove the root {} of the gone link {}",
                facts.entry, facts.link
            )
        }
        Action::ReleaseHold(facts) => {
            format!(
                "end the hold of {}",
                generation(facts.number, &facts.profile)
            )
        }
        Action::Collect => "collect garbage".to_string(),
        Action::Optimise => "hard-link equal files in the store".to_string(),
        Action::Verify { contents: false } => "check the store".to_string(),
        Action::Verify { contents: true } => "check the store and its contents".to_string(),
        Action::RestoreGeneration(facts) => {
            format!("put back {}", generation(facts.number, &facts.profile))
        }
        Action::RestoreRoot(facts) => {
            format!(
                "put back the root {} of the link {}",
                facts.entry, facts.link
            )
        }
    }
}

/// The word for an outcome, as in the JSON documents.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "pending",
        Outcome::Done => "done",
        Outcome::Stale => "stale",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}
