// SPDX-License-Identifier: Apache-2.0
//! haproxy: load balancing. Present only where there is a rule with a guest.
//!
//! A master process keeps the sockets; a worker without rights, in an empty root directory, serves. On SIGHUP the master
//! starts a worker with the new configuration, which takes the listening sockets over, while the old one serves its
//! sessions to their end: no session breaks and no connection is refused. What tables remember of clients, the old
//! worker tells the new one (section `peers`) over an abstract socket that only the router's own processes reach.
//! Nothing listens but the balanced ports; who may reach those, chains `gate` and `input` decide.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::LoadBalancer;
use outgate_model::router_spec::load_balancer::{
    AppCookieMode, HealthCheck, LbAlgorithm, LbCookieMode, LbProtocol, Stickiness,
};

use crate::router_plan::{File, OnChange, Service};

/// haproxy's configuration.
pub const HAPROXY_CFG: &str = "/run/outgate-vr/haproxy.cfg";
/// Where the master answers, for root only.
pub const HAPROXY_SOCKET: &str = "/run/outgate-vr/haproxy.sock";
/// The worker's root directory, empty.
pub const HAPROXY_ROOT: &str = "/run/outgate-vr/haproxy-root";
/// What a worker knew of its members' health, for its successor: the engine writes it before each reload.
pub const HAPROXY_STATE: &str = "/run/outgate-vr/haproxy.state";
/// The user that the worker is, in the router's own /etc/passwd.
pub const HAPROXY_UID: u32 = 101;

/// What does not depend on the spec. `no strict-limits`: where the machine allows fewer open files than this, it serves
/// fewer connections instead of none. A worker that was replaced ends at the latest when its oldest session is as old as
/// connection tracking remembers an idle one, and sooner when fifty others came after it.
const GLOBAL: &str = "\
global
    uid 101
    gid 65534
    maxconn 8000
    nbthread 1
    no strict-limits
    mworker-max-reloads 50
    localpeer router
";

/// Dead peers are noticed by keep-alives: a session that the router has cut does not stay in a worker.
const DEFAULTS: &str = "\
defaults
    mode tcp
    load-server-state-from-file global
    option dontlognull
    option redispatch
    retries 3
    option clitcpka
    clitcpka-idle 60s
    clitcpka-intvl 10s
    clitcpka-cnt 3
    option srvtcpka
    srvtcpka-idle 60s
    srvtcpka-intvl 10s
    srvtcpka-cnt 3
    timeout connect 5s
    timeout queue 30s
    timeout client-fin 30s
    timeout server-fin 30s
    timeout http-request 10s
    timeout http-keep-alive 60s
";

/// How a rule without a health check policy finds out whether a guest's port takes connections.
const CONNECT_CHECK: &str = "    timeout check 2s\n    default-server check inter 2s rise 2 fall 3\n";

/// How many session ids an `AppCookie` rule remembers.
const APP_COOKIES: u32 = 100_000;

/// `None` when nothing is balanced.
pub(super) fn service(spec: &RouterSpec) -> Option<Service> {
    let config = config(spec)?;
    let argv = [
        "/usr/sbin/haproxy",
        "-W",
        "-S",
        "/run/outgate-vr/haproxy.sock,mode,600",
        "-f",
        HAPROXY_CFG,
    ];
    let check = ["/usr/sbin/haproxy", "-c", "-f", HAPROXY_CFG];
    let file = File {
        content: config,
        mode: 0o600,
        on_change: OnChange::Hangup,
    };
    Some(Service {
        argv: argv.map(str::to_owned).to_vec(),
        files: BTreeMap::from([(HAPROXY_CFG.to_owned(), file)]),
        check: check.map(str::to_owned).to_vec(),
        control: Some(HAPROXY_SOCKET.to_owned()),
    })
}

fn config(spec: &RouterSpec) -> Option<String> {
    let served = |(_, balancer): &(Ipv4Addr, &LoadBalancer)| !balancer.members.is_empty();
    let all = spec.public.addresses.iter().flat_map(|a| {
        a.load_balancers
            .iter()
            .map(|balancer| (a.address.addr(), balancer))
    });
    let mut balancers: Vec<_> = all.filter(served).collect();
    if balancers.is_empty() {
        return None;
    }
    balancers.sort_by_key(|(address, balancer)| (*address, balancer.public_port));
    let mut text = "# Made by outgate from the router's spec; changes here are undone.\n".to_owned();
    text.push_str(GLOBAL);
    let idle = spec.conntrack.tcp_established_secs;
    let _ = writeln!(text, "    chroot {HAPROXY_ROOT}");
    let _ = writeln!(text, "    server-state-file {HAPROXY_STATE}");
    let _ = writeln!(text, "    hard-stop-after {idle}s");
    text.push('\n');
    text.push_str(DEFAULTS);
    let _ = writeln!(text, "    timeout client {idle}s\n    timeout server {idle}s");
    if balancers.iter().any(|(_, balancer)| remembers(balancer)) {
        text.push_str("\npeers router\n    peer router abns@outgate-haproxy\n");
    }
    for (address, balancer) in balancers {
        listen(address, balancer, &mut text);
    }
    Some(text)
}

