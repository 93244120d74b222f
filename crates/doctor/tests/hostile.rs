// SPDX-License-Identifier: Apache-2.0
//! Whatever programs print, in a guest that is not ours or on a wire that anybody may send on: it is understood or left out,
//! and never the end of the doctor.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outgate_doctor::evidence::{Books, FlowSeen, GuestSeen, RouterSeen};
use outgate_doctor::probe::{CONNTRACK, COUNT, Flow, LIMIT, NETSTAT};
use outgate_doctor::read::vrrp::{self, Advert};
use outgate_doctor::read::{arping, dns, files, ip, ping, tcpdump};
use outgate_doctor::{Evidence, diagnose};
use outgate_model::{MacAddr, RouterSpec};
use proptest::prelude::*;

const SPEC: &str = include_str!("spec.json");

/// What the programs print when all is well.
const SAMPLES: [&str; 16] = [
    r#"[{"ifname":"eth0","flags":["UP","LOWER_UP"],"mtu":1500,"address":"02:00:00:00:00:05","addr_info":[{"family":"inet","local":"10.1.1.5","prefixlen":24}]}]"#,
    r#"[{"dst":"default","gateway":"10.1.1.1","dev":"eth0","protocol":"static"},{"dst":"10.1.1.0/24","dev":"eth0"}]"#,
    r#"[{"dst":"10.1.1.1","lladdr":"02:00:00:00:00:c0","state":["REACHABLE"]}]"#,
    "0:\tfrom all lookup local\n100:\tfrom all lookup 100\n32766:\tfrom all lookup main\n",
    "From 203.0.113.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)\n5 packets transmitted, 4 received, 20% packet loss\n",
    "Unicast reply from 203.0.113.1 [5A:E2:C9:2B:25:15]  0.543ms\nSent 2 probes (1 broadcast(s))\n",
    "Server:\t10.1.1.1\n\nName:\twww.example.com\nAddress: 192.0.2.1\n** server can't find x: SERVFAIL\n",
    "/proc/a:262144\n/proc/net/stat/nf_conntrack:entries insert_failed drop\n",
    "TcpExt: A IPReversePathFilter\nTcpExt: 1 7\n",
    "entries  insert_failed drop early_drop\n0000000a  00000001 00000000 00000002\n",
    "15:50:56.28 IP 10.1.1.5 > 198.51.100.53: ICMP echo request, id 11, seq 2, length 69\n\
     15:50:56.30 IP 203.0.113.1 > 10.1.1.5: ICMP 198.51.100.53 unreachable - need to frag (mtu 1300), length 556\n",
    "22:22:47.20 eth0  M   IP 10.1.1.241 > 224.0.0.18: VRRPv2, Advertisement, vrid 51\n\
     \t0x0000:  0800 0000 0000 0004 0001 0206 0632 42b8\n\t0x0010:  c53b 0000 45c0 0028 0005 0000 ff70 ce9c\n\
     \t0x0020:  0a01 01f1 e000 0012 2133 6501 0001 6e65\n\t0x0030:  0a01 0164 0000 0000 0000 0000\n",
    "table ip outgate {\n\tchain forward {\n\t}\n}\ntable inet other {\n}\n",
    "ipv4     2 esp      50 597 src=10.1.1.5 dst=198.51.100.10 [UNREPLIED] src=198.51.100.10 dst=203.0.113.10\n",
    "240000\n",
    "262144\n",
];

/// A sample with pieces of it replaced, or anything at all.
fn printed(sample: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| format!("{n:x}")),
        Just(String::new()),
        "[\\PC\t\n]{0,12}",
    ];
    let edits = prop::collection::vec((any::<usize>(), 0..24_usize, piece), 0..4);
    let edited = edits.prop_map(|edits| {
        let mut text: Vec<char> = sample.chars().collect();
        for (at, length, piece) in edits {
            let at = at % (text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    });
    prop_oneof![4 => edited, 1 => "[\\PC\t\n]{0,200}"]
}

/// What each program printed, and by how many places it went to the wrong reader.
fn all_printed() -> impl Strategy<Value = (Vec<String>, usize)> {
    let texts: Vec<_> = SAMPLES.into_iter().map(printed).collect();
    (texts, prop_oneof![3 => Just(0), 1 => 0..SAMPLES.len()])
}

/// The guest.
fn guest<'a>(of: &dyn Fn(usize) -> &'a str) -> GuestSeen {
    GuestSeen {
        name: "vm-5".to_owned(),
        running: true,
        mac: Some(MacAddr([2, 0, 0, 0, 0, 5])),
        interface: "eth0".to_owned(),
        links: ip::links(of(0)),
        routes: ip::routes(of(1)),
        resolv: Some(of(6).to_owned()),
        gateway: ping::pinged(of(4), of(3)),
        gateway_mac: ip::neighbour(of(2), Ipv4Addr::new(10, 1, 1, 1)),
        ..GuestSeen::default()
    }
}

