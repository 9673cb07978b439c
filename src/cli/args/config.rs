//! Command line arguments of `config`.

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
    /// The subcommand.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The subcommands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write a settings file from a preset
    ///
    /// Also writes a guide to its keys beside it, such as config.guide.md.
    Init(InitArgs),
    /// Validate settings; exit status 78 if they are invalid
    Check(CheckArgs),
    /// Print the effective settings and the origin of each value
    ///
    /// Merges all files and adds the defaults. The document of --json contains `settings`, which is a valid settings file.
    Show(ShowArgs),
    /// Print the JSON Schema of the settings
    Schema,
    /// Compare two settings files and rate the risk of each change
    ///
    /// Exit status 4 if a change is critical.
    Diff(DiffArgs),
    /// Convert flags or settings of another tool
    ///
    /// Examples: `config import nix-collect-garbage -d`, `config import nix-gc --options '--delete-older-than 30d'`,
    /// `config import nh clean all --keep 3`, `config import angrr /etc/angrr/config.toml`,
    /// `config import nix-sweep cleanout system --keep-min 10 --remove-older 30d`. Options of `import` come before the
    /// name of the tool.
    Import(ImportArgs),
    /// Update settings to the current version, with a backup
    ///
    /// Each file is replaced atomically, and only if the new text is valid. A file that is a link is not changed.
    Migrate(MigrateArgs),
}

/// `config migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The settings file; default: every file in use
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<Utf8PathBuf>,
    /// Print the new text instead of writing it
    #[arg(long, requires = "file", conflicts_with = "json")]
    pub print: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Same as run --undo-window; default: `NIX_PRUNE_UNDO_WINDOW`
    // Without clap's `env`, so that a flag differs from a variable.
    #[arg(long, value_name = "DURATION")]
    pub undo_window: Option<Span>,
    /// Same as run --max-risk; default: `NIX_PRUNE_MAX_RISK`
    #[arg(long, value_name = "LEVEL", add = crate::cli::complete::levels())]
    pub max_risk: Option<RiskLevel>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `config diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The old settings; if the file does not exist, every value of NEW counts as added
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub old: Utf8PathBuf,
    /// The new settings
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
    /// Whose profiles the settings cover; default: system for root, user for other users
    #[arg(long = "for", value_enum, value_name = "SCOPE")]
    pub scope: Option<ScopeArg>,
    /// Write the settings to this new file instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<Utf8PathBuf>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
    /// The tool and its flags.
    #[command(subcommand)]
    pub tool: ImportTool,
}

/// The other tool.
#[derive(Debug, Subcommand)]
pub enum ImportTool {
    /// nix-gc, nh, angrr, nix-sweep, harmonia-gc, home-manager or nix-collect-garbage, with its flags
    #[command(external_subcommand)]
    Tool(Vec<String>),
}

/// Whose profiles settings cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    /// The profiles of the machine
    System,
    /// The profiles of one user
    User,
}

/// `config init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Preset to write
    #[arg(long, value_enum, default_value_t = Preset::Daily)]
    pub preset: Preset,
    /// Write this file instead of the one that is read by default
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<Utf8PathBuf>,
    /// Overwrite existing files
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
    /// The settings file; default: every file in use, each by itself and all together
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<Utf8PathBuf>,
    /// Which findings to show, and whether warnings fail the check
    #[arg(long, value_enum, default_value_t = Level::Comprehensive)]
    pub level: Level,
    /// Clamp out-of-range numbers (with a warning)
    #[arg(long)]
    pub sanitize: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// Which findings to show, and whether warnings fail the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Show errors only
    Basic,
    /// Show warnings as well
    Comprehensive,
    /// Treat warnings as errors
    Strict,
}
