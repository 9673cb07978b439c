//! The boot menu: which generations of the system it lists, and which files on its file system each of them uses.
//!
//! Read are the forms that NixOS writes: entries and unified kernel images of systemd-boot, the stubs of lanzaboote, and GRUB's menu.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::measure::Bytes;
use super::profile::{GenerationNumber, Profile, ProfileKind};
use super::store_path::{StoreDir, StorePath, StorePathRef};

pub mod grub;
pub mod systemd;

/// What is known of the boot menu of a machine, and of the system that writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootState {
    /// The menu.
    pub menu: SeenMenu,
    /// The target of the current generation of the profile `system`, if it is a system of NixOS that can write a menu.
    pub writer: Option<StorePath<String>>,
}

/// The boot menu of a machine, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SeenMenu {
    /// There is none of NixOS, or nobody looked.
    #[default]
    None,
    /// There is one that cannot be read or understood, for this reason.
    Unknown(String),
    /// There is one.
    Known(BootMenu),
}

/// A generation on the menu, with its specialisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// The profile below `system-profiles`; `None` for the profile `system`.
    pub profile: Option<String>,
    /// The generation that it boots.
    pub generation: GenerationNumber,
    /// Its kernels, initrds and images, below the directory of the menu.
    pub files: BTreeSet<Utf8PathBuf>,
}

/// What a boot loader lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// The generations.
    pub entries: Vec<BootEntry>,
    /// The system that the machine boots by default, where the menu names one.
    pub default: Option<StorePath<String>>,
}

/// The menu of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootMenu {
    /// Where its file system is mounted.
    pub dir: Utf8PathBuf,
    /// What is free there.
    pub free: Bytes,
    /// The generations on it.
    pub entries: Vec<BootEntry>,
    /// The system that the machine boots by default, where the menu names one.
    pub default: Option<StorePath<String>>,
    /// The sizes of the files that are there.
    pub sizes: BTreeMap<Utf8PathBuf, Bytes>,
}

/// How a plan compares with `bootMenu.minFree`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootReport {
    /// Where the file system of the menu is mounted.
    #[schemars(with = "String")]
    pub dir: Utf8PathBuf,
    /// The goal.
    pub min_free: Bytes,
    /// What is free there.
    pub free: Bytes,
    /// What the refresh of the menu frees there.
    pub frees: Bytes,
    /// What is missing after that; 0 where the goal is reached.
    pub missing: Bytes,
}

impl BootEntry {
    /// Whether it boots a generation of this profile.
    pub fn is_of(&self, profile: &Profile) -> bool {
        match &self.profile {
            None => profile.kind == ProfileKind::System,
            Some(name) => profile.kind == ProfileKind::NamedSystem && profile.path.name() == name,
        }
    }
}

impl Listed {
    /// Adds an entry. The specialisations of a generation have entries of their own, and are removed with it.
    pub fn add(&mut self, entry: BootEntry) {
        let mut entries = self.entries.iter_mut();
        let same =
            entries.find(|it| it.profile == entry.profile && it.generation == entry.generation);
        match same {
            Some(same) => same.files.extend(entry.files),
            None => self.entries.push(entry),
        }
    }

    /// Adds what another reader found.
    pub fn join(&mut self, other: Self) {
        other.entries.into_iter().for_each(|entry| self.add(entry));
        self.default = self.default.take().or(other.default);
    }
}

/// The profile and the generation in the name of an entry or image, without its ending: `nixos-generation-42`,
/// `nixos-NAME-generation-42-specialisation-x`, `nixos-generation-42+3`. `None` for those of others.
fn identity(name: &str) -> Option<(Option<String>, GenerationNumber)> {
    let name = name.strip_prefix("nixos-")?;
    let (profile, rest) = if let Some(rest) = name.strip_prefix("generation-") {
        (None, rest)
    } else {
        let (profile, rest) = name.split_once("-generation-")?;
        (Some(profile.to_string()), rest)
    };
    let number = rest.split(['-', '+']).next().unwrap_or_default();
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_number)?;
    Some((profile, GenerationNumber(number)))
}

