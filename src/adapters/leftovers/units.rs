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

/// What compression adds to the name of a log.
const COMPRESSED: [&str; 2] = [".bz2", ".zst"];

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

/// Whether a name of this type is an entry.
type IsMeant<'m> = &'m dyn Fn(&CStr, SFlag) -> bool;
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
    each(dir, at, (&is_meant, &[]), visit).map(drop)
}

/// Visits the logs whose derivations are meant, each in the directory named by the first two characters of its derivation.
pub(super) fn each_log(
    dir: BorrowedFd<'_>,
    at: &Utf8Path,
    is_meant: &dyn Fn(&CStr) -> bool,
    visit: Visit<'_>,
) -> io::Result<()> {
    let mut flow = ControlFlow::Continue(());
    for_each_name(dir, |name| {
        let is_directory = || {
            let stat = stat_at(dir, name)?;
            Ok::<_, io::Error>(stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR))
        };
        if flow.is_continue() && name.count_bytes() == 2 && is_directory()? {
            let below = open_directory_at(dir, name)?;
            let is_log = |rest: &CStr, kind| {
                let rest = of_which(rest, &COMPRESSED);
                let derivation = [name.to_bytes(), rest.to_bytes()].concat();
                kind == SFlag::S_IFREG
                    && rest.to_bytes().ends_with(b".drv")
                    && CString::new(derivation).is_ok_and(|derivation| is_meant(&derivation))
            };
            flow = each(below.as_fd(), &joined(at, name), (&is_log, &[]), visit)?;
        }
        Ok(())
    })
}

fn each(
    dir: BorrowedFd<'_>,
    at: &Utf8Path,
    (is_meant, companions): (IsMeant<'_>, &[&str]),
    visit: Visit<'_>,
) -> io::Result<ControlFlow<()>> {
    let device = fstat(dir)?.st_dev;
    let mut flow = ControlFlow::Continue(());
    for_each_name(dir, |name| {
        if flow.is_continue()
            && let Some(stat) = stat_at(dir, name)?
            && is_meant(name, kind(&stat))
        {
            let names = names_of(dir, name, companions)?;
            if !names.is_empty() {
                let unit = Unit {
                    dir,
                    at,
                    device,
                    names: &names,
                };
                flow = visit(&unit);
            }
        }
        Ok(())
    })?;
    Ok(flow)
}

/// Directories of the cache in which each entry is one for itself, by the beginnings of their names: the version of a format follows.
const CACHED_APART: [&str; 6] = [
    "eval-cache-v",
    "fetcher-locks",
    "git",
    "hg",
    "tarballs",
    "attr-cache",
];
/// What the cache has as a whole.
const CACHED_WHOLE: [&str; 1] = ["tarball-cache"];
/// The ends of the names of databases.
const DATABASE: &str = ".sqlite";
/// What Nix, git and `SQLite` add to the name of an entry.
const COMPANIONS: [&str; 4] = [".lock", "-journal", "-shm", "-wal"];

/// Visits the entries of Nix's cache. Names that are not known are left alone.
pub(super) fn each_cached(dir: BorrowedFd<'_>, at: &Utf8Path, visit: Visit<'_>) -> io::Result<()> {
    let begins = |name: &CStr, beginnings: &[&str]| {
        let mut beginnings = beginnings.iter();
        beginnings.any(|beginning| name.to_bytes().starts_with(beginning.as_bytes()))
    };
    let is_whole = |name: &CStr, kind| match kind {
        SFlag::S_IFDIR => begins(name, &CACHED_WHOLE),
        SFlag::S_IFREG => of_which(name, &COMPANIONS)
            .to_bytes()
            .ends_with(DATABASE.as_bytes()),
        _ => false,
    };
    let mut flow = each(dir, at, (&is_whole, &COMPANIONS), visit)?;
    let is_apart = |_: &CStr, kind| matches!(kind, SFlag::S_IFDIR | SFlag::S_IFREG);
    for_each_name(dir, |name| {
        if flow.is_continue()
            && begins(name, &CACHED_APART)
            && let Some(stat) = stat_at(dir, name)?
            && kind(&stat) == SFlag::S_IFDIR
        {
            let below = open_directory_at(dir, name)?;
            flow = each(
                below.as_fd(),
                &joined(at, name),
                (&is_apart, &COMPANIONS),
                visit,
            )?;
        }
        Ok(())
    })
}

/// Visits the files of temporary roots, which are named by the numbers of processes.
pub(super) fn each_temporary(
    dir: BorrowedFd<'_>,
    at: &Utf8Path,
    visit: Visit<'_>,
) -> io::Result<()> {
    let is_number = |name: &CStr, kind| {
        kind == SFlag::S_IFREG && name.to_bytes().iter().all(u8::is_ascii_digit)
    };
    each(dir, at, (&is_number, &[]), visit).map(drop)
}

/// The name of the entry that a name belongs to: its own, or that without what was added to it.
fn of_which(name: &CStr, companions: &[&str]) -> CString {
    let bytes = name.to_bytes();
    let mut added = companions.iter();
    let base = added.find_map(|end| bytes.strip_suffix(end.as_bytes()));
    CString::new(base.unwrap_or(bytes)).unwrap_or_default()
}

/// The names that belong to the entry of this name, which comes first; none if the name belongs to another entry that is there.
fn names_of(dir: BorrowedFd<'_>, name: &CStr, companions: &[&str]) -> io::Result<Vec<CString>> {
    let base = of_which(name, companions);
    if *base != *name && stat_at(dir, &base)?.is_some() {
        return Ok(Vec::new());
    }
    let mut names = vec![name.to_owned()];
    for end in companions {
        let mut with_end = name.to_bytes().to_vec();
        with_end.extend_from_slice(end.as_bytes());
        let with_end = CString::new(with_end).unwrap_or_default();
        if stat_at(dir, &with_end)?.is_some() {
            names.push(with_end);
        }
    }
    Ok(names)
}
