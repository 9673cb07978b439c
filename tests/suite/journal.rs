//! The journal on a real file system: records, lock, holds, pins, and what happens to them in a fault.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

mod faults;
mod holds;
mod pins;
mod prune;
mod reserve;
mod runs;
mod steps;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::journal::Journal;
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::receipt::Receipt;
use serde_json::json;
use tempfile::TempDir;

const SECOND: i64 = 1_795_385_804;

/// A journal in a directory that is not there yet, and the directory around it.
fn scratch() -> (TempDir, Utf8PathBuf, Journal) {
    // Whatever the umask is: root refuses a place that others may write to.
    let guard = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .unwrap();
    let around = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
    let journal = Journal::at(around.join("state"));
    (guard, around, journal)
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_unix(second, 0).unwrap()
}

/// A run that begins now and has nothing to do.
fn receipt(started_at: Timestamp) -> Receipt {
    serde_json::from_value(json!({
        "schema": "nix-prune/receipt/1", "run": "none", "kind": "run", "job": "daily", "toolVersion": "0.1.0",
        "nixVersion": "2.34.8", "machine": "m", "store": "/nix/store", "startedAt": started_at,
        "finishedAt": null, "entries": [], "bytes": {},
    }))
    .unwrap()
}

/// The base names in a directory, in order.
fn names(dir: &Utf8Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|name| name.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
