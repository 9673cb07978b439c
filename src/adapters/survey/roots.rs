//! Roots that are links or files, found by the rules of Nix's collector.
//!
//! Below `gcroots` and `profiles`, without following linked directories: a link whose target is in the store is a
//! root; any other link is followed exactly once, and its target must be a link into the store; a regular file
//! with the name of a store path is a root of that path. Unlike the collector, this removes nothing.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::profile::ProfilePath;
use crate::domain::root::{Dangling, GcRoot, RootKind, RootState};
use crate::domain::snapshot::Actor;
use crate::domain::store_path::StorePath;

use super::SurveyContext;
use super::dirs::{DirHandle, FileKind, Meta, metadata_of};
use super::found::{self, Found, Hidden};
use super::names::{Leads, leads, profile_of_link, resolve, shown, store_path_name};

/// The most nested directories that are open during a walk; deeper ones are reached again from the top.
const MAX_OPEN: usize = 64;

/// A directory that has not been walked yet.
struct Directory {
    path: PathBuf,
    depth: usize,
    above: Option<Rc<DirHandle>>,
}

impl Directory {
    /// Opens it, without following a link.
    fn open(&self, top: &DirHandle, top_path: &Path) -> io::Result<DirHandle> {
        let name = self.path.file_name().unwrap_or_default();
        if let Some(above) = &self.above {
            return above.child(name);
        }
        let below = self.path.strip_prefix(top_path).unwrap_or(&self.path);
        let mut steps = below.iter();
        let first = top.child(steps.next().unwrap_or_default())?;
        steps.try_fold(first, |place, step| place.child(step))
    }
}

/// The result of a walk over the roots.
pub(super) struct Roots<'a> {
    context: SurveyContext<'a>,
    /// `gcroots/auto`, where Nix has its entries.
    auto: Utf8PathBuf,
    /// The file systems that existed at the last run and are not mounted now.
    mounts_away: &'a [Utf8PathBuf],
    found: Vec<Found>,
    /// Every directory below `gcroots` and `profiles`.
    pub(super) directories: BTreeSet<Utf8PathBuf>,
    /// Roots that could not be read, with the reason.
    pub(super) unreadable: Vec<Hidden>,
    /// Links that only their owner may read; Nix does not see them either.
    pub(super) concealed: Vec<PathBuf>,
    /// Directories that could not be walked.
    pub(super) unwalked: Vec<Hidden>,
    /// Reasons why roots are hidden from everybody, perhaps including Nix: they always stop a collection.
    pub(super) hidden: Vec<Hidden>,
}

impl<'a> Roots<'a> {
    /// Walks `gcroots` and `profiles`.
    pub(super) fn walk(
        context: SurveyContext<'a>,
        state: &DirHandle,
        mounts_away: &'a [Utf8PathBuf],
    ) -> Self {
        let mut roots = Self {
            context,
            auto: context.places.state_dir.join("gcroots/auto"),
            mounts_away,
            found: Vec::new(),
            directories: BTreeSet::new(),
            unreadable: Vec::new(),
            concealed: Vec::new(),
            unwalked: Vec::new(),
            hidden: Vec::new(),
        };
        for name in ["gcroots", "profiles"] {
            roots.top(state, OsStr::new(name));
        }
        roots
    }

    fn top(&mut self, state: &DirHandle, name: &OsStr) {
        let path = self.context.places.state_dir.as_std_path().join(name);
        match (state.child(name), state.metadata(name)) {
            (Ok(place), _) => self.tree(place, &path),
            (Err(error), Ok(None)) if error.kind() == io::ErrorKind::NotFound => {
                // A store that was never used has neither. Nix makes both with its database, so if the database exists,
                // roots have vanished. If its place cannot be read, it may exist.
                let used = !matches!(state.metadata(OsStr::new("db")), Ok(None));
                if used && name == "gcroots" {
                    let what = format!("{} has vanished", shown(&path));
                    self.hidden.push(Hidden::everywhere(what));
                }
            }
            // The collector does not follow a link here, and neither does this: both would miss all roots.
            (Err(error), Ok(Some(meta))) if meta.kind != FileKind::Directory => {
                let why = format!("{} is not a directory: {error}", shown(&path));
                self.hidden.push(Hidden::everywhere(why));
            }
            (Err(error), _) => {
                self.is_there(&path);
                let what = format!("{}: {error}", shown(&path));
                self.unwalked.push(Hidden::everywhere(what));
            }
        }
    }

    /// Records a directory, whether readable or not. One whose name is not UTF-8 is not missed when it disappears.
    fn is_there(&mut self, path: &Path) {
        if let Some(path) = Utf8Path::from_path(path) {
            self.directories.insert(path.to_path_buf());
        }
    }

