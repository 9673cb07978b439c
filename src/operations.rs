//! Operations: one file each, with everything that is to be known of its actions.
//!
//! An operation selects what a plan does from a snapshot. Each of its actions is looked at again before it is performed, is
//! performed over the ports, is examined after an interruption, may be undone, and describes itself. The facts that an action carries
//! are plain data in [`crate::domain::plan`], for plans and records keep them.

use camino::Utf8PathBuf;

use crate::domain::blocker::{self, Blocker};
use crate::domain::disk_use::Taken;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::maintenance::Report;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::note::Note;
use crate::domain::plan::{
    Action, Decision, HoldFacts, Item, Plan, PlanSchema, PlannedAction, PlannedKeep,
    PlannedProfile, Prediction, Removal, RemovalRule, Subject, VanishedFacts,
};
use crate::domain::profile::{Profile, ProfileNames};
use crate::domain::protected::ProtectedPaths;
use crate::domain::receipt::{Outcome, Undo};
use crate::domain::retention::{Reason, Reasons};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Snapshot;
use crate::ports::{LinkState, NixActions, PerformError, error_chain};

pub(crate) mod boot_menu;
mod collect;
pub mod generations;
mod held_links;
pub(crate) mod holds;
mod leftovers;
pub(crate) mod optimise;
mod root_links;
mod roots;
#[cfg(test)]
mod tests;
pub(crate) mod vanished;
mod verify;

/// The operations, in the order in which a run does them.
const OPERATIONS: [fn(&mut Draft<'_>); 9] = [
    generations::select,
    root_links::select,
    roots::select,
    holds::select,
    leftovers::select,
    collect::select,
    boot_menu::select,
    maintenance,
    vanished::select,
];

impl Action {
    /// Its operation.
    pub fn operation(&self) -> Box<dyn Operation + '_> {
        match self {
            Self::HoldRoot(facts) => Box::new(vanished::Hold(facts)),
            Self::RemoveGeneration(facts) => Box::new(generations::Remove(facts)),
            Self::RestoreGeneration(facts) => Box::new(generations::Restore(facts)),
            Self::RemoveRoot(facts) => Box::new(roots::Remove(facts)),
            Self::RestoreRoot(facts) => Box::new(roots::Restore(facts)),
            Self::RemoveRootLink(facts) => Box::new(root_links::Remove(facts)),
            Self::RestoreRootLink(facts) => Box::new(root_links::Restore(facts)),
            Self::ReleaseHold(facts) => Box::new(holds::Release(facts)),
            Self::ReleaseEarly(facts) => Box::new(holds::ReleaseEarly(facts)),
            Self::RemoveLeftovers(facts) => Box::new(leftovers::Remove(facts)),
            Self::Collect(facts) => Box::new(collect::Collect(facts)),
            Self::RefreshBootMenu(facts) => Box::new(boot_menu::Refresh(facts)),
            Self::Optimise(facts) => Box::new(optimise::Optimise(facts)),
            Self::Verify { contents } => Box::new(verify::Verify {
                contents: *contents,
            }),
        }
    }
}

/// One kind of action.
pub trait Operation {
    /// What the action does, in the imperative. Names in it are not escaped for a terminal.
    fn describe(&self, names: &ProfileNames<'_>) -> String;

    /// The least risk that its facts allow. A saved plan cannot state less.
    fn risk(&self) -> RiskLevel {
        RiskLevel::Low
    }

    /// What is freed by it, with a collection.
    fn frees(&self) -> Frees {
        Frees::Nothing
    }

    /// What a budget gives up for good by it.
    fn regret(&self) -> Option<Regret> {
        None
    }

    /// Looks at its facts again, in a fresh snapshot. The job is not known when holds are released by hand.
    ///
    /// # Errors
    /// What has changed since it was planned.
    fn recheck(&self, _snapshot: &Snapshot, _job: Option<&EffectiveJob>) -> Result<(), String> {
        Ok(())
    }

    /// How long a hold is needed before it is performed.
    fn hold(&self) -> Option<Span> {
        None
    }

    /// What undoes it, with the hold that was made for it.
    fn undo(&self, _hold: Option<(Utf8PathBuf, Timestamp)>) -> Option<Undo> {
        None
    }

    /// The action of an undo that reverses it.
    fn inverse(&self) -> Option<Action> {
        None
    }

    /// How the link that it removes looks now; `None` for what removes none.
    fn state(&self, nix: &dyn NixActions) -> Option<Result<LinkState, PerformError>> {
        let _ = nix;
        None
    }

    /// Performs it.
    ///
    /// # Errors
    /// Why it was not done, or not wholly.
    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError>;

    /// Finds out what became of it in a run that was interrupted.
    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String);
}

