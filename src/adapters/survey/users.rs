//! Users of the machine, from the list named by `places.passwd`.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use crate::adapters::nix_dirs::NixDirs;
use crate::adapters::process::Account;
use crate::domain::blocker::CheckCode;
use crate::domain::profile::Owner;
use crate::domain::snapshot::Actor;

use super::Findings;

/// Numbers below this belong to services.
const FIRST_PERSON: u32 = if cfg!(target_os = "macos") { 500 } else { 1000 };

/// All users, and the real places of the homes that are searched.
#[derive(Debug, Default)]
pub(super) struct Users {
    pub(super) all: Vec<Account>,
    own_uid: u32,
    own_home: Option<Utf8PathBuf>,
    names: BTreeMap<u32, String>,
    /// A home by its name and its real path; the longest name first.
    homes: Vec<(Utf8PathBuf, PathBuf)>,
    /// Every home, existing or not, by each of its names.
    home_names: OnceCell<HashSet<PathBuf>>,
}

impl Users {
    /// Reads the list, and resolves the homes that `actor` searches: everybody's for root, their own for others.
    pub(super) fn read(places: &NixDirs, actor: Actor, findings: &Findings) -> Self {
        let mut users = Self {
            own_uid: match actor {
                Actor::Root => 0,
                Actor::User(uid) => uid,
            },
            own_home: places.home.clone(),
            ..Self::default()
        };
        match std::fs::read(places.passwd.as_std_path()) {
            Ok(list) => users.all = Account::all_in(&String::from_utf8_lossy(&list)).collect(),
            // Without the list, root knows neither whose profiles exist nor their pins; a user only misses the names of
            // others.
            Err(error) if actor == Actor::Root => findings.refuse(
                CheckCode::UsersUnreadable,
                format!("cannot read the list of users {}: {error}", places.passwd),
                "make it readable; without it the profiles and pins of users are unknown",
            ),
            Err(_) => {}
        }
        for user in &users.all {
            let name = || user.name.clone();
            users.names.entry(user.uid).or_insert_with(name);
        }
        let mut homes: Vec<Utf8PathBuf> = places.home.clone().into_iter().collect();
        if actor == Actor::Root {
            homes.extend(users.all.iter().map(|user| user.home.clone()));
        }
        homes.sort();
        homes.dedup();
        homes.sort_by_key(|home| std::cmp::Reverse(home.as_str().len()));
        for home in homes {
            match real_home(&home) {
                Ok(Some(real)) => users.homes.push((home, real)),
                Ok(None) => {}
                Err(error) => findings.refuse_at(
                    [&home],
                    CheckCode::ProfileUnreadable,
                    format!(
                        "cannot find the home {}: {error}",
                        super::names::shown(&home)
                    ),
                    "mount it or make it readable; profiles in it are unknown",
                ),
            }
        }
        users
    }

    /// The user as an owner.
    pub(super) fn owner(&self, uid: u32) -> Owner {
        Owner {
            uid,
            name: self.names.get(&uid).cloned(),
        }
    }

    /// Whether the list has the user.
    pub(super) fn knows(&self, uid: u32) -> bool {
        self.names.contains_key(&uid)
    }

    /// Whether this is a home.
    pub(super) fn is_home(&self, path: &Path) -> bool {
        let own = self
            .homes
            .iter()
            .any(|(home, _)| home.as_std_path() == path);
        own || self.all.iter().any(|user| user.home.as_std_path() == path)
    }

    /// Whether a home exists and belongs to our user. If it is empty, its owner emptied it: the mount point of an
    /// unmounted home belongs to root, or to somebody else.
    fn is_own(&self, home: &Path) -> bool {
        let named =
            |of: &Utf8PathBuf| of.as_std_path() == home || below_real(of).as_deref() == Some(home);
        let mut others = self.all.iter().filter(|user| user.uid != self.own_uid);
        self.own_home.as_ref().is_some_and(named)
            && !others.any(|user| named(&user.home))
            && std::fs::metadata(home)
                .is_ok_and(|found| found.is_dir() && found.uid() == self.own_uid)
    }

    /// Whether an empty directory may be the mount point of an unmounted home.
    pub(super) fn may_be_unmounted(&self, home: &Path) -> bool {
        !self.is_own(home) && is_empty(home)
    }

    /// Whether a person's home is in this directory. Services have theirs in `/var/lib`, and Nix's builders in `/var`.
    pub(super) fn are_homes_in(&self, dir: &Path) -> bool {
        let people = self.all.iter().filter(|user| user.uid >= FIRST_PERSON);
        let mut homes = people.filter(|user| user.home.parent().is_some_and(|above| above == dir));
        homes.any(|user| std::fs::metadata(&user.home).is_ok_and(|home| home.uid() == user.uid))
    }

    /// The home that contains a path, existing or not; the innermost one.
    pub(super) fn home_of(&self, path: &Path) -> Option<PathBuf> {
        let names = self.home_names.get_or_init(|| {
            let others = self.all.iter().map(|user| &user.home);
            let homes = self.own_home.iter().chain(others);
            let names = homes.flat_map(|home| [Some(home.into()), below_real(home)]);
            names.flatten().collect()
        });
        let mut around = path.ancestors().skip(1);
        around
            .find(|above| names.contains(*above))
            .map(Path::to_path_buf)
    }

    /// The existing homes, by name; `Users::real_path` resolves them.
    pub(super) fn homes(&self) -> impl Iterator<Item = &Utf8Path> {
        self.homes.iter().map(|(home, _)| home.as_path())
    }

    /// The path with its home resolved: above a home, links belong to the machine.
    pub(super) fn real_path(&self, path: &Utf8Path) -> PathBuf {
        for (home, real) in &self.homes {
            if let Ok(below) = path.strip_prefix(home) {
                return real.join(below.as_std_path());
            }
        }
        path.as_std_path().to_path_buf()
    }
}

/// Whether a directory is empty; an unreadable one is not known to be.
pub(super) fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut names| names.next().is_none())
}

/// A home below the real path of its parent directory, which exists even if the home does not.
fn below_real(home: &Utf8Path) -> Option<PathBuf> {
    let above = std::fs::canonicalize(home.parent()?.as_std_path()).ok()?;
    Some(above.join(home.file_name()?))
}

/// The real path of a home; `None` for one that does not exist or is no directory.
fn real_home(home: &Utf8Path) -> io::Result<Option<PathBuf>> {
    match std::fs::canonicalize(home.as_std_path()) {
        // `/dev/null` and similar: nothing is below it.
        Ok(real) if !real.is_dir() => Ok(None),
        Ok(real) => Ok(Some(real)),
        // Service users have a home that was never made. A home that is only away has entries in `gcroots/auto`, and
        // these stop a collection.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
