// SPDX-License-Identifier: Apache-2.0
//! Faults of guests, and of the wire between them and the router.

use super::Fault;

/// What a guest's administrator may have done.
pub const SETTINGS: &[Fault] = &[
    Fault::outside(
        "guest with a wrong gateway",
        &[("guest1", "ip route replace default via 10.1.1.250")],
        "guest-gateway",
        "10.1.1.250",
    )
    .fixed(),
    Fault::outside(
        "guest without a gateway",
        &[("guest1", "ip route del default")],
        "guest-gateway",
        "there is no default route",
    )
    .fixed(),
    Fault::outside(
        "guest with another address",
        &[
            ("guest1", "ip addr flush dev eth0"),
            ("guest1", "ip addr add 10.1.1.77/24 dev eth0"),
            ("guest1", "ip route add default via 10.1.1.1"),
        ],
        "guest-address",
        "10.1.1.77/24",
    )
    .fixed(),
    Fault::outside(
        "guest with a wrong netmask",
        &[
            ("guest1", "ip addr add 10.1.1.2/16 dev eth0"),
            ("guest1", "ip addr del 10.1.1.2/24 dev eth0"),
            ("guest1", "ip route replace default via 10.1.1.1"),
        ],
        "guest-netmask",
        "10.1.1.2/16",
    )
    .fixed(),
    Fault::outside(
        "guest without a lease",
        &[("guest1", "ip addr flush dev eth0")],
        "guest-no-lease",
        "no address",
    )
    .fixed(),
    Fault::outside(
        "guest's interface switched off",
        &[("guest1", "ip link set eth0 down")],
        "guest-link-down",
        "eth0",
    )
    .fixed(),
    Fault::outside(
        "guest without its interface",
        &[(
            "guest1",
            "bash -c 'unshare -n sleep 600 >/dev/null 2>&1 </dev/null & until [ \"$(readlink /proc/$!/ns/net)\" != \
             \"$(readlink /proc/self/ns/net)\" ]; do sleep 0.02; done; ip link set eth0 netns $!'",
        )],
        "guest-no-nic",
        "no interface has the Ethernet address",
    )
    .fixed(),
    Fault::outside(
        "guest's MTU above the public MTU",
        &[("guest1", "ip link set eth0 mtu 9000")],
        "guest-mtu",
        "MTU 9000",
    )
    .fixed(),
    Fault::outside(
        "guest asks a resolver that is none",
        &[("guest1", "bash -c 'echo nameserver 10.1.1.99 > /etc/resolv.conf'")],
        "dns-guest",
        "10.1.1.99",
    )
    .fixed(),
    Fault::outside(
        "guest stopped",
        &[("job", "stopVirtualMachine id={guest2}")],
        "guest-stopped",
        "does not run",
    )
    .ask(&["guest2"])
    .fixed(),
];

