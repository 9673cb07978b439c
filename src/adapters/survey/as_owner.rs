//! Looking with the rights of another user: root may not read a home on NFS with `root_squash`, and a run of root acts with the rights
//! of the owner.
//!
//! Only the identity of this thread for file system checks changes, for calls that do not follow the last link.
//! Nothing is opened.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, Gid, Uid, faccessat, setfsgid, setfsuid};

use super::dirs::{FileKind, Meta, metadata_of};
use crate::adapters::process::Account;

/// The link and its target.
///
/// # Errors
/// As reading it; also when no ancestor belongs to an ordinary user, or the identity cannot be changed.
pub(super) fn read_link(link: &Path) -> io::Result<(Meta, OsString)> {
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let mut above = link.ancestors().skip(1);
    let owner = above.find_map(|dir| metadata_of(dir).ok());
    let uid = owner.map(|found| Uid::from_raw(found.uid));
    let uid = uid.filter(|uid| !uid.is_root()).ok_or_else(denied)?;
    let _other = Other::become_user(uid).ok_or_else(denied)?;
    let found = metadata_of(link)?;
    let text = if found.kind == FileKind::Link {
        fs::read_link(link)?.into_os_string()
    } else {
        OsString::new()
    };
    Ok((found, text))
}

/// Whether a user may add and remove names in a directory, with their first group, as a run would; `None` for ourselves.
///
/// # Errors
/// Why not.
pub(super) fn may_change(dir: &Path, user: Option<&Account>) -> io::Result<()> {
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let _other = match user {
        None => None,
        Some(user) => {
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            Some(Other::become_member(uid, gid).ok_or_else(denied)?)
        }
    };
    let change = AccessFlags::W_OK | AccessFlags::X_OK;
    Ok(faccessat(AT_FDCWD, dir, change, AtFlags::AT_EACCESS)?)
}

/// This thread while it has another identity for the file system.
struct Other {
    user: Uid,
    group: Option<Gid>,
}

impl Other {
    fn become_user(uid: Uid) -> Option<Self> {
        let guard = Self {
            user: setfsuid(uid),
            group: None,
        };
        // The call returns the former identity, whether it succeeded or not.
        (setfsuid(uid) == uid).then_some(guard)
    }

    fn become_member(uid: Uid, gid: Gid) -> Option<Self> {
        let group = setfsgid(gid);
        let is_member = setfsgid(gid) == gid;
        let guard = Self {
            user: setfsuid(uid),
            group: Some(group),
        };
        (is_member && setfsuid(uid) == uid).then_some(guard)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        setfsuid(self.user);
        self.group.map(setfsgid);
    }
}
