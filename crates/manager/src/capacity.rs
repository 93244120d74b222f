// SPDX-License-Identifier: Apache-2.0
//! How much of what a zone has is used: for `listCapacity`, and for alerts before something runs out.

use std::collections::BTreeSet;

use outgate_model::id::ZoneId;
use outgate_model::object::{Network, PhysicalNetwork, PrivateGateway, PublicIpRange, Router};

use crate::command::LINK_LOCAL_COUNT;
use crate::mirror::View;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Public addresses.
    PublicAddresses,
    /// Link-local addresses of routers on the control network (CloudStack: private addresses).
    ControlAddresses,
    /// VLANs of physical networks.
    Vlans,
}

impl Resource {
    /// CloudStack's number, which its alerts share.
    pub fn number(self) -> u16 {
        match self {
            Self::PublicAddresses => 4,
            Self::ControlAddresses => 5,
            Self::Vlans => 7,
        }
    }
}

/// How much of something a zone has and uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Of what.
    pub resource: Resource,
    /// The zone.
    pub zone: ZoneId,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub total: u64,
}

impl Capacity {
    /// How much is used, in percent; 0 when there is nothing.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a percentage needs no more than a double's digits"
    )]
    pub fn percent(&self) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        self.used as f64 * 100.0 / self.total as f64
    }
}

impl View<'_> {
    /// How much is used of everything that a zone has. VLANs are left out where no physical network names any.
    pub fn capacities(&self, zone: ZoneId) -> Vec<Capacity> {
        let of = |resource, (used, total)| Capacity {
            resource,
            zone,
            used,
            total,
        };
        let routers = self.all::<Router>().filter(|r| r.zone == zone).count();
        let control = (wide(routers), u64::from(LINK_LOCAL_COUNT));
        let mut found = vec![
            of(Resource::PublicAddresses, self.public_capacity(zone)),
            of(Resource::ControlAddresses, control),
        ];
        let vlans = self.vlan_capacity(zone);
        if vlans.1 > 0 {
            found.push(of(Resource::Vlans, vlans));
        }
        found
    }

    /// Claimed and all addresses of a zone's ranges.
    pub(crate) fn public_capacity(&self, zone: ZoneId) -> (u64, u64) {
        let ranges = self.all::<PublicIpRange>().filter(|range| range.zone == zone);
        ranges.fold((0, 0), |(used, total), range| {
            let claimed = self.claimed_in(zone, range.range);
            (used + claimed, total + u64::from(range.range.count()))
        })
    }

    /// Used and all VLANs of a zone's physical networks.
    pub(crate) fn vlan_capacity(&self, zone: ZoneId) -> (u64, u64) {
        let physical = self.all::<PhysicalNetwork>().filter(|p| p.zone == zone);
        physical.fold((0, 0), |(used, total), physical| {
            let all: u64 = physical.vlans.iter().map(|range| range.count()).sum();
            (used + wide(self.vlans_used(physical).len()), total + all)
        })
    }

    /// The VLANs of a physical network's ranges that something uses.
    pub(crate) fn vlans_used(&self, physical: &PhysicalNetwork) -> BTreeSet<u16> {
        let gateways = self
            .all::<PrivateGateway>()
            .filter(|g| g.physical_network == physical.id);
        let listed = |vlan: &u16| {
            let mut ranges = physical.vlans.iter();
            ranges.any(|range| (range.first..=range.last).contains(vlan))
        };
        let of_networks = self.all::<Network>().filter_map(|network| {
            let settings = &network.settings;
            settings
                .vlan
                .filter(|_| settings.physical_network == Some(physical.id))
        });
        gateways
            .map(|g| g.vlan)
            .chain(of_networks)
            .filter(listed)
            .collect()
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
