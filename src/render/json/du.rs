//! The document of `du --by GROUP --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::{GroupBy, Usage, UsageRow};
use crate::domain::measure::Bytes;
use crate::domain::note::Note;

/// Store disk usage.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/du/2"))]
    pub schema: &'static str,
    /// How the store is grouped.
    pub by: GroupBy,
    /// The largest rows.
    pub rows: Vec<DuRowDocument>,
    /// Number of rows not shown.
    pub more: u64,
    /// Totals of the store.
    pub total: DuTotalDocument,
    /// Notes.
    pub notes: Vec<Note>,
}

/// A root, profile, generation, user, package, path or group of source trees.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuRowDocument {
    /// Its name: a link, a profile, `PROFILE:N`, a user, a package, a path.
    pub name: String,
    /// Number of paths of the package or group, or of the closure.
    pub paths: u64,
    /// Number of versions of the package; null for anything else.
    pub versions: Option<u64>,
    /// The NAR size of the paths of the package or group, or of the path; null for anything else.
    pub nar_bytes: Option<Bytes>,
    /// The NAR size of the closure, by references; null for a package or source trees.
    pub closure_bytes: Option<Bytes>,
    /// The exclusive size: the NAR size of the paths that would be dead without it; null for a package or path.
    pub exclusive_bytes: Option<Bytes>,
    /// Number of dead trees among the source trees; null for anything else.
    pub dead_paths: Option<u64>,
    /// Their NAR size; null for anything else.
    pub dead_nar_bytes: Option<Bytes>,
    /// Disk space freed by deleting these paths, or the paths that would be dead without it; null if not measured.
    pub disk_bytes: Option<Bytes>,
}

/// Totals of a store, or of its source trees if it is grouped by them, in NAR sizes.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuTotalDocument {
    /// Number of valid paths.
    pub paths: u64,
    /// Their NAR size.
    pub nar_bytes: Bytes,
    /// Number of dead paths.
    pub dead_paths: u64,
    /// Their NAR size.
    pub dead_nar_bytes: Bytes,
    /// Disk usage of all paths; null if not measured.
    pub disk_bytes: Option<Bytes>,
    /// Whether `diskBytes` here and in the rows are upper bounds.
    pub disk_bytes_at_most: bool,
}

/// Store disk usage, in NAR sizes.
pub fn du(usage: &Usage, notes: Vec<Note>) -> DuDocument {
    DuDocument {
        schema: "nix-prune/du/2",
        by: usage.by,
        rows: usage.rows.iter().map(|row| document(row, None)).collect(),
        more: usage.more,
        total: DuTotalDocument {
            paths: usage.all.paths,
            nar_bytes: usage.all.nar_bytes,
            dead_paths: usage.dead.paths,
            dead_nar_bytes: usage.dead.nar_bytes,
            disk_bytes: None,
            disk_bytes_at_most: false,
        },
        notes,
    }
}

/// The `top` largest on disk, with what was measured of each row, and of all paths.
pub fn du_on_disk(
    usage: &Usage,
    disk: &[Bytes],
    (all, disk_bytes_at_most): (Option<Bytes>, bool),
    top: usize,
    notes: Vec<Note>,
) -> DuDocument {
    let sized = du(usage, notes);
    let disk = disk.iter().copied();
    let mut rows: Vec<_> = usage.rows.iter().zip(disk).collect();
    rows.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    let left_out = u64::try_from(rows.len().saturating_sub(top)).unwrap_or(u64::MAX);
    rows.truncate(top);
    DuDocument {
        rows: rows
            .into_iter()
            .map(|(row, bytes)| document(row, Some(bytes)))
            .collect(),
        more: usage.more.saturating_add(left_out),
        total: DuTotalDocument {
            disk_bytes: all,
            disk_bytes_at_most,
            ..sized.total
        },
        ..sized
    }
}

fn document(row: &UsageRow, disk_bytes: Option<Bytes>) -> DuRowDocument {
    DuRowDocument {
        name: row.name.clone(),
        paths: row.paths,
        versions: row.versions,
        nar_bytes: row.own,
        closure_bytes: row.closure,
        exclusive_bytes: row.exclusive,
        dead_paths: row.dead.map(|dead| dead.paths),
        dead_nar_bytes: row.dead.map(|dead| dead.nar_bytes),
        disk_bytes,
    }
}