/// What there is to say of an action that was performed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Performed {
    /// A note for people.
    pub note: Option<String>,
    /// What it found out.
    pub report: Option<Report>,
}

impl From<()> for Performed {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Option<String>> for Performed {
    fn from(note: Option<String>) -> Self {
        Self { note, report: None }
    }
}

/// What an action is performed on.
pub struct ActionContext<'a> {
    /// Nix.
    pub nix: &'a dyn NixActions,
    /// The hold that was prepared for it.
    pub hold: Option<HoldFacts>,
    /// The paths that the settings protect.
    pub protected: &'a ProtectedPaths,
}

/// What an action frees, for the most part only if garbage is collected after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frees {
    /// Nothing that a prediction counts.
    Nothing,
    /// These blocks and inodes, without a collection.
    OnDisk(Taken),
    /// What only this link keeps.
    Now(Utf8PathBuf),
    /// What only this link keeps, when the undo window ends.
    WhenWindowEnds(Utf8PathBuf),
}

/// What is lost for good when a budget needs an action, in the order in which a budget takes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regret {
    /// What is lost.
    pub of: Loss,
    /// Its age: the oldest is lost first.
    pub since: Timestamp,
    /// Its link.
    pub link: Utf8PathBuf,
}

/// What is lost, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// A hold whose undo window has ended.
    EndedHold,
    /// The link of a root without a hold.
    RootLink,
    /// A hold whose undo window is open.
    OpenHold,
    /// A generation without a hold.
    Generation,
}

/// A plan while the operations select what it does.
struct Draft<'a> {
    snapshot: &'a Snapshot,
    job: &'a EffectiveJob,
    failed_checks: Vec<Blocker>,
    vanished: Vec<VanishedFacts>,
    items: Vec<Item>,
    steps: Vec<PlannedAction>,
    notes: Vec<Note>,
}

impl Draft<'_> {
    fn keep(&mut self, subject: Subject, reason: Reason) {
        let reasons = Reasons::one(reason);
        self.item(subject, Decision::Keep { reasons });
    }

    fn remove(&mut self, subject: Subject, rule: RemovalRule, risk: RiskLevel, action: Action) {
        let removal = Removal { rule, risk, action };
        self.item(subject, Decision::Remove(removal));
    }

    fn item(&mut self, subject: Subject, decision: Decision) {
        self.items.push(Item {
            subject,
            exclusive_bytes: None,
            decision,
        });
    }

    fn step(&mut self, action: Action) {
        let risk = RiskLevel::Low;
        self.steps.push(PlannedAction { action, risk });
    }

    fn removals(&self) -> impl Iterator<Item = &Action> {
        let removals = self.items.iter().filter_map(Item::removal);
        removals.map(|removal| &removal.action)
    }

    fn collection_is_blocked(&self) -> bool {
        let mut checks = self.failed_checks.iter();
        checks.any(|check| check.code.stops_collection())
    }

    fn collects(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.action.collection().is_some())
    }
}

