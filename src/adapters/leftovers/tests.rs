//! Leftovers in directories of a test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use rstest::rstest;

use super::*;
use crate::adapters::nix_dirs::NameServices;
use crate::domain::leftover::{LeftoverClass, LeftoversOperation};
use crate::domain::measure::{Bytes, Span};
use crate::domain::store_path::StoreDir;
use crate::support::scratch;

/// Directories of Nix below a directory, and a list of processes that use nothing.
struct World {
    _guard: tempfile::TempDir,
    base: Utf8PathBuf,
    dirs: NixDirs,
    protected: ProtectedPaths,
    actor: Actor,
}

struct Asked(bool);

impl Interrupt for Asked {
    fn requested(&self) -> bool {
        self.0
    }
}

/// The age of everything that is old, in days.
const OLD: u64 = 40;

impl World {
    fn new() -> Self {
        let (guard, base) = scratch();
        for dir in ["store", "state/builds", "tmp", "log/drvs", "proc"] {
            fs::create_dir_all(base.join(dir)).unwrap();
        }
        symlink("1", base.join("proc/self")).unwrap();
        fs::create_dir_all(base.join("proc/1/fd")).unwrap();
        let dirs = NixDirs {
            own_cache: Some(base.join("home/.cache/nix")),
            store: StoreDir::new(&base.join("store")).unwrap(),
            state_dir: base.join("state"),
            log_dir: Some(base.join("log")),
            temporary: vec![base.join("tmp")],
            passwd: base.join("passwd"),
            name_services: NameServices::default(),
            home: None,
            ..NixDirs::from_env().unwrap()
        };
        let uid = geteuid();
        Self {
            _guard: guard,
            base,
            dirs,
            protected: ProtectedPaths::default(),
            actor: if uid.is_root() {
                Actor::Root
            } else {
                Actor::User(uid.as_raw())
            },
        }
    }

    /// Writes a file with its directories.
    fn file(&self, name: &str) -> Utf8PathBuf {
        let path = self.base.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x".repeat(5000)).unwrap();
        path
    }

    /// Makes everything below a directory as old as this.
    fn age(&self, name: &str, days: u64) {
        age(&self.base.join(name), days);
    }

    fn files<'a>(&'a self, proc: &'a Utf8Path) -> LeftoverFiles<'a> {
        LeftoverFiles {
            places: &self.dirs,
            proc,
            actor: self.actor,
        }
    }

    fn find(&self) -> Vec<Leftovers> {
        let ages = LeftoverClass::ALL.map(|class| (class, Span::days(30)));
        self.find_older(&ages.into_iter().collect())
    }

    fn find_older(&self, operation: &LeftoversOperation) -> Vec<Leftovers> {
        let proc = self.base.join("proc");
        self.files(&proc).find(LeftoverQuery {
            operation,
            now: now(),
            protected: &self.protected,
        })
    }

    /// What is found in the only directory that has any.
    fn only(&self) -> Leftovers {
        let [found] = self.find().try_into().unwrap();
        found
    }

    fn facts(&self, dir: &str, class: LeftoverClass) -> LeftoverFacts {
        LeftoverFacts {
            class,
            dir: self.base.join(dir),
            owner: crate::domain::profile::Owner {
                uid: geteuid().as_raw(),
                name: None,
            },
            before: now().before(Span::days(30)),
            old: LeftoverSum::default(),
        }
    }

    fn remove(&self, dir: &str, class: LeftoverClass) -> Result<String, PerformError> {
        let proc = self.base.join("proc");
        let facts = self.facts(dir, class);
        self.files(&proc)
            .remove(&facts, &self.protected, &Asked(false))
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let names = self.base.join(dir).read_dir_utf8().unwrap();
        let mut names: Vec<String> = names
            .map(|name| name.unwrap().file_name().to_string())
            .collect();
        names.sort();
        names
    }
}

fn now() -> Timestamp {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_unix(i64::try_from(now.as_secs()).unwrap(), 0).unwrap()
}

fn age(path: &Utf8Path, days: u64) {
    if path.is_symlink() {
        return;
    }
    if path.is_dir() {
        for entry in path.read_dir_utf8().unwrap() {
            age(entry.unwrap().path(), days);
        }
    }
    if path.is_dir() || path.is_file() {
        let time = SystemTime::now() - Duration::from_secs(days * 86_400);
        let times = fs::FileTimes::new().set_accessed(time).set_modified(time);
        fs::File::open(path).unwrap().set_times(times).unwrap();
    }
}

