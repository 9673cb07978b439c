//! Profiles that the settings name by path.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use crate::domain::blocker::CheckCode;
use crate::domain::nearest::nearest;
use crate::domain::note::NoteCode;
use crate::domain::profile::ProfilePath;

use super::super::dirs::FileId;
use super::super::names::{generation_name, shown};
use super::super::profile_dir::DirKind;
use super::super::roots::Roots;
use super::Profiles;

impl Profiles<'_> {
    /// The profiles that the settings name by path.
    pub(in super::super) fn asked_for(&mut self, paths: &[Utf8PathBuf], roots: &Roots<'_>) {
        for path in paths {
            let Ok(profile) = ProfilePath::new(&path.components().collect::<Utf8PathBuf>()) else {
                let path = shown(path);
                self.context.findings.refuse(
                    CheckCode::ProfileAbsent,
                    format!("there is no profile {path}: this is not an absolute path"),
                    "correct its path in the settings, or remove it from them",
                );
                continue;
            };
            if self.found.contains_key(&profile) {
                continue;
            }
            match self.reached(profile.dir(), DirKind::Asked) {
                Ok(Some(site)) if self.dirs.contains_key(&site.place.id()) => {
                    if !self.block_other_name(&profile, site.place.id()) {
                        self.absent(&profile);
                    }
                }
                Ok(Some(mut site)) => {
                    site.only = Some(BTreeSet::from([profile.name().to_string()]));
                    self.visit(&site);
                    if !self.found.contains_key(&profile) {
                        self.absent(&profile);
                    }
                }
                Ok(None) => self.absent(&profile),
                Err(error) => self.out_of_reach(profile.dir(), &error, roots),
            }
        }
    }

    /// Refuses a missing profile, and names the one that was perhaps meant.
    fn absent(&self, asked: &ProfilePath) {
        let path = asked.to_path();
        let correct = "correct its path in the settings, or remove it from them";
        let hint = match self.nearest_profile(asked) {
            Some(meant) => format!("did you mean {}? {correct}", shown(meant.to_path())),
            None => correct.to_string(),
        };
        let message = format!("there is no profile {}", shown(&path));
        let (places, code) = ([path], CheckCode::ProfileAbsent);
        self.context
            .findings
            .refuse_at(places, code, message, &hint);
    }

    /// The profile with nearly this name in the same directory, or with the same name in another.
    fn nearest_profile(&self, asked: &ProfilePath) -> Option<&ProfilePath> {
        // People also copy the name of a generation.
        let name = generation_name(asked.name()).map_or(asked.name(), |(profile, _)| profile);
        let beside = || self.found.keys().filter(|path| path.dir() == asked.dir());
        let near = nearest(name, beside().map(ProfilePath::name));
        let near = beside().find(|path| Some(path.name()) == near);
        near.or_else(|| self.found.keys().find(|path| path.name() == name))
    }

    /// Settings for a profile by another name would be ignored, including pins: nothing of it is changed then.
    fn block_other_name(&mut self, asked: &ProfilePath, dir: FileId) -> bool {
        let known = self.dirs.get(&dir).map(|dir| dir.join(asked.name()));
        let known = known.and_then(|path| ProfilePath::new(&path).ok());
        let Some(profile) = known.and_then(|known| self.found.get_mut(&known)) else {
            return false;
        };
        let (asked, path) = (shown(asked.to_path()), shown(profile.path.to_path()));
        let why = format!("the settings name {path} as {asked}; use {path} instead");
        self.context
            .findings
            .note(NoteCode::ProfileOtherName, why.clone());
        profile.blocked.get_or_insert(why);
        true
    }
}
