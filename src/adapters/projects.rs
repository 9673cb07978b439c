//! The projects that links of roots are in: their last use, whether they are gone, and who works in them.
//!
//! Files are looked at and not opened, except the file `.git` of a git worktree. So looking changes no access time.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::stat::{FileStat, SFlag, lstat};
use nix::sys::statvfs::{FsFlags, statvfs};

pub use self::touch::touch;
use super::files;
use crate::domain::measure::Timestamp;
use crate::domain::root::GcRoot;
use crate::domain::root_rules;
use crate::domain::root_use::{LastUse, LinkUse, SeenUse, UseSignal};

mod touch;

/// The files of a project whose time is a sign of use.
const PROJECT_FILES: [&str; 8] = [
    ".envrc",
    "flake.nix",
    "flake.lock",
    "shell.nix",
    "default.nix",
    "devenv.nix",
    "devenv.yaml",
    "devenv.lock",
];

/// The directories in which tools keep their environments.
const ENVIRONMENTS: [&str; 2] = [".direnv", ".devenv"];

/// The files of a git directory that change with use.
const GIT_FILES: [&str; 3] = ["index", "HEAD", "logs/HEAD"];

/// The most files of an environment that are looked at. There is one for each version of a project, and some inputs.
const MAX_FILES: usize = 1000;

/// The most directories above a project that are searched for `.git`.
const MAX_LEVELS: usize = 32;

/// The file `.git` of a worktree has one line.
const MAX_GIT_FILE_BYTES: u64 = 8 << 10;

/// The directory of a project, in which a link of a root is.
pub(super) struct Project(Utf8PathBuf);

impl Project {
    /// The project of a link. A home, `/` and a directory in `/`, such as `/tmp`, are none: whatever is done there says nothing
    /// about the link.
    pub(super) fn of(link: &Utf8Path, is_home: impl Fn(&Utf8Path) -> bool) -> Option<Self> {
        let dir = root_rules::project(link)?;
        let is_below = dir.parent().is_some_and(|above| above != "/");
        (is_below && !is_home(&dir)).then_some(Self(dir))
    }
}

/// The working directories and programs of all processes that our user may look at.
pub(super) struct Processes(Result<Vec<(PathBuf, u32)>, String>);

impl Processes {
    /// Looks at all processes. `proc` is `/proc`, but for tests.
    pub(super) fn read(proc: &Utf8Path) -> Self {
        // Our own process is always there: where it is not shown, nothing is known.
        if !proc.join("self").is_symlink() {
            return Self(Err(format!("{proc} shows no processes")));
        }
        let names = match fs::read_dir(proc) {
            Ok(names) => names.flatten(),
            Err(error) => return Self(Err(format!("cannot read {proc}: {error}"))),
        };
        let pids = names.filter_map(|name| name.file_name().to_str()?.parse::<u32>().ok());
        let paths = pids.flat_map(|pid| {
            let of = |what| fs::read_link(proc.join(pid.to_string()).join(what)).ok();
            let found = ["cwd", "exe"].map(of).into_iter().flatten();
            found.map(move |path| (path, pid))
        });
        Self(Ok(paths.collect()))
    }

    /// A process whose working directory or program is in the project.
    ///
    /// # Errors
    /// Why no process can be seen.
    pub(super) fn in_project(&self, project: &Project) -> Result<Option<u32>, &str> {
        let processes = self.0.as_ref().map_err(String::as_str)?;
        let dir = &project.0;
        let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.clone().into());
        let mut inside = processes.iter().filter(|(path, _)| path.starts_with(&real));
        Ok(inside.next().map(|(_, pid)| *pid))
    }
}

/// Looks at the use of links.
pub(super) struct UseReader<'a, H, R> {
    /// Whether a directory is a home.
    pub(super) is_home: H,
    /// Whether a link cannot be removed with the rights of its owner.
    pub(super) is_out_of_reach: R,
    /// The machine's own directories: what is on their file systems is not elsewhere.
    pub(super) own: &'a [&'a Utf8Path],
    /// The home of a user, by number.
    pub(super) homes: &'a HashMap<u32, &'a Utf8Path>,
    /// What processes work in and run.
    pub(super) processes: &'a Processes,
}

