//! Command line arguments, parsed with clap.

use camino::Utf8PathBuf;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::complete;
use crate::domain::measure::Span;

mod browse;
mod budget;
mod calendar;
mod config;
mod hold;
mod job;
mod pin;
mod run;
mod store;
mod undo;

pub use browse::BrowseArgs;
pub use budget::{BudgetArgs, FreeAmount};
pub use calendar::CalendarArgs;
pub use config::{
    CheckArgs, ConfigArgs, ConfigCommand, DiffArgs, ImportArgs, ImportTool, InitArgs, Level,
    MigrateArgs, ScopeArg, ShowArgs,
};
pub use hold::{HoldArgs, HoldCommand, ReleaseArgs};
pub use job::{DueArgs, JobArgs, KeepArgs};
pub use pin::{PinArgs, PinCommand, UnpinArgs, When};
pub use run::{ApplyArgs, Consent, FreeArgs, RunArgs, WaitArg};
pub use store::{
    DeadArgs, Division, DuArgs, GenerationsArgs, MetricsArgs, ReportArgs, RootOrder, RootsArgs,
    ServeArgs, WhyArgs,
};
pub use undo::UndoArgs;

/// The end of the long help.
const EXIT_STATUS: &str = "\
Examples:
  nix-prune plan                    # what a run would remove, and why
  nix-prune run --keep-last 5       # ask, then do it
  nix-prune undo                    # restore what it removed

Exit status:
  0   done, or nothing to do
  1   failed
  2   usage error
  3   partially completed (some steps failed)
  4   refused: safety check, risk limit, or declined at the prompt
  5   budget not reached
  69  Nix not found, unusable, or set to another store
  73  state directory not writable
  75  another run or garbage collection is in progress; try again
  77  permission denied
  78  invalid settings

A run that SIGTERM stops (`systemctl stop`, shutdown) ends by that signal (143 in a shell).";

/// Garbage-collect a Nix store by retention policy and disk budget, with undo
#[derive(Debug, Parser)]
#[command(
    name = "nix-prune",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_long_help = EXIT_STATUS)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Global options.
    #[command(flatten)]
    pub global: Global,
}

/// The heading of the options of every command.
const GLOBAL: &str = "Global options";

