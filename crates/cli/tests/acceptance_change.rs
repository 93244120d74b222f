// SPDX-License-Identifier: Apache-2.0
//! Changes under traffic: what may go on goes on, what lost its right ends, and nobody else notices.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use outgate_testkit::{Stopwatch, TcpEcho, UdpEcho, UdpStream};
use support::{INTERNET, Lab, PATIENCE, any, far, ip, is_closed, lives, session, text, wait_until};

#[test]
fn the_source_nat_address_changes_live() {
    let lab = Lab::up();
    let network = lab.network();
    let old = lab.source_nat();
    let new = lab.acquire();
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let echo = TcpEcho::start(&internet, far(7101)).expect("an echo");
    let last_seen = || echo.seen().last().map(|a| a.ip());

    let mut established = session(&guest, far(7101)).expect("a session");
    assert!(lives(&mut established));
    assert_eq!(last_seen(), Some(ip(&old).into()));

    let updated = lab.job(
        "updateNetwork",
        &[
            ("id", text(&network, "id")),
            ("sourcenatipaddress", text(&new, "ipaddress")),
        ],
    );
    assert_eq!(text(&updated["network"], "id"), text(&network, "id"));

    assert!(lives(&mut established), "an established session goes on");
    session(&guest, far(7101)).expect("a new session");
    wait_until(PATIENCE, "the new session is seen", || {
        last_seen() == Some(ip(&new).into())
    });
    let listed = lab.list("listPublicIpAddresses", &[("listall", "true")]);
    let source_nat: Vec<_> = listed
        .iter()
        .filter(|a| a["issourcenat"] == true)
        .map(|a| text(a, "ipaddress"))
        .collect();
    assert_eq!(source_nat, [text(&new, "ipaddress")]);
    let shown = lab.exec(
        text(&lab.router(), "name"),
        &["iptables", "-t", "nat", "-S", "POSTROUTING"],
    );
    assert!(
        shown.contains(text(&new, "ipaddress")) && !shown.contains(text(&old, "ipaddress")),
        "{shown}"
    );

    // The old address can be released; then its sessions have no right to exist any more.
    lab.job("disassociateIpAddress", &[("id", text(&old, "id"))]);
    assert!(established.is_dead(), "sessions end with the address");
    let shown = lab.exec(text(&lab.router(), "name"), &["ip", "-4", "addr", "show", "eth2"]);
    assert!(!shown.contains(text(&old, "ipaddress")), "{shown}");
}

#[test]
fn adding_a_forward_to_a_thousand_loses_no_packet() {
    let lab = Lab::up();
    let source_nat = lab.source_nat();
    let vm = lab.guest("guest2");
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let _tcp = TcpEcho::start(&internet, far(7102)).expect("an echo");
    let _udp = UdpEcho::start(&internet, far(7103)).expect("an echo");
    let forward = |port: u32| {
        let port = port.to_string();
        let params = [
            ("ipaddressid", text(&source_nat, "id")),
            ("protocol", "tcp"),
            ("publicport", &port),
            ("privateport", &port),
            ("virtualmachineid", text(&vm, "id")),
            ("openfirewall", "false"),
        ];
        lab.call("createPortForwardingRule", &params)
    };
    (0..1000).for_each(|n| drop(forward(10_000 + n)));
    let last = forward(20_000);
    wait_until(PATIENCE, "the thousand are applied", || {
        lab.call("queryAsyncJobResult", &[("jobid", text(&last, "jobid"))])["jobstatus"] == 1
    });

    let mut tcp = session(&guest, far(7102)).expect("a session");
    let udp = UdpStream::start(&guest, far(7103), 1000).expect("a stream");
    let new_flows = std::thread::scope(|scope| {
        let flows = scope.spawn(|| (0..100).filter(|_| session(&guest, far(7102)).is_err()).count());
        for port in 30_000..30_010 {
            let job = forward(port);
            wait_until(PATIENCE, "the forward is applied", || {
                lab.call("queryAsyncJobResult", &[("jobid", text(&job, "jobid"))])["jobstatus"] == 1
            });
        }
        flows.join().expect("new flows")
    });
    let loss = udp.stop();
    assert!(loss.sent > 200, "{loss:?}");
    assert_eq!(loss.lost(), 0, "{loss:?}");
    assert!(lives(&mut tcp), "the TCP session lives");
    assert_eq!(new_flows, 0, "no new flow is refused meanwhile");
}

