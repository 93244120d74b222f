// SPDX-License-Identifier: Apache-2.0
//! What routers know, as clients ask for it: sessions, use of public addresses, health, usage records.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::Ipv4Addr;

use common::{Served, text};
use outgate_model::id::NetworkId;
use outgate_model::object::RouterState;
use outgate_model::refusal::{Refusal, Refused};
use outgate_model::stats::{
    AddressTraffic, AddressUse, Census, DestinationUse, DropReason, Dropped, Endpoint, FastPathStatus,
    GuestUse, HealthCheck, HealthKind, NetworkTraffic, NetworkUse, ProtocolUse, RouterStats, RouterWork,
    SessionEntry, TableUse, Traffic, Way,
};
use serde_json::{Value, json};

const CARRIED: Traffic = Traffic {
    packets_in: 3,
    bytes_in: 300,
    packets_out: 2,
    bytes_out: 200,
};

/// A network with a guest and a router that runs.
struct Cloud {
    served: Served,
    network: NetworkId,
    router: String,
    guest: Value,
}

impl Cloud {
    async fn new() -> Self {
        let served = Served::new(8).await;
        let network = served.world.network("net").await;
        let guest = served.world.guest(network, "vm").await;
        let router = served.world.router_id(network);
        let runs = |view: &outgate_manager::View<'_>| {
            let seen = view.router_observed(router)?;
            (seen.state == RouterState::Running).then_some(())
        };
        served.world.when(runs).await;
        let found = served
            .ok("listVirtualMachines", &[("id", &guest.to_string())])
            .await;
        let cloud = Self {
            router: router.to_string(),
            guest: found["virtualmachine"][0].clone(),
            network,
            served,
        };
        cloud.served.world.host.with(|host| {
            host.sessions = vec![cloud.session(6, 443), cloud.session(17, 53)];
            host.stats.insert(router, cloud.stats());
            host.health = vec![HealthCheck {
                name: "dns_check.py".to_owned(),
                kind: HealthKind::Advanced,
                success: true,
                details: "1 resolvers answer".to_owned(),
            }];
        });
        cloud
    }

    fn inside(&self) -> Ipv4Addr {
        text(&self.guest["nic"][0], "ipaddress").parse().unwrap()
    }

    fn session(&self, protocol: u8, port: u16) -> SessionEntry {
        let end = |address: [u8; 4], port| Endpoint {
            address: address.into(),
            port,
        };
        SessionEntry {
            way: Way::Outbound,
            protocol,
            inside: Endpoint {
                address: self.inside(),
                port: 40_000,
            },
            public: Some(end([203, 0, 113, 10], 40_000)),
            destination: end([198, 51, 100, 1], port),
            state: (protocol == 6).then(|| "ESTABLISHED".to_owned()),
            answered: true,
            age_secs: Some(12),
            timeout_secs: Some(100),
            traffic: Some(CARRIED),
        }
    }

    fn stats(&self) -> RouterStats {
        let destination = DestinationUse {
            address: [198, 51, 100, 1].into(),
            port: 443,
            ports: 60_000,
        };
        let used = AddressUse {
            address: [203, 0, 113, 10].into(),
            sessions: 60_001,
            protocols: vec![ProtocolUse {
                protocol: 6,
                sessions: 60_000,
                ports: 60_000,
                busiest: vec![destination],
            }],
            guests: vec![GuestUse {
                address: self.inside(),
                sessions: 60_001,
                ports: 59_999,
                traffic: Some(CARRIED),
            }],
        };
        RouterStats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: Some(1),
            addresses: vec![AddressTraffic {
                address: [203, 0, 113, 10].into(),
                traffic: CARRIED,
            }],
            networks: vec![NetworkTraffic {
                network: self.network,
                traffic: CARRIED,
            }],
            table: TableUse {
                sessions: 60_001,
                limit: 262_144,
                ..TableUse::default()
            },
            census: Some(Census {
                addresses: vec![used],
                networks: vec![NetworkUse {
                    network: self.network,
                    sessions: 59_000,
                }],
                ..Census::default()
            }),
            refused: refused(self.inside()),
            refused_sources: vec![([198, 51, 100, 7].into(), 4)],
            read_millis: 1_700_000_000_000,
            dropped: vec![Dropped {
                reason: DropReason::Unsolicited,
                packets: 7,
                bytes: 420,
            }],
            work: RouterWork {
                fast_path: Some(fast_path()),
                ..RouterWork::default()
            },
            ..RouterStats::default()
        }
    }
}

