//! Every command that a chapter of the guide shows does what the chapter says, in the order in which they are shown.

use std::fs;
use std::path::Path;

use clap::Parser;
use nix_prune::cli::args::Cli;

use super::{BASE, Laptop, contents, on_laptop};
use crate::guide::chapters;
use crate::support::{blocks, names_settings, settings_of, words_of};

/// What a chapter does besides: programs that no test has, or that change the machine.
const OTHERS: [&str; 9] = [
    "nix",
    "nix-env",
    "cargo",
    "git",
    "systemctl",
    "sudo",
    "scripts/",
    "curl",
    "(umask",
];

/// Run with each Nix on a small store, by a test of its own.
const FIRST_STEPS: &str = "docs/guide/plain-nix.md";

/// What writes to the machine itself if root runs it.
const REFUSED: [&str; 3] = ["config init", "config migrate", "--out /"];

/// Commands that ask, which ends them with another status where there is no terminal, and one that needs a program of its reader.
const STATUSES: [(&str, i32); 2] = [("nix-prune free 20M", 4), ("nix-prune notify", 1)];

/// Commands that wait for a person or for requests. They have tests of their own; here it is seen that they are taken.
const WAITING: [&str; 2] = ["browse", "serve"];

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let name = "chapters::every_command_of_the_guide_does_what_it_says";
    on_laptop(name, |laptop| {
        let before = contents();
        let mut faults = Vec::new();
        let mut count = 0;
        for (page, text) in chapters() {
            let lines = blocks(&text, "sh").join("");
            // Without comments, and without what a shell does with the output.
            let lines = lines
                .lines()
                .map(|line| line.split(['#', '>', '|']).next().unwrap().trim());
            let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            if lines.is_empty() || page == FIRST_STEPS {
                continue;
            }
            let is_as_made = !Path::new(BASE).join("state").exists() && contents() == before;
            if !is_as_made {
                laptop.renew();
            }
            let config = Path::new(BASE).join("home/alice/.config/nix-prune");
            _ = fs::remove_dir_all(&config);
            fs::create_dir_all(&config).unwrap();
            for line in lines {
                if names_settings(line) {
                    fs::write(config.join("config.json"), settings_of(&text)).unwrap();
                }
                let line = line
                    .strip_prefix("sudo nix-prune")
                    .map_or(line.to_string(), |rest| format!("nix-prune{rest}"));
                count += usize::from(line.starts_with("nix-prune "));
                faults.extend(fault(laptop, &line).map(|fault| format!("{page}: {fault}")));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert!(count > 15, "{count} commands");
    });
}

fn fault(laptop: &Laptop, line: &str) -> Option<String> {
    let Some(args) = line.strip_prefix("nix-prune ") else {
        let is_known = OTHERS.iter().any(|word| line.starts_with(word));
        return (!is_known).then(|| format!("{line}: no command that a chapter may show"));
    };
    if REFUSED.iter().any(|words| args.contains(words)) {
        return Some(format!(
            "{line}: writes to the machine; show it in the text"
        ));
    }
    let args = words_of(args);
    if args
        .first()
        .is_some_and(|it| WAITING.contains(&it.as_str()))
    {
        let words = std::iter::once("nix-prune".to_string()).chain(args);
        let taken = Cli::try_parse_from(words);
        return taken.err().map(|error| format!("{line}: {error}"));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = laptop.run(80, &args);
    let expected = STATUSES.iter().find(|(it, _)| *it == line);
    let expected = expected.map_or(0, |(_, status)| *status);
    (ran.status != expected).then(|| {
        format!(
            "{line}: status {}: {}{}",
            ran.status, ran.stdout, ran.stderr
        )
    })
}
