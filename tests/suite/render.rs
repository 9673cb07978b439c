//! Documents and views, of a machine with a bit of everything.

// Helpers are not tests to clippy, but they fail like tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod browse;
mod documents;
pub(crate) mod metrics;
mod page;
mod sample;
mod views;

use std::path::{Path, PathBuf};

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a text with the file that is kept of it; `NIX_PRUNE_BLESS=1` writes the file anew.
pub(crate) fn assert_kept(path: &str, text: &str) {
    let file = source(path);
    if std::env::var_os("NIX_PRUNE_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{path}: {error}; NIX_PRUNE_BLESS=1 makes it"));
    assert_eq!(
        kept, text,
        "{path} is not current; look, then NIX_PRUNE_BLESS=1"
    );
}
