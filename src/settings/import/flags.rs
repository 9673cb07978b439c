//! Reads a tool's words by the table of its flags; what is not in the table is an error.

use crate::domain::nearest::nearest;
use std::collections::VecDeque;

use super::ImportError;

/// A flag: its names, the long one first, and whether a value follows it.
pub(super) struct Flag(pub(super) &'static [&'static str], pub(super) Takes);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// `--option NAME VALUE`.
    Two,
    /// A value behind `=` only.
    Perhaps,
}

/// A word of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A flag by its first name, and its value, which is empty where it takes none.
    Flag(&'static str, String),
    /// Anything else.
    Plain(String),
}

/// Reads all words.
pub(super) fn read(tool: &str, flags: &[Flag], words: &[String]) -> Result<Vec<Word>, ImportError> {
    let mut left: VecDeque<String> = words.iter().cloned().collect();
    let mut read = Vec::new();
    while let Some(word) = left.pop_front() {
        if word == "--" {
            read.extend(left.drain(..).map(Word::Plain));
        } else if word.starts_with("--") {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name.to_string(), Some(value.to_string())),
                None => (word, None),
            };
            let flag = find(tool, flags, &name)?;
            read.push(with_value(tool, flag, &name, inline, &mut left)?);
        } else if word.len() > 1 && word.starts_with('-') {
            short(tool, flags, &word, &mut left, &mut read)?;
        } else {
            read.push(Word::Plain(word));
        }
    }
    Ok(read)
}

/// `-k 3`, `-k3` and `-ad`.
fn short(
    tool: &str,
    flags: &[Flag],
    word: &str,
    left: &mut VecDeque<String>,
    read: &mut Vec<Word>,
) -> Result<(), ImportError> {
    let mut letters = word.chars().skip(1);
    while let Some(letter) = letters.next() {
        let name = format!("-{letter}");
        let flag = find(tool, flags, &name)?;
        if matches!(flag.1, Takes::Nothing | Takes::Perhaps) {
            read.push(with_value(tool, flag, &name, None, left)?);
            continue;
        }
        let rest: String = letters.collect();
        let inline = (!rest.is_empty()).then_some(rest);
        read.push(with_value(tool, flag, &name, inline, left)?);
        break;
    }
    Ok(())
}

fn find<'f>(tool: &str, flags: &'f [Flag], name: &str) -> Result<&'f Flag, ImportError> {
    let found = flags.iter().find(|flag| flag.0.contains(&name));
    found.ok_or_else(|| {
        let known: Vec<&str> = flags.iter().flat_map(|flag| flag.0).copied().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => format!("Known: {}.", known.join(", ")),
        };
        ImportError::new(format!("{tool} has no flag `{name}`"), hint)
    })
}

fn with_value(
    tool: &str,
    Flag(names, takes): &Flag,
    name: &str,
    inline: Option<String>,
    left: &mut VecDeque<String>,
) -> Result<Word, ImportError> {
    let first = names.first().copied().unwrap_or_default();
    let missing = || {
        let message = format!("{tool}: `{name}` needs a value");
        ImportError::new(message, "Add it after the flag.")
    };
    let value = match (takes, inline) {
        (Takes::Nothing, Some(_)) => {
            let message = format!("{tool}: `{name}` takes no value");
            return Err(ImportError::new(message, "Leave the value out."));
        }
        (Takes::Perhaps, inline) => inline.unwrap_or_default(),
        (Takes::Nothing, None) => String::new(),
        (Takes::Value, Some(value)) => value,
        (Takes::Value, None) => left.pop_front().ok_or_else(missing)?,
        (Takes::Two, inline) => {
            let name = inline.or_else(|| left.pop_front()).ok_or_else(missing)?;
            let value = left.pop_front().ok_or_else(missing)?;
            format!("{name} {value}")
        }
    };
    Ok(Word::Flag(first, value))
}

/// A whole number of a flag.
pub(super) fn number(tool: &str, flag: &str, value: &str) -> Result<u64, ImportError> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or_else(|| {
        let message = format!("{tool}: `{value}` of `{flag}` is not a number");
        ImportError::new(message, "Use a whole number.")
    })
}
