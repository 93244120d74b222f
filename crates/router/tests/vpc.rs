// SPDX-License-Identifier: Apache-2.0
//! A VPC's router against the real kernel: real sessions between tiers, the outside and a private network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use outgate_model::router_spec::{AclAction, AclDirection, FastPathMode};
use outgate_model::{IcmpMatch, Match, RouterSpec};
use outgate_testkit::{TcpProbe, UdpEcho, UdpStream, wait_until};
use support::vpc::{
    LIMIT, SHORT, VpcWorld, acl, add_gateway, at, default_allow, default_deny, forward, item, serve, tcp,
    tier, vpc,
};

const OUTSIDE: [u8; 4] = [198, 51, 100, 1];
const SOURCE_NAT: [u8; 4] = [203, 0, 113, 10];

/// A world with tiers 1 to `tiers` plugged in.
fn world(tiers: u8) -> VpcWorld {
    let mut world = VpcWorld::new();
    for number in 1..=tiers {
        world.plug_tier(number);
    }
    world
}

fn next(spec: &mut RouterSpec) -> &mut RouterSpec {
    spec.generation += 1;
    spec
}

#[test]
fn applying_a_vpc_again_sends_nothing_and_it_comes_back_after_a_flush() {
    let mut world = world(2);
    world.plug(4, &["192.168.7.1/24"], "192.168.7.2");
    let mut spec = vpc([tier(1, default_allow()), tier(2, default_deny())]);
    add_gateway(&mut spec, 4, true, default_allow());
    forward(&mut spec, 80, [10, 0, 1, 5], 80);
    spec.public.addresses[1].static_nat = Some([10, 0, 2, 5].into());
    assert!(!world.apply(&spec).changes.is_empty());
    for _ in 0..20 {
        assert_eq!(world.apply(&spec).changes, Vec::<String>::new());
    }
    let ruleset = world.ruleset();
    world.run("nft flush ruleset");
    world.run("ip route del 172.16.1.0/24");
    world.run("ip addr flush dev eth3");
    let repair = world.router(|engine| engine.heal()).unwrap().expect("a repair");
    assert_eq!(repair.error, None);
    assert_eq!((world.differences(), world.ruleset()), (Vec::new(), ruleset));
    assert!(
        world
            .run("ip route")
            .contains("172.16.1.0/24 via 192.168.7.1 dev eth4")
    );
}

#[test]
fn a_vpcs_router_passes_the_checks_of_the_seven_steps() {
    let world = world(1);
    let spec = vpc([tier(1, default_allow())]);
    world.apply(&spec);
    let checks = world.router(move |_| outgate_router::verify::verify(&spec));
    assert_eq!(checks[0].command, "ip addr show eth1");
    assert!(checks.iter().all(|check| check.pass), "{checks:#?}");
    let shown = world.run("iptables -t nat -S POSTROUTING");
    assert!(
        shown.contains("-A POSTROUTING -o eth1 -j SNAT --to-source 203.0.113.10"),
        "{shown}"
    );
}

#[test]
fn every_tier_leaves_with_the_one_source_nat_address_as_its_acl_lets_it() {
    let world = world(3);
    let web_only = acl([
        item(AclDirection::Egress, AclAction::Allow, tcp(80), "198.51.100.0/24"),
        item(AclDirection::Egress, AclAction::Deny, Match::All, "0.0.0.0/0"),
    ]);
    world.apply(&vpc([
        tier(1, default_allow()),
        tier(2, default_deny()),
        tier(3, web_only),
    ]));
    let web = serve(&world.internet, OUTSIDE.into(), 80);
    let _other = serve(&world.internet, OUTSIDE.into(), 81);
    assert!(world.reaches(1, at(OUTSIDE, 80)) && world.reaches(1, at(OUTSIDE, 81)));
    assert!(!world.reaches(2, at(OUTSIDE, 80)));
    assert!(world.reaches(3, at(OUTSIDE, 80)) && !world.reaches(3, at(OUTSIDE, 81)));
    assert!(
        web.seen()
            .iter()
            .all(|seen| seen.ip().to_string() == "203.0.113.10")
    );
    // The router's own services work whatever the ACL says, and its other addresses do not answer.
    assert!(world.guests(2).pings([10, 0, 2, 1].into(), 1).unwrap());
    assert!(!world.guests(2).pings([10, 0, 1, 1].into(), 1).unwrap());
}

