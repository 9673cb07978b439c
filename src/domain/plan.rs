//! Plans: what a job would do now, and why, computed from a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use self::action::{
    Action, CollectFacts, EarlyFacts, GenerationFacts, HoldFacts, PlannedAction, RootFacts,
    VanishedFacts,
};
pub use self::budget::{BudgetContext, Recent};
use self::builder::PlanBuilder;
pub use self::builder::{MAX_REMOVALS, MAX_REMOVALS_OF_A_USER, pins_of};
pub use self::recheck::recheck;
use super::accept::Acceptance;
use super::blocker::{self, Blocker, CheckCode};
use super::budget::BudgetReport;
use super::effective_job::EffectiveJob;
use super::job::JobName;
use super::measure::{Bytes, Timestamp};
use super::profile::{GenerationNumber, ProfilePath};
use super::retention::Reasons;
use super::risk::RiskLevel;
use super::root::RootKind;
use super::snapshot::{Held, MachineId, Snapshot};
use super::store_path::StoreDir;

mod action;
mod asked;
mod budget;
mod builder;
mod recheck;

/// Something that was seen, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub subject: Subject,
    /// What is to become of it.
    pub fate: Decision,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A generation.
    Generation {
        /// Its profile.
        profile: ProfilePath,
        /// Its number.
        number: GenerationNumber,
        /// The text of its link.
        target: Utf8PathBuf,
        /// The time of its link.
        created: Timestamp,
    },
    /// A root that leads nowhere, or is gone since the last run.
    Root {
        /// The link it names.
        link: Utf8PathBuf,
        /// The entry that names it.
        entry: Option<Utf8PathBuf>,
        /// Where it comes from.
        kind: RootKind,
    },
    /// A hold.
    Hold {
        /// Its link.
        link: Utf8PathBuf,
        /// What it takes the place of.
        held: Held,
        /// When its window ends.
        until: Timestamp,
    },
}

/// What is to become of an item, with the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A generation stays.
    KeepGeneration(Reasons),
    /// A root or hold stays.
    Keep(KeepCause),
    /// It goes.
    Drop {
        /// The rule that lets it go.
        rule: DropRule,
        /// How much that can hurt.
        risk: RiskLevel,
    },
}

/// Why a root or a hold stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeepCause {
    /// A pattern of `protect.roots` matches.
    Protected,
    /// A path of `protect.paths` covers its link.
    ProtectedPath,
    /// The place is gone, and may only be away: a home or disk that is not mounted.
    ParentMissing,
    /// Its own link is still there; its owner can see it, and remove it.
    LinkExists,
    /// Its link is gone, and its entry lies outside `gcroots/auto`: its owner can see the entry, and remove it.
    EntryByHand,
    /// The job removes no dangling roots.
    NotSelected,
    /// Only root may remove it.
    OtherOwner,
    /// Its name is not UTF-8, and could not be written down and put back exactly.
    NotUtf8,
    /// It is gone since the last run, and a hold takes its place.
    CoveredByHold,
    /// Its undo window is still open.
    WindowOpen,
    /// The budget does not need its room.
    NotNeeded,
    /// One run removes no more.
    LaterRun,
}

/// The rule that lets something go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropRule {
    /// No keep rule keeps the generation.
    NoRuleKeepsIt,
    /// `roots.dangling`: the link is gone.
    Dangling,
    /// The undo window has ended.
    WindowEnded,
    /// The undo window is open, and the budget needs the room now.
    NeededNow,
}

/// What a job would do now.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The moment of the snapshot.
    pub taken_at: Timestamp,
    /// The machine it was drawn for.
    pub machine: MachineId,
    /// The store it was drawn for.
    pub store: StoreDir,
    /// The job.
    pub job: JobName,
    /// Actions above this level stop the run.
    pub max_risk: RiskLevel,
    /// Whether critical actions are refused whatever `max_risk` says.
    pub safe_mode: bool,
    /// Everything seen, and what is to become of it.
    pub items: Vec<Item>,
    /// The steps, in the order they are done.
    pub actions: Vec<PlannedAction>,
    /// What is expected to be freed.
    pub prediction: Prediction,
    /// How it stands to the job's budget, if there is one.
    pub budget: Option<BudgetReport>,
    /// What could not be read.
    pub refusals: Vec<Blocker>,
    /// What could not be read and was let pass.
    pub accepted: Vec<Blocker>,
    /// Every entry of the settings that accepts a safety check, whether it accepts one now or not.
    pub entries: Arc<[Acceptance]>,
    /// Whether a collection was asked for and left out because of a refusal.
    pub collection_refused: bool,
    /// The profiles that were asked for and are left alone because of a refusal.
    pub left_alone: Vec<Utf8PathBuf>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What is expected to be freed; unknown is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Prediction {
    /// By the store's own sizes.
    pub nar_bytes: Option<Bytes>,
    /// On disk.
    pub disk_bytes: Option<Bytes>,
    /// Whether `diskBytes` is only the most that is freed.
    #[serde(default)]
    pub disk_bytes_at_most: bool,
    /// How many store paths.
    pub paths: Option<u64>,
    /// What is freed besides when the holds of what is dropped end.
    #[serde(default)]
    pub when_windows_end: Option<Later>,
}

