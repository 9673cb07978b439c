//! The survey, on trees of links made for each test. No Nix is needed: a state directory is links and little else.

// A helper that fails is a test that fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod flakes;
mod generations;
mod guards;
mod hostile;
mod losses;
mod missing;
mod previous_runs;
mod profiles;
mod rights;
mod roots;
mod tree;
