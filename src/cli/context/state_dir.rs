//! The directory of records and holds.

use camino::Utf8PathBuf;

use crate::adapters::journal::Journal;
use crate::adapters::nix_dirs::{NixDirs, variable};
use crate::adapters::process::Account;
use crate::cli::args::Global;
use crate::cli::failure::{Exit, Failure};
use crate::domain::snapshot::Actor;

pub(super) fn state_dir(
    global: &Global,
    usual: Option<Utf8PathBuf>,
) -> Result<Utf8PathBuf, Failure> {
    match &global.state_dir {
        Some(dir) if dir.is_absolute() => Ok(dir.clone()),
        Some(dir) => Err(Failure::new(
            Exit::Usage,
            format!("the state directory {dir} is not an absolute path"),
        )),
        None => usual.ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "neither HOME nor XDG_STATE_HOME is set, so there is no directory for records",
            )
            .hint("Name a directory with --state-dir.")
        }),
    }
}

/// The directories if `HOME` and `XDG_STATE_HOME` are as at a login.
pub(super) fn state_dir_at_home(actor: Actor, places: &NixDirs) -> Option<Utf8PathBuf> {
    let Actor::User(uid) = actor else {
        return None;
    };
    let account = Account::find(&places.passwd, uid).ok().flatten()?;
    Journal::default_dir(false, None, Some(&account.home))
}

/// The state directory of this user without any option or variable of ours.
pub(super) fn usual_state_dir(
    actor: Actor,
    places: &NixDirs,
) -> Result<Option<Utf8PathBuf>, Failure> {
    let state_home = variable("XDG_STATE_HOME")?;
    let home = places.home.as_deref();
    let is_root = actor == Actor::Root;
    Ok(Journal::default_dir(is_root, state_home.as_deref(), home))
}
