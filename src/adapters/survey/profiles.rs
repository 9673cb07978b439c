//! Search for profiles, and detection of profiles with two names.

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::adapters::nix_dirs::NixDirs;
use crate::domain::blocker::CheckCode;
use crate::domain::note::NoteCode;
use crate::domain::profile::{Profile, ProfilePath};
use crate::domain::snapshot::Actor;

use super::SurveyContext;
use super::dirs::{DirHandle, FileId, reach};
use super::findings::roots_point;
use super::names::{resolve, shown};
use super::profile_dir::{DirKind, ProfileDir};
use super::roots::Roots;
use super::scan::{Scan, scan};

/// Directories nested deeper than this below `profiles` are not searched.
const DEEPEST: usize = 64;

/// The most names that root reads in the directories of one user. It limits the time and memory that one user can take
/// from everybody's run; no profile comes near it.
const MAX_NAMES_OF_A_USER: usize = 50_000;

/// The most directories that are searched only because of roots.
const MAX_REVEALED: usize = 1_000;

/// The profiles found so far, and their directories.
pub(super) struct Profiles<'a> {
    context: SurveyContext<'a>,
    /// The directories whose profiles are all known.
    dirs: BTreeMap<FileId, Utf8PathBuf>,
    found: BTreeMap<ProfilePath, Profile>,
    /// The number of names read in the directories of each user, except unlimited ones.
    names: BTreeMap<u32, usize>,
}

