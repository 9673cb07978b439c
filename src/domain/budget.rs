//! Budgets: the disk goal of a job, and how much must be freed to reach it.

mod disk;
mod goal;
mod inodes;
mod report;
mod trial;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::measure::Bytes;

pub use disk::Disk;
pub use goal::{DiskGoal, ReleaseHolds};
pub use inodes::{InodeAmount, Inodes};
pub use report::{
    BudgetReport, DiskUsage, FreeLater, FreeSpace, LeftOut, Quantity, SizeMetric, StillKept,
};
pub use trial::{BudgetEnd, Contradiction, Finding, Judge, Round, Trial};

/// What is to hold after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Budget {
    /// At least this much of the file system is free.
    MinFree(Amount),
    /// At most this much of the file system is used.
    MaxUsed(Percent),
    /// The store is at most so large.
    MaxStore(Bytes),
    /// At least this many inodes of the file system are free.
    MinFreeInodes(InodeAmount),
}

/// So many bytes, or a part of the file system: `50G`, `20%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub enum Amount {
    /// So many bytes.
    Bytes(Bytes),
    /// A part of the file system.
    Percent(Percent),
}

/// A whole number of hundredths, 0 to 100.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Percent(#[schemars(range(max = 100))] u8);

/// An amount as documents have it: a number of bytes, or a percentage such as `20%`.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Percent(String),
}

impl TryFrom<Written> for Amount {
    type Error = BudgetError;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Bytes(bytes) => Ok(Self::Bytes(Bytes(bytes))),
            Written::Percent(text) => text.parse(),
        }
    }
}

impl From<Amount> for Written {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Bytes(Bytes(bytes)) => Self::Bytes(bytes),
            Amount::Percent(_) => Self::Percent(amount.to_string()),
        }
    }
}

/// Why a text or number is no disk goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The text is not a size.
    #[error(
        "`{0}` is not a size; use a number with a unit, such as 50G or 50GiB (1024), 50GB (1000) or 1.5T"
    )]
    Size(String),
    /// The text is neither a size nor a percentage.
    #[error("`{0}` is neither a size such as 50G nor a percentage such as 20%")]
    Amount(String),
    /// The text is neither a number of inodes nor a percentage.
    #[error("`{0}` is neither a number of inodes such as 50000 nor a percentage such as 10%")]
    Inodes(String),
    /// The most that may be used is out of range.
    #[error("maxUsed must be between 10 and 95, not {0}")]
    MaxUsed(u64),
    /// The size is zero.
    #[error("a goal of 0 has no meaning; use a larger size")]
    Zero,
    /// The number of inodes is zero.
    #[error("a budget of 0 inodes has no meaning; use a larger number")]
    NoInodes,
    /// The least that is to be free is out of range.
    #[error("minFree must be between 5% and 90%, not {0}%")]
    MinFree(u8),
    /// The least part of the inodes that is to be free is out of range.
    #[error("minFreeInodes must be between 1% and 90%, not {0}%")]
    MinFreeInodes(u8),
}

impl Percent {
    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// This part of a whole; a part of one counts as a whole one.
    fn part_of(self, whole: u64) -> u64 {
        hundredth(self.of(whole), u128::div_ceil)
    }

    fn of(self, whole: u64) -> u128 {
        u128::from(whole) * u128::from(self.0)
    }
}

impl Budget {
    /// The least of a file system, in percent, that a goal may leave used.
    pub const MIN_USED_PERCENT: u8 = 10;
    /// The most of it.
    pub const MAX_USED_PERCENT: u8 = 95;

    /// A least part that is to be free. As [`Budget::max_used`], a percentage must leave space for a system: 5 to 90.
    ///
    /// # Errors
    /// When a percentage is out of range.
    pub fn min_free(amount: Amount) -> Result<Self, BudgetError> {
        match amount {
            Amount::Percent(Percent(percent)) if !(5..=90).contains(&percent) => {
                Err(BudgetError::MinFree(percent))
            }
            Amount::Bytes(Bytes(0)) => Err(BudgetError::Zero),
            _ => Ok(Self::MinFree(amount)),
        }
    }

