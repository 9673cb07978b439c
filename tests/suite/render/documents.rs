use jsonschema::Validator;
use nix_prune::domain::analysis::StoreAnalysis;
use nix_prune::domain::measure::Span;
use nix_prune::domain::plan::{
    Action, BootFacts, CollectFacts, HoldFacts, OptimiseFacts, Plan, PlannedAction,
};
use nix_prune::domain::receipt::Receipt;
use nix_prune::domain::risk::RiskLevel;
use nix_prune::render::{Document, json, schema, to_text};
use rstest::rstest;
use serde_json::{Value, json};

use super::{assert_kept, sample};

fn validator(document: Document) -> Validator {
    jsonschema::validator_for(document.schema().as_value()).unwrap()
}

fn sample_of(document: Document) -> Value {
    let value = match document {
        Document::Status => serde_json::to_value(sample::status(&sample::plan(""))),
        Document::Generations => serde_json::to_value(json::generations(
            &sample::snapshot(""),
            Some(&crate::support::unrestricted(&sample::job(
                Span::days(7),
                "",
            ))),
            None,
            &sample::systems(""),
        )),
        Document::Roots => serde_json::to_value(json::roots(&sample::snapshot(""), None)),
        Document::Plan => serde_json::to_value(sample::plan("")),
        Document::Receipt => serde_json::to_value(sample::receipt("")),
        Document::Undo => serde_json::to_value(json::undo(&sample::undo_preview(""))),
        Document::History => {
            serde_json::to_value(json::history(&sample::unusual_receipts(""), sample::now()))
        }
        Document::Holds => serde_json::to_value(json::holds(&sample::snapshot(""), None)),
        Document::Pin => serde_json::to_value(sample::pin("")),
        Document::PinList => serde_json::to_value(sample::pins("", 0)),
        Document::Usage => serde_json::to_value(sample::overview(&store(), &sample::snapshot(""))),
        Document::Package => {
            serde_json::to_value(json::package(&sample::snapshot(""), &store(), "system"))
        }
        Document::Report => serde_json::to_value(sample::report("").0),
        Document::Dead => serde_json::to_value(json::dead(
            &store(),
            json::dead_sum(&store(), None, false, Vec::new()),
        )),
        Document::Why => serde_json::to_value(json::why(&store(), sample::deep(&store()), 9)),
        Document::Doctor => serde_json::to_value(doctor()),
        Document::ConfigCheck => serde_json::to_value(sample::config_check()),
        Document::ConfigDiff => serde_json::to_value(config_diff()),
        Document::ConfigImport => serde_json::to_value(config_import()),
        Document::ConfigMigrate => serde_json::to_value(config_migrate()),
        Document::ConfigShow => serde_json::to_value(config_show()),
        Document::Notice => serde_json::to_value(sample::notice("")),
        Document::Error => serde_json::to_value(json::error(json::FailureDocument {
            code: "usage".into(),
            message: "x".into(),
            hint: None,
            exit: 2,
        })),
        Document::Du => serde_json::to_value(sample::usage(&store(), &sample::snapshot(""))),
    };
    value.unwrap()
}

fn doctor() -> json::DoctorDocument {
    let check = |name: &str, state, hint: Option<&str>| json::CheckDocument {
        name: name.to_string(),
        state,
        message: "what was found".to_string(),
        hint: hint.map(str::to_string),
    };
    json::doctor(vec![
        check("nix", json::CheckState::Ok, None),
        check("records", json::CheckState::Warning, Some("settle it")),
        check("roots", json::CheckState::Error, Some("mount it")),
    ])
}

fn config_migrate() -> json::ConfigMigrateDocument {
    let file = |from, backup: Option<&str>, steps: &[&str]| json::MigratedDocument {
        file: "/etc/nix-prune/config.json".to_string(),
        from,
        to: 2,
        backup: backup.map(str::to_string),
        steps: steps.iter().map(ToString::to_string).collect(),
    };
    let backup = Some("/etc/nix-prune/config.json.version-1");
    json::config_migrate(vec![
        file(1, backup, &["`window` is called `undoWindow` now."]),
        file(2, None, &[]),
    ])
}

