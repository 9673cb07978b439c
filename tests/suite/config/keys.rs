//! Every key does something: for each there are two settings that differ in it alone, and what comes of them differs.
#![allow(clippy::needless_pass_by_value, reason = "rows read as tables")]

use std::collections::BTreeSet;
use std::fs;

use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::leftover::LeftoverClass;
use nix_prune::domain::plan::Plan;
use nix_prune::domain::profile::ProfileKind;
use nix_prune::domain::root::{GcRoot, RootState};
use nix_prune::domain::root_use::{LastUse, LinkUse, SeenUse, UseSignal};
use nix_prune::settings::{OutOfRange, Platform, Report, schema};
use serde_json::{Map, Value, json};

use crate::plan::{alice, leftovers, path_of, profile, root, snapshot, time};
use crate::support::{nixes, run, skipped};

/// How to see what a key does.
#[derive(Clone, Copy)]
enum By {
    /// What is found, and what the plan of a machine made by hand says.
    Plan,
    /// What the program says when it is called so on a real store.
    Program(&'static [&'static str]),
}

/// A key and two settings, each laid over the base: `null` takes a key away.
struct Row(&'static str, By, Value, Value);

const GENERATIONS: &str = "jobs.NAME.operations.generations";

fn operations(value: Value) -> Value {
    json!({ "jobs": { "daily": { "operations": value } } })
}

fn keep(value: Value) -> Value {
    operations(json!({ "generations": { "keep": value } }))
}

fn budget(value: Value) -> Value {
    json!({ "jobs": { "daily": { "budget": value } } })
}

fn pin(value: Value) -> Value {
    json!({ "protect": { "generations": [value] } })
}

fn accepted(code: &str, place: &str, reason: &str) -> Value {
    json!({ "accept": [{ "code": code, "place": place, "reason": reason }] })
}

fn base() -> Value {
    let mut base = operations(json!({ "generations": { "keep": { "last": 1 } }, "collect": {} }));
    base["version"] = json!(2);
    base
}

fn rows() -> Vec<Row> {
    use By::{Plan, Program};
    let critical: Vec<&str> = Platform::Linux.critical_paths().collect();
    let job = |key: &str, value: Value| json!({ "jobs": { "daily": { key: value } } });
    let on_store = Program(&["plan", "--json"]);
    let risky = |safe: bool| {
        let mut settings = job("maxRisk", json!("critical"));
        settings["safeMode"] = json!(safe);
        settings
    };
    let roots = |dangling: bool, patterns: Value| {
        let mut settings = operations(json!({ "roots": { "dangling": dangling } }));
        settings["protect"] = json!({ "roots": patterns });
        settings
    };
    let rule = |key: &str, value: Value| {
        let mut rule = json!({ "olderThan": "9d" });
        rule[key] = value;
        operations(json!({ "roots": { "rules": [rule] } }))
    };
    let mut rows = vec![
        Row("version", Plan, json!({}), json!({ "version": 3 })),
        Row("safeMode", Plan, risky(true), risky(false)),
        Row(
            "undoWindow",
            Plan,
            json!({ "undoWindow": "7d" }),
            json!({ "undoWindow": "0s" }),
        ),
        Row(
            "protect.paths[]",
            Plan,
            json!({ "protect": { "paths": critical } }),
            json!({ "protect": { "paths": ["/"] } }),
        ),
        Row(
            "protect.generations[].profile",
            Plan,
            pin(json!({ "profile": "system", "number": 2 })),
            pin(json!({ "profile": "profile", "number": 2 })),
        ),
        Row(
            "protect.generations[].number",
            Plan,
            pin(json!({ "profile": "system", "number": 1 })),
            pin(json!({ "profile": "system", "number": 2 })),
        ),
        Row(
            "protect.generations[].reason",
            Plan,
            pin(json!({ "profile": "system", "number": 1, "reason": "one" })),
            pin(json!({ "profile": "system", "number": 1, "reason": "two" })),
        ),
        Row(
            "protect.roots[]",
            Plan,
            roots(true, json!(["/home/**"])),
            roots(true, json!(["/srv/**"])),
        ),
        Row(
            "accept[].code",
            Plan,
            accepted("roots.away", "/home", "mounted by hand"),
            accepted("roots.unreadable", "/home", "mounted by hand"),
        ),
        Row(
            "accept[].place",
            Plan,
            accepted("roots.away", "/home", "mounted by hand"),
            accepted("roots.away", "/srv", "mounted by hand"),
        ),
        Row(
            "accept[].reason",
            Plan,
            accepted("roots.away", "/home", "mounted by hand"),
            accepted("roots.away", "/home", "mounted at login"),
        ),
        Row(
            "jobs.NAME.description",
            Program(&["plan", "other"]),
            job("description", json!("one")),
            job("description", json!("two")),
        ),
        Row(
            "jobs.NAME.enabled",
            Program(&["plan", "daily"]),
            job("enabled", json!(true)),
            job("enabled", json!(false)),
        ),
        Row(
            "jobs.NAME.maxRisk",
            Plan,
            job("maxRisk", json!("low")),
            job("maxRisk", json!("high")),
        ),
        Row(
            "jobs.NAME.budget.minFree",
            on_store,
            budget(json!({ "minFree": "1K" })),
            budget(json!({ "minFree": "1T" })),
        ),
        Row(
            "jobs.NAME.budget.maxUsed",
            on_store,
            budget(json!({ "maxUsed": 10 })),
            budget(json!({ "maxUsed": 95 })),
        ),
        Row(
            "jobs.NAME.budget.maxStore",
            on_store,
            budget(json!({ "maxStore": "1K" })),
            budget(json!({ "maxStore": "1T" })),
        ),
        Row(
            "jobs.NAME.budget.minFreeInodes",
            on_store,
            budget(json!({ "minFreeInodes": "1" })),
            budget(json!({ "minFreeInodes": "90%" })),
        ),
        Row(
            "jobs.NAME.budget.releaseHolds",
            on_store,
            budget(json!({ "maxStore": "1K", "releaseHolds": "never" })),
            budget(json!({ "maxStore": "1K", "releaseHolds": "ifNeeded" })),
        ),
        Row(
            "jobs.NAME.operations.generations.profiles[]",
            Plan,
            operations(json!({ "generations": { "profiles": ["system"] } })),
            operations(json!({ "generations": { "profiles": ["users"] } })),
        ),
        Row(
            "jobs.NAME.operations.generations.users[]",
            Plan,
            operations(json!({ "generations": { "users": ["1000"] } })),
            operations(json!({ "generations": { "users": ["1001"] } })),
        ),
        Row(
            "jobs.NAME.operations.roots.dangling",
            Plan,
            roots(true, json!([])),
            roots(false, json!([])),
        ),
        Row(
            "jobs.NAME.operations.roots.removedUsers",
            Plan,
            operations(json!({ "roots": { "removedUsers": "1d" } })),
            operations(json!({ "roots": { "removedUsers": "900d" } })),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].kind",
            Plan,
            rule("kind", json!("result")),
            rule("kind", json!("direnv")),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].match",
            Plan,
            rule("match", json!("/home/**")),
            rule("match", json!("/srv/**")),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].owner",
            Plan,
            rule("owner", json!("1000")),
            rule("owner", json!("1001")),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].unusedFor",
            Plan,
            rule("unusedFor", json!("10d")),
            rule("unusedFor", json!("1000d")),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].olderThan",
            Plan,
            rule("olderThan", json!("10d")),
            rule("olderThan", json!("1000d")),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].keepLatestPerDirectory",
            Plan,
            rule("keepLatestPerDirectory", json!(0)),
            rule("keepLatestPerDirectory", json!(1)),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].projectGone",
            Plan,
            rule("projectGone", json!(false)),
            rule("projectGone", json!(true)),
        ),
        Row(
            "jobs.NAME.operations.roots.rules[].action",
            Plan,
            rule("action", json!("remove")),
            rule("action", json!("keep")),
        ),
        Row(
            "jobs.NAME.operations.leftovers.buildDirs",
            Plan,
            operations(json!({ "leftovers": { "buildDirs": "1d" } })),
            operations(json!({ "leftovers": { "buildDirs": "2d" } })),
        ),
        Row(
            "jobs.NAME.operations.leftovers.buildLogs",
            Plan,
            operations(json!({ "leftovers": { "buildLogs": "1d" } })),
            operations(json!({ "leftovers": { "buildLogs": "2d" } })),
        ),
        Row(
            "jobs.NAME.operations.leftovers.orphanedBuildLogs",
            Plan,
            operations(json!({ "leftovers": { "orphanedBuildLogs": "1d" } })),
            operations(json!({ "leftovers": { "orphanedBuildLogs": "2d" } })),
        ),
        Row(
            "jobs.NAME.operations.leftovers.nixCache",
            Plan,
            operations(json!({ "leftovers": { "nixCache": "1d" } })),
            operations(json!({ "leftovers": { "nixCache": "2d" } })),
        ),
        Row(
            "jobs.NAME.operations.leftovers.temporaryRoots",
            Plan,
            operations(json!({ "leftovers": { "temporaryRoots": "1d" } })),
            operations(json!({ "leftovers": { "temporaryRoots": "2d" } })),
        ),
        Row(
            "jobs.NAME.operations.collect.method",
            Plan,
            operations(json!({ "collect": { "method": "auto" } })),
            operations(json!({ "collect": { "method": "full" } })),
        ),
        Row(
            "jobs.NAME.operations.collect.keepRecent",
            Plan,
            operations(json!({ "collect": { "keepRecent": "1d" } })),
            operations(json!({ "collect": { "keepRecent": "2d" } })),
        ),
        Row(
            "jobs.NAME.operations.collect.keepFlakeInputs[]",
            Plan,
            operations(json!({ "collect": { "keepFlakeInputs": ["/flake"] } })),
            operations(json!({ "collect": { "keepFlakeInputs": ["/other"] } })),
        ),
        Row(
            "jobs.NAME.operations.bootMenu.refresh",
            Plan,
            operations(json!({ "bootMenu": { "refresh": true } })),
            operations(json!({ "bootMenu": { "refresh": false } })),
        ),
        Row(
            "jobs.NAME.operations.collect.keepBuildDependencies",
            Plan,
            operations(json!({ "collect": { "keepBuildDependencies": true } })),
            operations(json!({ "collect": { "keepBuildDependencies": false } })),
        ),
        Row(
            "jobs.NAME.operations.bootMenu.minFree",
            Plan,
            operations(json!({ "bootMenu": { "minFree": "1K" } })),
            operations(json!({ "bootMenu": { "minFree": "100" } })),
        ),
        Row(
            "jobs.NAME.operations.collect.sourcesFirst",
            Plan,
            operations(json!({ "collect": { "sourcesFirst": true } })),
            operations(json!({ "collect": { "sourcesFirst": false } })),
        ),
        Row(
            "jobs.NAME.operations.verify.contents",
            Plan,
            operations(json!({ "verify": { "enabled": true, "contents": true } })),
            operations(json!({ "verify": { "enabled": true, "contents": false } })),
        ),
        Row(
            "jobs.NAME.operations.generations.keep.last",
            Plan,
            keep(json!({ "last": 2 })),
            keep(json!({ "last": 3 })),
        ),
        Row(
            "jobs.NAME.operations.generations.keep.knownGood",
            Plan,
            keep(json!({ "last": 2, "knownGood": true })),
            keep(json!({ "last": 2, "knownGood": false })),
        ),
        Row(
            "jobs.NAME.operations.generations.keep.within",
            Plan,
            keep(json!({ "within": "1d" })),
            keep(json!({ "within": "20d" })),
        ),
    ];
    let policy = |value: Value| {
        let mut settings = keep(json!({ "last": 2 }));
        settings["policy"] = value;
        settings
    };
    let limits = |value: Value| {
        let mut settings = keep(json!({ "last": 1 }));
        settings["limits"] = value;
        // What goes is deleted at once.
        settings["undoWindow"] = json!("0s");
        settings
    };
    rows.extend([
        Row(
            "limits.maxGenerationsPerRun",
            on_store,
            limits(json!({ "maxGenerationsPerRun": 0 })),
            limits(json!({ "maxGenerationsPerRun": 100 })),
        ),
        Row(
            "limits.maxBytesPerRun",
            on_store,
            limits(json!({ "maxBytesPerRun": "0" })),
            limits(json!({ "maxBytesPerRun": "1T" })),
        ),
        Row(
            "policy.keepAtLeast.last",
            Plan,
            policy(json!({ "keepAtLeast": { "last": 20 } })),
            policy(json!({ "keepAtLeast": { "last": 30 } })),
        ),
        Row(
            "policy.keepAtLeast.within",
            Plan,
            policy(json!({ "keepAtLeast": { "within": "20d" } })),
            policy(json!({ "keepAtLeast": { "within": "30d" } })),
        ),
        Row(
            "policy.maxRisk",
            Plan,
            policy(json!({ "maxRisk": "low" })),
            policy(json!({ "maxRisk": "medium" })),
        ),
        Row(
            "policy.undoWindow",
            Plan,
            policy(json!({ "undoWindow": "8d" })),
            policy(json!({ "undoWindow": "9d" })),
        ),
    ]);
    rows.extend(rows_of_notify());
    rows.extend(rows_of_a_kind());
    rows
}

