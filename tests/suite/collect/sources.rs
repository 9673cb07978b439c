//! Source trees: shown by name and size, and deleted first for a budget on request.

#![cfg(test)]

use std::fs;

use nix_prune::domain::graph::KeepFlags;
use serde_json::{Value, json};

use super::stores::{Row, Store};
use crate::support::{guide_example, program, run_command, with_each_nix};

#[test]
fn a_budget_deletes_dead_source_trees_first_with_the_rule() {
    let example: Value = serde_json::from_str(&guide_example("budgets", "sourcesFirst")).unwrap();
    with_each_nix(|nix| {
        for first in [true, false] {
            let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
            store.fill(&[
                Row::new("old", &[]).registered(1000),
                // It is needed by something older, and goes after it.
                Row::new("needs", &["b-source"]).registered(2000),
                Row::new("b-source", &[]).registered(500),
                Row::new("a-source", &[]).registered(3000),
                Row::new("c-source", &[]).registered(9000),
                Row::new("kept", &[]),
            ]);
            store.root("kept");
            let collect = if first {
                example["collect"].clone()
            } else {
                json!({})
            };
            let settings = store.scratch.base().join("settings.json");
            // 48 bytes are there, and 16 of them must go.
            let job = json!({"budget": {"maxStore": "32B"}, "operations": {"collect": collect}});
            fs::write(
                &settings,
                json!({"version": 2, "jobs": {"a": job}}).to_string(),
            )
            .unwrap();
            let run = |args: &[&str]| {
                let config = ["--config", settings.as_str()];
                let ran = run_command(program(&store.scratch).args(args).args(config));
                assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
                ran.stdout
            };
            let trees = run(&["du", "--by", "source"]);
            assert!(
                trees.contains("3 source trees in the store, 24 B; 3 of them dead"),
                "{trees}"
            );
            run(&["run", "--yes"]);
            let gone: Vec<&str> = ["old", "needs", "a-source", "b-source", "c-source", "kept"]
                .into_iter()
                .filter(|name| !store.has(name))
                .collect();
            let expected = if first {
                ["a-source", "c-source"]
            } else {
                ["old", "needs"]
            };
            assert_eq!(gone, expected);
            store.assert_sound();
        }
    });
}
