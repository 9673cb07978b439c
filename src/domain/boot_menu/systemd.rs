//! Entries of systemd-boot: files in `loader/entries`, and images in `EFI/Linux`.

use super::{BootEntry, Listed, below, identity, system_of};
use crate::domain::store_path::StoreDir;

/// An entry with its file name and its text.
pub type EntryFile = (String, String);

/// Whether a file in `loader/entries` is an entry of NixOS; `None` for one of NixOS with a name of an unknown form.
pub fn is_entry(name: &str) -> Option<bool> {
    claims(name, ".conf")
}

/// The same for a file in `EFI/Linux`.
pub fn is_image(name: &str) -> Option<bool> {
    claims(name, ".efi")
}

fn claims(name: &str, ending: &str) -> Option<bool> {
    match name.strip_suffix(ending) {
        Some(name) if name.starts_with("nixos-") => identity(name).map(|_| true),
        _ => Some(false),
    }
}

/// What the entries list. `loader` is the text of `loader/loader.conf`, which names the default.
pub fn listed(entries: &[EntryFile], loader: Option<&str>, store: &StoreDir) -> Listed {
    let mut listed = Listed::default();
    for (name, text) in entries {
        let name = name.strip_suffix(".conf").unwrap_or(name);
        let Some((profile, generation)) = identity(name) else {
            continue;
        };
        let files =
            fields(text).filter(|(key, _)| ["linux", "initrd", "efi", "devicetree"].contains(key));
        listed.add(BootEntry {
            profile,
            generation,
            files: files.filter_map(|(_, path)| below(path)).collect(),
        });
    }
    let default = loader.and_then(|text| fields(text).find(|(key, _)| *key == "default"));
    let text = default.and_then(|(_, default)| {
        let named = entries.iter().find(|(name, _)| name == default);
        named.map(|(_, text)| text)
    });
    listed.default = text.and_then(|text| {
        let mut options = fields(text).filter(|(key, _)| *key == "options");
        options.find_map(|(_, words)| system_of(words, store))
    });
    listed
}

/// An image: the file itself, and the kernel and initrd that the stub of lanzaboote names, as UEFI writes paths.
pub fn image(name: &str, named: &[String]) -> Option<BootEntry> {
    let (profile, generation) = identity(name.strip_suffix(".efi")?)?;
    let files = named.iter().map(|path| path.replace('\\', "/"));
    let files = files.filter_map(|path| below(&path));
    Some(BootEntry {
        profile,
        generation,
        files: below(&format!("EFI/Linux/{name}"))
            .into_iter()
            .chain(files)
            .collect(),
    })
}

fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim);
    lines.filter_map(|line| {
        let (key, value) = line.split_once(char::is_whitespace)?;
        Some((key, value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use rstest::rstest;

    const HASH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la";

    fn text(kernel: &str, system: &str) -> String {
        format!(
            "title NixOS\nversion Generation 42\nlinux /EFI/nixos/{kernel}.efi\n initrd  /EFI/nixos/i.efi\n\
             options init=/nix/store/{HASH}-{system}/init quiet\nmachine-id 1\noptions linux /x\nlinux /../../etc/shadow\n"
        )
    }

    fn store() -> StoreDir {
        StoreDir::new(Utf8Path::new("/nix/store")).unwrap()
    }

    #[test]
    fn an_entry_uses_its_kernel_and_its_initrd() {
        let entries = [
            ("nixos-generation-42.conf".to_string(), text("k", "a")),
            (
                "nixos-generation-42-specialisation-x.conf".to_string(),
                text("s", "b"),
            ),
            ("nixos-generation-43.conf".to_string(), text("k", "c")),
        ];
        let listed = listed(&entries, None, &store());
        let files: Vec<Vec<&str>> = listed
            .entries
            .iter()
            .map(|entry| entry.files.iter().map(|file| file.as_str()).collect())
            .collect();
        let (i, k, s) = ("EFI/nixos/i.efi", "EFI/nixos/k.efi", "EFI/nixos/s.efi");
        assert_eq!(files, [vec![i, k, s], vec![i, k]]);
        assert_eq!(listed.default, None);
    }

    #[rstest]
    #[case::an_entry("timeout 5\ndefault nixos-generation-42.conf\n", Some("a"))]
    #[case::a_specialisation("default nixos-generation-42-specialisation-x.conf", Some("b"))]
    #[case::a_pattern("default nixos-*\n", None)]
    #[case::no_entry("default nixos-generation-9.conf\n", None)]
    #[case::nothing("timeout 5\n", None)]
    fn the_default_is_a_system(#[case] loader: &str, #[case] expected: Option<&str>) {
        let entries = [
            ("nixos-generation-42.conf".to_string(), text("k", "a")),
            (
                "nixos-generation-42-specialisation-x.conf".to_string(),
                text("s", "b"),
            ),
        ];
        let listed = listed(&entries, Some(loader), &store());
        let found = listed.default.map(|path| path.name().to_string());
        assert_eq!(found.as_deref(), expected);
    }

    #[rstest]
    #[case("nixos-generation-1.conf", Some(true))]
    #[case("nixos-0123abcd.conf", None)]
    #[case("arch.conf", Some(false))]
    #[case("nixos-generation-1.conf.tmp", Some(false))]
    #[case("nixos-generation-1.efi", Some(false))]
    fn names_of_an_unknown_form_are_not_passed_over(
        #[case] name: &str,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(is_entry(name), expected);
    }

    #[test]
    fn an_image_uses_itself_and_what_its_stub_names() {
        let named = [
            r"\EFI\nixos\kernel-6.6-abc.efi",
            r"\..\x",
            r"\EFI\nixos\initrd.efi",
        ];
        let named = named.map(ToString::to_string);
        let entry = image("nixos-work-generation-4-abc.efi", &named).unwrap();
        let files: Vec<_> = entry.files.iter().map(|file| file.as_str()).collect();
        assert_eq!(
            files,
            [
                "EFI/Linux/nixos-work-generation-4-abc.efi",
                "EFI/nixos/initrd.efi",
                "EFI/nixos/kernel-6.6-abc.efi"
            ]
        );
        assert_eq!(
            (entry.profile.as_deref(), entry.generation.0),
            (Some("work"), 4)
        );
        assert_eq!(image("arch.efi", &[]), None);
        assert_eq!(is_image("nixos-generation-4.efi"), Some(true));
        assert_eq!(is_image("arch.efi"), Some(false));
        assert_eq!(is_image("nixos-of-another-form.efi"), None);
    }
}
