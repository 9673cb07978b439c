//! Settings of several files from outside: what counts, the policy that nothing loosens, what a change is worth, and what
//! other tools' flags become.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod equivalent;
mod machine;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Ran, actions_of, command, nixes, program, run, run_command, time};

const BASE: &str = r#"{ "version": 2, "jobs": { "daily": { "operations": { "generations": { "keep": { "last": 5 } } } } } }"#;

/// A scratch store whose system has ten generations, one a month; `None` where no Nix is there.
fn ten() -> Option<Scratch> {
    let scratch = Scratch::new(Some(&nixes().last()?.bin)).unwrap();
    for n in 1..=10 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2025-{n:02}-01T00:00:00Z"));
        let system = scratch.state_dir().join("profiles/system");
        scratch.set_profile(&system, &path, date).unwrap();
    }
    Some(scratch)
}

/// A directory that looks like a home, and our program in it; neither a Nix nor a store is needed.
struct Bare(tempfile::TempDir);

impl Bare {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn base(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    fn program(&self) -> Command {
        let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
        command.env_clear().env("HOME", self.base());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        run_command(self.program().args(args))
    }

    fn write(&self, name: &str, text: &str) -> Utf8PathBuf {
        write_in(self.base(), name, text)
    }
}

fn write(scratch: &Scratch, name: &str, text: &str) -> Utf8PathBuf {
    write_in(scratch.base(), name, text)
}

fn write_in(dir: &Utf8Path, name: &str, text: &str) -> Utf8PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).unwrap();
    file
}

fn own(scratch: &Scratch, text: &str) {
    let dir = scratch.home().join(".config/nix-prune");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.json"), text).unwrap();
}

fn settings(job: &str, keep: &Value, more: &Value) -> String {
    let operations = json!({ "generations": { "keep": keep } });
    let mut value = json!({ "version": 2, "jobs": { job: { "operations": operations } } });
    for (key, more) in more.as_object().unwrap() {
        value[key] = more.clone();
    }
    value.to_string()
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
}

