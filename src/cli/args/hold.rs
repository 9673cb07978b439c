//! Command line arguments of `hold`.

use clap::{Args, Subcommand};

use super::{JsonArg, WaitArg};
use crate::cli::complete;

/// `hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// The subcommand.
    #[command(subcommand)]
    pub command: HoldCommand,
}

/// The subcommands of `hold`.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// List holds and when they end
    List(JsonArg),
    /// Release holds; their generations can no longer be restored
    Release(ReleaseArgs),
}

/// `hold release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Release the holds of these runs; default: only holds whose undo window has ended
    #[arg(value_name = "RUN", add = complete::runs())]
    pub runs: Vec<String>,
    /// Release all holds
    #[arg(long, conflicts_with = "runs")]
    pub all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}
