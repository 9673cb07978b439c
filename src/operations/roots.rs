//! `roots.dangling`: removes dangling entries of `gcroots/auto` and `gcroots/per-user`, and restores them.

use camino::{Utf8Path, Utf8PathBuf};

use super::generations::MAX_REMOVALS;
use super::{ActionContext, Draft, Operation, Performed, ProfileNames};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::Protect;
use crate::domain::measure::Timestamp;
use crate::domain::plan::{Action, RemovalRule, RootFacts, Subject};
use crate::domain::receipt::{Outcome, Undo};
use crate::domain::retention::Reason;
use crate::domain::risk::RiskLevel;
use crate::domain::root::{Dangling, GcRoot, RootState};
use crate::domain::snapshot::{Actor, Snapshot};
use crate::ports::{LinkState, NixActions, PerformError};

/// Removes a dangling entry.
pub(super) struct Remove<'a>(pub(super) &'a RootFacts);

/// Restores a removed entry.
pub(super) struct Restore<'a>(pub(super) &'a RootFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let (snapshot, job) = (draft.snapshot, draft.job);
    let Some(operation) = &job.operations.roots else {
        return;
    };
    let mut roots: Vec<&GcRoot> = snapshot.roots.iter().collect();
    roots.sort_by(|a, b| (&a.link, &a.entry).cmp(&(&b.link, &b.entry)));
    let mut removed = 0;
    for root in roots.into_iter().filter(|root| !root.is_released_hold()) {
        let RootState::Dangling(dangling) = root.state else {
            continue;
        };
        let subject = Subject::Root {
            link: root.link.clone(),
            entry: root.entry.clone(),
            origin: root.kind,
        };
        let protect = Some(&*job.protect);
        let reason = keep_reason(root, dangling, snapshot, protect, operation.dangling);
        match (reason, &root.entry) {
            (Some(reason), _) => draft.keep(subject, reason),
            (None, None) => draft.keep(subject, Reason::LinkExists),
            (None, Some(_)) if removed == MAX_REMOVALS => draft.keep(subject, Reason::LaterRun),
            (None, Some(entry)) => {
                removed += 1;
                let action = Action::RemoveRoot(RootFacts {
                    entry: entry.clone(),
                    link: root.link.clone(),
                });
                draft.remove(subject, RemovalRule::Dangling, RiskLevel::Low, action);
            }
        }
    }
}

/// Why a dangling root is kept; `None` when it may be removed.
fn keep_reason(
    root: &GcRoot,
    dangling: Dangling,
    snapshot: &Snapshot,
    protect: Option<&Protect>,
    selected: bool,
) -> Option<Reason> {
    let roots = snapshot.state_dir.join("gcroots");
    let is_tidied = |entry: &Utf8PathBuf| {
        let dir = entry.parent();
        let above = dir.and_then(Utf8Path::parent);
        dir == Some(&roots.join("auto")) || above == Some(&roots.join("per-user"))
    };
    match dangling {
        _ if !root.exact => Some(Reason::NotUtf8),
        _ if protect.is_some_and(|p| p.roots.matches(&root.link)) => Some(Reason::Protected),
        _ if protect.is_some_and(|p| p.paths.covering(&root.link).is_some()) => {
            Some(Reason::ProtectedPath)
        }
        Dangling::ParentMissing => Some(Reason::ParentMissing),
        Dangling::PathGone | Dangling::NotARoot => Some(Reason::LinkExists),
        Dangling::LinkGone if root.entry.is_none() => Some(Reason::LinkExists),
        Dangling::LinkGone if !root.entry.as_ref().is_some_and(is_tidied) => {
            Some(Reason::EntryByHand)
        }
        Dangling::LinkGone if !selected => Some(Reason::NotSelected),
        Dangling::LinkGone if snapshot.actor != Actor::Root => root
            .owner
            .as_ref()
            .is_none_or(|owner| !snapshot.actor.may_act_for(owner.uid))
            .then_some(Reason::OtherOwner),
        Dangling::LinkGone => None,
    }
}

impl Operation for Remove<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        format!("remove the dangling root {}", self.0.link)
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        let Self(facts) = self;
        let protect = job.map(|job| &*job.protect);
        let is_it = |root: &GcRoot| {
            root.entry.as_ref() == Some(&facts.entry)
                && root.link == facts.link
                && root.state == RootState::Dangling(Dangling::LinkGone)
                && keep_reason(root, Dangling::LinkGone, snapshot, protect, true).is_none()
        };
        if snapshot.roots.iter().any(is_it) {
            return Ok(());
        }
        Err(format!(
            "{} is no longer a dangling root that may be removed",
            facts.entry
        ))
    }

    fn undo(&self, _: Option<(Utf8PathBuf, Timestamp)>) -> Option<Undo> {
        Some(Undo::RestoreRoot)
    }

    fn inverse(&self) -> Option<Action> {
        Some(Action::RestoreRoot(self.0.clone()))
    }

    fn state(&self, nix: &dyn NixActions) -> Option<Result<LinkState, PerformError>> {
        Some(nix.see_root(self.0))
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let removed = context.nix.remove_root(self.0, context.protected);
        removed.map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_removal(context.nix.see_root(self.0))
    }
}

impl Operation for Restore<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        format!("restore the dangling root {}", self.0.link)
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        context.nix.restore_root(self.0).map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_restoration(context.nix.see_root(self.0))
    }
}
