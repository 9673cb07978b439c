//! `roots.rules`: removes links of users that a rule fits, and restores them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::generations::MAX_REMOVALS;
use super::{
    ActionContext, Draft, Frees, Loss, Operation, Performed, ProfileNames, Regret, held_links,
};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::plan::{Action, Decision, RemovalRule, RootLinkFacts, Subject};
use crate::domain::receipt::{Outcome, Undo};
use crate::domain::retention::{Reason, Reasons};
use crate::domain::risk::{self, RiskLevel};
use crate::domain::root::{GcRoot, RootKind, RootState, is_in_auto};
use crate::domain::root_rules::{self, Candidate, RootRule};
use crate::domain::root_use::LinkUse;
use crate::domain::snapshot::Snapshot;
use crate::ports::{LinkState, NixActions, PerformError, RestoreMode};

/// Removes the link of a root.
pub(super) struct Remove<'a>(pub(super) &'a RootLinkFacts);

/// Restores a removed link.
pub(super) struct Restore<'a>(pub(super) &'a RootLinkFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let (snapshot, job) = (draft.snapshot, draft.job);
    let rules = rules_of(job);
    if rules.is_empty() {
        return;
    }
    let generations = generations_of_the_job(snapshot, job);
    let mut roots: Vec<&GcRoot> = snapshot.roots.iter().collect();
    roots.retain(|root| is_candidate(root) && !generations.contains(&root.link));
    roots.sort_by(|a, b| a.link.cmp(&b.link));
    let siblings = Siblings::of(snapshot);
    let mut removed = 0;
    for root in roots {
        let subject = Subject::RootLink {
            link: root.link.clone(),
            origin: root.kind,
            owner: root.owner.clone(),
            made_at: root.made_at,
        };
        match judge(root, &siblings, snapshot, job) {
            Ok(_) if removed == MAX_REMOVALS => draft.keep(subject, Reason::LaterRun),
            Ok(facts) => {
                removed += 1;
                let risk = risk::of_root_link(!facts.hold.is_zero());
                let action = Action::RemoveRootLink(facts);
                draft.remove(subject, RemovalRule::RootRule, risk, action);
            }
            Err(reasons) => draft.item(subject, Decision::Keep { reasons }),
        }
    }
}

fn rules_of(job: &EffectiveJob) -> &[RootRule] {
    let operation = job.operations.roots.as_ref();
    operation.map_or(&[], |operation| &operation.rules)
}

/// Whether it is a link that its owner made a root and can make again.
fn is_candidate(root: &GcRoot) -> bool {
    root.state == RootState::Live
        && root.entry.as_deref().is_some_and(is_in_auto)
        && root_rules::may_be_removed(root.kind)
}

/// The links of generations that keep rules of the same job decide about.
fn generations_of_the_job(snapshot: &Snapshot, job: &EffectiveJob) -> HashSet<Utf8PathBuf> {
    let Some(operation) = &job.operations.generations else {
        return HashSet::new();
    };
    let profiles = snapshot.profiles.iter();
    let profiles = profiles.filter(|profile| operation.selects(profile));
    let links = profiles.flat_map(|profile| {
        let numbers = profile.generations.keys();
        numbers.map(|number| profile.path.link(*number))
    });
    links.collect()
}

/// The times of all links of a kind in a directory.
struct Siblings<'a>(BTreeMap<(RootKind, &'a Utf8Path), BTreeSet<(Timestamp, &'a Utf8Path)>>);

impl<'a> Siblings<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut all = Self(BTreeMap::new());
        for root in snapshot.roots.iter().filter(|root| is_candidate(root)) {
            if let Some((directory, made)) = root_rules::directory(root).zip(root.made_at) {
                all.0
                    .entry(directory)
                    .or_default()
                    .insert((made, &root.link));
            }
        }
        all
    }

    /// How many of them are newer than a link. Of two that were made at once, the one whose name comes later counts as newer.
    fn newer_than(&self, root: &GcRoot) -> usize {
        let times = root_rules::directory(root).and_then(|directory| self.0.get(&directory));
        let own = root.made_at.map(|made| (made, root.link.as_path()));
        let newer = times.zip(own).map(|(times, own)| {
            let newer = times.iter().rev().take_while(|other| **other > own);
            newer.count()
        });
        newer.unwrap_or_default()
    }
}

