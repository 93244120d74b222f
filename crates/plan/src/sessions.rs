// SPDX-License-Identifier: Apache-2.0
//! Which tracked sessions still have a right to exist under a spec. The ruleset judges new sessions only; those that a
//! change takes the right from must be cut.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::{Egress, EgressPolicy, GuestNetwork, PublicAddress};

use crate::packet::Header;
use crate::rights;

/// One direction of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
}

/// A conntrack entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session {
    /// The addresses of its first packet, before translation.
    pub original: Flow,
    /// The transport header of its first packet, before translation.
    pub header: Header,
    /// The addresses of answers, before they are translated back: from the real destination to the external source.
    pub reply: Flow,
    /// The port that answers come from: the real destination port. `None` for protocols without ports.
    pub reply_port: Option<u16>,
}

/// Whether the session may go on under `spec`. Sessions of the router itself may. One on an address that was the
/// source NAT address before may, as long as the router has that address and no other guest owns it.
pub fn may_live(spec: &RouterSpec, session: &Session) -> bool {
    let Flow { source, destination } = session.original;
    if destination.is_broadcast() || destination.is_multicast() || destination.is_loopback() {
        return true;
    }
    let from = rights::network_of(spec, source).filter(|n| n.gateway.addr() != source);
    if let Some(public) = rights::public_address(spec, destination) {
        return rights::is_own(spec, source)
            || (may_come_in(public, session) && (from.is_none() || hairpin_is_fine(spec, session)));
    }
    if rights::is_own(spec, source) || rights::is_own(spec, destination) {
        return true;
    }
    // Where the destination was translated, it was a public address that the router has no more.
    let straight = session.reply.source == destination;
    from.is_some_and(|network| {
        straight
            && rights::lets_out(&network.egress, session.header, source, destination)
            && external_is_fine(spec, session)
    })
}

/// Whether firewall and forwards would send its first packet where the session goes.
fn may_come_in(public: &PublicAddress, session: &Session) -> bool {
    let Session {
        original,
        header,
        reply,
        reply_port,
    } = session;
    if !rights::lets_in(public, *header, original.source) {
        return false;
    }
    match rights::target(public, *header) {
        Some(target) => {
            let port = target.port.or(header.ports().map(|(_, port)| port));
            reply.source == target.guest && (port.is_none() || *reply_port == port)
        }
        // The router itself answers: ping.
        None => reply.source == original.destination && reply.destination == original.source,
    }
}

fn hairpin_is_fine(spec: &RouterSpec, session: &Session) -> bool {
    // Without translation of the destination the router answers by itself and the source stays.
    session.reply.source == session.original.destination || external_is_fine(spec, session)
}

/// Whether the session leaves with an address that the router has and that no other guest owns.
fn external_is_fine(spec: &RouterSpec, session: &Session) -> bool {
    let public = rights::public_address(spec, session.reply.destination);
    public.is_some_and(|p| p.static_nat.is_none_or(|guest| guest == session.original.source))
}

/// Whether the change from `old` to `new` may have taken any session's right. When this says no, nobody need look at
/// the sessions. Rules count as kept only when they are the same: when in doubt the answer is yes. A new public address
/// takes nothing: nobody answered there before.
pub fn narrowed(old: &RouterSpec, new: &RouterSpec) -> bool {
    let lost_address = |a: &PublicAddress| {
        rights::public_address(new, a.address.addr()).is_none_or(|kept| public_narrowed(a, kept))
    };
    let lost_network = |n: &GuestNetwork| {
        let kept = new
            .guest_networks
            .iter()
            .find(|m| m.interface == n.interface && m.gateway == n.gateway);
        kept.is_none_or(|kept| egress_narrowed(&n.egress, &kept.egress))
    };
    old.public.addresses.iter().any(lost_address)
        || old.guest_networks.iter().any(lost_network)
        || old.control.address != new.control.address
}

fn public_narrowed(old: &PublicAddress, new: &PublicAddress) -> bool {
    if old.static_nat != new.static_nat {
        return true;
    }
    let rules = |a: &PublicAddress| {
        a.firewall
            .iter()
            .map(|r| (r.matches, r.sources.clone()))
            .collect::<HashSet<_>>()
    };
    let same_forwards = old.port_forwarding == new.port_forwarding;
    let forwards = |a: &PublicAddress| -> HashSet<_> {
        let parts = a.port_forwarding.iter();
        parts
            .map(|f| (f.protocol, f.public_ports, f.guest, f.private_ports))
            .collect()
    };
    (old.firewall != new.firewall && !rules(old).is_subset(&rules(new)))
        || (!same_forwards && !forwards(old).is_subset(&forwards(new)))
}

fn egress_narrowed(old: &Egress, new: &Egress) -> bool {
    let rules = |egress: &Egress| -> HashSet<_> {
        egress
            .rules
            .iter()
            .map(|r| (r.matches, r.sources.clone(), r.destinations.clone()))
            .collect()
    };
    match (old.default, new.default) {
        _ if old == new => false,
        (EgressPolicy::Deny, EgressPolicy::Deny) => !rules(old).is_subset(&rules(new)),
        (EgressPolicy::Allow, EgressPolicy::Allow) => !rules(new).is_subset(&rules(old)),
        _ => true,
    }
}
