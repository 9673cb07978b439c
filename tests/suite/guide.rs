//! The book in `docs/`: it has every page, its links resolve, and its examples and lists are those of the program.

#![cfg(test)]
// Helpers are not tests to clippy, but they fail like tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod nix;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Parser;
use clap::error::ErrorKind;
use nix_prune::cli::args::Cli;
use nix_prune::domain::blocker::CheckCode;
use nix_prune::settings::{Code, Settings};

use crate::support::{blocks, words_of};

fn home() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &Utf8Path) -> String {
    fs::read_to_string(home().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The files below a directory with one of these extensions, by their path in the sources.
fn files(dir: &str, extensions: &[&str]) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![home().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in dir.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                dirs.push(path);
            } else if extensions.contains(&path.extension().unwrap_or_default()) {
                found.push(path.strip_prefix(home()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

/// The README, the pages of the book, and the other pages beside the sources.
fn pages() -> Vec<Utf8PathBuf> {
    let beside = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ];
    let mut pages: Vec<Utf8PathBuf> = beside.map(Utf8PathBuf::from).to_vec();
    pages.extend(files("docs", &["md"]));
    pages
}

/// The README and the chapters of the guide, with their texts.
pub(crate) fn chapters() -> BTreeMap<Utf8PathBuf, String> {
    let mut chapters = files("docs/guide", &["md"]);
    chapters.extend(["README.md".into(), "docs/README.md".into()]);
    let text = |page: Utf8PathBuf| (page.clone(), read(&page));
    chapters.into_iter().map(text).collect()
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// What the links and pictures of a page name, except for pages of the web.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let links = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let is_ours = |link: &&str| !link.contains("://") && !link.starts_with("mailto:");
    links.filter(is_ours).map(str::to_string).collect()
}

/// The anchors of a page, as forges and mdBook make them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(text)
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
    {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let chars = heading.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c => (c.is_alphanumeric() || "-_".contains(c)).then_some(c),
        });
        let anchor: String = chars.collect();
        // The second heading of a name gets a number, and so on.
        let numbers = (0..99).map(|n| match n {
            0 => anchor.clone(),
            n => format!("{anchor}-{n}"),
        });
        let free = numbers.into_iter().find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

/// Where a link on a page leads: a path in the sources, without `..`.
fn resolved(page: &Utf8Path, path: &str) -> Utf8PathBuf {
    let mut resolved = Utf8PathBuf::new();
    let from = if path.is_empty() {
        Utf8Path::new(page.file_name().unwrap())
    } else {
        Utf8Path::new(path)
    };
    for part in &page.parent().unwrap().join(from) {
        match part {
            ".." => _ = resolved.pop(),
            part => resolved.push(part),
        }
    }
    resolved
}

/// What is wrong with a link; nothing if it resolves.
fn fault(page: &Utf8Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = resolved(page, path);
    if !home().join(&target).exists() {
        return Some(format!("{page}: there is no {target} ({link})"));
    }
    let is_there = anchor.is_empty() || anchors(&read(&target)).contains(anchor);
    (!is_there).then(|| format!("{page}: {target} has no heading #{anchor}"))
}

#[test]
fn every_link_resolves() {
    let mut count = 0;
    let mut faults = Vec::new();
    for page in pages() {
        for link in targets(&read(&page)) {
            count += 1;
            faults.extend(fault(&page, &link));
        }
    }
    assert!(count > 100, "{count} links");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pages_of_the_book_link_to_files_in_it() {
    let mut faults = Vec::new();
    for page in files("docs", &["md"]) {
        for link in targets(&read(&page)) {
            let target = resolved(&page, link.split('#').next().unwrap());
            if !target.starts_with("docs") || !home().join(&target).is_file() {
                faults.push(format!("{page}: {link} is no file of the book"));
            }
            // mdBook makes index.html of it, and does not change the link.
            if target.file_name() == Some("README.md") && page != "docs/SUMMARY.md" {
                faults.push(format!("{page}: {link} does not resolve in the book"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = Utf8Path::new("docs/SUMMARY.md");
    let mut listed: Vec<Utf8PathBuf> = targets(&read(summary))
        .iter()
        .map(|link| resolved(summary, link))
        .collect();
    listed.sort();
    let mut pages = files("docs", &["md"]);
    pages.retain(|page| page != summary);
    for page in &pages {
        assert!(
            listed.contains(page),
            "docs/SUMMARY.md does not list {page}"
        );
    }
    assert_eq!(listed, pages);
}

/// The pages, and their headings, that a source file names.
fn named(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-#".contains(c);
    let names = text.split("docs/").skip(1).map(|rest| {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').to_string()
    });
    names
        .filter(|name| name.contains(".md") || name.contains(".json"))
        .collect()
}

#[test]
fn every_page_that_the_sources_name_exists() {
    let mut count = 0;
    let mut faults = Vec::new();
    for dir in [
        "src", "nix", "checks", "contrib", "scripts", "tests", "benches",
    ] {
        for file in files(dir, &["rs", "nix", "py", "toml", ""]) {
            let text = fs::read(home().join(&file)).unwrap();
            for name in named(&String::from_utf8_lossy(&text)) {
                count += 1;
                let fault = fault(Utf8Path::new("docs/SUMMARY.md"), &name);
                faults.extend(fault.map(|fault| format!("{file}: {fault}")));
            }
        }
    }
    assert!(count > 20, "{count} names");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The places where an example may stand that shows only a part of the settings.
fn completed(part: &str) -> [String; 4] {
    let whole = |settings: &str| format!("{{ \"version\": 2, {settings} }}");
    let job = |job: &str| whole(&format!("\"jobs\": {{ \"daily\": {{ {job} }} }}"));
    let operations = |operations: &str| job(&format!("\"operations\": {{ {operations} }}"));
    [
        whole(&format!(
            "{part}, \"jobs\": {{ \"daily\": {{ \"operations\": {{ \"collect\": {{}} }} }} }}"
        )),
        job(&format!("{part}, \"operations\": {{ \"collect\": {{}} }}")),
        operations(part),
        operations(&format!("\"generations\": {{ {part} }}")),
    ]
}

#[test]
fn every_example_of_settings_is_valid() {
    let mut count = 0;
    for (page, text) in chapters() {
        for example in blocks(&text, "json") {
            count += 1;
            let texts = if example.starts_with('{') {
                vec![example.to_string()]
            } else {
                completed(example.trim()).to_vec()
            };
            let tried: Vec<_> = texts.iter().map(|text| Settings::parse(text)).collect();
            let is_right = tried
                .iter()
                .any(|it| matches!(it, Ok((_, findings)) if findings.is_empty()));
            assert!(is_right, "{page}: {example}\n{tried:#?}");
        }
    }
    assert!(count > 15, "{count} examples");
}

#[test]
fn every_example_in_nix_is_evaluated() {
    let cases = read(Utf8Path::new("checks/modules/cases.nix"));
    // The templates, and the configuration with channels, which scripts/check-nix evaluates.
    let others = ["nixos", "home-manager", "macos"];
    for (page, text) in chapters() {
        let is_checked = cases.contains(&format!("../../{page}\n"));
        let is_other = others.contains(&page.file_stem().unwrap());
        let count = blocks(&text, "nix").len();
        assert!(count == 0 || is_checked || is_other, "{page}");
    }
}

/// What stands for something in the examples of commands, and a value that fits.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("COMMAND", "run"),
    ("SIZE", "20G"),
    ("GROUP", "root"),
    ("TOOL FLAGS", "nh clean all"),
    ("PRESET", "laptop"),
    ("PROFILE:N", "system:3"),
];

#[test]
fn every_command_in_the_text_is_one_that_the_program_takes() {
    let mut count = 0;
    let mut faults = Vec::new();
    for (page, text) in chapters() {
        let prose = prose(&text);
        let commands = prose.split('`').skip(1).step_by(2);
        for line in commands.filter(|code| code.starts_with("nix-prune ")) {
            count += 1;
            let filled = PLACEHOLDERS
                .iter()
                .fold(line.to_string(), |line, (from, to)| line.replace(from, to));
            let error = Cli::try_parse_from(words_of(&filled)).err();
            // The name of a command alone stands for the command.
            let error = error.filter(|error| {
                error.use_stderr() && error.kind() != ErrorKind::MissingRequiredArgument
            });
            faults.extend(error.map(|error| format!("{page}: {line}: {error}")));
        }
    }
    assert!(count > 50, "{count} commands");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The first cells of the rows below a heading, as far as each is one piece of code or a number.
fn entries(text: &str, heading: &str) -> Vec<String> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells
        .filter(|cell| cell.starts_with('`') || cell.parse::<u8>().is_ok())
        .map(|cell| cell.trim_matches('`').to_string())
        .collect()
}

#[test]
fn every_code_has_its_entry_under_troubleshooting() {
    let page = read(Utf8Path::new("docs/guide/troubleshooting.md"));
    let sorted = |mut entries: Vec<String>| {
        entries.sort();
        entries
    };
    let checks = CheckCode::ALL.map(|code| code.as_str().to_string());
    assert_eq!(
        sorted(entries(&page, "By safety check")),
        sorted(checks.to_vec())
    );
    let findings = Code::ALL.iter().map(|code| code.as_str().to_string());
    assert_eq!(
        sorted(entries(&page, "By finding of the settings")),
        sorted(findings.collect())
    );
    let text = read(Utf8Path::new("src/cli/failure.rs"));
    let (_, numbers) = text
        .split_once("impl From<Exit> for u8")
        .and_then(|(_, rest)| rest.split_once("match exit {"))
        .unwrap();
    let (numbers, _) = numbers.split_once("\n        }").unwrap();
    let numbers = numbers.split("=>").skip(1);
    let statuses = numbers.filter_map(|rest| rest.split(',').next());
    let statuses: Vec<String> = statuses.map(|it| it.trim().to_string()).collect();
    assert_eq!(entries(&page, "By exit status"), statuses);
}
