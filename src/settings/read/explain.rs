//! What a message of serde says, in our words.

use super::super::finding::Code;
use crate::domain::nearest::nearest;

/// A fault of the shape.
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: String,
    /// The key that is missing, or the one that was perhaps meant by one that is not known.
    pub(super) key: Option<String>,
}

/// Names the fault that a message tells; a message that is not recognised still is an error.
pub(super) fn explain(message: &str) -> Fault {
    let expected = message.rsplit_once(", expected ").map(|(_, what)| what);
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let key = rest
            .rsplit_once("`, expected ")
            .map_or(rest, |(key, _)| key);
        let (meant, hint) = known_keys(key, expected);
        Fault {
            code: Code::UnknownKey,
            message: format!("the key `{key}` is not known here"),
            hint,
            key: meant,
        }
    } else if let Some(rest) = message.strip_prefix("missing field `") {
        let key = rest.trim_end_matches('`');
        Fault {
            code: Code::MissingKey,
            message: format!("there is no key `{key}`"),
            hint: "write it".to_string(),
            key: Some(key.to_string()),
        }
    } else {
        let what = match expected {
            Some("a sequence") => "a list",
            Some("a map") => "an object",
            Some(what) => what,
            None => "another value",
        };
        Fault {
            code: Code::WrongType,
            message: message.to_string(),
            hint: format!("write {what}"),
            key: None,
        }
    }
}

/// `expected` lists known keys, each between backquotes; a name of ours has none in it.
fn known_keys(key: &str, expected: Option<&str>) -> (Option<String>, String) {
    let quoted = expected.unwrap_or_default().split('`');
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    match nearest(key, known.iter().copied()) {
        Some(meant) => (
            Some(meant.to_string()),
            format!("write `{meant}`, if that was meant, or remove it"),
        ),
        None if known.is_empty() => (None, "remove it".to_string()),
        None => (None, format!("remove it; known here: {}", known.join(", "))),
    }
}