impl<H: Fn(&Utf8Path) -> bool, R: Fn(&GcRoot) -> bool> UseReader<'_, H, R> {
    /// The use of each link.
    pub(super) fn read<'r>(
        &self,
        roots: impl Iterator<Item = &'r GcRoot>,
    ) -> BTreeMap<Utf8PathBuf, LinkUse> {
        let mut known: HashMap<Utf8PathBuf, Result<Seen, String>> = HashMap::new();
        let own: Vec<u64> = self.own.iter().filter_map(|dir| device(dir)).collect();
        let uses = roots.filter_map(|root| {
            let made = LastUse {
                at: root.made_at?,
                signal: UseSignal::Link,
            };
            let elsewhere = self.is_elsewhere(root, &own);
            let seen = |last, project_gone| {
                LinkUse::Seen(SeenUse {
                    last,
                    project_gone,
                    elsewhere,
                    out_of_reach: (self.is_out_of_reach)(root),
                })
            };
            let Some(project) = Project::of(&root.link, &self.is_home) else {
                return Some((root.link.clone(), seen(made, false)));
            };
            match self.processes.in_project(&project) {
                Ok(None) => {}
                Ok(Some(pid)) => return Some((root.link.clone(), LinkUse::Process(pid))),
                Err(why) => return Some((root.link.clone(), LinkUse::Unknown(why.to_string()))),
            }
            let looked = known.entry(project.0.clone()).or_insert_with(|| {
                let looked = self.look_at(&project.0);
                looked.map_err(|(path, error)| format!("{}: {error}", path.display()))
            });
            let used = match looked {
                Ok(found) => seen(found.last.map_or(made, |last| last.max(made)), found.gone),
                Err(why) => LinkUse::Unknown(why.clone()),
            };
            Some((root.link.clone(), used))
        });
        uses.collect()
    }

    /// Whether a link is on a file system that neither the machine nor its owner lives on, such as a disk that is plugged in.
    fn is_elsewhere(&self, root: &GcRoot, own: &[u64]) -> bool {
        let home = root
            .owner
            .as_ref()
            .and_then(|owner| self.homes.get(&owner.uid));
        let home = home.and_then(|home| device(home));
        let here = root.link.parent().and_then(device);
        here.is_none_or(|here| !own.contains(&here) && home != Some(here))
    }

    fn look_at(&self, dir: &Utf8Path) -> Result<Seen, (PathBuf, io::Error)> {
        let mut seen = Seen::default();
        let mut found = Vec::new();
        for name in PROJECT_FILES {
            if let Some(stat) = stat_of(dir.join(name))? {
                seen.add(modified(&stat), UseSignal::ProjectFile);
                found.push(name);
                if name == ".envrc" && keeps_access_times(dir) {
                    seen.add(accessed(&stat), UseSignal::Access);
                }
            }
        }
        for name in ENVIRONMENTS {
            Self::environment(&dir.join(name), &mut seen)?;
        }
        let has = |name: &str| found.contains(&name);
        // What made the environment is gone, and the environment is left.
        seen.gone = (seen.environments.contains(&".direnv") && !has(".envrc"))
            || (seen.environments.contains(&".devenv")
                && !has("devenv.nix")
                && !has("devenv.yaml"));
        self.git(dir, &mut seen)?;
        Ok(seen)
    }

    /// The files of `.direnv` or `.devenv`.
    fn environment(dir: &Utf8Path, seen: &mut Seen) -> Result<(), (PathBuf, io::Error)> {
        let Some(stat) = stat_of(dir)?.filter(is_directory) else {
            return Ok(());
        };
        let tool = ENVIRONMENTS
            .iter()
            .find(|name| dir.file_name() == Some(**name));
        seen.environments.extend(tool);
        seen.add(modified(&stat), UseSignal::Environment);
        let reads = keeps_access_times(dir);
        let failed = |error| (dir.as_std_path().to_path_buf(), error);
        for entry in fs::read_dir(dir).map_err(failed)?.take(MAX_FILES) {
            let name = entry.map_err(failed)?.file_name();
            let Some(stat) = stat_of(dir.as_std_path().join(&name))? else {
                continue;
            };
            seen.add(modified(&stat), UseSignal::Environment);
            // direnv reads this file whenever it loads the environment.
            if reads && name.as_bytes().ends_with(b".rc") {
                seen.add(accessed(&stat), UseSignal::Access);
            }
        }
        Ok(())
    }

    /// The repository or worktree that a directory is in.
    fn git(&self, dir: &Utf8Path, seen: &mut Seen) -> Result<(), (PathBuf, io::Error)> {
        let above = dir.ancestors().take(MAX_LEVELS);
        for top in above.take_while(|top| *top != "/" && !(self.is_home)(top)) {
            let place = top.join(".git");
            let Some(stat) = stat_of(&place)? else {
                continue;
            };
            let git = if is_directory(&stat) {
                Some(place.into_std_path_buf())
            } else {
                worktree_of(&place).map_err(|error| (place.into_std_path_buf(), error))?
            };
            let Some(git) = git else {
                return Ok(());
            };
            let is_worktree = git
                .parent()
                .is_some_and(|above| above.ends_with("worktrees"));
            if is_worktree && stat_of(&git)?.is_none() {
                // The repository is there and does not know the worktree any more. Where the repository itself is not
                // there, it may only be away.
                let repository = git.ancestors().nth(2).map(stat_of).transpose()?.flatten();
                seen.gone |= repository.is_some();
                return Ok(());
            }
            for name in GIT_FILES {
                if let Some(stat) = stat_of(git.join(name))? {
                    seen.add(modified(&stat), UseSignal::Git);
                }
            }
            return Ok(());
        }
        Ok(())
    }
}

