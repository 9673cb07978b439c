//! Roots that vanished since the last run: holds what they kept before a collection deletes it.

use std::collections::HashSet;

use camino::Utf8PathBuf;

use super::{ActionContext, Draft, Operation, Performed, ProfileNames};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::plan::VanishedFacts;
use crate::domain::receipt::{Outcome, Undo};
use crate::domain::snapshot::{Snapshot, VanishedRoot};
use crate::ports::{PerformError, error_chain};

/// Holds the former target of a vanished root.
pub(super) struct Hold<'a>(pub(super) &'a VanishedFacts);

/// Without a collection nothing is lost, and the run after it still knows of them.
pub(super) fn select(draft: &mut Draft<'_>) {
    if draft.collects() {
        draft.vanished = not_held(draft.snapshot, draft.job, &[]);
    }
}

/// The vanished roots that a run holds before it collects garbage, without those that `held` has already.
pub(crate) fn not_held(
    snapshot: &Snapshot,
    job: &EffectiveJob,
    held: &[VanishedFacts],
) -> Vec<VanishedFacts> {
    if job.undo_window.is_zero() {
        return Vec::new();
    }
    let held: HashSet<_> = held
        .iter()
        .map(|facts| (&facts.link, &facts.store_path))
        .collect();
    let vanished = snapshot.vanished.iter();
    let vanished = vanished.filter(|root| !held.contains(&(&root.link, &root.store_path)));
    let facts = |root: &VanishedRoot| VanishedFacts {
        link: root.link.clone(),
        store_path: root.store_path.clone(),
        hold: job.undo_window,
    };
    vanished.map(facts).collect()
}

impl Operation for Hold<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let (link, hold) = (&self.0.link, self.0.hold);
        format!(
            "hold the former target of {link} for {hold} (the link vanished since the last run)"
        )
    }

    fn recheck(&self, snapshot: &Snapshot, _: Option<&EffectiveJob>) -> Result<(), String> {
        let root = VanishedRoot {
            link: self.0.link.clone(),
            store_path: self.0.store_path.clone(),
        };
        // They are in order, for there may be many.
        if snapshot.vanished.binary_search(&root).is_ok() {
            return Ok(());
        }
        Err(format!(
            "the former target of {} no longer needs a hold",
            root.link
        ))
    }

    fn hold(&self) -> Option<Span> {
        Some(self.0.hold)
    }

    fn undo(&self, hold: Option<(Utf8PathBuf, Timestamp)>) -> Option<Undo> {
        hold.map(|(hold, until)| Undo::Held { hold, until })
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let Some(hold) = &context.hold else {
            return Err(PerformError::Stale("the hold has no place".to_string()));
        };
        context
            .nix
            .hold(&self.0.store_path, &hold.link)
            .map(Performed::from)
    }

    /// It still has to be held, whatever became of it.
    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        if context.hold.is_none() {
            return super::not_begun();
        }
        match self.perform(context) {
            Ok(_) => (Outcome::Done, "interrupted; now held".to_string()),
            Err(error @ PerformError::Stale(_)) => (Outcome::Stale, error_chain(&error)),
            Err(error) => (
                Outcome::Failed,
                format!("interrupted; {}", error_chain(&error)),
            ),
        }
    }
}
