//! Durations as other tools write them.

use super::{ImportError, Result};
use crate::domain::measure::Span;

/// A unit: its names, and its seconds.
pub(super) type Unit = (&'static [&'static str], u64);

/// As humantime reads them (nh, angrr): a month is 30.44 days, a year 365.25.
pub(super) const HUMANTIME: &[Unit] = &[
    (&["seconds", "second", "secs", "sec", "s"], 1),
    (&["minutes", "minute", "mins", "min", "m"], 60),
    (&["hours", "hour", "hrs", "hr", "h"], 3_600),
    (&["days", "day", "d"], 86_400),
    (&["weeks", "week", "wks", "wk", "w"], 604_800),
    (&["months", "month", "M"], 2_630_016),
    (&["years", "year", "yrs", "yr", "y"], 31_557_600),
];

/// As duration-str reads them (nix-sweep): a month is 30 days, a year 365.
pub(super) const DURATION_STR: &[Unit] = &[
    (&["seconds", "second", "secs", "sec", "s", ""], 1),
    (&["minutes", "minute", "mins", "min", "m"], 60),
    (&["hours", "hour", "hrs", "hr", "h"], 3_600),
    (&["days", "day", "d"], 86_400),
    (&["weeks", "week", "w"], 604_800),
    (&["months", "month", "mon"], 2_592_000),
    (&["years", "year", "y"], 31_536_000),
];

/// Reads `7d`, `1 week`, `1h 30m`: whole numbers with units, added up.
pub(super) fn read(what: &str, text: &str, units: &[Unit]) -> Result<Span> {
    let wrong = || {
        ImportError::new(
            format!("`{text}` of {what} is not a duration that can be imported"),
            "Write whole numbers with units, such as `14d` or `1h 30m`.",
        )
    };
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let behind = behind.trim_start();
        let end = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        // humantime takes a bare zero.
        let bare_zero = number == 0 && unit.is_empty();
        let scale = match units.iter().find(|(names, _)| names.contains(&unit)) {
            Some((_, scale)) => *scale,
            None if bare_zero => 0,
            None => return Err(wrong()),
        };
        let part = number.checked_mul(scale).ok_or_else(wrong)?;
        seconds = seconds.checked_add(part).ok_or_else(wrong)?;
        rest = behind.trim_start_matches([' ', '+']);
    }
    age(seconds).ok_or_else(wrong)
}

/// A span of this many seconds, unless it is too long.
pub(super) fn age(seconds: u64) -> Option<Span> {
    format!("{seconds}s").parse().ok()
}