fn config_diff() -> json::ConfigDiffDocument {
    let change = json::DifferenceDocument {
        pointer: "/safeMode".to_string(),
        old: Some(json::ValueDocument::Switch(true)),
        new: None,
        risk: RiskLevel::High,
        message: "x".to_string(),
    };
    let (before, risk) = (json::BeforeDocument::Absent, Some(RiskLevel::High));
    json::config_diff(before, true, vec![change], risk)
}

fn config_import() -> json::ConfigImportDocument {
    let note = json::NoteDocument {
        about: "--max-freed".to_string(),
        kind: json::NoteKindDocument::NoEquivalent,
        message: "x".to_string(),
    };
    json::config_import(serde_json::Map::new(), vec![note])
}

fn config_show() -> json::ConfigShowDocument {
    let value = json::ShownDocument {
        pointer: "/safeMode".to_string(),
        value: serde_json::Value::Bool(true),
        from: json::OriginDocument::File,
        name: Some("/etc/nix-prune/config.json".to_string()),
    };
    json::ConfigShowDocument {
        files: vec!["/etc/nix-prune/config.json".to_string()],
        default_job: Some("daily".to_string()),
        values: vec![value],
        ..json::config_show(serde_json::Map::new())
    }
}

fn store() -> StoreAnalysis {
    sample::inspection("", &sample::snapshot(""))
}

#[test]
fn the_schemas_kept_are_current() {
    for document in Document::ALL {
        let text = to_text(&document.schema()).unwrap();
        assert_kept(
            &format!(
                "docs/schemas/{}-{}.json",
                document.name(),
                document.version()
            ),
            &text,
        );
    }
}

#[test]
fn documents_are_what_their_schemas_say() {
    for document in Document::ALL {
        let value = sample_of(document);
        let errors: Vec<String> = validator(document)
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", document.name());
        assert_eq!(
            value["schema"],
            format!("nix-prune/{}/{}", document.name(), document.version())
        );
        assert_eq!(schema(document.name()), Some(document.schema()));
    }
    assert_eq!(schema("other"), None);
}

#[test]
fn a_document_that_lacks_any_field_is_refused() {
    for document in Document::ALL {
        let (validator, value) = (validator(document), sample_of(document));
        for field in value.as_object().unwrap().keys() {
            let mut broken = value.clone();
            broken.as_object_mut().unwrap().remove(field);
            assert!(
                !validator.is_valid(&broken),
                "{} without {field}",
                document.name()
            );
        }
        let mut other = value.clone();
        other["schema"] = json!("nix-prune/other/1");
        assert!(
            !validator.is_valid(&other),
            "{} by another name",
            document.name()
        );
    }
}

#[rstest]
#[case(Document::Plan, "/items/0/verdict", json!("maybe"))]
#[case(Document::Plan, "/items/0/subject/number", json!("1"))]
#[case(Document::Plan, "/items/0/risk", json!("tiny"))]
#[case(Document::Plan, "/steps/0/kind", json!("burnDown"))]
#[case(Document::Plan, "/steps/0/risk", json!(null))]
#[case(Document::Plan, "/failedChecks/0/code", json!("other"))]
#[case(Document::Plan, "/takenAt", json!(1))]
#[case(Document::Generations, "/profiles/0/current", json!("4"))]
#[case(Document::Generations, "/profiles/0/generations/0/flags", json!(["old"]))]
#[case(Document::Generations, "/profiles/0/generations/0/closureBytes", json!(-1))]
#[case(Document::Roots, "/roots/0/state", json!("dead"))]
#[case(Document::Receipt, "/entries/0/outcome", json!("perhaps"))]
#[case(Document::Receipt, "/bytes/measured", json!("5"))]
#[case(Document::History, "/runs/0/restorable", json!(null))]
#[case(Document::Holds, "/holds/0/expired", json!(0))]
#[case(Document::Report, "/total/narBytes", json!(null))]
#[case(Document::Report, "/parts/0/keeper", json!("somebody"))]
#[case(Document::Report, "/plans/0/plan/risk", json!("tiny"))]
#[case(Document::Report, "/roots/more", json!(-1))]
fn a_wrong_value_is_refused(
    #[case] document: Document,
    #[case] pointer: &str,
    #[case] wrong: Value,
) {
    let mut value = sample_of(document);
    *value.pointer_mut(pointer).unwrap() = wrong;
    assert!(!validator(document).is_valid(&value));
}

