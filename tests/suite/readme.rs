//! Every command that the README shows is run, in the order it is shown, on a scratch store of each Nix.

#![cfg(test)]

use std::fs;
use std::path::Path;

use nix_prune::adapters::scratch::Scratch;

use crate::support::{by_hand, command, program, run_command, time, with_each_nix};

const README: &str = include_str!("../../README.md");

/// The lines of the blocks in this language, block by block.
fn blocks(language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    let blocks = README.split(&open).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_string())
        .collect()
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let lines: Vec<String> = blocks("sh").join("").lines().map(str::to_string).collect();
    let settings = blocks("json").join("");
    assert!(lines.len() > 15, "the README shows commands");
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
            if line.starts_with("scripts/") {
                // They are run by themselves: the tests by the one, the demonstration by the other.
                assert!(
                    Path::new(env!("CARGO_MANIFEST_DIR")).join(line).exists(),
                    "{line}"
                );
                continue;
            }
            if line == "nix-prune config check" {
                fs::write(config.join("config.json"), &settings).unwrap();
            }
            let mut command = program(&scratch);
            let words = words(line);
            assert_eq!(words[0], "nix-prune", "{line}");
            let ran = run_command(command.args(&words[1..]));
            assert_eq!(ran.status, 0, "{line}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.stderr, "", "{line}");
            assert!(!ran.stdout.is_empty(), "{line} printed nothing");
        }
        by_hand(&scratch, "nix-store", &["--verify"]);
    });
}

/// Splits a line at blanks; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

#[test]
fn the_configurations_of_the_readme_are_those_of_the_templates() {
    // scripts/check-modules evaluates the jobs, and scripts/check-nix the templates.
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("nix/templates");
    let files = [
        "nixos/flake.nix",
        "nixos/nix-prune.nix",
        "home-manager/home.nix",
        "nix-darwin/nix-prune.nix",
    ];
    let files = files.map(|file| fs::read_to_string(templates.join(file)).unwrap());
    assert_eq!(blocks("nix"), files);
}

#[test]
fn the_exit_statuses_of_the_readme_are_those_of_the_help() {
    let scratchless = command(env!("CARGO_BIN_EXE_nix-prune"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(scratchless.stdout).unwrap();
    let rows = README.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let code: u8 = cells.next()?.parse().ok()?;
        Some((code, cells.next()?.trim_end_matches(" |").to_string()))
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 11);
    for (code, meaning) in rows {
        let found = help.lines().any(|line| {
            let line = line.trim();
            line.starts_with(&format!("{code} ")) && line.ends_with(&meaning)
        });
        assert!(found, "{code}: {meaning}");
    }
}
