//! The document of `report --json`, which the page of `report` shows.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::Serialize;

use super::status::frees_now;
use super::usage::leftover_documents;
use super::{
    FreesDocument, GenerationsDocument, HeldRunDocument, HoldDocument, LeftoverDocument,
    ProfileDocument, RootDocument, RunDocument, StatusDocument, TOOL_VERSION, history, holds,
    roots,
};
use crate::domain::analysis::{Share, Sizes, StoreAnalysis};
use crate::domain::blocker::Blocker;
use crate::domain::budget::{BudgetReport, Disk};
use crate::domain::graph::PackageGroup;
use crate::domain::leftover::{LeftoverClass, LeftoverSum};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::Note;
use crate::domain::plan::{
    Action, Decision, Plan, PlannedAction, PlannedKeep, RemovalRule, Subject,
};
use crate::domain::profile::{GenerationNumber, ProfileNames, ProfilePath};
use crate::domain::receipt::{Receipt, RunId};
use crate::domain::retention::Reasons;
use crate::domain::risk::RiskLevel;
use crate::domain::root::RootKind;
use crate::domain::snapshot::Snapshot;

mod limits;
mod parts;

pub use limits::Listed;
use limits::newest;
pub use parts::StorePartDocument;
use parts::parts;

/// The store, its roots, the plan of each job and the past runs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/report/1"))]
    pub schema: &'static str,
    /// The version of nix-prune that made it.
    pub tool_version: &'static str,
    /// The name of the machine; null if unknown.
    pub host_name: Option<String>,
    /// The name of the machine's time zone; null if it has none.
    pub time_zone: Option<String>,
    /// How full the store's file system is, what one job frees, the runs of the jobs, and what needs attention.
    pub status: StatusDocument,
    /// All valid paths.
    pub total: FreesDocument,
    /// The parts of the store; they add up to the total.
    pub parts: Vec<StorePartDocument>,
    /// What Nix left beside the store, old and in use, by class.
    pub leftovers: Vec<LeftoverDocument>,
    /// The plan of each enabled job.
    pub plans: Vec<JobPlanDocument>,
    /// The profiles with their newest generations.
    pub profiles: Vec<ListedProfileDocument>,
    /// Packages of which the store has several versions, the largest first.
    pub duplicates: Listed<PackageSumDocument>,
    /// The roots that are no generations or holds and no processes, the largest exclusive size first.
    pub roots: Listed<RootDocument>,
    /// The holds, in the order in which they end.
    pub holds: Listed<HoldDocument>,
    /// The runs that made the holds, in the order in which the holds end.
    pub held_runs: Vec<HeldRunDocument>,
    /// The recorded runs, from the newest.
    pub runs: Listed<RunDocument>,
    /// How full the file system was before and after runs with a budget, from the oldest.
    pub disk_history: Vec<DiskPointDocument>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// What the document is made of.
#[derive(Debug)]
pub struct ReportFacts<'a> {
    /// The name of the machine.
    pub host_name: Option<String>,
    /// The snapshot, with the last use of each link.
    pub snapshot: &'a Snapshot,
    /// The store.
    pub store: &'a StoreAnalysis,
    /// What the roots and generations cost.
    pub sizes: &'a Sizes,
    /// The answer of `status`.
    pub status: StatusDocument,
    /// The plans of the enabled jobs.
    pub plans: Vec<JobPlanDocument>,
    /// The profiles.
    pub generations: GenerationsDocument,
    /// What is beside the store.
    pub leftovers: &'a [(LeftoverClass, LeftoverSum)],
    /// The records, from the oldest.
    pub receipts: &'a [Receipt],
}