fn rows_of_notify() -> Vec<Row> {
    let sends = By::Program(&["notify"]);
    let notify = |key: &str, value: Value| {
        let mut notify = json!({ "command": ["/bin/sh", "-c", "sleep 2"] });
        notify[key] = value;
        json!({ "notify": notify })
    };
    let values = [
        (
            "command[]",
            "command",
            json!(["/bin/true"]),
            json!(["/bin/false"]),
        ),
        ("desktop", "desktop", json!(false), json!(true)),
        ("timeout", "timeout", json!("1s"), json!("1min")),
        ("fullWithin", "fullWithin", json!("7d"), json!("14d")),
    ];
    let rows = values.into_iter().map(|(name, key, one, other)| {
        let name = format!("notify.{name}").leak();
        Row(name, sends, notify(key, one), notify(key, other))
    });
    rows.collect()
}

/// The rows of keys that are all alike: numbers of keep rules, and operations that are done or not.
fn rows_of_a_kind() -> Vec<Row> {
    let below = |key: &str| {
        let schema = schema();
        let jobs = &schema["properties"]["jobs"]["additionalProperties"];
        let keys = jobs["properties"]["operations"].pointer(key).cloned();
        keys.unwrap().as_object().unwrap().clone()
    };
    let mut rows = Vec::new();
    for (rule, schema) in below("/properties/generations/properties/keep/properties") {
        if schema["maximum"].is_number() && rule != "last" {
            let key = format!("{GENERATIONS}.keep.{rule}").leak();
            let values = [1, 3].map(|count| keep(json!({ &rule: count })));
            let [one, other] = values;
            rows.push(Row(key, By::Plan, one, other));
        }
    }
    for (operation, schema) in below("/properties") {
        if schema["properties"]["enabled"].is_object() {
            let key = format!("jobs.NAME.operations.{operation}.enabled").leak();
            let values = [true, false];
            let [one, other] =
                values.map(|enabled| operations(json!({ &operation: { "enabled": enabled } })));
            rows.push(Row(key, By::Plan, one, other));
        }
    }
    rows
}

