//! What is kept whatever the rules say.

use super::*;

#[rstest]
#[case(Current::Unknown(CurrentUnknown::NoLink), None)]
#[case(Current::Unknown(CurrentUnknown::OtherText("/p/profile-9-link".into())), None)]
#[case(Current::Unknown(CurrentUnknown::Dangling(GenerationNumber(99))), None)]
#[case(Current::Known(GenerationNumber(9)), Some("a link is odd"))]
// The current one's link vanished between two looks.
#[case(Current::Known(GenerationNumber(99)), None)]
#[case(Current::Known(GenerationNumber(0)), None)]
fn trap_12_where_the_current_one_is_not_known_nothing_goes(
    #[case] current: Current,
    #[case] blocked: Option<&str>,
) {
    let mut case = Case::days(1..=9);
    case.profile.current = current;
    case.profile.blocked = blocked.map(str::to_string);
    assert_eq!(case.kept(last(1)), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let reason = &case.reasons(last(1), 1)[0];
    match blocked {
        Some(why) => assert_eq!(*reason, Reason::Blocked(why.to_string())),
        None => assert!(matches!(reason, Reason::CurrentUnknown(_))),
    }
}

#[test]
fn booted_and_running_are_known_by_their_path() {
    let mut case = Case::days(1..=9);
    case.booted.push(path(3));
    case.running.extend([path(5), path(3)]);
    // Another generation of the booted system: which of the two was booted is unknown.
    let case = case.content(2, Content::Present(path(3)));
    assert_eq!(case.kept(last(1)), [2, 3, 5, 9]);
    assert_eq!(case.reasons(last(1), 3), [Reason::Booted, Reason::Running]);
}

#[test]
fn a_generation_is_booted_and_running_by_its_specialisations_too() {
    let mut case = Case::system(1..=9);
    case.generation(2).specialisations = vec![path(20), path(21)];
    case.generation(3).specialisations = vec![path(21)];
    case.booted.push(path(20));
    case.running.push(path(21));
    assert_eq!(case.kept(last(1)), [2, 3, 8, 9]);
    assert_eq!(case.reasons(last(1), 2), [Reason::Booted, Reason::Running]);
    assert_eq!(case.reasons(last(1), 3), [Reason::Running]);
}

#[test]
fn a_specialisation_of_the_current_system_is_no_way_back_and_neither_is_the_system_it_is_of() {
    let mut case = Case::system(1..=9);
    case.generation(9).specialisations = vec![path(8)];
    case.generation(7).specialisations = vec![path(9)];
    assert_eq!(case.kept(last(1)), [6, 9]);
    // A specialisation that both have makes them no siblings.
    case.generation(8).specialisations = vec![path(30)];
    case.generation(9).specialisations = vec![path(30)];
    assert_eq!(case.kept(last(1)), [8, 9]);
}

#[test]
fn a_generation_of_the_future_is_kept_and_takes_no_place_of_a_rule() {
    let future = "2027-01-01T00:00:00Z";
    let case = Case::days(1..=9).created(8, future);
    assert_eq!(case.kept(last(2)), [7, 8, 9]);
    assert_eq!(case.reasons(last(2), 8), [Reason::FutureTimestamp]);
    // The current one as well.
    let case = Case::days(1..=9).created(9, future);
    assert_eq!(case.kept(last(1)), [8, 9]);
    assert_eq!(
        case.reasons(last(1), 9),
        [Reason::Current, Reason::FutureTimestamp]
    );
}

#[test]
fn pins_hold_until_their_time() {
    let case = Case::days(1..=9)
        .pin(1, None)
        .pin(2, Some("2026-11-22T12:00:01Z"))
        .pin(3, Some(NOW))
        .pin(4, Some("2026-11-22T11:59:59Z"))
        .pin(77, None);
    assert_eq!(case.kept(last(1)), [1, 2, 9]);
}

#[test]
fn a_pin_of_another_profile_does_not_hold() {
    let mut case = Case::days(1..=9).pin(1, None);
    case.pins[0].profile = ProfilePath::new(Utf8Path::new("/q/profile")).unwrap();
    assert_eq!(case.kept(last(1)), [9]);
}

#[test]
fn a_system_keeps_one_to_fall_back_to() {
    let case = Case::system(1..=9);
    assert_eq!(case.kept(last(1)), [8, 9]);
    assert_eq!(case.reasons(last(1), 8), [Reason::Fallback]);
    assert_eq!(Case::days(1..=9).kept(last(1)), [9]);
    // After going back, what is newer is no way back.
    assert_eq!(case.current(4).kept(last(1)), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(Case::system(1..=2).current(1).kept(last(1)), [1, 2]);
}

#[rstest]
#[case::what_does_not_look_bootable_is_the_last_resort(Content::Present(path(8)), 7)]
#[case::what_is_gone_is_none(Content::Missing(path(8)), 7)]
#[case::what_leads_elsewhere_is_none(Content::Foreign, 7)]
#[case::the_same_system_is_no_way_back(Content::Bootable(path(9)), 7)]
#[case::another_one_is(Content::Bootable(path(4)), 8)]
fn the_fallback_is_one_that_boots(#[case] content: Content, #[case] fallback: u32) {
    let case = Case::system(1..=9).content(8, content);
    let reasons = case.reasons(last(1), fallback);
    assert_eq!(reasons, [Reason::Fallback]);
}

#[test]
fn a_poor_fallback_is_better_than_none() {
    let mut case = Case::system(1..=3);
    for n in 1..=3 {
        case = case.content(n, Content::Bootable(path(3)));
    }
    assert_eq!(case.kept(last(1)), [2, 3]);
    let case = case.content(1, Content::Present(path(1)));
    let case = case.content(2, Content::Present(path(3)));
    assert_eq!(case.kept(last(1)), [1, 3]);
}

#[test]
fn the_second_look_needs_no_policy() {
    let case = Case::system(1..=9).current(6).pin(1, None);
    let circumstances = Circumstances {
        now: case.now,
        zone: &TimeZone::UTC,
        booted: &[path(2)],
        running: &[],
        pins: &case.pins,
        uptimes: &case.uptimes,
    };
    let always = |n| always_kept(&case.profile, number(n), &circumstances).is_some();
    let kept: Vec<u32> = (0..=10).filter(|n| always(*n)).collect();
    assert_eq!(kept, [1, 2, 5, 6, 7, 8, 9]);
}
