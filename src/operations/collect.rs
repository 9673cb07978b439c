//! `collect`: deletes dead store paths through Nix.

use std::collections::HashSet;

use super::{ActionContext, Draft, Operation, ProfileNames};
use crate::domain::accept;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::collect::CollectMethod;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::plan::{Action, CollectFacts};
use crate::domain::receipt::Outcome;
use crate::domain::root::{Dangling, RootState};
use crate::domain::snapshot::Snapshot;
use crate::ports::PerformError;

/// Collects garbage.
pub(super) struct Collect<'a>(pub(super) &'a CollectFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let Some(collect) = draft.job.operations.collect else {
        return;
    };
    if draft.collection_is_blocked() {
        return;
    }
    let method = if hides_roots(draft.snapshot, Some(draft.job)) {
        CollectMethod::Selective
    } else {
        collect.method
    };
    draft.step(Action::Collect(CollectFacts {
        method,
        registered_before: collect.cutoff(draft.snapshot.taken_at),
    }));
    let note = left_to_nix(draft);
    draft.notes.extend(note);
}

/// Says how many roots Nix itself removes when it collects: every entry whose link it does not find (trap 17).
fn left_to_nix(draft: &Draft<'_>) -> Option<String> {
    let auto = draft.snapshot.state_dir.join("gcroots/auto");
    let removed = draft.removals().filter_map(Action::removed_root);
    let removed: HashSet<_> = removed.map(|facts| &facts.entry).collect();
    let left = draft.snapshot.roots.iter().filter(|root| {
        let gone = [Dangling::LinkGone, Dangling::ParentMissing].map(RootState::Dangling);
        let entry = root.entry.as_ref();
        let in_auto = entry.is_some_and(|e| e.parent() == Some(&auto) && !removed.contains(e));
        in_auto && gone.contains(&root.state)
    });
    let roots = match left.count() {
        0 => return None,
        1 => "1 dangling root".to_string(),
        count => format!("{count} dangling roots"),
    };
    Some(format!(
        "Nix's collector removes {roots} that this plan keeps. Mount missing file systems \
         first if they hold roots that you need."
    ))
}

/// Whether there are roots that Nix cannot read, so that its own collector would delete what they keep. Who accepts
/// `roots.unreadable` there accepts that.
fn hides_roots(snapshot: &Snapshot, job: Option<&EffectiveJob>) -> bool {
    let accepted = |hidden: &Blocker| {
        let unreadable = Blocker {
            code: CheckCode::RootsUnreadable,
            ..hidden.clone()
        };
        job.is_some_and(|job| {
            job.accept.contains(&unreadable.code)
                || accept::reason(&unreadable, &job.accepted).is_some()
        })
    };
    let mut hidden = snapshot
        .blockers
        .iter()
        .filter(|blocker| blocker.code == CheckCode::RootsHidden);
    hidden.any(|blocker| !accepted(blocker))
}

impl Operation for Collect<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let by = match self.0.method {
            CollectMethod::Auto => "",
            CollectMethod::Selective => " (selective)",
            CollectMethod::Full => " (nix-collect-garbage)",
        };
        match self.0.registered_before {
            None => format!("collect garbage{by}"),
            Some(before) => format!("collect garbage registered before {before}{by}"),
        }
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        match snapshot.blockers.iter().find(|r| r.code.stops_collection()) {
            Some(blocker) => Err(blocker.message.clone()),
            None if self.0.method != CollectMethod::Selective && hides_roots(snapshot, job) => {
                Err("there are now roots that Nix cannot read".to_string())
            }
            None => Ok(()),
        }
    }

    /// A collection takes a last look, rounds and records of its own, so the engine does it (`engine/collect.rs`).
    fn perform(&self, _: &ActionContext<'_>) -> Result<Option<String>, PerformError> {
        Err(PerformError::Stale(
            "a collection needs a last look at the roots".to_string(),
        ))
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
