//! Open holds that a budget may release, and those that a pin or the settings protect.

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::job::{PathPatterns, ProfileRef, ProtectedGeneration};
use nix_prune::domain::snapshot::Pin;
use rstest::rstest;

use super::*;
use crate::operations::holds::early_release;
use crate::support::unrestricted;

/// A machine, a job, and a hold of generation 1 of the system.
struct Case {
    snapshot: Snapshot,
    job: Job,
    hold: Hold,
}

fn case(change: fn(&mut Case)) -> Case {
    let mut case = Case {
        snapshot: snapshot(vec![system(), alice()]),
        job: job(),
        hold: hold(1, "2026-11-29T12:00:00Z"),
    };
    change(&mut case);
    case
}

impl Case {
    fn pin(&mut self, path: &str, n: u32, until: Option<&str>) {
        self.snapshot.pins.push(Pin {
            profile: profile_path(path),
            number: GenerationNumber(n),
            reason: None,
            until: until.map(time),
        });
    }

    fn protect(&mut self, name: &str, n: u32) {
        let generation = ProtectedGeneration {
            profile: ProfileRef::parse(name).unwrap(),
            number: GenerationNumber(n),
            reason: None,
        };
        let protect = Arc::make_mut(&mut self.job.protect);
        protect.generations.push(generation);
    }

    fn protect_roots(&mut self, pattern: &str) {
        let protect = Arc::make_mut(&mut self.job.protect);
        protect.roots = PathPatterns::new([pattern]).unwrap();
    }

    fn fails(&mut self, code: CheckCode) {
        let check = Blocker::new(code, String::new(), String::new());
        self.snapshot.blockers.push(check);
    }

    fn block(&mut self, nth: usize) {
        self.snapshot.profiles[nth].blocked = Some("others may write there".to_string());
    }

    fn of_root(&mut self, root: &str) {
        self.hold.held = Held::Root { root: root.into() };
    }
}

#[rstest]
#[case::nothing(|_: &mut Case| {}, false)]
#[case::pinned(|it: &mut Case| it.pin(SYSTEM, 1, None), true)]
#[case::pinned_for_longer(|it: &mut Case| it.pin(SYSTEM, 1, Some("2026-11-22T12:00:01Z")), true)]
#[case::pinned_until_now(|it: &mut Case| it.pin(SYSTEM, 1, Some(NOW)), false)]
#[case::another_is_pinned(|it: &mut Case| it.pin(SYSTEM, 2, None), false)]
#[case::of_another_profile(|it: &mut Case| it.pin(ALICE, 1, None), false)]
#[case::protected(|it: &mut Case| it.protect("system", 1), true)]
#[case::another_is_protected(|it: &mut Case| it.protect("system", 2), false)]
#[case::of_another_profile_too(|it: &mut Case| it.protect("alice/profile", 1), false)]
#[case::pins_are_unknown(|it: &mut Case| { it.fails(CheckCode::PinsUnreadable); it.block(0); }, true)]
#[case::of_another_profile_alone(|it: &mut Case| { it.fails(CheckCode::PinsUnreadable); it.block(1); }, false)]
#[case::and_of_none(|it: &mut Case| it.fails(CheckCode::PinsUnreadable), false)]
#[case::or_the_profile_is_gone(|it: &mut Case| { it.fails(CheckCode::PinsUnreadable); it.snapshot.profiles.clear(); }, true)]
#[case::another_check(|it: &mut Case| { it.fails(CheckCode::RootsAway); it.block(0); }, false)]
#[case::its_link_is_protected(|it: &mut Case| it.protect_roots("/var/lib/**"), true)]
#[case::another_link_is(|it: &mut Case| it.protect_roots("/home/**"), false)]
#[case::its_root_is_protected(|it: &mut Case| { it.protect_roots("/home/**"); it.of_root("/home/a/result"); }, true)]
#[case::another_root_is(|it: &mut Case| { it.protect_roots("/home/**"); it.of_root("/srv/result"); }, false)]
fn what_is_protected_is_not_released_early(#[case] change: fn(&mut Case), #[case] protected: bool) {
    let Case {
        mut snapshot,
        job,
        hold,
    } = case(change);
    let job = unrestricted(&job);
    let early = early_release(&hold, &snapshot, &job);
    assert_eq!(early.is_none(), protected);
    // What is protected since the plan is not released either.
    snapshot.holds.push(hold.clone());
    let facts = nix_prune::domain::plan::EarlyFacts {
        hold: nix_prune::domain::plan::HoldFacts::from(&hold),
        system: true,
    };
    let rechecked = Action::ReleaseEarly(facts)
        .operation()
        .recheck(&snapshot, Some(&job));
    assert_eq!(rechecked.is_err(), protected, "{rechecked:?}");
}

#[rstest]
#[case::of_a_system(|_: &mut Case| {}, true)]
#[case::of_a_user(|it: &mut Case| it.hold.held = held(ALICE, 1), false)]
#[case::of_what_may_have_been_one(|it: &mut Case| it.snapshot.profiles.clear(), true)]
#[case::where_systems_are(|it: &mut Case| it.of_root("/nix/var/nix/profiles/work"), true)]
#[case::of_a_link(|it: &mut Case| it.of_root("/home/a/result"), false)]
fn the_end_of_a_hold_of_a_system_narrows_the_way_back(
    #[case] change: fn(&mut Case),
    #[case] is: bool,
) {
    let Case {
        snapshot,
        job,
        hold,
    } = case(change);
    let early = early_release(&hold, &snapshot, &unrestricted(&job)).unwrap();
    assert_eq!(early.system, is);
    let risk = Action::ReleaseEarly(early).operation().risk();
    assert_eq!(risk == RiskLevel::Critical, is);
}

#[rstest]
#[case::the_same(|_: &mut Hold| {}, None)]
#[case::another(|hold: &mut Hold| hold.until = time("2026-12-01T00:00:00Z"), Some("no longer the same hold"))]
#[case::elsewhere(|hold: &mut Hold| hold.link = "/holds/other".into(), Some("has ended since"))]
fn a_hold_is_released_if_it_is_still_the_same(
    #[case] change: fn(&mut Hold),
    #[case] says: Option<&str>,
) {
    let mut snapshot = snapshot(vec![system()]);
    let mut hold = hold(1, NOW);
    let facts = nix_prune::domain::plan::HoldFacts::from(&hold);
    change(&mut hold);
    snapshot.holds.push(hold);
    let rechecked = Action::ReleaseHold(facts)
        .operation()
        .recheck(&snapshot, None);
    assert_eq!(rechecked.is_err(), says.is_some());
    if let (Err(why), Some(says)) = (rechecked, says) {
        assert!(why.contains(says), "{why}");
    }
}
