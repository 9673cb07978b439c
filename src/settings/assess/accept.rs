//! Which safety checks are accepted, before and after.

use super::{Ledger, Value};
use crate::domain::accept::Acceptance;
use crate::domain::risk::RiskLevel;
use crate::settings::finding::Pointer;

pub(super) fn compare(old: &[Acceptance], new: &[Acceptance], ledger: &mut Ledger) {
    let at = Pointer::root().key("accept");
    let value = |entry: &Acceptance| Value::Text(format!("{} at {}", entry.code, entry.place));
    let earlier = |index: usize, list: &[Acceptance], entry: &Acceptance| {
        let mut before = list.iter().take(index);
        before.any(|other| other.is_for_the_same(entry))
    };
    for (index, entry) in old.iter().enumerate() {
        let stays = new.iter().any(|other| other.is_for_the_same(entry));
        if !stays && !earlier(index, old, entry) {
            let words = "the safety check stops a run there again";
            ledger.removed(&at.index(index), value(entry), RiskLevel::Low, words);
        }
    }
    for (index, entry) in new.iter().enumerate() {
        if earlier(index, new, entry) {
            continue;
        }
        let at = at.index(index);
        match old.iter().find(|other| other.is_for_the_same(entry)) {
            Some(before) if before.reason != entry.reason => {
                let said = |entry: &Acceptance| Value::Text(entry.reason.clone());
                let words = "only the words change";
                ledger.changed(
                    &at.key("reason"),
                    said(before),
                    said(entry),
                    RiskLevel::Low,
                    words,
                );
            }
            Some(_) => {}
            None if entry.code.stops_collection() => {
                let words = "collections delete what only the roots there keep";
                ledger.added(&at, value(entry), RiskLevel::High, words);
            }
            None => {
                let words = "a run that leaves the profile alone counts as done";
                ledger.added(&at, value(entry), RiskLevel::Low, words);
            }
        }
    }
}
