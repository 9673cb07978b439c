//! Settings: the files in `tests/fixtures/settings`, what jobs come of them, and what holds for any text.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

use nix_prune::domain::retention::Calendar;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use camino::Utf8Path;
use nix_prune::domain::job::ProfileSelector;
use nix_prune::domain::measure::Span;
use nix_prune::domain::plan::{Action, OptimiseFacts};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::settings::{
    BUILTIN, Code, Finding, JobSettings, NoJob, OutOfRange, Platform, Preset, Report, Settings,
    Severity, schema,
};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

const FULL: &str = include_str!("../fixtures/settings/good/full.json");
const POLICY: &str = include_str!("../fixtures/settings/good/policy.json");
/// Most keys.
const SAMPLE: &str = include_str!("../fixtures/settings/sample-of-the-design.json");

fn parse(text: &str) -> Result<(Settings, Vec<Finding>), Vec<Finding>> {
    Settings::parse_for(text, Platform::Linux)
}

/// What was found, errors and warnings alike, as `CODE POINTER`.
fn found(text: &str) -> Vec<String> {
    let (Ok((_, findings)) | Err(findings)) = parse(text);
    let short = |f: &Finding| format!("{} {}", f.code, f.pointer);
    findings.iter().map(short).collect()
}

#[test]
fn the_sample_is_valid() {
    assert_eq!(parse(SAMPLE).unwrap().1, []);
}

/// The pointer of every object in a document.
fn objects(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            into.push(at.to_string());
            for (key, value) in map {
                objects(value, &format!("{at}/{key}"), into);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                objects(value, &format!("{at}/{i}"), into);
            }
        }
        _ => {}
    }
}

#[test]
fn every_object_refuses_an_unknown_key_and_a_list_in_its_place() {
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    let mut pointers = Vec::new();
    objects(&sample, "", &mut pointers);
    assert_eq!(pointers.len(), 13);
    for pointer in pointers {
        let mut document = sample.clone();
        let place = document.pointer_mut(&pointer).unwrap();
        place["zzz"] = json!(1);
        let expected = match pointer.as_str() {
            "/jobs" => "wrong-type /jobs/zzz".to_string(),
            _ => format!("unknown-key {pointer}/zzz"),
        };
        assert_eq!(found(&document.to_string()), [expected]);
        let values: Vec<Value> = match sample.pointer(&pointer) {
            Some(Value::Object(map)) => map.values().cloned().collect(),
            _ => panic!("{pointer} is no object"),
        };
        *document.pointer_mut(&pointer).unwrap() = Value::Array(values);
        let expected = format!("wrong-type {pointer}");
        assert_eq!(found(&document.to_string()), [expected]);
    }
}

#[test]
fn the_builtin_settings_are_valid_and_say_what_they_promise() {
    for platform in [Platform::Linux, Platform::MacOs] {
        let (_, findings) = Settings::parse_for(BUILTIN, platform).unwrap();
        assert_eq!(findings, []);
    }
    let settings = Settings::builtin().unwrap();
    assert_eq!(settings.jobs().count(), 1);
    let job = settings.job("default").unwrap();
    assert!(job.safe_mode && job.max_risk == RiskLevel::High);
    assert_eq!(job.undo_window, Span::days(7));
    let operations = &job.operations;
    assert!(operations.collect.is_some() && operations.maintenance.is_empty());
    assert!(operations.roots.is_none());
    let generations = operations.generations.as_ref().unwrap();
    assert_eq!(
        generations.profiles,
        [
            ProfileSelector::System,
            ProfileSelector::Users,
            ProfileSelector::HomeManager
        ]
    );
    let rules = generations.keep.rules();
    assert_eq!((rules.last, rules.within), (Some(5), Some(Span::days(14))));
    assert_eq!(
        (
            rules.calendar.get(Calendar::Daily),
            rules.calendar.get(Calendar::Weekly),
            rules.calendar.get(Calendar::Monthly),
            rules.calendar.get(Calendar::Yearly)
        ),
        (None, None, None, None)
    );
}

