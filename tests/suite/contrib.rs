//! The timers of `contrib/`, as far as a machine without them can tell.

#![cfg(test)]

use camino::{Utf8Path, Utf8PathBuf};
use clap::Parser;
use nix_prune::cli::args::Cli;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{command, run_command, skipped};

fn contrib() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(contrib().join(file)).unwrap()
}

/// The command line is one that the program takes.
fn is_taken(line: &str) {
    let words = line.split_whitespace();
    assert!(
        words.clone().next().unwrap().ends_with("nix-prune"),
        "{line}"
    );
    Cli::try_parse_from(words).unwrap();
}

#[rstest]
#[case("system")]
#[case("user")]
fn systemd_takes_the_units(#[case] kind: &str) {
    let unit = read(&format!("systemd/{kind}/nix-prune.service"));
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    is_taken(start.unwrap());
    if which::which("systemd-analyze").is_err() {
        return skipped("the units of contrib, without systemd-analyze");
    }
    // The program is not where the units expect it.
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let ours = env!("CARGO_BIN_EXE_nix-prune");
    let unit = unit.replace("/usr/local/bin/nix-prune", ours);
    std::fs::write(dir.join("nix-prune.service"), unit).unwrap();
    let timer = read(&format!("systemd/{kind}/nix-prune.timer"));
    std::fs::write(dir.join("nix-prune.timer"), timer).unwrap();
    let mut verify = command("systemd-analyze");
    verify.args([
        "verify",
        "--man=no",
        "--recursive-errors=no",
        "nix-prune.timer",
        "nix-prune.service",
    ]);
    let ran = run_command(
        verify
            .current_dir(dir)
            .env("SYSTEMD_UNIT_PATH", format!("{dir}:")),
    );
    let ours: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|l| l.contains("nix-prune"))
        .collect();
    assert!(ran.status == 0 && ours.is_empty(), "{}", ran.stderr);
}

#[test]
fn cron_takes_the_line() {
    let text = read("nix-prune.cron");
    let line = text
        .lines()
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let fields: Vec<&str> = line.unwrap().splitn(7, ' ').collect();
    let [minute, hour, "*", "*", "*", "root", command] = fields[..] else {
        panic!("{fields:?}")
    };
    assert!(minute.parse::<u8>().unwrap() < 60 && hour.parse::<u8>().unwrap() < 24);
    is_taken(command);
    assert!(
        text.ends_with('\n'),
        "cron ignores a last line without its end"
    );
}

#[test]
fn launchd_takes_the_agent() {
    let script = "import plistlib, sys; agent = plistlib.load(open(sys.argv[1], 'rb')); \
                  assert agent['StartCalendarInterval'] == {'Hour': 3, 'Minute': 15}; \
                  print(agent['Label'], *agent['ProgramArguments'])";
    let file = contrib().join("launchd/org.nix-prune.plist");
    let ran = run_command(command("python3").args(["-c", script, file.as_str()]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let (label, line) = ran.stdout.trim().split_once(' ').unwrap();
    assert_eq!(
        file.file_stem(),
        Some(label),
        "launchd wants the name of the file"
    );
    is_taken(line);
}

/// The fields of newsyslog.conf(5): the log that launchd writes, a mode, a count, a size, no time, and flags without a signal.
#[test]
fn newsyslog_rotates_the_log_of_launchd() {
    let text = read("launchd/newsyslog.conf");
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [log, "640", count, size, "*", "JN"] = fields[..] else {
        panic!("{fields:?}")
    };
    assert!(count.parse::<u32>().is_ok() && size.parse::<u32>().is_ok());
    let plist = read("launchd/org.nix-prune.plist");
    assert!(plist.contains(&format!("<string>{log}</string>")), "{log}");
}

/// As an installation would: the catalogue of the events, below a root of its own.
#[test]
fn the_journal_takes_the_catalogue() {
    if which::which("journalctl").is_err() {
        return skipped("the catalogue of contrib, without journalctl");
    }
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap();
    let place = root.join("usr/lib/systemd/catalog");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::create_dir_all(root.join("var/lib/systemd/catalog")).unwrap();
    let text = read("systemd/nix-prune.catalog");
    std::fs::write(place.join("nix-prune.catalog"), &text).unwrap();
    let root = format!("--root={root}");
    let updated = run_command(command("journalctl").args([&root, "--update-catalog"]));
    assert_eq!((updated.status, &*updated.stderr), (0, ""));
    let listed = run_command(command("journalctl").args([&root, "--list-catalog"]));
    assert_eq!(listed.status, 0, "{}", listed.stderr);
    for id in text.lines().filter_map(|line| line.strip_prefix("-- ")) {
        let line = listed.stdout.lines().find(|line| line.starts_with(id));
        let (_, about) = line
            .unwrap_or_else(|| panic!("no {id}: {}", listed.stdout))
            .split_once(' ')
            .unwrap();
        assert!(about.starts_with("nix-prune: "), "{about}");
    }
    // Each command in it is one of ours.
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("  nix-prune "));
    for line in lines {
        let line = line
            .replace("@NIX_PRUNE_RESULT@", "roots.away")
            .replace("SIZE", "1G");
        let line = line
            .replace("@NIX_PRUNE_JOB@", "daily")
            .replace("@NIX_PRUNE_RUN@", "last");
        is_taken(&format!("nix-prune {line}"));
    }
}

#[test]
fn the_workflow_is_yaml_and_its_commands_are_ours() {
    let file = contrib().join("ci/github.yaml");
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let ran = run_command(command("python3").args(["-c", script, file.as_str()]));
    if ran.stderr.contains("No module named") {
        return skipped("the workflow of contrib, without PyYAML");
    }
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let workflow: Value = serde_json::from_str(&ran.stdout).unwrap();
    let steps = workflow["jobs"]["build"]["steps"].as_array().unwrap();
    let prune = steps.last().unwrap();
    assert_eq!(
        (&prune["if"], &prune["continue-on-error"]),
        (&json!("always()"), &json!(true))
    );
    let words = prune["run"].as_str().unwrap().split(' ');
    Cli::try_parse_from(words).unwrap();
    // What others choose, such as the name of a branch, must reach a shell as a variable.
    let scripts = steps.iter().filter_map(|step| step["run"].as_str());
    assert!(scripts.into_iter().all(|script| !script.contains("${{")));
}

#[test]
fn the_guide_says_what_to_do_about_each_alert() {
    let rules = read("prometheus/nix-prune.rules.yaml");
    let alerts = rules.lines();
    let alerts: Vec<&str> = alerts
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let page = std::fs::read_to_string(contrib().join("../docs/guide/fleet.md")).unwrap();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `NixPrune"));
    let rows: Vec<String> = rows
        .map(|row| format!("NixPrune{}", row.split('`').next().unwrap()))
        .collect();
    assert_eq!(rows, alerts);
}
