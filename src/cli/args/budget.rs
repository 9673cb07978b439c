//! Command line arguments of a disk budget.

use std::str::FromStr;

use clap::{ArgGroup, Args};

use super::job::BUDGET;
use crate::domain::budget::{Amount, Budget, BudgetError, InodeAmount, ReleaseHolds, parse_size};

/// Disk budget. A goal given here replaces the job's.
#[derive(Debug, Clone, Args, Default)]
#[command(group = ArgGroup::new("goal").multiple(false))]
pub struct BudgetArgs {
    /// Remove only as much as needed to have this much free, such as 50G or 20%
    #[arg(long, value_name = "SIZE|PERCENT", group = "goal", help_heading = BUDGET, value_parser = until_free)]
    pub until_free: Option<Budget>,
    /// Remove only as much as needed to have at most this percentage of the file system used
    #[arg(long, value_name = "PERCENT", group = "goal", help_heading = BUDGET, value_parser = max_used)]
    pub max_used: Option<Budget>,
    /// Remove only as much as needed to shrink the store to this NAR size, such as 200G
    #[arg(long, value_name = "SIZE", group = "goal", help_heading = BUDGET, value_parser = max_store)]
    pub max_store: Option<Budget>,
    /// Remove only as much as needed to have this many inodes free, such as 50000 or 10%
    #[arg(long, value_name = "NUMBER|PERCENT", group = "goal", help_heading = BUDGET, value_parser = until_free_inodes)]
    pub until_free_inodes: Option<Budget>,
    /// When to release holds early to reach the goal: never or ifNeeded
    #[arg(long, value_name = "WHEN", help_heading = BUDGET)]
    pub release_holds: Option<ReleaseHolds>,
}

impl BudgetArgs {
    /// The goal, if one is given.
    pub(in crate::cli) fn goal(&self) -> Option<Budget> {
        let inodes = self.until_free_inodes;
        self.until_free
            .or(self.max_used)
            .or(self.max_store)
            .or(inodes)
    }
}

/// How much `free` is to free; `--inodes` decides whether a percentage is a part of the bytes or of the inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeAmount {
    /// So many bytes, or a part.
    Amount(Amount),
    /// A number without a unit.
    Count(u64),
}

impl FromStr for FreeAmount {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        match (text.parse::<Amount>(), text.parse()) {
            (Ok(amount), _) if amount.is_zero() => Err(BudgetError::Zero),
            (Ok(amount), _) => Ok(Self::Amount(amount)),
            (Err(_), Ok(InodeAmount::Count(count))) => Ok(Self::Count(count)),
            (Err(error), _) => Err(error),
        }
    }
}

fn until_free(text: &str) -> Result<Budget, String> {
    let amount: Result<Amount, _> = text.parse();
    let budget = amount.and_then(Budget::min_free);
    budget.map_err(|error| error.to_string())
}

fn until_free_inodes(text: &str) -> Result<Budget, String> {
    let amount: Result<InodeAmount, _> = text.parse();
    let budget = amount.and_then(Budget::min_free_inodes);
    budget.map_err(|error| error.to_string())
}

fn max_used(text: &str) -> Result<Budget, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let percent = number.parse().ok().filter(|_| digits);
    let percent = percent.ok_or("use a percentage from 10% to 95%")?;
    Budget::max_used(percent).map_err(|error| error.to_string())
}

fn max_store(text: &str) -> Result<Budget, String> {
    let budget = parse_size(text).and_then(Budget::max_store);
    budget.map_err(|error| error.to_string())
}
