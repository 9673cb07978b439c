//! `leftovers`: removes files of Nix beside the store that are old and not in use.

use super::{ActionContext, Draft, Frees, Operation, Performed, ProfileNames};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::leftover::Leftovers;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{Action, LeftoverFacts, RemovalRule, Subject};
use crate::domain::receipt::Outcome;
use crate::domain::retention::Reason;
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Snapshot;
use crate::ports::PerformError;

/// Removes the leftovers of a class from a directory.
pub(super) struct Remove<'a>(pub(super) &'a LeftoverFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let (snapshot, job) = (draft.snapshot, draft.job);
    for found in &snapshot.leftovers {
        let Some(before) = job
            .operations
            .leftovers
            .cutoff(found.class, snapshot.taken_at)
        else {
            continue;
        };
        draft.notes.extend(found.problems.iter().map(|problem| {
            Note::new(
                NoteCode::LeftoversKept,
                format!("some {} are kept: {problem}", found.class),
            )
        }));
        let subject = subject(found);
        if found.old.entries == 0 {
            if found.kept.entries > 0 {
                draft.keep(subject, Reason::YoungOrInUse);
            }
            continue;
        }
        let action = Action::RemoveLeftovers(LeftoverFacts {
            class: found.class,
            dir: found.dir.clone(),
            owner: found.owner.clone(),
            before,
            old: found.old,
        });
        draft.remove(subject, RemovalRule::Leftover, RiskLevel::Low, action);
    }
}

fn subject(found: &Leftovers) -> Subject {
    Subject::Leftovers {
        class: found.class,
        dir: found.dir.clone(),
        owner: found.owner.clone(),
        old: found.old,
        kept: found.kept,
        oldest: found.oldest,
    }
}

impl Operation for Remove<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let LeftoverFacts {
            class, dir, old, ..
        } = self.0;
        format!(
            "remove {} from {dir} ({}, not restorable)",
            class.count(old.entries),
            old.bytes
        )
    }

    fn frees(&self) -> Frees {
        Frees::OnDisk(self.0.old.taken())
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        let LeftoverFacts {
            class, dir, before, ..
        } = self.0;
        let Some(job) = job else {
            return Err(format!("the job that removes {class} is not known"));
        };
        match job.operations.leftovers.cutoff(*class, snapshot.taken_at) {
            None => Err(format!("the job no longer removes {class}")),
            // The settings may have changed since, or the clock.
            Some(cutoff) if *before > cutoff => Err(format!(
                "the job keeps {class} in {dir} for longer than planned"
            )),
            Some(_) => Ok(()),
        }
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let removed = context.nix.remove_leftovers(self.0, context.protected)?;
        Ok(Some(removed).into())
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
