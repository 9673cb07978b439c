//! Plans: what a job would do now, and why.
//!
//! A plan is computed from a snapshot by `crate::operations` and fitted to a budget by `crate::engine`. It is also the document
//! that `plan --json` prints and `plan --out` saves.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use self::action::{
    Action, BootFacts, CollectFacts, EarlyFacts, GenerationFacts, HoldFacts, LeftoverFacts,
    OptimiseFacts, PlannedAction, RootFacts, RootLinkFacts, VanishedFacts,
};
pub use self::item::{Decision, Item, Removal, RemovalRule, Subject};
pub use self::prediction::{Later, PlannedKeep, PlannedProfile, Prediction};
use super::accept::Acceptance;
use super::blocker::{self, Blocker, CheckCode};
use super::boot_menu::BootReport;
use super::budget::{BudgetReport, Disk};
use super::job::JobName;
use super::measure::Timestamp;
use super::note::Note;
use super::risk::RiskLevel;
use super::snapshot::MachineId;
use super::store_path::StoreDir;

mod action;
mod item;
mod prediction;

/// What a job would do now, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The form of the document.
    pub schema: PlanSchema,
    /// The moment of the snapshot.
    pub taken_at: Timestamp,
    /// The machine that it is for.
    pub machine: MachineId,
    /// The store that it is for.
    pub store: StoreDir,
    /// The job.
    pub job: JobName,
    /// The risk limit: actions above this level stop the run.
    pub max_risk: RiskLevel,
    /// Whether critical actions are refused whatever `maxRisk` allows.
    pub safe_mode: bool,
    /// The version of nix-prune that made it.
    pub tool_version: String,
    /// The keep rules; null where the job keeps every generation.
    pub keep: Option<PlannedKeep>,
    /// How full the file system of the store is; null where that cannot be read.
    pub disk: Option<Disk>,
    /// The profiles that were seen.
    pub profiles: Vec<PlannedProfile>,
    /// The roots that vanished since the last run. Their former targets are held before anything else is done.
    pub vanished: Vec<VanishedFacts>,
    /// Every generation, dangling root and hold that was seen, and leftovers by directory. What is removed is removed in this order.
    pub items: Vec<Item>,
    /// What is done to the store after the removals, in order.
    pub steps: Vec<PlannedAction>,
    /// What is expected to be freed.
    pub prediction: Prediction,
    /// How the plan compares with the job's disk goal; null without one.
    pub budget: Option<BudgetReport>,
    /// How the plan compares with `bootMenu.minFree`; null without it, and where the boot menu is not known.
    #[serde(default)]
    pub boot_menu: Option<BootReport>,
    /// The safety checks that failed.
    pub failed_checks: Vec<Blocker>,
    /// The safety checks that failed and are accepted.
    pub accepted_checks: Vec<Blocker>,
    /// Every entry of `accept` in the settings, whether it accepts a check now or not.
    pub accept: Vec<Acceptance>,
    /// Whether the job collects garbage and this plan does not, because of a failed safety check.
    pub skips_collection: bool,
    /// The profiles that the job selects and this plan skips because of a failed safety check.
    #[schemars(with = "Vec<String>")]
    pub skipped_profiles: Vec<Utf8PathBuf>,
    /// What a reader should know.
    pub notes: Vec<Note>,
}

/// The form of a plan's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PlanSchema {
    /// The present one.
    #[serde(rename = "nix-prune/plan/2")]
    V2,
}

impl Plan {
    /// Whether each action stands where a plan has it: the removal of an item in that item, and nothing that removes or
    /// restores one among the steps, where limits and tables do not count it.
    pub fn is_consistent(&self) -> bool {
        let is_step = |step: &PlannedAction| !step.action.is_about_an_item();
        self.items.iter().all(Item::is_consistent) && self.steps.iter().all(is_step)
    }

    /// Every action, in the order in which they are done.
    pub fn actions(&self) -> impl Iterator<Item = PlannedAction> {
        let hold = |facts: &VanishedFacts| PlannedAction {
            action: Action::HoldRoot(facts.clone()),
            risk: RiskLevel::Low,
        };
        let removal = |removal: &Removal| PlannedAction {
            action: removal.action.clone(),
            risk: removal.risk,
        };
        let holds = self.vanished.iter().map(hold);
        holds
            .chain(self.removals().map(removal))
            .chain(self.steps.iter().cloned())
    }

