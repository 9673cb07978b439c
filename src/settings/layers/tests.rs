//! Files over one another.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Bytes, Span};
use crate::domain::plan::Action;
use crate::settings::syntax::At;
use crate::settings::{OutOfRange, Report};

fn layer(name: String, value: &Value) -> Layer {
    let report = Report::of(&value.to_string(), Platform::Linux, OutOfRange::Refuse);
    let (Some(settings), Some(written)) = (report.settings, report.written) else {
        panic!("{value}: {:?}", report.findings);
    };
    Layer {
        name,
        settings,
        written,
    }
}

fn stacked(values: &[Value]) -> Stack {
    let layers: Vec<Layer> = values
        .iter()
        .enumerate()
        .map(|(i, value)| layer(format!("file {i}"), value))
        .collect();
    stack(&layers, Platform::Linux).unwrap().unwrap()
}

fn with_job(name: &str, job: &Value, more: &Value) -> Value {
    let mut value = json!({ "version": 2, "jobs": { name: job } });
    for (key, more) in more.as_object().unwrap() {
        value[key] = more.clone();
    }
    value
}

fn keep(last: u16) -> Value {
    json!({ "operations": { "generations": { "keep": { "last": last } } } })
}

#[test]
fn a_key_that_counts_more_wins_and_one_that_is_not_said_does_not() {
    let lower = with_job(
        "a",
        &keep(5),
        &json!({ "safeMode": false, "undoWindow": "30d" }),
    );
    let upper = with_job("b", &keep(2), &json!({ "undoWindow": "1d" }));
    let stack = stacked(&[lower, upper]);
    assert!(!stack.settings.safe_mode());
    assert_eq!(stack.settings.undo_window(), Span::days(1));
    let origin = |key: &str| {
        let mut leaves = Vec::new();
        stack.settings.keys.part().leaves(At::Root, &mut leaves);
        let found = leaves.into_iter().find(|(at, ..)| at.as_str() == key);
        found.unwrap().2
    };
    assert_eq!(origin("/safeMode"), Origin::File("file 0".to_string()));
    assert_eq!(origin("/undoWindow"), Origin::File("file 1".to_string()));
    for job in stack.settings.jobs() {
        assert_eq!(job.job().undo_window, Span::days(1));
        assert!(!job.job().safe_mode);
        assert_eq!(job.is_in_highest_file(), job.job().name.to_string() == "b");
    }
}

#[test]
fn a_job_is_taken_whole() {
    let lower = json!({
        "operations": { "generations": { "keep": { "last": 5, "within": "14d" } }, "collect": {} }
    });
    let upper = json!({ "operations": { "verify": { "enabled": true } } });
    let stack = stacked(&[
        with_job("daily", &lower, &json!({})),
        with_job("daily", &upper, &json!({})),
    ]);
    let job = stack.settings.job("daily").unwrap();
    assert!(job.operations.generations.is_none() && job.operations.collect.is_none());
    let verify = Action::Verify { contents: false };
    assert_eq!(job.operations.maintenance, [verify]);
}

#[test]
fn what_protects_adds_up() {
    let protect = |root: &str, number: u32| {
        json!({ "protect": {
            "roots": [root],
            "generations": [{ "profile": "system", "number": number }]
        } })
    };
    let stack = stacked(&[
        with_job("a", &keep(5), &protect("/srv/*", 1)),
        with_job("b", &keep(5), &protect("/home/*", 2)),
    ]);
    for job in stack.settings.jobs() {
        let protect = &job.job().protect;
        assert_eq!(protect.generations.len(), 2);
        assert!(protect.roots.matches("/srv/x".into()) && protect.roots.matches("/home/x".into()));
        assert_eq!(protect.roots.texts().count(), 2);
    }
}

#[test]
fn of_limits_the_least_of_each_counts_in_every_job() {
    let limits = |value: Value| json!({ "limits": value });
    let size = json!({ "maxGenerationsPerRun": 9, "maxBytesPerRun": "2K" });
    let lower = with_job("a", &keep(5), &limits(json!({ "maxGenerationsPerRun": 4 })));
    let upper = with_job("b", &keep(2), &limits(size));
    let silent = with_job("c", &keep(2), &json!({}));
    let files = [lower, upper, silent];
    for turned in 0..3 {
        let mut files = files.clone();
        files.rotate_left(turned);
        let stack = stacked(&files);
        assert_eq!(stack.settings.jobs().count(), 3);
        for job in stack.settings.jobs() {
            let limits = job.job().limits;
            assert_eq!(
                (limits.generations, limits.bytes),
                (Some(4), Some(Bytes(2048)))
            );
        }
    }
}

#[test]
fn a_safe_mode_that_counts_more_lowers_what_a_job_may_do() {
    let mut risky = keep(5);
    risky["maxRisk"] = json!("critical");
    let stack = stacked(&[
        with_job("a", &risky, &json!({ "safeMode": false })),
        with_job("b", &keep(5), &json!({ "safeMode": true })),
    ]);
    assert_eq!(stack.settings.job("a").unwrap().max_risk, RiskLevel::High);
    let codes: Vec<(Code, &str)> = stack
        .findings
        .iter()
        .map(|finding| (finding.code, finding.pointer.as_str()))
        .collect();
    assert_eq!(codes, [(Code::RiskAgainstSafeMode, "/jobs/a/maxRisk")]);
}

