//! Inodes of a file system, and how many of them a budget wants free.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BudgetError, Percent, percent_of};

/// The inodes of a file system that has a fixed number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inodes {
    /// How many there are.
    pub total: u64,
    /// How many are free.
    pub free: u64,
}

impl Inodes {
    /// How many of them are used, in percent, rounded up as `df -i` has it.
    pub fn percent_used(self) -> u128 {
        let used = u128::from(self.total.saturating_sub(self.free));
        (used * 100).div_ceil(u128::from(self.total).max(1))
    }
}

/// So many inodes, or a part of those of the file system: `50000`, `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub enum InodeAmount {
    /// So many inodes.
    Count(u64),
    /// A part of all inodes.
    Percent(Percent),
}

/// An amount as documents have it: a number of inodes, or a percentage such as `10%`.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum Written {
    Count(u64),
    Percent(String),
}

impl InodeAmount {
    /// How many of these inodes it is. A part of one counts as a whole one.
    pub fn of(self, inodes: Inodes) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => percent.part_of(inodes.total),
        }
    }
}

impl TryFrom<Written> for InodeAmount {
    type Error = BudgetError;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Count(count) => Ok(Self::Count(count)),
            Written::Percent(text) => text.parse(),
        }
    }
}

impl From<InodeAmount> for Written {
    fn from(amount: InodeAmount) -> Self {
        match amount {
            InodeAmount::Count(count) => Self::Count(count),
            InodeAmount::Percent(_) => Self::Percent(amount.to_string()),
        }
    }
}

impl FromStr for InodeAmount {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || BudgetError::Inodes(text.to_string());
        if text.ends_with('%') {
            return percent_of(text).map(Self::Percent).ok_or_else(wrong);
        }
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        let count = text.parse().ok().filter(|_| is_number);
        count.map(Self::Count).ok_or_else(wrong)
    }
}

impl fmt::Display for InodeAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(1) => f.write_str("1 inode"),
            Self::Count(count) => write!(f, "{count} inodes"),
            Self::Percent(percent) => write!(f, "{}%", percent.get()),
        }
    }
}
