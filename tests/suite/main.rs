//! What cargo runs from outside. One binary; a module a subject.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unreachable
)]

mod support;

mod boot_menu;
mod browse;
mod budget;
mod cli;
mod collect;
mod completions;
mod config;
mod contrib;
mod database;
mod disk;
mod doctor;
mod due;
mod faults;
mod first_steps;
mod graph;
mod guards;
mod guide;
mod hostile;
mod journal;
mod kill;
mod layers;
mod leftovers;
mod limits;
mod main_job;
mod maintenance;
mod metrics;
mod nix_cli;
mod notices;
#[path = "../../src/engine/tests/snapshots.rs"]
mod plan;
mod profiles;
mod render;
mod retention;
mod runtime_roots;
mod safety;
mod screens;
mod serve;
mod settings;
mod store;
mod survey;
mod unit;
mod usage;
