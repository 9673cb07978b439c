//! Calendar rules: the newest generation of each period is kept.

use std::collections::BTreeMap;

use jiff::Zoned;
use serde::{Deserialize, Serialize};

/// A calendar rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Calendar {
    /// Of each day.
    Daily,
    /// Of each ISO week.
    Weekly,
    /// Of each month.
    Monthly,
    /// Of each year.
    Yearly,
}

impl Calendar {
    /// All rules, from the shortest period.
    pub const ALL: [Self; 4] = [Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly];

    /// The name of the rule, the word for its periods, and how a period is written.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Daily => ("daily", "days", "%Y-%m-%d"),
            Self::Weekly => ("weekly", "ISO weeks", "%G-W%V"),
            Self::Monthly => ("monthly", "months", "%Y-%m"),
            Self::Yearly => ("yearly", "years", "%Y"),
        }
    }

    /// Its name, as in the settings.
    pub const fn as_str(self) -> &'static str {
        self.words().0
    }

    /// The word for its periods.
    pub const fn periods(self) -> &'static str {
        self.words().1
    }

    /// The period that a time lies in, such as `2026-W48`.
    pub fn period(self, time: &Zoned) -> String {
        time.strftime(self.words().2).to_string()
    }
}

/// How many periods each calendar rule looks at.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(from = "BTreeMap<Calendar, u16>", into = "BTreeMap<Calendar, u16>")]
#[schemars(with = "BTreeMap<Calendar, u16>")]
pub struct PeriodCounts([Option<u16>; Calendar::ALL.len()]);

impl From<PeriodCounts> for BTreeMap<Calendar, u16> {
    fn from(counts: PeriodCounts) -> Self {
        let counted = counts.iter();
        counted
            .filter_map(|(rule, count)| Some((rule, count?)))
            .collect()
    }
}

impl From<BTreeMap<Calendar, u16>> for PeriodCounts {
    fn from(counts: BTreeMap<Calendar, u16>) -> Self {
        let counts = counts.into_iter();
        counts.fold(Self::default(), |all, (rule, count)| {
            all.with(rule, Some(count))
        })
    }
}

impl PeriodCounts {
    /// The same with this count for one rule.
    #[must_use]
    pub fn with(mut self, rule: Calendar, count: Option<u16>) -> Self {
        for (known, counted) in Calendar::ALL.into_iter().zip(&mut self.0) {
            if known == rule {
                *counted = count;
            }
        }
        self
    }

    /// The count of one rule.
    pub fn get(self, rule: Calendar) -> Option<u16> {
        self.iter()
            .find_map(|(known, count)| count.filter(|_| known == rule))
    }

    /// Each rule with its count.
    pub fn iter(self) -> impl Iterator<Item = (Calendar, Option<u16>)> {
        Calendar::ALL.into_iter().zip(self.0)
    }
}
