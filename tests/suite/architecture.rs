//! The house checks itself: reads the sources and refuses what the layers forbid.

// Clippy's leave for tests does not reach the functions beside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bites;
mod checks;
mod layers;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use checks::Check;
use source::Source;

/// Every check over one source, by what it guards.
const CHECKS: [(&str, Check); 8] = [
    ("imports follow the layers", layers::layers),
    ("domain and settings are pure", checks::purity),
    ("child processes have one door", checks::processes),
    (
        "nothing loosens what Nix protects",
        checks::dangerous_arguments,
    ),
    ("a dry run is not calling apply", checks::dry_run),
    ("no unsafe", checks::unsafe_code),
    ("no panics outside tests", checks::panics),
    ("every module belongs to a layer", layers::housed),
];

#[test]
fn the_sources_keep_the_house_rules() {
    let files = files_below("src");
    // A check of nothing would pass.
    for file in [
        "src/lib.rs",
        "src/main.rs",
        "src/domain/plan.rs",
        "src/ports.rs",
    ] {
        assert!(files.contains_key(file), "{file} was not found");
    }
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| is_rust(path)) {
        let source = Source::new(path, text);
        for (name, check) in CHECKS {
            found.extend(check(&source).into_iter().map(|f| format!("{f} ({name})")));
        }
    }
    found.extend(checks::forgotten(
        &files,
        "src/",
        "src/lib.rs",
        &["src/main.rs"],
    ));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn no_module_of_this_suite_is_forgotten() {
    let files = files_below("tests/suite");
    assert!(files.contains_key("tests/suite/main.rs"));
    let found = checks::forgotten(&files, "tests/suite/", "tests/suite/main.rs", &[]);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in [
        "src", "tests", "benches", "docs", "nix", "checks", "scripts", "fuzz",
    ] {
        for (path, text) in files_below(folder) {
            found.extend(checks::machine_paths(&path, &text, home));
        }
    }
    for name in [
        "Cargo.toml",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "flake.nix",
        "justfile",
    ] {
        if let Ok(text) = fs::read_to_string(home.join(name)) {
            found.extend(checks::machine_paths(name, &text, home));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "rs")
}

/// The text files below a folder of the project by their path in it; none when it is not there.
fn files_below(folder: &str) -> BTreeMap<String, String> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    let mut folders = vec![home.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name();
            if kind.is_dir() && name != "target" {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                let inside = path.strip_prefix(home).unwrap();
                files.insert(inside.to_str().unwrap().to_string(), text);
            }
        }
    }
    files
}
