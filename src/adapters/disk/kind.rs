//! What kind of file system a store is on, and what that says of its blocks.

use std::os::fd::OwnedFd;

use super::{AtMost, FileSystem, Layout};

/// What XFS takes for an inode, unless it was made with another size. It frees the space of 64 together.
const XFS_INODE: u64 = 512;

/// A kind of file system; each platform has its own.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// ext2 to ext4.
    Ext,
    Tmpfs,
    Xfs,
    Btrfs,
    Zfs,
    Bcachefs,
    Overlay,
    Apfs,
    Other,
}

impl Kind {
    /// The kind that an open directory is on. The numbers are from the kernel's `magic.h`, and from the sources of the file
    /// systems that are not in it.
    #[cfg(target_os = "linux")]
    pub(super) fn of(directory: &OwnedFd) -> Self {
        let stat = nix::sys::statfs::fstatfs(directory);
        match stat.map_or(0, |stat| i128::from(stat.filesystem_type().0)) & 0xffff_ffff {
            0xef53 => Self::Ext,
            0x0102_1994 => Self::Tmpfs,
            0x5846_5342 => Self::Xfs,
            0x9123_683e => Self::Btrfs,
            0x2fc1_2fc1 => Self::Zfs,
            0xca45_1a4e => Self::Bcachefs,
            0x794c_7630 => Self::Overlay,
            _ => Self::Other,
        }
    }

    /// On macOS a store is always on APFS.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &OwnedFd) -> Self {
        if cfg!(target_os = "macos") {
            Self::Apfs
        } else {
            Self::Other
        }
    }

    /// Its name, where it is a known one.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Ext => Some("ext4"),
            Self::Tmpfs => Some("tmpfs"),
            Self::Xfs => Some("xfs"),
            Self::Btrfs => Some("btrfs"),
            Self::Zfs => Some("zfs"),
            Self::Bcachefs => Some("bcachefs"),
            Self::Overlay => Some("overlay"),
            Self::Apfs => Some("apfs"),
            Self::Other => None,
        }
    }

    /// Whether it counts freed blocks in the call that frees them, so that nothing has to be waited for.
    #[cfg(target_os = "linux")]
    pub(super) fn counts_at_once(self) -> bool {
        matches!(self, Self::Ext | Self::Tmpfs)
    }

    /// What is known of its blocks.
    pub(super) fn blocks(self) -> FileSystem {
        let layout = match self {
            Self::Xfs => Layout::Shared,
            Self::Btrfs => Layout::Btrfs,
            _ => Layout::Blocks,
        };
        let at_most = match self {
            Self::Overlay => Some(AtMost::Layers),
            Self::Zfs | Self::Bcachefs | Self::Apfs => self.name().map(AtMost::Unknown),
            _ => None,
        };
        FileSystem {
            layout,
            per_inode: if self == Self::Xfs { XFS_INODE } else { 0 },
            at_most,
        }
    }
}
