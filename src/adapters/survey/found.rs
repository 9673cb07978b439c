//! A root as found, before its kind is known, and what hides roots.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use camino::Utf8Path;

use crate::domain::measure::Timestamp;
use crate::domain::root::{Dangling, GcRoot, RootKind, RootState};
use crate::domain::store_path::StorePath;

use super::dirs::Meta;
use super::names::{lossy, shown};
use super::users::Users;

/// A root, with names as the file system has them.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) link: PathBuf,
    pub(super) entry: Option<PathBuf>,
    target: Option<OsString>,
    pub(super) store_path: Option<StorePath<String>>,
    pub(super) owner: Option<u32>,
    pub(super) state: RootState,
    made_at: Option<Timestamp>,
}

impl Found {
    /// A name below `gcroots` or `profiles` that holds nothing, as far as is known yet.
    pub(super) fn new(link: PathBuf) -> Self {
        Self {
            link,
            entry: None,
            target: None,
            store_path: None,
            owner: None,
            state: RootState::Dangling(Dangling::NotARoot),
            made_at: None,
        }
    }

    /// A link that `entry` points to.
    pub(super) fn indirect(link: PathBuf, entry: PathBuf) -> Self {
        Self {
            entry: Some(entry),
            ..Self::new(link)
        }
    }

    /// The same with the link's owner and time.
    pub(super) fn with(self, link: Meta) -> Self {
        Self {
            owner: Some(link.uid),
            made_at: Some(link.modified),
            ..self
        }
    }

    /// The same with the link's target.
    pub(super) fn with_target(self, text: OsString) -> Self {
        Self {
            target: Some(text),
            ..self
        }
    }

    /// The root.
    pub(super) fn into_root(
        self,
        users: &Users,
        kind: impl Fn(&Utf8Path, Option<&Utf8Path>) -> RootKind,
    ) -> GcRoot {
        let mut exact = true;
        let mut text = |path: PathBuf| {
            let (path, same) = lossy(path);
            exact &= same;
            path
        };
        let link = text(self.link);
        let entry = self.entry.map(&mut text);
        let target = self.target.map(|target| text(PathBuf::from(target)));
        GcRoot {
            kind: kind(&link, entry.as_deref()),
            link,
            entry,
            exact,
            target,
            store_path: self.store_path,
            owner: self.owner.map(|uid| users.owner(uid)),
            state: self.state,
            made_at: self.made_at,
        }
    }
}

/// An existing link is one root, however many entries point to it: the first of them is kept. If the link is gone, each entry is
/// a root of its own, because only the entries can be removed.
pub(super) fn once_each(mut all: Vec<Found>) -> Vec<Found> {
    let direct = all.iter().filter(|found| found.entry.is_none());
    let mut seen: HashSet<PathBuf> = direct.map(|found| found.link.clone()).collect();
    let gone = [Dangling::LinkGone, Dangling::ParentMissing].map(RootState::Dangling);
    all.retain(|found| {
        let is_gone = gone.contains(&found.state) && !seen.contains(&found.link);
        found.entry.is_none() || is_gone || seen.insert(found.link.clone())
    });
    all
}

/// A place that hides roots.
#[derive(Debug, Clone)]
pub(super) struct Hidden {
    /// The root or the directory; `None` if it hides everybody's roots.
    pub(super) place: Option<PathBuf>,
    /// Its description, with the reason.
    pub(super) what: String,
}

impl Hidden {
    pub(super) fn at(place: &Path, why: impl std::fmt::Display) -> Self {
        Self {
            place: Some(place.to_path_buf()),
            what: format!("{}{why}", shown(place)),
        }
    }

    pub(super) fn everywhere(what: String) -> Self {
        Self { place: None, what }
    }
}
