use super::*;
use crate::domain::disk_use::Taken;
use rstest::rstest;

const GIB: u64 = 1 << 30;

#[rstest]
#[case("0", 0)]
#[case("00", 0)]
#[case("4096B", 4096)]
#[case("50GiB", 50 * GIB)]
#[case("50gib", 50 * GIB)]
#[case("50GB", 50_000_000_000)]
#[case("1.5kb", 1500)]
#[case("1g", GIB)]
#[case("1K", 1024)]
#[case("50G", 50 * GIB)]
#[case("1.5T", 1536 * GIB)]
#[case("0.1K", 103)]
#[case("0.000000001K", 1)]
#[case("18446744073709551615B", u64::MAX)]
#[case("16777215.999999999T", 18_446_744_073_709_550_517)]
fn sizes_are_read(#[case] text: &str, #[case] bytes: u64) {
    assert_eq!(parse_size(text), Ok(Bytes(bytes)));
}

#[rstest]
#[case("")]
#[case("G")]
#[case("1.5")]
#[case("0.0")]
#[case("1.G")]
#[case(".5G")]
#[case("1.2.3G")]
#[case("1.0000000001G")]
#[case("-1G")]
#[case("+1G")]
#[case("1 G")]
#[case(" 1G")]
#[case("4096")]
#[case("1.5B")]
#[case("1BB")]
#[case("1iB")]
#[case("1GG")]
#[case("1e3G")]
#[case("٣G")]
#[case("16777216T")]
#[case("18446744073709551616B")]
#[case("99999999999999999999999999999999999999999T")]
fn other_texts_are_not_sizes(#[case] text: &str) {
    assert_eq!(parse_size(text), Err(BudgetError::Size(text.to_string())));
    assert_eq!(
        text.parse::<Amount>(),
        Err(BudgetError::Amount(text.to_string()))
    );
}

#[rstest]
#[case("20%", Some(20))]
#[case("0%", Some(0))]
#[case("100%", Some(100))]
#[case("101%", None)]
#[case("256%", None)]
#[case("2.5%", None)]
#[case("-1%", None)]
#[case("+1%", None)]
#[case("%", None)]
#[case("20%%", None)]
fn percentages_are_whole(#[case] text: &str, #[case] percent: Option<u8>) {
    let amount = percent.map(|percent| Amount::Percent(Percent(percent)));
    assert_eq!(text.parse::<Amount>().ok(), amount);
}

#[rstest]
#[case(9, false)]
#[case(10, true)]
#[case(95, true)]
#[case(96, false)]
#[case(u64::MAX, false)]
fn a_goal_that_no_system_can_keep_is_refused(#[case] percent: u64, #[case] good: bool) {
    assert_eq!(Budget::max_used(percent).is_ok(), good);
    let free = 100u64.saturating_sub(percent);
    let free: Amount = format!("{free}%").parse().unwrap();
    assert_eq!(Budget::min_free(free).is_ok(), good);
}

#[rstest]
#[case(Budget::MinFree(Amount::Bytes(Bytes(300))), 100)]
#[case(Budget::MinFree(Amount::Bytes(Bytes(200))), 0)]
#[case(Budget::MinFree(Amount::Percent(Percent(20))), 1)]
#[case(Budget::MinFree(Amount::Percent(Percent(19))), 0)]
#[case(Budget::MaxUsed(Percent(80)), 1)]
#[case(Budget::MaxUsed(Percent(81)), 0)]
#[case(Budget::MaxUsed(Percent(10)), 703)]
#[case(Budget::MaxStore(Bytes(500)), 100)]
#[case(Budget::MaxStore(Bytes(600)), 0)]
#[case(Budget::MaxStore(Bytes(u64::MAX)), 0)]
#[case(Budget::MinFreeInodes(InodeAmount::Count(100)), 0)]
#[case(Budget::MinFreeInodes(InodeAmount::Count(103)), 3)]
#[case::a_part_of_an_inode_is_one(Budget::MinFreeInodes(InodeAmount::Percent(Percent(10))), 1)]
fn the_goal_says_what_must_go(#[case] budget: Budget, #[case] missing: u64) {
    let usage = DiskUsage {
        disk: Some(Disk {
            used: Bytes(803),
            available: Bytes(200),
            inodes: Some(Inodes {
                total: 1001,
                free: 100,
            }),
        }),
        store_bytes: Some(Bytes(600)),
    };
    assert_eq!(budget.to_free(usage), Some(Quantity(missing)));
    let unknown = budget.to_free(DiskUsage::default());
    assert_eq!(unknown, None);
}

