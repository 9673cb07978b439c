//! Where in the text a finding is, by its pointer.

use std::collections::HashMap;
use std::ops::Range;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::finding::{Code, Finding};

/// JSON as it is, and nothing that other readers allow beside it.
pub(super) const STRICT: ParseOptions = ParseOptions {
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
    for finding in findings.iter_mut() {
        finding.span = error_chain(text, finding);
    }
    if let Some(root) = &root {
        wanted(findings).find(None, root, findings);
    }
    let lines = Lines::of(text);
    for finding in findings {
        let (line, column) = lines.place(finding.span.start);
        (finding.line, finding.column) = (Some(line), Some(column));
    }
}

/// The findings at a place and within it, so that the text is looked through once, however many there are.
#[derive(Default)]
struct Wanted {
    here: Vec<usize>,
    within: HashMap<String, Wanted>,
}

/// All of them but those which no place in the text was asked for.
fn wanted(findings: &[Finding]) -> Wanted {
    let mut root = Wanted::default();
    for (index, finding) in findings.iter().enumerate() {
        if finding.code == Code::Syntax {
            continue;
        }
        let at = finding.pointer.segments().fold(&mut root, |at, segment| {
            at.within.entry(segment).or_default()
        });
        at.here.push(index);
    }
    root
}

impl Wanted {
    /// Gives the findings here the place of this value, and those within it too, until they find their own.
    fn find(&self, key: Option<&ObjectProp<'_>>, value: &Value<'_>, findings: &mut [Finding]) {
        self.give(key, value, findings);
        if self.within.is_empty() {
            return;
        }
        match value {
            // Of two keys the second is the one too many: it comes later, and counts.
            Value::Object(object) => {
                for property in &object.properties {
                    if let Some(wanted) = self.within.get(property.name.as_str()) {
                        wanted.find(Some(property), &property.value, findings);
                    }
                }
            }
            Value::Array(array) => {
                for (name, wanted) in &self.within {
                    let index = name.parse::<usize>().ok();
                    if let Some(item) = index.and_then(|index| array.elements.get(index)) {
                        wanted.find(None, item, findings);
                    }
                }
            }
            _ => {}
        }
    }

    fn give(&self, key: Option<&ObjectProp<'_>>, value: &Value<'_>, findings: &mut [Finding]) {
        for &index in &self.here {
            if let Some(finding) = findings.get_mut(index) {
                finding.span = span(key, value, finding.code);
            }
        }
        for within in self.within.values() {
            within.give(key, value, findings);
        }
    }
}

/// The place that reading told, as far as it did.
fn error_chain(text: &str, finding: &Finding) -> Range<usize> {
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

fn span(key: Option<&ObjectProp<'_>>, value: &Value<'_>, code: Code) -> Range<usize> {
    let name = key.map(|key| key.name.range());
    // What spans lines is not underlined as a whole.
    let inner = matches!(value, Value::Object(_) | Value::Array(_));
    let range = match name {
        Some(name) if inner || is_about_the_key(code) => name,
        _ if inner => return value.start()..value.start() + 1,
        _ => value.range(),
    };
    range.start..range.end
}

fn is_about_the_key(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownKey | Code::DuplicateKey | Code::JobName | Code::NotYet
    )
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let bytes = text.bytes().enumerate();
        let behind = bytes.filter_map(|(at, byte)| (byte == b'\n').then_some(at + 1));
        Self(std::iter::once(0).chain(behind).collect())
    }

    /// The line and the column, both from 1; the column counts bytes.
    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|&begin| begin <= at);
        let begin = self.0.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (line, at - begin + 1)
    }
}
