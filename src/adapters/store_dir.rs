//! Names in the store directory, from one `readdir` without any `stat`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use camino::Utf8Path;

use crate::domain::store_path::{ENCODED_DIGEST_SIZE, MAX_NAME_LEN};

/// What a name in the store directory is, told by the name alone, as the collector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreName<'a> {
    /// A store path, registered or not. A build's `.lock`, `.chroot` or `.check` beside its output has this shape
    /// too, and the collector treats it as one.
    Path(&'a str),
    /// Nix's directory of hard links.
    Links,
    /// `tmp-…`: a build may be using it, and holds a lock on it while it does.
    Temporary(&'a OsStr),
    /// Anything else: a full collection deletes it, and so does even `nix-store --gc --print-dead`.
    Foreign(&'a OsStr),
}

impl<'a> StoreName<'a> {
    /// Classifies a name.
    pub fn of(name: &'a OsStr) -> Self {
        match name.to_str() {
            Some(".links") => Self::Links,
            Some(text) if is_base_name(text) => Self::Path(text),
            _ if name.as_bytes().starts_with(b"tmp-") => Self::Temporary(name),
            _ => Self::Foreign(name),
        }
    }
}

/// Calls `visit` with every name in the store directory, in the order of the file system.
///
/// # Errors
/// When the directory cannot be read to its end: what is missing would look deleted.
pub fn visit_names(dir: &Utf8Path, mut visit: impl FnMut(StoreName<'_>)) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        visit(StoreName::of(&entry?.file_name()));
    }
    Ok(())
}

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
    use rstest::rstest;

    const HASH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la";

    #[rstest]
    #[case(".links", StoreName::Links)]
    #[case("tmp-12-34", StoreName::Temporary(OsStr::new("tmp-12-34")))]
    #[case("junkfile", StoreName::Foreign(OsStr::new("junkfile")))]
    #[case("trash", StoreName::Foreign(OsStr::new("trash")))]
    #[case(".links2", StoreName::Foreign(OsStr::new(".links2")))]
    fn trap_33_names_that_are_no_store_paths_are_told_apart(
        #[case] name: &str,
        #[case] expected: StoreName<'_>,
    ) {
        assert_eq!(StoreName::of(OsStr::new(name)), expected);
    }

    #[rstest]
    #[case("")]
    #[case(".lock")]
    #[case(".drv.chroot")]
    #[case(".check")]
    fn trap_33_what_a_build_leaves_has_the_shape_of_a_store_path(#[case] suffix: &str) {
        let name = format!("{HASH}-hello{suffix}");
        assert_eq!(StoreName::of(OsStr::new(&name)), StoreName::Path(&name));
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_foreign() {
        let name = OsStr::from_bytes(b"\xff\xfe");
        assert_eq!(StoreName::of(name), StoreName::Foreign(name));
    }

    #[test]
    fn every_name_is_visited_and_none_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        fs::create_dir(path.join(".links")).unwrap();
        std::os::unix::fs::symlink("/nowhere", path.join(format!("{HASH}-a"))).unwrap();
        fs::write(path.join("junk"), "").unwrap();
        let mut seen = Vec::new();
        visit_names(path, |name| seen.push(format!("{name:?}"))).unwrap();
        seen.sort();
        let expected = [
            "Foreign(\"junk\")".to_string(),
            "Links".to_string(),
            format!("Path(\"{HASH}-a\")"),
        ];
        assert_eq!(seen, expected);
        assert!(visit_names(&path.join("absent"), |_| ()).is_err());
    }

    proptest! {
        #[test]
        fn the_quick_check_agrees_with_the_parser(
            text in "[0-9a-z]{30,33}-?[-a-zA-Z0-9+._?= /]{0,4}|[0-9a-df-np-sv-z]{32}-(\\.\\.?)?-?[-a-zA-Z0-9+._?=é]{0,215}",
        ) {
            prop_assert_eq!(is_base_name(&text), StorePathRef::from_base_name(&text).is_ok());
        }
    }
}
