//! Ports: the traits through which the engine reads, acts, records, and knows the time and when to stop.

use std::error::Error as StdError;

use crate::domain::elapsed::Uptime;
use crate::domain::measure::Timestamp;

mod act;
mod direct;
mod journal;
mod read;

pub use act::{
    ArgLimit, Collected, Deleted, LinkState, NixActions, PerformError, RestoreMode, UndeletedPath,
    nth_link,
};
pub use direct::{DirectCollection, DirectStep, Finished};
pub use journal::{JournalError, RunJournal, is_full};
pub use read::{
    DiskError, Observation, ReadStore, RunningRoots, StoreReadError, StoreReadTrouble, Survey,
    SurveyError,
};

/// The cause below an error, of whatever kind.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// An error with its causes on one line, each behind a colon.
pub fn error_chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What to do where Nix works on another store.
pub const OTHER_STORE: &str = "Look at `store` in the output of `nix config show`. Set it to `auto` in nix.conf, NIX_CONFIG and NIX_REMOTE, or run \
                               nix-prune where that store is the local one: on its machine, or inside its root directory.";

/// What to do where nix-daemon does not answer.
pub const NO_ANSWER: &str = "Restart the daemon: `systemctl restart nix-daemon.socket nix-daemon.service`. `nix-prune doctor` shows whether it \
                             answers, and whether it accepts the user.";

/// The clock.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// How long the machine is up; `None` where that is not known.
    fn uptime(&self) -> Option<Uptime> {
        None
    }
}

/// Whether somebody asked us to stop.
pub trait Interrupt {
    /// Whether to stop at the next step.
    fn requested(&self) -> bool;
}
