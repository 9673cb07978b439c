//! Errors of a temporary store.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::adapters::process::ProcessError;
use crate::domain::profile::NotAProfilePath;
use crate::domain::store_path;

/// Why a scratch store could not be made or filled.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// A file of it could not be made.
    #[error("cannot make {path}")]
    File {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory for temporary files has a name that is not UTF-8.
    #[error("the directory for temporary files has a name that is not UTF-8")]
    NotUtf8,
    /// A command failed.
    #[error("Nix failed in the scratch store")]
    Nix(#[from] ProcessError),
    /// A name that no store path can have.
    #[error("`{0}` cannot be the name of a store path")]
    Name(String, #[source] store_path::Error),
    /// A path that no profile can have.
    #[error(transparent)]
    Profile(#[from] NotAProfilePath),
    /// A profile has no current generation after it was set.
    #[error("the profile {0} has no current generation")]
    NoCurrent(Utf8PathBuf),
}

pub(super) fn file_error(path: &Utf8Path) -> impl FnOnce(io::Error) -> ScratchError + use<> {
    let path = path.to_path_buf();
    move |source| ScratchError::File { path, source }
}
