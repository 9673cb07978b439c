//! The commands that look into the store.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum, ValueHint};

use super::JsonArg;

/// `roots`.
#[derive(Debug, Args)]
pub struct RootsArgs {
    /// Leave out what they cost; the store's database is not read then
    #[arg(long)]
    pub no_sizes: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `dead`.
#[derive(Debug, Args)]
pub struct DeadArgs {
    /// Measure what is on disk, however many paths it is; otherwise up to 2000 are measured
    #[arg(long)]
    pub exact: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The store path, what lies below it, or a link that leads to it
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: Utf8PathBuf,
    /// Show at most this many chains
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// What to divide the store by
    #[arg(long, value_enum, default_value_t = Division::Root, value_name = "WHAT")]
    pub by: Division,
    /// Show this many, the largest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Measure what is on disk as well
    #[arg(long)]
    pub exact: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// What the store is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Division {
    /// Links, temporary roots, processes
    Root,
    /// Profiles
    Profile,
    /// Generations of profiles
    Generation,
    /// Owners of roots
    User,
    /// Packages, without their versions
    Package,
    /// Store paths
    Path,
}
