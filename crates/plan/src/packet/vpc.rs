// SPDX-License-Identifier: Apache-2.0
//! What a VPC's router does with a packet.

use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::VpcSide;

use super::{Packet, Reason, Verdict, is_martian, is_nowhere, to_gateway};
use crate::rights;
use crate::sides::{Passage, Side, towards};

/// Chains `spoofing_*`, and the kernel's reverse path filter.
pub(super) fn is_spoofed(spec: &RouterSpec, vpc: &VpcSide, interface: &str, source: Ipv4Addr) -> bool {
    let Some(side) = Side::of_interface(spec, interface) else {
        return true;
    };
    let comes_back = towards(spec, source).interface(spec) == interface;
    let ends = |net: ipnet::Ipv4Net| source == net.network() || source == net.broadcast();
    let inside = || {
        let gateways = spec.private_gateways().iter().map(|g| g.address);
        gateways.chain([vpc.cidr]).any(|net| net.contains(&source))
    };
    !comes_back
        || match side {
            Side::Control => !spec.control.address.contains(&source),
            Side::Public => is_martian(source) || inside(),
            Side::Guests(tier) => ends(tier.gateway),
            Side::Gateway(gateway) if gateway.address.contains(&source) => ends(gateway.address),
            Side::Gateway(_) => is_martian(source) || inside(),
        }
}

/// A packet that would open a session, from anywhere but the control side.
pub(super) fn new_session(spec: &RouterSpec, vpc: &VpcSide, packet: &Packet) -> Result<Verdict, Reason> {
    let from = Side::of_interface(spec, &packet.interface).ok_or(Reason::Spoofed)?;
    let public = rights::public_address(spec, packet.destination);
    match (public, from) {
        (Some(_), Side::Gateway(_)) => Err(Reason::NotForwarded),
        (Some(public), _) => {
            if rights::balanced(public, packet.header, packet.source).is_some() {
                return to_balancer(packet, from);
            }
            let target = rights::target(public, packet.header).ok_or(Reason::NoTarget)?;
            let port = target.port.or(packet.header.ports().map(|(_, port)| port));
            let external = rights::network_of(spec, packet.source).and(rights::external(spec, packet.source));
            pass(spec, vpc, packet, from, (target.guest, port, external))
        }
        (None, Side::Public) => Err(Reason::NoTarget),
        (None, _) => straight(spec, vpc, packet, from),
    }
}

/// To haproxy, from outside or from a tier, which it leaves.
fn to_balancer(packet: &Packet, from: Side<'_>) -> Result<Verdict, Reason> {
    let passage = Passage {
        from,
        to: Side::Public,
        source: packet.source,
        destination: packet.destination,
        header: packet.header,
        translated: false,
    };
    if passage.may_leave() {
        Ok(Verdict::Deliver)
    } else {
        Err(Reason::Acl)
    }
}

/// From a tier or a private gateway to anything but a public address of the router.
fn straight(spec: &RouterSpec, vpc: &VpcSide, packet: &Packet, from: Side<'_>) -> Result<Verdict, Reason> {
    let Packet {
        source,
        destination,
        header,
        ..
    } = packet;
    if let Side::Guests(tier) = from
        && tier.gateway.addr() == *destination
    {
        return to_gateway(*header);
    }
    let ends = spec.guest_networks.iter().map(|t| t.gateway.broadcast());
    let mut ends = ends.chain(spec.private_gateways().iter().map(|g| g.address.broadcast()));
    if rights::is_own(spec, *destination) || destination.is_broadcast() || ends.any(|end| end == *destination)
    {
        return Err(Reason::NothingListens);
    }
    if is_nowhere(*destination) {
        return Err(Reason::NotForwarded);
    }
    let external = match towards(spec, *destination) {
        Side::Public => rights::external(spec, *source),
        Side::Gateway(gateway) => gateway.source_nat.then_some(gateway.address.addr()),
        Side::Control | Side::Guests(_) => None,
    };
    let port = header.ports().map(|(_, port)| port);
    pass(spec, vpc, packet, from, (*destination, port, external))
}

/// To a destination and port as translated, with this source where it is translated too.
fn pass(
    spec: &RouterSpec,
    vpc: &VpcSide,
    packet: &Packet,
    from: Side<'_>,
    (destination, port, external): (Ipv4Addr, Option<u16>, Option<Ipv4Addr>),
) -> Result<Verdict, Reason> {
    let to = towards(spec, destination);
    let passage = Passage {
        from,
        to,
        source: packet.source,
        destination,
        header: packet.header.to_port(port),
        translated: destination != packet.destination,
    };
    passage.judge(spec, vpc)?;
    Ok(Verdict::Forward {
        out: to.interface(spec).to_owned(),
        source: external.unwrap_or(packet.source),
        destination,
        destination_port: port,
    })
}
