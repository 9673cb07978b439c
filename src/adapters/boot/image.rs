//! Images of systemd-boot: whether they hold a kernel and an initrd, or name them, as the stub of lanzaboote does.

use std::fs::File;
use std::io::{self, Read, Seek};

use object::read::pe::PeFile64;
use object::read::{Object, ObjectSection, ReadCache};

/// The sections of a kernel and an initrd; older stubs have other names for the paths.
const SECTIONS: [&str; 4] = [".linux", ".initrd", ".kernelp", ".initrdp"];
/// A path is shorter, and a kernel or an initrd is larger.
const MAX_PATH_BYTES: u64 = 1024;

/// The paths of the kernel and the initrd that an image names; none for one that holds them.
///
/// # Errors
/// When it cannot be read, or is no image.
pub(super) fn named_files(file: &File) -> io::Result<Vec<String>> {
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    named_in(file)
}

/// The same for an image that is read as it comes.
pub(super) fn named_in(image: impl Read + Seek) -> io::Result<Vec<String>> {
    let cache = ReadCache::new(image);
    let malformed = |error: object::read::Error| io::Error::other(error.to_string());
    let image = PeFile64::parse(&cache).map_err(malformed)?;
    let mut named = Vec::new();
    for section in image.sections() {
        let is_ours = section.name().is_ok_and(|name| SECTIONS.contains(&name));
        if !is_ours || section.size() > MAX_PATH_BYTES {
            continue;
        }
        let data = section.data().map_err(malformed)?;
        let text = std::str::from_utf8(data).unwrap_or_default();
        let path = text.trim_end_matches('\0');
        if path.starts_with('\\') {
            named.push(path.to_string());
        }
    }
    Ok(named)
}
