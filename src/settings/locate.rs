//! Where in the text a finding is, by its pointer.

use std::ops::Range;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::finding::{Code, Finding};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Gives every finding its place in the text: of a key where the key is meant, of its value elsewhere. A text that is no
/// JSON keeps the place where reading it ended.
pub(super) fn locate(text: &str, findings: &mut [Finding]) {
    // What serde could not read is not read again: this reader has no limit for how deep it goes.
    let all_syntax = findings.iter().all(|f| f.code == Code::Syntax);
    let parse = || parse_to_ast(text, &CollectOptions::default(), &STRICT);
    let parsed = (!all_syntax).then(parse);
    let root = parsed.and_then(Result::ok).and_then(|parsed| parsed.value);
    for finding in findings {
        let syntax = finding.code == Code::Syntax;
        let span = match &root {
            Some(root) if !syntax => span(root, finding),
            _ => told(text, finding),
        };
        let (line, column) = line_and_column(text, span.start);
        (finding.line, finding.column) = (Some(line), Some(column));
        finding.span = span;
    }
}

/// The place that reading told, as far as it did.
fn told(text: &str, finding: &Finding) -> Range<usize> {
    let line = finding.line.unwrap_or(1).saturating_sub(1);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = finding.column.unwrap_or(1).saturating_sub(1);
    let mut start = (before + column).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.chars().next().map_or(0, char::len_utf8);
    start..start + length
}

fn span(root: &Value<'_>, finding: &Finding) -> Range<usize> {
    let mut found = (None, root);
    for segment in finding.pointer.segments() {
        let Some(next) = step(found.1, &segment) else {
            break;
        };
        found = next;
    }
    let (key, value) = found;
    let name = key.map(|key: &ObjectProp<'_>| key.name.range());
    // What spans lines is not underlined as a whole.
    let inner = matches!(value, Value::Object(_) | Value::Array(_));
    let range = match name {
        Some(name) if inner || is_about_the_key(finding.code) => name,
        _ if inner => return value.start()..value.start() + 1,
        _ => value.range(),
    };
    range.start..range.end
}

fn step<'v, 'a>(
    value: &'v Value<'a>,
    segment: &str,
) -> Option<(Option<&'v ObjectProp<'a>>, &'v Value<'a>)> {
    match value {
        // Of two keys the second is the one too many.
        Value::Object(object) => {
            let mut named = object.properties.iter().rev();
            let found = named.find(|property| property.name.as_str() == segment)?;
            Some((Some(found), &found.value))
        }
        Value::Array(array) => {
            let item = array.elements.get(segment.parse::<usize>().ok()?)?;
            Some((None, item))
        }
        _ => None,
    }
}

fn is_about_the_key(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownKey | Code::DuplicateKey | Code::JobName | Code::NotYet
    )
}

/// Both from 1; the column counts bytes.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let begun = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, at - begun + 1)
}
