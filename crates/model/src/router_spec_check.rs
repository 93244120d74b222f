// SPDX-License-Identifier: Apache-2.0
//! Validation of a [`RouterSpec`]: all problems at once, each naming its field.

mod load_balancers;
mod vpc;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::router_spec::{
    Conntrack, Egress, FastPathSettings, GuestNetwork, Limits, POOL_MAX, PublicAddress, RouterSpec,
    SPEC_VERSION,
};
use crate::{FieldError, MacAddr, Protocol};

/// IPv4's smallest MTU, RFC 791.
const MTU_MIN: u32 = 68;
const MTU_MAX: u32 = 65_535;
/// The highest N of an interface `ethN`.
const INTERFACE_MAX: u8 = 254;

/// A field below its parent. Written out only for a problem: a spec may have thousands of rules.
#[derive(Clone, Copy)]
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    field: Field<'a>,
}

#[derive(Clone, Copy)]
enum Field<'a> {
    Name(&'a str),
    Item(&'a str, usize),
    Lease(MacAddr),
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        match self.field {
            Field::Name(name) => f.write_str(name),
            Field::Item(list, index) => write!(f, "{list}[{index}]"),
            Field::Lease(mac) => write!(f, "leases[{mac}]"),
        }
    }
}

/// Collects problems under a path of fields.
struct Check<'a> {
    path: Option<Path<'a>>,
    problems: &'a mut Vec<FieldError>,
}

impl Check<'_> {
    fn at<'s>(&'s mut self, field: impl Into<Field<'s>>) -> Check<'s> {
        Check {
            path: Some(Path {
                above: self.path.as_ref(),
                field: field.into(),
            }),
            problems: self.problems,
        }
    }

    fn require<'f>(&mut self, ok: bool, field: impl Into<Field<'f>>, value: impl ToString, expected: &str) {
        if !ok {
            let (above, field) = (self.path.as_ref(), field.into());
            let path = Path { above, field }.to_string();
            self.problems.push(FieldError::new(path, value, expected));
        }
    }
}

impl RouterSpec {
    /// Checks the whole document.
    ///
    /// # Errors
    /// Every problem found, each with its field. Nothing may be applied unless this returns `Ok`.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut problems = Vec::new();
        let mut check = Check {
            path: None,
            problems: &mut problems,
        };
        check.require(
            self.version == SPEC_VERSION,
            "version",
            self.version,
            "the version this build knows (1)",
        );
        check.require(
            is_host_name(&self.name),
            "name",
            &self.name,
            "1 to 63 letters, digits and hyphens",
        );
        vpc::check_kind(self, &mut check);
        check_interfaces(self, &mut check);
        check_public(self, &mut check.at("public"));
        for (i, network) in self.guest_networks.iter().enumerate() {
            check_guest_network(
                network,
                self.public.mtu,
                &mut check.at(Field::Item("guest_networks", i)),
            );
        }
        check_conntrack(&self.conntrack, &mut check.at("conntrack"));
        check_limits(&self.limits, &mut check.at("limits"));
        check_ssh(self, &mut check.at("ssh"));
        check_nat_log(self, &mut check.at("nat_log"));
        let memory = self.fastpath_settings.memory_mib;
        check.at("fastpath_settings").require(
            (1..=FastPathSettings::MEMORY_MIB_MAX).contains(&memory),
            "memory_mib",
            memory,
            "1 to 1024 MiB",
        );
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    fn is_guest_address(&self, address: Ipv4Addr) -> bool {
        self.guest_networks
            .iter()
            .any(|n| is_usable_in(n.gateway, address) && address != n.gateway.addr())
    }
}

fn check_interfaces(spec: &RouterSpec, check: &mut Check<'_>) {
    let mut seen = BTreeSet::new();
    let names = [&spec.control.interface, &spec.public.interface];
    for name in names
        .into_iter()
        .chain(spec.guest_networks.iter().map(|n| &n.interface))
        .chain(spec.private_gateways().iter().map(|g| &g.interface))
    {
        let number = name.strip_prefix("eth").and_then(|n| n.parse::<u8>().ok());
        let fine = number.is_some_and(|n| n <= INTERFACE_MAX && *name == format!("eth{n}"));
        check.require(fine, "interface", name, "eth0 to eth254");
        check.require(
            seen.insert(name),
            "interface",
            name,
            "an interface used only once",
        );
    }
    let control = spec.control.address;
    check.require(
        control.addr().is_link_local(),
        "control.address",
        control,
        "a link-local address, 169.254.0.0/16",
    );
}

