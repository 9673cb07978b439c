use super::*;
use crate::domain::note::{Note, NoteCode};
use crate::domain::risk::RiskLevel;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

const HASH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la";

fn generation(kind: &str) -> Value {
    json!({
        "kind": kind, "profile": "/nix/var/nix/profiles/system", "profileKind": "system",
        "owner": { "uid": 0, "name": "root" }, "number": 41, "target": format!("/nix/store/{HASH}-s\u{e4}"),
        "storePath": format!("{HASH}-nixos"), "created": "2026-01-02T03:04:05.000000006Z",
        "current": 42, "hold": "7d",
    })
}

fn removed(subject: &Value, rule: &str, action: &Value) -> Value {
    json!({
        "subject": subject, "exclusiveBytes": 4096, "verdict": "remove", "rule": rule, "risk": "high", "action": action,
    })
}

fn document() -> Value {
    let profile = "/nix/var/nix/profiles/system";
    let subject = |number: u32| {
        json!({
            "kind": "generation", "profile": profile, "number": number,
            "target": format!("/nix/store/{HASH}-s\u{e4}"), "created": "2026-01-02T03:04:05.000000006Z",
        })
    };
    let (entry, link) = ("/nix/var/nix/gcroots/auto/x", "/home/a/result");
    let hold = json!({
        "kind": "hold", "link": "/var/lib/nix-prune/holds/20261122T221644Z/0",
        "profile": profile, "number": 40, "until": "2026-11-29T22:16:44Z",
    });
    let release = json!({
        "kind": "releaseHold", "run": "20261122T221644Z", "link": "/var/lib/nix-prune/holds/20261122T221644Z/0",
        "storePath": format!("{HASH}-nixos"), "profile": profile, "number": 40, "until": "2026-11-29T22:16:44Z",
    });
    json!({
        "schema": SCHEMA, "takenAt": "2026-11-22T22:16:44Z", "machine": "m", "store": "/nix/store",
        "job": "daily", "maxRisk": "high", "safeMode": true, "toolVersion": "0.1.0",
        "keep": { "rules": { "last": 5, "within": "14d", "calendar": { "daily": 7 } }, "overridesJob": false },
        "disk": { "used": 93, "available": 7, "inodes": { "total": 1000, "free": 590 } },
        "profiles": [{ "profile": profile, "owner": { "uid": 0, "name": "root" }, "current": 42, "frees": 4096 }],
        "vanished": [{ "link": "/home/b/result", "storePath": format!("{HASH}-result"), "hold": "7d" }],
        "items": [
            {
                "subject": subject(42), "exclusiveBytes": null, "verdict": "keep",
                "reasons": [{ "code": "current" }, { "code": "pinned", "value": { "reason": "a\tb \"c\" \\", "until": null } }],
            },
            removed(&subject(41), "noRuleKeepsIt", &generation("removeGeneration")),
            removed(
                &json!({ "kind": "root", "link": link, "entry": entry, "origin": "result" }),
                "dangling",
                &json!({ "kind": "removeRoot", "entry": entry, "link": link }),
            ),
            removed(&hold, "windowEnded", &release),
        ],
        "steps": [
            { "kind": "collect", "risk": "low", "method": "auto" },
            { "kind": "optimise", "risk": "low" },
            { "kind": "verify", "risk": "low", "contents": true },
        ],
        "prediction": {
            "narBytes": 18_446_744_073_709_551_615_u64, "diskBytes": null, "diskBytesAtMost": false, "paths": null,
            "whenWindowsEnd": { "narBytes": 1, "paths": 2 }, "rootLinks": null, "openHolds": null, "notes": [],
        },
        "budget": null, "bootMenu": null, "failedChecks": [], "acceptedChecks": [],
        "accept": [{ "code": "roots.away", "place": "/home/*/x", "reason": "a laptop" }],
        "skipsCollection": false, "skippedProfiles": ["/a"], "notes": [{ "code": "notes.more", "text": "\u{e4}" }],
    })
}

