// SPDX-License-Identifier: Apache-2.0
//! Whether a router has a fast path.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether eBPF programs translate packets of established sessions, which then pass netfilter and routing by. Rules mean
/// the same with it; only each session's own byte count (in lists of sessions and NAT records) lacks what it carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FastPathMode {
    /// The kernel alone.
    #[default]
    Off,
    /// Where the kernel can have it; else the kernel alone, and the router says why.
    Auto,
    /// A router that cannot have it refuses its spec.
    Required,
}

impl FastPathMode {
    /// Whether it is [`FastPathMode::Off`].
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's way to ask")]
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// `off`, `auto`, `required`.
impl FromStr for FastPathMode {
    type Err = NoFastPathMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            _ => Err(NoFastPathMode),
        }
    }
}

/// A word that is no [`FastPathMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither off, auto nor required")]
pub struct NoFastPathMode;

/// Where the fast path's programs see packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FastPathHook {
    /// XDP if all of the router's interfaces are NICs whose drivers can do it, else tcx.
    #[default]
    Auto,
    /// Traffic control: fits every interface.
    Tcx,
    /// The drivers: for NICs only.
    Xdp,
}

/// `auto`, `tcx`, `xdp`.
impl FromStr for FastPathHook {
    type Err = NoFastPathHook;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "tcx" => Ok(Self::Tcx),
            "xdp" => Ok(Self::Xdp),
            _ => Err(NoFastPathHook),
        }
    }
}

/// A word that is no [`FastPathHook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither auto, tcx nor xdp")]
pub struct NoFastPathHook;

/// How a router's fast path is made, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FastPathSettings {
    /// Where its programs see packets.
    pub hook: FastPathHook,
    /// How much memory its leases take at most, in MiB, 1 to 1,024: 64 bytes for each session and CPU.
    pub memory_mib: u32,
}

impl Default for FastPathSettings {
    fn default() -> Self {
        Self {
            hook: FastPathHook::Auto,
            memory_mib: 32,
        }
    }
}

impl FastPathSettings {
    /// The most memory that leases may take, in MiB.
    pub const MEMORY_MIB_MAX: u32 = 1_024;

    /// Whether nobody has asked for anything else.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
