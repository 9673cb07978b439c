//! The document of a notice.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::budget::{Quantity, SizeMetric};
use crate::domain::growth::FullForecast;
use crate::domain::job::JobName;
use crate::domain::measure::Timestamp;
use crate::domain::notice::{NoticeEvent, Trouble};
use crate::domain::receipt::{FreedBytes, RunId};

/// The most characters of a text in it, and the most checks: a command that does not read the document still gets it whole.
const MAX_CHARS: usize = 1_000;
const MAX_CHARS_OF_CHECK: usize = 300;
const MAX_CHECKS: usize = 10;

/// What is wrong with a job, or was.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoticeDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/notice/1"))]
    pub schema: &'static str,
    /// What the notice is about: of several things that are new, the most urgent one.
    pub event: NoticeEvent,
    /// The name of the machine.
    pub host: String,
    /// The job; null in a test.
    pub job: Option<JobName>,
    /// The run; null where it did not begin.
    pub run: Option<RunId>,
    /// When the notice was made.
    pub time: Timestamp,
    /// How the run ended: the name of its exit status, such as done, partial, budget or refused.
    pub result: String,
    /// Its exit status.
    pub exit: u8,
    /// What happened, in one line.
    pub message: String,
    /// What happened in detail, and what to do; null without details.
    pub detail: Option<String>,
    /// Commands for it, in the order in which to try them.
    pub commands: Vec<String>,
    /// Everything that is wrong with the job, the most urgent first.
    pub standing: Vec<Trouble>,
    /// The safety checks that failed.
    pub checks: Vec<NoticeCheckDocument>,
    /// What the run freed; null where it did not begin.
    pub bytes: Option<FreedBytes>,
    /// What is missing for the goal; null where nothing is, and where it is not known.
    pub missing: Option<MissingDocument>,
    /// When the file system of the store will be full; null in a test.
    pub forecast: Option<FullForecast>,
}

/// A safety check that failed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoticeCheckDocument {
    /// Its code.
    pub code: CheckCode,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What is missing for a goal.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissingDocument {
    /// What is counted.
    pub metric: SizeMetric,
    /// How much of it is missing.
    pub amount: Quantity,
}

impl NoticeCheckDocument {
    /// A check that failed.
    pub fn of(check: &Blocker) -> Self {
        Self {
            code: check.code,
            message: check.message.clone(),
            hint: check.hint.clone(),
        }
    }
}

/// A notice that is short enough for every command.
pub fn notice(document: NoticeDocument) -> NoticeDocument {
    let mut document = document;
    document.checks.truncate(MAX_CHECKS);
    for check in &mut document.checks {
        check.message = cut(&check.message, MAX_CHARS_OF_CHECK);
        check.hint = cut(&check.hint, MAX_CHARS_OF_CHECK);
    }
    NoticeDocument {
        message: cut(&document.message, MAX_CHARS),
        detail: document.detail.map(|detail| cut(&detail, MAX_CHARS)),
        ..document
    }
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_string() + "…",
        None => text.to_string(),
    }
}
