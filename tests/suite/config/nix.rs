//! The options of the Nix modules have the keys of the declaration, with the same words and ranges.

use std::collections::BTreeMap;

use nix_prune::settings::schema;
use serde_json::Value;

const OPTIONS: &str = include_str!("../../../nix/options.nix");
/// Written from the options by `scripts/check-modules --update`.
const PAGE: &str = include_str!("../../../docs/modules.md");
/// The options of a job that say when it runs, which is not the settings' business.
const SCHEDULE: [&str; 11] = [
    "dates",
    "extraArgs",
    "interval",
    "lowPriority",
    "onFailure",
    "onSuccess",
    "onlyOnAC",
    "persistent",
    "randomizedDelaySec",
    "watch",
    "whenIdle",
];

/// The keys with a value, by the name of their option, and their schema.
fn keys(schema: &Value, option: &str, into: &mut BTreeMap<String, Value>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let option = match (option, name.as_str()) {
                ("", "jobs") => "jobs".to_string(),
                ("", name) => format!("settings.{name}"),
                (option, name) => format!("{option}.{name}"),
            };
            keys(property, &option, into);
        }
    } else if schema["additionalProperties"].is_object() {
        keys(
            &schema["additionalProperties"],
            &format!("{option}.<name>"),
            into,
        );
    } else if schema["items"]["properties"].is_object() {
        keys(&schema["items"], &format!("{option}.*"), into);
    } else {
        into.insert(option.to_string(), schema.clone());
    }
}

/// The options with a value and their types, as the page has them.
fn options() -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut name = "";
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("### `services.nix-prune.") {
            name = heading.trim_end_matches('`');
        } else if let Some(kind) = line.strip_prefix("Type: ") {
            let job = name.strip_prefix("jobs.<name>.").unwrap_or_default();
            let is_key = name.starts_with("settings.") || !job.is_empty();
            let first = job.split('.').next().unwrap_or_default();
            // The settings have `enabled` alone.
            let is_alias = name.ends_with(".enable");
            if is_key && !is_alias && !SCHEDULE.contains(&first) && !kind.contains("submodule") {
                options.insert(name.to_string(), kind.to_string());
            }
        }
    }
    options
}

#[test]
fn every_key_is_an_option_and_every_option_a_key() {
    let mut keys_of_schema = BTreeMap::new();
    keys(&schema(), "", &mut keys_of_schema);
    let options = options();
    let keys: Vec<&String> = keys_of_schema.keys().collect();
    assert_eq!(keys, options.keys().collect::<Vec<_>>());
    for (name, key) in &keys_of_schema {
        let last = name.rsplit('.').next().unwrap();
        let is_there = OPTIONS.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with(&format!("{last} =")) || line == last
        });
        assert!(is_there, "nix/options.nix has no `{last}`");
        let kind = &options[name];
        let words = key["enum"].as_array().into_iter().flatten();
        for word in words.filter_map(Value::as_str).filter(|_| last != "code") {
            assert!(kind.contains(&format!("\"{word}\"")), "{name}: {kind}");
        }
        if let (Some(least), Some(most)) = (key["minimum"].as_i64(), key["maximum"].as_i64()) {
            let range = format!("between {least} and {most} (both inclusive)");
            let is_only = format!("value {most} (singular enum)");
            let number_of_a_generation = "unsigned integer, meaning >=0";
            let ranges = [&*range, &*is_only, number_of_a_generation];
            assert!(
                ranges.iter().any(|range| kind.ends_with(range)),
                "{name}: {kind}"
            );
        }
        let types = [&key["type"], &key["type"][0]];
        if types.contains(&&Value::from("boolean")) {
            assert_eq!(kind, "boolean", "{name}");
        }
        if types.contains(&&Value::from("array")) {
            assert!(kind.contains("list of "), "{name}: {kind}");
        }
    }
}