/// What is freed later, if nothing else changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Later {
    /// By the store's own sizes.
    pub nar_bytes: Bytes,
    /// How many store paths.
    pub paths: u64,
}

impl Plan {
    /// Draws the plan of a job.
    ///
    /// Order: vanished roots, generations, dangling roots, expired holds, collect, optimise, verify.
    pub fn build(snapshot: &Snapshot, job: &EffectiveJob) -> Self {
        let mut draft = PlanBuilder::default();
        draft.generations(snapshot, job);
        draft.roots(snapshot, job);
        draft.holds(snapshot);
        let refusals = snapshot.refusals.iter().cloned();
        let refusals = refusals.chain(asked::blocked(snapshot, job));
        let (refusals, accepted) = blocker::split_accepted(refusals, &job.accept, &job.accepted);
        let refused = refusals.iter().any(|r| r.code.stops_collection());
        draft.store(snapshot, job, refused);
        draft.vanished(snapshot, job);
        let mut notes = snapshot.notes.clone();
        if job.operations.generations.is_some() {
            notes.extend(builder::pins_in_vain(snapshot, job));
        }
        notes.extend(draft.left_for_later(snapshot));
        notes.extend(draft.left_to_nix(snapshot));
        notes.extend(job.policy_notes().iter().cloned());
        Self {
            taken_at: snapshot.taken_at,
            machine: snapshot.machine.clone(),
            store: snapshot.store.clone(),
            job: job.name.clone(),
            max_risk: job.max_risk,
            safe_mode: job.safe_mode,
            items: draft.items,
            actions: draft.actions,
            prediction: Prediction::default(),
            budget: None,
            left_alone: asked::left_alone(snapshot, job, &refusals),
            refusals,
            accepted,
            entries: Arc::clone(&job.accepted),
            collection_refused: job.operations.collect.is_some() && refused,
            notes,
        }
    }

    /// The refusals that keep something from being done, and not the whole run.
    pub fn left_out(&self) -> impl Iterator<Item = &Blocker> {
        let collection = self.collection_refused;
        self.refusals.iter().filter(move |refusal| {
            refusal.code.keeps_profiles() || (collection && refusal.code.stops_collection())
        })
    }

    /// Whether something that was asked for is not done because of a refusal.
    pub fn is_refused(&self) -> bool {
        self.collection_refused || !self.left_alone.is_empty()
    }

    /// What stops the whole run until somebody lets it pass. A plan without actions has nothing to stop.
    pub fn stops(&self) -> impl Iterator<Item = &Blocker> {
        let nothing = self.actions.is_empty();
        let stops = self.refusals.iter().filter(|r| r.code.stops_run());
        stops.filter(move |_| !nothing)
    }

    /// Adds safety checks that need a confirmation, except those that are accepted already.
    pub fn alarm(&mut self, alarms: Vec<Blocker>, accept: &BTreeSet<CheckCode>) {
        // What a plan takes does not change after it was drawn: an alarm is known by its code.
        let known = |alarm: &Blocker| {
            let mut told = self.accepted.iter().chain(&self.refusals);
            told.any(|refusal| refusal.code == alarm.code)
        };
        let alarms: Vec<Blocker> = alarms.into_iter().filter(|alarm| !known(alarm)).collect();
        let (stops, accepted) = blocker::split_accepted(alarms, accept, &[]);
        self.refusals.extend(stops);
        self.accepted.extend(accepted);
        self.refusals.sort();
        self.accepted.sort();
    }

    /// Lets pass what stops it, on somebody's word.
    pub fn accept_refusals(&mut self) {
        let refusals = std::mem::take(&mut self.refusals);
        let (stops, others) = refusals.into_iter().partition(|r| r.code.stops_run());
        self.refusals = others;
        self.accepted.extend::<Vec<Blocker>>(stops);
        self.accepted.sort();
    }

    /// What it collects.
    pub fn collections(&self) -> impl Iterator<Item = &CollectFacts> {
        let actions = self.actions.iter();
        actions.filter_map(|planned| planned.action.collection())
    }

    /// Whether garbage is to be collected.
    pub fn collects(&self) -> bool {
        self.collections().next().is_some()
    }

    /// The highest risk of its actions; `None` when there are none.
    pub fn risk(&self) -> Option<RiskLevel> {
        self.actions.iter().map(|a| a.risk).max()
    }
}
