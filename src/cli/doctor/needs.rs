//! Checks of a run's needs: a store that responds, writable directories, free locks.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, faccessat};

use super::{failed, passed, warned};
use crate::adapters::collector::holder;
use crate::adapters::nix_cli::{StoreAccess, names_daemon};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::domain::snapshot::{Actor, Snapshot};
use crate::ports::{NixActions, PerformError, error_chain};
use crate::render::json::{CheckDocument, CheckState};
use crate::render::text::count;

/// The name of the check that Nix opens the store.
pub(super) const ACCESS: &str = "access";

/// Whether records can be written, tried without leaving a file behind.
pub(super) fn state(context: &Context) -> CheckDocument {
    let dir = context.journal.dir();
    match context.journal.probe() {
        Ok(true) => passed("state", dir.to_string()),
        Ok(false) => passed("state", format!("{dir} will be created by the first run")),
        Err(error) => failed("state", &error.into()),
    }
}

/// Whether Nix opens the store for our user, as every command of a run needs it. `None` without Nix, or without a
/// store, which Nix would create.
pub(super) fn access(context: &Context) -> Option<CheckDocument> {
    let nix = context.nix().ok()?;
    nix.nix_version().ok()?;
    if !has_store(context) {
        return None;
    }
    let Err(error) = nix.open_store() else {
        return Some(passed(ACCESS, "Nix can open the store".to_string()));
    };
    let hint = match &error {
        PerformError::TimedOut { .. } => {
            "Restart the daemon: `systemctl restart nix-daemon.service`. Without a daemon another Nix command may hold the store's lock."
        }
        error => hint(&error_chain(error)),
    };
    let failure = Failure::from(error);
    Some(failed(ACCESS, &failure.hint(hint)))
}

fn has_store(context: &Context) -> bool {
    let state = &context.places.state_dir;
    let made = ["db/db.sqlite", "daemon-socket/socket"];
    names_daemon(&context.places) || made.iter().any(|name| state.join(name).exists())
}

/// Hints for the reasons that Nix gives for not opening a store.
fn hint(message: &str) -> &'static str {
    let says = |text: &str| message.contains(text);
    if says("cannot connect to") {
        "Start the daemon: `systemctl start nix-daemon.socket`."
    } else if says("not allowed to connect") || says("cannot open connection to") {
        // A daemon that refuses a user may close the socket before it reports so.
        "Add the user to `allowed-users` in nix.conf and restart the daemon, or run as root."
    } else if says("remounting") || says("Read-only") {
        "Mount the file system of the store writable."
    } else if says("No space left") {
        "Free space on the file system of Nix's state directory."
    } else {
        "No run can change the store until this is fixed."
    }
}

/// Whether the directories of generations and roots can be changed.
pub(super) fn directories(context: &Context, snapshot: Option<&Snapshot>) -> Vec<CheckDocument> {
    let state = &context.places.state_dir;
    let mut checks = Vec::new();
    // If a daemon changes the state directory, the daemon needs the rights.
    if StoreAccess::of(&context.places, context.actor) == StoreAccess::Direct {
        let own = ["profiles", "gcroots", "gcroots/auto"].map(|name| state.join(name));
        let blocked = own.iter().filter_map(|dir| Some((dir, refused(dir)?)));
        let blocked: Vec<(&Utf8PathBuf, Errno)> = blocked.collect();
        let inside = |dir: &Utf8Path| blocked.iter().any(|(other, _)| dir.parent() == Some(other));
        let outermost = blocked.iter().filter(|(dir, _)| !inside(dir));
        checks.extend(outermost.map(|(dir, error)| CheckDocument {
            state: CheckState::Error,
            ..warned(
                "roots",
                format!("cannot write to {dir}: {}", error.desc()),
                "Make it writable for the user who runs nix-prune.",
            )
        }));
        checks.extend(full(state));
    }
    let profiles = snapshot.map(|snapshot| snapshot.profiles.as_slice());
    let mut thinned: BTreeMap<Utf8PathBuf, usize> = BTreeMap::new();
    for profile in profiles.unwrap_or_default() {
        let is_ours =
            context.actor == Actor::Root || profile.owner.uid == Uid::effective().as_raw();
        let path = profile.path.to_path();
        let dir = path.parent().filter(|dir| *dir != state.join("profiles"));
        if let Some(dir) = dir.filter(|_| is_ours && profile.generations.len() > 1) {
            *thinned.entry(dir.to_path_buf()).or_default() += 1;
        }
    }
    let blocked = thinned
        .iter()
        .filter_map(|(dir, n)| Some((dir, n, refused(dir)?)));
    checks.extend(blocked.map(|(dir, &profiles, error)| {
        warned(
            "roots",
            format!(
                "cannot write to {dir}: {}; no generation of {} in it can be removed",
                error.desc(),
                count(profiles, "profile")
            ),
            "Make the directory writable for its owner.",
        )
    }));
    checks
}

/// Whether the file system of Nix's state has no space for another root.
fn full(state: &Utf8Path) -> Option<CheckDocument> {
    let there = statvfs(state.as_std_path()).ok()?;
    // Some file systems have no fixed number of inodes and report 0.
    let out_of_inodes = there.files() > 0 && there.files_free() == 0;
    let what = match (there.blocks_free() == 0, out_of_inodes) {
        (true, _) => "space",
        (false, true) => "inode",
        (false, false) => return None,
    };
    Some(warned(
        "roots",
        format!("the file system of {state} has no {what} left"),
        "Dead store paths can still be deleted. Holds and roots cannot be created until space is freed.",
    ))
}

/// Why nothing can be written in an existing directory.
fn refused(dir: &Utf8Path) -> Option<Errno> {
    if !dir.is_dir() {
        return None;
    }
    let may = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, dir.as_std_path(), may, AtFlags::AT_EACCESS).err()
}

/// Locks that another run or another collection holds.
pub(super) fn locks(context: &Context) -> Vec<CheckDocument> {
    let locks = [
        (
            context.journal.lock_path(),
            "Another run is in progress. `nix-prune run --wait 1h` waits for it.",
        ),
        (
            context.places.state_dir.join("gc.lock"),
            "Another garbage collection is in progress; a run waits for it.",
        ),
    ];
    let held = locks.into_iter().filter_map(|(lock, hint)| {
        let holder = holder(lock, Utf8Path::new("/proc"))?;
        Some(warned("lock", holder.to_string(), hint))
    });
    held.collect()
}
