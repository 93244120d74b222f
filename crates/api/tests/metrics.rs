// SPDX-License-Identifier: Apache-2.0
//! Metrics as Prometheus scrapes them, by HTTP from a manager on a real store: of one router, and of a thousand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::too_many_lines,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

#[path = "../../manager/tests/common/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use outgate_api::wire::request::RawParameters;
use outgate_api::{Api, Incoming, serve_metrics};
use outgate_manager::RangeConfig;
use outgate_manager::bootstrap::OFFERING_PERSISTENT;
use outgate_manager::command::request::CreateNetwork;
use outgate_model::Ipv4Range;
use outgate_model::id::{NetworkId, RouterId};
use outgate_model::object::Router;
use outgate_model::refusal::{Refusal, Refused};
use outgate_model::stats::{
    AddressTraffic, AddressUse, Census, DestinationUse, DropReason, Dropped, FastPathStatus, GuestUse,
    InterfaceDrops, NatLogUse, NetworkTraffic, NetworkUse, ProtocolUse, RouterStats, RouterWork, TableUse,
    Traffic,
};
use outgate_testkit::{Exposition, Stopwatch};
use world::World;

/// How many routers are scraped.
const ROUTERS: usize = 1_000;
/// How many networks are made at once.
const AT_ONCE: usize = 32;
/// How long a scrape of them may take.
const LIMIT: Duration = Duration::from_secs(1);
/// For so long it is tried, in a build for tests on a machine that others load: what counts is what the code can do.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scraped {
    status: u16,
    kind: String,
    text: String,
}

/// The metrics' socket over this API. It ends with the test.
fn serve(api: &Api) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_metrics(listener, api.clone(), std::future::pending()));
    address
}

async fn scrape(address: SocketAddr, path: &str, accept: &str) -> Scraped {
    let (url, accept) = (format!("http://{address}{path}"), accept.to_owned());
    let get = move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut reply = ureq::Agent::new_with_config(config)
            .get(&url)
            .header("accept", &accept)
            .call()
            .unwrap();
        Scraped {
            status: reply.status().as_u16(),
            kind: reply.headers()["content-type"].to_str().unwrap().to_owned(),
            text: reply
                .body_mut()
                .with_config()
                .limit(1 << 28)
                .read_to_string()
                .unwrap(),
        }
    };
    tokio::task::spawn_blocking(get).await.unwrap()
}

/// A page as it must be.
async fn page(address: SocketAddr) -> Exposition {
    let scraped = scrape(address, "/metrics", "text/plain").await;
    Exposition::read(&scraped.text, false).unwrap()
}

/// What a router that works says: two addresses, three protocols, as many guests as are ranked, a fast path.
fn stats(network: NetworkId, addresses: &[Ipv4Addr]) -> RouterStats {
    let traffic = Traffic {
        packets_in: 10,
        bytes_in: 10_000,
        packets_out: 11,
        bytes_out: 11_000,
    };
    let destination = |port| DestinationUse {
        address: Ipv4Addr::new(198, 51, 100, 1),
        port,
        ports: 600,
    };
    let protocol = |protocol| ProtocolUse {
        protocol,
        sessions: 900,
        ports: 800,
        busiest: (443..463).map(destination).collect(),
    };
    let guest = |number| GuestUse {
        address: Ipv4Addr::new(10, 1, 1, number),
        sessions: 500 - u32::from(number),
        ports: 0,
        traffic: None,
    };
    let used = |address: &Ipv4Addr| AddressUse {
        address: *address,
        sessions: 2_700,
        protocols: vec![protocol(1), protocol(6), protocol(17)],
        guests: (2..22).map(guest).collect(),
    };
    let ways = ["hit", "no_session", "not_settled", "leased", "renewed"];
    let drops = |name: &str| InterfaceDrops {
        interface: name.to_owned(),
        received: 1,
        sent: 2,
    };
    RouterStats {
        epoch: Some(1),
        addresses: addresses
            .iter()
            .map(|address| AddressTraffic {
                address: *address,
                traffic,
            })
            .collect(),
        networks: vec![NetworkTraffic { network, traffic }],
        table: TableUse {
            sessions: 5_400,
            limit: 262_144,
            insert_failed: 3,
            ..TableUse::default()
        },
        census: Some(Census {
            addresses: addresses.iter().map(used).collect(),
            networks: vec![NetworkUse {
                network,
                sessions: 5_300,
            }],
            ..Census::default()
        }),
        refused: vec![Refused {
            reason: Refusal::GuestRate,
            packets: 13,
            addresses: vec![(Ipv4Addr::new(10, 1, 1, 2), 12)],
        }],
        dropped: vec![Dropped {
            reason: DropReason::Egress,
            packets: 5,
            bytes: 300,
        }],
        drops: ["eth0", "eth1", "eth2"].map(drops).to_vec(),
        work: RouterWork {
            applies: 7,
            repairs: 2,
            repair_failures: 1,
            nat_log: NatLogUse {
                written: 100,
                lost: 4,
            },
            fast_path: Some(FastPathStatus {
                running: true,
                counters: ways.map(|way| (way.to_owned(), 9)).into_iter().collect(),
                ..FastPathStatus::default()
            }),
        },
        ..RouterStats::default()
    }
}