#[test]
fn what_is_forwarded_and_static_nat_meet_the_tiers_acl_by_the_port_behind_them() {
    let world = world(2);
    let ingress = |matches, cidr| item(AclDirection::Ingress, AclAction::Allow, matches, cidr);
    let ping = Match::Icmp {
        icmp: IcmpMatch {
            kind: Some(8),
            code: None,
        },
    };
    let mut spec = vpc([
        tier(
            1,
            acl([
                ingress(tcp(8_080), "198.51.100.0/24"),
                ingress(tcp(8_081), "192.0.2.0/24"),
            ]),
        ),
        tier(
            2,
            acl([ingress(tcp(22), "0.0.0.0/0"), ingress(ping, "0.0.0.0/0")]),
        ),
    ]);
    forward(&mut spec, 80, [10, 0, 1, 5], 8_080);
    forward(&mut spec, 81, [10, 0, 1, 5], 8_081);
    spec.public.addresses[1].static_nat = Some([10, 0, 2, 5].into());
    world.apply(&spec);
    let outside = |to| {
        let from = at(OUTSIDE, 0);
        let probe = TcpProbe::connect_from(&world.internet, from, to, SHORT);
        probe.is_ok_and(|mut probe| probe.echo(b"hello").is_ok())
    };
    let _servers = [8_080, 8_081].map(|port| serve(world.guests(1), [10, 0, 1, 5].into(), port));
    let _more = [22, 23].map(|port| serve(world.guests(2), [10, 0, 2, 5].into(), port));
    assert!(outside(at(SOURCE_NAT, 80)));
    assert!(!outside(at(SOURCE_NAT, 81)), "its ACL names another source");
    assert!(!outside(at(SOURCE_NAT, 8_080)), "nothing is forwarded there");
    assert!(outside(at([203, 0, 113, 11], 22)) && !outside(at([203, 0, 113, 11], 23)));
    assert!(world.internet.pings([203, 0, 113, 11].into(), 1).unwrap());
    assert!(!world.internet.pings(SOURCE_NAT.into(), 1).unwrap());
    // The static NAT guest leaves with its own address.
    let echo = serve(&world.internet, OUTSIDE.into(), 7);
    assert!(world.reaches(2, at(OUTSIDE, 7)));
    assert_eq!(echo.seen()[0].ip().to_string(), "203.0.113.11");
}

/// Replies pass, the reverse new session does not.
#[test]
fn a_tier_is_allowed_to_another_one_way_only() {
    let world = world(2);
    let only = |cidr| acl([item(AclDirection::Ingress, AclAction::Allow, tcp(3_306), cidr)]);
    world.apply(&vpc([tier(1, default_deny()), tier(2, only("10.0.1.5/32"))]));
    let _web = serve(world.guests(1), [10, 0, 1, 5].into(), 3_306);
    let database = serve(world.guests(2), [10, 0, 2, 5].into(), 3_306);
    assert!(
        !world.reaches(1, at([10, 0, 2, 5], 3_306)),
        "the sender's tier denies egress"
    );
    let mut spec = vpc([tier(1, acl([])), tier(2, only("10.0.1.5/32"))]);
    next(&mut spec);
    world.apply(&spec);
    let mut session = world.tier_opens(1, at([10, 0, 2, 5], 3_306), LIMIT).unwrap();
    session.echo(&[7; 20_000]).unwrap();
    assert_eq!(
        database.seen()[0].ip().to_string(),
        "10.0.1.5",
        "no translation between tiers"
    );
    assert!(!world.reaches(2, at([10, 0, 1, 5], 3_306)));
    assert!(!world.reaches(1, at([10, 0, 2, 6], 3_307)));
}

/// Its own tier's egress, then the target tier's ingress; the target sees the sender's external address.
#[test]
fn a_hairpin_into_another_tier_meets_both_acls() {
    let world = world(2);
    let hairpin = |egress: AclAction, ingress: AclAction| {
        let mut spec = vpc([
            tier(
                1,
                acl([item(AclDirection::Egress, egress, tcp(8_080), "10.0.2.5/32")]),
            ),
            tier(
                2,
                acl([item(AclDirection::Ingress, ingress, tcp(8_080), "10.0.1.0/24")]),
            ),
        ]);
        forward(&mut spec, 80, [10, 0, 2, 5], 8_080);
        spec
    };
    let echo = serve(world.guests(2), [10, 0, 2, 5].into(), 8_080);
    let cases = [
        (AclAction::Allow, AclAction::Allow, true),
        (AclAction::Deny, AclAction::Allow, false),
        (AclAction::Allow, AclAction::Deny, false),
    ];
    for (generation, (egress, ingress, passes)) in (1..).zip(cases) {
        let mut spec = hairpin(egress, ingress);
        spec.generation = generation;
        world.apply(&spec);
        assert_eq!(
            world.reaches(1, at(SOURCE_NAT, 80)),
            passes,
            "{egress:?} {ingress:?}"
        );
    }
    assert_eq!(echo.seen()[0].ip().to_string(), "203.0.113.10");
}

