use super::*;
use crate::domain::receipt::RunId;
use crate::domain::snapshot::Held;
use crate::domain::store_path::StorePathRef;
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

const T0: i64 = 1_795_000_000;
const DAY: i64 = 86_400;

fn at(days: i64) -> Timestamp {
    Timestamp::from_unix(T0 + days * DAY, 0).unwrap()
}

fn up(boot: &str, days: u64) -> Uptime {
    Uptime {
        boot: boot.to_string(),
        seconds: 1000 + days * 86_400,
    }
}

/// A hold of a week that was made at the beginning.
fn hold() -> Hold {
    let name = "00000000000000000000000000000000-x";
    Hold {
        run: RunId::at(at(0), 1),
        link: "/holds/0".into(),
        store_path: StorePathRef::from_base_name(name).unwrap().to_owned(),
        held: Held::Root { root: "/r".into() },
        until: at(7),
        intact: true,
    }
}

/// Runs at these days, each with its boot and its uptime in days; whether the window has ended at each.
fn ended(runs: &[(i64, &str, u64)]) -> Vec<bool> {
    let (mut last, mut uptime, mut known) = (at(0), up("a", 0), Vec::new());
    let each = runs.iter().map(|&(day, boot, days)| {
        let (now, then) = (at(day), up(boot, days));
        let before = Reading {
            at: last,
            uptime: Some(&uptime),
        };
        known = skips(
            before,
            &known,
            Reading {
                at: now,
                uptime: Some(&then),
            },
        );
        (last, uptime) = (now, then);
        window_end(&hold(), &known) <= now
    });
    each.collect()
}

#[rstest]
#[case::a_server(&[(6, "a", 6), (7, "a", 7)], &[false, true])]
#[case::a_server_without_runs(&[(100, "a", 100)], &[true])]
#[case::off_for_weekends(&[(3, "b", 0), (5, "c", 1), (8, "d", 0)], &[false, false, true])]
#[case::off_for_long(&[(100, "b", 0), (101, "b", 1)], &[false, true])]
#[case::off_for_long_and_again(&[(100, "b", 0), (200, "c", 0)], &[false, false])]
#[case::once_a_week(&[(7, "b", 0), (14, "c", 0), (21, "d", 0)], &[false, false, true])]
#[case::set_ahead(&[(100, "a", 0), (101, "a", 1), (106, "a", 6), (107, "a", 7)], &[false, false, false, true])]
#[case::set_ahead_step_by_step(&[(8, "a", 0), (20, "a", 0), (60, "a", 0), (200, "a", 0)], &[false, false, false, false])]
#[case::set_ahead_and_back(&[(100, "a", 0), (1, "a", 1), (7, "a", 7)], &[false, false, true])]
#[case::set_ahead_and_half_back(&[(100, "a", 0), (50, "a", 0), (55, "a", 5), (57, "a", 7)], &[false, false, false, true])]
#[case::set_ahead_twice_and_back(&[(50, "a", 0), (100, "a", 0), (20, "a", 0), (25, "a", 5), (27, "a", 7)], &[false, false, false, false, true])]
#[case::ended_before_a_jump(&[(7, "a", 7), (107, "a", 7)], &[true, true])]
#[case::up_for_long_before_a_run(&[(9, "b", 9)], &[true])]
#[case::started_again_in_one_boot_of_the_host(&[(3, "a", 3), (5, "a", 1), (6, "a", 2), (7, "a", 3)], &[false, false, false, true])]
#[case::ahead_and_booted(&[(100, "a", 0), (100, "b", 0), (101, "b", 1)], &[false, false, false])]
fn windows_end_by_time_that_was_seen_to_pass(
    #[case] runs: &[(i64, &str, u64)],
    #[case] expected: &[bool],
) {
    assert_eq!(ended(runs), expected);
}

fn reading(seconds: i64, uptime: &Uptime) -> Reading<'_> {
    Reading {
        at: Timestamp::from_unix(T0 + seconds, 0).unwrap(),
        uptime: Some(uptime),
    }
}

