// SPDX-License-Identifier: Apache-2.0
//! VPCs in a lab, driven through the API, proved with packets: tiers meet by their network ACL lists only and leave
//! through one address; an isolated network becomes a tier under traffic.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};

use outgate_testkit::{TcpEcho, UdpEcho, UdpStream};
use serde_json::Value;
use support::vpc::{Vpc, allow, id, job, pairs};
use support::{Lab, PATIENCE, any, far, ip, is_closed, lives, session, text, wait_until};

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

#[test]
fn tiers_meet_by_their_lists_only_and_all_leave_through_one_address_that_changes_live() {
    let lab = Lab::up();
    let vpc = Vpc::new(&lab, "10.60.0.0/16");
    let (front_list, back_list) = (vpc.acl(&lab, "front"), vpc.acl(&lab, "back"));
    allow(&lab, &front_list, "protocol=all; traffictype=Egress");
    allow(&lab, &back_list, "protocol=all; traffictype=Egress");
    let web = allow(
        &lab,
        &back_list,
        "protocol=tcp; startport=80; endport=80; cidrlist=10.60.1.0/24; traffictype=Ingress",
    );
    let front = vpc.tier(&lab, "front", "10.60.1.1", &front_list);
    let back = vpc.tier(&lab, "back", "10.60.2.1", &back_list);
    let (one, two) = (vpc.guest(&lab, "front1", &front), vpc.guest(&lab, "back1", &back));
    let (one_at, two_at) = (ip(&one["nic"][0]), ip(&two["nic"][0]));
    let (one, two) = (lab.namespace("front1"), lab.namespace("back1"));
    let internet = lab.namespace("internet");
    let _echoes = [
        TcpEcho::start(&two, any(80)).expect("an echo"),
        TcpEcho::start(&two, any(81)).expect("an echo"),
        TcpEcho::start(&one, any(80)).expect("an echo"),
    ];
    let mut between = session(&one, at(two_at, 80)).expect("the list lets it in");
    assert!(is_closed(&one, at(two_at, 81)), "and no other port");
    assert!(is_closed(&two, at(one_at, 80)), "and nothing the other way");

    // One address for both, and another one live.
    let echo = TcpEcho::start(&internet, far(7301)).expect("an echo");
    let last = || echo.seen().last().map(|a| a.ip());
    let old = vpc.source_nat(&lab);
    let mut outside = session(&one, far(7301)).expect("a session");
    assert_eq!(last(), Some(ip(&old).into()));
    session(&two, far(7301)).expect("a session");
    assert_eq!(last(), Some(ip(&old).into()), "of the other tier too");
    let new = job(&lab, "associateIpAddress", &format!("vpcid={}", vpc.id))["ipaddress"].clone();
    let params = format!("id={}; sourcenatipaddress={}", vpc.id, ip(&new));
    job(&lab, "updateVPC", &params);
    assert!(
        lives(&mut outside) && lives(&mut between),
        "established sessions go on"
    );
    session(&two, far(7301)).expect("a new session");
    assert_eq!(
        last(),
        Some(ip(&new).into()),
        "new ones leave through the new address"
    );

    // What the list lets in no more is cut at once, and nothing else.
    job(&lab, "deleteNetworkACL", &format!("id={}", id(&web)));
    assert!(between.is_dead() && is_closed(&one, at(two_at, 80)));
    assert!(lives(&mut outside));
}

/// The lab's network with a forward and sessions of each kind, before it is migrated.
struct Before {
    lab: Lab,
    network: String,
    source_nat: Value,
    /// The address that leads to guest1's port 80.
    public: SocketAddrV4,
}

impl Before {
    fn new() -> Self {
        let lab = Lab::up();
        let (network, source_nat) = (id(&lab.network()).to_owned(), lab.source_nat());
        let address = lab.acquire();
        let params = format!(
            "ipaddressid={}; protocol=tcp; publicport=8080; privateport=80; virtualmachineid={}; cidrlist=198.51.100.0/24",
            id(&address),
            id(&lab.guest("guest1"))
        );
        job(&lab, "createPortForwardingRule", &params);
        let denied = format!("networkid={network}; protocol=tcp; startport=7309");
        job(&lab, "createEgressFirewallRule", &denied);
        Self {
            public: at(ip(&address), 8080),
            lab,
            network,
            source_nat,
        }
    }

