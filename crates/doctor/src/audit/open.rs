// SPDX-License-Identifier: Apache-2.0
//! What somebody anywhere outside may reach, and what a tier lets out: judged by the packet model, so that firewall rules,
//! forwards, static NAT and network ACLs count as they do together.

use std::net::Ipv4Addr;

use outgate_model::router_spec::{GuestNetwork, PublicAddress};
use outgate_model::{Protocol, RouterSpec};
use outgate_plan::packet::{Header, Packet, State, Verdict, verdict};

use super::{Deviation, Risk};

/// Somebody anywhere: two addresses, one of each half of the Internet (RFC 2544's and RFC 5737's).
const ANYBODY: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 77, 7), Ipv4Addr::new(51, 15, 77, 7)];
/// Services that are attacked as soon as they are found, by TCP port.
const ATTACKED: [(u16, &str); 16] = [
    (22, "SSH"),
    (23, "Telnet"),
    (445, "SMB"),
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (2375, "Docker"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (5432, "PostgreSQL"),
    (5900, "VNC"),
    (5985, "WinRM"),
    (6379, "Redis"),
    (9200, "Elasticsearch"),
    (11_211, "memcached"),
    (27_017, "MongoDB"),
    (50_000, "DB2"),
];
/// Ports of all kinds: who lets each of them in lets everything in.
const SAMPLES: [u16; 6] = [1, 80, 443, 8_123, 33_333, 65_535];

pub(super) fn deviations(spec: &RouterSpec) -> Vec<Deviation> {
    spec.public
        .addresses
        .iter()
        .flat_map(|public| of_address(spec, public))
        .collect()
}

/// Whether anybody outside may open a session to anything here.
pub(super) fn lets_in(spec: &RouterSpec) -> bool {
    let public = spec.public.addresses.iter();
    let is_target = |a: &PublicAddress| {
        a.static_nat.is_some() || !a.port_forwarding.is_empty() || !a.load_balancers.is_empty()
    };
    public.into_iter().any(is_target)
}

/// Whether a public address answers anybody's pings.
pub(super) fn answers_pings(spec: &RouterSpec) -> bool {
    let ping = Header::Icmp { kind: 8, code: 0 };
    let mut addresses = spec.public.addresses.iter();
    addresses.any(|public| passes(spec, public, ping) == Some(Verdict::Deliver))
}

/// What becomes of a packet of somebody anywhere; `None` when it is dropped, from one of them at least.
fn passes(spec: &RouterSpec, public: &PublicAddress, header: Header) -> Option<Verdict> {
    let judge = |source| {
        let packet = Packet {
            interface: spec.public.interface.clone(),
            source,
            destination: public.address.addr(),
            header,
            state: State::New,
        };
        match verdict(spec, &packet) {
            Verdict::Drop { .. } => None,
            passed => Some(passed),
        }
    };
    let mut verdicts = ANYBODY.into_iter().map(judge);
    let first = verdicts.next()??;
    verdicts.all(|verdict| verdict.is_some()).then_some(first)
}

fn tcp(destination: u16) -> Header {
    Header::Tcp {
        source: 40_000,
        destination,
    }
}

fn of_address(spec: &RouterSpec, public: &PublicAddress) -> Vec<Deviation> {
    let address = public.address.addr();
    let open = |port: u16| passes(spec, public, tcp(port));
    if public.static_nat.is_some() && SAMPLES.iter().all(|port| open(*port).is_some()) {
        return vec![Deviation {
            id: "static-nat-all-ports",
            risk: Risk::High,
            title: format!("every port of {address} leads to its guest from everywhere"),
            evidence: vec![format!(
                "static NAT of {address} to {}; TCP ports {SAMPLES:?} are open to 0.0.0.0/0",
                public.static_nat.unwrap_or(address)
            )],
            command: narrow(spec, public, None),
        }];
    }
    let mut found = Vec::new();
    let forwards = public
        .port_forwarding
        .iter()
        .filter(|f| f.protocol == Protocol::Tcp);
    let balanced = public.load_balancers.iter().map(|balancer| balancer.public_port);
    let known = ATTACKED.iter().map(|(port, _)| *port);
    let mut ports: Vec<u16> = forwards
        .map(|f| f.public_ports.first())
        .chain(balanced)
        .chain(known)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    for port in ports {
        let Some(passed) = open(port) else { continue };
        let behind = match passed {
            Verdict::Forward {
                destination,
                destination_port,
                ..
            } => (destination.to_string(), destination_port.unwrap_or(port)),
            _ => ("the load balancer".to_owned(), port),
        };
        found.push(open_port(spec, public, port, behind));
    }
    found
}

fn open_port(spec: &RouterSpec, public: &PublicAddress, port: u16, (to, inner): (String, u16)) -> Deviation {
    let address = public.address.addr();
    let attacked = ATTACKED
        .iter()
        .find(|(known, _)| *known == port || *known == inner);
    let (risk, what) = match attacked {
        Some((_, name)) => (Risk::High, format!("{name} is open to everywhere")),
        None => (Risk::Low, format!("TCP port {port} is open to everywhere")),
    };
    Deviation {
        id: if attacked.is_some() {
            "attacked-port-open"
        } else {
            "port-open"
        },
        risk,
        title: what,
        evidence: vec![format!("{address}:{port} leads to {to}:{inner}, from 0.0.0.0/0")],
        command: narrow(spec, public, Some(port)),
    }
}

/// The command that narrows who may come in: by the firewall rule that lets everybody in, or by the tier's ACL.
fn narrow(spec: &RouterSpec, public: &PublicAddress, port: Option<u16>) -> String {
    if spec.vpc.is_some() {
        return "outgate api updateNetworkACLItem id=ITEM cidrlist=WHO.MAY.COME.IN/24 (listNetworkACLs names the item)"
            .to_owned();
    }
    let header = tcp(port.unwrap_or(SAMPLES[0]));
    let rule = public
        .firewall
        .iter()
        .find(|rule| rule.sources.iter().any(|net| net.prefix_len() == 0) && matches(rule.matches, header));
    match rule {
        Some(rule) => format!(
            "outgate api updateFirewallRule id={} cidrlist=WHO.MAY.COME.IN/24",
            rule.id
        ),
        None => "outgate api listFirewallRules".to_owned(),
    }
}

fn matches(rule: outgate_model::Match, header: Header) -> bool {
    match (rule, header.ports()) {
        (outgate_model::Match::All, _) => true,
        (outgate_model::Match::Ports { protocol, ports }, Some((of, port))) => {
            protocol == of && ports.contains(port)
        }
        _ => false,
    }
}

/// A tier that lets everything out.
pub(super) fn tier_egress(spec: &RouterSpec, tier: &GuestNetwork) -> Option<Deviation> {
    let source = tier
        .gateway
        .hosts()
        .find(|address| *address != tier.gateway.addr())?;
    let leaves = |port: u16| {
        let packet = Packet {
            interface: tier.interface.clone(),
            source,
            destination: ANYBODY[0],
            header: tcp(port),
            state: State::New,
        };
        !matches!(verdict(spec, &packet), Verdict::Drop { .. })
    };
    let list = tier.acl.as_ref()?.id;
    SAMPLES.iter().all(|port| leaves(*port)).then(|| Deviation {
        id: "tier-egress-any",
        risk: Risk::High,
        title: "a tier lets everything out".to_owned(),
        evidence: vec![format!(
            "network ACL list {list} of tier {} lets TCP ports {SAMPLES:?} out to 0.0.0.0/0",
            tier.id
        )],
        command: format!(
            "outgate api createNetworkACL aclid={list} traffictype=egress action=deny protocol=all number=65535 \
             (after items that allow what is needed)"
        ),
    })
}
