// SPDX-License-Identifier: Apache-2.0
//! Kernel parameters, each with its reason.

use std::collections::BTreeMap;

use outgate_model::RouterSpec;

use crate::router_plan::Sysctl;

/// RFC 5382 REQ-5: a connection that is opening or closing keeps its mapping for at least 4 minutes.
const TCP_TRANSITORY_SECS: u32 = 240;

/// RFC 5382 asks for 4 minutes here too; 2 are kept on purpose. A port of the one public address that waits cannot
/// serve the next session to the same server, and Linux lets a new SYN take over a waiting entry anyway.
const TCP_TIME_WAIT_SECS: u32 = 120;

/// For the whole router, required.
const GLOBAL: [(&str, &str); 1] = [
    // The router forwards: the reference text's fifth step.
    ("net.ipv4.ip_forward", "1"),
];

/// For `all`, `default` and each interface.
const PER_INTERFACE: [(&str, &str); 8] = [
    // Strict reverse path filtering (RFC 3704).
    ("rp_filter", "1"),
    // Nobody on a segment may redirect the router, and the router sends guests nowhere else (RFC 1812 5.3.7, CVE class).
    ("accept_redirects", "0"),
    ("send_redirects", "0"),
    // Source routes let a sender choose its path around the filter (RFC 7126 4.3).
    ("accept_source_route", "0"),
    // The kernel's log belongs to the machine, not to one router: a guest must not be able to fill it.
    ("log_martians", "0"),
    // Answer ARP only for addresses of the interface that is asked, and ask with one of its own: the public address
    // must not be found on the guest or control segment.
    ("arp_ignore", "1"),
    ("arp_announce", "2"),
    // Releasing the interface's first address must not take the others with it.
    ("promote_secondaries", "1"),
];

pub(super) fn sysctls(spec: &RouterSpec) -> BTreeMap<String, Sysctl> {
    let required = |value: &str| Sysctl {
        value: value.to_owned(),
        required: true,
    };
    let mut sysctls: BTreeMap<_, _> = GLOBAL
        .iter()
        .map(|(name, value)| ((*name).to_owned(), required(value)))
        .collect();
    let guests = spec.guest_networks.iter().map(|n| n.interface.as_str());
    let gateways = spec.private_gateways().iter().map(|g| g.interface.as_str());
    let inner: Vec<&str> = guests.chain(gateways).collect();
    let interfaces = ["all", "default", &spec.control.interface, &spec.public.interface];
    for interface in interfaces.into_iter().chain(inner.iter().copied()) {
        for (name, value) in PER_INTERFACE {
            sysctls.insert(format!("net.ipv4.conf.{interface}.{name}"), required(value));
        }
        // The router speaks IPv4 only, and what it does not filter it must not carry. A kernel without IPv6 is fine.
        let off = Sysctl {
            value: "1".to_owned(),
            required: false,
        };
        sysctls.insert(format!("net.ipv6.conf.{interface}.disable_ipv6"), off);
    }
    // One interface may be switched off while ip_forward still reads 1.
    for interface in inner.into_iter().chain([spec.public.interface.as_str()]) {
        sysctls.insert(format!("net.ipv4.conf.{interface}.forwarding"), required("1"));
    }
    // Most packets are not for the router itself: it does not look for a socket of its own before it looks for a route.
    let off = Sysctl {
        value: "0".to_owned(),
        required: false,
    };
    sysctls.insert("net.ipv4.ip_early_demux".to_owned(), off);
    conntrack(spec, &mut sysctls);
    sysctls
}

fn conntrack(spec: &RouterSpec, sysctls: &mut BTreeMap<String, Sysctl>) {
    let limits = &spec.conntrack;
    // Belongs to the machine: a namespace can only read it.
    let max = Sysctl {
        value: limits.max.to_string(),
        required: false,
    };
    sysctls.insert("net.netfilter.nf_conntrack_max".to_owned(), max);
    let values = [
        // A connection is tracked from its SYN or not at all. Otherwise a session whose forward was revoked would
        // come back with the guest's next packet, as if the guest had opened it.
        ("tcp_loose", 0),
        ("tcp_timeout_established", limits.tcp_established_secs),
        ("tcp_timeout_syn_sent", TCP_TRANSITORY_SECS),
        ("tcp_timeout_syn_recv", TCP_TRANSITORY_SECS),
        ("tcp_timeout_fin_wait", TCP_TRANSITORY_SECS),
        ("tcp_timeout_close_wait", TCP_TRANSITORY_SECS),
        ("tcp_timeout_last_ack", TCP_TRANSITORY_SECS),
        ("tcp_timeout_time_wait", TCP_TIME_WAIT_SECS),
        ("udp_timeout", limits.udp_secs),
        ("udp_timeout_stream", limits.udp_stream_secs),
        ("icmp_timeout", limits.icmp_secs),
    ];
    for (name, value) in values {
        let sysctl = Sysctl {
            value: value.to_string(),
            required: true,
        };
        sysctls.insert(format!("net.netfilter.nf_conntrack_{name}"), sysctl);
    }
    // Each session knows since when it is and what it has carried. Older kernels refuse it without real root.
    for name in ["acct", "timestamp"] {
        let sysctl = Sysctl {
            value: "1".to_owned(),
            required: false,
        };
        sysctls.insert(format!("net.netfilter.nf_conntrack_{name}"), sysctl);
    }
}