    /// The removals of items, in order.
    pub fn removals(&self) -> impl Iterator<Item = &Removal> {
        self.items.iter().filter_map(Item::removal)
    }

    /// The generations that are removed, in order.
    pub fn removed_generations(&self) -> impl Iterator<Item = &GenerationFacts> {
        self.removals()
            .filter_map(|removal| removal.action.removed_generation())
    }

    /// The actions that remove generations and links of roots, in order.
    pub fn removed_links(&self) -> impl Iterator<Item = &Action> {
        let actions = self.removals().map(|removal| &removal.action);
        actions.filter(|action| action.removed_link().is_some())
    }

    /// The leftovers that are removed, in order.
    pub fn removed_leftovers(&self) -> impl Iterator<Item = &LeftoverFacts> {
        self.removals()
            .filter_map(|removal| removal.action.removed_leftovers())
    }

    /// How many generations are removed without a hold, and holds released before their undo window ends.
    pub fn removed_for_good(&self) -> usize {
        let is_for_good = |removal: &&Removal| {
            let generation = removal.action.removed_generation();
            let not_held = generation.is_some_and(|facts| facts.hold.is_zero());
            not_held || removal.rule == RemovalRule::NeededNow
        };
        self.removals().filter(is_for_good).count()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.vanished.is_empty() && self.steps.is_empty() && self.removals().next().is_none()
    }

    /// The failed safety checks that keep something from being done, and not the whole run.
    pub fn left_out(&self) -> impl Iterator<Item = &Blocker> {
        let collection = self.skips_collection;
        self.failed_checks.iter().filter(move |check| {
            check.code.keeps_profiles() || (collection && check.code.stops_collection())
        })
    }

    /// Whether something that was asked for is not done because of a failed safety check.
    pub fn is_refused(&self) -> bool {
        self.skips_collection || !self.skipped_profiles.is_empty()
    }

    /// The failed safety checks that stop the whole run until somebody accepts them. An empty plan has nothing to stop.
    pub fn stops(&self) -> impl Iterator<Item = &Blocker> {
        let nothing = self.is_empty();
        let stops = self.failed_checks.iter().filter(|r| r.code.stops_run());
        stops.filter(move |_| !nothing)
    }

    /// Adds failed safety checks that need a confirmation, except those that are in the plan already.
    pub fn add_anomalies(&mut self, anomalies: Vec<Blocker>, accept: &BTreeSet<CheckCode>) {
        // The size of a plan does not change once it is made, so its code identifies such a check.
        let known = |anomaly: &Blocker| {
            let mut known = self.accepted_checks.iter().chain(&self.failed_checks);
            known.any(|check| check.code == anomaly.code)
        };
        let anomalies: Vec<Blocker> = anomalies
            .into_iter()
            .filter(|anomaly| !known(anomaly))
            .collect();
        let (stops, accepted) = blocker::split_accepted(anomalies, accept, &[]);
        self.failed_checks.extend(stops);
        self.accepted_checks.extend(accepted);
        self.failed_checks.sort();
        self.accepted_checks.sort();
    }

    /// Accepts, on somebody's word, what stops the run.
    pub fn accept_stops(&mut self) {
        let checks = std::mem::take(&mut self.failed_checks);
        let (stops, others) = checks.into_iter().partition(|r| r.code.stops_run());
        self.failed_checks = others;
        self.accepted_checks.extend::<Vec<Blocker>>(stops);
        self.accepted_checks.sort();
    }

    /// Allows critical actions, on the word of a person who has seen what is gone for good.
    pub fn allow_critical(&mut self) {
        self.safe_mode = false;
        self.max_risk = RiskLevel::Critical;
    }

    /// The collection among its steps.
    pub fn collection(&self) -> Option<&CollectFacts> {
        self.steps.iter().find_map(|step| step.action.collection())
    }

    /// The highest risk of its actions; `None` without any.
    pub fn risk(&self) -> Option<RiskLevel> {
        self.actions().map(|planned| planned.risk).max()
    }
}
