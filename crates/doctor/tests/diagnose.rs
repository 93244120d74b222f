// SPDX-License-Identifier: Apache-2.0
//! Verdicts from evidence alone: what no lab can be made to show, and how findings stand to each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use outgate_doctor::evidence::{Books, FlowSeen, GuestSeen, PortsUsed, Repaired, RouterSeen};
use outgate_doctor::probe::{CONNTRACK, COUNT, Flow, Kind, LIMIT};
use outgate_doctor::read::ip::{LinkSeen, RouteSeen};
use outgate_doctor::read::ping::Pinged;
use outgate_doctor::read::tcpdump::{Captured, captured};
use outgate_doctor::read::vrrp::Advert;
use outgate_doctor::{Cause, Evidence, Fix, Link, LinkState, diagnose};
use outgate_model::host::{Check, EngineSeen, HealthSeen, HostSeen, PortSeen};
use outgate_model::refusal::Refusal;
use outgate_model::router_spec::EgressPolicy;
use outgate_model::{MacAddr, RouterSpec};

const GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 5);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);

fn mac(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn spec() -> RouterSpec {
    serde_json::from_str(include_str!("spec.json")).unwrap()
}

fn link(mac: MacAddr, address: &str) -> LinkSeen {
    LinkSeen {
        mac: Some(mac),
        mtu: 1500,
        up: true,
        carrier: true,
        addresses: vec![address.parse().unwrap()],
    }
}

fn default_route(via: Ipv4Addr, interface: &str) -> RouteSeen {
    RouteSeen {
        to: "0.0.0.0/0".parse().unwrap(),
        via: Some(via),
        interface: interface.to_owned(),
        source: None,
        by_kernel: false,
    }
}

fn pinged(received: u32) -> Pinged {
    Pinged {
        sent: 5,
        received,
        ..Pinged::default()
    }
}

fn files(count: u64, failed: u64) -> BTreeMap<String, String> {
    let stat = format!("entries insert_failed drop early_drop\n0 {failed:x} 0 0");
    let pairs = [
        (COUNT, count.to_string()),
        (LIMIT, "262144".to_owned()),
        (CONNTRACK, stat),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn router(spec: &RouterSpec) -> RouterSeen {
    let plan = outgate_plan::plan(spec);
    RouterSeen {
        links: Some(
            plan.links
                .iter()
                .map(|(name, wanted)| {
                    let address = wanted.addresses.iter().next().unwrap().to_string();
                    (name.clone(), link(wanted.mac, &address))
                })
                .collect(),
        ),
        routes: Some(vec![default_route(spec.public.gateway, "eth2")]),
        policy: Some(Vec::new()),
        // What the kernel lists is compared in labs.
        listing: None,
        postrouting: Some(plan.iptables_postrouting),
        before: files(10, 0),
        after: files(11, 0),
        sockets: Some(
            "udp UNCONN 0 0 10.1.1.1:53 0.0.0.0:*\nudp UNCONN 0 0 0.0.0.0%eth0:67 0.0.0.0:*\n".to_owned(),
        ),
        gateway: Some(vec![mac(1)]),
        rivals: Some(Vec::new()),
        counted: true,
        ..RouterSeen::default()
    }
}

/// Everything is fine.
fn healthy() -> Evidence {
    let spec = spec();
    let guest = GuestSeen {
        name: "vm-5".to_owned(),
        id: "g".to_owned(),
        running: true,
        mac: Some(mac(5)),
        interface: "eth0".to_owned(),
        links: Some(BTreeMap::from([("eth0".to_owned(), link(mac(5), "10.1.1.5/24"))])),
        routes: Some(vec![default_route(Ipv4Addr::new(10, 1, 1, 1), "eth0")]),
        resolv: Some("nameserver 10.1.1.1\n".to_owned()),
        gateway: Some(pinged(3)),
        gateway_mac: Some(mac(0xc0)),
        ..GuestSeen::default()
    };
    let flow = FlowSeen {
        flow: Flow {
            target: FAR,
            ..Flow::default()
        },
        leaves_by: "eth2".to_owned(),
        small: Some(pinged(5)),
        large: Some(pinged(3)),
        ..FlowSeen::default()
    };
    let login = Check {
        step: 2,
        title: String::new(),
        command: "ssh".to_owned(),
        seen: "logged in".to_owned(),
        pass: true,
        remedy: String::new(),
    };
    Evidence {
        books: Books {
            router: Some("r-1-VM".to_owned()),
            state: "Running".to_owned(),
            wanted: true,
            generation: 1,
            applied: 1,
            error: None,
            source_nat: Some(Ipv4Addr::new(203, 0, 113, 10)),
            repairs: Vec::new(),
        },
        router: Some(router(&spec)),
        spec: Some(spec),
        guests: vec![guest],
        flow: Some(flow),
        host: Some(HostSeen {
            running: true,
            login,
            engine: Ok(EngineSeen {
                generation: Some(1),
                differences: Vec::new(),
                error: None,
            }),
            ports: Vec::new(),
            health: Vec::new(),
        }),
    }
}

fn causes(evidence: &Evidence) -> Vec<Cause> {
    diagnose(evidence).findings.iter().map(|f| f.cause).collect()
}

fn seen(evidence: &mut Evidence) -> &mut RouterSeen {
    evidence.router.as_mut().unwrap()
}

fn uplink(rose: &[(&str, u64)]) -> PortSeen {
    PortSeen {
        name: "uplink0".to_owned(),
        what: "uplink of pub0".to_owned(),
        up: true,
        rose: rose.iter().map(|(name, by)| ((*name).to_owned(), *by)).collect(),
        ..PortSeen::default()
    }
}

#[test]
fn a_healthy_network_has_no_finding_and_no_evidence_is_no_finding_either() {
    let evidence = healthy();
    let diagnosis = diagnose(&evidence);
    assert_eq!(diagnosis.findings, []);
    let silent = Evidence {
        books: evidence.books.clone(),
        spec: evidence.spec.clone(),
        ..Evidence::default()
    };
    let diagnosis = diagnose(&silent);
    assert_eq!(diagnosis.findings, []);
    let states: BTreeMap<Link, LinkState> = diagnosis.links.into_iter().collect();
    assert_eq!(states[&Link::Path], LinkState::NotTested, "never said to be fine");
}

#[test]
fn what_only_says_where_packets_are_lost_is_left_out_when_an_earlier_finding_says_why() {
    let mut evidence = healthy();
    evidence.flow.as_mut().unwrap().small = Some(pinged(0));
    assert_eq!(causes(&evidence), [Cause::NoReply]);
    seen(&mut evidence).gateway = Some(Vec::new());
    assert_eq!(causes(&evidence), [Cause::GatewaySilent, Cause::NoReply]);
    let links = seen(&mut evidence).links.as_mut().unwrap();
    links.get_mut("eth2").unwrap().up = false;
    assert_eq!(causes(&evidence), [Cause::InterfaceDown]);
}

#[test]
fn trouble_of_another_guest_explains_nothing_of_this_ones_packets() {
    let mut evidence = healthy();
    let mut other = evidence.guests[0].clone();
    other.name = "vm-6".to_owned();
    other.routes = Some(Vec::new());
    evidence.guests.push(other);
    evidence.flow.as_mut().unwrap().small = Some(pinged(0));
    assert_eq!(causes(&evidence), [Cause::GuestGateway, Cause::NoReply]);
}

#[test]
fn attenuation_shows_as_frames_damaged_on_the_line_of_an_uplink() {
    let mut evidence = healthy();
    let ports = vec![uplink(&[("rx_crc_errors", 40), ("rx_packets", 300)])];
    evidence.host.as_mut().unwrap().ports = ports;
    let diagnosis = diagnose(&evidence);
    assert_eq!(diagnosis.findings[0].cause, Cause::LinkFailing);
    assert!(diagnosis.findings[0].evidence[0].contains("attenuation"));
    let ports = vec![uplink(&[("rx_crc_errors", 1), ("rx_packets", 300_000)])];
    evidence.host.as_mut().unwrap().ports = ports;
    assert_eq!(causes(&evidence), [Cause::LinkErrors]);
}

#[test]
fn hardware_in_trouble_is_named_last_and_absent_hardware_is_not_available() {
    let mut evidence = healthy();
    let health = |what: &str, seen: Option<&str>, trouble| HealthSeen {
        what: what.to_owned(),
        seen: seen.map(str::to_owned),
        trouble,
    };
    evidence.host.as_mut().unwrap().health = vec![
        health("memory ECC", Some("1 uncorrected"), true),
        health("temperature", None, false),
    ];
    seen(&mut evidence).gateway = Some(Vec::new());
    let diagnosis = diagnose(&evidence);
    let named: Vec<_> = diagnosis.findings.iter().map(|f| f.cause).collect();
    assert_eq!(named, [Cause::GatewaySilent, Cause::HostTrouble]);
    assert_eq!(diagnosis.not_available, ["temperature"]);
}

#[test]
fn a_full_table_and_used_up_ports_come_before_the_network() {
    let mut evidence = healthy();
    evidence.flow.as_mut().unwrap().small = Some(pinged(0));
    seen(&mut evidence).after = files(262_144, 0);
    assert_eq!(causes(&evidence), [Cause::ConntrackFull]);
    seen(&mut evidence).after = files(11, 7);
    seen(&mut evidence).ports = vec![PortsUsed {
        address: "203.0.113.10".to_owned(),
        protocol: "TCP".to_owned(),
        destination: "198.51.100.10:443".to_owned(),
        used: 64_512,
        of: 64_512,
        heaviest: Some((GUEST, 60_000)),
    }];
    let diagnosis = diagnose(&evidence);
    assert_eq!(diagnosis.findings[0].cause, Cause::PortsExhausted);
    assert!(diagnosis.findings[0].evidence[1].contains("10.1.1.5"));
    seen(&mut evidence).ports.clear();
    assert!(causes(&evidence).contains(&Cause::InsertFailed));
}

#[test]
fn a_guest_beyond_its_limit_is_named_and_explains_why_it_is_cut_off() {
    let mut evidence = healthy();
    evidence.spec.as_mut().unwrap().limits.guest_rate = Some(5);
    seen(&mut evidence).refused = vec![(Refusal::GuestRate, GUEST, 40)];
    evidence.guests[0].gateway = Some(pinged(0));
    let diagnosis = diagnose(&evidence);
    let [finding] = &diagnosis.findings[..] else {
        panic!("{:#?}", diagnosis.findings)
    };
    assert_eq!(
        (finding.cause, finding.place.as_str()),
        (Cause::GuestLimited, "guest vm-5")
    );
    assert!(
        finding.evidence[1].contains("40 packets were refused while looking (router.guest.sessions.rate)")
    );
    // Of another one it explains nothing.
    let other = Ipv4Addr::new(10, 1, 1, 99);
    seen(&mut evidence).refused = vec![(Refusal::GuestRate, other, 40)];
    assert_eq!(causes(&evidence), [Cause::GuestLimited, Cause::GuestCutOff]);
    seen(&mut evidence).refused = vec![(Refusal::SourceRate, Ipv4Addr::new(203, 0, 113, 10), 1)];
    assert_eq!(causes(&evidence), [Cause::GuestCutOff, Cause::PublicLimited]);
}

#[test]
fn a_network_without_a_source_nat_address_gets_one_from_a_restart() {
    let mut evidence = healthy();
    evidence.books.source_nat = None;
    let finding = &diagnose(&evidence).findings[0];
    assert_eq!(
        (finding.cause, &finding.fix),
        (Cause::NoSourceNat, &Some(Fix::RestartNetwork))
    );
}

#[test]
fn denied_packets_are_policy_and_need_no_other_finding() {
    let mut evidence = healthy();
    let flow = evidence.flow.as_mut().unwrap();
    flow.flow = Flow {
        kind: Kind::Tcp,
        target: FAR,
        port: 25,
        asked: true,
    };
    flow.small = Some(pinged(0));
    evidence.spec.as_mut().unwrap().guest_networks[0].egress.default = EgressPolicy::Deny;
    let diagnosis = diagnose(&evidence);
    assert_eq!(diagnosis.findings.len(), 1);
    assert_eq!(diagnosis.findings[0].cause, Cause::EgressDenies);
    assert!(diagnosis.findings[0].evidence[1].contains("the default is deny"));
}

#[test]
fn the_captures_tell_on_which_stretch_packets_are_lost() {
    let request = "1 IP 10.1.1.5 > 198.51.100.53: ICMP echo request, id 1, seq 1, length 69\n";
    let left = "1 IP 203.0.113.10 > 198.51.100.53: ICMP echo request, id 1, seq 1, length 69\n";
    let back = "1 IP 198.51.100.53 > 203.0.113.10: ICMP echo reply, id 1, seq 1, length 69\n";
    let reply = "1 IP 198.51.100.53 > 10.1.1.5: ICMP echo reply, id 1, seq 1, length 69\n";
    let stretch = |inside: &[&str], outside: &[&str]| {
        let mut evidence = healthy();
        let side = |lines: &[&str]| -> Option<Captured> { captured(&lines.concat(), "listening on x") };
        let flow = evidence.flow.as_mut().unwrap();
        flow.small = Some(pinged(0));
        (flow.inside, flow.outside) = (side(inside), side(outside));
        causes(&evidence)
    };
    assert_eq!(stretch(&[], &[]), [Cause::NeverEnters]);
    assert_eq!(stretch(&[request], &[]), [Cause::NeverLeaves]);
    assert_eq!(stretch(&[request], &[left]), [Cause::NoReply]);
    assert_eq!(stretch(&[request], &[left, back]), [Cause::ReplyLost]);
    assert_eq!(stretch(&[request, reply], &[left, back]), [Cause::ReplyIgnored]);
}

#[test]
fn repairs_of_late_are_notes_and_the_same_one_again_and_again_is_somebodys_doing() {
    let mut evidence = healthy();
    let repaired = |ago_millis| Repaired {
        ago_millis,
        text: "table ip outgate is missing".to_owned(),
    };
    evidence.books.repairs = vec![repaired(3_200)];
    let diagnosis = diagnose(&evidence);
    assert_eq!(diagnosis.findings, []);
    assert_eq!(diagnosis.notes, ["repaired 3 s ago: table ip outgate is missing"]);
    evidence.books.repairs = (0..6).map(|n| repaired(n * 1_000)).collect();
    assert_eq!(causes(&evidence), [Cause::RepairsUndone]);
    evidence.books.repairs = (10..16).map(|n| repaired(n * 1_000)).collect();
    assert_eq!(causes(&evidence), [], "whoever did it has given up");
}

#[test]
fn a_guest_is_mended_by_its_lease_and_a_router_by_a_fresh_one() {
    let mut evidence = healthy();
    evidence.guests[0].routes = Some(Vec::new());
    assert_eq!(
        diagnose(&evidence).findings[0].fix,
        Some(Fix::RenewLease("g".to_owned()))
    );
    let mut evidence = healthy();
    seen(&mut evidence).listing = Some(String::new());
    let finding = &diagnose(&evidence).findings[0];
    assert_eq!(
        (finding.cause, &finding.fix),
        (Cause::RulesMissing, &Some(Fix::RestartNetwork))
    );
    evidence.books.wanted = false;
    evidence.books.state = "Stopped".to_owned();
    assert_eq!(diagnose(&evidence).findings[0].fix, Some(Fix::StartRouter));
}

#[test]
fn every_stretch_of_the_way_is_told_once() {
    let mut evidence = healthy();
    let links = diagnose(&evidence).links;
    seen(&mut evidence).counted = false;
    assert!(
        diagnose(&evidence)
            .links
            .contains(&(Link::Capacity, LinkState::NotTested)),
        "ports that nobody counted are not fine"
    );
    let told: BTreeSet<Link> = links.iter().map(|(link, _)| *link).collect();
    assert_eq!((told.len(), links.len()), (Link::ALL.len(), Link::ALL.len()));
}

/// An advert of the machine with this last octet.
fn advert(sender: u8, claims: Ipv4Addr) -> Advert {
    Advert {
        interface: "eth0".to_owned(),
        sender: Ipv4Addr::new(10, 1, 1, sender),
        mac: mac(sender),
        ours: false,
        version: 2,
        vrid: 51,
        priority: 100,
        addresses: vec![claims],
    }
}

/// The healthy network with adverts of these senders for this address, in order.
fn with_adverts(senders: &[u8], claims: Ipv4Addr) -> Evidence {
    let mut evidence = healthy();
    seen(&mut evidence).adverts = Some(senders.iter().map(|n| advert(*n, claims)).collect());
    evidence
}

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
/// An address of a pair of guests.
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 100);

#[test]
fn two_masters_that_go_on_beside_each_other_are_a_split_and_a_change_of_master_is_none() {
    for senders in [&[241, 242, 241, 242, 241][..], &[241, 241, 242, 242, 241]] {
        let diagnosis = diagnose(&with_adverts(senders, VIRTUAL));
        let [finding] = diagnosis.findings.as_slice() else {
            panic!("{:?}", diagnosis.findings)
        };
        assert_eq!(finding.cause, Cause::KeepalivedSplit);
        assert_eq!(finding.place, "guest network on eth0, virtual router 51");
        assert!(
            finding.evidence[0]
                .contains("10.1.1.241 at 02:00:00:00:00:f1 says that it is master of 10.1.1.100")
        );
        assert!(finding.evidence[1].contains("10.1.1.242") && finding.fix.is_none());
    }
    for senders in [
        &[241, 241, 241][..],
        &[241, 241, 242, 242],
        &[241, 242, 241, 241],
        &[],
    ] {
        assert_eq!(causes(&with_adverts(senders, VIRTUAL)), [], "{senders:?}");
    }
    let mut resigned = with_adverts(&[241, 242, 241, 242], VIRTUAL);
    for advert in seen(&mut resigned).adverts.iter_mut().flatten() {
        advert.priority = u8::from(advert.mac == mac(241));
    }
    assert_eq!(causes(&resigned), [], "priority 0 is no master's");
}

#[test]
fn a_split_over_the_gateways_address_is_named_first_and_one_beside_it_last() {
    let split = [241, 242, 241, 242];
    let mut evidence = with_adverts(&split, GATEWAY);
    evidence.guests[0].gateway_mac = Some(mac(241));
    assert_eq!(causes(&evidence), [Cause::KeepalivedSplit, Cause::GatewayStolen]);
    let mut evidence = with_adverts(&split, VIRTUAL);
    evidence.guests[0].gateway_mac = Some(mac(9));
    assert_eq!(causes(&evidence), [Cause::GatewayStolen, Cause::KeepalivedSplit]);
    // The packets are lost for another reason.
    let mut evidence = with_adverts(&split, VIRTUAL);
    evidence.guests[0].gateway = Some(pinged(0));
    assert_eq!(causes(&evidence), [Cause::GuestCutOff, Cause::KeepalivedSplit]);
}

#[test]
fn masters_of_two_versions_or_with_other_addresses_are_told_apart() {
    let mut evidence = with_adverts(&[241, 242, 241, 242], VIRTUAL);
    for advert in seen(&mut evidence)
        .adverts
        .iter_mut()
        .flatten()
        .skip(1)
        .step_by(2)
    {
        advert.version = 3;
        advert.addresses.push(GATEWAY);
    }
    let finding = diagnose(&evidence).findings.remove(0);
    let words = finding.evidence.join(" ");
    assert!(words.contains("10.1.1.1 (the guests' gateway)"), "{words}");
    assert!(
        words.contains("different versions") && words.contains("different addresses"),
        "{words}"
    );
}

#[test]
fn a_single_foreign_master_of_the_routers_own_address_has_stolen_it() {
    assert_eq!(causes(&with_adverts(&[241], GATEWAY)), [Cause::GatewayStolen]);
    let public = Ipv4Addr::new(203, 0, 113, 10);
    assert_eq!(causes(&with_adverts(&[241], public)), [Cause::AddressConflict]);
    // The upstream gateway may well be a pair's.
    assert_eq!(causes(&with_adverts(&[241], Ipv4Addr::new(203, 0, 113, 1))), []);
    let mut own = with_adverts(&[1], GATEWAY);
    seen(&mut own).adverts.as_mut().unwrap()[0].ours = true;
    assert_eq!(causes(&own), [], "this router is the master");
}

#[test]
fn every_cause_is_done_for_real_in_the_fault_clinic() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fault-clinic.md");
    let page = std::fs::read_to_string(page).unwrap();
    for cause in Cause::ALL {
        let cell = format!("| `{}` | {} |", cause.id(), cause.title());
        assert!(page.contains(&cell), "no fault of the clinic has {cell}");
    }
}
