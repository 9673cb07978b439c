//! Rules for GC roots: which links of users are removed, by kind, place, owner, age and use.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::job::PathPatterns;
use super::measure::{Span, Timestamp};
use super::retention::Reason;
use super::root::{GcRoot, RootKind};
use super::root_use::{LastUse, LinkUse};

/// One rule. It fits a root if everything that it names is true of the root.
#[derive(Debug, Clone, Default)]
pub struct RootRule {
    /// The kind of root.
    pub kind: Option<RootKind>,
    /// A pattern for the link.
    pub pattern: Option<PathPatterns>,
    /// The owner of the link, by name or number.
    pub owner: Option<String>,
    /// It was not used for this long.
    pub unused_for: Option<Span>,
    /// Its link was made this long ago.
    pub older_than: Option<Span>,
    /// So many newer links of its kind are in its directory.
    pub keep_latest: Option<u16>,
    /// Its project is gone.
    pub project_gone: bool,
    /// What becomes of a root that it fits.
    pub verdict: RuleVerdict,
}

/// What becomes of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleVerdict {
    /// It is kept, whatever the rules after this one say.
    Keep,
    /// It is removed.
    #[default]
    Remove,
}

/// A text that is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither keep nor remove")]
pub struct NotAVerdict;

impl std::str::FromStr for RuleVerdict {
    type Err = NotAVerdict;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "keep" => Ok(Self::Keep),
            "remove" => Ok(Self::Remove),
            _ => Err(NotAVerdict),
        }
    }
}

/// The number of a rule, from 1 in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(schemars::JsonSchema)]
pub struct RuleNumber(pub u16);

/// A root with what rules ask about it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The root.
    pub root: &'a GcRoot,
    /// Its use.
    pub used: &'a LinkUse,
    /// How many links of its kind in its directory are newer.
    pub newer: usize,
}

/// The rule that removes a root, and what it relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The rule.
    pub rule: RuleNumber,
    /// The last use.
    pub last_use: LastUse,
    /// Whether the project is gone.
    pub project_gone: bool,
}

/// Whether rules may remove roots of this kind. Generations have rules of their own; links of the system, of processes and of
/// holds are not their users' to forget, and `current-home` keeps a home alive (trap 23).
pub fn may_be_removed(kind: RootKind) -> bool {
    RULED_KINDS.contains(&kind)
}

/// The kinds that rules may name.
pub const RULED_KINDS: [RootKind; 6] = [
    RootKind::Result,
    RootKind::Direnv,
    RootKind::Devenv,
    RootKind::Lorri,
    RootKind::NixShell,
    RootKind::Other,
];

/// Finds the first rule that fits.
///
/// # Errors
/// The reasons to keep the root: its use is not known, a rule keeps it, or what each rule for it asks for and is not so.
pub fn judge(
    candidate: Candidate<'_>,
    rules: &[RootRule],
    now: Timestamp,
) -> Result<Match, Vec<Reason>> {
    let seen = match candidate.used {
        LinkUse::Unknown(why) => return Err(vec![Reason::UseUnknown(why.clone())]),
        LinkUse::Process(pid) => return Err(vec![Reason::InUse { pid: *pid }]),
        LinkUse::Seen(seen) => seen,
    };
    if candidate.root.made_at.is_none_or(|made| made > now) {
        return Err(vec![Reason::FutureTimestamp]);
    }
    let mut reasons = Vec::new();
    for (rule, number) in rules.iter().zip(1..) {
        if !rule.is_for(candidate.root) {
            continue;
        }
        match (
            rule.misses(candidate, seen.last, seen.project_gone, now),
            rule.verdict,
        ) {
            (None, RuleVerdict::Keep) => return Err(vec![Reason::RuleKeepsIt(RuleNumber(number))]),
            (None, RuleVerdict::Remove) if seen.elsewhere && rule.pattern.is_none() => {
                return Err(vec![Reason::OtherFileSystem]);
            }
            (None, RuleVerdict::Remove) if seen.out_of_reach => {
                return Err(vec![Reason::OutOfReach]);
            }
            (None, RuleVerdict::Remove) => {
                return Ok(Match {
                    rule: RuleNumber(number),
                    last_use: seen.last,
                    project_gone: seen.project_gone,
                });
            }
            (Some(reason), RuleVerdict::Remove) => reasons.push(reason),
            (Some(_), RuleVerdict::Keep) => {}
        }
    }
    if reasons.is_empty() {
        reasons.push(Reason::NotSelected);
    }
    Err(reasons)
}

impl RootRule {
    /// Whether it is about the root, whatever the age of that is.
    fn is_for(&self, root: &GcRoot) -> bool {
        let is_owner = |name: &String| {
            let owner = root.owner.as_ref();
            owner.is_some_and(|it| it.is_called(name))
        };
        let patterns = self.pattern.as_ref();
        self.kind.is_none_or(|kind| kind == root.kind)
            && patterns.is_none_or(|patterns| patterns.matches(&root.link))
            && self.owner.as_ref().is_none_or(is_owner)
    }

    /// The first thing that it asks for and that is not so.
    fn misses(
        &self,
        candidate: Candidate<'_>,
        last: LastUse,
        project_gone: bool,
        now: Timestamp,
    ) -> Option<Reason> {
        if self.project_gone && !project_gone {
            return Some(Reason::ProjectExists);
        }
        if let Some(span) = self.unused_for
            && last.at >= now.before(span)
        {
            return Some(Reason::UsedWithin { span, last });
        }
        if let Some(span) = self.older_than
            && candidate
                .root
                .made_at
                .is_none_or(|made| made >= now.before(span))
        {
            return Some(Reason::MadeWithin(span));
        }
        if let Some(latest) = self.keep_latest
            && candidate.newer < usize::from(latest)
        {
            return Some(Reason::LatestInDirectory(latest));
        }
        None
    }

    /// Whether it asks for anything but kind, place and owner. Without that it removes what was made a moment ago.
    pub fn has_condition(&self) -> bool {
        self.unused_for.is_some_and(|span| !span.is_zero())
            || self.older_than.is_some_and(|span| !span.is_zero())
            || self.keep_latest.is_some_and(|latest| latest > 0)
            || self.project_gone
    }
}

/// Where the newer links of a kind are counted: in the directory of a link.
pub fn directory(root: &GcRoot) -> Option<(RootKind, &Utf8Path)> {
    Some((root.kind, root.link.parent()?))
}

/// The directory of the project that a link belongs to: where `.direnv` or `.devenv` is, or the directory of the link.
pub fn project(link: &Utf8Path) -> Option<Utf8PathBuf> {
    let of_tool = link
        .ancestors()
        .skip(1)
        .find(|dir| matches!(dir.file_name(), Some(".direnv" | ".devenv")));
    of_tool.unwrap_or(link).parent().map(Utf8Path::to_path_buf)
}

#[cfg(test)]
mod tests;
