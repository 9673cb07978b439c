//! Metrics that need a reading of the store.

use std::collections::BTreeMap;

use prometheus_client::registry::Unit;
use serde::Serialize;

use super::{Machine, Metrics, amount, count, float};
use crate::domain::analysis::StoreAnalysis;
use crate::domain::plan::Subject;
use crate::domain::root::RootKind;
use crate::domain::snapshot::Snapshot;

/// What is in the store.
pub(super) fn of_store(snapshot: &Snapshot, store: &StoreAnalysis, page: &mut Metrics) {
    let all = store.graph().weight(&store.everything());
    let dead = store.graph().weight(&store.dead());
    let one = |value: f64| [(Vec::new(), value)];
    page.gauge(
        "store_paths",
        "Valid store paths",
        None,
        one(amount(all.paths)),
    );
    page.gauge(
        "store_nar",
        "NAR size of all valid store paths",
        Some(Unit::Bytes),
        one(float(all.nar_bytes)),
    );
    page.gauge(
        "dead_paths",
        "Dead store paths",
        None,
        one(amount(dead.paths)),
    );
    page.gauge(
        "dead_nar",
        "NAR size of the dead store paths",
        Some(Unit::Bytes),
        one(float(dead.nar_bytes)),
    );
    let kinds = RootKind::ALL.into_iter().map(|kind| {
        let roots = snapshot.roots.iter().filter(|root| root.kind == kind);
        (
            vec![("kind", kind.as_str().to_string())],
            count(roots.count()),
        )
    });
    page.gauge(
        "roots",
        "Garbage collector roots that are links",
        None,
        kinds.filter(|(_, roots)| *roots > 0.0),
    );
}

/// What the jobs would do with the generations that are there now.
pub(super) fn generations(machine: &Machine<'_>, page: &mut Metrics) {
    let mut rows: BTreeMap<(String, &str, String), usize> = BTreeMap::new();
    for (it, plan) in machine.jobs.iter().filter_map(|it| Some((it, it.plan?))) {
        let name = it.job.name.to_string();
        let generation = |subject: &Subject| matches!(subject, Subject::Generation { .. });
        for item in plan.items.iter().filter(|item| generation(&item.subject)) {
            let removed = item
                .removal()
                .map(|removal| ("remove", code_of(&removal.rule)));
            let kept = item
                .decision
                .reasons()
                .map(|reason| ("keep", code_of(reason)));
            for (decision, code) in kept.chain(removed) {
                *rows.entry((name.clone(), decision, code)).or_default() += 1;
            }
        }
    }
    let rows = rows.into_iter().map(|((job, decision, reason), number)| {
        let labels = vec![
            ("job_name", job),
            ("decision", decision.to_string()),
            ("reason", reason),
        ];
        (labels, count(number))
    });
    page.gauge(
        "generations",
        "Generations by what a run of the job would do, and why; one that several rules keep counts for each",
        None,
        rows,
    );
}

/// The code of a reason or rule, as `plan --json` has it.
fn code_of(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let code = value.get("code").unwrap_or(&value);
    code.as_str().unwrap_or_default().to_string()
}
