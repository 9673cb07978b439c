//! Stores to measure on, made once and kept.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many roots there are. Nix's time hangs on that: it computes a closure for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Sixty generations of the system, thirty of each of several users' profiles, two hundred projects.
    ManyRoots,
    /// Of the same store only the newest generations and twenty projects.
    FewRoots,
}

/// What each path consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// A whole tree.
    Trees,
    /// One empty file.
    One,
}

/// A store that Nix's own commands can work on.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    bin: PathBuf,
    shape: Shape,
    pub(crate) size: u32,
}

impl Store {
    /// Makes it below `target`, unless it is there; `None` without a Nix.
    pub(crate) fn make(size: u32, shape: Shape) -> Option<Self> {
        let bin = bins().pop()?;
        let dir = target().join(format!("{size}-{shape:?}"));
        if !dir.join("made").exists() {
            let _ = fs::remove_dir_all(&dir);
            // A file for each path is what a collector's look at the directory needs; a million of them take too long.
            generate(
                &bin,
                &dir,
                size,
                if size > 100_000 { "none" } else { "stub" },
            );
            if shape == Shape::FewRoots {
                thin_out(&dir);
            }
            fs::write(dir.join("made"), "").unwrap();
        }
        let store = Self {
            dir,
            bin,
            shape,
            size,
        };
        store.configure("");
        Some(store)
    }

    /// A store with many roots that is in `dir`, or will be.
    pub(crate) fn at(dir: &Path, bin: &Path, size: u32) -> Self {
        Self {
            dir: dir.to_path_buf(),
            bin: bin.to_path_buf(),
            shape: Shape::ManyRoots,
            size,
        }
    }

    /// Makes it.
    pub(crate) fn grow(&self, files: Files) {
        let files = match files {
            Files::Trees => "full",
            Files::One => "stub",
        };
        generate(&self.bin, &self.dir, self.size, files);
    }

    /// Leaves the newest generation of each profile and twenty projects.
    pub(crate) fn thin_out(&self) {
        thin_out(&self.dir);
    }

    /// Removes the roots of so many projects.
    pub(crate) fn forget_projects(&self, count: usize) {
        for entry in projects(&self.dir).into_iter().take(count) {
            fs::remove_file(entry).unwrap();
        }
    }

    /// Writes Nix's settings.
    pub(crate) fn configure(&self, settings: &str) {
        fs::create_dir_all(self.dir.join("conf")).unwrap();
        let text = format!("build-users-group =\nsubstitute = false\n{settings}");
        fs::write(self.dir.join("conf/nix.conf"), text).unwrap();
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("var")
    }

    /// Our program on it.
    pub(crate) fn program(&self, args: &[&str]) -> Command {
        let records = self.dir.join("records");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nix-prune"));
        command.args(args);
        if args != ["--help"] {
            command.arg("--state-dir").arg(records);
        }
        self.surround(&mut command);
        command
    }

    /// One of Nix's commands on it.
    pub(crate) fn nix(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.args(args);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin.display()))
            .env("HOME", self.dir.join("own-home"))
            .env("NIX_STORE_DIR", self.store())
            .env("NIX_STATE_DIR", self.state())
            .env("NIX_LOG_DIR", self.state().join("log"))
            .env("NIX_CONF_DIR", self.dir.join("conf"));
    }

    pub(crate) fn version(&self) -> String {
        let parts = version(&self.bin)
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>();
        format!("Nix {}", parts.join("."))
    }

    fn roots(&self) -> usize {
        let auto = fs::read_dir(self.state().join("gcroots/auto"))
            .unwrap()
            .count();
        let mut links = Vec::new();
        generation_links(&self.state().join("profiles"), &mut links);
        auto + links.len()
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} paths, {} links that are roots ({:?})",
            self.size,
            self.roots(),
            self.shape
        )
    }
}

