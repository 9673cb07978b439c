//! `config` and what belongs to it.

use camino::Utf8PathBuf;
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::JsonArg;
use crate::domain::measure::Span;
use crate::domain::risk::RiskLevel;
use crate::settings::Preset;

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
    /// Write settings to begin with, and a guide to them beside
    Init(InitArgs),
    /// Say everything that is wrong with settings, and where; exit status 78 if something is
    Check(CheckArgs),
    /// Print the settings as they hold, and where each value comes from
    ///
    /// Of all files together, with the defaults of what nobody wrote; `--json` has them as a document that can be used as
    /// settings as well. Nothing beside the settings is looked at.
    Show(ShowArgs),
    /// Print the JSON Schema of the settings
    Schema,
    /// Say what other settings would change, and how risky that is; exit status 4 if it is critical
    Diff(DiffArgs),
    /// Print settings that do what those of another tool do, and say what is not the same
    ///
    /// `config import nix-collect-garbage -d`, `config import nix-gc --options '--delete-older-than 30d'`,
    /// `config import nh clean all --keep 3`, `config import angrr /etc/angrr/config.toml`,
    /// `config import nix-sweep cleanout system --keep-min 10 --remove-older 30d`. What belongs to `import` itself comes
    /// before the name of the tool.
    Import(ImportArgs),
    /// Bring settings of an older version forward, and keep the old text beside them
    ///
    /// Writes only what is of an older version and valid afterwards, wholly or not at all; a file that is a link is left alone. So far
    /// there is one version, so that there is nothing to bring forward.
    Migrate(MigrateArgs),
}

/// `config migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The settings; without it all files in force
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<Utf8PathBuf>,
    /// Print the new text and write nothing
    #[arg(long, requires = "file", conflicts_with = "json")]
    pub print: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// As `run --undo-window` would say it; otherwise `NIX_PRUNE_UNDO_WINDOW`
    // Without clap's `env`, so that a flag can be told from a variable.
    #[arg(long, value_name = "AGE")]
    pub undo_window: Option<Span>,
    /// As `run --max-risk` would say it; otherwise `NIX_PRUNE_MAX_RISK`
    #[arg(long, value_name = "LEVEL")]
    pub max_risk: Option<RiskLevel>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `config diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The settings as they are; where there are none, everything is new
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub old: Utf8PathBuf,
    /// The settings as they would be
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub new: Utf8PathBuf,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `config import`.
#[derive(Debug, Args)]
#[command(subcommand_value_name = "TOOL", subcommand_help_heading = "Tools")]
pub struct ImportArgs {
    /// Whose profiles the settings are for; otherwise the machine's when root asks, else one's own
    #[arg(long = "for", value_enum, value_name = "WHOM")]
    pub scope: Option<ScopeArg>,
    /// Write the settings to this new file instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<Utf8PathBuf>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
    /// The tool, and its flags
    #[command(subcommand)]
    pub tool: ImportTool,
}

/// The other tool.
#[derive(Debug, Subcommand)]
pub enum ImportTool {
    /// nix-gc, nh, angrr, nix-sweep, harmonia-gc or nix-collect-garbage, with its flags
    #[command(external_subcommand)]
    Tool(Vec<String>),
}

/// Whose profiles settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// The machine's
    System,
    /// One user's
    User,
}

/// `config init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// What the machine is like
    #[arg(long, value_enum, default_value_t = Preset::Daily)]
    pub preset: Preset,
    /// Write this file instead of the one that is read by default
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<Utf8PathBuf>,
    /// Write over what is there
    #[arg(long)]
    pub force: bool,
}

impl ValueEnum for Preset {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.about()))
    }
}

/// `config check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The settings; without it all files in force, one by one and together
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
