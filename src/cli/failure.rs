//! Failures: the one place where errors get a hint and an exit status.

use std::process::ExitCode;

use super::log::{EventKind, RunEvent};
use super::undo::known_items;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::engine::{EngineError, GateError, PlanError};
use crate::ports::{
    DiskError, JournalError, NO_ANSWER, OTHER_STORE, PerformError, StoreReadError,
    StoreReadTrouble, SurveyError, error_chain,
};
use crate::render::json::{ErrorDocument, FailureDocument, error};

/// A record of a few kilobytes must be written before any action that frees space.
const FREE_SPACE: &str = "The disk is full, and the reserve for this case is missing or too small. Free 1 MiB, for example by removing a log or a \
                         cache, and run this again.";

/// The exit codes: those of sysexits if one fits, so that systemd names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Failed.
    Failed,
    /// Usage error.
    Usage,
    /// Partially completed: some steps failed.
    Partly,
    /// Refused: a safety check, the risk limit, or declined at the prompt.
    Refused,
    /// The budget is not reached.
    OverBudget,
    /// Nix was not found or cannot be used.
    Unavailable,
    /// The state directory cannot be written.
    CannotCreate,
    /// Another run holds the lock.
    TryAgain,
    /// Not permitted.
    NoPermission,
    /// The settings are not valid.
    Config,
    /// `due`: the goal is reached.
    NotDue,
    /// `due`: there is no answer.
    DueUnknown,
    /// SIGTERM stopped it before its end. The process ends by the signal; this is the number that shells give it.
    Stopped,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => 0,
            Exit::Failed | Exit::NotDue => 1,
            Exit::Usage => 2,
            Exit::Partly => 3,
            Exit::Refused => 4,
            Exit::OverBudget => 5,
            Exit::Unavailable => 69,
            Exit::CannotCreate => 73,
            Exit::TryAgain => 75,
            Exit::NoPermission => 77,
            Exit::Config => 78,
            Exit::Stopped => 143,
            Exit::DueUnknown => 255,
        }
    }
}

impl Exit {
    /// The name of the exit status, for scripts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Partly => "partial",
            Self::Refused => "refused",
            Self::OverBudget => "budget",
            Self::Unavailable => "nix",
            Self::CannotCreate => "state",
            Self::TryAgain => "busy",
            Self::NoPermission => "permission",
            Self::Config => "settings",
            Self::NotDue => "notDue",
            Self::DueUnknown => "unknown",
            Self::Stopped => "stopped",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(u8::from(exit))
    }
}

/// Why a command did not complete.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code.
    pub(super) exit: Exit,
    /// What failed, on what, and the causes; sentences without a final period.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: Option<String>,
    /// The safety check that refused, if it was one.
    pub(super) check: Option<CheckCode>,
}

impl Failure {
    /// A failure of this kind.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            check: None,
        }
    }

    /// What a run reports by it to the journal; nothing where the run did not begin because of another one, or was stopped.
    pub(super) fn event(&self) -> RunEvent {
        let kind = match (self.check, self.exit) {
            (_, Exit::TryAgain | Exit::Stopped) => None,
            (Some(CheckCode::JobPaused), _) => Some(EventKind::JobPaused),
            (Some(_), _) => Some(EventKind::CheckFailed),
            (None, Exit::OverBudget) => Some(EventKind::GoalMissed),
            (None, _) => Some(EventKind::RunFailed),
        };
        RunEvent {
            kind,
            result: Some(self.check.map_or(self.exit.name(), CheckCode::as_str)),
            ..RunEvent::default()
        }
    }

    /// The document of it.
    pub(super) fn document(&self) -> ErrorDocument {
        let check = self.check.map(CheckCode::as_str);
        error(FailureDocument {
            code: check.unwrap_or(self.exit.name()).to_string(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            exit: self.exit.into(),
        })
    }

    /// The same with a hint.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Self {
        let (exit, hint) = match &error {
            SurveyError::StateDir { source, .. } if is_denied(source) => (
                Exit::NoPermission,
                "Run as a user who may read it.".to_string(),
            ),
            SurveyError::StateDir { .. } => (
                Exit::Unavailable,
                "Check that Nix is installed here and that NIX_STATE_DIR is right.".to_string(),
            ),
            SurveyError::OtherStore(_) => (Exit::Unavailable, OTHER_STORE.to_string()),
            SurveyError::NoAnswer(_) => (Exit::Unavailable, NO_ANSWER.to_string()),
            SurveyError::Place { variable, .. } => (
                Exit::Usage,
                format!("Unset {variable} or make it an absolute path."),
            ),
        };
        Self::new(exit, error_chain(&error)).hint(hint)
    }
}

