//! The store as a whole: versions, collections, checks.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::{NewPath, Scratch};
use nix_prune::domain::maintenance::Damage;
use nix_prune::domain::measure::Bytes;
use nix_prune::ports::{NixActions, PerformError};

use super::Fixture;
use crate::support::{by_hand, listing, print_dead, with_each_nix};

#[test]
fn the_version_is_the_one_that_nix_tells() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let before = listing(scratch.base());
        let version = scratch.nix().unwrap().nix_version().unwrap();
        assert!(nix.version.ends_with(&version), "{version}");
        assert_eq!(listing(scratch.base()), before);
    });
}

#[test]
fn trap_28_a_collection_is_reported_as_nix_reports_it() {
    with_each_nix(|nix| {
        let same = |scratch: &Scratch| {
            scratch.add_path("a", &[], 1_500_000).unwrap();
            scratch.add_path("b", &[], 3_000).unwrap();
        };
        // The same store twice: once collected by hand, once by us.
        let by_nix = Scratch::new(Some(&nix.bin)).unwrap();
        same(&by_nix);
        let line = by_hand(&by_nix, "nix-collect-garbage", &[]).stdout;
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        same(&scratch);
        let cli = scratch.nix().unwrap();
        let collected = cli.collect().unwrap();
        assert_eq!(collected.paths, Some(2));
        let Bytes(bytes) = collected.bytes.unwrap();
        // Nix rounds: to a hundredth of a MiB before 2.33, to a tenth of it afterwards.
        assert!((1_400_000..1_600_000).contains(&bytes), "{bytes}");
        assert!(line.starts_with("2 store paths deleted, 1.4"), "{line}");
        let empty = cli.collect().unwrap();
        assert_eq!((empty.paths, empty.bytes), (Some(0), Some(Bytes(0))));
    });
}

#[test]
fn trap_11_a_collection_makes_no_profile() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let cli = scratch.nix().unwrap();
        let home = listing(&scratch.home());
        cli.collect().unwrap();
        cli.optimise(None).unwrap();
        cli.verify(true).unwrap();
        assert_eq!(listing(&scratch.home()), home);
        // Directories that stay empty are all that Nix makes there.
        let profiles = listing(&scratch.state_dir().join("profiles"));
        assert!(
            profiles.values().all(|entry| !entry.contains(" -> ")),
            "{profiles:?}"
        );
    });
}

#[test]
fn a_collection_leaves_generations_alone() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let before = listing(f.profile.dir());
        let collected = f.scratch.nix().unwrap().collect().unwrap();
        assert_eq!(collected.paths, Some(0));
        assert_eq!(listing(f.profile.dir()), before);
    });
}

#[test]
fn what_is_made_without_a_build_is_sound_and_what_is_spoilt_is_found() {
    with_each_nix(|nix| {
        let scratch = Scratch::with_space(Some(&nix.bin)).unwrap();
        let library = scratch.path_named("library").unwrap();
        let tree = nix_prune::adapters::scratch::Contents::Tree(vec![
            ("bin/x".into(), b"x".to_vec()),
            ("kernel".into(), vec![7; 100]),
        ]);
        let system = NewPath {
            contents: tree,
            deriver: Some(scratch.path_named("system.drv").unwrap()),
            ..NewPath::file("system", 0)
        };
        // In any order: Nix sees the whole batch. The deriver need not be there.
        let batch = [
            system.refers_to(&[&library]),
            NewPath::file("library", 5_000),
        ];
        scratch.add_paths(&batch).unwrap();
        let cli = scratch.nix().unwrap();
        assert!(cli.verify(true).unwrap().is_sound());
        let system = scratch.path_named("system").unwrap();
        let info = cli.path_info(std::slice::from_ref(&system)).unwrap();
        let valid = info[0].valid.as_ref().unwrap();
        assert_eq!(
            (&info[0].path, &valid.references),
            (&system, &vec![library.clone()])
        );
        assert_eq!(valid.deriver, scratch.path_named("system.drv").ok());
        assert!(valid.nar_size > Bytes(100));

        let file = library.to_absolute_path(scratch.store());
        let mode = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o644);
        fs::write(&file, "spoilt").unwrap();
        mode(0o444);
        assert!(cli.verify(false).unwrap().is_sound());
        let found = cli.verify(true).unwrap();
        let [damaged] = &found.paths[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (&damaged.path, damaged.damage),
            (&library, Damage::Modified)
        );
    });
}

#[test]
fn paths_that_are_not_valid_are_known_as_such() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let gone = scratch.path_named("gone").unwrap();
        // As an opaque path it is refused by some versions and reported by others; it is valid in none.
        if let Ok(info) = scratch.nix().unwrap().path_info(&[gone]) {
            assert!(info.iter().all(|info| info.valid.is_none()));
        }
    });
}

#[test]
fn dead_paths_are_those_that_a_collection_takes() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let dead: Vec<Utf8PathBuf> = ["x", "y"]
            .map(|name| f.scratch.add_path(name, &[], 10).unwrap())
            .map(|path| path.to_absolute_path(f.scratch.store()))
            .into();
        let cli = f.scratch.nix().unwrap();
        let mut printed = print_dead(&f.scratch).unwrap();
        printed.sort();
        let mut expected = dead.clone();
        expected.sort();
        assert_eq!(printed, expected);
        cli.collect().unwrap();
        assert!(dead.iter().all(|path| !path.exists()));
    });
}

#[test]
fn equal_files_are_linked_on_request() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let tree = |name: &str| NewPath {
            contents: nix_prune::adapters::scratch::Contents::Tree(vec![(
                "data".into(),
                vec![b'x'; 10_000],
            )]),
            ..NewPath::file(name, 0)
        };
        scratch.add_paths(&[tree("a"), tree("b")]).unwrap();
        scratch.nix().unwrap().optimise(None).unwrap();
        let links = |name: &str| {
            let path = scratch
                .path_named(name)
                .unwrap()
                .to_absolute_path(scratch.store());
            path.join("data").metadata().unwrap().nlink()
        };
        assert_eq!((links("a"), links("b")), (3, 3));
    });
}

#[test]
fn the_free_space_is_that_of_the_stores_file_system() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let cli = scratch.nix().unwrap();
        let free = cli.free_space().unwrap();
        assert!(free.available > Bytes(0));
        fs::remove_dir(scratch.store().as_path()).unwrap();
        assert!(matches!(cli.free_space(), Err(PerformError::File { .. })));
    });
}

#[test]
fn a_scratch_store_leaves_nothing_behind() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::with_space(Some(&nix.bin)).unwrap());
        let parent = f.scratch.base().parent().unwrap().to_path_buf();
        assert!(parent.exists());
        drop(f);
        assert!(!parent.exists());
    });
}