fn check_public(spec: &RouterSpec, check: &mut Check<'_>) {
    let public = &spec.public;
    check.require(
        (MTU_MIN..=MTU_MAX).contains(&public.mtu),
        "mtu",
        public.mtu,
        "68 to 65535 bytes",
    );
    check_source_nat(&public.addresses, check);
    let reachable = public
        .addresses
        .iter()
        .any(|a| is_usable_in(a.address, public.gateway));
    check.require(
        reachable,
        "gateway",
        public.gateway,
        "an address in the subnet of a public address",
    );
    let mut seen = BTreeSet::new();
    let mut static_guests = BTreeSet::new();
    for (i, address) in public.addresses.iter().enumerate() {
        let mut check = check.at(Field::Item("addresses", i));
        let ip = address.address;
        check.require(
            seen.insert(ip.addr()),
            "address",
            ip,
            "an address listed only once",
        );
        check.require(
            is_usable_in(ip, ip.addr()),
            "address",
            ip,
            "a host address of its subnet",
        );
        check.require(
            ip.addr() != public.gateway,
            "address",
            ip,
            "an address other than the gateway's",
        );
        if let Some(guest) = address.static_nat {
            check.require(
                static_guests.insert(guest),
                "static_nat",
                guest,
                "a guest with one static NAT address only",
            );
        }
        check_public_address(spec, address, &mut check);
    }
}

/// One default source NAT address, and additional ones.
fn check_source_nat(addresses: &[PublicAddress], check: &mut Check<'_>) {
    let default = addresses.iter().filter(|a| a.source_nat).count();
    check.require(
        default == 1,
        "addresses",
        default,
        "exactly one source NAT address",
    );
    let additional = addresses.iter().filter(|a| a.source_nat_pool).count();
    check.require(
        default + additional <= POOL_MAX,
        "addresses",
        default + additional,
        "at most 16 addresses in the source NAT pool",
    );
    for (i, _) in addresses
        .iter()
        .enumerate()
        .filter(|(_, a)| a.source_nat && a.source_nat_pool)
    {
        check.at(Field::Item("addresses", i)).require(
            false,
            "source_nat_pool",
            true,
            "false for the default source NAT address",
        );
    }
}

fn check_public_address(spec: &RouterSpec, address: &PublicAddress, check: &mut Check<'_>) {
    if let Some(guest) = address.static_nat {
        check.require(
            spec.is_guest_address(guest),
            "static_nat",
            guest,
            "a guest's address in a guest network",
        );
        check.require(
            !address.source_nat && !address.source_nat_pool,
            "static_nat",
            guest,
            "an address that is not the source NAT address",
        );
        check.require(
            address.port_forwarding.is_empty(),
            "static_nat",
            guest,
            "an address without port forwarding",
        );
    }
    for (i, rule) in address.firewall.iter().enumerate() {
        check.at(Field::Item("firewall", i)).require(
            !rule.sources.is_empty(),
            "sources",
            "[]",
            "at least one CIDR",
        );
    }
    // First port -> (last port, index) of every forward, for overlaps in n log n.
    let mut taken: BTreeMap<(Protocol, u16), (u16, usize)> = BTreeMap::new();
    for (i, forward) in address.port_forwarding.iter().enumerate() {
        let mut check = check.at(Field::Item("port_forwarding", i));
        check.require(
            spec.is_guest_address(forward.guest),
            "guest",
            forward.guest,
            "a guest's address in a guest network",
        );
        check.require(
            forward.public_ports.count() == forward.private_ports.count(),
            "private_ports",
            forward.private_ports,
            "as many ports as public_ports",
        );
        let (first, last) = (forward.public_ports.first(), forward.public_ports.last());
        let before = taken.range(..=(forward.protocol, last)).next_back();
        let clash = before.filter(|((protocol, _), (end, _))| *protocol == forward.protocol && *end >= first);
        check.require(
            clash.is_none(),
            "public_ports",
            forward.public_ports,
            "ports that no other rule of the address forwards",
        );
        taken.insert((forward.protocol, first), (last, i));
    }
    load_balancers::check(spec, address, check);
}