/// Makes networks with routers that run, and says what these say.
async fn networks(world: &World, names: Vec<String>) -> BTreeMap<RouterId, String> {
    let offering = world.offering(OFFERING_PERSISTENT);
    for chunk in names.chunks(AT_ONCE) {
        let mut made = tokio::task::JoinSet::new();
        for name in chunk {
            let (manager, admin) = (world.manager.clone(), world.admin);
            let request = CreateNetwork::new(name, offering, world.zone);
            made.spawn(async move { manager.create_network(&admin, request).await.unwrap() });
        }
        while let Some(done) = made.join_next().await {
            done.unwrap();
        }
    }
    world.quiet().await;
    world
        .when(|view| {
            let mut routers = view.all::<Router>();
            let all = view.all::<Router>().len() == names.len();
            let up = |r| view.router_observed(r).is_some_and(|seen| seen.generation > 0);
            (all && routers.all(|router| up(router.id))).then_some(())
        })
        .await;
    let view = world.manager.view();
    world.host.with(|host| {
        for router in view.all::<Router>() {
            let network = view.networks_of_realm(router.realm)[0].id;
            let own = view.source_nat_of(router.realm).unwrap().address;
            let another = Ipv4Addr::from_bits(own.to_bits() ^ (1 << 20));
            host.stats.insert(router.id, stats(network, &[own, another]));
        }
    });
    let names = view
        .all::<Router>()
        .map(|router| (router.id, router.name.clone()));
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_tells_what_a_router_said_and_what_the_api_answered() {
    let world = World::new(8).await;
    let routers = networks(&world, vec![r#"we"ird\name"#.to_owned()]).await;
    let router = routers.values().next().unwrap().clone();
    let api = Api::new(world.manager.clone());
    let asked = Incoming {
        query: "command=listZones&response=json".to_owned(),
        trusted: true,
        ..Incoming::default()
    };
    assert_eq!(api.answer(&asked).await.status, 200);
    let unknown = Incoming {
        query: "command=inventEverything".to_owned(),
        ..asked.clone()
    };
    assert_eq!(
        RawParameters::format(&unknown.query, b""),
        RawParameters::format("", b"")
    );
    api.answer(&unknown).await;
    let address = serve(&api);
    page(address).await;
    // The first scrape has the routers read.
    let deadline = Instant::now() + PATIENCE;
    let read = loop {
        let read = page(address).await;
        if !read.values("outgate_address_ports_used", &[]).is_empty() {
            break read;
        }
        assert!(Instant::now() < deadline, "no router was read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let of = |name: &str, labels: &[(&str, &str)]| read.sum(name, labels).unwrap_or(f64::NAN);
    let mine = ("router", router.as_str());
    for (name, labels, value) in [
        ("outgate_router_up", vec![mine], 1.0),
        ("outgate_router_state", vec![mine, ("state", "Running")], 1.0),
        ("outgate_router_state", vec![mine], 1.0),
        ("outgate_router_generations_behind", vec![mine], 0.0),
        (
            "outgate_router_redundant_state",
            vec![mine, ("state", "UNKNOWN")],
            1.0,
        ),
        ("outgate_router_redundant_state", vec![mine], 1.0),
        (
            "outgate_router_limit_refused_total",
            vec![mine, ("limit", "guest_rate")],
            13.0,
        ),
        (
            "outgate_guest_limit_refused_total",
            vec![mine, ("address", "10.1.1.2")],
            12.0,
        ),
        ("outgate_network_sessions", vec![mine], 5_300.0),
        ("outgate_router_pool_ports_used", vec![mine], 600.0),
        ("outgate_router_pool_ports_limit", vec![mine], 64_512.0),
        (
            "outgate_router_info",
            vec![mine, ("name", r#"we"ird\name"#), ("zone", "lab")],
            1.0,
        ),
        ("outgate_router_sessions", vec![mine], 5_400.0),
        ("outgate_router_sessions_limit", vec![mine], 262_144.0),
        (
            "outgate_router_drops_total",
            vec![mine, ("reason", "conntrack_insert_failed")],
            3.0,
        ),
        (
            "outgate_router_drops_total",
            vec![mine, ("reason", "egress")],
            5.0,
        ),
        (
            "outgate_router_interface_drops_total",
            vec![mine, ("interface", "eth2"), ("direction", "transmit")],
            2.0,
        ),
        ("outgate_router_repairs_total", vec![mine], 2.0),
        ("outgate_router_nat_log_lost_total", vec![mine], 4.0),
        (
            "outgate_router_fastpath_packets_total",
            vec![mine, ("way", "hit")],
            9.0,
        ),
        ("outgate_router_fastpath_packets_total", vec![mine], 27.0),
        (
            "outgate_network_bytes_total",
            vec![mine, ("direction", "in")],
            10_000.0,
        ),
        (
            "outgate_address_ports_used",
            vec![mine, ("address", "203.0.113.10"), ("protocol", "tcp")],
            800.0,
        ),
        (
            "outgate_address_destination_ports_used",
            vec![("address", "203.0.113.10"), ("protocol", "udp")],
            600.0,
        ),
        (
            "outgate_address_ports_limit",
            vec![("address", "203.0.113.10")],
            64_512.0,
        ),
        (
            "outgate_guest_sessions",
            vec![mine, ("address", "10.1.1.2")],
            996.0,
        ),
        (
            "outgate_api_requests_total",
            vec![("command", "listZones"), ("code", "200")],
            1.0,
        ),
        (
            "outgate_api_requests_total",
            vec![("command", "unknown"), ("code", "432")],
            1.0,
        ),
        (
            "outgate_api_request_duration_seconds_count",
            vec![("command", "listZones")],
            1.0,
        ),
        (
            "outgate_events_total",
            vec![("type", "NETWORK.CREATE"), ("level", "INFO")],
            1.0,
        ),
        ("outgate_objects", vec![("kind", "router")], 1.0),
        (
            "outgate_zone_capacity",
            vec![("resource", "public_addresses")],
            8.0,
        ),
        ("outgate_server_leading", vec![], 1.0),
    ] {
        assert_eq!(of(name, &labels), value, "{name} {labels:?}");
    }
    assert_eq!(
        read.values("outgate_guest_sessions", &[]).len(),
        10,
        "only the busiest guests"
    );
    assert!(of("outgate_apply_duration_seconds_count", &[]) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_are_served_and_nothing_else_is_there() {
    let world = World::new(8).await;
    let address = serve(&Api::new(world.manager.clone()));
    let plain = scrape(address, "/metrics", "*/*").await;
    assert_eq!(
        (plain.status, plain.kind.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    Exposition::read(&plain.text, false).unwrap();
    let open = scrape(address, "/metrics", "application/openmetrics-text;version=1.0.0").await;
    assert_eq!(
        open.kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    Exposition::read(&open.text, true).unwrap();
    for elsewhere in ["/", "/client/api?command=listZones", "/metrics/x"] {
        assert_eq!(scrape(address, elsewhere, "*/*").await.status, 404, "{elsewhere}");
    }
}

/// Also `./x bench metrics`, which builds it as it is shipped.
#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_1000_routers_come_in_under_a_second_and_pass_strict_checks() {
    let world = World::of(|dir| {
        let mut config = world::config(dir, 1);
        let range = Ipv4Range::new(Ipv4Addr::new(198, 18, 0, 10), Ipv4Addr::new(198, 18, 7, 250)).unwrap();
        config.bootstrap.ranges = vec![RangeConfig {
            gateway: "198.18.0.1/15".parse().unwrap(),
            range,
            vlan: "vlan://untagged".to_owned(),
        }];
        config
    });
    let world = world.await;
    networks(&world, (0..ROUTERS).map(|number| format!("n{number}")).collect()).await;
    let address = serve(&Api::new(world.manager.clone()));
    let deadline = Instant::now() + PATIENCE;
    let mut best = Duration::MAX;
    loop {
        let watch = Stopwatch::start();
        let scraped = scrape(address, "/metrics", "text/plain").await;
        let took = watch.fair();
        let read = Exposition::read(&scraped.text, false).unwrap();
        let routers = read.values("outgate_router_reading_time_seconds", &[]).len();
        if routers == ROUTERS {
            best = best.min(took);
            let (series, bytes) = (read.samples.len(), scraped.text.len());
            println!(
                "{{\"routers\":{ROUTERS},\"series\":{series},\"bytes\":{bytes},\"scrape_ms\":{:.1}}}",
                took.as_secs_f64() * 1_000.0
            );
            if best < LIMIT {
                break;
            }
        }
        assert!(Instant::now() < deadline, "{routers} routers, at best {best:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let open = scrape(address, "/metrics", "application/openmetrics-text").await;
    let read = Exposition::read(&open.text, true).unwrap();
    assert_eq!(read.values("outgate_router_up", &[]), vec![1.0; ROUTERS]);
}
