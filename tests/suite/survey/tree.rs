//! A machine made of links: store, state directory, homes and list of users in a directory of its own.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix_prune::adapters::nix_dirs::{NameServices, NixDirs};
use nix_prune::adapters::survey::{Observer, PreviousRuns};
use nix_prune::domain::baseline::RootBaseline;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::profile::{GenerationNumber, Profile, ProfilePath};
use nix_prune::domain::receipt::RunId;
use nix_prune::domain::root::GcRoot;
use nix_prune::domain::snapshot::{Actor, Hold, Pin, Snapshot};
use nix_prune::domain::store_path::StoreDir;
use nix_prune::ports::{Clock, JournalError, Survey, SurveyError};

/// The moment of every look.
pub(super) const NOW: i64 = 1_795_000_000;

/// What a test has left for the look to remember.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) pins: Vec<Pin>,
    pub(super) theirs: Vec<(u32, Pin)>,
    pub(super) holds: Vec<Hold>,
    pub(super) seen: Option<RootBaseline>,
    pub(super) broken_pins: bool,
    pub(super) broken_pins_of: Option<u32>,
    pub(super) broken_holds: bool,
    pub(super) holds_dir: Option<Utf8PathBuf>,
    /// Whether there is no record of any run.
    pub(super) forgotten: bool,
    pub(super) asked: Cell<usize>,
}

fn broken<T>() -> Result<T, JournalError> {
    Err(JournalError::Read {
        path: "the record".to_string(),
        source: std::io::Error::other("broken on purpose"),
    })
}

impl PreviousRuns for Fake {
    fn pins(&self) -> Result<Vec<Pin>, JournalError> {
        if self.broken_pins {
            return broken();
        }
        Ok(self.pins.clone())
    }

    fn pins_of_user(&self, _: &Utf8Path, uid: u32) -> Result<Vec<Pin>, JournalError> {
        self.asked.set(self.asked.get() + 1);
        if self.broken_pins_of == Some(uid) {
            return broken();
        }
        let theirs = self.theirs.iter().filter(|(of, _)| *of == uid);
        Ok(theirs.map(|(_, pin)| pin.clone()).collect())
    }

    fn holds(&self, _: &StoreDir) -> Result<Vec<Hold>, JournalError> {
        if self.broken_holds {
            return broken();
        }
        Ok(self.holds.clone())
    }

    fn baseline(&self, _: &StoreDir) -> Result<Option<RootBaseline>, JournalError> {
        Ok(self.seen.clone())
    }

    fn knows(&self, _: &RunId) -> bool {
        !self.forgotten
    }

    fn holds_dir(&self) -> Utf8PathBuf {
        let usual = || "/var/lib/nix-prune/holds".into();
        self.holds_dir.clone().unwrap_or_else(usual)
    }
}

/// A clock that stands still.
pub(super) struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(NOW, 0).unwrap()
    }
}

/// A machine in a directory.
pub(super) struct Tree {
    _dir: tempfile::TempDir,
    pub(super) base: Utf8PathBuf,
    pub(super) places: NixDirs,
    pub(super) previous_runs: Fake,
    pub(super) extra: Vec<Utf8PathBuf>,
    pub(super) all_of_nix: bool,
    pub(super) flakes: Vec<Utf8PathBuf>,
}

/// Our own user's number: what all files of a tree belong to.
pub(super) fn uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

