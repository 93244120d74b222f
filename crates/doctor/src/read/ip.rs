// SPDX-License-Identifier: Apache-2.0
//! `ip -j`: addresses, routes, policy rules, neighbours.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::MacAddr;
use serde::Deserialize;

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkSeen {
    /// Its Ethernet address.
    pub mac: Option<MacAddr>,
    /// Bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// Its IPv4 addresses.
    pub addresses: Vec<Ipv4Net>,
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSeen {
    /// Where to.
    pub to: Ipv4Net,
    /// Through which router.
    pub via: Option<Ipv4Addr>,
    /// Out of which interface.
    pub interface: String,
    /// The preferred source.
    pub source: Option<Ipv4Addr>,
    /// Whether the kernel made it for an address.
    pub by_kernel: bool,
}

impl std::fmt::Display for RouteSeen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.to.prefix_len() == 0 {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.to)?;
        }
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        write!(f, " dev {}", self.interface)
    }
}

#[derive(Deserialize)]
struct Link {
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    mtu: u32,
    #[serde(default)]
    address: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    family: String,
    local: Option<String>,
    prefixlen: u8,
}

/// `ip -j addr show`.
pub fn links(json: &str) -> Option<BTreeMap<String, LinkSeen>> {
    let links: Vec<Link> = serde_json::from_str(json).ok()?;
    let seen = links.into_iter().map(|link| {
        let has = |flag: &str| link.flags.iter().any(|f| f == flag);
        let inet = link.addr_info.iter().filter(|a| a.family == "inet");
        let addresses = inet.filter_map(|a| Ipv4Net::new(a.local.as_ref()?.parse().ok()?, a.prefixlen).ok());
        let seen = LinkSeen {
            mac: link.address.parse().ok(),
            mtu: link.mtu,
            up: has("UP"),
            carrier: has("LOWER_UP"),
            addresses: addresses.collect(),
        };
        (link.ifname, seen)
    });
    Some(seen.collect())
}

#[derive(Deserialize)]
struct Route {
    dst: String,
    gateway: Option<Ipv4Addr>,
    dev: Option<String>,
    protocol: Option<String>,
    prefsrc: Option<Ipv4Addr>,
}

/// `ip -j route show`.
pub fn routes(json: &str) -> Option<Vec<RouteSeen>> {
    let routes: Vec<Route> = serde_json::from_str(json).ok()?;
    let seen = routes.into_iter().filter_map(|route| {
        Some(RouteSeen {
            to: network(&route.dst)?,
            via: route.gateway,
            interface: route.dev?,
            source: route.prefsrc,
            by_kernel: route.protocol.as_deref() == Some("kernel"),
        })
    });
    Some(seen.collect())
}

fn network(text: &str) -> Option<Ipv4Net> {
    match text {
        "default" => Some(Ipv4Net::default()),
        net if net.contains('/') => net.parse().ok(),
        host => Ipv4Net::new(host.parse().ok()?, 32).ok(),
    }
}

/// `ip rule show`, without the three that every namespace has.
pub fn policy(text: &str) -> Vec<String> {
    let own = |line: &&str| {
        let (priority, rest) = line.split_once(':').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        !matches!(
            (priority, words.as_slice()),
            ("0", ["from", "all", "lookup", "local"])
                | ("32766", ["from", "all", "lookup", "main"])
                | ("32767", ["from", "all", "lookup", "default"])
        )
    };
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.filter(own).map(|l| l.replace('\t', " ")).collect()
}

#[derive(Deserialize)]
struct Neighbour {
    dst: String,
    lladdr: Option<String>,
}

/// Which Ethernet address `ip -j neigh show` has for `address`.
pub fn neighbour(json: &str, address: Ipv4Addr) -> Option<MacAddr> {
    let all: Vec<Neighbour> = serde_json::from_str(json).ok()?;
    let wanted = address.to_string();
    let found = all.into_iter().find(|n| n.dst == wanted)?;
    found.lladdr?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_with_their_state_and_addresses() {
        let json = r#"[{"ifname":"eth2","flags":["BROADCAST","UP"],"mtu":1500,"address":"02:02:00:00:00:02",
            "addr_info":[{"family":"inet","local":"203.0.113.10","prefixlen":24},{"family":"inet6","local":"fe80::1","prefixlen":64}]}]"#;
        let eth2 = &links(json).unwrap()["eth2"];
        assert!(eth2.up && !eth2.carrier);
        assert_eq!(eth2.addresses, ["203.0.113.10/24".parse().unwrap()]);
        assert_eq!(links("no JSON"), None);
    }

    #[test]
    fn routes_are_read_with_and_without_a_gateway() {
        let json = r#"[{"dst":"default","gateway":"203.0.113.1","dev":"eth2","protocol":"static","prefsrc":"203.0.113.10"},
            {"dst":"10.1.1.0/24","dev":"eth0","protocol":"kernel"},{"dst":"192.0.2.1","dev":"eth1"}]"#;
        let routes = routes(json).unwrap();
        assert_eq!(routes[0].to_string(), "default via 203.0.113.1 dev eth2");
        assert!(routes[1].by_kernel && !routes[2].by_kernel);
        assert_eq!(routes[2].to.prefix_len(), 32);
    }

    #[test]
    fn only_rules_of_somebody_else_are_policy() {
        let text = "0:\tfrom all lookup local\n100:\tfrom all iif lo lookup 100\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
        assert_eq!(policy(text), ["100: from all iif lo lookup 100"]);
    }
}
