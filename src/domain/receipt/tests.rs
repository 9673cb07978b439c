use super::*;
use rstest::rstest;

#[rstest]
#[case("20261122T221644Z", true)]
#[case("20261122T221644Z-2", true)]
#[case("", false)]
#[case("../../etc/passwd", false)]
#[case("a.json", false)]
fn run_names_are_base_names(#[case] text: &str, #[case] valid: bool) {
    assert_eq!(RunId::try_from(text.to_string()).is_ok(), valid);
}

#[test]
fn runs_of_one_second_are_told_apart() {
    let time = Timestamp::from_unix(1_795_385_804, 0).unwrap();
    assert_eq!(RunId::at(time, 1).as_str(), "20261122T221644Z");
    assert_eq!(RunId::at(time, 2).as_str(), "20261122T221644Z-2");
    assert_eq!(RunId::at(time, 2).started(), Some(time));
    assert_eq!(
        RunId::try_from("by-hand".to_string()).unwrap().started(),
        None
    );
}

fn receipt(entries: Vec<Entry>, paths: Option<u64>) -> Receipt {
    let receipt = serde_json::json!({
        "schema": "nix-prune/receipt/2", "run": "20261122T221644Z", "kind": "run", "job": null,
        "toolVersion": "1", "nixVersion": "2.34", "machine": "m", "store": "/nix/store",
        "startedAt": "2026-11-22T22:16:44Z", "finishedAt": null, "entries": [], "bytes": FreedBytes::default(),
    });
    let mut receipt: Receipt = serde_json::from_value(receipt).unwrap();
    receipt.entries = entries;
    receipt.bytes.paths = paths;
    receipt
}

fn entry(action: &serde_json::Value, outcome: Outcome) -> Entry {
    let entry = serde_json::json!({
        "action": action, "risk": "low", "outcome": outcome,
        "at": null, "detail": null, "undo": null, "undoneBy": null,
    });
    serde_json::from_value(entry).unwrap()
}

#[rstest]
#[case::nothing_deleted("collect", Outcome::Done, Some(0), false)]
#[case::deleted("collect", Outcome::Done, Some(1), true)]
#[case::deleted_until_it_failed("collect", Outcome::Failed, Some(1), true)]
#[case::not_known("optimise", Outcome::Done, None, false)]
#[case::removed("removeRoot", Outcome::Done, None, true)]
#[case::not_removed("removeRoot", Outcome::Stale, None, false)]
fn a_run_changes_what_it_removes_or_deletes(
    #[case] kind: &str,
    #[case] outcome: Outcome,
    #[case] paths: Option<u64>,
    #[case] changed: bool,
) {
    let action = serde_json::json!({ "kind": kind, "entry": "/auto/x", "link": "/home/a/result" });
    let receipt = receipt(vec![entry(&action, outcome)], paths);
    assert_eq!(receipt.has_changed_anything(), changed);
}

#[rstest]
#[case::killed("direct", None, Outcome::Pending, Some(true))]
#[case::killed_and_recovered("direct", None, Outcome::Skipped, Some(true))]
#[case::refused("direct", None, Outcome::Failed, None)]
#[case::never_begun("direct", None, Outcome::Stale, None)]
#[case::done("direct", None, Outcome::Done, Some(false))]
#[case::a_part("direct", Some("2026-11-01T00:00:00Z"), Outcome::Done, None)]
#[case::by_nix("auto", None, Outcome::Done, Some(false))]
#[case::by_nix_killed("auto", None, Outcome::Pending, None)]
fn only_a_direct_collection_leaves_files(
    #[case] method: &str,
    #[case] before: Option<&str>,
    #[case] outcome: Outcome,
    #[case] left: Option<bool>,
) {
    let action =
        serde_json::json!({ "kind": "collect", "method": method, "registeredBefore": before });
    let receipt = receipt(vec![entry(&action, outcome)], None);
    assert_eq!(receipt.left_files(), left);
    let stopped = Receipt {
        stopped: true,
        ..receipt.clone()
    };
    let left_by_stopped = match outcome {
        Outcome::Failed => Some(true),
        Outcome::Skipped => None,
        _ => left,
    };
    assert_eq!(stopped.left_files(), left_by_stopped);
    assert_eq!(
        Receipt {
            entries: Vec::new(),
            ..receipt
        }
        .left_files(),
        None
    );
}

#[test]
fn a_run_is_interrupted_until_it_has_ended() {
    let mut run = receipt(Vec::new(), None);
    assert!(run.is_interrupted());
    run.finished_at = Some(run.started_at);
    assert!(!run.is_interrupted());
}
