//! Plans that take more than usual, or more than is allowed in one run.

use super::*;
use crate::support::{OnTerminal, program};
use std::io::Write;

/// Settings whose only job keeps the last generation, with limits.
fn limited(scratch: &Scratch, limits: &str) -> String {
    let file = scratch.base().join("limited.json");
    let text = format!(
        r#"{{ "version": 2, "limits": {limits}, "jobs": {{ "default": {{ "operations":
            {{ "generations": {{ "keep": {{ "last": 1 }} }}, "collect": {{}} }} }} }} }}"#
    );
    fs::write(&file, text).unwrap();
    format!("--config={file}")
}

#[test]
fn a_run_above_a_limit_stops_and_is_let_pass_by_its_own_code() {
    let Some(scratch) = machine() else { return };
    let both = limited(
        &scratch,
        r#"{ "maxGenerationsPerRun": 2, "maxBytesPerRun": "1K" }"#,
    );
    let large = scratch.add_path("large", &[], 100_000).unwrap();
    let run = ["run", "--yes", "--json", &both];
    let ran = ends(&scratch, &run, 4);
    assert!(
        ran.stderr.contains("3 generations would be removed"),
        "{}",
        ran.stderr
    );
    let with = |accept: &[&str], status| {
        let args: Vec<&str> = run.iter().chain(accept).copied().collect();
        ends(&scratch, &args, status)
    };
    let (many, much) = ("--accept=limits.generations", "--accept=limits.bytes");
    for accept in [&[][..], &[many], &[much], &["--accept=anomaly.bytes", many]] {
        with(accept, 4);
        assert_eq!(generations(&scratch), 5, "{accept:?}");
        assert!(large.to_absolute_path(scratch.store()).exists());
    }
    let receipt = json(&with(&[many, much], 0));
    assert_eq!(
        codes(&receipt["acceptedChecks"]),
        ["limits.generations", "limits.bytes"]
    );
    assert_eq!(receipt["size"]["generations"], 3);
    assert_eq!(generations(&scratch), 2);
    // What is below them needs no word.
    ends(&scratch, &run, 0);
}

#[test]
fn a_saved_plan_carries_what_was_let_pass_and_stops_without() {
    let Some(scratch) = machine() else { return };
    let config = limited(&scratch, r#"{ "maxGenerationsPerRun": 2 }"#);
    let file = scratch.base().join("plan");
    let plan = ["plan", &config, "--out", file.as_str()];
    ends(&scratch, &plan, 0);
    ends(&scratch, &["apply", "--yes", file.as_str()], 4);
    // One that was drawn without limits is stopped by those that hold now.
    let free = limited(&scratch, "{}");
    ends(&scratch, &["plan", &free, "--out", file.as_str()], 0);
    let config = limited(&scratch, r#"{ "maxGenerationsPerRun": 2 }"#);
    ends(&scratch, &["apply", "--yes", &config, file.as_str()], 4);
    assert_eq!(generations(&scratch), 5);
    let args = [
        "plan",
        &config,
        "--accept=limits.generations",
        "--out",
        file.as_str(),
    ];
    ends(&scratch, &args, 0);
    ends(&scratch, &["apply", "--yes", &config, file.as_str()], 0);
    assert_eq!(generations(&scratch), 2);
}

#[test]
fn on_a_terminal_it_is_asked_even_after_yes_and_a_yes_is_recorded() {
    let Some(scratch) = machine() else { return };
    let config = limited(&scratch, r#"{ "maxGenerationsPerRun": 2 }"#);
    for (answer, left, says) in [("n\n", 5, "aborted"), ("y\n", 2, "restores")] {
        let args = ["run", "--yes", "--color=never", &config];
        let mut shown = OnTerminal::start(program(&scratch).args(args));
        let text = shown.until("[y/N]");
        assert!(text.contains("limits.generations"), "{text}");
        shown.terminal.write_all(answer.as_bytes()).unwrap();
        shown.until(says);
        assert_eq!(shown.end(), if left == 5 { 4 } else { 0 });
        assert_eq!(generations(&scratch), left);
    }
    let history = json(&ends(&scratch, &["history", "--json"], 0));
    let run = history["runs"][0]["run"].as_str().unwrap().to_string();
    let receipt = json(&ends(&scratch, &["history", &run, "--json"], 0));
    assert_eq!(codes(&receipt["acceptedChecks"]), ["limits.generations"]);
}

#[test]
fn far_more_than_the_last_runs_took_waits_for_a_word() {
    let Some(scratch) = machine() else { return };
    let path = |n: u32| {
        scratch
            .path_named(&format!("system-{}", n % 5 + 1))
            .unwrap()
    };
    let add = |numbers: std::ops::Range<u32>| {
        for n in numbers {
            let date = time(&format!("2026-02-{:02}T00:00:00Z", n % 28 + 1));
            scratch
                .set_profile(&system(&scratch), &path(n), date)
                .unwrap();
        }
    };
    let run = ["run", "--keep-last=2", "--yes", "--no-collect"];
    for n in 0..3 {
        ends(&scratch, &run, 0);
        add(n..n + 1);
    }
    add(3..29);
    let before = generations(&scratch);
    let ran = ends(&scratch, &run, 4);
    assert!(ran.stderr.contains("anomaly.generations"), "{}", ran.stderr);
    let other = run.into_iter().chain(["--accept=anomaly.bytes"]);
    ends(&scratch, &other.collect::<Vec<_>>(), 4);
    assert_eq!(generations(&scratch), before);
    let plan = ["plan", "--keep-last=2", "--no-collect", "--json"].into_iter();
    let plan = plan.chain(["--accept=anomaly.generations"]);
    let plan = json(&ends(&scratch, &plan.collect::<Vec<_>>(), 0));
    assert_eq!(codes(&plan["failedChecks"]), Vec::<&str>::new());
    assert_eq!(codes(&plan["acceptedChecks"]), ["anomaly.generations"]);
}
