use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::accept::Acceptance;
use crate::domain::blocker::Blocker;
use crate::domain::budget::BudgetReport;
use crate::domain::job::JobName;
use crate::domain::measure::Timestamp;
use crate::domain::plan::{Decision, Item, Plan, PlannedAction, Prediction, Subject};
use crate::domain::profile::GenerationNumber;
use crate::domain::risk::RiskLevel;
use crate::domain::root::RootKind;
use crate::domain::snapshot::{Held, MachineId};
use crate::domain::store_path::StoreDir;
use crate::render::reason;

/// What a job would do now, and why.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/plan/1"))]
    pub schema: &'static str,
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
    /// Whether critical actions are refused whatever `maxRisk` says.
    pub safe_mode: bool,
    /// The version of nix-prune that drew it.
    pub tool_version: &'static str,
    /// Everything seen, and what is to become of it.
    pub items: Vec<ItemDocument>,
    /// The steps, in the order they are done.
    pub actions: Vec<PlannedAction>,
    /// What is expected to be freed.
    pub prediction: Prediction,
    /// The disk goal and how the plan stands to it; null where there is none.
    pub budget: Option<BudgetReport>,
    /// What could not be read.
    pub refusals: Vec<Blocker>,
    /// What would stop a run or a collection and was let pass.
    pub accepted: Vec<Blocker>,
    /// Every entry of `accept` in the settings, whether it accepts something now or not.
    pub accept: Vec<Acceptance>,
    /// Whether a collection was asked for and left out because of a refusal.
    pub collection_refused: bool,
    /// The profiles that were asked for and are left alone because of a refusal.
    pub left_alone: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Something that was seen, and what is to become of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemDocument {
    /// What it is.
    pub kind: ItemKind,
    /// Which one.
    pub subject: SubjectDocument,
    /// What is to become of it.
    pub verdict: VerdictDocument,
    /// Why, as stable codes.
    pub reasons: Vec<&'static str>,
    /// Why, in words.
    pub because: Vec<String>,
    /// How much dropping it can hurt; null for what stays.
    pub risk: Option<RiskLevel>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ItemKind {
    /// A generation.
    Generation,
    /// A root that leads nowhere.
    Root,
    /// A hold.
    Hold,
}

/// Whether an item stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum VerdictDocument {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
}

/// Which item is meant; the kind of the item tells which fields there are.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum SubjectDocument {
    /// A generation.
    Generation {
        /// The path of its profile.
        profile: String,
        /// Its number.
        number: GenerationNumber,
        /// The text of its link.
        target: String,
        /// The time of its link.
        created: Timestamp,
    },
    /// A root.
    Root {
        /// The link it names.
        link: String,
        /// The entry that names it.
        entry: Option<String>,
        /// Where it comes from.
        kind: RootKind,
    },
    /// A hold.
    Hold {
        /// Its link.
        link: String,
        /// What it takes the place of.
        #[serde(flatten)]
        held: Held,
        /// When its window ends.
        until: Timestamp,
    },
}

/// A plan as a document.
pub fn plan(plan: &Plan) -> PlanDocument {
    PlanDocument {
        schema: "nix-prune/plan/1",
        taken_at: plan.taken_at,
        machine: plan.machine.clone(),
        store: plan.store.clone(),
        job: plan.job.clone(),
        max_risk: plan.max_risk,
        safe_mode: plan.safe_mode,
        tool_version: super::TOOL_VERSION,
        items: plan.items.iter().map(item_document).collect(),
        actions: plan.actions.clone(),
        prediction: plan.prediction,
        budget: plan.budget.clone(),
        refusals: plan.refusals.clone(),
        accepted: plan.accepted.clone(),
        accept: plan.entries.to_vec(),
        collection_refused: plan.collection_refused,
        left_alone: plan.left_alone.iter().map(ToString::to_string).collect(),
        notes: plan.notes.clone(),
    }
}

fn item_document(item: &Item) -> ItemDocument {
    let utc = |time: Timestamp| time.to_string();
    let (verdict, reasons, because, risk) = match &item.fate {
        Decision::KeepGeneration(reasons) => (
            VerdictDocument::Keep,
            reasons.iter().map(reason::code).collect(),
            reasons.iter().map(|r| reason::sentence(r, &utc)).collect(),
            None,
        ),
        Decision::Keep(cause) => (
            VerdictDocument::Keep,
            vec![reason::cause_code(*cause)],
            vec![reason::cause_sentence(*cause).to_string()],
            None,
        ),
        Decision::Drop { rule, risk } => (
            VerdictDocument::Drop,
            vec![reason::rule_code(*rule)],
            vec![reason::rule_sentence(*rule).to_string()],
            Some(*risk),
        ),
    };
    let (kind, subject) = subject_document(&item.subject);
    ItemDocument {
        kind,
        subject,
        verdict,
        reasons,
        because,
        risk,
    }
}

fn subject_document(subject: &Subject) -> (ItemKind, SubjectDocument) {
    match subject {
        Subject::Generation {
            profile,
            number,
            target,
            created,
        } => {
            let (profile, target) = (profile.to_string(), target.to_string());
            let (number, created) = (*number, *created);
            let subject = SubjectDocument::Generation {
                profile,
                number,
                target,
                created,
            };
            (ItemKind::Generation, subject)
        }
        Subject::Root { link, entry, kind } => {
            let link = link.to_string();
            let entry = entry.as_ref().map(ToString::to_string);
            let kind = *kind;
            (ItemKind::Root, SubjectDocument::Root { link, entry, kind })
        }
        Subject::Hold { link, held, until } => {
            let subject = SubjectDocument::Hold {
                link: link.to_string(),
                held: held.clone(),
                until: *until,
            };
            (ItemKind::Hold, subject)
        }
    }
}