#[test]
fn a_revoked_right_ends_its_sessions_and_only_those() {
    let lab = Lab::up();
    let source_nat = lab.source_nat();
    let vm = lab.guest("guest1");
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let _inside = TcpEcho::start(&guest, any(80)).expect("an echo");
    let _outside = TcpEcho::start(&internet, far(7104)).expect("an echo");
    let forward = |port: &str| {
        let params = [
            ("ipaddressid", text(&source_nat, "id")),
            ("protocol", "tcp"),
            ("publicport", port),
            ("privateport", "80"),
            ("virtualmachineid", text(&vm, "id")),
        ];
        text(
            &lab.job("createPortForwardingRule", &params)["portforwardingrule"],
            "id",
        )
        .to_owned()
    };
    let (revoked, kept) = (forward("8001"), forward("8002"));
    let public = |port| SocketAddrV4::new(ip(&source_nat), port);
    let mut on_revoked = session(&internet, public(8001)).expect("a session");
    let mut on_kept = session(&internet, public(8002)).expect("a session");
    let mut outbound = session(&guest, far(7104)).expect("a session");

    lab.job("deletePortForwardingRule", &[("id", &revoked)]);
    assert!(on_revoked.is_dead(), "W6: a revoked forward's sessions are cut");
    assert!(lives(&mut on_kept) && lives(&mut outbound), "the others go on");
    assert!(is_closed(&internet, public(8001)));

    // The firewall rule alone is the right, too.
    let rules = lab.list("listFirewallRules", &[("ipaddressid", text(&source_nat, "id"))]);
    let opened = rules
        .iter()
        .find(|r| r["startport"] == 8002)
        .expect("the rule that openfirewall made");
    lab.job("deleteFirewallRule", &[("id", text(opened, "id"))]);
    assert!(on_kept.is_dead());
    assert!(lives(&mut outbound));

    // An egress rule that denies ends what it denies.
    let network = lab.network();
    lab.job(
        "createEgressFirewallRule",
        &[
            ("networkid", text(&network, "id")),
            ("protocol", "tcp"),
            ("startport", "7104"),
            ("endport", "7104"),
        ],
    );
    assert!(outbound.is_dead());
    lab.job("deletePortForwardingRule", &[("id", &kept)]);
}

#[test]
fn static_nat_gives_a_guest_an_address_of_its_own_in_both_directions() {
    let lab = Lab::up();
    let address = lab.acquire();
    let vm = lab.guest("guest1");
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let echo = TcpEcho::start(&internet, far(7105)).expect("an echo");
    let _inside = TcpEcho::start(&guest, any(22)).expect("an echo");
    let public = SocketAddrV4::new(ip(&address), 22);

    lab.call(
        "enableStaticNat",
        &[
            ("ipaddressid", text(&address, "id")),
            ("virtualmachineid", text(&vm, "id")),
        ],
    );
    wait_until(PATIENCE, "the guest leaves through its own address", || {
        session(&guest, far(7105)).is_ok() && echo.seen().last().map(|a| a.ip()) == Some(ip(&address).into())
    });
    assert!(
        is_closed(&internet, public),
        "nothing comes in without a firewall rule"
    );
    lab.job(
        "createFirewallRule",
        &[
            ("ipaddressid", text(&address, "id")),
            ("protocol", "tcp"),
            ("startport", "22"),
            ("endport", "22"),
            ("cidrlist", "198.51.100.0/24"),
        ],
    );
    session(&internet, public).expect("the firewall rule lets it in");
    lab.job("disableStaticNat", &[("ipaddressid", text(&address, "id"))]);
    assert!(is_closed(&internet, public));
}

/// dnsmasq keeps the lease of a guest that is gone until it expires, unless it is given back: no other gets the address,
/// and its job fails after ten seconds.
#[test]
fn an_address_goes_from_one_guest_to_the_next_at_once() {
    let lab = Lab::up();
    let ids = [
        lab.one("listZones", &[]),
        lab.one("listServiceOfferings", &[]),
        lab.one("listTemplates", &[("templatefilter", "executable")]),
        lab.network(),
    ];
    let [zone, service, template, network] = ids.each_ref().map(|object| text(object, "id"));
    for name in ["first", "second", "third"] {
        let params = [
            ("name", name),
            ("zoneid", zone),
            ("serviceofferingid", service),
            ("templateid", template),
            ("networkids", network),
            ("ipaddress", "10.1.1.77"),
        ];
        let vm = lab.job("deployVirtualMachine", &params)["virtualmachine"].clone();
        assert_eq!(ip(&vm["nic"][0]).to_string(), "10.1.1.77");
        let ping = lab.try_exec(name, &["ping", "-c", "1", INTERNET]);
        assert!(
            ping.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&ping.stdout)
        );
        lab.job(
            "destroyVirtualMachine",
            &[("id", text(&vm, "id")), ("expunge", "true")],
        );
    }
}

#[test]
fn a_network_and_its_first_guest_reach_the_outside_in_two_seconds() {
    let lab = Lab::up();
    let (zone, offering) = (
        lab.one("listZones", &[]),
        text(&lab.network(), "networkofferingid").to_owned(),
    );
    let (service, template) = (
        lab.one("listServiceOfferings", &[]),
        lab.one("listTemplates", &[("templatefilter", "executable")]),
    );
    let mut times = Vec::new();
    for n in 0..5 {
        let name = format!("quick{n}");
        let watch = Stopwatch::start();
        let cidr = format!("10.77.{n}.1");
        let network = lab.call(
            "createNetwork",
            &[
                ("name", &name),
                ("displaytext", &name),
                ("networkofferingid", &offering),
                ("zoneid", text(&zone, "id")),
                ("gateway", &cidr),
                ("netmask", "255.255.255.0"),
            ],
        );
        let id = text(&network["network"], "id").to_owned();
        lab.job(
            "deployVirtualMachine",
            &[
                ("name", &name),
                ("zoneid", text(&zone, "id")),
                ("serviceofferingid", text(&service, "id")),
                ("templateid", text(&template, "id")),
                ("networkids", &id),
            ],
        );
        let ping = lab.try_exec(&name, &["ping", "-c", "1", INTERNET]);
        assert!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
        times.push(watch.fair());
    }
    times.sort();
    println!(
        "createNetwork + first guest to first packet outside: median {:?} of {times:?}",
        times[2]
    );
    assert!(times[2] < Duration::from_secs(2), "{times:?}");
}
