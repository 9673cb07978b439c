//! The document of `status --json`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{CheckDocument, RunDocument};
use crate::domain::blocker::Blocker;
use crate::domain::boot_menu::BootMenu;
use crate::domain::budget::Disk;
use crate::domain::graph::Weight;
use crate::domain::growth::FullForecast;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::plan::{Later, Plan, Prediction};

/// How full the store's file system is, what can be freed, and what needs attention.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/status/1"))]
    pub schema: &'static str,
    /// When it was observed.
    pub taken_at: Timestamp,
    /// The store directory.
    pub store: String,
    /// How full its file system is; null where that cannot be read.
    pub disk: Option<Disk>,
    /// When it will be full if it grows as before.
    pub forecast: FullForecast,
    /// The least that a run of the job now, with the undo windows that end, has freed by the earliest day of the forecast; null
    /// without a forecast, and where that is unknown.
    pub frees_before_full: Option<FreesDocument>,
    /// The boot menu; null where there is none that could be read.
    pub boot: Option<BootDocument>,
    /// The job that the next figures are for.
    pub job: String,
    /// What a run of the job frees at once, by NAR size; null where that is unknown.
    pub frees_now: Option<FreesDocument>,
    /// What it frees when the undo windows of what it removes end.
    pub frees_later: Option<FreesDocument>,
    /// What the open holds of earlier runs keep.
    pub open_holds: Option<FreesDocument>,
    /// The enabled jobs.
    pub jobs: Vec<JobDocument>,
    /// The safety checks that fail.
    pub failed_checks: Vec<Blocker>,
    /// Problems of recent runs.
    pub attention: Vec<CheckDocument>,
}

/// The boot menu, and what is free on its file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootDocument {
    /// Where its file system is mounted.
    pub dir: String,
    /// What is free there.
    pub free: Bytes,
    /// How many generations are on the menu.
    pub generations: usize,
    /// What another generation with a kernel and an initrd of its own takes, by the largest on the menu.
    pub another: Bytes,
}

impl From<&BootMenu> for BootDocument {
    fn from(menu: &BootMenu) -> Self {
        Self {
            dir: menu.dir.to_string(),
            free: menu.free,
            generations: menu.entries.len(),
            another: menu.bytes_of_another(),
        }
    }
}

/// An amount that is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreesDocument {
    /// By NAR size.
    pub nar_bytes: Bytes,
    /// Store paths.
    pub paths: u64,
}

impl From<Later> for FreesDocument {
    fn from(later: Later) -> Self {
        Self {
            nar_bytes: later.nar_bytes,
            paths: later.paths,
        }
    }
}

impl From<Weight> for FreesDocument {
    fn from(weight: Weight) -> Self {
        Self {
            nar_bytes: weight.nar_bytes,
            paths: weight.paths,
        }
    }
}

/// A job with its runs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDocument {
    /// Its name.
    pub name: String,
    /// Its last run; null where none is recorded.
    pub last_run: Option<RunDocument>,
    /// When its timer starts it next; null without a timer.
    pub next_run: Option<Timestamp>,
}

/// The document of a plan and the runs before it.
pub fn status(
    plan: &Plan,
    jobs: Vec<JobDocument>,
    attention: Vec<CheckDocument>,
) -> StatusDocument {
    let prediction = &plan.prediction;
    StatusDocument {
        schema: "nix-prune/status/1",
        taken_at: plan.taken_at,
        store: plan.store.to_string(),
        disk: plan.disk,
        forecast: FullForecast::NotEnoughData,
        frees_before_full: None,
        boot: None,
        job: plan.job.to_string(),
        frees_now: frees_now(prediction),
        frees_later: prediction.when_windows_end.map(Into::into),
        open_holds: prediction.open_holds.map(Into::into),
        jobs,
        failed_checks: plan.failed_checks.clone(),
        attention,
    }
}

/// What is freed at once; `None` where it is unknown.
pub(super) fn frees_now(prediction: &Prediction) -> Option<FreesDocument> {
    let (nar_bytes, paths) = prediction.nar_bytes.zip(prediction.paths)?;
    Some(FreesDocument { nar_bytes, paths })
}
