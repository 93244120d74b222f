// SPDX-License-Identifier: Apache-2.0
//! Rules that cost what those of CloudStack's virtual router cost: the same chains in the same order with the same
//! matches for an isolated network with one public address, written from the facts in its documents and measurements.

use anyhow::ensure;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::world::World;

const RULES: &str = "\
*mangle
:PREROUTING ACCEPT
:FIREWALL_203.0.113.10 -
:VPN_203.0.113.10 -
-A PREROUTING -i eth0 -m state --state RELATED,ESTABLISHED -j CONNMARK --restore-mark
-A PREROUTING -i eth2 -m state --state NEW -j CONNMARK --set-xmark 0x66/0xffffffff
-A PREROUTING -d 203.0.113.10/32 -j VPN_203.0.113.10
-A PREROUTING -d 203.0.113.10/32 -j FIREWALL_203.0.113.10
-A FIREWALL_203.0.113.10 -m state --state RELATED,ESTABLISHED -j RETURN
-A FIREWALL_203.0.113.10 -j DROP
-A VPN_203.0.113.10 -m state --state RELATED,ESTABLISHED -j ACCEPT
-A VPN_203.0.113.10 -j RETURN
-A POSTROUTING -p udp -m udp --dport 68 -j CHECKSUM --checksum-fill
COMMIT
*filter
:INPUT DROP
:FORWARD DROP
:FW_EGRESS_RULES -
:FW_OUTBOUND -
:NETWORK_STATS -
-A INPUT -j NETWORK_STATS
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A FORWARD -j NETWORK_STATS
-A FORWARD -i eth2 -o eth1 -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth2 -o eth0 -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth0 -o eth0 -m state --state NEW -j ACCEPT
-A FORWARD -i eth0 -o eth2 -j FW_OUTBOUND
-A FW_OUTBOUND -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FW_OUTBOUND -j FW_EGRESS_RULES
-A FW_EGRESS_RULES -j ACCEPT
-A NETWORK_STATS -i eth0 -o eth2
-A NETWORK_STATS -i eth2 -o eth0
-A NETWORK_STATS ! -i eth0 -o eth2 -p tcp
-A NETWORK_STATS -i eth2 ! -o eth0 -p tcp
-A OUTPUT -j NETWORK_STATS
COMMIT
*nat
-A POSTROUTING -o eth2 -j SNAT --to-source 203.0.113.10
COMMIT
";

/// Loads them, and the routing table that connections of the public interface are marked for.
pub fn load(world: &World) -> anyhow::Result<()> {
    let router = &world.router;
    router.check(&["ip", "rule", "add", "fwmark", "102", "table", "102"])?;
    router.check(&[
        "ip",
        "route",
        "add",
        "default",
        "via",
        "203.0.113.1",
        "dev",
        "eth2",
        "table",
        "102",
    ])?;
    router.check(&["ip", "route", "add", "10.1.0.0/16", "dev", "eth0", "table", "102"])?;
    let restore = || -> anyhow::Result<()> {
        let mut child = Command::new("iptables-restore").stdin(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(RULES.as_bytes())?;
        }
        let status = child.wait()?;
        ensure!(status.success(), "iptables-restore: {status}");
        Ok(())
    };
    router.within(restore)?
}
