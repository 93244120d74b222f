// SPDX-License-Identifier: Apache-2.0
//! What a host and a router say to each other and to the manager. All of it serialises: one process today, a network
//! to an agent later, the same messages.

use serde::{Deserialize, Serialize};

use crate::id::{GuestId, LoadBalancerRuleId, NetworkId, PhysicalNetworkId, RouterId};

/// What a router did to make the kernel match a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The spec's generation.
    pub generation: u64,
    /// What differed and was changed, one sentence each: `address 203.0.113.10/24 was missing on eth2`. Empty when
    /// nothing was sent to the kernel.
    pub changes: Vec<String>,
    /// How many sessions were cut because they no longer had a right to exist.
    pub sessions_cut: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// The version of Outgate that the router runs; empty from one that is too old to say so.
    #[serde(default)]
    pub version: String,
}

/// What runs on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostObserved {
    /// Every router there is, wanted or not.
    pub routers: Vec<RouterRunning>,
    /// Every guest there is, wanted or not.
    pub guests: Vec<GuestRunning>,
}

/// A router that runs on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterRunning {
    /// Its id.
    pub id: RouterId,
    /// The boot it was started for.
    pub boot: u64,
    /// The generation it has applied; `None` while it does not answer or has none.
    pub generation: Option<u64>,
}

/// A guest that runs on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRunning {
    /// Its id.
    pub id: GuestId,
}

/// Everything that should exist on a host; what is not named here is an orphan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Routers.
    pub routers: Vec<RouterId>,
    /// Guests.
    pub guests: Vec<GuestId>,
    /// Networks whose bridge stays.
    pub networks: Vec<NetworkId>,
    /// Private wires whose bridge stays: those of the VPCs' private gateways.
    #[serde(default)]
    pub wires: Vec<PrivateWire>,
}

/// A VLAN of a physical network: what the private gateways on it are plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PrivateWire {
    /// The physical network.
    pub physical_network: PhysicalNetworkId,
    /// The VLAN, 1 to 4094.
    pub vlan: u16,
}

/// Something a host or router noticed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum HostEvent {
    /// A router's kernel or services differed from its spec and have been repaired (or not: then `error` says why).
    Drift {
        /// The router.
        router: RouterId,
        /// What differed, one sentence each.
        differences: Vec<String>,
        /// Why the repair failed.
        error: Option<String>,
    },
    /// A router is gone without anyone having asked for it.
    RouterLost {
        /// The router.
        router: RouterId,
    },
    /// A guest is gone without anyone having asked for it.
    GuestLost {
        /// The guest.
        guest: GuestId,
    },
}

/// One check of a router, of the reference text's seven steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its place among the seven steps, 1 to 7.
    pub step: u8,
    /// What it is about: `Public interface`.
    pub title: String,
    /// What was run, as one would type it: `ip addr show eth2`.
    pub command: String,
    /// What was seen.
    pub seen: String,
    /// Whether that is as it must be.
    pub pass: bool,
    /// What to do if it is not; empty when it passed.
    pub remedy: String,
}

/// What a host sees of a router from the outside, for diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSeen {
    /// Whether the router's process runs.
    pub running: bool,
    /// A real login over the control network: step 2 of the reference text's seven.
    pub login: Check,
    /// What the router's engine says of itself, or why it says nothing.
    pub engine: Result<EngineSeen, String>,
    /// The host's ends of the cables of the router and of its guests, and the uplinks of the public bridge.
    pub ports: Vec<PortSeen>,
    /// The host itself: processor, memory, temperature.
    pub health: Vec<HealthSeen>,
}

/// What a router's engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineSeen {
    /// The generation that it has applied; `None` before the first.
    pub generation: Option<u64>,
    /// How the kernel and the services differ from the spec, one sentence each.
    pub differences: Vec<String>,
    /// Why the last apply or repair failed.
    pub error: Option<String>,
}

/// A network interface of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSeen {
    /// Its name on the host.
    pub name: String,
    /// What it is: `eth2 of the router`, `eth0 of guest 3f1c...`, `uplink of pub0`.
    pub what: String,
    /// Whether it is switched on and has a carrier.
    pub up: bool,
    /// Whether its bridge forwards its frames; `None` when it is in no bridge.
    pub forwards: Option<bool>,
    /// Bytes.
    pub mtu: u32,
    /// Frames and errors since it exists, by the kernel's names: `rx_packets`, `rx_crc_errors` ...
    pub counters: std::collections::BTreeMap<String, u64>,
    /// By how much the same counters rose while the doctor looked; what did not rise is left out.
    pub rose: std::collections::BTreeMap<String, u64>,
}

/// Something of a host's hardware that slows routers down when it is ill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSeen {
    /// What: `CPU steal`, `memory ECC`, `temperature`.
    pub what: String,
    /// What was read; `None` when this machine has nothing to read.
    pub seen: Option<String>,
    /// Whether that is trouble.
    pub trouble: bool,
}

/// A command to run inside a router or a guest, for diagnosis. Never a shell string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// After how many milliseconds it is ended.
    pub timeout_millis: u64,
}

/// What such a command printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutput {
    /// Its exit code; `None` when a signal or the time limit ended it.
    pub code: Option<i32>,
    /// Standard output, at most 1 MiB.
    pub stdout: String,
    /// Standard error, at most 64 KiB.
    pub stderr: String,
}

/// What a load balancer rule has done since haproxy's worker started: a change of any rule of the router starts a new
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbStatistics {
    /// The rule.
    pub rule: LoadBalancerRuleId,
    /// Sessions right now.
    pub sessions: u64,
    /// Sessions so far.
    pub total_sessions: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Its members.
    pub members: Vec<LbMemberStatistics>,
}

/// What one member of a load balancer rule has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbMemberStatistics {
    /// The guest's address.
    pub address: std::net::Ipv4Addr,
    /// Whether it gets connections.
    pub healthy: bool,
    /// haproxy's word for its health: `UP`, `DOWN`, `UP 1/3` ...
    pub status: String,
    /// Sessions right now.
    pub sessions: u64,
    /// Sessions so far.
    pub total_sessions: u64,
    /// Bytes to the member.
    pub bytes_in: u64,
    /// Bytes from the member.
    pub bytes_out: u64,
    /// Connections that it did not take.
    pub connection_errors: u64,
}
