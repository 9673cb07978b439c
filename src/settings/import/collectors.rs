//! `nix-collect-garbage`, the options `nix.gc` that call it, and harmonia-gc, which does the same in its own way.

use serde_json::{Value, json};

use super::draft::{Draft, Keep};
use super::durations::{self, Unit};
use super::flags::Flags;
use super::meanings as m;
use super::shell::{self, Freed};
use super::{ImportContext, ImportError, Result, Scope};
use crate::domain::budget::parse_size;
use crate::domain::measure::{Bytes, Span};

/// Days as Nix counts them, and the hours, weeks, months and years that people write in their place.
const DAYS: &[Unit] = &[
    (&["d", "day", "days", ""], 86_400),
    (&["h", "hour", "hours"], 3_600),
    (&["w", "week", "weeks"], 604_800),
    (&["mo", "month", "months"], 2_592_000),
    (&["y", "year", "years"], 31_536_000),
];

/// Ages as harmonia-gc reads them: a month is 30 days.
const HARMONIA: &[Unit] = &[
    (&["h"], 3_600),
    (&["d"], 86_400),
    (&["w"], 604_800),
    (&["m"], 2_592_000),
];

/// What a limit makes of the collection.
enum Goal {
    /// It is always reached: nothing is collected.
    Nothing,
    Free(String),
    /// All dead store paths are deleted.
    All,
}

/// The option `options` is a line of a shell script; the others set the schedule.
pub(super) fn nix_gc(words: &[String], context: &ImportContext<'_>, draft: &mut Draft) -> Result {
    let flags = Flags::read("nix.gc", m::NIX_GC, words, draft)?;
    let line = flags.value("--options").unwrap_or_default();
    collect_garbage(&shell::words(&line)?, context, draft)
}

pub(super) fn collect_garbage(
    words: &[String],
    _: &ImportContext<'_>,
    draft: &mut Draft,
) -> Result {
    let flags = Flags::read("nix-collect-garbage", m::NIX_COLLECT_GARBAGE, words, draft)?;
    for option in flags.values("--option").chunks(2) {
        let option = option.join(" ");
        let name = option.trim_start_matches("gc-");
        let keeps = name.starts_with("keep-outputs ") || name.starts_with("keep-derivations ");
        let keeps = keeps && !option.ends_with(" false");
        draft.note("--option", if keeps { m::KEEPS_DEAD } else { m::NIX_CONF });
    }
    let keep = keep(&flags, days, draft)?;
    let goal = match flags.parse("--max-freed", |_, value| shell::freed(value))? {
        None => Goal::All,
        Some(Freed::Bytes(0) | Freed::UntilFree(0)) => {
            draft.note("--max-freed", m::FREES_NOTHING);
            Goal::Nothing
        }
        Some(Freed::Bytes(_)) => {
            draft.note("--max-freed", m::NO_LIMIT);
            Goal::All
        }
        Some(Freed::UntilFree(bytes)) => {
            draft.note("--max-freed", m::UNTIL_FREE);
            Goal::Free(shell::written(bytes))
        }
    };
    let generations = keep.and_then(|keep| keep.of(&["nix-collect-garbage".to_string()]));
    add(
        "nix-collect-garbage",
        generations.as_ref(),
        goal,
        None,
        draft,
    );
    Ok(())
}

pub(super) fn harmonia_gc(
    words: &[String],
    context: &ImportContext<'_>,
    draft: &mut Draft,
) -> Result {
    let flags = Flags::read("harmonia-gc", m::HARMONIA_GC, words, draft)?;
    for name in ["--keep-outputs", "--keep-derivations"] {
        if flags.values(name).contains(&"true".to_string()) {
            let message =
                format!("`{name} true` keeps paths that a collection by nix.conf deletes");
            let hint = "Write the setting into nix.conf, and leave the flag out.";
            return Err(ImportError::new(message, hint));
        }
        if flags.has(name) {
            draft.note(name, m::NIX_CONF_KEEPS);
        }
    }
    if let Some(dir) = flags.value("--gc-roots-dir") {
        return Err(ImportError::new(
            format!("the roots in {dir} are not known to Nix, and would be deleted"),
            "Link the directory below /nix/var/nix/gcroots, and leave the flag out.",
        ));
    }
    let recent = flags.parse("--keep-recent", harmonia_age)?;
    let keep = keep(&flags, harmonia_age, draft)?;
    let generations = keep.and_then(|keep| keep.of(&harmonia_profiles(context.scope, draft)));
    let goal = flags.parse("--ensure-free", |flag, value| {
        ensure_free(flag, value, draft)
    })?;
    add(
        "harmonia-gc",
        generations.as_ref(),
        goal.unwrap_or(Goal::All),
        recent,
        draft,
    );
    Ok(())
}

