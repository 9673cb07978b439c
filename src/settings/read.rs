//! Text to the shape of settings; the first fault ends it, with its place in the text.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Path, Segment};

use super::check;
use super::finding::{Code, Finding, Pointer};
use super::nearest::nearest;
use super::raw::{Head, Object, Settings};

/// Reads the shape.
///
/// Duplicate keys first, for whichever of the two was meant, the other would vanish; then the version, because the
/// keys of a later one are not ours to call unknown.
pub(super) fn read(text: &str) -> Result<Settings, Finding> {
    decode::<Distinct>(text)?;
    let Object(head) = decode::<Object<Head>>(text)?;
    if let Some(version) = head.version {
        check::version(Some(version)).map_or(Ok(()), Err)?;
    }
    decode::<Object<Settings>>(text).map(|Object(settings)| settings)
}

fn decode<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Finding> {
    let mut from = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| finding(&pointer(error.path()), error.inner()))?;
    from.end()
        .map_err(|error| finding(&Pointer::root(), &error))?;
    Ok(value)
}

fn pointer(path: &Path) -> Pointer {
    path.iter()
        .fold(Pointer::root(), |pointer, segment| match segment {
            Segment::Seq { index } => pointer.index(*index),
            Segment::Map { key } | Segment::Enum { variant: key } => pointer.key(key),
            Segment::Unknown => pointer,
        })
}

fn finding(at: &Pointer, error: &serde_json::Error) -> Finding {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let message = text
        .strip_suffix(&format!(" at line {line} column {column}"))
        .unwrap_or(&text);
    let (code, message, hint) = explain(message, error.is_data());
    Finding {
        line: (line > 0).then_some(line),
        column: (column > 0).then_some(column),
        ..Finding::error(code, at, &message, &hint)
    }
}

/// Names the fault that a message of serde tells; a message that is not recognised still is an error.
fn explain(message: &str, is_data: bool) -> (Code, String, String) {
    let expected = message.rsplit_once(", expected ").map(|(_, what)| what);
    if !is_data {
        let hint = "write JSON, without comments and without a comma after the last item";
        (Code::Syntax, message.to_string(), hint.to_string())
    } else if message.starts_with(DUPLICATE) {
        let hint = "write it once";
        (Code::DuplicateKey, message.to_string(), hint.to_string())
    } else if let Some(rest) = message.strip_prefix("unknown field `") {
        let key = rest
            .rsplit_once("`, expected ")
            .map_or(rest, |(key, _)| key);
        let message = format!("the key `{key}` is not known here");
        (Code::UnknownKey, message, known_keys(key, expected))
    } else if message.starts_with("missing field") {
        let message = message.replacen("missing field", "there is no key", 1);
        (Code::MissingKey, message, "write it".to_string())
    } else {
        let what = match expected {
            Some("a sequence") => "a list",
            Some("a map") => "an object",
            Some(what) => what,
            None => "another value",
        };
        (
            Code::WrongType,
            message.to_string(),
            format!("write {what}"),
        )
    }
}

/// `expected` lists known keys, each between backquotes; a name of ours has none in it.
fn known_keys(key: &str, expected: Option<&str>) -> String {
    let quoted = expected.unwrap_or_default().split('`');
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("write `{meant}`, if that was meant, or remove it"),
        None if known.is_empty() => "remove it".to_string(),
        None => format!("remove it; known here: {}", known.join(", ")),
    }
}

const DUPLICATE: &str = "the key is written twice: ";

/// Any JSON, so long as no object has a key twice; a map of the standard library would take the last one silently.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(DistinctVisitor)
    }
}

struct DistinctVisitor;

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Distinct;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Distinct, A::Error> {
        while items.next_element::<Distinct>()?.is_some() {}
        Ok(Distinct)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Distinct, A::Error> {
        let mut seen = BTreeSet::new();
        while entries.next_key_seed(NewKey(&mut seen))?.is_some() {
            entries.next_value::<Distinct>()?;
        }
        Ok(Distinct)
    }
}

/// A key that was not seen before; refusing it while it is read puts it into the error's path.
struct NewKey<'a>(&'a mut BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let key = String::deserialize(from)?;
        if self.0.contains(&key) {
            return Err(D::Error::custom(format!("{DUPLICATE}`{key}`")));
        }
        self.0.insert(key);
        Ok(())
    }
}
