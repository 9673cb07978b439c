//! Outputs that only realisations record.

use std::collections::BTreeSet;

use rstest::rstest;

use super::{Fixture, StoreData};

const REALISATIONS: &str = "CREATE TABLE Realisations (id INTEGER PRIMARY KEY, drvPath TEXT NOT NULL, outputName TEXT NOT NULL,
    outputPath INTEGER NOT NULL, signatures TEXT);";

/// A path whose hash is a number.
fn path(id: u32, name: &str) -> String {
    format!(
        "INSERT INTO ValidPaths VALUES ({id}, '/nix/store/{id:032}-{name}', 'sha256:0', 1000, NULL, 100, NULL, NULL, NULL);"
    )
}

fn realisation(output: &str, path: u32) -> String {
    format!("INSERT INTO Realisations VALUES (NULL, 'sha256:ab', '{output}', {path}, NULL);")
}

/// The outputs by the numbers of their derivations and their own, and whether there may be more.
fn read(statements: &[String]) -> (BTreeSet<(i64, i64)>, bool) {
    let fixture = Fixture::quiet();
    let writer = fixture.writer();
    writer.execute_batch(&statements.join("\n")).unwrap();
    writer.close().unwrap();
    let (StoreData { outputs, .. }, summary) = fixture.read().unwrap();
    let number = |name: &str| name[..32].parse::<i64>().unwrap();
    let outputs = outputs.iter().map(|(drv, output)| (*drv, number(output)));
    (outputs.collect(), summary.unknown_outputs)
}

#[test]
fn every_derivation_of_the_name_has_them_but_one_with_an_output_of_its_own() {
    let all = [
        REALISATIONS.to_string(),
        // Two of one name, as an original and a resolved one.
        path(10, "a-1.0.drv"),
        path(11, "a-1.0.drv"),
        // One whose outputs are known: it is not content-addressed.
        path(12, "a-1.0.drv"),
        path(13, "b-1.0.drv"),
        path(20, "a-1.0"),
        path(21, "a-1.0-dev"),
        path(22, "a-1.0-dev"),
        "INSERT INTO DerivationOutputs VALUES (12, 'out', '/nix/store/00000000000000000000000000000099-a-1.0');".into(),
        "INSERT INTO DerivationOutputs VALUES (12, 'dev', '/nix/store/00000000000000000000000000000098-a-1.0-dev');".into(),
        realisation("out", 20),
        realisation("dev", 21),
        realisation("dev", 22),
        realisation("dev", 22),
    ];
    let both = [10, 11]
        .into_iter()
        .flat_map(|drv| [(drv, 20), (drv, 21), (drv, 22)]);
    let expected = both.chain([(12, 99), (12, 98)]).collect();
    assert_eq!(read(&all), (expected, false));
}

#[rstest]
#[case::nothing(REALISATIONS, false)]
#[case::none("", false)]
#[case::later(
    "CREATE TABLE BuildTraceV3 (id INTEGER PRIMARY KEY, drvPath TEXT);",
    false
)]
#[case::later_with_rows(
    "CREATE TABLE BuildTraceV3 (id INTEGER PRIMARY KEY, drvPath TEXT); INSERT INTO BuildTraceV3 VALUES (1, 'x');",
    true
)]
#[case::of_another_form(
    "CREATE TABLE Realisations (id INTEGER PRIMARY KEY); INSERT INTO Realisations VALUES (1);",
    true
)]
fn a_form_that_is_not_known_is_told(#[case] tables: &str, #[case] unknown: bool) {
    assert_eq!(read(&[tables.to_string()]), (BTreeSet::new(), unknown));
}

#[test]
fn an_output_whose_name_tells_no_derivation_is_told() {
    let all = [
        REALISATIONS.to_string(),
        path(20, "a-1.0"),
        realisation("dev", 20),
    ];
    assert_eq!(read(&all), (BTreeSet::new(), true));
}
