// SPDX-License-Identifier: Apache-2.0
//! Faults on the public side and beyond.

use super::Fault;

/// What a provider may have done.
pub const FAULTS: &[Fault] = &[
    Fault::outside(
        "upstream gateway does not answer ARP",
        &[("gateway", "ip link set eth0 arp off")],
        "gateway-silent",
        "203.0.113.1",
    )
    .undo(&[("gateway", "ip link set eth0 arp on")]),
    Fault::outside("uplink down", &[("host", "ip link set pub-gw down")], "uplink-down", "pub-gw")
        .undo(&[("host", "ip link set pub-gw up")]),
    Fault::outside(
        "uplink loses frames (tc)",
        &[
            // Frames to lose all the time: those of the doctor may be gone before the host is looked at.
            ("guest2", "bash -c 'ping -i 0.05 -w 60 198.51.100.53 >/dev/null 2>&1 </dev/null &'"),
            ("host", "tc qdisc add dev pub-gw clsact"),
            ("host", "tc filter add dev pub-gw ingress bpf da bytecode '{drop-icmp}'"),
        ],
        "link-failing",
        "queue_drops rose",
    )
    .undo(&[("host", "tc qdisc del dev pub-gw clsact"), ("guest2", "pkill -x ping")]),
    Fault::outside(
        "uplink drops what is beyond its rate (tbf)",
        &[
            ("guest2", "bash -c 'ping -i 0.05 -s 500 -w 60 198.51.100.53 >/dev/null 2>&1 </dev/null &'"),
            ("host", "tc qdisc add dev pub-gw root tbf rate 8kbit burst 1600 limit 1600"),
        ],
        "link-failing",
        "queue_drops rose",
    )
    .undo(&[("host", "tc qdisc del dev pub-gw root"), ("guest2", "pkill -x ping")]),
    Fault::outside(
        "somebody outside sends more pings than the router may answer",
        &[
            ("api", "updateConfiguration name=router.public.ping.rate value=1 networkid={network}"),
            ("job", "createFirewallRule ipaddressid={public-id} protocol=icmp icmptype=8 icmpcode=0"),
            ("internet", "bash -c 'ping -i 0.05 -w 60 {public} >/dev/null 2>&1 </dev/null &'"),
        ],
        "public-limited",
        "router.public.ping.rate",
    )
    .undo(&[
        ("internet", "pkill -x ping"),
        ("job", "deleteFirewallRule id={firewall-rule}"),
        ("api", "resetConfiguration name=router.public.ping.rate networkid={network}"),
    ]),
    Fault::outside(
        "another machine has the source NAT address",
        &[
            ("host", "ip netns add rival"),
            ("host", "ip link add rival0 type veth peer name eth0 netns rival"),
            ("host", "ip link set rival0 master pub0 up"),
            ("host", "ip -netns rival addr add {public}/24 dev eth0"),
            ("host", "ip -netns rival link set eth0 up"),
        ],
        "address-conflict",
        "answers too",
    )
    .undo(&[("host", "ip netns del rival"), ("host", "bash -c 'ip link del rival0 2>/dev/null; true'"), ("gateway", "ip neigh flush dev eth0")]),
    Fault::outside(
        "provider drops everything",
        &[("gateway", "nft 'add table ip p; add chain ip p c { type filter hook forward priority 0; policy drop; }'")],
        "no-reply",
        "leaves eth2 and no reply comes back",
    )
    .undo(&[("gateway", "nft delete table ip p")]),
    Fault::outside(
        "provider has no way back",
        &[("internet", "ip route del default")],
        "no-reply",
        "outside the router",
    )
    .undo(&[("internet", "ip route add default via 198.51.100.1")]),
    Fault::outside(
        "provider loses two of three packets",
        &[("gateway", "nft 'add table ip p; add chain ip p c { type filter hook forward priority 0; }; add rule ip p c icmp type echo-reply meta length < 200 numgen inc mod 3 < 2 drop'")],
        "packets-lost",
        "come back",
    )
    .undo(&[("gateway", "nft delete table ip p")]),
    Fault::outside(
        "path MTU black hole",
        &[
            ("gateway", "ip link set eth1 mtu 1300"),
            ("gateway", "nft 'add table ip p; add chain ip p c { type filter hook output priority 0; }; add rule ip p c icmp type 3 drop'"),
        ],
        "path-mtu",
        "packets of 1280 bytes are answered",
    )
    .undo(&[("gateway", "ip link set eth1 mtu 1500"), ("gateway", "nft delete table ip p")]),
    Fault::outside(
        "resolvers do not answer, addresses do",
        &[("internet", "nft 'add table ip p; add chain ip p c { type filter hook input priority 0; }; add rule ip p c udp dport 53 drop'")],
        "dns-broken",
        "no answer",
    )
    .undo(&[("internet", "nft delete table ip p")]),
];
