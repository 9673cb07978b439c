//! A temporary store with a real Nix, for the demonstration and the tests.

mod contents;
mod error;
mod layout;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{getegid, geteuid};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::nix_cli::NixCli;
use super::nix_dirs::{NameServices, NixDirs};
use super::process::{ChildEnv, Command, Program};
use crate::domain::measure::Timestamp;
use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};
use crate::ports::{Interrupt, PerformError};

use contents::{make_writable, write_contents};
use error::file_error;
use layout::{settings, variables};

pub use contents::{Contents, NewPath};
pub use error::ScratchError;

/// No command here reads a whole store of any size.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A scratch store. Dropping it removes everything.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    base: Utf8PathBuf,
    bin: Option<Utf8PathBuf>,
    store: StoreDir,
    nix_env: Program,
    nix_store: Program,
    child_env: ChildEnv,
}

impl Scratch {
    /// Makes an empty store for the Nix in `bin`, or the one on `PATH`.
    ///
    /// # Errors
    /// When there is no Nix or no place for it.
    pub fn new(bin: Option<&Utf8Path>) -> Result<Self, ScratchError> {
        Self::named("s", bin)
    }

    /// Makes an empty store in a directory whose name has a space.
    ///
    /// # Errors
    /// As [`Scratch::new`].
    pub fn with_space(bin: Option<&Utf8Path>) -> Result<Self, ScratchError> {
        Self::named("a b", bin)
    }