#[rstest]
#[case(0, 0, 0)]
#[case(0, 5, 0)]
#[case(5, 0, 100)]
#[case(1, 999, 1)]
#[case(803, 200, 81)]
#[case(u64::MAX, u64::MAX, 50)]
fn the_part_in_use_is_rounded_up(#[case] used: u64, #[case] available: u64, #[case] percent: u128) {
    let disk = Disk {
        used: Bytes(used),
        available: Bytes(available),
        inodes: None,
    };
    assert_eq!(disk.percent_used(), percent);
}

#[rstest]
#[case("4096", Some("4096B"))]
#[case("007", Some("7B"))]
#[case("0", Some("0"))]
#[case("000", Some("0"))]
#[case::not_one_that_has_a_unit("50G", None)]
#[case("4096B", None)]
#[case("1.5", None)]
#[case("", None)]
#[case::too_large("18446744073709551616", None)]
fn a_bare_number_of_version_1_gets_its_unit(#[case] text: &str, #[case] size: Option<&str>) {
    assert_eq!(respelled_size(text).as_deref(), size);
}

#[rstest]
#[case(0, "0K")]
#[case(1, "1K")]
#[case((10 << 20) - 1, "10240K")]
#[case(10 << 20, "10M")]
#[case((43 << 20) + 1, "44M")]
#[case(10 * GIB, "10G")]
#[case(9 << 40, "9216G")]
#[case(u64::MAX, "16777216T")]
fn a_size_to_type_is_short(#[case] bytes: u64, #[case] text: &str) {
    assert_eq!(size_argument(Bytes(bytes)), text);
}

proptest::proptest! {
    /// Who types it frees no less than was offered, and hardly more.
    #[test]
    fn a_size_to_type_is_enough(bytes in 0..u64::MAX / 2, shift in 0u32..64) {
        let bytes = bytes >> shift;
        let typed = parse_size(&size_argument(Bytes(bytes))).unwrap().0;
        proptest::prop_assert!(bytes <= typed && typed - bytes < (bytes / 10).max(1024));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = parse_size(&text);
        let _ = text.parse::<Amount>();
    }

    /// After freeing what it asked for, a goal asks for nothing more, and a byte less is not enough.
    #[test]
    fn what_must_go_is_enough(
        (used, available, shift) in (0..u64::MAX, 0..u64::MAX, 1u32..64),
        percent in 10u64..=95,
        free in 5u8..=90,
    ) {
        // Only small numbers come to lie on a limit by chance.
        let (used, available) = (used >> shift, available >> shift);
        let usage = |freed: u64| DiskUsage {
            disk: Some(Disk { used: Bytes(used - freed), available: Bytes(available + freed), inodes: None }),
            store_bytes: None,
        };
        let disk = usage(0).disk.unwrap();
        // What a screen shows agrees with what a goal asks for.
        let asks = |budget: Budget| budget.to_free(usage(0)) > Some(Quantity(0));
        proptest::prop_assert_eq!(asks(Budget::max_used(percent).unwrap()), disk.percent_used() > u128::from(percent));
        proptest::prop_assert_eq!(asks(Budget::MinFree(Amount::Percent(Percent(free)))), available < disk.part(Percent(free)).0);
        for budget in [
            Budget::max_used(percent).unwrap(),
            Budget::min_free(Amount::Percent(Percent(free))).unwrap(),
            Budget::MinFree(Amount::Bytes(Bytes(available / 2 + used / 3))),
        ] {
            let freed = budget.to_free(usage(0)).unwrap().0;
            proptest::prop_assert!(freed <= used);
            proptest::prop_assert_eq!(budget.to_free(usage(freed)), Some(Quantity(0)));
            if freed > 0 {
                proptest::prop_assert_eq!(budget.to_free(usage(freed - 1)), Some(Quantity(1)));
            }
        }
    }
}

