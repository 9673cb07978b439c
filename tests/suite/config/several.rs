//! `config check` and `config migrate` where there are several files, and where nothing is to be migrated.

use std::fs;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use rstest::rstest;
use serde_json::Value;

use crate::support::{Ran, command, run_command};

const COLLECTS: &str =
    r#"{ "version": 2, "jobs": { "mine": { "operations": { "collect": {} } } } }"#;

/// A home with its own settings, and others beside them.
struct Files {
    _guard: tempfile::TempDir,
    home: Utf8PathBuf,
    own: Utf8PathBuf,
    other: Utf8PathBuf,
}

impl Files {
    fn new(own: &str, other: &str) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let home = Utf8Path::from_path(guard.path())
            .unwrap()
            .canonicalize_utf8()
            .unwrap();
        let own_file = home.join(".config/nix-prune/config.json");
        fs::create_dir_all(own_file.parent().unwrap()).unwrap();
        fs::write(&own_file, own).unwrap();
        let other_file = home.join("other.json");
        fs::write(&other_file, other).unwrap();
        Self {
            _guard: guard,
            home,
            own: own_file,
            other: other_file,
        }
    }

    fn config(&self, args: &[&str]) -> Ran {
        let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
        command.env_clear().env("HOME", &self.home);
        command
            .args(["--config", self.other.as_str(), "config"])
            .args(args);
        run_command(&mut command)
    }
}

fn findings(ran: &Ran) -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("together").to_string();
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .map(|f| (text(&f["file"]), text(&f["pointer"]), text(&f["code"])))
        .collect()
}

#[test]
fn without_a_file_every_file_in_force_is_checked() {
    let files = Files::new(
        r#"{ "version": 2, "undoWindow": "x", "jobs": {} }"#,
        r#"{ "version": 2, "safeMode": 3, "jobs": { "a": { "operations": { "collect": {} } } } }"#,
    );
    let ran = files.config(&["check", "--json"]);
    assert_eq!(ran.status, 78, "{ran:?}");
    let expected = [
        (&files.own, "/undoWindow", "age.invalid"),
        (&files.own, "/jobs", "jobs.none"),
        (&files.other, "/safeMode", "wrong-type"),
    ];
    let expected =
        expected.map(|(file, at, code)| (file.to_string(), at.to_string(), code.to_string()));
    assert_eq!(findings(&ran), expected);
    let ran = files.config(&["check"]);
    assert_eq!(ran.status, 78);
    for file in [&files.own, &files.other] {
        assert!(ran.stdout.contains(&format!("{file}: invalid")), "{ran:?}");
    }
}

/// One file asks for a policy that a job of another one falls short of: neither is doubtful by itself.
#[test]
fn what_only_several_files_give_rise_to_is_told_as_theirs() {
    let files = Files::new(
        r#"{ "version": 2, "policy": { "maxRisk": "medium" }, "jobs": { "a": { "maxRisk": "low", "operations": { "collect": {} } } } }"#,
        COLLECTS,
    );
    let ran = files.config(&["check", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let at = (
        "together".to_string(),
        "/jobs/mine/maxRisk".to_string(),
        "policy.max-risk".to_string(),
    );
    assert_eq!(findings(&ran), [at]);
    assert_eq!(files.config(&["check", "--level", "strict"]).status, 78);
    let basic = files.config(&["check", "--level", "basic", "--json"]);
    assert_eq!((basic.status, findings(&basic)), (0, Vec::new()));
    let ran = files.config(&["check"]);
    assert!(
        ran.stdout
            .contains("All files together: warning at /jobs/mine/maxRisk"),
        "{ran:?}"
    );
}

#[test]
fn what_is_of_the_present_version_is_not_written() {
    let files = Files::new(COLLECTS, &COLLECTS.replace(": 2", ":  2"));
    let before = |path: &Utf8PathBuf| {
        let there = fs::metadata(path).unwrap();
        (
            fs::read(path).unwrap(),
            there.ino(),
            there.mtime_nsec(),
            there.ctime_nsec(),
        )
    };
    let as_they_were = [before(&files.own), before(&files.other)];
    let ran = files.config(&["migrate"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches(": already version 2.").count(), 2);
    let ran = files.config(&["migrate", files.own.as_str(), "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = serde_json::json!({
        "schema": "nix-prune/config-migrate/1",
        "files": [{ "file": files.own, "from": 2, "to": 2, "backup": null, "steps": [] }],
    });
    assert_eq!(document, expected);
    let ran = files.config(&["migrate", files.own.as_str(), "--print"]);
    assert_eq!((ran.status, ran.stdout.trim_end()), (0, COLLECTS));
    assert_eq!([before(&files.own), before(&files.other)], as_they_were);
    assert_eq!(
        fs::read_dir(files.own.parent().unwrap()).unwrap().count(),
        1
    );
}

#[rstest]
#[case::newer(r#"{ "version": 3 }"#, "update nix-prune")]
#[case::before_the_first(r#"{ "version": 0 }"#, "there is no version 0")]
#[case::none("{}", "`version` is missing")]
#[case::no_json("version = 1", "use JSON")]
fn what_cannot_be_migrated_is_left_as_it_is(#[case] text: &str, #[case] says: &str) {
    let files = Files::new(COLLECTS, text);
    let ran = files.config(&["migrate"]);
    assert_eq!(ran.status, 78, "{ran:?}");
    assert!(ran.stderr.contains(says), "{ran:?}");
    assert_eq!(fs::read_to_string(&files.other).unwrap(), text);
}

#[test]
fn version_1_is_rewritten_beside_a_backup_and_until_then_read_with_a_warning() {
    let old = r#"{ "version": 1, "undoWindow": "90m", "jobs": { "mine": { "operations": { "collect": { "method": "whole" } } } } }"#;
    let files = Files::new(COLLECTS, old);
    let ran = files.config(&["check", files.other.as_str(), "--json"]);
    let found: Vec<String> = findings(&ran)
        .into_iter()
        .map(|(_, _, code)| code)
        .collect();
    assert_eq!((ran.status, found), (0, vec!["version.older".to_string()]));
    assert!(
        ran.stdout.contains("nix-prune config migrate"),
        "{}",
        ran.stdout
    );
    let ran = files.config(&["migrate", files.other.as_str()]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let new = old.replace("\"version\": 1", "\"version\": 2");
    let new = new.replace("90m", "90min").replace("whole", "full");
    assert_eq!(fs::read_to_string(&files.other).unwrap(), new);
    let backup = files.other.with_file_name("other.json.version-1");
    assert_eq!(fs::read_to_string(backup).unwrap(), old);
    assert_eq!(
        files
            .config(&["check", files.other.as_str(), "--level", "strict"])
            .status,
        0
    );
}