impl Tree {
    /// An empty store that was used, with one user `me`, who is us.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The directory of temporary files may be reached through a link; nothing here is about that.
        let base = Utf8PathBuf::from_path_buf(dir.path().canonicalize().unwrap()).unwrap();
        let places = NixDirs {
            store: StoreDir::new(&base.join("store")).unwrap(),
            state_dir: base.join("state"),
            log_dir: None,
            temporary: Vec::new(),
            run_dir: base.join("run"),
            passwd: base.join("passwd"),
            name_services: NameServices::default(),
            machine_id: base.join("machine-id"),
            mounts: base.join("mounts"),
            fstab: base.join("fstab"),
            disks: vec![base.join("media"), base.join("run/media")],
            boot_dirs: Vec::new(),
            home: Some(base.join("home/me")),
            own_profiles: Some(base.join("home/me/.local/state/nix/profiles")),
            own_cache: None,
            remote: None,
        };
        let tree = Self {
            _dir: dir,
            base,
            places,
            previous_runs: Fake::default(),
            extra: Vec::new(),
            all_of_nix: false,
            flakes: Vec::new(),
        };
        for dir in [
            "store",
            "state/gcroots/auto",
            "state/profiles",
            "state/db",
            "run",
            "home/me",
        ] {
            tree.dir(dir);
        }
        let home = tree.at("home/me");
        tree.file("passwd", &format!("me:x:{}:100::{home}:/bin/sh\n", uid()));
        tree.file("machine-id", "0123456789abcdef\n");
        tree
    }

    /// Adds a user with this home, whose directory is ours all the same.
    pub(super) fn other_user(&self, home: &str) -> Utf8PathBuf {
        let home = self.dir(home);
        let list = fs::read_to_string(&self.places.passwd).unwrap();
        self.file(
            "passwd",
            &format!("{list}other:x:4242:100::{home}:/bin/sh\n"),
        );
        home
    }

    pub(super) fn at(&self, path: &str) -> Utf8PathBuf {
        self.base.join(path)
    }

    pub(super) fn dir(&self, path: &str) -> Utf8PathBuf {
        let path = self.at(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(super) fn file(&self, path: &str, text: &str) -> Utf8PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A link; its text may name the tree as `{}`.
    pub(super) fn link(&self, path: &str, text: &str) -> Utf8PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(text.replace("{}", self.base.as_str()), &path).unwrap();
        path
    }

    /// The base name of the store path `name`, whether it is there or not.
    pub(super) fn base_name(name: &str) -> String {
        let sum: u64 = name.bytes().fold(7, |sum: u64, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        format!("{sum:032}-{name}")
    }

    /// Makes the store path `name`, a directory.
    pub(super) fn store_path(&self, name: &str) -> Utf8PathBuf {
        self.dir(&format!("store/{}", Self::base_name(name)))
    }

    /// A link to a store path, which is made.
    pub(super) fn to_store(&self, path: &str, name: &str) -> Utf8PathBuf {
        self.link(path, self.store_path(name).as_str())
    }

    /// A profile with generations, of which the last is the current one.
    pub(super) fn profile(&self, path: &str, numbers: &[u32]) -> ProfilePath {
        let name = Utf8Path::new(path).file_name().unwrap();
        for number in numbers {
            let link = self.to_store(
                &format!("{path}-{number}-link"),
                &format!("{name}-{number}"),
            );
            touch(&link, NOW - 100_000 + i64::from(*number), 0);
        }
        if let Some(last) = numbers.last() {
            self.link(path, &format!("{name}-{last}-link"));
        }
        self.path(path)
    }

    /// The same with the entries that Nix makes: without them, a collection would take what it leads to.
    pub(super) fn rooted(&self, path: &str, numbers: &[u32]) -> ProfilePath {
        for number in numbers {
            let link = format!("{path}-{number}-link");
            self.auto(&Self::base_name(&link.replace('/', "-")), &self.at(&link));
        }
        self.profile(path, numbers)
    }

    pub(super) fn path(&self, path: &str) -> ProfilePath {
        ProfilePath::new(&self.at(path)).unwrap()
    }

    /// An entry of `gcroots/auto` that leads to a link.
    pub(super) fn auto(&self, entry: &str, link: &Utf8Path) -> Utf8PathBuf {
        self.link(&format!("state/gcroots/auto/{entry}"), link.as_str())
    }

    pub(super) fn pin(&self, path: &str, number: u32) -> Pin {
        Pin {
            profile: self.path(path),
            number: GenerationNumber(number),
            reason: None,
            until: None,
        }
    }

    pub(super) fn try_observe(&self, actor: Actor) -> Result<Snapshot, SurveyError> {
        let observer = Observer {
            boot_menu: false,
            places: &self.places,
            actor,
            zone: TimeZone::UTC,
            extra_profiles: self.extra.clone(),
            all_of_nix: self.all_of_nix,
            flakes: self.flakes.clone(),
            uses_of_links: true,
            previous_runs: &self.previous_runs,
            clock: &Stopped,
        };
        observer.snapshot()
    }

    pub(super) fn observe(&self, actor: Actor) -> Snapshot {
        self.try_observe(actor).unwrap()
    }

    pub(super) fn as_root(&self) -> Snapshot {
        self.observe(Actor::Root)
    }

    pub(super) fn as_me(&self) -> Snapshot {
        self.observe(Actor::User(uid()))
    }

    /// Everything below the tree: type and mode, text, times of data and of inode.
    pub(super) fn listing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut dirs = vec![self.base.as_std_path().to_path_buf()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let seen = fs::symlink_metadata(&path).unwrap();
                let text = fs::read_link(&path).ok();
                let (mtime, ctime) = (
                    (seen.mtime(), seen.mtime_nsec()),
                    (seen.ctime(), seen.ctime_nsec()),
                );
                let (mode, ids) = (seen.mode(), (seen.ino(), seen.nlink(), seen.uid()));
                lines.push(format!(
                    "{} {mode:o} {text:?} {mtime:?} {ctime:?} {ids:?}",
                    path.display()
                ));
                if seen.is_dir() {
                    dirs.push(path);
                }
            }
        }
        lines.sort();
        lines
    }
}