impl From<StoreReadError> for Failure {
    fn from(error: StoreReadError) -> Self {
        let exit = match error.kind {
            StoreReadTrouble::Denied => Exit::NoPermission,
            StoreReadTrouble::Busy => Exit::TryAgain,
            StoreReadTrouble::Unusable
            | StoreReadTrouble::NoDatabase
            | StoreReadTrouble::Damaged
            | StoreReadTrouble::OtherStore
            | StoreReadTrouble::NoAnswer => Exit::Unavailable,
            StoreReadTrouble::Interrupted => Exit::Failed,
        };
        Self::new(exit, error_chain(&error)).hint(error.hint)
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        let message = error_chain(&error);
        match error {
            DiskError::Store { source, .. } if is_denied(&source) => {
                Self::new(Exit::NoPermission, message).hint("Run as a user who may read it.")
            }
            DiskError::Fullness { .. } => {
                Self::new(Exit::Failed, message).hint("Check that NIX_STORE_DIR is right.")
            }
            DiskError::Store { .. } => {
                Self::new(Exit::Unavailable, message).hint("Check that NIX_STORE_DIR is right.")
            }
            DiskError::Interrupted => Self::new(Exit::Failed, message).hint("Nothing was changed."),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let message = error_chain(&error);
        let (exit, hint) = match &error {
            JournalError::Locked { .. } => (Exit::TryAgain, "Try again when it has finished."),
            JournalError::Write { source, .. } if is_denied(source) => (
                Exit::NoPermission,
                "Run as the user who owns the state directory.",
            ),
            JournalError::Write { .. } if error.is_of_full_disk() => {
                (Exit::CannotCreate, FREE_SPACE)
            }
            JournalError::Write { .. } => {
                (Exit::CannotCreate, "Make the state directory writable.")
            }
            JournalError::Read { source, .. } if is_denied(source) => (
                Exit::NoPermission,
                "Run as the user who owns the state directory.",
            ),
            JournalError::Read { .. } => (Exit::Failed, "Inspect the file; nothing was changed."),
            JournalError::Malformed { .. } => (
                Exit::Failed,
                "Inspect the file; move it away if it is not needed. The holds it records stay until they are removed by hand.",
            ),
            JournalError::Untrusted { .. } => (
                Exit::Refused,
                "Make this user its owner, and let no other user write to it.",
            ),
            JournalError::NoSuchRun(_) => (Exit::Usage, "`nix-prune history` lists the runs."),
        };
        Self::new(exit, message).hint(hint)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let message = error_chain(&error);
        match error {
            PlanError::BudgetUnknown(error) => Self {
                message,
                ..Self::from(error)
            },
            PlanError::Store(error) => error.into(),
            PlanError::Survey(error) => error.into(),
            PlanError::Disk(error) => error.into(),
            PlanError::Journal(error) => error.into(),
            PlanError::Nix(error) => error.into(),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let message = error_chain(&error);
        match error {
            EngineError::Survey(error) => error.into(),
            EngineError::Journal(error) => match &error {
                JournalError::Write { .. } => {
                    let failure = Self::from(error);
                    let message = format!("nothing was done: {}", failure.message);
                    Self { message, ..failure }
                }
                _ => error.into(),
            },
            EngineError::Stopped { source, .. } => {
                let failure = Self::from(source);
                let advice = failure.hint.unwrap_or_default();
                Self {
                    message,
                    hint: Some(format!(
                        "{advice}\nThe next run or undo recovers this one first."
                    )),
                    ..failure
                }
            }
            EngineError::OtherStore { .. } => Self::new(Exit::Refused, message)
                .hint("Undo it with the same NIX_STORE_DIR and NIX_STATE_DIR as in that run."),
            EngineError::Unusable(error) => Self {
                message,
                ..Self::from(error)
            },
            EngineError::OtherMachine => Self::new(Exit::Refused, message)
                .hint("Make a new plan here, with the same NIX_STORE_DIR and NIX_STATE_DIR."),
            EngineError::Changed { .. } => {
                Self::new(Exit::Refused, message).hint("Nothing was done. Make a new plan.")
            }
            EngineError::Refused { code, hint, .. } => {
                let message = format!("nothing was done: {message}");
                let hint = format!("{hint}\nTo override this check, use --accept {code}.");
                Self {
                    check: Some(code),
                    ..Self::new(Exit::Refused, message).hint(hint)
                }
            }
            EngineError::NoSuchItem { item, items, .. } => {
                Self::new(Exit::Usage, message).hint(known_items(&item, items))
            }
            EngineError::Vanished { link, path, .. } => Self::new(Exit::Usage, message).hint(
                format!("Undo does not restore links that others removed. To make it a root again: nix-store --add-root {link} --realise {path}"),
            ),
            EngineError::NothingToUndo { .. } => Self::new(Exit::Refused, message)
                .hint("`nix-prune history` lists what can be undone."),
        }
    }
}

impl From<PerformError> for Failure {
    fn from(error: PerformError) -> Self {
        let message = error_chain(&error);
        match error {
            PerformError::Unusable(_) => Self::new(Exit::Unavailable, message).hint(
                "Install Nix 2.8 or later, or name the directory of its commands with --nix-bin.",
            ),
            PerformError::OtherStore(_) => Self::new(Exit::Unavailable, message).hint(OTHER_STORE),
            PerformError::File { source, .. } if is_denied(&source) => {
                Self::new(Exit::NoPermission, message)
            }
            _ => Self::new(Exit::Failed, message),
        }
    }
}

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        let hint = match &error {
            GateError::Stopped { stops } => {
                let hint = |stop: &Blocker| {
                    let Blocker { code, hint, .. } = stop;
                    format!("{code}: {hint}; or use --accept {code}")
                };
                stops.iter().map(hint).collect::<Vec<_>>().join("\n")
            }
            GateError::SafeMode { .. } => {
                "Keep more, or set an undo window. At a terminal, without --yes, a person can confirm critical actions; unattended, \
                 only `safeMode: false` in the settings allows them."
                    .to_string()
            }
            GateError::TooRisky { highest, .. } => {
                format!("Review the plan, and use `--max-risk {highest}` to allow it.")
            }
        };
        let check = match &error {
            GateError::Stopped { stops } => stops.first().map(|stop| stop.code),
            GateError::SafeMode { .. } | GateError::TooRisky { .. } => None,
        };
        Self {
            check,
            ..Self::new(Exit::Refused, format!("nothing was done: {error}")).hint(hint)
        }
    }
}

fn is_denied(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}
