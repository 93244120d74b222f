// SPDX-License-Identifier: Apache-2.0
//! Load balancing, updates of rules, legacy IP forwarding, ICMP types and protocol numbers: what a user asks for in the
//! API, seen from outside by packets.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outgate_testkit::{Namespace, RawSender, Sniffer, TcpEcho, ipv4_packet};
use serde_json::Value;
use support::{Lab, any, far, ip, is_closed, lives, session, text, wait_until};

/// How long an answer is waited for, which a connection that is let in always gets.
const LIMIT: Duration = Duration::from_secs(60);
/// How long one that must not come.
const SHORT: Duration = Duration::from_secs(2);

/// A web server in a guest that says its name, can be sick, and tells what it was sent.
struct Web {
    sick: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Web {
    fn start(guest: &Namespace, name: &'static str) -> Self {
        let listener = guest.within(|| TcpListener::bind(any(8080))).expect("inside");
        let listener = listener.expect("a free port");
        let (sick, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_sick, stopping) = (Arc::clone(&sick), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), sick) = (stream, Arc::clone(&is_sick)) else {
                    continue;
                };
                std::thread::spawn(move || drop(serve(stream, name, &sick)));
            }
        });
        Self { sick, stop }
    }

    fn be_sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::Relaxed);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The page `/health` is 500 while the server is sick; other pages tell the name and the request's first line.
fn serve(mut stream: TcpStream, name: &str, sick: &AtomicBool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let (mut request, mut buffer) = (Vec::new(), [0; 1_024]);
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend(buffer.iter().take(count)),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let status = if request.contains("/health") && sick.load(Ordering::Relaxed) {
        "500 Sick"
    } else {
        "200 OK"
    };
    let body = format!("{name}\n{}", request.lines().next().unwrap_or_default());
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What a server answered.
struct Page {
    name: String,
    first_line: String,
    cookie: Option<String>,
}

fn get(from: &Namespace, to: SocketAddrV4, cookie: Option<&str>, limit: Duration) -> Option<Page> {
    let stream = from.within(|| TcpStream::connect_timeout(&to.into(), limit));
    let mut stream = stream.expect("inside").ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    let cookie = cookie.map_or_else(String::new, |c| format!("Cookie: {c}\r\n"));
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: web\r\n{cookie}Connection: close\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let set = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .starts_with("set-cookie: ")
            .then(|| &line[12..])
    });
    let (name, first_line) = body.split_once('\n')?;
    Some(Page {
        name: name.to_owned(),
        first_line: first_line.to_owned(),
        cookie: set.and_then(|c| c.split(';').next()).map(str::to_owned),
    })
}

/// A lab with a load balancer rule over both guests on an address of its own.
struct Balanced {
    lab: Lab,
    internet: Namespace,
    webs: [Web; 2],
    address: Value,
    rule: String,
}

impl Balanced {
    fn up() -> Self {
        let lab = Lab::up();
        let webs = [
            Web::start(&lab.namespace("guest1"), "guest1"),
            Web::start(&lab.namespace("guest2"), "guest2"),
        ];
        let address = lab.acquire();
        let params = [
            ("name", "web"),
            ("publicipid", text(&address, "id")),
            ("publicport", "80"),
            ("privateport", "8080"),
            ("algorithm", "roundrobin"),
        ];
        let made = lab.job("createLoadBalancerRule", &params);
        let rule = text(&made["loadbalancer"], "id").to_owned();
        let this = Self {
            internet: lab.namespace("internet"),
            lab,
            webs,
            address,
            rule,
        };
        this.members("assignToLoadBalancerRule", &["guest1", "guest2"]);
        this
    }

    fn members(&self, command: &str, names: &[&str]) {
        let ids: Vec<String> = names
            .iter()
            .map(|name| text(&self.lab.guest(name), "id").to_owned())
            .collect();
        let params = [("id", self.rule.as_str()), ("virtualmachineids", &ids.join(","))];
        self.lab.job(command, &params);
    }

    fn update(&self, field: &str, value: &str) {
        self.lab
            .job("updateLoadBalancerRule", &[("id", &self.rule), (field, value)]);
    }

    fn at(&self) -> SocketAddrV4 {
        SocketAddrV4::new(ip(&self.address), 80)
    }

    fn page(&self) -> Option<Page> {
        get(&self.internet, self.at(), None, LIMIT)
    }

