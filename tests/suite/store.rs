//! The store engine against every real Nix: what is dead, what goes, what keeps a path.

// Helpers are not tests to clippy, but they fail like tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod bytes;
mod commands;
mod daemon;
mod damage;
mod differential;
mod nix_config;
mod realised;
mod report;
mod world;

/// A number that a variable of the environment has, for longer runs.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}: {text} is no number")),
        Err(_) => default,
    }
}