impl<'a> Profiles<'a> {
    pub(super) fn new(context: SurveyContext<'a>) -> Self {
        Self {
            context,
            dirs: BTreeMap::new(),
            found: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// All of them, in the order of their paths.
    pub(super) fn into_vec(self) -> Vec<Profile> {
        self.found.into_values().collect()
    }

    /// Everything in and below `$NIX_STATE_DIR/profiles`.
    pub(super) fn of_machine(&mut self, state: &DirHandle) {
        let dir = self.context.places.state_dir.join("profiles");
        match state.child(OsStr::new("profiles")) {
            Ok(place) => {
                let site = ProfileDir {
                    is_nix_own: true,
                    ..ProfileDir::new(place, dir, DirKind::Top)
                };
                self.descend(&site, 0);
            }
            // A store that was never used has none. If there was one, reading the roots reports that it is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable(&dir, &error),
        }
    }

    fn descend(&mut self, site: &ProfileDir, depth: usize) {
        if let Some(scan) = self.visit(site) {
            self.below(site, scan, depth);
        }
    }

    fn below(&mut self, site: &ProfileDir, scan: Scan, depth: usize) {
        for name in scan.directories {
            let path = site.dir.as_std_path().join(&name);
            let Some(utf8) = name.to_str() else {
                let error = io::Error::other("its name is not UTF-8");
                self.unreadable(&path, &error);
                continue;
            };
            if depth == DEEPEST {
                let what = format!("did not search for profiles in {}", shown(&path));
                self.context
                    .findings
                    .note(NoteCode::ProfilesNotSearched, what);
                continue;
            }
            let dir = site.dir.join(utf8);
            match site.place.child(&name) {
                Ok(place) => {
                    let is_users = site.role == DirKind::PerUser && site.place.uid() == 0;
                    let uid = place.uid();
                    let is_of_removed_user = is_users && self.context.is_removed(uid, utf8);
                    let below = ProfileDir {
                        is_nix_own: site.is_nix_own,
                        link: site.link.clone(),
                        is_of_removed_user,
                        ..ProfileDir::new(place, dir, site.role.below(utf8))
                    };
                    self.descend(&below, depth + 1);
                }
                // It disappeared after the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.unreadable(&dir, &error),
            }
        }
    }

    /// The profiles in homes: everybody's for root, the user's own otherwise. With `deep` also those in directories
    /// below the user's own, which are not user profiles by kind.
    pub(super) fn of_users(&mut self, deep: bool, roots: &Roots<'_>) {
        let places = self.context.places;
        let mut dirs: Vec<Utf8PathBuf> = places.own_profiles.clone().into_iter().collect();
        if self.context.actor == Actor::Root {
            let homes = self.context.users.homes();
            dirs.extend(homes.map(NixDirs::profiles_below));
        }
        let mut seen = BTreeSet::new();
        for dir in dirs {
            if !seen.insert(dir.clone()) {
                continue;
            }
            match self.reached(&dir, DirKind::OfUser) {
                Ok(Some(mut site)) => {
                    // For Nix, root's own are below `per-user`.
                    site.is_nix_own = self.context.actor != Actor::Root
                        && places.own_profiles.as_ref() == Some(&site.dir);
                    let scan = self.visit(&site);
                    if let (Some(scan), true, true) = (scan, deep, site.is_nix_own) {
                        site.role = DirKind::Revealed;
                        self.below(&site, scan, 0);
                    }
                }
                // Most users have no profile.
                Ok(None) => {}
                Err(error) => self.out_of_reach(&dir, &error, roots),
            }
        }
    }

    /// The directory that a way leads to, to be looked into; `None` where there is none.
    fn reached(&self, dir: &Utf8Path, role: DirKind) -> io::Result<Option<ProfileDir>> {
        let reached = reach(&self.context.users.real_path(dir))?;
        Ok(reached.map(|(place, link)| ProfileDir {
            link,
            ..ProfileDir::new(place, dir.to_path_buf(), role)
        }))
    }

    /// The profiles in and below the directory of the one that `~/.nix-profile` points to, or the same link in the
    /// state directory if `use-xdg-base-directories` moved it.
    pub(super) fn beside_own(&mut self) {
        let places = self.context.places;
        let home = places.home.as_ref().map(|home| home.join(".nix-profile"));
        let state = places.own_profiles.as_ref().and_then(|dir| dir.parent());
        let links = [home, state.map(|dir| dir.join("profile"))];
        let mut leads = links.into_iter().flatten().filter_map(|link| {
            let text = link.read_link_utf8().ok()?;
            let dir = link.parent()?.as_std_path();
            Utf8PathBuf::from_path_buf(resolve(dir, text.as_os_str())).ok()
        });
        let Some(dir) = leads
            .next()
            .and_then(|path| path.parent().map(Utf8Path::to_path_buf))
        else {
            return;
        };
        // A known directory was read with the rest of Nix's own, or by itself.
        match self.reached(&dir, DirKind::Revealed) {
            Ok(Some(mut site)) => {
                self.mark(site.place.id());
                site.is_nix_own = true;
                self.descend(&site, 0);
            }
            Ok(None) => {}
            Err(error) => self.report_unreadable(&dir, &error),
        }
    }

    /// Marks the profiles of a directory that was already read as Nix's own.
    fn mark(&mut self, dir: FileId) {
        if let Some(dir) = self.dirs.get(&dir) {
            let inside = self.found.values_mut().filter(|p| p.path.dir() == dir);
            inside.for_each(|profile| profile.is_nix_own = true);
        }
    }

    /// Refuses a directory that cannot be reached. A collection is refused only if roots point into it that are not
    /// found now: Nix would forget them.
    fn out_of_reach(&self, dir: &Utf8Path, error: &io::Error, roots: &Roots<'_>) {
        self.unreadable(dir, error);
        let real = self.context.users.real_path(dir);
        let below = |link: &&Path| link.starts_with(dir.as_std_path()) || link.starts_with(&real);
        let count = roots.in_gone_places().filter(below).count();
        if count > 0 {
            let (place, roots) = (shown(dir), roots_point(count));
            self.context.findings.refuse_away(
                dir.as_std_path(),
                format!("cannot reach {place}, and {roots} into it: {error}"),
                "mount or repair it; a garbage collection would remove these roots",
            );
        }
    }

    /// The profiles in other places that have generations among the roots.
    pub(super) fn revealed(&mut self, paths: &BTreeSet<ProfilePath>) {
        let known: BTreeSet<&Utf8Path> = self.dirs.values().map(Utf8PathBuf::as_path).collect();
        let mut names: BTreeMap<Utf8PathBuf, BTreeSet<String>> = BTreeMap::new();
        for path in paths {
            if !known.contains(path.dir()) && !self.found.contains_key(path) {
                let of_dir = names.entry(path.dir().to_path_buf()).or_default();
                of_dir.insert(path.name().to_string());
            }
        }
        if let Some(more) = names.len().checked_sub(MAX_REVEALED + 1) {
            let more = more + 1;
            let what = format!("did not search for profiles in {more} more directories");
            self.context
                .findings
                .note(NoteCode::ProfilesNotSearched, what);
        }
        for (dir, names) in names.into_iter().take(MAX_REVEALED) {
            let mut site = match self.reached(&dir, DirKind::Revealed) {
                Ok(Some(site)) => site,
                // The root itself reports that it points nowhere.
                Ok(None) => continue,
                Err(error) => {
                    self.report_unreadable(&dir, &error);
                    continue;
                }
            };
            if self.context.actor.may_act_for(site.place.uid()) {
                site.only = Some(names);
                self.visit(&site);
            }
        }
    }

    /// Adds the profiles of a directory, unless they are known under another name.
    fn visit(&mut self, site: &ProfileDir) -> Option<Scan> {
        if self.dirs.contains_key(&site.place.id()) {
            return None;
        }
        let names = match self.names(site) {
            Ok(names) => names?,
            Err(error) => {
                let ours = self.context.actor.may_act_for(site.place.uid());
                if site.role == DirKind::Revealed || !ours {
                    self.report_unreadable(&site.dir, &error);
                } else {
                    self.unreadable(&site.dir, &error);
                }
                return None;
            }
        };
        let mut scan = scan(self.context, site, names);
        if site.only.is_none() {
            self.dirs.insert(site.place.id(), site.dir.clone());
        }
        for profile in scan.profiles.drain(..) {
            let path = profile.path.clone();
            let known = self.found.entry(path).or_insert(profile);
            known.is_nix_own |= site.is_nix_own;
        }
        Some(scan)
    }

    /// The names in a directory; `None` where its owner has too many.
    fn names(&mut self, site: &ProfileDir) -> io::Result<Option<Vec<OsString>>> {
        let uid = site.place.uid();
        if self.context.actor != Actor::Root || uid == 0 {
            return site.place.names().map(Some);
        }
        let before = self.names.get(&uid).copied().unwrap_or_default();
        let left = MAX_NAMES_OF_A_USER.saturating_sub(before);
        let names = site.place.first_names(left.saturating_add(1))?;
        self.names.insert(uid, before.saturating_add(names.len()));
        Ok((names.len() <= left).then_some(names))
    }

    /// Blocks the profiles of users who have too many names in their directories. What was not read there is unknown,
    /// and affects nobody else.
    pub(super) fn block_too_many_names(&mut self) {
        let many = |(_, count): &(&u32, &usize)| **count > MAX_NAMES_OF_A_USER;
        let owners: Vec<u32> = self
            .names
            .iter()
            .filter(many)
            .map(|(uid, _)| *uid)
            .collect();
        for uid in owners {
            let name = shown(self.context.users.owner(uid).to_string());
            let why = format!(
                "{name} has more than {MAX_NAMES_OF_A_USER} names in profile directories; no profile of {name} is \
                 changed until there are fewer"
            );
            self.context
                .findings
                .note(NoteCode::ProfilesTooMany, why.clone());
            self.block(&why, |profile| profile.owner.uid == uid);
        }
    }

    /// Nothing is requested of it: profiles there are unknown, and therefore not changed.
    fn report_unreadable(&self, dir: &Utf8Path, error: &io::Error) {
        if self.context.actor == Actor::Root {
            let dir = shown(dir);
            let what = format!("did not search for profiles in {dir}: {error}");
            self.context
                .findings
                .note(NoteCode::ProfilesNotSearched, what);
        }
    }

    fn unreadable(&self, dir: impl AsRef<Path>, error: &io::Error) {
        let dir = dir.as_ref();
        self.context.findings.refuse_at(
            [dir],
            CheckCode::ProfileUnreadable,
            format!("cannot search for profiles in {}: {error}", shown(dir)),
            "make it readable; until then no profile in it is changed",
        );
    }

    /// The profile named by `path`, which may be another name of its directory.
    pub(super) fn known_name(&self, path: &ProfilePath) -> Option<ProfilePath> {
        if self.found.contains_key(path) {
            return Some(path.clone());
        }
        let (place, _) = reach(&self.context.users.real_path(path.dir())).ok()??;
        let dir = self.dirs.get(&place.id())?;
        let known = ProfilePath::new(&dir.join(path.name())).ok()?;
        self.found.contains_key(&known).then_some(known)
    }

    /// Every profile found.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.found.values()
    }

    /// Blocks every profile that `which` matches.
    pub(super) fn block(&mut self, why: &str, which: impl Fn(&Profile) -> bool) {
        for profile in self.found.values_mut().filter(|profile| which(profile)) {
            profile.blocked.get_or_insert_with(|| why.to_string());
        }
    }

    /// Whether a link is a generation of a known profile.
    pub(super) fn has_generation(&self, link: &Utf8Path) -> bool {
        super::names::profile_of_link(link).is_some_and(|path| self.found.contains_key(&path))
    }
}