/// The facts of the removal of a link.
///
/// # Errors
/// Why it is kept.
fn judge(
    root: &GcRoot,
    siblings: &Siblings<'_>,
    snapshot: &Snapshot,
    job: &EffectiveJob,
) -> Result<RootLinkFacts, Reasons> {
    let keep = |reason| Err(Reasons::one(reason));
    if !root.exact {
        return keep(Reason::NotUtf8);
    }
    if job.protect.roots.matches(&root.link) {
        return keep(Reason::Protected);
    }
    if job.protect.paths.containing(&root.link).is_some() {
        return keep(Reason::ProtectedPath);
    }
    let may_act = |uid| snapshot.actor.may_act_for(uid);
    let Some(owner) = root.owner.as_ref().filter(|owner| may_act(owner.uid)) else {
        return keep(Reason::OtherOwner);
    };
    let (Some(entry), Some(target), Some(store_path), Some(made_at)) =
        (&root.entry, &root.target, &root.store_path, root.made_at)
    else {
        return keep(Reason::UseUnknown("the link could not be read".to_string()));
    };
    if *target != store_path.to_absolute_path(&snapshot.store) {
        return keep(Reason::TargetOutsideStore);
    }
    if store_path.is_derivation() {
        return keep(Reason::Derivation);
    }
    let not_seen = LinkUse::Unknown("it appeared a moment ago".to_string());
    let candidate = Candidate {
        root,
        used: snapshot.uses.get(&root.link).unwrap_or(&not_seen),
        newer: siblings.newer_than(root),
    };
    match root_rules::judge(candidate, rules_of(job), snapshot.taken_at) {
        Ok(found) => Ok(RootLinkFacts {
            link: root.link.clone(),
            entry: entry.clone(),
            origin: root.kind,
            owner: owner.clone(),
            target: target.clone(),
            store_path: store_path.clone(),
            made_at,
            rule: found.rule,
            last_use: found.last_use,
            project_gone: found.project_gone,
            hold: job.undo_window,
        }),
        Err(reasons) => {
            let reasons = Reasons::gather(reasons.into_iter().collect());
            Err(reasons.unwrap_or_else(|| Reasons::one(Reason::NotSelected)))
        }
    }
}

/// Whether both are about the same link. The rule and the last use may be others by now: what counts is that a rule fits.
fn is_same(a: &RootLinkFacts, b: &RootLinkFacts) -> bool {
    let identity = |it: &RootLinkFacts| {
        let owner = it.owner.uid;
        (it.entry.clone(), owner, it.target.clone(), it.made_at)
    };
    identity(a) == identity(b)
}

impl Operation for Remove<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let RootLinkFacts { link, hold, .. } = self.0;
        held_links::describe_removal(&format!("the root {link}"), *hold)
    }

    fn risk(&self) -> RiskLevel {
        risk::of_root_link(!self.0.hold.is_zero())
    }

    fn frees(&self) -> Frees {
        held_links::frees_of_link(self.0.link.clone(), self.0.hold)
    }

    fn regret(&self) -> Option<Regret> {
        self.0.hold.is_zero().then(|| Regret {
            of: Loss::RootLink,
            since: self.0.last_use.at,
            link: self.0.link.clone(),
        })
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        let Self(facts) = self;
        let Some(job) = job else {
            return Err("the rules for roots are not known".to_string());
        };
        let mut roots = snapshot.roots.iter();
        let root = roots.find(|root| root.link == facts.link && is_candidate(root));
        let Some(root) = root else {
            return Err(format!("{} is no longer a root", facts.link));
        };
        if generations_of_the_job(snapshot, job).contains(&facts.link) {
            return Err(format!("{} is a generation by now", facts.link));
        }
        match judge(root, &Siblings::of(snapshot), snapshot, job) {
            Ok(now) if is_same(&now, facts) => Ok(()),
            Ok(_) => Err(format!("{} has changed since the plan", facts.link)),
            Err(_) => Err(format!("no rule removes {} any more", facts.link)),
        }
    }

    fn hold(&self) -> Option<Span> {
        Some(self.0.hold).filter(|hold| !hold.is_zero())
    }

    fn undo(&self, hold: Option<(Utf8PathBuf, Timestamp)>) -> Option<Undo> {
        hold.map(|(hold, until)| Undo::RestoreLink { hold, until })
    }

    fn inverse(&self) -> Option<Action> {
        Some(Action::RestoreRootLink(self.0.clone()))
    }

    fn state(&self, nix: &dyn NixActions) -> Option<Result<LinkState, PerformError>> {
        Some(nix.see_root_link(self.0))
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let Self(facts) = self;
        held_links::remove_held(
            context,
            (&facts.store_path, facts.hold),
            || context.nix.remove_root_link(facts, context.protected),
            || context.nix.see_root_link(facts),
        )
        .map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_removal(context.nix.see_root_link(self.0))
    }
}

impl Operation for Restore<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        format!("restore the root {}", self.0.link)
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let restored = context.nix.restore_root_link(self.0, RestoreMode::Fresh);
        restored.map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_restored_link(context.nix.see_root_link(self.0), || {
            context.nix.restore_root_link(self.0, RestoreMode::Resume)
        })
    }
}