    fn is_closed(&self) -> bool {
        get(&self.internet, self.at(), None, SHORT).is_none()
    }

    /// Who answered so many requests how often.
    fn answers(&self, count: usize) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            let page = self.page().expect("an answer");
            *answers.entry(page.name).or_default() += 1;
        }
        answers
    }
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect()
}

#[test]
fn each_algorithm_shows_in_who_answers() {
    let balanced = Balanced::up();
    assert_eq!(balanced.answers(6), counts([("guest1", 3), ("guest2", 3)]));

    balanced.update("algorithm", "leastconn");
    // Whoever is busy with an open request gets none of the next ones.
    let busy = balanced.internet.within(|| TcpStream::connect(balanced.at()));
    let busy = busy.expect("inside").expect("a connection");
    let mut others = BTreeSet::new();
    for _ in 0..4 {
        // A request whose connection has not ended yet would make both guests equally busy.
        wait_until(LIMIT, "only the open connection counts", || {
            busy_guests(&statistics(&balanced)) == [1, 0]
        });
        others.insert(balanced.page().expect("an answer").name);
    }
    assert_eq!(others.len(), 1, "all go to the other: {others:?}");
    drop(busy);

    balanced.update("algorithm", "source");
    assert_eq!(balanced.answers(6).len(), 1, "one client, one guest");

    balanced.update("protocol", "tcp-proxy");
    let stream = balanced.page();
    let first_line = stream.expect("an answer").first_line;
    let client = far(0).ip().to_string();
    assert!(
        first_line.starts_with("PROXY TCP4 ") && first_line.contains(&ip(&balanced.address).to_string()),
        "{first_line} ({client})"
    );
    let listed = balanced
        .lab
        .one("listLoadBalancerRules", &[("id", &balanced.rule)]);
    for (field, value) in [
        ("algorithm", "source"),
        ("protocol", "tcp-proxy"),
        ("publicport", "80"),
        ("privateport", "8080"),
        ("cidrlist", "0.0.0.0/0"),
        ("state", "Active"),
    ] {
        assert_eq!(text(&listed, field), value, "{field}");
    }
}

/// How many connections each guest has, the busiest first.
fn busy_guests(statistics: &Value) -> Vec<u64> {
    let members = statistics["member"].as_array().into_iter().flatten();
    let mut counts: Vec<u64> = members.filter_map(|m| m["currentsessions"].as_u64()).collect();
    counts.sort_by(|a, b| b.cmp(a));
    counts
}

fn statistics(balanced: &Balanced) -> Value {
    let id = [("id", balanced.rule.as_str())];
    balanced.lab.call("getLoadBalancerStatistics", &id)["loadbalancerstatistics"].clone()
}

#[test]
fn a_cookie_keeps_a_client_with_its_guest() {
    let balanced = Balanced::up();
    let params = [
        ("lbruleid", balanced.rule.as_str()),
        ("name", "stay"),
        ("methodname", "LbCookie"),
        ("param[0].name", "cookie-name"),
        ("param[0].value", "SRV"),
        ("param[1].name", "nocache"),
        ("param[1].value", "true"),
    ];
    let made = balanced.lab.job("createLBStickinessPolicy", &params);
    let policies = &made["stickinesspolicies"];
    assert_eq!(policies["stickinesspolicy"][0]["methodname"], "LbCookie");
    let first = balanced.page().expect("an answer");
    let cookie = first.cookie.expect("a cookie");
    assert!(cookie.starts_with("SRV=") && !cookie.contains("10."), "{cookie}");
    for _ in 0..5 {
        let page = get(&balanced.internet, balanced.at(), Some(&cookie), LIMIT).expect("an answer");
        assert_eq!(page.name, first.name);
    }
    assert_eq!(balanced.answers(4).len(), 2, "others take turns");

    let listed = balanced
        .lab
        .one("listLBStickinessPolicies", &[("lbruleid", &balanced.rule)]);
    let id = text(&listed["stickinesspolicy"][0], "id").to_owned();
    assert_eq!(listed["stickinesspolicy"][0]["params"]["cookie-name"], "SRV");
    balanced.lab.job("deleteLBStickinessPolicy", &[("id", &id)]);
    assert_eq!(balanced.page().expect("an answer").cookie, None);
    other_methods(&balanced);
}

