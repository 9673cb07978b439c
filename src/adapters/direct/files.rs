//! Removal of many store paths by several threads.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use camino::Utf8Path;

use super::claims::{Claims, hash_of};
use crate::adapters::files::remove::{Freed, StoreFiles};
use crate::adapters::files::{for_each_name, open_directory_at};
use crate::adapters::progress_counter::ProgressCounter;
use crate::adapters::threads::joined;

/// The most threads. They wait for the disk and for each other's locks, so more gain nothing.
const MAX_THREADS: usize = 8;
/// How many names of `.links` a thread takes at once.
const NAMES_AT_ONCE: usize = 1024;
/// How many such lists may wait.
const LISTS_WAITING: usize = 16;

/// How many threads remove files.
fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .clamp(1, MAX_THREADS)
}

/// What became of files.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) freed: Freed,
    /// Paths whose files are not, or not all, removed, because somebody asked to stop.
    pub(super) unfinished: u64,
    /// Paths whose files could not all be removed, each with the reason.
    pub(super) left: Vec<String>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<String>,
    active: usize,
    is_closed: bool,
    removed: Removed,
}

struct Shared {
    files: StoreFiles,
    claims: Arc<Claims>,
    counter: Arc<ProgressCounter>,
    queue: Mutex<Queue>,
    /// There is work, or there will be none.
    work: Condvar,
    /// Work was done.
    done: Condvar,
}

/// Threads that remove the files of store paths whose rows are gone, while more rows are deleted.
pub(super) struct Remover {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Remover {
    /// Starts the threads.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        files: StoreFiles,
        claims: Arc<Claims>,
        counter: Arc<ProgressCounter>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            files,
            claims,
            counter,
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let mut remover = Self {
            shared,
            threads: Vec::new(),
        };
        for _ in 0..threads() {
            let shared = Arc::clone(&remover.shared);
            match thread::Builder::new().spawn(move || shared.work()) {
                Ok(thread) => remover.threads.push(thread),
                // Fewer do as well.
                Err(_) if !remover.threads.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(remover)
    }

    /// The store directory.
    pub(super) fn files(&self) -> &StoreFiles {
        &self.shared.files
    }

    /// Hands over paths, each of which is claimed. Each claim is released when its files are removed; paths that a build waits for
    /// come first.
    pub(super) fn remove(&self, names: impl Iterator<Item = String>) {
        self.shared.queue().waiting.extend(names);
        self.shared.work.notify_all();
    }

    /// Waits until no more than so many paths are left.
    pub(super) fn wait(&self, most: usize) {
        let queue = self.shared.queue();
        let is_more = |queue: &mut Queue| queue.waiting.len() + queue.active > most;
        let waited = self.shared.done.wait_while(queue, is_more);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for everything, and says what became of it since the last time.
    pub(super) fn settle(&self) -> Removed {
        self.wait(0);
        std::mem::take(&mut self.shared.queue().removed)
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic there was printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(name) = self.next() {
            let removed = if self.files.is_stopped() {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                CString::new(name.as_str())
                    .map_err(io::Error::from)
                    .and_then(|name| self.files.remove(&name))
            };
            self.claims.release(&name);
            let mut queue = self.queue();
            queue.active -= 1;
            match removed {
                Ok(freed) => {
                    queue.removed.freed.add(freed);
                    self.counter.deleted.fetch_add(1, Ordering::Relaxed);
                    self.counter.freed.fetch_add(freed.bytes, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    queue.removed.unfinished += 1;
                }
                Err(error) => queue.removed.left.push(format!("{name}: {error}")),
            }
            drop(queue);
            self.done.notify_all();
        }
    }

    /// The next path; `None` when there will be none.
    fn next(&self) -> Option<String> {
        let mut queue = self.queue();
        loop {
            for hash in self.claims.awaited() {
                let at = queue
                    .waiting
                    .iter()
                    .position(|name| hash_of(name) == Some(hash));
                if let Some(name) = at.and_then(|at| queue.waiting.remove(at)) {
                    queue.active += 1;
                    return Some(name);
                }
            }
            if let Some(name) = queue.waiting.pop_front() {
                queue.active += 1;
                return Some(name);
            }
            if queue.is_closed {
                return None;
            }
            queue = self
                .work
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Removes every file in `.links` that no path uses any more; returns what that freed, in bytes.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn remove_unused_links(files: &StoreFiles) -> io::Result<u64> {
    let links = match open_directory_at(files.dir(), c".links") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    let (lists, received) = mpsc::sync_channel::<Vec<CString>>(LISTS_WAITING);
    let received = Mutex::new(received);
    let freed = Mutex::new(0_u64);
    let look = || {
        loop {
            let list = {
                let received = received.lock().unwrap_or_else(PoisonError::into_inner);
                received.recv()
            };
            let Ok(list) = list else { return };
            let mut sum = 0;
            for name in list {
                // What another one removed, or may not be removed, the next collection looks at.
                sum += files
                    .remove_unused_link(links.as_fd(), &name)
                    .ok()
                    .flatten()
                    .unwrap_or(0);
            }
            *freed.lock().unwrap_or_else(PoisonError::into_inner) += sum;
        }
    };
    thread::scope(|scope| {
        let mut lookers = Vec::new();
        for _ in 0..threads() {
            lookers.push(thread::Builder::new().spawn_scoped(scope, look)?);
        }
        let mut list = Vec::with_capacity(NAMES_AT_ONCE);
        for_each_name(links.as_fd(), |name| {
            list.push(name.to_owned());
            if list.len() < NAMES_AT_ONCE {
                return Ok(());
            }
            let full = std::mem::replace(&mut list, Vec::with_capacity(NAMES_AT_ONCE));
            if files.is_stopped() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            lists.send(full).map_err(io::Error::other)
        })?;
        // Nobody takes it only if every thread has ended.
        let _ = lists.send(list);
        drop(lists);
        for looker in lookers {
            joined(looker);
        }
        io::Result::Ok(())
    })?;
    Ok(freed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The names in the store directory on which, or below which, something is mounted.
pub(super) fn mounted_below(mounts: &Utf8Path, prefix: &str) -> io::Result<Vec<String>> {
    let text = std::fs::read(mounts)?;
    let text = String::from_utf8_lossy(&text);
    // Blanks and the like are written as octal numbers; no name of a store path has any.
    let places = text.lines().filter_map(|line| line.split(' ').nth(4));
    let below = places.filter_map(|place| place.strip_prefix(prefix));
    let names = below.filter_map(|below| below.split('/').next());
    Ok(names.map(str::to_string).collect())
}
