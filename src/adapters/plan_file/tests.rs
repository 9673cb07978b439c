use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

const HASH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la";

fn generation(kind: &str) -> Value {
    json!({
        "kind": kind, "risk": "high",
        "profile": "/nix/var/nix/profiles/system", "profileKind": "system",
        "owner": { "uid": 0, "name": "root" }, "number": 41, "target": format!("/nix/store/{HASH}-s\u{e4}"),
        "storePath": format!("{HASH}-nixos"), "created": "2026-01-02T03:04:05.000000006Z",
        "current": 42, "hold": "7d",
    })
}

fn document() -> Value {
    json!({
        "schema": SCHEMA, "takenAt": "2026-11-22T22:16:44Z", "machine": "m", "store": "/nix/store",
        "job": "daily", "maxRisk": "high", "safeMode": true,
        "items": [{ "kind": "generation", "reasons": ["a\tb", "\"quoted\" \\"] }],
        "prediction": { "narBytes": 18_446_744_073_709_551_615_u64, "paths": null }, "refusals": [],
        "actions": [
            generation("dropGeneration"),
            { "kind": "removeRoot", "risk": "low", "entry": "/nix/var/nix/gcroots/auto/x", "link": "/home/a/result" },
            {
                "kind": "releaseHold", "risk": "low", "run": "20261122T221644Z",
                "link": "/var/lib/nix-prune/holds/20261122T221644Z/0", "storePath": format!("{HASH}-nixos"),
                "profile": "/nix/var/nix/profiles/system", "number": 40, "until": "2026-11-29T22:16:44Z",
            },
            { "kind": "collect", "risk": "low" },
            { "kind": "optimise", "risk": "low" },
            { "kind": "verify", "risk": "low", "contents": true },
        ],
    })
}

fn sealed(document: Value) -> String {
    seal(Utf8Path::new("plan.json"), document).unwrap()
}

fn parsed(text: &str) -> Result<SavedPlan, PlanFileError> {
    parse(Utf8Path::new("plan.json"), text)
}

#[test]
fn a_saved_plan_comes_back() {
    let plan = parsed(&sealed(document())).unwrap();
    assert_eq!(plan.job.to_string(), "daily");
    assert_eq!((plan.max_risk, plan.safe_mode), (RiskLevel::High, true));
    assert_eq!(plan.actions.len(), 6);
    let again: Vec<Value> = plan
        .actions
        .iter()
        .map(|action| serde_json::to_value(action).unwrap())
        .collect();
    let mut before = document();
    // What an older version did not say means what it did.
    before["actions"][3]["method"] = json!("auto");
    assert_eq!(json!(again), before["actions"]);
}

#[test]
fn white_space_and_the_order_of_keys_do_not_count() {
    let text = sealed(document());
    let value: Value = serde_json::from_str(&text).unwrap();
    let fields = value.as_object().unwrap().iter().rev();
    let fields: Vec<String> = fields.map(|(k, v)| format!("{k:?}:\n\t {v}")).collect();
    let other = format!("\n {{{}}} ", fields.join(" , "));
    assert_eq!(parsed(&other).unwrap(), parsed(&text).unwrap());
}

#[test]
fn a_stale_digest_is_made_anew() {
    let mut document = document();
    document["digest"] = "old".into();
    assert_eq!(parsed(&sealed(document)).unwrap().actions.len(), 6);
}

#[rstest]
#[case("restoreGeneration")]
#[case("restoreRoot")]
fn actions_that_no_plan_has_are_refused(#[case] kind: &'static str) {
    let mut document = document();
    let mut action = generation(kind);
    action["entry"] = "/nix/var/nix/gcroots/auto/x".into();
    action["link"] = "/home/a/result".into();
    document["actions"].as_array_mut().unwrap().push(action);
    let error = parsed(&sealed(document)).unwrap_err();
    assert!(matches!(error, PlanFileError::ForeignAction { kind: k, .. } if k == kind));
}

#[rstest]
#[case::other_version(json!({ "schema": "nix-prune/plan/2" }), Some("nix-prune/plan/2"))]
#[case::a_receipt(json!({ "schema": "nix-prune/receipt/1" }), Some("nix-prune/receipt/1"))]
#[case::escapes(json!({ "schema": "\u{1b}[2J" }), Some("\\u{1b}[2J"))]
#[case::none(json!({}), None)]
#[case::no_text(json!({ "schema": 1 }), None)]
#[case::no_object(json!([SCHEMA]), None)]
fn other_documents_are_refused(#[case] document: Value, #[case] name: Option<&str>) {
    let error = parsed(&document.to_string()).unwrap_err();
    assert!(
        matches!(&error, PlanFileError::UnknownSchema { found, .. } if found.as_deref() == name),
        "{error}"
    );
}

