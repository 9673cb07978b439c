//! `metrics` from outside: what it prints of a store, and the file and the sample that it writes.

#![cfg(test)]
// Metrics are floating-point numbers, and those of these tests are whole.
#![allow(clippy::float_cmp)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::measure::Bytes;
use serde_json::{Value, json};

use crate::render::metrics::values;
use crate::support::{is_root, nixes, run, skipped, time};

/// A store with nine system generations and something dead.
fn machine() -> Option<Scratch> {
    let nix = nixes().last()?;
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=9 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    scratch.add_path("dead-1.0", &[], 5000).unwrap();
    Some(scratch)
}

fn document(scratch: &Scratch, args: &[&str]) -> Value {
    let ran = run(scratch, args);
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr))
}

#[test]
fn metrics_equal_the_documents() {
    let Some(scratch) = machine() else { return };
    let ran = run(&scratch, &["metrics"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(
        !values(&ran.stdout)
            .keys()
            .any(|key| key.contains("last_run") || key.contains("store_"))
    );
    assert!(
        !scratch.base().join("state").exists(),
        "metrics made something"
    );

    let ran = run(&scratch, &["run", "--yes"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let status = document(&scratch, &["status", "--json"]);
    let last = &status["jobs"][0]["lastRun"];
    let dead = document(&scratch, &["dead", "--json"]);
    let holds = document(&scratch, &["hold", "list", "--json"]);
    let ran = run(&scratch, &["metrics", "--store"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let values = values(&ran.stdout);
    let value = |key: &str| values[&format!("nix_prune_{key}")];
    let job = last["job"].as_str().unwrap();
    let of_job = |key: &str, more: &str| value(&format!("{key}{{job_name=\"{job}\"{more}}}"));
    assert_eq!(of_job("last_run_success", ""), 1.0);
    assert_eq!(of_job("last_run_result", ",result=\"done\""), 1.0);
    let freed = |source: &str| of_job("last_run_freed_bytes", &format!(",source=\"{source}\""));
    assert_eq!(Some(freed("reported")), last["bytes"]["reported"].as_f64());
    assert_eq!(
        Some(freed("predicted")),
        last["bytes"]["predicted"].as_f64()
    );
    // Nine generations, of which the last five are kept.
    assert_eq!(of_job("last_run_generations", ",decision=\"remove\""), 4.0);
    assert_eq!(of_job("last_run_generations", ",decision=\"keep\""), 5.0);
    assert_eq!(
        of_job("generations", ",decision=\"keep\",reason=\"last\""),
        5.0
    );
    assert_eq!(value("holds"), 4.0);
    assert_eq!(holds["runs"].as_array().unwrap().len(), 1);
    assert_eq!(value("store_paths"), 9.0);
    assert_eq!(Some(value("dead_paths")), dead["total"]["count"].as_f64());
    assert_eq!(value("roots{kind=\"profile\"}"), 5.0);
    assert_eq!(value("roots{kind=\"hold\"}"), 4.0);
}

#[test]
fn a_file_for_a_collector_is_written_whole_and_for_all() {
    let Some(scratch) = machine() else { return };
    let dir = scratch.base().join("metrics");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("nix-prune.prom");
    let out = ["metrics", "--out", file.as_str()];
    // Before the first run there is no directory for the sample.
    assert_eq!(run(&scratch, &out).status, 0);
    assert_eq!(run(&scratch, &["run", "--yes"]).status, 0);
    let record = scratch.base().join("state/free-space.json");
    let samples = || -> usize {
        let record: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
        record["stores"][0]["samples"].as_array().unwrap().len()
    };
    let ran = run(&scratch, &out);
    assert_eq!(
        (ran.status, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    assert_eq!(samples(), 1);
    // Within minutes of the one before it, which it takes the place of.
    assert_eq!(
        run(&scratch, &["run", "--yes", "--keep-last", "2"]).status,
        0
    );
    assert_eq!(samples(), 1);
    values(&fs::read_to_string(&file).unwrap());
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o644
    );
    let names: Vec<_> = dir
        .read_dir_utf8()
        .unwrap()
        .map(|it| it.unwrap().file_name().to_string())
        .collect();
    assert_eq!(names, ["nix-prune.prom"]);

    // A link such as /dev/stdout is neither followed nor replaced.
    let other = scratch.base().join("other");
    fs::write(&other, "mine").unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&other, &file).unwrap();
    assert_eq!(run(&scratch, &out).status, 73);
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    fs::remove_file(&file).unwrap();
    let before = fs::metadata(&record).unwrap().modified().unwrap();
    values(&run(&scratch, &["metrics", "--out", "-"]).stdout);
    // What only prints writes no sample.
    assert_eq!(fs::metadata(&record).unwrap().modified().unwrap(), before);

    // A damaged record of samples costs nothing but a forecast.
    fs::write(&record, "{").unwrap();
    assert_eq!(run(&scratch, &["metrics"]).status, 0);
    assert_eq!(run(&scratch, &out).status, 0);
    assert_eq!(samples(), 1);
}

/// Samples of a disk that grows steadily and will be full in so many days.
fn full_in(scratch: &Scratch, status: &Value, days: u64) {
    let disk = |key: &str| status["disk"][key].as_u64().unwrap();
    let size = disk("used") + disk("available");
    let used = disk("used").max(size / 5 * 4);
    let now: jiff::Timestamp = status["takenAt"].as_str().unwrap().parse().unwrap();
    let sample = |ago: u64| {
        let used = used - (size - used) / days * ago;
        let at = now - jiff::SignedDuration::from_hours(24 * i64::try_from(ago).unwrap());
        json!({ "at": at.to_string(), "used": used, "available": size - used })
    };
    let samples: Vec<Value> = (0..=8).rev().map(sample).collect();
    let record = json!({
        "schema": "nix-prune/free-space/1",
        "stores": [{ "store": status["store"], "samples": samples }],
    });
    let dir = scratch.base().join("state");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("free-space.json"), record.to_string()).unwrap();
}

/// The undo window is seven days: what is removed now is free before a disk is full in three weeks, and not in three days.
#[test]
fn the_forecast_has_what_the_job_can_free_before() {
    let Some(scratch) = machine() else { return };
    let status = || document(&scratch, &["status", "--json"]);
    let before = status();
    let bytes = |key: &str| before[key]["narBytes"].as_u64().unwrap();
    let (now, later) = (bytes("freesNow"), bytes("freesLater"));
    assert!(now > 0 && later > 0);
    assert_eq!(before["freesBeforeFull"], Value::Null);
    for (days, frees) in [(21, now + later), (3, now)] {
        full_in(&scratch, &before, days);
        let status = status();
        assert_eq!(status["forecast"]["state"], "within", "{status}");
        assert_eq!(status["freesBeforeFull"]["narBytes"], frees, "{days} days");
        let size = Bytes(frees);
        let text = run(&scratch, &["status"]).stdout.replace('\n', " ");
        let expected = format!("job default can free at least {size} before that");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn root_writes_only_where_no_other_user_can() {
    if !is_root() {
        return skipped("directories of other users, which only root can make");
    }
    let Some(scratch) = machine() else { return };
    let dir = scratch.base().join("theirs");
    fs::create_dir(&dir).unwrap();
    nix::unistd::chown(dir.as_std_path(), Some(65_534.into()), None).unwrap();
    let file = dir.join("nix-prune.prom");
    let ran = run(&scratch, &["metrics", "--out", file.as_str()]);
    assert_eq!(ran.status, 73, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("a directory that only root can write to"),
        "{}",
        ran.stderr
    );
    assert!(!file.exists());
}
