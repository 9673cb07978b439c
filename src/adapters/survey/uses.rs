//! The use of links that rules for roots may remove.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::SurveyContext;
use crate::adapters::projects::{Processes, UseReader};
use crate::domain::root::GcRoot;
use crate::domain::root_rules::may_be_removed;
use crate::domain::root_use::LinkUse;

impl SurveyContext<'_> {
    /// The use of the links that rules may remove.
    pub(super) fn uses_of(&self, roots: &[GcRoot]) -> BTreeMap<Utf8PathBuf, LinkUse> {
        let (places, users) = (self.places, self.users);
        let homes = users.all.iter().map(|it| (it.uid, it.home.as_path()));
        let reader = UseReader {
            is_home: |dir: &Utf8Path| users.is_home(dir.as_std_path()),
            own: &[
                Utf8Path::new("/"),
                &places.state_dir,
                places.store.as_path(),
            ],
            homes: &homes.collect(),
            processes: &Processes::read(Utf8Path::new("/proc")),
        };
        reader.read(roots.iter().filter(|root| may_be_removed(root.kind)))
    }
}
