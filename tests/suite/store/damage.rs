//! A database that is known to be damaged: nothing is collected by it, and it is said how to mend it.

use std::fs;

use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Nix, nixes, run, time, with_each_nix};

/// A store with a profile of one generation and the library that it needs, both alive, and something dead.
fn machine(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let library = scratch.add_path("library-1.0", &[], 2_000).unwrap();
    let system = scratch.add_path("system-1", &[&library], 1_000).unwrap();
    scratch.add_path("dead-1.0", &[&library], 2_000).unwrap();
    let profile = scratch.state_dir().join("profiles/system");
    scratch
        .set_profile(&profile, &system, time("2025-01-01T00:00:00Z"))
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(25));
    scratch
}

fn sql(scratch: &Scratch, statement: &str) {
    let db = scratch.state_dir().join("db/db.sqlite");
    let connection = Connection::open(db).unwrap();
    connection
        .pragma_update(None, "foreign_keys", "off")
        .unwrap();
    connection.execute_batch(statement).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))
        .unwrap();
    connection.close().unwrap();
}

/// Spoils the first page of an index or table.
fn spoil(scratch: &Scratch, tree: &str, is_noise: bool) {
    sql(scratch, "");
    let database = scratch.state_dir().join("db/db.sqlite");
    crate::database::damage::spoil(&database, tree, is_noise);
}

fn harm(scratch: &Scratch, harm: &str) {
    match harm {
        "no database" => {
            sql(scratch, "");
            let file = scratch.state_dir().join("db/db.sqlite");
            fs::write(file, "nothing of the kind\n".repeat(500)).unwrap();
        }
        "cut off" => {
            sql(scratch, "");
            let file = scratch.state_dir().join("db/db.sqlite");
            let file = fs::File::options().write(true).open(file).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length - 4096).unwrap();
        }
        other => match other.split_once(": ") {
            Some(("empty", tree)) => spoil(scratch, tree, false),
            Some(("noise", tree)) => spoil(scratch, tree, true),
            _ => sql(scratch, other),
        },
    }
}

fn assert_alive(scratch: &Scratch) {
    let names = scratch.store().as_path().read_dir_utf8().unwrap();
    let names: Vec<String> = names.map(|e| e.unwrap().file_name().to_string()).collect();
    for name in ["library-1.0", "system-1", "dead-1.0"] {
        assert!(names.iter().any(|n| n.ends_with(name)), "{name}: {names:?}");
    }
}

#[rstest]
#[case::no_database("no database")]
#[case::cut_off("cut off")]
#[case::paths_found_by_nobody("empty: sqlite_autoindex_ValidPaths_1")]
#[case::referrers_found_by_nobody("empty: IndexReference")]
#[case::references_found_by_nobody("empty: IndexReferrer")]
#[case::paths_lost("empty: ValidPaths")]
#[case::references_lost("empty: Refs")]
#[case::noise("noise: Refs")]
#[case::noise_in_an_index("noise: IndexReference")]
#[case::no_table("DROP TABLE Refs")]
#[case::bytes("UPDATE ValidPaths SET path = CAST(path AS BLOB) WHERE path LIKE '%library%'")]
#[case::an_escape("UPDATE ValidPaths SET path = path || char(27) WHERE path LIKE '%library%'")]
#[case::no_path("UPDATE ValidPaths SET path = path || '/x' WHERE path LIKE '%library%'")]
#[case::a_size("UPDATE ValidPaths SET narSize = 'abc' WHERE path LIKE '%library%'")]
#[case::a_reference_to_nothing("UPDATE Refs SET reference = 4711")]
#[case::a_referrer_that_is_nothing("INSERT INTO Refs SELECT 4711, id FROM ValidPaths")]
#[case::an_output_of_nothing(
    "INSERT INTO DerivationOutputs SELECT 4711, 'out', path FROM ValidPaths LIMIT 1"
)]
fn nothing_is_collected_by_a_damaged_database(#[case] how: &str) {
    // Nix is not asked: the database is the same to all of them.
    let Some(nix) = nixes().last() else { return };
    let scratch = machine(nix);
    harm(&scratch, how);
    for method in ["auto", "selective", "full"] {
        let ran = run(
            &scratch,
            &["run", "--yes", "--json", "--collect-method", method],
        );
        assert_ne!(ran.status, 0, "{method}: {} {}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("store.damaged") || ran.stdout.contains("damaged"),
            "{method}: {} {}",
            ran.stdout,
            ran.stderr
        );
        assert_alive(&scratch);
    }
    let doctor = run(&scratch, &["doctor", "--json"]);
    assert_eq!(doctor.status, 1, "{}", doctor.stdout);
    let document: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| {
        check["state"] == "error"
            && check["message"]
                .as_str()
                .is_some_and(|m| m.contains("store.damaged"))
    });
    let hint = check.unwrap_or_else(|| panic!("{document}"))["hint"].as_str();
    assert!(hint.is_some_and(|hint| hint.contains("backup")), "{hint:?}");
}

