//! The job that removes everything that may be removed: what it leaves is kept whatever a person wants.

use crate::domain::blocker::CheckCode;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::{GenerationsOperation, Job, JobName, ProfileSelector, RootsOperation};
use crate::domain::leftover::LeftoversOperation;
use crate::domain::measure::Span;
use crate::domain::retention::{KeepPolicy, KeepRules};
use crate::domain::root_rules::{RootRule, RuleVerdict};

/// The checks of how much a run removes. What may be removed is found without them: a plan leaves more than the limits allow of the
/// generations of other users for later runs, and those could not be marked.
const LIMITS: [CheckCode; 3] = [
    CheckCode::LimitGenerations,
    CheckCode::AnomalyGenerations,
    CheckCode::AnomalyShare,
];

/// What is made younger than this keeps a profile of a removed user: nobody is sure about an account that is gone since a moment.
const REMOVED_USERS: Span = Span::days(1);

/// Makes a job remove everything. What is always kept, pins, the policy's minimum, protected roots and paths, and rules that keep
/// roots stay as they are.
pub(super) fn select(job: &mut Job) {
    job.name = JobName::by_hand();
    job.budget = None;
    let operations = &mut job.operations;
    let named = operations.generations.take();
    let named = named.map_or(Vec::new(), |operation| operation.profiles);
    let words = ProfileSelector::WORDS.into_iter();
    let all = words.filter_map(ProfileSelector::parse);
    let last = KeepRules {
        last: Some(1),
        ..KeepRules::default()
    };
    operations.generations = KeepPolicy::new(last).ok().map(|keep| GenerationsOperation {
        profiles: all.chain(named).collect(),
        users: Vec::new(),
        keep,
    });
    let rules = operations.roots.take().map_or(Vec::new(), |it| it.rules);
    let keeping = rules
        .into_iter()
        .filter(|rule| rule.verdict == RuleVerdict::Keep);
    operations.roots = Some(RootsOperation {
        dangling: true,
        rules: keeping.chain([RootRule::default()]).collect(),
        removed_users: Some(REMOVED_USERS),
    });
    operations.leftovers = LeftoversOperation::any_age();
    operations.collect.get_or_insert_default();
    // Only what is marked is removed; the menu follows.
    if let Some(menu) = &mut operations.boot_menu {
        menu.min_free = None;
    }
    operations.maintenance.clear();
}

/// The same job without the checks of how much a run removes.
pub(super) fn unlimited(job: &EffectiveJob) -> EffectiveJob {
    job.clone().accepting(LIMITS)
}