/// What was seen of a project.
#[derive(Default)]
struct Seen {
    last: Option<LastUse>,
    gone: bool,
    environments: Vec<&'static str>,
}

impl Seen {
    fn add(&mut self, at: Option<Timestamp>, signal: UseSignal) {
        let used = at.map(|at| LastUse { at, signal });
        self.last = self.last.max(used);
    }
}

/// The git directory that the file `.git` of a worktree or submodule names.
fn worktree_of(file: &Utf8Path) -> io::Result<Option<PathBuf>> {
    let text = files::read_bounded(file, MAX_GIT_FILE_BYTES)?;
    let named = text.lines().find_map(|line| line.strip_prefix("gitdir:"));
    let base = file.parent().unwrap_or(file);
    Ok(named.map(|path| base.join(path.trim()).into_std_path_buf()))
}

/// `lstat`; `None` for what is not there.
fn stat_of(path: impl AsRef<Path>) -> Result<Option<FileStat>, (PathBuf, io::Error)> {
    let path = path.as_ref();
    match lstat(path).map_err(io::Error::from) {
        Ok(stat) => Ok(Some(stat)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err((path.to_path_buf(), error)),
    }
}

fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

// The types differ between platforms.
#[allow(clippy::useless_conversion)]
fn modified(stat: &FileStat) -> Option<Timestamp> {
    Timestamp::from_unix(stat.st_mtime.into(), stat.st_mtime_nsec.into())
}

#[allow(clippy::useless_conversion)]
fn accessed(stat: &FileStat) -> Option<Timestamp> {
    Timestamp::from_unix(stat.st_atime.into(), stat.st_atime_nsec.into())
}

#[allow(clippy::useless_conversion)]
fn device(path: &Utf8Path) -> Option<u64> {
    let stat = nix::sys::stat::stat(path.as_std_path()).ok()?;
    u64::try_from(stat.st_dev).ok()
}

/// Whether a read changes the access time. With `relatime`, the default, it does so once a day.
fn keeps_access_times(dir: &Utf8Path) -> bool {
    #[cfg(target_os = "linux")]
    const NOT_KEPT: FsFlags = FsFlags::ST_NOATIME;
    #[cfg(not(target_os = "linux"))]
    const NOT_KEPT: FsFlags = FsFlags::ST_RDONLY;
    statvfs(dir.as_std_path()).is_ok_and(|disk| !disk.flags().contains(NOT_KEPT))
}

#[cfg(test)]
mod tests;
