//! `config` from outside, on the files in `tests/fixtures/settings`; without a Nix, a home or a store.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod init;
mod keys;
mod nix;
mod presets;
mod several;
mod shown;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use rstest::rstest;
use serde_json::Value;

use crate::support::{Ran, command, run_command};

fn fixture(name: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/settings")
        .join(name)
}

/// The program with an empty environment.
fn config(args: &[&str]) -> Ran {
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    run_command(command.env_clear().arg("config").args(args))
}

fn check(file: &Utf8Path, args: &[&str]) -> Ran {
    config(&[&["check", file.as_str()], args].concat())
}

fn check_text(text: &[u8], args: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let file = Utf8Path::from_path(dir.path()).unwrap().join("config.json");
    fs::write(&file, text).unwrap();
    check(&file, args)
}

/// Settings that protect so many paths which do not begin at the root.
fn relative_paths(count: usize) -> String {
    let paths: Vec<String> = (0..count).map(|n| format!("\"p{n}\"")).collect();
    let paths = paths.join(",");
    format!(
        r#"{{ "version": 2, "protect": {{ "paths": [{paths}] }}, "jobs": {{ "a": {{ "operations": {{ "collect": {{}} }} }} }} }}"#
    )
}

const EVERYTHING: &str = r#"{
  "version": 2,
  "saveMode": true,
  "undoWindow": "7 d d",
  "protect": {
    "paths": ["/usr", 3],
    "generations": [{ "profile": "system" }, { "profile": 3, "number": "x", "zz": 1 }]
  },
  "jobs": {
    "daily": {
      "maxRisk": "hihg",
      "maxRisk": "extreme",
      "budget": { "maxUsed": 150 },
      "operations": {
        "generations": { "keep": { "last": "5", "withn": "14d" } },
        "collect": []
      }
    },
    "b@d": { "operation": {} }
  }
}
"#;

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let ran = check_text(EVERYTHING.as_bytes(), &["--json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (78, ""));
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["valid"], false);
    let told: Vec<String> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let (code, pointer) = (f["code"].as_str().unwrap(), f["pointer"].as_str().unwrap());
            format!("{}:{} {code} {pointer}", f["line"], f["column"])
        })
        .collect();
    assert_eq!(
        told,
        [
            "3:3 unknown-key /saveMode",
            "4:17 age.invalid /undoWindow",
            "6:23 wrong-type /protect/paths/1",
            "7:21 missing-key /protect/generations/0",
            "7:59 wrong-type /protect/generations/1/profile",
            "7:72 wrong-type /protect/generations/1/number",
            "7:77 unknown-key /protect/generations/1/zz",
            "12:7 duplicate-key /jobs/daily/maxRisk",
            "12:18 max-risk.unknown /jobs/daily/maxRisk",
            "13:30 budget.max-used /jobs/daily/budget/maxUsed",
            "15:44 wrong-type /jobs/daily/operations/generations/keep/last",
            "15:49 unknown-key /jobs/daily/operations/generations/keep/withn",
            "16:9 wrong-type /jobs/daily/operations/collect",
            "19:5 jobs.name /jobs/b@d",
            "19:14 unknown-key /jobs/b@d/operation",
        ]
    );
}

#[test]
fn a_person_sees_the_text_with_what_is_meant_underlined() {
    let ran = check_text(EVERYTHING.as_bytes(), &[]);
    assert_eq!((ran.status, ran.stderr.as_str()), (78, ""));
    let shown = "error[max-risk.unknown]: /jobs/daily/maxRisk: `extreme` is not a risk level\n";
    assert!(ran.stdout.contains(shown), "{}", ran.stdout);
    let underlined = "12 |       \"maxRisk\": \"extreme\",\n   |                  ^^^^^^^^^ use low, medium, high or critical\n";
    assert!(ran.stdout.contains(underlined), "{}", ran.stdout);
    assert!(ran.stdout.contains("did you mean `safeMode`?"));
    assert!(ran.stdout.ends_with(": invalid, 15 errors.\n"));
    assert!(
        !ran.stdout.contains('\u{1b}'),
        "no colour but on a terminal"
    );
    let coloured = check_text(EVERYTHING.as_bytes(), &["--color", "always"]);
    assert!(coloured.stdout.contains('\u{1b}'));
}

