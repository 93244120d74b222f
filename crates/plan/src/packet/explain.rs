// SPDX-License-Identifier: Apache-2.0
//! Why the model says what it says: the way of a packet step by step, with the rule that decides and a remedy. The
//! verdict itself is [`verdict`]'s; a step here only names what led to it.

use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::{EgressPolicy, GuestNetwork, PublicAddress};
use outgate_model::stats::Endpoint;
use outgate_model::trace::{ModelPath, RuleKind, TraceRule, TraceStep, TraceVerdict};
use uuid::Uuid;

use super::remedy::remedy;
use super::{Header, Packet, Reason, Verdict, egress_rule, verdict};
use crate::rights::{self, Target};
use crate::sides::{Decision, Passage, Side, towards};

/// The way of a packet by the model of the spec. The source port of what leaves is the sender's.
pub fn explain(spec: &RouterSpec, packet: &Packet) -> ModelPath {
    let seen = Seen::new(spec, packet);
    let stages = [
        Seen::spoofing,
        Seen::state,
        Seen::gate,
        Seen::translation,
        Seen::route,
        Seen::egress,
        Seen::passage,
        Seen::input,
        Seen::source,
        Seen::end,
    ];
    let mut steps = vec![seen.enters()];
    for step in stages.iter().flat_map(|stage| stage(&seen)) {
        let goes_on = step.pass;
        steps.push(step);
        if !goes_on {
            break;
        }
    }
    ModelPath {
        steps,
        verdict: seen.ends_as(),
        remedy: seen.why().map(|why| remedy(&seen, why)),
    }
}

/// The interface that packets of this source come in on, unless they are spoofed.
pub fn comes_in_on(spec: &RouterSpec, source: Ipv4Addr) -> &str {
    towards(spec, source).interface(spec)
}

/// A packet with what the model found of it.
pub(super) struct Seen<'a> {
    pub(super) spec: &'a RouterSpec,
    pub(super) packet: &'a Packet,
    verdict: Verdict,
    /// The public address that it was sent to.
    pub(super) public: Option<&'a PublicAddress>,
    target: Option<Target>,
    /// Destination and header after translation.
    destination: Ipv4Addr,
    header: Header,
}

impl<'a> Seen<'a> {
    fn new(spec: &'a RouterSpec, packet: &'a Packet) -> Self {
        let on_control = packet.interface == spec.control.interface;
        let public = rights::public_address(spec, packet.destination).filter(|_| !on_control);
        let balanced = public.and_then(|p| rights::balanced(p, packet.header, packet.source));
        let target = public.and_then(|p| rights::target(p, packet.header));
        // In a VPC the balancer comes first, elsewhere the target; no address has both on one port.
        let target = target.filter(|_| spec.vpc.is_none() || balanced.is_none());
        Self {
            spec,
            packet,
            verdict: verdict(spec, packet),
            public,
            target,
            destination: target.map_or(packet.destination, |t| t.guest),
            header: packet.header.to_port(target.and_then(|t| t.port)),
        }
    }

    pub(super) fn why(&self) -> Option<Reason> {
        match self.verdict {
            Verdict::Drop { why } => Some(why),
            _ => None,
        }
    }

    fn is(&self, why: Reason) -> bool {
        self.why() == Some(why)
    }

    fn ends_as(&self) -> TraceVerdict {
        match &self.verdict {
            Verdict::Drop { why } => TraceVerdict::Dropped {
                by: why.to_string(),
                foreign: false,
            },
            Verdict::Deliver => TraceVerdict::Delivered,
            Verdict::AsSession => TraceVerdict::AsSession,
            Verdict::Forward {
                out,
                source,
                destination,
                destination_port,
            } => TraceVerdict::Leaves {
                interface: out.clone(),
                from: endpoint(*source, self.packet.header.source_port()),
                to: endpoint(*destination, *destination_port),
            },
        }
    }

    fn enters(&self) -> TraceStep {
        let interface = &self.packet.interface;
        let side = Side::of_interface(self.spec, interface);
        let side = side.map_or("no side of this router", side_words);
        pass("enters", format!("{interface}, {side}"))
    }

