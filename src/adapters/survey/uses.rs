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
            is_out_of_reach: |root: &GcRoot| is_out_of_reach(root, |uid| self.has_account(uid)),
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

    fn has_account(&self, uid: u32) -> bool {
        let mut listed = self.users.all.iter();
        uid == geteuid().as_raw()
            || listed.any(|it| it.uid == uid)
            || matches!(Account::find(&self.places.passwd, uid), Ok(Some(_)))
    }
}

#[cfg(not(target_os = "linux"))]
fn is_out_of_reach(_: &GcRoot, _: impl FnOnce(u32) -> bool) -> bool {
    false
}

/// Whether a link cannot be removed with the rights of its owner: their home may be closed to themselves, root may have made the
/// directory, or they have no account. A run would fail again and again.
#[cfg(target_os = "linux")]
fn is_out_of_reach(root: &GcRoot, has_account: impl FnOnce(u32) -> bool) -> bool {
    let (Some(owner), Some(dir)) = (&root.owner, root.link.parent()) else {
        return true;
    };
    !has_account(owner.uid) || super::as_owner::may_change(dir.as_std_path(), owner.uid).is_err()
}
