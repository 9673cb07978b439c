//! `bootMenu.minFree`: the removals that the file system of the boot menu needs, beside those that the store needs.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use crate::domain::boot_menu::{BootEntry, BootMenu, BootReport, SeenMenu};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::Bytes;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{Action, Decision, GenerationFacts, Plan, Removal};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Snapshot;
use crate::operations::boot_menu;

/// The links of removed system generations.
type Removed = BTreeSet<Utf8PathBuf>;

/// Fits a plan to the goal: adds removals that the keep rules allow and the budget of the store does not need, the oldest first, and
/// as few as reach the goal. Nothing is added where the menu is not understood or cannot be refreshed.
pub(in crate::engine) fn fit(plan: &mut Plan, snapshot: &Snapshot, job: &EffectiveJob) {
    let Some(goal) = job.operations.boot_menu.and_then(|it| it.min_free) else {
        return;
    };
    let menu = match &snapshot.boot.menu {
        SeenMenu::Known(menu) => menu,
        SeenMenu::None => return note(plan, "no boot menu of NixOS was found"),
        SeenMenu::Unknown(why) => {
            return note(plan, &format!("cannot read the boot menu in {why}"));
        }
    };
    let mut removed: Removed = plan.removed_generations().filter_map(system).collect();
    if boot_menu::can_refresh(snapshot) && menu.free < goal {
        let mut chosen = choose(menu, goal, &mut removed, snapshot, job);
        for item in &mut plan.items {
            if let Some(removal) = chosen.remove(&item.subject.link()) {
                item.decision = Decision::Remove(removal);
            }
        }
        boot_menu::add_refresh(plan, snapshot);
    }
    let mut steps = plan.steps.iter();
    let is_refreshed = steps.any(|step| matches!(step.action, Action::RefreshBootMenu(_)));
    let after = if is_refreshed {
        free_without(menu, &removed, snapshot)
    } else {
        menu.free
    };
    plan.boot_menu = Some(BootReport {
        dir: menu.dir.clone(),
        min_free: goal,
        free: menu.free,
        frees: Bytes(after.0.saturating_sub(menu.free.0)),
        missing: Bytes(goal.0.saturating_sub(after.0)),
    });
}

fn note(plan: &mut Plan, why: &str) {
    let text = format!("bootMenu.minFree removes nothing: {why}.");
    plan.notes.push(Note::new(NoteCode::BootUnknown, text));
}

fn system(facts: &GenerationFacts) -> Option<Utf8PathBuf> {
    let is_system = facts.profile_kind.boots_the_machine();
    is_system.then(|| facts.profile.link(facts.number))
}

/// What is free once the menu lists what is left.
fn free_without(menu: &BootMenu, removed: &Removed, snapshot: &Snapshot) -> Bytes {
    let stays = |entry: &BootEntry| {
        let mut profiles = snapshot.profiles.iter();
        // Of a profile that was not found it is not known which generations exist.
        profiles.find(|it| entry.is_of(it)).is_none_or(|profile| {
            let link = profile.path.link(entry.generation);
            profile.generations.contains_key(&entry.generation) && !removed.contains(&link)
        })
    };
    let (_, freed) = menu.left_out(stays);
    Bytes(menu.free.0.saturating_add(freed.0))
}

/// The removals that are needed, by their links, which are added to `removed`.
fn choose(
    menu: &BootMenu,
    goal: Bytes,
    removed: &mut Removed,
    snapshot: &Snapshot,
    job: &EffectiveJob,
) -> BTreeMap<Utf8PathBuf, Removal> {
    let mut chosen = BTreeMap::new();
    let all = Plan::build(snapshot, job);
    let mut candidates: Vec<(&GenerationFacts, &Removal)> = all
        .removals()
        .filter_map(|removal| Some((removal.action.removed_generation()?, removal)))
        .filter(|(_, removal)| removal.risk <= ceiling(job))
        .collect();
    candidates.sort_by_key(|(facts, _)| (facts.created, &facts.profile, facts.number));
    let mut order = Vec::new();
    for (facts, removal) in candidates {
        if free_without(menu, removed, snapshot) >= goal {
            break;
        }
        let Some(link) = system(facts).filter(|link| !removed.contains(link)) else {
            continue;
        };
        removed.insert(link.clone());
        chosen.insert(link.clone(), removal.clone());
        order.push(link);
    }
    // One whose kernel another one uses, or that is not on the menu, is kept. Of several, the older ones are removed.
    let reached = free_without(menu, removed, snapshot).min(goal);
    for link in order.into_iter().rev() {
        removed.remove(&link);
        if free_without(menu, removed, snapshot) >= reached {
            chosen.remove(&link);
        } else {
            removed.insert(link);
        }
    }
    chosen
}

/// A riskier removal would make the gate refuse the whole plan.
fn ceiling(job: &EffectiveJob) -> RiskLevel {
    if job.safe_mode {
        job.max_risk.min(RiskLevel::High)
    } else {
        job.max_risk
    }
}
