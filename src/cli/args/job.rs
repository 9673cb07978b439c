//! Flags that override a job for one run.

use clap::Args;

use super::{BudgetArgs, CalendarArgs};
use crate::cli::complete;
use crate::domain::blocker::CheckCode;
use crate::domain::collect::CollectMethod;
use crate::domain::measure::Span;

// Each option names its heading: `next_help_heading` would apply to the options after it as well.
const OVERRIDES: &str = "Job options (for this run)";
pub(super) const KEEP_RULES: &str = "Keep rules (any of these replaces all of the job's)";
pub(super) const BUDGET: &str = "Disk budget (replaces the job's)";

/// The job, and the overrides for this run.
#[derive(Debug, Clone, Args, Default)]
pub struct JobArgs {
    /// Name of the job in the settings
    #[arg(value_name = "JOB", add = complete::jobs())]
    pub job: Option<String>,
    /// Keep rules.
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Disk budget.
    #[command(flatten)]
    pub budget: BudgetArgs,
    /// Prune only these profiles: system, users, home-manager, containers, system-manager, nix-on-droid,
    /// nix-collect-garbage, a path or a pattern (repeatable)
    #[arg(long = "profile", value_name = "PROFILE", help_heading = OVERRIDES, add = complete::profiles())]
    pub profiles: Vec<String>,
    /// Keep removed generations restorable for this long, such as 7d; 0s disables undo
    #[arg(long, value_name = "DURATION", env = "NIX_PRUNE_UNDO_WINDOW", help_heading = OVERRIDES)]
    pub undo_window: Option<Span>,
    /// Do not collect garbage
    #[arg(long, help_heading = OVERRIDES)]
    pub no_collect: bool,
    /// How to collect garbage: auto, selective (delete listed paths) or full (nix-collect-garbage)
    #[arg(long, value_name = "METHOD", conflicts_with = "no_collect", help_heading = OVERRIDES)]
    pub collect_method: Option<CollectMethod>,
    /// Do not delete paths registered within this time, such as 2d, or their dependencies
    #[arg(long, value_name = "DURATION", conflicts_with = "no_collect", help_heading = OVERRIDES)]
    pub keep_recent: Option<Span>,
    /// Override this safety check, by code (repeatable; recorded)
    #[arg(long = "accept", value_name = "CODE", help_heading = OVERRIDES, add = complete::codes())]
    pub accepts: Vec<CheckCode>,
}

/// Keep rules. Any of these replaces all of the job's keep rules.
#[derive(Debug, Clone, Args, Default)]
pub struct KeepArgs {
    /// Keep the last N generations, counted back from the current one
    #[arg(short = 'k', long, alias = "keep", value_name = "N", help_heading = KEEP_RULES)]
    pub keep_last: Option<u16>,
    /// Keep generations younger than this, such as 14d, and the one active when this period began
    #[arg(short = 'K', long, alias = "keep-since", value_name = "DURATION", help_heading = KEEP_RULES)]
    pub keep_within: Option<Span>,
    /// Calendar rules
    #[command(flatten)]
    pub calendar: CalendarArgs,
}

/// `due`.
#[derive(Debug, Args)]
pub struct DueArgs {
    /// Name of the job in the settings
    #[arg(value_name = "JOB", add = complete::jobs())]
    pub job: Option<String>,
}
