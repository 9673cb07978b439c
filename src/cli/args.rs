//! The command line, as clap knows it. Nothing is decided here.

use camino::Utf8PathBuf;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::domain::blocker::CheckCode;
use crate::domain::collect::CollectMethod;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::risk::RiskLevel;

mod budget;
mod config;
mod store;

pub use budget::BudgetArgs;
pub use config::{
    CheckArgs, ConfigArgs, ConfigCommand, DiffArgs, ImportArgs, ImportTool, InitArgs, Level,
    MigrateArgs, ScopeArg, ShowArgs,
};
pub use store::{DeadArgs, Division, DuArgs, RootsArgs, WhyArgs};

/// Keep a Nix store within its budget without losing what its owner wants back
#[derive(Debug, Parser)]
#[command(
    name = "nix-prune",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = "\
Exit status:
  0   done, or nothing to do
  1   failed
  2   usage
  3   partly done
  4   refused by a safety rule, the risk ceiling, or the person asked
  5   the budget is not reached
  69  Nix was not found, cannot be used, or works on another store
  73  the state directory cannot be written
  75  another run or collection is under way; try again
  77  not permitted
  78  the settings are not valid")]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Read settings from this file as well; it counts more than the others
    ///
    /// Below it counts $XDG_CONFIG_HOME/nix-prune/config.json, and below that /etc/nix-prune/config.json. Where there is
    /// none, the built-in job `default` holds: keep the last 5 generations and those of 14 days, and collect.
    #[arg(long, global = true, value_name = "FILE", env = "NIX_PRUNE_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<Utf8PathBuf>,

    /// Keep records, pins and holds in this directory
    ///
    /// Otherwise /var/lib/nix-prune for root, $XDG_STATE_HOME/nix-prune for everybody else.
    #[arg(long, global = true, value_name = "DIR", env = "NIX_PRUNE_STATE_DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<Utf8PathBuf>,

    /// Use the Nix commands in this directory instead of those on PATH
    #[arg(long, global = true, value_name = "DIR", env = "NIX_PRUNE_NIX_BIN", value_hint = ValueHint::DirPath)]
    pub nix_bin: Option<Utf8PathBuf>,

    /// Log more; twice for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Colour the output
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what `run` would do, and why; read only
    Plan(PlanArgs),
    /// Plan, show, ask, and carry it out
    Run(RunArgs),
    /// Carry out a saved plan, unless anything it relies on has changed
    Apply(ApplyArgs),
    /// Put back the generations and roots that a run took away
    Undo(UndoArgs),
    /// List the runs, or show the record of one
    History(HistoryArgs),
    /// List profiles and their generations; read only
    Generations(GenerationsArgs),
    /// List the garbage collector roots, those of running processes among them; read only
    Roots(RootsArgs),
    /// List the store paths that nothing keeps; read only
    Dead(DeadArgs),
    /// Show what keeps a store path alive; read only
    Why(WhyArgs),
    /// Show what takes the room of the store; read only
    Du(DuArgs),
    /// Say by the exit status whether a job's budget wants it to run; read only
    ///
    /// Reads the settings and how full the file system of the store is, and nothing else, for timers that ask often.
    /// A job with maxStore, or without a budget, is always due.
    #[command(after_help = "\
Exit status, as ExecCondition= of systemd wants it:
  0    the goal is missed, or it cannot be told without looking into the store
  1    the goal is reached
  255  there is no answer: the settings cannot be read, or have no such job")]
    Due(DueArgs),
    /// Look whether everything is there that a run needs; exit status 1 if something is not
    ///
    /// Nix, settings, state directory, records, roots, store, and how the last runs of each job ended. Nothing is changed, unless
    /// `--acknowledge` is said.
    Doctor(DoctorArgs),
    /// Look into undo windows, and end them
    Hold(HoldArgs),
    /// Never drop this generation
    Pin(PinArgs),
    /// Let the keep rules decide about this generation again
    Unpin(UnpinArgs),
    /// Write, check and compare settings, and take over those of other tools
    Config(ConfigArgs),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Show the main job on a scratch store, which is removed afterwards
    Demo,
}

impl Command {
    /// How long the command waits for another run; it is not patient unless that is asked for.
    pub fn wait(&self) -> Option<Span> {
        match self {
            Self::Run(args) => args.wait.wait,
            Self::Apply(args) => args.wait.wait,
            Self::Undo(args) => args.wait.wait,
            Self::Hold(HoldArgs {
                command: HoldCommand::Release(args),
            }) => args.wait.wait,
            _ => None,
        }
    }
}