#[rstest]
#[case("takenAt")]
#[case("machine")]
#[case("store")]
#[case("job")]
#[case("maxRisk")]
#[case("safeMode")]
#[case("actions")]
fn a_plan_that_lacks_something_is_refused(#[case] key: &str) {
    let mut document = document();
    document.as_object_mut().unwrap().remove(key);
    let error = parsed(&sealed(document)).unwrap_err();
    assert!(matches!(error, PlanFileError::Incomplete { .. }), "{error}");
}

#[test]
fn a_plan_without_a_digest_is_refused() {
    let error = parsed(&document().to_string()).unwrap_err();
    assert!(matches!(error, PlanFileError::Edited { .. }), "{error}");
}

#[test]
fn a_plan_cut_off_anywhere_is_refused() {
    let text = sealed(document());
    let whole = text.trim_end().len();
    for end in (0..whole).filter(|&end| text.is_char_boundary(end)) {
        let error = parsed(&text[..end]).unwrap_err();
        assert!(
            matches!(error, PlanFileError::NotJson { .. }),
            "{end}: {error}"
        );
    }
}

#[test]
fn every_number_and_word_changed_is_found() {
    let text = sealed(document());
    for (at, old) in text.char_indices() {
        let new = match old {
            '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from(old as u8 + 1),
            '9' => '8',
            _ => continue,
        };
        let edited = format!("{}{new}{}", &text[..at], &text[at + 1..]);
        assert!(parsed(&edited).is_err(), "{at}: {old} to {new}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_edit_is_found_or_changes_nothing(
        at: prop::sample::Index,
        taken in 0usize..3,
        put in prop_oneof![Just(String::new()), "[ -~]", "[ \\n\\t0-9\"{}:,]", "\\PC{1,3}"],
    ) {
        let text = sealed(document());
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let behind = (at + taken).min(chars.len());
        let edited: String = chars[..at].iter().copied().chain(put.chars()).chain(chars[behind..].iter().copied()).collect();
        if let Ok(plan) = parsed(&edited) {
            let (edited, text): (Value, Value) =
                (serde_json::from_str(&edited).unwrap(), serde_json::from_str(&text).unwrap());
            prop_assert_eq!(edited, text);
            prop_assert_eq!(plan.actions.len(), 6);
        }
    }

    // Bites only where `serde_json` reads fractions in its fast way: a dependency of the tests switches that off.
    #[test]
    fn fractions_do_not_spoil_the_digest(fraction in prop::num::f64::NORMAL) {
        let document = json!({ "schema": SCHEMA, "percent": fraction });
        let error = parsed(&sealed(document)).unwrap_err();
        prop_assert!(matches!(error, PlanFileError::Incomplete { .. }), "{}", error);
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        prop_assert!(parsed(&text).is_err());
    }
}

mod files_of_plans {
    use super::*;
    use camino::Utf8PathBuf;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        (dir, path)
    }

    #[test]
    fn a_plan_is_saved_over_an_older_one_and_loaded() {
        let (_guard, dir) = scratch();
        let path = dir.join("plan.json");
        let mut other = document();
        other["job"] = "weekly".into();
        save(&path, other).unwrap();
        save(&path, document()).unwrap();
        assert_eq!(load(&path).unwrap(), parsed(&sealed(document())).unwrap());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        // A note in it may have what only its owner must read.
        let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
        assert_eq!(mode & 0o077, 0);
    }

    #[test]
    fn nothing_but_a_file_is_overwritten() {
        let (_guard, dir) = scratch();
        fs::create_dir(dir.join("dir")).unwrap();
        fs::write(dir.join("file"), "old").unwrap();
        symlink("file", dir.join("link")).unwrap();
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(dir.join("pipe").as_std_path(), mode).unwrap();
        for name in ["dir", "link", "pipe", "absent/plan.json"] {
            let error = save(&dir.join(name), document()).unwrap_err();
            assert!(matches!(error, PlanFileError::Write { .. }), "{name}");
            let error = load(&dir.join(name)).unwrap_err();
            assert!(matches!(error, PlanFileError::Read { .. }), "{name}");
        }
        assert!(dir.join("link").is_symlink());
        assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "old");
    }

    #[test]
    fn what_could_not_be_loaded_is_not_saved() {
        let (_guard, dir) = scratch();
        let path = dir.join("plan.json");
        let mut lacking = document();
        lacking.as_object_mut().unwrap().remove("job");
        save(&path, lacking).unwrap_err();
        save(&path, json!("plan")).unwrap_err();
        let mut large = document();
        large["notes"] = "x".repeat(16 << 20).into();
        let error = save(&path, large).unwrap_err();
        assert!(matches!(error, PlanFileError::TooLarge { .. }), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let (_guard, dir) = scratch();
        let path = dir.join("plan.json");
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = load(&path).unwrap_err();
        assert!(matches!(error, PlanFileError::TooLarge { .. }), "{error}");
    }
}