#[test]
fn a_private_gateway_connects_tiers_with_a_private_network_with_and_without_source_nat() {
    let mut world = world(1);
    world.plug(3, &["192.168.7.1/24", "172.16.1.9/32"], "192.168.7.2");
    let mut spec = vpc([tier(1, default_allow())]);
    add_gateway(&mut spec, 3, false, default_allow());
    world.apply(&spec);
    let far = serve(world.side(3), [172, 16, 1, 9].into(), 80);
    let _near = serve(world.guests(1), [10, 0, 1, 5].into(), 80);
    assert!(world.reaches(1, at([172, 16, 1, 9], 80)));
    let in_by_gateway = || {
        let from = at([172, 16, 1, 9], 0);
        let probe = TcpProbe::connect_from(world.side(3), from, at([10, 0, 1, 5], 80), SHORT);
        probe.is_ok_and(|mut probe| probe.echo(b"hello").is_ok())
    };
    assert!(in_by_gateway());
    let mut old = world.tier_opens(1, at([172, 16, 1, 9], 80), LIMIT).unwrap();
    old.echo(b"without source NAT").unwrap();
    next(&mut spec).vpc.as_mut().unwrap().private_gateways[0].source_nat = true;
    assert_eq!(world.apply(&spec).sessions_cut, 0);
    old.echo(b"it keeps its source").unwrap();
    assert!(world.reaches(1, at([172, 16, 1, 9], 80)));
    let seen: Vec<String> = far.seen().iter().map(|s| s.ip().to_string()).collect();
    assert_eq!(seen, ["10.0.1.5", "10.0.1.5", "192.168.7.2"]);
    // Nothing else: neither the outside nor a public address is reached through it, and its ACL judges.
    let _out = serve(&world.internet, OUTSIDE.into(), 80);
    let out = TcpProbe::connect(world.side(3), at(OUTSIDE, 80), SHORT);
    assert!(out.is_err());
    let acl = acl([item(
        AclDirection::Egress,
        AclAction::Allow,
        Match::All,
        "0.0.0.0/0",
    )]);
    next(&mut spec).vpc.as_mut().unwrap().private_gateways[0].acl = acl;
    world.apply(&spec);
    assert!(world.reaches(1, at([172, 16, 1, 9], 80)) && !in_by_gateway());
}

#[test]
fn a_tier_comes_and_goes_and_only_its_own_sessions_with_it() {
    let mut world = world(2);
    let mut spec = vpc([tier(1, default_allow()), tier(2, default_allow())]);
    forward(&mut spec, 80, [10, 0, 1, 5], 80);
    world.apply(&spec);
    let (_out, _in, _between) = (
        serve(&world.internet, OUTSIDE.into(), 7),
        serve(world.guests(1), [10, 0, 1, 5].into(), 80),
        serve(world.guests(2), [10, 0, 2, 5].into(), 7),
    );
    let udp = UdpEcho::start(&world.internet, at(OUTSIDE, 9)).unwrap();
    let stream = UdpStream::start(world.guests(1), udp.address, 500).unwrap();
    let mut kept = [
        world.tier_opens(1, at(OUTSIDE, 7), LIMIT).unwrap(),
        TcpProbe::connect(&world.internet, at(SOURCE_NAT, 80), LIMIT).unwrap(),
        world.tier_opens(2, at([10, 0, 1, 5], 80), LIMIT).unwrap(),
    ];
    let mut all_live = |when: &str| kept.iter_mut().for_each(|s| s.echo(when.as_bytes()).expect(when));
    all_live("before");

    let error = world.router({
        let mut spec = spec.clone();
        next(&mut spec).guest_networks.push(tier(3, default_allow()));
        move |engine| engine.apply(&spec).expect_err("it is not plugged in")
    });
    assert_eq!(error.to_string(), "Interface eth4 not found");
    all_live("after a tier that could not be added");
    world.plug_tier(3);
    next(&mut spec).guest_networks.push(tier(3, default_allow()));
    assert_eq!(world.apply(&spec).sessions_cut, 0);
    let _third = serve(world.guests(3), [10, 0, 3, 5].into(), 7);
    let mut own = world.tier_opens(3, at(OUTSIDE, 7), LIMIT).unwrap();
    own.echo(b"from the new tier").unwrap();
    let mut to_it = world.tier_opens(1, at([10, 0, 3, 5], 7), LIMIT).unwrap();
    to_it.echo(b"to the new tier").unwrap();
    all_live("with a tier more");

    next(&mut spec).guest_networks.pop();
    assert_eq!(world.apply(&spec).sessions_cut, 2);
    assert!(
        world.tier_opens(3, at(OUTSIDE, 7), SHORT).is_none(),
        "nothing new either"
    );
    world.unplug(3 + 1);
    assert_eq!(world.differences(), Vec::<String>::new());
    all_live("with a tier less");
    let loss = stream.stop();
    assert!(loss.sent > 20 && loss.lost() == 0, "{loss:?}");
}

