// SPDX-License-Identifier: Apache-2.0
//! What a guest was told by DHCP.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// The leases of a guest's NICs, by interface: `eth0`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Leases(pub BTreeMap<String, NicLease>);

/// One NIC's lease, as it was put into the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NicLease {
    /// The address with the network's prefix length.
    pub address: Ipv4Net,
    /// The default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// MTU in bytes; `None` when the server said nothing about it.
    pub mtu: Option<u32>,
    /// Resolvers.
    pub dns: Vec<Ipv4Addr>,
    /// The search domain.
    pub domain: Option<String>,
    /// Whether the guest leaves by it: its gateway is the default route and its resolvers are asked. `None` when an earlier
    /// version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_out: Option<bool>,
}

/// What udhcpc reported through its script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// There is a lease, new or renewed.
    Lease(NicLease),
    /// There is none (any more).
    None,
}

impl Report {
    /// Reads a line of the script. `None` when it is none that matters, or not what a DHCP server may say.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let event = fields.next()?;
        match event {
            "deconfig" => return Some(Self::None),
            "bound" | "renew" => {}
            _ => return None,
        }
        let mut field = || fields.next().unwrap_or_default().trim();
        let (ip, mask, router, mtu, dns, domain) = (field(), field(), field(), field(), field(), field());
        let address = Ipv4Net::new(ip.parse().ok()?, mask.parse().ok()?).ok()?;
        let mtu = mtu.parse().ok().filter(|mtu| (68..=65_535).contains(mtu));
        Some(Self::Lease(NicLease {
            address,
            gateway: router.split(' ').next().and_then(|first| first.parse().ok()),
            mtu,
            dns: dns
                .split(' ')
                .filter_map(|one| one.parse().ok())
                .take(3)
                .collect(),
            domain: is_domain(domain).then(|| domain.to_owned()),
            leads_out: None,
        }))
    }
}

impl NicLease {
    /// The text of /etc/resolv.conf.
    pub(super) fn resolv_conf(&self) -> String {
        let mut text = String::new();
        if let Some(domain) = &self.domain {
            text.push_str(&format!("search {domain}\n"));
        }
        for server in &self.dns {
            text.push_str(&format!("nameserver {server}\n"));
        }
        text
    }
}

fn is_domain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_from_the_scripts_line() {
        let line = "bound\t10.1.1.11\t24\t10.1.1.1\t1450\t10.1.1.1 8.8.8.8\tcs1cloud.internal";
        let Some(Report::Lease(lease)) = Report::parse(line) else {
            panic!("no lease")
        };
        assert_eq!(lease.address.to_string(), "10.1.1.11/24");
        assert_eq!(
            (lease.gateway, lease.mtu),
            (Some(Ipv4Addr::new(10, 1, 1, 1)), Some(1_450))
        );
        assert_eq!(
            lease.resolv_conf(),
            "search cs1cloud.internal\nnameserver 10.1.1.1\nnameserver 8.8.8.8\n"
        );
    }

    #[test]
    fn what_a_server_may_not_say_changes_nothing() {
        assert_eq!(Report::parse("bound\tnonsense\t24\t\t\t\t"), None);
        assert_eq!(Report::parse("bound\t10.1.1.11\t99\t\t\t\t"), None);
        assert_eq!(Report::parse("leasefail\t\t\t\t\t\t"), None);
        assert_eq!(Report::parse("deconfig\t\t\t\t\t\t"), Some(Report::None));
        let Some(Report::Lease(lease)) = Report::parse("renew\t10.1.1.11\t24\tx\t1\ty\ta b;c") else {
            panic!()
        };
        assert_eq!(
            (lease.gateway, lease.mtu, lease.dns.len(), lease.domain),
            (None, None, 0, None)
        );
    }
}
