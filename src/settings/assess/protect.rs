//! What is protected, before and after.

use std::collections::BTreeMap;

use super::{Ledger, Value};
use crate::domain::job::{ProfileRef, Protect, ProtectedGeneration};
use crate::domain::risk::RiskLevel;
use crate::settings::Settings;
use crate::settings::finding::Pointer;
use crate::settings::platform::Platform;

pub(super) fn compare(
    old: Option<&Settings>,
    new: &Settings,
    platform: Platform,
    ledger: &mut Ledger,
) {
    let at = Pointer::root().key("protect");
    let critical: Vec<&str> = platform.critical_paths().collect();
    let before = old.map_or_else(
        || indexed(critical.iter()),
        |old| indexed(&old.protected_paths),
    );
    let after = indexed(&new.protected_paths);
    let risk = |path: &str| {
        if critical.contains(&path) {
            RiskLevel::Critical
        } else {
            RiskLevel::High
        }
    };
    let words = [
        "the path is protected",
        "the path is not protected any more",
    ];
    lists(&before, &after, &at.key("paths"), risk, words, ledger);

    let nothing = Protect::default();
    let (before, after) = (old.map_or(&nothing, |old| &old.protect), &new.protect);
    let words = [
        "roots that match are never removed",
        "roots that match are not protected any more",
    ];
    lists(
        &indexed(before.roots.texts()),
        &indexed(after.roots.texts()),
        &at.key("roots"),
        |_| RiskLevel::High,
        words,
        ledger,
    );
    let words = [
        "the generation is never dropped",
        "the generation is not protected any more",
    ];
    lists(
        &indexed(before.generations.iter().map(pin)),
        &indexed(after.generations.iter().map(pin)),
        &at.key("generations"),
        |_| RiskLevel::High,
        words,
        ledger,
    );
    reasons(before, after, &at.key("generations"), ledger);
}

/// What is listed, with its place in the list; what is listed twice is there once.
fn indexed<T: ToString>(items: impl IntoIterator<Item = T>) -> BTreeMap<String, usize> {
    let numbered = items.into_iter().enumerate();
    numbered.map(|(i, item)| (item.to_string(), i)).collect()
}

fn lists(
    before: &BTreeMap<String, usize>,
    after: &BTreeMap<String, usize>,
    at: &Pointer,
    risk_of_removal: impl Fn(&str) -> RiskLevel,
    [added, removed]: [&str; 2],
    ledger: &mut Ledger,
) {
    for (item, &index) in before {
        if !after.contains_key(item) {
            let at = at.index(index);
            let risk = risk_of_removal(item);
            ledger.removed(&at, Value::Text(item.clone()), risk, removed);
        }
    }
    for (item, &index) in after {
        if !before.contains_key(item) {
            let at = at.index(index);
            ledger.added(&at, Value::Text(item.clone()), RiskLevel::Low, added);
        }
    }
}

/// Why a generation is protected is only said.
fn reasons(before: &Protect, after: &Protect, at: &Pointer, ledger: &mut Ledger) {
    for (index, new) in after.generations.iter().enumerate() {
        let same = |old: &&ProtectedGeneration| pin(old) == pin(new);
        let Some(old) = before.generations.iter().find(same) else {
            continue;
        };
        if old.reason != new.reason {
            let said = |reason: &Option<String>| reason.clone().map(Value::Text);
            let at = at.index(index).key("reason");
            let (old, new) = (said(&old.reason), said(&new.reason));
            ledger.add(&at, old, new, RiskLevel::Low, "only the words change");
        }
    }
}

fn pin(pin: &ProtectedGeneration) -> String {
    match &pin.profile {
        ProfileRef::Path(path) => format!("{path}:{}", pin.number),
        ProfileRef::Name(name) => format!("{name}:{}", pin.number),
    }
}
