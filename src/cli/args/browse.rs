//! Arguments of `browse`.

use clap::Args;

use super::WaitArg;
use crate::cli::complete;
use crate::domain::blocker::CheckCode;
use crate::domain::measure::Span;
use crate::domain::risk::RiskLevel;

/// `browse`.
#[derive(Debug, Args)]
pub struct BrowseArgs {
    /// Name of the job in the settings whose undo window and collection options are used
    #[arg(value_name = "JOB", add = complete::jobs())]
    pub job: Option<String>,
    /// Keep removed generations restorable for this long, such as 7d; 0s disables undo
    #[arg(long, value_name = "DURATION", env = "NIX_PRUNE_UNDO_WINDOW")]
    pub undo_window: Option<Span>,
    /// Refuse actions above this risk: low, medium, high or critical
    #[arg(long, value_name = "LEVEL", env = "NIX_PRUNE_MAX_RISK", add = complete::levels())]
    pub max_risk: Option<RiskLevel>,
    /// Override this safety check, by code (repeatable; recorded)
    #[arg(long = "accept", value_name = "CODE", add = complete::codes())]
    pub accepts: Vec<CheckCode>,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
}
