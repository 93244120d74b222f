// SPDX-License-Identifier: Apache-2.0
//! The sessions that a flow has already, and a port that none of them has.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::Ipv4Addr;

use outgate_kernel::conntrack::{self, Flow, Transport, Tuple};
use outgate_model::trace::{TraceProtocol, TraceQuery};
use outgate_plan::trace::Probe;

use super::failed;
use crate::RouterError;

/// Ports that clients use.
const CLIENTS: (u16, u16) = (32_768, 60_999);
/// At most so many sessions of one flow are kept; more of them say nothing more.
const KEPT: usize = 1_024;

/// The sessions between the two ends.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Those with the flow's protocol, addresses and destination port, in the direction of the flow.
    same: Vec<(Tuple, Flow)>,
    /// Source ports that a session of the flow has.
    used: HashSet<u16>,
}

impl Flows {
    /// Looks at every session.
    pub(super) fn look(query: &TraceQuery) -> Result<Self, RouterError> {
        let mut flows = Self::default();
        conntrack::dump(|flow| {
            let tuple = [flow.original, flow.reply]
                .into_iter()
                .find(|tuple| is_of(tuple, query));
            if let Some(tuple) = tuple {
                flows.used.extend(source_port(&tuple));
                if flows.same.len() < KEPT || source_port(&tuple) == query.source_port {
                    flows.same.push((tuple, flow));
                }
            }
            Ok(())
        })
        .map_err(failed)?;
        Ok(flows)
    }

    /// A packet of the flow: with the port that was asked for, unless a session has it and it is not waited for.
    pub(super) fn probe(&self, query: &TraceQuery) -> Probe {
        let source_port = match (query.source_port, query.wait_millis) {
            (Some(port), None) if !self.used.contains(&port) => port,
            (_, None) => self.free_port(),
            (asked, Some(_)) => asked.unwrap_or(0),
        };
        Probe {
            protocol: query.protocol,
            source: query.source,
            source_port,
            destination: query.destination,
            destination_port: query.destination_port.unwrap_or(0),
        }
    }

    /// The session that this very packet belongs to.
    pub(super) fn exact(&self, probe: &Probe) -> Option<&Flow> {
        let mut same = self.same.iter();
        // Whatever identifier an echo request has that is waited for, it is one of those.
        let any = probe.protocol == TraceProtocol::Icmp && probe.source_port == 0;
        let found = same.find(|(tuple, _)| any || source_port(tuple) == Some(probe.source_port));
        found.map(|(_, flow)| flow)
    }

    /// The session to show: the packet's own, else one of the flow's.
    pub(super) fn session(&self, probe: &Probe, asked: Option<u16>) -> Option<&Flow> {
        let own = || self.exact(probe);
        let asked_for = || {
            self.same
                .iter()
                .find(|(tuple, _)| asked.is_some() && source_port(tuple) == asked)
        };
        asked_for()
            .map(|(_, flow)| flow)
            .or_else(own)
            .or_else(|| match asked {
                Some(_) => None,
                None => self.same.first().map(|(_, flow)| flow),
            })
    }

    fn free_port(&self) -> u16 {
        let (first, last) = CLIENTS;
        let count = u32::from(last - first) + 1;
        let start = random() % count;
        let candidates = (0..count).filter_map(|i| u16::try_from((start + i) % count).ok());
        let mut candidates = candidates.map(|offset| first + offset);
        candidates.find(|port| !self.used.contains(port)).unwrap_or(first)
    }
}

/// A number that nobody can foretell.
pub(super) fn random() -> u32 {
    let number = RandomState::new().build_hasher().finish();
    u32::try_from(number >> 32).unwrap_or_default()
}

fn is_of(tuple: &Tuple, query: &TraceQuery) -> bool {
    let ends: (Ipv4Addr, Ipv4Addr) = (tuple.source, tuple.destination);
    ends == (query.source, query.destination)
        && tuple.protocol == query.protocol.number()
        && match tuple.transport {
            Transport::Ports { destination, .. } => query.destination_port == Some(destination),
            Transport::Icmp { .. } | Transport::None => true,
        }
}

fn source_port(tuple: &Tuple) -> Option<u16> {
    match tuple.transport {
        Transport::Ports { source, .. } => Some(source),
        Transport::Icmp { id, .. } => Some(id),
        Transport::None => None,
    }
}
