//! Removing and restoring a generation: check, act, check again.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;

use super::links::{Directory, LinkEntry, Removal};
use super::profile_lock::ProfileLock;
use super::{NixCli, failed};
use crate::adapters::derivation::is_derivation;
use crate::adapters::process::Account;
use crate::adapters::rights::with_rights_of;
use crate::domain::plan::GenerationFacts;
use crate::domain::profile::GenerationNumber;
use crate::ports::{LinkState, PerformError, RestoreMode};

impl NixCli {
    pub(super) fn remove_generation_of(&self, facts: &GenerationFacts) -> Result<(), PerformError> {
        let what = || format!("removing {}", name_of(facts));
        let account = self.account(&facts.owner)?;
        let generation = GenerationDir::open(facts, None)?;
        let before = generation.check_droppable()?;
        let ran = self.delete_generation(&facts.profile, facts.number, account.as_ref());
        // Its exit status says little: 0 for a number that was not there, and not 0 for one that is gone by now. Where
        // it is gone it must count as dropped, or nobody could undo it.
        match generation.link()? {
            Some(_) => {
                let error = ran.err().map(|error| failed(what(), error));
                return Err(error.unwrap_or_else(|| wrong(what(), "nix-env did not delete it")));
            }
            None => generation.check_the_others(&before)?,
        }
        if let Err(error) = ran {
            tracing::warn!(%error, "{} is gone, although nix-env failed", name_of(facts));
        }
        Ok(())
    }

    pub(super) fn generation_state(facts: &GenerationFacts) -> Result<LinkState, PerformError> {
        // Without the directory nothing is known: it may only be away, as a home that is not mounted is.
        Ok(match GenerationDir::open(facts, None)?.link()? {
            None => LinkState::Gone,
            Some(seen) if is_recorded(&seen, facts) => LinkState::Unchanged,
            Some(seen) if seen.says(facts.target.as_str()) => LinkState::Unfinished,
            Some(_) => LinkState::Different,
        })
    }

    pub(super) fn restore_generation_of(
        &self,
        facts: &GenerationFacts,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        let account = self.account(&facts.owner)?;
        self.check_restorable(facts)?;
        let generation = GenerationDir::open(facts, account.as_ref())?;
        generation.check_owner()?;
        let take = || ProfileLock::take(&generation.dir, facts.profile.name(), &*self.interrupt);
        let Some(lock) = generation.act("lock the profile", take)? else {
            let what = format!("restoring {}", name_of(facts));
            if self.interrupt.requested() {
                return Err(PerformError::Interrupted { what });
            }
            let source = "another Nix command has locked its profile".into();
            return Err(PerformError::TimedOut { what, source });
        };
        let done = self.restore_locked(&generation, mode);
        generation.act("unlock the profile", || {
            lock.release();
            Ok(())
        })?;
        done
    }

    /// Checks what can be known before anything is changed.
    fn check_restorable(&self, facts: &GenerationFacts) -> Result<(), PerformError> {
        let path = facts.store_path.to_absolute_path(&self.places.store);
        if path != facts.target {
            return Err(stale(facts, "points to another store"));
        }
        // Nix would build a derivation instead of making it a root.
        if is_derivation(&facts.store_path) {
            return Err(stale(facts, "is a derivation, not a generation"));
        }
        if !self.is_on_disk(&facts.store_path)? {
            return Err(stale(facts, "cannot be restored: its store path is gone"));
        }
        Ok(())
    }

    fn restore_locked(
        &self,
        generation: &GenerationDir<'_>,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        let (facts, dir) = (generation.facts, &generation.dir);
        let link = facts.profile.link_name(facts.number);
        // Making the link ourselves is what claims the number: this fails where there is anything, while Nix would
        // replace another generation's link.
        let claimed = generation.act("make the link", || {
            match dir.link(&link, facts.target.as_str()) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })?;
        if !claimed && mode == RestoreMode::Resume {
            // An interrupted undo left its link behind: a link to the same path is completed, and kept even if that
            // fails.
            if let Some(seen) = generation.link()?
                && seen.says(facts.target.as_str())
            {
                return self.make_it_a_generation(generation, &link);
            }
        }
        if !claimed {
            return Err(stale(facts, "cannot be restored: its number is taken"));
        }
        let done = self.make_it_a_generation(generation, &link);
        if done.is_err() {
            // Half a generation, without a root or with a wrong time, is worse than none: the hold still has it.
            let ours = |seen: &LinkEntry| seen.says(facts.target.as_str());
            let removed = generation.act("remove the link", || match dir.read(&link)? {
                Some(seen) if ours(&seen) => dir.unlink(&link, Removal::Own),
                _ => Ok(()),
            });
            if let Err(error) = removed {
                tracing::warn!(%error, %link, "a link was left behind");
            }
        }
        done
    }

    /// Gives the claimed link what Nix's own generations have: an entry in `gcroots/auto`; and what this one had: its
    /// time.
    fn make_it_a_generation(
        &self,
        generation: &GenerationDir<'_>,
        link: &str,
    ) -> Result<(), PerformError> {
        let facts = generation.facts;
        let what = || format!("restoring {}", name_of(facts));
        let path = facts.profile.link(facts.number);
        self.add_roots(&[&facts.store_path], &path, generation.account)
            .map_err(|error| failed(what(), error))?;
        generation.act("set the time of the link", || {
            generation.dir.set_time(link, facts.created)
        })?;
        match generation.link()? {
            Some(seen) if is_recorded(&seen, facts) => {}
            _ => return Err(wrong(what(), "the link has changed")),
        }
        if self.has_auto_root(&path)? {
            Ok(())
        } else {
            Err(wrong(what(), "it has no entry in gcroots/auto"))
        }
    }
}

