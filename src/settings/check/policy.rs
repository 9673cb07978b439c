//! What the owner of the machine asks of every job.

use super::{Code, Findings, Pointer, Refused};
use crate::domain::measure::Span;
use crate::domain::policy::{MinimumRetention, Policy};
use crate::domain::retention::MOST_KEPT;
use crate::domain::risk::RiskLevel;
use crate::settings::raw::{self, Object, Whole};

pub(super) fn policy(raw: &raw::Settings, findings: &mut Findings) -> Result<Policy, Refused> {
    let Some(Object(raw)) = &raw.policy else {
        return Ok(Policy::default());
    };
    let at = Pointer::root().key("policy");
    let keep = match &raw.keep_at_least {
        Some(Object(keep)) => floor(keep, &at.key("keepAtLeast"), findings),
        None => Ok(MinimumRetention::default()),
    };
    let max_risk = raw.max_risk.as_ref().map(|text| {
        text.parse::<RiskLevel>().map_err(|_| {
            findings.error(
                Code::RiskUnknown,
                &at.key("maxRisk"),
                &format!("`{text}` is not a risk level"),
                "write low, medium, high or critical",
            )
        })
    });
    let undo_window = raw.undo_window.as_ref();
    let undo_window = undo_window.map(|text| findings.age(&at.key("undoWindow"), text));
    Ok(Policy {
        keep: keep?,
        max_risk: max_risk.transpose()?,
        undo_window: undo_window.transpose()?.unwrap_or(Span::ZERO),
    })
}

fn floor(
    raw: &raw::Floor,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<MinimumRetention, Refused> {
    let last = raw.last.map(|Whole(value)| {
        let count = u16::try_from(value).ok().filter(|&n| n <= MOST_KEPT);
        count.ok_or_else(|| {
            let message = format!("{value} generations cannot be kept");
            let hint = format!("write a number from 0 to {MOST_KEPT}");
            findings.error(Code::KeepRange, &at.key("last"), &message, &hint)
        })
    });
    let within = raw.within.as_ref();
    let within = within.map(|text| findings.age(&at.key("within"), text));
    Ok(MinimumRetention {
        last: last.transpose()?.unwrap_or(0),
        within: within.transpose()?.unwrap_or(Span::ZERO),
    })
}
