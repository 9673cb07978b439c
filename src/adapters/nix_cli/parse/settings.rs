//! Parser for Nix's settings: what it keeps, and the local store, its daemon, or another store.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::graph::KeepFlags;
use crate::domain::store_path::StoreDir;

/// A way to the local store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::nix_cli) enum Setting {
    /// Nix opens the files, or uses its daemon if it may not write to the state directory.
    Auto,
    /// Nix opens the files.
    Files,
    /// A daemon on this socket, or on Nix's own.
    Daemon(Option<Utf8PathBuf>),
}

/// Parameters of a store that do not say where it is.
const HARMLESS: [&str; 13] = [
    "build-dir",
    "ignore-gc-delete-failure",
    "log",
    "max-connection-age",
    "max-connections",
    "path-info-cache-size",
    "priority",
    "read-only",
    "require-sigs",
    "system-features",
    "trusted",
    "want-mass-query",
    "use-roots-daemon",
];

/// The way to the store of these directories that `setting` describes; `None` where it may be another store. Whatever is
/// not known to mean this one means another: Nix would collect there.
pub(in crate::adapters::nix_cli) fn store_setting(
    setting: &str,
    store: &StoreDir,
    state_dir: &Utf8Path,
) -> Option<Setting> {
    let (scheme, parameters) = setting.split_once('?').unwrap_or((setting, ""));
    let mut parameters = parameters.split('&').filter(|pair| !pair.is_empty());
    let is_same = |value: &str, dir: &Utf8Path| {
        decoded(value).is_some_and(|value| {
            let value = Utf8Path::new(&value);
            value.is_absolute() && value.components().eq(dir.components())
        })
    };
    let keeps_place = |pair: &str| match pair.split_once('=') {
        Some(("store" | "real", value)) => is_same(value, store.as_path()),
        Some(("state", value)) => is_same(value, state_dir),
        Some(("root", value)) => value.is_empty(),
        Some((name, _)) => HARMLESS.contains(&name),
        None => false,
    };
    if !parameters.all(keeps_place) {
        return None;
    }
    match scheme {
        "" | "auto" => Some(Setting::Auto),
        "local" | "local://" => Some(Setting::Files),
        "daemon" | "unix://" => Some(Setting::Daemon(None)),
        other => {
            let socket = Utf8PathBuf::from(decoded(other.strip_prefix("unix://")?)?);
            socket
                .is_absolute()
                .then_some(Setting::Daemon(Some(socket)))
        }
    }
}

/// The setting as it may be shown: without a password, and without the parameters of a store on another machine, which
/// may name keys.
pub(in crate::adapters::nix_cli) fn shown(setting: &str) -> String {
    let (place, parameters) = setting.split_once('?').unwrap_or((setting, ""));
    let is_local = ["local", "unix", "auto", "daemon", "/", "."]
        .iter()
        .any(|start| place.starts_with(start));
    let mut text = match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => place.to_string(),
    };
    if is_local && !parameters.is_empty() {
        let _ = write!(text, "?{parameters}");
    }
    text.escape_debug().to_string()
}

/// The text with its `%41` replaced; `None` for what is no escape, or no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The two settings that decide what a live path keeps. `None` when one of them is missing or neither true nor false.
pub(in crate::adapters::nix_cli) fn keep_flags(text: &str) -> Option<KeepFlags> {
    let is_set = |name: &str| match value(text, name) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    Some(KeepFlags {
        derivations: is_set("keep-derivations")?,
        outputs: is_set("keep-outputs")?,
    })
}

