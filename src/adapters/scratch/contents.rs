//! Contents of a temporary store, and its removal.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use camino::Utf8Path;

use crate::domain::store_path::StorePath;

/// A store path to be made.
#[derive(Debug, Clone)]
pub struct NewPath {
    /// Its name behind the hash.
    pub name: String,
    /// What it refers to; of the same batch as well.
    pub references: Vec<StorePath<String>>,
    /// The derivation that is recorded as its deriver.
    pub deriver: Option<StorePath<String>>,
    /// What is in it.
    pub contents: Contents,
}

/// What is in a store path.
#[derive(Debug, Clone)]
pub enum Contents {
    /// It is a file of this many bytes.
    File(u64),
    /// It is a directory with these files, by their paths in it.
    Tree(Vec<(String, Vec<u8>)>),
}

impl NewPath {
    /// A file of `size` bytes without references.
    pub fn file(name: &str, size: u64) -> Self {
        Self {
            name: name.to_string(),
            references: Vec::new(),
            deriver: None,
            contents: Contents::File(size),
        }
    }

    /// Says what it refers to.
    #[must_use]
    pub fn refers_to(mut self, references: &[&StorePath<String>]) -> Self {
        self.references = references.iter().map(|&path| path.clone()).collect();
        self
    }
}

pub(super) fn write_contents(path: &Utf8Path, name: &str, contents: &Contents) -> io::Result<()> {
    match contents {
        Contents::File(size) => {
            let line = format!("{name}\n").into_bytes();
            let bytes = line.iter().copied().cycle();
            let size = usize::try_from(*size).map_err(io::Error::other)?;
            File::create_new(path)?.write_all(&bytes.take(size).collect::<Vec<u8>>())
        }
        Contents::Tree(files) => {
            fs::create_dir(path)?;
            for (name, bytes) in files {
                let file = path.join(name);
                fs::create_dir_all(file.parent().unwrap_or(path))?;
                fs::write(file, bytes)?;
            }
            Ok(())
        }
    }
}

/// Opens the directories of a store for writing, so that what is in them can be removed.
pub(super) fn make_writable(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::set_permissions(entry.path(), Permissions::from_mode(0o755));
            make_writable(&entry.path());
        }
    }
}
