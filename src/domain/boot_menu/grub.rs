//! GRUB's menu, `grub/grub.cfg`, as NixOS writes it.

use camino::Utf8PathBuf;

use super::{BootEntry, Listed, below, system_of};
use crate::domain::profile::GenerationNumber;
use crate::domain::store_path::StoreDir;

/// A part of the menu that ends with a brace of its own.
enum Block {
    /// `NixOS - Profile 'work'`.
    Profile(String),
    /// `NixOS - Configuration 12 (2026-11-22 - 26.05)`.
    Generation(GenerationNumber),
    /// An entry without a number. The first one of NixOS is what the machine boots by default.
    Unnumbered,
    /// Anything else.
    Other,
}

impl Block {
    /// Of a line such as `menuentry "NixOS - Configuration 12 (…)" --class nixos {`.
    fn of(line: &str) -> Self {
        let title = line.split('"').nth(1).unwrap_or_default();
        let is_entry = line.starts_with("menuentry");
        if !is_entry && !line.starts_with("submenu") {
            return Self::Other;
        }
        if let Some((_, profile)) = title.split_once(" - Profile '") {
            let name = profile.strip_suffix('\'').unwrap_or(profile);
            return Self::Profile(name.to_string());
        }
        let rest = title.split_once(" - Configuration ").map(|(_, rest)| rest);
        let number = rest.and_then(|rest| rest.split(' ').next());
        match number.and_then(|number| number.parse().ok()) {
            Some(number) => Self::Generation(GenerationNumber(number)),
            None if is_entry => Self::Unnumbered,
            None => Self::Other,
        }
    }
}

/// What the menu lists.
pub fn listed(text: &str, store: &StoreDir) -> Listed {
    let mut listed = Listed::default();
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.ends_with('{') {
            let block = Block::of(line);
            if let Block::Generation(generation) = block {
                listed.add(entry(&blocks, generation, None));
            }
            blocks.push(block);
        } else if line == "}" {
            blocks.pop();
        } else if let Some((word, rest)) = line.split_once(char::is_whitespace)
            && ["linux", "initrd", "multiboot", "module", "kernel"].contains(&word)
        {
            match blocks.last() {
                Some(Block::Generation(generation)) => {
                    listed.add(entry(&blocks, *generation, copied(rest)));
                }
                Some(Block::Unnumbered) => {
                    listed.default = listed.default.or_else(|| system_of(rest, store));
                }
                _ => {}
            }
        }
    }
    listed
}

fn entry(blocks: &[Block], generation: GenerationNumber, file: Option<Utf8PathBuf>) -> BootEntry {
    let profile = blocks.iter().find_map(|block| match block {
        Block::Profile(name) => Some(name.clone()),
        _ => None,
    });
    BootEntry {
        profile,
        generation,
        files: file.into_iter().collect(),
    }
}

/// A kernel or initrd that was copied to `kernels`, as in `($drive1)//kernels/HASH-linux-6.6-bzImage`. The others are read from
/// the store.
fn copied(words: &str) -> Option<Utf8PathBuf> {
    let path = words.split_whitespace().next()?;
    let (_, name) = path.rsplit_once("/kernels/")?;
    below(&format!("kernels/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use rstest::rstest;

    const MENU: &str = r#"
if loadfont ($drive1)//converted-font.pf2; then
  set gfxmode=auto
fi
function helper {
}
menuentry "NixOS" --class nixos --unrestricted {
search --set=drive1 --fs-uuid 1234
  linux ($drive1)//kernels/k2 init=/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-nixos-system-a-26.05/init quiet
  initrd ($drive1)//kernels/i2
}

menuentry "Windows" {
  chainloader +1
}
submenu "NixOS - All configurations" --class submenu {
menuentry "NixOS - Configuration 12 (2026-11-22 - 26.05)" --class nixos {
  linux ($drive1)//kernels/k2 init=/nix/store/x/init
  initrd ($drive1)//kernels/i2
}
submenu "> NixOS - Configuration 11 (2026-11-20 - 26.05)" --class submenu {
menuentry "NixOS - Configuration 11 - Default (2026-11-20 - 26.05)" --class nixos {
  multiboot ($drive1)//kernels/xen
  module ($drive1)//kernels/k1 init=/nix/store/y/init
  module ($drive1)//kernels/i1
}
menuentry "NixOS - Configuration 11 - gnome (2026-11-20 - 26.05)" --class nixos {
  linux ($drive1)//kernels/k1 init=/nix/store/z/init
  initrd ($drive1)//kernels/../i3
}
}
}
submenu "NixOS - Profile 'work'" --class submenu {
menuentry "NixOS - Configuration 3 (2026-11-20 - 26.05)" --class nixos {
  linux ($drive2)/store/h-linux-6.6/bzImage init=/nix/store/w/init
}
}
"#;

    #[test]
    fn the_generations_of_all_profiles_are_found() {
        let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
        let listed = listed(MENU, &store);
        let found: Vec<(Option<&str>, u32, Vec<&str>)> = listed
            .entries
            .iter()
            .map(|entry| {
                let files = entry.files.iter().map(|file| file.as_str()).collect();
                (entry.profile.as_deref(), entry.generation.0, files)
            })
            .collect();
        assert_eq!(
            found,
            [
                (None, 12, vec!["kernels/i2", "kernels/k2"]),
                (None, 11, vec!["kernels/i1", "kernels/k1", "kernels/xen"]),
                (Some("work"), 3, vec![]),
            ]
        );
        let default = listed.default.unwrap();
        assert_eq!(default.name(), "nixos-system-a-26.05");
    }

    #[rstest]
    #[case::nothing("")]
    #[case::of_another_system("menuentry \"Debian\" {\n linux /vmlinuz\n}\n")]
    #[case::unbalanced("}\n}\nmenuentry \"NixOS - Configuration x (y)\" {\n linux /kernels/k\n")]
    #[case::too_large("menuentry \"NixOS - Configuration 99999999999 (y)\" {\n}\n")]
    fn other_menus_list_nothing(#[case] text: &str) {
        let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
        assert_eq!(listed(text, &store), Listed::default());
    }
}
