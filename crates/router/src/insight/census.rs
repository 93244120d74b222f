// SPDX-License-Identifier: Apache-2.0
//! A look at every session: which ports of each public address are in use, towards whom, and by which guests. Takes
//! time by the number of sessions, and memory that is bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_kernel::conntrack::{self, Flow};
use outgate_model::RouterSpec;
use outgate_model::router_spec::GuestNetwork;
use outgate_model::stats::{
    AddressUse, Census, DestinationUse, Endpoint, FIRST_PORT, GuestUse, NetworkUse, ProtocolUse, RANKED, Way,
};

use super::flow::{Ends, Sides};
use super::meter::Meter;
use super::ranking::Ranking;
use crate::RouterError;

/// The ports of a protocol that are told apart: one bit each.
#[derive(Debug)]
struct Ports(Vec<u64>);

impl Default for Ports {
    fn default() -> Self {
        Self(vec![0; 65_536 / 64])
    }
}

impl Ports {
    /// Whether it is new.
    fn insert(&mut self, port: u16) -> bool {
        let (word, bit) = (usize::from(port / 64), 1_u64 << (port % 64));
        let Some(word) = self.0.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

#[derive(Debug, Default)]
struct OfProtocol {
    sessions: u32,
    ports: u32,
    seen: Ports,
}

#[derive(Debug, Default)]
struct OfAddress {
    sessions: u32,
    protocols: BTreeMap<u8, OfProtocol>,
}

/// A public address and a guest.
pub(super) type Pair = (Ipv4Addr, Ipv4Addr);

type Destination = (Ipv4Addr, u8, Ipv4Addr, u16);

/// What is being counted.
#[derive(Debug, Default)]
struct Tally {
    addresses: HashMap<Ipv4Addr, OfAddress>,
    /// Public address, protocol, destination and its port.
    destinations: Ranking<Destination>,
    /// Public address and guest: sessions.
    guests: Ranking<Pair>,
    /// The same: ports of the address.
    ports: Ranking<Pair>,
    /// Guest networks, and the sessions of their guests.
    networks: Vec<(Ipv4Net, NetworkUse)>,
}

/// Looks at every session.
pub(super) fn take(spec: &RouterSpec, meter: &mut Meter) -> Result<Census, RouterError> {
    let sides = Sides::of(spec);
    let mut tally = Tally::default();
    for public in &spec.public.addresses {
        tally.addresses.entry(public.address.addr()).or_default();
    }
    tally.networks = spec.guest_networks.iter().map(of_network).collect();
    meter.begin();
    conntrack::dump(|flow| {
        tally.add(&flow, &sides.ends(&flow), meter);
        Ok(())
    })
    .map_err(|e| RouterError::failed("looking at the sessions", e))?;
    meter.end();
    Ok(tally.report(spec, meter))
}

fn of_network(network: &GuestNetwork) -> (Ipv4Net, NetworkUse) {
    let nobody = NetworkUse {
        network: network.id,
        sessions: 0,
    };
    (network.gateway.trunc(), nobody)
}

impl Tally {
    fn add(&mut self, flow: &Flow, ends: &Ends, meter: &mut Meter) {
        if ends.way != Way::Local {
            let mut networks = self.networks.iter_mut();
            let of = networks.find(|(cidr, _)| cidr.contains(&ends.inside.address));
            if let Some((_, network)) = of {
                network.sessions += 1;
            }
        }
        let (public, guest) = match (ends.way, ends.public) {
            (Way::Outbound | Way::Inbound, Some(public)) => (public, Some(ends.inside.address)),
            _ => (ends.inside, None),
        };
        // Sessions of the control side, of resolvers' clients and between tiers are not among the public addresses'.
        let Some(of_address) = self.addresses.get_mut(&public.address) else {
            return;
        };
        of_address.sessions += 1;
        if let Some(guest) = guest {
            self.guests.add((public.address, guest));
            meter.add((public.address, guest), flow, ends);
        }
        if ends.way != Way::Outbound {
            return;
        }
        let protocol = flow.original.protocol;
        let of_protocol = of_address.protocols.entry(protocol).or_default();
        of_protocol.sessions += 1;
        if public.port >= FIRST_PORT && of_protocol.seen.insert(public.port) {
            of_protocol.ports += 1;
            self.ports.add((public.address, ends.inside.address));
        }
        let Endpoint { address, port } = ends.destination;
        // The identifier of an ICMP query is the sender's, not the destination's.
        let port = if protocol == ICMP { 0 } else { port };
        self.destinations.add((public.address, protocol, address, port));
    }

    fn report(self, spec: &RouterSpec, meter: &Meter) -> Census {
        let uncertain = self.destinations.uncertain().max(self.guests.uncertain());
        // The largest of all, and so of each that has any among them; each address has its own share of them.
        let mut destinations: HashMap<(Ipv4Addr, u8), Vec<DestinationUse>> = HashMap::new();
        for ((public, protocol, address, port), ports) in self.destinations.largest(usize::MAX) {
            let of = destinations.entry((public, protocol)).or_default();
            if of.len() < RANKED {
                of.push(DestinationUse { address, port, ports });
            }
        }
        let mut guests = guests(&self.guests, &self.ports, meter);
        let mut counted = self.addresses;
        let addresses = spec.public.addresses.iter().map(|public| {
            let address = public.address.addr();
            let of_address = counted.remove(&address).unwrap_or_default();
            let protocols = of_address
                .protocols
                .into_iter()
                .map(|(protocol, of)| ProtocolUse {
                    protocol,
                    sessions: of.sessions,
                    ports: of.ports,
                    busiest: destinations.remove(&(address, protocol)).unwrap_or_default(),
                });
            AddressUse {
                address,
                sessions: of_address.sessions,
                protocols: protocols.collect(),
                guests: guests.remove(&address).unwrap_or_default(),
            }
        });
        Census {
            addresses: addresses.collect(),
            networks: self.networks.into_iter().map(|(_, network)| network).collect(),
            uncertain,
        }
    }
}

/// By public address, those with the most sessions first: the most sessions, and the most carried since the last look.
fn guests(
    sessions: &Ranking<Pair>,
    ports: &Ranking<Pair>,
    meter: &Meter,
) -> HashMap<Ipv4Addr, Vec<GuestUse>> {
    let busy = meter.busiest();
    let mut places: HashMap<Ipv4Addr, usize> = HashMap::new();
    let mut guests: HashMap<Ipv4Addr, Vec<GuestUse>> = HashMap::new();
    for (pair, sessions) in sessions.largest(usize::MAX) {
        let place = places.entry(pair.0).or_default();
        *place += 1;
        if *place <= RANKED || busy.contains(&pair) {
            guests.entry(pair.0).or_default().push(GuestUse {
                address: pair.1,
                sessions,
                ports: ports.count(pair),
                traffic: meter.carried(pair),
            });
        }
    }
    guests
}

const ICMP: u8 = 1;
