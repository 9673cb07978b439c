//! Paths in use by running processes: programs, working directories, open files, mapped files, environments.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;

use camino::Utf8Path;
use nix::errno::Errno;

use super::{Finder, RuntimeRoots, read_bounded};
use crate::domain::store_path::StoreDir;

/// Files in which the kernel keeps programs that it starts itself.
const KERNEL: [&str; 3] = ["modprobe", "fbsplash", "poweroff_cmd"];

/// The kernel's flag for a thread of its own, in `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Reads what every process uses. `proc` is `/proc`, but for tests.
///
/// Our own process is no exception, as it is none for Nix: a store path in our own environment is alive.
pub fn read_processes(proc: &Utf8Path, store: &StoreDir) -> RuntimeRoots {
    let mut reader = Reader {
        proc,
        finder: Finder::new(store),
        buffer: Vec::new(),
        roots: RuntimeRoots::default(),
    };
    match fs::read_dir(proc) {
        Ok(entries) => {
            for entry in entries {
                match entry.map(|entry| entry.file_name()) {
                    Ok(name) => {
                        if let Some(pid) = name.to_str().filter(|name| is_number(name)) {
                            reader.process(pid);
                        }
                    }
                    Err(error) => reader.roots.problem(format!("{proc}: {error}")),
                }
            }
        }
        Err(error) => reader.roots.problem(format!("{proc}: {error}")),
    }
    // There always is a first process; where it is not shown, those of other users are not (`hidepid`).
    reader.roots.others_hidden = !proc.join("1").exists();
    for name in KERNEL {
        reader.kernel(&format!("sys/kernel/{name}"));
    }
    reader.roots
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

struct Reader<'a> {
    proc: &'a Utf8Path,
    finder: Finder,
    buffer: Vec<u8>,
    roots: RuntimeRoots,
}

impl Reader<'_> {
    /// Looks at all of a process, whatever of it may not be looked at.
    fn process(&mut self, pid: &str) {
        let results = [
            self.link(&format!("{pid}/exe")),
            self.link(&format!("{pid}/cwd")),
            self.open_files(&format!("{pid}/fd")),
            self.maps(&format!("{pid}/maps")),
            self.environment(&format!("{pid}/environ")),
        ];
        let mut denied = false;
        for error in results.into_iter().filter_map(Result::err) {
            match error.kind() {
                // It has ended, or never had this.
                io::ErrorKind::NotFound => {}
                io::ErrorKind::PermissionDenied => denied = true,
                _ if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                _ => {
                    let problem = format!("{}/{pid}: {error}", self.proc);
                    self.roots.problem(problem);
                }
            }
        }
        if denied && !self.has_nothing(pid) {
            let name = self.program(pid);
            self.roots.deny(name);
        }
    }

    /// Whether there is nothing to be seen: threads of the kernel, and what has ended and waits to be noticed.
    fn has_nothing(&mut self, pid: &str) -> bool {
        let file = format!("{pid}/stat");
        if self.read(&file).is_err() {
            // Gone meanwhile, or not readable.
            return !self.proc.join(pid).exists();
        }
        let text = String::from_utf8_lossy(&self.buffer);
        // The name of the program is in parentheses and may hold any of them.
        let Some((_, behind)) = text.rsplit_once(')') else {
            return false;
        };
        let mut fields = behind.split_ascii_whitespace();
        let state = fields.next();
        let flags = fields.nth(5).and_then(|text| text.parse::<u64>().ok());
        matches!(state, Some("Z" | "X")) || flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
    }

    /// A process by its number and the name of its program, which every user may see.
    fn program(&mut self, pid: &str) -> String {
        match self.read(&format!("{pid}/comm")) {
            Ok(()) => format!(
                "{pid} ({})",
                String::from_utf8_lossy(&self.buffer).trim_end()
            ),
            Err(_) => pid.to_string(),
        }
    }

    fn link(&mut self, file: &str) -> io::Result<()> {
        let file = self.proc.join(file);
        let target = fs::read_link(&file)?;
        if let Some(path) = self.finder.leading(target.as_os_str().as_bytes()) {
            self.roots.add(path, file.as_str());
        }
        Ok(())
    }

    fn open_files(&mut self, dir: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.proc.join(dir))? {
            let entry = entry?.file_name();
            match self.link(&format!("{dir}/{}", entry.to_string_lossy())) {
                // Closed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Nix takes a mapped file only when there is no blank in its name, nor ` (deleted)` behind it; here all count
    /// whose store path is known.
    fn maps(&mut self, file: &str) -> io::Result<()> {
        self.read(file)?;
        let place = self.proc.join(file);
        for line in self.buffer.split(|&byte| byte == b'\n') {
            // Address, rights, offset, device and inode have no slash but for the device's colon.
            let Some(at) = line.iter().position(|&byte| byte == b'/') else {
                continue;
            };
            let (_, path) = line.split_at(at);
            if let Some(path) = self.finder.leading(path) {
                self.roots.add(path, place.as_str());
            }
        }
        Ok(())
    }

    fn environment(&mut self, file: &str) -> io::Result<()> {
        self.read(file)?;
        let place = self.proc.join(file);
        let roots = &mut self.roots;
        self.finder.anywhere(&self.buffer, |path| {
            roots.add(path, place.as_str());
        });
        Ok(())
    }

    fn kernel(&mut self, file: &str) {
        match self.read(file) {
            Ok(()) => {
                let place = self.proc.join(file);
                let text = self.buffer.trim_ascii();
                if let Some(path) = self.finder.leading(text) {
                    self.roots.add(path, place.as_str());
                }
            }
            // Not every kernel has every one of them, and they are root's to read; Nix passes over both.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) => {}
            Err(error) => {
                let problem = format!("{}/{file}: {error}", self.proc);
                self.roots.problem(problem);
            }
        }
    }

    fn read(&mut self, file: &str) -> io::Result<()> {
        let file = self.proc.join(file);
        if read_bounded(&File::open(&file)?, &mut self.buffer)? {
            self.roots.problem(format!("{file}: longer than is read"));
        }
        Ok(())
    }
}
