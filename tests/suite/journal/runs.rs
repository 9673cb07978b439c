use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::survey::PreviousRuns;
use nix_prune::domain::receipt::{Outcome, Receipt, RunId, RunKind};
use nix_prune::ports::{JournalError, RunJournal};
use rstest::rstest;

use super::{SECOND, is_root, names, receipt, scratch, time};

const V1: &str = include_str!("../../fixtures/receipts/v1.json");

#[test]
fn reading_makes_nothing() {
    let (_guard, around, journal) = scratch();
    assert_eq!(journal.receipts().unwrap(), []);
    assert_eq!(journal.holds_in(&receipt(time(SECOND)).store).unwrap(), []);
    assert_eq!(journal.pins().unwrap(), []);
    let run = RunId::at(time(SECOND), 1);
    let error = journal.receipt(&run).unwrap_err();
    assert_eq!(error.to_string(), "no such run: 20261122T221644Z");
    assert!(names(&around).is_empty());
}

#[test]
fn a_run_is_recorded_and_recalled() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let mut first = receipt(time(SECOND));
    journal.begin(&lock, &mut first).unwrap();
    assert_eq!(first.run.as_str(), "20261122T221644Z");
    assert_eq!(journal.receipt(&first.run).unwrap(), first);
    first.finished_at = Some(time(SECOND + 5));
    journal.record(&lock, &first).unwrap();
    assert_eq!(journal.receipts().unwrap(), [first]);
    // What Nix said in them may be for their owner alone.
    let path = journal.dir().join("runs/20261122T221644Z.json");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{path}");
}

#[test]
fn no_run_takes_the_name_of_another() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let mut runs = Vec::new();
    for _ in 0..3 {
        let mut receipt = receipt(time(SECOND));
        journal.begin(&lock, &mut receipt).unwrap();
        runs.push(receipt.run.to_string());
    }
    let stem = "20261122T221644Z";
    assert_eq!(
        runs,
        [stem.to_string(), format!("{stem}-2"), format!("{stem}-3")]
    );
    // A run whose record was removed by hand and whose links are still there.
    fs::create_dir_all(journal.holds_dir().join(format!("{stem}-4"))).unwrap();
    let mut receipt = receipt(time(SECOND));
    journal.begin(&lock, &mut receipt).unwrap();
    assert_eq!(receipt.run.to_string(), format!("{stem}-5"));
    assert_eq!(journal.receipts().unwrap().len(), 4);
}

#[test]
fn runs_come_back_from_the_oldest() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    for second in [SECOND, SECOND - 100_000_000, SECOND, SECOND + 1] {
        journal.begin(&lock, &mut receipt(time(second))).unwrap();
    }
    let receipts = journal.receipts().unwrap();
    let runs: Vec<_> = receipts.iter().map(|r| r.run.as_str()).collect();
    assert_eq!(
        runs,
        [
            "20230922T123004Z",
            "20261122T221644Z",
            "20261122T221644Z-2",
            "20261122T221645Z"
        ]
    );
}

fn put(journal: &Journal, name: &str, text: &[u8]) {
    let runs = journal.dir().join("runs");
    fs::create_dir_all(&runs).unwrap();
    for dir in [journal.dir(), &runs] {
        fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    }
    let path = runs.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
}

#[rstest]
#[case("\"run\"", RunKind::Run)]
#[case("\"apply\"", RunKind::Apply)]
#[case("{ \"undo\": \"20261122T221644Z\" }", RunKind::Undo(RunId::try_from("20261122T221644Z".to_string()).unwrap()))]
#[case("\"release\"", RunKind::Release)]
fn receipts_of_the_first_form_are_still_read(#[case] text: &str, #[case] kind: RunKind) {
    let (_guard, _around, journal) = scratch();
    let document = V1.replace("\"kind\": \"run\"", &format!("\"kind\": {text}"));
    put(&journal, "20261122T221644Z-2.json", document.as_bytes());
    let receipt = journal.receipts().unwrap().remove(0);
    assert_eq!(receipt.kind, kind);
    assert!(receipt.is_interrupted());
    assert_eq!(receipt.entries.len(), 9);
    let outcomes = [
        Outcome::Pending,
        Outcome::Done,
        Outcome::Stale,
        Outcome::Failed,
        Outcome::Skipped,
    ];
    assert_eq!(outcomes.map(|o| receipt.count(o)), [4, 2, 1, 1, 1]);
    assert_eq!(receipt.bytes.measured, Some(-4096));
    assert_eq!(receipt.undoable().count(), 1);
    // Nothing of it is lost when it is written anew.
    let renamed = document
        .replace("receipt/1", "receipt/2")
        .replace("dropGeneration", "removeGeneration")
        .replace("\"kept\"", "\"held\"");
    let mut before: serde_json::Value = serde_json::from_str(&renamed).unwrap();
    before["budget"] = serde_json::Value::Null;
    before["bootMenu"] = serde_json::Value::Null;
    before["size"] = serde_json::Value::Null;
    before["stopped"] = false.into();
    before["acceptedChecks"] = serde_json::json!([]);
    before["failedChecks"] = serde_json::json!([]);
    before["bytes"]["predictedAtMost"] = false.into();
    before["entries"][4]["action"]["method"] = "auto".into();
    assert_eq!(serde_json::to_value(&receipt).unwrap(), before);
}

