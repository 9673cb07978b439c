//! The boot menu: the entries of systemd-boot for generations of the system, and the kernels and initrds that they use.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::measure::Bytes;
use super::profile::GenerationNumber;

/// An entry of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// The profile below `system-profiles`; `None` for the profile `system`.
    pub profile: Option<String>,
    /// The generation that it boots.
    pub generation: GenerationNumber,
    /// Its kernel and its initrds, below the directory of the menu.
    pub files: BTreeSet<Utf8PathBuf>,
}

/// The menu of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootMenu {
    /// Where its file system is mounted.
    pub dir: Utf8PathBuf,
    /// What is free there.
    pub free: Bytes,
    /// The entries.
    pub entries: Vec<BootEntry>,
    /// The sizes of the files that they use.
    pub sizes: BTreeMap<Utf8PathBuf, Bytes>,
}

impl BootEntry {
    /// Reads an entry as NixOS writes it: `nixos-generation-42.conf`, `nixos-NAME-generation-42-specialisation-x.conf`.
    /// `None` for the entries of others.
    pub fn parse(name: &str, text: &str) -> Option<Self> {
        let name = name.strip_prefix("nixos-")?.strip_suffix(".conf")?;
        let (profile, rest) = if let Some(rest) = name.strip_prefix("generation-") {
            (None, rest)
        } else {
            let (profile, rest) = name.split_once("-generation-")?;
            (Some(profile.to_string()), rest)
        };
        let number = rest.split('-').next().unwrap_or_default();
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number)?;
        let files = text.lines().filter_map(|line| {
            let (key, value) = line.trim().split_once(char::is_whitespace)?;
            let is_file = ["linux", "initrd", "efi", "devicetree"].contains(&key);
            below(value.trim()).filter(|_| is_file)
        });
        Some(Self {
            profile,
            generation: GenerationNumber(number),
            files: files.collect(),
        })
    }
}

/// A path of an entry without the slash at its beginning; `None` for what is not below the directory of the menu.
fn below(path: &str) -> Option<Utf8PathBuf> {
    let path = Utf8Path::new(path.trim_start_matches('/'));
    let is_plain = |part| matches!(part, Utf8Component::Normal(_));
    let is_below = !path.as_str().is_empty() && path.components().all(is_plain);
    is_below.then(|| path.to_path_buf())
}

impl BootMenu {
    /// What a generation with a kernel and an initrd of its own takes, if they are as large as the largest there.
    pub fn bytes_of_another(&self) -> Bytes {
        let entries = self.entries.iter();
        let sizes = entries.map(|entry| self.bytes_of(entry.files.iter()));
        sizes.max().unwrap_or_default()
    }

    /// The entries that are left out when the menu is written anew, and what only they use.
    pub fn left_out(&self, exists: impl Fn(&BootEntry) -> bool) -> (usize, Bytes) {
        let (kept, gone): (Vec<_>, Vec<_>) = self.entries.iter().partition(|entry| exists(entry));
        let kept: BTreeSet<_> = kept.iter().flat_map(|entry| &entry.files).collect();
        let files: BTreeSet<_> = gone.iter().flat_map(|entry| &entry.files).collect();
        (gone.len(), self.bytes_of(files.difference(&kept).copied()))
    }

    fn bytes_of<'a>(&self, files: impl Iterator<Item = &'a Utf8PathBuf>) -> Bytes {
        let sizes = files.filter_map(|file| self.sizes.get(file));
        Bytes(sizes.map(|size| size.0).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TEXT: &str = "title NixOS\nversion Generation 42\nlinux /EFI/nixos/k.efi\n initrd  /EFI/nixos/i.efi\n\
                        options init=/nix/store/x/init\nmachine-id 1\n";

    #[rstest]
    #[case("nixos-generation-42.conf", Some((None, 42)))]
    #[case("nixos-generation-7-specialisation-a-b.conf", Some((None, 7)))]
    #[case("nixos-work-generation-3.conf", Some((Some("work"), 3)))]
    #[case::of_another_system("arch.conf", None)]
    #[case::no_number("nixos-generation-x.conf", None)]
    #[case::nothing("nixos-generation-.conf", None)]
    #[case::too_large("nixos-generation-99999999999.conf", None)]
    #[case::no_entry("nixos-generation-42.conf.tmp", None)]
    fn the_name_of_an_entry_is_its_generation(
        #[case] name: &str,
        #[case] expected: Option<(Option<&str>, u32)>,
    ) {
        let entry = BootEntry::parse(name, TEXT);
        let found = entry
            .as_ref()
            .map(|it| (it.profile.as_deref(), it.generation.0));
        assert_eq!(found, expected);
        if let Some(entry) = entry {
            let files: Vec<_> = entry.files.iter().map(|file| file.as_str()).collect();
            assert_eq!(files, ["EFI/nixos/i.efi", "EFI/nixos/k.efi"]);
        }
    }

    #[rstest]
    #[case("linux /../etc/shadow")]
    #[case("linux /EFI/../../x")]
    #[case("linux /")]
    #[case("linux")]
    #[case("options linux /x")]
    fn files_elsewhere_are_not_looked_at(#[case] text: &str) {
        let entry = BootEntry::parse("nixos-generation-1.conf", text).unwrap();
        assert!(entry.files.is_empty(), "{:?}", entry.files);
    }

    fn menu(entries: &[(u32, &[&str])], sizes: &[(&str, u64)]) -> BootMenu {
        let entry = |(generation, files): &(u32, &[&str])| BootEntry {
            profile: None,
            generation: GenerationNumber(*generation),
            files: files.iter().map(Into::into).collect(),
        };
        BootMenu {
            dir: "/boot".into(),
            free: Bytes(100),
            entries: entries.iter().map(entry).collect(),
            sizes: sizes
                .iter()
                .map(|(file, size)| (file.into(), Bytes(*size)))
                .collect(),
        }
    }

    #[test]
    fn shared_files_count_once_and_only_where_nobody_keeps_them() {
        let entries: [(u32, &[&str]); 4] = [
            (1, &["k1", "i1"]),
            (2, &["k1", "i2"]),
            (3, &["k2", "i3"]),
            (4, &["k2", "missing"]),
        ];
        let sizes = [("k1", 10), ("k2", 12), ("i1", 20), ("i2", 20), ("i3", 21)];
        let menu = menu(&entries, &sizes);
        assert_eq!(menu.bytes_of_another(), Bytes(33));
        let left_out = |first: u32| menu.left_out(|entry| entry.generation.0 >= first);
        assert_eq!(left_out(1), (0, Bytes(0)));
        assert_eq!(left_out(2), (1, Bytes(20)));
        assert_eq!(left_out(3), (2, Bytes(50)));
        assert_eq!(left_out(9), (4, Bytes(83)));
    }
}
