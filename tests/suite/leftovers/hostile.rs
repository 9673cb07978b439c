//! Directories of a hostile user, which root removes: nothing outside of them is touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::leftovers::LeftoverFiles;
use nix_prune::adapters::nix_dirs::{NameServices, NixDirs};
use nix_prune::domain::leftover::{LeftoverClass, LeftoverSum};
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::plan::LeftoverFacts;
use nix_prune::domain::profile::Owner;
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::snapshot::Actor;
use nix_prune::domain::store_path::StoreDir;
use nix_prune::ports::Interrupt;

use crate::support::{is_root, on_small_disk, skipped};

const EVE: u32 = 4242;

struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

/// A machine with a directory of temporary files that everybody may write to.
struct Machine {
    _dir: tempfile::TempDir,
    base: Utf8PathBuf,
    dirs: NixDirs,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["tmp", "store", "precious"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        fs::set_permissions(base.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(base.join("precious/file"), "of root").unwrap();
        let dirs = NixDirs {
            store: StoreDir::new(&base.join("store")).unwrap(),
            state_dir: base.join("state"),
            own_cache: None,
            log_dir: None,
            temporary: vec![base.join("tmp")],
            passwd: base.join("passwd"),
            name_services: NameServices::default(),
            home: None,
            ..NixDirs::from_env().unwrap()
        };
        Self {
            _dir: dir,
            base,
            dirs,
        }
    }

    /// All build directories, however young.
    fn facts(&self) -> LeftoverFacts {
        LeftoverFacts {
            class: LeftoverClass::BuildDirs,
            dir: self.base.join("tmp"),
            owner: Owner { uid: 0, name: None },
            before: Timestamp::from(jiff::Timestamp::MAX),
            old: LeftoverSum::default(),
        }
    }

    fn remove(&self) -> String {
        self.remove_of(&self.facts())
    }

    fn remove_of(&self, facts: &LeftoverFacts) -> String {
        let files = LeftoverFiles {
            places: &self.dirs,
            proc: Utf8Path::new("/proc"),
            actor: Actor::Root,
        };
        match files.remove(facts, &ProtectedPaths::default(), &Never) {
            Ok(text) => text,
            Err(error) => nix_prune::ports::error_chain(&error),
        }
    }

    fn eves(&self, name: &str) -> Utf8PathBuf {
        let path = self.base.join("tmp").join(name);
        fs::create_dir_all(&path).unwrap();
        own(&path);
        path
    }

    fn is_precious_there(&self) -> bool {
        fs::read_to_string(self.base.join("precious/file")).is_ok_and(|text| text == "of root")
    }
}

fn own(path: &Utf8Path) {
    chown(path, Some(EVE), Some(EVE)).unwrap();
}

#[test]
fn a_directory_that_is_swapped_for_a_link_leads_root_nowhere() {
    if !is_root() {
        return skipped("That root removes what belongs to others needs root.");
    }
    let machine = Machine::new();
    let build = machine.eves("nix-build-eve");
    let (dir, link, aside) = (build.join("dir"), build.join("link"), build.join("aside"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // A directory with the name of a file of root's becomes a link to root's directory, and back.
            while !stop.load(Ordering::Relaxed) {
                let _ = fs::create_dir_all(&dir);
                let _ = fs::write(dir.join("file"), "of eve");
                let _ = symlink(machine.base.join("precious"), &link);
                let _ = fs::rename(&dir, &aside);
                let _ = fs::rename(&link, &dir);
                let _ = fs::remove_file(&dir);
                let _ = fs::rename(&aside, &dir);
                let _ = fs::create_dir_all(&build);
                let _ = chown(&build, Some(EVE), Some(EVE));
            }
        });
        for _ in 0..300 {
            machine.remove();
            assert!(machine.is_precious_there());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(machine.is_precious_there());
}

#[test]
fn what_a_user_may_not_remove_root_does_not_remove_for_them() {
    if !is_root() {
        return skipped("That root removes what belongs to others needs root.");
    }
    let machine = Machine::new();
    let build = machine.eves("nix-build-eve");
    // A directory of another user that eve may not write to.
    let inner = build.join("of-root");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("file"), "of root").unwrap();
    let said = machine.remove();
    assert!(
        said.contains("nix-build-eve") && said.contains("ermission denied"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), "of root");
    // A hard link to a file of root's is only a link.
    fs::remove_dir_all(&inner).unwrap();
    fs::hard_link(machine.base.join("precious/file"), build.join("file")).unwrap();
    assert!(machine.remove().starts_with("removed 1 build directory, "));
    assert!(!build.exists() && machine.is_precious_there());
}

#[test]
fn what_cannot_be_read_is_kept_and_named_and_the_rest_goes() {
    if !is_root() {
        return skipped("That root removes what belongs to others needs root.");
    }
    let machine = Machine::new();
    let closed = machine.eves("nix-build-closed");
    fs::create_dir(closed.join("inner")).unwrap();
    fs::set_permissions(closed.join("inner"), fs::Permissions::from_mode(0o000)).unwrap();
    own(&closed.join("inner"));
    machine.eves("nix-build-open");
    let said = machine.remove();
    assert!(said.starts_with("removed 1 build directory, "), "{said}");
    assert!(said.contains("nix-build-closed: inner: "), "{said}");
    assert!(closed.exists());
}

/// A mount of the same file system has the same device, and is no part of the directory all the same.
#[test]
fn nothing_that_is_mounted_in_a_directory_is_removed() {
    if !is_root() {
        return skipped("What is mounted in a directory needs root to mount it.");
    }
    let test = "leftovers::hostile::nothing_that_is_mounted_in_a_directory_is_removed";
    on_small_disk(test, "size=16m", || {
        let machine = Machine::new();
        let mounts = [
            ("tmpfs", "-t tmpfs tmpfs"),
            ("bind", "--bind ../../precious"),
        ];
        for (name, mount) in mounts {
            let build = machine.eves(&format!("nix-build-{name}"));
            fs::create_dir(build.join("mnt")).unwrap();
            own(&build.join("mnt"));
            let mut shell = crate::support::command("/bin/sh");
            let script = format!("mount {mount} mnt && echo of root >mnt/more");
            let ran = shell
                .args(["-c", &script])
                .current_dir(&build)
                .status()
                .unwrap();
            assert!(ran.success(), "{script}");
        }
        let said = machine.remove();
        assert!(said.starts_with("removed 0 build directories, "), "{said}");
        assert!(said.contains("something is mounted there"), "{said}");
        assert!(
            said.contains("nix-build-tmpfs") && said.contains("nix-build-bind"),
            "{said}"
        );
        assert!(machine.is_precious_there());
        for name in ["tmpfs", "bind"] {
            assert!(
                machine
                    .base
                    .join(format!("tmp/nix-build-{name}/mnt/more"))
                    .exists()
            );
        }
    });
}

/// The caches of users are looked into with their rights, and no link on the way to them is followed.
#[test]
fn a_link_in_a_home_leads_root_to_no_cache() {
    if !is_root() {
        return skipped("That root looks into homes of others needs root.");
    }
    let machine = Machine::new();
    let homes = ["eve", "mallory", "carol"].map(|name| machine.base.join("home").join(name));
    let users = || (EVE..).zip(&homes);
    let line = |(uid, home): (u32, &Utf8PathBuf)| format!("u:x:{uid}:{uid}::{home}:/bin/sh\n");
    fs::write(
        machine.base.join("passwd"),
        users().map(line).collect::<String>(),
    )
    .unwrap();
    for (uid, home) in users() {
        fs::create_dir_all(home).unwrap();
        chown(home, Some(uid), Some(uid)).unwrap();
    }
    let precious = machine.base.join("precious");
    fs::create_dir_all(precious.join("nix/gitv3/repository")).unwrap();
    let [eve, mallory, carol] = &homes;
    symlink(&precious, eve.join(".cache")).unwrap();
    fs::create_dir(mallory.join(".cache")).unwrap();
    symlink(precious.join("nix"), mallory.join(".cache/nix")).unwrap();
    let gitv3 = carol.join(".cache/nix/gitv3");
    fs::create_dir_all(gitv3.join("of-root")).unwrap();
    let remove = |uid: u32, home: &Utf8PathBuf| {
        machine.remove_of(&LeftoverFacts {
            class: LeftoverClass::NixCache,
            dir: home.join(".cache/nix"),
            owner: Owner {
                uid,
                name: Some("u".to_string()),
            },
            ..machine.facts()
        })
    };
    for (uid, home) in users() {
        let said = remove(uid, home);
        assert!(!said.contains("removed 1"), "{said}");
    }
    assert!(precious.join("nix/gitv3/repository").exists() && gitv3.join("of-root").exists());
    // What is the user's own is removed.
    fs::create_dir(gitv3.join("own")).unwrap();
    for path in [&gitv3, &gitv3.join("own")] {
        chown(path, Some(EVE + 2), Some(EVE + 2)).unwrap();
    }
    let said = remove(EVE + 2, carol);
    assert!(said.starts_with("removed 1 cache entry, "), "{said}");
    assert!(gitv3.join("of-root").exists() && !gitv3.join("own").exists());
}