/// Lays one document over another, as RFC 7396 has it.
fn laid_over(base: &Value, over: &Value) -> Value {
    let (Value::Object(base), Value::Object(over)) = (base, over) else {
        return over.clone();
    };
    let mut both = base.clone();
    for (key, value) in over {
        let below = both.remove(key).unwrap_or(json!({}));
        if !value.is_null() {
            both.insert(key.clone(), laid_over(&below, value));
        }
    }
    Value::Object(both)
}

/// The values of a document by their key, as rows name it.
fn leaves(value: &Value, key: &str, into: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                let name = if key == "jobs" { "NAME" } else { name };
                let dot = if key.is_empty() { "" } else { "." };
                leaves(value, &format!("{key}{dot}{name}"), into);
            }
        }
        Value::Array(items) => {
            let key = format!("{key}[]");
            for item in items {
                leaves(item, &key, into);
            }
        }
        value => {
            into.insert((key.to_string(), value.to_string()));
        }
    }
}

/// The keys of the schema that hold a value.
fn keys_of(schema: &Value, key: &str, into: &mut BTreeSet<String>) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    for (name, property) in properties {
        let dot = if key.is_empty() { "" } else { "." };
        keys_of(property, &format!("{key}{dot}{name}"), into);
    }
    if schema["items"].is_object() {
        keys_of(&schema["items"], &format!("{key}[]"), into);
    } else if schema["additionalProperties"].is_object() {
        keys_of(
            &schema["additionalProperties"],
            &format!("{key}.NAME"),
            into,
        );
    } else if properties.is_empty() {
        into.insert(key.to_string());
    }
}

