// SPDX-License-Identifier: Apache-2.0
//! Faults in the router. Its engine is stopped for those that it would mend before anybody looks.

use super::Fault;

/// What its engine would mend.
pub const CONFIGURATION: &[Fault] = &[
    Fault::frozen(
        "eth2 switched off",
        &[("router", "ip link set eth2 down")],
        "interface-down",
        "eth2",
    ),
    Fault::frozen(
        "eth2 gone (renamed)",
        &[
            ("router", "ip link set eth2 down"),
            ("router", "ip link set eth2 name lost0"),
        ],
        "interface-missing",
        "Interface eth2 not found",
    )
    .undo(&[("router", "ip link set lost0 name eth2")]),
    Fault::frozen(
        "source NAT address taken from eth2",
        &[("router", "ip addr flush dev eth2")],
        "address-not-bound",
        "203.0.113.10/24 is missing",
    )
    .fixed(),
    Fault::frozen(
        "guests' gateway address taken from eth0",
        &[("router", "ip addr flush dev eth0")],
        "gateway-not-bound",
        "eth0",
    ),
    Fault::frozen(
        "eth2 with another MTU",
        &[("router", "ip link set eth2 mtu 1400")],
        "interface-differs",
        "MTU 1400",
    ),
    Fault::frozen(
        "ip_forward switched off",
        &[("router", "sysctl -w net.ipv4.ip_forward=0")],
        "forwarding-off",
        "net.ipv4.ip_forward = 0",
    )
    .fixed(),
    Fault::frozen(
        "default route removed",
        &[("router", "ip route del default")],
        "default-route",
        "there is no default route",
    ),
    Fault::frozen(
        "default route through another gateway",
        &[("router", "ip route replace default via 203.0.113.77")],
        "default-route",
        "203.0.113.77",
    ),
    Fault::frozen(
        "foreign route to a destination",
        &[("router", "ip route add 198.51.100.53/32 via 203.0.113.99")],
        "foreign-route",
        "198.51.100.53",
    ),
    Fault::frozen(
        "strict reverse path filtering switched off",
        &[("router", "sysctl -w net.ipv4.conf.eth0.rp_filter=0")],
        "parameter-differs",
        "rp_filter",
    ),
    Fault::frozen(
        "DHCP and DNS server killed",
        &[("router", "pkill -KILL -x dnsmasq")],
        "dhcp-down",
        "10.1.1.1:53",
    ),
];

/// Rules.
pub const RULES: &[Fault] = &[
    Fault::frozen(
        "the router's table deleted",
        &[("router", "nft delete table ip outgate")],
        "rules-missing",
        "table ip outgate is missing",
    ),
    Fault::frozen(
        "every rule flushed",
        &[("router", "nft flush ruleset")],
        "rules-missing",
        "table ip outgate is missing",
    )
    .fixed(),
    Fault::frozen(
        "rules flushed, chains left",
        &[("router", "nft flush table ip outgate")],
        "rules-missing",
        "rule missing",
    ),
    Fault::frozen(
        "source NAT rules flushed",
        &[("router", "nft flush chain ip outgate nat_postrouting")],
        "rules-differ",
        "nat_postrouting",
    ),
    Fault::frozen(
        "foreign table that drops",
        &[(
            "router",
            "nft 'add table inet other; add chain inet other c { type filter hook forward priority -5; }; \
             add rule inet other c drop'",
        )],
        "rules-foreign",
        "table inet other",
    ),
    Fault::frozen(
        "foreign rule that shadows the router's own",
        &[("router", "nft insert rule ip outgate forward drop")],
        "rules-foreign",
        "forward",
    )
    .fixed(),
    Fault::frozen(
        "iptables' NAT rule flushed",
        &[("router", "iptables -t nat -F POSTROUTING")],
        "nat-rule-missing",
        "-j SNAT --to-source 203.0.113.10",
    ),
    Fault::frozen(
        "iptables rule of somebody else",
        &[("router", "iptables -t nat -I POSTROUTING -o eth2 -j ACCEPT")],
        "rules-foreign",
        "-o eth2 -j ACCEPT",
    ),
];

