//! Typed calls of Nix's commands. Their output is parsed leniently and only reported; their effect is checked.

mod access;
mod boot;
mod delete;
#[cfg(target_os = "linux")]
mod direct;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generations;
pub(in crate::adapters) mod links;
mod maintain;
mod owned_link;
mod parse;
mod perform;
mod profile_lock;
mod retry;
mod root_links;
mod roots;
mod settings;
mod valid_paths;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use camino::Utf8Path;
use nix::unistd::geteuid;

use super::collector::collector;
use super::nix_dirs::NixDirs;
use super::process::{Account, ChildEnv, Command, Output, ProcessError, Program};
use super::progress_counter::{ProgressCounter, ProgressLine};
use crate::domain::plan::GenerationFacts;
use crate::domain::profile::{GenerationNumber, Owner, ProfileKind, ProfilePath};
use crate::domain::store_path::StorePath;
use crate::ports::{Cause, Interrupt, PerformError};

pub use access::{StoreAccess, names_daemon};
pub use settings::{NixConfig, Route};

pub use parse::{MalformedInfo, MalformedVersion, NixVersion, PathInfo, ValidPath, Variant};

/// For what takes milliseconds, and longer only when another Nix command holds the database or the profile.
const SHORT: Duration = Duration::from_secs(60);
/// The same in another user's profile: that user can make the run wait for as long as this.
const SHORT_FOR_OTHERS: Duration = Duration::from_secs(30);
/// For commands that read the whole store: hours on a slow disk, but a run must end before the next day's.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// For the installer of a boot loader, which copies kernels to a slow disk.
const BOOT: Duration = Duration::from_secs(15 * 60);
/// For what only opens the store. A daemon that is slow for longer than this makes no run either.
const OPEN: Duration = Duration::from_secs(10);
/// A question about a few paths to a daemon, which may have much else to do.
const QUESTION: Duration = Duration::from_secs(20);
/// The oldest Nix whose commands do what we rely on.
const FLOOR: NixVersion = NixVersion::new(2, 8, 0);

/// The number of the group `nogroup`, which has no rights of its own.
const NO_GROUP: u32 = 65_534;

/// A name that no store path has: nothing hashes to zeros.
const NEVER_VALID: &str = "00000000000000000000000000000000-nix-prune-doctor";

/// Nix's commands, found once.
pub struct NixCli {
    places: NixDirs,
    child_env: ChildEnv,
    interrupt: Arc<dyn Interrupt + Send + Sync>,
    counter: Arc<ProgressCounter>,
    /// Whether a daemon was waited for in vain.
    no_daemon: AtomicBool,
    nix: Program,
    nix_env: Program,
    nix_store: Program,
    nix_collect_garbage: Program,
    version: OnceLock<NixVersion>,
    /// What Nix's settings come to, once it was asked.
    config: Mutex<Option<NixConfig>>,
    /// The most that one call that deletes may take in bytes of paths, if the system takes as much.
    max_argument_bytes: usize,
    /// Whether a direct collection asks Nix what is dead as well.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is none"))]
    compares_dead: bool,
}

impl NixCli {
    /// Finds the commands in `bin` alone, or else on `PATH`. Nothing is run.
    ///
    /// # Errors
    /// [`PerformError::Unusable`] when one of them is missing.
    pub fn new(
        places: NixDirs,
        bin: Option<&Utf8Path>,
        child_env: ChildEnv,
        interrupt: Arc<dyn Interrupt + Send + Sync>,
    ) -> Result<Self, PerformError> {
        let bin = bin.map(Utf8Path::as_std_path);
        let find = |name| {
            Program::find(name, bin, &child_env)
                .map_err(|error| PerformError::Unusable(error.into()))
        };
        Ok(Self {
            nix: find("nix")?,
            nix_env: find("nix-env")?,
            nix_store: find("nix-store")?,
            nix_collect_garbage: find("nix-collect-garbage")?,
            version: OnceLock::new(),
            config: Mutex::default(),
            max_argument_bytes: usize::MAX,
            compares_dead: false,
            places,
            child_env,
            interrupt,
            counter: Arc::default(),
            no_daemon: AtomicBool::new(false),
        })
    }

    /// The same, counting what it deletes.
    #[must_use]
    pub fn counting(self, counter: Arc<ProgressCounter>) -> Self {
        Self { counter, ..self }
    }