#[test]
fn every_key_of_the_schema_has_its_row() {
    let mut keys = BTreeSet::new();
    keys_of(&schema(), "", &mut keys);
    let rows: BTreeSet<String> = rows().iter().map(|row| row.0.to_string()).collect();
    assert_eq!(rows, keys);
}

#[test]
fn the_settings_of_a_row_differ_in_its_key_alone() {
    for Row(key, _, one, other) in rows() {
        let [one, other] = [one, other].map(|over| {
            let mut found = BTreeSet::new();
            leaves(&laid_over(&base(), &over), "", &mut found);
            found
        });
        let different = one.symmetric_difference(&other);
        let different: BTreeSet<&str> = different.map(|(key, _)| key.as_str()).collect();
        assert_eq!(different, BTreeSet::from([key]));
    }
}

/// What comes of settings on a machine made by hand.
fn planned(text: &str) -> String {
    let mut machine = snapshot(vec![
        profile("/nix/var/nix/profiles/system", ProfileKind::System, 0, 52),
        alice(),
        profile("/p/left", ProfileKind::RemovedUser, 1002, 2),
    ]);
    let current = machine.profiles[0].generations.values().last();
    machine.boot.writer = current.and_then(|it| it.content.on_disk().cloned());
    let path = path_of("link", 1);
    let link = GcRoot {
        target: Some(format!("/nix/store/{path}").into()),
        store_path: Some(path),
        state: RootState::Live,
        made_at: Some(time("2026-01-01T00:00:00Z")),
        ..root("link")
    };
    let last = LastUse {
        at: time("2026-01-01T00:00:00Z"),
        signal: UseSignal::Link,
    };
    let used = LinkUse::Seen(SeenUse {
        last,
        project_gone: false,
        elsewhere: false,
        out_of_reach: false,
    });
    machine.uses.insert(link.link.clone(), used);
    machine.roots = vec![root("gone"), link];
    machine.leftovers = LeftoverClass::ALL.map(leftovers).to_vec();
    // Two years and a month between them, so that no bucket has all.
    for generation in machine.profiles[0].generations.values_mut().take(2) {
        let years = if generation.number.0 == 1 { 2 } else { 1 };
        let age = nix_prune::domain::measure::Span::days(365 * years);
        generation.created = generation.created.before(age);
    }
    let report = Report::of(text, Platform::Linux, OutOfRange::Refuse);
    let found = report
        .findings
        .iter()
        .map(|f| format!("{} {}", f.code, f.pointer));
    let found: Vec<String> = found.collect();
    let plan = report.settings.map(|settings| {
        let job = settings.job("daily").unwrap().clone();
        let bound = EffectiveJob::new(job, settings.policy());
        let plan = Plan::build(&machine, &bound);
        serde_json::to_string(&plan).unwrap()
    });
    format!("{found:?} {plan:?}")
}

