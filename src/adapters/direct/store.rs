//! The store directory, opened for writing whatever its mount says.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use camino::Utf8Path;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::adapters::files::open_directory;

/// Opens the store directory. `NixOS` mounts it read-only; then it is opened in a mount namespace of its own, where it is not.
///
/// # Errors
/// When it cannot be opened, or not be made writable.
pub(super) fn open_writable(store: &Utf8Path) -> io::Result<OwnedFd> {
    let flags = statvfs(store.as_std_path())?.flags();
    if !flags.contains(FsFlags::ST_RDONLY) {
        return open_directory(store);
    }
    let kept = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = kept.into_iter().filter(|(there, _)| flags.contains(*there));
    let remount: MsFlags = kept.map(|(_, flag)| flag).collect();
    let remount = remount | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    // A namespace belongs to a thread. The open directory outlives both, and nothing else of the program sees another mount.
    let opened = thread::scope(|scope| {
        let open = || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none = None::<&str>;
            mount(none, store.as_std_path(), none, remount, none)?;
            open_directory(store)
        };
        let thread = thread::Builder::new().spawn_scoped(scope, open)?;
        crate::adapters::threads::joined(thread)
    });
    opened.map_err(|error| io::Error::new(error.kind(), ReadOnly(error)))
}

#[derive(Debug, thiserror::Error)]
#[error("it is mounted read-only, and cannot be made writable for this collection")]
struct ReadOnly(#[source] io::Error);
