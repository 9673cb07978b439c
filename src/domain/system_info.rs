//! What a system generation's closure says of itself.

use serde::Serialize;

/// What the closure of a system says of itself; every part may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemInfo {
    /// The version of NixOS, `system.nixos.label`.
    pub nixos_version: Option<String>,
    /// The version of the Linux kernel.
    pub kernel_version: Option<String>,
    /// The revision of the configuration, `system.configurationRevision`.
    pub configuration_revision: Option<String>,
    /// The description that nixos-cli records.
    pub description: Option<String>,
}
