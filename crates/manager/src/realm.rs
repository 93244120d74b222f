// SPDX-License-Identifier: Apache-2.0
//! What a realm is meant to be, whether it is an isolated network or a VPC.

use outgate_model::Realm;
use outgate_model::id::{AccountId, ZoneId};
use outgate_model::object::{Guest, Network, NetworkPhase, PublicIp, Vpc, VpcPhase};

use crate::mirror::{Stored, View};

/// How far a realm is meant to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Defined, without a router.
    Idle,
    /// With a router.
    Alive,
    /// On its way out.
    Leaving,
}

/// What a realm is meant to be, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The realm.
    pub realm: Realm,
    /// How far it is meant to exist.
    pub phase: Phase,
    /// The generation of what its router must be.
    pub generation: u64,
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub account: AccountId,
}

impl Standing {
    /// A network's own; a tier has none.
    pub(crate) fn of_network(network: &Network) -> Option<Self> {
        network.tier.is_none().then(|| Self {
            realm: Realm::Network(network.id),
            phase: phase_of_network(network.phase),
            generation: network.generation,
            name: network.name.clone(),
            zone: network.zone,
            account: network.account,
        })
    }

    /// A VPC's.
    pub(crate) fn of_vpc(vpc: &Vpc) -> Self {
        Self {
            realm: Realm::Vpc(vpc.id),
            phase: match vpc.phase {
                VpcPhase::Inactive => Phase::Idle,
                VpcPhase::Enabled => Phase::Alive,
                VpcPhase::Destroyed => Phase::Leaving,
            },
            generation: vpc.generation,
            name: vpc.name.clone(),
            zone: vpc.zone,
            account: vpc.account,
        }
    }
}

fn phase_of_network(phase: NetworkPhase) -> Phase {
    match phase {
        NetworkPhase::Allocated => Phase::Idle,
        NetworkPhase::Implemented => Phase::Alive,
        NetworkPhase::Destroyed => Phase::Leaving,
    }
}

impl View<'_> {
    /// What a realm is meant to be; `None` when it is gone. A network that has become a tier is no realm any more.
    pub fn standing(&self, realm: Realm) -> Option<Standing> {
        match realm {
            Realm::Network(id) => Standing::of_network(self.get::<Network>(id)?),
            Realm::Vpc(id) => Some(Standing::of_vpc(self.get::<Vpc>(id)?)),
        }
    }

    /// The networks that a realm's router serves: the isolated network itself, or the VPC's tiers.
    pub fn networks_of_realm(&self, realm: Realm) -> Vec<Stored<Network>> {
        match realm {
            Realm::Network(id) => self
                .get::<Network>(id)
                .filter(|network| network.tier.is_none())
                .cloned()
                .into_iter()
                .collect(),
            Realm::Vpc(id) => self.tiers_of_vpc(id).cloned().collect(),
        }
    }

    /// Every realm there is, those on their way out too.
    pub fn realms(&self) -> impl Iterator<Item = Realm> {
        let networks = self.all::<Network>().filter(|network| network.tier.is_none());
        let vpcs = self.all::<Vpc>().map(|vpc| Realm::Vpc(vpc.id));
        networks.map(|network| Realm::Network(network.id)).chain(vpcs)
    }

    /// The public addresses on a realm's router.
    pub fn public_ips_of_realm(&self, realm: Realm) -> impl Iterator<Item = &Stored<PublicIp>> {
        let (network, vpc) = match realm {
            Realm::Network(id) => (Some(id), None),
            Realm::Vpc(id) => (None, Some(id)),
        };
        let of_network = network.into_iter().flat_map(|id| self.public_ips_of_network(id));
        of_network.chain(vpc.into_iter().flat_map(|id| self.public_ips_of_vpc(id)))
    }

    /// The addresses through which a realm's guests leave, in the order in which they are taken.
    pub fn source_nat_pool_of(&self, realm: Realm) -> Vec<&Stored<PublicIp>> {
        let of_realm = self.public_ips_of_realm(realm);
        let mut pool: Vec<_> = of_realm.filter(|ip| ip.is_source_nat()).collect();
        pool.sort_by_key(|ip| (!ip.source_nat, ip.address));
        pool
    }

    /// The address through which a realm's guests leave by default.
    pub fn source_nat_of(&self, realm: Realm) -> Option<&Stored<PublicIp>> {
        self.public_ips_of_realm(realm).find(|ip| ip.source_nat)
    }

    /// The realm that looks after a guest: that of its first NIC.
    pub fn realm_of_guest(&self, guest: &Guest) -> Option<Realm> {
        let network = guest.nics.first()?.network;
        Some(self.get::<Network>(network)?.realm())
    }
}