#[rstest]
#[case::of_a_builder("tmp", "nix-build-a.drv-0", true)]
#[case::of_somebody_else("tmp", "my-build-a", false)]
#[case::of_a_new_nix("state/builds", "nix-12-345", true)]
#[case::of_nobody("state/builds", "other", false)]
fn old_build_directories_are_found_by_their_names(
    #[case] dir: &str,
    #[case] name: &str,
    #[case] is_found: bool,
) {
    let world = World::new();
    world.file(&format!("{dir}/{name}/src/file"));
    world.age(&format!("{dir}/{name}"), OLD);
    world.file(&format!("{dir}/{name}-young/file"));
    let found = world.find();
    if !is_found {
        assert_eq!(found, []);
        return;
    }
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(found.dir, world.base.join(dir));
    assert_eq!(
        (found.old.entries, found.old.inodes, found.kept.entries),
        (1, 3, 1)
    );
    assert!(
        found.old.bytes >= Bytes(8192) && found.is_on_store,
        "{found:?}"
    );
    assert!(
        found
            .oldest
            .is_some_and(|at| at < now().before(Span::days(39)))
    );
    let text = world.remove(dir, LeftoverClass::BuildDirs).unwrap();
    assert!(
        text.starts_with("removed 1 build directory, ") && text.ends_with("; kept 1"),
        "{text}"
    );
    assert_eq!(world.names(dir), [format!("{name}-young")]);
}

#[rstest]
#[case::compressed("ab/c-x.drv.bz2", true)]
#[case::plain("ab/c-x.drv", true)]
#[case::of_another_kind("ab/c-x.txt", false)]
#[case::elsewhere("abc/c-x.drv.bz2", false)]
#[case::deeper("ab/cd/c-x.drv.bz2", false)]
fn logs_are_found_by_their_names(#[case] name: &str, #[case] is_found: bool) {
    let world = World::new();
    let path = world.file(&format!("log/drvs/{name}"));
    world.age("log", OLD);
    world.file("log/drvs/ab/young.drv");
    let found = world.only();
    assert_eq!(found.class, LeftoverClass::BuildLogs);
    assert_eq!(
        (found.old.entries, found.kept.entries),
        (u64::from(is_found), 1)
    );
    world.remove("log/drvs", LeftoverClass::BuildLogs).unwrap();
    assert_eq!(path.exists(), !is_found);
    assert!(world.base.join("log/drvs/ab/young.drv").exists());
}

/// The name of a derivation, and that of its log.
const DERIVATION: &str = "0123456789abcdfghijklmnpqrsvwxyz-x.drv";
const LOG: &str = "log/drvs/01/23456789abcdfghijklmnpqrsvwxyz-x.drv";

impl World {
    /// Puts a path into the store, so that it counts as mounted.
    fn with_store_path(self) -> Self {
        self.file(&format!("store/{}", DERIVATION.replace("x.drv", "out")));
        self
    }

    /// Removes logs by the ages of both classes, and says which were found: the class, and how many are old and kept.
    fn clear_logs(&self, days: u32, orphaned_days: u32) -> Vec<(LeftoverClass, u64, u64)> {
        let ages = [
            (LeftoverClass::BuildLogs, days),
            (LeftoverClass::OrphanedBuildLogs, orphaned_days),
        ];
        let operation: LeftoversOperation = ages
            .map(|(class, days)| (class, Span::days(days)))
            .into_iter()
            .collect();
        let found = self.find_older(&operation);
        let proc = self.base.join("proc");
        for (class, before) in operation.cutoffs(now()) {
            let facts = LeftoverFacts {
                before,
                ..self.facts("log/drvs", class)
            };
            self.files(&proc)
                .remove(&facts, &self.protected, &Asked(false))
                .unwrap();
        }
        let found = found.iter();
        found
            .map(|found| (found.class, found.old.entries, found.kept.entries))
            .collect()
    }
}

