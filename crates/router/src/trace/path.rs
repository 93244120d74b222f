// SPDX-License-Identifier: Apache-2.0
//! Pure: what the kernel told of a packet, as its way.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outgate_kernel::nft_trace::{Event, Met, Shown, Verdict};
use outgate_model::stats::Endpoint;
use outgate_model::trace::{KernelPath, KernelStep, TraceVerdict};
use outgate_plan::is_own_table;
use outgate_plan::trace::{ARRIVES, BEGINS, LEAVES, Listing, TABLE};

/// Whether this is the first that is told of a packet that we follow.
pub(super) fn begins(event: &Event) -> bool {
    is_ours(event) && event.chain == BEGINS
}

/// Whether nothing more will be told of the packet.
pub(super) fn has_ended(events: &[Event]) -> bool {
    events.last().is_some_and(|last| {
        let away = matches!(last.verdict, Verdict::Drop | Verdict::Stolen | Verdict::Queue);
        away || ends(last)
    })
}

/// The way of a packet; its route is left for others to fill in.
pub(super) fn read(events: &[Event], listing: &Listing, names: &BTreeMap<u32, String>) -> KernelPath {
    let mut steps: Vec<KernelStep> = Vec::new();
    let mut ended: Option<KernelStep> = None;
    for event in events.iter().filter(|event| !is_ours(event)) {
        let mut step = step(event, listing);
        // The end of a base chain's rules only brings its policy; the packet is told with the first of both.
        if let Some(ended) = ended.take().filter(|ended| ended.chain == step.chain) {
            step.packet = step.packet.or(ended.packet);
        }
        if event.met == Met::End && step.verdict == "continue" {
            ended = Some(step);
        } else {
            steps.push(step);
        }
    }
    KernelPath {
        steps,
        route: None,
        verdict: verdict(events, listing, names),
    }
}

/// Where the packet was sent to when it was seen last.
pub(super) fn last_destination(path: &KernelPath) -> Option<Ipv4Addr> {
    let last = path.steps.iter().rev().find_map(|step| step.packet.as_ref())?;
    let (_, to) = last.split_once(" -> ")?;
    to.split(':').next()?.parse().ok()
}

/// What `ip route get` said, in words: its first line, or why there is no way.
pub(super) fn route_words(stdout: &str, stderr: &str) -> String {
    if let Some(line) = stdout.lines().next() {
        return line.trim().to_owned();
    }
    let refused = stderr.lines().next().unwrap_or_default();
    let refused = refused.trim_start_matches("RTNETLINK answers: ").trim();
    let means = match refused {
        "Invalid cross-device link" => "its source lies behind another interface (rp_filter)",
        "Network is unreachable" => "there is no route",
        "No route to host" => "there is no route, or net.ipv4.ip_forward is off",
        "Invalid argument" => "it leads nowhere: a blackhole, or an address that is never routed (martian)",
        "Permission denied" => "a routing rule or route prohibits it",
        _ => return refused.to_owned(),
    };
    format!("{refused}: {means}")
}

fn is_ours(event: &Event) -> bool {
    event.family == "ip" && event.table == TABLE
}

fn ends(event: &Event) -> bool {
    is_ours(event)
        && [LEAVES, ARRIVES].contains(&event.chain.as_str())
        && (event.met == Met::Policy || event.verdict == Verdict::Drop)
}

fn step(event: &Event, listing: &Listing) -> KernelStep {
    let chain = chain(event);
    let known = listing.chain(&chain);
    let rule = match event.met {
        Met::Rule(handle) => {
            let text = known.and_then(|chain| chain.rules.get(&handle)).cloned();
            Some(text.unwrap_or_else(|| format!("rule with handle {handle}")))
        }
        Met::End | Met::Policy => None,
    };
    KernelStep {
        hook: known.and_then(|chain| chain.hook.clone()),
        chain,
        rule,
        verdict: words(&event.verdict),
        packet: event.packet.as_ref().and_then(packet),
    }
}

fn chain(event: &Event) -> String {
    format!("{} {} {}", event.family, event.table, event.chain)
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Drop => "drop".to_owned(),
        Verdict::Accept => "accept".to_owned(),
        Verdict::Stolen => "stolen".to_owned(),
        Verdict::Queue => "queue".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Other(number) => format!("verdict {number}"),
    }
}

fn packet(shown: &Shown) -> Option<String> {
    let (from, to) = both_ends(shown)?;
    Some(format!("{from} -> {to}"))
}

fn both_ends(shown: &Shown) -> Option<(Endpoint, Endpoint)> {
    let (source_port, destination_port) = shown.ports.unwrap_or_default();
    let from = Endpoint {
        address: shown.source?,
        port: source_port,
    };
    let to = Endpoint {
        address: shown.destination?,
        port: destination_port,
    };
    Some((from, to))
}

