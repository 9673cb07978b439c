//! Jobs: their names, what they may risk, whether they do anything.

use super::budget::budget;
use super::operations::operations;
use super::{Code, Findings, Pointer, Refused, each};
use crate::domain::budget::DiskGoal;
use crate::domain::job::{JobName, Operations};
use crate::domain::risk::RiskLevel;
use crate::settings::raw::{self, Object};

/// The most jobs that are not worth a remark.
const MANY: usize = 10;

/// A job without what is common to all of them.
pub(super) struct Draft {
    pub(super) name: JobName,
    pub(super) description: Option<String>,
    pub(super) enabled: bool,
    pub(super) max_risk: RiskLevel,
    pub(super) budget: Option<DiskGoal>,
    pub(super) operations: Operations,
}

pub(super) fn drafts(
    raw: &raw::Settings,
    safe_mode: bool,
    findings: &mut Findings,
) -> Result<Vec<Draft>, Refused> {
    let at = Pointer::root().key("jobs");
    let jobs = raw.jobs.iter().flatten();
    let count = jobs.clone().count();
    if count == 0 {
        let hint = "write one, or remove the file to have the built-in job";
        return Err(findings.error(Code::JobsNone, &at, "there is no job", hint));
    }
    if count > MANY {
        let message = format!("there are {count} jobs, and more than {MANY} are hard to survey");
        findings.warn(Code::JobsMany, &at, &message, "put some of them together");
    }
    each(jobs, |(name, Object(job))| {
        draft(name, job, safe_mode, &at.key(name), findings)
    })
}

fn draft(
    name: &str,
    raw: &raw::Job,
    safe_mode: bool,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Draft, Refused> {
    let name = JobName::try_from(name.to_string()).map_err(|_| {
        findings.error(
            Code::JobName,
            at,
            &format!("`{name}` cannot name a job"),
            "write 1 to 50 letters, digits, `_` and `-`, beginning with a letter or digit",
        )
    });
    let max_risk = max_risk(raw, safe_mode, &at.key("maxRisk"), findings);
    let budget = budget(raw, &at.key("budget"), findings);
    let enabled = raw.enabled.unwrap_or(true);
    let none = raw::Operations::default();
    let wanted = raw.operations.as_ref().map_or(&none, |Object(o)| o);
    let at = at.key("operations");
    let operations = operations(wanted, &at, findings);
    // What is refused already is not missed as well.
    if enabled && matches!(&operations, Ok(o) if o.is_empty()) && !waits_for_us(wanted) {
        let hint = "write one of generations, roots, collect, optimise or verify, or write `\"enabled\": false` for the job";
        findings.error(
            Code::JobWithoutOperation,
            &at,
            "the job is enabled and does nothing",
            hint,
        );
    }
    Ok(Draft {
        name: name?,
        description: raw.description.clone(),
        enabled,
        max_risk: max_risk?,
        budget: budget?,
        operations: operations?,
    })
}

/// Whether there is an operation that this release refuses.
fn waits_for_us(raw: &raw::Operations) -> bool {
    let rules = raw.roots.as_ref().and_then(|Object(r)| r.rules.as_ref());
    raw.leftovers.is_some() || rules.is_some_and(|rules| !rules.is_empty())
}

fn max_risk(
    raw: &raw::Job,
    safe_mode: bool,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<RiskLevel, Refused> {
    let Some(text) = &raw.max_risk else {
        return Ok(RiskLevel::High);
    };
    let level = text.parse().map_err(|_| {
        findings.error(
            Code::RiskUnknown,
            at,
            &format!("`{text}` is not a risk level"),
            "write low, medium, high or critical",
        )
    })?;
    match (level, safe_mode) {
        (RiskLevel::Critical, true) => Err(findings.error(
            Code::RiskAgainstSafeMode,
            at,
            "the job may do what is critical, and the safe mode refuses that",
            "write high; or write `\"safeMode\": false`, if nothing needs to bring this machine back",
        )),
        (RiskLevel::Critical, false) => {
            findings.warn(
                Code::RiskCritical,
                at,
                "DANGER: with the safe mode off, this job may leave the machine no generation to go back to, \
                 without asking and for good",
                "write high",
            );
            Ok(level)
        }
        _ => Ok(level),
    }
}
