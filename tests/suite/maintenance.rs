//! Optimisation and check of the store, with every real Nix: what is new, what is saved, what is damaged, and how it is stopped.

// The lints spare what has the attribute of a test, and not what tests call.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::{Signal, kill};
use nix_prune::adapters::database::Database;
use nix_prune::adapters::scratch::{Contents, NewPath, Scratch};
use rstest::rstest;
use serde_json::Value;

use crate::support::{
    Nix, OnTerminal, Ran, by_hand, command, nixes, program, run, run_command, script, with_each_nix,
};

const OPTIMISE: &str = r#"{ "version": 2, "jobs": { "j": { "operations": { "optimise": {} } } } }"#;
const VERIFY: &str =
    r#"{ "version": 2, "jobs": { "j": { "operations": { "verify": { "contents": true } } } } }"#;
const ALL: &str = r#"{ "version": 2, "jobs": { "j": { "operations": { "collect": {}, "verify": { "enabled": true } } } } }"#;

/// A store with a job.
struct Store(Scratch);

impl Store {
    fn new(nix: &Nix, settings: &str) -> Self {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let dir = scratch.home().join(".config/nix-prune");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.json"), settings).unwrap();
        Self(scratch)
    }

    /// Adds a directory with a file of so many bytes, all the same.
    fn add(&self, name: &str, size: usize) -> Utf8PathBuf {
        let files = vec![("data".into(), vec![b'x'; size])];
        let new = NewPath {
            contents: Contents::Tree(files),
            ..NewPath::file(name, 0)
        };
        self.0.add_paths(&[new]).unwrap();
        self.path(name).join("data")
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        let path = self.0.path_named(name).unwrap();
        path.to_absolute_path(self.0.store())
    }

    /// Replaces the contents of a file in the store.
    fn spoil(file: &Utf8Path, change: impl FnOnce(&fs::File)) {
        let mode = |mode| fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        change(&fs::OpenOptions::new().write(true).open(file).unwrap());
        mode(0o444);
    }

    /// How many paths are valid.
    fn valid(&self) -> usize {
        let database = Database::new(&self.0.state_dir(), self.0.store().clone());
        database.registrations(0).unwrap().1.len()
    }