fn remembers(balancer: &LoadBalancer) -> bool {
    matches!(
        balancer.stickiness,
        Some(Stickiness::AppCookie { .. } | Stickiness::SourceBased { .. })
    )
}

fn listen(address: Ipv4Addr, balancer: &LoadBalancer, text: &mut String) {
    let LoadBalancer {
        id,
        public_port,
        private_port,
        algorithm,
        ..
    } = balancer;
    let _ = writeln!(text, "\nlisten {id}\n    bind {address}:{public_port} tcp-ut 60s");
    let _ = writeln!(text, "    balance {}", algorithm.name());
    if *algorithm == LbAlgorithm::Source {
        // Most clients keep their guest when one more comes.
        text.push_str("    hash-type consistent\n");
    }
    if let Some(stickiness) = &balancer.stickiness {
        stick(balancer, stickiness, text);
    }
    match &balancer.health_check {
        Some(health) => health_check(health, text),
        None => text.push_str(CONNECT_CHECK),
    }
    let proxy = match balancer.protocol {
        LbProtocol::Tcp => "",
        LbProtocol::TcpProxy => " send-proxy",
    };
    for member in &balancer.members {
        let _ = writeln!(text, "    server {member} {member}:{private_port}{proxy}");
    }
}

fn health_check(health: &HealthCheck, text: &mut String) {
    let HealthCheck {
        ping_path,
        interval_secs,
        timeout_secs,
        healthy,
        unhealthy,
    } = health;
    let _ = writeln!(
        text,
        "    option httpchk\n    http-check send meth GET uri {ping_path}\n    timeout check {timeout_secs}s"
    );
    let _ = writeln!(
        text,
        "    default-server check inter {interval_secs}s rise {healthy} fall {unhealthy}"
    );
}

fn stick(balancer: &LoadBalancer, stickiness: &Stickiness, text: &mut String) {
    match stickiness {
        Stickiness::LbCookie { .. } => lb_cookie(balancer, stickiness, text),
        Stickiness::AppCookie { .. } => app_cookie(stickiness, text),
        Stickiness::SourceBased {
            table_size,
            expire_secs,
        } => {
            let _ = writeln!(
                text,
                "    stick-table type ip size {table_size} expire {expire_secs}s peers router\n    stick on src"
            );
        }
    }
}

/// A guest's value is a hash of its address, its port and the rule's id: it stays when others come and go, and tells
/// nobody the address.
fn lb_cookie(balancer: &LoadBalancer, stickiness: &Stickiness, text: &mut String) {
    let Stickiness::LbCookie {
        name,
        mode,
        nocache,
        indirect,
        postonly,
        domain,
    } = stickiness
    else {
        return;
    };
    let mode = match mode {
        LbCookieMode::Insert => "insert",
        LbCookieMode::Rewrite => "rewrite",
        LbCookieMode::Prefix => "prefix",
    };
    let _ = write!(
        text,
        "    mode http\n    option forwardfor\n    cookie {name} {mode}"
    );
    for (wanted, word) in [
        (indirect, " indirect"),
        (nocache, " nocache"),
        (postonly, " postonly"),
    ] {
        if *wanted {
            text.push_str(word);
        }
    }
    if let Some(domain) = domain {
        let _ = write!(text, " domain {domain}");
    }
    let _ = writeln!(text, " dynamic\n    dynamic-cookie-key {}", balancer.id);
}

fn app_cookie(stickiness: &Stickiness, text: &mut String) {
    let Stickiness::AppCookie {
        name,
        length,
        hold_secs,
        request_learn,
        mode,
    } = stickiness
    else {
        return;
    };
    let _ = writeln!(
        text,
        "    mode http\n    option forwardfor\n    stick-table type string len {length} size {APP_COOKIES} expire {hold_secs}s \
         peers router"
    );
    let verb = if *request_learn { "on" } else { "match" };
    let _ = writeln!(text, "    stick {verb} req.cook({name})");
    match mode {
        Some(AppCookieMode::PathParameters) => {
            let _ = writeln!(text, "    stick {verb} urlp({name},;)");
        }
        Some(AppCookieMode::QueryString) => {
            let _ = writeln!(text, "    stick {verb} urlp({name})");
        }
        None => {}
    }
    let _ = writeln!(text, "    stick store-response res.cook({name})");
}
