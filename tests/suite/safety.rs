//! `docs/safety.md` and `SECURITY.md`: what they promise has a test, and the tables in the first are those that the tests made.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};

static WRITING: Mutex<()> = Mutex::new(());

fn document() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/safety.md")
}

/// Where a table made by a test begins and ends in the document.
fn section(text: &str, name: &str) -> (usize, usize) {
    let begin = format!("<!-- made by the tests: {name} -->\n");
    let begin = text.find(&begin).map(|at| at + begin.len());
    let begin = begin.unwrap_or_else(|| panic!("docs/safety.md has no table {name}"));
    let length = text.get(begin..).unwrap().find("<!-- end -->").unwrap();
    (begin, begin + length)
}

/// The table of this name, as it is in the document.
pub(crate) fn table(name: &str) -> String {
    let text = fs::read_to_string(document()).unwrap();
    let (begin, end) = section(&text, name);
    text.get(begin..end).unwrap().to_string()
}

/// Puts a table into the document where that was asked for, and otherwise sees that it is there.
pub(crate) fn is_current(name: &str, made: &str) {
    if std::env::var("NIX_PRUNE_TEST_SAFETY").is_ok_and(|what| what == "write") {
        let _writing = WRITING.lock().unwrap();
        let mut text = fs::read_to_string(document()).unwrap();
        let (begin, end) = section(&text, name);
        text.replace_range(begin..end, made);
        return fs::write(document(), text).unwrap();
    }
    assert_eq!(
        table(name),
        made,
        "docs/safety.md is out of date; its first lines say how to write it anew"
    );
}

/// The rows of the tables that name tests in their last column, and these names.
fn promised(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut rows = Vec::new();
    let mut names_tests = false;
    let mut before = "";
    for line in text.lines() {
        let cells = line
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix(" |"));
        let last = cells.and_then(|cells| cells.rsplit(" | ").next());
        match last {
            None => names_tests = false,
            Some(_) if before.is_empty() => {
                names_tests = matches!(last, Some("held by" | "test"));
            }
            Some(last) if names_tests && !last.starts_with("---") => {
                rows.push((line, last.split('`').skip(1).step_by(2).collect()));
            }
            Some(_) => {}
        }
        before = line;
    }
    rows
}

fn sources(dir: &Utf8Path, text: &mut String) {
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension() == Some("rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The names of all tests: functions with an attribute of a test above them, others between them or not.
fn tests() -> BTreeSet<String> {
    let mut text = String::new();
    for dir in ["src", "tests/suite"] {
        sources(
            &Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(dir),
            &mut text,
        );
    }
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[rstest]") {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            if is_test {
                tests.extend(rest.split('(').next().map(str::to_string));
            }
            is_test = false;
        }
    }
    tests
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let security = document().with_file_name("../SECURITY.md");
    let documents = [document(), security].map(|path| fs::read_to_string(path).unwrap());
    let promised: Vec<_> = documents.iter().map(|text| promised(text)).collect();
    let counts: Vec<_> = promised.iter().map(Vec::len).collect();
    assert!(counts[0] > 40 && counts[1] > 20, "only {counts:?} promises");
    let promised = promised.into_iter().flatten();
    let tests = tests();
    for (row, names) in promised {
        assert!(!names.is_empty(), "{row} names no test");
        for name in names {
            assert!(tests.contains(name), "there is no test {name}: {row}");
        }
    }
}
