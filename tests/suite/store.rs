//! The store engine against every real Nix: what is dead, what goes, what keeps a path.

// Helpers are not tests to clippy, but they fail like tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bytes;
mod commands;
mod differential;
mod world;