#[rstest]
#[case::the_reserve_goes(100, 150, 8, 0, 42)]
#[case::the_database_grows(100, 150, 8, 10, 52)]
#[case::a_snapshot_keeps_the_reserve(100, 100, 8, 0, 0)]
#[case::and_a_part_of_it(100, 105, 8, 0, 0)]
#[case::others_write(100, 90, 8, 0, -10)]
#[case::others_write_and_the_database_grows(100, 90, 0, 8, -2)]
#[case::all_there_is(0, u64::MAX >> 1, 0, 0, i64::MAX)]
fn what_nix_keeps_for_itself_is_not_freed(
    #[case] before: u64,
    #[case] after: u64,
    #[case] own_before: u64,
    #[case] own_after: u64,
    #[case] freed: i64,
) {
    let space = |available, nix_files| FreeSpace {
        available: Bytes(available),
        nix_files: Bytes(nix_files),
    };
    let freed_until = space(before, own_before).freed_until(space(after, own_after));
    assert_eq!(freed_until, Some(freed));
}

fn bytes(bytes: u64) -> Amount {
    Amount::Bytes(Bytes(bytes))
}

fn inodes(text: &str) -> InodeAmount {
    text.parse().unwrap()
}

#[rstest]
#[case::no_bytes(Budget::min_free(bytes(0)), Err(BudgetError::Zero))]
#[case::a_byte(Budget::min_free(bytes(1)), Ok(Budget::MinFree(bytes(1))))]
#[case::no_store(Budget::max_store(Bytes(0)), Err(BudgetError::Zero))]
#[case::a_store(Budget::max_store(Bytes(1)), Ok(Budget::MaxStore(Bytes(1))))]
#[case::no_inodes(Budget::min_free_inodes(inodes("0")), Err(BudgetError::NoInodes))]
#[case::an_inode(
    Budget::min_free_inodes(inodes("1")),
    Ok(Budget::MinFreeInodes(InodeAmount::Count(1)))
)]
#[case::too_few(
    Budget::min_free_inodes(inodes("0%")),
    Err(BudgetError::MinFreeInodes(0))
)]
#[case::the_fewest(
    Budget::min_free_inodes(inodes("1%")),
    Ok(Budget::MinFreeInodes(inodes("1%")))
)]
#[case::the_most(
    Budget::min_free_inodes(inodes("90%")),
    Ok(Budget::MinFreeInodes(inodes("90%")))
)]
#[case::too_many(
    Budget::min_free_inodes(inodes("91%")),
    Err(BudgetError::MinFreeInodes(91))
)]
fn a_goal_of_nothing_or_of_all_is_refused(
    #[case] goal: Result<Budget, BudgetError>,
    #[case] expected: Result<Budget, BudgetError>,
) {
    assert_eq!(goal, expected);
}

#[rstest]
#[case("0", true)]
#[case("0%", true)]
#[case("1B", false)]
#[case("1%", false)]
fn an_amount_may_be_nothing(#[case] text: &str, #[case] is: bool) {
    assert_eq!(text.parse::<Amount>().unwrap().is_zero(), is);
}

