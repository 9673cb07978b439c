//! Files that running processes have open, run or work in, by inode.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;

use super::tree::FileId;
use crate::domain::snapshot::Actor;

/// How long is waited for. A file system that does not answer holds up whoever asks about an open file on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What processes use.
#[derive(Debug, Default)]
pub(super) struct InUse {
    files: HashSet<FileId>,
    unknown: Option<String>,
}

impl InUse {
    /// Looks at every process. An ordinary user sees only their own ones.
    pub(super) fn read(proc: &Utf8Path, actor: Actor) -> Self {
        let (sender, receiver) = mpsc::channel();
        let proc = proc.to_path_buf();
        let thread = Builder::new().spawn(move || _ = sender.send(scan(&proc, actor)));
        let found = thread.map(|_| receiver.recv_timeout(PATIENCE));
        match found {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Self::not_known("a process has a file open that cannot be looked at"),
            Err(error) => Self::not_known(&error.to_string()),
        }
    }

    fn not_known(why: &str) -> Self {
        Self {
            files: HashSet::new(),
            unknown: Some(why.to_string()),
        }
    }

    /// Whether a process uses the file or directory.
    pub(super) fn contains(&self, file: FileId) -> bool {
        self.files.contains(&file)
    }

    /// Why there may be more in use.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    fn add(&mut self, file: &Utf8Path) -> io::Result<()> {
        match fs::metadata(file) {
            Ok(found) => {
                self.files.insert((found.dev(), found.ino()));
                Ok(())
            }
            // The process may be seen, and the file system of the file does not answer us, as FUSE does. Leftovers are only on those
            // that do.
            Err(_) => fs::read_link(file).map(drop),
        }
    }

    fn process(&mut self, process: &Utf8Path) -> Result<(), io::Error> {
        for file in ["cwd", "root", "exe"] {
            self.add(&process.join(file)).or_else(ended)?;
        }
        let files = match fs::read_dir(process.join("fd")) {
            Ok(files) => files,
            Err(error) => return ended(error),
        };
        for file in files {
            let done = file.and_then(|file| {
                let path = Utf8PathBuf::try_from(file.path()).map_err(io::Error::other)?;
                self.add(&path)
            });
            done.or_else(ended)?;
        }
        Ok(())
    }
}

/// What has ended, or has no such file, is no error.
fn ended(error: io::Error) -> io::Result<()> {
    let is_gone = error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::ESRCH as i32);
    if is_gone { Ok(()) } else { Err(error) }
}

fn scan(proc: &Utf8Path, actor: Actor) -> InUse {
    let mut found = InUse::default();
    let names = match fs::read_dir(proc) {
        Ok(names) => names,
        Err(error) => return InUse::not_known(&format!("cannot read {proc}: {error}")),
    };
    let mut hidden = 0_u64;
    for name in names {
        let name = name.map(|name| name.file_name().into_string());
        let Ok(Ok(name)) = name else { continue };
        if name.bytes().all(|byte| byte.is_ascii_digit())
            && let Err(error) = found.process(&proc.join(&name))
        {
            tracing::debug!(process = name, %error, "cannot see what a process uses");
            // The first process starts others and builds nothing. In a container it may have more rights than root.
            hidden += u64::from(name != "1");
        }
    }
    // An ordinary user may remove only files of their own.
    if actor == Actor::Root && hidden > 0 {
        found.unknown = Some(format!("{hidden} processes cannot be looked into"));
    } else if !proc.join("self").exists() {
        found.unknown = Some(format!("{proc} shows no processes"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use std::os::unix::fs::symlink;

    #[test]
    fn open_files_and_working_directories_are_in_use() {
        let (_guard, dir) = scratch();
        fs::write(dir.join("open"), "").unwrap();
        fs::write(dir.join("other"), "").unwrap();
        let _file = fs::File::open(dir.join("open")).unwrap();
        let in_use = InUse::read("/proc".into(), Actor::User(0));
        let id = |name: &str| {
            let found = fs::metadata(dir.join(name)).unwrap();
            (found.dev(), found.ino())
        };
        assert!(in_use.contains(id("open")) && !in_use.contains(id("other")));
        let found = fs::metadata("/proc/self/cwd").unwrap();
        assert!(in_use.contains((found.dev(), found.ino())));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let (_guard, proc) = scratch();
        assert!(InUse::read(&proc, Actor::Root).unknown().is_some());
        assert!(
            InUse::read(&proc.join("absent"), Actor::Root)
                .unknown()
                .is_some()
        );
        symlink("7", proc.join("self")).unwrap();
        fs::create_dir_all(proc.join("7/fd")).unwrap();
        assert_eq!(InUse::read(&proc, Actor::Root).unknown(), None);
        // No file name is as long, so that it cannot be looked at.
        symlink("x".repeat(300), proc.join("7/cwd")).unwrap();
        assert_eq!(InUse::read(&proc, Actor::Root).unknown(), None);
        fs::remove_dir(proc.join("7/fd")).unwrap();
        fs::write(proc.join("7/fd"), "").unwrap();
        assert!(InUse::read(&proc, Actor::Root).unknown().is_some());
        assert_eq!(InUse::read(&proc, Actor::User(1)).unknown(), None);
        fs::rename(proc.join("7"), proc.join("1")).unwrap();
        fs::remove_file(proc.join("self")).unwrap();
        symlink("1", proc.join("self")).unwrap();
        assert_eq!(InUse::read(&proc, Actor::Root).unknown(), None);
    }
}
