//! Implementations of the ports: files, links, processes and the database.

#![allow(clippy::disallowed_types)]

pub mod boot;
pub mod clock;
pub mod collector;
pub mod daemon;
pub mod database;
pub mod derivation;
#[cfg(target_os = "linux")]
mod direct;
pub mod disk;
pub mod files;
pub mod http;
pub mod journal;
pub mod leftovers;
pub mod memo;
pub mod nix_cli;
pub mod nix_dirs;
pub mod notifier;
pub mod open_files;
pub mod plan_file;
pub mod process;
pub mod progress_counter;
pub mod projects;
mod rights;
pub mod runtime_roots;
pub mod scratch;
pub mod service_manager;
pub mod signals;
pub mod store;
pub mod store_dir;
pub mod survey;
pub mod system_info;
pub mod system_journal;
pub mod terminal;
mod threads;