#[rstest]
#[case(Budget::MinFree(bytes(50 * GIB)), "at least 50.00 GiB free")]
#[case(Budget::MinFree(Amount::Percent(Percent(20))), "at least 20% free")]
#[case(Budget::MaxUsed(Percent(80)), "at most 80% used")]
#[case(Budget::MaxStore(Bytes(GIB)), "a store of at most 1.00 GiB")]
#[case(
    Budget::MinFreeInodes(inodes("10%")),
    "at least 10% of the inodes free"
)]
#[case(Budget::MinFreeInodes(inodes("1")), "at least 1 inode free")]
#[case(Budget::MinFreeInodes(inodes("500")), "at least 500 inodes free")]
fn goals_are_written(#[case] budget: Budget, #[case] text: &str) {
    assert_eq!(budget.to_string(), text);
    let goal = DiskGoal::new(budget, ReleaseHolds::Never);
    assert_eq!(goal.to_string(), text);
    let beside = Some(Budget::MaxUsed(Percent(95)));
    let both = DiskGoal { beside, ..goal };
    assert_eq!(both.to_string(), format!("{text}, at most 95% used"));
}

#[rstest]
#[case(bytes(GIB), serde_json::json!(GIB))]
#[case(Amount::Percent(Percent(20)), serde_json::json!("20%"))]
fn amounts_survive_a_document(#[case] amount: Amount, #[case] written: serde_json::Value) {
    assert_eq!(serde_json::to_value(amount).unwrap(), written);
    assert_eq!(serde_json::from_value::<Amount>(written).unwrap(), amount);
}

#[rstest]
#[case(InodeAmount::Count(500), serde_json::json!(500))]
#[case(InodeAmount::Percent(Percent(20)), serde_json::json!("20%"))]
fn amounts_of_inodes_survive_a_document(
    #[case] amount: InodeAmount,
    #[case] written: serde_json::Value,
) {
    assert_eq!(serde_json::to_value(amount).unwrap(), written);
    assert_eq!(
        serde_json::from_value::<InodeAmount>(written).unwrap(),
        amount
    );
}

#[rstest]
#[case("never", ReleaseHolds::Never)]
#[case("ifNeeded", ReleaseHolds::IfNeeded)]
fn words_for_holds_are_read_and_written(#[case] word: &str, #[case] release: ReleaseHolds) {
    assert_eq!(word.parse(), Ok(release));
    assert_eq!(release.to_string(), word);
}

#[rstest]
#[case(0, 0, 0)]
#[case(100, 100, 0)]
#[case(1000, 999, 1)]
#[case(1000, 197, 81)]
#[case(10, 0, 100)]
#[case::more_free_than_there_are(10, 11, 0)]
fn the_part_of_the_inodes_in_use_is_rounded_up(
    #[case] total: u64,
    #[case] free: u64,
    #[case] percent: u128,
) {
    assert_eq!(Inodes { total, free }.percent_used(), percent);
}

#[rstest]
#[case(SizeMetric::OnDisk, "2.00 KiB")]
#[case(SizeMetric::NarSize, "2.00 KiB")]
#[case(SizeMetric::Inodes, "2048 inodes")]
fn quantities_are_shown_with_their_unit(#[case] metric: SizeMetric, #[case] text: &str) {
    assert_eq!(metric.show(Quantity(2048)), text);
}

#[rstest]
#[case(30, 4, (130, 70, 6))]
#[case::more_than_there_is(300, 40, (400, 0, 0))]
fn what_is_taken_is_used_and_no_longer_free(
    #[case] taken: u64,
    #[case] files: u64,
    #[case] (used, available, free): (u64, u64, u64),
) {
    let disk = |used, available, free| Disk {
        used: Bytes(used),
        available: Bytes(available),
        inodes: Some(Inodes { total: 20, free }),
    };
    let taken = Taken {
        bytes: Bytes(taken),
        inodes: files,
    };
    assert_eq!(
        disk(100, 100, 10).after_taking(taken),
        disk(used, available, free)
    );
}

#[rstest]
#[case::freed(30, (70, 130))]
#[case::taken(-30, (130, 70))]
#[case::more_than_was_used(200, (0, 300))]
fn what_was_freed_is_available(#[case] freed: i64, #[case] (used, available): (u64, u64)) {
    let usage = |used, available| DiskUsage {
        disk: Some(Disk {
            used: Bytes(used),
            available: Bytes(available),
            inodes: None,
        }),
        store_bytes: Some(Bytes(7)),
    };
    assert_eq!(usage(100, 100).after_freeing(freed), usage(used, available));
}
