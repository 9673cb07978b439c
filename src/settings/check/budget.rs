//! The disk goal of a job.

use super::{Code, Findings, Pointer, Refused};
use crate::domain::budget::{Amount, Budget, BudgetError, DiskGoal, ReleaseHolds, parse_size};
use crate::settings::raw::{self, Object, Whole};

/// Checks a budget: one goal, and what it may cost.
pub(super) fn budget(
    raw: &raw::Job,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Option<DiskGoal>, Refused> {
    let Some(Object(raw)) = &raw.budget else {
        return Ok(None);
    };
    let goals = goals(raw, at, findings);
    let release_holds = release_holds(raw, &at.key("releaseHolds"), findings);
    let budget = one(goals, at, findings)?;
    Ok(Some(DiskGoal {
        budget,
        release_holds: release_holds?,
    }))
}

/// Every goal that is written, each looked at by itself.
fn goals(raw: &raw::Budget, at: &Pointer, findings: &mut Findings) -> Vec<Result<Budget, Refused>> {
    let min_free = raw.min_free.as_ref().map(|text| {
        let budget = text.parse::<Amount>().and_then(Budget::min_free);
        let hint = "write a size such as `50G`, or 5 to 90 percent such as `20%`";
        refuse(budget, Code::MinFree, &at.key("minFree"), hint, findings)
    });
    let max_used = raw.max_used.map(|Whole(percent)| {
        u64::try_from(percent)
            .ok()
            .and_then(|percent| Budget::max_used(percent).ok())
            .ok_or_else(|| {
                findings.error(
                    Code::MaxUsedRange,
                    &at.key("maxUsed"),
                    &format!("{percent} is not a percentage that can be aimed at"),
                    "write a number from 10 to 95",
                )
            })
    });
    let max_store = raw.max_store.as_ref().map(|text| {
        let budget = parse_size(text).and_then(Budget::max_store);
        let hint = "write a size such as `200G` or `1.5T`";
        refuse(budget, Code::MaxStore, &at.key("maxStore"), hint, findings)
    });
    [min_free, max_used, max_store]
        .into_iter()
        .flatten()
        .collect()
}

fn refuse(
    budget: Result<Budget, BudgetError>,
    code: Code,
    at: &Pointer,
    hint: &str,
    findings: &mut Findings,
) -> Result<Budget, Refused> {
    // The first half of the error says what is wrong; what to write instead is the hint's.
    budget.map_err(|error| {
        let message = error.to_string();
        let wrong = message.split(';').next().unwrap_or_default();
        findings.error(code, at, wrong, hint)
    })
}

fn one(
    mut goals: Vec<Result<Budget, Refused>>,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Budget, Refused> {
    let hint = "write one of minFree, maxUsed and maxStore";
    match (goals.pop(), goals.len()) {
        (Some(only), 0) => only,
        (None, _) => Err(findings.error(Code::BudgetGoals, at, "the budget has no goal", hint)),
        (Some(_), more) => {
            let message = format!("the budget has {} goals, and they may contradict", more + 1);
            Err(findings.error(Code::BudgetGoals, at, &message, hint))
        }
    }
}

fn release_holds(
    raw: &raw::Budget,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<ReleaseHolds, Refused> {
    let Some(text) = &raw.release_holds else {
        return Ok(ReleaseHolds::Never);
    };
    text.parse().map_err(|_| {
        let message = format!("`{text}` does not say when holds are released");
        let hint = "write `never` or `ifNeeded`";
        findings.error(Code::ReleaseHolds, at, &message, hint)
    })
}
