//! Who opens the store for a command of ours: Nix with our own rights, or nix-daemon with its own.

use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat, geteuid};

use super::parse::{Setting, store_setting};
use crate::adapters::nix_dirs::NixDirs;
use crate::domain::snapshot::Actor;

/// Who opens the store, and so who collects in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAccess {
    /// Nix itself, with our rights: what we cannot read it cannot read either.
    Direct,
    /// nix-daemon, which may read more.
    Daemon,
}

impl StoreAccess {
    /// Decides by rights and `NIX_REMOTE` alone, because a look asks nothing of Nix. A daemon of root's, or of the user who
    /// owns the store, has no more rights than they have.
    pub fn of(places: &NixDirs, actor: Actor) -> Self {
        let state_dir = &places.state_dir;
        let is_direct = match actor {
            Actor::Root => true,
            Actor::User(uid) => {
                let owns = state_dir.metadata().is_ok_and(|dir| dir.uid() == uid);
                let is_us = uid == geteuid().as_raw();
                owns || (is_us && may_write(state_dir) && !names_daemon(places))
            }
        };
        if is_direct {
            Self::Direct
        } else {
            Self::Daemon
        }
    }
}

/// Whether `NIX_REMOTE` names the daemon of the store.
pub fn names_daemon(places: &NixDirs) -> bool {
    let remote = places.remote.as_deref().unwrap_or_default();
    let setting = store_setting(remote, &places.store, &places.state_dir);
    matches!(setting, Some(Setting::Daemon(_)))
}

/// Whether Nix opens the files itself where nothing names a daemon.
pub(super) fn may_write(state_dir: &Utf8Path) -> bool {
    let may = AccessFlags::R_OK | AccessFlags::W_OK;
    faccessat(AT_FDCWD, state_dir.as_std_path(), may, AtFlags::AT_EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn access(remote: Option<&str>, actor: impl FnOnce(u32) -> Actor) -> StoreAccess {
        let dir = tempfile::tempdir().unwrap();
        let places = NixDirs {
            state_dir: Utf8Path::from_path(dir.path()).unwrap().into(),
            remote: remote.map(str::to_string),
            ..NixDirs::from_env().unwrap()
        };
        StoreAccess::of(&places, actor(dir.path().metadata().unwrap().uid()))
    }

    #[rstest]
    #[case::nothing(None)]
    #[case::files(Some("local"))]
    #[case::daemon(Some("daemon"))]
    fn who_owns_the_store_collects_whatever_nix_remote_says(#[case] remote: Option<&str>) {
        assert_eq!(access(remote, Actor::User), StoreAccess::Direct);
        assert_eq!(access(remote, |_| Actor::Root), StoreAccess::Direct);
        let other = access(remote, |owner| Actor::User(owner + 1));
        assert_eq!(other, StoreAccess::Daemon);
    }

    #[rstest]
    #[case("daemon", true)]
    #[case("unix:///run/nix.socket", true)]
    #[case("", false)]
    #[case("auto", false)]
    #[case("local", false)]
    #[case("ssh://host", false)]
    fn nix_remote_may_name_a_daemon(#[case] remote: &str, #[case] expected: bool) {
        let places = NixDirs {
            remote: Some(remote.to_string()),
            ..NixDirs::from_env().unwrap()
        };
        assert_eq!(names_daemon(&places), expected);
    }
}
