//! What deleting store paths frees is predicted to the block.

#![cfg(test)]

#[cfg(target_os = "linux")]
mod mounted;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix_prune::adapters::disk::{DiskError, DiskUse, Meter};
use nix_prune::ports::Interrupt;
use rstest::rstest;
use tempfile::TempDir;

use crate::database::real;

struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

/// A store directory that no Nix has seen; the names of its paths need not be those of store paths.
struct Store(TempDir);

impl Store {
    /// Where every inode has the blocks that it says: on XFS and btrfs what `du` counts is not what is freed.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kind = crate::support::command("stat")
            .args(["-f", "-c", "%T"])
            .arg(dir.path())
            .output();
        let kind = kind.map(|ended| String::from_utf8_lossy(&ended.stdout).trim().to_string());
        if kind.is_ok_and(|kind| kind == "xfs" || kind == "btrfs") {
            return Self(tempfile::tempdir_in("/dev/shm").unwrap());
        }
        Self(dir)
    }

    fn dir(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    /// Writes a file of so many bytes, and the directories above it.
    fn file(&self, path: &str, bytes: usize) -> Utf8PathBuf {
        let file = self.dir().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, vec![b'x'; bytes]).unwrap();
        file
    }

    fn link(&self, from: &str, to: &str) {
        let to = self.dir().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::hard_link(self.dir().join(from), to).unwrap();
    }

    fn measure(&self, names: &[&str]) -> DiskUse {
        let results: Vec<DiskUse> = [1, 2, 5]
            .into_iter()
            .map(|threads| {
                Meter::new(self.dir(), &Never, &AtomicU64::new(0))
                    .with_threads(threads)
                    .measure(names)
                    .unwrap()
            })
            .collect();
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
        results[0].clone()
    }
}

fn blocks(path: &Utf8Path) -> u64 {
    fs::symlink_metadata(path).unwrap().blocks() * 512
}

/// What `du` says, which counts every inode once.
fn du(dir: &Utf8Path, names: &[&str]) -> u64 {
    let output = crate::support::command("du")
        .args(["-s", "-c", "--block-size=1", "--"])
        .args(names)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let total = text.lines().last().unwrap();
    total.split_whitespace().next().unwrap().parse().unwrap()
}

/// The blocks of every inode below `dir`, measured another way: by a set of all inodes.
fn everything(dir: &Utf8Path) -> u64 {
    fn walk(dir: &Utf8Path, seen: &mut HashSet<u64>) -> u64 {
        let mut sum = 0;
        for entry in dir.read_dir_utf8().unwrap() {
            let path = entry.unwrap().path().to_path_buf();
            let meta = fs::symlink_metadata(&path).unwrap();
            if seen.insert(meta.ino()) {
                sum += meta.blocks() * 512;
            }
            if meta.is_dir() {
                sum += walk(&path, seen);
            }
        }
        sum
    }
    walk(dir, &mut HashSet::new())
}

#[test]
fn a_tree_without_links_from_outside_is_what_du_says() {
    let store = Store::new();
    for n in 0..40 {
        store.file(&format!("a/dir-{}/{n}", n % 7), n * 1500);
        store.file(&format!("b/{n}/deep/er"), 1);
    }
    store.link("a/dir-0/0", "a/again");
    store.link("a/dir-1/1", "b/from-a");
    symlink("/etc/passwd", store.dir().join("a/out")).unwrap();
    symlink("x".repeat(200), store.dir().join("a/long")).unwrap();
    symlink("dir-1", store.dir().join("a/to-a-directory")).unwrap();
    symlink(store.dir().join("b"), store.dir().join("c")).unwrap();
    store.file("plain", 5000);
    let names = ["a", "b", "c", "plain"];
    let got = store.measure(&names);
    assert_eq!(got.bytes.0, du(store.dir(), &names));
    assert_eq!((got.shared.0, got.vanished, got.unreadable), (0, 0, 0));
}

