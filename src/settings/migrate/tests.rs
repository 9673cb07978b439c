//! Steps from version to version: made up ones, and the real one.

use jsonc_parser::cst::ObjectPropName;
use rstest::rstest;

use super::*;
use crate::settings::Code;

/// `window` became `undoWindow`.
fn rename(settings: &CstObject) {
    let name = settings.get("window").and_then(|window| window.name());
    if let Some(ObjectPropName::String(name)) = name {
        name.set_raw_value("\"undoWindow\"".to_string());
    }
}

/// A switch that was off unless it was said is on now.
fn keep_off(settings: &CstObject) {
    if settings.get("safeMode").is_none() {
        settings.append("safeMode", CstInputValue::Bool(false));
    }
}

const MADE_UP: [Step; 2] = [
    Step {
        about: "`window` is called `undoWindow` now.",
        edit: rename,
    },
    Step {
        about: "`safeMode` is on where nothing is said, so that it is switched off by name.",
        edit: keep_off,
    },
];

const OLD: &str =
    "{\n    \"window\" : \"9d\",\n\n    \"version\": 1,\n  \"z\": [ 1,2 ], \"a\": 1e3\n}\n";

fn nothing_wrong(_: &str) -> Vec<Finding> {
    Vec::new()
}

/// Every older version, migrated to the current one.
#[rstest]
#[case::both_steps(1, OLD)]
#[case::the_last_step(
    2,
    "{\n    \"undoWindow\" : \"9d\",\n\n    \"version\": 2,\n  \"z\": [ 1,2 ], \"a\": 1e3\n}\n"
)]
fn each_step_leads_to_the_next_version(#[case] version: i64, #[case] text: &str) {
    let Ok(Migration::Older {
        from,
        to,
        text,
        steps,
    }) = along(&MADE_UP, text, &nothing_wrong)
    else {
        unreachable!("there are steps ahead");
    };
    assert_eq!((from, to), (version, 3));
    let left = &MADE_UP[usize::try_from(version).unwrap() - 1..];
    assert_eq!(
        steps,
        left.iter().map(|step| step.about).collect::<Vec<_>>()
    );
    // Keys and blanks of which no step says anything stay where they are, and as they are written.
    assert_eq!(
        text,
        "{\n    \"undoWindow\" : \"9d\",\n\n    \"version\": 3,\n  \"z\": [ 1,2 ], \"a\": 1e3,\n    \"safeMode\": false\n}\n"
    );
    assert_eq!(
        along(&MADE_UP, &text, &nothing_wrong).unwrap(),
        Migration::Current
    );
}

#[test]
fn the_present_version_stays_whatever_else_is_there() {
    let text = r#"{"version": 3, "window": "not looked at", "x": {}}"#;
    let wrong = |_: &str| unreachable!("it is not for us to check");
    assert_eq!(along(&MADE_UP, text, &wrong).unwrap(), Migration::Current);
}

#[rstest]
#[case::newer(r#"{"version": 4}"#, Code::VersionNewer)]
#[case::before_the_first(r#"{"version": 0}"#, Code::VersionOlder)]
#[case::negative(r#"{"version": -1}"#, Code::VersionOlder)]
#[case::beyond_all_numbers(r#"{"version": 99999999999999999999}"#, Code::WrongType)]
#[case::twice(r#"{"version": 1, "version": 2}"#, Code::DuplicateKey)]
#[case::anything_twice(r#"{"version": 1, "x": {"a": 1, "a": 2}}"#, Code::DuplicateKey)]
#[case::absent("{}", Code::VersionMissing)]
#[case::no_number(r#"{"version": "1"}"#, Code::WrongType)]
#[case::no_object("[1]", Code::WrongType)]
#[case::no_json(r#"{"version": 1,}"#, Code::Syntax)]
fn a_version_that_is_not_understood_is_said(#[case] text: &str, #[case] code: Code) {
    let check = |text: &str| Report::of(text, Platform::Linux, OutOfRange::Refuse).findings;
    let error = along(&MADE_UP, text, &check).unwrap_err();
    let codes: Vec<Code> = error.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&code), "{codes:?}");
    assert!(error.findings.iter().all(|finding| finding.line == Some(1)));
    assert_eq!(error.text, text);
}

#[test]
fn what_comes_out_must_be_valid() {
    let check = |text: &str| Report::of(text, Platform::Linux, OutOfRange::Refuse).findings;
    let error = along(&MADE_UP, OLD, &check).unwrap_err();
    assert!(
        error.text.contains("undoWindow"),
        "the findings are about the new text"
    );
    assert!(
        error
            .findings
            .iter()
            .any(|finding| finding.code == Code::VersionNewer)
    );
}

#[test]
fn settings_of_today_are_of_the_present_version() {
    for preset in crate::settings::Preset::ALL {
        assert_eq!(
            migrate(preset.text(), Platform::Linux).unwrap(),
            Migration::Current
        );
    }
}

#[test]
fn an_older_version_is_told_how_to_be_brought_forward() {
    let told = |found| refused(found, 3).map(|f| (f.message, f.hint));
    assert_eq!(told(3), None);
    let (message, hint) = told(2).unwrap();
    assert_eq!(
        message,
        "the settings have version 2; this nix-prune supports version 3"
    );
    assert_eq!(hint, "run `nix-prune config migrate` to update the file");
    let (message, hint) = told(0).unwrap();
    assert_eq!(
        message,
        "there is no version 0 of the settings; version 1 is the first"
    );
    assert_eq!(hint, "write 3");
}

const OLDER: [&str; 3] = [
    include_str!("../../../tests/fixtures/settings/version-1/good/words.json"),
    include_str!("../../../tests/fixtures/settings/version-1/good/full.json"),
    include_str!("../../../tests/fixtures/settings/version-1/good/many-jobs.json"),
];

#[test]
fn version_1_means_the_same_before_and_after_its_migration() {
    let meaning = |text: &str| {
        let report = Report::of(text, Platform::Linux, OutOfRange::Refuse);
        let settings = report.settings.unwrap();
        let jobs: Vec<String> = settings.jobs().map(|job| format!("{job:?}")).collect();
        let older = report.findings.iter().any(|f| f.code == Code::VersionOlder);
        (jobs, older)
    };
    for old in OLDER {
        let Migration::Older { text, from, to, .. } = migrate(old, Platform::Linux).unwrap() else {
            panic!("{old}");
        };
        assert_eq!((from, to), (1, 2));
        let (before, after) = (meaning(old), meaning(&text));
        assert_eq!(before.0, after.0);
        assert!(before.1 && !after.1);
        assert_eq!(migrate(&text, Platform::Linux).unwrap(), Migration::Current);
    }
    let Migration::Older { text, .. } = migrate(OLDER[0], Platform::Linux).unwrap() else {
        unreachable!("it is older");
    };
    for new in [
        "1h30min",
        "\"4096B\"",
        "\"53687091200B\"",
        "90min",
        "\"full\"",
    ] {
        assert!(text.contains(new), "{text}");
    }
    for gone in ["refreshBootMenu", "whole"] {
        assert!(!text.contains(gone), "{text}");
    }
}
