//! Presets: example settings.

use super::reference;

/// Example settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A workstation.
    Daily,
    /// A small disk.
    Laptop,
    /// A server.
    Server,
    /// A build machine.
    Ci,
    /// Minimal configuration.
    Minimal,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Daily,
        Self::Laptop,
        Self::Server,
        Self::Ci,
        Self::Minimal,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Laptop => "laptop",
            Self::Server => "server",
            Self::Ci => "ci",
            Self::Minimal => "minimal",
        }
    }

    /// Its purpose and content.
    pub fn about(self) -> &'static str {
        match self {
            Self::Daily => {
                "Workstation: keep the last 10 generations and those of the last 14 days; delete dead paths older than a day"
            }
            Self::Laptop => {
                "Small disk: remove only as much as needed to keep 20% of it free; always keep the last 5 generations"
            }
            Self::Server => {
                "Server: keep the last 10 generations and the newest of 8 weeks and 12 months; delete all dead paths"
            }
            Self::Ci => {
                "Build machine: remove nothing while the store is below 100G, then old generations and dead paths older than 2 days"
            }
            Self::Minimal => "Minimal: keep the last 5 generations; delete all dead paths",
        }
    }

    /// The settings.
    pub fn text(self) -> &'static str {
        match self {
            Self::Daily => include_str!("presets/daily.json"),
            Self::Laptop => include_str!("presets/laptop.json"),
            Self::Server => include_str!("presets/server.json"),
            Self::Ci => include_str!("presets/ci.json"),
            Self::Minimal => include_str!("presets/minimal.json"),
        }
    }

    /// The meaning of every key, for a file beside the settings: JSON has no comments.
    pub fn guide(self, file: &str) -> String {
        format!(
            "# {file}\n\n{}.\n\nThese are the settings `{}` of `nix-prune config init`. After a change, `nix-prune config \
             check` says what is wrong with\nthem, and `nix-prune plan` what they would do now.\n\n{}",
            self.about(),
            self.name(),
            reference::keys(),
        )
    }
}