    /// A largest part that may be used, 10 to 95 percent.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn max_used(percent: u64) -> Result<Self, BudgetError> {
        match u8::try_from(percent) {
            Ok(percent @ Self::MIN_USED_PERCENT..=Self::MAX_USED_PERCENT) => {
                Ok(Self::MaxUsed(Percent(percent)))
            }
            _ => Err(BudgetError::MaxUsed(percent)),
        }
    }

    /// A largest store.
    ///
    /// # Errors
    /// When it is zero.
    pub fn max_store(most: Bytes) -> Result<Self, BudgetError> {
        match most {
            Bytes(0) => Err(BudgetError::Zero),
            most => Ok(Self::MaxStore(most)),
        }
    }

    /// A least number of inodes that is to be free, or 1 to 90 percent of them.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn min_free_inodes(amount: InodeAmount) -> Result<Self, BudgetError> {
        match amount {
            InodeAmount::Percent(Percent(percent)) if !(1..=90).contains(&percent) => {
                Err(BudgetError::MinFreeInodes(percent))
            }
            InodeAmount::Count(0) => Err(BudgetError::NoInodes),
            _ => Ok(Self::MinFreeInodes(amount)),
        }
    }

    /// What it counts: the file system's bytes or inodes, or the store's own sizes.
    pub fn metric(self) -> SizeMetric {
        match self {
            Self::MinFree(_) | Self::MaxUsed(_) => SizeMetric::OnDisk,
            Self::MaxStore(_) => SizeMetric::NarSize,
            Self::MinFreeInodes(_) => SizeMetric::Inodes,
        }
    }

    /// How much must go until the goal is reached: nothing when it is. `None` where what it is measured against is not
    /// known.
    pub fn to_free(self, usage: DiskUsage) -> Option<Quantity> {
        let missing = match self {
            // A part of a byte counts as a whole one: the goal is reached, not nearly.
            Self::MinFree(least) => {
                let disk = usage.disk?;
                let least = match least {
                    Amount::Bytes(least) => least,
                    Amount::Percent(least) => disk.part(least),
                };
                least.0.saturating_sub(disk.available.0)
            }
            Self::MaxUsed(most) => {
                let disk = usage.disk?;
                let most = hundredth(most.of(disk.size()), |n, by| n / by);
                disk.used.0.saturating_sub(most)
            }
            Self::MaxStore(most) => usage.store_bytes?.0.saturating_sub(most.0),
            Self::MinFreeInodes(least) => {
                // A file system that makes inodes as they are needed does not run out of them.
                let inodes = usage.disk?.inodes;
                inodes.map_or(0, |inodes| least.of(inodes).saturating_sub(inodes.free))
            }
        };
        Some(Quantity(missing))
    }
}

fn hundredth(bytes: u128, divide: impl Fn(u128, u128) -> u128) -> u64 {
    // At most 100 percent of a number of 64 bits.
    u64::try_from(divide(bytes, 100)).unwrap_or(u64::MAX)
}

impl Amount {
    /// Whether it is nothing at all.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Bytes(Bytes(0)) | Self::Percent(Percent(0)))
    }
}

impl FromStr for Amount {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || BudgetError::Amount(text.to_string());
        match text.strip_suffix('%') {
            Some(_) => percent_of(text).map(Self::Percent).ok_or_else(wrong),
            None => parse_size(text).map(Self::Bytes).map_err(|_| wrong()),
        }
    }
}

/// Reads a percentage of at most 100: `20%`.
fn percent_of(text: &str) -> Option<Percent> {
    let number = text.strip_suffix('%')?;
    let is_number = number.bytes().all(|b| b.is_ascii_digit());
    let percent = number.parse().ok().filter(|_| is_number)?;
    (percent <= 100).then_some(Percent(percent))
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinFree(amount) => write!(f, "at least {amount} free"),
            Self::MaxUsed(Percent(percent)) => write!(f, "at most {percent}% used"),
            Self::MaxStore(bytes) => write!(f, "a store of at most {bytes}"),
            Self::MinFreeInodes(InodeAmount::Percent(Percent(percent))) => {
                write!(f, "at least {percent}% of the inodes free")
            }
            Self::MinFreeInodes(count) => write!(f, "at least {count} free"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Percent(Percent(percent)) => write!(f, "{percent}%"),
        }
    }
}

/// Reads a size: a number with a unit, in any case. K, M, G and T, with or without `iB`, are powers of 1024, with `B` powers
/// of 1000, and `B` alone is bytes; only 0 needs no unit. A part of a byte counts as a whole one.
///
/// # Errors
/// When it is not one, or more than 64 bits hold.
pub fn parse_size(text: &str) -> Result<Bytes, BudgetError> {
    size(text)
        .map(Bytes)
        .ok_or_else(|| BudgetError::Size(text.to_string()))
}

/// A size to be given on the command line, rounded up to two digits or more: `44M`.
pub fn size_argument(bytes: Bytes) -> String {
    let units = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20)];
    let unit = units.into_iter().find(|(_, unit)| bytes.0 >= 10 * unit);
    let (letter, unit) = unit.unwrap_or(("K", 1 << 10));
    format!("{}{letter}", bytes.0.div_ceil(unit))
}

/// A size that version 1 of the settings wrote, in which a bare number is bytes, with a unit.
pub fn respelled_size(text: &str) -> Option<String> {
    let is_bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let bare = is_bare.then(|| match text.trim_start_matches('0') {
        "" => "0".to_string(),
        number => format!("{number}B"),
    });
    bare.filter(|text| size(text).is_some())
}

fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.to_ascii_uppercase();
    let (letter, rest) = unit.split_at(unit.chars().next().map_or(0, char::len_utf8));
    let base: u64 = match (letter, rest) {
        ("B", "") => 1,
        ("", "") if number.bytes().all(|b| b == b'0') => 1,
        (_, "" | "IB") => 1024,
        (_, "B") => 1000,
        _ => return None,
    };
    let power = match letter {
        "" | "B" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    if power == 0 && base != 1 {
        return None;
    }
    let scale = base.pow(power);
    let (whole, fraction) = match number.split_once('.') {
        // There is no part of a byte to write.
        Some(_) if scale == 1 => return None,
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    if fraction.len() > 9 {
        return None;
    }
    let parts = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let whole: u64 = whole.parse().ok()?;
    let bytes = u128::from(whole).checked_mul(parts)?.checked_add(part)?;
    u64::try_from(bytes.checked_mul(scale.into())?.div_ceil(parts)).ok()
}

#[cfg(test)]
mod tests;
