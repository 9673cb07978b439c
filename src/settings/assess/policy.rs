//! What the owner of the machine asks of every job, before and after.

use super::{Ledger, Value};
use crate::domain::measure::Span;
use crate::domain::policy::{MinimumRetention, Policy};
use crate::domain::risk::RiskLevel;
use crate::settings::finding::Pointer;

pub(super) fn compare(old: Policy, new: Policy, ledger: &mut Ledger) {
    let at = Pointer::root().key("policy");
    let Policy {
        keep: MinimumRetention { last, within },
        max_risk,
        undo_window,
    } = old;
    let keep = at.key("keepAtLeast");
    let count = |n: u16| (n > 0).then_some(u64::from(n));
    let words = "how many generations stay of every profile";
    ledger.number(&keep.key("last"), count(last), count(new.keep.last), words);
    let span = |age: Span| (!age.is_zero()).then_some(age);
    let words = "how old a generation of any profile may be";
    ledger.span(
        &keep.key("within"),
        span(within),
        span(new.keep.within),
        words,
    );
    let words = "the shortest undo window";
    ledger.span(
        &at.key("undoWindow"),
        span(undo_window),
        span(new.undo_window),
        words,
    );
    risk(max_risk, new.max_risk, &at.key("maxRisk"), ledger);
}

fn risk(old: Option<RiskLevel>, new: Option<RiskLevel>, at: &Pointer, ledger: &mut Ledger) {
    if old == new {
        return;
    }
    let most = |level: Option<RiskLevel>| level.unwrap_or(RiskLevel::Critical);
    // Without a policy each job's own ceiling holds, so that nothing becomes critical by this alone.
    let risk = match (new, most(new) > most(old)) {
        (Some(level), true) => level,
        (None, true) => RiskLevel::High,
        _ => RiskLevel::Low,
    };
    let said = |level: Option<RiskLevel>| level.map(|level| Value::Text(level.to_string()));
    let words = "the highest risk that any job may have";
    ledger.add(at, said(old), said(new), risk, words);
}
