//! Extents of files on file systems that compress or share blocks.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use fiemap::{Fiemap, FiemapExtentFlags};

/// A run of blocks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// In bytes from the begin of the device.
    pub(super) start: u64,
    /// In bytes of the file; of a compressed run less is on disk.
    pub(super) length: u64,
    pub(super) shared: bool,
    pub(super) compressed: bool,
}

/// What a file takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extents {
    /// Runs with a known place.
    pub(super) placed: Vec<Extent>,
    /// Bytes that nothing else has: those that the file system has not given a place yet.
    pub(super) own: u64,
}

impl Extents {
    pub(super) fn has_none_shared(&self) -> bool {
        !self.placed.iter().any(|extent| extent.shared)
    }
}

/// Asks the file system. Bytes that lie in its metadata free no block.
pub(super) fn of(file: OwnedFd) -> io::Result<Extents> {
    let mut extents = Extents::default();
    for extent in Fiemap::new(file) {
        let extent = extent?;
        let is = |flag| extent.fe_flags.contains(flag);
        if is(FiemapExtentFlags::DATA_INLINE) {
            continue;
        }
        if is(FiemapExtentFlags::UNKNOWN) || is(FiemapExtentFlags::DELALLOC) {
            extents.own += extent.fe_length;
            continue;
        }
        extents.placed.push(Extent {
            start: extent.fe_physical,
            length: extent.fe_length,
            shared: is(FiemapExtentFlags::SHARED),
            compressed: is(FiemapExtentFlags::ENCODED),
        });
    }
    Ok(extents)
}

/// What files free that are deleted together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Freed {
    /// At most so many bytes go with the path at a position; a position may come up again.
    pub(super) at: Vec<(usize, u64)>,
    /// Bytes that a snapshot or a file beside these has too.
    pub(super) kept: u64,
    /// Whether some are compressed.
    pub(super) compressed: bool,
    /// Whether several of these files share blocks, which others may share too.
    pub(super) shared: bool,
}

/// Adds up extents, each with the position of the path that it belongs to. The file system reports that a run is
/// shared, not with how many: one that is seen only once is shared with something that is kept.
pub(super) fn freed(mut extents: Vec<(usize, Extent)>) -> Freed {
    extents.sort_unstable_by_key(|(_, extent)| extent.start);
    let mut freed = Freed::default();
    freed.add_compressed(&extents);
    freed.add_shared(&extents);
    for (position, extent) in extents {
        if !extent.compressed && !extent.shared {
            freed.at.push((position, extent.length));
        }
    }
    freed
}

impl Freed {
    /// The bytes of a run, with how many of the files have it and the last position of a path that does.
    fn add(&mut self, bytes: u64, seen: usize, last: usize) {
        if bytes == 0 {
            return;
        }
        if seen > 1 {
            self.at.push((last, bytes));
            self.shared = true;
        } else {
            self.kept += bytes;
        }
    }

    /// The size of a compressed run on disk is not known. It ends before the next one begins, and files that were
    /// written together lie side by side.
    fn add_compressed(&mut self, sorted: &[(usize, Extent)]) {
        let mut runs = sorted
            .chunk_by(|(_, a), (_, b)| a.start == b.start)
            .peekable();
        while let Some(run) = runs.next() {
            let next = runs.peek().and_then(|next| next.first());
            let Some((_, first)) = run.iter().find(|(_, extent)| extent.compressed) else {
                continue;
            };
            let gap = next.map_or(u64::MAX, |(_, next)| next.start - first.start);
            let bytes = first.length.min(gap);
            let last = run.iter().map(|&(position, _)| position).max();
            self.compressed = true;
            match (first.shared, last) {
                (true, Some(last)) => self.add(bytes, run.len(), last),
                (false, Some(last)) => self.at.push((last, bytes)),
                (_, None) => {}
            }
        }
    }

