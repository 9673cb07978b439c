use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::journal::{Journal, PinRecord};
use nix_prune::adapters::survey::PreviousRuns;
use nix_prune::domain::profile::{GenerationNumber, ProfilePath};
use nix_prune::domain::store_path::StoreDir;
use nix_prune::ports::{JournalError, RunJournal};
use rstest::rstest;
use serde_json::json;

use super::{SECOND, scratch, time};

const FILE: &str = ".local/state/nix-prune/pins.json";

fn pin(number: u32, reason: Option<&str>) -> PinRecord {
    PinRecord {
        profile: profile(),
        number: GenerationNumber(number),
        reason: reason.map(str::to_string),
        until: None,
        created: time(SECOND),
    }
}

fn profile() -> ProfilePath {
    ProfilePath::new(Utf8Path::new("/nix/var/nix/profiles/system")).unwrap()
}

#[test]
fn pins_come_and_go_and_say_whether_anything_changed() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let number = GenerationNumber(4);
    assert!(!journal.remove_pin(&lock, &profile(), number).unwrap());
    assert!(!journal.dir().join("pins.json").exists());
    assert!(journal.add_pin(&lock, pin(4, Some("good"))).unwrap());
    let later = PinRecord {
        created: time(SECOND + 9),
        ..pin(4, Some("good"))
    };
    assert!(!journal.add_pin(&lock, later).unwrap());
    assert!(journal.add_pin(&lock, pin(4, Some("better"))).unwrap());
    let until = PinRecord {
        until: Some(time(SECOND + 99)),
        ..pin(3, None)
    };
    assert!(journal.add_pin(&lock, until.clone()).unwrap());
    assert_eq!(
        journal.pin_records().unwrap(),
        [until, pin(4, Some("better"))]
    );
    let pins = journal.pins().unwrap();
    assert_eq!(pins[0].until, Some(time(SECOND + 99)));
    assert_eq!(pins[1].reason.as_deref(), Some("better"));
    assert!(journal.remove_pin(&lock, &profile(), number).unwrap());
    assert!(!journal.remove_pin(&lock, &profile(), number).unwrap());
    assert_eq!(journal.pins().unwrap().len(), 1);
}

fn document(pins: &serde_json::Value) -> String {
    json!({ "schema": "nix-prune/pins/1", "pins": pins }).to_string()
}

fn one(reason: &str) -> serde_json::Value {
    json!({ "profile": "/p/x", "number": 1, "reason": reason, "until": null, "created": time(SECOND) })
}

#[rstest]
#[case::cut_off("{\"schema\":\"nix-prune/pins/1\",\"pins\":[".to_string())]
#[case::other_version(json!({ "schema": "nix-prune/pins/2", "pins": [] }).to_string())]
#[case::unknown_key(json!({ "schema": "nix-prune/pins/1", "pins": [], "more": 1 }).to_string())]
#[case::unknown_key_of_a_pin(document(&json!([{ "profile": "/p/x", "number": 1, "created": time(0), "from": 1 }])))]
#[case::relative_profile(document(&json!([{ "profile": "x", "number": 1, "created": time(0) }])))]
#[case::negative(document(&json!([{ "profile": "/p/x", "number": -1, "created": time(0) }])))]
fn pins_that_are_none_are_named_and_not_overwritten(#[case] text: String) {
    let (_guard, around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let path = journal.dir().join("pins.json");
    fs::write(&path, &text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(
        matches!(journal.pins(), Err(JournalError::Malformed { path, .. }) if path.ends_with("pins.json"))
    );
    journal.add_pin(&lock, pin(1, None)).unwrap_err();
    journal
        .remove_pin(&lock, &profile(), GenerationNumber(1))
        .unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let (home, uid) = home_with(&around, &text);
    let error = journal.pins_of_user(&home, uid).unwrap_err();
    assert!(matches!(error, JournalError::Malformed { .. }), "{error}");
}

/// A home with a pins file, and whose it is.
fn home_with(around: &Utf8Path, text: &str) -> (Utf8PathBuf, u32) {
    let home = around.join("home");
    let path = home.join(FILE);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let uid = fs::metadata(&path).unwrap().uid();
    (home, uid)
}

#[test]
fn another_users_pins_are_read() {
    let (_guard, around, journal) = scratch();
    let (home, uid) = home_with(&around, &document(&json!([one("mine")])));
    let pins = journal.pins_of_user(&home, uid).unwrap();
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0].reason.as_deref(), Some("mine"));
    assert!(!journal.dir().exists());
    // The home itself may be a link: the machine's list of users says so, not the user.
    symlink("home", around.join("alias")).unwrap();
    assert_eq!(
        journal.pins_of_user(&around.join("alias"), uid).unwrap(),
        pins
    );
}

