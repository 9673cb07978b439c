//! Directories of Nix and of the machine, read once from the same variables that Nix uses.

use std::env;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::store_path::StoreDir;
use crate::ports::SurveyError;

/// Every place that is looked at. Tests point each of them into a directory of their own.
#[derive(Debug, Clone)]
pub struct NixDirs {
    /// `NIX_STORE_DIR`, `NIX_STORE`, `/nix/store`.
    pub store: StoreDir,
    /// `NIX_STATE_DIR`, `/nix/var/nix`.
    pub state_dir: Utf8PathBuf,
    /// The logs of builds: `NIX_LOG_DIR`, `/nix/var/log/nix`; `None` where a store that is not the machine's names none.
    pub log_dir: Option<Utf8PathBuf>,
    /// Where builds make their directories, beside `builds` in the state directory: `TMPDIR`, and for the machine's store `/tmp`.
    pub temporary: Vec<Utf8PathBuf>,
    /// Where `booted-system` and `current-system` are: `/run`.
    pub run_dir: Utf8PathBuf,
    /// The list of the machine's users: `/etc/passwd`.
    pub passwd: Utf8PathBuf,
    /// What else knows users.
    pub name_services: NameServices,
    /// The machine's own name for itself: `/etc/machine-id`.
    pub machine_id: Utf8PathBuf,
    /// Where file systems are mounted: `/proc/self/mountinfo`.
    pub mounts: Utf8PathBuf,
    /// What may be mounted: `/etc/fstab`.
    pub fstab: Utf8PathBuf,
    /// Where homes and disks are mounted that no list has.
    pub disks: Vec<Utf8PathBuf>,
    /// Where the boot menu of the machine may be; nowhere for a store that is not the machine's.
    pub boot_dirs: Vec<Utf8PathBuf>,
    /// Our own user's home.
    pub home: Option<Utf8PathBuf>,
    /// Where our own user's profiles are: `$NIX_STATE_HOME/profiles`, else `$XDG_STATE_HOME/nix/profiles`, else
    /// `~/.local/state/nix/profiles`.
    pub own_profiles: Option<Utf8PathBuf>,
    /// Nix's cache of our own user: `$NIX_CACHE_HOME`, else `$XDG_CACHE_HOME/nix`, else `~/.cache/nix`.
    pub own_cache: Option<Utf8PathBuf>,
    /// `NIX_REMOTE`: the store that Nix is set to use.
    pub remote: Option<String>,
}

/// Where users may be known beside the list. By default nothing is known of that.
#[derive(Debug, Clone, Default)]
pub struct NameServices {
    /// Which services are asked: `/etc/nsswitch.conf`.
    pub switch: Utf8PathBuf,
    /// Directories with a file for each user that systemd knows.
    pub records: Vec<Utf8PathBuf>,
    /// The directory with a socket for each provider of users: `/run/systemd/userdb`.
    pub providers: Utf8PathBuf,
    /// Where all processes are: `/proc`.
    pub processes: Utf8PathBuf,
}

impl NameServices {
    fn of_machine() -> Self {
        let records = [
            "/etc/userdb",
            "/run/userdb",
            "/run/host/userdb",
            "/usr/local/lib/userdb",
            "/usr/lib/userdb",
            "/var/lib/systemd/home",
        ];
        Self {
            switch: "/etc/nsswitch.conf".into(),
            records: records.map(Into::into).to_vec(),
            providers: "/run/systemd/userdb".into(),
            processes: "/proc".into(),
        }
    }
}

