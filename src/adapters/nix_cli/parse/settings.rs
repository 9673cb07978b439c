//! Parser for `nix config show`: one `NAME = VALUE` a line.

use crate::domain::graph::KeepFlags;

/// The two settings that decide what a live path keeps. `None` when one of them is missing or neither true nor false.
pub(in crate::adapters::nix_cli) fn keep_flags(text: &str) -> Option<KeepFlags> {
    let is_set = |name: &str| match value(text, name) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    Some(KeepFlags {
        derivations: is_set("keep-derivations")?,
        outputs: is_set("keep-outputs")?,
    })
}

/// The value of a setting. `None` when it is missing or there twice.
pub(in crate::adapters::nix_cli) fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut values = text.lines().filter_map(|line| {
        let (setting, value) = line.split_once('=')?;
        (setting.trim() == name).then_some(value.trim())
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("keep-derivations = true\nkeep-going = false\nkeep-outputs = false\n", Some((true, false)))]
    #[case("a = \nkeep-outputs = true\nkeep-derivations = false", Some((false, true)))]
    #[case("keep-outputs=true\r\nkeep-derivations=true\r\n", Some((true, true)))]
    #[case("keep-outputs = true\nkeep-derivations = yes\n", None)]
    #[case(
        "keep-outputs = true\nkeep-outputs = false\nkeep-derivations = true\n",
        None
    )]
    #[case("keep-outputs = true\n", None)]
    #[case("", None)]
    fn trap_24_the_keep_flags_are_told_or_unknown(
        #[case] text: &str,
        #[case] expected: Option<(bool, bool)>,
    ) {
        let told = keep_flags(text).map(|flags| (flags.derivations, flags.outputs));
        assert_eq!(told, expected);
    }

    #[rstest]
    #[case(
        "store = local?root=/a&b=c\nstore-dir = x\n",
        Some("local?root=/a&b=c")
    )]
    #[case("store = auto\nstore = daemon\n", None)]
    #[case("substituters = store\n", None)]
    fn the_store_is_read(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(value(text, "store"), expected);
    }
}