    fn spoofing(&self) -> Vec<TraceStep> {
        let (source, interface) = (self.packet.source, &self.packet.interface);
        vec![if self.is(Reason::Spoofed) {
            stop("anti-spoofing", format!("{source} cannot come in on {interface}"))
        } else {
            pass("anti-spoofing", format!("{source} may come in on {interface}"))
        }]
    }

    fn state(&self) -> Vec<TraceStep> {
        match self.verdict {
            Verdict::AsSession => vec![pass(
                "session",
                "it belongs to a session that is known, and passes as that does".into(),
            )],
            Verdict::Drop { why: Reason::Invalid } => {
                vec![stop(
                    "session",
                    "it belongs to no session and cannot begin one".into(),
                )]
            }
            _ => vec![pass("session", "none yet: it would begin one".into())],
        }
    }

    /// What a public address lets in.
    fn gate(&self) -> Vec<TraceStep> {
        let Packet {
            source, destination, ..
        } = self.packet;
        let header = self.packet.header;
        let Some(public) = self.public else {
            let outside = self.packet.interface == self.spec.public.interface;
            let closed = self.is(Reason::NoFirewallRule) || self.is(Reason::NoTarget);
            return if outside && closed {
                let says = format!(
                    "{destination} is no public address of this router; nothing unsolicited comes in"
                );
                vec![stop("public side", says)]
            } else {
                Vec::new()
            };
        };
        if self.is(Reason::NoFirewallRule) {
            let says = format!("no firewall rule of {destination} lets {header} from {source} in");
            return vec![stop("firewall", says)];
        }
        if self.is(Reason::NoTarget) {
            let says = format!("nothing behind {destination} is meant by {header}");
            return vec![stop("firewall", says)];
        }
        let mut rules = public.firewall.iter();
        match rules.find(|rule| rights::opens(rule, header, *source)) {
            Some(rule) => {
                let from = list(&rule.sources);
                let says = format!("{} from {from} may come in to {destination}", rule.matches);
                vec![decided("firewall", says, RuleKind::Firewall, rule.id.0, true)]
            }
            None if self.spec.vpc.is_some() => {
                let says = "it has a target, whose tier's ACL judges it".to_owned();
                vec![pass("firewall", says)]
            }
            None => Vec::new(),
        }
    }

    fn translation(&self) -> Vec<TraceStep> {
        let (Some(public), Packet { header, source, .. }) = (self.public, self.packet) else {
            return Vec::new();
        };
        let at = "destination NAT";
        let to = endpoint(self.destination, self.header.ports().map(|(_, port)| port));
        if self.target.is_some() && public.static_nat.is_some() {
            let says = format!("static NAT of {} to {}", public.address.addr(), self.destination);
            return vec![pass(at, says)];
        }
        let mut forwards = public.port_forwarding.iter();
        if let Some(rule) =
            forwards.find(|f| self.target.is_some() && rights::forwarded(f, *header).is_some())
        {
            let (protocol, ports) = (rule.protocol.name(), rule.public_ports);
            let says = format!("{protocol} {ports} is forwarded: to {to}");
            return vec![decided(at, says, RuleKind::PortForwarding, rule.id.0, true)];
        }
        let balancer = rights::balanced(public, *header, *source);
        balancer.map_or_else(Vec::new, |rule| {
            let says = format!(
                "port {} is balanced over {} guests",
                rule.public_port,
                rule.members.len()
            );
            vec![decided(
                "load balancer",
                says,
                RuleKind::LoadBalancer,
                rule.id.0,
                true,
            )]
        })
    }

    fn route(&self) -> Vec<TraceStep> {
        let to_router = matches!(self.verdict, Verdict::Deliver) || self.is(Reason::NothingListens);
        if to_router || self.verdict == Verdict::AsSession {
            return Vec::new();
        }
        let side = towards(self.spec, self.destination);
        let interface = side.interface(self.spec);
        let via = self
            .via(side)
            .map_or_else(String::new, |via| format!(" via {via}"));
        vec![pass("route", format!("{}{via} by {interface}", self.destination))]
    }

