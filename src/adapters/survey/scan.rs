//! One directory of profiles: its names grouped by profile.

mod profile;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;

use crate::domain::blocker::CheckCode;
use crate::domain::profile::{Profile, ProfilePath};

use super::SurveyContext;
use super::dirs::{FileKind, Meta};
use super::names::{generation_name, looks_like_a_generation, resolve, shown};
use super::profile_dir::ProfileDir;

/// The most odd names of one directory that are listed one by one.
const MAX_LISTED: usize = 10;

/// The content of a directory.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) profiles: Vec<Profile>,
    pub(super) directories: Vec<OsString>,
}

struct Entry {
    meta: Meta,
    /// The target, of a link.
    text: Option<OsString>,
}

struct Reading<'a> {
    context: SurveyContext<'a>,
    site: &'a ProfileDir,
    entries: BTreeMap<String, Entry>,
    odd: Vec<String>,
    /// Names that could not be read: no profile beside them may be changed then.
    trouble: Option<String>,
}

/// Examines the names of a directory.
pub(super) fn scan(context: SurveyContext<'_>, site: &ProfileDir, names: Vec<OsString>) -> Scan {
    let mut reading = Reading {
        context,
        site,
        entries: BTreeMap::new(),
        odd: Vec::new(),
        trouble: None,
    };
    let mut scan = Scan::default();
    for name in names {
        if let Some(directory) = reading.take(name) {
            scan.directories.push(directory);
        }
    }
    scan.profiles = reading.profiles();
    reading.report();
    scan
}

impl Reading<'_> {
    /// Examines one name; returns it if it is a directory.
    fn take(&mut self, name: OsString) -> Option<OsString> {
        let meta = match self.site.place.metadata(&name) {
            Ok(Some(meta)) => meta,
            // It disappeared after the directory was read: a removed generation, or a temporary link.
            Ok(None) => return None,
            Err(error) => {
                self.report_unreadable(&name, &error);
                return None;
            }
        };
        let Some(text) = name.to_str().map(ToString::to_string) else {
            if meta.kind != FileKind::Directory && self.site.only.is_none() {
                self.odd.push(shown(&name));
            }
            return (meta.kind == FileKind::Directory).then_some(name);
        };
        if !self.is_asked_for(&text) {
            return None;
        }
        let link = match meta.kind {
            FileKind::Link => match self.site.place.read_link(&name) {
                Ok(link) => Some(link),
                Err(error) => {
                    self.report_unreadable(&name, &error);
                    return None;
                }
            },
            _ => None,
        };
        self.entries.insert(text, Entry { meta, text: link });
        (meta.kind == FileKind::Directory).then_some(name)
    }

    fn is_asked_for(&self, name: &str) -> bool {
        let only = self.site.only.as_ref();
        only.is_none_or(|only| only.iter().any(|asked| name.starts_with(asked.as_str())))
    }

    fn report_unreadable(&mut self, name: &OsStr, error: &io::Error) {
        let path = self.site.dir.as_std_path().join(name);
        let why = || format!("cannot read {}: {error}", shown(&path));
        self.trouble.get_or_insert_with(why);
    }

    fn profiles(&mut self) -> Vec<Profile> {
        let names = self.profile_names();
        let mut profiles = Vec::new();
        for name in &names {
            if self
                .site
                .only
                .as_ref()
                .is_some_and(|only| !only.contains(name))
            {
                continue;
            }
            match ProfilePath::new(&self.site.dir.join(name)) {
                Ok(path) if path.dir() == self.site.dir && path.name() == name => {
                    profiles.push(self.profile(path));
                }
                // The path of another place must never replace this one.
                _ => self.odd.push(shown(name)),
            }
        }
        self.find_odd_names(&names);
        profiles
    }

    /// The profiles: names with generations, and links whose target says that they have some.
    fn profile_names(&self) -> BTreeSet<String> {
        let marks_profile = |name: &str| {
            self.entries
                .get(name)
                .is_some_and(|e| self.marks_profile(name, e))
        };
        let mut names: BTreeSet<String> = BTreeSet::new();
        for (name, entry) in &self.entries {
            if marks_profile(name) {
                names.insert(name.clone());
            }
            if entry.text.is_none() {
                continue;
            }
            // `.nix-profile-1-link` that points to `.nix-profile-1-link-7-link` is a profile; alone it does not make a
            // generation of `.nix-profile` as well (trap 7). Beside that profile's link, Nix reads it as one.
            if let Some((profile, _)) = generation_name(name)
                && (!marks_profile(name) || self.entries.contains_key(profile))
            {
                names.insert(profile.to_string());
            }
        }
        names
    }

    /// Whether the link marks a profile with generations beside it. A link to another profile, as root's `default` may
    /// be, is another name of that profile.
    fn marks_profile(&self, name: &str, entry: &Entry) -> bool {
        let Some(text) = entry.text.as_deref() else {
            return false;
        };
        let path = resolve(self.site.dir.as_std_path(), text);
        let generation = path.file_name().and_then(OsStr::to_str);
        path.parent() == Some(self.site.dir.as_std_path())
            && generation
                .and_then(generation_name)
                .is_some_and(|(of, _)| of == name)
    }

    fn find_odd_names(&mut self, profiles: &BTreeSet<String>) {
        for name in self.entries.keys() {
            let of_another = generation_name(name).is_some_and(|(of, _)| profiles.contains(of));
            if of_another || profiles.contains(name) {
                continue;
            }
            let mut prefixes = name.match_indices('-').filter_map(|(at, _)| name.get(..at));
            if prefixes.any(|p| profiles.contains(p) && looks_like_a_generation(p, name)) {
                self.odd.push(shown(name));
            }
        }
    }

    fn report(&mut self) {
        let findings = self.context.findings;
        let dir = shown(&self.site.dir);
        if let Some(trouble) = self.trouble.take() {
            findings.refuse_at(
                [&self.site.dir],
                CheckCode::ProfileUnreadable,
                trouble,
                "make it readable; until then no profile in its directory is changed",
            );
        }
        self.odd.sort();
        self.odd.dedup();
        let hint = "rename or remove it if it is not needed; nix-prune ignores it";
        for name in self.odd.iter().take(MAX_LISTED) {
            let message = format!("{dir}/{name} looks like a generation but is not one");
            findings.refuse(CheckCode::OddName, message, hint);
        }
        if let Some(more) = self.odd.len().checked_sub(MAX_LISTED + 1) {
            let message = format!(
                "{dir} has {} more names that look like generations",
                more + 1
            );
            findings.refuse(CheckCode::OddName, message, hint);
        }
    }
}
