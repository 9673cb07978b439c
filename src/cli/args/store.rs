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
    /// A store path, a path inside one, or a link to one
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
    /// How to group the store
    #[arg(long, value_enum, default_value_t = Division::Root, value_name = "GROUP")]
    pub by: Division,
    /// Show the N largest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Measure disk usage as well
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
