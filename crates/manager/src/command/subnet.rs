// SPDX-License-Identifier: Apache-2.0
//! Which subnet a new network gets. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::Ipv4Range;
use outgate_model::object::{GuestPart, PublicIpRange, Zone};

use super::request::CreateNetwork;
use crate::CommandError;

/// The private blocks of RFC 1918 and the shared one of RFC 6598, as (first address, prefix length).
const PRIVATE: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// [`PRIVATE`] in words.
pub(crate) const PRIVATE_TEXT: &str = "a private network: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918) or \
                                       100.64.0.0/10 (RFC 6598)";

/// The longest prefix of a guest network: a router and one guest.
const PREFIX_MAX: u8 = 30;

/// Parameters of `createNetwork` that choose the subnet.
#[derive(Debug, Clone, Copy)]
pub struct WantedSubnet {
    /// `gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// `netmask`.
    pub netmask: Option<Ipv4Addr>,
    /// `startip`.
    pub start: Option<Ipv4Addr>,
    /// `endip`.
    pub end: Option<Ipv4Addr>,
}

impl WantedSubnet {
    /// What a `createNetwork` asks for.
    pub fn of(request: &CreateNetwork) -> Self {
        Self {
            gateway: request.gateway,
            netmask: request.netmask,
            start: request.start_ip,
            end: request.end_ip,
        }
    }
}

/// The router's address and prefix length for a new network: what was asked for, or the first free subnet of the
/// size of the zone's guest CIDR, counted upwards from it. `taken` are the subnets of the owner's other networks.
pub fn choose(
    wanted: WantedSubnet,
    zone: &Zone,
    ranges: &[PublicIpRange],
    taken: &[Ipv4Net],
) -> Result<Ipv4Net, CommandError> {
    let gateway = match (wanted.gateway, wanted.netmask) {
        (Some(gateway), Some(netmask)) => asked(gateway, netmask, ranges, taken)?,
        (None, None) => next_free(zone, ranges, taken)?,
        (Some(_), None) => return Err(CommandError::missing("netmask")),
        (None, Some(_)) => return Err(CommandError::missing("gateway")),
    };
    check_limits(wanted, gateway)?;
    Ok(gateway)
}

fn asked(
    gateway: Ipv4Addr,
    netmask: Ipv4Addr,
    ranges: &[PublicIpRange],
    taken: &[Ipv4Net],
) -> Result<Ipv4Net, CommandError> {
    let net = Ipv4Net::with_netmask(gateway, netmask)
        .ok()
        .filter(|net| (8..=PREFIX_MAX).contains(&net.prefix_len()))
        .ok_or_else(|| {
            CommandError::invalid("netmask", netmask, "a netmask from 255.0.0.0 to 255.255.255.252")
        })?;
    if !is_private(net) {
        let expected = format!("an address of {PRIVATE_TEXT}");
        return Err(CommandError::invalid("gateway", gateway, expected));
    }
    if gateway == net.network() || gateway == net.broadcast() {
        let expected = format!("an address of {} other than its first and its last", net.trunc());
        return Err(CommandError::invalid("gateway", gateway, expected));
    }
    if let Some(range) = ranges.iter().find(|range| overlap(range.gateway, net)) {
        let expected = format!(
            "a network apart from the public range {} of the zone",
            range.gateway.trunc()
        );
        return Err(CommandError::invalid("gateway", net.trunc(), expected));
    }
    if let Some(other) = taken.iter().find(|other| overlap(**other, net)) {
        let expected = format!("a network apart from the account's other networks, such as {other}");
        return Err(CommandError::invalid("gateway", net.trunc(), expected));
    }
    Ok(net)
}

fn next_free(zone: &Zone, ranges: &[PublicIpRange], taken: &[Ipv4Net]) -> Result<Ipv4Net, CommandError> {
    let first = zone.guest_cidr.trunc();
    let mut busy: Vec<Ipv4Net> = taken
        .iter()
        .copied()
        .chain(ranges.iter().map(|range| range.gateway))
        .collect();
    busy.sort_by_key(Ipv4Net::network);
    let mut at = u64::from(first.network().to_bits());
    let size = u64::from(first.broadcast().to_bits()) - at + 1;
    // `busy` is sorted by first address, so one pass moves `at` over everything in the way.
    for other in busy {
        let (start, end) = (
            u64::from(other.network().to_bits()),
            u64::from(other.broadcast().to_bits()),
        );
        if start >= at + size {
            break;
        }
        if end >= at {
            at = (end / size + 1) * size;
        }
    }
    u32::try_from(at)
        .ok()
        .and_then(|bits| Ipv4Net::new(Ipv4Addr::from_bits(bits), first.prefix_len()).ok())
        .filter(|net| is_private(*net))
        .map(with_first_host)
        .ok_or_else(|| CommandError::Capacity {
            what: format!("no free guest network after {first}"),
        })
}

/// A subnet with its first host as the router.
pub(crate) fn with_first_host(net: Ipv4Net) -> Ipv4Net {
    let host = Ipv4Addr::from_bits(net.network().to_bits().saturating_add(1));
    Ipv4Net::new(host, net.prefix_len()).unwrap_or(net)
}

/// Whether `startip` and `endip` lie in the network.
pub(crate) fn check_limits(wanted: WantedSubnet, gateway: Ipv4Net) -> Result<(), CommandError> {
    for (field, address) in [("startip", wanted.start), ("endip", wanted.end)] {
        if let Some(address) = address.filter(|address| !gateway.contains(address)) {
            return Err(CommandError::invalid(
                field,
                address,
                format!("an address of {}", gateway.trunc()),
            ));
        }
    }
    match (wanted.start, wanted.end) {
        (Some(start), Some(end)) if start > end => Err(CommandError::invalid(
            "endip",
            end,
            format!("an address not below startip {start}"),
        )),
        _ => Ok(()),
    }
}

