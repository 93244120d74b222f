// SPDX-License-Identifier: Apache-2.0
//! dnsmasq: DHCP and DNS for guests, on the guest side only.

use std::collections::BTreeSet;
use std::fmt::Write;

use outgate_model::RouterSpec;
use outgate_model::router_spec::{GuestNetwork, Lease};

use crate::router_plan::{File, OnChange, Service};

/// dnsmasq's configuration.
pub const DNSMASQ_CONF: &str = "/run/outgate-vr/dnsmasq.conf";
/// One line a guest: MAC address, address, name. Read again on SIGHUP.
pub const DNSMASQ_DHCP_HOSTS: &str = "/run/outgate-vr/dnsmasq.dhcp-hosts";
/// Names of guests and of the router, as in /etc/hosts. Read again on SIGHUP.
pub const DNSMASQ_DNS_HOSTS: &str = "/run/outgate-vr/dnsmasq.hosts";
/// The leases that dnsmasq has handed out; it writes this file itself.
pub const DNSMASQ_LEASES: &str = "/run/outgate-vr/dnsmasq.leases";

/// How long a lease lasts. Addresses never change hands while a guest lives, so this only bounds how soon a changed
/// option reaches guests: they renew after half of it.
const LEASE_TIME: &str = "12h";

/// The tag of NICs that are not their guests' default ones.
const SECOND: &str = "second";

/// What does not depend on the spec. `user=root` and no group: in a user namespace there may be no other user to
/// become, and changing the group is refused; the program sees nothing but its router's namespaces.
const RULES: &str = "\
user=root
group=
pid-file=
log-facility=-
bind-dynamic
except-interface=lo
no-hosts
no-resolv
no-poll
domain-needed
bogus-priv
cache-size=2000
dns-forward-max=300
edns-packet-max=1232
dhcp-authoritative
no-ping
dhcp-lease-max=65536
dhcp-ignore=tag:!known
";

pub(super) fn service(spec: &RouterSpec) -> Service {
    let argv = vec![
        "/usr/sbin/dnsmasq".to_owned(),
        "--keep-in-foreground".to_owned(),
        format!("--conf-file={DNSMASQ_CONF}"),
    ];
    let file = |content, on_change| File {
        content,
        mode: 0o644,
        on_change,
    };
    let files = [
        (DNSMASQ_CONF, file(config(spec), OnChange::Restart)),
        (DNSMASQ_DHCP_HOSTS, file(dhcp_hosts(spec), OnChange::Hangup)),
        (DNSMASQ_DNS_HOSTS, file(dns_hosts(spec), OnChange::Hangup)),
    ];
    Service {
        argv,
        files: files.map(|(path, file)| (path.to_owned(), file)).into(),
        check: Vec::new(),
        control: None,
    }
}

fn config(spec: &RouterSpec) -> String {
    let mut text = "# Made by outgate from the router's spec; changes here are undone.\n".to_owned();
    text.push_str(RULES);
    let _ = writeln!(text, "dhcp-hostsfile={DNSMASQ_DHCP_HOSTS}");
    let _ = writeln!(text, "addn-hosts={DNSMASQ_DNS_HOSTS}");
    let _ = writeln!(text, "dhcp-leasefile={DNSMASQ_LEASES}");
    for network in &spec.guest_networks {
        network_config(network, &mut text);
    }
    // Names and resolvers are the program's, not one network's: tiers that have them in common name them once.
    let mut said = BTreeSet::new();
    for line in spec.guest_networks.iter().flat_map(naming) {
        if said.insert(line.clone()) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

fn naming(network: &GuestNetwork) -> impl Iterator<Item = String> {
    // Names of the guests' own domain are never asked of the world.
    let local = format!("local=/{}/", network.domain);
    let servers = network.upstream_dns.iter().map(|s| format!("server={s}"));
    std::iter::once(local).chain(servers)
}

fn network_config(network: &GuestNetwork, text: &mut String) {
    let GuestNetwork {
        interface,
        gateway,
        domain,
        mtu,
        ..
    } = network;
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!("interface={interface}"));
    line(format!(
        "dhcp-range=set:{interface},{},static,{},{LEASE_TIME}",
        gateway.network(),
        gateway.netmask()
    ));
    let option = format!("dhcp-option=tag:{interface},option");
    // Without a value an option is not sent, not even with dnsmasq's own idea of it.
    for (name, value) in [("router", gateway.addr()), ("dns-server", gateway.addr())] {
        line(format!(
            "dhcp-option=tag:{interface},tag:!{SECOND},option:{name},{value}"
        ));
        line(format!("dhcp-option=tag:{interface},tag:{SECOND},option:{name}"));
    }
    line(format!("{option}:mtu,{mtu}"));
    line(format!("{option}:domain-name,{domain}"));
}

fn dhcp_hosts(spec: &RouterSpec) -> String {
    let mut text = String::new();
    for network in &spec.guest_networks {
        for (mac, lease) in &network.leases {
            let tag = if lease.default_route {
                String::new()
            } else {
                format!("set:{SECOND},")
            };
            let Lease {
                address, hostname, ..
            } = lease;
            let _ = writeln!(text, "{mac},{tag}{address},{hostname},{LEASE_TIME}");
        }
    }
    text
}

fn dns_hosts(spec: &RouterSpec) -> String {
    let mut text = String::new();
    for network in &spec.guest_networks {
        let names = network.leases.values().map(|l| (l.address, l.hostname.as_str()));
        for (address, name) in std::iter::once((network.gateway.addr(), spec.name.as_str())).chain(names) {
            let _ = writeln!(text, "{address} {name}.{} {name}", network.domain);
        }
    }
    text
}