fn plan() -> Plan {
    serde_json::from_value(document()).unwrap()
}

fn sealed(document: Value) -> String {
    seal(Utf8Path::new("plan.json"), document).unwrap()
}

fn parsed(text: &str) -> Result<Plan, PlanFileError> {
    parse(Utf8Path::new("plan.json"), text)
}

#[test]
fn a_saved_plan_comes_back() {
    let plan = parsed(&sealed(document())).unwrap();
    assert_eq!(plan.job.to_string(), "daily");
    assert_eq!((plan.max_risk, plan.safe_mode), (RiskLevel::High, true));
    assert_eq!(plan.actions().count(), 7);
    assert_eq!(serde_json::to_value(plan).unwrap(), document());
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
    assert_eq!(parsed(&sealed(document)).unwrap().actions().count(), 7);
}

#[rstest]
#[case("restoreGeneration")]
#[case("restoreRoot")]
fn actions_that_no_plan_has_are_refused(#[case] kind: &'static str) {
    let document = document();
    let mut action = generation(kind);
    action["entry"] = "/nix/var/nix/gcroots/auto/x".into();
    action["link"] = "/home/a/result".into();
    for place in ["/items/1/action", "/steps/0"] {
        let mut document = document.clone();
        action["risk"] = "low".into();
        *document.pointer_mut(place).unwrap() = action.clone();
        let error = parsed(&sealed(document)).unwrap_err();
        assert!(
            matches!(error, PlanFileError::ForeignAction { .. }),
            "{error}"
        );
    }
}

#[rstest]
#[case::another_generation("/items/1/subject/number", json!(40))]
#[case::another_profile("/items/1/action/profile", json!("/nix/var/nix/profiles/default"))]
#[case::another_time("/items/1/subject/created", json!("2026-01-02T03:04:05Z"))]
#[case::another_entry("/items/2/action/entry", json!("/nix/var/nix/gcroots/auto/y"))]
#[case::another_hold("/items/3/action/number", json!(39))]
#[case::a_root_for_a_generation("/items/1/action", json!({ "kind": "removeRoot", "entry": "/e", "link": "/l" }))]
#[case::a_removal_that_no_limit_counts("/steps/0", { let mut it = generation("removeGeneration"); it["risk"] = "low".into(); it })]
fn a_plan_that_does_other_things_than_it_shows_is_refused(
    #[case] place: &str,
    #[case] other: Value,
) {
    let mut document = document();
    *document.pointer_mut(place).unwrap() = other;
    let error = parsed(&sealed(document)).unwrap_err();
    assert!(
        matches!(error, PlanFileError::ForeignAction { .. }),
        "{error}"
    );
}

#[rstest]
#[case::other_version(json!({ "schema": "nix-prune/plan/1" }), Some("nix-prune/plan/1"))]
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
#[case("items")]
#[case("steps")]
#[case("failedChecks")]
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
            prop_assert_eq!(plan.actions().count(), 7);
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
    use crate::domain::plan::{Action, RootFacts};
    use crate::support::scratch;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_plan_is_saved_over_an_older_one_and_loaded() {
        let (_guard, dir) = scratch();
        let path = dir.join("plan.json");
        let mut other = plan();
        other.job = "weekly".to_string().try_into().unwrap();
        save(&path, &other).unwrap();
        save(&path, &plan()).unwrap();
        assert_eq!(load(&path).unwrap(), plan());
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
            let error = save(&dir.join(name), &plan()).unwrap_err();
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
        let mut foreign = plan();
        foreign.steps[0].action = Action::RestoreRoot(RootFacts {
            entry: "/nix/var/nix/gcroots/auto/x".into(),
            link: "/home/a/result".into(),
        });
        save(&path, &foreign).unwrap_err();
        let mut large = plan();
        large.notes = vec![Note::new(NoteCode::More, "x".repeat(16 << 20))];
        let error = save(&path, &large).unwrap_err();
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