#[rstest]
#[case::there_and_old(true, 40, (30, 10), true)]
#[case::there_and_old_for_an_orphan(true, 20, (30, 10), false)]
#[case::gone_and_old(false, 40, (30, 10), true)]
#[case::gone_and_old_for_an_orphan(false, 20, (30, 10), true)]
#[case::gone_and_young(false, 5, (30, 10), false)]
#[case::there_and_older_than_logs_only(true, 40, (30, 60), true)]
#[case::gone_and_older_than_logs_only(false, 40, (30, 60), false)]
fn a_log_has_the_age_of_one_class(
    #[case] is_there: bool,
    #[case] days: u64,
    #[case] (of_logs, of_orphans): (u32, u32),
    #[case] is_removed: bool,
    #[values("", ".bz2", ".zst")] end: &str,
) {
    let world = World::new().with_store_path();
    let log = world.file(&format!("{LOG}{end}"));
    world.age("log", days);
    if is_there {
        world.file(&format!("store/{DERIVATION}"));
    }
    let class = if is_there {
        LeftoverClass::BuildLogs
    } else {
        LeftoverClass::OrphanedBuildLogs
    };
    let (old, kept) = (u64::from(is_removed), u64::from(!is_removed));
    assert_eq!(world.clear_logs(of_logs, of_orphans), [(class, old, kept)]);
    assert_eq!(log.exists(), !is_removed);
}

#[rstest]
#[case::too_short("01/2345-x.drv")]
#[case::no_hash("01/e3456789abcdfghijklmnpqrsvwxyz-x.drv")]
#[case::no_name("01/23456789abcdfghijklmnpqrsvwxyz.drv")]
#[case::a_blank("01/23456789abcdfghijklmnpqrsvwxyz-x y.drv")]
#[case::other_letters("01/23456789abcdfghijklmnpqrsvwxyz-\u{e9}.drv.bz2")]
#[case::divided_elsewhere("00/123456789abcdfghijklmnpqrsvwxyz-x.drv")]
fn a_log_of_no_derivation_is_no_orphan(#[case] name: &str) {
    let world = World::new().with_store_path();
    let log = world.file(&format!("log/drvs/{name}"));
    world.age("log", 20);
    let kept = [(LeftoverClass::BuildLogs, 0, 1)];
    assert_eq!(world.clear_logs(30, 10), kept);
    assert!(log.exists());
}

#[test]
fn a_log_is_no_orphan_while_anything_has_the_name_of_its_derivation() {
    let world = World::new().with_store_path();
    world.file(LOG);
    world.age("log", 20);
    symlink("nowhere", world.base.join("store").join(DERIVATION)).unwrap();
    let kept = [(LeftoverClass::BuildLogs, 0, 1)];
    assert_eq!(world.clear_logs(30, 10), kept);
}

/// The file system of the store may not be mounted.
#[rstest]
#[case::empty(&|_: &Utf8Path| {})]
#[case::without_store_paths(&|store: &Utf8Path| for name in [".links", "lost+found"] {
    fs::create_dir(store.join(name)).unwrap();
})]
#[case::absent(&|store: &Utf8Path| fs::remove_dir(store).unwrap())]
#[case::a_file(&|store: &Utf8Path| {
    fs::remove_dir(store).unwrap();
    fs::write(store, "").unwrap();
})]
#[case::a_link(&|store: &Utf8Path| {
    fs::remove_dir(store).unwrap();
    let other = store.with_file_name("other");
    fs::create_dir_all(other.join(DERIVATION.replace("x.drv", "out"))).unwrap();
    symlink(other, store).unwrap();
})]
fn without_a_store_no_log_is_an_orphan(#[case] change: &dyn Fn(&Utf8Path)) {
    let world = World::new();
    let log = world.file(LOG);
    world.age("log", 20);
    change(&world.base.join("store"));
    let kept = [(LeftoverClass::BuildLogs, 0, 1)];
    assert_eq!(world.clear_logs(30, 10), kept);
    assert!(log.exists());
}

#[test]
fn a_young_file_deep_inside_keeps_a_build_directory() {
    let world = World::new();
    let young = world.file("tmp/nix-build-a/b/c/d/young");
    world.age("tmp", OLD);
    age(&young, 29);
    assert_eq!(world.only().old.entries, 0);
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert!(young.exists());
}

