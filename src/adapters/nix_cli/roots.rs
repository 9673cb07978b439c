//! Holds, and entries of `gcroots/auto`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use camino::{Utf8Component, Utf8Path};

use super::links::{Directory, Removal};
use super::{NixCli, failed};
use crate::adapters::files::is_there;
use crate::adapters::process::Account;
use crate::adapters::rights::with_rights_of;
use crate::domain::plan::{HoldFacts, RootFacts};
use crate::domain::profile::Owner;
use crate::domain::protected::ProtectedPaths;
use crate::domain::store_path::StorePath;
use crate::ports::{LinkState, PerformError, nth_link};

impl NixCli {
    pub(super) fn make_hold(
        &self,
        path: &StorePath<String>,
        link: &Utf8Path,
    ) -> Result<(), PerformError> {
        let what = || format!("holding {path}");
        let wrong = |why: &str| PerformError::Nix {
            what: what(),
            source: why.to_string().into(),
        };
        if !is_plain(link) {
            return Err(wrong("its link is not an absolute path without dots"));
        }
        // Nix would build a derivation, and fetch what is gone, instead of making it a root.
        if path.is_derivation() {
            return Err(wrong("it is a derivation"));
        }
        if !self.is_on_disk(path)? {
            return Err(PerformError::Stale(format!(
                "{path} is gone from the store"
            )));
        }
        self.add_roots(&[path], link, None)
            .map_err(|error| failed(what(), error))?;
        // Only what is seen counts: a root is a link to the path, and an entry that leads to the link.
        let expected = path.to_absolute_path(&self.places.store);
        let text = fs::read_link(link).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => wrong("nix exited successfully but created no link"),
            _ => cannot(format!("read {link}"), source),
        })?;
        if text.as_os_str() != expected.as_str() {
            return Err(wrong("its link points elsewhere"));
        }
        if !self.has_auto_root(link)? {
            return Err(wrong("its link has no entry in gcroots/auto"));
        }
        if !self.is_on_disk(path)? {
            return Err(wrong("it vanished in the meantime"));
        }
        Ok(())
    }

    /// Makes many holds with as few calls of Nix as their links allow. Each is checked as one made alone, and one that is
    /// not there after its call is made alone, which also names the reason where that fails.
    pub(super) fn make_holds(
        &self,
        holds: &[(&StorePath<String>, &Utf8Path)],
    ) -> Vec<Result<(), PerformError>> {
        let mut rest = holds;
        while let Some((_, first)) = rest.first() {
            let of_one_call = rest.iter().enumerate();
            let of_one_call =
                of_one_call.take_while(|(at, (_, link))| nth_link(first, *at) == **link);
            let (call, behind) = rest.split_at(of_one_call.count().max(1));
            rest = behind;
            let paths: Vec<&StorePath<String>> = call.iter().map(|(path, _)| *path).collect();
            // One that cannot be held would fail the call, or shift the names of the links behind it.
            let can_be_held = |path: &&StorePath<String>| {
                !path.is_derivation() && self.is_on_disk(path).unwrap_or(false)
            };
            if paths.len() > 1
                && is_plain(first)
                && paths.iter().all(can_be_held)
                && let Err(error) = self.add_roots(&paths, first, None)
            {
                tracing::debug!(%error, "holding one by one");
            }
        }
        let entries = self.auto_texts();
        let has_entry = |link: &Utf8Path| {
            let entries = entries.as_ref().ok();
            entries.is_some_and(|entries| entries.contains(link.as_str().as_bytes()))
        };
        let is_held = |path: &StorePath<String>, link: &Utf8Path| {
            let expected = path.to_absolute_path(&self.places.store);
            let leads = fs::read_link(link).is_ok_and(|text| text.as_os_str() == expected.as_str());
            leads && has_entry(link) && self.is_on_disk(path).unwrap_or(false)
        };
        let each = holds.iter().map(|&(path, link)| {
            if is_held(path, link) {
                Ok(())
            } else {
                self.make_hold(path, link)
            }
        });
        each.collect()
    }

    pub(super) fn remove_hold(&self, facts: &HoldFacts) -> Result<(), PerformError> {
        let link = &facts.link;
        let stale = |why: &str| PerformError::Stale(format!("{link} {why}"));
        let below_holds = link
            .parent()
            .is_some_and(|dir| dir.components().any(|part| part.as_str() == "holds"));
        let (true, true, Some(dir), Some(name)) =
            (is_plain(link), below_holds, link.parent(), link.file_name())
        else {
            return Err(stale("is not in the directory of holds"));
        };
        let failed = |source| cannot(format!("remove the hold {link}"), source);
        let Some(dir) = Directory::open(dir).map_err(failed)? else {
            return Ok(());
        };
        let expected = facts.store_path.to_absolute_path(&self.places.store);
        match dir.state(name, expected.as_str()).map_err(failed)? {
            LinkState::Gone => Ok(()),
            LinkState::Unchanged => match dir.unlink(name, Removal::Own) {
                // Somebody else released it in this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done.map_err(failed),
            },
            _ => Err(stale(&format!("is not the hold of {}", facts.store_path))),
        }
    }

    pub(super) fn hold_state(&self, facts: &HoldFacts) -> Result<LinkState, PerformError> {
        let link = &facts.link;
        let failed = |source| cannot(format!("look at the hold {link}"), source);
        let (Some(dir), Some(name)) = (link.parent(), link.file_name()) else {
            return Ok(LinkState::Different);
        };
        let Some(dir) = Directory::open(dir).map_err(failed)? else {
            return Ok(LinkState::Gone);
        };
        let expected = facts.store_path.to_absolute_path(&self.places.store);
        dir.state(name, expected.as_str()).map_err(failed)
    }

    pub(super) fn remove_dangling_root(
        &self,
        facts: &RootFacts,
        protected: &ProtectedPaths,
    ) -> Result<(), PerformError> {
        let (dir, name, account) = self.dir_of_entry(facts)?;
        match entry_state(&dir, name, facts)? {
            LinkState::Unchanged => {}
            LinkState::Gone => return Err(stale(facts, "no longer exists")),
            LinkState::Unfinished | LinkState::Different => {
                return Err(stale(facts, "now points elsewhere"));
            }
        }
        if link_is_there(facts)? {
            return Err(stale(facts, "points to a link that exists again"));
        }
        // A place that is gone may only be away: a home or disk that is not mounted (trap 17).
        let place = facts.link.parent().unwrap_or(&facts.link);
        if !fs::metadata(place).is_ok_and(|place| place.is_dir()) {
            return Err(stale(facts, "points to a directory that is gone"));
        }
        let failed = |source| cannot(format!("remove the root {}", facts.entry), source);
        let link = &facts.link;
        let remove = || dir.unlink(name, Removal::Root { link, protected });
        with_rights_of(account.as_ref(), remove).map_err(failed)?;
        // A build may have made the link again just now, and its entry before we removed it.
        if link_is_there(facts)? {
            match with_rights_of(account.as_ref(), || dir.link(name, facts.link.as_str())) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => return Err(stale(facts, "points to a link that exists again")),
            }
        }
        Ok(())
    }

    pub(super) fn root_state(&self, facts: &RootFacts) -> Result<LinkState, PerformError> {
        let (dir, name, _) = self.dir_of_entry(facts)?;
        entry_state(&dir, name, facts)
    }

    pub(super) fn restore_dangling_root(&self, facts: &RootFacts) -> Result<(), PerformError> {
        let (dir, name, account) = self.dir_of_entry(facts)?;
        match with_rights_of(account.as_ref(), || dir.link(name, facts.link.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(stale(facts, "is taken"))
            }
            done => done.map_err(|source| cannot(format!("make the root {}", facts.entry), source)),
        }
    }

    /// The directory of an entry, which is `gcroots/auto` or that of a user in `gcroots/per-user`, the entry's name, and with
    /// whose rights to act there.
    fn dir_of_entry<'f>(
        &self,
        facts: &'f RootFacts,
    ) -> Result<(Directory, &'f str, Option<Account>), PerformError> {
        let roots = self.places.state_dir.join("gcroots");
        let (true, Some(name), Some(path)) = (
            is_plain(&facts.entry) && is_plain(&facts.link),
            facts.entry.file_name(),
            facts.entry.parent(),
        ) else {
            return Err(stale(facts, "is not an absolute path without dots"));
        };
        let is_auto = *path == roots.join("auto");
        if !is_auto && path.parent() != Some(&roots.join("per-user")) {
            let why = format!("is not in {roots}/auto or {roots}/per-user");
            return Err(stale(facts, &why));
        }
        let failed = |source| cannot(format!("open {path}"), source);
        let Some(dir) = Directory::open(path).map_err(failed)? else {
            return Err(stale(facts, "has no directory any more"));
        };
        if is_auto {
            return Ok((dir, name, None));
        }
        let uid = dir.owner().map_err(failed)?;
        let account = self.account(&Owner { uid, name: None })?;
        Ok((dir, name, account))
    }

    /// Whether a store path is on disk, without following it.
    pub(super) fn is_on_disk(&self, path: &StorePath<String>) -> Result<bool, PerformError> {
        let path = path.to_absolute_path(&self.places.store);
        is_there(&path).map_err(|source| cannot(format!("look at {path}"), source))
    }

    /// Whether an entry of `gcroots/auto` leads to a link.
    pub(super) fn has_auto_root(&self, link: &Utf8Path) -> Result<bool, PerformError> {
        Ok(self.auto_texts()?.contains(link.as_str().as_bytes()))
    }

    /// What the entries of `gcroots/auto` say. The name of an entry is a hash whose form is Nix's business.
    fn auto_texts(&self) -> Result<HashSet<Vec<u8>>, PerformError> {
        let auto = self.places.state_dir.join("gcroots/auto");
        let failed = |source| cannot(format!("read {auto}"), source);
        let Some(dir) = Directory::open(&auto).map_err(failed)? else {
            return Ok(HashSet::new());
        };
        let names = dir.names().map_err(failed)?;
        let texts = names.iter().filter_map(|name| dir.text(name));
        Ok(texts.map(|text| text.as_bytes().to_vec()).collect())
    }
}

fn entry_state(dir: &Directory, name: &str, facts: &RootFacts) -> Result<LinkState, PerformError> {
    dir.state(name, facts.link.as_str())
        .map_err(|source| cannot(format!("look at {}", dir.path().join(name)), source))
}

fn link_is_there(facts: &RootFacts) -> Result<bool, PerformError> {
    is_there(&facts.link).map_err(|source| cannot(format!("look at {}", facts.link), source))
}

/// Whether a path is absolute and names every directory on its way, as Nix writes it into an entry.
fn is_plain(path: &Utf8Path) -> bool {
    let plain = |part| matches!(part, Utf8Component::RootDir | Utf8Component::Normal(_));
    path.is_absolute() && path.components().all(plain)
}

fn stale(facts: &RootFacts, what: &str) -> PerformError {
    PerformError::Stale(format!("the root {} {what}", facts.entry))
}

fn cannot(what: String, source: io::Error) -> PerformError {
    PerformError::File { what, source }
}
