// SPDX-License-Identifier: Apache-2.0
//! Which records of translated sessions a router keeps and sends.

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

/// A record of each translated session's beginning and end: who had which public address and port, and when
/// (RFC 6888 REQ-12 asks for what such records must hold).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatLog {
    /// At most so many records a second are written, 1 to 1,000,000; those beyond are counted as lost.
    pub records_per_second: u32,
    /// MiB of records that are kept in the router's directory on its host, 8 to 65,536; the oldest go first. 0 for none.
    pub file_mib: u32,
    /// An IPFIX collector on the control network, reached by UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<SocketAddrV4>,
}