#[test]
fn trap_27_only_inodes_whose_links_all_go_count() {
    let store = Store::new();
    let inside = store.file("a/inside", 8000);
    let half = store.file("a/half", 16_000);
    store.link("a/inside", "b/inside");
    store.link("a/half", "c/half");
    let directories: u64 = ["a", "b"]
        .map(|d| blocks(&store.dir().join(d)))
        .iter()
        .sum();
    let got = store.measure(&["a", "b"]);
    assert_eq!(got.bytes.0, directories + blocks(&inside));
    assert_eq!(got.shared.0, blocks(&half));
    assert_eq!(got.inodes, 3);
    let got = store.measure(&["a", "b", "c"]);
    assert_eq!(got.bytes.0, du(store.dir(), &["a", "b", "c"]));
    assert_eq!(got.shared.0, 0);
}

#[rstest]
#[case::there(true)]
#[case::absent(false)]
fn trap_27_the_link_in_links_does_not_hold_a_file(#[case] optimised: bool) {
    let store = Store::new();
    let file = store.file("a/file", 8000);
    let other = store.file("b/other", 16_000);
    // A link outside, which looks the same by its count alone.
    let outside = store.file("a/outside", 32_000);
    store.link("a/outside", "elsewhere/outside");
    if optimised {
        store.link("a/file", ".links/0hash");
        store.link("b/other", ".links/1hash");
        store.file(".links/2unused", 4000);
    }
    let got = store.measure(&["a"]);
    assert_eq!(got.bytes.0, blocks(&store.dir().join("a")) + blocks(&file));
    assert_eq!(got.shared.0, blocks(&outside));
    let got = store.measure(&["a", "b"]);
    let directories = blocks(&store.dir().join("a")) + blocks(&store.dir().join("b"));
    assert_eq!(got.bytes.0, directories + blocks(&file) + blocks(&other));
}

#[test]
fn trap_27_a_file_twice_in_the_set_and_once_in_links_goes_only_with_both() {
    let store = Store::new();
    let file = store.file("a/file", 8000);
    store.link("a/file", "b/file");
    store.link("a/file", ".links/hash");
    assert_eq!(store.measure(&["a"]).shared.0, blocks(&file));
    let got = store.measure(&["b", "a"]);
    assert_eq!(got.bytes.0, du(store.dir(), &["a", "b"]));
    assert_eq!(got.shared.0, 0);
}

#[test]
fn each_path_counts_what_it_frees_after_those_before_it() {
    let store = Store::new();
    let names = ["a", "b", "c", "d", "e"];
    for (n, name) in names.iter().enumerate() {
        store.file(&format!("{name}/own"), 1000 * (n + 1) * (n + 1));
    }
    // In two, in three, in all, in `.links` as well, twice in one, and outside.
    for (file, links) in [
        ("a/two", &["c/two"][..]),
        ("b/three", &["d/three", "e/three"]),
        ("a/all", &["b/all", "c/all", "d/all", "e/all"]),
        ("c/linked", &["d/linked", ".links/hash"]),
        ("b/twice", &["b/again"]),
        ("a/outside", &["e/outside", "elsewhere"]),
    ] {
        store.file(file, 20_000);
        for link in links {
            store.link(file, link);
        }
    }
    for order in [names, ["e", "d", "c", "b", "a"], ["c", "a", "e", "b", "d"]] {
        for threads in [1, 2, 5] {
            let meter = AtomicU64::new(0);
            let meter = Meter::new(store.dir(), &Never, &meter).with_threads(threads);
            let each = meter.measure_each(&order).unwrap();
            for beginning in 0..=order.len() {
                let first = each[..beginning].iter();
                let bytes: u64 = first.clone().map(|taken| taken.bytes.0).sum();
                let inodes: u64 = first.map(|taken| taken.inodes).sum();
                let measured = store.measure(&order[..beginning]);
                assert_eq!(
                    (bytes, inodes),
                    (measured.bytes.0, measured.inodes),
                    "{beginning} of {order:?}"
                );
            }
        }
    }
}