#[rstest]
#[case("basic", 0, 0, "valid.")]
#[case("comprehensive", 0, 2, "valid, with 2 warnings.")]
#[case("strict", 78, 2, "invalid, 2 errors.")]
fn levels(#[case] level: &str, #[case] status: i32, #[case] told: usize, #[case] end: &str) {
    let file = fixture("good/unsafe.json");
    let ran = check(&file, &["--level", level]);
    assert_eq!(ran.status, status, "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with(&format!("unsafe.json: {end}\n")),
        "{}",
        ran.stdout
    );
    let ran = check(&file, &["--level", level, "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.status, status);
    assert_eq!(document["valid"], status == 0);
    assert_eq!(document["findings"].as_array().unwrap().len(), told);
}

#[test]
fn a_percentage_is_clamped_only_when_that_is_asked_for() {
    let text = br#"{ "version": 2, "jobs": { "a": { "budget": { "maxUsed": 150 }, "operations": { "collect": {} } } } }"#;
    assert_eq!(check_text(text, &[]).status, 78);
    let ran = check_text(text, &["--sanitize"]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("/jobs/a/budget/maxUsed: 150 is out of range; 95 is used.")
    );
    let ran = check_text(text, &["--sanitize", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["changes"][0]["kind"], "clamped");
    assert_eq!(document["changes"][0]["to"], "95");
}

#[rstest]
#[case::nothing(b"", 78, "writes an example")]
#[case::not_utf8(b"\xff", 78, "it is not UTF-8")]
#[case::byte_order_mark(b"\xef\xbb\xbf{}", 78, "remove the byte order mark")]
#[case::number_too_large(b"{\"version\": 2e400}", 78, "number out of range")]
#[case::nul(b"{\"version\": \0}", 78, "syntax")]
fn odd_texts(#[case] text: &[u8], #[case] status: i32, #[case] says: &str) {
    let ran = check_text(text, &[]);
    assert_eq!(ran.status, status);
    let told = ran.stdout + &ran.stderr;
    assert!(told.contains(says), "{told}");
}

#[test]
fn nesting_without_end_is_refused() {
    for open in ["[", "{\"a\":"] {
        let ran = check_text(open.repeat(100_000).as_bytes(), &[]);
        assert_eq!(ran.status, 78, "{}", ran.stderr);
        assert!(ran.stdout.contains("recursion limit"), "{}", ran.stdout);
    }
}

#[test]
fn a_line_without_end_is_shown_in_part() {
    let paths = vec!["\"/p\""; 50_000].join(",");
    let text = format!(r#"{{ "version": 2, "protect": {{ "paths": [{paths}, 3] }} }}"#);
    let ran = check_text(text.as_bytes(), &[]);
    assert_eq!(ran.status, 78);
    assert!(ran.stdout.contains("/protect/paths/50000"));
    assert!(ran.stdout.lines().all(|line| line.chars().count() < 250));
}

#[rstest]
#[case::of_the_rules(relative_paths(3000), 3001)]
#[case::of_the_shape(format!("{{ \"version\": 2, {} \"jobs\": {{}} }}", "\"x\": 1, ".repeat(3000)), 101)]
fn of_very_many_faults_a_person_sees_the_first(#[case] text: String, #[case] told: usize) {
    let ran = check_text(text.as_bytes(), &[]);
    assert_eq!(ran.status, 78);
    assert_eq!(ran.stdout.matches("error[").count(), 100);
    let more = format!(
        "and {} more; `nix-prune config check --json` lists them.",
        told - 100
    );
    assert!(
        ran.stdout.contains(&more),
        "{}",
        &ran.stdout[ran.stdout.len() - 300..]
    );
    let ran = check_text(text.as_bytes(), &["--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["findings"].as_array().unwrap().len(), told);
}

#[test]
fn a_hostile_text_commands_no_terminal() {
    let text = "{ \"version\": 2, \"\u{9b}31m\\u001b[2J\u{7f}\": \"\u{202e}x\", \"jobs\": { \"\\u001b[2J\": [\"\u{9b}\"] } }";
    for args in [&[][..], &["--json"]] {
        let ran = check_text(text.as_bytes(), args);
        assert_eq!(ran.status, 78);
        let bad = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!ran.stdout.contains(bad), "{:?}", ran.stdout);
    }
}

#[test]
fn what_is_no_file_is_no_settings() {
    let ran = check(Utf8Path::new("/"), &[]);
    assert_eq!(ran.status, 78);
    assert!(ran.stderr.contains("not a regular file"), "{}", ran.stderr);
    let ran = check(Utf8Path::new("/nowhere/config.json"), &[]);
    assert_eq!(ran.status, 78);
    assert!(ran.stderr.contains("/nowhere/config.json"));
}

#[test]
fn the_schema_is_the_one_that_is_kept() {
    let ran = config(&["schema"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/settings-2.json");
    if std::env::var_os("NIX_PRUNE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&kept, &ran.stdout).unwrap();
    }
    let told = "docs/schemas/settings-2.json is not current; look, then NIX_PRUNE_BLESS=1";
    assert_eq!(
        fs::read_to_string(kept).unwrap_or_default(),
        ran.stdout,
        "{told}"
    );
}

#[test]
fn a_place_in_a_list_is_that_of_the_text_whatever_was_left_out_before() {
    let text = r#"{ "version": 2, "jobs": { "a": { "operations": { "collect": {} } } },
        "protect": { "roots": [3, "/a/*", "b"], "paths":
        ["/usr", "/usr/", 3, "/", "/etc", "/var", "/bin", "/sbin", "/boot", "/nix/store", "/nix/var", " relative "] } }"#;
    let ran = check_text(text.as_bytes(), &["--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let places = |list: &str| -> Vec<String> {
        let items = document[list].as_array().unwrap().iter();
        items
            .map(|item| item["pointer"].as_str().unwrap().to_string())
            .collect()
    };
    let expected = [
        "/protect/roots/0",
        "/protect/roots/2",
        "/protect/paths/2",
        "/protect/paths/11",
    ];
    assert_eq!(places("findings"), expected);
    assert_eq!(places("changes"), ["/protect/paths/11", "/protect/paths"]);
}

/// A key declares its flag, and clap declares the flag: this is all that ties one to the other.
#[test]
fn the_flag_of_every_key_is_one_of_run() {
    let reference = nix_prune::settings::reference();
    let cells = reference.split(" | ");
    let flags = cells.filter_map(|cell| cell.strip_prefix("`--")?.split('`').next());
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    let help = run_command(command.env_clear().args(["run", "--help"])).stdout;
    let known: BTreeSet<&str> = help
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"))
        .collect();
    let flags: BTreeSet<&str> = flags.collect();
    assert!(flags.contains("until-free"), "{flags:?}");
    assert!(flags.is_subset(&known), "{flags:?}: {known:?}");
}

#[test]
fn the_page_about_settings_is_current() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    if std::env::var_os("NIX_PRUNE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&kept, nix_prune::settings::reference()).unwrap();
    }
    let told = "docs/settings.md is not current; look, then NIX_PRUNE_BLESS=1";
    assert_eq!(
        fs::read_to_string(kept).unwrap_or_default(),
        nix_prune::settings::reference(),
        "{told}"
    );
}