    /// The next hop where it is not the destination itself.
    fn via(&self, side: Side<'_>) -> Option<Ipv4Addr> {
        let routes = self.spec.static_routes().iter();
        let routes = routes.filter(|r| r.to.contains(&self.destination));
        match (routes.max_by_key(|r| r.to.prefix_len()), side) {
            (Some(route), _) => Some(route.via),
            (None, Side::Public) => {
                let mut own = self.spec.public.addresses.iter();
                let near = own.any(|a| a.address.contains(&self.destination));
                (!near).then_some(self.spec.public.gateway)
            }
            (None, _) => None,
        }
    }

    /// The guest network whose egress policy judges it.
    pub(super) fn egress_of(&self) -> Option<&'a GuestNetwork> {
        let leaves = matches!(&self.verdict, Verdict::Forward { out, .. } if *out == self.spec.public.interface)
            || self.is(Reason::Egress);
        let network = rights::network_of(self.spec, self.packet.source)?;
        (leaves && self.spec.vpc.is_none()).then_some(network)
    }

    fn egress(&self) -> Vec<TraceStep> {
        let Some(network) = self.egress_of() else {
            return Vec::new();
        };
        let (header, destination) = (self.packet.header, self.packet.destination);
        let allowed = !self.is(Reason::Egress);
        let what = if allowed { "may leave" } else { "may not leave" };
        vec![
            match egress_rule(&network.egress, header, self.packet.source, destination) {
                Some(rule) => {
                    let (from, to) = (list(&rule.sources), list(&rule.destinations));
                    let says = format!("{} from {from} to {to} {what}", rule.matches);
                    decided("egress", says, RuleKind::Egress, rule.id.0, allowed)
                }
                None => {
                    let policy = match network.egress.default {
                        EgressPolicy::Allow => "allow",
                        EgressPolicy::Deny => "deny",
                    };
                    let says =
                        format!("no egress rule is about {header} to {destination}; the default is {policy}");
                    judged("egress", says, allowed)
                }
            },
        ]
    }

    /// Network ACLs, and whether these sides may meet at all.
    fn passage(&self) -> Vec<TraceStep> {
        let mut steps: Vec<TraceStep> = self.acls().iter().map(acl_step).collect();
        if self.is(Reason::NotForwarded) && steps.last().is_none_or(|step| step.pass) {
            let from = Side::of_interface(self.spec, &self.packet.interface);
            let from = from.map_or("nowhere", side_words);
            let to = side_words(towards(self.spec, self.destination));
            steps.push(stop(
                "forward",
                format!("the router does not forward this from {from} to {to}"),
            ));
        }
        steps
    }

    /// The ACLs that judge it, up to the one that denies.
    pub(super) fn acls(&self) -> Vec<Decision<'a>> {
        let from = Side::of_interface(self.spec, &self.packet.interface);
        let meets = match self.verdict {
            Verdict::Forward { .. } => true,
            Verdict::Deliver => self.public.is_some(),
            Verdict::Drop { why } => why == Reason::Acl,
            Verdict::AsSession => false,
        };
        let (Some(from), true, true) = (from, meets, self.spec.vpc.is_some()) else {
            return Vec::new();
        };
        // To a balancer a packet leaves its tier, and that is all.
        let to = match (self.public, self.target) {
            (Some(_), None) => Side::Public,
            _ => towards(self.spec, self.destination),
        };
        let passage = Passage {
            from,
            to,
            source: self.packet.source,
            destination: self.destination,
            header: self.header,
            translated: self.destination != self.packet.destination,
        };
        passage.acls()
    }

    fn input(&self) -> Vec<TraceStep> {
        let (header, destination) = (self.packet.header, self.packet.destination);
        match self.verdict {
            Verdict::Deliver => vec![pass(
                "input",
                format!("{header} to {destination} is the router's own"),
            )],
            Verdict::Drop {
                why: Reason::NothingListens,
            } => vec![stop(
                "input",
                format!("nothing of the router listens to {header} at {destination}"),
            )],
            _ => Vec::new(),
        }
    }

    fn source(&self) -> Vec<TraceStep> {
        let Verdict::Forward { source, .. } = &self.verdict else {
            return Vec::new();
        };
        if *source == self.packet.source {
            return Vec::new();
        }
        let public = rights::public_address(self.spec, *source);
        let what = match public {
            Some(public) if public.static_nat.is_some() => "static NAT",
            Some(_) => "source NAT",
            None => "source NAT of the private gateway",
        };
        let hairpin = if self.public.is_some() { ", hairpin" } else { "" };
        let pool = self.pool(*source);
        vec![pass(
            "source NAT",
            format!("{what}{hairpin}: {} to {source}{pool}", self.packet.source),
        )]
    }

    /// Which other addresses it may leave with: which of a pool has a port left, and whether the guest was moved, only the
    /// kernel knows.
    fn pool(&self, source: Ipv4Addr) -> String {
        let others: Vec<_> = self.spec.source_nat_pool().collect();
        match others.split_first() {
            Some((first, others)) if *first == source && !others.is_empty() => {
                let others: Vec<_> = others.iter().map(ToString::to_string).collect();
                let others = others.join(", ");
                format!(
                    "; with {others} where that has no port left for the destination, or the guest was moved there"
                )
            }
            _ => String::new(),
        }
    }

    fn end(&self) -> Vec<TraceStep> {
        match self.ends_as() {
            TraceVerdict::Leaves { interface, from, to } => {
                vec![pass("leaves", format!("{interface}, as {from} to {to}"))]
            }
            TraceVerdict::Delivered => vec![pass("arrives", "at the router itself".to_owned())],
            _ => Vec::new(),
        }
    }
}

