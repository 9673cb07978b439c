//! Removal of many store paths by several threads.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use camino::Utf8Path;

use super::claims::{Claims, Hash, hash_of};
use crate::adapters::files::remove::{Freed, StoreFiles};
use crate::adapters::files::{for_each_name, open_directory_at};
use crate::adapters::progress_counter::ProgressCounter;
use crate::adapters::threads::{joined, processors};

/// The most threads. They wait for the disk and for each other's locks, so more gain nothing.
const MAX_THREADS: usize = 8;
/// The stack of a thread, in bytes: a directory of a store path may be nested very deeply.
const STACK_BYTES: usize = 32 << 20;
/// How many names of `.links` a thread takes at once.
const NAMES_AT_ONCE: usize = 1024;
/// How many such lists may wait.
const LISTS_WAITING: usize = 16;

/// How many threads remove files.
fn threads() -> usize {
    processors().min(MAX_THREADS)
}

/// What became of files.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) freed: Freed,
    /// Paths whose files are not, or not all, removed.
    pub(super) unfinished: u64,
    /// Those of them whose files could not be removed, each with the reason; of the others somebody asked to stop.
    pub(super) left: Vec<String>,
}

#[derive(Default)]
struct Queue {
    /// Names by their hash, and the hashes in the order in which they come; some may have come before.
    waiting: HashMap<Hash, Vec<String>>,
    order: VecDeque<Hash>,
    /// Hashes that builds wait for, before their names are handed over.
    awaited: HashSet<Hash>,
    /// Names that wait or are under way.
    unfinished: usize,
    /// How many of them may be left for whoever waits.
    enough: Option<usize>,
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
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            match builder.spawn(move || shared.work()) {
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
        let mut queue = self.shared.queue();
        for name in names {
            // A claimed name has one.
            let Some(hash) = hash_of(&name) else { continue };
            if queue.awaited.contains(&hash) {
                queue.order.push_front(hash);
            } else {
                queue.order.push_back(hash);
            }
            queue.waiting.entry(hash).or_default().push(name);
            queue.unfinished += 1;
        }
        let Queue {
            awaited, waiting, ..
        } = &mut *queue;
        awaited.retain(|hash| !waiting.contains_key(hash));
        drop(queue);
        self.shared.work.notify_all();
    }

    /// Waits until no more than so many paths are left.
    pub(super) fn wait(&self, most: usize) {
        let mut queue = self.shared.queue();
        while queue.unfinished > most {
            queue.enough = Some(most);
            let waited = self.shared.done.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
        queue.enough = None;
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
            queue.unfinished -= 1;
            match removed {
                Ok(freed) => {
                    queue.removed.freed.add(freed);
                    self.counter.deleted.fetch_add(1, Ordering::Relaxed);
                    self.counter.freed.fetch_add(freed.bytes, Ordering::Relaxed);
                }
                Err(error) => {
                    queue.removed.unfinished += 1;
                    if error.kind() != io::ErrorKind::Interrupted {
                        queue.removed.left.push(format!("{name}: {error}"));
                    }
                }
            }
            let is_enough = queue.enough.is_some_and(|most| queue.unfinished <= most);
            drop(queue);
            // Each wake-up is a switch of threads, so nobody is woken for every path.
            if is_enough {
                self.done.notify_all();
            }
        }
    }

    /// The next path; `None` when there will be none.
    fn next(&self) -> Option<String> {
        let mut queue = self.queue();
        loop {
            for hash in self.claims.newly_awaited() {
                // A build waits for every name that has the hash.
                let names = queue.waiting.get(&hash).map_or(0, Vec::len);
                (0..names).for_each(|_| queue.order.push_front(hash));
                if names == 0 {
                    queue.awaited.insert(hash);
                }
            }
            while let Some(hash) = queue.order.pop_front() {
                let Entry::Occupied(mut names) = queue.waiting.entry(hash) else {
                    continue;
                };
                let name = names.get_mut().pop();
                if names.get().is_empty() {
                    names.remove();
                }
                if name.is_some() {
                    return name;
                }
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
///
/// # Errors
/// When that is not known.
pub(super) fn mounted_below(mounts: &Utf8Path, store: &Utf8Path) -> io::Result<Vec<String>> {
    let text = std::fs::read(mounts)?;
    // As the kernel names it, whatever links lead there.
    let store = store.canonicalize()?;
    let names = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let place = line.split(|byte| *byte == b' ').nth(4)?;
        let place = unescaped(place);
        let below = Path::new(OsStr::from_bytes(&place))
            .strip_prefix(&store)
            .ok()?;
        let name = below.components().next()?;
        Some(name.as_os_str().to_string_lossy().into_owned())
    });
    Ok(names.collect())
}

/// A place in the list of mounts, where blanks, tabulators, newlines and backslashes are three octal digits behind a backslash.
fn unescaped(place: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(place.len());
    let mut rest = place;
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..3).filter(|_| *first == b'\\');
        let byte =
            digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        let used = if byte.is_some() { 3 } else { 0 };
        rest = others.get(used..).unwrap_or_default();
    }
    bytes
}

#[cfg(test)]
mod tests;
