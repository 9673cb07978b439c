//! What is shown means what holds, whatever files meet.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::effective_job::EffectiveJob;
use crate::settings::{BUILTIN, OutOfRange, Preset, Report};

fn layer(name: &str, text: &str) -> Layer {
    let report = Report::of(text, Platform::Linux, OutOfRange::Refuse);
    let (Some(settings), Some(written)) = (report.settings, report.written) else {
        panic!("{text}: {:?}", report.findings);
    };
    Layer {
        name: name.to_string(),
        settings,
        written,
    }
}

fn layers(texts: &[String]) -> Vec<Layer> {
    let texts = texts.iter().enumerate();
    texts
        .map(|(i, text)| layer(&format!("file {i}"), text))
        .collect()
}

fn shown(layers: &[Layer], overrides: &Overrides) -> Effective {
    Effective::of(layers, overrides, Platform::Linux)
        .unwrap()
        .unwrap()
}

/// What settings do: effective jobs, and what is protected.
fn meaning(settings: &Settings) -> String {
    let jobs: Vec<String> = settings
        .jobs()
        .map(|found| {
            let job = EffectiveJob::new(found.job().clone(), settings.policy());
            let mut job = crate::domain::job::Job::clone(&job);
            // Sets of patterns are compared by their texts.
            job.protect = std::sync::Arc::default();
            format!("{job:?} {} {:?}", found.is_enabled(), found.description())
        })
        .collect();
    let protect = settings.protect();
    let mut paths: Vec<&str> = protect.paths.iter().map(camino::Utf8Path::as_str).collect();
    paths.sort_unstable();
    let roots: Vec<&str> = protect.roots.texts().collect();
    format!("{jobs:#?} {:?} {roots:?} {paths:?}", protect.generations)
}

fn origin(shown: &Effective, pointer: &str) -> (Value, Origin) {
    let values = shown.values();
    let found = values.into_iter().find(|v| v.pointer.as_str() == pointer);
    let found = found.unwrap_or_else(|| panic!("no {pointer}"));
    (found.value, found.origin)
}

fn jobs() -> impl Strategy<Value = Value> {
    let risk = prop::option::of(prop::sample::select(vec!["low", "HIGH", "critical"]));
    let keep = prop::sample::select(vec![
        json!({ "last": 3 }),
        json!({ "within": "36h", "monthly": 2 }),
        json!({ "yearly": 1 }),
    ]);
    let budget = prop::option::of(prop::sample::select(vec![
        json!({ "minFree": "20%" }),
        json!({ "maxStore": "1.5T", "releaseHolds": "ifNeeded" }),
    ]));
    (risk, keep, budget, any::<bool>(), any::<bool>()).prop_map(|(risk, keep, budget, on, more)| {
        let mut job = json!({ "enabled": on, "operations": { "generations": { "keep": keep } } });
        if let Some(risk) = risk {
            job["maxRisk"] = risk.into();
        }
        if let Some(budget) = budget {
            job["budget"] = budget;
        }
        if more {
            job["description"] = " thin out ".into();
            job["operations"]["collect"] = json!({ "keepRecent": "2d" });
            job["operations"]["verify"] = json!({ "enabled": true });
            job["operations"]["roots"] = json!({ "dangling": true });
        }
        job
    })
}

fn files() -> impl Strategy<Value = String> {
    let names = prop::sample::subsequence(vec!["a", "b", "c"], 1..=3);
    let window = prop::option::of(prop::sample::select(vec!["0s", "1.5d", "30d"]));
    let protect = prop::option::of(prop::sample::select(vec![
        json!({ "roots": ["/a/*", "/b"] }),
        json!({ "roots": ["/b"], "generations": [{ "profile": "system", "number": 4 }] }),
        json!({ "generations": [{ "profile": "/p", "number": 2, "reason": "x" }, { "profile": "system", "number": 4 }] }),
        json!({ "paths": ["/", "/nix/store", "/nix/var", "/boot", "/etc", "/usr", "/var", "/bin", "/sbin", "/srv"] }),
    ]));
    let policy = prop::option::of(prop::sample::select(vec![
        json!({ "keepAtLeast": { "last": 4 } }),
        json!({ "maxRisk": "medium", "undoWindow": "2d" }),
        json!({ "keepAtLeast": { "last": 2, "within": "9d" }, "undoWindow": "10d" }),
    ]));
    let job = prop::collection::vec(jobs(), 3);
    let limits = prop::option::of(prop::sample::select(vec![
        json!({}),
        json!({ "maxGenerationsPerRun": 4 }),
        json!({ "maxGenerationsPerRun": 9, "maxBytesPerRun": "1.5T" }),
        json!({ "maxBytesPerRun": "50G" }),
    ]));
    (names, job, window, protect, policy, limits, any::<bool>()).prop_map(
        |(names, job, window, protect, policy, limits, off)| {
            let pairs = names.iter().zip(job);
            let jobs: Map<String, Value> = pairs
                .map(|(name, mut job)| {
                    if !off && job["maxRisk"] == "critical" {
                        job["maxRisk"] = "medium".into();
                    }
                    ((*name).to_string(), job)
                })
                .collect();
            let mut file = json!({ "version": 2, "jobs": jobs });
            if off {
                file["safeMode"] = false.into();
            }
            for (key, value) in [("protect", protect), ("policy", policy), ("limits", limits)] {
                if let Some(value) = value {
                    file[key] = value;
                }
            }
            if let Some(window) = window {
                file["undoWindow"] = window.into();
            }
            file.to_string()
        },
    )
}