/// `--json`.
#[derive(Debug, Args)]
pub struct JsonArg {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Which job, and what is different this time.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The job, as the settings name it
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// What is different this time
    #[command(flatten)]
    pub keep: KeepArgs,
    /// A disk goal
    #[command(flatten)]
    pub budget: BudgetArgs,
    /// Thin out only these profiles: `system`, `users`, `home-manager`, `nix-collect-garbage`, or a path; repeatable
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Hold what is dropped for this long; 0s for not at all, which cannot be undone
    #[arg(long, value_name = "AGE", env = "NIX_PRUNE_UNDO_WINDOW")]
    pub undo_window: Option<Span>,
    /// Collect no garbage
    #[arg(long)]
    pub no_collect: bool,
    /// How to collect garbage: auto, selective (by name or not at all) or full (as Nix does it)
    #[arg(long, value_name = "HOW", conflicts_with = "no_collect")]
    pub collect_method: Option<CollectMethod>,
    /// Collect nothing that was registered within this time, such as 2d, nor what it needs
    #[arg(long, value_name = "AGE", conflicts_with = "no_collect")]
    pub keep_recent: Option<Span>,
    /// Let this refusal pass, by its code; repeatable. It holds for what this plan shows, and is recorded
    #[arg(long = "accept", value_name = "CODE")]
    pub accepts: Vec<CheckCode>,
}

/// Keep rules; if any is given, they take the place of the job's.
#[derive(Debug, Args, Default)]
pub struct KeepArgs {
    /// Keep this many generations, counted back from the current one
    #[arg(long, value_name = "N")]
    pub keep_last: Option<u16>,
    /// Keep generations not older than this, such as 14d, and the one active then
    #[arg(long, value_name = "AGE")]
    pub keep_within: Option<Span>,
    /// Keep the newest generation of each of this many days
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<u16>,
    /// Keep the newest generation of each of this many ISO weeks
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<u16>,
    /// Keep the newest generation of each of this many months
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<u16>,
    /// Keep the newest generation of each of this many years
    #[arg(long, value_name = "N")]
    pub keep_yearly: Option<u16>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
    /// Measure what is freed on disk, however many paths it is; otherwise up to 2000 are measured
    #[arg(long)]
    pub exact: bool,
    /// Save the plan for `apply`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<Utf8PathBuf>,
}

/// How to be asked, and how much is allowed.
#[derive(Debug, Args)]
pub struct Consent {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Refuse actions above this risk: low, medium, high, critical
    #[arg(long, value_name = "LEVEL", env = "NIX_PRUNE_MAX_RISK")]
    pub max_risk: Option<RiskLevel>,
}

/// How long to wait for another run or collection.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitArg {
    /// Wait at most this long for another run or collection to end, such as 1h; otherwise exit with 75 at once where a
    /// run is under way, and after 15 minutes of another collection
    #[arg(long, value_name = "AGE")]
    pub wait: Option<Span>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// Settle what an interrupted run left open, and do nothing else
    ///
    /// Every run does so before anything else.
    #[arg(long, conflicts_with_all = ["job", "KeepArgs", "BudgetArgs", "profiles", "no_collect", "collect_method", "keep_recent", "accepts", "yes"])]
    pub resume: bool,
    /// Consent
    #[command(flatten)]
    pub consent: Consent,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan that `plan --out` saved
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Utf8PathBuf,
    /// Consent
    #[command(flatten)]
    pub consent: Consent,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run, as `history` names it; otherwise the latest one of which something is still held
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The run to show; otherwise all are listed
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Write down that what failed until now has been seen, so that a paused job runs again
    #[arg(long)]
    pub acknowledge: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `generations`.
#[derive(Debug, Args)]
pub struct GenerationsArgs {
    /// Only these profiles, by path or name
    #[arg(value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Leave out what they cost; the store's database is not read then
    #[arg(long)]
    pub no_sizes: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `due`.
#[derive(Debug, Args)]
pub struct DueArgs {
    /// The job, as the settings name it
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
}

/// `hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// What to do with holds
    #[command(subcommand)]
    pub command: HoldCommand,
}

/// What to do with holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// List what is held, and until when
    List(JsonArg),
    /// End holds; what they held can then not be put back
    Release(ReleaseArgs),
}

/// `hold release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The holds of these runs; otherwise those whose window has ended
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// All holds
    #[arg(long, conflicts_with = "runs")]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Other runs
    #[command(flatten)]
    pub wait: WaitArg,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// The generation, such as `system:42` or `/nix/var/nix/profiles/system:42`
    #[arg(value_name = "PROFILE:N")]
    pub generation: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Until when, such as 2027-01-31T00:00:00Z, or for how long, such as 90d
    #[arg(long, value_name = "WHEN")]
    pub until: Option<When>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `unpin`.
#[derive(Debug, Args)]
pub struct UnpinArgs {
    /// The generation, as for `pin`
    #[arg(value_name = "PROFILE:N")]
    pub generation: String,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// A moment, or a span from now.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// A moment.
    At(Timestamp),
    /// A span from now.
    For(Span),
}

impl std::str::FromStr for When {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.parse(), text.parse()) {
            (Ok(age), _) => Ok(Self::For(age)),
            (_, Ok(time)) => Ok(Self::At(time)),
            _ => {
                Err("write a time such as 2027-01-31T00:00:00Z, or an age such as 90d".to_string())
            }
        }
    }
}
