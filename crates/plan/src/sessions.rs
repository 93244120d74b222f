// SPDX-License-Identifier: Apache-2.0
//! Which tracked sessions still have a right to exist under a spec. The ruleset judges new sessions only; those that a
//! change takes the right from must be cut.

mod vpc;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use outgate_model::router_spec::{
    Egress, EgressPolicy, FirewallRule, GuestNetwork, PortForward, PublicAddress,
};
use outgate_model::{Match, Protocol, RouterSpec};

use crate::packet::Header;
use crate::rights::{self, Target};

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

/// Whether one session may go on under `spec`. For many, make one [`Judge`].
pub fn may_live(spec: &RouterSpec, session: &Session) -> bool {
    Judge::new(spec).may_live(session)
}

/// Judges many sessions under one spec: rules and forwards of single ports are found without looking at the others.
#[derive(Debug)]
pub struct Judge<'a> {
    spec: &'a RouterSpec,
    public: HashMap<Ipv4Addr, Public<'a>>,
}

/// A public address with its rules by port.
#[derive(Debug)]
struct Public<'a> {
    address: &'a PublicAddress,
    /// Firewall rules for one port.
    single: HashMap<(Protocol, u16), Vec<&'a FirewallRule>>,
    /// All others.
    wide: Vec<&'a FirewallRule>,
    /// Forwards by protocol and first port; they do not overlap.
    forwards: BTreeMap<(Protocol, u16), &'a PortForward>,
}

impl<'a> Judge<'a> {
    /// Sorts the spec's rules.
    pub fn new(spec: &'a RouterSpec) -> Self {
        let public = spec
            .public
            .addresses
            .iter()
            .map(|a| (a.address.addr(), Public::new(a)));
        Self {
            spec,
            public: public.collect(),
        }
    }

    /// Whether the session may go on. Sessions of the router itself may. One on an address that was the source NAT
    /// address before may, as long as the router has that address and no other guest owns it.
    pub fn may_live(&self, session: &Session) -> bool {
        let Flow { source, destination } = session.original;
        if destination.is_broadcast() || destination.is_multicast() || destination.is_loopback() {
            return true;
        }
        let own = rights::is_own(self.spec, source);
        if let Some(vpc) = &self.spec.vpc {
            let to_router = rights::is_own(self.spec, destination) && !self.public.contains_key(&destination);
            return own || to_router || self.may_live_in_vpc(vpc, session);
        }
        let from = rights::network_of(self.spec, source).filter(|_| !own);
        if let Some(public) = self.public.get(&destination) {
            return own || (public.lets_in(session) && (from.is_none() || self.hairpin_is_fine(session)));
        }
        if own || rights::is_own(self.spec, destination) {
            return true;
        }
        // Where the destination was translated, it was a public address that the router has no more.
        let straight = session.reply.source == destination;
        from.is_some_and(|network| {
            straight
                && rights::lets_out(&network.egress, session.header, source, destination)
                && self.external_is_fine(session)
        })
    }

    fn hairpin_is_fine(&self, session: &Session) -> bool {
        // Without translation of the destination the router answers by itself and the source stays.
        session.reply.source == session.original.destination || self.external_is_fine(session)
    }

    /// Whether the session leaves with an address that the router has and that no other guest owns.
    fn external_is_fine(&self, session: &Session) -> bool {
        let public = self.public.get(&session.reply.destination);
        public.is_some_and(|p| {
            p.address
                .static_nat
                .is_none_or(|guest| guest == session.original.source)
        })
    }
}

impl<'a> Public<'a> {
    fn new(address: &'a PublicAddress) -> Self {
        let mut single: HashMap<_, Vec<_>> = HashMap::new();
        let mut wide = Vec::new();
        for rule in &address.firewall {
            match rule.matches {
                Match::Ports { protocol, ports } if ports.count() == 1 => {
                    single.entry((protocol, ports.first())).or_default().push(rule);
                }
                _ => wide.push(rule),
            }
        }
        let forwards = address
            .port_forwarding
            .iter()
            .map(|f| ((f.protocol, f.public_ports.first()), f));
        Self {
            address,
            single,
            wide,
            forwards: forwards.collect(),
        }
    }

    /// Whether the session is a client's with haproxy, which balances its port for it.
    fn is_balanced(&self, session: &Session) -> bool {
        let Flow { source, destination } = session.original;
        session.reply.source == destination
            && session.reply.destination == source
            && rights::balanced(self.address, session.header, source).is_some()
    }

    /// Whether firewall and forwards would send the session's first packet where the session goes.
    fn lets_in(&self, session: &Session) -> bool {
        let Session {
            original,
            header,
            reply,
            ..
        } = session;
        let single = header.ports().and_then(|port| self.single.get(&port));
        let mut rules = single.into_iter().flatten().chain(&self.wide);
        if !rules.any(|rule| rights::opens(rule, *header, original.source)) {
            return false;
        }
        match self.target(*header) {
            Some(target) => is_for(target, session),
            // The router itself answers: ping, or haproxy.
            None if header.ports().is_some() => self.is_balanced(session),
            None => reply.source == original.destination && reply.destination == original.source,
        }
    }

    /// Whether the address would send the session's first packet to the guest that the session goes to.
    fn leads_to_guest(&self, session: &Session) -> bool {
        self.target(session.header)
            .is_some_and(|target| is_for(target, session))
    }

    fn target(&self, header: Header) -> Option<Target> {
        if let Some(guest) = self.address.static_nat {
            return Some(Target { guest, port: None });
        }
        let (_, forward) = self.forwards.range(..=header.ports()?).next_back()?;
        rights::forwarded(forward, header)
    }
}

fn is_for(target: Target, session: &Session) -> bool {
    let port = target.port.or(session.header.ports().map(|(_, port)| port));
    session.reply.source == target.guest && (port.is_none() || session.reply_port == port)
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
        || vpc::narrowed(old, new)
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
    let balanced = |a: &PublicAddress| -> HashSet<_> {
        let parts = a.load_balancers.iter();
        parts.map(|b| (b.public_port, b.sources.clone())).collect()
    };
    (old.firewall != new.firewall && !rules(old).is_subset(&rules(new)))
        || (old.load_balancers != new.load_balancers && !balanced(old).is_subset(&balanced(new)))
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
