//! The JSON Schema of the settings, derived from their declaration. It does not contain rules between keys.

use serde_json::{Map, Value, json};

use super::declare::{Key, Required, default_json};
use super::keys::Settings;
use super::slot::Group;
use super::values::Shape;

/// Describes the shape of the settings.
pub fn schema() -> Value {
    let mut schema = group(Settings::DOC, Settings::KEYS);
    schema.insert(
        "$schema".to_string(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_string(), json!("Settings"));
    Value::Object(schema)
}

fn group(doc: &str, keys: &[&Key]) -> Map<String, Value> {
    let properties = keys
        .iter()
        .map(|key| (key.name.to_string(), self::key(key)));
    let properties: Map<String, Value> = properties.collect();
    let required = keys.iter().filter(|key| key.required != Required::No);
    let required: Vec<&str> = required.map(|key| key.name).collect();
    let mut schema = object([
        ("type", json!("object")),
        ("description", json!(doc)),
        ("properties", properties.into()),
        ("additionalProperties", json!(false)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_string(), json!(required));
    }
    schema
}

fn key(key: &Key) -> Value {
    let mut schema = shape(&(key.shape)(), key);
    schema.insert("description".to_string(), json!(key.doc));
    if let Some(default) = default_json(key) {
        schema.insert("default".to_string(), default);
    }
    if let Some(flag) = key.flag {
        schema.insert("x-flag".to_string(), json!(flag));
    }
    if key.required == Required::No {
        // `null` is the same as absent.
        if let Some(kind) = schema.get_mut("type") {
            *kind = json!([kind.take(), "null"]);
        }
        if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
    }
    Value::Object(schema)
}

fn shape(shape: &Shape, key: &Key) -> Map<String, Value> {
    let (least, most) = key.items;
    let mut schema = match shape {
        Shape::Switch => object([("type", json!("boolean"))]),
        Shape::Integer => {
            let mut schema = object([("type", json!("integer"))]);
            if let Some((least, most)) = key.range {
                schema.extend(object([
                    ("minimum", json!(least)),
                    ("maximum", json!(most)),
                ]));
            }
            schema
        }
        Shape::Text(pattern, _) => {
            let pattern = pattern.map(|pattern| ("pattern", json!(pattern)));
            object([("type", json!("string"))].into_iter().chain(pattern))
        }
        Shape::Words(words, _) => object([("type", json!("string")), ("enum", json!(words))]),
        Shape::List(item) => {
            let item = self::shape(item, &Key::PLAIN);
            object([("type", json!("array")), ("items", Value::Object(item))])
        }
        Shape::Group(doc, keys) => group(doc, keys),
        Shape::Named(doc, keys) => object([
            ("type", json!("object")),
            ("additionalProperties", Value::Object(group(doc, keys))),
            (
                "propertyNames",
                json!({ "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,49}$" }),
            ),
        ]),
    };
    let [at_least, at_most] = match shape {
        Shape::Named(..) => ["minProperties", "maxProperties"],
        _ => ["minItems", "maxItems"],
    };
    if least > 0 {
        schema.insert(at_least.to_string(), json!(least));
    }
    if most < usize::MAX {
        schema.insert(at_most.to_string(), json!(most));
    }
    schema
}

fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_string(), value))
        .collect()
}
