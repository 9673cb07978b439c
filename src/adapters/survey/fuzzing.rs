//! Fuzz targets for names and targets of links, and for lock files of flakes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use camino::Utf8Path;

use super::flakes;
use super::names::{
    Leads, generation_name, generation_target, leads, looks_like_a_generation, profile_of_link,
    resolve, shown,
};
use crate::domain::store_path::StoreDir;

/// The first line is a name, the rest a link target; all of it is a lock file.
pub(crate) fn read(input: &[u8]) {
    let (name, text) = match input.iter().position(|b| *b == b'\n') {
        Some(at) => (input.get(..at), input.get(at + 1..)),
        None => (Some(input), Some(input)),
    };
    let (name, text) = (name.unwrap_or_default(), text.unwrap_or_default());
    for name in [name, text] {
        let shown = shown(OsStr::from_bytes(name));
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    if let Ok(name) = std::str::from_utf8(name) {
        of_a_generation(name);
    }
    for store in ["/nix/store", "/"] {
        if let Ok(store) = StoreDir::new(Utf8Path::new(store)) {
            of_a_root(text, &store);
            if let Ok(lock) = std::str::from_utf8(input) {
                flakes::fuzz(lock, &store);
            }
        }
    }
    let real = resolve(Path::new("/nix/var/nix/gcroots"), OsStr::from_bytes(text));
    let again = resolve(Path::new("/elsewhere"), real.as_os_str());
    assert!(real.is_absolute() && again == real);
    let steps = real.as_os_str().as_bytes().split(|b| *b == b'/').skip(1);
    let plain = |step: &[u8]| !matches!(step, b"" | b"." | b"..");
    assert!(real == Path::new("/") || steps.into_iter().all(plain));
}

fn of_a_generation(name: &str) {
    let found = generation_name(name);
    if let Some((profile, number)) = found {
        assert_eq!(format!("{profile}-{number}-link"), name);
        assert!(!matches!(profile, "" | "." | ".."));
        assert!(!looks_like_a_generation(profile, name));
    }
    let link = Utf8Path::new("/nix/var/nix/profiles").join(name);
    if let Some(profile) = profile_of_link(&link) {
        let named = link.file_name().and_then(generation_name);
        assert!(
            named.is_some_and(|(of, number)| of == profile.name() && profile.link(number) == link)
        );
    }
    let (profile, rest) = name.split_once('-').unwrap_or((name, ""));
    if looks_like_a_generation(profile, name) {
        assert!(rest.contains("-link"));
        assert!(found.is_none_or(|(of, _)| of != profile));
    }
}

fn of_a_root(text: &[u8], store: &StoreDir) {
    let led = leads(OsStr::from_bytes(text), store);
    let below = text.strip_prefix(store.as_path().as_str().as_bytes());
    let below = below.and_then(|rest| rest.strip_prefix(b"/"));
    match &led {
        Leads::ToStorePath(path) => {
            let rest = below.and_then(|below| below.strip_prefix(path.to_string().as_bytes()));
            assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")));
        }
        Leads::IntoStore => assert!(below.is_some_and(|below| !below.is_empty())),
        Leads::Elsewhere => {}
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    if let Some(path) = generation_target(Utf8Path::new(text), store) {
        let plain = path.to_absolute_path(store);
        assert_eq!(
            leads(OsStr::new(plain.as_str()), store),
            Leads::ToStorePath(path)
        );
    }
}