/// The numbers that a plan drops, and the codes of all reasons to keep.
fn planned(plan: &Value) -> (BTreeSet<u64>, BTreeSet<String>) {
    let items = plan["items"].as_array().unwrap().iter();
    let of_generations = items.filter(|item| item["subject"]["kind"] == "generation");
    let (mut dropped, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    for item in of_generations {
        if item["verdict"] == "remove" {
            dropped.insert(item["subject"]["number"].as_u64().unwrap());
        } else {
            for reason in item["reasons"].as_array().unwrap() {
                reasons.insert(reason["code"].as_str().unwrap().to_string());
            }
        }
    }
    (dropped, reasons)
}

#[test]
fn files_count_over_one_another_and_their_protections_add_up() {
    let Some(scratch) = ten() else { return };
    let pin = |number: u64| json!([{ "profile": "system", "number": number }]);
    own(
        &scratch,
        &settings(
            "daily",
            &json!({ "last": 9 }),
            &json!({ "undoWindow": "3d", "protect": { "generations": pin(1) } }),
        ),
    );
    let more = json!({ "protect": { "generations": pin(2) } });
    let above = write(
        &scratch,
        "above.json",
        &settings("weekly", &json!({ "last": 3 }), &more),
    );
    // Without a name the job of the file that counts most.
    let ran = run(&scratch, &["plan", "--json", "--config", above.as_str()]);
    let plan = document(&ran);
    assert_eq!(plan["job"], "weekly");
    let (dropped, reasons) = planned(&plan);
    assert_eq!(dropped, BTreeSet::from([3, 4, 5, 6, 7]));
    assert!(reasons.contains("pinned"));
    let hold = actions_of(&plan)[0].to_string();
    assert!(hold.contains("3d"), "{hold}");
    let ran = run(
        &scratch,
        &["plan", "daily", "--json", "--config", above.as_str()],
    );
    assert!(planned(&document(&ran)).0.is_empty(), "{}", ran.stdout);
}

#[test]
fn no_flag_variable_or_saved_plan_loosens_a_policy() {
    let Some(scratch) = ten() else { return };
    let saved = scratch.base().join("saved.json");
    own(
        &scratch,
        &settings("daily", &json!({ "last": 1 }), &json!({})),
    );
    let none = ["plan", "--undo-window", "0s", "--out", saved.as_str()];
    assert_eq!(run(&scratch, &none).status, 0);
    let policy = json!({ "policy": {
        "keepAtLeast": { "last": 6 }, "maxRisk": "medium", "undoWindow": "2d"
    } });
    own(&scratch, &settings("daily", &json!({ "last": 1 }), &policy));
    let other = write(
        &scratch,
        "other.json",
        &settings("daily", &json!({ "last": 2 }), &json!({})),
    );
    let ways: [&[&str]; 4] = [
        &[],
        &["--keep-last", "1"],
        &["--keep-within", "1d", "--undo-window", "0s"],
        &["--config", other.as_str(), "--undo-window", "1h"],
    ];
    for way in ways {
        let ran = run(&scratch, &[&["plan", "--json"], way].concat());
        let plan = document(&ran);
        let (dropped, reasons) = planned(&plan);
        assert_eq!(dropped, BTreeSet::from([1, 2, 3, 4]), "{way:?}");
        assert!(reasons.contains("policyLast"), "{reasons:?}");
        let actions = plan["items"].to_string();
        assert!(
            actions.contains("\"2d\"") || actions.contains("\"7d\""),
            "{actions}"
        );
        let ran = run(
            &scratch,
            &[&["run", "--yes", "--max-risk", "critical"], way].concat(),
        );
        assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
        let mut command = program(&scratch);
        command
            .env("NIX_PRUNE_MAX_RISK", "critical")
            .args(["run", "--yes"])
            .args(way);
        assert_eq!(run_command(&mut command).status, 4);
    }
    let ran = run(
        &scratch,
        &["apply", "--yes", "--max-risk", "critical", saved.as_str()],
    );
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("undo window of at least 2d"),
        "{}",
        ran.stderr
    );
    // A saved plan of before the policy that only drops too much: it is refused as a whole.
    own(
        &scratch,
        &settings("daily", &json!({ "last": 1 }), &json!({})),
    );
    fs::remove_file(&saved).unwrap();
    assert_eq!(run(&scratch, &["plan", "--out", saved.as_str()]).status, 0);
    let policy = json!({ "policy": { "keepAtLeast": { "last": 6 } } });
    own(&scratch, &settings("daily", &json!({ "last": 1 }), &policy));
    let ran = run(&scratch, &["apply", "--yes", "--json", saved.as_str()]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("kept by the machine policy"),
        "{}",
        ran.stderr
    );
    for n in 1..=10 {
        let link = scratch
            .state_dir()
            .join(format!("profiles/system-{n}-link"));
        assert!(link.symlink_metadata().is_ok(), "{n}");
    }
}

#[test]
fn a_variable_with_a_slip_in_its_name_stops_everything() {
    let bare = Bare::new();
    let mut command = bare.program();
    command
        .env("NIX_PRUNE_MAX_RSIK", "low")
        .args(["run", "--yes"]);
    let ran = run_command(&mut command);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("NIX_PRUNE_MAX_RSIK"));
    assert!(ran.stderr.contains("NIX_PRUNE_MAX_RISK"));
}

