//! Where a direct collection begins, and what it has changed where it does not: nothing.

use std::ffi::OsString;

use nix_prune::ports::NixActions;

use super::*;
use crate::support::script;

/// Why it does not begin; nothing where it does.
fn refusal(cli: &NixCli) -> String {
    match cli.begin_direct() {
        Ok(_) => String::new(),
        Err(error @ PerformError::Unsupported(_)) => error_chain(&error),
        Err(error) => panic!("{}", error_chain(&error)),
    }
}

/// What Nix has set aside for a full disk.
fn reserve(store: &Store) -> camino::Utf8PathBuf {
    let reserve = store.scratch.state_dir().join("db/reserved");
    fs::write(&reserve, "room").unwrap();
    reserve
}

/// The programs of a Nix that gives itself out for another version.
fn disguised(nix: &Nix, store: &Store, version: &str) -> NixCli {
    let bin = store.scratch.base().join("disguised");
    fs::create_dir(&bin).unwrap();
    for name in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
        let says = format!("[ \"$1\" != --version ] || {{ echo '{version}'; exit; }}");
        let text = format!("{says}\nexec '{}/{name}' \"$@\"", nix.bin);
        script(&bin.join(name), &text);
    }
    let child_env = store.scratch.child_env().clone();
    let places = store.scratch.places();
    NixCli::new(places, Some(&bin), child_env, Arc::new(Never)).unwrap()
}

#[rstest]
#[case::the_first_that_was_tried("nix (Nix) 2.8.0", "")]
#[case::the_last_that_was_tried("nix (Nix) 2.34.99", "")]
#[case::a_newer_one("nix (Nix) 2.35.0", "2.35.0")]
#[case::lix("nix (Lix, like Nix) 2.93.0", "Lix 2.93.0")]
#[case::lix_of_a_number_that_nix_has("nix (Lix, like Nix) 2.30.0", "Lix 2.30.0")]
#[case::determinate("nix (Determinate Nix 3.6.2) 2.29.0", "Determinate Nix 3.6.2")]
fn a_nix_that_was_not_tried_is_refused(#[case] version: &str, #[case] named: &str) {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let reserve = reserve(&store);
        let why = refusal(&disguised(nix, &store, version));
        assert_eq!(why.contains("it was not tried with"), !named.is_empty());
        assert!(why.contains(named), "{why}");
        assert_eq!(reserve.exists(), !named.is_empty());
    });
}

/// The daemon of the same store opens the same files, so root need not ask it.
#[rstest]
#[case::its_own("daemon-socket/socket", false)]
#[case::another_one("elsewhere/socket", true)]
fn a_daemon_is_refused_unless_it_is_that_of_the_store(
    #[case] socket: &str,
    #[case] is_refused: bool,
) {
    as_root(|nix| {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let reserve = reserve(&store);
        let socket = store.scratch.state_dir().join(socket);
        let uri = format!("unix://{socket}");
        let variables = store.scratch.env().into_iter();
        let remote = ("NIX_REMOTE".to_string(), uri.clone());
        let child_env = variables.chain([remote]);
        let child_env =
            child_env.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let cli = NixCli::new(
            store.scratch.places(),
            Some(&nix.bin),
            child_env.collect(),
            Arc::new(Never),
        );
        let why = refusal(&cli.unwrap());
        assert_eq!(why.contains("Nix uses the daemon at"), is_refused, "{why}");
        assert_eq!(why.contains(&uri), is_refused, "{why}");
        assert_eq!(reserve.exists(), is_refused);
    });
}
