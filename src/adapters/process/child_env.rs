//! The environment of child processes.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};

use super::Account;

/// An environment, read once.
#[derive(Debug, Clone, Default)]
pub struct ChildEnv(BTreeMap<OsString, OsString>);

/// What every command gets. Its output is read by a program, in one language and one zone.
const FIXED: [(&str, &str); 6] = [
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("NIX_PAGER", "cat"),
    ("PAGER", "cat"),
];

/// Where the store is and how it is reached: the same for every user of the machine.
const OF_THE_MACHINE: [&str; 9] = [
    "PATH",
    "NIX_STORE_DIR",
    "NIX_STATE_DIR",
    "NIX_LOG_DIR",
    "NIX_CONF_DIR",
    "NIX_LOCALSTATE_DIR",
    "NIX_DAEMON_SOCKET_PATH",
    "NIX_SSL_CERT_FILE",
    "NIX_IGNORE_SYMLINK_STORE",
];

/// What is our own user's business. Another user has their own of each, or none.
const OF_OURSELVES: [&str; 14] = [
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "NIX_STATE_HOME",
    "NIX_CONFIG_HOME",
    "NIX_USER_CONF_FILES",
    "NIX_CONFIG",
    "NIX_REMOTE",
];

impl ChildEnv {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "what child processes inherit")]
    pub fn of_this_process() -> Self {
        env::vars_os().collect()
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// How many bytes of a command's arguments are taken by the environment of a command of our own user: its text, and a
    /// zero and a pointer for each variable.
    pub fn size(&self) -> usize {
        let of_one = |(name, value): (OsString, OsString)| {
            name.len() + 1 + value.len() + 1 + size_of::<usize>()
        };
        self.for_ourselves().into_iter().map(of_one).sum()
    }

    /// What a command of our own user gets.
    pub(super) fn for_ourselves(&self) -> BTreeMap<OsString, OsString> {
        self.chosen(OF_THE_MACHINE.iter().chain(&OF_OURSELVES))
    }

    /// What a command of another user gets: nothing that would lead it into our home or let it use our settings.
    ///
    /// Nor does it read the settings of that user: `plugin-files` in there are programs that Nix would load.
    pub(super) fn for_account(&self, account: &Account) -> BTreeMap<OsString, OsString> {
        let mut environment = self.chosen(OF_THE_MACHINE.iter());
        environment.insert("HOME".into(), account.home.clone().into());
        environment.insert("USER".into(), account.name.clone().into());
        environment.insert("LOGNAME".into(), account.name.clone().into());
        // Set and empty: Nix reads no file of a user then, wherever `HOME` and XDG would have led it.
        environment.insert("NIX_USER_CONF_FILES".into(), OsString::new());
        environment
    }

    fn chosen<'n>(&self, names: impl Iterator<Item = &'n &'n str>) -> BTreeMap<OsString, OsString> {
        let ours = names.filter_map(|name| Some((name.into(), self.get(name)?.into())));
        let fixed = FIXED.map(|(name, value)| (name.into(), value.into()));
        ours.chain(fixed).collect()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for ChildEnv {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(variables: T) -> Self {
        let pairs = variables.into_iter().map(|(n, v)| (n.into(), v.into()));
        Self(pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> ChildEnv {
        let names = OF_THE_MACHINE.iter().chain(&OF_OURSELVES);
        let foreign = ["LD_PRELOAD", "NIX_PATH", "BASH_ENV", "LC_MESSAGES"];
        names
            .chain(&foreign)
            .chain(&["TZ"])
            .map(|name| (*name, "ours"))
            .collect()
    }

    #[test]
    fn only_what_nix_needs_goes_through() {
        let environment = all().for_ourselves();
        assert_eq!(environment.len(), FIXED.len() + 9 + 14);
        assert_eq!(environment.get(OsStr::new("TZ")).unwrap(), "UTC");
        assert!(!environment.contains_key(OsStr::new("LD_PRELOAD")));
        assert!(!environment.contains_key(OsStr::new("LC_MESSAGES")));
    }

    #[test]
    fn another_user_gets_nothing_of_ours() {
        let account = Account {
            uid: 7,
            gid: 7,
            name: "eve".into(),
            home: "/home/eve".into(),
        };
        let environment = all().for_account(&account);
        for name in OF_OURSELVES {
            let value = environment.get(OsStr::new(name));
            assert_ne!(value, Some(&OsString::from("ours")), "{name}");
        }
        assert_eq!(environment.get(OsStr::new("HOME")).unwrap(), "/home/eve");
        let files = environment.get(OsStr::new("NIX_USER_CONF_FILES"));
        assert_eq!(files, Some(&OsString::new()));
        assert_eq!(
            environment.get(OsStr::new("NIX_STATE_DIR")).unwrap(),
            "ours"
        );
    }

    #[test]
    fn the_size_is_that_of_what_goes_through() {
        let small = ChildEnv::default().size();
        let with = |name: &'static str| [(name, "x".repeat(1_000))].into_iter().collect();
        let size = |name| ChildEnv::size(&with(name));
        assert_eq!(
            size("NIX_CONFIG"),
            small + 10 + 1 + 1_000 + 1 + size_of::<usize>()
        );
        assert_eq!(size("LD_PRELOAD"), small);
    }

    #[test]
    fn what_is_unset_stays_unset() {
        let environment = ChildEnv::default().for_ourselves();
        assert_eq!(environment.len(), FIXED.len());
    }
}