#[test]
fn a_replaced_acl_cuts_what_lost_its_right_and_nothing_else() {
    let world = world(2);
    let mut spec = vpc([tier(1, default_allow()), tier(2, default_allow())]);
    forward(&mut spec, 80, [10, 0, 1, 5], 80);
    forward(&mut spec, 22, [10, 0, 1, 5], 22);
    world.apply(&spec);
    let _servers = [
        serve(world.guests(1), [10, 0, 1, 5].into(), 80),
        serve(world.guests(1), [10, 0, 1, 5].into(), 22),
        serve(world.guests(2), [10, 0, 2, 5].into(), 80),
        serve(&world.internet, OUTSIDE.into(), 80),
    ];
    let probe = |port| TcpProbe::connect(&world.internet, at(SOURCE_NAT, port), LIMIT).unwrap();
    let mut kept = [probe(80), world.tier_opens(1, at(OUTSIDE, 80), LIMIT).unwrap()];
    let (lost_in, lost_out) = (
        probe(22),
        world.tier_opens(1, at([10, 0, 2, 5], 80), LIMIT).unwrap(),
    );
    kept.iter_mut().for_each(|s| s.echo(b"before").unwrap());

    // Another list that allows more: nobody looks at a session.
    let more = acl([
        item(AclDirection::Ingress, AclAction::Allow, tcp(9), "0.0.0.0/0"),
        item(AclDirection::Ingress, AclAction::Allow, Match::All, "0.0.0.0/0"),
        item(AclDirection::Egress, AclAction::Allow, Match::All, "0.0.0.0/0"),
    ]);
    next(&mut spec).guest_networks[0].acl = Some(more);
    assert_eq!(world.apply(&spec).sessions_cut, 0);
    let less = acl([
        item(AclDirection::Ingress, AclAction::Allow, tcp(80), "0.0.0.0/0"),
        item(AclDirection::Egress, AclAction::Deny, Match::All, "10.0.2.0/24"),
        item(AclDirection::Egress, AclAction::Allow, Match::All, "0.0.0.0/0"),
    ]);
    next(&mut spec).guest_networks[0].acl = Some(less);
    let applied = world.apply(&spec);
    assert_eq!(applied.sessions_cut, 2, "{:?}", applied.changes);
    let entries = world.run("conntrack -L -p tcp");
    assert!(
        !entries.contains("dport=22 ") && !entries.contains("dst=10.0.2.5"),
        "{entries}"
    );
    kept.iter_mut().for_each(|s| s.echo(b"after").unwrap());
    drop((lost_in, lost_out));
}

#[test]
fn tiers_and_the_outside_are_reached_through_the_fast_path_until_an_acl_says_no() {
    let world = world(2);
    let mut spec = vpc([tier(1, default_allow()), tier(2, default_allow())]);
    spec.fastpath = FastPathMode::Required;
    world.apply(&spec);
    let hits = || {
        let status = world.router(|engine| engine.fast_path());
        status.counters.get("hit").copied().unwrap_or_default()
    };
    let outside = UdpEcho::start(&world.internet, at(OUTSIDE, 9)).unwrap();
    let inside = UdpEcho::start(world.guests(2), at([10, 0, 2, 5], 9)).unwrap();
    for (what, to) in [("the outside", outside.address), ("another tier", inside.address)] {
        let before = hits();
        let stream = UdpStream::start(world.guests(1), to, 500).unwrap();
        wait_until(LIMIT * 4, what, || (hits() > before + 400).then_some(())).unwrap();
        let loss = stream.stop();
        assert_eq!(loss.lost(), 0, "to {what}: {loss:?}");
    }
    let stream = UdpStream::start(world.guests(1), inside.address, 500).unwrap();
    wait_until(LIMIT * 4, "it comes back", || {
        (stream.received() > 200).then_some(())
    })
    .unwrap();
    next(&mut spec).guest_networks[1].acl = Some(default_deny());
    world.apply(&spec);
    // What was under way when the rules changed may still arrive, and be seen late.
    let sent = stream.sent();
    let more = || (stream.sent() > sent + 500).then_some(());
    wait_until(LIMIT, "500 more are sent", more).unwrap();
    assert!(stream.latest() <= sent + 1, "the ACL holds for the fast path too");
}
