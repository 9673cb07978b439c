use std::fs;
use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::journal::{Journal, RunLock};
use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::receipt::{Entry, Outcome, Receipt, RunId};
use nix_prune::domain::snapshot::Snapshot;
use nix_prune::ports::{JournalError, RunJournal};
use rstest::rstest;
use serde_json::{Value, json};

use crate::plan::held;

use super::{SECOND, names, receipt, scratch, time};

const PATH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-nixos-system";
const UNTIL: i64 = SECOND + 7 * 86_400;

fn entry(action: &Value, outcome: Outcome, undo: &Value) -> Entry {
    serde_json::from_value(json!({
        "action": action, "risk": "high", "outcome": outcome, "at": null, "detail": null, "undo": undo,
        "undoneBy": null,
    }))
    .unwrap()
}

fn dropped(outcome: Outcome, hold: &Utf8Path) -> Entry {
    let action = json!({
        "kind": "dropGeneration", "profile": "/nix/var/nix/profiles/system", "profileKind": "system",
        "owner": { "uid": 0, "name": "root" }, "number": 41, "target": format!("/nix/store/{PATH}"),
        "storePath": PATH, "created": time(0), "current": 42, "hold": "7d",
    });
    let undo = json!({ "kind": "restoreGeneration", "hold": hold, "until": time(UNTIL) });
    entry(&action, outcome, &undo)
}

fn released(outcome: Outcome, run: &RunId, link: &Utf8Path) -> Entry {
    let action = json!({
        "kind": "releaseHold", "run": run, "link": link, "storePath": PATH,
        "profile": "/nix/var/nix/profiles/system", "number": 41, "until": time(UNTIL),
    });
    entry(&action, outcome, &Value::Null)
}

/// A store with one path in it, and a run in it that drops a generation of that path.
struct World {
    _guard: tempfile::TempDir,
    store: Utf8PathBuf,
    journal: Journal,
    lock: RunLock,
    receipt: Receipt,
    link: Utf8PathBuf,
}

impl World {
    fn with(outcome: Outcome) -> Self {
        let (guard, around, journal) = scratch();
        let store = around.join("store");
        fs::create_dir_all(store.join(PATH)).unwrap();
        let lock = journal.lock().unwrap();
        let mut receipt = receipt(time(SECOND));
        receipt.store = nix_prune::domain::store_path::StoreDir::new(&store).unwrap();
        journal.begin(&lock, &mut receipt).unwrap();
        let link = journal.hold_link(&lock, &receipt.run, 0).unwrap();
        receipt.entries.push(dropped(outcome, &link));
        journal.record(&lock, &receipt).unwrap();
        Self {
            _guard: guard,
            store,
            journal,
            lock,
            receipt,
            link,
        }
    }

    /// Whether each hold is intact.
    fn intact(&self) -> Vec<bool> {
        self.journal
            .holds_in(&self.receipt.store)
            .unwrap()
            .iter()
            .map(|h| h.intact)
            .collect()
    }

    fn link(&self, to: &Utf8Path) {
        symlink(to, &self.link).unwrap();
    }
}

#[test]
fn a_hold_says_what_it_holds() {
    let world = World::with(Outcome::Done);
    let run = &world.receipt.run;
    assert_eq!(
        world.link,
        world.journal.holds_dir().join(run.as_str()).join("0")
    );
    world.link(&world.store.join(PATH));
    let hold = world
        .journal
        .holds_in(&world.receipt.store)
        .unwrap()
        .remove(0);
    assert!(hold.intact);
    assert_eq!((&hold.run, &hold.link), (run, &world.link));
    assert_eq!(hold.store_path.to_string(), PATH);
    assert_eq!(hold.held, held("/nix/var/nix/profiles/system", 41));
    assert_eq!(hold.until, time(UNTIL));
}

#[rstest]
#[case::done(Outcome::Done, true)]
#[case::interrupted(Outcome::Pending, false)]
#[case::stale(Outcome::Stale, false)]
#[case::failed(Outcome::Failed, false)]
#[case::skipped(Outcome::Skipped, false)]
fn a_link_counts_whatever_became_of_the_run(#[case] outcome: Outcome, #[case] without_link: bool) {
    let world = World::with(outcome);
    assert_eq!(
        world.intact(),
        if without_link { vec![false] } else { vec![] }
    );
    world.link(&world.store.join(PATH));
    assert_eq!(world.intact(), [true]);
}

#[rstest]
#[case::another_path("{store}/00bgd045z0d4icpbc2yyz4gx48ak44la-other")]
#[case::below_the_path("{store}/{path}/bin")]
#[case::relative("../../../store/{path}")]
#[case::with_a_slash("{store}/{path}/")]
#[case::nowhere("/nowhere")]
fn a_link_that_leads_elsewhere_is_not_intact(#[case] target: &str) {
    let world = World::with(Outcome::Done);
    let target = target
        .replace("{store}", world.store.as_str())
        .replace("{path}", PATH);
    world.link(Utf8Path::new(&target));
    assert_eq!(world.intact(), [false]);
}

