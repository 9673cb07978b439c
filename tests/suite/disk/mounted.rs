//! What is predicted is what the file system gives back: on file systems made for the test, which only root can mount.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicU64;

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::syncfs;
use nix_prune::adapters::disk::{AtMost, DiskUse, Meter, settled_fullness};
use rstest::{Context, rstest};

use super::Never;
use crate::support::{command, is_root, on_mounted, skipped};

/// A file system of the test's own, which is where `TMPDIR` is.
struct Mounted {
    at: Utf8PathBuf,
}

/// Runs a test on a file system of some kind, mounted with these options; `name` is the test's in this module.
fn on(kind: &str, options: &str, name: &str, body: impl FnOnce(&Mounted)) {
    if !is_root() {
        return skipped("What other file systems give back needs root to mount them.");
    }
    let mount = format!(
        "rm -f \"$IMAGE\" && truncate -s 400M \"$IMAGE\" && mkfs.{kind} -q \"$IMAGE\" && mount -o loop{options} \"$IMAGE\" \"$TMPDIR\""
    );
    on_mounted(&format!("disk::mounted::{name}"), &mount, || {
        let at = Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap();
        let mounted = Mounted { at };
        fs::create_dir(mounted.store()).unwrap();
        body(&mounted);
    });
}

/// The name of a case in this module, as rstest makes it.
fn name_of(case: &Context) -> String {
    let (number, kind) = (case.case.unwrap() + 1, case.description.unwrap());
    format!("{}::case_{number}_{kind}", case.name)
}

impl Mounted {
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
        assert_eq!(each.iter().map(|it| it.bytes.0).sum::<u64>(), used.bytes.0);
        assert_eq!(each.iter().map(|it| it.inodes).sum::<u64>(), used.inodes);
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
    #[context] case: Context,
    #[case] kind: &str,
    #[case] options: &str,
    #[case] percent: i64,
    #[case] at_most: &[AtMost],
) {
    on(kind, options, &name_of(&case), |mounted| {
        let names = ["a", "b", "c", "d", "e", "f"];
        for name in names {
            fill(&mounted.store(), name);
        }
        let predicted = mounted.measure(&names[1..]);
        assert_eq!(predicted.at_most, at_most);
        assert_eq!(predicted.elsewhere.0, 0);
        assert_near(predicted.bytes.0, mounted.delete(&names[1..]), percent);
    });
}

#[rstest]
#[case::xfs("xfs")]
#[case::btrfs("btrfs")]
fn a_copy_that_shares_its_blocks_frees_them_once(#[context] case: Context, #[case] kind: &str) {
    on(kind, "", &name_of(&case), shares_blocks);
}

fn shares_blocks(mounted: &Mounted) {
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
    on(
        "btrfs",
        "",
        "a_snapshot_keeps_what_is_deleted",
        has_snapshot,
    );
}

fn has_snapshot(mounted: &Mounted) {
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
