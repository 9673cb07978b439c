//! Reads the flags of other tools, as the tables in [`super::meanings`] declare them.

use clap::builder::ValueRange;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::draft::Draft;
use super::meanings::Row;
use super::shell;
use super::{ImportError, Result};

/// The flags that are given, in order, with their values.
pub(super) struct Flags(Vec<(String, Vec<String>)>);

impl Flags {
    /// Reads all words, and adds the notes about them.
    pub(super) fn read(
        tool: &'static str,
        rows: &[Row],
        words: &[String],
        draft: &mut Draft,
    ) -> Result<Self> {
        let matches = Command::new(tool)
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args(
                rows.iter()
                    .flat_map(|Row(flags, _)| flags.split(' ').map(arg)),
            )
            .try_get_matches_from(words)
            .map_err(|error| refused(tool, &error))?;
        let mut given = Vec::new();
        for id in matches.ids().map(clap::Id::as_str) {
            let is_it = |flag: &str| flag.split(['|', '=']).next() == Some(id);
            let row = rows
                .iter()
                .find(|Row(flags, _)| flags.split(' ').any(is_it));
            if let Some(Row(_, Some(note))) = row {
                draft.note(id, *note);
            }
            let values = matches.try_get_many::<String>(id).ok().flatten();
            given.push((
                id.to_string(),
                values.into_iter().flatten().cloned().collect(),
            ));
        }
        let mut flags = Self(given);
        // NixOS modules take further flags in one word.
        for line in flags.values("--extraArgs") {
            flags
                .0
                .extend(Self::read(tool, rows, &shell::words(&line)?, draft)?.0);
        }
        Ok(flags)
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|(name, _)| name == flag)
    }

    pub(super) fn values(&self, flag: &str) -> Vec<String> {
        let given = self.0.iter().filter(|(name, _)| name == flag);
        given.flat_map(|(_, values)| values).cloned().collect()
    }

    pub(super) fn value(&self, flag: &str) -> Option<String> {
        self.values(flag).pop()
    }

    pub(super) fn number(&self, flag: &str) -> Result<Option<u64>> {
        self.parse(flag, |_, value| {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            value.parse().ok().filter(|_| digits).ok_or_else(|| {
                let message = format!("`{value}` of `{flag}` is not a number");
                ImportError::new(message, "Use a whole number.")
            })
        })
    }

    /// Checks every value of a flag, of which the last one counts.
    pub(super) fn parse<T>(
        &self,
        flag: &str,
        mut read: impl FnMut(&str, &str) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut last = None;
        for value in self.values(flag) {
            last = Some(read(flag, &value)?);
        }
        Ok(last)
    }

    /// The words that are no flags.
    pub(super) fn words(&self) -> Vec<String> {
        self.values("WORDS")
    }
}

fn arg(flag: &'static str) -> Arg {
    let mut parts = flag.split('=');
    let mut names = parts.next().unwrap_or_default().split('|');
    let (id, values) = (names.next().unwrap_or_default(), parts.collect::<Vec<_>>());
    let arg = Arg::new(id).action(ArgAction::Append);
    let Some(long) = id.strip_prefix("--") else {
        return arg.num_args(0..);
    };
    let optional = values.concat().ends_with('?');
    let least = if optional { 0 } else { values.len() };
    let arg = arg
        .long(long)
        .num_args(ValueRange::new(least..=values.len()))
        .require_equals(optional)
        .allow_hyphen_values(values == ["FLAGS"] || id == "--timestamp")
        .value_names(values);
    names.fold(arg, |arg, name| match name.strip_prefix("--") {
        Some(alias) => arg.alias(alias),
        None => arg.short(name.chars().nth(1)),
    })
}

/// What clap finds wrong, without its usage text.
fn refused(tool: &str, error: &clap::Error) -> ImportError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let manual = || format!("See the manual of {tool}.");
    let (message, hint) = match (error.kind(), context(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(flag)) if flag.starts_with('-') => {
            let meant = context(ContextKind::SuggestedArg);
            let hint = meant.map_or_else(manual, |meant| format!("Did you mean `{meant}`?"));
            (format!("{tool} has no flag `{flag}`"), hint)
        }
        (ErrorKind::UnknownArgument, Some(word)) => (
            format!("{tool} takes no `{word}`"),
            "It takes flags only.".to_string(),
        ),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            (
                format!("{tool}: {}", line.trim_start_matches("error: ")),
                manual(),
            )
        }
    };
    ImportError::new(message, hint)
}
