//! Whom a change waits for, what keeps a path, and which databases are refused.

use std::sync::atomic::Ordering;
use std::thread;

use rstest::rstest;

use super::*;
use crate::adapters::direct::world::{Gate, World};

const BOTH: KeepFlags = KeepFlags {
    derivations: true,
    outputs: true,
};

fn rows(world: &World, flags: KeepFlags) -> Rows {
    Rows::open(&world.places.state_dir, &world.places.store, flags).unwrap()
}

fn delete(rows: &Rows, numbers: &[usize]) -> Result<Vec<String>, PerformError> {
    let names: Vec<_> = numbers
        .iter()
        .map(|n| World::path(*n).to_string())
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let gate = Gate::default();
    let change = rows.begin(&gate)?;
    let kept = change.delete(&names, |_| false)?;
    change.commit()?;
    Ok(kept.into_iter().map(|kept| kept.name).collect())
}

#[rstest]
#[case::until_it_ends(false)]
#[case::until_somebody_asks_to_stop(true)]
fn another_writer_is_waited_for(#[case] stops: bool) {
    let world = World::new();
    let rows = rows(&world, BOTH);
    let writer = world.database();
    writer.execute_batch("begin immediate").unwrap();
    thread::scope(|scope| {
        let gate = &world.gate;
        let change = scope.spawn(move || rows.begin(&**gate).map(drop));
        thread::sleep(Duration::from_millis(300));
        let has_waited = !change.is_finished();
        world.gate.stops.store(stops, Ordering::SeqCst);
        let begun = Instant::now();
        while stops && !change.is_finished() && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        let has_stopped = change.is_finished();
        writer.execute_batch("rollback").unwrap();
        let change = change.join().unwrap();
        assert!(has_waited && has_stopped == stops);
        match change {
            Err(error) => assert!(stops && matches!(error, PerformError::Interrupted { .. })),
            Ok(()) => assert!(!stops),
        }
    });
}

/// Rows are on the disk before a file goes, so that no power cut brings them back.
#[test]
fn a_change_is_on_the_disk_when_it_is_done() {
    let world = World::new();
    let rows = rows(&world, BOTH);
    let synchronous = rows
        .connection
        .pragma_query_value(None, "synchronous", |row| row.get(0));
    // `full`.
    assert_eq!(synchronous, Ok(2));
}

/// The derivation 1 has the output 2, and 3 is another one.
#[rstest]
#[case::a_derivation_by_what_it_made(BOTH, 1, 1, true)]
#[case::not_by_what_another_one_made(BOTH, 1, 3, false)]
#[case::only_where_derivations_are_kept(KeepFlags::REFERENCES, 1, 1, false)]
#[case::an_output_by_its_derivation(BOTH, 2, 1, true)]
#[case::whichever_made_it(BOTH, 2, 3, true)]
#[case::only_where_outputs_are_kept(KeepFlags::NIX_DEFAULT, 2, 1, false)]
fn a_derivation_and_its_output_keep_each_other(
    #[case] flags: KeepFlags,
    #[case] deleted: usize,
    #[case] deriver: usize,
    #[case] stops: bool,
) {
    let world = World::new();
    (1..4).for_each(|n| world.add(n, &[]));
    world.put_out(1, 2, deriver);
    let rows = rows(&world, flags);
    match delete(&rows, &[deleted]) {
        Err(error) => assert!(stops && matches!(error, PerformError::Disagreement { .. })),
        Ok(kept) => assert!(!stops && kept.is_empty()),
    }
    assert_eq!(world.is_valid(deleted), stops);
    // Nothing outside keeps both.
    assert_eq!(delete(&rows, &[1, 2]).unwrap(), Vec::<String>::new());
}

#[test]
fn what_something_new_keeps_stays_with_what_that_keeps_in_turn() {
    let world = World::new();
    world.add(1, &[]);
    world.add(2, &[1]);
    world.add(3, &[2]);
    world.add(4, &[]);
    world.add(5, &[4]);
    let rows = rows(&world, BOTH);
    world.add(6, &[3]);
    let stay = [3, 2, 1].map(|n| World::path(n).to_string());
    assert_eq!(delete(&rows, &[1, 2, 3, 4, 5]).unwrap(), stay);
    let valid: Vec<_> = (1..7).filter(|n| world.is_valid(*n)).collect();
    assert_eq!(valid, [1, 2, 3, 6]);
}

#[test]
fn what_was_registered_meanwhile_stays() {
    let world = World::new();
    world.add(1, &[]);
    let rows = rows(&world, BOTH);
    world.add(2, &[]);
    assert_eq!(
        delete(&rows, &[1, 2]).unwrap(),
        [World::path(2).to_string()]
    );
    assert!(!world.is_valid(1) && world.is_valid(2));
}

#[rstest]
#[case::as_nix_makes_it("", "")]
#[case::a_table("create table Unheard (x)", "`Unheard`")]
#[case::a_view("create view Seen as select 1", "`Seen`")]
#[case::a_trigger(
    "create trigger Odd before delete on ValidPaths begin select 1; end",
    "`Odd`"
)]
#[case::no_realisations("create table Realisations (id integer)", "")]
#[case::realisations(
    "create table Realisations (id integer); insert into Realisations values (1)",
    "content-addressed"
)]
#[case::no_restriction(
    "drop table Refs; create table Refs (referrer integer, reference integer,
        foreign key (referrer) references ValidPaths(id) on delete cascade,
        foreign key (reference) references ValidPaths(id) on delete cascade)",
    "does not refuse"
)]
#[case::a_restriction_of_the_other_column(
    "drop table Refs; create table Refs (referrer integer, reference integer,
        foreign key (referrer) references ValidPaths(id) on delete restrict,
        foreign key (reference) references ValidPaths(id) on delete cascade)",
    "does not refuse"
)]
fn what_no_known_nix_makes_is_refused(#[case] change: &str, #[case] named: &str) {
    let world = World::new();
    world.database().execute_batch(change).unwrap();
    match Rows::open(&world.places.state_dir, &world.places.store, BOTH) {
        Err(PerformError::Unsupported(why)) => {
            assert!(!named.is_empty() && why.contains(named), "{why}");
        }
        opened => assert!(named.is_empty() && opened.is_ok()),
    }
}
