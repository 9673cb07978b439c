//! Removing and restoring a generation: check, act, check again.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::links::{Directory, LinkEntry, Removal};
use super::owned_link::{OwnedLink, cannot, stale, wrong};
use super::profile_lock::ProfileLock;
use super::{NixCli, failed};
use crate::adapters::process::Account;
use crate::domain::plan::GenerationFacts;
use crate::domain::profile::{GenerationNumber, ProfileKind};
use crate::ports::{LinkState, PerformError, RestoreMode};

impl NixCli {
    pub(super) fn remove_generation_of(&self, facts: &GenerationFacts) -> Result<(), PerformError> {
        if facts.profile_kind == ProfileKind::RemovedUser {
            // The account may have come back since the plan was checked.
            let Some(number) = self.removed_user(facts) else {
                return Err(stale(&facts.into(), "belongs to a user who has an account"));
            };
            return remove_of_removed_user(facts, &number);
        }
        let account = self.account_of(facts)?;
        let generation = GenerationDir::open(facts, None)?;
        let title = &generation.link.facts.title;
        let what = || format!("removing {title}");
        let before = generation.check_droppable()?;
        let ran = self.delete_generation(&facts.profile, facts.number, account.as_ref());
        // Its exit status says little: 0 for a number that was not there, and not 0 for one that is gone by now. Where
        // it is gone it must count as dropped, or nobody could undo it.
        match generation.link.read()? {
            Some(_) => {
                let error = ran.err().map(|error| failed(what(), error));
                return Err(error.unwrap_or_else(|| wrong(what(), "nix-env did not delete it")));
            }
            None => generation.check_the_others(&before)?,
        }
        if let Err(error) = ran {
            tracing::warn!(%error, "{title} is gone, although nix-env failed");
        }
        Ok(())
    }

    pub(super) fn generation_state(facts: &GenerationFacts) -> Result<LinkState, PerformError> {
        GenerationDir::open(facts, None)?.link.state()
    }

    pub(super) fn restore_generation_of(
        &self,
        facts: &GenerationFacts,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        let account = self.account_of(facts)?;
        self.check_restorable(&facts.into())?;
        let generation = GenerationDir::open(facts, account.as_ref())?;
        generation.check_owner()?;
        let link = &generation.link;
        let take = || ProfileLock::take(&link.dir, facts.profile.name(), &*self.interrupt);
        let Some(lock) = link.act("lock the profile", take)? else {
            let what = format!("restoring {}", link.facts.title);
            if self.interrupt.requested() {
                return Err(PerformError::Interrupted { what });
            }
            let source = "another Nix command has locked its profile".into();
            return Err(PerformError::TimedOut { what, source });
        };
        let done = self.restore_link(link, mode);
        link.act("unlock the profile", || {
            lock.release();
            Ok(())
        })?;
        done
    }
}

/// Removes the link of a generation whose owner was removed. `nix-env` would run as a user without an account, and it never removes
/// the current generation.
fn remove_of_removed_user(facts: &GenerationFacts, number: &Account) -> Result<(), PerformError> {
    let generation = GenerationDir::open(facts, Some(number))?;
    generation.check_owner()?;
    let link = &generation.link;
    match link.state()? {
        LinkState::Unchanged => link.unlink(Removal::Own),
        LinkState::Gone => Err(generation.stale("no longer exists")),
        LinkState::Unfinished | LinkState::Different => {
            Err(generation.stale("has changed since the plan"))
        }
    }
}

/// A generation in the directory of its profile; the directory is kept open.
struct GenerationDir<'a> {
    facts: &'a GenerationFacts,
    link: OwnedLink<'a>,
}

impl<'a> GenerationDir<'a> {
    fn open(
        facts: &'a GenerationFacts,
        account: Option<&'a Account>,
    ) -> Result<Self, PerformError> {
        let link = OwnedLink::new(facts.into(), account, Directory::open)?;
        Ok(Self { facts, link })
    }

    fn current(&self) -> Result<Option<LinkEntry>, PerformError> {
        let seen = self.link.dir.read(self.facts.profile.name());
        seen.map_err(|source| cannot("read the current link", &self.link.facts, source))
    }

    fn stale(&self, what: &str) -> PerformError {
        stale(&self.link.facts, what)
    }

    fn numbers(&self) -> Result<BTreeSet<GenerationNumber>, PerformError> {
        let names = self.link.dir.names();
        let names =
            names.map_err(|source| cannot("list the generations", &self.link.facts, source))?;
        let number = |name: &OsString| self.facts.profile.number_of(name.to_str()?);
        Ok(names.iter().filter_map(number).collect())
    }

    fn check_owner(&self) -> Result<(), PerformError> {
        let facts = self.facts;
        let owner = self.link.dir.owner();
        let owner = owner.map_err(|source| {
            cannot("read the owner of the directory", &self.link.facts, source)
        })?;
        if owner == facts.owner.uid {
            return Ok(());
        }
        let owners = format!("the user {owner}, not of {}", facts.owner);
        Err(self.stale(&format!("is now in a directory of {owners}")))
    }

    /// Sees that everything is as the plan relied on; gives the numbers of the profile's generations.
    fn check_droppable(&self) -> Result<BTreeSet<GenerationNumber>, PerformError> {
        let facts = self.facts;
        self.check_owner()?;
        if facts.number == facts.current {
            return Err(self.stale("is the current one"));
        }
        // `nix-env` refuses the current generation, but only if it can determine that one (traps 5 and 12).
        let expected = facts.profile.link_name(facts.current);
        if !self.current()?.is_some_and(|seen| seen.says(&expected)) {
            let found = format!("belongs to a profile whose link is not {expected}");
            return Err(self.stale(&found));
        }
        match self.link.read()? {
            None => return Err(self.stale("no longer exists")),
            Some(seen) if self.link.is_recorded(&seen) => {}
            Some(_) => return Err(self.stale("has changed since the plan")),
        }
        let numbers = self.numbers()?;
        if numbers.contains(&facts.current) {
            return Ok(numbers);
        }
        let current = facts.current;
        let found =
            format!("belongs to a profile whose current generation {current} does not exist");
        Err(self.stale(&found))
    }

    /// Sees that nothing went but the one, and that the profile still leads somewhere.
    fn check_the_others(&self, before: &BTreeSet<GenerationNumber>) -> Result<(), PerformError> {
        let facts = self.facts;
        let removed_more = |more| {
            let what = format!("removing {}", self.link.facts.title);
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
