//! The directories that have leftovers, by class.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use camino::Utf8PathBuf;
use nix::unistd::{getegid, geteuid};

use super::derivations::Derivations;
use super::tree::LastUse;
use super::units::{Unit, each_cached, each_directory, each_log, each_temporary};
use crate::adapters::files::{open_below, open_directory};
use crate::adapters::nix_dirs::NixDirs;
use crate::adapters::process::Account;
use crate::domain::leftover::LeftoverClass;
use crate::domain::profile::Owner;
use crate::domain::snapshot::Actor;
use crate::domain::store_path::StoreDir;

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
    Of(Account),
}

/// How the entries of a place are found.
enum Layout {
    /// Directories whose names begin with this.
    Directories(&'static str),
    /// Logs in directories of two characters, of derivations of this store.
    Logs(StoreDir),
    /// Nix's cache below the home of a user, or at a place of our own.
    Cache(Option<Utf8PathBuf>),
    /// Files named by the number of a process.
    TemporaryRoots,
}

/// The existing places of a class.
pub(super) fn places(dirs: &NixDirs, class: LeftoverClass, actor: Actor) -> Vec<Place> {
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
        LeftoverClass::BuildLogs | LeftoverClass::OrphanedBuildLogs => {
            let logs = dirs.log_dir.iter().map(|dir| dir.join("drvs"));
            let layout = || Layout::Logs(dirs.store.clone());
            logs.map(|dir| place(dir, Rights::Ours, layout())).collect()
        }
        LeftoverClass::NixCache => caches(dirs, &users, actor).map(Some).collect(),
        LeftoverClass::TemporaryRoots => {
            let dir = dirs.state_dir.join("temproots");
            vec![place(dir, Rights::Ours, Layout::TemporaryRoots)]
        }
    };
    found.into_iter().flatten().collect()
}

/// The caches of all users for root, and of an ordinary user their own. Whether there is one is seen with the rights of its owner.
fn caches<'a>(
    dirs: &'a NixDirs,
    users: &'a [Account],
    actor: Actor,
) -> impl Iterator<Item = Place> + use<'a> {
    let cache = |dir: Utf8PathBuf, home: Option<Utf8PathBuf>, account: Account| Place {
        class: LeftoverClass::NixCache,
        dir,
        owner: Owner {
            uid: account.uid,
            name: Some(account.name.clone()).filter(|name| !name.is_empty()),
        },
        rights: Rights::Of(account),
        last_use: LastUse::ChangeOrRead,
        layout: Layout::Cache(home),
    };
    let uid = geteuid().as_raw();
    let ours = users.iter().find(|user| user.uid == uid).cloned();
    let ours = ours.unwrap_or_else(|| Account {
        uid,
        gid: getegid().as_raw(),
        name: String::new(),
        home: Utf8PathBuf::new(),
    });
    let own = dirs.own_cache.clone();
    let own = own.map(move |dir| cache(dir, None, ours));
    let others = users.iter().filter(move |_| actor == Actor::Root);
    let others = others.filter_map(move |user| {
        let dir = user.home.join(".cache/nix");
        // The same directory is looked into once.
        let is_own = dirs.own_cache.as_ref() == Some(&dir);
        (!is_own).then(|| cache(dir, Some(user.home.clone()), user.clone()))
    });
    own.into_iter().chain(others)
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
        let dir = match &self.layout {
            Layout::Cache(Some(home)) => open_below(home, &[c".cache", c"nix"]),
            _ => open_directory(&self.dir),
        };
        let dir = match dir {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            dir => dir?,
        };
        match &self.layout {
            Layout::Directories(prefix) => each_directory(dir.as_fd(), &self.dir, prefix, visit),
            Layout::Logs(store) => {
                let derivations = Derivations::of(store);
                let orphaned = self.class == LeftoverClass::OrphanedBuildLogs;
                let is_meant = |derivation: &CStr| derivations.lack(derivation) == orphaned;
                each_log(dir.as_fd(), &self.dir, &is_meant, visit)
            }
            Layout::Cache(_) => each_cached(dir.as_fd(), &self.dir, visit),
            Layout::TemporaryRoots => each_temporary(dir.as_fd(), &self.dir, visit),
        }
    }
}
