//! The check of the boot menu: whether another generation fits beside the ones that it lists.

use std::collections::BTreeSet;

use super::{passed, warned};
use crate::adapters::boot;
use crate::cli::context::Context;
use crate::domain::boot_menu::{BootEntry, BootMenu, SeenMenu};
use crate::domain::measure::Bytes;
use crate::domain::profile::GenerationNumber;
use crate::domain::snapshot::Actor;
use crate::render::json::CheckDocument;
use crate::render::text::count;

const NAME: &str = "boot";

/// The menu of the machine.
pub(in crate::cli) fn read(context: &Context) -> SeenMenu {
    boot::read_menu(&context.places.boot_dirs, &context.places.store)
}

/// Checks a menu, where there is one that our user may read. `system` are the generations of the system, where they are known.
pub(in crate::cli) fn check_menu(
    menu: &SeenMenu,
    actor: Actor,
    system: Option<&BTreeSet<GenerationNumber>>,
) -> Option<CheckDocument> {
    match menu {
        SeenMenu::None => None,
        // On most machines only root may read it.
        SeenMenu::Unknown(_) if actor != Actor::Root => None,
        SeenMenu::Unknown(why) => Some(unknown(why)),
        SeenMenu::Known(menu) => Some(check(menu, system)),
    }
}

fn unknown(why: &str) -> CheckDocument {
    let message = format!("cannot read the boot menu in {why}");
    let hint =
        "Whether another kernel fits is not known, and `bootMenu.minFree` removes nothing for it.";
    warned(NAME, message, hint)
}

fn check(menu: &BootMenu, system: Option<&BTreeSet<GenerationNumber>>) -> CheckDocument {
    // Entries of other profiles stay; which of their generations exist is not known here.
    let is_listed = |entry: &BootEntry| system.is_none_or(|it| it.contains(&entry.generation));
    let exists = |entry: &BootEntry| entry.profile.is_some() || is_listed(entry);
    let (gone, freed) = menu.left_out(exists);
    let (dir, free, another) = (&menu.dir, menu.free, menu.bytes_of_another());
    let entries = count(menu.entries.len(), "entry");
    if menu.sizes.is_empty() {
        let message = format!("{dir}: {entries}; their kernels are in the store");
        return passed(NAME, message);
    }
    // NixOS removes the entries of removed generations before it copies a kernel (systemd-boot-builder.py).
    let after = Bytes(free.0.saturating_add(freed.0));
    if after < another {
        let message = format!(
            "{dir} has {free} free, and another kernel with its initrd takes up to {another}: the next `nixos-rebuild` may fail"
        );
        let hint = format!(
            "The boot menu has {entries}. Remove old system generations, then run `nixos-rebuild boot`, which removes their entries. \
             `boot.loader.systemd-boot.configurationLimit` limits the entries for good."
        );
        return warned(NAME, message, &hint);
    }
    let rebuild = match gone {
        0 => String::new(),
        _ => format!(
            "; `nixos-rebuild boot` removes {gone} of removed generations and frees {freed}"
        ),
    };
    passed(
        NAME,
        format!(
            "{dir}: {entries}, {free} free; another kernel with its initrd takes up to {another}{rebuild}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::json::CheckState;
    use rstest::rstest;

    /// Generations 1 to 4, of which two share each kernel and initrd of 30 MiB.
    fn menu(free: u64) -> BootMenu {
        let files = ["a", "a", "b", "b"];
        let entries = (1..).zip(files).map(|(number, file)| BootEntry {
            profile: None,
            generation: GenerationNumber(number),
            files: [file.into()].into(),
        });
        BootMenu {
            dir: "/boot".into(),
            default: None,
            free: Bytes(free << 20),
            entries: entries.collect(),
            sizes: ["a", "b"].map(|file| (file.into(), Bytes(30 << 20))).into(),
        }
    }

    #[rstest]
    #[case::enough(
        30,
        Some(1),
        CheckState::Ok,
        "4 entries, 30.00 MiB free; another kernel with its initrd takes up to 30.00 MiB"
    )]
    #[case::too_little(29, Some(1), CheckState::Warning, "the next `nixos-rebuild` may fail")]
    #[case::a_shared_kernel_stays(29, Some(2), CheckState::Warning, "may fail")]
    #[case::enough_once_entries_are_gone(
        0,
        Some(3),
        CheckState::Ok,
        "removes 2 of removed generations and frees 30.00 MiB"
    )]
    #[case::unknown_generations(29, None, CheckState::Warning, "may fail")]
    fn a_rebuild_fits_or_is_warned_of(
        #[case] free: u64,
        #[case] first: Option<u32>,
        #[case] state: CheckState,
        #[case] says: &str,
    ) {
        let system = first.map(|first| (first..=4).map(GenerationNumber).collect());
        let checked = check(&menu(free), system.as_ref());
        assert_eq!(checked.state, state, "{}", checked.message);
        assert!(checked.message.contains(says), "{}", checked.message);
        assert_eq!(checked.hint.is_some(), state != CheckState::Ok);
    }
}
