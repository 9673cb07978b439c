//! Menus of each kind, and what others could put in their place.

use std::fs;
use std::os::unix::fs::symlink;

use rstest::rstest;

use super::*;
use crate::support::scratch;

const KERNEL: &[u8] = br"\EFI\nixos\k.efi";

fn store() -> StoreDir {
    StoreDir::new(Utf8Path::new("/nix/store")).unwrap()
}

/// A directory with `EFI/nixos/k.efi` of 100 bytes and an entry of generation 3 that uses it.
fn esp(base: &Utf8Path) -> Utf8PathBuf {
    let boot = base.join("boot");
    for dir in [
        "loader/entries",
        "EFI/nixos",
        "EFI/Linux",
        "kernels",
        "grub",
    ] {
        fs::create_dir_all(boot.join(dir)).unwrap();
    }
    fs::write(boot.join("EFI/nixos/k.efi"), [0; 100]).unwrap();
    let entry = boot.join("loader/entries/nixos-generation-3.conf");
    fs::write(entry, "linux /EFI/nixos/k.efi\ninitrd /EFI/nixos/i.efi\n").unwrap();
    boot
}

fn known(dirs: &[Utf8PathBuf]) -> BootMenu {
    match read_menu(dirs, &store()) {
        SeenMenu::Known(menu) => menu,
        other => panic!("{other:?}"),
    }
}

/// An image with these sections, as `objcopy --add-section` makes it.
pub(super) fn image(sections: &[(&str, &[u8])]) -> Vec<u8> {
    const HEADERS: usize = 0x400;
    let mut image = vec![0; HEADERS];
    image[..2].copy_from_slice(b"MZ");
    image[0x3c] = 0x40;
    let put = |image: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(&mut image, 0x40, b"PE\0\0\x64\x86");
    put(
        &mut image,
        0x46,
        &u16::try_from(sections.len()).unwrap().to_le_bytes(),
    );
    put(&mut image, 0x54, &[240, 0]); // the size of the optional header
    put(&mut image, 0x58, &[0x0b, 0x02]);
    put(&mut image, 0x58 + 108, &[16]); // data directories
    for (index, (name, data)) in sections.iter().enumerate() {
        let at = 0x58 + 240 + index * 40;
        let (start, size) = (image.len(), u32::try_from(data.len()).unwrap());
        put(&mut image, at, name.as_bytes());
        put(&mut image, at + 8, &size.to_le_bytes());
        put(
            &mut image,
            at + 12,
            &u32::try_from(start).unwrap().to_le_bytes(),
        );
        put(&mut image, at + 16, &size.to_le_bytes());
        put(
            &mut image,
            at + 20,
            &u32::try_from(start).unwrap().to_le_bytes(),
        );
        image.extend_from_slice(data);
    }
    image
}

#[test]
fn the_menu_is_read_from_the_first_directory_that_has_one() {
    let (_guard, base) = scratch();
    let boot = esp(&base);
    let empty = base.join("empty");
    fs::create_dir_all(empty.join("loader/entries")).unwrap();
    symlink("/etc/passwd", boot.join("EFI/nixos/i.efi")).unwrap();
    fs::write(boot.join("loader/entries/windows.conf"), "efi /EFI/x.efi\n").unwrap();
    let menu = known(&[base.join("absent"), empty.clone(), boot.clone()]);
    assert_eq!((menu.dir, menu.entries.len()), (boot, 1));
    // A link is no file of the menu.
    assert_eq!(menu.sizes, [("EFI/nixos/k.efi".into(), Bytes(100))].into());
    assert!(menu.free > Bytes(0));
    assert_eq!(read_menu(&[empty], &store()), SeenMenu::None);
}

type Sections<'a> = &'a [(&'a str, &'a [u8])];

#[rstest]
#[case::of_lanzaboote(&[(".linux", KERNEL), (".initrd", b"\\EFI\\nixos\\i.efi\0\0")], true)]
#[case::of_lanzaboote_before(&[(".kernelp", KERNEL), (".initrdp", b"")], true)]
#[case::unified(&[(".osrel", KERNEL), (".linux", &[0; 2000]), (".initrd", &[b'\\'; 2000])], false)]
fn an_image_holds_its_kernel_or_names_it(#[case] sections: Sections<'_>, #[case] names: bool) {
    let (_guard, base) = scratch();
    let boot = esp(&base);
    fs::remove_dir_all(boot.join("loader")).unwrap();
    let file = boot.join("EFI/Linux/nixos-generation-4.efi");
    fs::write(file, image(sections)).unwrap();
    let menu = known(&[boot]);
    assert_eq!(menu.entries[0].generation.0, 4);
    let files: Vec<&str> = menu.sizes.keys().map(|file| file.as_str()).collect();
    let all = ["EFI/Linux/nixos-generation-4.efi", "EFI/nixos/k.efi"];
    assert_eq!(files, all[..=usize::from(names)]);
}

