// SPDX-License-Identifier: Apache-2.0
//! The test tools themselves: what they report is so. Needs root, since only root may make namespaces.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use outgate_testkit::{
    HttpServer, Namespace, Sniffer, TcpEcho, TcpProbe, Topology, TopologySpec, UdpEcho, UdpStream, connect,
    http_get, scan_tcp, scan_udp, send_packet, udp_packet, wait_until,
};

const LIMIT: Duration = Duration::from_secs(60);

#[allow(clippy::unwrap_used, reason = "a helper of tests may panic")]
async fn pair() -> (Namespace, Namespace) {
    let (left, right) = (Namespace::new().await.unwrap(), Namespace::new().await.unwrap());
    connect((&left, "eth0", None), None, (&right, "eth0", None), 1_500)
        .await
        .unwrap();
    left.address("eth0", "192.0.2.1/24".parse().unwrap())
        .await
        .unwrap();
    right
        .address("eth0", "192.0.2.2/24".parse().unwrap())
        .await
        .unwrap();
    (left, right)
}

fn on(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, last), port)
}

#[tokio::test]
async fn traffic_reaches_its_peer_and_the_peer_knows_who_it_was() {
    let (left, right) = pair().await;
    assert!(left.pings(*on(2, 0).ip(), 3).unwrap());
    let tcp = TcpEcho::start(&right, on(2, 7)).unwrap();
    let mut probe = TcpProbe::connect(&left, tcp.address, LIMIT).unwrap();
    probe.echo(&vec![7; 1 << 20]).unwrap();
    assert_eq!(tcp.seen(), [probe.local().unwrap()]);
    let http = HttpServer::start(&right, on(2, 80)).unwrap();
    assert_eq!(http_get(&left, http.address, LIMIT).unwrap(), "192.0.2.1\n");
    let udp = UdpEcho::start(&right, on(2, 7)).unwrap();
    let stream = UdpStream::start(&left, udp.address, 1_000).unwrap();
    wait_until(LIMIT, "200 datagrams", || (stream.received() > 200).then_some(())).unwrap();
    let loss = stream.stop();
    assert_eq!(loss.lost(), 0, "{loss:?}");
}

#[tokio::test]
async fn a_stream_through_an_outage_counts_what_it_lost() {
    let (left, right) = pair().await;
    let udp = UdpEcho::start(&right, on(2, 7)).unwrap();
    let stream = UdpStream::start(&left, udp.address, 500).unwrap();
    wait_until(LIMIT, "50 datagrams", || (stream.received() > 50).then_some(())).unwrap();
    drop(udp);
    let before = stream.sent();
    wait_until(LIMIT, "20 more", || (stream.sent() > before + 20).then_some(())).unwrap();
    let loss = stream.stop();
    assert!(loss.lost() > 10, "{loss:?}");
}

#[tokio::test]
async fn a_packet_with_a_false_source_arrives_as_it_is() {
    let (left, right) = pair().await;
    let sniffer = Sniffer::start(&right).unwrap();
    let lie = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 66), 53);
    send_packet(&left, &udp_packet(lie, on(2, 9), b"lie"), *on(2, 0).ip()).unwrap();
    let seen = || (sniffer.count(|p| p.source == *lie.ip() && p.ports() == Some((53, 9))) == 1).then_some(());
    wait_until(LIMIT, "the packet", seen).unwrap();
}

#[tokio::test]
async fn a_scan_finds_exactly_the_open_ports_of_all_there_are() {
    let (left, right) = pair().await;
    let (source, target) = (*on(1, 0).ip(), *on(2, 0).ip());
    let _tcp = [1, 8_080, 65_535].map(|port| TcpEcho::start(&right, on(2, port)).unwrap());
    let _udp = [53, 65_535].map(|port| UdpEcho::start(&right, on(2, port)).unwrap());
    let tcp = scan_tcp(&left, source, target).unwrap();
    assert_eq!(tcp.open.into_iter().collect::<Vec<_>>(), [1, 8_080, 65_535]);
    assert_eq!(tcp.refused.len(), 65_532);
    let udp = scan_udp(&left, source, target).unwrap();
    assert_eq!(udp.open.into_iter().collect::<Vec<_>>(), [53, 65_535]);
}

#[tokio::test]
async fn a_world_has_guests_that_see_each_other_but_no_way_out_without_a_router() {
    let world = Topology::new(&TopologySpec::default()).await.unwrap();
    let (first, second) = (&world.guests[0], Ipv4Addr::new(10, 1, 1, 12));
    assert!(first.pings(second, 2).unwrap());
    assert!(!first.pings(Ipv4Addr::new(8, 8, 8, 8), 1).unwrap());
    let names: Vec<String> = world
        .router
        .links()
        .unwrap()
        .list()
        .await
        .unwrap()
        .into_keys()
        .collect();
    assert_eq!(names, ["eth0", "eth1", "eth2", "lo"]);
}
