//! Paths grouped by package: the name without its version.

use std::collections::HashMap;

use super::{NodeIdx, StoreGraph, Weight, at};
use crate::domain::measure::Bytes;

/// The paths of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageGroup<'g> {
    /// The name without version.
    pub name: &'g str,
    /// How many different versions there are; a path without one counts as a version.
    pub versions: u64,
    /// How many paths, and their size.
    pub weight: Weight,
}

/// Splits a name into package and version, as Nix does: the version begins behind the first dash that something other
/// than a letter follows.
pub fn split_name(name: &str) -> (&str, &str) {
    let dashes = name.match_indices('-');
    for (at, _) in dashes {
        let behind = name.get(at + 1..).unwrap_or_default();
        if behind
            .bytes()
            .next()
            .is_some_and(|b| !b.is_ascii_alphabetic())
        {
            return (name.get(..at).unwrap_or_default(), behind);
        }
    }
    (name, "")
}

impl StoreGraph {
    /// Paths by package, the largest first; each path is given once. Outputs such as `dev` and `lib` and the derivation itself
    /// count to the version that they belong to, if the derivation's name shows it.
    pub fn groups_by_package(
        &self,
        nodes: impl IntoIterator<Item = NodeIdx>,
    ) -> Vec<PackageGroup<'_>> {
        let mut versions: HashMap<(&str, &str), Weight> = HashMap::new();
        for node in nodes {
            let weight = versions.entry(split_name(self.package(node))).or_default();
            weight.add(self.weight_of(node.0));
        }
        let mut groups: HashMap<&str, PackageGroup<'_>> = HashMap::new();
        for ((name, _), weight) in versions {
            let group = groups.entry(name).or_insert(PackageGroup {
                name,
                versions: 0,
                weight: Weight::default(),
            });
            group.versions += 1;
            group.weight.add(weight);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        let size = |group: &PackageGroup<'_>| -> Bytes { group.weight.nar_bytes };
        groups.sort_unstable_by(|a, b| size(b).cmp(&size(a)).then(a.name.cmp(b.name)));
        groups
    }

    /// Whether a path is a source tree by its name, as flakes and fetchers leave it: `source`, or `NAME-source`.
    pub fn is_source(&self, node: NodeIdx) -> bool {
        let name = self.source_name(node);
        name == "source" || name.ends_with("-source")
    }

    /// The name of a path without its hash.
    pub fn source_name(&self, node: NodeIdx) -> &str {
        behind_hash(self.base_name(node))
    }

    /// The name of the package that a path counts to.
    pub fn package_name(&self, node: NodeIdx) -> &str {
        split_name(self.package(node)).0
    }

    /// The name of a path as its derivation has it: without hash, output and `.drv`.
    fn package(&self, node: NodeIdx) -> &str {
        let name = behind_hash(self.base_name(node));
        match at(&self.stems, node.0) {
            Some(stem) if stem > 0 => name.get(..usize::from(stem)).unwrap_or(name),
            _ => name,
        }
    }
}

/// How much of a path's name its derivation gave it; 0 when that is not known. Nix names an output `NAME` or `NAME-OUTPUT`.
pub(super) fn stem_length(base_name: &str, deriver: Option<&str>) -> u8 {
    let name = behind_hash(base_name);
    let stem = match deriver.and_then(|deriver| deriver.strip_suffix(".drv")) {
        Some(deriver) => Some(behind_hash(deriver)),
        None => name.strip_suffix(".drv"),
    };
    let stem = stem.filter(|stem| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| rest.is_empty() || rest == ".drv" || rest.starts_with('-'))
    });
    // A longer name than Nix allows is taken whole.
    stem.and_then(|stem| u8::try_from(stem.len()).ok())
        .unwrap_or(0)
}

/// The name behind the 32 characters of the hash and the dash; all of it where they are not there.
fn behind_hash(base_name: &str) -> &str {
    match base_name.split_at_checked(crate::domain::store_path::ENCODED_DIGEST_SIZE) {
        Some((_, rest)) => rest.strip_prefix('-').unwrap_or(base_name),
        None => base_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("hello-2.12", "hello", "2.12")]
    #[case("nix-prune", "nix-prune", "")]
    #[case("net-tools-1.60_p20170221182432", "net-tools", "1.60_p20170221182432")]
    #[case("python3.11-numpy-1.26", "python3.11-numpy", "1.26")]
    #[case("a--b", "a", "-b")]
    #[case("a-", "a-", "")]
    #[case("a-_b", "a", "_b")]
    #[case("-1", "", "1")]
    #[case("", "", "")]
    #[case("ä-ö-1", "ä", "ö-1")]
    fn names_are_split_where_nix_splits_them(
        #[case] name: &str,
        #[case] package: &str,
        #[case] version: &str,
    ) {
        assert_eq!(split_name(name), (package, version));
    }

    #[rstest]
    #[case("hello-2.12", None, 0)]
    #[case("hello-2.12.drv", None, 10)]
    #[case("hello-2.12", Some("hello-2.12.drv"), 10)]
    #[case("hello-2.12-dev", Some("hello-2.12.drv"), 10)]
    #[case("hello-2.12b", Some("hello-2.12.drv"), 0)]
    #[case("other", Some("hello-2.12.drv"), 0)]
    #[case("other", Some("not-a-derivation"), 0)]
    fn a_path_knows_what_its_derivation_called_it(
        #[case] name: &str,
        #[case] deriver: Option<&str>,
        #[case] length: u8,
    ) {
        let hashed = |name: &str| format!("{}-{name}", "0".repeat(32));
        assert_eq!(
            stem_length(&hashed(name), deriver.map(hashed).as_deref()),
            length
        );
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics(name: String, deriver: Option<String>) {
            let (package, version) = split_name(&name);
            proptest::prop_assert!(package.len() + version.len() <= name.len());
            stem_length(&name, deriver.as_deref());
        }
    }
}