#[test]
fn a_policy_is_told_where_it_bites() {
    let policy = json!({ "policy": {
        "keepAtLeast": { "last": 3, "within": "7d" }, "maxRisk": "medium", "undoWindow": "2d"
    } });
    let job = json!({
        "maxRisk": "high",
        "budget": { "minFree": "10%", "releaseHolds": "ifNeeded" },
        "operations": { "generations": { "keep": { "last": 1, "within": "8d" } }, "collect": {} }
    });
    let lower = json!({ "maxRisk": "low", "operations": { "collect": {} } });
    let stack = stacked(&[
        with_job("a", &lower, &policy),
        with_job("b", &job, &json!({ "undoWindow": "1d" })),
    ]);
    let found: Vec<(&str, &str)> = stack
        .findings
        .iter()
        .map(|finding| (finding.code.as_str(), finding.pointer.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("policy.undo-window", "/undoWindow"),
            ("policy.max-risk", "/jobs/b/maxRisk"),
            ("policy.undo-window", "/jobs/b/budget/releaseHolds"),
            (
                "policy.keep-at-least",
                "/jobs/b/operations/generations/keep"
            ),
        ]
    );
    let job = stack.settings.job("b").unwrap().clone();
    let bound = EffectiveJob::new(job, stack.settings.policy());
    assert_eq!(bound.max_risk, RiskLevel::Medium);
    assert_eq!(bound.undo_window, Span::days(2));
}

fn accepting(name: &str, entries: &[(&str, &str)]) -> Value {
    let entry =
        |(code, place): &(&str, &str)| json!({ "code": code, "place": place, "reason": name });
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    with_job(name, &keep(5), &json!({ "accept": entries }))
}

#[test]
fn only_the_file_that_counts_least_accepts_safety_checks() {
    let machine = accepting("machine", &[("roots.away", "/mnt")]);
    let user = accepting(
        "user",
        &[
            ("roots.unreadable", "/home"),
            ("roots.away", "/mnt"),
            ("roots.away", "/mnt/usb"),
        ],
    );
    let stack = stacked(&[machine.clone(), user.clone()]);
    for job in stack.settings.jobs() {
        let held: Vec<(&str, &str)> = job
            .job()
            .accepted
            .iter()
            .map(|entry| (entry.place.as_str(), entry.reason.as_str()))
            .collect();
        assert_eq!(held, [("/mnt", "machine")]);
    }
    let found: Vec<(Code, &str)> = stack
        .findings
        .iter()
        .map(|finding| (finding.code, finding.pointer.as_str()))
        .collect();
    let beyond = |at| (Code::AcceptBeyond, at);
    assert_eq!(found, [beyond("/accept/0"), beyond("/accept/2")]);
    // A machine that says nothing of it accepts nothing.
    let silent = with_job("machine", &keep(5), &json!({}));
    let stack = stacked(&[silent, user.clone()]);
    assert!(stack.settings.accepted().is_empty() && stack.findings.len() == 3);
    // Without a file of the machine the user's own is the one that counts least.
    let alone = stacked(&[user]);
    assert_eq!(
        (alone.settings.accepted().len(), alone.findings.len()),
        (3, 0)
    );
}

fn files() -> impl Strategy<Value = Value> {
    let risk = prop::sample::select(vec!["low", "medium", "high", "critical"]);
    let policy = (0u16..6, 0u32..20, prop::option::of(risk.clone()), 0u32..9).prop_map(
        |(last, within, risk, window)| {
            json!({
                "keepAtLeast": { "last": last, "within": format!("{within}d") },
                "maxRisk": risk,
                "undoWindow": format!("{window}d"),
            })
        },
    );
    (
        prop::sample::select(vec!["a", "b", "c"]),
        risk,
        1u16..6,
        prop::option::of(0u32..9),
        prop::option::of(policy),
    )
        .prop_map(|(name, risk, last, window, policy)| {
            let mut job = keep(last);
            job["maxRisk"] = json!(risk);
            job["budget"] = json!({ "maxUsed": 50, "releaseHolds": "ifNeeded" });
            let window = window.map(|days| format!("{days}d"));
            let entry = json!({ "code": "roots.away", "place": format!("/mnt/{last}"), "reason": name });
            let accept = if last > 3 { json!([entry]) } else { json!(null) };
            let more = json!({ "accept": accept, "safeMode": false, "undoWindow": window, "policy": policy });
            with_job(name, &job, &more)
        })
}

proptest! {
    #[test]
    fn no_file_and_no_flag_loosens_the_policy_of_another(
        values in prop::collection::vec(files(), 1..5),
        flag_risk in prop::sample::select(RiskLevel::ALL.to_vec()),
        flag_window in 0u32..9,
    ) {
        let stack = stacked(&values);
        for value in &values {
            let policy = layer(String::new(), value).settings.policy();
            for found in stack.settings.jobs() {
                // What flags and variables say is said of the job, as the command line does it.
                let mut job = found.job().clone();
                job.max_risk = flag_risk;
                job.undo_window = Span::days(flag_window);
                for job in [job, found.job().clone()] {
                    let bound = EffectiveJob::new(job, stack.settings.policy());
                    prop_assert!(bound.max_risk <= policy.ceiling(RiskLevel::Critical));
                    prop_assert!(bound.undo_window >= policy.undo_window);
                    let floor = bound.operations.generations.as_ref().unwrap().keep.floor();
                    prop_assert!(floor.last >= policy.keep.last && floor.within >= policy.keep.within);
                    if !policy.undo_window.is_zero() {
                        let releases = bound.budget.unwrap().release_holds;
                        prop_assert_eq!(releases, crate::domain::budget::ReleaseHolds::Never);
                    }
                }
            }
        }
    }
}
