//! The version, kernel and configuration revision of a system, read from its closure.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::files;
use crate::domain::graph::split_name;
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};
use crate::domain::system_info::SystemInfo;

/// More than any of these files has.
const MAX_BYTES: u64 = 64 * 1024;
/// More links than lead to any of them.
const MAX_LINKS: usize = 8;
const MAX_CHARS: usize = 200;

/// What `nixos-version --json` prints and nixos-cli records.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Recorded {
    configuration_revision: Option<String>,
    description: Option<String>,
}

/// What a system says of itself. Nothing of it is executed, and no link is followed out of the store.
pub fn system_info(store: &StoreDir, system: &StorePath<String>) -> SystemInfo {
    let top = system.to_absolute_path(store);
    let read = |path: &str| read_in(store, top.join(path));
    let recorded = read("nixos-version.json").and_then(|text| parse(&text));
    let recorded = recorded.or_else(|| of_script(&read("sw/bin/nixos-version")?));
    let recorded = recorded.unwrap_or_default();
    SystemInfo {
        nixos_version: line(&read("nixos-version").unwrap_or_default()),
        kernel_version: kernel_version(store, &top),
        configuration_revision: line(&recorded.configuration_revision.unwrap_or_default()),
        description: line(&recorded.description.unwrap_or_default()),
    }
}

fn parse(text: &str) -> Option<Recorded> {
    serde_json::from_str(text).ok()
}

/// NixOS writes the document into the script, between the lines of `cat <<EOF` and `EOF`.
fn of_script(text: &str) -> Option<Recorded> {
    text.lines()
        .find(|line| line.starts_with('{'))
        .and_then(parse)
}

/// The version in the name of the store path that `kernel` leads to, as in `…-linux-6.6.63/bzImage`.
fn kernel_version(store: &StoreDir, top: &Utf8Path) -> Option<String> {
    let target = top.join("kernel").read_link_utf8().ok()?;
    let (path, _) = StorePathRef::from_absolute_path_full(&target, store).ok()?;
    line(split_name(path.name()).1)
}

/// The first line, if there is anything on it.
fn line(text: &str) -> Option<String> {
    let line = text.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().take(MAX_CHARS).collect();
    (!line.is_empty()).then_some(line)
}

fn read_in(store: &StoreDir, path: Utf8PathBuf) -> Option<String> {
    let path = without_links(store, path).ok().flatten()?;
    files::read_bounded(&path, MAX_BYTES).ok()
}

/// The path behind all links on the way; `None` where it leaves the store.
fn without_links(store: &StoreDir, mut path: Utf8PathBuf) -> io::Result<Option<Utf8PathBuf>> {
    for _ in 0..MAX_LINKS {
        let Ok(inside) = path.strip_prefix(store.as_path()) else {
            return Ok(None);
        };
        let (mut at, mut steps) = (store.as_path().to_path_buf(), inside.components());
        let mut target = None;
        for step in steps.by_ref() {
            at.push(step);
            if at.symlink_metadata()?.is_symlink() {
                target = Some(at.parent().unwrap_or(&at).join(at.read_link_utf8()?));
                break;
            }
        }
        match target {
            Some(target) => path = lexical(&target.join(steps.as_path())),
            None => return Ok(Some(at)),
        }
    }
    Ok(None)
}

/// The path without `.` and `..`.
fn lexical(path: &Utf8Path) -> Utf8PathBuf {
    let mut plain = Utf8PathBuf::new();
    for part in path.components() {
        match part.as_str() {
            ".." => {
                plain.pop();
            }
            "." => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use std::fs;
    use std::os::unix::fs::symlink;

    const SCRIPT: &str = "#! /bin/sh\n  --json)\n    cat <<EOF\n{\"nixosVersion\":\"24.05\",\"configurationRevision\":\"deadbeef\"}\nEOF\n";

    struct World {
        _guard: tempfile::TempDir,
        base: Utf8PathBuf,
        store: StoreDir,
        system: StorePath<String>,
    }

    impl World {
        fn new() -> Self {
            let guard = tempfile::tempdir().unwrap();
            let base = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
            let store = StoreDir::new(&base.join("store")).unwrap();
            let name = format!("{}-nixos-system-x-24.05", "1".repeat(32));
            let system = StorePathRef::from_base_name(&name).unwrap().to_owned();
            let world = Self {
                _guard: guard,
                base,
                store,
                system,
            };
            fs::create_dir_all(world.top()).unwrap();
            world
        }

        fn top(&self) -> Utf8PathBuf {
            self.system.to_absolute_path(&self.store)
        }

        fn path(&self, name: &str) -> Utf8PathBuf {
            let path = self.store.as_path().join("2".repeat(32) + "-" + name);
            fs::create_dir_all(path.join("bin")).unwrap();
            path
        }

        fn info(&self) -> SystemInfo {
            system_info(&self.store, &self.system)
        }
    }

    #[test]
    fn a_system_of_nixos_is_read() {
        let world = World::new();
        fs::write(world.top().join("nixos-version"), "24.05.20241205.5a5b0f9").unwrap();
        symlink(
            world.path("linux-6.6.63").join("bzImage"),
            world.top().join("kernel"),
        )
        .unwrap();
        let (path, tool) = (world.path("system-path"), world.path("nixos-version"));
        fs::write(tool.join("bin/nixos-version"), SCRIPT).unwrap();
        symlink(
            tool.join("bin/nixos-version"),
            path.join("bin/nixos-version"),
        )
        .unwrap();
        symlink(&path, world.top().join("sw")).unwrap();
        let mut expected = SystemInfo {
            nixos_version: Some("24.05.20241205.5a5b0f9".to_string()),
            kernel_version: Some("6.6.63".to_string()),
            configuration_revision: Some("deadbeef".to_string()),
            description: None,
        };
        assert_eq!(world.info(), expected);
        let recorded = r#"{"configurationRevision": "cafe", "description": "new shell\n"}"#;
        fs::write(world.top().join("nixos-version.json"), recorded).unwrap();
        expected.configuration_revision = Some("cafe".to_string());
        expected.description = Some("new shell".to_string());
        assert_eq!(world.info(), expected);
    }

    #[test]
    fn nothing_is_followed_out_of_the_store_or_waited_for() {
        let world = World::new();
        fs::write(world.base.join("secret"), "secret").unwrap();
        symlink("../../secret", world.top().join("nixos-version")).unwrap();
        symlink(&world.base, world.top().join("sw")).unwrap();
        symlink("nixos-version.json", world.top().join("nixos-version.json")).unwrap();
        assert_eq!(world.info(), SystemInfo::default());
        fs::remove_file(world.top().join("nixos-version")).unwrap();
        let pipe = world.top().join("nixos-version");
        nix::unistd::mkfifo(pipe.as_std_path(), Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(world.info(), SystemInfo::default());
        fs::remove_file(&pipe).unwrap();
        let size = usize::try_from(MAX_BYTES).unwrap();
        fs::write(&pipe, "x".repeat(size + 1)).unwrap();
        assert_eq!(world.info(), SystemInfo::default());
    }
}
