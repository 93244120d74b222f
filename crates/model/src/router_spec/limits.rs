// SPDX-License-Identifier: Apache-2.0
//! How much of a router one guest, or one address outside, may take.

use serde::{Deserialize, Serialize};

/// Limits on new sessions. Packets of known sessions never meet them. Each is `None` where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Sessions that one guest may hold at a time, 1 to 16,777,216. Counted from the session after the limit was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_sessions: Option<u32>,
    /// Sessions that one guest may open in a second, 1 to 1,000,000; as many more at once after a quiet second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_rate: Option<u32>,
    /// Sessions that one address outside may open in a second to the router's public addresses, 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_rate: Option<u32>,
    /// Echo requests in a second that the router itself answers on its public side, 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_rate: Option<u32>,
}

impl Limits {
    /// The most sessions that [`Self::guest_sessions`] may allow.
    pub const SESSIONS_MAX: u32 = 16_777_216;
    /// The most that a rate may allow, a second.
    pub const RATE_MAX: u32 = 1_000_000;

    /// Whether there is no limit at all.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
