//! Fuzz targets for the files of a boot menu.

use std::io::Cursor;

use camino::{Utf8Component, Utf8Path};

use super::image;
use crate::domain::boot_menu::{Listed, grub, systemd};
use crate::domain::store_path::StoreDir;

/// Hands an input to every reader of a menu. None of them names a file that is not below the directory of the menu.
pub(crate) fn read(input: &[u8], text: Option<&str>) {
    let named = image::named_in(Cursor::new(input)).unwrap_or_default();
    let mut all = Listed::default();
    if let Some(entry) = systemd::image("nixos-generation-1.efi", &named) {
        all.add(entry);
    }
    if let (Some(text), Ok(store)) = (text, StoreDir::new(Utf8Path::new("/nix/store"))) {
        all.join(grub::listed(text, &store));
        // Its first line is the name of an entry, too.
        let name = text.lines().next().unwrap_or_default();
        if systemd::is_entry(name) == Some(true) {
            let entry = (name.to_string(), text.to_string());
            all.join(systemd::listed(&[entry], Some(text), &store));
        }
        let _ = systemd::is_image(name);
    }
    let mut files = all.entries.iter().flat_map(|entry| &entry.files);
    let is_below = |part| matches!(part, Utf8Component::Normal(_));
    assert!(files.all(|file| file.components().all(is_below)));
}
