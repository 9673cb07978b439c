//! The settings in words, as the schema has them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::finding::Code;
use super::preset::Preset;

type Object = Map<String, Value>;

/// The whole page.
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         This page is written from the code: a test refuses it where it is not current.\n\n\
         A file in JSON, UTF-8, 4 MiB at most. Every key that is not here is an error, and so is one that is written \
         twice.\n`null` is as good as absent wherever a key may be absent. `nix-prune config check` says everything \
         that is wrong at once,\n`nix-prune config schema` prints a JSON Schema for editors.\n\n\
         ## To begin with\n\n\
         `nix-prune config init --preset NAME` writes one of these, and a guide beside it:\n\n\
         | name | what it is for |\n| --- | --- |\n",
    );
    for preset in Preset::ALL {
        row(&mut page, &[&code(preset.name()), preset.about()]);
    }
    page.push('\n');
    page.push_str(&keys());
    page.push_str(
        "\n## What a check finds\n\nEach finding has one of these names; they do not change.\n\n\
         | name | meaning |\n| --- | --- |\n",
    );
    for finding in Code::ALL {
        row(&mut page, &[&code(finding.as_str()), finding.meaning()]);
    }
    page
}

/// Every key: what it means, what may stand there, and what holds where it does not.
pub(super) fn keys() -> String {
    let schema = super::schema();
    let root = schema.as_object().cloned().unwrap_or_default();
    let mut writer = Writer {
        definitions: root.get("$defs").and_then(Value::as_object).cloned(),
        seen: BTreeSet::new(),
        page: String::new(),
    };
    writer.object(&root, "");
    writer.page
}

struct Writer {
    definitions: Option<Object>,
    seen: BTreeSet<String>,
    page: String,
}

impl Writer {
    /// A table of the keys of an object, and then those of the objects in it.
    fn object(&mut self, schema: &Object, path: &str) {
        let title = if path.is_empty() {
            "The file".to_string()
        } else {
            code(path)
        };
        if !self.page.is_empty() {
            self.page.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.page, "## {title}\n\n{}\n", text(schema));
        row(&mut self.page, &["key", "meaning", "value", "otherwise"]);
        row(&mut self.page, &["---"; 4]);
        let required = schema.get("required").and_then(Value::as_array).cloned();
        let required = required.unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut inner = Vec::new();
        for (name, property) in properties.into_iter().flatten() {
            let Some(property) = property.as_object() else {
                continue;
            };
            let otherwise = match property.get("default") {
                Some(default) => code(&default.to_string()),
                None if required.contains(&name.as_str().into()) => "must be there".to_string(),
                None => "nothing".to_string(),
            };
            let mut meaning = text(property);
            if property.get("x-not-yet").is_some() {
                meaning.push_str(" **No release acts on it yet: it is refused.**");
            }
            let (value, below) = Self::value(property);
            row(&mut self.page, &[&code(name), &meaning, &value, &otherwise]);
            let path = [path, name].join(if path.is_empty() { "" } else { "." });
            inner.extend(below.map(|(steps, name)| (format!("{path}{steps}"), name)));
        }
        for (path, name) in inner {
            if self.seen.insert(name.clone())
                && let Some(definition) = self.definition(&name)
            {
                self.object(&definition, &path);
            }
        }
    }

    /// What may stand in a place, and the object that is in it with the way there.
    fn value(schema: &Object) -> (String, Option<(String, String)>) {
        if let Some(name) = reference_of(schema) {
            return ("an object".to_string(), Some((String::new(), name)));
        }
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let kind = kinds.into_iter().find(|kind| *kind != "null");
        let inner = |key: &str| schema.get(key).and_then(Value::as_object);
        match kind {
            Some("boolean") => ("true or false".to_string(), None),
            Some("integer") => (whole(schema), None),
            Some("array") => match inner("items").and_then(reference_of) {
                Some(name) => (
                    "a list of objects".to_string(),
                    Some(("[]".to_string(), name)),
                ),
                None => ("a list of texts".to_string(), None),
            },
            Some("object") => match inner("additionalProperties").and_then(reference_of) {
                Some(name) => (
                    "an object for each name".to_string(),
                    Some((".NAME".to_string(), name)),
                ),
                None => ("an object".to_string(), None),
            },
            _ => (words(schema), None),
        }
    }

    fn definition(&self, name: &str) -> Option<Object> {
        self.definitions.as_ref()?.get(name)?.as_object().cloned()
    }
}

fn whole(schema: &Object) -> String {
    let end = |key: &str| schema.get(key).and_then(Value::as_i64);
    match (end("minimum"), end("maximum")) {
        (Some(least), Some(most)) if least == most => format!("{least}"),
        (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
        _ => "a whole number".to_string(),
    }
}

fn words(schema: &Object) -> String {
    let choices = schema.get("enum").and_then(Value::as_array);
    let choices = choices.into_iter().flatten().filter_map(Value::as_str);
    let choices: Vec<String> = choices.map(code).collect();
    if choices.is_empty() {
        "a text".to_string()
    } else {
        choices.join(", ")
    }
}

/// The definition that a schema refers to, `null` aside.
fn reference_of(schema: &Object) -> Option<String> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let choices = schema.get("anyOf").and_then(Value::as_array);
    let mut among = choices.into_iter().flatten();
    let among = || among.find_map(|choice| choice.get("$ref").and_then(Value::as_str));
    let name = direct.or_else(among)?;
    name.strip_prefix("#/$defs/").map(str::to_string)
}

fn text(schema: &Object) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default().replace('\n', " ")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
