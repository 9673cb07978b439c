use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::inspection::{GroupBy, Usage, UsageRow};
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
}

/// What takes the room, with what was measured of each row.
pub fn du(usage: &Usage, disk: &[Option<Bytes>], notes: Vec<String>) -> DuDocument {
    let row = |(index, row): (usize, &UsageRow)| DuRowDocument {
        name: row.name.clone(),
        paths: row.paths,
        versions: row.versions,
        nar_bytes: row.own,
        closure_bytes: row.closure,
        only_here_bytes: row.only_here,
        disk_bytes: disk.get(index).copied().flatten(),
    };
    DuDocument {
        schema: "nix-prune/du/1",
        by: usage.by,
        rows: usage.rows.iter().enumerate().map(row).collect(),
        more: usage.more,
        total: DuTotalDocument {
            paths: usage.all.paths,
            nar_bytes: usage.all.nar_bytes,
            dead_paths: usage.dead.paths,
            dead_nar_bytes: usage.dead.nar_bytes,
        },
        notes,
    }
}