#[rstest]
#[case::an_open_file("fd/7", "tmp/nix-build-a/deep/file")]
#[case::a_working_directory("cwd", "tmp/nix-build-a/deep")]
#[case::its_own_directory("cwd", "tmp/nix-build-a")]
#[case::a_program("exe", "tmp/nix-build-a/deep/file")]
fn what_a_process_uses_is_kept(#[case] of_process: &str, #[case] used: &str) {
    let world = World::new();
    world.file("tmp/nix-build-a/deep/file");
    world.age("tmp", OLD);
    symlink(
        world.base.join(used),
        world.base.join("proc/1").join(of_process),
    )
    .unwrap();
    let found = world.only();
    assert_eq!((found.old.entries, found.kept.entries), (0, 1));
    assert!(found.kept.bytes > Bytes(0));
    assert!(
        world
            .remove("tmp", LeftoverClass::BuildDirs)
            .unwrap()
            .ends_with("kept 1")
    );
    assert_eq!(world.names("tmp"), ["nix-build-a"]);
    fs::remove_file(world.base.join("proc/1").join(of_process)).unwrap();
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert!(world.names("tmp").is_empty());
}

#[test]
fn without_a_look_at_processes_all_are_kept() {
    let world = World::new();
    world.file("tmp/nix-build-a/file");
    world.age("tmp", OLD);
    fs::remove_file(world.base.join("proc/self")).unwrap();
    let found = world.only();
    assert_eq!((found.old.entries, found.kept.entries), (0, 1));
    assert!(
        found.problems[0].contains("it may be in use: "),
        "{:?}",
        found.problems
    );
    let text = world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert!(
        text.contains("removed 0 build directories") && text.contains("may be in use"),
        "{text}"
    );
    assert_eq!(world.names("tmp"), ["nix-build-a"]);
}

#[test]
fn links_are_removed_and_never_followed() {
    let world = World::new();
    let precious = world.file("precious/file");
    world.file("tmp/nix-build-a/file");
    symlink(
        world.base.join("precious"),
        world.base.join("tmp/nix-build-a/dir"),
    )
    .unwrap();
    symlink(&precious, world.base.join("tmp/nix-build-a/link")).unwrap();
    symlink(
        world.base.join("precious"),
        world.base.join("tmp/nix-build-link"),
    )
    .unwrap();
    symlink(world.base.join("precious"), world.base.join("log/drvs/ab")).unwrap();
    fs::rename(&precious, world.base.join("precious/x.drv")).unwrap();
    world.age("precious", OLD);
    world.age("tmp", OLD);
    // A link that was made today would keep them.
    let operation = [
        (LeftoverClass::BuildDirs, Span::days(0)),
        (LeftoverClass::BuildLogs, Span::days(0)),
    ];
    let operation: LeftoversOperation = operation.into_iter().collect();
    let proc = world.base.join("proc");
    let later = now().after(Span::days(1));
    let found = world.files(&proc).find(LeftoverQuery {
        operation: &operation,
        now: later,
        protected: &world.protected,
    });
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((found.old.entries, found.old.inodes), (1, 4));
    let facts = LeftoverFacts {
        before: later,
        ..world.facts("tmp", LeftoverClass::BuildDirs)
    };
    world
        .files(&proc)
        .remove(&facts, &world.protected, &Asked(false))
        .unwrap();
    assert_eq!(world.names("tmp"), ["nix-build-link"]);
    assert_eq!(world.names("precious"), ["x.drv"]);
}

#[test]
fn hard_links_count_once_and_only_where_all_of_them_go() {
    let world = World::new();
    let one = world.file("tmp/nix-build-a/one");
    fs::hard_link(&one, world.base.join("tmp/nix-build-a/two")).unwrap();
    let other = world.file("tmp/nix-build-a/other");
    fs::hard_link(&other, world.base.join("kept")).unwrap();
    world.age("tmp", OLD);
    let found = world.only();
    // The directory and one file.
    assert_eq!((found.old.entries, found.old.inodes), (1, 2));
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert_eq!(
        fs::read_to_string(world.base.join("kept")).unwrap().len(),
        5000
    );
}

#[test]
fn protected_paths_are_kept_with_what_is_above_them() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.file(&format!("tmp/nix-build-{name}/deep/file"));
    }
    world.age("tmp", OLD);
    let paths = ["tmp/nix-build-a", "tmp/nix-build-b/deep"].map(|path| world.base.join(path));
    world.protected = ProtectedPaths::new(paths.to_vec());
    let found = world.only();
    assert_eq!((found.old.entries, found.kept.entries), (1, 2));
    assert!(
        found
            .problems
            .iter()
            .all(|problem| problem.contains("the settings protect "))
    );
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert_eq!(world.names("tmp"), ["nix-build-a", "nix-build-b"]);
}