/// The wire, and firewalls of guests.
pub const WIRE: &[Fault] = &[
    Fault::outside(
        "another guest claims the gateway's address",
        &[
            ("guest2", "ip addr add 10.1.1.1/32 dev eth0"),
            ("guest2", "arping -A -c 2 -I eth0 10.1.1.1"),
            ("guest2", "sysctl -qw net.ipv4.conf.eth0.arp_ignore=0"),
            ("guest1", "ip neigh flush dev eth0"),
            ("guest2", "arping -U -c 2 -I eth0 10.1.1.1"),
        ],
        "gateway-stolen",
        "10.1.1.1 is at",
    )
    .undo(&[("guest2", "ip addr del 10.1.1.1/32 dev eth0"), ("guest1", "ip neigh flush dev eth0")]),
    Fault::outside(
        "guest's port blocked on the host's bridge",
        &[("host", "bash -c 'bridge link set dev $(basename $(grep -l eth0 /sys/class/net/v*/ifalias | head -1 | xargs dirname)) state 0'")],
        "port-blocked",
        "does not forward",
    )
    .undo(&[("host", "bash -c 'for p in /sys/class/net/v*; do bridge link set dev $(basename $p) state 3; done'")]),
    Fault::outside(
        "guest's firewall drops everything",
        &[("guest1", "nft 'add table ip fw; add chain ip fw c { type filter hook output priority 0; policy drop; }'")],
        "guest-cut-off",
        "ping 10.1.1.1",
    )
    .undo(&[("guest1", "nft delete table ip fw")]),
    Fault::outside(
        "guest's firewall drops what goes outside",
        &[("guest1", "nft 'add table ip fw; add chain ip fw c { type filter hook output priority 0; }; add rule ip fw c ip daddr 198.51.100.53 drop'")],
        "never-enters",
        "never enters eth0",
    )
    .undo(&[("guest1", "nft delete table ip fw")]),
    Fault::outside(
        "one direction lost: guest's firewall drops replies",
        &[("guest1", "nft 'add table ip fw; add chain ip fw c { type filter hook input priority 0; }; add rule ip fw c ip saddr 198.51.100.53 drop'")],
        "reply-ignored",
        "the reply leaves eth0",
    )
    .undo(&[("guest1", "nft delete table ip fw")]),
    Fault::outside(
        "guest's firewall drops ICMP 'fragmentation needed'",
        &[
            ("gateway", "ip link set eth1 mtu 1300"),
            ("guest1", "nft 'add table ip fw; add chain ip fw c { type filter hook input priority 0; }; add rule ip fw c icmp type 3 drop'"),
        ],
        "icmp-filtered",
        "1300 bytes fit",
    )
    .undo(&[("gateway", "ip link set eth1 mtu 1500"), ("guest1", "nft delete table ip fw")]),
    Fault::outside(
        "IPsec without NAT traversal",
        &[("guest1", "bash -c 'head -c 100 /dev/zero | socat -u - IP4-SENDTO:198.51.100.10:50'")],
        "ipsec",
        "ESP from 10.1.1.2 to 198.51.100.10",
    )
    .undo(&[("router", "bash -c 'conntrack -D -d 198.51.100.10 || true'")]),
];

/// Policy.
pub const POLICY: &[Fault] = &[
    Fault::outside(
        "two guests speak a protocol without ports with one peer",
        &[
            ("guest1", "bash -c 'echo a | socat -u - IP4-SENDTO:198.51.100.10:253'"),
            ("guest2", "bash -c 'while sleep 0.3; do echo b | socat -u - IP4-SENDTO:198.51.100.10:253; done >/dev/null 2>&1 </dev/null &'"),
        ],
        "insert-failed",
        "insert_failed rose by",
    )
    .undo(&[
        ("guest2", "pkill -f 'sleep 0.3'"),
        ("router", "bash -c 'conntrack -D -p 253 || true'"),
    ]),
    Fault::outside(
        "a guest opens sessions faster than it may",
        &[
            ("api", "updateConfiguration name=router.guest.sessions.rate value=5 networkid={network}"),
            ("guest2", "bash -c 'while sleep 0.03; do echo b >/dev/udp/198.51.100.10/9; done >/dev/null 2>&1 </dev/null &'"),
        ],
        "guest-limited",
        "router.guest.sessions.rate",
    )
    .undo(&[
        ("guest2", "pkill -f 'sleep 0.03'"),
        ("api", "resetConfiguration name=router.guest.sessions.rate networkid={network}"),
    ]),
    Fault::outside(
        "egress default deny",
        &[("job", "updateNetwork id={network} networkofferingid={egress-deny}")],
        "egress-denies",
        "the default is deny",
    )
    .undo(&[("job", "updateNetwork id={network} networkofferingid={egress-allow}")]),
    Fault::outside(
    "an egress rule denies it",
    &[(
        "job",
        "createEgressFirewallRule networkid={network} protocol=tcp startport=443 endport=443",
    )],
    "egress-denies",
    "may not leave (egress rule {egress-rule})",
)
.ask(&["guest1", "--to", "198.51.100.10:443"]),
];
