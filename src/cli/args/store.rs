//! Command line arguments of the commands that read the store.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum, ValueHint};

use super::JsonArg;

/// `roots`.
#[derive(Debug, Args)]
pub struct RootsArgs {
    /// Omit sizes; do not read the store database
    #[arg(long)]
    pub no_sizes: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `dead`.
#[derive(Debug, Args)]
pub struct DeadArgs {
    /// Measure disk usage even of more than 2000 paths
    #[arg(long)]
    pub exact: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A store path, a path inside one, a link to one, or the name of a package for all of its versions
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: Utf8PathBuf,
    /// Show at most N chains
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Show the versions of this package, and what keeps each
    #[arg(value_name = "PACKAGE", conflicts_with_all = ["by", "top", "exact"])]
    pub package: Option<String>,
    /// Group the store; default: who keeps what, in one table
    #[arg(long, value_enum, value_name = "GROUP")]
    pub by: Option<Division>,
    /// Show the N largest of `--by`, 20 by default
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Measure disk usage as well, `--by root` unless another group is given
    #[arg(long)]
    pub exact: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// How the store is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Division {
    /// Root links, temporary roots and processes
    Root,
    /// Profiles
    Profile,
    /// Generations of profiles
    Generation,
    /// Owners of roots
    User,
    /// Packages, all versions together
    Package,
    /// Store paths
    Path,
}