/// Dates a link.
pub(super) fn touch(link: &Utf8Path, seconds: i64, nanoseconds: i64) {
    let time = TimeSpec::new(seconds, nanoseconds);
    let flag = UtimensatFlags::NoFollowSymlink;
    utimensat(AT_FDCWD, link.as_std_path(), &time, &time, flag).unwrap();
}

/// The profile, which must be there.
pub(super) fn profile<'a>(snapshot: &'a Snapshot, path: &ProfilePath) -> &'a Profile {
    let found = snapshot.profiles.iter().find(|p| p.path == *path);
    found.unwrap_or_else(|| panic!("no {path} among {:?}", names(snapshot)))
}

/// The paths of all profiles.
pub(super) fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .profiles
        .iter()
        .map(|p| p.path.to_string())
        .collect()
}

/// The numbers of a profile's generations.
pub(super) fn numbers(profile: &Profile) -> Vec<u32> {
    profile.generations.keys().map(|number| number.0).collect()
}

/// The codes of all failed checks.
pub(super) fn codes(snapshot: &Snapshot) -> Vec<CheckCode> {
    snapshot
        .blockers
        .iter()
        .map(|blocker| blocker.code)
        .collect()
}

/// The root with this entry, or else this link.
pub(super) fn root<'a>(snapshot: &'a Snapshot, name: &Utf8Path) -> &'a GcRoot {
    let of_entry = |root: &&GcRoot| root.entry.as_deref() == Some(name);
    let mut roots = snapshot.roots.iter();
    let found = roots
        .clone()
        .find(of_entry)
        .or_else(|| roots.find(|root| root.link == name));
    found.unwrap_or_else(|| panic!("no root {name} among {:#?}", snapshot.roots))
}

/// Gives a file to the user 4242, who is nobody; says aloud when only root could.
pub(super) fn give_away(path: &Utf8Path) -> bool {
    let given = std::os::unix::fs::lchown(path, Some(4242), None);
    if let Err(error) = &given {
        eprintln!("SKIPPED the part with another user's files: cannot give {path} away: {error}");
    }
    given.is_ok()
}
