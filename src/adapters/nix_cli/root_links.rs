//! Removing and restoring the link of a root, with its owner's rights.

use camino::Utf8Path;

use super::NixCli;
use super::links::{Directory, Removal};
use super::owned_link::{OwnedLink, stale};
use crate::adapters::projects::{self, Project};
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
        let processes = projects::processes(Utf8Path::new("/proc"));
        let homes = |dir: &Utf8Path| account.as_ref().is_some_and(|it| it.home == dir);
        let project = Project::of(&facts.link, homes);
        if let Some(pid) = project.and_then(|project| project.process_in(&processes)) {
            let found = format!("is in a directory in which process {pid} works");
            return Err(stale(&link.facts, &found));
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
