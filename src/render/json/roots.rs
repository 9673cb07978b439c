//! The document of `roots --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::Sizes;
use crate::domain::blocker::Blocker;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::Note;
use crate::domain::profile::Owner;
use crate::domain::root::{GcRoot, RootKind, RootState};
use crate::domain::root_use::{LastUse, LinkUse};
use crate::domain::snapshot::Snapshot;
use crate::render::reason;

/// The garbage collector roots.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootsDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/roots/2"))]
    pub schema: &'static str,
    /// When the snapshot was taken.
    pub taken_at: Timestamp,
    /// Every root.
    pub roots: Vec<RootDocument>,
    /// Failed safety checks.
    pub failed_checks: Vec<Blocker>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// A root.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootDocument {
    /// The link into the store; for a root of a process, the first place that names it, in the notation of Nix:
    /// `/proc/12/exe`, `{temp:12}`.
    pub link: String,
    /// The entry below `gcroots` that points to the link; null for a direct root.
    pub entry: Option<String>,
    /// Whether the two names above are exact; false if they are not UTF-8.
    pub exact: bool,
    /// Target of the link, or the path in use.
    pub target: Option<String>,
    /// Its kind.
    pub kind: RootKind,
    /// Owner of the link.
    pub owner: Option<Owner>,
    /// Its state.
    pub state: StateDocument,
    /// The problem, if there is one.
    pub problem: Option<String>,
    /// Modification time of the link; null for roots of processes.
    pub made_at: Option<Timestamp>,
    /// The last use of its link; null for kinds that no rule removes, and where it is not known.
    pub last_use: Option<LastUse>,
    /// A process that works in the project of the link.
    pub used_by_process: Option<u32>,
    /// Whether the project of the link is gone; null where its use is not known.
    pub project_gone: Option<bool>,
    /// The NAR size of its closure, by references; null if the store database was not read.
    pub closure_bytes: Option<Bytes>,
    /// Its exclusive size: the NAR size of the paths that would be dead without its link, or if no process used it; null as above.
    pub exclusive_bytes: Option<Bytes>,
}

/// State of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StateDocument {
    /// Its store path exists.
    Live,
    /// Its link or store path is gone.
    Dangling,
    /// It could not be read.
    Unreadable,
}

/// The roots of a snapshot, with what each costs where that is known.
pub fn roots(snapshot: &Snapshot, sizes: Option<&Sizes>) -> RootsDocument {
    let document = |root: &GcRoot| root_document(root, snapshot.uses.get(&root.link), sizes);
    RootsDocument {
        schema: "nix-prune/roots/2",
        taken_at: snapshot.taken_at,
        roots: snapshot.roots.iter().map(document).collect(),
        failed_checks: snapshot.blockers.clone(),
        notes: snapshot.notes.clone(),
    }
}

fn root_document(root: &GcRoot, seen: Option<&LinkUse>, sizes: Option<&Sizes>) -> RootDocument {
    let size = sizes.map(|sizes| sizes.of_root(root));
    let size = size.unwrap_or_default();
    let (seen, process) = match seen {
        Some(LinkUse::Seen(seen)) => (Some(seen), None),
        Some(LinkUse::Process(pid)) => (None, Some(*pid)),
        Some(LinkUse::Unknown(_)) | None => (None, None),
    };
    RootDocument {
        link: root.link.to_string(),
        entry: root.entry.as_ref().map(ToString::to_string),
        exact: root.exact,
        target: root.target.as_ref().map(ToString::to_string),
        kind: root.kind,
        owner: root.owner.clone(),
        state: match root.state {
            RootState::Live => StateDocument::Live,
            RootState::Dangling(_) => StateDocument::Dangling,
            RootState::Unreadable(_) => StateDocument::Unreadable,
        },
        problem: reason::state_problem(&root.state),
        made_at: root.made_at,
        last_use: seen.map(|seen| seen.last),
        used_by_process: process,
        project_gone: seen.map(|seen| seen.project_gone),
        closure_bytes: size.closure,
        exclusive_bytes: size.exclusive,
    }
}