/// Where stores are kept: below `target`, or in `NIX_PRUNE_BENCH_DIR`, such as one on a disk that is to be measured, or in
/// memory, where no disk is.
pub(crate) fn target() -> PathBuf {
    let below = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let target = std::env::var_os("NIX_PRUNE_BENCH_DIR").map_or_else(below, PathBuf::from);
    fs::create_dir_all(&target).unwrap();
    target
}

/// Every Nix that there is to measure against; the last is the newest.
pub(crate) fn bins() -> Vec<PathBuf> {
    if let Ok(named) = std::env::var("NIX_PRUNE_TEST_NIX") {
        let named = named.split(':').map(PathBuf::from);
        return named.filter(|bin| bin.join("nix-store").exists()).collect();
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nix");
    let fetched = fs::read_dir(dir).into_iter().flatten();
    let mut bins: Vec<PathBuf> = fetched
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("nix-store").exists())
        .collect();
    if bins.is_empty()
        && let Ok(found) = which::which("nix-store")
    {
        bins.extend(found.parent().map(Path::to_path_buf));
    }
    bins.sort_by_cached_key(|bin| version(bin));
    bins
}

/// The parts of the version's number.
fn version(bin: &Path) -> Vec<u32> {
    let output = Command::new(bin.join("nix"))
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().next_back().unwrap_or_default();
    number
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn generate(bin: &Path, dir: &Path, size: u32, disk: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/store/genstore.py");
    let mut command = Command::new("python3");
    command.arg(script).arg("--out").arg(dir);
    command.args(["-n", &size.to_string(), "--junk", "0"]);
    command.arg("--nix-store").arg(bin.join("nix-store"));
    command.args(["--disk", disk]);
    if size < 10_000 {
        command.args([
            "--gens",
            "4",
            "--user-gens",
            "2",
            "--projects",
            "4",
            "--stale",
            "1",
        ]);
    }
    let made = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    fs::create_dir_all(dir.join("store")).unwrap();
}

/// Leaves the newest generation of each profile and twenty projects.
fn thin_out(dir: &Path) {
    for place in ["var/profiles", "home"] {
        let mut links = Vec::new();
        generation_links(&dir.join(place), &mut links);
        let mut newest: BTreeMap<PathBuf, u64> = BTreeMap::new();
        for (profile, number, _) in &links {
            let most = newest.entry(profile.clone()).or_insert(*number);
            *most = (*most).max(*number);
        }
        for (profile, number, link) in links {
            if newest.get(&profile) != Some(&number) {
                fs::remove_file(link).unwrap();
            }
        }
    }
    for entry in projects(dir).into_iter().skip(20) {
        fs::remove_file(entry).unwrap();
    }
    for entry in auto(dir) {
        if fs::read_link(&entry).unwrap().symlink_metadata().is_err() {
            fs::remove_file(entry).unwrap();
        }
    }
}

fn auto(dir: &Path) -> Vec<PathBuf> {
    let auto = fs::read_dir(dir.join("var/gcroots/auto")).unwrap();
    let mut entries: Vec<PathBuf> = auto.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// The entries that lead to a project's link.
fn projects(dir: &Path) -> Vec<PathBuf> {
    let is_project = |entry: &PathBuf| {
        let target = fs::read_link(entry).unwrap();
        target.symlink_metadata().is_ok() && !target.to_string_lossy().contains("/profiles/")
    };
    auto(dir).into_iter().filter(is_project).collect()
}

/// Every `NAME-N-link` below a directory, with its profile and number.
fn generation_links(dir: &Path, into: &mut Vec<(PathBuf, u64, PathBuf)>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            generation_links(&path, into);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parts = name
            .strip_suffix("-link")
            .and_then(|rest| rest.rsplit_once('-'));
        if let Some((profile, number)) = parts
            && let Ok(number) = number.parse()
        {
            into.push((path.with_file_name(profile), number, path));
        }
    }
}