    /// Runs of several files may overlap in part.
    fn add_shared(&mut self, extents: &[(usize, Extent)]) {
        let mut edges = Vec::new();
        let shared = |extent: &Extent| extent.shared && !extent.compressed;
        for &(position, extent) in extents.iter().filter(|(_, extent)| shared(extent)) {
            edges.push((extent.start, true, position));
            edges.push((extent.start.saturating_add(extent.length), false, position));
        }
        edges.sort_unstable();
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut seen, mut before) = (0_usize, 0_u64);
        for (at, begins, position) in edges {
            if let Some((&last, _)) = open.last_key_value() {
                self.add(at - before, seen, last);
            }
            before = at;
            let of_path = open.entry(position).or_default();
            if begins {
                *of_path += 1;
                seen += 1;
            } else {
                *of_path = of_path.saturating_sub(1);
                seen = seen.saturating_sub(1);
                if *of_path == 0 {
                    open.remove(&position);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, length: u64) -> Extent {
        Extent {
            start,
            length,
            shared: false,
            compressed: false,
        }
    }

    fn shared(start: u64, length: u64) -> Extent {
        Extent {
            shared: true,
            ..run(start, length)
        }
    }

    fn compressed(start: u64, length: u64) -> Extent {
        Extent {
            compressed: true,
            ..run(start, length)
        }
    }

    /// The bytes freed with each path.
    fn by_path(freed: &Freed) -> Vec<(usize, u64)> {
        let mut sums = BTreeMap::new();
        for &(position, bytes) in &freed.at {
            *sums.entry(position).or_insert(0) += bytes;
        }
        sums.into_iter().collect()
    }

    #[test]
    fn a_run_of_one_file_is_freed_with_it() {
        let freed = freed(vec![(1, run(40, 8)), (0, run(0, 4))]);
        assert_eq!(by_path(&freed), [(0, 4), (1, 8)]);
        assert_eq!(
            (freed.kept, freed.shared, freed.compressed),
            (0, false, false)
        );
    }

    #[test]
    fn a_shared_run_that_is_seen_once_stays() {
        let freed = freed(vec![(0, shared(0, 4)), (1, shared(8, 16))]);
        assert_eq!(by_path(&freed), []);
        assert_eq!((freed.kept, freed.shared), (20, false));
    }

    #[test]
    fn a_run_of_two_files_is_freed_once_with_the_later_one() {
        let freed = freed(vec![(2, shared(0, 4)), (0, shared(0, 4))]);
        assert_eq!(by_path(&freed), [(2, 4)]);
        assert_eq!((freed.kept, freed.shared), (0, true));
    }

    #[test]
    fn runs_overlap_in_part() {
        let freed = freed(vec![
            (0, shared(0, 10)),
            (1, shared(5, 10)),
            (2, shared(8, 2)),
        ]);
        assert_eq!(by_path(&freed), [(1, 3), (2, 2)]);
        assert_eq!(freed.kept, 10);
    }

    #[test]
    fn a_path_may_share_with_itself() {
        let freed = freed(vec![(0, shared(0, 4)), (0, shared(0, 4)), (1, run(4, 4))]);
        assert_eq!(by_path(&freed), [(0, 4), (1, 4)]);
    }

    #[test]
    fn a_compressed_run_ends_before_the_next() {
        let freed = freed(vec![
            (0, compressed(0, 128)),
            (1, compressed(30, 128)),
            (2, run(70, 8)),
            (3, compressed(500, 64)),
        ]);
        assert_eq!(by_path(&freed), [(0, 30), (1, 40), (2, 8), (3, 64)]);
        assert!(freed.compressed);
    }

    #[test]
    fn a_compressed_run_of_two_files_is_freed_once() {
        let both = Extent {
            shared: true,
            ..compressed(0, 128)
        };
        let once = Extent {
            shared: true,
            ..compressed(200, 128)
        };
        let freed = freed(vec![(0, both), (1, both), (2, once), (3, run(264, 8))]);
        assert_eq!(by_path(&freed), [(1, 128), (3, 8)]);
        assert_eq!((freed.kept, freed.shared), (64, true));
    }
}
