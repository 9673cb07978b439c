//! Command line arguments of the commands that carry out a plan.

use camino::Utf8PathBuf;
use clap::{Args, ValueHint};

use super::{FreeAmount, JobArgs, JsonArg};
use crate::cli::complete;
use crate::domain::blocker::CheckCode;
use crate::domain::measure::Span;
use crate::domain::risk::RiskLevel;

/// Confirmation and risk limit.
#[derive(Debug, Args)]
pub struct Consent {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Ask for confirmation, which is the default
    #[arg(short, long, conflicts_with = "yes")]
    pub ask: bool,
    /// Refuse actions above this risk: low, medium, high or critical
    #[arg(long, value_name = "LEVEL", env = "NIX_PRUNE_MAX_RISK", add = complete::levels())]
    pub max_risk: Option<RiskLevel>,
}

/// How long to wait for another run or collection.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitArg {
    /// Wait this long for another run or garbage collection, such as 1h
    ///
    /// Default: exit at once with status 75 if another run is in progress; wait 15 minutes for another garbage collection.
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<Span>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// Free the space now: remove without an undo window; this cannot be undone
    #[arg(long, conflicts_with = "undo_window")]
    pub now: bool,
    /// Only show the plan, as `plan` does
    #[arg(short = 'n', long = "dry-run", conflicts_with = "resume")]
    pub only_plan: bool,
    /// Only recover an interrupted run
    ///
    /// Every run does this first.
    #[arg(long, conflicts_with_all = ["job", "keep_last", "keep_within", "CalendarArgs", "BudgetArgs", "profiles", "no_collect", "collect_method", "keep_recent", "accepts", "yes", "now"])]
    pub resume: bool,
    /// Consent
    #[command(flatten)]
    pub consent: Consent,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `free`.
#[derive(Debug, Args)]
pub struct FreeArgs {
    /// How much more to have free than now: a size such as 20G, or a part of the file system such as 10%
    #[arg(value_name = "SIZE|PERCENT")]
    pub amount: FreeAmount,
    /// Name of the job in the settings whose profiles and keep rules are used
    #[arg(value_name = "JOB", add = complete::jobs())]
    pub job: Option<String>,
    /// Free inodes instead: the amount is a number such as 50000, or a part of all inodes such as 10%
    #[arg(long)]
    pub inodes: bool,
    /// Override this safety check, by code (repeatable; recorded)
    #[arg(long = "accept", value_name = "CODE", add = complete::codes())]
    pub accepts: Vec<CheckCode>,
    /// Consent
    #[command(flatten)]
    pub consent: Consent,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan saved by `plan --out`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Utf8PathBuf,
    /// Consent
    #[command(flatten)]
    pub consent: Consent,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}