#[test]
fn what_is_no_plain_file_neither_blocks_nor_counts() {
    let bare = Bare::new();
    let fifo = bare.base().join("fifo");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(fifo.as_std_path(), mode).unwrap();
    let (round, deep) = (bare.base().join("round"), bare.base().join("deep"));
    std::os::unix::fs::symlink("round", &round).unwrap();
    std::os::unix::fs::symlink("fifo", &deep).unwrap();
    let large = bare.write("large", &format!("{BASE}{}", " ".repeat(5 << 20)));
    let latin = bare.base().join("latin");
    fs::write(&latin, [b'{', 0xe4, b'}']).unwrap();
    for file in [
        &fifo,
        &round,
        &deep,
        &large,
        &latin,
        &bare.base().to_path_buf(),
    ] {
        let state = bare.base().join("state");
        let args = [
            "plan",
            "--config",
            file.as_str(),
            "--state-dir",
            state.as_str(),
        ];
        let ran = bare.run(&args);
        assert_eq!(ran.status, 78, "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(file.as_str()), "{}", ran.stderr);
    }
    for file in ["/dev/stdin", "/dev/null"] {
        let mut command = bare.program();
        command.stdin(std::process::Stdio::null());
        let ran = run_command(command.args(["plan", "--config", file]));
        assert_eq!(ran.status, 78, "{file}: {}", ran.stderr);
    }
}

fn diff(old: &Utf8Path, new: &Utf8Path, json: bool) -> Ran {
    let bare = Bare::new();
    let args = ["config", "diff", old.as_str(), new.as_str(), "--json"];
    bare.run(if json { &args } else { &args[..4] })
}

#[rstest]
#[case::the_same(BASE, &BASE.replace("\"last\": 5", "\"last\":  5"), 0, json!(null), 0)]
#[case::medium(BASE, &BASE.replace("\"last\": 5", "\"last\": 4"), 0, json!("medium"), 1)]
#[case::critical(BASE, &BASE.replace("\"daily\": {", "\"daily\": { \"maxRisk\": \"critical\",").replace("\"version\": 2", "\"version\": 2, \"safeMode\": false"), 4, json!("critical"), 2)]
#[case::unprotected(BASE, &BASE.replace("\"version\": 2", "\"version\": 2, \"protect\": { \"paths\": [] }"), 4, json!("critical"), 9)]
#[case::no_use("[]", BASE, 0, json!("high"), 1)]
fn a_difference_is_told_with_its_risk(
    #[case] old: &str,
    #[case] new: &str,
    #[case] status: i32,
    #[case] risk: Value,
    #[case] changes: usize,
) {
    let bare = Bare::new();
    let (old, new) = (bare.write("old", old), bare.write("new", new));
    let ran = diff(&old, &new, true);
    assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
    let document = document(&ran);
    assert_eq!(document["risk"], risk);
    assert_eq!(document["changes"].as_array().unwrap().len(), changes);
    let schema = nix_prune::render::json::schema("config-diff").unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    assert!(
        jsonschema::validator_for(&schema)
            .unwrap()
            .is_valid(&document)
    );
    let ran = diff(&old, &new, false);
    assert_eq!(ran.status, status);
    let words = if changes == 0 {
        "No differences."
    } else {
        risk.as_str().unwrap()
    };
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
}

#[test]
fn without_old_settings_everything_is_new_and_without_new_ones_nothing_is_said() {
    let bare = Bare::new();
    let valid = bare.write("valid", BASE);
    let absent = bare.base().join("absent");
    let ran = diff(&absent, &valid, false);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("absent does not exist"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("+ generations"), "{}", ran.stdout);
    assert_eq!(diff(&valid, &absent, false).status, 78);
    let broken = bare.write("broken", &BASE.replace("last", "lasd"));
    let ran = diff(&valid, &broken, true);
    // The document of a failure, and not of a difference.
    assert_eq!(ran.status, 78);
    assert!(ran.stdout.contains("nix-prune/error/1"), "{}", ran.stdout);
    assert!(ran.stderr.contains("lasd"), "{}", ran.stderr);
}

#[test]
fn what_is_taken_over_is_valid_and_never_written_over_another_file() {
    let bare = Bare::new();
    let file = bare.base().join("taken.json");
    let args = |json: bool, slip: &'static str| {
        let mut args = vec!["config", "import", "--output", file.as_str()];
        args.extend(json.then_some("--json"));
        args.extend(["nh", "clean", "all", "--keep", "3", slip, "7d"]);
        args
    };
    assert_eq!(bare.run(&args(false, "--keep-sinse")).status, 2);
    assert!(!file.exists());
    let ran = bare.run(&args(true, "--keep-since"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "");
    let document = document(&ran);
    let schema = nix_prune::render::json::schema("config-import").unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    assert!(
        jsonschema::validator_for(&schema)
            .unwrap()
            .is_valid(&document)
    );
    let text = fs::read_to_string(&file).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["settings"], written);
    let strict = bare.run(&["config", "check", "--level", "strict", file.as_str()]);
    assert_eq!(strict.status, 0, "{}", strict.stdout);
    let again = bare.run(&args(false, "--keep-since"));
    assert_eq!(again.status, 73);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // A flag that we have as well belongs to the tool behind whose name it stands.
    let ran = bare.run(&["config", "import", "nix-sweep", "--config", "/nowhere"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("/nowhere"), "{}", ran.stderr);
}
