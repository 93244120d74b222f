// SPDX-License-Identifier: Apache-2.0
//! Step 7 and the matrix's captures: where a guest's packets get to, and where the replies are lost.

use std::net::Ipv4Addr;

use outgate_model::trace::TraceStep;
use outgate_plan::packet::{Header, Packet as ModelPacket, Reason, State, Verdict, explain, verdict};

use super::{Case, guest_place, outside};
use crate::evidence::{FlowSeen, GuestSeen};
use crate::finding::{Cause, Finding, Fix};
use crate::probe::{HEADERS, Kind, NETSTAT, SMALL};
use crate::read::dns::Resolved;
use crate::read::files::counter;
use crate::read::tcpdump::{Captured, Packet, What};

/// So many of five lost packets are more than chance.
const LOST_MIN: u32 = 2;

pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ipsec(case).into_iter().collect();
    let Some(flow) = &case.evidence.flow else {
        return findings;
    };
    let Some(guest) = case.evidence.guests.get(flow.guest) else {
        return findings;
    };
    if let Some(denied) = policy(case, flow, guest) {
        findings.push(denied);
        return findings;
    }
    match flow.works() {
        Some(false) => findings.extend(path(case, flow, guest)),
        Some(true) => {
            findings.extend(lossy(case, flow, guest));
            findings.extend(mtu(case, flow, guest));
            findings.extend(names(case, flow, guest));
        }
        None => {}
    }
    findings
}

fn address(case: &Case<'_>, guest: &GuestSeen) -> Option<Ipv4Addr> {
    let network = case
        .spec
        .guest_networks
        .iter()
        .find(|n| n.interface == guest.interface)?;
    network.leases.get(&guest.mac?).map(|lease| lease.address)
}

/// Whether the rules deny the flow, and which does.
fn policy(case: &Case<'_>, flow: &FlowSeen, guest: &GuestSeen) -> Option<Finding> {
    let source = address(case, guest)?;
    let header = header(flow);
    let packet = ModelPacket {
        interface: guest.interface.clone(),
        source,
        destination: flow.flow.target,
        header,
        state: State::New,
    };
    let Verdict::Drop { why } = verdict(case.spec, &packet) else {
        return None;
    };
    let decides = explain(case.spec, &packet)
        .steps
        .into_iter()
        .find(|step| !step.pass);
    let seen = [format!("{} from {source}: {why}", flow.flow)]
        .into_iter()
        .chain(decides.map(|step| decision(&step)));
    let cause = if why == Reason::Acl {
        Cause::AclDenies
    } else {
        Cause::EgressDenies
    };
    Some(outside(cause, guest_place(&guest.name), seen.collect()))
}

/// The rule that decides, with its id, so that it can be found and removed.
fn decision(step: &TraceStep) -> String {
    let rule = step.rule.as_ref();
    let rule = rule.map(|rule| format!(" ({} {})", rule.kind.words(), rule.id));
    format!("{}: {}{}", step.at, step.says, rule.unwrap_or_default())
}

fn header(flow: &FlowSeen) -> Header {
    let (source, destination) = (40_000, flow.flow.port);
    match flow.flow.kind {
        Kind::Ping => Header::Icmp { kind: 8, code: 0 },
        Kind::Tcp => Header::Tcp { source, destination },
        Kind::Udp => Header::Udp { source, destination },
    }
}

/// How many packets of the flow passed each point.
#[derive(Debug, Clone, Copy, Default)]
struct Points {
    entered: usize,
    left: usize,
    returned: usize,
    delivered: usize,
}

impl Points {
    fn of(flow: &FlowSeen, size: u32) -> Option<Self> {
        let (inside, outside) = (flow.inside.as_ref()?, flow.outside.as_ref()?);
        let (there, back) = (request(flow, size), reply(flow, size));
        Some(Self {
            entered: inside.count(&there),
            left: outside.count(&there),
            returned: outside.count(&back),
            delivered: inside.count(&back),
        })
    }
}

fn request(flow: &FlowSeen, size: u32) -> impl Fn(&Packet) -> bool {
    let (target, port, is_ping) = (flow.flow.target, flow.flow.port, flow.is_ping());
    let payload = size.checked_sub(IP_HEADER);
    move |p: &Packet| {
        p.destination == target
            && match p.what {
                What::Request(length) => is_ping && Some(length) == payload,
                What::Ports(_, to) => !is_ping && to == port,
                _ => false,
            }
    }
}

fn reply(flow: &FlowSeen, size: u32) -> impl Fn(&Packet) -> bool {
    let (target, port, is_ping) = (flow.flow.target, flow.flow.port, flow.is_ping());
    let payload = size.checked_sub(IP_HEADER);
    move |p: &Packet| {
        p.source == target
            && match p.what {
                What::Reply(length) => is_ping && Some(length) == payload,
                What::Ports(from, _) => !is_ping && from == port,
                _ => false,
            }
    }
}