    fn json(&self, args: &[&str], status: i32) -> Value {
        let ran = run(&self.0, &[args, &["--json"]].concat());
        assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Runs the job, and gives what became of its last action.
    fn run(&self, status: i32) -> Value {
        let receipt = self.json(&["run", "j", "--yes"], status);
        receipt["entries"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone()
    }

    /// How many paths the plan says are new; `None` where it leaves the step out.
    fn planned(&self) -> Option<Value> {
        let plan = self.json(&["plan", "j"], 0);
        let says = plan["notes"].as_array().unwrap().iter();
        let says = says
            .filter(|note| note["code"] == "optimise.nothing-new")
            .count();
        let steps = plan["steps"].as_array().unwrap();
        assert_eq!(steps.len() + says, 1, "{plan}");
        steps.first().map(|step| step["newPaths"].clone())
    }
}

#[test]
fn what_an_optimisation_saves_is_measured_and_agrees_with_nix() {
    with_each_nix(|nix| {
        let store = Store::new(nix, OPTIMISE);
        // Of a multiple of a block, so that Nix's figure and the blocks are the same.
        for name in ["a", "b", "c"] {
            store.add(name, 1 << 20);
        }
        // A file that is linked elsewhere as well frees nothing when the store gives its link up.
        let other = store.add("d", 1 << 20);
        fs::hard_link(&other, store.0.base().join("elsewhere")).unwrap();
        let entry = store.run(0);
        assert_eq!(entry["outcome"], "done", "{entry}");
        let report = &entry["report"];
        assert_eq!(report["files"], 3);
        let reported = report["reported"].as_u64().unwrap();
        assert!((3 << 20) - reported < 20_000, "{reported}");
        // Which of the four stays is Nix's choice.
        let saved = report["saved"].as_u64().unwrap();
        let elsewhere = fs::metadata(store.0.base().join("elsewhere")).unwrap();
        let lost = if elsewhere.nlink() > 1 { 3 } else { 2 };
        assert_eq!(saved, lost << 20, "{entry}");
    });
}

#[test]
fn a_store_is_optimised_only_when_something_is_new() {
    with_each_nix(|nix| {
        let store = Store::new(nix, OPTIMISE);
        let big = 64 << 10;
        store.add("a", big);
        store.add("b", big);
        // Nothing is known of it: all of it is new.
        assert_eq!(store.planned(), Some(Value::Null));
        assert_eq!(store.run(0)["report"]["saved"], big);
        assert_eq!(store.planned(), None);
        let ran = run(&store.0, &["run", "j", "--yes"]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(
            ran.stdout.contains("There was nothing to do."),
            "{}",
            ran.stdout
        );
        // A path that goes is no reason.
        by_hand(
            &store.0,
            "nix-store",
            &["--delete", store.path("b").as_str()],
        );
        assert_eq!(store.planned(), None);
        let data = store.add("c", big);
        assert_eq!(store.planned(), Some(1.into()));
        let entry = store.run(0);
        // Only the new one is measured, and it shares the file of the old one.
        assert_eq!(entry["report"]["saved"], big, "{entry}");
        assert_eq!(data.metadata().unwrap().nlink(), 3);
        assert_eq!(store.planned(), None);
    });
}

#[test]
fn a_database_or_a_store_directory_in_its_place_is_optimised() {
    with_each_nix(|nix| {
        let store = Store::new(nix, OPTIMISE);
        store.add("a", 10);
        store.run(0);
        assert_eq!(store.planned(), None);
        let copy = |from: &Utf8Path| {
            let to = Utf8PathBuf::from(format!("{from}-copy"));
            let copied = command("cp")
                .args(["-a", from.as_str(), to.as_str()])
                .status();
            assert!(copied.unwrap().success());
            (to, from.to_path_buf())
        };
        // The hard links of the store.
        let (to, links) = copy(&store.0.store().as_path().join(".links"));
        let moved = Utf8PathBuf::from(format!("{links}-moved"));
        fs::rename(&links, &moved).unwrap();
        fs::rename(&to, &links).unwrap();
        assert_eq!(store.planned(), Some(Value::Null));
        fs::rename(&links, &to).unwrap();
        fs::rename(&moved, &links).unwrap();
        assert_eq!(store.planned(), None);
        // The database.
        let (to, db) = copy(&store.0.state_dir().join("db/db.sqlite"));
        fs::rename(&to, &db).unwrap();
        assert_eq!(store.planned(), Some(Value::Null));
        store.run(0);
        assert_eq!(store.planned(), None);
    });
}

#[test]
fn damage_is_listed_with_a_command_for_each_path() {
    with_each_nix(|nix| {
        let store = Store::new(nix, VERIFY);
        let data = store.add("spoilt", 5_000);
        store.add("sound", 4_000);
        by_hand(&store.0, "nix-store", &["--optimise"]);
        let sound = store.run(0);
        assert_eq!(
            (&sound["outcome"], &sound["report"]["damaged"]),
            (&"done".into(), &0.into())
        );
        Store::spoil(&data, |file| file.set_len(7).unwrap());
        let entry = store.run(1);
        assert_eq!(entry["outcome"], "failed", "{entry}");
        let name = store.path("spoilt").file_name().unwrap().to_string();
        let report = &entry["report"];
        assert_eq!(report["paths"][0]["path"], name.as_str(), "{entry}");
        assert_eq!(report["paths"][0]["damage"], "modified");
        assert_eq!(
            (&report["damaged"], &report["links"]),
            (&1.into(), &1.into())
        );
        let ran = run(&store.0, &["run", "j", "--yes"]);
        let says = [
            "found 1 damaged store path (1 modified) and 1 damaged hard link",
            &format!("nix-store --repair-path {}", store.path("spoilt")),
            "nix-store --verify --check-contents --repair",
        ];
        let flat = ran.stderr.replace('\n', " ");
        assert!(
            says.iter().all(|text| flat.contains(text)),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.status, 1);
        // It counts as a check that was done: a job is not paused for it.
        for _ in 0..3 {
            store.run(1);
        }
    });
}

#[test]
fn trap_46_a_store_that_is_not_mounted_keeps_its_database() {
    with_each_nix(|nix| {
        for mounted in [false, true] {
            let store = Store::new(nix, ALL);
            for name in ["a", "b", "c"] {
                store.add(name, 10);
            }
            for name in ["a", "b", "c"] {
                let path = store.0.path_named(name).unwrap();
                store.0.add_root(&store.0.home().join(name), &path).unwrap();
            }
            let dir = store.0.store().as_path();
            let away = store.0.base().join("away");
            if mounted {
                fs::rename(store.path("c"), &away).unwrap();
            } else {
                fs::rename(dir, &away).unwrap();
                fs::create_dir(dir).unwrap();
            }
            let ran = run(&store.0, &["run", "j", "--yes", "--json"]);
            assert!([1, 3].contains(&ran.status), "{}{}", ran.stdout, ran.stderr);
            let receipt: Value = serde_json::from_str(&ran.stdout).unwrap();
            let entry = receipt["entries"].as_array().unwrap().last().unwrap();
            assert_eq!(entry["report"]["byNix"], false, "{receipt}");
            assert_eq!(entry["report"]["paths"][0]["damage"], "missing");
            // Nix would have removed the rows, and deleted the files once they are back.
            assert_eq!(entry["report"]["damaged"], if mounted { 1 } else { 3 });
            assert_eq!(store.valid(), 3);
            if !mounted {
                fs::remove_dir_all(dir).unwrap();
                fs::rename(&away, dir).unwrap();
                let ran = run(&store.0, &["run", "j", "--yes"]);
                assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
                assert!(store.path("a").exists());
            }
        }
    });
}

/// A store with a file that takes Nix half a minute to read and nothing on disk.
fn with_a_sparse_file(nix: &Nix, settings: &str) -> Store {
    let store = Store::new(nix, settings);
    let data = store.add("large", 10);
    Store::spoil(&data, |file| file.set_len(64 << 30).unwrap());
    store
}

/// The files that are open in the children of a process.
fn open_files_of_children(pid: nix::unistd::Pid) -> impl Iterator<Item = Utf8PathBuf> {
    let list = |dir: String| fs::read_dir(dir).into_iter().flatten().flatten();
    let children = list(format!("/proc/{pid}/task"))
        .map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let children: Vec<String> = children.collect();
    let pids: Vec<String> = children
        .iter()
        .flat_map(|pids| pids.split_whitespace())
        .map(str::to_string)
        .collect();
    let files = pids
        .into_iter()
        .flat_map(move |pid| list(format!("/proc/{pid}/fd")));
    files.filter_map(|file| Utf8PathBuf::from_path_buf(fs::read_link(file.path()).ok()?).ok())
}

#[rstest]
#[case::optimise(OPTIMISE, "optimising the store was interrupted")]
#[case::verify(VERIFY, "verifying the store was interrupted")]
fn a_signal_ends_it_within_a_second(
    #[case] settings: &str,
    #[case] says: &str,
    #[values(Signal::SIGTERM, Signal::SIGINT)] signal: Signal,
) {
    with_each_nix(|nix| {
        let store = with_a_sparse_file(nix, settings);
        let mut command = program(&store.0);
        command
            .args(["run", "j", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        // Nix is at work when it is the child of the program.
        let begun = Instant::now();
        let large = store.path("large");
        let at_work = || {
            let mut open = open_files_of_children(pid);
            open.any(|file| file.starts_with(&large))
        };
        while !at_work() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "Nix did not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let asked = Instant::now();
        kill(pid, signal).unwrap();
        child.wait().unwrap();
        let took = asked.elapsed();
        // A second for Nix; the rest is for the record, on a busy machine.
        assert!(took < Duration::from_millis(1900), "{took:?}");
        let history = store.json(&["history"], 0);
        let run_id = history["runs"][0]["run"].as_str().unwrap();
        let receipt = store.json(&["history", run_id], 0);
        let receipt = receipt.get("receipt").unwrap_or(&receipt);
        assert_eq!(receipt["stopped"], true, "{receipt}");
        let entry = &receipt["entries"][0];
        assert_eq!(
            (&entry["outcome"], &entry["detail"]),
            (&"failed".into(), &says.into())
        );
        if settings == OPTIMISE {
            // What was not completed is no reason to leave it out.
            assert_eq!(store.planned(), Some(Value::Null));
        }
    });
}

/// Programs of a Nix of which `nix-store` first does something else.
fn with_prelude(store: &Store, nix: &Nix, prelude: &str) -> String {
    let bin = store.0.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["nix", "nix-env", "nix-collect-garbage"] {
        symlink(nix.bin.join(name), bin.join(name)).unwrap();
    }
    let real = nix.bin.join("nix-store");
    script(
        &bin.join("nix-store"),
        &format!("{prelude}\nexec '{real}' \"$@\""),
    );
    format!("--nix-bin={bin}")
}

#[test]
fn trap_48_what_could_not_be_linked_is_linked_by_the_next_run() {
    let Some(nix) = nixes().last() else { return };
    let store = Store::new(nix, OPTIMISE);
    store.add("a", 10);
    let prelude = r#"case "$*" in *--optimise*)
        echo "cannot link '/a' to '/b': No space left on device" >&2; exit 0 ;; esac"#;
    let bin = with_prelude(&store, nix, prelude);
    let ran = run(&store.0, &["run", "j", "--yes", &bin]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(store.planned().is_some());
    store.run(0);
    assert!(store.planned().is_none());
}

#[rstest]
#[case::optimise(OPTIMISE)]
#[case::verify(VERIFY)]
fn it_runs_when_nothing_else_wants_the_machine(#[case] settings: &str) {
    let Some(nix) = nixes().last() else { return };
    let store = Store::new(nix, settings);
    store.add("a", 10);
    let out = store.0.base().join("priority");
    let prelude = format!("cut -d' ' -f19 /proc/$$/stat >'{out}'; ionice -p $$ >>'{out}'");
    let bin = with_prelude(&store, nix, &prelude);
    let ran = run(&store.0, &["run", "j", "--yes", &bin]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&out).unwrap(), "19\nidle\n");
    // Where nothing lowers a priority it runs all the same.
    let mut command = program(&store.0);
    store.add("b", 10);
    command
        .args(["run", "j", "--yes"])
        .env("PATH", nix.bin.as_str());
    let ran: Ran = run_command(&mut command);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[rstest]
#[case::optimise(
    OPTIMISE,
    "optimising path '/a'...",
    "Hard-linking equal files: 2 paths"
)]
#[case::verify(VERIFY, "checking contents of '/a'", "Checking contents: 2 hashed")]
fn a_terminal_is_told_how_far_it_has_come(
    #[case] settings: &str,
    #[case] line: &str,
    #[case] says: &str,
) {
    let Some(nix) = nixes().last() else { return };
    let store = Store::new(nix, settings);
    store.add("a", 10);
    let prelude = format!("printf \"%s\\n\" \"{line}\" \"{line}\" >&2; sleep 2");
    let bin = with_prelude(&store, nix, &prelude);
    let args = ["run", "j", "--yes", &bin];
    let mut terminal = OnTerminal::start(program(&store.0).args(args).env("TERM", "xterm"));
    let seen = terminal.until(says);
    assert!(seen.contains(says), "{seen:?}");
    terminal.until("Every step");
    assert_eq!(terminal.end(), 0);
    store.add("b", 10);
    let ran = run(&store.0, &["run", "j", "--yes", &bin]);
    assert!(!ran.stderr.contains(says), "{:?}", ran.stderr);
}
