//! Collecting garbage, by name and as Nix does it, from the same copy each time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Extent;
use super::measure::{self, Samples};
use super::stores::{Files, Store, bins};

/// What is done to a copy before it is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it was made: 405 roots of valid paths, a third of the paths dead.
    ManyRoots,
    /// The newest generations and twenty projects: 32 roots, half of the paths dead.
    FewRoots,
    /// The same with `keep-outputs`.
    KeepOutputs,
    /// Few roots, and files linked to those of the same content in `.links`, all of which Nix walks in every call.
    Optimised,
    /// Collected already, and then a few projects are gone.
    FewDead,
    /// Collected already.
    NothingDead,
    /// No roots at all.
    AllDead,
}

/// Whole trees for every path, where they can be had again and again.
pub(crate) struct Pristine {
    pub(crate) work: PathBuf,
    pub(crate) kept: PathBuf,
    pub(crate) size: u32,
}

/// Which stores are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// Those of 10,000 and of 100,000 paths.
    Both,
    /// That of 100,000 paths.
    Large,
}

pub(crate) fn run(extent: Extent, sizes: Sizes) {
    let all = [
        Shape::ManyRoots,
        Shape::FewRoots,
        Shape::KeepOutputs,
        Shape::Optimised,
        Shape::FewDead,
        Shape::NothingDead,
        Shape::AllDead,
    ];
    let newest = bins().into_iter().next_back();
    let Some(newest) = newest else {
        println!("SKIPPED: collecting, for no nix-store was found (NIX_PRUNE_TEST_NIX)");
        return;
    };
    if extent == Extent::Smoke {
        compare(
            &Pristine::make("collect-tiny", &newest, 2_000, Files::Trees),
            Shape::FewRoots,
            &newest,
            1,
        );
        return;
    }
    if sizes == Sizes::Both {
        let small = Pristine::make("collect-small", &newest, 10_000, Files::Trees);
        for shape in all {
            compare(&small, shape, &newest, 3);
        }
    }
    if extent == Extent::Full {
        let large = Pristine::make("collect", &newest, 100_000, Files::Trees);
        for bin in bins() {
            for shape in [Shape::ManyRoots, Shape::FewRoots, Shape::Optimised] {
                compare(&large, shape, &bin, 1);
            }
        }
    }
}

/// Collects both ways in turn; what is left must be the same.
fn compare(pristine: &Pristine, shape: Shape, bin: &Path, rounds: usize) {
    let nix = Store::at(&pristine.work, bin, pristine.size);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut counts = (0, 0);
    for round in 0..rounds {
        pristine.renew(&nix, shape);
        let before = names(&nix.store());
        ours.push(measure::command(&mut program(&nix)));
        let left = names(&nix.store());
        if round == 0 {
            check(&nix, shape);
            assert_eq!(
                names(&nix.store()),
                left,
                "a collection afterwards deleted more"
            );
        }
        pristine.renew(&nix, shape);
        theirs.push(measure::command(&mut nix.nix("nix-collect-garbage", &[])));
        let expected = names(&nix.store());
        assert!(left == expected, "both ways must leave the same paths");
        counts = (before.len() - left.len(), left.len());
    }
    let (ours, theirs) = (Samples::of(ours), Samples::of(theirs));
    println!(
        "\ncollecting, {} paths, {shape:?}: {} go, {} stay; {}:",
        pristine.size,
        counts.0,
        counts.1,
        nix.version()
    );
    println!("  nix-prune run                         {ours}");
    println!("  nix-collect-garbage                   {theirs}");
    println!(
        "    times as long as ours               {:.2}",
        theirs.over(&ours)
    );
}

/// Nix finds nothing wrong, and, where it does not take it minutes, nothing more to collect.
fn check(nix: &Store, shape: Shape) {
    let verified = nix.nix("nix-store", &["--verify"]).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let wrong = |line: &&str| line.starts_with("error") || line.contains("disappeared");
    let wrong: Vec<&str> = said.lines().filter(wrong).collect();
    assert!(verified.status.success() && wrong.is_empty(), "{said}");
    if shape != Shape::ManyRoots || nix.size <= 10_000 {
        measure::command(&mut nix.nix("nix-collect-garbage", &[]));
    }
}

/// A run of a job that does nothing but collect.
pub(crate) fn program(nix: &Store) -> Command {
    let config = nix.dir().join("settings.json");
    let job = r#"{"version": 2, "jobs": {"default": {"operations": {"collect": {}}}}}"#;
    fs::write(&config, job).unwrap();
    let mut command = nix.program(&["run", "--yes"]);
    command.arg("--config").arg(config);
    command
}

pub(crate) fn names(store: &Path) -> BTreeSet<std::ffi::OsString> {
    let entries = fs::read_dir(store).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != ".links")
        .collect()
}

impl Pristine {
    pub(crate) fn make(name: &str, bin: &Path, size: u32, files: Files) -> Self {
        let base = super::stores::target().join(name);
        let (work, kept) = (base.join("work"), base.join("kept"));
        if !kept.exists() {
            // The database has the paths where they were made, so a copy must come to the same place.
            remove(&work);
            Store::at(&work, bin, size).grow(files);
            fs::rename(&work, &kept).unwrap();
        }
        Self { work, kept, size }
    }

    /// Makes the copy anew and gives it its shape.
    pub(crate) fn renew(&self, nix: &Store, shape: Shape) {
        remove(nix.dir());
        let copied = Command::new("cp")
            .arg("-a")
            .arg(&self.kept)
            .arg(nix.dir())
            .status()
            .unwrap();
        assert!(copied.success());
        nix.configure(match shape {
            Shape::KeepOutputs => "keep-outputs = true\n",
            _ => "",
        });
        match shape {
            Shape::ManyRoots => {}
            Shape::FewRoots | Shape::KeepOutputs => nix.thin_out(),
            Shape::Optimised => {
                nix.thin_out();
                measure::command(&mut nix.nix("nix-store", &["--optimise"]));
            }
            Shape::FewDead | Shape::NothingDead => {
                nix.thin_out();
                measure::command(&mut nix.nix("nix-collect-garbage", &[]));
                if shape == Shape::FewDead {
                    nix.forget_projects(5);
                }
            }
            Shape::AllDead => {
                for place in ["var/gcroots", "var/profiles"] {
                    remove(&nix.dir().join(place));
                    fs::create_dir_all(nix.dir().join(place)).unwrap();
                }
            }
        }
        // What the copying left to be written must not be written in the measured time.
        assert!(Command::new("sync").status().unwrap().success());
    }
}

/// Removes a store, whose directories may not be written to.
fn remove(dir: &Path) {
    if dir.exists() {
        let status = Command::new("chmod")
            .args(["-R", "u+w"])
            .arg(dir)
            .status()
            .unwrap();
        assert!(status.success());
        fs::remove_dir_all(dir).unwrap();
    }
}