/// A session id that the guests' application uses, and the client's address.
fn other_methods(balanced: &Balanced) {
    let create = |method: &str, params: &[(&str, &str)]| {
        let mut all = vec![
            ("lbruleid", balanced.rule.as_str()),
            ("name", "stay"),
            ("methodname", method),
        ];
        all.extend(params);
        let made = balanced.lab.job("createLBStickinessPolicy", &all);
        text(&made["stickinesspolicies"]["stickinesspolicy"][0], "id").to_owned()
    };
    let learn = [
        ("param[0].cookie-name", "JSESSIONID"),
        ("param[1].request-learn", "true"),
    ];
    let policy = create("AppCookie", &learn);
    for session in ["JSESSIONID=a", "JSESSIONID=b"] {
        let guest = || {
            get(&balanced.internet, balanced.at(), Some(session), LIMIT)
                .expect("an answer")
                .name
        };
        let first = guest();
        assert!((0..4).all(|_| guest() == first), "{session}");
    }
    balanced.lab.job("deleteLBStickinessPolicy", &[("id", &policy)]);
    create("SourceBased", &[("param[0].expire", "10m")]);
    assert_eq!(balanced.answers(5).len(), 1, "one client, one guest");
}

#[test]
fn a_guest_that_fails_its_health_check_gets_nothing_until_it_is_well() {
    let balanced = Balanced::up();
    let params = [
        ("lbruleid", balanced.rule.as_str()),
        ("pingpath", "/health"),
        ("intervaltime", "10"),
        // One that is well is not taken for sick because it had to wait for a core.
        ("responsetimeout", "10"),
        ("healthythreshold", "1"),
        ("unhealthythreshold", "1"),
    ];
    let made = balanced.lab.job("createLBHealthCheckPolicy", &params);
    assert_eq!(
        made["healthcheckpolicies"]["healthcheckpolicy"][0]["pingpath"],
        "/health"
    );
    balanced.webs[0].be_sick(true);
    let healthy = || {
        let counted = statistics(&balanced);
        let members = counted["member"].as_array().cloned().unwrap_or_default();
        members.iter().filter(|m| m["healthy"] == true).count()
    };
    wait_until(LIMIT, "the sick one is out", || healthy() == 1);
    assert_eq!(balanced.answers(4), counts([("guest2", 4)]));
    balanced.webs[0].be_sick(false);
    wait_until(LIMIT, "it is well again", || healthy() == 2);
    assert_eq!(balanced.answers(4), counts([("guest1", 2), ("guest2", 2)]));
}