#[test]
fn the_fields_promised_are_there() {
    let promised = [
        (
            Document::Generations,
            "/profiles/0",
            "path name kind owner current problem generations",
        ),
        (
            Document::Generations,
            "/profiles/0/generations/0",
            "number link target created flags closureBytes exclusiveBytes",
        ),
        (
            Document::Roots,
            "/roots/0",
            "link entry target kind owner state problem madeAt closureBytes exclusiveBytes",
        ),
        (
            Document::Plan,
            "",
            "schema takenAt machine store job maxRisk safeMode toolVersion vanished items steps prediction \
             budget failedChecks acceptedChecks accept skipsCollection skippedProfiles notes",
        ),
        (
            Document::Plan,
            "/items/0",
            "subject exclusiveBytes verdict rule risk action",
        ),
        (
            Document::Plan,
            "/items/0/subject",
            "kind profile number target created",
        ),
        (
            Document::Plan,
            "/prediction",
            "narBytes diskBytes diskBytesAtMost paths whenWindowsEnd notes",
        ),
        (Document::Plan, "/failedChecks/0", "code message hint"),
        (
            Document::Receipt,
            "",
            "schema run job toolVersion nixVersion startedAt finishedAt entries bytes",
        ),
        (Document::Receipt, "/entries/0", "action outcome undo"),
        (Document::Receipt, "/bytes", "predicted reported measured"),
        (
            Document::History,
            "/runs/0",
            "run kind job startedAt finishedAt done failed stale skipped restorable bytes",
        ),
        (Document::Undo, "", "schema run startedAt items"),
        (Document::Undo, "/items/0", "action obstacle"),
        (
            Document::Holds,
            "/holds/0",
            "run profile number link storePath until intact expired",
        ),
        (
            Document::Pin,
            "",
            "schema profile number reason until changed",
        ),
        (
            Document::Dead,
            "",
            "schema paths unregistered total atMost notes",
        ),
        (Document::Dead, "/paths/0", "path narBytes registered"),
        (Document::Dead, "/total", "count narBytes diskBytes"),
        (Document::Why, "", "schema path live chains"),
        (Document::Why, "/chains/0/0", "path via root"),
        (
            Document::Du,
            "/rows/0",
            "name paths closureBytes exclusiveBytes diskBytes",
        ),
    ];
    for (document, pointer, fields) in promised {
        let value = sample_of(document);
        let object = value.pointer(pointer).and_then(Value::as_object).unwrap();
        for field in fields.split_whitespace() {
            assert!(
                object.contains_key(field),
                "{} {pointer} {field}",
                document.name()
            );
        }
    }
}

#[test]
fn unknown_is_null_and_times_are_in_utc() {
    let plan = sample_of(Document::Plan);
    assert_eq!(
        plan["prediction"],
        json!({
            "narBytes": null, "diskBytes": null, "diskBytesAtMost": false, "rootLinks": null, "openHolds": null, "paths": null,
            "whenWindowsEnd": null, "notes": []
        })
    );
    assert_eq!(plan["budget"], Value::Null);
    assert_eq!(plan["takenAt"], "2026-11-22T22:16:44Z");
    let generations = sample_of(Document::Generations);
    let unknown = &generations["profiles"][1];
    assert_eq!(
        (&unknown["name"], &unknown["current"]),
        (&json!("home-manager"), &Value::Null)
    );
    assert!(
        unknown["problem"]
            .as_str()
            .unwrap()
            .contains("home-manager-2-link")
    );
    assert_eq!(generations["profiles"][0]["problem"], Value::Null);
}

