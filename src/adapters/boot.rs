//! Reading of the boot menu, where systemd-boot has it.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::disk;
use super::files;
use crate::domain::boot_menu::{BootEntry, BootMenu};
use crate::domain::measure::Bytes;

/// An entry has a few lines.
const MAX_ENTRY_BYTES: u64 = 64 << 10;

/// The menu in the first of these directories that has entries of NixOS; `None` where there is none that our user may read.
pub fn read_menu(dirs: &[Utf8PathBuf]) -> Option<BootMenu> {
    dirs.iter().find_map(|dir| match menu_in(dir) {
        Ok(menu) => menu,
        Err(error) => {
            tracing::debug!(%dir, %error, "cannot read the boot menu");
            None
        }
    })
}

fn menu_in(dir: &Utf8Path) -> io::Result<Option<BootMenu>> {
    let mut menu = BootMenu {
        dir: dir.to_path_buf(),
        free: disk::fullness(dir)?.available,
        entries: Vec::new(),
        sizes: std::collections::BTreeMap::new(),
    };
    for entry in dir.join("loader/entries").read_dir_utf8()? {
        let entry = entry?;
        if entry.path().extension() != Some("conf") {
            continue;
        }
        let text = files::read_bounded(entry.path(), MAX_ENTRY_BYTES)?;
        menu.entries
            .extend(BootEntry::parse(entry.file_name(), &text));
    }
    let files = menu.entries.iter().flat_map(|entry| &entry.files);
    let sizes = files.filter_map(|file| {
        let found = fs::symlink_metadata(dir.join(file)).ok()?;
        found.is_file().then(|| (file.clone(), Bytes(found.len())))
    });
    menu.sizes = sizes.collect();
    Ok(Some(menu).filter(|menu| !menu.entries.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_menu_is_read_from_the_first_directory_that_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(dir.path()).unwrap();
        let (empty, boot) = (base.join("empty"), base.join("boot"));
        fs::create_dir_all(empty.join("loader/entries")).unwrap();
        fs::create_dir_all(boot.join("loader/entries")).unwrap();
        fs::create_dir_all(boot.join("EFI/nixos")).unwrap();
        fs::write(boot.join("EFI/nixos/k.efi"), [0; 100]).unwrap();
        symlink("/etc/passwd", boot.join("EFI/nixos/i.efi")).unwrap();
        let entry = |name: &str| boot.join("loader/entries").join(name);
        let text = "linux /EFI/nixos/k.efi\ninitrd /EFI/nixos/i.efi\n";
        fs::write(entry("nixos-generation-3.conf"), text).unwrap();
        fs::write(entry("windows.conf"), "efi /EFI/x.efi\n").unwrap();
        let dirs = [base.join("absent"), empty, boot.clone()];
        let menu = read_menu(&dirs).unwrap();
        assert_eq!((menu.dir, menu.entries.len()), (boot.clone(), 1));
        // A link is no file of the menu.
        assert_eq!(menu.sizes, [("EFI/nixos/k.efi".into(), Bytes(100))].into());
        assert!(menu.free > Bytes(0));
        // What cannot be read is no menu with less in it.
        symlink("nowhere", entry("nixos-generation-4.conf")).unwrap();
        assert_eq!(read_menu(&dirs), None);
    }
}
