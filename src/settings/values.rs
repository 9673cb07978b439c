//! The types of values: how each is written in JSON, read, ordered, and described in the schema.

mod words;

use std::fmt::Debug;

use serde_json::Value as Json;

use super::declare::Key;
use super::finding::Code;
use super::syntax::Value;
use crate::domain::budget::{Amount, Budget, BudgetError, InodeAmount, parse_size, respelled_size};
use crate::domain::measure::{AgeError, Bytes, Span};

pub(super) use words::{RootPattern, RuledKind, UserName};

/// The JSON that a key allows, for the schema and the reference.
pub(super) enum Shape {
    Switch,
    /// A whole number; the key has its range.
    Integer,
    /// Text that matches a pattern.
    Text(Option<&'static str>, Respell),
    /// One of these words.
    Words(Vec<&'static str>, Respell),
    List(Box<Shape>),
    /// An object, what it is, and its keys.
    Group(&'static str, &'static [&'static Key]),
    /// One such object for each name.
    Named(&'static str, &'static [&'static Key]),
}

/// The value of version 1, respelled for the current version.
pub(super) type Respell = fn(&str) -> Option<String>;

/// Why a value cannot be used.
pub(super) enum Fault {
    /// It is not JSON of this type.
    Type(&'static str),
    /// It has the type and no valid meaning.
    Value {
        /// The code of the finding, unless it is that of the key.
        code: Option<Code>,
        message: String,
        hint: String,
    },
}

impl Fault {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Value {
            code: None,
            message: message.into(),
            hint: hint.into(),
        }
    }

    fn with_code(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Value {
            code: Some(code),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// The type of one value.
pub(super) trait Type: Sized + Clone + Debug {
    fn shape() -> Shape;
    fn read(value: &Value, key: &Key) -> Result<Self, Fault>;

    /// Its rank among such values, if they have an order; values of the same rank mean the same.
    fn weight(&self) -> Option<u64> {
        None
    }

    /// How `config show` writes it.
    fn written(&self, value: &Value) -> Json {
        value.into()
    }

    /// The value of version 1, respelled; `None` if it is the same.
    fn version_1(_: &str) -> Option<String> {
        None
    }
}

impl Type for bool {
    fn shape() -> Shape {
        Shape::Switch
    }

    fn read(value: &Value, _: &Key) -> Result<Self, Fault> {
        match value {
            Value::Bool(on) => Ok(*on),
            _ => Err(Fault::Type("true or false")),
        }
    }

    fn weight(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Type for u64 {
    fn shape() -> Shape {
        Shape::Integer
    }

    fn read(value: &Value, key: &Key) -> Result<Self, Fault> {
        let (least, most) = key.range.unwrap_or((0, i64::MAX));
        let number = match value {
            Value::Number(number) => whole(number),
            _ => None,
        };
        let number = number.ok_or(Fault::Type("a whole number"))?;
        let allowed = Some(number).filter(|number| (least..=most).contains(number));
        let allowed = allowed.and_then(|number| Self::try_from(number).ok());
        allowed.ok_or_else(|| {
            let message = format!("`{}` cannot be {number}", key.name);
            Fault::new(message, format!("use a number from {least} to {most}"))
        })
    }

    fn weight(&self) -> Option<u64> {
        Some(*self)
    }
}

/// A whole number as JSON has it; one beyond 64 bits signed becomes the greatest, which no range contains.
pub(super) fn whole(number: &str) -> Option<i64> {
    let as_signed = number.parse().ok().filter(|_| number != "-0");
    as_signed.or_else(|| number.parse::<u64>().ok().map(|_| i64::MAX))
}

/// A value that is written as text.
pub(super) trait Word: Sized + Clone + Debug {
    const PATTERN: Option<&'static str> = None;

    /// The allowed words, if there are only a few.
    fn words() -> Vec<&'static str> {
        Vec::new()
    }

    fn parse(text: &str) -> Result<Self, Fault>;

    fn weight(&self) -> Option<u64> {
        None
    }

    /// How `config show` writes it.
    fn written(&self, text: &str) -> String {
        text.to_string()
    }

    /// The value of version 1, respelled; `None` if it is the same.
    fn version_1(_: &str) -> Option<String> {
        None
    }
}

impl<T: Word> Type for T {
    fn shape() -> Shape {
        match T::words() {
            words if words.is_empty() => Shape::Text(T::PATTERN, <T as Word>::version_1),
            words => Shape::Words(words, <T as Word>::version_1),
        }
    }

    fn read(value: &Value, _: &Key) -> Result<Self, Fault> {
        match value {
            Value::Text(text) => T::parse(text),
            _ => Err(Fault::Type("text")),
        }
    }

    fn weight(&self) -> Option<u64> {
        Word::weight(self)
    }

    fn written(&self, value: &Value) -> Json {
        match value {
            Value::Text(text) => Word::written(self, text).into(),
            _ => value.into(),
        }
    }

    fn version_1(text: &str) -> Option<String> {
        <T as Word>::version_1(text)
    }
}

impl Word for String {
    fn parse(text: &str) -> Result<Self, Fault> {
        Ok(text.to_string())
    }
}

/// The reason of a protection or an acceptance.
#[derive(Debug, Clone)]
pub(super) struct Reason(pub(super) String);

impl Word for Reason {
    const PATTERN: Option<&'static str> = Some(r"\S");

    fn parse(text: &str) -> Result<Self, Fault> {
        match text.trim() {
            "" => Err(Fault::new(
                "the reason is empty",
                "say why the check is accepted there; every plan shows the reason",
            )),
            reason => Ok(Self(reason.to_string())),
        }
    }
}

impl Word for Span {
    const PATTERN: Option<&'static str> =
        Some(r"^\s*([0-9]+(\.[0-9]{1,9})?(s|min|h|d|w|mo|y))+\s*$");

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|error: AgeError| {
            // The first half of the error is the message, the second the hint.
            let error = error.to_string();
            let (message, hint) = error
                .rsplit_once("; ")
                .unwrap_or((&error, "use a duration such as `14d`"));
            Fault::with_code(Code::AgeInvalid, message, hint)
        })
    }

    fn version_1(text: &str) -> Option<String> {
        Self::respelled(text)
    }

    fn weight(&self) -> Option<u64> {
        Some(self.as_seconds())
    }
}

const SIZE: &str = r"^(0+|[0-9]+[bB]|[0-9]+(\.[0-9]{1,9})?[kKmMgGtT]([iI]?[bB])?)$";
const SIZE_HINT: &str = "use a size with a unit, such as `50G` (1024) or `50GB` (1000)";

impl Word for Bytes {
    const PATTERN: Option<&'static str> = Some(SIZE);

    fn parse(text: &str) -> Result<Self, Fault> {
        parse_size(text).map_err(|_| Fault::new(format!("`{text}` is not a size"), SIZE_HINT))
    }

    fn version_1(text: &str) -> Option<String> {
        respelled_size(text)
    }

    fn weight(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// A goal of the budget that is a size of the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxStore(pub(super) Budget);

impl Word for MaxStore {
    const PATTERN: Option<&'static str> = Some(SIZE);

    fn parse(text: &str) -> Result<Self, Fault> {
        let budget = parse_size(text).and_then(Budget::max_store);
        budget
            .map(Self)
            .map_err(|error| goal_fault(&error, SIZE_HINT))
    }

    fn version_1(text: &str) -> Option<String> {
        respelled_size(text)
    }
}

/// A goal of the budget that is free space.
#[derive(Debug, Clone, Copy)]
pub(super) struct MinFree(pub(super) Budget);

impl Word for MinFree {
    const PATTERN: Option<&'static str> = Some(
        r"^(0*([5-9]|[1-8][0-9]|90)%|0+|[0-9]+[bB]|[0-9]+(\.[0-9]{1,9})?[kKmMgGtT]([iI]?[bB])?)$",
    );

    fn parse(text: &str) -> Result<Self, Fault> {
        let budget = text.parse::<Amount>().and_then(Budget::min_free);
        let hint = "use a size with a unit such as `50G`, or 5 to 90 percent such as `20%`";
        budget.map(Self).map_err(|error| goal_fault(&error, hint))
    }

    fn version_1(text: &str) -> Option<String> {
        respelled_size(text)
    }
}

/// A goal of the budget that is a number of free inodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct MinFreeInodes(pub(super) Budget);

impl Word for MinFreeInodes {
    const PATTERN: Option<&'static str> = Some(r"^(0*([1-9]|[1-8][0-9]|90)%|0*[1-9][0-9]{0,18})$");

    fn parse(text: &str) -> Result<Self, Fault> {
        let budget = text
            .parse::<InodeAmount>()
            .and_then(Budget::min_free_inodes);
        let hint = "use a number as text such as `\"50000\"`, or 1 to 90 percent such as `\"10%\"`";
        budget.map(Self).map_err(|error| goal_fault(&error, hint))
    }
}

/// The first half of the error is the message, the second the hint.
fn goal_fault(error: &BudgetError, hint: &str) -> Fault {
    let message = error.to_string();
    let wrong = message.split(';').next().unwrap_or_default();
    Fault::new(wrong, hint)
}
