//! Kinds of machines, and their critical paths, which every list of protected paths must contain.

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Linux, NixOS or not.
    Linux,
    /// macOS.
    MacOs,
}

impl Platform {
    /// The kind that this program was built for.
    pub const HERE: Self = if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Linux
    };

    /// The paths that every list of protected paths must contain.
    pub fn critical_paths(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::Linux => &[],
            Self::MacOs => &["/System", "/Applications", "/Library"],
        };
        COMMON.into_iter().chain(own.iter().copied())
    }
}

const COMMON: [&str; 9] = [
    "/",
    "/usr",
    "/etc",
    "/var",
    "/bin",
    "/sbin",
    "/boot",
    "/nix/store",
    "/nix/var",
];
