//! Users whose account is gone: only where everything that could know them says so.
//!
//! That a number has no name is no sign of it. A directory service may be away, and a program that is linked statically does not ask
//! one. docs/decisions/0033-removed-users.md gives the reasons.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::{Uid, User};

use super::SurveyContext;
use crate::adapters::files::{is_there, read_bounded};
use crate::adapters::nix_dirs::NameServices;
use crate::domain::snapshot::Actor;

/// The numbers that `useradd` gives to people. Above them are those of systemd-homed, of containers and of units with `DynamicUser`.
const PEOPLE: RangeInclusive<u32> = 1000..=60_000;

/// The name services whose users are all in the list, or in files of their own.
const LOCAL_SERVICES: [&str; 3] = ["files", "systemd", "mymachines"];

/// The providers of systemd, whose users are in the list, in records, or have numbers above those of people.
const PROVIDERS: [&str; 7] = [
    "io.systemd.DropIn",
    "io.systemd.DynamicUser",
    "io.systemd.Home",
    "io.systemd.Machine",
    "io.systemd.Multiplexer",
    "io.systemd.NameServiceSwitch",
    "io.systemd.NamespaceResource",
];

/// The links in a home that name the profile in use.
const USED_PROFILES: [&str; 2] = [".nix-profile", ".local/state/nix/profile"];

/// The file has a few lines.
const MAX_SWITCH_BYTES: u64 = 64 << 10;

impl SurveyContext<'_> {
    /// Whether the user with this number and name was removed from the machine, with the home.
    pub(super) fn is_removed(&self, uid: u32, name: &str) -> bool {
        self.actor == Actor::Root
            && PEOPLE.contains(&uid)
            && self.is_not_listed(uid, name)
            && is_not_known(&self.places.name_services, uid, name)
            && self.has_no_home(name)
            && self.is_unused(uid, name)
    }

    /// Whether no process has the number, and neither another user nor root links to a profile of this name: a user may have got
    /// another number and kept the profiles.
    fn is_unused(&self, uid: u32, name: &str) -> bool {
        let state = self.places.state_dir.as_std_path();
        let profiles = state.join("profiles/per-user").join(name);
        let leads_elsewhere = |link: &Path| match fs::read_link(link) {
            Ok(text) => !text.starts_with(&profiles),
            // It is not there, or no link.
            Err(error) => matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
            ),
        };
        let homes = self.users.all.iter().map(|user| user.home.as_std_path());
        let mut links = homes.flat_map(|home| USED_PROFILES.map(|link| home.join(link)));
        let by_hand = names_in(&state.join("gcroots"));
        is_no_process_of(uid, self.places.name_services.processes.as_std_path())
            && links.all(|link| leads_elsewhere(&link))
            && by_hand.is_some_and(|links| links.iter().all(|link| leads_elsewhere(link)))
    }

    /// Whether the list of users is there, complete, and has neither number nor name.
    fn is_not_listed(&self, uid: u32, name: &str) -> bool {
        // A list without root is none, or was not written to its end.
        let users = self.users;
        users.knows(0) && !users.knows(uid) && users.all.iter().all(|user| user.name != name)
    }

    /// Whether people have homes here, and none of the places where they are has one of this name.
    fn has_no_home(&self, name: &str) -> bool {
        let people = self.users.all.iter();
        let people = people.filter(|user| PEOPLE.contains(&user.uid));
        let places: BTreeSet<&Utf8Path> = people.filter_map(|user| user.home.parent()).collect();
        // Where homes are mounted, somebody has one: without any, the disk may be away.
        let is_mounted = |place: &&Utf8Path| self.users.are_homes_in(place.as_std_path());
        let usual = self.places.disks.iter().map(Utf8PathBuf::as_path);
        places.iter().any(is_mounted)
            && places
                .iter()
                .copied()
                .chain(usual)
                .all(|place| is_absent(&place.join(name)))
    }
}

