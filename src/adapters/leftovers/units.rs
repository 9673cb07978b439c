//! The entries of a directory with leftovers, each as a whole.

use std::ffi::{CStr, CString};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::stat::{SFlag, fstat};

use super::joined;
use super::tree::{kind, stat_at};
use crate::adapters::files::{for_each_name, open_directory_at};
use crate::adapters::process::Account;

/// The ends of the names of logs: plain, and compressed.
const LOGS: [&str; 3] = [".drv", ".drv.bz2", ".drv.zst"];

/// Something that is removed as a whole.
pub(super) struct Unit<'a> {
    /// The directory that it is in, and its path.
    pub(super) dir: BorrowedFd<'a>,
    pub(super) at: &'a Utf8Path,
    device: u64,
    /// Its names; the first is its own.
    pub(super) names: &'a [CString],
}

impl Unit<'_> {
    pub(super) fn path(&self) -> Utf8PathBuf {
        let name = self.names.first();
        name.map_or_else(|| self.at.to_path_buf(), |name| joined(self.at, name))
    }

    /// The file system of its directory.
    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// The user that it belongs to; `None` if it is gone.
    pub(super) fn owner(&self) -> io::Result<Option<Account>> {
        let Some(name) = self.names.first() else {
            return Ok(None);
        };
        let stat = stat_at(self.dir, name)?;
        Ok(stat.map(|stat| Account {
            uid: stat.st_uid,
            gid: stat.st_gid,
            name: String::new(),
            home: Utf8PathBuf::new(),
        }))
    }
}

type Visit<'v> = &'v mut dyn FnMut(&Unit<'_>) -> ControlFlow<()>;

/// Visits the directories whose names begin with `prefix`.
pub(super) fn each_directory(
    dir: BorrowedFd<'_>,
    at: &Utf8Path,
    prefix: &str,
    visit: Visit<'_>,
) -> io::Result<()> {
    let is_meant = |name: &CStr, kind| {
        kind == SFlag::S_IFDIR && name.to_bytes().starts_with(prefix.as_bytes())
    };
    each(dir, at, &is_meant, visit).map(drop)
}

/// Visits the logs, each in the directory named by the first two characters of its derivation.
pub(super) fn each_log(dir: BorrowedFd<'_>, at: &Utf8Path, visit: Visit<'_>) -> io::Result<()> {
    let is_log = |name: &CStr, kind| {
        let mut ends = LOGS.iter();
        kind == SFlag::S_IFREG && ends.any(|end| name.to_bytes().ends_with(end.as_bytes()))
    };
    let mut flow = ControlFlow::Continue(());
    for_each_name(dir, |name| {
        let is_directory = || {
            let stat = stat_at(dir, name)?;
            Ok::<_, io::Error>(stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR))
        };
        if flow.is_continue() && name.count_bytes() == 2 && is_directory()? {
            let below = open_directory_at(dir, name)?;
            flow = each(below.as_fd(), &joined(at, name), &is_log, visit)?;
        }
        Ok(())
    })
}

fn each(
    dir: BorrowedFd<'_>,
    at: &Utf8Path,
    is_meant: &dyn Fn(&CStr, SFlag) -> bool,
    visit: Visit<'_>,
) -> io::Result<ControlFlow<()>> {
    let device = fstat(dir)?.st_dev;
    let mut flow = ControlFlow::Continue(());
    for_each_name(dir, |name| {
        if flow.is_continue()
            && let Some(stat) = stat_at(dir, name)?
            && is_meant(name, kind(&stat))
        {
            let names = [name.to_owned()];
            let unit = Unit {
                dir,
                at,
                device,
                names: &names,
            };
            flow = visit(&unit);
        }
        Ok(())
    })?;
    Ok(flow)
}
