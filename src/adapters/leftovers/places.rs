//! The directories that have leftovers, by class.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use camino::Utf8PathBuf;

use super::tree::LastUse;
use super::units::{Unit, each_directory, each_log};
use crate::adapters::files::open_directory;
use crate::adapters::nix_dirs::NixDirs;
use crate::adapters::process::Account;
use crate::domain::leftover::LeftoverClass;
use crate::domain::profile::Owner;
use crate::domain::snapshot::Actor;

/// A directory with leftovers of one class.
pub(super) struct Place {
    pub(super) class: LeftoverClass,
    pub(super) dir: Utf8PathBuf,
    pub(super) owner: Owner,
    pub(super) rights: Rights,
    pub(super) last_use: LastUse,
    layout: Layout,
}

/// With whose rights the entries of a place are removed.
pub(super) enum Rights {
    /// With our own ones: nobody else can change the directory.
    Ours,
    /// With those of the owner of each entry: everybody may make one.
    OfEachOwner,
    /// With those of a user, whose directory it is.
    #[expect(dead_code, reason = "for directories in homes")]
    Of(Account),
}

/// How the entries of a place are found.
enum Layout {
    /// Directories whose names begin with this.
    Directories(&'static str),
    /// Logs in directories of two characters.
    Logs,
}

/// The existing places of a class.
pub(super) fn places(dirs: &NixDirs, class: LeftoverClass, actor: Actor) -> Vec<Place> {
    let _ = actor;
    let users = fs::read(dirs.passwd.as_std_path()).unwrap_or_default();
    let users: Vec<Account> = Account::all_in(&String::from_utf8_lossy(&users)).collect();
    let place = |dir: Utf8PathBuf, rights: Rights, layout: Layout| {
        let uid = fs::metadata(&dir).ok()?.uid();
        let user = users.iter().find(|user| user.uid == uid);
        let name = user.map(|user| user.name.clone());
        Some(Place {
            class,
            dir,
            owner: Owner { uid, name },
            rights,
            last_use: LastUse::Change,
            layout,
        })
    };
    let found: Vec<Option<Place>> = match class {
        LeftoverClass::BuildDirs => {
            let temporary = dirs.temporary.iter().map(|dir| {
                let layout = Layout::Directories("nix-build-");
                place(dir.clone(), Rights::OfEachOwner, layout)
            });
            let builds = dirs.state_dir.join("builds");
            let builds = place(builds, Rights::Ours, Layout::Directories("nix-"));
            temporary.chain([builds]).collect()
        }
        LeftoverClass::BuildLogs => {
            let logs = dirs.log_dir.iter().map(|dir| dir.join("drvs"));
            logs.map(|dir| place(dir, Rights::Ours, Layout::Logs))
                .collect()
        }
    };
    found.into_iter().flatten().collect()
}

impl Place {
    /// Calls `visit` for every entry, until it breaks.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub(super) fn visit(
        &self,
        visit: &mut dyn FnMut(&Unit<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let dir = open_directory(&self.dir)?;
        match self.layout {
            Layout::Directories(prefix) => each_directory(dir.as_fd(), &self.dir, prefix, visit),
            Layout::Logs => each_log(dir.as_fd(), &self.dir, visit),
        }
    }
}
