//! Garbage collection of a Nix store by retention policy and disk budget, with undo.
//!
//! Observe, decide and act are three calls with plain data between them: a [`domain::snapshot::Snapshot`], a
//! [`domain::plan::Plan`], a [`domain::receipt::Receipt`].

// Tests make and remove files of their own.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::unreachable
    )
)]

pub mod adapters;
pub mod cli;
pub mod domain;
pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod operations;
pub mod ports;
pub mod render;
pub mod settings;
#[cfg(test)]
mod support;

// Tests that moved here name the crate as they did from outside.
#[cfg(test)]
extern crate self as nix_prune;