/// The uptime says that a quarter of an hour has passed: after a boot all of it, in one boot none.
#[rstest]
#[case::as_far_as_clocks_differ("a", 300, None)]
#[case::further("a", 301, Some(6))]
#[case::off_for_a_long_weekend("b", 3 * DAY + 1_000, None)]
#[case::off_for_longer("b", 3 * DAY + 1_001, Some(3 * 24 * 60 + 1))]
fn time_is_skipped_where_nothing_proves_it(
    #[case] boot: &str,
    #[case] seconds: i64,
    #[case] skipped: Option<u32>,
) {
    let (before, now) = (up("a", 0), up(boot, 0));
    let skips = skips(reading(0, &before), &[], reading(seconds, &now));
    let lengths: Vec<_> = skips.iter().map(|skip| skip.length).collect();
    assert_eq!(
        lengths,
        skipped.map(Span::minutes).into_iter().collect::<Vec<_>>()
    );
}

/// A clock that is set back takes back what it skipped, but for what clocks differ by.
#[rstest]
#[case(DAY - 301, Some(6))]
#[case(DAY - 300, None)]
fn time_that_is_taken_back_was_not_skipped(#[case] back: i64, #[case] left: Option<u32>) {
    let known = Skip {
        after: at(-2),
        length: Span::days(1),
        seen: at(0),
        booted: false,
    };
    let up = up("a", 0);
    let skips = skips(reading(0, &up), &[known], reading(-back, &up));
    let lengths: Vec<_> = skips.iter().map(|skip| skip.length).collect();
    assert_eq!(
        lengths,
        left.map(Span::minutes).into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn a_hold_made_after_a_skip_ends_by_the_new_time() {
    let skip = Skip {
        after: at(-3000),
        length: Span::days(3000),
        seen: at(0),
        booted: false,
    };
    let mut young = hold();
    young.run = RunId::at(at(0), 1);
    assert_eq!(window_end(&young, std::slice::from_ref(&skip)), at(7));
    let mut old = hold();
    (old.run, old.until) = (RunId::at(at(-3000), 1), at(-2993));
    assert_eq!(window_end(&old, &[skip]), at(7));
}

/// What happens to a machine before a run, in hours.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// It is on, awake or asleep.
    On(u32),
    /// A virtual machine is paused, and its clock is right again afterwards.
    Paused(u32),
    /// It is off, and on again for some time.
    Off(u32, u32),
    /// Somebody sets the clock ahead, or back.
    Set(i64),
    /// It is booted, with a clock that is so much ahead.
    BootedAhead(i64),
}

/// A machine whose clock is right: how long it may be off at once.
fn right(off: u32) -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..60_u32).prop_map(Event::On),
        1 => (200..800_u32).prop_map(Event::On),
        2 => (0..off, 0..30_u32).prop_map(|(off, on)| Event::Off(off, on)),
    ]
}

fn paused() -> impl Strategy<Value = Event> {
    (0..400_u32).prop_map(Event::Paused)
}

fn set() -> impl Strategy<Value = Event> {
    prop_oneof![-300..300_i64, -4000..4000_i64].prop_map(Event::Set)
}

/// Machines: those that number their boots, those whose boots have one name, and those that have no uptime.
fn boots() -> impl Strategy<Value = Boots> {
    prop_oneof![Just(Boots::Numbered), Just(Boots::OneName)]
}

/// Some undo windows, in hours; the usual one is of a week.
fn window() -> impl Strategy<Value = i64> {
    prop_oneof![Just(24), Just(72), Just(168), Just(720)]
}

/// No window ends before its time by a clock that somebody sets. A longer one than the usual may end after a week.
const WEEK: i64 = 7 * 24;