#[test]
fn members_come_and_go_without_a_broken_session_and_leave_with_their_guest() {
    let balanced = Balanced::up();
    let lab = &balanced.lab;
    let (guest1, guest2) = (lab.namespace("guest1"), lab.namespace("guest2"));
    let _echoes = [&guest1, &guest2].map(|g| TcpEcho::start(g, any(7)).expect("an echo"));
    let params = [
        ("name", "echo"),
        ("publicipid", text(&balanced.address, "id")),
        ("publicport", "7"),
        ("privateport", "7"),
        ("algorithm", "leastconn"),
    ];
    let made = lab.job("createLoadBalancerRule", &params);
    let echo = text(&made["loadbalancer"], "id").to_owned();
    let (vm1, vm2) = (lab.guest("guest1"), lab.guest("guest2"));
    let assign = |vm: &Value| {
        let params = [("id", echo.as_str()), ("virtualmachineids", text(vm, "id"))];
        lab.job("assignToLoadBalancerRule", &params);
    };
    assign(&vm1);
    let mut open =
        session(&balanced.internet, SocketAddrV4::new(ip(&balanced.address), 7)).expect("a session");
    assign(&vm2);
    assert!(lives(&mut open), "an open session lives on");
    balanced.members("removeFromLoadBalancerRule", &["guest1"]);
    assert!(lives(&mut open));
    assert_eq!(balanced.answers(2), counts([("guest2", 2)]));
    let instances = |rule: &str| {
        let listed = lab.list("listLoadBalancerRuleInstances", &[("id", rule)]);
        listed
            .iter()
            .map(|vm| text(vm, "name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(instances(&balanced.rule), ["guest2"]);
    lab.job(
        "destroyVirtualMachine",
        &[("id", text(&vm2, "id")), ("expunge", "true")],
    );
    assert_eq!(instances(&echo), ["guest1"]);
    assert!(instances(&balanced.rule).is_empty());
    assert!(lives(&mut open));
    lab.job("deleteLoadBalancerRule", &[("id", &echo)]);
    assert!(open.is_dead(), "its rule is gone");
    let rules = lab.list(
        "listFirewallRules",
        &[("ipaddressid", text(&balanced.address, "id"))],
    );
    assert_eq!(rules.len(), 1, "what was opened for it is closed: {rules:?}");
}

#[test]
fn other_sources_and_other_rules_are_refused() {
    let balanced = Balanced::up();
    let lab = &balanced.lab;
    balanced.update("cidrlist", "192.0.2.0/24");
    assert!(balanced.is_closed(), "another source");
    balanced.update("cidrlist", "0.0.0.0/0");
    assert!(balanced.page().is_some());
    let address = text(&balanced.address, "id");
    let vm = lab.guest("guest1");
    let forward = [
        ("ipaddressid", address),
        ("protocol", "tcp"),
        ("publicport", "79"),
        ("publicendport", "81"),
        ("privateport", "79"),
        ("virtualmachineid", text(&vm, "id")),
    ];
    let static_nat = [("ipaddressid", address), ("virtualmachineid", text(&vm, "id"))];
    for (command, params) in [
        ("createPortForwardingRule", &forward[..]),
        ("enableStaticNat", &static_nat),
    ] {
        let error = lab
            .client
            .call(command, params)
            .expect_err("a conflict")
            .to_string();
        assert!(error.contains("537") && error.contains(&balanced.rule), "{error}");
    }
    let udp = [
        ("name", "dns"),
        ("publicipid", address),
        ("publicport", "53"),
        ("privateport", "53"),
        ("algorithm", "roundrobin"),
        ("protocol", "udp"),
    ];
    let error = lab
        .client
        .call("createLoadBalancerRule", &udp)
        .expect_err("udp")
        .to_string();
    assert!(error.contains("UDP has none"), "{error}");
    let opened = lab.one("listFirewallRules", &[("ipaddressid", address)]);
    lab.job("deleteFirewallRule", &[("id", text(&opened, "id"))]);
    assert!(balanced.is_closed(), "no firewall rule");
}

#[test]
fn rules_are_updated_under_traffic() {
    let lab = Lab::up();
    let source_nat = lab.source_nat();
    let internet = lab.namespace("internet");
    let echoes =
        ["guest1", "guest2"].map(|name| TcpEcho::start(&lab.namespace(name), any(80)).expect("an echo"));
    let (vm1, vm2) = (lab.guest("guest1"), lab.guest("guest2"));
    let params = [
        ("ipaddressid", text(&source_nat, "id")),
        ("protocol", "tcp"),
        ("publicport", "8000"),
        ("privateport", "80"),
        ("virtualmachineid", text(&vm1, "id")),
    ];
    let forward = lab.job("createPortForwardingRule", &params)["portforwardingrule"].clone();
    let to = SocketAddrV4::new(ip(&source_nat), 8000);
    let mut open = session(&internet, to).expect("a session");
    let id = text(&forward, "id");
    let updated = lab.job(
        "updatePortForwardingRule",
        &[("id", id), ("virtualmachineid", text(&vm2, "id"))],
    );
    assert_eq!(updated["portforwardingrule"]["virtualmachineid"], vm2["id"]);
    assert!(open.is_dead(), "the former guest's session is cut");
    session(&internet, to).expect("a session with the other guest");
    assert_eq!(echoes.each_ref().map(|echo| echo.seen().len()), [1, 1]);

    lab.job(
        "updatePortForwardingRule",
        &[("id", id), ("cidrlist", "192.0.2.0/24")],
    );
    assert!(is_closed(&internet, to), "another source");
    let opened = lab.one("listFirewallRules", &[("ipaddressid", text(&source_nat, "id"))]);
    assert_eq!(text(&opened, "cidrlist"), "192.0.2.0/24");
    lab.job(
        "updateFirewallRule",
        &[("id", text(&opened, "id")), ("cidrlist", "0.0.0.0/0")],
    );
    session(&internet, to).expect("everybody again");
    egress_is_updated(&lab);
}

fn egress_is_updated(lab: &Lab) {
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let _echo = TcpEcho::start(&internet, far(7301)).expect("an echo");
    let network = lab.network();
    let params = [
        ("networkid", text(&network, "id")),
        ("protocol", "tcp"),
        ("startport", "7301"),
        ("destcidrlist", "192.0.2.0/24"),
    ];
    let made = lab.job("createEgressFirewallRule", &params);
    session(&guest, far(7301)).expect("another destination is not denied");
    let id = text(&made["firewallrule"], "id").to_owned();
    let everywhere = [("id", id.as_str()), ("destcidrlist", "0.0.0.0/0")];
    lab.job("updateEgressFirewallRule", &everywhere);
    assert!(is_closed(&guest, far(7301)), "denied now");
}

/// An ICMP message of this type with a number in it.
fn icmp(kind: u8, number: u8) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, number, 0, 1];
    message.resize(20, 0);
    let sum: u32 = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) * 256 + u32::from(pair[1]))
        .sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

