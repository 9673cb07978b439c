//! A link into the store in a directory of its owner: how it looks, and making it again.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::links::{Directory, LinkEntry, Removal};
use super::{NixCli, failed};
use crate::adapters::process::Account;
use crate::adapters::rights::with_rights_of;
use crate::domain::measure::Timestamp;
use crate::domain::plan::{GenerationFacts, RootLinkFacts};
use crate::domain::profile::ProfileKind;
use crate::domain::store_path::StorePath;
use crate::ports::{LinkState, PerformError, RestoreMode};

/// What a record says of a link.
#[derive(Debug, Clone)]
pub(super) struct Recorded<'a> {
    /// Its name for messages.
    pub(super) title: String,
    /// Its path.
    pub(super) link: Utf8PathBuf,
    /// Its text.
    pub(super) target: &'a Utf8Path,
    /// The store path behind it.
    pub(super) store_path: &'a StorePath<String>,
    /// Its time.
    pub(super) time: Timestamp,
    /// Whether Nix counts it as a root where it is, without an entry in `gcroots/auto`.
    pub(super) is_root_itself: bool,
    /// The number of its owner; `None` for a generation, whose directory has an owner.
    pub(super) uid: Option<u32>,
}

impl<'a> From<&'a GenerationFacts> for Recorded<'a> {
    fn from(facts: &'a GenerationFacts) -> Self {
        Self {
            title: format!("generation {} of {}", facts.number, facts.profile),
            link: facts.profile.link(facts.number),
            target: &facts.target,
            store_path: &facts.store_path,
            time: facts.created,
            // It is below `profiles`. Nix may refuse the number of a removed user (`allowed-users`).
            is_root_itself: facts.profile_kind == ProfileKind::RemovedUser,
            uid: None,
        }
    }
}

impl<'a> From<&'a RootLinkFacts> for Recorded<'a> {
    fn from(facts: &'a RootLinkFacts) -> Self {
        Self {
            title: format!("the root {}", facts.link),
            link: facts.link.clone(),
            target: &facts.target,
            store_path: &facts.store_path,
            time: facts.made_at,
            is_root_itself: false,
            uid: Some(facts.owner.uid),
        }
    }
}

/// The link in its directory, which is kept open.
pub(super) struct OwnedLink<'a> {
    pub(super) facts: Recorded<'a>,
    /// With whose rights to act in it, if not with ours.
    account: Option<&'a Account>,
    pub(super) dir: Directory,
    name: String,
}

impl<'a> OwnedLink<'a> {
    /// A link in an open directory.
    pub(super) fn new(
        facts: Recorded<'a>,
        account: Option<&'a Account>,
        open: impl FnOnce(&Utf8Path) -> io::Result<Option<Directory>> + Send,
    ) -> Result<Self, PerformError> {
        let (Some(dir), Some(name)) = (facts.link.parent(), facts.link.file_name()) else {
            return Err(stale(&facts, "has no name"));
        };
        let name = name.to_string();
        match with_rights_of(account, || open(dir)) {
            Ok(Some(dir)) => Ok(Self {
                facts,
                account,
                dir,
                name,
            }),
            // Without the directory nothing is known: it may only be away, as a home that is not mounted is.
            Ok(None) => Err(stale(&facts, "has no directory any more")),
            Err(source) => Err(cannot("open the directory", &facts, source)),
        }
    }

