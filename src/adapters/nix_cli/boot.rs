//! The refresh of the boot menu, by the program with which NixOS itself writes it.

use camino::Utf8PathBuf;

use super::links::{Directory, LinkEntry};
use super::{BOOT, NixCli, failed};
use crate::adapters::boot::SWITCH;
use crate::adapters::process::Program;
use crate::domain::plan::BootFacts;
use crate::domain::store_path::{StorePath, StorePathRef};
use crate::ports::{Interrupt, PerformError};

/// The profile of the machine's own system.
const SYSTEM: &str = "system";

/// A boot loader that is half installed is worse than a run that stops a little later.
struct Uninterrupted;

impl Interrupt for Uninterrupted {
    fn requested(&self) -> bool {
        false
    }
}

impl NixCli {
    /// Runs `switch-to-configuration boot` of the current system: it makes that system the default, so it must be the current one
    /// right before. If another one became current meanwhile, that is reported, and its own switch writes the menu once more.
    pub(super) fn refresh_menu(&self, facts: &BootFacts) -> Result<Option<String>, PerformError> {
        let system = &facts.system;
        match self.current_system()? {
            Some(current) if current == *system => {}
            current => return Err(PerformError::Stale(other_system(system, current.as_ref()))),
        }
        let what = || "refreshing the boot menu".to_string();
        let top = system.to_absolute_path(&self.places.store);
        let program = Program::find(SWITCH, Some(top.join("bin").as_std_path()), &self.child_env);
        let program = program.map_err(|error| failed(what(), error))?;
        let output = self
            .command(&program, BOOT)
            .args(["boot"])
            .keep("LOCALE_ARCHIVE")
            // It writes dates for people.
            .unset("TZ")
            .run(&Uninterrupted)
            .map_err(|error| failed(what(), error))?;
        let said = [output.stderr.last_lines(), output.stdout.last_lines()];
        let said = said.into_iter().find(|text| !text.is_empty());
        match self.current_system()? {
            Some(current) if current == *system => Ok(said),
            current => Err(PerformError::Nix {
                what: what(),
                source: format!(
                    "{}; run `nixos-rebuild boot`",
                    other_system(system, current.as_ref())
                )
                .into(),
            }),
        }
    }

    /// The target of the current generation of the profile `system`.
    fn current_system(&self) -> Result<Option<StorePath<String>>, PerformError> {
        let dir = self.places.state_dir.join("profiles");
        let failed = |source| PerformError::File {
            what: format!("read the profile {dir}/{SYSTEM}"),
            source,
        };
        let Some(dir) = Directory::open(&dir).map_err(failed)? else {
            return Ok(None);
        };
        let target = |name: &str| {
            Ok(match dir.read(name).map_err(failed)? {
                Some(LinkEntry::Link { text, .. }) => {
                    text.into_string().ok().map(Utf8PathBuf::from)
                }
                Some(LinkEntry::Other) | None => None,
            })
        };
        let Some(generation) = target(SYSTEM)? else {
            return Ok(None);
        };
        // Only a link to a generation beside it names a current generation.
        let store_path = match generation.file_name() {
            Some(name) if generation == name => target(name)?,
            _ => None,
        };
        let store = &self.places.store;
        let path = store_path.and_then(|path| {
            let path = StorePathRef::from_absolute_path(&path, store).ok()?;
            Some(path.to_owned())
        });
        Ok(path)
    }
}

fn other_system(system: &StorePath<String>, current: Option<&StorePath<String>>) -> String {
    match current {
        Some(current) => format!("the current system is {current}, and no longer {system}"),
        None => format!("the current system is unknown, and no longer {system}"),
    }
}
