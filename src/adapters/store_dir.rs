//! What a name in the store directory may consist of, by its bytes.

use crate::domain::store_path::{ENCODED_DIGEST_SIZE, MAX_NAME_LEN};

/// Whether `text` is the base name of a store path: [`crate::domain::store_path::StorePath::from_base_name`] without
/// decoding the hash, for hundreds of thousands of names.
pub fn is_base_name(text: &str) -> bool {
    let Some((hash, rest)) = text.as_bytes().split_at_checked(ENCODED_DIGEST_SIZE) else {
        return false;
    };
    let Some((b'-', name)) = rest.split_first() else {
        return false;
    };
    let dots = |prefix: &[u8]| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.first().is_none_or(|&b| b == b'-'))
    };
    (1..=MAX_NAME_LEN).contains(&name.len())
        // Without a way out in the middle, so that the compiler checks many bytes at once.
        && hash.iter().fold(true, |valid, &b| valid & is_hash_byte(b))
        && name.iter().fold(true, |valid, &b| valid & is_name_byte(b))
        && !dots(b".")
        && !dots(b"..")
}

/// Nix's base 32: no `e`, `o`, `t`, `u`.
fn is_hash_byte(byte: u8) -> bool {
    let is_left_out = matches!(byte, b'e' | b'o' | b't' | b'u');
    (byte.is_ascii_digit() || byte.is_ascii_lowercase()) && !is_left_out
}

/// What Nix allows in a name.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'?' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::store_path::StorePathRef;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_quick_check_agrees_with_the_parser(
            text in "[0-9a-z]{30,33}-?[-a-zA-Z0-9+._?= /]{0,4}|[0-9a-df-np-sv-z]{32}-(\\.\\.?)?-?[-a-zA-Z0-9+._?=é]{0,215}",
        ) {
            prop_assert_eq!(is_base_name(&text), StorePathRef::from_base_name(&text).is_ok());
        }
    }
}