/// The document of these facts.
pub fn report(facts: ReportFacts<'_>) -> ReportDocument {
    let ReportFacts {
        snapshot, store, ..
    } = facts;
    let division = store.division(snapshot);
    let shares: Vec<Share> = division.iter().map(|part| store.share_of(part)).collect();
    let mut held = holds(snapshot, Some(&shares));
    held.holds.sort_by_key(|hold| hold.until);
    let profiles = newest(facts.generations.profiles);
    let mut plans = facts.plans;
    for plan in plans.iter_mut().filter_map(|job| job.plan.as_mut()) {
        plan.limit_to(&profiles);
    }
    let packages = store.graph().groups_by_package(store.graph().nodes());
    let duplicates = packages.iter().filter(|package| package.versions > 1);
    let runs = history(facts.receipts, snapshot.taken_at).runs;
    ReportDocument {
        schema: "nix-prune/report/1",
        tool_version: TOOL_VERSION,
        host_name: facts.host_name,
        time_zone: snapshot.zone.iana_name().map(str::to_string),
        status: facts.status,
        total: store.graph().weight_of_each(store.graph().nodes()).into(),
        parts: parts(store, snapshot, &division),
        leftovers: leftover_documents(facts.leftovers),
        plans,
        profiles,
        duplicates: Listed::of(duplicates.map(Into::into)),
        roots: other_roots(snapshot, facts.sizes),
        holds: Listed::of(held.holds),
        held_runs: held.runs,
        runs: Listed::of(runs.into_iter().rev()),
        disk_history: disk_history(facts.receipts),
        notes: store.notes(!store.dead().is_empty()),
    }
}

/// The roots that have no other place in the document.
fn other_roots(snapshot: &Snapshot, sizes: &Sizes) -> Listed<RootDocument> {
    let is_other = |root: &RootDocument| !matches!(root.kind, RootKind::Profile | RootKind::Hold);
    let mut roots = roots(snapshot, Some(sizes)).roots;
    roots.retain(is_other);
    roots.sort_by_key(|root| Reverse(root.exclusive_bytes));
    Listed::of(roots)
}

/// The paths of a package.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageSumDocument {
    /// Its name, without version.
    pub name: String,
    /// Number of versions; a path without a version counts as one.
    pub versions: u64,
    /// Number of paths.
    pub paths: u64,
    /// Their NAR size.
    pub nar_bytes: Bytes,
}

impl From<&PackageGroup<'_>> for PackageSumDocument {
    fn from(group: &PackageGroup<'_>) -> Self {
        Self {
            name: group.name.to_string(),
            versions: group.versions,
            paths: group.weight.paths,
            nar_bytes: group.weight.nar_bytes,
        }
    }
}

/// A profile with its newest generations.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedProfileDocument {
    /// The profile.
    #[serde(flatten)]
    pub profile: ProfileDocument,
    /// Number of older generations that are not listed.
    pub older: u64,
}

/// How full the file system of the store was.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskPointDocument {
    /// When.
    pub at: Timestamp,
    /// The run that measured it.
    pub run: RunId,
    /// How full it was.
    #[serde(flatten)]
    pub disk: Disk,
}

/// An enabled job with its plan.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobPlanDocument {
    /// Its name.
    pub job: String,
    /// Its description in the settings.
    pub description: Option<String>,
    /// Its plan; null if it cannot be planned.
    pub plan: Option<PlanSummaryDocument>,
    /// Why it cannot be planned; null if it can.
    pub problem: Option<String>,
}

/// What a job would do now. `plan --json` has every item.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummaryDocument {
    /// The keep rules; null where the job keeps every generation.
    pub keep: Option<PlannedKeep>,
    /// How the plan compares with the job's disk goal; null without one.
    pub budget: Option<BudgetReport>,
    /// The highest risk of its actions; null without any.
    pub risk: Option<RiskLevel>,
    /// The risk limit of the job.
    pub max_risk: RiskLevel,
    /// What it frees at once, by NAR size; null where that is unknown.
    pub frees_now: Option<FreesDocument>,
    /// What it frees when the undo windows of what it removes end.
    pub frees_later: Option<FreesDocument>,
    /// The earliest end of these undo windows; null where nothing is held.
    pub frees_later_at: Option<Timestamp>,
    /// The profiles, with what it removes and keeps of each.
    pub profiles: Vec<PlannedGenerationsDocument>,
    /// Number of dangling roots that it removes.
    pub dangling_roots: usize,
    /// Number of links of roots that it removes.
    pub root_links: usize,
    /// What these links keep together, by NAR size; null where that is unknown.
    pub root_links_bytes: Option<Bytes>,
    /// Number of holds that it releases.
    pub released_holds: usize,
    /// What it removes beside the store, on disk.
    pub leftovers: LeftoverSum,
    /// What is done to the store after the removals, in order.
    pub steps: Vec<PlannedAction>,
    /// The safety checks that failed.
    pub failed_checks: Vec<Blocker>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// What a job does with the generations of a profile.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedGenerationsDocument {
    /// The profile.
    pub profile: ProfilePath,
    /// Its short name.
    pub short_name: String,
    /// The generations that are removed, in order.
    pub removes: Vec<GenerationNumber>,
    /// What they keep together, by NAR size; null where that is unknown.
    pub frees: Option<Bytes>,
    /// The generations that are kept, with all reasons.
    pub keeps: Vec<KeptGenerationDocument>,
}

