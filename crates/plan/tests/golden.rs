// SPDX-License-Identifier: Apache-2.0
//! Plans to look at: each directory of tests/golden holds a spec and what becomes of it. `UPDATE_GOLDEN=1 cargo test`
//! writes the second anew; review the change as you would review code. Each test's comment is the rule it shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use std::path::{Path, PathBuf};

use outgate_model::RouterSpec;
use outgate_plan::{parse_ruleset, plan};
use support::nft;
use support::show::show;

fn directory(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case)
}

/// Compares with the golden files, and the ruleset with what the kernel makes of it.
fn golden(case: &str) -> String {
    let directory = directory(case);
    let json = std::fs::read_to_string(directory.join("spec.json")).expect("the case has a spec.json");
    let spec: RouterSpec = serde_json::from_str(&json).unwrap();
    assert_eq!(spec.validate(), Ok(()));
    let plan = plan(&spec);
    let ruleset = plan.ruleset.to_script();
    let kernel = nft(std::slice::from_ref(&ruleset)).unwrap();
    assert_eq!(parse_ruleset(&kernel).unwrap().unwrap(), plan.ruleset);
    for (name, text) in [("ruleset.nft", &ruleset), ("plan.txt", &show(&plan))] {
        let path = directory.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == *text,
            "{} differs from the plan (UPDATE_GOLDEN=1 writes it anew):\n{text}",
            path.display()
        );
    }
    ruleset
}

/// Guests leave through eth2 with the network's source NAT address; nothing unsolicited gets in.
#[test]
fn source_nat() {
    golden("source_nat");
}

/// With a pool a session gets the default address; one whose destination has no port left there the next; who was moved
/// stays moved. With one address there is none of this.
#[test]
fn source_nat_pool() {
    golden("source_nat_pool");
}

/// A port forward opens nothing by itself: firewall rules gate it, by the public port. A range onto the same ports is
/// one element; a range onto others is one element a port.
#[test]
fn port_forwarding() {
    golden("port_forwarding");
}

/// A guest with static NAT leaves with its own public address, also for a neighbour that it reaches by hairpin; what
/// may come in to that address, firewall rules say.
#[test]
fn static_nat() {
    golden("static_nat");
}

/// Default deny: what egress rules name may leave, nothing else. Rules that overlap become areas that do not.
#[test]
fn egress_deny() {
    golden("egress_deny");
}

/// Default allow: what egress rules name may not leave.
#[test]
fn egress_allow() {
    golden("egress_allow");
}

/// All guests of a network are known to DHCP and DNS; the guests' MTU is the network's, TCP is clamped to the path's.
#[test]
fn dhcp_dns_and_mtu() {
    golden("dhcp_dns_and_mtu");
}

/// Tiers leave with one source NAT address; whatever leads to a guest passes the gate, and the ACLs of the sides on a new
/// session's way judge it, one rule an item, in order. What none of them lists passes as each list's default says: in
/// never, out only where there is no egress item. A private gateway translates to its own address.
#[test]
fn vpc() {
    let ruleset = golden("vpc");
    let forward = ruleset.split("chain forward {").nth(2).unwrap();
    let known = forward.find("ct state 0x2,0x4 accept").unwrap();
    let acls = forward.find("vmap @acl_").unwrap();
    assert!(known < acls, "a packet of a known session meets no ACL");
}

/// A VPC has its router before it has a tier: nobody is served, nothing passes.
#[test]
fn vpc_without_tiers() {
    golden("vpc_without_tiers");
}

/// Load balancing: haproxy listens on the balanced ports only, as a user without rights in an empty root directory; a
/// rule without guests is not served. Chain `gate` wants a firewall rule, `input` the rule's own sources.
#[test]
fn load_balancing() {
    golden("load_balancing");
}

/// Limits: only packets that would open a session meet them. A guest's rate is judged before its sessions are counted, and a
/// guest at its limit is not counted again for a second. What comes from outside is limited once a firewall rule let it
/// in; pings to the router itself are limited before known sessions pass.
#[test]
fn limits() {
    golden("limits");
}
