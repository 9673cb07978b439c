//! Who may know whom.

use super::source::{CodePath, Source, paths};

/// Each layer, and the others that it may know.
const LAYERS: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("settings", &["domain"]),
    ("ports", &["domain"]),
    ("engine", &["domain", "ports"]),
    ("adapters", &["domain", "ports"]),
    ("render", &["domain"]),
    (
        "cli",
        &[
            "domain", "settings", "ports", "engine", "adapters", "render",
        ],
    ),
    // Only in tests and for a fuzzer: hands texts to every reader.
    ("fuzzing", &["settings", "adapters", "cli"]),
];

/// The layer of a file; `None` for the two that join them.
fn layer(source: &Source<'_>) -> Option<String> {
    module(source).into_iter().next()
}

/// The module that a file is: `src/domain/plan/draft.rs` is domain, plan, draft.
fn module(source: &Source<'_>) -> Vec<String> {
    let inside = source.path.strip_prefix("src/").unwrap_or(source.path);
    if inside == "lib.rs" || inside == "main.rs" {
        return Vec::new();
    }
    let parts = inside.trim_end_matches(".rs").split('/');
    parts
        .filter(|part| *part != "mod")
        .map(str::to_string)
        .collect()
}

/// Finds a file that no layer owns.
pub(super) fn housed(source: &Source<'_>) -> Vec<String> {
    match layer(source) {
        Some(layer) if !LAYERS.iter().any(|(name, _)| *name == layer) => {
            vec![source.at(1, &format!("`{layer}` is no layer of the house"))]
        }
        _ => Vec::new(),
    }
}

/// Finds every path into a layer that this one must not know, in tests as well.
pub(super) fn layers(source: &Source<'_>) -> Vec<String> {
    let module = module(source);
    let Some((own, known)) = LAYERS
        .iter()
        .find(|(name, _)| Some(*name) == module.first().map(String::as_str))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut look = |path: &CodePath| {
        let Some(target) = from_the_root(path, module.len()) else {
            return;
        };
        let allowed = target == *own || known.contains(&target);
        let is_layer = LAYERS.iter().any(|(name, _)| *name == target);
        // `super` from a module within a file may end short of the root: only a layer's name tells.
        let certain = is_layer || path.segments[0] != "super";
        if !allowed && certain {
            let what = format!("{own} must not know `{}`", path.written());
            found.push(source.at(path.line, &what));
        }
    };
    paths(&source.tokens).iter().for_each(&mut look);
    // Attributes name paths in texts: `#[serde(with = "crate::adapters::x")]`.
    for token in &source.tokens {
        if let Some(text) = token.text().filter(|text| text.contains("crate::")) {
            let inner = Source::new(source.path, text);
            for mut path in paths(&inner.tokens) {
                path.line = token.line;
                look(&path);
            }
        }
    }
    found
}

/// The first name of a path below the crate's root; `None` when it begins elsewhere.
fn from_the_root(path: &CodePath, depth: usize) -> Option<&str> {
    let segments = &path.segments;
    if segments.len() == 1 && !path.import {
        // `pub(crate)` and `pub(super)` name nobody.
        return None;
    }
    let behind = match segments.first()?.as_str() {
        "crate" | "nix_prune" => 1,
        "super" => {
            let ups = segments.iter().take_while(|s| *s == "super").count();
            if ups < depth {
                return None;
            }
            ups
        }
        "self" if segments.get(1).is_some_and(|s| s == "super") => {
            let ups = segments
                .iter()
                .skip(1)
                .take_while(|s| *s == "super")
                .count();
            if ups < depth {
                return None;
            }
            ups + 1
        }
        _ => return None,
    };
    // The root itself, under another name or with all that is in it, hides what is taken from it.
    Some(segments.get(behind).map_or("*", String::as_str))
}
