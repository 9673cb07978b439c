//! Arguments of `pin` and `unpin`.

use clap::{Args, Subcommand};

use super::JsonArg;
use crate::cli::complete;
use crate::domain::measure::{AgeError, Span, Timestamp};

/// `pin`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PinArgs {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Option<PinCommand>,
    /// The generation, such as `system:42` or `/nix/var/nix/profiles/system:42`
    #[arg(value_name = "PROFILE:N", required = true, add = complete::generations())]
    pub generation: Option<String>,
    /// Why it is pinned
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// When the pin ends: a time such as 2027-01-31T00:00:00Z, or a duration such as 90d; default: never
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// The subcommands of `pin`.
#[derive(Debug, Subcommand)]
pub enum PinCommand {
    /// List pins, with reason and end
    List(JsonArg),
}

/// `unpin`.
#[derive(Debug, Args)]
pub struct UnpinArgs {
    /// The generation, as for `pin`
    #[arg(value_name = "PROFILE:N", add = complete::generations())]
    pub generation: String,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// A time, or a duration from now.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// A time.
    At(Timestamp),
    /// A duration from now.
    For(Span),
}

impl std::str::FromStr for When {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.parse(), text.parse()) {
            (Ok(age), _) => Ok(Self::For(age)),
            (_, Ok(time)) => Ok(Self::At(time)),
            (Err(error @ AgeError::Ambiguous(_)), _) => Err(error.to_string()),
            _ => Err(
                "use a time such as 2027-01-31T00:00:00Z, or a duration such as 90d".to_string(),
            ),
        }
    }
}
