//! Leftovers of a real Nix: found, shown, removed, and kept while anything uses them.

#![cfg(test)]

mod hostile;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::Scratch;
use serde_json::Value;

use crate::support::{Ran, command, run, with_each_nix};

/// What Nix builds: `ok` succeeds and `bad` leaves its directory.
const BUILDS: &str = r#"let build = name: text: derivation { inherit name; system = builtins.currentSystem;
    builder = "/bin/sh"; args = [ "-c" text ]; };
  in { ok = build "ok" "echo fine; echo 1 >$out"; bad = build "bad" "echo broken; echo 1 >part; exit 1"; }"#;

/// The example of the guide.
fn example() -> &'static str {
    let guide = include_str!("../../docs/guide/leftovers.md");
    let (_, rest) = guide.split_once("```json\n").unwrap();
    rest.split_once("```").unwrap().0
}

fn build(scratch: &Scratch, attribute: &str) {
    let file = scratch.base().join("builds.nix");
    fs::write(&file, BUILDS).unwrap();
    let mut nix = command(scratch.bin().unwrap().join("nix-build"));
    let output = nix
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(scratch.env())
        .stdin(Stdio::null())
        .args([
            file.as_str(),
            "-A",
            attribute,
            "--no-out-link",
            "--keep-failed",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), attribute == "ok", "{said}");
}

/// The build directories and logs that there are.
fn leftovers(scratch: &Scratch) -> (Vec<Utf8PathBuf>, Vec<Utf8PathBuf>) {
    let names = |dir: Utf8PathBuf| -> Vec<Utf8PathBuf> {
        let names = dir.read_dir_utf8().into_iter().flatten();
        names.map(|name| name.unwrap().into_path()).collect()
    };
    let builds = names(scratch.base().join("tmp"));
    let builds = builds
        .into_iter()
        .chain(names(scratch.state_dir().join("builds")));
    let logs = names(scratch.base().join("nix/var/log/drvs"));
    (builds.collect(), logs.into_iter().flat_map(names).collect())
}

/// Makes a file, or everything in a directory, as old as this.
fn age(path: &Utf8Path, days: u64) {
    if path.is_dir() {
        for entry in path.read_dir_utf8().unwrap() {
            age(entry.unwrap().path(), days);
        }
    }
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    let times = fs::FileTimes::new().set_accessed(time).set_modified(time);
    fs::File::open(path).unwrap().set_times(times).unwrap();
}

fn settings(scratch: &Scratch) -> String {
    let path = scratch.base().join("leftovers.json");
    fs::write(&path, example()).unwrap();
    path.into_string()
}

fn ends(scratch: &Scratch, args: &[&str]) -> Ran {
    let ran = run(scratch, args);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

/// For each class, how many are removed and how many kept.
fn planned(scratch: &Scratch, config: &str) -> Vec<(String, u64, u64)> {
    let plan = ends(scratch, &["plan", "--json", "--config", config]);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let items = plan["items"].as_array().unwrap().iter();
    let items = items.filter(|item| item["subject"]["kind"] == "leftovers");
    let mut found: Vec<_> = items
        .map(|item| {
            let subject = &item["subject"];
            let entries = |key: &str| subject[key]["entries"].as_u64().unwrap();
            let class = subject["class"].as_str().unwrap().to_string();
            (class, entries("old"), entries("kept"))
        })
        .collect();
    found.sort();
    found
}

/// What builds left: Nix itself leaves more, whose number differs between versions.
fn builds_of(mut planned: Vec<(String, u64, u64)>) -> Vec<(String, u64, u64)> {
    planned.retain(|(class, ..)| class.starts_with("build"));
    planned
}

#[test]
fn leftovers_of_every_nix_are_found_shown_and_removed_by_their_age() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let config = settings(&scratch);
        for attribute in ["ok", "bad"] {
            build(&scratch, attribute);
        }
        let (builds, logs) = leftovers(&scratch);
        assert_eq!((builds.len(), logs.len()), (1, 2), "{builds:?} {logs:?}");
        let class = |class: &str, old, kept| (class.to_string(), old, kept);
        // They are young.
        let young = [class("buildDirs", 0, 1), class("buildLogs", 0, 2)];
        assert_eq!(builds_of(planned(&scratch, &config)), young);
        ends(&scratch, &["run", "--yes", "--config", &config]);
        assert_eq!(leftovers(&scratch), (builds.clone(), logs.clone()));
        let du = ends(&scratch, &["du", "--json"]).stdout;
        let du: Value = serde_json::from_str(&du).unwrap();
        let mut classes = du["leftovers"].as_array().unwrap().iter();
        let built = |row: &Value| row["class"] == "buildLogs" && row["entries"] == 2;
        assert!(classes.any(built), "{du}");
        age(&builds[0], 3);
        age(&logs[0], 91);
        age(&logs[1], 89);
        // What a command left that was killed, and what one holds that is alive.
        let roots = scratch.state_dir().join("temproots");
        let (stale, alive) = (roots.join("4194301"), roots.join("4194302"));
        for path in [&stale, &alive] {
            fs::write(path, "").unwrap();
            age(path, 2);
        }
        let owner = fs::File::open(&alive).unwrap();
        owner.lock().unwrap();
        let old = [class("buildDirs", 1, 0), class("buildLogs", 1, 1)];
        assert_eq!(builds_of(planned(&scratch, &config)), old);
        let plan = ends(&scratch, &["plan", "--config", &config]).stdout;
        for text in [
            "build directories",
            "build logs",
            "1 build directory, 1 build log",
        ] {
            assert!(plan.contains(text), "{plan}");
        }
        let status = ends(&scratch, &["status", "--config", &config]).stdout;
        assert!(
            status.contains("1 build directory, 1 build log"),
            "{status}"
        );
        let full = ends(&scratch, &["plan", "--full", "--config", &config]).stdout;
        assert!(full.contains("1 kept, "), "{full}");
        ends(&scratch, &["run", "--yes", "--config", &config]);
        assert_eq!(leftovers(&scratch), (Vec::new(), vec![logs[1].clone()]));
        assert!(!stale.exists() && alive.exists());
        let history = ends(&scratch, &["history", "last"]).stdout;
        assert!(history.contains("removed 1 build directory, "), "{history}");
        assert!(
            history.contains("removed 1 build log, ") && history.contains("; kept 1"),
            "{history}"
        );
        let undone = run(&scratch, &["undo"]);
        assert_eq!(
            undone.status, 4,
            "there is nothing to undo: {}",
            undone.stdout
        );
    });
}