/// The size of a small ping with its headers.
const SMALL_SIZE: u32 = SMALL + HEADERS;
/// An IPv4 header without options, in bytes.
const IP_HEADER: u32 = 20;

fn path(case: &Case<'_>, flow: &FlowSeen, guest: &GuestSeen) -> Option<Finding> {
    let (inside, outside) = (guest.interface.as_str(), flow.leaves_by.as_str());
    let said = flow
        .small
        .as_ref()
        .map(|s| format!("{} from {}: {s}", flow.flow, guest.name));
    let Some(points) = Points::of(flow, SMALL_SIZE) else {
        return Some(self::outside(
            Cause::NoReply,
            guest_place(&guest.name),
            said.into_iter().collect(),
        ));
    };
    let (cause, place, text) = match points {
        Points { entered: 0, .. } => (
            Cause::NeverEnters,
            guest_place(&guest.name),
            format!("it never enters {inside}"),
        ),
        Points { left: 0, .. } | Points { returned: 0, .. } => {
            lost_beyond(case, flow, (inside, outside), points.left > 0)
        }
        Points { delivered: 0, .. } => return Some(reply_lost(case, (inside, outside), said)),
        _ => (
            Cause::ReplyIgnored,
            guest_place(&guest.name),
            format!("the reply leaves {inside} and the guest does not take it"),
        ),
    };
    let seen: Vec<String> = [format!("tcpdump: {text}")].into_iter().chain(said).collect();
    let fix = (cause == Cause::NeverLeaves).then_some(Fix::RestartNetwork);
    Some(Finding {
        fix,
        ..self::outside(cause, place, seen)
    })
}

/// What stays in the router, or is lost beyond it.
fn lost_beyond(
    case: &Case<'_>,
    flow: &FlowSeen,
    (inside, outside): (&str, &str),
    leaves: bool,
) -> (Cause, String, String) {
    let beyond = format!("beyond {outside}");
    let text = if leaves {
        format!("it leaves {outside} and no reply comes back")
    } else {
        format!("it enters {inside} and never leaves {outside}")
    };
    let silent = flow.next_hop.as_ref().filter(|(_, answers)| answers.is_empty());
    match silent {
        Some((hop, _)) => (
            Cause::NextHopSilent,
            beyond,
            format!("{text}; arping -I {outside} {hop}: 0 answers"),
        ),
        None if leaves => (Cause::NoReply, beyond, format!("{text}: outside the router")),
        None => (
            Cause::NeverLeaves,
            case.name(),
            format!("{text}: the router's rules or forwarding"),
        ),
    }
}

fn reply_lost(case: &Case<'_>, (inside, outside): (&str, &str), said: Option<String>) -> Finding {
    let mut seen = vec![format!(
        "tcpdump: the reply enters {outside} and never leaves {inside}"
    )];
    let at = |files: &std::collections::BTreeMap<String, String>| {
        counter(files.get(NETSTAT)?, "TcpExt", "IPReversePathFilter")
    };
    let before = at(&case.router.before).unwrap_or(0);
    let dropped = at(&case.router.after).unwrap_or(0).saturating_sub(before);
    let cause = if dropped > 0 {
        Cause::ReversePath
    } else {
        Cause::ReplyLost
    };
    if dropped > 0 {
        seen.push(format!(
            "nstat: IPReversePathFilter rose by {dropped} while looking"
        ));
        let rules = case.router.policy.iter().flatten();
        seen.extend(rules.map(|rule| format!("ip rule: {rule}")));
    }
    seen.extend(said);
    case.in_router(cause, outside, seen)
}

fn lossy(case: &Case<'_>, flow: &FlowSeen, guest: &GuestSeen) -> Option<Finding> {
    let small = flow.small.as_ref().filter(|_| flow.is_ping())?;
    if small.sent.saturating_sub(small.received) < LOST_MIN {
        return None;
    }
    let mut seen = vec![format!("{} from {}: {small}", flow.flow, guest.name)];
    let mut place = guest_place(&guest.name);
    if let Some(points) = Points::of(flow, SMALL_SIZE) {
        let Points {
            entered,
            left,
            returned,
            delivered,
        } = points;
        let (inside, outside) = (&guest.interface, &flow.leaves_by);
        seen.push(format!(
            "tcpdump: {entered} enter {inside}, {left} leave {outside}, {returned} come back, {delivered} reach {inside}"
        ));
        if returned < left {
            place = format!("beyond {outside}");
        } else if left < entered || delivered < returned {
            place = case.name();
        }
    }
    Some(outside(Cause::PacketsLost, place, seen))
}