fn add(
    tool: &str,
    generations: Option<&Value>,
    goal: Goal,
    keep_recent: Option<Span>,
    draft: &mut Draft,
) {
    let collect = json!({ "keepRecent": keep_recent });
    let (budget, collect) = match goal {
        Goal::Nothing => (Value::Null, Value::Null),
        Goal::Free(size) => (json!({ "minFree": size }), collect),
        Goal::All => (Value::Null, collect),
    };
    let job = json!({
        "description": format!("imported from {tool}"),
        "budget": budget,
        "operations": { "generations": generations, "collect": collect },
    });
    draft.job("default", job);
}

fn keep(
    flags: &Flags,
    age: fn(&str, &str) -> Result<Span>,
    draft: &mut Draft,
) -> Result<Option<Keep>> {
    let within = flags.parse("--delete-older-than", age)?;
    let all_old = flags.has("--delete-old");
    if all_old {
        let decides = within.is_some();
        draft.note(
            "--delete-old",
            if decides { m::AGE_DECIDES } else { m::OLD_KEPT },
        );
    }
    let last = within.is_none().then_some(1);
    Ok((all_old || within.is_some()).then_some(Keep { last, within }))
}

/// Nix takes a whole number of days, at least one, and nothing else.
fn days(flag: &str, value: &str) -> Result<Span> {
    let span = durations::read(flag, value, DAYS)
        .ok()
        .filter(|span| !span.is_zero());
    let number = value.strip_suffix('d').unwrap_or_default();
    let is_days = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    span.filter(|_| is_days).ok_or_else(|| {
        let days = span
            .map(Span::as_seconds)
            .filter(|s| s.is_multiple_of(86_400));
        let hint = match days {
            _ if value.starts_with('+') => {
                "`nix-env` takes a number of generations; here it is `\"last\"` in the keep rules."
                    .to_string()
            }
            Some(seconds) => format!("Nix takes whole days only; write `{}d`.", seconds / 86_400),
            None => "Nix takes whole days, at least one, such as `30d`.".to_string(),
        };
        ImportError::new(
            format!("nix-collect-garbage does not take `{value}` for an age"),
            hint,
        )
    })
}

/// One number and one letter.
fn harmonia_age(flag: &str, value: &str) -> Result<Span> {
    let number = value.trim_end_matches(|c: char| c.is_ascii_lowercase());
    if value.len() != number.len() + 1 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ImportError::new(
            format!("harmonia-gc does not take `{value}` for {flag}"),
            "Write a number and h, d, w or m, such as `30d`.",
        ));
    }
    durations::read(flag, value, HARMONIA)
}

fn ensure_free(flag: &str, value: &str, draft: &mut Draft) -> Result<Goal> {
    let wrong = |hint: &str| {
        let message = format!("`{value}` of {flag} is not a goal that can be imported");
        ImportError::new(message, hint)
    };
    let text = value.trim().to_ascii_uppercase();
    let goal = if let Some(percent) = text.strip_suffix('%') {
        // A fraction less is a goal that is reached sooner.
        let whole = percent
            .trim()
            .split('.')
            .next()
            .and_then(|n| n.parse::<u8>().ok());
        match whole {
            Some(5..=90) => whole.map(|n| format!("{n}%")).unwrap_or_default(),
            Some(91..) => {
                draft.note(flag, m::MAX_FREE);
                "90%".to_string()
            }
            _ => return Err(wrong("Write at least `5%`, or a size such as `20G`.")),
        }
    } else {
        match parse_size(&text) {
            Ok(Bytes(0)) => return Ok(Goal::Nothing),
            Ok(_) => text,
            Err(_) => {
                return Err(wrong(
                    "Write a size such as `50G`, or a percentage such as `20%`.",
                ));
            }
        }
    };
    draft.note(flag, m::UNTIL_FREE);
    Ok(Goal::Free(goal))
}

/// The profiles that it covers, as far as selectors can name them without adding others.
fn harmonia_profiles(scope: Scope, draft: &mut Draft) -> Vec<String> {
    let names: &[&str] = match scope {
        Scope::System => {
            draft.note("profiles", m::SYSTEM_ONLY);
            &["system"]
        }
        Scope::User => &["users", "home-manager"],
    };
    names.iter().map(ToString::to_string).collect()
}
