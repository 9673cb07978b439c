//! A death at every single step.

use super::*;

#[test]
fn a_run_killed_at_any_point_loses_nothing_that_vanished_roots_kept() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            world.lose_root(50);
            world.lose_root(51);
            let job = job(Span::days(7));
            if !dies_at(&world, n, after, |world| drop(run(world, &job))) {
                break;
            }
            points += 1;
            run(&world, &job).unwrap();
            for n in [50, 51] {
                let is_it = |held: &&StorePath<String>| **held == path(n);
                let times = world.holds.borrow().values().filter(is_it).count();
                assert_eq!(times, 1, "{n} after a death at point {points} ({after})");
                assert!(world.disk.borrow().contains(&path(n)));
            }
            for receipt in world.journal.borrow().values() {
                assert!(!receipt.is_interrupted());
            }
        }
    }
    assert!(points > 40, "{points}");
}

/// Whatever happened: what is kept is there, what is gone is held or was never promised.
fn nothing_is_lost(world: &World, at: &str) {
    world.collect_garbage();
    for n in 1..=9 {
        let linked = world.links.borrow().contains_key(&n);
        let held = world.holds.borrow().values().any(|p| *p == path(n));
        assert!(
            linked || held,
            "generation {n} is neither there nor held {at}"
        );
        assert!(
            world.disk.borrow().contains(&path(n)),
            "generation {n} was collected {at}"
        );
    }
    for kept in [7, 8, 9] {
        assert!(
            world.links.borrow().contains_key(&kept),
            "{kept} is gone {at}"
        );
    }
}

#[test]
fn a_run_killed_at_any_point_loses_nothing_and_is_settled_by_the_next_one() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            let before = world.links.borrow().clone();
            let job = job(Span::days(7));
            if !dies_at(&world, n, after, |world| drop(run(world, &job))) {
                break;
            }
            points += 1;
            let at = format!("after a death at point {n} ({after})");
            nothing_is_lost(&world, &at);
            run(&world, &job).unwrap();
            nothing_is_lost(&world, &at);
            assert_eq!(world.numbers(), [7, 8, 9], "{at}");
            for receipt in world.journal.borrow().values() {
                assert!(!receipt.is_interrupted(), "{at}");
                assert_eq!(receipt.count(Outcome::Pending), 0, "{at}");
            }
            // Both runs together took six away; undoing them brings all back.
            while world
                .engine()
                .undo(None, &[])
                .is_ok_and(|r| r.count(Outcome::Done) > 0)
            {}
            assert_eq!(*world.links.borrow(), before, "{at}");
        }
    }
    assert!(points > 40, "only {points} points");
}

#[test]
fn an_undo_killed_at_any_point_is_finished_by_the_next_one() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = World::new(9, 9);
            let before = world.links.borrow().clone();
            run(&world, &job(Span::days(7))).unwrap();
            if !dies_at(&world, n, after, |world| {
                drop(world.engine().undo(None, &[]));
            }) {
                break;
            }
            points += 1;
            let at = format!("after a death at point {n} ({after})");
            nothing_is_lost(&world, &at);
            while world
                .engine()
                .undo(None, &[])
                .is_ok_and(|r| r.count(Outcome::Done) > 0)
            {}
            assert_eq!(*world.links.borrow(), before, "{at}");
            assert!(world.holds.borrow().is_empty(), "{at}");
        }
    }
    assert!(points > 40, "only {points} points");
}
