//! `due`: checks whether a job's budget is exceeded, from the settings and the file system alone.
//!
//! Timers call it often, so it does nothing costly: no Nix command, no database, no survey.

use super::args::{DueArgs, Global};
use super::context::{Context, named_job};
use super::failure::{Exit, Failure};
use super::{doctor, out};
use crate::domain::boot_menu::SeenMenu;
use crate::domain::budget::{Budget, Disk, DiskUsage, Quantity};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::BootMenuOperation;
use crate::domain::measure::Bytes;
use crate::ports::ReadStore;
use crate::render::json::CheckState;
use crate::render::text::escape;

/// Reports by the exit status whether the job is due.
///
/// # Errors
/// Every error, with [`Exit::DueUnknown`]: systemd treats any lower status of an `ExecCondition=` as a no, and
/// unreadable settings would look like a goal that is always reached.
pub(super) fn due(global: Global, args: &DueArgs) -> Result<Exit, Failure> {
    answer(global, args).map_err(|failure| Failure {
        exit: Exit::DueUnknown,
        ..failure
    })
}

fn answer(global: Global, args: &DueArgs) -> Result<Exit, Failure> {
    let context = Context::new(global)?;
    let settings = context.settings()?;
    let job = named_job(&settings, args.job.as_deref())?;
    let job = EffectiveJob::new(job, settings.policy());
    let menu = job.operations.boot_menu.map(|operation| {
        let menu = doctor::boot::read(&context);
        let warning = doctor::boot::check_menu(&menu, context.actor, None);
        let warning = warning.filter(|check| check.state != CheckState::Ok);
        if let Some(warning) = warning {
            out::text(&format!("Warning: {}.", escape(&warning.message)));
        }
        Due::of_menu(operation, &menu)
    });
    if let Some(Some(missed)) = menu {
        return Ok(report(missed));
    }
    let Some(goal) = job.budget else {
        return Ok(report(Due::NoBudget));
    };
    let disk = context.reader(None).fullness()?;
    let answers = goal.budgets().map(|budget| Due::of(budget, disk));
    Ok(report(
        answers.min_by_key(Due::rank).unwrap_or(Due::NoBudget),
    ))
}

/// An answer, with its explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The job has no budget, so it is due.
    NoBudget,
    /// Only the store can show it; `run` reads it.
    NeedsStoreScan(Budget),
    /// This much is missing.
    Missed(Budget, Quantity),
    /// This much is missing on the file system of the boot menu.
    MenuMissed(Bytes),
    /// The goal is reached.
    Reached(Budget),
}

impl Due {
    /// Of several goals the one that is missed decides, then one that cannot be decided.
    fn rank(&self) -> u8 {
        match self {
            Self::NoBudget | Self::Missed(..) | Self::MenuMissed(_) => 0,
            Self::NeedsStoreScan(_) => 1,
            Self::Reached(_) => 2,
        }
    }

    /// Whether the goal of the boot menu is missed. Of a menu that is not understood that is not known, and a run would not help.
    fn of_menu(operation: BootMenuOperation, menu: &SeenMenu) -> Option<Self> {
        let (Some(goal), SeenMenu::Known(menu)) = (operation.min_free, menu) else {
            return None;
        };
        let missing = goal.0.saturating_sub(menu.free.0);
        (missing > 0).then_some(Self::MenuMissed(Bytes(missing)))
    }

    fn of(budget: Budget, disk: Disk) -> Self {
        let disk_usage = DiskUsage {
            disk: Some(disk),
            store_bytes: None,
        };
        match budget.to_free(disk_usage) {
            None => Self::NeedsStoreScan(budget),
            Some(Quantity(0)) => Self::Reached(budget),
            Some(missing) => Self::Missed(budget, missing),
        }
    }
}

fn report(due: Due) -> Exit {
    let (exit, sentence) = match due {
        Due::NoBudget => (Exit::Done, "Due: the job has no budget.".to_string()),
        Due::NeedsStoreScan(goal) => (
            Exit::Done,
            format!("Due: cannot decide {goal} without scanning the store."),
        ),
        Due::Missed(goal, missing) => (
            Exit::Done,
            format!(
                "Due: {} must be freed for {goal}.",
                goal.metric().show(missing)
            ),
        ),
        Due::MenuMissed(missing) => (
            Exit::Done,
            format!("Due: {missing} must be freed on the file system of the boot menu."),
        ),
        Due::Reached(goal) => (
            Exit::NotDue,
            format!("Not due: the goal is reached: {goal}."),
        ),
    };
    out::text(&sentence);
    exit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::parse_size;
    use rstest::rstest;

    const DISK: Disk = Disk {
        inodes: None,
        used: Bytes(700),
        available: Bytes(300),
    };

    #[rstest]
    #[case("30%", None)]
    #[case("31%", Some(10))]
    #[case("300B", None)]
    #[case("301B", Some(1))]
    fn a_goal_is_reached_or_missed(#[case] least: &str, #[case] missing: Option<u64>) {
        let budget = Budget::min_free(least.parse().unwrap()).unwrap();
        let expected = match missing {
            None => Due::Reached(budget),
            Some(bytes) => Due::Missed(budget, Quantity(bytes)),
        };
        assert_eq!(Due::of(budget, DISK), expected);
    }

    #[test]
    fn how_large_a_store_is_is_not_guessed() {
        let budget = Budget::max_store(parse_size("1B").unwrap()).unwrap();
        assert_eq!(Due::of(budget, DISK), Due::NeedsStoreScan(budget));
    }
}
