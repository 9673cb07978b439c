//! Command line arguments of a disk budget.

use clap::{ArgGroup, Args};

use crate::domain::budget::{Amount, Budget, BudgetError, ReleaseHolds, parse_size};
use crate::domain::measure::Bytes;

/// Disk budget. A goal given here replaces the job's.
#[derive(Debug, Clone, Args, Default)]
#[command(group = ArgGroup::new("goal").multiple(false))]
pub struct BudgetArgs {
    /// Remove only as much as needed to have this much free, such as 50G or 20%
    #[arg(long, value_name = "SIZE|PERCENT", group = "goal", value_parser = until_free)]
    pub until_free: Option<Budget>,
    /// Remove only as much as needed to have at most this percentage of the file system used
    #[arg(long, value_name = "PERCENT", group = "goal", value_parser = max_used)]
    pub max_used: Option<Budget>,
    /// Remove only as much as needed to shrink the store to this NAR size, such as 200G
    #[arg(long, value_name = "SIZE", group = "goal", value_parser = max_store)]
    pub max_store: Option<Budget>,
    /// When to release holds early to reach the goal: never or ifNeeded
    #[arg(long, value_name = "WHEN")]
    pub release_holds: Option<ReleaseHolds>,
}

impl BudgetArgs {
    /// The goal, if one is given.
    pub(in crate::cli) fn goal(&self) -> Option<Budget> {
        self.until_free.or(self.max_used).or(self.max_store)
    }
}

/// A size or a percentage above 0.
pub(super) fn amount(text: &str) -> Result<Amount, String> {
    let amount: Amount = text
        .parse()
        .map_err(|error: BudgetError| error.to_string())?;
    match amount {
        Amount::Bytes(Bytes(0)) => Err("use a size above 0".to_string()),
        amount => Ok(amount),
    }
}

fn until_free(text: &str) -> Result<Budget, String> {
    let amount: Result<Amount, _> = text.parse();
    let budget = amount.and_then(Budget::min_free);
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
