//! What a job would do: plans made from snapshots, and the recheck before an action.

// Clippy's leave for tests does not reach the functions beside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod accepting;
mod budgets;
mod drawing;
mod known_good;
mod leftovers;
mod noted;
mod protecting;
mod rechecking;
mod removed_users;
mod root_links;
mod roots;
mod selecting;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::domain::job::{
    CollectOperation, GenerationsOperation, Job, JobName, Operations, ProfileSelector,
    RootsOperation,
};
use nix_prune::domain::leftover::LeftoverClass;
use nix_prune::domain::measure::Span;
use nix_prune::domain::plan::{Action, OptimiseFacts, Plan, Subject};
use nix_prune::domain::profile::{
    Content, Current, Generation, GenerationNumber, Profile, ProfileKind,
};
use nix_prune::domain::receipt::RunId;
use nix_prune::domain::retention::{KeepPolicy, KeepRules, Reason};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::root::{Dangling, GcRoot, RootKind, RootState};
use nix_prune::domain::snapshot::{Actor, Held, Hold, Snapshot};
use nix_prune::domain::store_path::{StoreDir, StorePath};
use std::sync::Arc;

use super::snapshots::{
    ALICE, AUTO, NOW, SYSTEM, alice, gone, held, owner, path_of, profile, profile_path, root,
    snapshot, system, time,
};

fn hold(n: u32, until: &str) -> Hold {
    Hold {
        run: RunId::at(time("2026-11-01T00:00:00Z"), n),
        link: Utf8PathBuf::from(format!("/var/lib/nix-prune/holds/{n}")),
        store_path: path_of("held", n),
        held: held(SYSTEM, n),
        until: time(until),
        intact: true,
    }
}

/// A job with every operation, which keeps the last two generations of the usual profiles.
fn job() -> Job {
    let keep = KeepRules {
        last: Some(2),
        ..KeepRules::default()
    };
    Job {
        name: JobName::try_from("daily".to_string()).unwrap(),
        max_risk: RiskLevel::High,
        safe_mode: true,
        undo_window: Span::days(7),
        protect: Arc::default(),
        budget: None,
        limits: nix_prune::domain::limits::Limits::default(),
        accept: std::collections::BTreeSet::new(),
        accepted: std::sync::Arc::default(),
        operations: Operations {
            generations: Some(GenerationsOperation {
                profiles: vec![
                    ProfileSelector::System,
                    ProfileSelector::Users,
                    ProfileSelector::HomeManager,
                ],
                users: Vec::new(),
                keep: KeepPolicy::new(keep).unwrap(),
            }),
            roots: Some(RootsOperation {
                dangling: true,
                rules: Vec::new(),
                removed_users: None,
            }),
            leftovers: LeftoverClass::ALL
                .map(|class| (class, Span::days(30)))
                .into_iter()
                .collect(),
            collect: Some(CollectOperation::default()),
            boot_menu: None,
            maintenance: vec![
                Action::Optimise(OptimiseFacts::default()),
                Action::Verify { contents: true },
            ],
        },
    }
}

/// The actions in a few words.
fn steps(plan: &Plan) -> Vec<String> {
    plan.actions().map(|a| step(&a.action)).collect()
}

fn step(action: &Action) -> String {
    match action {
        Action::RemoveGeneration(facts) => {
            format!("drop {}:{}", facts.profile.name(), facts.number)
        }
        Action::HoldRoot(facts) => format!("hold {}", facts.link),
        Action::RemoveRoot(facts) => format!("remove {}", facts.entry.file_name().unwrap()),
        Action::RemoveLeftovers(facts) => format!("clear {}", facts.dir.file_name().unwrap()),
        Action::ReleaseHold(facts) => format!("release {}", number(&facts.held)),
        Action::ReleaseEarly(facts) => format!("release early {}", number(&facts.hold.held)),
        Action::Collect(_) => "collect".to_string(),
        Action::Optimise(_) => "optimise".to_string(),
        Action::Verify { contents } => format!("verify {contents}"),
        other => format!("{other:?}"),
    }
}

fn number(held: &Held) -> String {
    match held {
        Held::Generation { number, .. } => number.to_string(),
        Held::Root { root } => root.to_string(),
    }
}

/// The reasons to keep a generation; none when it is removed.
fn reasons(plan: &Plan, path: &str, n: u32) -> Vec<Reason> {
    let of_it = plan.items.iter().find(|item| {
        matches!(&item.subject, Subject::Generation { profile, number, .. }
            if *profile == profile_path(path) && number.0 == n)
    });
    of_it.unwrap().decision.reasons().cloned().collect()
}