/// Whether nothing beside the list of users can know the user.
fn is_not_known(services: &NameServices, uid: u32, name: &str) -> bool {
    let Ok(switch) = read_bounded(&services.switch, MAX_SWITCH_BYTES) else {
        return false;
    };
    let files = [
        format!("{uid}.user"),
        format!("{name}.user"),
        format!("{name}.identity"),
    ];
    let mut records = services.records.iter();
    are_all_local(&switch)
        && are_known(&services.providers)
        && records.all(|dir| files.iter().all(|file| is_absent(&dir.join(file))))
        && matches!(User::from_uid(Uid::from_raw(uid)), Ok(None))
        && matches!(User::from_name(name), Ok(None))
}

/// Whether a text like `/etc/nsswitch.conf` asks only local files for users.
fn are_all_local(switch: &str) -> bool {
    let lines = switch
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    // The C library takes a line without a colon as well, and the last line counts.
    let is_name_end = |c: char| c == ':' || c.is_whitespace();
    let mut passwd = lines.filter_map(|line| {
        let (name, services) = line.trim_start().split_once(is_name_end)?;
        (name == "passwd").then_some(services)
    });
    let (Some(services), None) = (passwd.next(), passwd.next()) else {
        return false;
    };
    // Of one without `files` the list is not the one that counts.
    let services: Vec<&str> = services.split_whitespace().collect();
    services.contains(&"files") && services.iter().all(|it| LOCAL_SERVICES.contains(it))
}

/// Whether a directory, if there is one, has no provider of users but systemd's own. One that fails counts as knowing nobody to the
/// name service, and one of somebody else's may know more users than any file.
fn are_known(providers: &Utf8Path) -> bool {
    let names = match providers.read_dir_utf8() {
        Ok(names) => names,
        Err(error) => return error.kind() == ErrorKind::NotFound,
    };
    let is_known = |name: &str| PROVIDERS.contains(&name);
    names
        .into_iter()
        .all(|entry| entry.is_ok_and(|entry| is_known(entry.file_name())))
}

/// The paths in a directory; `None` if it cannot be read.
fn names_in(dir: &Path) -> Option<Vec<PathBuf>> {
    let names = fs::read_dir(dir).ok()?;
    names.map(|entry| Some(entry.ok()?.path())).collect()
}

/// Whether all processes can be seen, and none has the number.
fn is_no_process_of(uid: u32, proc: &Path) -> bool {
    let Some(names) = names_in(proc).filter(|_| proc.join("self").is_symlink()) else {
        return false;
    };
    // One that ends meanwhile is none.
    let mut processes = names.iter().filter_map(|path| path.symlink_metadata().ok());
    processes.all(|process| process.uid() != uid)
}

/// Whether there is certainly nothing of that name.
fn is_absent(path: &Utf8Path) -> bool {
    is_there(path).is_ok_and(|there| !there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("passwd: files\n", true)]
    #[case(
        "# about users\npasswd:    mymachines systemd files # as NixOS has it\ngroup: sss\n",
        true
    )]
    #[case("  passwd: files systemd\n", true)]
    #[case("", false)]
    #[case("passwd:\n", false)]
    #[case("passwd: systemd\n", false)]
    #[case("passwd: files sss\n", false)]
    #[case("passwd: files ldap\n", false)]
    #[case("passwd: compat\n", false)]
    #[case("passwd: files winbind\n", false)]
    // Whatever an action in brackets means, it is not worth a mistake.
    #[case("passwd: files [NOTFOUND=return] ldap\n", false)]
    #[case("passwd: files [!UNAVAIL=return]\n", false)]
    #[case("passwd: files\npasswd: sss\n", false)]
    #[case("passwd: files\npasswd\tsss\n", false)]
    #[case("passwd: files\npasswd : sss\n", false)]
    #[case("passwd files\n", true)]
    #[case("#passwd: files\n", false)]
    #[case("passwd_compat: files\n", false)]
    fn only_local_files_know_every_user(#[case] switch: &str, #[case] is: bool) {
        assert_eq!(are_all_local(switch), is);
    }

    proptest::proptest! {
        #[test]
        fn another_service_is_never_overlooked(before in "[a-z ]{0,9}", after in "( [a-z]{1,9}){0,3}") {
            let switch = format!("passwd: {before} sss{after}");
            proptest::prop_assert!(!are_all_local(&switch));
        }
    }
}
