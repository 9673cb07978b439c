//! `config show`: what holds, and where it comes from.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::settings::{
    BUILTIN, Effective, Layer, Origin, OutOfRange, Overrides, Platform, Preset, Report, schema,
};
use serde_json::Value;

use super::fixture;
use crate::support::{Ran, command, run_command};

/// Texts of valid settings.
fn valid() -> Vec<String> {
    let files = fs::read_dir(fixture("good")).unwrap();
    let files = files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let presets = Preset::ALL.map(|preset| preset.text().to_string());
    files.chain(presets).chain([BUILTIN.to_string()]).collect()
}

fn nix_config(text: &str) -> Option<Effective> {
    let report = Report::of(text, Platform::Linux, OutOfRange::Refuse);
    let layer = Layer {
        name: "file".to_string(),
        settings: report.settings?,
        written: report.written?,
    };
    Effective::of(&[layer], &Overrides::default(), Platform::Linux).unwrap()
}

/// What the schema says of a place.
fn schema_at(root: &Value, pointer: &str) -> Value {
    let resolve = |schema: &Value| -> Value {
        let among = schema["anyOf"].as_array().into_iter().flatten();
        let mut names = std::iter::once(schema)
            .chain(among)
            .filter_map(|choice| choice["$ref"].as_str());
        match names.next() {
            Some(name) => root.pointer(name.trim_start_matches('#')).unwrap().clone(),
            None => schema.clone(),
        }
    };
    let mut schema = root.clone();
    for step in pointer.split('/').skip(1) {
        let inner = resolve(&schema);
        schema = match &inner["properties"] {
            Value::Object(keys) => keys[step].clone(),
            _ => inner["additionalProperties"].clone(),
        };
    }
    schema
}