#[test]
fn a_static_nat_address_lets_in_what_its_rules_name_by_port_icmp_type_and_protocol() {
    let lab = Lab::up();
    let address = lab.acquire();
    let vm = lab.guest("guest1");
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let id = text(&address, "id");
    let to = ip(&address);
    let _echo = TcpEcho::start(&guest, any(443)).expect("an echo");
    let forwarding = [
        ("ipaddressid", id),
        ("protocol", "tcp"),
        ("startport", "443"),
        ("endport", "444"),
    ];
    let error = lab
        .client
        .call("createIpForwardingRule", &forwarding)
        .expect_err("no static NAT");
    assert!(error.to_string().contains("enableStaticNat"), "{error}");
    lab.call(
        "enableStaticNat",
        &[("ipaddressid", id), ("virtualmachineid", text(&vm, "id"))],
    );
    let https = SocketAddrV4::new(to, 443);
    assert!(is_closed(&internet, https), "no rule yet");
    let made = lab.job("createIpForwardingRule", &forwarding)["ipforwardingrule"].clone();
    session(&internet, https).expect("a session");
    assert_eq!(text(&made, "publicendport"), "444");
    let again = lab
        .client
        .call("createIpForwardingRule", &forwarding)
        .expect_err("twice")
        .to_string();
    assert!(
        again.contains("537") && again.contains(text(&made, "id")),
        "{again}"
    );
    lab.job("deleteIpForwardingRule", &[("id", text(&made, "id"))]);
    assert!(is_closed(&internet, https), "closed again");

    icmp_types_and_protocols(&lab, &address);
}

fn icmp_types_and_protocols(lab: &Lab, address: &Value) {
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let (id, to) = (text(address, "id"), ip(address));
    let sniffer = Sniffer::start(&guest).expect("a sniffer");
    let sender = RawSender::new(&internet).expect("a sender");
    let sent = |protocol: u8, payload: &[u8], within: Duration| {
        sender
            .send(&ipv4_packet(*far(0).ip(), to, protocol, payload), to)
            .expect("sending");
        let like = |p: &outgate_testkit::Packet| {
            p.protocol == protocol && p.payload.starts_with(&payload[..1]) && p.source == *far(0).ip()
        };
        outgate_testkit::wait_until(within, "it arrives", || (sniffer.count(like) > 0).then_some(())).is_ok()
    };
    let arrives = |protocol, payload: &[u8]| sent(protocol, payload, LIMIT);
    let is_dropped = |protocol, payload: &[u8]| !sent(protocol, payload, SHORT);
    let open = |params: &[(&str, &str)]| {
        let mut all = vec![("ipaddressid", id)];
        all.extend(params);
        lab.job("createFirewallRule", &all);
    };
    // GRE without options that carries the start of an IPv4 packet.
    let gre = [0, 0, 8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0];
    assert!(is_dropped(47, &gre) && is_dropped(1, &icmp(8, 1)) && is_dropped(1, &icmp(13, 2)));
    open(&[("protocol", "icmp"), ("icmptype", "13"), ("icmpcode", "-1")]);
    assert!(
        arrives(1, &icmp(13, 3)) && is_dropped(1, &icmp(8, 4)),
        "timestamps only"
    );
    open(&[("protocol", "47")]);
    assert!(arrives(47, &gre), "GRE");
    open(&[("protocol", "icmp"), ("icmptype", "8")]);
    assert!(arrives(1, &icmp(8, 5)), "echo requests too");
}
