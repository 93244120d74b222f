// SPDX-License-Identifier: Apache-2.0
//! Where objects live in the store. Prefixes: `desired/` (what the API wrote), `observed/` (what hosts reported),
//! `jobs/`, `events/`, `claims/` (what must be unique has a key of its own), `counters/`, `secrets/`.

use std::fmt::Display;
use std::net::Ipv4Addr;

use crate::id::{EventId, GuestId, JobId, NetworkId, PhysicalNetworkId, RouterId, ZoneId};
use crate::usage::HeldKind;

/// Prefix of everything users want.
pub const DESIRED: &str = "desired/";
/// Prefix of what hosts report.
pub const OBSERVED: &str = "observed/";
/// Prefix of async jobs.
pub const JOBS: &str = "jobs/";
/// Prefix of events.
pub const EVENTS: &str = "events/";
/// Prefix of counters.
pub const COUNTERS: &str = "counters/";
/// Prefix of what usage records are computed from. Nothing of it is held in memory.
pub const USAGE: &str = "usage/";
/// Prefix of uniqueness claims.
pub const CLAIMS: &str = "claims/";

/// A kind of object that the store holds under `desired/<KIND>/<id>`.
pub trait Object: serde::Serialize + serde::de::DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its folder under `desired/`: `network`.
    const KIND: &'static str;
    /// CloudStack's word for it in texts and `jobinstancetype`: `Network`.
    const NAME: &'static str;
    /// Its id's type.
    type Id: Copy + Ord + std::hash::Hash + Display + std::str::FromStr + std::fmt::Debug + Send + Sync;
    /// Its id.
    fn id(&self) -> Self::Id;
    /// Its key.
    fn key(&self) -> String {
        desired::<Self>(self.id())
    }
}

/// The key of the object of kind `O` with this id.
pub fn desired<O: Object>(id: O::Id) -> String {
    format!("{DESIRED}{}/{id}", O::KIND)
}

/// The key of a job.
pub fn job(id: JobId) -> String {
    format!("{JOBS}{id}")
}

/// The key of what was last observed of a router.
pub fn observed_router(id: RouterId) -> String {
    format!("{OBSERVED}router/{id}")
}

/// The key of what was last observed of a guest.
pub fn observed_guest(id: GuestId) -> String {
    format!("{OBSERVED}guest/{id}")
}

/// The key of a router's health as it was last observed.
pub fn observed_health(id: RouterId) -> String {
    format!("{OBSERVED}router-health/{id}")
}

/// The key of the traffic counters of a router as they were last added up.
pub fn usage_reading(id: RouterId) -> String {
    format!("{USAGE}reading/{id}")
}

/// Prefix of what routers carried, by month.
pub const USAGE_BYTES: &str = "usage/bytes/";

/// Prefix of what routers carried in a month: `2026-11`.
pub fn usage_month(month: &str) -> String {
    format!("{USAGE_BYTES}{month}/")
}

/// Prefix of what is and was held.
pub fn usage_held() -> String {
    format!("{USAGE}held/")
}

/// The key of when an object was held.
pub fn usage_held_one(kind: HeldKind, id: uuid::Uuid) -> String {
    format!("{USAGE}held/{}/{id}", kind.folder())
}

/// The key of an event.
pub fn event(id: EventId) -> String {
    format!("{EVENTS}{id}")
}

/// The claim on a public address: who holds this key owns the address.
pub fn ip_claim(zone: ZoneId, address: Ipv4Addr) -> String {
    format!("{CLAIMS}ip/{zone}/{address}")
}

/// The zone and the address of a claim on a public address.
pub fn parse_ip_claim(key: &str) -> Option<(ZoneId, Ipv4Addr)> {
    let (zone, address) = key.strip_prefix(CLAIMS)?.strip_prefix("ip/")?.split_once('/')?;
    Some((zone.parse().ok()?, address.parse().ok()?))
}

/// The claim on a link-local address of a host's control network.
pub fn link_local_claim(address: Ipv4Addr) -> String {
    format!("{CLAIMS}link-local/{address}")
}

/// The claim on an address of a network that a guest's NIC had until it was taken away, held until it is unplugged.
pub fn guest_ip_claim(network: NetworkId, address: Ipv4Addr) -> String {
    format!("{CLAIMS}guest-ip/{network}/{address}")
}

/// The claim of a private gateway on its address of a VLAN.
pub fn private_gateway_claim(physical_network: PhysicalNetworkId, vlan: u16, address: Ipv4Addr) -> String {
    format!("{CLAIMS}private-gateway/{physical_network}/{vlan}/{address}")
}

/// The claim of a guest network on the VLAN that an admin named for it.
pub fn guest_vlan_claim(physical_network: PhysicalNetworkId, vlan: u16) -> String {
    format!("{CLAIMS}guest-vlan/{physical_network}/{vlan}")
}

/// The counter that numbers objects of one kind, for names such as `r-12-VM`.
pub fn counter(name: &str) -> String {
    format!("{COUNTERS}{name}")
}
