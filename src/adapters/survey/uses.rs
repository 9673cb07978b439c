//! The use of links that rules for roots may remove.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use nix::unistd::geteuid;

use super::SurveyContext;
use crate::adapters::process::Account;
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
            is_out_of_reach: |root: &GcRoot| self.is_out_of_reach(root),
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

    /// Whether a link cannot be removed with the rights of its owner: their home may be closed to themselves, root may have made the
    /// directory, or they have no account. A run would fail again and again.
    #[cfg(target_os = "linux")]
    fn is_out_of_reach(&self, root: &GcRoot) -> bool {
        let (Some(owner), Some(dir)) = (&root.owner, root.link.parent()) else {
            return true;
        };
        let may_change = |user| super::as_owner::may_change(dir.as_std_path(), user).is_ok();
        if owner.uid == geteuid().as_raw() {
            return !may_change(None);
        }
        let mut listed = self.users.all.iter();
        match listed.find(|it| it.uid == owner.uid) {
            Some(user) => !may_change(Some(user)),
            // The list does not have the users of a directory service.
            None => match Account::find(&self.places.passwd, owner.uid) {
                Ok(Some(user)) => !may_change(Some(&user)),
                Ok(None) | Err(_) => true,
            },
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn is_out_of_reach(&self, _: &GcRoot) -> bool {
        false
    }
}