    /// Walks a directory and everything below it. However deep they are nested, few directories are open at a time.
    fn tree(&mut self, top: DirHandle, path: &Path) {
        let top = Rc::new(top);
        let mut ahead = Vec::new();
        self.directory(&top, path, 0, &mut ahead);
        while let Some(next) = ahead.pop() {
            match next.open(&top, path) {
                Ok(place) => {
                    self.directory(&Rc::new(place), &next.path, next.depth, &mut ahead);
                }
                // It disappeared after the directory above was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.is_there(&next.path);
                    let why = format_args!(": {error}");
                    self.unwalked.push(Hidden::at(&next.path, why));
                }
            }
        }
    }

    fn directory(
        &mut self,
        place: &Rc<DirHandle>,
        path: &Path,
        depth: usize,
        ahead: &mut Vec<Directory>,
    ) {
        self.is_there(path);
        let names = match place.names() {
            Ok(names) => names,
            Err(error) => {
                let why = format_args!(": {error}");
                return self.unwalked.push(Hidden::at(path, why));
            }
        };
        for name in names {
            let path = path.join(&name);
            match place.metadata(&name) {
                Ok(Some(meta)) if meta.kind == FileKind::Directory => ahead.push(Directory {
                    above: (depth < MAX_OPEN).then(|| Rc::clone(place)),
                    depth: depth + 1,
                    path,
                }),
                Ok(Some(meta)) => self.name(place, &name, path, meta),
                // It disappeared after the directory was read: Nix removes entries when it collects.
                Ok(None) => {}
                Err(error) => self.unreadable(Found::new(path), &error),
            }
        }
    }

    fn name(&mut self, place: &DirHandle, name: &OsStr, path: PathBuf, meta: Meta) {
        match meta.kind {
            FileKind::Link => match place.read_link(name) {
                Ok(text) => self.link(path, text, meta),
                // As above.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.unreadable(Found::new(path), &error),
            },
            FileKind::Regular => {
                if let Some(store_path) = store_path_name(name.as_encoded_bytes()) {
                    self.root(Found::new(path).with(meta), store_path);
                }
            }
            // A FIFO, socket or device is no root, and is not opened. A directory is walked by itself.
            FileKind::Directory | FileKind::Other => {}
        }
    }

    fn link(&mut self, path: PathBuf, text: OsString, meta: Meta) {
        match leads(&text, self.context.store.dir) {
            Leads::ToStorePath(store_path) => {
                self.root(Found::new(path).with(meta).with_target(text), store_path);
            }
            Leads::IntoStore => {
                let found = Found::new(path).with(meta).with_target(text);
                self.dangling(found, Dangling::NotARoot);
            }
            Leads::Elsewhere => {
                let dir = path.parent().unwrap_or(Path::new("/"));
                self.indirect(Found::indirect(resolve(dir, &text), path), meta);
            }
        }
    }

    /// Follows an entry once. The way there may lead through links, as the collector's does; the object at its end is
    /// examined and not followed.
    fn indirect(&mut self, mut found: Found, entry: Meta) {
        let link = match metadata_of(&found.link) {
            Ok(link) => link,
            Err(error) if self.is_hidden(&error) => return self.as_owner(found, &error),
            Err(error) => {
                return match self.why_gone(&found.link, &error) {
                    Ok(why) => {
                        // The owner of the missing link is unknown; that of the entry is not.
                        found.owner = Some(entry.uid);
                        self.dangling(found, why);
                    }
                    Err(error) => self.unreadable(found, &error),
                };
            }
        };
        found = found.with(link);
        if link.kind != FileKind::Link {
            return self.dangling(found, Dangling::NotARoot);
        }
        match fs::read_link(&found.link) {
            Ok(text) => self.followed(found, text.into_os_string()),
            // Another object took its place a moment ago; the next reading will show it.
            Err(error) => self.unreadable(found, &error),
        }
    }

    /// A link that was followed to: a root where it leads to a store path.
    fn followed(&mut self, found: Found, text: OsString) {
        match leads(&text, self.context.store.dir) {
            Leads::ToStorePath(store_path) => self.root(found.with_target(text), store_path),
            Leads::IntoStore | Leads::Elsewhere => {
                self.dangling(found.with_target(text), Dangling::NotARoot);
            }
        }
    }

    /// Whether root may not read what the owner of the place may read.
    fn is_hidden(&self, error: &io::Error) -> bool {
        self.context.actor == Actor::Root && error.kind() == io::ErrorKind::PermissionDenied
    }

    /// Reads a link that root may not read, with its owner's rights. Nix reads it as root, and then counts no root.
    #[cfg(target_os = "linux")]
    fn as_owner(&mut self, found: Found, denied: &io::Error) {
        match super::as_owner::read_link(&found.link) {
            Ok((link, text)) => {
                if let Leads::ToStorePath(_) = leads(&text, self.context.store.dir) {
                    self.concealed.push(found.link.clone());
                }
                self.followed(found.with(link), text);
            }
            // Its owner sees that it is gone; it keeps nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.dangling(found, Dangling::NotARoot);
            }
            Err(_) => self.unreadable(found, denied),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn as_owner(&mut self, found: Found, denied: &io::Error) {
        self.unreadable(found, denied);
    }

    /// Distinguishes a link that somebody removed from one whose place is away (trap 17): a home or disk that is not
    /// mounted.
    fn why_gone(&self, link: &Path, error: &io::Error) -> io::Result<Dangling> {
        match error.kind() {
            io::ErrorKind::NotADirectory => return Ok(Dangling::ParentMissing),
            io::ErrorKind::NotFound => {}
            // Every other error proves nothing about the link.
            kind => return Err(io::Error::new(kind, error.to_string())),
        }
        if self.mounts_away.iter().any(|at| link.starts_with(at)) {
            return Ok(Dangling::ParentMissing);
        }
        let dir = link.parent().unwrap_or(Path::new("/"));
        match fs::metadata(dir) {
            // An empty home may be the mount point of one that is not mounted.
            Ok(_)
                if self.context.users.is_home(dir) && self.context.users.may_be_unmounted(dir) =>
            {
                Ok(Dangling::ParentMissing)
            }
            Ok(found) if found.is_dir() => Ok(Dangling::LinkGone),
            Ok(_) => Ok(Dangling::ParentMissing),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Ok(Dangling::ParentMissing)
                }
                _ => Err(error),
            },
        }
    }

    fn root(&mut self, mut found: Found, path: StorePath<String>) {
        // The collector asks its database whether the path is valid, which happens in a later step here. An invalid
        // path on disk counts as live: that keeps too much, never too little.
        found.state = match self.context.store.has(&path) {
            Ok(true) => RootState::Live,
            Ok(false) => RootState::Dangling(Dangling::PathGone),
            Err(error) => return self.unreadable(found, &error),
        };
        found.store_path = Some(path);
        self.found.push(found);
    }

    fn dangling(&mut self, mut found: Found, why: Dangling) {
        // Links to a directory, such as `gcroots/profiles` of every machine, lead the collector on and are no roots;
        // only an entry of `gcroots/auto` was once meant to be one.
        if why == Dangling::NotARoot && found.entry.is_some() && !self.in_auto(&found) {
            return;
        }
        found.state = RootState::Dangling(why);
        self.found.push(found);
    }

    fn unreadable(&mut self, mut found: Found, error: &io::Error) {
        let why = format_args!(": {error}");
        self.unreadable.push(Hidden::at(&found.link, why));
        found.state = RootState::Unreadable(error.to_string());
        self.found.push(found);
    }

    fn in_auto(&self, found: &Found) -> bool {
        let dir = found.entry.as_deref().and_then(Path::parent);
        dir == Some(self.auto.as_std_path())
    }

    /// The profiles with generations among the entries of `gcroots/auto`, without holds.
    pub(super) fn reveals(&self, holds: &Utf8Path) -> BTreeSet<ProfilePath> {
        let in_auto = |found: &&Found| self.in_auto(found) && found.store_path.is_some();
        let links = self.found.iter().filter(in_auto);
        let links = links.filter_map(|found| Utf8Path::from_path(&found.link));
        let links = links.filter(|link| !link.starts_with(holds));
        links.filter_map(profile_of_link).collect()
    }

    /// The targets of entries in missing directories.
    pub(super) fn in_gone_places(&self) -> impl Iterator<Item = &Path> {
        let gone = RootState::Dangling(Dangling::ParentMissing);
        let found = self.found.iter().filter(move |found| found.state == gone);
        found.map(|found| found.link.as_path())
    }

    /// The targets of entries that do not exist.
    pub(super) fn missing_links(&self) -> impl Iterator<Item = &Path> {
        let found = self.found.iter().filter(|found| {
            matches!(
                found.state,
                RootState::Dangling(Dangling::ParentMissing | Dangling::LinkGone)
            )
        });
        found.map(|found| found.link.as_path())
    }

    /// The roots in the order of their links, each of them once.
    pub(super) fn into_vec(
        mut self,
        kind: impl Fn(&Utf8Path, Option<&Utf8Path>) -> RootKind,
    ) -> Vec<GcRoot> {
        let mut all = std::mem::take(&mut self.found);
        // The entry of `gcroots/auto` is kept, which is Nix's own.
        all.sort_by_key(|found| !self.in_auto(found));
        let all = found::once_each(all).into_iter();
        let mut roots: Vec<GcRoot> = all
            .map(|found| found.into_root(self.context.users, &kind))
            .collect();
        roots.sort_by(|a, b| (&a.link, &a.entry).cmp(&(&b.link, &b.entry)));
        roots
    }
}