#[rstest]
#[case::empty("a.json", b"")]
#[case::foreign("notes.json", b"{}")]
#[case::not_utf8("a.json", b"\"\xe4\"")]
#[case::under_another_name("20261122T221644Z.json", V1.as_bytes())]
#[case::not_a_name_of_a_run("a b.json", V1.as_bytes())]
#[case::deep("a.json", b"[[[[[[[[[[")]
fn a_record_that_is_none_is_named(#[case] name: &str, #[case] text: &[u8]) {
    let (_guard, _around, journal) = scratch();
    put(&journal, name, text);
    for error in [
        journal.receipts().unwrap_err(),
        journal.holds_in(&receipt(time(SECOND)).store).unwrap_err(),
    ] {
        let JournalError::Malformed { path, .. } = error else {
            panic!("{error}");
        };
        assert!(path.ends_with(name), "{path}");
    }
}

#[test]
fn a_record_cut_off_anywhere_is_named() {
    let (_guard, _around, journal) = scratch();
    let whole = V1.trim_end().len();
    for end in (0..whole).step_by(97).chain([whole - 1]) {
        put(&journal, "20261122T221644Z-2.json", &V1.as_bytes()[..end]);
        let error = journal.receipts().unwrap_err();
        assert!(
            matches!(error, JournalError::Malformed { .. }),
            "{end}: {error}"
        );
    }
}

#[test]
fn foreign_names_are_passed_over() {
    let (_guard, _around, journal) = scratch();
    put(&journal, "20261122T221644Z-2.json", V1.as_bytes());
    for name in [".nix-prune-tmp-abc", "a.json~", "README", "a.json.swp"] {
        put(&journal, name, b"?");
    }
    assert_eq!(journal.receipts().unwrap().len(), 1);
}

#[test]
fn records_that_are_no_files_are_refused() {
    let (_guard, _around, journal) = scratch();
    put(&journal, "elsewhere", V1.as_bytes());
    let at = journal.dir().join("runs/20261122T221644Z-2.json");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(at.as_std_path(), mode).unwrap();
    assert!(matches!(journal.receipts(), Err(JournalError::Read { .. })));
    fs::remove_file(&at).unwrap();
    symlink("elsewhere", &at).unwrap();
    assert!(matches!(journal.receipts(), Err(JournalError::Read { .. })));
}

#[test]
fn a_journal_that_is_away_is_not_an_empty_one() {
    let (_guard, around, journal) = scratch();
    symlink("not-mounted", around.join("state")).unwrap();
    assert!(matches!(journal.receipts(), Err(JournalError::Read { .. })));
    assert!(matches!(journal.pins(), Err(JournalError::Read { .. })));
    assert!(matches!(
        journal.holds_in(&receipt(time(SECOND)).store),
        Err(JournalError::Read { .. })
    ));
    assert!(matches!(journal.lock(), Err(JournalError::Write { .. })));
    fs::create_dir(around.join("not-mounted")).unwrap();
    fs::set_permissions(around.join("not-mounted"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(journal.receipts().unwrap(), Vec::<Receipt>::new());
    journal.lock().unwrap();
}

#[test]
fn root_does_not_believe_what_others_could_have_written() {
    let (_guard, _around, journal) = scratch();
    put(&journal, "20261122T221644Z-2.json", V1.as_bytes());
    let pins = journal.dir().join("pins.json");
    fs::write(&pins, r#"{"schema":"nix-prune/pins/1","pins":[]}"#).unwrap();
    fs::set_permissions(&pins, Permissions::from_mode(0o644)).unwrap();
    let check = |what: &str, mode: u32| {
        let path = journal.dir().join(what);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = [
            matches!(journal.receipts(), Err(JournalError::Untrusted { .. })),
            matches!(journal.pins(), Err(JournalError::Untrusted { .. })),
            matches!(journal.lock(), Err(JournalError::Untrusted { .. })),
        ];
        fs::set_permissions(&path, before).unwrap();
        refused
    };
    let root = is_root();
    assert_eq!(check("", 0o777), [root, root, root]);
    assert_eq!(check("", 0o1777), [root, root, root]);
    assert_eq!(check("runs", 0o775), [root, false, false]);
    assert_eq!(
        check("runs/20261122T221644Z-2.json", 0o666),
        [root, false, false]
    );
    assert_eq!(check("pins.json", 0o664), [false, root, false]);
    journal.receipts().unwrap();
}

#[test]
fn a_relative_place_is_refused() {
    let journal = Journal::at("state".into());
    assert!(matches!(
        journal.lock(),
        Err(JournalError::Untrusted { .. })
    ));
    assert!(!camino::Utf8Path::new("state").exists());
}
