//! Acting in a user's directory with exactly that user's rights.

use std::io;

use crate::adapters::process::Account;

/// Runs `f` with the file system rights of `account`; with our own for `None`.
///
/// What a user's directory leads to is that user's choice: with root's rights, a link in the right place could make
/// us write anywhere.
#[cfg(target_os = "linux")]
pub(super) fn with_rights_of<T: Send>(
    account: Option<&Account>,
    f: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

    let Some(account) = account else {
        return f();
    };
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let work = move || {
        // These hold for this one thread, which ends with `f`. The group comes first: afterwards we may not.
        setfsgid(gid);
        setfsuid(uid);
        // Neither call reports failure; asked for an impossible user, they return the present one.
        let now = (
            setfsuid(Uid::from_raw(u32::MAX)),
            setfsgid(Gid::from_raw(u32::MAX)),
        );
        if now != (uid, gid) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        f()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, work)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread with the user's rights failed")))
    })
}

/// Runs `f` with our own rights; there are no others to be had here.
#[cfg(not(target_os = "linux"))]
pub(super) fn with_rights_of<T: Send>(
    account: Option<&Account>,
    f: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    match account {
        None => f(),
        Some(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn rights_are_given_up_for_the_call_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let eve = Account {
            uid: 4242,
            gid: 4242,
            name: "eve".into(),
            home: "/nowhere".into(),
        };
        let write = || fs::write(dir.path().join("file"), "");
        let denied = with_rights_of(Some(&eve), write).unwrap_err();
        // As root because the directory is closed to others, else because we cannot become another user.
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
        assert!(!dir.path().join("file").exists());
        with_rights_of(None, write).unwrap();
        assert!(dir.path().join("file").exists());
    }
}
