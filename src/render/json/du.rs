use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::{GroupBy, Usage, UsageRow};
use crate::domain::measure::Bytes;

/// What takes the room of the store.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/du/1"))]
    pub schema: &'static str,
    /// What it is divided by.
    pub by: GroupBy,
    /// The largest.
    pub rows: Vec<DuRowDocument>,
    /// How many there are beyond these.
    pub more: u64,
    /// What the store comes to.
    pub total: DuTotalDocument,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A root, profile, generation, user, package or path.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuRowDocument {
    /// What it is: a link, a profile, `PROFILE:N`, a user, a package, a path.
    pub name: String,
    /// How many paths: of the package, else of the closure.
    pub paths: u64,
    /// How many versions of the package; null for anything else.
    pub versions: Option<u64>,
    /// The size of the package's paths, or of the path; null for anything else.
    pub nar_bytes: Option<Bytes>,
    /// The size of the closure, by references; null for a package.
    pub closure_bytes: Option<Bytes>,
    /// The size of what would be dead without it; null for a package or path.
    pub only_here_bytes: Option<Bytes>,
    /// What deleting these paths, or what would be dead without it, frees on disk; null where it was not measured.
    pub disk_bytes: Option<Bytes>,
}

/// What a store comes to, by its own sizes.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuTotalDocument {
    /// How many valid paths.
    pub paths: u64,
    /// Their size.
    pub nar_bytes: Bytes,
    /// How many of them are dead.
    pub dead_paths: u64,
    /// The size of these.
    pub dead_nar_bytes: Bytes,
    /// What all of them take on disk; null where it was not measured.
    pub disk_bytes: Option<Bytes>,
    /// Whether `diskBytes` here and in the rows are only the most that is freed.
    pub disk_bytes_at_most: bool,
}

/// What takes the room, by the store's own sizes.
pub fn du(usage: &Usage, notes: Vec<String>) -> DuDocument {
    DuDocument {
        schema: "nix-prune/du/1",
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
    notes: Vec<String>,
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
        only_here_bytes: row.only_here,
        disk_bytes,
    }
}