/// A generation in the directory of its profile; the directory is kept open.
struct GenerationDir<'a> {
    facts: &'a GenerationFacts,
    /// With whose rights to act in it, if not with ours.
    account: Option<&'a Account>,
    dir: Directory,
}

impl<'a> GenerationDir<'a> {
    fn open(
        facts: &'a GenerationFacts,
        account: Option<&'a Account>,
    ) -> Result<Self, PerformError> {
        match with_rights_of(account, || Directory::open(facts.profile.dir())) {
            Ok(Some(dir)) => Ok(Self {
                facts,
                account,
                dir,
            }),
            Ok(None) => Err(stale(facts, "has no directory any more")),
            Err(source) => Err(cannot("open the directory", facts, source)),
        }
    }

    /// Does something to the generation's link with its owner's rights.
    fn act<T: Send>(
        &self,
        what: &str,
        f: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T, PerformError> {
        with_rights_of(self.account, f).map_err(|source| cannot(what, self.facts, source))
    }

    fn link(&self) -> Result<Option<LinkEntry>, PerformError> {
        let name = self.facts.profile.link_name(self.facts.number);
        let seen = self.dir.read(&name);
        seen.map_err(|source| cannot("read the link", self.facts, source))
    }

    fn current(&self) -> Result<Option<LinkEntry>, PerformError> {
        let seen = self.dir.read(self.facts.profile.name());
        seen.map_err(|source| cannot("read the current link", self.facts, source))
    }

    fn numbers(&self) -> Result<BTreeSet<GenerationNumber>, PerformError> {
        let names = self.dir.names();
        let names = names.map_err(|source| cannot("list the generations", self.facts, source))?;
        let number = |name: &OsString| self.facts.profile.number_of(name.to_str()?);
        Ok(names.iter().filter_map(number).collect())
    }

    fn check_owner(&self) -> Result<(), PerformError> {
        let facts = self.facts;
        let owner = self
            .dir
            .owner()
            .map_err(|source| cannot("read the owner of the directory", facts, source))?;
        if owner == facts.owner.uid {
            return Ok(());
        }
        let owners = format!("the user {owner}, not of {}", facts.owner);
        let found = format!("is now in a directory of {owners}");
        Err(stale(facts, &found))
    }

    /// Sees that everything is as the plan relied on; gives the numbers of the profile's generations.
    fn check_droppable(&self) -> Result<BTreeSet<GenerationNumber>, PerformError> {
        let facts = self.facts;
        self.check_owner()?;
        if facts.number == facts.current {
            return Err(stale(facts, "is the current one"));
        }
        // `nix-env` refuses the current generation, but only if it can determine that one (traps 5 and 12).
        let expected = facts.profile.link_name(facts.current);
        if !self.current()?.is_some_and(|seen| seen.says(&expected)) {
            let found = format!("belongs to a profile whose link is not {expected}");
            return Err(stale(facts, &found));
        }
        match self.link()? {
            None => return Err(stale(facts, "no longer exists")),
            Some(seen) if is_recorded(&seen, facts) => {}
            Some(_) => return Err(stale(facts, "has changed since the plan")),
        }
        let numbers = self.numbers()?;
        if numbers.contains(&facts.current) {
            return Ok(numbers);
        }
        let current = facts.current;
        let found =
            format!("belongs to a profile whose current generation {current} does not exist");
        Err(stale(facts, &found))
    }

    /// Sees that nothing went but the one, and that the profile still leads somewhere.
    fn check_the_others(&self, before: &BTreeSet<GenerationNumber>) -> Result<(), PerformError> {
        let facts = self.facts;
        let removed_more = |more| {
            let what = format!("removing {}", name_of(facts));
            Err(PerformError::RemovedMore { what, more })
        };
        let after = self.numbers()?;
        let lost = before.difference(&after);
        let lost = lost.filter(|&&number| number != facts.number);
        let lost: Vec<String> = lost.map(ToString::to_string).collect();
        if !lost.is_empty() {
            let lost = lost.join(", ");
            return removed_more(format!("this also removed the generations {lost}"));
        }
        let mut left = after.iter().map(|&number| facts.profile.link_name(number));
        // The user may have switched meanwhile; what matters is that the profile has a current generation.
        match self.current()? {
            Some(seen) if left.any(|link| seen.says(&link)) => Ok(()),
            _ => removed_more("the profile has lost its current generation".to_string()),
        }
    }
}

fn is_recorded(seen: &LinkEntry, facts: &GenerationFacts) -> bool {
    let then = Some(facts.created);
    seen.says(facts.target.as_str())
        && matches!(seen, LinkEntry::Link { created, .. } if *created == then)
}

fn name_of(facts: &GenerationFacts) -> String {
    format!("generation {} of {}", facts.number, facts.profile)
}

fn stale(facts: &GenerationFacts, what: &str) -> PerformError {
    PerformError::Stale(format!("{} {what}", name_of(facts)))
}

fn wrong(what: String, why: &str) -> PerformError {
    PerformError::Nix {
        what,
        source: why.to_string().into(),
    }
}

fn cannot(what: &str, facts: &GenerationFacts, source: io::Error) -> PerformError {
    PerformError::File {
        what: format!("{what} of {}", name_of(facts)),
        source,
    }
}
