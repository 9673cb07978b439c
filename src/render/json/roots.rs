use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::Sizes;
use crate::domain::blocker::Blocker;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::profile::Owner;
use crate::domain::root::{GcRoot, RootKind, RootState};
use crate::domain::snapshot::Snapshot;
use crate::render::reason;

/// The garbage collector roots.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootsDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/roots/1"))]
    pub schema: &'static str,
    /// When the look began.
    pub taken_at: Timestamp,
    /// Every root.
    pub roots: Vec<RootDocument>,
    /// What could not be read.
    pub refusals: Vec<Blocker>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A root.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootDocument {
    /// The link that leads into the store; of what processes use, the first place that names it, as Nix calls it:
    /// `/proc/12/exe`, `{temp:12}`.
    pub link: String,
    /// The entry below `gcroots` that leads to the link; null for a direct root.
    pub entry: Option<String>,
    /// Whether the two names above are what the file system has, letter for letter.
    pub exact: bool,
    /// The text of the link, or the path that is used.
    pub target: Option<String>,
    /// Where it comes from.
    pub kind: RootKind,
    /// Whose link it is.
    pub owner: Option<Owner>,
    /// Whether it keeps something alive.
    pub state: StateDocument,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// The time of the link; null for what processes use.
    pub last_used: Option<Timestamp>,
    /// The size of its closure, by references; null where the store's database was not read.
    pub closure_bytes: Option<Bytes>,
    /// The size of what would be dead without its link, or if no process used it; null as above.
    pub only_here_bytes: Option<Bytes>,
}

/// Whether a root keeps something alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StateDocument {
    /// It leads to a store path that is there.
    Live,
    /// It leads nowhere.
    Dangling,
    /// It could not be looked at.
    Unreadable,
}

/// The roots of a snapshot, with what each costs where that is known.
pub fn roots(snapshot: &Snapshot, sizes: Option<&Sizes>) -> RootsDocument {
    let document = |root: &GcRoot| root_document(root, sizes);
    RootsDocument {
        schema: "nix-prune/roots/1",
        taken_at: snapshot.taken_at,
        roots: snapshot.roots.iter().map(document).collect(),
        refusals: snapshot.refusals.clone(),
        notes: snapshot.notes.clone(),
    }
}

fn root_document(root: &GcRoot, sizes: Option<&Sizes>) -> RootDocument {
    let size = sizes.map(|sizes| sizes.of_root(root));
    let size = size.unwrap_or_default();
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
        last_used: root.last_used,
        closure_bytes: size.closure,
        only_here_bytes: size.only_here,
    }
}