    /// Deletes fewer paths in one call: no more than fit into so many bytes, or one.
    #[must_use]
    pub fn with_max_argument_bytes(self, bytes: usize) -> Self {
        Self {
            max_argument_bytes: bytes,
            ..self
        }
    }

    /// The same, comparing what a direct collection deletes with what Nix's collector finds dead, which takes as long as that.
    #[must_use]
    pub fn comparing_dead(self, compares_dead: bool) -> Self {
        Self {
            compares_dead,
            ..self
        }
    }

    /// The version of Nix, asked for once.
    ///
    /// With `nix --version` and nothing else: as root, `nix-store --version` creates `/nix`.
    ///
    /// # Errors
    /// [`PerformError::Unusable`] when it cannot be run or its version read, or is older than 2.8.
    pub fn version(&self) -> Result<&NixVersion, PerformError> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        let unusable = |cause: Cause| PerformError::Unusable(cause);
        let asked = self
            .command(&self.nix, SHORT)
            .args(["--version"])
            .run(&*self.interrupt);
        let output = asked.map_err(|error| match error {
            ProcessError::Interrupted(_) => failed("asking Nix for its version".into(), error),
            error => unusable(error.into()),
        })?;
        let output = output.stdout.text();
        let version = NixVersion::parse(&output).map_err(|error| unusable(error.into()))?;
        if version < FLOOR {
            return Err(unusable(Box::new(TooOld(version))));
        }
        Ok(self.version.get_or_init(|| version))
    }

    /// Opens the store as every command that changes it does, and asks whether a path is valid that never is.
    ///
    /// To be called only where there is a store: without a daemon Nix would make one, with its locks and its database.
    ///
    /// # Errors
    /// When Nix does not open it: no daemon, none that answers, one that refuses our user, no rights, no space.
    pub fn open_store(&self) -> Result<(), PerformError> {
        let never = self.places.store.as_path().join(NEVER_VALID);
        self.command(&self.nix_store, OPEN)
            .args(["--check-validity", "--print-invalid", never.as_str()])
            .run(&*self.interrupt)
            .map(drop)
            .map_err(|error| failed("opening the store".into(), error))
    }

    /// Deletes one generation by its number: never `old`, `30d` or `+5`, which choose for themselves (traps 1 to 6).
    ///
    /// Exit 0 says nothing: `nix-env` is silent about a number that is not there. Like every call of it, this one also
    /// makes `~/.nix-defexpr` where that is missing.
    fn delete_generation(
        &self,
        profile: &ProfilePath,
        number: GenerationNumber,
        account: Option<&Account>,
    ) -> Result<Output, ProcessError> {
        let profile = profile.to_path().into_string();
        let number = number.to_string();
        self.retry_as(account, || {
            self.command(&self.nix_env, short(account))
                .args(["-p", &profile, "--delete-generations", &number])
                .run_as(account)
                .run(&*self.interrupt)
        })
    }

    /// Makes links roots of paths that are valid already. Nothing is fetched, and for what is no derivation nothing is
    /// built: where a path is not valid after all, this fails.
    ///
    /// The link of the first is `link`, and [`nth_link`](crate::ports::nth_link) names the others
    /// (seen so in 2.8, 2.26 and 2.34). Nothing rests on that: each link is checked, and made alone where it is wrong.
    fn add_roots(
        &self,
        paths: &[&StorePath<String>],
        link: &Utf8Path,
        account: Option<&Account>,
    ) -> Result<Output, ProcessError> {
        let paths = self.absolute(paths.iter().copied());
        self.retry_as(account, || {
            self.command(&self.nix_store, short(account))
                .args(["--realise"])
                .args(&paths)
                .args(["--add-root", link.as_str()])
                .args(["--option", "substitute", "false"])
                .run_as(account)
                .run(&*self.interrupt)
        })
    }

    /// Collects garbage. Without options `nix-collect-garbage` touches no profile, and makes none (trap 11; seen so
    /// in 2.8, 2.26 and 2.34, and kept so by a test).
    fn collect_garbage(&self) -> Result<Output, ProcessError> {
        self.say_who_collects();
        self.retry(|| {
            self.command(&self.nix_collect_garbage, LONG)
                .count_lines(ProgressLine::Deleting, &self.counter)
                .run(&*self.interrupt)
        })
    }

    /// Nix waits for another collection, and says so where nobody sees it.
    fn say_who_collects(&self) {
        if let Some(who) = collector(&self.places.state_dir, Utf8Path::new("/proc")) {
            tracing::warn!("Nix waits for another collection: {who}");
        }
    }

    /// What Nix knows of store paths; those that are not valid come back as such.
    ///
    /// # Errors
    /// When Nix failed, or printed what is not of any form that it had so far.
    pub fn path_info(&self, paths: &[StorePath<String>]) -> Result<Vec<PathInfo>, PerformError> {
        let what = || "asking Nix about store paths".to_string();
        let format = self.json_format()?;
        let paths = self.absolute(paths);
        let output = self
            .retry(|| {
                self.command(&self.nix, QUESTION)
                    .args(["--extra-experimental-features", "nix-command"])
                    .args(["path-info", "--json"])
                    .args(format.into_iter().flatten())
                    .args(["--offline", "--option", "substitute", "false", "--"])
                    .args(paths.clone())
                    .run(&*self.interrupt)
            })
            .map_err(|error| failed(what(), error))?;
        parse::path_info(&output.stdout.text(), &self.places.store).map_err(|error| {
            PerformError::Nix {
                what: what(),
                source: error.into(),
            }
        })
    }

    /// Paths as Nix takes them.
    fn absolute<'p>(&self, paths: impl IntoIterator<Item = &'p StorePath<String>>) -> Vec<String> {
        let store = &self.places.store;
        let paths = paths.into_iter();
        paths
            .map(|path| path.to_absolute_path(store).into_string())
            .collect()
    }

    /// A command that works on the very store and state that we look at, whatever the environment says.
    fn command<'a>(&'a self, program: &'a Program, timeout: Duration) -> Command<'a> {
        Command::new(program, &self.child_env, timeout)
            .set("NIX_STORE_DIR", self.places.store.as_path().as_str())
            .set("NIX_STATE_DIR", self.places.state_dir.as_str())
    }

    /// As whom to restore a generation; of a removed user, with the rights of the number alone.
    fn account_of(&self, facts: &GenerationFacts) -> Result<Option<Account>, PerformError> {
        let removed = self.removed_user(facts);
        removed.map_or_else(|| self.account(&facts.owner), |number| Ok(Some(number)))
    }

    /// The number of a removed user, without a group; `None` for anybody else, and for one who has an account again.
    fn removed_user(&self, facts: &GenerationFacts) -> Option<Account> {
        let uid = facts.owner.uid;
        let was_gone = facts.profile_kind == ProfileKind::RemovedUser && geteuid().is_root();
        let is_gone = || matches!(Account::find(&self.places.passwd, uid), Ok(None));
        (was_gone && uid != 0 && is_gone()).then(|| Account {
            uid,
            gid: NO_GROUP,
            name: uid.to_string(),
            home: "/nonexistent".into(),
        })
    }

    /// As whom to act on what belongs to `owner`: `None` for ourselves.
    fn account(&self, owner: &Owner) -> Result<Option<Account>, PerformError> {
        let we = geteuid();
        if owner.uid == we.as_raw() {
            return Ok(None);
        }
        let refused = |source| PerformError::File {
            what: format!("act for the user {owner}"),
            source,
        };
        if !we.is_root() {
            return Err(refused(std::io::ErrorKind::PermissionDenied.into()));
        }
        match Account::find(&self.places.passwd, owner.uid).map_err(refused)? {
            Some(account) => Ok(Some(account)),
            // Nobody knows their group or home; guessing could hand them root's.
            None => Err(refused(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "no such user",
            ))),
        }
    }
}

/// How long a short command may take as this user.
fn short(account: Option<&Account>) -> Duration {
    account.map_or(SHORT, |_| SHORT_FOR_OTHERS)
}

/// An older Nix than 2.8.
#[derive(Debug, thiserror::Error)]
#[error("this is Nix {0}, and the oldest supported version is 2.8")]
struct TooOld(NixVersion);

/// The error of a command as the engine sees it.
fn failed(what: String, error: ProcessError) -> PerformError {
    match error {
        ProcessError::Interrupted { .. } => PerformError::Interrupted { what },
        ProcessError::NotFound { .. } => PerformError::Unusable(error.into()),
        ProcessError::TimedOut { .. } => PerformError::TimedOut {
            what,
            source: error.into(),
        },
        error => PerformError::Nix {
            what,
            source: error.into(),
        },
    }
}