    fn migrate(&self, vpc: &Vpc) -> Value {
        let params = format!(
            "networkid={}; networkofferingid={}; vpcid={}",
            self.network, vpc.offering, vpc.id
        );
        job(&self.lab, "migrateNetwork", &params)["network"].clone()
    }
}

#[test]
fn a_network_becomes_a_tier_under_traffic_and_its_sessions_drain() {
    let before = Before::new();
    let lab = &before.lab;
    let vpc = Vpc::new(lab, "10.1.0.0/16");
    let allow_all = id(&lab.one("listNetworkACLLists", &pairs("name=default_allow"))).to_owned();
    let other = vpc.tier(lab, "other", "10.1.9.1", &allow_all);
    let other = ip(&vpc.guest(lab, "other1", &other)["nic"][0]);
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let stranger = lab.namespace("other1");
    let guest_at = ip(&lab.guest("guest1")["nic"][0]);
    let _echoes = [
        TcpEcho::start(&guest, any(80)).expect("an echo"),
        TcpEcho::start(&stranger, any(80)).expect("an echo"),
        TcpEcho::start(&internet, far(7309)).expect("an echo"),
    ];
    let echo = TcpEcho::start(&internet, far(7302)).expect("an echo");
    let _udp = UdpEcho::start(&internet, far(7303)).expect("an echo");
    let last = || echo.seen().last().map(|a| a.ip());
    let mut outbound = session(&guest, far(7302)).expect("a session");
    assert_eq!(last(), Some(ip(&before.source_nat).into()));
    let mut inbound = session(&internet, before.public).expect("a session");
    assert!(is_closed(&guest, far(7309)), "egress denies it");
    let udp = UdpStream::start(&guest, far(7303), 100).expect("a stream");

    let moved = before.migrate(&vpc);
    let loss = udp.stop();
    println!("UDP while the network was migrated: {loss:?}");
    assert_eq!(
        (text(&moved, "vpcid"), text(&moved, "cidr")),
        (&*vpc.id, "10.1.1.0/24")
    );
    assert!(lives(&mut outbound), "a session to the outside goes on");
    assert!(lives(&mut inbound), "a session from outside goes on");
    assert!(loss.lost() * 4 < loss.sent, "{loss:?}");

    session(&guest, far(7302)).expect("a new session");
    assert_eq!(
        last(),
        Some(ip(&vpc.source_nat(lab)).into()),
        "through the VPC's address"
    );
    session(&internet, before.public).expect("the forward leads to the guest");
    assert!(is_closed(&guest, far(7309)), "what egress denied is denied");
    assert!(
        is_closed(&stranger, at(guest_at, 80)),
        "other tiers do not reach it"
    );
    assert!(is_closed(&guest, at(other, 80)), "and it does not reach them");
    let routers = lab.list("listRouters", &pairs("listall=true"));
    assert_eq!(routers.len(), 1, "the network's own router is gone: {routers:?}");

    // Its former source NAT address is an ordinary one now; who gives it up ends what drains on it.
    let old = format!("id={}", id(&before.source_nat));
    job(lab, "disassociateIpAddress", &old);
    assert!(outbound.is_dead() && lives(&mut inbound));
}

#[test]
fn a_network_that_moves_into_an_empty_vpc_keeps_its_source_nat_address() {
    let before = Before::new();
    let lab = &before.lab;
    let vpc = Vpc::new(lab, "10.1.0.0/16");
    let (guest, internet) = (lab.namespace("guest2"), lab.namespace("internet"));
    let echo = TcpEcho::start(&internet, far(7304)).expect("an echo");
    let mut outbound = session(&guest, far(7304)).expect("a session");
    before.migrate(&vpc);
    assert!(lives(&mut outbound));
    session(&guest, far(7304)).expect("a new session");
    let last = echo.seen().last().map(|a| a.ip());
    assert_eq!(last, Some(ip(&before.source_nat).into()));
    let router = lab.router();
    let shown = lab.exec(
        text(&router, "name"),
        &["iptables", "-t", "nat", "-S", "POSTROUTING"],
    );
    assert!(shown.contains(text(&before.source_nat, "ipaddress")), "{shown}");
    // A restarted router, which no session was handed to, serves the same rules.
    job(lab, "restartVPC", &format!("id={}; cleanup=true", vpc.id));
    wait_until(PATIENCE, "guests leave again", || {
        session(&guest, far(7304)).is_ok()
    });
}