fn mtu(case: &Case<'_>, flow: &FlowSeen, guest: &GuestSeen) -> Option<Finding> {
    let large = flow
        .large
        .as_ref()
        .filter(|large| large.received == 0 && large.sent > 0)?;
    // Told which size fits, the guest sends that: path MTU discovery works.
    if large.told_mtu.is_some() {
        return None;
    }
    let mut seen = vec![format!(
        "packets as large as the MTU, not to be fragmented: {large}"
    )];
    seen.extend(
        flow.fits
            .map(|size| format!("packets of {size} bytes are answered")),
    );
    let told = |captured: &Option<Captured>| {
        let all = captured.iter().flat_map(|c| &c.packets);
        all.filter_map(|p| match p.what {
            What::TooLarge(mtu) => Some((p.source, mtu)),
            _ => None,
        })
        .next()
    };
    let (inside, outside) = (&guest.interface, &flow.leaves_by);
    let (cause, place) = match (told(&flow.outside), told(&flow.inside)) {
        (_, Some((from, mtu))) => {
            seen.push(format!(
                "tcpdump -i {inside}: {from} says that {mtu} bytes fit; the guest does not hear it"
            ));
            (Cause::IcmpFiltered, guest_place(&guest.name))
        }
        (Some((from, mtu)), None) => {
            seen.push(format!(
                "tcpdump: {from} says that {mtu} bytes fit; it enters {outside} and never leaves {inside}"
            ));
            (Cause::IcmpFiltered, case.name())
        }
        (None, None) => {
            seen.push(format!(
                "tcpdump -i {outside}: no ICMP 'fragmentation needed' comes back"
            ));
            (Cause::PathMtu, format!("beyond {outside}"))
        }
    };
    Some(self::outside(cause, place, seen))
}

fn names(case: &Case<'_>, flow: &FlowSeen, guest: &GuestSeen) -> Option<Finding> {
    let network = case
        .spec
        .guest_networks
        .iter()
        .find(|n| n.interface == guest.interface)?;
    let gateway = network.gateway.addr();
    if let Some(dns) = flow.dns.filter(|dns| *dns != Resolved::Answered) {
        let said = if dns == Resolved::Silent {
            "no answer"
        } else {
            "it answers that it cannot find out"
        };
        let mut seen = vec![format!(
            "nslookup www.example.com {gateway} in {}: {said}",
            guest.name
        )];
        for (server, resolved) in &case.router.upstream_dns {
            let said = match resolved {
                Resolved::Answered => "it answers",
                Resolved::Failed => "it fails",
                Resolved::Silent => "no answer",
            };
            seen.push(format!("nslookup www.example.com {server} in the router: {said}"));
        }
        return Some(outside(Cause::DnsBroken, "resolvers", seen));
    }
    let resolv = guest.resolv.as_ref()?;
    let servers: Vec<&str> = resolv
        .lines()
        .filter_map(|l| l.trim().strip_prefix("nameserver "))
        .map(str::trim)
        .collect();
    if servers.contains(&gateway.to_string().as_str()) {
        return None;
    }
    // Whoever names resolvers of their own may: only none at all, or one inside that is none, is wrong.
    let inside = |server: &&str| {
        server
            .parse()
            .is_ok_and(|s: Ipv4Addr| network.gateway.contains(&s))
    };
    let wrong = servers.is_empty() || servers.iter().all(inside);
    wrong.then(|| Finding {
        cause: Cause::DnsGuest,
        place: guest_place(&guest.name),
        evidence: vec![format!(
            "/etc/resolv.conf: {}; its resolver is {gateway}",
            if servers.is_empty() {
                "no nameserver".to_owned()
            } else {
                servers.join(", ")
            }
        )],
        fix: Some(Fix::RenewLease(guest.id.clone())),
    })
}

/// ESP or AH sessions that nobody answers, and no UDP 4500.
fn ipsec(case: &Case<'_>) -> Option<Finding> {
    let lines = &case.router.ipsec;
    let is_esp = |line: &&String| {
        line.split_whitespace()
            .nth(3)
            .is_some_and(|n| n == "50" || n == "51")
    };
    let unanswered: Vec<String> = lines
        .iter()
        .filter(is_esp)
        .filter(|line| line.contains("[UNREPLIED]"))
        .map(|line| {
            let field = |name: &str| {
                line.split_whitespace()
                    .find_map(|w| w.strip_prefix(name))
                    .unwrap_or("?")
                    .to_owned()
            };
            let kind = if line.split_whitespace().nth(3) == Some("51") {
                "AH"
            } else {
                "ESP"
            };
            format!(
                "/proc/net/nf_conntrack: {kind} from {} to {}, never answered",
                field("src="),
                field("dst=")
            )
        })
        .collect();
    (!unanswered.is_empty()).then(|| outside(Cause::Ipsec, "guests", unanswered))
}
