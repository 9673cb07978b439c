//! home-manager: `expire-generations`, and the options of its module `services.home-manager.autoExpire`.

use serde_json::json;

use super::collectors::collect_garbage;
use super::draft::{Draft, Keep};
use super::durations::{self, Unit};
use super::flags::Flags;
use super::meanings as m;
use super::shell;

use super::{ImportContext, ImportError, Result, Scope};
use crate::domain::measure::Span;

/// Ages as `date -d` reads them. Months and years have no fixed length, so the longest is taken: it keeps more.
const DATE: &[Unit] = &[
    (&["second", "seconds", "sec", "secs"], 1),
    (&["minute", "minutes", "min", "mins"], 60),
    (&["hour", "hours"], 3_600),
    (&["day", "days"], 86_400),
    (&["week", "weeks"], 604_800),
    (&["fortnight", "fortnights"], 1_209_600),
    (&["month", "months"], 2_678_400),
    (&["year", "years"], 31_622_400),
];

/// What the module expires if nothing else is said.
const DEFAULT: &str = "-30 days";

pub(super) fn home_manager(
    words: &[String],
    context: &ImportContext<'_>,
    draft: &mut Draft,
) -> Result {
    let words = match words {
        [command, timestamp, flags @ ..] if command == "expire-generations" => {
            let option = ["--timestamp".to_string(), timestamp.clone()];
            [&option, flags].concat()
        }
        _ => words.to_vec(),
    };
    let flags = Flags::read("home-manager", m::HOME_MANAGER, &words, draft)?;
    if context.scope == Scope::System {
        return Err(ImportError::new(
            "home-manager expires the generations of one user",
            "Write settings for that user with `--for user`.",
        ));
    }
    let timestamp = flags.value("--timestamp");
    let within = Some(age(timestamp.as_deref().unwrap_or(DEFAULT))?);
    draft.note("--timestamp", m::ACTIVE_KEPT);
    let keep = Keep { last: None, within };
    let job = json!({
        "description": "imported from home-manager",
        "operations": { "generations": keep.of(&["home-manager".to_string()]) },
    });
    draft.job("home-manager", job);
    if flags.value("--store.cleanup").as_deref() != Some("true") {
        return Ok(());
    }
    let options = flags.value("--store.options").unwrap_or_default();
    collect_garbage(&shell::words(&options)?, context, draft)
}

/// One number with a unit, in the past.
fn age(timestamp: &str) -> Result<Span> {
    let text = timestamp.trim();
    let past = match text.strip_prefix('-') {
        Some(past) => Some(past),
        None => text.strip_suffix(" ago"),
    };
    let one = |past: &&str| !past.contains(['-', '+']) && !past.ends_with(" ago");
    let span = past.filter(one).map(str::trim);
    let span = span.and_then(|past| durations::read("--timestamp", past, DATE).ok());
    span.filter(|span| !span.is_zero()).ok_or_else(|| {
        ImportError::new(
            format!("`{timestamp}` is not a time that can be imported"),
            "Write an age, such as `-30 days` or `2 weeks ago`.",
        )
    })
}