fn verdict(events: &[Event], listing: &Listing, names: &BTreeMap<u32, String>) -> TraceVerdict {
    let Some(last) = events.last() else {
        let by = "before nftables: the interface is down, or a program of XDP or traffic control took it"
            .to_owned();
        return TraceVerdict::Vanished { by };
    };
    let shown = events.iter().rev().find_map(|event| event.packet);
    if ends(last) {
        let leaves = shown.filter(|_| last.chain == LEAVES);
        return leaves.map_or(TraceVerdict::Delivered, |shown| leaving(&shown, names));
    }
    let step = step(last, listing);
    let place = format!("chain {} of table {} {}", last.chain, last.family, last.table);
    match last.verdict {
        Verdict::Drop => TraceVerdict::Dropped {
            by: match &step.rule {
                Some(rule) => format!("{place}, rule: {rule}"),
                None => format!("{place}, by its policy: no rule accepts it"),
            },
            foreign: !is_own_table(&format!("{} {}", last.family, last.table)),
        },
        Verdict::Stolen | Verdict::Queue => TraceVerdict::Vanished {
            by: format!("{place} hands it to somebody else ({})", step.verdict),
        },
        _ => TraceVerdict::Vanished {
            by: format!("after {place}, by no rule of nftables"),
        },
    }
}

fn leaving(shown: &Shown, names: &BTreeMap<u32, String>) -> TraceVerdict {
    let interface = shown.output.map(|index| {
        let name = names.get(&index).cloned();
        name.unwrap_or_else(|| format!("interface {index}"))
    });
    match both_ends(shown) {
        Some((from, to)) => TraceVerdict::Leaves {
            interface: interface.unwrap_or_default(),
            from,
            to,
        },
        None => TraceVerdict::Vanished {
            by: "at its very end, and what it was is not known".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "table ip outgate {\n\tchain forward { # handle 1\n\t\ttype filter hook forward priority 0; \
        policy drop;\n\t\tct state 0x1 drop # handle 9\n\t}\n}\n";

    fn event(table: &str, chain: &str, met: Met, verdict: Verdict, packet: Option<Shown>) -> Event {
        Event {
            id: 7,
            family: "ip",
            table: table.to_owned(),
            chain: chain.to_owned(),
            met,
            verdict,
            packet,
        }
    }

    fn shown() -> Option<Shown> {
        Some(Shown {
            input: Some(2),
            output: Some(3),
            source: Some([203, 0, 113, 10].into()),
            destination: Some([198, 51, 100, 7].into()),
            ports: Some((40_000, 443)),
        })
    }

    fn of(events: &[Event]) -> KernelPath {
        read(
            events,
            &Listing::read(LISTED),
            &BTreeMap::from([(3, "eth2".to_owned())]),
        )
    }

    #[test]
    fn the_last_chain_says_how_a_packet_leaves() {
        let begin = event(TABLE, BEGINS, Met::Rule(1), Verdict::Continue, shown());
        let end = event(TABLE, LEAVES, Met::Rule(2), Verdict::Drop, shown());
        let path = of(&[begin.clone(), end.clone()]);
        assert_eq!(
            path.verdict.to_string(),
            "leaves by eth2 as 203.0.113.10:40000 to 198.51.100.7:443"
        );
        assert!(path.steps.is_empty() && begins(&begin) && has_ended(&[begin, end]));
        let arrives = event(TABLE, ARRIVES, Met::Policy, Verdict::Accept, shown());
        assert_eq!(of(&[arrives]).verdict, TraceVerdict::Delivered);
    }

    #[test]
    fn a_drop_names_the_rule_or_the_policy_and_whose_it_is() {
        let rule = event("outgate", "forward", Met::Rule(9), Verdict::Drop, shown());
        let path = of(&[rule]);
        assert_eq!(
            path.verdict.to_string(),
            "is dropped: chain forward of table ip outgate, rule: ct state 0x1 drop"
        );
        assert_eq!(path.steps[0].hook.as_deref(), Some("forward"));
        let policy = event("outgate", "forward", Met::Policy, Verdict::Drop, None);
        assert!(
            of(&[policy])
                .verdict
                .to_string()
                .ends_with("by its policy: no rule accepts it")
        );
        let bad = event("bad", "evil", Met::Rule(4), Verdict::Drop, None);
        let bad = of(&[bad]).verdict;
        assert!(
            matches!(&bad, TraceVerdict::Dropped { foreign: true, by } if by.contains("rule with handle 4"))
        );
    }

    #[test]
    fn what_no_rule_dropped_vanishes_after_the_chain_that_saw_it_last() {
        let last = event("outgate", "nat_prerouting", Met::Policy, Verdict::Accept, shown());
        let path = of(&[last]);
        let TraceVerdict::Vanished { by } = &path.verdict else {
            panic!("{path:?}")
        };
        assert!(by.starts_with("after chain nat_prerouting"));
        assert_eq!(last_destination(&path), Some([198, 51, 100, 7].into()));
        assert!(
            matches!(of(&[]).verdict, TraceVerdict::Vanished { by } if by.starts_with("before nftables"))
        );
    }

    #[test]
    fn routing_says_its_way_or_why_there_is_none() {
        let way = "198.51.100.7 from 10.1.1.11 via 203.0.113.1 dev eth2 \n    cache iif eth0 \n";
        assert_eq!(
            route_words(way, ""),
            "198.51.100.7 from 10.1.1.11 via 203.0.113.1 dev eth2"
        );
        let refused = route_words("", "RTNETLINK answers: Invalid cross-device link\n");
        assert!(refused.ends_with("(rp_filter)"), "{refused}");
    }
}
