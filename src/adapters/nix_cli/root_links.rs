//! Removing and restoring the link of a root, with its owner's rights.

use camino::Utf8Path;

use super::NixCli;
use super::links::{Directory, Removal};
use super::owned_link::{OwnedLink, stale};
use crate::adapters::projects::{Processes, Project};
use crate::domain::plan::RootLinkFacts;
use crate::domain::protected::ProtectedPaths;
use crate::ports::{LinkState, PerformError, RestoreMode};

impl NixCli {
    pub(super) fn remove_link_of_root(
        &self,
        facts: &RootLinkFacts,
        protected: &ProtectedPaths,
    ) -> Result<(), PerformError> {
        let account = self.account(&facts.owner)?;
        let link = OwnedLink::new(facts.into(), account.as_ref(), Directory::reach)?;
        match link.state()? {
            LinkState::Unchanged => {}
            LinkState::Gone => return Err(stale(&link.facts, "no longer exists")),
            LinkState::Unfinished | LinkState::Different => {
                return Err(stale(&link.facts, "has changed since the plan"));
            }
        }
        // Somebody may have begun to work there since the plan was checked.
        let own = account.as_ref().map(|it| &it.home);
        let home = own.or(self.places.home.as_ref());
        if let Some(project) = Project::of(&facts.link, |dir| home.is_some_and(|it| it == dir)) {
            match Processes::read(Utf8Path::new("/proc")).in_project(&project) {
                Ok(None) => {}
                Ok(Some(pid)) => {
                    let found = format!("is in a directory in which process {pid} works");
                    return Err(stale(&link.facts, &found));
                }
                Err(why) => return Err(stale(&link.facts, &format!("may be in use: {why}"))),
            }
        }
        link.unlink(Removal::RootLink {
            link: &facts.link,
            protected,
        })
    }

    pub(super) fn state_of_root_link(
        &self,
        facts: &RootLinkFacts,
    ) -> Result<LinkState, PerformError> {
        let account = self.account(&facts.owner)?;
        OwnedLink::new(facts.into(), account.as_ref(), Directory::reach)?.state()
    }

    pub(super) fn restore_link_of_root(
        &self,
        facts: &RootLinkFacts,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        let account = self.account(&facts.owner)?;
        self.check_restorable(&facts.into())?;
        let link = OwnedLink::new(facts.into(), account.as_ref(), Directory::reach)?;
        self.restore_link(&link, mode)
    }
}