/// Global options.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Read this settings file as well; it takes precedence over the other files
    ///
    /// The other files are $XDG_CONFIG_HOME/nix-prune/config.json, then /etc/nix-prune/config.json. Without any file the
    /// built-in job `default` is used: keep the last 5 generations and those of the last 14 days, then collect garbage.
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "NIX_PRUNE_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<Utf8PathBuf>,

    /// Store run records, pins and holds in this directory
    ///
    /// Default: /var/lib/nix-prune for root, $XDG_STATE_HOME/nix-prune for other users.
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", env = "NIX_PRUNE_STATE_DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<Utf8PathBuf>,

    /// Use the Nix commands in this directory instead of those on PATH
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", env = "NIX_PRUNE_NIX_BIN", value_hint = ValueHint::DirPath)]
    pub nix_bin: Option<Utf8PathBuf>,

    /// Increase the log level (repeatable)
    #[arg(short, long, global = true, help_heading = GLOBAL, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print only errors (repeatable)
    ///
    /// Neither the plan nor the receipt is shown. JSON documents, manual pages and completion scripts are still printed.
    #[arg(short, long, global = true, help_heading = GLOBAL, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,

    /// When to colour the output
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When to use colour.
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
    /// Show how full the store is and what can be freed (read-only)
    Status(StatusArgs),
    /// Show what `run` would do, and why (read-only)
    #[command(
        after_long_help = "Examples:\n  nix-prune plan daily                        # the job of the settings\n  nix-prune plan -k 5 -K 14d                  # keep the last 5 and 14 days\n  nix-prune plan --out plan.json              # save it for `apply`\n  nix-prune plan --json | jq .prediction"
    )]
    Plan(PlanArgs),
    /// Plan, ask for confirmation, and carry out the plan
    #[command(
        after_long_help = "Examples:\n  nix-prune run                               # the default job; asks first\n  nix-prune run -n                            # only show the plan\n  nix-prune run daily --yes                   # for timers\n  nix-prune run --until-free 20G              # only as much as needed"
    )]
    Run(RunArgs),
    /// Free this much space now: dead paths first, generations last
    ///
    /// Takes no more than needed, the oldest first: dead paths, expired holds, leftovers and links that the job's rules remove, other
    /// holds, and then generations that no rule keeps, without a hold. Shows what cannot be restored, and asks.
    Free(FreeArgs),
    /// Carry out a saved plan; fail if anything it relies on has changed
    #[command(
        after_long_help = "Examples:\n  nix-prune plan --out plan.json && nix-prune apply plan.json"
    )]
    Apply(ApplyArgs),
    /// Restore generations and roots removed by a run
    #[command(
        after_long_help = "Examples:\n  nix-prune undo                              # the latest run that can be undone\n  nix-prune undo system:42                    # only this generation\n  nix-prune undo last system:40..45 alice/home-manager\n  nix-prune history                           # the names of runs"
    )]
    Undo(UndoArgs),
    /// List past runs, or show one run in detail
    #[command(
        after_long_help = "Examples:\n  nix-prune history\n  nix-prune history 20260131T020000Z"
    )]
    History(HistoryArgs),
    /// List profiles and their generations (read-only)
    #[command(
        after_long_help = "Examples:\n  nix-prune generations system\n  nix-prune generations --no-sizes            # faster"
    )]
    Generations(GenerationsArgs),
    /// List GC roots, including those of running processes (read-only)
    #[command(
        after_long_help = "Examples:\n  nix-prune roots --json | jq '.roots[] | select(.kind == \"result\").link'"
    )]
    Roots(RootsArgs),
    /// List dead (unreachable) store paths (read-only)
    #[command(after_long_help = "Examples:\n  nix-prune dead | wc -l")]
    Dead(DeadArgs),
    /// Show which roots keep a store path alive (read-only)
    #[command(
        after_long_help = "Examples:\n  nix-prune why ./result\n  nix-prune why /nix/store/…-openssl-3.0"
    )]
    Why(WhyArgs),
    /// Show store disk usage (read-only)
    #[command(
        after_long_help = "Examples:\n  nix-prune du --by package --top 10\n  nix-prune du --by profile"
    )]
    Du(DuArgs),
    /// Browse the store on a full screen: mark, see what that frees, apply
    ///
    /// Shows profiles, generations, roots, leftovers, packages, dead paths and holds, what keeps each, and what removing the marked
    /// ones would free. Nothing is removed until the plan of what is marked was shown and confirmed, as with `run`.
    #[command(
        after_long_help = "Examples:\n  nix-prune browse                            # ? shows the keys\n  nix-prune browse --undo-window 0s           # the space is free at once"
    )]
    Browse(BrowseArgs),
    /// Write an HTML page of the store, the plans and the past runs (read-only)
    ///
    /// The page has a map of the store, the generations on a time line, the plan of each enabled job, duplicate packages,
    /// roots, holds and past runs. It is one file that loads nothing, and it names paths and users.
    #[command(
        after_long_help = "Examples:\n  nix-prune report --out store.html           # then open it in a browser\n  nix-prune report --json | jq '.duplicates.rows[:5]'"
    )]
    Report(ReportArgs),
    /// Check whether a job's budget is exceeded (read-only)
    ///
    /// Meant for frequent timers: reads only the settings and the free space of the store's file system. A job with
    /// maxStore, or without a budget, is always due.
    #[command(after_help = "\
