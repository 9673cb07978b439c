//! The system that ran longest is kept, by what runs have recorded.

#![cfg(test)]

use std::fs;

use nix_prune::adapters::scratch::Scratch;
use serde_json::{Value, json};

use crate::support::{Ran, guide_example, nixes, program, run_command, time};

fn command(scratch: &Scratch, keep: &Value, args: &[&str]) -> Ran {
    let settings = scratch.base().join("settings.json");
    let generations = json!({"profiles": ["system"], "keep": keep});
    let jobs = json!({"a": {"operations": {"generations": generations}}});
    fs::write(&settings, json!({"version": 2, "jobs": jobs}).to_string()).unwrap();
    let config = ["--config", settings.as_str()];
    run_command(program(scratch).args(args).args(config))
}

#[test]
fn a_system_that_ran_for_days_is_kept_after_the_next_boot() {
    let Some(nix) = nixes().last() else { return };
    let example: Value = serde_json::from_str(&guide_example("policy", "knownGood")).unwrap();
    let keep = &example["keep"];
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let mut paths = Vec::new();
    for n in 1..=9 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2025-0{n}-01T00:00:00Z"));
        let system = scratch.state_dir().join("profiles/system");
        scratch.set_profile(&system, &path, date).unwrap();
        paths.push(path);
    }
    let boot = |n: usize| {
        let link = scratch.state_dir().join("gcroots/booted-system");
        let _ = fs::remove_file(&link);
        let path = paths[n - 1].to_absolute_path(scratch.store());
        std::os::unix::fs::symlink(path, link).unwrap();
    };
    boot(2);
    let plan = command(&scratch, keep, &["plan"]).stdout;
    assert!(plan.contains("knownGood keeps nothing yet"), "{plan}");
    let ran = command(&scratch, keep, &["run", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);

    // Twelve days later.
    let file = scratch.base().join("state/root-baseline.json");
    let mut record: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let uptimes = record["stores"][0]["uptimes"].as_object_mut().unwrap();
    let known: Vec<&String> = uptimes.keys().collect();
    assert!(
        known.iter().all(|path| **path == paths[1].to_string()),
        "{known:?}"
    );
    uptimes.insert(paths[1].to_string(), "12d".into());
    fs::write(&file, record.to_string()).unwrap();
    boot(9);
    for n in 10..=12 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2025-{n}-01T00:00:00Z"));
        let system = scratch.state_dir().join("profiles/system");
        scratch.set_profile(&system, &path, date).unwrap();
    }
    let plan = command(&scratch, keep, &["plan", "--full"]).stdout;
    assert!(plan.contains("ran 12 days (known good)"), "{plan}");
    let ran = command(&scratch, keep, &["run", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let there = |n: usize| {
        let link = format!("profiles/system-{n}-link");
        scratch.state_dir().join(link).symlink_metadata().is_ok()
    };
    assert!(there(2) && !there(5) && there(8));
    // Without the rule it is removed as any other.
    let ran = command(&scratch, &json!({"last": 5}), &["run", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!there(2) && there(8));
}
