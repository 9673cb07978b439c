//! Sizes, points in time and durations.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
#[derive(schemars::JsonSchema)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    /// Powers of 1024 with two decimals, `12.50 GiB`; below 1024 plain bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut hundredths = u128::from(self.0) * 100 / 1024;
        let mut units = UNITS.iter().peekable();
        while let Some(unit) = units.next() {
            if hundredths < 102_400 || units.peek().is_none() {
                return write!(f, "{}.{:02} {unit}", hundredths / 100, hundredths % 100);
            }
            hundredths /= 1024;
        }
        Ok(())
    }
}

/// A point in time, to the nanosecond; written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(schemars::JsonSchema)]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The time `seconds` and `nanoseconds` after 1970, if the calendar reaches that far (years -9999 to 9999).
    pub fn from_unix(seconds: i64, nanoseconds: i64) -> Option<Self> {
        let nanoseconds = i32::try_from(nanoseconds).ok()?;
        jiff::Timestamp::new(seconds, nanoseconds).ok().map(Self)
    }

    /// The whole seconds since 1970 (rounded down) and the nanoseconds behind them, 0 to 999,999,999.
    pub fn to_unix(self) -> (i64, i64) {
        let (seconds, nanos) = (self.0.as_second(), i64::from(self.0.subsec_nanosecond()));
        if nanos < 0 {
            (seconds - 1, nanos + 1_000_000_000)
        } else {
            (seconds, nanos)
        }
    }

    /// The moment `age` before this one; the earliest representable moment if there is none.
    #[must_use]
    pub fn before(self, age: Span) -> Self {
        Self(
            self.0
                .checked_sub(age.to_duration())
                .unwrap_or(jiff::Timestamp::MIN),
        )
    }

    /// The moment `age` after this one; the latest representable moment if there is none.
    #[must_use]
    pub fn after(self, age: Span) -> Self {
        Self(
            self.0
                .checked_add(age.to_duration())
                .unwrap_or(jiff::Timestamp::MAX),
        )
    }

    /// The same moment on a calendar.
    pub fn in_zone(self, zone: &jiff::tz::TimeZone) -> jiff::Zoned {
        self.0.to_zoned(zone.clone())
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time)
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A span of time that is never negative, to the second: `30s`, `15min`, `2h`, `1h30min`, `1.5d`, `2w`, `6mo`, `1y`.
///
/// A day is 24 hours, a week seven days, a month 30.44 and a year 365.25 days; calendar days are the business of the keep
/// rules' buckets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, schemars::JsonSchema,
)]
#[schemars(with = "String")]
pub struct Span {
    seconds: u64,
}

const UNITS: [(&str, u64); 7] = [
    ("y", 31_557_600),
    ("mo", 2_630_016),
    ("w", 7 * 86_400),
    ("d", 86_400),
    ("h", 3_600),
    ("min", 60),
    ("s", 1),
];
/// The units that a span is written with: months and years would not be exact, and people say `14d`.
const WRITTEN: [&str; 4] = ["d", "h", "min", "s"];

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self { seconds: 0 };

    /// A span of whole days.
    pub const fn days(days: u32) -> Self {
        Self {
            seconds: days as u64 * 86_400,
        }
    }

    /// This many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self { seconds }
    }

    /// A span of whole minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self {
            seconds: minutes as u64 * 60,
        }
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.seconds == 0
    }

    /// The span in seconds.
    pub const fn as_seconds(self) -> u64 {
        self.seconds
    }

    /// A span that version 1 of the settings wrote, in which `m` is a minute, in the words of today.
    pub fn respelled(text: &str) -> Option<String> {
        let respelled = minutes(text, "min");
        respelled.parse::<Self>().is_ok().then_some(respelled)
    }

    fn to_duration(self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.seconds).unwrap_or(i64::MAX))
    }
}

/// Why a text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// It is not one.
    #[error(
        "`{0}` is not a duration; use numbers followed by s, min, h, d, w, mo or y, such as 14d, 1.5d or 1h30min"
    )]
    NotOne(String),
    /// It has a unit that could be two.
    #[error("`{0}` could mean minutes or months; use `{minutes}` or `{months}`", minutes = minutes(.0, "min"), months = minutes(.0, "mo"))]
    Ambiguous(String),
}

impl FromStr for Span {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_age(text.trim()) {
            Some(age) => Ok(age),
            None if parse_age(minutes(text, "min").trim()).is_some() => {
                Err(AgeError::Ambiguous(text.to_string()))
            }
            None => Err(AgeError::NotOne(text.to_string())),
        }
    }
}

/// A text in which each bare `m` is written out.
fn minutes(text: &str, unit: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    let mut before = None;
    while let Some(c) = letters.next() {
        let is_bare = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphabetic());
        if c == 'm' && is_bare(before) && is_bare(letters.peek().copied()) {
            out.push_str(unit);
        } else {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

/// Adds up `NUMBER UNIT` groups, exactly; a part of a second counts as a whole one, for a longer age keeps more.
fn parse_age(mut text: &str) -> Option<Span> {
    if text.is_empty() {
        return None;
    }
    let (mut seconds, mut rest_of_second) = (0u64, false);
    while !text.is_empty() {
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = text.split_at(at);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, rest) = behind.split_at(end.unwrap_or(behind.len()));
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        text = rest;
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        if fraction.len() > 9 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        seconds = seconds.checked_add(whole.checked_mul(*scale)?)?;
        if !fraction.is_empty() {
            let digits: u64 = fraction.parse().ok()?;
            let power = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            let part = digits.checked_mul(*scale)?;
            seconds = seconds.checked_add(part / power)?;
            rest_of_second |= part % power != 0;
        }
    }
    seconds = seconds.checked_add(u64::from(rest_of_second))?;
    // What jiff's calendar cannot reach is a mistake, not a policy.
    (seconds <= 10_000 * 366 * 86_400).then_some(Span { seconds })
}

impl fmt::Display for Span {
    /// The largest units that fit without a remainder: `2w`, `1d12h`; days are not gathered into weeks unless exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds == 0 {
            return f.write_str("0s");
        }
        let mut left = self.seconds;
        for (unit, scale) in UNITS {
            if !WRITTEN.contains(&unit) {
                continue;
            }
            if left >= scale {
                write!(f, "{}{unit}", left / scale)?;
                left %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Records of earlier releases have `1h30m`.
        let respelled = Self::respelled(&text).unwrap_or(text);
        respelled.parse().map_err(serde::de::Error::custom)
    }
}

/// A number with its noun: `1 generation`, `2 generations`, `0 entries`.
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// The same as the subject of a verb: `1 root points`, `3 roots point`.
pub fn count_with_verb(number: usize, noun: &str, verb: &str) -> String {
    let ending = if number == 1 { "s" } else { "" };
    format!("{} {verb}{ending}", count(number, noun))
}

#[cfg(test)]
mod tests;