#[test]
fn directories_that_nobody_may_write_to_are_removed() {
    let world = World::new();
    world.file("tmp/nix-build-a/mod/file");
    world.age("tmp", OLD);
    let read_only = world.base.join("tmp/nix-build-a/mod");
    fs::set_permissions(&read_only, fs::Permissions::from_mode(0o555)).unwrap();
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert!(world.names("tmp").is_empty());
}

#[rstest]
#[case::deep_enough(100, 1)]
#[case::too_deep(101, 0)]
fn what_is_nested_too_deeply_is_kept_and_named(#[case] depth: usize, #[case] removed: u64) {
    let world = World::new();
    world.file(&format!("tmp/nix-build-a/{}file", "d/".repeat(depth - 1)));
    world.age("tmp", OLD);
    let found = world.only();
    assert_eq!(
        (found.old.entries, found.kept.entries),
        (removed, 1 - removed)
    );
    assert_eq!(found.problems.len() as u64, 1 - removed);
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert_eq!(world.names("tmp").is_empty(), removed == 1);
}

#[test]
fn fifos_and_odd_names_are_removed_like_files() {
    let world = World::new();
    world.file("tmp/nix-build-\u{1b}[31m\n/a\tb");
    let fifo = world.base.join("tmp/nix-build-\u{1b}[31m\n/fifo");
    nix::unistd::mkfifo(fifo.as_std_path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let facts = LeftoverFacts {
        before: now().after(Span::days(1)),
        ..world.facts("tmp", LeftoverClass::BuildDirs)
    };
    let proc = world.base.join("proc");
    world
        .files(&proc)
        .remove(&facts, &world.protected, &Asked(false))
        .unwrap();
    assert!(world.names("tmp").is_empty());
}

/// A saved plan may name any directory, class and owner.
#[rstest]
#[case::another_directory("precious", LeftoverClass::BuildDirs, 0)]
#[case::another_class("tmp", LeftoverClass::BuildLogs, 0)]
#[case::another_owner("tmp", LeftoverClass::BuildDirs, 1)]
fn only_directories_of_nix_are_touched(
    #[case] dir: &str,
    #[case] class: LeftoverClass,
    #[case] other: u32,
) {
    let world = World::new();
    let precious = world.file("precious/nix-build-a/file");
    world.age("precious", OLD);
    let mut facts = world.facts(dir, class);
    facts.owner.uid += other;
    let proc = world.base.join("proc");
    let done = world
        .files(&proc)
        .remove(&facts, &world.protected, &Asked(false));
    assert!(matches!(done, Err(PerformError::Stale(_))), "{done:?}");
    assert!(precious.exists());
}

#[test]
fn a_request_to_stop_is_obeyed_before_the_next_entry() {
    let world = World::new();
    world.file("tmp/nix-build-a/file");
    world.age("tmp", OLD);
    let facts = world.facts("tmp", LeftoverClass::BuildDirs);
    let proc = world.base.join("proc");
    let done = world
        .files(&proc)
        .remove(&facts, &world.protected, &Asked(true));
    assert!(
        matches!(done, Err(PerformError::Interrupted { .. })),
        "{done:?}"
    );
    assert_eq!(world.names("tmp"), ["nix-build-a"]);
}

#[test]
fn entries_of_other_users_are_neither_counted_nor_touched_by_an_ordinary_user() {
    let mut world = World::new();
    world.file("tmp/nix-build-a/file");
    world.age("tmp", OLD);
    world.actor = Actor::User(geteuid().as_raw() + 1);
    assert_eq!(world.find(), []);
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert_eq!(world.names("tmp"), ["nix-build-a"]);
}

#[test]
fn a_hundred_thousand_names_are_read_and_removed() {
    let world = World::new();
    let dir = world.base.join("tmp/nix-build-a");
    fs::create_dir(&dir).unwrap();
    let count = if cfg!(debug_assertions) {
        20_000
    } else {
        100_000
    };
    for name in 0..count {
        fs::File::create(dir.join(name.to_string())).unwrap();
    }
    world.age("tmp", OLD);
    assert_eq!(world.only().old.inodes, count + 1);
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert!(world.names("tmp").is_empty());
}

const CACHE: &str = "home/.cache/nix";

/// Each entry of the cache with what belongs to it, and names that are no entry.
#[rstest]
#[case::a_repository("gitv3/abc/objects/pack/a", &["gitv3/abc.lock"], true)]
#[case::an_evaluation("eval-cache-v5/abc.sqlite", &["eval-cache-v5/abc.sqlite-journal", "eval-cache-v5/abc.sqlite-wal"], true)]
#[case::a_database("fetcher-cache-v3.sqlite", &["fetcher-cache-v3.sqlite-shm"], true)]
#[case::downloads("tarball-cache-v2/objects/pack/a", &[], true)]
#[case::a_lock("fetcher-locks/abc", &[], true)]
#[case::an_unknown_file("notes", &[], false)]
#[case::an_unknown_directory("mine/file", &[], false)]
fn entries_of_the_cache_are_removed_with_what_belongs_to_them(
    #[case] name: &str,
    #[case] more: &[&str],
    #[case] is_found: bool,
) {
    let world = World::new();
    let all: Vec<Utf8PathBuf> = std::iter::once(&name)
        .chain(more)
        .map(|name| world.file(&format!("{CACHE}/{name}")))
        .collect();
    world.age("home", OLD);
    let found = world.find();
    let entries: u64 = found.iter().map(|found| found.old.entries).sum();
    assert_eq!(entries, u64::from(is_found), "{found:?}");
    world.remove(CACHE, LeftoverClass::NixCache).unwrap();
    for path in all {
        assert_eq!(path.exists(), !is_found, "{path}");
    }
}

#[rstest]
#[case::changed("eval-cache-v5/abc.sqlite-wal", false)]
#[case::read("eval-cache-v5/abc.sqlite", true)]
fn an_entry_of_the_cache_is_as_young_as_its_last_use(#[case] name: &str, #[case] by_reading: bool) {
    let world = World::new();
    world.file(&format!("{CACHE}/eval-cache-v5/abc.sqlite"));
    let used = world.file(&format!("{CACHE}/{name}"));
    world.age("home", OLD);
    let times = fs::FileTimes::new();
    let times = if by_reading {
        times.set_accessed(SystemTime::now())
    } else {
        times.set_modified(SystemTime::now())
    };
    fs::File::open(&used).unwrap().set_times(times).unwrap();
    let found = world.only();
    assert_eq!((found.old.entries, found.kept.entries), (0, 1));
}

#[test]
fn what_is_left_of_an_entry_is_an_entry_for_itself() {
    let world = World::new();
    let left = world.file(&format!("{CACHE}/eval-cache-v5/abc.sqlite-wal"));
    world.age("home", OLD);
    world.remove(CACHE, LeftoverClass::NixCache).unwrap();
    assert!(!left.exists());
}

#[test]
fn a_lock_beside_a_build_directory_is_nothing_of_it() {
    let world = World::new();
    world.file("tmp/nix-build-a/file");
    world.age("tmp", OLD);
    world.file("tmp/nix-build-a.lock/file");
    world.remove("tmp", LeftoverClass::BuildDirs).unwrap();
    assert_eq!(world.names("tmp"), ["nix-build-a.lock"]);
}

#[rstest]
#[case::stale("12", false, false)]
#[case::of_a_process_that_is_alive("12", true, true)]
#[case::of_no_process("notes", false, true)]
fn files_of_temporary_roots_are_removed_unless_they_are_locked(
    #[case] name: &str,
    #[case] is_locked: bool,
    #[case] is_kept: bool,
) {
    let world = World::new();
    let path = world.file(&format!("state/temproots/{name}"));
    world.age("state/temproots", OLD);
    let owner = fs::File::open(&path).unwrap();
    if is_locked {
        owner.lock().unwrap();
    }
    world
        .remove("state/temproots", LeftoverClass::TemporaryRoots)
        .unwrap();
    assert_eq!(path.exists(), is_kept);
    // Whoever waited for the lock sees that the file is gone.
    let said = fs::read_to_string(if is_kept { path.as_str() } else { "/dev/null" }).unwrap();
    assert_eq!(said.len(), if is_kept { 5000 } else { 0 });
    let mut text = String::new();
    std::io::Read::read_to_string(&mut &owner, &mut text).unwrap();
    assert_eq!(text.starts_with('d'), !is_kept);
}