/// A guest that is too fast, and pings to a public address.
fn refused(guest: Ipv4Addr) -> Vec<Refused> {
    let of = |reason, address, packets| Refused {
        reason,
        packets,
        addresses: vec![(address, packets)],
    };
    vec![
        of(Refusal::GuestRate, guest, 42),
        of(Refusal::PingRate, [203, 0, 113, 10].into(), 5),
    ]
}

fn fast_path() -> FastPathStatus {
    FastPathStatus {
        hook: Some("tcx".to_owned()),
        running: true,
        counters: [
            ("hit", 90),
            ("no_session", 10),
            ("leased", 5),
            ("renewed", 7),
            ("options", 0),
        ]
        .map(|(way, packets)| (way.to_owned(), packets))
        .into(),
        ..FastPathStatus::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_page_by_page_with_their_guest() {
    let cloud = Cloud::new().await;
    let network = cloud.network.to_string();
    let params = [("networkid", network.as_str()), ("page", "2"), ("pagesize", "1")];
    let page = cloud.served.ok("listRouterSessions", &params).await;
    assert_eq!(page["count"], 2);
    let expected = json!({
        "routerid": cloud.router, "direction": "Outbound", "protocol": "udp",
        "insideipaddress": cloud.inside(), "insideport": 40_000,
        "publicipaddress": "203.0.113.10", "publicport": 40_000,
        "destinationipaddress": "198.51.100.1", "destinationport": 53,
        "virtualmachineid": cloud.guest["id"], "virtualmachinename": "vm",
        "answered": true, "age": 12, "timeout": 100,
        "receivedbytes": 300, "sentbytes": 200, "receivedpackets": 3, "sentpackets": 2,
    });
    assert_eq!(page["routersession"], json!([expected]));
    let tcp = [("routerid", cloud.router.as_str()), ("protocol", "TCP")];
    let tcp = cloud.served.ok("listRouterSessions", &tcp).await;
    assert_eq!(
        (&tcp["count"], &tcp["routersession"][0]["state"]),
        (&json!(1), &json!("ESTABLISHED"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_listing_needs_a_target_that_is_the_callers_and_a_protocol_that_exists() {
    let cloud = Cloud::new().await;
    let refused = async |params: &[(&str, &str)]| {
        let answer = cloud.served.call("listRouterSessions", params).await;
        (answer.status, text(answer.inner(), "errortext").to_owned())
    };
    let (code, words) = refused(&[]).await;
    assert!(
        code == 431 && words.contains("missing parameter routerid"),
        "{words}"
    );
    let (code, words) = refused(&[("routerid", &cloud.router), ("protocol", "tcpp")]).await;
    assert!(
        code == 431 && words.contains("protocol") && words.contains("tcpp"),
        "{words}"
    );
    let unknown = "5f0e7a52-8b7e-4c29-9d8e-7a1d2b3c4d5e";
    let (code, words) = refused(&[("vpcid", unknown)]).await;
    assert!(code == 431 && words.contains("entity does not exist"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn use_of_an_address_names_ports_destination_guest_and_remedy() {
    let cloud = Cloud::new().await;
    let network = cloud.network.to_string();
    let found = cloud
        .served
        .ok("getSourceNatUsage", &[("networkid", &network)])
        .await;
    let used = &found["sourcenatusage"][0];
    assert_eq!(
        (
            &used["portsused"],
            &used["portlimit"],
            &used["percentused"],
            &used["sessions"]
        ),
        (&json!(60_000), &json!(64_512), &json!(93), &json!(60_001))
    );
    assert_eq!(
        used["protocol"][0]["destination"][0],
        json!({"ipaddress": "198.51.100.1", "port": 443, "portsused": 60_000})
    );
    let guest = &used["virtualmachine"][0];
    assert_eq!(
        (&guest["name"], &guest["portsused"], &guest["receivedbytes"]),
        (&json!("vm"), &json!(59_999), &json!(300))
    );
    assert_eq!(
        used["drop"],
        json!([{"reason": "unsolicited", "packets": 7, "bytes": 420}])
    );
    assert_eq!(
        used["fastpath"],
        json!({
            "mode": "off", "hook": "tcx", "running": true, "hits": 90, "misses": 10,
            "miss": [{"reason": "no_session", "packets": 10}],
        })
    );
    assert_eq!(
        (&used["readat"], &used["epoch"]),
        (&json!(1_700_000_000_000_u64), &json!(1))
    );
    assert!(text(used, "remedy").contains("enableStaticNat"));
    assert_eq!(
        (&used["receivedbytes"], &used["network"][0]["sentbytes"]),
        (&json!(300), &json!(200))
    );
    assert_eq!(used["sessiontable"]["limit"], 262_144);
    // By the address itself.
    let id = text(used, "ipaddressid");
    let same = cloud.served.ok("getSourceNatUsage", &[("ipaddressid", id)]).await;
    assert_eq!(same["sourcenatusage"][0]["ipaddress"], "203.0.113.10");
}

#[tokio::test(flavor = "multi_thread")]
async fn use_of_a_router_names_the_sessions_of_networks_and_whom_limits_refused() {
    let cloud = Cloud::new().await;
    let router = [("routerid", cloud.router.as_str())];
    let found = cloud.served.ok("getSourceNatUsage", &router).await;
    let used = &found["sourcenatusage"][0];
    let network = &used["network"][0];
    assert_eq!(
        (&network["id"], &network["sessions"]),
        (&json!(cloud.network), &json!(59_000))
    );
    let [guest, public] = [&used["refused"][0], &used["refused"][1]];
    assert_eq!(
        (&guest["reason"], &guest["name"], &guest["packets"]),
        (&json!("router.guest.sessions.rate"), &json!("vm"), &json!(42))
    );
    assert_eq!(
        (&public["reason"], &public["ipaddress"], &public["id"]),
        (
            &json!("router.public.ping.rate"),
            &json!("203.0.113.10"),
            &Value::Null
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_are_run_when_asked_and_listed_with_the_router() {
    let cloud = Cloud::new().await;
    let fresh = [
        ("routerid", cloud.router.as_str()),
        ("performfreshchecks", "true"),
    ];
    let found = cloud.served.ok("getRouterHealthCheckResults", &fresh).await;
    let checks = found["routerhealthchecks"]["healthchecks"]
        .as_array()
        .unwrap()
        .clone();
    let names: Vec<&str> = checks.iter().map(|c| text(c, "checkname")).collect();
    assert_eq!(names, ["connectivity.test", "dns_check.py"]);
    assert_eq!(
        (&checks[1]["checktype"], &checks[1]["success"]),
        (&json!("advanced"), &json!(true))
    );
    cloud
        .served
        .world
        .host
        .with(|host| host.health[0].success = false);
    cloud.served.ok("getRouterHealthCheckResults", &fresh).await;
    let failed = [("healthchecksfailed", "true"), ("listall", "true")];
    let routers = cloud.served.ok("listRouters", &failed).await;
    let results = routers["router"][0]["healthcheckresults"].as_array().unwrap();
    assert!(
        results
            .iter()
            .any(|c| c["checkname"] == "dns_check.py" && c["success"] == false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_records_hold_bytes_and_hours_of_the_days_asked_for() {
    let cloud = Cloud::new().await;
    let served = &cloud.served;
    let now = jiff::Timestamp::now();
    let day = |days: i64| {
        let at = now + jiff::SignedDuration::from_hours(24 * days);
        at.strftime("%Y-%m-%d").to_string()
    };
    let (yesterday, tomorrow) = (day(-1), day(1));
    let range = [("startdate", yesterday.as_str()), ("enddate", tomorrow.as_str())];
    served.ok("generateUsageRecords", &range).await;
    let all = served.ok("listUsageRecords", &range).await;
    let records = all["usagerecord"].as_array().unwrap();
    let of = |kind: i64| records.iter().find(|r| r["usagetype"] == kind).unwrap();
    assert_eq!(
        (&of(4)["rawusage"], &of(4)["usage"], &of(4)["usageid"]),
        (&json!("200"), &json!("200 bytes sent"), &json!(cloud.router))
    );
    assert_eq!(of(5)["rawusage"], "300");
    assert_eq!(of(4)["networkid"], json!(cloud.network));
    assert_eq!(
        (&of(3)["description"], &of(3)["issourcenat"]),
        (&json!("IPAddress: 203.0.113.10"), &json!(true))
    );
    assert!(text(of(3), "usage").ends_with(" Hrs") && text(of(30), "account") == "admin");
    let mut typed = range.to_vec();
    typed.extend([("type", "4"), ("usageid", cloud.router.as_str())]);
    assert_eq!(served.ok("listUsageRecords", &typed).await["count"], 1);
    let none = [("startdate", "2020-01-01"), ("enddate", "2020-01-02")];
    assert_eq!(served.ok("listUsageRecords", &none).await, json!({}));
    let wide = [("startdate", "2020-01-01"), ("enddate", tomorrow.as_str())];
    assert_eq!(served.call("listUsageRecords", &wide).await.status, 431);
    let turned = [("startdate", tomorrow.as_str()), ("enddate", yesterday.as_str())];
    assert_eq!(served.call("listUsageRecords", &turned).await.status, 431);
    let types = served.ok("listUsageTypes", &[]).await;
    assert!(
        types["usagetype"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["id"] == 4)
    );
    served.ok("removeRawUsageRecords", &[("interval", "1")]).await;
    assert_eq!(
        served.ok("listUsageRecords", &typed).await["count"],
        1,
        "today's stay"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnosis_runs_what_was_asked_and_nothing_else() {
    let cloud = Cloud::new().await;
    let ping = [
        ("targetid", cloud.router.as_str()),
        ("ipaddress", "8.8.8.8"),
        ("type", "ping"),
        ("params", "-c 1"),
    ];
    let (_, job) = cloud.served.job("runDiagnostics", &ping).await;
    let output = &job["jobresult"]["diagnostics"];
    assert_eq!(
        (&output["stdout"], &output["exitcode"]),
        (&json!("ping -n -c 4 -W 2 -c 1 8.8.8.8 ran"), &json!("0"))
    );
    for (name, value) in [
        ("params", "-c 1; reboot"),
        ("ipaddress", "-f"),
        ("type", "nmap"),
        ("ipaddress", "a b"),
    ] {
        let mut params = ping.to_vec();
        params
            .iter_mut()
            .filter(|(n, _)| *n == name)
            .for_each(|p| p.1 = value);
        let answer = cloud.served.call("runDiagnostics", &params).await;
        assert_eq!(answer.status, 431, "{name}={value}");
        assert!(
            text(answer.inner(), "errortext").contains(name),
            "{}",
            answer.body
        );
    }
    let data = [("targetid", cloud.router.as_str()), ("files", "routes,log")];
    let (_, job) = cloud.served.job("getDiagnosticsData", &data).await;
    let url = text(&job["jobresult"]["diagnostics"], "url");
    let (kind, coded) = url.split_once(',').unwrap();
    assert_eq!(kind, "data:text/plain;charset=utf-8;base64");
    let bundle = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, coded).unwrap();
    let bundle = String::from_utf8(bundle).unwrap();
    assert!(
        bundle.contains("== routes: ip route show") && bundle.contains("== log: "),
        "{bundle}"
    );
    assert!(!bundle.contains("== rules"), "only what was asked for");
    let unknown = [("targetid", cloud.router.as_str()), ("files", "/etc/shadow")];
    assert_eq!(
        cloud.served.call("getDiagnosticsData", &unknown).await.status,
        431
    );
}
