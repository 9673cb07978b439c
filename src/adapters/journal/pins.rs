//! Pins: generations that are never removed, read as trusted for our own user and as untrusted for other users.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use super::{Journal, RunLock, malformed, unreadable, untrusted};
use crate::adapters::files;
use crate::domain::measure::Timestamp;
use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::domain::snapshot::Pin;
use crate::domain::visible::is_hidden;
use crate::ports::JournalError;

const MAX_BYTES_OF_OTHERS: u64 = 1 << 20;
const MAX_REASON_CHARS_OF_OTHERS: usize = 200;
const NAME: &str = "pins.json";

/// A pin as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinRecord {
    /// Which profile.
    pub profile: ProfilePath,
    /// Which generation.
    pub number: GenerationNumber,
    /// Why, in its owner's words.
    pub reason: Option<String>,
    /// Until when; without it, for good.
    pub until: Option<Timestamp>,
    /// When it was pinned.
    pub created: Timestamp,
}

impl PinRecord {
    fn is_for(&self, profile: &ProfilePath, number: GenerationNumber) -> bool {
        self.number == number && self.profile == *profile
    }

    /// Whether it is the same pin, apart from its time.
    fn says_what(&self, other: &Self) -> bool {
        self.is_for(&other.profile, other.number)
            && (&self.reason, self.until) == (&other.reason, other.until)
    }
}

impl From<PinRecord> for Pin {
    fn from(record: PinRecord) -> Self {
        Self {
            profile: record.profile,
            number: record.number,
            reason: record.reason,
            until: record.until,
        }
    }
}

/// An unknown key is an error: it could be one that keeps something.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pins {
    schema: PinsSchema,
    pins: Vec<PinRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
enum PinsSchema {
    #[serde(rename = "nix-prune/pins/1")]
    V1,
}

impl Journal {
    /// The pins as they are written down, those that have run out too.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn pin_records(&self) -> Result<Vec<PinRecord>, JournalError> {
        let document: Option<Pins> = self.document(NAME)?;
        Ok(document.map_or_else(Vec::new, |document| document.pins))
    }

    /// Pins a generation, in the place of an older pin of it; returns whether anything changed.
    ///
    /// # Errors
    /// When the pins cannot be read or written.
    pub fn add_pin(&self, lock: &RunLock, pin: PinRecord) -> Result<bool, JournalError> {
        let mut pins = self.pin_records()?;
        let of_it = |p: &&PinRecord| p.is_for(&pin.profile, pin.number);
        if pins.iter().filter(of_it).count() == 1 && pins.iter().any(|p| p.says_what(&pin)) {
            return Ok(false);
        }
        pins.retain(|p| !p.is_for(&pin.profile, pin.number));
        pins.push(pin);
        self.set_pins(lock, pins).map(|()| true)
    }

    /// Removes a pin; returns whether there was one.
    ///
    /// # Errors
    /// When the pins cannot be read or written.
    pub fn remove_pin(
        &self,
        lock: &RunLock,
        profile: &ProfilePath,
        number: GenerationNumber,
    ) -> Result<bool, JournalError> {
        let mut pins = self.pin_records()?;
        let before = pins.len();
        pins.retain(|p| !p.is_for(profile, number));
        if pins.len() == before {
            return Ok(false);
        }
        self.set_pins(lock, pins).map(|()| true)
    }

    fn set_pins(&self, _lock: &RunLock, mut pins: Vec<PinRecord>) -> Result<(), JournalError> {
        pins.sort_by(|a, b| (&a.profile, a.number).cmp(&(&b.profile, b.number)));
        let schema = PinsSchema::V1;
        self.write_document(NAME, &Pins { schema, pins })
    }

    /// The pins of another user, from the usual place below their home.
    ///
    /// They may hold anything: no link below the home is followed, nothing but a regular file of theirs is read, and
    /// not much of it; control characters in a reason are not passed on.
    ///
    /// # Errors
    /// When there is something in their place and it cannot be read or trusted.
    pub fn pins_of_user(&self, home: &Utf8Path, uid: u32) -> Result<Vec<Pin>, JournalError> {
        let path = home.join(".local/state/nix-prune").join(NAME);
        let Some(file) = open_below(home, &path, uid)? else {
            return Ok(Vec::new());
        };
        let text = files::read_text(file, MAX_BYTES_OF_OTHERS)
            .map_err(|source| unreadable(&path, source))?;
        let document: Pins =
            serde_json::from_str(&text).map_err(|source| malformed(&path, source))?;
        let pins = document.pins.into_iter().map(Pin::from);
        Ok(pins
            .map(|pin| Pin {
                reason: pin.reason.as_deref().map(harmless),
                ..pin
            })
            .collect())
    }
}

/// Opens a file of `uid` below their home, one step at a time, so that no step can be a link; `None` when one is not
/// there.
fn open_below(home: &Utf8Path, path: &Utf8Path, uid: u32) -> Result<Option<File>, JournalError> {
    let guarded = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let directory = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY;
    let mut at = match open(home.as_std_path(), directory, Mode::empty()) {
        Ok(home) => home,
        // Many a user of the system has no home, or `/dev/null`.
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(errno) => return Err(unreadable(path, errno.into())),
    };
    let below = path.strip_prefix(home).unwrap_or(path);
    let mut steps = below.components().peekable();
    while let Some(step) = steps.next() {
        let flags = if steps.peek().is_some() {
            guarded | OFlag::O_DIRECTORY
        } else {
            guarded | OFlag::O_NOCTTY
        };
        let opened = openat(&at, step.as_str(), flags, Mode::empty());
        match present(path, opened)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    let file = File::from(at);
    let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
    let why = if !metadata.is_file() {
        "it is not a regular file".to_string()
    } else if metadata.uid() != uid {
        format!("it belongs to user {}", metadata.uid())
    } else {
        return Ok(Some(file));
    };
    Err(untrusted(path, why))
}

/// Only the absence of a step is no pins; everything else is named.
fn present<T>(path: &Utf8Path, opened: nix::Result<T>) -> Result<Option<T>, JournalError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::ENOENT) => Ok(None),
        // Which of the two it is for a link depends on the flags and on the system.
        Err(Errno::ELOOP | Errno::ENOTDIR | Errno::EMLINK) => Err(untrusted(
            path,
            "a component is a symbolic link, or not a directory",
        )),
        Err(errno) => Err(unreadable(path, errno.into())),
    }
}

/// Another user's text, escaped for a terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .take(MAX_REASON_CHARS_OF_OTHERS)
        .collect()
}