Exit status, for ExecCondition= of systemd:
  0    due: the goal is missed, or only a scan of the store can decide
  1    not due: the goal is reached
  255  unknown: the settings cannot be read, or the job does not exist")]
    Due(DueArgs),
    /// Check the environment and recent runs for problems
    ///
    /// Checks Nix, the settings, the state directory, the records, the roots, the store, and how the last runs of each job
    /// ended. Exit status 1 if a job cannot run, or cannot do all of its work. Changes nothing unless --acknowledge is given.
    #[command(
        after_long_help = "Examples:\n  nix-prune doctor\n  nix-prune doctor --acknowledge              # let a paused job run again"
    )]
    Doctor(DoctorArgs),
    /// List or release holds (undo windows)
    #[command(
        after_long_help = "Examples:\n  nix-prune hold list\n  nix-prune hold release --all                # frees the space with the next run"
    )]
    Hold(HoldArgs),
    /// Pin a generation, so that it is never removed, or list pins
    #[command(
        after_long_help = "Examples:\n  nix-prune pin system:42 --reason \"last good kernel\"\n  nix-prune pin system:42 --until 90d\n  nix-prune pin list"
    )]
    Pin(PinArgs),
    /// Remove a pin
    Unpin(UnpinArgs),
    /// Print metrics for Prometheus
    ///
    /// Without --store only the settings, the records and the free space are read, which takes milliseconds.
    #[command(
        after_long_help = "Examples:\n  nix-prune metrics\n  nix-prune metrics --store --out /var/lib/node-exporter/nix-prune.prom"
    )]
    Metrics(MetricsArgs),
    /// Send a test notice
    ///
    /// Runs `notify.command` of the settings, and shows the notice on the desktop with `notify.desktop`. Runs of jobs do so if something
    /// is wrong, and when it is not any more: once for each change.
    Notify(NotifyArgs),
    /// Serve the page, the JSON documents and the metrics over HTTP (read-only)
    ///
    /// Paths: / (the page of `report`), /status.json, /plan.json, /plan/JOB.json, /history.json, /usage.json (`du`),
    /// /report.json, /metrics, /metrics?store=1 and /healthz. Documents are kept for a minute, metrics and history for five
    /// seconds.
    #[command(
        after_long_help = "Examples:\n  nix-prune serve                             # http://127.0.0.1:9748/ for this machine\n  nix-prune serve --listen unix:/run/nix-prune.sock\n  nix-prune serve --listen 0.0.0.0:9748 --token-file /etc/nix-prune/token"
    )]
    Serve(ServeArgs),
    /// Mark a project as used, so that rules for unused roots keep its links
    ///
    /// Sets the time of the links into the store in DIR, DIR/.direnv and DIR/.devenv to now.
    #[command(
        after_long_help = "Example, for every environment that direnv loads (~/.config/direnv/direnvrc):\n  nix-prune touch >/dev/null 2>&1 || true"
    )]
    Touch(TouchArgs),
    /// Create, validate, show, compare and import settings
    #[command(
        after_long_help = "Examples:\n  nix-prune config init --preset laptop\n  nix-prune config check\n  nix-prune config import nh clean all --keep 3"
    )]
    Config(ConfigArgs),
    /// Print a shell completion script
    #[command(
        after_long_help = "Examples:\n  source <(nix-prune completions bash)        # in ~/.bashrc\n  source <(nix-prune completions zsh)         # in ~/.zshrc, after compinit\n  nix-prune completions fish | source         # in ~/.config/fish/config.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands
    Man(ManArgs),
    /// Demonstrate plan, run and undo on a temporary store
    Demo,
}

impl Command {
    /// How long the command waits for another run; `None` unless `--wait` was given.
    pub fn wait(&self) -> Option<Span> {
        match self {
            Self::Run(args) => args.wait.wait,
            Self::Free(args) => args.wait.wait,
            Self::Apply(args) => args.wait.wait,
            Self::Browse(args) => args.wait.wait,
            Self::Undo(args) => args.wait.wait,
            Self::Hold(HoldArgs {
                command: HoldCommand::Release(args),
            }) => args.wait.wait,
            _ => None,
        }
    }
}

/// `touch`.
#[derive(Debug, Args)]
pub struct TouchArgs {
    /// The directory of the project
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: Utf8PathBuf,
}

/// `notify`.
#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command, and nix-prune-settings(5), to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<Utf8PathBuf>,
}

/// `--json`.
#[derive(Debug, Args)]
pub struct JsonArg {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name of the job in the settings
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
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
    /// Show every generation, root and hold with all reasons
    #[arg(long, conflicts_with = "json")]
    pub full: bool,
    /// Measure the freed disk space even of more than 2000 paths
    #[arg(long)]
    pub exact: bool,
    /// Save the plan to FILE for `apply`; `-` prints it instead of the table
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<Utf8PathBuf>,
}

impl RunArgs {
    /// The same as arguments of `plan`.
    pub(super) fn into_plan(mut self) -> PlanArgs {
        if self.now {
            self.job.undo_window = Some(Span::ZERO);
        }
        PlanArgs {
            job: self.job,
            json: self.json,
            full: false,
            exact: false,
            out: None,
        }
    }
}

/// `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The run to show: its name, the beginning of it, or `last`; default: list all runs
    #[arg(value_name = "RUN", add = complete::runs())]
    pub run: Option<String>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Acknowledge past failures, so that a paused job runs again
    #[arg(long)]
    pub acknowledge: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}