    fn named(name: &str, bin: Option<&Utf8Path>) -> Result<Self, ScratchError> {
        // Short names: the path of a socket may have some hundred bytes only.
        let directory = tempfile::Builder::new()
            .prefix("np")
            .tempdir()
            .map_err(file_error(Utf8Path::new("a temporary directory")))?;
        let root = Utf8Path::from_path(directory.path()).ok_or(ScratchError::NotUtf8)?;
        // Nix refuses a store below a link, as /tmp itself is on some systems.
        let root = root.canonicalize_utf8().map_err(file_error(root))?;
        // Other users must get through to what is theirs.
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(&root, open).map_err(file_error(&root))?;
        let base = root.join(name);
        let store = StoreDir::new(&base.join("nix/store")).map_err(|_| ScratchError::NotUtf8)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the Nix of a scratch store is the one on PATH"
        )]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let child_env: ChildEnv = variables(&base)
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .chain([("PATH".to_string(), path)])
            .collect();
        let find = |name| Program::find(name, bin.map(Utf8Path::as_std_path), &child_env);
        let scratch = Self {
            nix_env: find("nix-env")?,
            nix_store: find("nix-store")?,
            bin: bin.map(Utf8Path::to_path_buf),
            directory,
            base,
            store,
            child_env,
        };
        scratch.lay_out()?;
        Ok(scratch)
    }

    fn lay_out(&self) -> Result<(), ScratchError> {
        let dirs = [
            "nix/store",
            "nix/var/nix/profiles",
            "nix/var/log",
            "etc",
            "home",
            "tmp",
            "run",
        ];
        for dir in dirs {
            let dir = self.base.join(dir);
            fs::create_dir_all(&dir).map_err(file_error(&dir))?;
        }
        let (uid, gid) = (geteuid(), getegid());
        let home = self.home();
        let files = [
            ("etc/nix.conf", settings(self.bin())),
            (
                "etc/passwd",
                format!("scratch:x:{uid}:{gid}::{home}:/bin/sh\n"),
            ),
            (
                "etc/machine-id",
                "5c4a7c485c4a7c485c4a7c485c4a7c48\n".to_string(),
            ),
        ];
        for (name, text) in files {
            let path = self.base.join(name);
            fs::write(&path, text).map_err(file_error(&path))?;
        }
        Ok(())
    }

    /// The directory that has it all.
    pub fn base(&self) -> &Utf8Path {
        &self.base
    }

    /// The directory of the Nix programs, unless they are those on `PATH`.
    pub fn bin(&self) -> Option<&Utf8Path> {
        self.bin.as_deref()
    }

    /// The home directory of our own user in it.
    pub fn home(&self) -> Utf8PathBuf {
        self.base.join("home")
    }

    /// Nix's state directory.
    pub fn state_dir(&self) -> Utf8PathBuf {
        self.base.join("nix/var/nix")
    }

    /// The store directory.
    pub fn store(&self) -> &StoreDir {
        &self.store
    }

    /// The variables that make Nix, and us, use it.
    pub fn env(&self) -> Vec<(String, String)> {
        variables(&self.base)
    }

    /// The environment for commands in it.
    pub fn child_env(&self) -> &ChildEnv {
        &self.child_env
    }

    /// Where everything is.
    pub fn places(&self) -> NixDirs {
        NixDirs {
            store: self.store.clone(),
            state_dir: self.state_dir(),
            log_dir: Some(self.base.join("nix/var/log")),
            temporary: vec![self.base.join("tmp")],
            run_dir: self.base.join("run"),
            passwd: self.base.join("etc/passwd"),
            name_services: NameServices::default(),
            machine_id: self.base.join("etc/machine-id"),
            mounts: self.base.join("etc/mountinfo"),
            fstab: self.base.join("etc/fstab"),
            disks: Vec::new(),
            boot_dirs: Vec::new(),
            home: Some(self.home()),
            own_profiles: Some(self.home().join(".local/state/nix/profiles")),
            own_cache: Some(self.home().join(".cache/nix")),
            remote: None,
        }
    }

    /// Nix's commands, for this store.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn nix(&self) -> Result<NixCli, PerformError> {
        let child_env = self.child_env.clone();
        NixCli::new(self.places(), self.bin(), child_env, Arc::new(Never))
    }

    /// The store path that [`Scratch::add_paths`] makes for a name; the same name has the same path.
    ///
    /// # Errors
    /// When no store path can have the name.
    pub fn path_named(&self, name: &str) -> Result<StorePath<String>, ScratchError> {
        // Any 160 bits will do: Nix checks the hash in a name against nothing.
        let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz".iter();
        let digest = Sha256::digest(name);
        let hash: String = digest
            .iter()
            .filter_map(|byte| alphabet.clone().nth(usize::from(byte % 32)))
            .map(|&byte| char::from(byte))
            .collect();
        let base_name = format!("{hash}-{name}");
        StorePathRef::from_base_name(&base_name)
            .map(|path| path.to_owned())
            .map_err(|error| ScratchError::Name(name.to_string(), error))
    }

    /// Adds a file of `size` bytes that refers to other paths.
    ///
    /// # Errors
    /// As [`Scratch::add_paths`].
    pub fn add_path(
        &self,
        name: &str,
        references: &[&StorePath<String>],
        size: u64,
    ) -> Result<StorePath<String>, ScratchError> {
        self.add_paths(&[NewPath::file(name, size).refers_to(references)])?;
        self.path_named(name)
    }

    /// Adds paths without building anything: writes them, and registers them with Nix as valid. Derivations cannot be
    /// made so, because Nix reads those.
    ///
    /// # Errors
    /// When a file cannot be written or Nix does not accept them.
    pub fn add_paths(&self, paths: &[NewPath]) -> Result<(), ScratchError> {
        let mut registration = String::new();
        for new in paths {
            let path = self.path_named(&new.name)?.to_absolute_path(&self.store);
            write_contents(&path, &new.name, &new.contents).map_err(file_error(&path))?;
            let absolute =
                |path: &StorePath<String>| path.to_absolute_path(&self.store).into_string();
            let deriver = new.deriver.as_ref().map(absolute).unwrap_or_default();
            let mut lines = vec![
                path.into_string(),
                deriver,
                new.references.len().to_string(),
            ];
            lines.extend(new.references.iter().map(absolute));
            registration.push_str(&lines.join("\n"));
            registration.push('\n');
        }
        let file = self.base.join("tmp/registration");
        fs::write(&file, registration).map_err(file_error(&file))?;
        // Nix hashes them, and gives their files the modes and times that it expects.
        let command = Command::new(&self.nix_store, &self.child_env, TIMEOUT)
            .args(["--register-validity"])
            .input(file.as_std_path());
        command.run(&Never)?;
        Ok(())
    }

    /// Makes `target` a new generation of a profile, as if at `created`; gives its number.
    ///
    /// Where the newest generation has the same target, Nix makes none (trap 9).
    ///
    /// # Errors
    /// When Nix fails.
    pub fn set_profile(
        &self,
        profile: &Utf8Path,
        target: &StorePath<String>,
        created: Timestamp,
    ) -> Result<GenerationNumber, ScratchError> {
        let profile = ProfilePath::new(profile)?;
        fs::create_dir_all(profile.dir()).map_err(file_error(profile.dir()))?;
        let target = target.to_absolute_path(&self.store);
        let path = profile.to_path();
        Command::new(&self.nix_env, &self.child_env, TIMEOUT)
            .args(["-p", path.as_str(), "--set", target.as_str()])
            .run(&Never)?;
        let link = path.read_link_utf8().map_err(file_error(&path))?;
        let number = profile
            .number_of(link.as_str())
            .ok_or(ScratchError::NoCurrent(path))?;
        set_link_time(&profile.link(number), created)?;
        Ok(number)
    }

    /// Makes a link a root, as `nix-build` does with `result`.
    ///
    /// # Errors
    /// When Nix fails.
    pub fn add_root(&self, link: &Utf8Path, path: &StorePath<String>) -> Result<(), ScratchError> {
        let path = path.to_absolute_path(&self.store);
        Command::new(&self.nix_store, &self.child_env, TIMEOUT)
            .args(["--realise", path.as_str(), "--add-root", link.as_str()])
            .run(&Never)?;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Directories in the store are closed for writing, even to us. What cannot be removed is left behind.
        make_writable(self.directory.path());
    }
}

/// Sets the modification time of a link itself.
///
/// # Errors
/// When that cannot be done.
pub fn set_link_time(link: &Utf8Path, time: Timestamp) -> Result<(), ScratchError> {
    let (seconds, nanoseconds) = time.to_unix();
    utimensat(
        AT_FDCWD,
        link.as_std_path(),
        &TimeSpec::UTIME_OMIT,
        &TimeSpec::new(seconds, nanoseconds),
        UtimensatFlags::NoFollowSymlink,
    )
    .map_err(|errno| file_error(link)(errno.into()))
}

/// Nobody asks to stop.
struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}
