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
