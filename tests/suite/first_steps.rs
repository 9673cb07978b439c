//! The first chapters are right with each Nix: every command of "Five minutes with plain Nix" is run, in the order it is shown.

#![cfg(test)]

use std::fs;
use std::path::Path;

use nix_prune::adapters::scratch::Scratch;

use crate::support::{
    blocks, by_hand, command, names_settings, program, run_command, settings_of, time,
    with_each_nix, words_of,
};

const FIRST: &str = include_str!("../../docs/guide/plain-nix.md");
const TROUBLESHOOTING: &str = include_str!("../../docs/guide/troubleshooting.md");

#[test]
fn the_first_commands_do_what_they_say() {
    let lines = blocks(FIRST, "sh").join("");
    let lines = lines.lines().filter(|line| !line.starts_with("nix "));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() > 15, "the chapter shows commands");
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        for n in 1..=12 {
            let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
            let date = time(&format!("2025-{n:02}-01T00:00:00Z"));
            let system = scratch.state_dir().join("profiles/system");
            scratch.set_profile(&system, &path, date).unwrap();
        }
        let config = scratch.home().join(".config/nix-prune");
        fs::create_dir_all(&config).unwrap();
        for line in &lines {
            if names_settings(line) {
                fs::write(config.join("config.json"), settings_of(FIRST)).unwrap();
            }
            let mut command = program(&scratch);
            let words = words_of(line);
            assert_eq!(words[0], "nix-prune", "{line}");
            let ran = run_command(command.args(&words[1..]));
            assert_eq!(ran.status, 0, "{line}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.stderr, "", "{line}");
            assert!(!ran.stdout.is_empty(), "{line} printed nothing");
        }
        by_hand(&scratch, "nix-store", &["--verify"]);
    });
}

#[test]
fn the_chapters_show_the_templates() {
    // scripts/check-modules evaluates the jobs, and scripts/check-nix the templates.
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("nix/templates");
    for (chapter, file) in [
        ("nixos", "nixos/flake.nix"),
        ("nixos", "nixos/nix-prune.nix"),
        ("home-manager", "home-manager/home.nix"),
        ("macos", "nix-darwin/nix-prune.nix"),
    ] {
        let template = fs::read_to_string(templates.join(file)).unwrap();
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/guide/{chapter}.md"));
        let page = fs::read_to_string(page).unwrap();
        let blocks = blocks(&page, "nix");
        assert!(blocks.contains(&template.as_str()), "{chapter}: {file}");
    }
}

#[test]
fn the_exit_statuses_of_the_guide_are_those_of_the_help() {
    let scratchless = command(env!("CARGO_BIN_EXE_nix-prune"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(scratchless.stdout).unwrap();
    let rows = TROUBLESHOOTING.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let code: u8 = cells.next()?.parse().ok()?;
        Some((code, cells.next()?.to_string()))
    });
    // A signal and `due` have statuses of their own.
    let rows: Vec<_> = rows.filter(|(code, _)| *code < 100).collect();
    assert_eq!(rows.len(), 11);
    for (code, meaning) in rows {
        let found = help.lines().any(|line| {
            let line = line.trim();
            line.starts_with(&format!("{code} ")) && line.ends_with(&meaning)
        });
        assert!(found, "{code}: {meaning}");
    }
}
