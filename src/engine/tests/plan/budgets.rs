//! Plans within a budget: just enough of the oldest that no rule keeps, and never anything else.

mod cases;
mod worlds;

use std::collections::BTreeSet;
use std::convert::Infallible;

use nix_prune::domain::budget::{Amount, Budget, DiskGoal, DiskUsage, Quantity, ReleaseHolds};
use nix_prune::domain::graph::NodeSet;
use nix_prune::domain::measure::Bytes;
use nix_prune::domain::plan::RemovalRule;
use nix_prune::domain::receipt::RunKind;
use nix_prune::engine::{BudgetContext, gate};
use proptest::prelude::*;

use super::*;
use crate::support::{actions, plan_of, unrestricted};
use worlds::{Choices, World};

const MODES: [ReleaseHolds; 2] = [ReleaseHolds::Never, ReleaseHolds::IfNeeded];

fn goal(release_holds: ReleaseHolds) -> DiskGoal {
    DiskGoal::new(Budget::MinFree(Amount::Bytes(Bytes(1))), release_holds)
}

impl World {
    /// The plan that has to free so much, by the store's own sizes.
    fn within(&self, job: &Job, to_free: u64, release_holds: ReleaseHolds) -> Plan {
        let context = BudgetContext {
            inspection: &self.inspection,
            disk_usage: DiskUsage::default(),
            to_free: Quantity(to_free),
            recent: self.recent,
            contradiction: None,
        };
        let weigh = |dead: &NodeSet| -> Result<Quantity, Infallible> {
            Ok(Quantity(self.inspection.graph().nar_size(dead).0))
        };
        Plan::build_for_budget(
            &self.snapshot,
            &unrestricted(job),
            goal(release_holds),
            context,
            weigh,
        )
        .unwrap()
    }
}

/// The links that actions take away, each with whether it is for good.
fn taken(plan: &Plan) -> BTreeSet<(String, bool)> {
    let link = |planned: &nix_prune::domain::plan::PlannedAction| match &planned.action {
        Action::RemoveGeneration(facts) => Some((
            facts.profile.link(facts.number).into_string(),
            facts.hold.is_zero(),
        )),
        Action::ReleaseHold(facts) => Some((facts.link.to_string(), true)),
        Action::ReleaseEarly(facts) => Some((facts.hold.link.to_string(), true)),
        _ => None,
    };
    actions(plan).iter().filter_map(link).collect()
}

fn links(taken: &BTreeSet<(String, bool)>) -> BTreeSet<&str> {
    taken.iter().map(|(link, _)| link.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Nothing goes for a budget that would not go without one, but open holds where that is allowed; and nothing that
    /// the gate would refuse.
    #[test]
    fn a_budget_takes_a_part_of_what_the_rules_let_go(choices: Choices, to_free in 0u64..6_000) {
        let world = World::of(&choices);
        let job = world.job();
        let without = taken(&plan_of(&world.snapshot, &job));
        let open: Vec<String> = world.open_holds().map(|hold| hold.link.to_string()).collect();
        for mode in MODES {
            let plan = world.within(&job, to_free, mode);
            let within = taken(&plan);
            for (link, for_good) in &within {
                let as_without = without.contains(&(link.clone(), *for_good));
                let sooner = without.contains(&(link.clone(), false)) || open.contains(link);
                prop_assert!(as_without || (mode == ReleaseHolds::IfNeeded && sooner), "{link}");
            }
            prop_assert!(gate(&plan, RunKind::Run).is_ok());
            // Of what goes for good, the holds that have ended are no loss.
            let ended = plan.removals().filter(|it| it.rule == RemovalRule::WindowEnded).count();
            let for_good = within.iter().filter(|(_, for_good)| *for_good).count();
            prop_assert_eq!(plan.removed_for_good(), for_good - ended);
            for item in &plan.items {
                prop_assert_eq!(is_dropped(item), goes(item, &within));
            }
        }
    }

    /// It ends at the first of the ordered links after which enough is dead, and leaves out those that free nothing.
    #[test]
    fn a_budget_ends_where_it_is_enough(choices: Choices, to_free in 1u64..6_000) {
        let world = World::of(&choices);
        let job = world.job();
        for mode in MODES {
            let plan = world.within(&job, to_free, mode);
            let (expected, frees) = world.by_trying(&job, to_free, mode);
            prop_assert_eq!(taken(&plan), expected, "{:?}", mode);
            let report = plan.budget.unwrap();
            prop_assert_eq!(report.missing, Quantity(to_free.saturating_sub(frees)), "{:?}", mode);
            if report.missing > Quantity(0) {
                prop_assert_eq!(report.frees, Quantity(frees));
            }
        }
    }

    #[test]
    fn a_larger_goal_never_removes_less(choices: Choices, one in 0u64..6_000, other in 0u64..6_000) {
        let world = World::of(&choices);
        let job = world.job();
        for mode in MODES {
            let small = taken(&world.within(&job, one.min(other), mode));
            let large = taken(&world.within(&job, one.max(other), mode));
            prop_assert!(links(&small).is_subset(&links(&large)), "{small:?} {large:?}");
            let for_good = |all: &BTreeSet<(String, bool)>| -> BTreeSet<String> {
                all.iter().filter(|(_, good)| *good).map(|(link, _)| link.clone()).collect()
            };
            prop_assert!(for_good(&small).is_subset(&for_good(&large)));
        }
    }

    #[test]
    fn a_reached_goal_gives_no_actions(choices: Choices) {
        let world = World::of(&choices);
        let job = world.job();
        for mode in MODES {
            let plan = world.within(&job, 0, mode);
            prop_assert!(plan.is_empty());
            prop_assert!(!plan.items.iter().any(is_dropped));
            prop_assert!(plan.budget.is_some_and(|report| report.is_reached()));
        }
    }

    #[test]
    fn the_order_of_what_was_seen_is_irrelevant(choices: Choices, to_free in 1u64..6_000) {
        let world = World::of(&choices);
        let mut turned = World::of(&choices);
        turned.snapshot.profiles.reverse();
        turned.snapshot.holds.reverse();
        turned.snapshot.roots.reverse();
        let turned = turned.with_roots_reversed(&choices);
        let job = world.job();
        for mode in MODES {
            let (one, other) = (world.within(&job, to_free, mode), turned.within(&job, to_free, mode));
            prop_assert_eq!(actions(&one), actions(&other));
            prop_assert_eq!(one.budget, other.budget);
        }
    }
}

fn is_dropped(item: &nix_prune::domain::plan::Item) -> bool {
    item.removal().is_some()
}

/// Whether an action takes an item away.
fn goes(item: &nix_prune::domain::plan::Item, taken: &BTreeSet<(String, bool)>) -> bool {
    let links = links(taken);
    match &item.subject {
        Subject::Generation {
            profile, number, ..
        } => links.contains(profile.link(*number).as_str()),
        Subject::Hold { link, .. } | Subject::RootLink { link, .. } => {
            links.contains(link.as_str())
        }
        Subject::Root { .. } | Subject::Leftovers { .. } => false,
    }
}
