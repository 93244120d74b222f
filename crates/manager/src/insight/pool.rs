// SPDX-License-Identifier: Apache-2.0
//! A source NAT pool: addresses that take over for one another. Pure.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use outgate_model::object::Router;
use outgate_model::stats::{AddressUse, Census, DestinationUse, PORTS, ProtocolUse};

use crate::mirror::View;

/// The addresses of a source NAT pool.
#[derive(Debug)]
pub(crate) struct Pool(Vec<Ipv4Addr>);

impl Pool {
    /// The source NAT pool of the router's network or VPC.
    pub(crate) fn of(view: &View<'_>, router: &Router) -> Self {
        let pool = view.source_nat_pool_of(router.realm);
        Self(pool.iter().map(|ip| ip.address).collect())
    }

    /// How many ports it has for each protocol and destination.
    pub(crate) fn ports(&self) -> u32 {
        PORTS.saturating_mul(count(&self.0).max(1))
    }

    /// Whether it is one of them.
    pub(super) fn holds(&self, address: Ipv4Addr) -> bool {
        self.0.contains(&address)
    }

    /// Ports in use on all of them towards the destination where they first run out.
    pub(crate) fn fullest(&self, census: &Census) -> u32 {
        let mut towards: HashMap<(u8, Ipv4Addr, u16), u32> = HashMap::new();
        let of_pool = census.addresses.iter().filter(|a| self.holds(a.address));
        for protocol in of_pool.flat_map(|a| &a.protocols) {
            for to in &protocol.busiest {
                let ports = towards
                    .entry((protocol.protocol, to.address, to.port))
                    .or_default();
                *ports = ports.saturating_add(to.ports);
            }
        }
        towards.into_values().max().unwrap_or(0)
    }

    /// How many addresses stand in for this one, and how much of their ports towards its busiest destination is in use, in
    /// percent.
    pub(super) fn used(&self, census: &Census, address: &AddressUse) -> (u32, u32) {
        let own = [address.address];
        let pool = if self.holds(address.address) {
            &self.0
        } else {
            &own[..]
        };
        let count = count(pool);
        let towards = |(protocol, to): (&ProtocolUse, &DestinationUse)| {
            census.ports_towards(pool, protocol.protocol, to)
        };
        let ports = busiest(address).map_or(0, towards);
        (count, percent(ports, PORTS.saturating_mul(count)))
    }
}

fn count(pool: &[Ipv4Addr]) -> u32 {
    u32::try_from(pool.len()).unwrap_or(u32::MAX)
}

pub(super) fn percent(part: u32, whole: u32) -> u32 {
    u32::try_from(u64::from(part) * 100 / u64::from(whole.max(1))).unwrap_or(u32::MAX)
}

/// The protocol and destination with the most ports.
pub(super) fn busiest(address: &AddressUse) -> Option<(&ProtocolUse, &DestinationUse)> {
    let each = address
        .protocols
        .iter()
        .filter_map(|p| Some((p, p.busiest.first()?)));
    each.max_by_key(|(_, destination)| destination.ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [Ipv4Addr; 3] = [
        Ipv4Addr::new(203, 0, 113, 10),
        Ipv4Addr::new(203, 0, 113, 11),
        Ipv4Addr::new(203, 0, 113, 12),
    ];

    /// An address with ports in use towards some servers.
    fn used(address: Ipv4Addr, ports: &[(u8, u32)]) -> AddressUse {
        let busiest = ports.iter().map(|(server, ports)| DestinationUse {
            address: Ipv4Addr::new(198, 51, 100, *server),
            port: 53,
            ports: *ports,
        });
        AddressUse {
            address,
            sessions: 0,
            protocols: vec![ProtocolUse {
                protocol: 17,
                sessions: 0,
                ports: 0,
                busiest: busiest.collect(),
            }],
            guests: Vec::new(),
        }
    }

    fn census(addresses: Vec<AddressUse>) -> Census {
        Census {
            addresses,
            ..Census::default()
        }
    }

    #[test]
    fn an_address_without_ports_is_no_trouble_while_the_next_of_its_pool_has_some() {
        let [own, next, foreign] = ADDRESSES;
        let first = used(own, &[(1, 64_000)]);
        let both = |ports| census(vec![first.clone(), used(next, &[(1, ports)])]);
        let pool = Pool(vec![own, next]);
        assert_eq!(pool.used(&both(0), &first), (2, 49));
        assert_eq!(pool.used(&both(64_000), &first), (2, 99));
        assert_eq!(Pool(vec![own]).used(&both(0), &first), (1, 99));
        let others = Pool(vec![foreign, next]);
        assert_eq!(others.used(&both(0), &first), (1, 99), "not of the pool");
    }

    #[test]
    fn a_pool_ends_where_all_its_addresses_together_are_the_fullest() {
        let [own, next, foreign] = ADDRESSES;
        let census = census(vec![
            used(own, &[(1, 64_512), (2, 60_000)]),
            used(next, &[(2, 30_000), (1, 100)]),
            used(foreign, &[(1, 64_512)]),
        ]);
        let pool = Pool(vec![own, next]);
        assert_eq!((pool.fullest(&census), pool.ports()), (90_000, 2 * PORTS));
    }

    #[test]
    fn shares_are_whole_percent_and_nothing_divides_by_zero() {
        assert_eq!(
            (percent(32_256, PORTS), percent(64_512, PORTS), percent(1, 0)),
            (50, 100, 100)
        );
    }
}