#[rstest]
#[case::open(0, ["active", "active", "missing"])]
#[case::after_its_end(31, ["ended", "active", "missing"])]
fn pins_say_whether_they_keep_something(#[case] days: u32, #[case] states: [&str; 3]) {
    let document = serde_json::to_value(sample::pins("", days)).unwrap();
    let listed = document["pins"].as_array().unwrap().iter();
    let listed: Vec<_> = listed.map(|pin| pin["state"].as_str().unwrap()).collect();
    assert_eq!(listed, states);
}

#[test]
fn flags_tell_what_is_special() {
    let generations = sample_of(Document::Generations);
    let system = generations["profiles"][4]["generations"]
        .as_array()
        .unwrap();
    let flags = |n: usize| system[n - 1]["flags"].clone();
    assert_eq!(flags(1), json!([]));
    assert_eq!(flags(4), json!(["pinned"]));
    assert_eq!(flags(11), json!(["booted"]));
    assert_eq!(flags(12), json!(["current", "running"]));
}

#[rstest]
#[case("")]
#[case("\n\u{202e}\x1b]0;x\x07\"\\")]
fn plans_come_back_as_they_were(#[case] odd: &str) {
    let plan = sample::plan(odd);
    assert!(plan.actions().count() > 8);
    let back: Plan = serde_json::from_str(&to_text(&plan).unwrap()).unwrap();
    assert_eq!(back, plan);
}

#[test]
fn every_action_is_in_the_plans_schema_and_comes_back() {
    let plan = sample::plan("");
    let hold = sample::snapshot("").holds.swap_remove(0);
    let generation = plan.removed_generations().next().unwrap().clone();
    let mut removals = plan.removals();
    let root = removals.find_map(|removal| removal.action.removed_root());
    let root = root.unwrap().clone();
    let all = [
        Action::RemoveGeneration(generation.clone()),
        Action::RemoveRoot(root.clone()),
        Action::ReleaseHold(HoldFacts::from(&hold)),
        Action::Collect(CollectFacts::default()),
        Action::RefreshBootMenu(BootFacts {
            system: generation.store_path.clone(),
        }),
        Action::Optimise(OptimiseFacts::default()),
        Action::Verify { contents: true },
        Action::RestoreGeneration(generation),
        Action::RestoreRoot(root),
    ];
    let validator = validator(Document::Plan);
    for action in all {
        for risk in RiskLevel::ALL {
            let mut plan = plan.clone();
            let action = action.clone();
            plan.steps = vec![PlannedAction { action, risk }];
            let value = serde_json::to_value(&plan).unwrap();
            assert!(validator.is_valid(&value), "{value}");
            let back: Plan = serde_json::from_value(value).unwrap();
            assert_eq!(back, plan);
        }
    }
}

#[test]
fn receipts_come_back_as_they_were() {
    for receipt in sample::receipts("\n\x1b") {
        let text = to_text(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);
        let value = serde_json::to_value(&receipt).unwrap();
        assert!(validator(Document::Receipt).is_valid(&value));
    }
}

#[test]
fn what_is_removed_has_a_risk_and_an_action_and_the_rest_has_reasons() {
    let plan = sample_of(Document::Plan);
    for item in plan["items"].as_array().unwrap() {
        let kept = item["verdict"] == "keep";
        for field in ["risk", "rule", "action"] {
            assert_eq!(kept, item[field].is_null(), "{item}");
        }
        let reasons = item["reasons"].as_array().map_or(0, Vec::len);
        assert_eq!(kept, reasons > 0, "{item}");
    }
}

#[test]
fn an_undo_window_that_has_ended_is_not_promised() {
    let receipts = sample::receipts("");
    let later = sample::now().after(Span::days(8));
    let undoable = |at| {
        let document = json::history(&receipts, at);
        document
            .runs
            .iter()
            .map(|run| run.restorable)
            .collect::<Vec<_>>()
    };
    let (now, then) = (undoable(sample::now()), undoable(later));
    assert!(now[0] > then[0] && then[0] == 1, "{now:?} {then:?}");
}
