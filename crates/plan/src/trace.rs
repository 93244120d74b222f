// SPDX-License-Identifier: Apache-2.0
//! The pure part of following one packet through the kernel: the table that marks and ends it, the rules' texts by their
//! handles, the packet itself, and whether model and kernel agree.
//!
//! The table lives only while a packet is followed. It is no part of a router's plan: `diff` does not look at it.

mod compare;
mod frame;
mod listing;

use std::net::Ipv4Addr;

use outgate_model::trace::TraceProtocol;

pub use compare::compare;
pub use frame::frame;
pub use listing::{ChainText, Listing};

/// The table's name, family `ip`.
pub const TABLE: &str = "outgate_trace";
/// The chain that makes nftables tell of the packet, before everything else.
pub const BEGINS: &str = "begins";
/// The chain that a packet reaches when it would leave the router.
pub const LEAVES: &str = "leaves";
/// The chain that a packet reaches when the router itself would get it.
pub const ARRIVES: &str = "arrives";
/// Before defragmentation, connection tracking and every chain of a router.
const FIRST: i32 = -450;
/// After every other chain, and before connection tracking enters a new session, which is at 2^31 - 1: the session of a
/// packet that is dropped here never was.
const LAST: i32 = i32::MAX - 1;

/// A packet of one flow, as it comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Its protocol.
    pub protocol: TraceProtocol,
    /// Who sends.
    pub source: Ipv4Addr,
    /// From which port; of ICMP the identifier.
    pub source_port: u16,
    /// To whom.
    pub destination: Ipv4Addr,
    /// To which port; 0 for ICMP.
    pub destination_port: u16,
}

/// The table for a packet of the router's own making, which has this packet mark. Nothing of it, and no answer to it,
/// leaves the router: it ends where it would leave or be delivered, by its mark, or by its session should somebody's
/// rule have taken the mark; so do a RST, an ICMP error and any other answer that a rule or the kernel gives.
pub fn inject_script(probe: &Probe, mark: u32) -> String {
    let Probe {
        source,
        source_port,
        destination,
        ..
    } = probe;
    let session = format!(
        "ct original ip saddr {source} ct original ip daddr {destination} {}",
        original(probe)
    );
    // An ICMP error about it, by the header that the error quotes: its source, and port or identifier.
    let quoted_port = match probe.protocol {
        TraceProtocol::Icmp => 256,
        TraceProtocol::Tcp | TraceProtocol::Udp => 224,
    };
    let quoted = format!(
        "icmp type {{ 3, 5, 11, 12 }} @th,160,32 {:#010x} @th,{quoted_port},16 {source_port:#06x}",
        source.to_bits()
    );
    let ends = format!("\t\tmeta mark {mark:#010x} drop\n\t\t{session} drop\n");
    let answers = format!("\t\tip daddr {source} {quoted} drop\n{}", answer(probe));
    table(
        &format!("\t\tmeta mark {mark:#010x} meta nftrace set 1\n"),
        &format!("{ends}{answers}"),
        &ends,
    )
}

/// The table that makes nftables tell of real packets of the flow, a few each second.
pub fn watch_script(probe: &Probe) -> String {
    let Probe {
        source, destination, ..
    } = probe;
    let begins = format!(
        "\t\tip saddr {source} ip daddr {destination} {} limit rate 4/second burst 1 packets meta nftrace set 1\n",
        ports(probe)
    );
    table(&begins, "", "")
}

/// Removes the table, whether it is there or not.
pub fn clear_script() -> String {
    format!("table ip {TABLE} {{ }}\ndelete table ip {TABLE}\n")
}

fn table(begins: &str, leaves: &str, arrives: &str) -> String {
    let chain = |name: &str, hook: &str, priority: i32, rules: &str| {
        format!(
            "\tchain {name} {{\n\t\ttype filter hook {hook} priority {priority}; policy accept;\n{rules}\t}}\n"
        )
    };
    format!(
        "{}table ip {TABLE} {{\n{}{}{}}}\n",
        clear_script(),
        chain(BEGINS, "prerouting", FIRST, begins),
        chain(LEAVES, "postrouting", LAST, leaves),
        chain(ARRIVES, "input", LAST, arrives),
    )
}

fn ports(probe: &Probe) -> String {
    let Probe {
        protocol,
        source_port,
        destination_port,
        ..
    } = probe;
    match protocol {
        TraceProtocol::Icmp if *source_port == 0 => "icmp type 8".to_owned(),
        TraceProtocol::Icmp => format!("icmp type 8 icmp id {source_port}"),
        // Whatever port it comes from.
        _ if *source_port == 0 => format!("{} dport {destination_port}", protocol.name()),
        _ => format!(
            "{name} sport {source_port} {name} dport {destination_port}",
            name = protocol.name()
        ),
    }
}

/// The session, as its first packet began it.
fn original(probe: &Probe) -> String {
    let number = probe.protocol.number();
    let Probe {
        source_port,
        destination_port,
        ..
    } = probe;
    match probe.protocol {
        TraceProtocol::Icmp => format!("ct original protocol {number} ct original proto-src {source_port}"),
        TraceProtocol::Tcp | TraceProtocol::Udp => format!(
            "ct original protocol {number} ct original proto-src {source_port} ct original proto-dst {destination_port}"
        ),
    }
}

/// What a rule that answers without a session sends back.
fn answer(probe: &Probe) -> String {
    let Probe {
        protocol,
        source,
        source_port,
        destination,
        destination_port,
    } = probe;
    match protocol {
        TraceProtocol::Icmp => String::new(),
        TraceProtocol::Tcp | TraceProtocol::Udp => format!(
            "\t\tip saddr {destination} ip daddr {source} {name} sport {destination_port} {name} dport {source_port} drop\n",
            name = protocol.name()
        ),
    }
}
