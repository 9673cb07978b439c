//! The survey, with what the jobs ask for.

use super::Context;
use crate::adapters::survey::Observer;
use crate::cli::failure::Failure;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::{ProfileRef, ProfileSelector};
use crate::domain::snapshot::Snapshot;
use crate::ports::Survey;

impl Context {
    /// Takes a snapshot that includes the profiles which a job names.
    ///
    /// # Errors
    /// When nothing can be observed at all.
    pub(in crate::cli) fn snapshot(&self, job: Option<&EffectiveJob>) -> Result<Snapshot, Failure> {
        Ok(self.observer(job).snapshot()?)
    }

    /// The survey.
    pub(in crate::cli) fn observer(&self, job: Option<&EffectiveJob>) -> Observer<'_> {
        self.observer_of(job.as_slice())
    }

    /// The survey for several jobs.
    pub(in crate::cli) fn observer_of(&self, jobs: &[&EffectiveJob]) -> Observer<'_> {
        let operations = || {
            let jobs = jobs.iter();
            jobs.filter_map(|job| job.operations.generations.as_ref())
        };
        let selectors = || operations().flat_map(|operation| &operation.profiles);
        let named = selectors().filter_map(ProfileSelector::path);
        // A protected profile is looked up under the name in the settings, so that another spelling of it is noticed;
        // one that is gone needs no protection.
        let protected = jobs.iter().flat_map(|job| &job.protect.generations);
        let protected = protected.filter_map(|pin| match &pin.profile {
            ProfileRef::Path(path) => Some(path.to_path()),
            ProfileRef::Name(_) => None,
        });
        let protected = protected.filter(|path| path.symlink_metadata().is_ok());
        let collections = jobs
            .iter()
            .filter_map(|job| job.operations.collect.as_ref());
        let flakes = collections.map(|collect| &collect.keep_flake_inputs);
        Observer {
            places: &self.places,
            actor: self.actor,
            zone: self.zone.clone(),
            extra_profiles: named.chain(protected).collect(),
            boot_menu: jobs.iter().any(|job| job.operations.boot_menu.is_some()),
            all_of_nix: selectors().any(|s| *s == ProfileSelector::NixCollectGarbage),
            flakes: flakes.flatten().cloned().collect(),
            uses_of_links: jobs.iter().any(|job| job.asks_for_uses()),
            previous_runs: &self.journal,
            clock: &self.clock,
        }
    }
}
