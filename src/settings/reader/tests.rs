//! Corrections: what is changed, and that nothing else is.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{At, Change, ChangeKind, OutOfRange, tidy};
use crate::settings::slot::Group;
use crate::settings::{keys, syntax};

fn document() -> Value {
    json!({
        "version": 2,
        "safeMode": false,
        "protect": { "paths": ["/usr", "/etc"] },
        "jobs": { "daily": {
            "description": "thins out",
            "budget": { "maxUsed": 80 },
            "operations": { "collect": {} },
        } },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = document();
    *document.pointer_mut(pointer).unwrap() = value;
    document
}

/// The document as it is corrected, and the changes.
fn sanitized(document: &Value, clamping: OutOfRange) -> (Value, Vec<Change>) {
    let (mut node, _) = syntax::parse(&document.to_string()).unwrap();
    let mut changes = Vec::new();
    tidy(
        &mut node,
        keys::Settings::KEYS,
        At::Root,
        clamping,
        &mut changes,
    );
    (Value::from(&node.value), changes)
}

/// Does to a document what the changes say.
fn replayed(mut document: Value, changes: &[Change]) -> Value {
    for change in changes {
        let at = document.pointer_mut(change.pointer.as_str()).unwrap();
        match change.kind {
            ChangeKind::Whitespace => {
                assert_eq!(*at, json!(change.from));
                *at = json!(change.to.as_ref().unwrap());
            }
            ChangeKind::Clamped => {
                assert_eq!(at.to_string(), change.from);
                *at = change.to.as_ref().unwrap().parse().unwrap();
            }
            ChangeKind::Duplicate => {
                assert_eq!(change.to, None);
                let paths = at.as_array_mut().unwrap();
                let last = paths.iter().rposition(|item| *item == json!(change.from));
                paths.remove(last.unwrap());
            }
        }
    }
    document
}

#[rstest]
#[case::description("/jobs/daily/description", json!("  Daily  "), &["/jobs/daily/description"])]
#[case::protected("/protect/paths", json!(["/etc", "  /usr  "]), &["/protect/paths/1"])]
#[case::duplicates("/protect/paths", json!(["/usr", "/etc", "/usr/"]), &["/protect/paths"])]
#[case::duplicates_and_blanks("/protect/paths", json!(["/usr", " /usr", "/usr "]), &["/protect/paths/1", "/protect/paths/2", "/protect/paths", "/protect/paths"])]
#[case::relative("/protect/paths", json!(["usr", "/usr"]), &[])]
#[case::order("/protect/paths", json!(["/usr", "/etc", "/bin", "/a"]), &[])]
#[case::another_spelling_alone("/protect/paths", json!(["/usr/", "/etc"]), &[])]
#[case::safe_mode("/safeMode", json!(false), &[])]
#[case::job_key("/jobs", json!({ " daily ": { "operations": { "collect": {} } } }), &[])]
#[case::used_beyond_the_range("/jobs/daily/budget/maxUsed", json!(150), &[])]
fn what_is_changed_without_asking(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] expected: &[&str],
) {
    let document = with(pointer, value);
    let (clean, changes) = sanitized(&document, OutOfRange::Refuse);
    let pointers: Vec<&str> = changes.iter().map(|c| c.pointer.as_str()).collect();
    assert_eq!(pointers, expected);
    assert_eq!(clean, replayed(document, &changes));
}

#[rstest]
#[case(150, Some("95"))]
#[case(96, Some("95"))]
#[case(95, None)]
#[case(10, None)]
#[case(9, Some("10"))]
#[case(i64::MIN, Some("10"))]
fn a_percentage_is_clamped_when_somebody_asks(#[case] used: i64, #[case] to: Option<&str>) {
    let document = with("/jobs/daily/budget/maxUsed", json!(used));
    let (clean, changes) = sanitized(&document, OutOfRange::Clamp);
    assert_eq!(changes.first().and_then(|c| c.to.as_deref()), to);
    assert!(changes.len() < 2 && changes.iter().all(|c| c.kind == ChangeKind::Clamped));
    assert_eq!(clean, replayed(document, &changes));
}

proptest! {
    #[test]
    fn twice_is_once_and_the_changes_are_all_the_difference(
        paths in prop::collection::vec("[ ]{0,2}/{0,2}(usr|etc|a b|\u{a0}x)?/{0,2}[ \t]{0,2}", 0..7),
        description in "[ a\u{2003}\n]{0,6}",
        used: i64,
        clamp: bool,
    ) {
        let mut document = with("/protect/paths", json!(paths));
        document["jobs"]["daily"]["description"] = json!(description);
        document["jobs"]["daily"]["budget"]["maxUsed"] = json!(used);
        let clamping = if clamp { OutOfRange::Clamp } else { OutOfRange::Refuse };
        let (clean, changes) = sanitized(&document, clamping);
        prop_assert_eq!(sanitized(&clean, clamping), (clean.clone(), Vec::new()));
        prop_assert_eq!(clean, replayed(document, &changes));
    }
}