fn check_guest_network(network: &GuestNetwork, public_mtu: u32, check: &mut Check<'_>) {
    check.require(
        (MTU_MIN..=public_mtu).contains(&network.mtu),
        "mtu",
        network.mtu,
        "at least 68 bytes and not above the public side's MTU",
    );
    check.require(
        is_usable_in(network.gateway, network.gateway.addr()) && network.gateway.prefix_len() <= 30,
        "gateway",
        network.gateway,
        "a host address of a network of /30 or larger",
    );
    let labels_fine = network.domain.split('.').all(is_host_name) && network.domain.len() <= 253;
    check.require(labels_fine, "domain", &network.domain, "a DNS domain name");
    check_egress(&network.egress, &mut check.at("egress"));
    let mut addresses = BTreeSet::new();
    for (mac, lease) in &network.leases {
        let mut check = check.at(Field::Lease(*mac));
        let fine = is_usable_in(network.gateway, lease.address) && lease.address != network.gateway.addr();
        check.require(
            fine,
            "address",
            lease.address,
            "a free host address of the guest network",
        );
        check.require(
            addresses.insert(lease.address),
            "address",
            lease.address,
            "an address leased only once",
        );
        check.require(
            is_host_name(&lease.hostname),
            "hostname",
            &lease.hostname,
            "1 to 63 letters, digits and hyphens",
        );
    }
}

fn check_egress(egress: &Egress, check: &mut Check<'_>) {
    for (i, rule) in egress.rules.iter().enumerate() {
        let mut check = check.at(Field::Item("rules", i));
        check.require(!rule.sources.is_empty(), "sources", "[]", "at least one CIDR");
        check.require(
            !rule.destinations.is_empty(),
            "destinations",
            "[]",
            "at least one CIDR",
        );
    }
}

fn check_conntrack(conntrack: &Conntrack, check: &mut Check<'_>) {
    check.require(
        conntrack.max >= 1_024,
        "max",
        conntrack.max,
        "at least 1024 sessions",
    );
    let timeouts = [
        ("tcp_established_secs", conntrack.tcp_established_secs),
        ("udp_secs", conntrack.udp_secs),
        ("udp_stream_secs", conntrack.udp_stream_secs),
        ("icmp_secs", conntrack.icmp_secs),
    ];
    for (field, secs) in timeouts {
        check.require(
            (1..=2_147_483).contains(&secs),
            field,
            secs,
            "1 to 2147483 seconds",
        );
    }
}

fn check_ssh(spec: &RouterSpec, check: &mut Check<'_>) {
    check.require(
        spec.ssh.port != 0,
        "port",
        spec.ssh.port,
        "a port from 1 to 65535",
    );
    for (i, key) in spec.ssh.authorized_keys.iter().enumerate() {
        let fine = key.len() <= 8_192 && !key.chars().any(char::is_control) && key.split(' ').count() >= 2;
        check.require(
            fine,
            Field::Item("authorized_keys", i),
            key,
            "one line such as \"ssh-ed25519 AAAA… comment\"",
        );
    }
}

fn check_limits(limits: &Limits, check: &mut Check<'_>) {
    let mut within = |field, value: Option<u32>, most: u32| {
        let expected = format!("1 to {most}");
        if let Some(value) = value {
            check.require((1..=most).contains(&value), field, value, &expected);
        }
    };
    within("guest_sessions", limits.guest_sessions, Limits::SESSIONS_MAX);
    within("guest_rate", limits.guest_rate, Limits::RATE_MAX);
    within("source_rate", limits.source_rate, Limits::RATE_MAX);
    within("ping_rate", limits.ping_rate, Limits::RATE_MAX);
}

fn check_nat_log(spec: &RouterSpec, check: &mut Check<'_>) {
    let Some(log) = &spec.nat_log else { return };
    check.require(
        (1..=1_000_000).contains(&log.records_per_second),
        "records_per_second",
        log.records_per_second,
        "1 to 1000000 records",
    );
    check.require(
        log.file_mib == 0 || (8..=65_536).contains(&log.file_mib),
        "file_mib",
        log.file_mib,
        "0, or 8 to 65536 MiB",
    );
    if let Some(collector) = log.collector {
        let fine = collector.port() != 0
            && is_usable_in(spec.control.address, *collector.ip())
            && *collector.ip() != spec.control.address.addr();
        let expected =
            "a port of another address of the control network, the only one it may be sent through";
        check.require(fine, "collector", collector, expected);
    }
}

/// Whether `address` is a host address (neither network nor broadcast) of `net`'s subnet.
fn is_usable_in(net: Ipv4Net, address: Ipv4Addr) -> bool {
    net.contains(&address)
        && (net.prefix_len() > 30 || (address != net.network() && address != net.broadcast()))
}

/// A DNS label, RFC 1123: 1 to 63 letters, digits and inner hyphens.
fn is_host_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