/// What the readers make of it is evidence.
fn evidence((texts, shift): &(Vec<String>, usize)) -> Evidence {
    let of = |n: usize| texts[(n + shift) % texts.len()].as_str();
    let spec: RouterSpec = serde_json::from_str(SPEC).unwrap();
    let began = "listening on any";
    let counters = |turn: usize| {
        let numbers = [(COUNT, 14), (LIMIT, 15), (CONNTRACK, 9), (NETSTAT, 8)];
        let each = numbers.map(|(path, at)| (path.to_owned(), of(at + turn).to_owned()));
        let mut all: BTreeMap<String, String> = each.into_iter().collect();
        all.extend(files::files(of(7)));
        all
    };
    let router = RouterSeen {
        links: ip::links(of(0)),
        routes: ip::routes(of(1)),
        policy: Some(ip::policy(of(3))),
        listing: Some(of(12).to_owned()),
        postrouting: Some(of(12).lines().map(str::to_owned).collect()),
        before: counters(0),
        after: counters(*shift),
        sockets: Some(of(13).to_owned()),
        gateway: arping::answers(of(5)),
        rivals: arping::answers(of(5)),
        adverts: vrrp::heard(of(11), began),
        ipsec: of(13).lines().map(str::to_owned).collect(),
        counted: true,
        ..RouterSeen::default()
    };
    let flow = FlowSeen {
        flow: Flow {
            target: Ipv4Addr::new(198, 51, 100, 53),
            ..Flow::default()
        },
        leaves_by: "eth2".to_owned(),
        small: ping::pinged(of(4), of(6)),
        large: ping::pinged(of(4), ""),
        inside: tcpdump::captured(of(10), began),
        outside: tcpdump::captured(of(10), began),
        dns: dns::resolved(of(6), of(3), true),
        ..FlowSeen::default()
    };
    Evidence {
        books: Books {
            router: Some("r-1-VM".to_owned()),
            wanted: true,
            state: "Running".to_owned(),
            source_nat: Some(Ipv4Addr::new(203, 0, 113, 10)),
            ..Books::default()
        },
        spec: Some(spec),
        router: Some(router),
        guests: vec![guest(&of)],
        flow: Some(flow),
        host: None,
    }
}

/// The ones' complement checksum.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

/// The advert as a machine sends it (RFC 3768, RFC 5798), behind Linux' head.
fn sent(advert: &Advert) -> Vec<u8> {
    let group = [224, 0, 0, 18];
    let count = u8::try_from(advert.addresses.len()).unwrap();
    let mut message = vec![
        advert.version << 4 | 1,
        advert.vrid,
        advert.priority,
        count,
        0,
        100,
        0,
        0,
    ];
    message.extend(advert.addresses.iter().flat_map(Ipv4Addr::octets));
    if advert.version == 2 {
        message.extend([0; 8]);
    }
    let length = u16::try_from(message.len()).unwrap();
    let mut summed = Vec::new();
    if advert.version == 3 {
        summed.extend(advert.sender.octets());
        summed.extend(group);
        summed.extend([0, 112]);
        summed.extend(length.to_be_bytes());
    }
    summed.extend(&message);
    message[6..8].copy_from_slice(&checksum(&summed));
    let mut frame = vec![8, 0, 0, 0, 0, 0, 0, 4, 0, 1, if advert.ours { 4 } else { 2 }, 6];
    frame.extend(advert.mac.0);
    frame.extend([0, 0, 0x45, 0xc0]);
    frame.extend((length + 20).to_be_bytes());
    frame.extend([0, 1, 0, 0, 255, 112, 0, 0]);
    frame.extend(advert.sender.octets());
    frame.extend(group);
    frame.extend(message);
    frame
}

fn advert() -> impl Strategy<Value = Advert> {
    let addresses = prop::collection::vec(any::<Ipv4Addr>(), 1..=20);
    let who = (any::<Ipv4Addr>(), any::<[u8; 6]>(), any::<bool>());
    (who, 2..=3_u8, 1..=255_u8, any::<u8>(), addresses).prop_map(
        |((sender, mac, ours), version, vrid, priority, addresses)| Advert {
            interface: "eth0".to_owned(),
            sender,
            mac: MacAddr(mac),
            ours,
            version,
            vrid,
            priority,
            addresses,
        },
    )
}

proptest! {
    #[test]
    fn whatever_programs_print_the_doctor_says_something(printed in all_printed()) {
        let diagnosis = diagnose(&evidence(&printed));
        prop_assert!(diagnosis.findings.len() <= 20, "an answer stays readable");
        prop_assert!(diagnosis.findings.iter().all(|finding| finding.evidence.len() <= 6));
    }

    #[test]
    fn every_advert_is_read_as_it_was_sent(advert in advert()) {
        prop_assert_eq!(vrrp::advert("eth0", &sent(&advert)), Some(advert));
    }

    #[test]
    fn bytes_that_are_no_advert_are_none_or_one_that_makes_sense(
        advert in advert(),
        edits in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        length in any::<usize>(),
    ) {
        let mut frame = sent(&advert);
        for (at, byte) in edits {
            let at = at % frame.len();
            frame[at] = byte;
        }
        frame.truncate(length % (frame.len() + 1));
        if let Some(read) = vrrp::advert("eth0", &frame) {
            prop_assert!(read.vrid > 0 && [2, 3].contains(&read.version) && !read.addresses.is_empty());
        }
    }
}
