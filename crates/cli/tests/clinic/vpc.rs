// SPDX-License-Identifier: Apache-2.0
//! A VPC of two tiers and a private gateway, and what goes wrong in one.

use serde_json::Value;

use outgate_testkit::TcpEcho;

use super::Clinic;
use crate::support::vpc::{Vpc, allow, id, job, pairs};
use crate::support::{any, ip, text, wait_until};

/// The far side of the private gateway, a data centre say.
const PEER: &str = "172.16.9.1";

/// A VPC `v` with guests `front1` and `back1` on its tiers, of which the back one lets in port 80 but for item 20.
fn build(clinic: &Clinic) -> Value {
    let lab = &clinic.lab;
    let vpc = Vpc::new(lab, "10.60.0.0/16");
    let (front, back) = (vpc.acl(lab, "front"), vpc.acl(lab, "back"));
    for list in [&front, &back] {
        allow(lab, list, "number=1; protocol=all; traffictype=Egress");
    }
    let denied = "action=Deny; number=20; protocol=tcp; startport=81; endport=81; traffictype=Ingress";
    job(lab, "createNetworkACL", &format!("aclid={back}; {denied}"));
    allow(
        lab,
        &back,
        "number=30; protocol=tcp; traffictype=Ingress; cidrlist=10.60.1.0/24",
    );
    let front = vpc.tier(lab, "front", "10.60.1.1", &front);
    let back = vpc.tier(lab, "back", "10.60.2.1", &back);
    vpc.guest(lab, "front1", &front);
    let list = lab.one("listNetworkACLLists", &pairs("name=default_allow"));
    let params = format!(
        "vpcid={}; ipaddress=172.16.9.2; gateway={PEER}; netmask=255.255.255.0; vlan=909; aclid={}",
        vpc.id,
        id(&list)
    );
    job(lab, "createPrivateGateway", &params);
    connect_peer(clinic);
    vpc.guest(lab, "back1", &back)
}

/// Puts a machine on the private gateway's wire, which knows the way back.
fn connect_peer(clinic: &Clinic) {
    clinic.acts(&[
        ("host", "ip netns add peer"),
        ("host", "ip link add peer0 type veth peer name eth0 netns peer"),
        (
            "host",
            "bash -c 'ip link set peer0 master $(basename $(ls -d /sys/class/net/p????????.*)) up'",
        ),
        ("host", "ip -netns peer addr add 172.16.9.1/24 dev eth0"),
        ("host", "ip -netns peer link set eth0 up"),
        ("host", "ip -netns peer route add 10.60.0.0/16 via 172.16.9.2"),
    ]);
}

/// The VPC as a whole, tier to tier, and through the private gateway: sound, denied, deaf, gone.
pub fn examine(clinic: &mut Clinic) {
    let back = build(clinic);
    let (open, closed) = (
        format!("{}:80", ip(&back["nic"][0])),
        format!("{}:81", ip(&back["nic"][0])),
    );
    let _echo = TcpEcho::start(&clinic.lab.namespace("back1"), any(80)).expect("an echo");
    let sound = |clinic: &Clinic, ask: &[&str]| {
        wait_until(super::RECOVERY, "the VPC is sound", || {
            clinic.doctor(ask).0["healthy"] == true
        });
    };
    sound(clinic, &["v"]);
    sound(clinic, &["front1", "--to", &open]);
    sound(clinic, &["front1", "--to", PEER]);
    clinic.must_name_for(
        &["front1", "--to", &closed],
        "an item of a network ACL denies it",
        "acl-denies",
        "item 20 of list",
    );
    clinic.must_name_for(
        &["back1", "--to", "10.60.1.2:80"],
        "no item of a network ACL allows it",
        "acl-denies",
        "no item of list",
    );

    mended(clinic, &back);
    clinic.acts(&[("host", "ip netns exec peer nft 'add table ip d; add chain ip d c { type filter hook input priority 0; policy drop; }'")]);
    let to_peer = ["front1", "--to", PEER];
    clinic.must_name_for(
        &to_peer,
        "a private gateway's far side drops everything",
        "no-reply",
        "leaves eth4 and no reply comes back",
    );
    clinic.acts(&[("host", "ip netns del peer")]);
    clinic.must_name_for(
        &to_peer,
        "a private gateway's far side is gone",
        "next-hop-silent",
        "arping -I eth4 172.16.9.1: 0 answers",
    );
    sound(clinic, &["v"]);
    // Nothing of this is any trouble of the network beside it.
    sound(clinic, &["lab-net"]);
}

/// A tier's guest by its own name, and the VPC's router by its: what `--fix` mends.
fn mended(clinic: &mut Clinic, back: &Value) {
    let lab = &clinic.lab;
    lab.exec(
        "front1",
        &["ip", "route", "replace", "default", "via", "10.60.1.250"],
    );
    clinic.must_name_for(
        &["front1"],
        "a tier's guest has a wrong gateway",
        "guest-gateway",
        "its gateway is 10.60.1.1",
    );
    clinic.must_mend(&["front1"]);
    let routers = clinic.lab.list("listRouters", &pairs("listall=true"));
    let of_vpc = |router: &&Value| router["vpcid"].is_string();
    let name = text(routers.iter().find(of_vpc).expect("the VPC's router"), "name").to_owned();
    for act in [
        &["pkill", "-STOP", "-f", "router serve"][..],
        &["nft", "flush", "chain", "ip", "outgate", "nat_postrouting"],
    ] {
        clinic.lab.exec(&name, act);
    }
    clinic.must_name_for(
        &[&name],
        "source NAT rules flushed in a VPC's router",
        "rules-differ",
        "nat_postrouting",
    );
    clinic.must_mend(&[&name]);
    assert!(clinic.pings(text(back, "name")) && clinic.pings("front1"));
}