#[rstest]
#[case("")]
#[case(".local")]
#[case(".local/state")]
#[case(".local/state/nix-prune")]
#[case(FILE)]
fn absent_steps_are_no_pins_and_links_are_refused(#[case] step: &str) {
    let (_guard, around, journal) = scratch();
    let (home, uid) = home_with(&around, &document(&json!([one("mine")])));
    let (path, away) = (home.join(step), around.join("away"));
    fs::rename(&path, &away).unwrap();
    assert_eq!(journal.pins_of_user(&home, uid).unwrap(), []);
    if !step.is_empty() {
        symlink(&away, &path).unwrap();
        let error = journal.pins_of_user(&home, uid).unwrap_err();
        assert!(matches!(error, JournalError::Untrusted { .. }), "{error}");
    }
}

fn replace_with(path: &Utf8Path, put: impl FnOnce(&Utf8Path)) {
    fs::remove_file(path).unwrap();
    put(path);
}

#[test]
fn another_users_file_is_not_believed_to_be_what_it_should_be() {
    let (_guard, around, journal) = scratch();
    let (home, uid) = home_with(&around, &document(&json!([])));
    let path = home.join(FILE);
    let error = |journal: &Journal, uid| journal.pins_of_user(&home, uid).unwrap_err();

    let wrong_owner = error(&journal, uid + 1);
    assert!(
        matches!(wrong_owner, JournalError::Untrusted { .. }),
        "{wrong_owner}"
    );

    replace_with(&path, |path| {
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o644);
        nix::unistd::mkfifo(path.as_std_path(), mode).unwrap();
    });
    let pipe = error(&journal, uid);
    assert!(matches!(pipe, JournalError::Untrusted { .. }), "{pipe}");

    replace_with(&path, |path| fs::create_dir(path).unwrap());
    let directory = error(&journal, uid);
    assert!(
        matches!(directory, JournalError::Untrusted { .. }),
        "{directory}"
    );

    fs::remove_dir(&path).unwrap();
    fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    let huge = error(&journal, uid);
    assert!(
        matches!(&huge, JournalError::Read { source, .. } if source.kind() == std::io::ErrorKind::FileTooLarge),
        "{huge}"
    );

    fs::write(&path, vec![b'['; 1 << 20]).unwrap();
    let deep = error(&journal, uid);
    assert!(matches!(deep, JournalError::Malformed { .. }), "{deep}");

    fs::write(&path, b"\xff").unwrap();
    let binary = error(&journal, uid);
    assert!(matches!(binary, JournalError::Read { .. }), "{binary}");
}

#[test]
fn another_users_words_cannot_steer_a_terminal() {
    let (_guard, around, journal) = scratch();
    let reason = format!("\u{1b}[2J\n\u{9b}1A{}", "x".repeat(1000));
    let (home, uid) = home_with(&around, &document(&json!([one(&reason)])));
    let shown = journal
        .pins_of_user(&home, uid)
        .unwrap()
        .remove(0)
        .reason
        .unwrap();
    assert!(!shown.chars().any(char::is_control));
    assert_eq!(shown.chars().count(), 200);
}

#[rstest]
#[case("/dev/null")]
#[case("/nonexistent")]
fn a_user_of_the_system_has_no_pins(#[case] home: &str) {
    let (_guard, _around, journal) = scratch();
    assert_eq!(journal.pins_of_user(Utf8Path::new(home), 0).unwrap(), []);
}

fn add(journal: &Journal, number: u32) {
    let lock = journal.lock().unwrap();
    journal.add_pin(&lock, pin(number, None)).unwrap();
}

/// The pins of the home count with another HOME; where they cannot be read nothing is done.
#[test]
fn pins_in_each_usual_directory_are_found() {
    let (_guard, around, journal) = scratch();
    let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
    let at_home = Journal::at(around.join("home"));
    let usual = vec![journal.dir().to_path_buf(), at_home.dir().to_path_buf()];
    let journal = journal.with_usual_directories(usual.clone());
    assert_eq!(journal.elsewhere(&BTreeSet::new(), &store).len(), 1);
    add(&journal, 1);
    add(&at_home, 2);
    let number = |journal: &Journal| {
        let mut others = journal.elsewhere(&BTreeSet::new(), &store);
        let other = others.pop().unwrap();
        assert!(others.is_empty());
        let pins = other.kept.unwrap().0;
        assert_eq!(pins.len(), 1);
        (pins[0].number.0, other.stops_run)
    };
    assert_eq!(number(&journal), (2, false));
    let away = Journal::at(around.join("away")).with_usual_directories(vec![usual[1].clone()]);
    assert_eq!(number(&away), (2, true));
    // By another name it is the same one.
    symlink(&usual[1], around.join("link")).unwrap();
    let linked = Journal::at(around.join("link")).with_usual_directories(vec![usual[1].clone()]);
    assert!(linked.elsewhere(&BTreeSet::new(), &store).is_empty());
    fs::write(at_home.dir().join("pins.json"), "{").unwrap();
    let others = journal.elsewhere(&BTreeSet::new(), &store);
    assert!(others[0].stops_run && others[0].kept.is_err());
}