impl NixDirs {
    /// Reads the environment.
    ///
    /// # Errors
    /// When a variable that Nix reads is set to something that is not an absolute path in UTF-8.
    #[expect(
        clippy::disallowed_methods,
        reason = "the store of Nix is named by the environment"
    )]
    pub fn from_env() -> Result<Self, SurveyError> {
        // The older name counts where the newer one says nothing.
        let named = match variable("NIX_STORE_DIR")? {
            Some(store) => Some(("NIX_STORE_DIR", store)),
            None => variable("NIX_STORE")?.map(|store| ("NIX_STORE", store)),
        };
        let (name, store) = named.unwrap_or(("NIX_STORE_DIR", "/nix/store".into()));
        let state_dir = variable("NIX_STATE_DIR")?.unwrap_or_else(|| "/nix/var/nix".into());
        let home = variable("HOME")?;
        let nix_state = match (variable("NIX_STATE_HOME")?, variable("XDG_STATE_HOME")?) {
            (Some(nix), _) => Some(nix),
            (None, Some(xdg)) => Some(xdg.join("nix")),
            (None, None) => home.as_ref().map(|home| home.join(".local/state/nix")),
        };
        let own_cache = match (variable("NIX_CACHE_HOME")?, variable("XDG_CACHE_HOME")?) {
            (Some(nix), _) => Some(nix),
            (None, Some(xdg)) => Some(xdg.join("nix")),
            (None, None) => home.as_ref().map(|home| home.join(".cache/nix")),
        };
        let store = StoreDir::new(&store).map_err(|path| SurveyError::Place {
            variable: name,
            value: path.into_string(),
        })?;
        let is_machines = store.as_path() == "/nix/store";
        let log_dir = variable("NIX_LOG_DIR")?;
        let log_dir = log_dir.or_else(|| is_machines.then(|| "/nix/var/log/nix".into()));
        let mut temporary: Vec<Utf8PathBuf> = variable("TMPDIR")?.into_iter().collect();
        if is_machines && !temporary.iter().any(|dir| dir == "/tmp") {
            temporary.push("/tmp".into());
        }
        let boot_dirs: &[&str] = if is_machines {
            &["/boot", "/efi", "/boot/efi"]
        } else {
            &[]
        };
        Ok(Self {
            store,
            state_dir,
            log_dir,
            temporary,
            run_dir: "/run".into(),
            passwd: "/etc/passwd".into(),
            name_services: NameServices::of_machine(),
            machine_id: "/etc/machine-id".into(),
            mounts: "/proc/self/mountinfo".into(),
            fstab: "/etc/fstab".into(),
            disks: ["/home", "/mnt", "/media", "/run/media"]
                .map(Into::into)
                .to_vec(),
            boot_dirs: boot_dirs.iter().map(Into::into).collect(),
            home,
            own_profiles: nix_state.map(|dir| dir.join("profiles")),
            own_cache,
            remote: env::var_os("NIX_REMOTE").map(|remote| remote.to_string_lossy().into_owned()),
        })
    }

    /// The directory of a user's profiles below their home, where nothing else is known of them.
    pub fn profiles_below(home: &Utf8Path) -> Utf8PathBuf {
        home.join(".local/state/nix/profiles")
    }
}

/// An absolute path from the environment, without slashes at its end; unset and empty are the same, as for Nix.
///
/// # Errors
/// When it is set to something else.
#[expect(
    clippy::disallowed_methods,
    reason = "the directories of Nix come from the environment"
)]
pub fn variable(name: &'static str) -> Result<Option<Utf8PathBuf>, SurveyError> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match Utf8PathBuf::from_os_string(value) {
        Ok(path) if path.is_absolute() => Ok(Some(path.components().collect())),
        Ok(path) => Err(SurveyError::Place {
            variable: name,
            value: path.into_string(),
        }),
        Err(value) => Err(SurveyError::Place {
            variable: name,
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_the_machine_are_its_own() {
        let places = NixDirs::from_env().unwrap();
        let lists = [&places.passwd, &places.mounts, &places.fstab];
        assert_eq!(lists, ["/etc/passwd", "/proc/self/mountinfo", "/etc/fstab"]);
        assert_eq!(places.disks, ["/home", "/mnt", "/media", "/run/media"]);
    }
}