#[test]
fn a_job_has_everything_that_bears_on_it() {
    let (settings, _) = parse(FULL).unwrap();
    let daily = settings.job("daily").unwrap();
    assert_eq!(daily.protect.generations.len(), 2);
    assert_eq!(daily.protect.generations[0].number.0, 42);
    let protects = |link: &str| daily.protect.roots.matches(Utf8Path::new(link));
    assert!(protects("/home/alice/keep/a/result") && protects("/srv/builds/result-1"));
    assert!(!protects("/home/alice/other/result") && !protects("/home/a/b/keep/result"));
    assert!(daily.operations.roots.as_ref().unwrap().dangling);
    assert_eq!(daily.operations.maintenance, []);
    assert_eq!(
        daily
            .operations
            .generations
            .as_ref()
            .unwrap()
            .profiles
            .len(),
        4
    );
    let check = settings.job("monthly_check").unwrap();
    assert!(check.operations.collect.is_none());
    assert_eq!(
        check.operations.maintenance,
        [
            Action::Optimise(OptimiseFacts::default()),
            Action::Verify { contents: true }
        ]
    );
    assert_eq!(check.protect.generations, daily.protect.generations);
    assert!(
        settings
            .protect()
            .paths
            .iter()
            .any(|path| path == "/srv/builds")
    );
}

#[test]
fn a_disabled_job_is_listed_and_not_given_out() {
    let (settings, _) = parse(FULL).unwrap();
    let enabled: Vec<bool> = settings.jobs().map(JobSettings::is_enabled).collect();
    assert_eq!(enabled, [true, true, false]);
    let name = "spare".to_string();
    assert_eq!(settings.job("spare").unwrap_err(), NoJob::Disabled { name });
    let unknown = settings.job("dayly").unwrap_err();
    assert!(
        matches!(unknown, NoJob::Unknown { nearest: Some(near), known, .. } if near == "daily" && known.len() == 3)
    );
    assert!(settings.job("").is_err() && settings.job("a b").is_err());
}

/// Every settings file below `kind`, with its expectation.
fn fixtures(kind: &str) -> Vec<(PathBuf, String, Value)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/settings")
        .join(kind);
    let names: BTreeSet<String> = std::fs::read_dir(dir.as_path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let is_expectation = |name: &&String| name.ends_with(".expected.json");
    for name in names.iter().filter(is_expectation) {
        let subject = name.replace(".expected.json", ".json");
        assert!(names.contains(&subject), "{kind}/{name} belongs to no file");
    }
    let subjects = names.iter().filter(|name| !is_expectation(name));
    subjects
        .map(|name| {
            let stem = name.strip_suffix(".json").unwrap();
            let beside = dir.join(format!("{stem}.expected.json"));
            let expected = std::fs::read_to_string(&beside)
                .unwrap_or_else(|_| panic!("{kind}/{name} has no expectation beside it"));
            let text = std::fs::read_to_string(dir.join(name)).unwrap();
            (
                dir.join(name),
                text,
                serde_json::from_str(&expected).unwrap(),
            )
        })
        .collect()
}

#[rstest]
#[case("good", 5)]
#[case("bad", 30)]
#[case("version-1/good", 5)]
#[case("version-1/bad", 8)]
fn every_fixture_gives_exactly_its_findings(#[case] kind: &str, #[case] at_least: usize) {
    let fixtures = fixtures(kind);
    assert!(fixtures.len() >= at_least, "only {} files", fixtures.len());
    for (path, text, expected) in fixtures {
        let parsed = parse(&text);
        assert_eq!(
            parsed.is_ok(),
            kind.ends_with("good"),
            "{}: {parsed:?}",
            path.display()
        );
        let (Ok((_, findings)) | Err(findings)) = parsed;
        let mut got = serde_json::to_value(&findings).unwrap();
        // An expectation says as much as it wants to hold fast.
        for (finding, wanted) in got
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(expected.as_array().unwrap())
        {
            finding
                .as_object_mut()
                .unwrap()
                .retain(|key, _| wanted.get(key).is_some());
        }
        assert_eq!(got, expected, "{}: {findings:#?}", path.display());
    }
}