#[test]
fn trap_27_a_file_twice_in_the_set_and_once_outside_stays() {
    let store = Store::new();
    let file = store.file("a/file", 8000);
    store.link("a/file", "a/again");
    store.link("a/file", "b/file");
    for names in [&["a"][..], &["a", "gone"]] {
        let got = store.measure(names);
        assert_eq!(got.bytes.0, blocks(&store.dir().join("a")));
        assert_eq!(got.shared.0, blocks(&file));
    }
    assert_eq!(store.measure(&["a", "b"]).shared.0, 0);
}

#[test]
fn trap_26_a_sparse_file_counts_by_its_blocks() {
    let store = Store::new();
    let file = fs::File::create(store.dir().join("sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    let got = store.measure(&["sparse"]);
    assert_eq!(got.bytes.0, du(store.dir(), &["sparse"]));
    assert!(got.bytes.0 < 1 << 20);
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long_is_walked() {
    let store = Store::new();
    let name = "d".repeat(200);
    // A process that works or has something open where a name is longer than 4096 bytes makes Nix's collector give up in
    // other tests, as it cannot read that name in /proc. So it goes no deeper than it must, and by descriptors.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let mut dir = open(store.dir().as_std_path(), flags, Mode::empty()).unwrap();
    for _ in 0..21 {
        mkdirat(&dir, name.as_str(), Mode::S_IRWXU).unwrap();
        dir = openat(&dir, name.as_str(), flags, Mode::empty()).unwrap();
    }
    let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
    let file = openat(&dir, "f", flags, Mode::S_IRUSR).unwrap();
    fs::File::from(file).write_all(b"x\n").unwrap();
    let got = store.measure(&[&name]);
    assert_eq!(got.bytes.0, du(store.dir(), &[&name]));
    assert_eq!(got.inodes, 22);
}

#[test]
fn what_is_gone_is_counted_and_no_error() {
    let store = Store::new();
    store.file("a/file", 8000);
    let got = store.measure(&["a", "gone", "gone-too"]);
    assert_eq!(got.bytes.0, du(store.dir(), &["a"]));
    assert_eq!((got.vanished, got.unreadable), (2, 0));
    let absent =
        Meter::new(&store.dir().join("absent"), &Never, &AtomicU64::new(0)).measure(&["a"]);
    assert!(matches!(absent, Err(DiskError::Store { .. })));
}

/// Deletes a directory the first time that it is asked, which is in the middle of the walk.
struct Deletes(Utf8PathBuf, AtomicBool);

impl Interrupt for Deletes {
    fn requested(&self) -> bool {
        if !self.1.swap(true, Ordering::Relaxed) {
            fs::remove_dir_all(&self.0).unwrap();
        }
        false
    }
}

#[test]
fn a_path_that_is_deleted_in_the_middle_is_tolerated() {
    let store = Store::new();
    store.file("a/one", 100);
    store.file("b/two", 100);
    let deletes = Deletes(store.dir().join("b"), AtomicBool::new(false));
    let got = Meter::new(store.dir(), &deletes, &AtomicU64::new(0))
        .with_threads(1)
        .measure(&["a", "b"])
        .unwrap();
    assert_eq!(got.bytes.0, du(store.dir(), &["a"]));
    assert_eq!(got.vanished, 1);
}

/// Stops after it was asked so many times.
struct After(AtomicU64);

impl Interrupt for After {
    fn requested(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_err()
    }
}

#[rstest]
#[case(0)]
#[case(1)]
#[case(3)]
fn it_stops_when_it_is_told_to(#[case] after: u64) {
    let store = Store::new();
    for n in 0..2000 {
        store.file(&format!("a/{n}"), 0);
    }
    let seen = AtomicU64::new(0);
    let interrupt = After(AtomicU64::new(after));
    let result = Meter::new(store.dir(), &interrupt, &seen)
        .with_threads(1)
        .measure(&["a"]);
    assert!(matches!(result, Err(DiskError::Interrupted)));
    assert!(seen.load(Ordering::Relaxed) < 1000);
}

#[test]
fn progress_counts_every_inode() {
    let store = Store::new();
    for n in 0..1000 {
        store.file(&format!("a/{}/{n}", n % 3), 0);
    }
    let seen = AtomicU64::new(0);
    Meter::new(store.dir(), &Never, &seen)
        .measure(&["a"])
        .unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 1004);
}

const CHILD: &str = "NIX_PRUNE_TEST_DISK";

/// The part of the next test that runs without root's rights.
#[test]
fn child_measures_what_it_is_told() {
    // Only as a child of the test that starts it, as another user.
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let got = Meter::new(Utf8Path::new(&told), &Never, &AtomicU64::new(0))
        .measure(&["a"])
        .unwrap();
    println!(
        "\nSEEN {} {} {:?}",
        got.bytes.0, got.unreadable, got.examples
    );
}

#[test]
fn what_may_not_be_read_is_counted_and_named() {
    let store = Store::new();
    fs::set_permissions(store.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    store.file("a/open/file", 8000);
    store.file("a/closed/file", 8000);
    let closed = store.dir().join("a/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let exe = store.dir().join("suite");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let mut command = crate::support::command(&exe);
    command
        .args(["--exact", "disk::child_measures_what_it_is_told"])
        .arg("--nocapture")
        .env(CHILD, store.dir());
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected: u64 = ["a", "a/open", "a/open/file", "a/closed"]
        .map(|path| blocks(&store.dir().join(path)))
        .iter()
        .sum();
    let line = format!("SEEN {expected} 1 [\"closed: EACCES: Permission denied\"]");
    assert!(text.lines().any(|l| l == line), "{text}, not {line}");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Two paths that share contents with each other and with one that stays.
const EXPRESSION: &str = r#"
let make = name: script: derivation {
  inherit name; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "PATH=/usr/bin:/bin; mkdir $out; cd $out; ${script}" ];
};
big = "yes common | head -c 200000 > common;";
in [
  (make "one" "${big} cp common copy; yes 1 | head -c 90000 > own; ln -s common link; truncate -s 1M sparse")
  (make "two" "${big} yes 12 | head -c 50000 > pair")
  (make "three" "yes 12 | head -c 50000 > pair; yes 3 | head -c 300000 > own; mkdir -p a/b; cp own a/b")
]
"#;

#[rstest]
#[case::as_built(false)]
#[case::optimised(true)]
fn trap_27_a_real_collection_frees_what_was_predicted(#[case] optimised: bool) {
    for bin in real::versions() {
        for gone in [vec![0], vec![0, 1], vec![1, 2], vec![0, 1, 2]] {
            let nix = real::RealStore::new(&bin);
            let paths = nix.build(EXPRESSION);
            if optimised {
                nix.run("nix-store", &["--optimise"]);
            }
            let dir = nix.store_dir().as_path().to_path_buf();
            let delete: Vec<&str> = gone.iter().map(|&n: &usize| paths[n].as_str()).collect();
            let names: Vec<&str> = delete
                .iter()
                .map(|path| path.rsplit('/').next().unwrap())
                .collect();
            let predicted = Meter::new(&dir, &Never, &AtomicU64::new(0))
                .measure(&names)
                .unwrap();
            let before = everything(&dir);
            // The directory `.links` keeps its size when entries go.
            let mut args = vec!["--delete"];
            args.extend(&delete);
            nix.run("nix-store", &args);
            let freed = before - everything(&dir);
            assert_eq!(predicted.bytes.0, freed, "{} {gone:?}", bin.display());
            assert_eq!((predicted.vanished, predicted.unreadable), (0, 0));
        }
    }
}