proptest! {
    #[test]
    fn what_is_shown_means_what_holds(texts in prop::collection::vec(files(), 1..4)) {
        let layers = layers(&texts);
        let first = shown(&layers, &Overrides::default());
        let text = serde_json::to_string(&first.document()).unwrap();
        let again = layer("again", &text);
        prop_assert_eq!(meaning(&again.settings), meaning(&first.settings), "{}", text);
        // Shown once more, nothing is left to fill in, nothing is bound any further.
        let second = shown(&[again], &Overrides::default());
        prop_assert_eq!(&second.document(), &first.document());
        for value in second.values() {
            prop_assert_eq!(value.origin, Origin::File("again".to_string()), "{}", value.pointer);
        }
    }

    /// A file is named for a value only where it has that value at that key.
    #[test]
    fn the_file_that_is_named_says_it(texts in prop::collection::vec(files(), 1..4)) {
        let layers = layers(&texts);
        for value in shown(&layers, &Overrides::default()).values() {
            let Origin::File(name) = &value.origin else { continue };
            let number: usize = name.strip_prefix("file ").unwrap().parse().unwrap();
            let file = &texts[number];
            let written: Value = serde_json::from_str(file).unwrap();
            let at = value.pointer.as_str();
            let place = match at.strip_prefix("/protect/") {
                Some(rest) => format!("/protect/{}", rest.split('/').next().unwrap()),
                None => at.to_string(),
            };
            prop_assert!(written.pointer(&place).is_some(), "{} is not in {}", at, file);
        }
    }
}

#[test]
fn presets_and_the_built_in_settings_mean_the_same_when_shown() {
    let presets = Preset::ALL.map(|preset| preset.text().to_string());
    for text in presets.into_iter().chain([BUILTIN.to_string()]) {
        let first = shown(&[layer("first", &text)], &Overrides::default());
        let document = serde_json::to_string(&first.document()).unwrap();
        let again = layer("again", &document);
        assert_eq!(meaning(&again.settings), meaning(&first.settings));
    }
}

#[test]
fn each_value_has_its_origin() {
    let lower = json!({ "version": 2, "safeMode": false, "undoWindow": "3d",
        "protect": { "roots": ["/a/*"] }, "policy": { "undoWindow": "1d", "maxRisk": "medium" },
        "jobs": { "a": { "maxRisk": "critical", "operations": { "collect": {} } },
            "b": { "operations": { "collect": {} } } } });
    let upper = json!({ "version": 2, "safeMode": true, "protect": { "roots": ["/b", "/a/*"] },
        "jobs": { "b": { "maxRisk": "low", "operations": { "verify": { "enabled": true } } } } });
    let layers = layers(&[lower.to_string(), upper.to_string()]);
    let file = |n: usize| Origin::File(format!("file {n}"));
    let flag = Origin::Flag("--undo-window".to_string());
    let short = Overrides {
        undo_window: Some((Span::ZERO, flag.clone())),
        max_risk: None,
    };
    let long = Overrides {
        undo_window: Some((Span::days(9), flag.clone())),
        max_risk: Some((RiskLevel::Critical, Origin::Environment("X".to_string()))),
    };
    let none = Overrides::default();
    let table = [
        (&none, "/version", json!(2), file(1)),
        (&none, "/safeMode", json!(true), file(1)),
        (&none, "/undoWindow", json!("3d"), file(0)),
        (&none, "/protect/roots/0", json!("/a/*"), file(0)),
        (&none, "/protect/roots/1", json!("/b"), file(1)),
        (&none, "/protect/paths/0", json!("/"), Origin::Default),
        (&none, "/policy/undoWindow", json!("1d"), file(0)),
        (&none, "/jobs/a/maxRisk", json!("medium"), Origin::Policy),
        (&none, "/jobs/a/enabled", json!(true), Origin::Default),
        (&none, "/jobs/b/maxRisk", json!("low"), file(1)),
        (
            &none,
            "/jobs/b/operations/verify/enabled",
            json!(true),
            file(1),
        ),
        (
            &none,
            "/jobs/b/operations/verify/contents",
            json!(false),
            Origin::Default,
        ),
        (&short, "/undoWindow", json!("1d"), Origin::Policy),
        (&long, "/undoWindow", json!("9d"), flag.clone()),
        (&long, "/jobs/b/maxRisk", json!("medium"), Origin::Policy),
    ];
    for (overrides, pointer, value, from) in table {
        assert_eq!(
            origin(&shown(&layers, overrides), pointer),
            (value, from),
            "{pointer}"
        );
    }
    let lower = json!({ "version": 2, "safeMode": false,
        "jobs": { "a": { "maxRisk": "critical", "operations": { "collect": {} } } } });
    let layers = self::layers(&[lower.to_string(), upper.to_string()]);
    let safe = (json!("high"), Origin::SafeMode);
    assert_eq!(origin(&shown(&layers, &none), "/jobs/a/maxRisk"), safe);
}