#[test]
fn every_key_changes_what_is_planned_or_found() {
    for Row(key, by, one, other) in rows() {
        if matches!(by, By::Plan) {
            let [one, other] =
                [one, other].map(|over| planned(&laid_over(&base(), &over).to_string()));
            assert_ne!(one, other, "{key} changes nothing");
        }
    }
}

#[test]
fn every_other_key_changes_what_the_program_says() {
    let Some(nix) = nixes().last() else {
        return skipped("there is no Nix");
    };
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let own = scratch.home().join(".local/state/nix/profiles");
    fs::create_dir_all(&own).unwrap();
    for n in 1..=4 {
        let path = scratch.add_path(&format!("env-{n}"), &[], 1000).unwrap();
        let date = crate::support::time(&format!("2025-0{n}-01T00:00:00Z"));
        scratch
            .set_profile(&own.join("profile"), &path, date)
            .unwrap();
    }
    let file = scratch.base().join("settings.json");
    // Something is held, so that there is something to release.
    fs::write(
        &file,
        laid_over(&base(), &keep(json!({ "last": 3 }))).to_string(),
    )
    .unwrap();
    let ran = run(&scratch, &["run", "--yes", "--config", file.as_str()]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for Row(key, by, one, other) in rows() {
        let By::Program(args) = by else { continue };
        let [one, other] = [one, other].map(|over| {
            fs::write(&file, laid_over(&base(), &over).to_string()).unwrap();
            let ran = run(&scratch, &[args, &["--config", file.as_str()]].concat());
            let mut told: Value = serde_json::from_str(&ran.stdout).unwrap_or(json!(ran.stdout));
            if let Some(document) = told.as_object_mut() {
                document.remove("takenAt");
            }
            (ran.status, told, ran.stderr)
        });
        assert_ne!(one, other, "{key} changes nothing");
    }
}