    /// Does something to it with its owner's rights.
    pub(super) fn act<T: Send>(
        &self,
        what: &str,
        f: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, PerformError> {
        with_rights_of(self.account, f).map_err(|source| cannot(what, &self.facts, source))
    }

    pub(super) fn read(&self) -> Result<Option<LinkEntry>, PerformError> {
        let seen = self.dir.read(&self.name);
        seen.map_err(|source| cannot("read the link", &self.facts, source))
    }

    /// Whether a link has the text, the time and the owner of the record.
    pub(super) fn is_recorded(&self, seen: &LinkEntry) -> bool {
        let facts = &self.facts;
        let LinkEntry::Link { created, uid, .. } = seen else {
            return false;
        };
        seen.says(facts.target.as_str())
            && *created == Some(facts.time)
            && facts.uid.is_none_or(|owner| owner == *uid)
    }

    pub(super) fn state(&self) -> Result<LinkState, PerformError> {
        Ok(match self.read()? {
            None => LinkState::Gone,
            Some(seen) if self.is_recorded(&seen) => LinkState::Unchanged,
            Some(seen) if seen.says(self.facts.target.as_str()) => LinkState::Unfinished,
            Some(_) => LinkState::Different,
        })
    }

    pub(super) fn unlink(&self, removal: Removal<'_>) -> Result<(), PerformError> {
        self.act("remove the link", || self.dir.unlink(&self.name, removal))
    }
}

impl NixCli {
    /// Checks what can be known before a link is made again.
    pub(super) fn check_restorable(&self, facts: &Recorded<'_>) -> Result<(), PerformError> {
        let path = facts.store_path.to_absolute_path(&self.places.store);
        if path != *facts.target {
            return Err(stale(facts, "points to another store"));
        }
        // Nix would build a derivation instead of making it a root.
        if facts.store_path.is_derivation() {
            return Err(stale(facts, "points to a derivation"));
        }
        if !self.is_on_disk(facts.store_path)? {
            return Err(stale(facts, "cannot be restored: its store path is gone"));
        }
        Ok(())
    }

    /// Makes a link again, with what Nix's own have: an entry in `gcroots/auto`; and what this one had: its time.
    pub(super) fn restore_link(
        &self,
        link: &OwnedLink<'_>,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        let (facts, dir) = (&link.facts, &link.dir);
        // Making the link ourselves is what claims the name: this fails where there is anything, while Nix would replace
        // another link.
        let claimed = link.act("make the link", || {
            match dir.link(&link.name, facts.target.as_str()) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })?;
        if !claimed && mode == RestoreMode::Resume {
            // An interrupted undo left its link behind: a link to the same path is completed, and kept even if that
            // fails.
            if let Some(seen) = link.read()?
                && seen.says(facts.target.as_str())
            {
                return self.make_it_a_root(link);
            }
        }
        if !claimed {
            return Err(stale(facts, "cannot be restored: its name is taken"));
        }
        let done = self.make_it_a_root(link);
        if done.is_err() {
            // A link without a root or with a wrong time is worse than none: the hold still has its path.
            let ours = |seen: &LinkEntry| seen.says(facts.target.as_str());
            let removed = link.act("remove the link", || match dir.read(&link.name)? {
                Some(seen) if ours(&seen) => dir.unlink(&link.name, Removal::Own),
                _ => Ok(()),
            });
            if let Err(error) = removed {
                tracing::warn!(%error, link = %facts.link, "a link was left behind");
            }
        }
        done
    }

    fn make_it_a_root(&self, link: &OwnedLink<'_>) -> Result<(), PerformError> {
        let facts = &link.facts;
        let what = || format!("restoring {}", facts.title);
        if !facts.is_root_itself {
            self.add_roots(&[facts.store_path], &facts.link, link.account)
                .map_err(|error| failed(what(), error))?;
        }
        link.act("set the time of the link", || {
            link.dir.set_time(&link.name, facts.time)
        })?;
        match link.read()? {
            Some(seen) if link.is_recorded(&seen) => {}
            _ => return Err(wrong(what(), "the link has changed")),
        }
        if facts.is_root_itself || self.has_auto_root(&facts.link)? {
            Ok(())
        } else {
            Err(wrong(what(), "it has no entry in gcroots/auto"))
        }
    }
}

pub(super) fn stale(facts: &Recorded<'_>, what: &str) -> PerformError {
    PerformError::Stale(format!("{} {what}", facts.title))
}

pub(super) fn wrong(what: String, why: &str) -> PerformError {
    PerformError::Nix {
        what,
        source: why.to_string().into(),
    }
}

pub(super) fn cannot(what: &str, facts: &Recorded<'_>, source: io::Error) -> PerformError {
    PerformError::File {
        what: format!("{what} of {}", facts.title),
        source,
    }
}
