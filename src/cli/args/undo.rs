//! Arguments of `undo`.

use clap::Args;

use super::super::complete;
use super::{JsonArg, WaitArg};

/// `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run, as listed by `history`, or the beginning of its name; default, and `last`: the latest run with open holds
    #[arg(value_name = "RUN", add = complete::runs())]
    pub run: Option<String>,
    /// Restore only these: `system:42`, `system:40..42`, `alice/home-manager`, or the path of a root
    ///
    /// Without RUN the latest run that can restore all of them is undone.
    #[arg(value_name = "ITEM")]
    pub items: Vec<String>,
    /// Only show what would be restored
    #[arg(short = 'n', long = "dry-run")]
    pub only_preview: bool,
    /// Do not ask for confirmation
    ///
    /// Without a terminal `undo` does not ask either: it only restores, and overwrites nothing.
    #[arg(short, long)]
    pub yes: bool,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}