proptest! {
    #[test]
    fn no_window_ends_before_its_time_by_a_clock_that_is_set(
        events in vec(prop_oneof![4 => right(2000), 1 => paused(), 3 => set()], 1..40),
        (boots, window) in (boots(), window()),
    ) {
        let mut machine = Machine::new(boots);
        for event in events {
            machine.run_after(event);
            prop_assert!(machine.real >= window.min(WEEK) || !machine.has_ended(window), "{event:?}");
        }
    }

    #[test]
    fn a_clock_that_is_ahead_since_a_boot_is_believed_after_a_day(
        before in vec(right(70), 0..10),
        ahead in 73..4000_i64,
        after in vec(right(70), 0..10),
        (boots, window) in (prop_oneof![boots(), Just(Boots::Unknown)], window()),
    ) {
        let mut machine = Machine::new(boots);
        for event in before {
            machine.run_after(event);
        }
        let begun = machine.real;
        for event in [Event::BootedAhead(ahead)].into_iter().chain(after) {
            machine.run_after(event);
            let may_end = machine.real >= window || machine.real - begun >= 24;
            // Without an uptime, times between runs count as times off.
            let is_known = boots == Boots::Numbered || machine.real == begun;
            prop_assert!(may_end || !is_known || !machine.has_ended(window), "{event:?}");
        }
    }

    #[test]
    fn where_the_clock_is_right_no_window_ends_before_its_time_and_every_window_ends(
        events in vec(prop_oneof![4 => right(2000), 1 => paused()], 1..40),
        boots in prop_oneof![boots(), Just(Boots::Unknown)],
        window in window(),
    ) {
        let mut machine = Machine::new(boots);
        for event in events {
            machine.run_after(event);
            prop_assert!(machine.real >= window || !machine.has_ended(window), "{event:?}");
        }
        for _ in 0..(window + WEEK) / 12 {
            machine.run_after(Event::On(12));
        }
        prop_assert!(machine.has_ended(window));
    }

    #[test]
    fn a_window_ends_in_time_where_the_clock_is_right(
        events in vec(right(70), 1..40),
        window in window(),
    ) {
        let mut machine = Machine::new(Boots::Numbered);
        for event in events {
            machine.run_after(event);
            prop_assert_eq!(machine.has_ended(window), machine.real >= window);
        }
    }
}

/// How a machine distinguishes one boot from another.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Boots {
    Numbered,
    OneName,
    Unknown,
}

/// A machine, and what its runs write down.
struct Machine {
    boots: Boots,
    now: Timestamp,
    uptime: Option<Uptime>,
    known: Vec<Skip>,
    /// The hours that have passed.
    real: i64,
}

impl Machine {
    fn new(boots: Boots) -> Self {
        Self {
            boots,
            now: at(0),
            uptime: (boots != Boots::Unknown).then(|| up("0", 0)),
            known: Vec::new(),
            real: 0,
        }
    }

    fn run_after(&mut self, event: Event) {
        let (last, before) = (self.now, self.uptime.clone());
        let (passed, set, on) = match event {
            Event::On(hours) => (hours, 0, hours),
            Event::Paused(hours) => (hours, 0, 0),
            Event::Off(off, on) => (off + on, 0, on),
            Event::Set(hours) | Event::BootedAhead(hours) => (0, hours, 0),
        };
        if let Some(uptime) = &mut self.uptime {
            if matches!(event, Event::Off(..) | Event::BootedAhead(_)) {
                uptime.seconds = 0;
                if self.boots == Boots::Numbered {
                    uptime.boot.push('+');
                }
            }
            uptime.seconds += u64::from(on) * 3600;
        }
        self.real += i64::from(passed);
        let by_clock = (i64::from(passed) + set) * 3600;
        self.now = Timestamp::from_unix(last.to_unix().0 + by_clock, 0).unwrap();
        let last = Reading {
            at: last,
            uptime: before.as_ref(),
        };
        let now = Reading {
            at: self.now,
            uptime: self.uptime.as_ref(),
        };
        self.known = skips(last, &self.known, now);
    }

    /// Whether a window of so many hours has ended that was opened at the beginning.
    fn has_ended(&self, hours: i64) -> bool {
        let mut hold = hold();
        hold.until = Timestamp::from_unix(T0 + hours * 3600, 0).unwrap();
        window_end(&hold, &self.known) <= self.now
    }
}