/// The part of a network that `startip` and `endip` leave to guests; `None` for all of it. Without `endip` it is one
/// address.
pub(crate) fn guest_part(wanted: WantedSubnet, gateway: Ipv4Net) -> Result<Option<GuestPart>, CommandError> {
    let (start, end) = match (wanted.start, wanted.end) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(CommandError::missing("startip")),
        (Some(start), end) => (start, end.unwrap_or(start)),
    };
    let hosts = [gateway.network(), gateway.broadcast()];
    for (field, address) in [("startip", start), ("endip", end)] {
        if hosts.contains(&address) {
            let expected = format!(
                "an address of {} other than its first and its last",
                gateway.trunc()
            );
            return Err(CommandError::invalid(field, address, expected));
        }
    }
    if start == end && start == gateway.addr() {
        let expected = "a range with an address beside the gateway's";
        return Err(CommandError::invalid("endip", end, expected));
    }
    let one_apart = |a: Ipv4Addr, b: Ipv4Addr| a.to_bits().checked_add(1) == Some(b.to_bits());
    let whole = one_apart(gateway.network(), start) && one_apart(end, gateway.broadcast());
    let range = Ipv4Range::new(start, end)?;
    Ok((!whole).then_some(GuestPart::Range(range)))
}

/// Whether two subnets share an address.
pub fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.trunc()) || b.contains(&a.trunc())
}

/// Whether a network lies in a private block.
pub(crate) fn is_private(net: Ipv4Net) -> bool {
    let net = net.trunc();
    PRIVATE
        .iter()
        .any(|(address, prefix)| Ipv4Net::new(*address, *prefix).is_ok_and(|block| block.contains(&net)))
}

#[cfg(test)]
mod tests {
    use outgate_model::id::ZoneId;

    use super::*;

    fn zone(guest_cidr: &str) -> Zone {
        Zone {
            id: ZoneId::new(),
            name: "zone".to_owned(),
            dns: Vec::new(),
            internal_dns: Vec::new(),
            guest_cidr: guest_cidr.parse().unwrap(),
            network_domain: "cs1cloud.internal".to_owned(),
            public_mtu: 1500,
            disabled: false,
        }
    }

    fn nets(text: &[&str]) -> Vec<Ipv4Net> {
        text.iter().map(|net| net.parse().unwrap()).collect()
    }

    const ANY: WantedSubnet = WantedSubnet {
        gateway: None,
        netmask: None,
        start: None,
        end: None,
    };

    #[test]
    fn the_first_network_gets_the_zones_guest_cidr_and_the_next_ones_follow() {
        let zone = zone("10.1.1.0/24");
        let chosen = |taken: &[&str]| choose(ANY, &zone, &[], &nets(taken)).unwrap().to_string();
        assert_eq!(chosen(&[]), "10.1.1.1/24");
        assert_eq!(chosen(&["10.1.1.0/24"]), "10.1.2.1/24");
        assert_eq!(chosen(&["10.1.2.0/24"]), "10.1.1.1/24");
        assert_eq!(chosen(&["10.1.0.0/16"]), "10.2.0.1/24");
        assert_eq!(chosen(&["10.1.1.128/25", "10.1.2.0/30"]), "10.1.3.1/24");
    }

    #[test]
    fn a_full_private_block_is_insufficient_capacity() {
        let error = choose(ANY, &zone("10.1.1.0/24"), &[], &nets(&["10.0.0.0/8"])).unwrap_err();
        assert_eq!(error.code(), 533);
    }

    #[test]
    fn a_wrong_gateway_or_netmask_is_named() {
        let zone = zone("10.1.1.0/24");
        let taken = nets(&["10.9.0.0/16"]);
        let table = [
            ("10.2.0.1", "255.0.255.0", "netmask"),
            ("10.2.0.1", "255.255.255.254", "netmask"),
            ("10.2.0.1", "0.0.0.0", "netmask"),
            ("8.8.8.1", "255.255.255.0", "gateway"),
            ("172.32.0.1", "255.255.255.0", "gateway"),
            ("10.2.0.0", "255.255.255.0", "gateway"),
            ("10.2.0.255", "255.255.255.0", "gateway"),
            ("10.9.3.1", "255.255.255.0", "gateway"),
            ("10.0.0.1", "255.0.0.0", "gateway"),
        ];
        for (gateway, netmask, field) in table {
            let wanted = WantedSubnet {
                gateway: gateway.parse().ok(),
                netmask: netmask.parse().ok(),
                start: None,
                end: None,
            };
            let error = choose(wanted, &zone, &[], &taken).unwrap_err();
            assert_eq!(error.code(), 431, "{gateway} {netmask}");
            assert!(
                error.to_string().starts_with(field),
                "{gateway} {netmask}: {error}"
            );
        }
    }

    #[test]
    fn start_and_end_lie_in_the_network_and_in_order() {
        let wanted = |start: &str, end: &str| WantedSubnet {
            start: start.parse().ok(),
            end: end.parse().ok(),
            ..ANY
        };
        let zone = zone("10.1.1.0/24");
        assert!(choose(wanted("10.1.1.10", "10.1.1.20"), &zone, &[], &[]).is_ok());
        for (start, end) in [
            ("10.1.2.10", "10.1.2.20"),
            ("10.1.1.10", "10.1.2.20"),
            ("10.1.1.20", "10.1.1.10"),
        ] {
            assert_eq!(
                choose(wanted(start, end), &zone, &[], &[]).unwrap_err().code(),
                431
            );
        }
    }
}
