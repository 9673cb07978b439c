//! Links in projects and files of temporary roots in numbers that no machine should have: what it costs to look at them, beside
//! what it costs only to ask the file system for the same names.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use super::Extent;
use super::measure::{self, alternate};

const PATH: &str = "10000000000000000000000000000000-project";
const NAMES: [&str; 5] = [
    ".envrc",
    "flake.nix",
    "flake.lock",
    ".git/index",
    ".git/HEAD",
];
const SETTINGS: &str = r#"{ "version": 2, "jobs": { "a": { "operations": {
    "roots": { "rules": [{ "kind": "result", "unusedFor": "30d" }] },
    "leftovers": { "temporaryRoots": "1d" } } } } }"#;

/// Measures both.
pub(crate) fn run(extent: Extent) {
    let (projects, files) = match extent {
        Extent::Full => (5_000, 1_000_000),
        Extent::Quick => (5_000, 10_000),
        Extent::Smoke => (20, 20),
    };
    let machine = Machine::new();
    let links: Vec<PathBuf> = (0..projects).map(|n| machine.add_project(n)).collect();
    println!("\n{projects} links in projects, each a repository of git with a flake:");
    let mut roots = || measure::command(&mut machine.program(&["roots", "--no-sizes", "--json"]));
    let mut raw = || timed(|| links.iter().map(|link| ask(link)).sum::<usize>());
    let [roots, raw] = alternate(extent.rounds(), [&mut roots, &mut raw]);
    println!("  nix-prune roots --no-sizes            {roots}");
    println!(
        "  raw: {} names of each                  {raw}",
        NAMES.len() + 2
    );
    println!(
        "    ratio                               {:.2}",
        roots.over(&raw)
    );

    let machine = Machine::new();
    let dir = machine.dir.path().join("state/temproots");
    fs::create_dir(&dir).unwrap();
    // Above any number that Linux gives to a process.
    for number in 0..files {
        let file = fs::File::create(dir.join((4_194_304 + number).to_string())).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    println!("\n{files} files of temporary roots that nobody has open:");
    let mut plan = || measure::command(&mut machine.program(&["plan", "a"]));
    let mut raw = || timed(|| read(&dir));
    let rounds = extent.rounds().min(3);
    let [plan, raw] = alternate(rounds, [&mut plan, &mut raw]);
    println!("  nix-prune plan                        {plan}");
    println!("  raw: readdir and stat                 {raw}");
    println!(
        "    ratio                               {:.2}",
        plan.over(&raw)
    );
    if let Some(memory) = measure::memory(&mut machine.program(&["plan", "a"])) {
        println!(
            "    memory of its own, at most          {} MiB",
            memory.anonymous >> 20
        );
    }
}

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["state/gcroots/auto", "state/profiles", "home"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::create_dir_all(dir.path().join("store").join(PATH)).unwrap();
        fs::write(dir.path().join("config.json"), SETTINGS).unwrap();
        Self { dir }
    }

    /// The link of a project, which is a root.
    fn add_project(&self, number: u32) -> PathBuf {
        let project = self
            .dir
            .path()
            .join(format!("home/{}/{number}", number % 50));
        fs::create_dir_all(project.join(".git")).unwrap();
        for name in NAMES {
            fs::write(project.join(name), "").unwrap();
        }
        let link = project.join("result");
        symlink(self.dir.path().join("store").join(PATH), &link).unwrap();
        let entry = self.dir.path().join(format!("state/gcroots/auto/{number}"));
        symlink(&link, entry).unwrap();
        link
    }

    fn program(&self, args: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_nix-prune"));
        let dir = self.dir.path();
        program
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.join("home"))
            .env("NIX_STORE_DIR", dir.join("store"))
            .env("NIX_STATE_DIR", dir.join("state"))
            .args(args)
            .arg("--config")
            .arg(dir.join("config.json"))
            .arg("--state-dir")
            .arg(dir.join("records"));
        program
    }
}

/// Asks for the link, its text and the times of the project's files; gives how many there are.
fn ask(link: &Path) -> usize {
    let dir = link.parent().unwrap();
    let there = |path: PathBuf| usize::from(path.symlink_metadata().is_ok());
    black_box(fs::read_link(link).unwrap());
    there(link.to_path_buf())
        + NAMES
            .map(|name| there(dir.join(name)))
            .iter()
            .sum::<usize>()
}

fn read(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| entry.metadata().unwrap().len()).sum()
}

fn timed<T>(what: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(what());
    begun.elapsed()
}
