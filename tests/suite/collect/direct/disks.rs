//! Mounts in the store directory, a store that is mounted read-only, and disks without room.

use camino::Utf8PathBuf;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix_prune::domain::store_path::StorePath;
use nix_prune::ports::NixActions;

use super::*;
use crate::support::on_mounted;

const DISK: &str = "mount -t tmpfs -o size=80m tmpfs \"$TMPDIR\"";

/// Runs the test of this name where `TMPDIR` is a disk of its own, and others do not see what is mounted.
fn on_a_disk(name: &str, test: impl Fn(&Nix)) {
    if !is_root() {
        return skipped("direct collection: only root may collect directly");
    }
    let name = format!("collect::direct::disks::{name}");
    on_mounted(&name, DISK, || with_each_nix(|nix| test(nix)));
}

/// Something mounted, as long as it is there.
struct Mounted(Utf8PathBuf);

impl Mounted {
    fn bind(from: &Utf8Path, to: &Utf8Path) -> Self {
        let none = None::<&str>;
        let (from, place) = (from.as_std_path(), to.as_std_path());
        mount(Some(from), place, none, MsFlags::MS_BIND, none).unwrap();
        Self(to.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(self.0.as_std_path(), MntFlags::MNT_DETACH);
    }
}

/// A mount of the same disk, which looks like any other directory.
#[test]
fn a_name_below_which_something_is_mounted_stays() {
    on_a_disk("a_name_below_which_something_is_mounted_stays", |nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        store.fill(&[Row::new("one", &[]), Row::new("two", &[])]);
        let elsewhere = store.scratch.base().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("file"), "").unwrap();
        let (path, junk) = (
            store.absolute("one"),
            store.scratch.store().as_path().join("junk"),
        );
        fs::remove_file(&path).unwrap();
        let cli = store.scratch.nix().unwrap();
        let direct = cli.begin_direct().unwrap();
        // It comes after the beginning, so each step looks.
        let mounted = [&path, &junk].map(|dir| {
            fs::create_dir_all(dir.join("a/b")).unwrap();
            Mounted::bind(&elsewhere, &dir.join("a/b"))
        });
        let both: Vec<StorePath<String>> = ["one", "two"].map(|name| store.path(name)).into();
        let deleted = direct.delete(&[both]).deleted;
        let finished = direct.finish(true);
        assert!(elsewhere.join("file").exists());
        assert_eq!(deleted.paths, [store.path("two")]);
        let [refused] = deleted.refused.as_slice() else {
            panic!("{:?}", deleted.refused);
        };
        assert_eq!(refused.path, store.path("one"));
        assert_eq!(refused.why, "something is mounted there");
        assert_eq!(finished.left, ["junk: something is mounted there"]);
        assert_eq!(store.valid().len(), 1);
        drop(mounted);
        // What stays because of that keeps what it refers to, and is deleted once it is free.
        drop(direct);
        assert_done(&directly(&store, &Looker::new(&store)), 2);
        assert!(elsewhere.join("file").exists() && !junk.exists());
    });
}

#[test]
fn a_store_that_is_mounted_read_only_is_so_for_everybody_else() {
    let name = "a_store_that_is_mounted_read_only_is_so_for_everybody_else";
    on_a_disk(name, |nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        chain(&store);
        let dir = store.scratch.store().as_path();
        let _mounted = Mounted::bind(dir, dir);
        let none = None::<&str>;
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(none, dir.as_std_path(), none, flags, none).unwrap();
        let is_read_only = || fs::write(dir.join("new"), "").is_err();
        assert!(is_read_only());
        let looker = Looker::new(&store).meanwhile(|_| assert!(is_read_only()));
        assert_done(&directly(&store, &looker), 7);
        assert!(is_read_only());
        assert!(store.names().is_empty() && store.valid().is_empty());
    });
}

/// Takes all the room of a disk but so many bytes.
fn fill(file: &Utf8Path, but: u64) {
    let mut filler = fs::File::create(file).unwrap();
    let mut taken = 0;
    for size in [1 << 20, 4096] {
        let bytes = vec![0; size];
        while filler.write_all(&bytes).is_ok() {
            taken += u64::try_from(size).unwrap();
        }
        filler.set_len(taken).unwrap();
        std::io::Seek::seek(&mut filler, std::io::SeekFrom::Start(taken)).unwrap();
    }
    filler.set_len(taken.saturating_sub(but)).unwrap();
}

#[test]
fn a_log_that_finds_no_room_becomes_shorter_until_nothing_can_be_deleted() {
    let name = "a_log_that_finds_no_room_becomes_shorter_until_nothing_can_be_deleted";
    on_a_disk(name, |nix| {
        for (room, is_enough) in [(0, false), (400 << 10, true)] {
            let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
            many(&store, 5_000);
            let filler = store.scratch.base().join("filler");
            let looker = Looker::new(&store).meanwhile(|_| fill(&filler, room));
            let collection = directly(&store, &looker);
            fs::remove_file(&filler).unwrap();
            if is_enough {
                assert_done(&collection, 4_999);
            } else {
                assert!(collection.outcome.is_err(), "{collection:?}");
                assert_eq!((store.names().len(), store.valid().len()), (5_001, 5_001));
            }
        }
    });
}