/// Packets lost inside, where no rule says why: tc drops them.
pub const LOST_INSIDE: &[Fault] = &[
    Fault::outside(
        "requests dropped on the way out (tc)",
        &[
            ("router", "tc qdisc add dev eth2 clsact"),
            ("router", "tc filter add dev eth2 egress bpf da bytecode '{drop-requests}'"),
        ],
        "never-leaves",
        "enters eth0 and never leaves eth2",
    )
    .undo(&[("router", "tc qdisc del dev eth2 clsact")]),
    Fault::outside(
        "replies dropped on the way in (tc)",
        &[
            ("router", "tc qdisc add dev eth0 clsact"),
            ("router", "tc filter add dev eth0 egress bpf da bytecode '{drop-replies}'"),
        ],
        "reply-lost",
        "enters eth2 and never leaves eth0",
    )
    .undo(&[("router", "tc qdisc del dev eth0 clsact")]),
    Fault::outside(
        "ICMP 'fragmentation needed' dropped on the way in (tc)",
        &[
            ("gateway", "ip link set eth1 mtu 1300"),
            ("router", "tc qdisc add dev eth0 clsact"),
            ("router", "tc filter add dev eth0 egress bpf da bytecode '{drop-too-large}'"),
        ],
        "icmp-filtered",
        "enters eth2 and never leaves eth0",
    )
    .undo(&[
        ("gateway", "ip link set eth1 mtu 1500"),
        ("router", "tc qdisc del dev eth0 clsact"),
    ]),
    Fault::outside(
        "routing rule of somebody else",
        &[("router", "ip rule add from 192.0.2.0/24 lookup 100")],
        "policy-route",
        "from 192.0.2.0/24 lookup 100",
    )
    .fixed(),
    Fault::outside(
        "asymmetric route: rp_filter drops replies",
        &[
            ("internet", "nft 'add table ip t; add chain ip t c { type filter hook output priority 0; }; add rule ip t c ip dscp set 0x04'"),
            ("router", "ip route add default dev eth1 table 100"),
            ("router", "ip rule add tos 0x10 to 198.51.100.53 lookup 100"),
        ],
        "reverse-path",
        "IPReversePathFilter",
    )
    .undo(&[
        ("router", "ip rule del tos 0x10 to 198.51.100.53 lookup 100"),
        ("router", "ip route flush table 100"),
        ("internet", "nft delete table ip t"),
    ]),
];

/// The router as a whole.
pub const LIFE: &[Fault] = &[
    Fault::frozen("engine stopped", &[], "engine-down", "no answer").fixed(),
    Fault::frozen(
        "database changed, router did not follow",
        &[("api", "createEgressFirewallRule networkid={network} protocol=tcp startport=25 endport=25")],
        "database-differs",
        "the database is at generation",
    ),
    Fault::frozen("sshd killed", &[("router", "pkill -KILL -o -x sshd")], "ssh-unreachable", "3922").fixed(),
    Fault::outside(
        "sshd cannot be reached",
        &[("host", "nft 'add table ip block; add chain ip block c { type filter hook output priority 0; }; add rule ip block c tcp dport 3922 drop'")],
        "ssh-unreachable",
        "3922",
    )
    .undo(&[("host", "nft delete table ip block")]),
    Fault::outside(
        "somebody undoes each repair",
        &[
            ("router", "bash -c 'setsid bash -c \"while sleep 0.3; do ip addr flush dev eth2; done\" >/dev/null 2>&1 &'"),
            ("event", "ROUTER.DRIFT 5 eth2"),
        ],
        "repairs-undone",
        "times",
    )
    .undo(&[("router", "pkill -f 'while sleep'")]),
    Fault::outside(
        "router's process killed, and its host cannot start another",
        &[
            ("host", "bash -c 'echo exec sleep 611 >/tmp/outgate; chmod +x /tmp/outgate; sed -i 1i#!/bin/sh /tmp/outgate'"),
            ("host", "mount --bind /tmp/outgate /run/outgate/bin/outgate"),
            ("kill", "{router}"),
        ],
        "router-down",
        "its host",
    )
    .undo(&[
        ("host", "umount /run/outgate/bin/outgate"),
        ("host", "pkill -KILL -f 'sleep 611'"),
    ]),
    Fault::outside(
        "source NAT address no longer assigned (the store changed behind the server's back)",
        &[("unassign", "")],
        "no-source-nat",
        "listPublicIpAddresses issourcenat=true finds none",
    )
    .fixed(),
    Fault::outside("router stopped", &[("job", "stopRouter id={router}")], "router-stopped", "Stopped").fixed(),
    Fault::outside("router destroyed", &[("job", "destroyRouter id={router}")], "no-router", "none").fixed(),
    Fault::outside(
        "boot configuration fails (DHCP server cannot start)",
        &[
            ("host", "mount --bind /bin/false /usr/sbin/dnsmasq"),
            ("api", "restartNetwork id={network} cleanup=true"),
            ("event", "ROUTER.ERROR 1 dnsmasq"),
        ],
        "boot-failed",
        "dnsmasq",
    )
    .undo(&[
        ("host", "umount /usr/sbin/dnsmasq"),
        ("job", "restartNetwork id={network} cleanup=true"),
    ]),
];