/// A generation that a job keeps.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptGenerationDocument {
    /// Its number.
    pub number: GenerationNumber,
    /// All reasons.
    pub reasons: Reasons,
}

/// The summary of a plan.
pub fn plan_summary(plan: &Plan) -> PlanSummaryDocument {
    let prediction = &plan.prediction;
    let windows = plan.removed_links().filter_map(Action::promised_hold);
    let window = windows.filter(|window| !window.is_zero()).min();
    let mut leftovers = LeftoverSum::default();
    for facts in plan.removed_leftovers() {
        leftovers.join(facts.old);
    }
    let removed_by = |rules: &[RemovalRule]| {
        let removals = plan.removals();
        removals
            .filter(|removal| rules.contains(&removal.rule))
            .count()
    };
    let links = plan.removals();
    let links = links.filter(|removal| removal.action.removed_root_link().is_some());
    PlanSummaryDocument {
        keep: plan.keep,
        budget: plan.budget.clone(),
        risk: plan.risk(),
        max_risk: plan.max_risk,
        frees_now: frees_now(prediction),
        frees_later: prediction.when_windows_end.map(Into::into),
        frees_later_at: window.map(|window| plan.taken_at.after(window)),
        profiles: planned_generations(plan),
        dangling_roots: removed_by(&[RemovalRule::Dangling]),
        root_links: links.count(),
        root_links_bytes: prediction.root_links,
        released_holds: removed_by(&[RemovalRule::WindowEnded, RemovalRule::NeededNow]),
        leftovers,
        steps: plan.steps.clone(),
        failed_checks: plan.failed_checks.clone(),
        notes: plan
            .notes
            .iter()
            .chain(&prediction.notes)
            .cloned()
            .collect(),
    }
}

impl PlanSummaryDocument {
    /// Leaves the reasons of those generations that are listed.
    pub fn limit_to(&mut self, listed: &[ListedProfileDocument]) {
        for planned in &mut self.profiles {
            let path = planned.profile.to_string();
            let listed = listed.iter().find(|it| it.profile.path == path);
            let first = listed.and_then(|it| it.profile.generations.first());
            let is_listed = |kept: &KeptGenerationDocument| {
                first.is_some_and(|first| kept.number >= first.number)
            };
            planned.keeps.retain(is_listed);
        }
    }
}

fn planned_generations(plan: &Plan) -> Vec<PlannedGenerationsDocument> {
    let names: ProfileNames<'_> = plan.profiles.iter().map(|it| &it.profile).collect();
    let mut profiles: Vec<PlannedGenerationsDocument> = plan
        .profiles
        .iter()
        .map(|planned| PlannedGenerationsDocument {
            profile: planned.profile.clone(),
            short_name: names.of(&planned.profile),
            removes: Vec::new(),
            frees: planned.frees,
            keeps: Vec::new(),
        })
        .collect();
    let index: std::collections::HashMap<&ProfilePath, usize> = plan
        .profiles
        .iter()
        .enumerate()
        .map(|(index, planned)| (&planned.profile, index))
        .collect();
    for item in &plan.items {
        let Subject::Generation {
            profile, number, ..
        } = &item.subject
        else {
            continue;
        };
        let index = index.get(profile).copied();
        let Some(planned) = index.and_then(|index| profiles.get_mut(index)) else {
            continue;
        };
        match &item.decision {
            Decision::Remove(_) => planned.removes.push(*number),
            Decision::Keep { reasons } => planned.keeps.push(KeptGenerationDocument {
                number: *number,
                reasons: reasons.clone(),
            }),
        }
    }
    profiles
}

/// How full the file system was before and after those runs that measured it.
fn disk_history(receipts: &[Receipt]) -> Vec<DiskPointDocument> {
    let mut points = Vec::new();
    for receipt in receipts {
        let Some(budget) = &receipt.budget else {
            continue;
        };
        let before = Some(receipt.started_at).zip(budget.planned.now.disk);
        let after = receipt.finished_at.zip(budget.after.disk);
        points.extend([before, after].into_iter().flatten().map(|(at, disk)| {
            let run = receipt.run.clone();
            DiskPointDocument { at, run, disk }
        }));
    }
    points
}