fn acl_step(decision: &Decision<'_>) -> TraceStep {
    let Decision {
        side,
        acl,
        direction,
        item,
        allowed,
    } = decision;
    let whose = match side {
        Side::Guests(tier) => format!("tier {}", tier.gateway.trunc()),
        Side::Gateway(gateway) => format!("private gateway {}", gateway.address.addr()),
        Side::Control | Side::Public => "the router".to_owned(),
    };
    let way = match direction {
        outgate_model::router_spec::AclDirection::Ingress => "into",
        outgate_model::router_spec::AclDirection::Egress => "out of",
    };
    let verdict = if *allowed { "allows" } else { "denies" };
    match item {
        Some(item) => {
            let says = format!(
                "item {} of list {} {verdict} {} {way} {whose}, other side {}",
                item.number,
                acl.id,
                item.matches,
                list(&item.cidrs)
            );
            decided("network ACL", says, RuleKind::AclItem, item.id.0, *allowed)
        }
        None => {
            let says = format!(
                "no item of list {} is about it: it {verdict} this {way} {whose}",
                acl.id
            );
            judged("network ACL", says, *allowed)
        }
    }
}

fn side_words(side: Side<'_>) -> &'static str {
    match side {
        Side::Control => "the control side",
        Side::Public => "the public side",
        Side::Guests(_) => "the guests' side",
        Side::Gateway(_) => "a private gateway",
    }
}

fn endpoint(address: Ipv4Addr, port: Option<u16>) -> Endpoint {
    Endpoint {
        address,
        port: port.unwrap_or(0),
    }
}

fn list(nets: &[ipnet::Ipv4Net]) -> String {
    let all: Vec<String> = nets.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn pass(at: &str, says: String) -> TraceStep {
    judged(at, says, true)
}

fn stop(at: &str, says: String) -> TraceStep {
    judged(at, says, false)
}

fn judged(at: &str, says: String, pass: bool) -> TraceStep {
    TraceStep {
        at: at.to_owned(),
        says,
        rule: None,
        pass,
    }
}

fn decided(at: &str, says: String, kind: RuleKind, id: Uuid, pass: bool) -> TraceStep {
    TraceStep {
        rule: Some(TraceRule { kind, id }),
        ..judged(at, says, pass)
    }
}
