//! What is predicted is what the file system gives back: on file systems made for the test, which only root can mount.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicU64;

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, syncfs};
use nix_prune::adapters::disk::{AtMost, DiskUse, Meter, settled_fullness};
use rstest::rstest;
use tempfile::TempDir;

use super::Never;
use crate::support::{command, skipped};

const SIZE: u64 = 400 << 20;

/// A file system in a file.
struct Mounted {
    dir: TempDir,
    at: Utf8PathBuf,
}

impl Mounted {
    /// Makes one and mounts it. `None`, said aloud, where that cannot be done here.
    fn new(kind: &str, options: &str) -> Option<Self> {
        if !Uid::effective().is_root() {
            skipped("What other file systems give back needs root to mount them.");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(dir.path()).unwrap();
        let (image, at) = (base.join("image"), base.join("mounted"));
        File::create(&image).unwrap().set_len(SIZE).unwrap();
        fs::create_dir(&at).unwrap();
        let make = command(format!("mkfs.{kind}"))
            .args(["-q", image.as_str()])
            .output();
        if !make.is_ok_and(|made| made.status.success()) {
            skipped(&format!(
                "{kind} is not tested, for mkfs.{kind} is not there."
            ));
            return None;
        }
        let mount = command("mount")
            .args(["-o", &format!("loop{options}"), image.as_str(), at.as_str()])
            .output()
            .unwrap();
        if !mount.status.success() {
            let why = String::from_utf8_lossy(&mount.stderr);
            skipped(&format!("{kind} cannot be mounted here: {}", why.trim()));
            return None;
        }
        let store = at.join("store");
        fs::create_dir(&store).unwrap();
        Some(Self { dir, at })
    }

    fn store(&self) -> Utf8PathBuf {
        self.at.join("store")
    }

    /// The free bytes, once all that was freed counts.
    fn free(&self) -> u64 {
        settled_fullness(&self.at).unwrap().available.0
    }

    fn measure(&self, names: &[&str]) -> DiskUse {
        // Only what is written has its blocks.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        syncfs(open(self.at.as_std_path(), flags, Mode::empty()).unwrap()).unwrap();
        let (store, seen) = (self.store(), AtomicU64::new(0));
        let used = Meter::new(&store, &Never, &seen).measure(names).unwrap();
        let meter = Meter::new(&store, &Never, &seen).with_threads(2);
        let each = meter.measure_each(names).unwrap();
        assert_eq!(each.iter().map(|bytes| bytes.0).sum::<u64>(), used.bytes.0);
        used
    }

    /// Deletes paths; how much was freed.
    fn delete(&self, names: &[&str]) -> i64 {
        let before = self.free();
        for name in names {
            fs::remove_dir_all(self.store().join(name)).unwrap();
        }
        self.free().cast_signed() - before.cast_signed()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let umount = command("umount").arg(&self.at).output();
        if umount.is_ok_and(|ended| !ended.status.success()) {
            let _ = command("umount")
                .arg("-l")
                .arg(self.dir.path().join("mounted"))
                .output();
        }
    }
}

/// Paths as there are in a store: small files in a deep tree, large ones, text, links.
fn fill(store: &Utf8Path, name: &str) {
    let dir = store.join(name);
    fs::create_dir_all(dir.join("share/deep")).unwrap();
    let mut random = File::open("/dev/urandom").unwrap();
    let mut bytes = vec![0; 3 << 20];
    random.read_exact(&mut bytes).unwrap();
    fs::write(dir.join("large"), &bytes).unwrap();
    fs::hard_link(dir.join("large"), dir.join("again")).unwrap();
    for n in 0..500 {
        let size = (n * 7) % 900;
        fs::write(dir.join(format!("share/small-{n}")), &bytes[..size]).unwrap();
    }
    for n in 0..40 {
        fs::write(dir.join(format!("share/deep/{n}")), &bytes[..n * 1500]).unwrap();
        symlink("../small-1", dir.join(format!("share/deep/link-{n}"))).unwrap();
    }
    let mut text = File::create(dir.join("text")).unwrap();
    for n in 0..60_000 {
        writeln!(text, "this is line {n} of a text that is easy to compress").unwrap();
    }
}

fn assert_near(predicted: u64, freed: i64, percent: i64) {
    let off = (predicted.cast_signed() - freed).abs();
    assert!(
        off * 100 <= freed * percent,
        "predicted {predicted}, freed {freed}: off by more than {percent} %"
    );
}

#[rstest]
#[case::ext4("ext4", "", 0, &[])]
#[case::xfs("xfs", "", 1, &[])]
#[case::btrfs("btrfs", "", 5, &[])]
#[case::btrfs_compressed("btrfs", ",compress=zstd", 5, &[AtMost::Compressed])]
fn what_is_predicted_is_freed(
    #[case] kind: &str,
    #[case] options: &str,
    #[case] percent: i64,
    #[case] at_most: &[AtMost],
) {
    let Some(mounted) = Mounted::new(kind, options) else {
        return;
    };
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        fill(&mounted.store(), name);
    }
    let predicted = mounted.measure(&names[1..]);
    assert_eq!(predicted.at_most, at_most);
    assert_eq!(predicted.elsewhere.0, 0);
    assert_near(predicted.bytes.0, mounted.delete(&names[1..]), percent);
}

#[rstest]
#[case::xfs("xfs")]
#[case::btrfs("btrfs")]
fn a_copy_that_shares_its_blocks_frees_them_once(#[case] kind: &str) {
    let Some(mounted) = Mounted::new(kind, "") else {
        return;
    };
    let store = mounted.store();
    for name in ["a", "b", "c"] {
        fill(&store, name);
    }
    let copy = |from: &str, to: &str| {
        let cp = command("cp")
            .args([
                "--reflink=always",
                store.join(from).as_str(),
                store.join(to).as_str(),
            ])
            .status();
        assert!(cp.unwrap().success());
    };
    copy("a/large", "b/of-a");
    copy("c/large", "b/of-c");
    let predicted = mounted.measure(&["a", "b"]);
    assert_eq!(predicted.at_most, [AtMost::Shared]);
    // The copy of a file that stays frees nothing.
    assert_eq!(predicted.elsewhere.0, 3 << 20);
    assert_near(predicted.bytes.0, mounted.delete(&["a", "b"]), 5);
}

#[test]
fn a_snapshot_keeps_what_is_deleted() {
    let Some(mounted) = Mounted::new("btrfs", "") else {
        return;
    };
    fill(&mounted.store(), "old");
    let at = &mounted.at;
    let snapshot = command("btrfs")
        .args(["-q", "subvolume", "snapshot", "-r", at.as_str()])
        .arg(at.join("snapshot"))
        .status();
    assert!(snapshot.unwrap().success());
    fill(&mounted.store(), "new");
    let old = mounted.measure(&["old"]);
    assert_eq!(old.bytes.0, 0);
    assert!(old.elsewhere.0 > 6 << 20, "{old:?}");
    let both = mounted.measure(&["old", "new"]);
    assert_near(both.bytes.0, mounted.delete(&["old", "new"]), 5);
}