/// A process that works in the directory, and ends with its input.
fn work_in(dir: &Utf8Path, script: &str) -> std::process::Child {
    let mut shell: Command = command("/bin/sh");
    let shell = shell.args(["-c", script]).current_dir(dir);
    let mut child = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    child
}

#[test]
fn a_build_directory_that_a_process_uses_stays_until_it_ends() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let config = settings(&scratch);
        build(&scratch, "bad");
        let (builds, _) = leftovers(&scratch);
        for script in [
            "echo; read end",
            "cd /; exec 5<\"$OLDPWD/part\"; echo; read end",
        ] {
            let mut child = work_in(&builds[0], script);
            age(&builds[0], 3);
            // It began after the plan.
            let kept = ("buildDirs".to_string(), 0, 1);
            assert_eq!(planned(&scratch, &config)[0], kept);
            ends(&scratch, &["run", "--yes", "--config", &config]);
            assert_eq!(leftovers(&scratch).0, builds);
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        ends(&scratch, &["run", "--yes", "--config", &config]);
        assert_eq!(leftovers(&scratch).0, Vec::<Utf8PathBuf>::new());
    });
}

#[test]
fn a_process_that_begins_between_plan_and_run_keeps_its_directory() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let config = settings(&scratch);
        build(&scratch, "bad");
        let (builds, _) = leftovers(&scratch);
        age(&builds[0], 3);
        let saved = scratch.base().join("plan.json");
        ends(
            &scratch,
            &["plan", "--config", &config, "--out", saved.as_str()],
        );
        let mut child = work_in(&builds[0], "echo; read end");
        let apply = ["apply", "--yes", "--config", &config, saved.as_str()];
        ends(&scratch, &apply);
        assert_eq!(leftovers(&scratch).0, builds);
        drop(child.stdin.take());
        child.wait().unwrap();
    });
}

/// Runs a command of `nix` in the scratch store.
fn nix(scratch: &Scratch, args: &[&str]) -> String {
    let features = ["--extra-experimental-features", "nix-command flakes"];
    program(scratch, "nix", &[&features, args].concat())
}

