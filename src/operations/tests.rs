//! What holds for every action.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

const HASH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la";

/// An example of each action, as plans and records write it, and what is printed of it.
#[allow(clippy::too_many_lines, reason = "a table")]
fn examples() -> Vec<(Value, &'static str)> {
    let generation = |kind: &str, hold: &str| {
        json!({
            "kind": kind, "profile": "/nix/var/nix/profiles/system", "profileKind": "system",
            "owner": { "uid": 0, "name": "root" }, "number": 41, "target": format!("/nix/store/{HASH}-nixos"),
            "storePath": format!("{HASH}-nixos"), "created": "2026-01-02T03:04:05Z", "current": 42, "hold": hold,
        })
    };
    let hold = |kind: &str, held: Value| {
        let mut hold = json!({
            "kind": kind, "run": "20261122T221644Z", "link": "/holds/0", "storePath": format!("{HASH}-nixos"),
            "until": "2026-11-29T22:16:44Z", "system": true,
        });
        let fields = hold.as_object_mut().unwrap();
        fields.extend(held.as_object().unwrap().clone());
        hold
    };
    let of_generation = || json!({ "profile": "/nix/var/nix/profiles/system", "number": 40 });
    let of_root = json!({ "root": "/home/a/result" });
    let link = |kind: &str, hold: &str| {
        json!({
            "kind": kind, "link": "/home/a/result", "entry": "/auto/x", "origin": "result",
            "owner": { "uid": 1000, "name": "a" }, "target": format!("/nix/store/{HASH}-a"), "storePath": format!("{HASH}-a"),
            "madeAt": "2026-01-02T03:04:05Z", "rule": 1, "projectGone": false, "hold": hold,
            "lastUse": { "at": "2026-01-02T03:04:05Z", "signal": "git" },
        })
    };
    let root = |kind: &str| json!({ "kind": kind, "entry": "/auto/x", "link": "/home/a/result" });
    vec![
        (
            json!({ "kind": "holdRoot", "link": "/home/a/result", "storePath": format!("{HASH}-a"), "hold": "7d" }),
            "hold the former target of /home/a/result for 7d (the link vanished since the last run)",
        ),
        (
            generation("removeGeneration", "7d"),
            "remove generation 41 of system (restorable for 7d)",
        ),
        (
            generation("removeGeneration", "0s"),
            "remove generation 41 of system (not restorable)",
        ),
        (
            generation("restoreGeneration", "7d"),
            "restore generation 41 of system",
        ),
        (
            root("removeRoot"),
            "remove the dangling root /home/a/result",
        ),
        (
            root("restoreRoot"),
            "restore the dangling root /home/a/result",
        ),
        (
            link("removeRootLink", "7d"),
            "remove the root /home/a/result (restorable for 7d)",
        ),
        (
            link("removeRootLink", "0s"),
            "remove the root /home/a/result (not restorable)",
        ),
        (
            link("restoreRootLink", "7d"),
            "restore the root /home/a/result",
        ),
        (
            hold("releaseHold", of_generation()),
            "release the hold on generation 40 of system",
        ),
        (
            hold("releaseHold", of_root),
            "release the hold on the former target of /home/a/result",
        ),
        (
            hold("releaseEarly", of_generation()),
            "release the hold on generation 40 of system early",
        ),
        (
            json!({
                "kind": "removeLeftovers", "class": "buildDirs", "dir": "/tmp",
                "owner": { "uid": 0, "name": "root" }, "before": "2026-11-20T00:00:00Z",
                "entries": 2, "bytes": 2048, "inodes": 9,
            }),
            "remove 2 build directories from /tmp (2.00 KiB, not restorable)",
        ),
        (json!({ "kind": "collect" }), "collect garbage"),
        (
            json!({ "kind": "collect", "method": "selective" }),
            "collect garbage (selective)",
        ),
        (
            json!({ "kind": "collect", "method": "full" }),
            "collect garbage (nix-collect-garbage)",
        ),
        (
            json!({ "kind": "collect", "registeredBefore": "2026-11-20T00:00:00Z" }),
            "collect garbage registered before 2026-11-20T00:00:00Z",
        ),
        (
            json!({ "kind": "refreshBootMenu", "system": format!("{HASH}-nixos") }),
            "refresh the boot menu",
        ),
        (
            json!({ "kind": "optimise" }),
            "hard-link equal files in the store",
        ),
        (
            json!({ "kind": "verify", "contents": false }),
            "check the store",
        ),
        (
            json!({ "kind": "verify", "contents": true }),
            "check the store and its contents",
        ),
    ]
}

#[test]
fn every_action_says_what_it_does() {
    let mut kinds = BTreeSet::new();
    for (action, text) in examples() {
        kinds.insert(action["kind"].as_str().unwrap().to_string());
        let action: Action = serde_json::from_value(action).unwrap();
        assert_eq!(action.operation().describe(&ProfileNames::default()), text);
    }
    let schema = serde_json::to_value(schemars::schema_for!(Action)).unwrap();
    let all = schema["oneOf"].as_array().unwrap().iter();
    let all: BTreeSet<_> = all
        .map(|kind| &kind["properties"]["kind"]["const"])
        .map(|kind| kind.as_str().unwrap().to_string())
        .collect();
    assert_eq!(kinds, all, "an action without an example");
}

#[test]
fn what_is_done_to_the_store_is_about_no_item() {
    for (action, text) in examples() {
        let action: Action = serde_json::from_value(action).unwrap();
        let of_store = matches!(
            action,
            Action::Collect(_)
                | Action::Optimise(_)
                | Action::Verify { .. }
                | Action::RefreshBootMenu(_)
        );
        assert_eq!(action.is_about_an_item(), !of_store, "{text}");
        let releases = text.starts_with("release ");
        assert_eq!(action.released_hold().is_some(), releases, "{text}");
    }
}
