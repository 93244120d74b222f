// SPDX-License-Identifier: Apache-2.0
//! A tracked session in the words of a router: inside, public side, destination.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use outgate_kernel::conntrack::{
    Flow, STATUS_DESTINATION_NAT, STATUS_SEEN_REPLY, STATUS_SOURCE_NAT, Transport, Tuple, tcp_state_name,
};
use outgate_model::RouterSpec;
use outgate_model::stats::{Endpoint, SessionEntry, Traffic, Way};

/// The ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) way: Way,
    pub(super) inside: Endpoint,
    pub(super) public: Option<Endpoint>,
    pub(super) destination: Endpoint,
    /// Whether the first packet came from inside.
    from_inside: bool,
}

/// The router's own addresses, to tell the ends apart by.
#[derive(Debug)]
pub(super) struct Sides(HashSet<Ipv4Addr>);

impl Sides {
    pub(super) fn of(spec: &RouterSpec) -> Self {
        let public = spec.public.addresses.iter().map(|a| a.address.addr());
        let guests = spec.guest_networks.iter().map(|n| n.gateway.addr());
        Self(
            public
                .chain(guests)
                .chain([spec.control.address.addr()])
                .collect(),
        )
    }

    /// Who is where. A hairpin is its sender's: outbound, to a public address.
    pub(super) fn ends(&self, flow: &Flow) -> Ends {
        let (original, reply) = (&flow.original, &flow.reply);
        if flow.status & STATUS_SOURCE_NAT != 0 {
            return Ends {
                way: Way::Outbound,
                inside: source(original),
                public: Some(target(reply)),
                destination: target(original),
                from_inside: true,
            };
        }
        if flow.status & STATUS_DESTINATION_NAT != 0 {
            return Ends {
                way: Way::Inbound,
                inside: source(reply),
                public: Some(target(original)),
                destination: source(original),
                from_inside: false,
            };
        }
        let to_router = self.0.contains(&original.destination);
        if to_router {
            return Ends {
                way: Way::Local,
                inside: target(original),
                public: None,
                destination: source(original),
                from_inside: false,
            };
        }
        let from_router = self.0.contains(&original.source);
        Ends {
            way: if from_router { Way::Local } else { Way::Routed },
            inside: source(original),
            public: None,
            destination: target(original),
            from_inside: true,
        }
    }

    /// The session as it is listed, at this time.
    pub(super) fn entry(&self, flow: &Flow, now_nanos: u64) -> SessionEntry {
        let ends = self.ends(flow);
        let Ends {
            way,
            inside,
            public,
            destination,
            ..
        } = ends;
        SessionEntry {
            way,
            protocol: flow.original.protocol,
            inside,
            public,
            destination,
            state: flow.tcp_state.and_then(tcp_state_name).map(str::to_owned),
            answered: flow.status & STATUS_SEEN_REPLY != 0,
            age_secs: flow
                .began_nanos
                .map(|began| now_nanos.saturating_sub(began) / 1_000_000_000),
            timeout_secs: flow.timeout_secs,
            traffic: ends.traffic(flow),
        }
    }
}

impl Ends {
    /// What the session has carried, seen from inside.
    pub(super) fn traffic(&self, flow: &Flow) -> Option<Traffic> {
        flow.carried.map(|[there, back]| {
            let (out, come) = if self.from_inside {
                (there, back)
            } else {
                (back, there)
            };
            Traffic {
                packets_in: come.packets,
                bytes_in: come.bytes,
                packets_out: out.packets,
                bytes_out: out.bytes,
            }
        })
    }
}

fn source(tuple: &Tuple) -> Endpoint {
    let port = match tuple.transport {
        Transport::Ports { source, .. } => source,
        Transport::Icmp { id, .. } => id,
        Transport::None => 0,
    };
    Endpoint {
        address: tuple.source,
        port,
    }
}

/// An ICMP query's identifier stands at both ends: that of the answer is the translated one.
fn target(tuple: &Tuple) -> Endpoint {
    let port = match tuple.transport {
        Transport::Ports { destination, .. } => destination,
        Transport::Icmp { id, .. } => id,
        Transport::None => 0,
    };
    Endpoint {
        address: tuple.destination,
        port,
    }
}
