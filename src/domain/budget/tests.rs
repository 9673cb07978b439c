use super::*;
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
