// SPDX-License-Identifier: Apache-2.0
//! What the limits of a router ([`Limits`]) refuse, by reason.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::router_spec::Limits;

/// Which limit refused a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The guest holds as many sessions as it may.
    GuestSessions,
    /// The guest opens sessions faster than it may.
    GuestRate,
    /// An address outside opens sessions to a public address faster than it may.
    SourceRate,
    /// More pings to the router itself than it answers.
    PingRate,
}

impl Refusal {
    /// Each of them.
    pub const ALL: [Self; 4] = [
        Self::GuestSessions,
        Self::GuestRate,
        Self::SourceRate,
        Self::PingRate,
    ];

    /// `guest_rate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GuestSessions => "guest_sessions",
            Self::GuestRate => "guest_rate",
            Self::SourceRate => "source_rate",
            Self::PingRate => "ping_rate",
        }
    }

    /// Whether it limits guests, by their addresses; else what comes from outside, by the public address.
    pub fn is_of_guests(self) -> bool {
        matches!(self, Self::GuestSessions | Self::GuestRate)
    }

    /// The limit, where there is one.
    pub fn limit(self, limits: &Limits) -> Option<u32> {
        match self {
            Self::GuestSessions => limits.guest_sessions,
            Self::GuestRate => limits.guest_rate,
            Self::SourceRate => limits.source_rate,
            Self::PingRate => limits.ping_rate,
        }
    }

    /// The setting that gives the limit.
    pub fn setting(self) -> &'static str {
        match self {
            Self::GuestSessions => "router.guest.sessions.max",
            Self::GuestRate => "router.guest.sessions.rate",
            Self::SourceRate => "router.source.sessions.rate",
            Self::PingRate => "router.public.ping.rate",
        }
    }

    /// What happened at `address`, in words. The address is the guest's, or the public one that was the target.
    pub fn words(self, address: Ipv4Addr, limit: u32) -> String {
        match self {
            Self::GuestSessions => {
                format!("guest {address} wants more than the {limit} sessions that one guest may hold")
            }
            Self::GuestRate => {
                format!(
                    "guest {address} opens more than the {limit} sessions a second that one guest may open"
                )
            }
            Self::SourceRate => {
                format!(
                    "{address}: somebody outside opens more than {limit} sessions a second to this public address"
                )
            }
            Self::PingRate => format!("{address}: more than {limit} pings a second to this public address"),
        }
    }
}

/// What one limit has refused since the router's table was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The limit.
    pub reason: Refusal,
    /// Packets refused. One session may send several: a refused SYN is sent again.
    pub packets: u64,
    /// By guest, or by public address where the limit is on what comes from outside; at most
    /// [`RANKED`](crate::stats::RANKED), the most refused first.
    pub addresses: Vec<(Ipv4Addr, u64)>,
}