/// The value of a setting. `None` when it is missing or there twice.
pub(in crate::adapters::nix_cli) fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut values = text.lines().filter_map(|line| {
        let (setting, value) = line.split_once('=')?;
        (setting.trim() == name).then_some(value.trim())
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn setting(text: &str) -> Option<Setting> {
        let store = StoreDir::new("/nix/store".into()).unwrap();
        store_setting(text, &store, "/nix/var/nix".into())
    }

    #[rstest]
    #[case("", Setting::Auto)]
    #[case("auto", Setting::Auto)]
    #[case("auto?trusted=1", Setting::Auto)]
    #[case("local", Setting::Files)]
    #[case("local?", Setting::Files)]
    #[case("local?root=", Setting::Files)]
    #[case("local?require-sigs=false&read-only=true", Setting::Files)]
    #[case(
        "local?store=/nix/store&state=/nix/var/nix/&real=/nix//store",
        Setting::Files
    )]
    #[case("local?build-dir=/build&log=/var/log/nix", Setting::Files)]
    // As Nix 2.34 prints it.
    #[case("local://?state=/nix/var/nix&store=/nix/store", Setting::Files)]
    #[case("local?store=%2Fnix%2Fstore", Setting::Files)]
    #[case("daemon", Setting::Daemon(None))]
    #[case("unix://", Setting::Daemon(None))]
    #[case("unix://?max-connections=3", Setting::Daemon(None))]
    #[case("unix:///run/a%20b", Setting::Daemon(Some("/run/a b".into())))]
    #[case("unix:///run/s?max-connections=2", Setting::Daemon(Some("/run/s".into())))]
    fn ways_to_the_local_store(#[case] text: &str, #[case] expected: Setting) {
        assert_eq!(setting(text), Some(expected));
    }

    #[rstest]
    #[case("local?root=/mnt")]
    #[case("local?root=%2Fmnt")]
    #[case("local?trusted=1&root=/mnt")]
    #[case("local?store=/other/store")]
    #[case("local?store=/nix/store&state=/other")]
    #[case("local?real=/mnt/nix/store")]
    #[case("local?state=%2fother")]
    #[case("local?state=nix/var/nix")]
    #[case("local?%72oot=/mnt")]
    #[case("local?something-new=1")]
    #[case("local?root")]
    #[case("local://?root=/mnt%20x")]
    #[case("local:///mnt")]
    #[case("auto?root=/mnt")]
    #[case("daemon?root=/mnt")]
    #[case("?root=/mnt")]
    #[case("/mnt")]
    #[case("./mnt")]
    #[case("unix:///nix/var/nix/daemon-socket/socket?root=/mnt")]
    #[case("unix://socket")]
    #[case("unix:///a%zz")]
    #[case("ssh-ng://host")]
    #[case("ssh://host")]
    #[case("https://cache.nixos.org")]
    #[case("s3://bucket")]
    #[case("file:///cache")]
    #[case("dummy://")]
    #[case("local-overlay://?lower-store=/a&upper-layer=/b")]
    #[case("mounted-ssh-ng://host")]
    #[case("LOCAL")]
    fn other_stores(#[case] text: &str) {
        assert_eq!(setting(text), None);
    }

    #[rstest]
    #[case("local?root=/mnt", "local?root=/mnt")]
    #[case("ssh-ng://me:word@host/p?ssh-key=/k", "ssh-ng://…@host/p")]
    #[case("s3://bucket?profile=x", "s3://bucket")]
    #[case("local?root=/a\u{1b}[2J", "local?root=/a\\u{1b}[2J")]
    fn no_secret_is_shown(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(text), expected);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|[?&=%/:@]|root|local|unix://){0,20}") {
            let _ = (setting(&text), shown(&text));
        }
    }

    #[rstest]
    #[case("keep-derivations = true\nkeep-going = false\nkeep-outputs = false\n", Some((true, false)))]
    #[case("a = \nkeep-outputs = true\nkeep-derivations = false", Some((false, true)))]
    #[case("keep-outputs=true\r\nkeep-derivations=true\r\n", Some((true, true)))]
    #[case("keep-outputs = true\nkeep-derivations = yes\n", None)]
    #[case(
        "keep-outputs = true\nkeep-outputs = false\nkeep-derivations = true\n",
        None
    )]
    #[case("keep-outputs = true\n", None)]
    #[case("", None)]
    fn trap_24_the_keep_flags_are_told_or_unknown(
        #[case] text: &str,
        #[case] expected: Option<(bool, bool)>,
    ) {
        let found = keep_flags(text).map(|flags| (flags.derivations, flags.outputs));
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case(
        "store = local?root=/a&b=c\nstore-dir = x\n",
        Some("local?root=/a&b=c")
    )]
    #[case("store = auto\nstore = daemon\n", None)]
    #[case("substituters = store\n", None)]
    fn the_store_is_read(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(value(text, "store"), expected);
    }
}
