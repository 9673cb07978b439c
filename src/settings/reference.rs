//! The reference of the settings (`docs/settings.md`), from their declaration.

use std::fmt::Write as _;

use super::declare::{Default, Key, Required, default_json};
use super::finding::Code;
use super::keys::Settings;
use super::preset::Preset;
use super::slot::Group;
use super::values::Shape;

/// The whole page.
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         This page is generated from the code; a test fails where it is not current.\n\n\
         A file in JSON, UTF-8, 4 MiB at most. Every key that is not here is an error, and so is one that is written \
         twice.\n`null` is the same as absent wherever a key may be absent. `nix-prune config check` reports every error at \
         once,\n`nix-prune config schema` prints a JSON Schema for editors.\n\n\
         ## Presets\n\n\
         `nix-prune config init --preset NAME` writes one of these, and a guide beside it:\n\n\
         | Name | Purpose |\n| --- | --- |\n",
    );
    for preset in Preset::ALL {
        row(&mut page, &[&code(preset.name()), preset.about()]);
    }
    page.push('\n');
    page.push_str(&keys());
    page.push_str(
        "\n## Findings\n\nEach finding of `config check` has one of these codes; they do not change.\n\n\
         | Code | Meaning |\n| --- | --- |\n",
    );
    for finding in Code::ALL {
        row(&mut page, &[&code(finding.as_str()), finding.meaning()]);
    }
    page
}

/// Every key: its meaning, value, default, and the flag for one run.
pub(super) fn keys() -> String {
    let mut page = String::new();
    group(&mut page, "", Settings::DOC, Settings::KEYS);
    page
}

/// A table of the keys of a group, then the tables of the groups in it.
fn group(page: &mut String, path: &str, doc: &str, keys: &[&Key]) {
    let title = if path.is_empty() {
        "The file".to_string()
    } else {
        code(path)
    };
    if !page.is_empty() {
        page.push('\n');
    }
    // Writing to a string cannot fail.
    let _ = writeln!(page, "## {title}\n\n{doc}\n");
    row(page, &["Key", "Meaning", "Value", "Default", "Flag"]);
    row(page, &["---"; 5]);
    for key in keys {
        let default = match (default_json(key), key.default, key.required) {
            (Some(default), ..) => code(&default.to_string()),
            (_, Default::CriticalPaths, _) => "critical paths".to_string(),
            (_, _, Required::No) => "none".to_string(),
            _ => "required".to_string(),
        };
        let flag = key.flag.map(code).unwrap_or_default();
        let value = value(&(key.shape)(), key);
        row(page, &[&code(key.name), key.doc, &value, &default, &flag]);
    }
    for key in keys {
        let path = [path, key.name].join(if path.is_empty() { "" } else { "." });
        inner(page, &path, &(key.shape)());
    }
}

fn inner(page: &mut String, path: &str, shape: &Shape) {
    match shape {
        Shape::Group(doc, keys) => group(page, path, doc, keys),
        Shape::Named(doc, keys) => group(page, &format!("{path}.NAME"), doc, keys),
        Shape::List(item) => inner(page, &format!("{path}[]"), item),
        _ => {}
    }
}

fn value(shape: &Shape, key: &Key) -> String {
    match shape {
        Shape::Switch => "true or false".to_string(),
        Shape::Integer => match key.range {
            Some((least, most)) if least == most => least.to_string(),
            Some((least, most)) => format!("a whole number from {least} to {most}"),
            None => "a whole number".to_string(),
        },
        Shape::Text(..) => "string".to_string(),
        Shape::Words(words, _) => {
            let words: Vec<String> = words.iter().map(|word| code(word)).collect();
            words.join(", ")
        }
        Shape::List(item) => match **item {
            Shape::Group(..) => "a list of objects".to_string(),
            _ => "a list of strings".to_string(),
        },
        Shape::Group(..) => "an object".to_string(),
        Shape::Named(..) => "an object for each name".to_string(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