#[test]
fn every_code_is_given_by_some_fixture() {
    let all = fixtures("good").into_iter().chain(fixtures("bad"));
    let given: BTreeSet<String> = all.flat_map(|(_, text, _)| found(&text)).collect();
    // Only several files together give it.
    let single = |code: &&Code| **code != Code::AcceptBeyond;
    for code in Code::ALL.iter().filter(single) {
        let begins = format!("{code} ");
        assert!(
            given.iter().any(|f| f.starts_with(&begins)),
            "no fixture gives {code}"
        );
    }
}

/// What a schema cannot say: what a text means, what values are to each other, and what this release does not do yet.
const BEYOND_A_SCHEMA: [Code; 12] = [
    // Values are looked at together.
    Code::BootGenerations,
    Code::BudgetGoals,
    Code::JobWithoutOperation,
    Code::KeepsNothing,
    Code::MissingCritical,
    Code::RiskAgainstSafeMode,
    // Texts have a meaning; a pattern that knew paths would be one that nobody can read.
    Code::PathNotNormalised,
    Code::PathRelative,
    Code::PinProfile,
    Code::ProfileUnknown,
    Code::NotifyCommand,
    Code::NotifyTimeout,
];

/// Both opinions on a document: whether the schema takes it, and the errors of the check.
fn opinions(validator: &jsonschema::Validator, text: &str) -> Option<(bool, Vec<Code>)> {
    let document: Value = serde_json::from_str(text).ok()?;
    let report = Report::of(text, Platform::Linux, OutOfRange::Refuse);
    let errors = report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error);
    let errors: Vec<Code> = errors.map(|finding| finding.code).collect();
    assert_eq!(report.settings.is_none(), !errors.is_empty(), "{text}");
    // A document has only the last of a key that is written twice.
    (!errors.contains(&Code::DuplicateKey)).then(|| (validator.is_valid(&document), errors))
}

#[test]
fn the_schema_is_of_the_same_opinion_as_the_check() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let files = fixtures("good").into_iter().chain(fixtures("bad"));
    let files = files.map(|(path, text, _)| (path.display().to_string(), text));
    let presets = Preset::ALL.map(|p| (p.name().to_string(), p.text().to_string()));
    let builtin = ("built in".to_string(), BUILTIN.to_string());
    let all = files.chain(presets).chain([builtin]).chain(one_value_odd());
    let (mut both_take, mut both_refuse, mut beyond) = (0, 0, BTreeSet::new());
    for (name, text) in all {
        let Some((taken, errors)) = opinions(&validator, &text) else {
            continue;
        };
        match (taken, errors.is_empty()) {
            (true, true) => both_take += 1,
            (false, false) => both_refuse += 1,
            (false, true) => {
                let document = serde_json::from_str(&text).unwrap();
                let faults: Vec<String> = validator
                    .iter_errors(&document)
                    .map(|fault| fault.to_string())
                    .collect();
                panic!("{name} is valid, and the schema refuses it: {faults:?}");
            }
            (true, false) => {
                for code in errors {
                    assert!(BEYOND_A_SCHEMA.contains(&code), "{name}: {code}");
                    beyond.insert(code);
                }
            }
        }
    }
    assert!(
        both_take >= 50 && both_refuse >= 500,
        "{both_take} {both_refuse}"
    );
    // What is listed is needed.
    assert_eq!(beyond, BTreeSet::from(BEYOND_A_SCHEMA));
}

