//! The machine, and its booted and running systems.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::adapters::nix_dirs::NixDirs;
use crate::domain::snapshot::MachineId;
use crate::domain::store_path::StorePath;

use super::names::{Leads, leads, resolve, shown};

/// A link of the machine, and one more that it may point to: `gcroots/booted-system`, `/run/booted-system`.
const HOPS: usize = 2;

/// The name of the machine, if it has one in UTF-8.
pub fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// Identifies the machine, store and state directory without revealing the machine ID.
pub(super) fn machine_id(places: &NixDirs) -> MachineId {
    // If the file cannot be read, the host name replaces it. Should that change between two readings, a saved plan is
    // refused, which is safe.
    let machine = std::fs::read(places.machine_id.as_std_path())
        .ok()
        .map(|bytes| bytes.trim_ascii().to_vec())
        .filter(|bytes| !bytes.is_empty())
        .or_else(|| {
            nix::unistd::gethostname()
                .ok()
                .map(std::ffi::OsString::into_encoded_bytes)
        })
        .unwrap_or_default();
    let mut hash = Sha256::new();
    let parts: [&[u8]; 3] = [
        &machine,
        places.store.as_path().as_str().as_bytes(),
        places.state_dir.as_str().as_bytes(),
    ];
    for part in parts {
        // The length comes first, so that no two lists of parts have the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    MachineId(text)
}

/// The targets of links called `name`, in `/run` and below `gcroots`.
///
/// # Errors
/// Names the link that exists and has no valid target: the system to keep is then unknown.
pub(super) fn systems(places: &NixDirs, name: &str) -> Result<Vec<StorePath<String>>, String> {
    let mut systems = Vec::new();
    for dir in [places.run_dir.clone(), places.state_dir.join("gcroots")] {
        let link = dir.join(name);
        match follow(link.as_std_path(), places) {
            Ok(Some(path)) if systems.contains(&path) => {}
            Ok(Some(path)) => systems.push(path),
            Ok(None) => {}
            Err(error) => {
                let link = shown(&link);
                return Err(format!("cannot determine which system {link} is: {error}"));
            }
        }
    }
    Ok(systems)
}

fn follow(link: &Path, places: &NixDirs) -> io::Result<Option<StorePath<String>>> {
    let mut at: PathBuf = link.to_path_buf();
    for _ in 0..HOPS {
        let text = match std::fs::read_link(&at) {
            Ok(text) => text,
            // Only NixOS and similar systems have these links, and a link below `gcroots` may point to one in `/run`
            // that the next boot makes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match leads(text.as_os_str(), &places.store) {
            Leads::ToStorePath(path) => return Ok(Some(path)),
            Leads::IntoStore => break,
            Leads::Elsewhere => {
                let dir = at.parent().unwrap_or(Path::new("/"));
                at = resolve(dir, OsStr::new(&text));
            }
        }
    }
    Err(io::Error::other("it does not point to a store path"))
}
