//! `config` and what belongs to it.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::JsonArg;

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with settings, and where; exit status 78 if something is
    Check(CheckArgs),
    /// Print the JSON Schema of the settings
    Schema,
}

/// `config check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The settings; without it those that would be read
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<Utf8PathBuf>,
    /// How strictly
    #[arg(long, value_enum, default_value_t = Level::Comprehensive)]
    pub level: Level,
    /// Take numbers beyond their range for the nearest in it, and say so
    #[arg(long)]
    pub sanitize: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// How strictly settings are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Errors only
    Basic,
    /// Warnings as well
    Comprehensive,
    /// Warnings are errors
    Strict,
}
