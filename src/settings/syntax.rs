//! JSON text as a tree in which every value has its position.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use jsonc_parser::ast::Value as Ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::finding::{Code, Finding, Pointer};

/// Plain JSON, without the extensions of other readers.
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

/// The most faults of one kind that are reported: a file with more of them was not meant to be settings.
pub(super) const MAX_FAULTS: usize = 100;

/// The keys of an object and their values.
pub(super) type Object = BTreeMap<String, Node>;

/// A value and its position in the text.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Its key.
    key: Option<Range<usize>>,
    span: Range<usize>,
    pub(super) value: Value,
}

/// A JSON value.
#[derive(Debug, Clone, Default)]
pub(super) enum Value {
    #[default]
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(String),
    Text(String),
    /// Each item with its index in the text, which it keeps when others are removed.
    List(Vec<(usize, Node)>),
    Object(Object),
}

/// The way to a value. It becomes a pointer only for a report.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl At<'_> {
    pub(super) fn pointer(&self) -> Pointer {
        match self {
            Self::Root => Pointer::root(),
            Self::Key(parent, key) => parent.pointer().key(key),
            Self::Index(parent, index) => parent.pointer().index(*index),
        }
    }
}

/// Reads a text. Duplicate keys are findings, and the last of them counts, as in most readers.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Finding>), Vec<Finding>> {
    // serde_json limits the depth, and has the best messages for invalid JSON.
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| vec![syntax(text, &error)])?;
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT);
    let ast = parsed.ok().and_then(|parsed| parsed.value);
    let Some(ast) = ast else {
        let message = "the text is not strict JSON";
        let root = Pointer::root();
        return Err(vec![Finding::error(
            Code::Syntax,
            &root,
            message,
            "write plain JSON",
        )]);
    };
    let mut duplicates = Vec::new();
    let node = node(ast, None, At::Root, &mut duplicates);
    Ok((node, duplicates))
}

fn node(ast: Ast<'_>, key: Option<Range<usize>>, at: At<'_>, twice: &mut Vec<Finding>) -> Node {
    let range = ast.range();
    let value = match ast {
        Ast::StringLit(text) => Value::Text(text.value.into_owned()),
        Ast::NumberLit(number) => Value::Number(number.value.to_string()),
        Ast::BooleanLit(literal) => Value::Bool(literal.value),
        Ast::NullKeyword(_) => Value::Null,
        Ast::Array(array) => {
            let items = array.elements.into_iter().enumerate();
            let item = |(index, ast)| (index, node(ast, None, At::Index(&at, index), twice));
            Value::List(items.map(item).collect())
        }
        Ast::Object(object) => {
            let mut entries = Object::new();
            for property in object.properties {
                let name = property.name.as_str().to_string();
                let key = property.name.range();
                let key = key.start..key.end;
                let at = At::Key(&at, &name);
                if entries.contains_key(&name) && twice.len() < MAX_FAULTS {
                    let message = format!("duplicate key `{name}`");
                    let code = Code::DuplicateKey;
                    let mut finding =
                        Finding::error(code, &at.pointer(), &message, "write it once");
                    finding.span = key.clone();
                    twice.push(finding);
                }
                let value = node(property.value, Some(key), at, twice);
                entries.insert(name, value);
            }
            Value::Object(entries)
        }
    };
    Node {
        key,
        span: range.start..range.end,
        value,
    }
}

fn syntax(text: &str, error: &serde_json::Error) -> Finding {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let place = format!(" at line {line} column {column}");
    let message = message.strip_suffix(&place).unwrap_or(&message);
    let hint = if text.starts_with('\u{feff}') {
        "remove the byte order mark at the beginning of the file"
    } else if text.trim().is_empty() {
        "`nix-prune config init` writes an example"
    } else {
        "use JSON without comments and trailing commas"
    };
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    let before: usize = before.map(str::len).sum();
    let mut start = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.chars().next().map_or(0, char::len_utf8);
    let mut finding = Finding::error(Code::Syntax, &Pointer::root(), message, hint);
    finding.span = start..start + length;
    finding
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    fn child(&self, segment: &str) -> Option<&Self> {
        match &self.value {
            Value::Object(object) => object.get(segment),
            Value::List(items) => {
                let index: usize = segment.parse().ok()?;
                let found = items
                    .binary_search_by_key(&index, |(index, _)| *index)
                    .ok()?;
                items.get(found).map(|(_, item)| item)
            }
            _ => None,
        }
    }

    /// The bytes of a finding: those of the key if the key is meant, otherwise those of the value. A missing key has
    /// the place where it would be written.
    pub(super) fn span_of(&self, pointer: &Pointer, code: Code) -> Range<usize> {
        let mut node = self;
        for segment in pointer.segments() {
            match node.child(&segment) {
                Some(child) => node = child,
                None => break,
            }
        }
        // A value of several lines is not underlined as a whole.
        let spans_lines = matches!(node.value, Value::Object(_) | Value::List(_));
        match &node.key {
            Some(key) if spans_lines || code.is_about_the_key() => key.clone(),
            _ if spans_lines => node.span.start..node.span.start + 1,
            _ => node.span.clone(),
        }
    }
}

/// A description of the value, for messages.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Bool(on) => on.fmt(f),
            Value::Number(number) => f.write_str(number),
            Value::Text(text) => write!(f, "the text `{text}`"),
            Value::List(_) => f.write_str("a list"),
            Value::Object(_) => f.write_str("an object"),
        }
    }
}

/// The tree as plain JSON.
impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(on) => Self::Bool(*on),
            Value::Number(number) => serde_json::from_str(number).unwrap_or(Self::Null),
            Value::Text(text) => Self::String(text.clone()),
            Value::List(items) => items
                .iter()
                .map(|(_, item)| Self::from(&item.value))
                .collect(),
            Value::Object(object) => {
                let entries = object.iter();
                let entries = entries.map(|(key, node)| (key.clone(), Self::from(&node.value)));
                Self::Object(entries.collect())
            }
        }
    }
}

/// Gives each finding the line and the byte in the line of its span, both from 1.
pub(super) fn number_lines(text: &str, findings: &mut [Finding]) {
    let bytes = text.bytes().enumerate();
    let behind = bytes.filter_map(|(at, byte)| (byte == b'\n').then_some(at + 1));
    let begins: Vec<usize> = std::iter::once(0).chain(behind).collect();
    for finding in findings {
        let at = finding.span.start;
        let line = begins.partition_point(|&begin| begin <= at);
        let begin = begins.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (finding.line, finding.column) = (Some(line), Some(at - begin + 1));
    }
}
