//! Time zones with their offsets written out by hand, so that neither the machine's zone nor its database matters.

use std::sync::LazyLock;

use jiff::tz::TimeZone;

/// A zone, and the same zone once more as a plain table for the oracle.
pub(super) struct Zone {
    pub name: &'static str,
    /// From when (seconds since 1970) which offset holds (seconds east of Greenwich), from the oldest.
    pub offsets: &'static [(i64, i64)],
    /// The span in which the table holds.
    pub era: (i64, i64),
    made: LazyLock<TimeZone>,
}

impl Zone {
    pub(super) fn time_zone(&self) -> TimeZone {
        self.made.clone()
    }
}

pub(super) static ZONES: [Zone; 5] = [
    Zone {
        name: "UTC",
        offsets: &[(i64::MIN, 0)],
        era: (1_735_689_600, 1_798_761_600),
        made: LazyLock::new(|| TimeZone::UTC),
    },
    Zone {
        name: "Asia/Kathmandu",
        offsets: &[(i64::MIN, 20_700)],
        era: (1_735_689_600, 1_798_761_600),
        made: LazyLock::new(|| TimeZone::posix("<+0545>-5:45").unwrap()),
    },
    // 2026: forward on 29 March, back on 25 October, both at 01:00 UTC.
    Zone {
        name: "Europe/Berlin",
        offsets: &[
            (i64::MIN, 3_600),
            (1_774_746_000, 7_200),
            (1_792_890_000, 3_600),
        ],
        era: (1_761_955_200, 1_805_846_400),
        made: LazyLock::new(berlin),
    },
    // 2010: forward on 14 March, back on 7 November, both at one minute past midnight by the clock.
    Zone {
        name: "America/St_Johns",
        offsets: &[
            (i64::MIN, -12_600),
            (1_268_537_460, -9_000),
            (1_289_097_060, -12_600),
        ],
        era: (1_262_304_000, 1_298_937_600),
        made: LazyLock::new(st_johns),
    },
    Zone {
        name: "Pacific/Apia",
        offsets: APIA,
        era: (1_296_518_400, 1_340_000_000),
        made: LazyLock::new(apia),
    },
];

/// Summer time ends and begins in 2011, the date line is crossed, summer time ends in 2012.
const APIA: &[(i64, i64)] = &[
    (i64::MIN, -36_000),
    (1_301_752_800, -39_600),
    (1_316_872_800, -36_000),
    (1_325_239_200, 50_400),
    (1_333_202_400, 46_800),
];

/// Germany by the rules of today.
pub(super) fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// Newfoundland as it was from 2007 to 2011: the clock went back over midnight.
pub(super) fn st_johns() -> TimeZone {
    TimeZone::posix("NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01").unwrap()
}

/// Samoa in 2011 and 2012: it left out 30 December 2011.
pub(super) fn apia() -> TimeZone {
    TimeZone::tzif("Pacific/Apia", &tzif(APIA)).unwrap()
}

/// A file of the zone database, version 2, with these offsets.
fn tzif(offsets: &[(i64, i64)]) -> Vec<u8> {
    let types = u32::try_from(offsets.len()).unwrap();
    let header = |out: &mut Vec<u8>, times: u32, types: u32| {
        out.extend(b"TZif2");
        out.extend([0; 15]);
        for count in [0, 0, 0, times, types, 4] {
            out.extend(u32::to_be_bytes(count));
        }
    };
    let kind = |out: &mut Vec<u8>, offset: i64| {
        out.extend(i32::try_from(offset).unwrap().to_be_bytes());
        out.extend([0, 0]);
    };
    let mut out = Vec::new();
    header(&mut out, 0, 1);
    kind(&mut out, offsets[0].1);
    out.extend(b"XXX\0");
    header(&mut out, types - 1, types);
    for (from, _) in &offsets[1..] {
        out.extend(from.to_be_bytes());
    }
    out.extend(1..u8::try_from(types).unwrap());
    for (_, offset) in offsets {
        kind(&mut out, *offset);
    }
    out.extend(b"XXX\0\nXXX-13\n");
    out
}

/// The tables and the zones are the same thing, to the second around every change.
#[test]
fn the_zones_are_what_their_tables_say() {
    for zone in &ZONES {
        let time_zone = zone.time_zone();
        let changes = zone.offsets[1..].iter().map(|(at, _)| *at);
        let edges = changes.flat_map(|at| [at - 1, at, at + 1]);
        for second in edges.chain([zone.era.0, zone.era.1]) {
            let time = jiff::Timestamp::from_second(second).unwrap();
            let offset = i64::from(time_zone.to_offset(time).seconds());
            assert_eq!(offset, offset_at(zone, second), "{} at {time}", zone.name);
        }
    }
}

/// The offset that the table gives.
pub(super) fn offset_at(zone: &Zone, second: i64) -> i64 {
    let mut holds = zone.offsets.iter().filter(|(from, _)| *from <= second);
    holds.next_back().unwrap().1
}
