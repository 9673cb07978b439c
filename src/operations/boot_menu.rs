//! `bootMenu`: refreshes the boot menu of NixOS, so that it lists the system generations that there are.

use super::{ActionContext, Draft, Operation, Performed, ProfileNames};
use crate::domain::boot_menu::{BootEntry, SeenMenu};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{Action, BootFacts, Plan, PlannedAction};
use crate::domain::profile::ProfileKind;
use crate::domain::receipt::{Entry, Outcome, Receipt};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::StorePath;
use crate::ports::PerformError;

/// Refreshes the boot menu.
pub(super) struct Refresh<'a>(pub(super) &'a BootFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let is_wanted = draft.job.operations.boot_menu.is_some();
    let is_needed = draft.removals().any(concerns) || lists_removed(draft.snapshot);
    if !is_wanted || !is_needed {
        return;
    }
    match writer(draft.snapshot) {
        Ok(system) => draft.step(Action::RefreshBootMenu(BootFacts { system })),
        Err(why) => draft.notes.push(Note::new(
            NoteCode::BootNotRefreshed,
            format!("The boot menu is not refreshed: {why}."),
        )),
    }
}

/// Whether the menu can be refreshed.
pub(crate) fn can_refresh(snapshot: &Snapshot) -> bool {
    writer(snapshot).is_ok()
}

/// Adds the refresh to a plan that needs it, after its collection.
pub(crate) fn add_refresh(plan: &mut Plan, snapshot: &Snapshot) {
    let is_needed = plan.removals().any(|it| concerns(&it.action)) || lists_removed(snapshot);
    let is_there = plan.steps.iter().any(|step| is_refresh(&step.action));
    if let (true, false, Ok(system)) = (is_needed, is_there, writer(snapshot)) {
        let mut steps = plan.steps.iter();
        let collection = steps.position(|step| step.action.collection().is_some());
        let action = Action::RefreshBootMenu(BootFacts { system });
        let risk = RiskLevel::Low;
        let step = PlannedAction { action, risk };
        plan.steps.insert(collection.map_or(0, |at| at + 1), step);
    }
}

/// Leaves the refresh out of a plan that a budget has made smaller, if nothing needs it any more.
pub(crate) fn omit_needless(plan: &mut Plan, snapshot: &Snapshot) {
    let is_needed = plan.removals().any(|it| concerns(&it.action)) || lists_removed(snapshot);
    plan.steps
        .retain(|step| is_needed || !is_refresh(&step.action));
}

/// Whether an entry is a refresh that nothing in the run needs: every removal of a system generation was left out or failed.
pub(crate) fn is_needless(receipt: &Receipt, index: usize, snapshot: &Snapshot) -> bool {
    let entry = receipt.entries.get(index);
    let mut done = receipt.entries.iter().filter(|it| is_done(it));
    entry.is_some_and(|it| it.outcome == Outcome::Pending && is_refresh(&it.action))
        && !done.any(|it| concerns(&it.action))
        && !lists_removed(snapshot)
}

/// The refresh after the undo of a run that refreshed the menu, if the undo restores a system generation.
pub(crate) fn after_undo(
    original: &Receipt,
    restored: &[Entry],
    snapshot: &Snapshot,
) -> Option<Action> {
    let mut done = original.entries.iter().filter(|it| is_done(it));
    let is_needed = done.any(|it| is_refresh(&it.action))
        && restored.iter().any(|entry| concerns(&entry.action));
    let system = writer(snapshot).ok().filter(|_| is_needed)?;
    Some(Action::RefreshBootMenu(BootFacts { system }))
}

fn is_done(entry: &Entry) -> bool {
    entry.outcome == Outcome::Done
}

fn is_refresh(action: &Action) -> bool {
    matches!(action, Action::RefreshBootMenu(_))
}

/// Whether an action changes what a boot menu lists.
fn concerns(action: &Action) -> bool {
    let generation = action.changed_generation();
    generation.is_some_and(|facts| facts.profile_kind.boots_the_machine())
}

/// Whether the menu lists a generation that does not exist. Of a profile that was not found that is not known.
fn lists_removed(snapshot: &Snapshot) -> bool {
    let SeenMenu::Known(menu) = &snapshot.boot.menu else {
        return false;
    };
    let is_removed = |entry: &BootEntry| {
        let mut profiles = snapshot.profiles.iter();
        let profile = profiles.find(|profile| entry.is_of(profile));
        profile.is_some_and(|it| !it.generations.contains_key(&entry.generation))
            && menu.has_files_of(entry)
    };
    menu.entries.iter().any(is_removed)
}

/// The system that refreshes the menu, and that the machine boots by default afterwards.
fn writer(snapshot: &Snapshot) -> Result<StorePath<String>, String> {
    let mut profiles = snapshot.profiles.iter();
    let profile = profiles.find(|profile| profile.kind == ProfileKind::System);
    let profile = profile.ok_or("this machine has no profile `system`")?;
    if !snapshot.actor.may_act_for(profile.owner.uid) {
        return Err(format!("only {} may do that", profile.owner));
    }
    let Some(system) = &snapshot.boot.writer else {
        return Err(
            "the current system has no bin/switch-to-configuration, as a system of NixOS has"
                .to_string(),
        );
    };
    if let SeenMenu::Known(menu) = &snapshot.boot.menu
        && let Some(default) = &menu.default
        && default != system
    {
        return Err(format!(
            "it boots {default} by default, and a refresh would change that to {system}; run \
             `bin/switch-to-configuration boot` of the system that the machine should boot"
        ));
    }
    Ok(system.clone())
}

impl Operation for Refresh<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        "refresh the boot menu".to_string()
    }

    fn recheck(&self, snapshot: &Snapshot, _: Option<&EffectiveJob>) -> Result<(), String> {
        let system = &self.0.system;
        match writer(snapshot)? {
            current if current == *system => Ok(()),
            current => Err(format!(
                "the current system is {current}, and no longer {system}"
            )),
        }
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        context.nix.refresh_boot_menu(self.0).map(Performed::from)
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