/// Runs a program of Nix in the scratch store.
fn program(scratch: &Scratch, name: &str, args: &[&str]) -> String {
    let mut nix = command(scratch.bin().unwrap().join(name));
    let output = nix
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(scratch.env())
        .stdin(Stdio::null())
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The files in a directory, at any depth.
fn files_in(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().into_iter().flatten();
    let entries = entries.map(|entry| entry.unwrap().into_path());
    let found = entries.flat_map(|path| {
        if path.is_dir() {
            files_in(&path)
        } else {
            vec![path]
        }
    });
    let mut found: Vec<Utf8PathBuf> = found.collect();
    found.sort();
    found
}

#[test]
fn the_cache_of_every_nix_is_emptied_by_age_and_filled_again() {
    with_each_nix(|version| {
        let scratch = Scratch::new(Some(&version.bin)).unwrap();
        let config = settings(&scratch);
        let source = scratch.base().join("source");
        fs::create_dir_all(source.join("top")).unwrap();
        fs::write(source.join("top/text"), "seven").unwrap();
        let tarball = source.join("top.tar.gz");
        let mut tar = command("tar");
        let tar = tar.args(["-C", source.as_str(), "-czf", tarball.as_str(), "top"]);
        assert!(tar.status().unwrap().success());
        let fetched =
            format!("builtins.readFile (builtins.fetchTarball \"file://{tarball}\" + \"/text\")");
        let fetch = || {
            let said = nix(&scratch, &["eval", "--impure", "--expr", &fetched]);
            assert!(said.contains("seven"), "{said}");
        };
        let cache = scratch.home().join(".cache/nix");
        fetch();
        let filled = files_in(&cache);
        assert!(!filled.is_empty());
        // Young entries are kept.
        ends(&scratch, &["run", "--yes", "--config", &config]);
        assert_eq!(files_in(&cache), filled);
        age(&cache, 31);
        ends(&scratch, &["run", "--yes", "--config", &config]);
        assert_eq!(files_in(&cache), Vec::<Utf8PathBuf>::new());
        fetch();
        assert!(!files_in(&cache).is_empty());
    });
}

#[test]
fn logs_of_collected_derivations_have_an_age_of_their_own() {
    with_each_nix(|version| {
        let scratch = Scratch::new(Some(&version.bin)).unwrap();
        let config = settings(&scratch);
        for attribute in ["ok", "bad"] {
            build(&scratch, attribute);
        }
        let file = scratch.base().join("builds.nix");
        let (out, kept) = (scratch.base().join("out"), scratch.base().join("kept"));
        let add_root = |root: &Utf8Path, command: &str, args: &[&str]| {
            let root = ["--add-root", root.as_str(), "--indirect"];
            program(&scratch, command, &[args, &root].concat());
        };
        let ok = program(&scratch, "nix-instantiate", &[file.as_str(), "-A", "ok"]);
        add_root(&out, "nix-store", &["--realise", ok.trim()]);
        add_root(&kept, "nix-instantiate", &[file.as_str(), "-A", "bad"]);
        let (_, logs) = leftovers(&scratch);
        for log in &logs {
            age(log, 31);
        }
        let class = |class: &str, old, kept| (class.to_string(), old, kept);
        let logs_by = |config: &str| {
            let mut planned = planned(&scratch, config);
            planned.retain(|(class, ..)| class.ends_with("uildLogs"));
            planned
        };
        assert_eq!(logs_by(&config), [class("buildLogs", 0, 2)]);
        program(
            &scratch,
            "nix-store",
            &["--gc", "--option", "keep-derivations", "false"],
        );
        assert!(!Utf8Path::new(ok.trim()).exists() && out.exists() && kept.exists());
        // The output knows the name of its deriver.
        let output = out.read_link_utf8().unwrap();
        assert!(nix(&scratch, &["log", output.as_str()]).contains("fine"));
        let orphan = [class("buildLogs", 0, 1), class("orphanedBuildLogs", 1, 0)];
        assert_eq!(logs_by(&config), orphan);
        // Without an age of their own they have that of all logs.
        let shared = scratch.base().join("shared.json");
        let job = r#"{ "operations": { "leftovers": { "buildLogs": "30d" } } }"#;
        let text = format!(r#"{{ "version": 2, "jobs": {{ "logs": {job} }} }}"#);
        fs::write(&shared, text).unwrap();
        let all = [class("buildLogs", 1, 0), class("orphanedBuildLogs", 1, 0)];
        assert_eq!(logs_by(shared.as_str()), all);
        let du = ends(&scratch, &["du", "--json"]).stdout;
        let du: Value = serde_json::from_str(&du).unwrap();
        let classes = du["leftovers"].as_array().unwrap().iter();
        let classes = classes.filter(|row| row["class"].as_str().unwrap().ends_with("uildLogs"));
        let classes: Vec<_> = classes
            .map(|row| (&row["class"], &row["entries"]))
            .collect();
        assert_eq!(classes, [(&"buildLogs".into(), &2.into())]);
        let status = ends(&scratch, &["status", "--config", &config]).stdout;
        assert!(status.contains("1 orphaned build log"), "{status}");
        ends(&scratch, &["run", "--yes", "--config", &config]);
        let [left]: [Utf8PathBuf; 1] = leftovers(&scratch).1.try_into().unwrap();
        assert!(left.as_str().contains("-bad.drv"), "{left}");
        let history = ends(&scratch, &["history", "last"]).stdout;
        assert!(
            history.contains("removed 1 orphaned build log, "),
            "{history}"
        );
    });
}
