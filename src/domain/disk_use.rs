//! What deleting a set of store paths frees on disk.

use super::measure::{Bytes, count};
use super::note::{Note, NoteCode};

/// What a store path takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// The blocks of its inodes.
    pub bytes: Bytes,
    /// How many inodes it has.
    pub inodes: u64,
}

impl Taken {
    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            bytes: Bytes(self.bytes.0.saturating_add(other.bytes.0)),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }
}

/// What deleting a set of store paths would free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// The blocks of every inode that would go.
    pub bytes: Bytes,
    /// How many inodes would be deleted.
    pub inodes: u64,
    /// The blocks of files that are kept because they have links elsewhere: they are not in `bytes`.
    pub shared: Bytes,
    /// The blocks that a snapshot or a copy shares, and which remain in it: they are not in `bytes`.
    pub elsewhere: Bytes,
    /// Files and directories that went away while they were looked at.
    pub vanished: u64,
    /// Files and directories that could not be looked at: what is in them is not in `bytes`.
    pub unreadable: u64,
    /// Some of the unreadable ones, with the reason.
    pub examples: Vec<String>,
    /// Why deleting may free less than `bytes`; nothing where that is exact.
    pub at_most: Vec<AtMost>,
}

/// Why a figure is only the most that is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtMost {
    /// Some files are compressed, and the file system does not say how far.
    Compressed,
    /// Some of the files share blocks, and the file system does not say with how many others.
    Shared,
    /// A lower layer of an overlay keeps what it has.
    Layers,
    /// Blocks may be compressed, or belong to snapshots, and this file system is not asked.
    Unknown(&'static str),
}

impl DiskUse {
    /// What is freed for certain.
    pub fn taken(&self) -> Taken {
        Taken {
            bytes: self.bytes,
            inodes: self.inodes,
        }
    }

    /// What a reader should know of the figure.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.unreadable > 0 {
            let files = count(self.unreadable, "file");
            notes.push(Note::new(
                NoteCode::FreedAtLeast,
                format!(
                    "{files} or directories could not be read, so more may be freed on disk: {}",
                    self.examples.join(", ")
                ),
            ));
        }
        if self.elsewhere > Bytes(0) {
            notes.push(Note::new(
                NoteCode::FreedShared,
                format!(
                    "another {} on disk is not freed, because snapshots or copies share it",
                    self.elsewhere
                ),
            ));
        }
        if !self.at_most.is_empty() {
            let why: Vec<_> = self.at_most.iter().map(|&why| because(why)).collect();
            notes.push(Note::new(
                NoteCode::FreedAtMost,
                format!("the bytes on disk are an upper bound: {}", why.join("; ")),
            ));
        }
        notes
    }
}

fn because(why: AtMost) -> String {
    match why {
        AtMost::Compressed => "some files are compressed".to_string(),
        AtMost::Shared => "some files share blocks, perhaps with files that are kept".to_string(),
        AtMost::Layers => "a lower layer of the overlay keeps its files".to_string(),
        AtMost::Unknown(system) => {
            format!("on {system} blocks may be compressed or belong to snapshots")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_what_the_figure_leaves_out() {
        assert_eq!(DiskUse::default().notes(), Vec::new());
        let used = DiskUse {
            elsewhere: Bytes(2048),
            unreadable: 2,
            examples: vec!["a".to_string(), "b".to_string()],
            at_most: vec![
                AtMost::Compressed,
                AtMost::Shared,
                AtMost::Layers,
                AtMost::Unknown("zfs"),
            ],
            ..DiskUse::default()
        };
        let notes = used.notes();
        assert_eq!(notes.len(), 3);
        assert!(notes[0].starts_with("2 files or directories") && notes[0].ends_with(": a, b"));
        assert!(notes[1].contains("2.00 KiB"), "{}", notes[1]);
        assert_eq!(notes[2].matches("; ").count(), 3);
        assert!(notes[2].contains("on zfs"));
    }
}
