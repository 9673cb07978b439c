//! How long the machine ran each system, as far as runs have seen it.

use std::collections::BTreeMap;

use super::elapsed::Uptime;
use super::measure::Span;
use super::profile::{Generation, Profile};
use super::store_path::StorePath;

/// How long a system must have run without a reboot to be known as good.
pub const KNOWN_GOOD: Span = Span::days(1);

/// The longest uptime of each system that a run has seen.
pub type Uptimes = BTreeMap<StorePath<String>, Span>;

/// The uptimes with that of the running boot. Nothing is added where it is unknown which system was booted.
#[must_use]
pub fn observe(
    mut known: Uptimes,
    booted: &[StorePath<String>],
    uptime: Option<&Uptime>,
) -> Uptimes {
    if let ([system], Some(uptime)) = (booted, uptime) {
        let longest = known.entry(system.clone()).or_default();
        *longest = (*longest).max(Span::seconds(uptime.seconds));
    }
    known
}

/// Those of systems that these profiles still have.
#[must_use]
pub fn of_systems(known: &Uptimes, profiles: &[Profile]) -> Uptimes {
    let systems = || {
        profiles
            .iter()
            .filter(|profile| profile.kind.boots_the_machine())
    };
    let has = |path: &StorePath<String>| {
        let mut generations = systems().flat_map(|profile| profile.generations.values());
        generations.any(|generation| generation.offers(path))
    };
    let known = known.iter().filter(|(path, _)| has(path));
    known.map(|(path, span)| (path.clone(), *span)).collect()
}

/// The longest uptime of a generation, if that is long enough to know it as good.
pub fn known_good(known: &Uptimes, generation: &Generation) -> Option<Span> {
    let of_it = known.iter().filter(|(path, _)| generation.offers(path));
    of_it
        .map(|(_, span)| *span)
        .filter(|span| *span >= KNOWN_GOOD)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::store_path::StorePathRef;
    use rstest::rstest;

    fn system(n: u32) -> StorePath<String> {
        let name = format!("{n:032}-system");
        StorePathRef::from_base_name(&name).unwrap().to_owned()
    }

    #[rstest]
    #[case::first(&[1], Some(100), &[(1, 100), (2, 50)])]
    #[case::longer(&[2], Some(100), &[(2, 100)])]
    #[case::shorter(&[2], Some(10), &[(2, 50)])]
    #[case::which_is_unknown(&[1, 2], Some(100), &[(2, 50)])]
    #[case::not_nixos(&[], Some(100), &[(2, 50)])]
    #[case::no_uptime(&[1], None, &[(2, 50)])]
    fn the_longest_uptime_of_each_system_is_known(
        #[case] booted: &[u32],
        #[case] seconds: Option<u64>,
        #[case] expected: &[(u32, u64)],
    ) {
        let booted: Vec<_> = booted.iter().copied().map(system).collect();
        let uptime = seconds.map(|seconds| Uptime {
            boot: "a".to_string(),
            seconds,
        });
        let known = Uptimes::from([(system(2), Span::seconds(50))]);
        let expected = expected
            .iter()
            .map(|(n, s)| (system(*n), Span::seconds(*s)));
        let expected: Uptimes = expected.collect();
        assert_eq!(observe(known, &booted, uptime.as_ref()), expected);
    }
}