#[test]
fn a_menu_of_grub_is_read() {
    let (_guard, base) = scratch();
    let boot = esp(&base);
    let text = "menuentry \"NixOS - Configuration 7 (x)\" {\n  linux ($drive1)//kernels/k\n}\n";
    fs::write(boot.join("grub/grub.cfg"), text).unwrap();
    fs::write(boot.join("kernels/k"), [0; 50]).unwrap();
    // Which of two is in use is not known.
    let both = read_menu(std::slice::from_ref(&boot), &store());
    assert!(matches!(both, SeenMenu::Unknown(why) if why.contains("only one of them")));
    fs::remove_dir_all(boot.join("loader")).unwrap();
    let menu = known(&[boot]);
    assert_eq!(menu.sizes, [("kernels/k".into(), Bytes(50))].into());
}

type Spoil = fn(&Utf8Path);

#[rstest]
#[case::a_link_for_an_entry(|boot: &Utf8Path| symlink("nixos-generation-3.conf", boot.join("loader/entries/nixos-generation-4.conf")).unwrap(), "nixos-generation-4.conf: it is a symbolic link")]
#[case::a_pipe_for_an_entry(|boot: &Utf8Path| nix::unistd::mkfifo(boot.join("loader/entries/nixos-generation-4.conf").as_std_path(), nix::sys::stat::Mode::S_IRWXU).unwrap(), "not a regular file")]
#[case::a_pipe_for_an_image(|boot: &Utf8Path| nix::unistd::mkfifo(boot.join("EFI/Linux/nixos-generation-4.efi").as_std_path(), nix::sys::stat::Mode::S_IRWXU).unwrap(), "nixos-generation-4.efi")]
#[case::no_image(|boot: &Utf8Path| fs::write(boot.join("EFI/Linux/nixos-generation-4.efi"), "MZ").unwrap(), "nixos-generation-4.efi")]
#[case::a_large_entry(|boot: &Utf8Path| fs::File::create(boot.join("loader/entries/nixos-generation-4.conf")).unwrap().set_len(1 << 40).unwrap(), "is larger than")]
#[case::a_large_menu(|boot: &Utf8Path| fs::File::create(boot.join("grub/grub.cfg")).unwrap().set_len(1 << 40).unwrap(), "is larger than")]
#[case::a_name_of_another_form(|boot: &Utf8Path| fs::write(boot.join("loader/entries/nixos-0123.conf"), "").unwrap(), "has an unknown form")]
#[case::a_link_for_a_directory(|boot: &Utf8Path| { fs::remove_dir(boot.join("EFI/Linux")).unwrap(); symlink("nixos", boot.join("EFI/Linux")).unwrap() }, "")]
#[case::many_names(|boot: &Utf8Path| (0..=MAX_NAMES).for_each(|n| fs::write(boot.join(format!("loader/entries/{n}")), "").unwrap()), "more than 5000 names")]
fn what_cannot_be_understood_is_no_menu_with_less_in_it(#[case] spoil: Spoil, #[case] why: &str) {
    let (_guard, base) = scratch();
    let boot = esp(&base);
    spoil(&boot);
    let found = read_menu(std::slice::from_ref(&boot), &store());
    assert!(
        matches!(&found, SeenMenu::Unknown(text) if text.contains(why)),
        "{found:?}"
    );
}

#[test]
fn a_file_elsewhere_is_not_measured() {
    let (_guard, base) = scratch();
    let boot = esp(&base);
    fs::write(base.join("secret"), "x").unwrap();
    symlink("..", boot.join("up")).unwrap();
    let entry = boot.join("loader/entries/nixos-generation-4.conf");
    let text = "linux /../secret\ninitrd /EFI/nixos/k.efi/x\nlinux /EFI/nixos\nefi /absent/x\n";
    fs::write(&entry, text).unwrap();
    let menu = known(std::slice::from_ref(&boot));
    assert_eq!(menu.sizes.len(), 1, "{:?}", menu.sizes);
    // Nor is a directory behind a link.
    fs::write(&entry, "linux /up/secret\n").unwrap();
    let menu = read_menu(&[boot], &store());
    let known = match menu {
        SeenMenu::Known(menu) => menu.sizes.len(),
        _ => 1,
    };
    assert_eq!(known, 1);
}

proptest::proptest! {
    #[test]
    fn no_image_is_read_beyond_its_end(at in 0_usize..0x700, byte: u8, cut in 0_usize..0x700) {
        let mut bytes = image(&[(".linux", KERNEL), (".initrd", b"x"), (".osrel", &[0; 300])]);
        if let Some(old) = bytes.get_mut(at) {
            *old = byte;
        }
        bytes.truncate(bytes.len().min(cut));
        fuzzing::read(&bytes, None);
    }

    #[test]
    fn no_text_leads_out_of_the_menu(text in "(nixos-generation-1\\.conf\n)?((linux|initrd|efi|menuentry \"NixOS - Configuration 1 \\{|\\}) [/.a-z]{0,20}\n){0,9}") {
        fuzzing::read(text.as_bytes(), Some(&text));
    }
}