#[test]
fn a_hold_is_not_intact_without_its_path_or_as_a_file() {
    let world = World::with(Outcome::Done);
    world.link(&world.store.join(PATH));
    fs::remove_dir(world.store.join(PATH)).unwrap();
    assert_eq!(world.intact(), [false]);
    // A store path may be a link that leads nowhere.
    symlink("nowhere", world.store.join(PATH)).unwrap();
    assert_eq!(world.intact(), [true]);
    fs::remove_file(&world.link).unwrap();
    fs::write(&world.link, world.store.join(PATH).as_str()).unwrap();
    assert_eq!(world.intact(), [false]);
}

#[test]
fn what_was_undone_is_held_only_while_its_link_is_there() {
    let mut world = World::with(Outcome::Done);
    world.link(&world.store.join(PATH));
    world.receipt.entries[0].undone_by = Some(RunId::at(time(SECOND + 1), 1));
    world.journal.record(&world.lock, &world.receipt).unwrap();
    assert_eq!(world.intact(), [true]);
    fs::remove_file(&world.link).unwrap();
    assert_eq!(world.intact(), [] as [bool; 0]);
}

#[rstest]
#[case::done(Outcome::Done, true, false)]
#[case::pending(Outcome::Pending, true, true)]
#[case::failed(Outcome::Failed, true, true)]
#[case::of_another_link(Outcome::Done, false, true)]
fn a_release_ends_a_hold_when_it_is_done(
    #[case] outcome: Outcome,
    #[case] same_link: bool,
    #[case] listed: bool,
) {
    let world = World::with(Outcome::Done);
    let mut later = receipt(time(SECOND + 1));
    let link = if same_link {
        world.link.clone()
    } else {
        world.link.with_file_name("1")
    };
    later
        .entries
        .push(released(outcome, &world.receipt.run, &link));
    world.journal.begin(&world.lock, &mut later).unwrap();
    assert_eq!(world.intact().len(), usize::from(listed));
    // Whatever the record says: a link that is there keeps its path, and must be seen.
    world.link(&world.store.join(PATH));
    assert_eq!(world.intact(), [true]);
}

#[test]
fn a_removal_without_a_hold_is_none() {
    let mut world = World::with(Outcome::Done);
    world.receipt.entries[0].undo = None;
    world.journal.record(&world.lock, &world.receipt).unwrap();
    world.link(&world.store.join(PATH));
    assert_eq!(world.intact(), [] as [bool; 0]);
}

#[test]
fn a_link_that_cannot_be_looked_at_stops_the_list() {
    let world = World::with(Outcome::Pending);
    let dir = world.link.parent().unwrap();
    fs::remove_dir(dir).unwrap();
    fs::write(dir, "").unwrap();
    assert!(matches!(
        world.journal.holds_in(&world.receipt.store),
        Err(JournalError::Read { .. })
    ));
}

#[test]
fn a_link_in_the_place_of_the_directory_is_refused() {
    let world = World::with(Outcome::Pending);
    let dir = world.link.parent().unwrap();
    fs::remove_dir(dir).unwrap();
    symlink(&world.store, dir).unwrap();
    let made = world.journal.hold_link(&world.lock, &world.receipt.run, 0);
    assert!(matches!(made, Err(JournalError::Write { .. })));
}

#[test]
fn only_empty_directories_of_ended_runs_that_no_root_leads_into_are_removed() {
    let mut world = World::with(Outcome::Done);
    world.link(&world.store.join(PATH));
    let holds = world.journal.holds_dir();
    // Of a run without a record, and of none.
    for name in ["20200101T000000Z", "not a run"] {
        fs::create_dir(holds.join(name)).unwrap();
    }
    fs::write(holds.join("file"), "").unwrap();
    symlink(&world.store, holds.join("link")).unwrap();
    let run = world.receipt.run.to_string();
    let mut snapshot = crate::plan::snapshot(Vec::new());
    snapshot.store = world.receipt.store.clone();
    let left = |world: &World, snapshot: &Snapshot| {
        world
            .journal
            .record_baseline(&world.lock, snapshot, &world.receipt)
            .unwrap();
        names(&holds).contains(&run)
    };
    world.receipt.finished_at = Some(time(SECOND));
    world.journal.record(&world.lock, &world.receipt).unwrap();
    assert!(left(&world, &snapshot));
    assert_eq!(world.intact(), [true]);
    fs::remove_file(&world.link).unwrap();
    // The entry of the hold is still there, roots may be hidden, or the run is to be recovered.
    let mut entry = crate::plan::root("a");
    entry.link.clone_from(&world.link);
    snapshot.roots.push(entry);
    assert!(left(&world, &snapshot));
    snapshot.roots.clear();
    snapshot.blockers.push(Blocker::new(
        CheckCode::RootsUnreadable,
        String::new(),
        String::new(),
    ));
    assert!(left(&world, &snapshot));
    snapshot.blockers.clear();
    world.receipt.finished_at = None;
    world.journal.record(&world.lock, &world.receipt).unwrap();
    assert!(left(&world, &snapshot));
    world.receipt.finished_at = Some(time(SECOND));
    world.journal.record(&world.lock, &world.receipt).unwrap();
    assert!(!left(&world, &snapshot));
    assert_eq!(
        names(&holds),
        ["20200101T000000Z", "file", "link", "not a run"]
    );
}