/// What only cannot be read is left to Nix, as before.
#[test]
fn a_database_that_cannot_be_read_is_no_damaged_one() {
    let Some(nix) = nixes().last() else {
        return;
    };
    let scratch = machine(nix);
    let schema = scratch.state_dir().join("db/schema");
    fs::write(&schema, "11").unwrap();
    let plan = run(&scratch, &["plan", "--json"]);
    assert_eq!(plan.status, 0, "{}", plan.stderr);
    assert!(!plan.stdout.contains("store.damaged"), "{}", plan.stdout);
    let doctor = run(&scratch, &["doctor"]);
    assert!(doctor.stdout.contains("schema `11`"), "{}", doctor.stdout);
    assert!(
        !doctor.stdout.contains("store.damaged"),
        "{}",
        doctor.stdout
    );
}

/// Who knows better lets it pass, and Nix then tells by itself what is dead.
#[test]
fn damage_can_be_let_pass() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        // A number that Nix takes for 0.
        harm(
            &scratch,
            "UPDATE ValidPaths SET narSize = 'abc' WHERE path LIKE '%library%'",
        );
        let args = ["run", "--yes", "--json", "--accept", "store.damaged"];
        let ran = run(&scratch, &args);
        assert_eq!(ran.status, 0, "{} {}", ran.stdout, ran.stderr);
        let receipt: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(receipt["acceptedChecks"][0]["code"], "store.damaged");
        let names = scratch.store().as_path().read_dir_utf8().unwrap();
        let names: Vec<String> = names.map(|e| e.unwrap().file_name().to_string()).collect();
        assert!(!names.iter().any(|n| n.ends_with("dead-1.0")), "{names:?}");
        assert!(
            names.iter().any(|n| n.ends_with("library-1.0")),
            "{names:?}"
        );
    });
}

/// A later Nix may record outputs in a table that is not known: then nobody knows what `keep-outputs` keeps.
#[test]
fn outputs_in_a_form_that_is_not_known_are_doubted_where_they_are_kept() {
    let Some(nix) = nixes().last() else { return };
    let scratch = machine(nix);
    sql(
        &scratch,
        "CREATE TABLE BuildTraceV99 (id INTEGER PRIMARY KEY); INSERT INTO BuildTraceV99 VALUES (1)",
    );
    let conf = scratch.base().join("etc/nix.conf");
    let text = fs::read_to_string(&conf).unwrap();
    for keep in [true, false] {
        fs::write(&conf, format!("{text}keep-outputs = {keep}\n")).unwrap();
        let ran = run(&scratch, &["dead", "--json"]);
        assert_eq!(
            ran.stdout.contains("in an unknown format"),
            keep,
            "{}",
            ran.stdout
        );
        // Nothing is chosen by name then.
        let by_name = ["run", "--yes", "--collect-method", "selective"];
        assert_eq!(run(&scratch, &by_name).status == 0, !keep);
        let dead = scratch.path_named("dead-1.0").unwrap();
        assert_eq!(dead.to_absolute_path(scratch.store()).exists(), keep);
    }
}
