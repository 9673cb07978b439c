//! Reading of the boot menu, and of the system that writes it.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::disk;
use super::files;
use super::nix_dirs::NixDirs;
use super::survey::dirs::{DirHandle, FileKind};
use crate::domain::boot_menu::{BootMenu, BootState, Listed, SeenMenu, grub, systemd};
use crate::domain::measure::Bytes;
use crate::domain::profile::{Profile, ProfileKind};
use crate::domain::store_path::{StoreDir, StorePath};

/// An entry has a few lines.
const MAX_ENTRY_BYTES: u64 = 64 << 10;
/// GRUB's menu has some hundred bytes for each generation.
const MAX_MENU_BYTES: u64 = 8 << 20;
/// More names than a directory of a menu has.
const MAX_NAMES: usize = 5_000;

/// The program of a system of NixOS that installs its boot loader and writes the menu.
pub(super) const SWITCH: &str = "switch-to-configuration";

/// What is known of the boot menu, if it is asked for, and of the system that writes it.
pub(super) fn state(places: &NixDirs, profiles: &[Profile], is_asked_for: bool) -> BootState {
    BootState {
        menu: if is_asked_for {
            read_menu(&places.boot_dirs, &places.store)
        } else {
            SeenMenu::None
        },
        writer: writer(&places.store, profiles),
    }
}

/// The target of the current generation of the profile `system`, if it can write a menu.
fn writer(store: &StoreDir, profiles: &[Profile]) -> Option<StorePath<String>> {
    let mut profiles = profiles.iter();
    let system = profiles.find(|profile| profile.kind == ProfileKind::System)?;
    let current = system.generations.get(&system.current()?)?;
    let path = current.content.on_disk()?;
    let switch = path.to_absolute_path(store).join("bin").join(SWITCH);
    switch.is_file().then(|| path.clone())
}

/// The menu in the first of these directories that has one of NixOS.
pub fn read_menu(dirs: &[Utf8PathBuf], store: &StoreDir) -> SeenMenu {
    for dir in dirs {
        match menu_in(dir, store) {
            Ok(None) => {}
            Ok(Some(menu)) => return SeenMenu::Known(menu),
            Err(error) => return SeenMenu::Unknown(format!("{dir}: {error}")),
        }
    }
    SeenMenu::None
}

fn menu_in(dir: &Utf8Path, store: &StoreDir) -> io::Result<Option<BootMenu>> {
    let Some(place) = if_there(DirHandle::open(dir))? else {
        return Ok(None);
    };
    let mut listed = entries(&place, store)?;
    listed.join(images(&place)?);
    let grub = match open(&place, Utf8Path::new("grub"))? {
        Some(dir) => match text(&dir, "grub.cfg", MAX_MENU_BYTES)? {
            Some(text) => grub::listed(&text, store),
            None => Listed::default(),
        },
        None => Listed::default(),
    };
    if !listed.entries.is_empty() && !grub.entries.is_empty() {
        return Err(io::Error::other(
            "there are entries of systemd-boot and of GRUB, and only one of them is in use",
        ));
    }
    listed.join(grub);
    if listed.entries.is_empty() {
        return Ok(None);
    }
    let files: BTreeSet<&Utf8PathBuf> = listed.entries.iter().flat_map(|it| &it.files).collect();
    let mut sizes = BTreeMap::new();
    for file in files {
        if let Some(bytes) = size(&place, file)? {
            sizes.insert(file.clone(), bytes);
        }
    }
    Ok(Some(BootMenu {
        dir: dir.to_path_buf(),
        free: disk::fullness(dir)?.available,
        entries: listed.entries,
        default: listed.default,
        sizes,
    }))
}

/// The entries of systemd-boot that are files of their own.
fn entries(place: &DirHandle, store: &StoreDir) -> io::Result<Listed> {
    let Some(dir) = open(place, Utf8Path::new("loader/entries"))? else {
        return Ok(Listed::default());
    };
    let mut entries = Vec::new();
    for name in own_names(&dir, systemd::is_entry)? {
        // One that disappears meanwhile is none.
        if let Some(text) = text(&dir, &name, MAX_ENTRY_BYTES)? {
            entries.push((name, text));
        }
    }
    let loader = match open(place, Utf8Path::new("loader"))? {
        Some(dir) => text(&dir, "loader.conf", MAX_ENTRY_BYTES)?,
        None => None,
    };
    Ok(systemd::listed(&entries, loader.as_deref(), store))
}

/// The entries of systemd-boot that are images.
fn images(place: &DirHandle) -> io::Result<Listed> {
    let mut listed = Listed::default();
    let Some(dir) = open(place, Utf8Path::new("EFI/Linux"))? else {
        return Ok(listed);
    };
    for name in own_names(&dir, systemd::is_image)? {
        let Some(file) = if_there(dir.file(OsStr::new(&name)))? else {
            continue;
        };
        let named = image::named_files(&file)
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        if let Some(entry) = systemd::image(&name, &named) {
            listed.add(entry);
        }
    }
    Ok(listed)
}

/// The names of a directory that are NixOS's.
fn own_names(dir: &DirHandle, is_own: fn(&str) -> Option<bool>) -> io::Result<Vec<String>> {
    let names = dir.first_names(MAX_NAMES + 1)?;
    if names.len() > MAX_NAMES {
        return Err(io::Error::other(format!(
            "a directory of the menu has more than {MAX_NAMES} names"
        )));
    }
    let mut own = Vec::new();
    for name in names.into_iter().map(OsString::into_string) {
        let Ok(name) = name else { continue };
        match is_own(&name) {
            Some(true) => own.push(name),
            Some(false) => {}
            None => {
                return Err(io::Error::other(format!(
                    "the name of the entry {name} has an unknown form"
                )));
            }
        }
    }
    Ok(own)
}

/// The directory at a path below another one, never through a link; `None` where it is not there.
fn open(place: &DirHandle, path: &Utf8Path) -> io::Result<Option<DirHandle>> {
    let mut found: Option<DirHandle> = None;
    for name in path {
        let dir = found.as_ref().unwrap_or(place);
        match if_there(dir.child(OsStr::new(name)))? {
            Some(child) => found = Some(child),
            None => return Ok(None),
        }
    }
    Ok(found)
}

/// The size of a file of the menu; `None` for what is not there, or is no file.
fn size(place: &DirHandle, file: &Utf8Path) -> io::Result<Option<Bytes>> {
    let parent = file.parent().unwrap_or(Utf8Path::new(""));
    let parent = match parent.as_str() {
        "" => None,
        _ => match open(place, parent) {
            Ok(Some(dir)) => Some(dir),
            Ok(None) => return Ok(None),
            // What an entry names is not always a directory.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    let name = file.file_name().unwrap_or_default();
    let found = parent
        .as_ref()
        .unwrap_or(place)
        .metadata(OsStr::new(name))?;
    let found = found.filter(|it| it.kind == FileKind::Regular);
    Ok(found.map(|it| Bytes(it.bytes)))
}

fn text(dir: &DirHandle, name: &str, limit: u64) -> io::Result<Option<String>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let Some(file) = if_there(dir.file(OsStr::new(name))).map_err(named)? else {
        return Ok(None);
    };
    files::read_text(file, limit).map(Some).map_err(named)
}

fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