#[test]
fn what_is_filled_in_is_the_default_of_the_schema() {
    let root = serde_json::to_value(schema()).unwrap();
    let mut seen = 0;
    for text in valid() {
        let Some(shown) = nix_config(&text) else {
            continue;
        };
        let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for shown in shown.values() {
            let at = shown.pointer.as_str().to_string();
            // What is protected by default hangs on the platform.
            if shown.origin != Origin::Default || at.starts_with("/protect/paths") {
                continue;
            }
            match at.rsplit_once('/') {
                Some((list, index)) if index.parse::<usize>().is_ok() => {
                    lists.entry(list.to_string()).or_default().push(shown.value);
                }
                _ => {
                    assert_eq!(schema_at(&root, &at)["default"], shown.value, "{at}");
                    seen += 1;
                }
            }
        }
        for (at, list) in lists {
            assert_eq!(schema_at(&root, &at)["default"], Value::Array(list), "{at}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

/// A directory that looks like a home, with settings of its owner.
struct Home(tempfile::TempDir);

impl Home {
    fn new(own: Option<&str>) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        if let Some(text) = own {
            let dir = home.base().join(".config/nix-prune");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("config.json"), text).unwrap();
        }
        home
    }

    fn base(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> Utf8PathBuf {
        let file = self.base().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    fn show(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
        command.env_clear().env("HOME", self.base());
        command.envs(variables.iter().copied());
        run_command(command.args(["config", "show"]).args(args))
    }
}

const OWN: &str = r#"{ "version": 2, "undoWindow": "3d", "policy": { "maxRisk": "medium" },
    "jobs": { "nightly": { "description": "thin out", "operations": { "generations": { "keep": { "last": 4 } } } } } }"#;
const ABOVE: &str = r#"{ "version": 2, "jobs": { "weekly": { "maxRisk": "high", "operations": { "collect": {} } } } }"#;

fn line<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{key} ")));
    line.ok_or(text)
        .unwrap()
        .split_whitespace()
        .skip(1)
        .collect()
}

#[test]
fn a_person_sees_where_each_value_comes_from() {
    let home = Home::new(Some(OWN));
    let above = home.write("above.json", ABOVE);
    let variables = [("NIX_PRUNE_CONFIG", above.as_str())];
    let ran = home.show(&[], &variables);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let own = home.base().join(".config/nix-prune/config.json");
    let head = format!(
        "Settings; later files take precedence:\n  file 1  {own}\n  file 2  {above}\nDefault job: weekly\n\n"
    );
    // A file of the machine itself would come first.
    if !Utf8Path::new("/etc/nix-prune/config.json").exists() {
        assert!(ran.stdout.starts_with(&head), "{}", ran.stdout);
        assert_eq!(line(&ran.stdout, "/undoWindow"), ["file", "1", "\"3d\""]);
        assert_eq!(
            line(&ran.stdout, "/policy/maxRisk"),
            ["file", "1", "\"medium\""]
        );
        assert_eq!(
            line(
                &ran.stdout,
                "/jobs/nightly/operations/generations/keep/last"
            ),
            ["file", "1", "4"]
        );
    }
    assert_eq!(line(&ran.stdout, "/safeMode"), ["default", "true"]);
    assert_eq!(
        line(&ran.stdout, "/jobs/weekly/maxRisk"),
        ["policy", "\"medium\""]
    );
    let told = "/jobs/weekly/maxRisk: the job allows risk high; the policy allows at most medium";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn variables_and_flags_are_told_apart() {
    let home = Home::new(Some(OWN));
    let variables = [
        ("NIX_PRUNE_UNDO_WINDOW", "36h"),
        ("NIX_PRUNE_MAX_RISK", "low"),
    ];
    let shown = home.show(&[], &variables).stdout;
    let window = ["NIX_PRUNE_UNDO_WINDOW", "\"1d12h\""];
    assert_eq!(line(&shown, "/undoWindow"), window);
    let risk = ["NIX_PRUNE_MAX_RISK", "\"low\""];
    assert_eq!(line(&shown, "/jobs/nightly/maxRisk"), risk);
    let flags = ["--undo-window", "5d", "--max-risk", "critical", "--json"];
    let ran = home.show(&flags, &variables);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let value = |pointer: &str| {
        let values = document["values"].as_array().unwrap().iter();
        let mut found = values.filter(|value| value["pointer"] == pointer);
        let value = found.next().unwrap();
        [&value["from"], &value["name"], &value["value"]].map(|v| v.as_str().map(str::to_string))
    };
    let texts = |texts: [&str; 3]| texts.map(|text| Some(text.to_string()));
    assert_eq!(value("/undoWindow"), texts(["flag", "--undo-window", "5d"]));
    let policy = ["policy", "", "medium"].map(|t| (!t.is_empty()).then(|| t.to_string()));
    assert_eq!(value("/jobs/nightly/maxRisk"), policy);
    // What is printed can be used as settings.
    let file = home.write("shown.json", &document["settings"].to_string());
    assert_eq!(super::check(&file, &["--level", "basic"]).status, 0);
    let ran = home.show(&[], &[("NIX_PRUNE_MAX_RISK", "hihg")]);
    assert_eq!(ran.status, 2);
    let told = "the variable NIX_PRUNE_MAX_RISK cannot be used: unknown risk level `hihg`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn without_a_file_the_built_in_settings_are_shown_and_a_broken_one_shows_none() {
    if Utf8Path::new("/etc/nix-prune/config.json").exists() {
        return;
    }
    let shown = Home::new(None).show(&[], &[]);
    let head =
        "There are no settings files; the built-in settings are used.\nDefault job: default\n\n";
    assert!(shown.stdout.starts_with(head), "{}", shown.stdout);
    assert_eq!(line(&shown.stdout, "/version"), ["built-in", "2"]);
    let ran = Home::new(Some("{ \"version\": 2, \"jbos\": {} }")).show(&[], &[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (78, ""));
    assert!(ran.stderr.contains("are invalid"), "{}", ran.stderr);
}