impl Plan {
    /// Makes the plan of a job, without a prediction.
    pub fn build(snapshot: &Snapshot, job: &EffectiveJob) -> Self {
        let failed = snapshot.blockers.iter().cloned();
        let failed = failed.chain(generations::skipped::blocked(snapshot, job));
        let (failed_checks, accepted_checks) =
            blocker::split_accepted(failed, &job.accept, &job.accepted);
        let mut draft = Draft {
            snapshot,
            job,
            failed_checks,
            vanished: Vec::new(),
            items: Vec::new(),
            steps: Vec::new(),
            notes: snapshot.notes.clone(),
        };
        for select in OPERATIONS {
            select(&mut draft);
        }
        let generations = job.operations.generations.as_ref();
        let keep = generations.map(|operation| PlannedKeep {
            rules: *operation.keep.rules(),
            overrides_job: operation.keep.overrides_job(),
        });
        let mut profiles: Vec<&Profile> = snapshot.profiles.iter().collect();
        profiles.sort_by_key(|profile| (!profile.kind.is_system(), &profile.path));
        let profiles = profiles.into_iter().map(|profile| PlannedProfile {
            profile: profile.path.clone(),
            owner: profile.owner.clone(),
            current: profile.current(),
            frees: None,
        });
        let skips_collection = job.operations.collect.is_some() && draft.collection_is_blocked();
        draft.notes.extend(job.policy_notes().iter().cloned());
        Self {
            schema: PlanSchema::V2,
            taken_at: snapshot.taken_at,
            machine: snapshot.machine.clone(),
            store: snapshot.store.clone(),
            job: job.name.clone(),
            max_risk: job.max_risk,
            safe_mode: job.safe_mode,
            tool_version: env!("CARGO_PKG_VERSION").to_string(),
            keep,
            disk: None,
            profiles: profiles.collect(),
            vanished: draft.vanished,
            items: draft.items,
            steps: draft.steps,
            prediction: Prediction::default(),
            budget: None,
            boot_menu: None,
            skipped_profiles: generations::skipped::profiles(snapshot, job, &draft.failed_checks),
            failed_checks: draft.failed_checks,
            accepted_checks,
            accept: job.accepted.to_vec(),
            skips_collection,
            notes: draft.notes,
        }
    }
}

/// What is done to the store after a collection needs no facts: the settings name the actions.
fn maintenance(draft: &mut Draft<'_>) {
    for action in &draft.job.operations.maintenance {
        draft.step(action.clone());
    }
}

/// What became of an interrupted restoration of a link that has a time and a root of its own. A link without them is
/// finished, not undone.
fn examine_restored_link(
    seen: Result<LinkState, PerformError>,
    finish: impl FnOnce() -> Result<(), PerformError>,
) -> (Outcome, String) {
    examine_restoration(match seen {
        Ok(LinkState::Unfinished | LinkState::Unchanged) => finish().map(|()| LinkState::Unchanged),
        seen => seen,
    })
}

/// What became of an interrupted removal, by what is there now.
fn examine_removal(seen: Result<LinkState, PerformError>) -> (Outcome, String) {
    match seen {
        Ok(LinkState::Gone) => found_done(),
        // A hold that exists is kept until its window ends: a `nix-env` that outlived the run may still be waiting for
        // the profile's lock, and remove the generation after all.
        Ok(LinkState::Unchanged) => not_begun(),
        seen => examine_other(seen),
    }
}

/// What became of an interrupted restoration, by what is there now.
fn examine_restoration(seen: Result<LinkState, PerformError>) -> (Outcome, String) {
    match seen {
        Ok(LinkState::Gone) => not_begun(),
        Ok(LinkState::Unchanged) => found_done(),
        seen => examine_other(seen),
    }
}

fn examine_other(seen: Result<LinkState, PerformError>) -> (Outcome, String) {
    match seen {
        Ok(_) => (
            Outcome::Stale,
            "interrupted; something else is in its place now".to_string(),
        ),
        Err(error) => (
            Outcome::Failed,
            format!(
                "interrupted; its progress is unknown: {}",
                error_chain(&error)
            ),
        ),
    }
}

/// What became of an interrupted step that leaves no trace.
fn examine_repeatable() -> (Outcome, String) {
    let why = "interrupted; unknown whether it finished, and safe to repeat";
    (Outcome::Skipped, why.to_string())
}

fn found_done() -> (Outcome, String) {
    (Outcome::Done, "interrupted; found completed".to_string())
}

fn not_begun() -> (Outcome, String) {
    (
        Outcome::Skipped,
        "interrupted; found not completed".to_string(),
    )
}