/// The system that a kernel command line starts: `init=/nix/store/…-nixos-system-…/init`.
fn system_of(command_line: &str, store: &StoreDir) -> Option<StorePath<String>> {
    let mut words = command_line.split_whitespace();
    let init = words.find_map(|word| word.strip_prefix("init="))?;
    let top = Utf8Path::new(init).parent()?;
    let path = StorePathRef::from_absolute_path(top, store).ok()?;
    Some(path.to_owned())
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

    /// The generations that are left out when the menu is written anew, and what only they use.
    pub fn left_out(&self, exists: impl Fn(&BootEntry) -> bool) -> (usize, Bytes) {
        let (kept, gone): (Vec<_>, Vec<_>) = self.entries.iter().partition(|entry| exists(entry));
        let kept: BTreeSet<_> = kept.iter().flat_map(|entry| &entry.files).collect();
        let files: BTreeSet<_> = gone.iter().flat_map(|entry| &entry.files).collect();
        (gone.len(), self.bytes_of(files.difference(&kept).copied()))
    }

    /// What a generation alone takes: the files that no other one on the menu uses. `None` for one that is not on it.
    pub fn bytes_alone(&self, profile: &Profile, generation: GenerationNumber) -> Option<Bytes> {
        let mut entries = self.entries.iter();
        let found = entries.find(|it| it.generation == generation && it.is_of(profile))?;
        Some(self.left_out(|entry| entry != found).1)
    }

    /// Whether files of an entry are there. Nothing ever removes the entries that a former boot loader left behind.
    pub fn has_files_of(&self, entry: &BootEntry) -> bool {
        entry.files.iter().any(|file| self.sizes.contains_key(file))
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

    #[rstest]
    #[case("nixos-generation-42", Some((None, 42)))]
    #[case("nixos-generation-7-specialisation-a-b", Some((None, 7)))]
    #[case("nixos-generation-7-aa3hxsawmsaaqy3iblwpy4h5ttyqmjgj5f6oq5kzqafcxqjxw6xq", Some((None, 7)))]
    #[case::counted("nixos-generation-7+2-1", Some((None, 7)))]
    #[case("nixos-work-generation-3", Some((Some("work"), 3)))]
    #[case::of_another_system("arch", None)]
    #[case::no_number("nixos-generation-x", None)]
    #[case::nothing("nixos-generation-", None)]
    #[case::too_large("nixos-generation-99999999999", None)]
    #[case::a_sign("nixos-generation-+3", None)]
    fn the_name_of_an_entry_is_its_generation(
        #[case] name: &str,
        #[case] expected: Option<(Option<&str>, u32)>,
    ) {
        let found = identity(name);
        let found = found
            .as_ref()
            .map(|(profile, it)| (profile.as_deref(), it.0));
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case("/EFI/nixos/k.efi", Some("EFI/nixos/k.efi"))]
    #[case("//kernels/k", Some("kernels/k"))]
    #[case("/../etc/shadow", None)]
    #[case("/EFI/../../x", None)]
    #[case("/", None)]
    #[case("", None)]
    fn files_elsewhere_are_not_looked_at(#[case] path: &str, #[case] expected: Option<&str>) {
        assert_eq!(below(path).as_deref(), expected.map(Utf8Path::new));
    }

    #[test]
    fn the_specialisations_of_a_generation_are_a_part_of_it() {
        let entry = |profile: Option<&str>, file: &str| BootEntry {
            profile: profile.map(ToString::to_string),
            generation: GenerationNumber(1),
            files: [file.into()].into(),
        };
        let mut listed = Listed::default();
        for (profile, file) in [(None, "a"), (Some("work"), "b"), (None, "c")] {
            listed.add(entry(profile, file));
        }
        let files: Vec<_> = listed.entries.iter().map(|it| it.files.len()).collect();
        assert_eq!(files, [2, 1]);
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
            default: None,
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

    #[test]
    fn what_a_generation_takes_alone_is_what_no_other_one_uses() {
        let menu = menu(
            &[(1, &["k1", "i1"]), (2, &["k1", "i2"])],
            &[("k1", 10), ("i1", 20), ("i2", 21)],
        );
        let system = crate::domain::profile::Profile {
            path: crate::domain::profile::ProfilePath::new("/p/system".into()).unwrap(),
            kind: ProfileKind::System,
            owner: crate::domain::profile::Owner { uid: 0, name: None },
            current: crate::domain::profile::Current::Known(GenerationNumber(2)),
            is_nix_own: false,
            generations: BTreeMap::new(),
            blocked: None,
        };
        let alone = |number| menu.bytes_alone(&system, GenerationNumber(number));
        assert_eq!(
            [alone(1), alone(2), alone(3)],
            [Some(Bytes(20)), Some(Bytes(21)), None]
        );
        let other = Profile {
            kind: ProfileKind::User,
            ..system
        };
        assert_eq!(menu.bytes_alone(&other, GenerationNumber(1)), None);
    }
}