/// Settings with one value in the place of another, so that one fault hides no other one.
fn one_value_odd() -> Vec<(String, String)> {
    let small = |more: &str| {
        let text = format!(
            r#"{{ "version": 2, "jobs": {{ "a": {{ {more}, "operations": {{ "collect": {{ "method": "auto" }} }} }} }} }}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let bases: [Value; 4] = [
        serde_json::from_str(FULL).unwrap(),
        serde_json::from_str(POLICY).unwrap(),
        small(r#""budget": { "minFree": "20%", "releaseHolds": "never" }"#),
        small(r#""budget": { "maxStore": "200G" }"#),
    ];
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(5),
        json!(97),
        json!(1001),
        json!(1u64 << 40),
        json!(""),
        json!(" 7d "),
        json!("7d"),
        json!("7 d"),
        json!("1.5"),
        json!("20%"),
        json!("3%"),
        json!("50G"),
        json!("HIGH"),
        json!("never"),
        json!("auto"),
        json!("system"),
        json!("/"),
        json!("/nix/"),
        json!("/a/../b"),
        json!("/a/*/b"),
        json!("[/"),
        json!("x"),
        json!([]),
        json!({}),
        json!([1]),
        json!(["/x"]),
        json!({ "x": 1 }),
    ];
    let mut documents = Vec::new();
    for base in bases {
        let mut pointers = Vec::new();
        places(&base, "", &mut pointers);
        for (at, odd) in pointers
            .iter()
            .flat_map(|at| odd.iter().map(move |odd| (at, odd)))
        {
            let mut document = base.clone();
            *document.pointer_mut(at).unwrap() = odd.clone();
            documents.push((format!("{odd} at {at}"), document.to_string()));
        }
    }
    documents
}

/// Every place in a document but the whole of it.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, v)| (key.clone(), v)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        let at = format!("{at}/{key}");
        places(value, &at, into);
        into.push(at);
    }
}

/// The files that are JSON without a key that is written twice: of such a key a document has only the last.
static DOCUMENTS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let files = fixtures("good").into_iter().chain(fixtures("bad"));
    let twice = |found: &Value| found["code"] == "duplicate-key";
    let once = files.filter(|(_, _, found)| !found.as_array().unwrap().iter().any(twice));
    let documents = once.filter_map(|(_, text, _)| {
        let document = serde_json::from_str(&text).ok()?;
        Some((text, document))
    });
    documents.collect()
});

/// Writes a document with the keys of each object in an order that `seed` decides.
fn shuffled(value: &Value, seed: &mut u64) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", json!(key), shuffled(value, seed)))
                .collect();
            for i in (1..entries.len()).rev() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                entries.swap(i, usize::try_from(*seed >> 33).unwrap() % (i + 1));
            }
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|v| shuffled(v, seed)).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// Everything that settings say, in words; findings without their place in the text and the order that it gives them.
fn told(text: &str) -> String {
    let told = |findings: Vec<Finding>| {
        let mut told: Vec<String> = findings
            .into_iter()
            .map(|f| {
                format!(
                    "{:?} {} {} {} {}",
                    f.severity, f.code, f.pointer, f.message, f.hint
                )
            })
            .collect();
        told.sort();
        told
    };
    match parse(text) {
        Ok((settings, findings)) => format!("{settings:?} {:?}", told(findings)),
        Err(findings) => format!("{:?}", told(findings)),
    }
}

/// Words that mean something in settings, and some that do not.
fn anything() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 21] = [
        "version",
        "jobs",
        "daily",
        "operations",
        "generations",
        "keep",
        "last",
        "within",
        "protect",
        "paths",
        "roots",
        "collect",
        "verify",
        "enabled",
        "maxRisk",
        "critical",
        "14d",
        "/usr",
        "system",
        "",
        "x",
    ];
    let word = prop::sample::select(&WORDS[..]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(1)),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_string), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_document_panics_and_each_is_judged_the_same_twice(mut document in anything(), whole: bool) {
        if whole && let Value::Object(map) = &mut document {
            map.insert("version".to_string(), json!(1));
        }
        let text = document.to_string();
        prop_assert_eq!(told(&text), told(&text));
        if let Err(findings) = parse(&text) {
            prop_assert!(findings.iter().any(|f| f.severity == Severity::Error));
        }
    }

    #[test]
    fn no_damage_panics(at in 0..FULL.len(), with in prop::sample::select(&b"{}[],:\"0-x\\ "[..])) {
        let mut bytes = FULL.as_bytes().to_vec();
        bytes[at] = with;
        let _ = parse(&String::from_utf8(bytes).unwrap());
        let _ = parse(&FULL[..at]);
    }
}

proptest! {
    // Each case reads all files.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_keys_is_irrelevant(seed: u64) {
        let mut seed = seed;
        for (text, document) in DOCUMENTS.iter() {
            prop_assert_eq!(told(&shuffled(document, &mut seed)), told(text));
        }
    }
}
