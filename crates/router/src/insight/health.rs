// SPDX-License-Identifier: Apache-2.0
//! Health checks, by CloudStack's names: whether the router does its work right now. Each looks at the thing itself.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Duration;

use outgate_model::RouterSpec;
use outgate_model::host::Run;
use outgate_model::stats::{HealthCheck, HealthKind};
use outgate_plan::plan::{DNSMASQ_DHCP_HOSTS, RUN_DIR};

use crate::command;
use crate::protocol::Status;
use crate::services::control;

/// How long dnsmasq may take to answer.
const DNS_PATIENCE: Duration = Duration::from_secs(2);
/// How long the upstream gateway may take to answer, in seconds.
const PING_SECS: &str = "2";
/// The same, for the whole command.
const PING_MILLIS: u64 = 5_000;
/// From this part of the machine's memory in use on, in percent, processes begin to fail.
const MEMORY_FULL: u64 = 97;
/// At most so many differences are told.
const TOLD: usize = 3;

/// What is looked at: `Ok` with what is fine, or `Err` with what is not.
type Finding = Result<String, String>;

/// Runs every check on a router that should be this and says of itself what `status` says.
pub fn checks(spec: &RouterSpec, status: &Status) -> Vec<HealthCheck> {
    let mut checks = vec![
        check(
            "filesystem.writable.test",
            HealthKind::Basic,
            writable(Path::new(RUN_DIR)),
        ),
        check("memory_usage_check.py", HealthKind::Advanced, memory()),
        check(
            "gateways_check.py",
            HealthKind::Advanced,
            gateway(spec.public.gateway),
        ),
        check("iptables_check.py", HealthKind::Advanced, rules(status)),
        check(
            "router_version_check.py",
            HealthKind::Advanced,
            Ok(env!("CARGO_PKG_VERSION").to_owned()),
        ),
    ];
    if !spec.guest_networks.is_empty() {
        checks.push(check("dhcp_check.py", HealthKind::Advanced, dhcp(spec)));
        checks.push(check("dns_check.py", HealthKind::Advanced, dns(spec)));
    }
    if spec.public.addresses.iter().any(|a| !a.load_balancers.is_empty()) {
        checks.push(check("haproxy_check.py", HealthKind::Advanced, balancer()));
    }
    checks
}

fn check(name: &str, kind: HealthKind, finding: Finding) -> HealthCheck {
    let success = finding.is_ok();
    let (Ok(details) | Err(details)) = finding;
    HealthCheck {
        name: name.to_owned(),
        kind,
        success,
        details,
    }
}

fn writable(dir: &Path) -> Finding {
    let file = dir.join("health");
    let written = std::fs::write(&file, b"ok").and_then(|()| std::fs::read(&file));
    match written {
        Ok(read) if read == b"ok" => Ok(format!("{} can be written", dir.display())),
        Ok(_) => Err(format!("{} does not keep what is written", dir.display())),
        Err(error) => Err(format!("{} cannot be written: {error}", dir.display())),
    }
}

/// The memory is the machine's: a router has none of its own.
fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|e| format!("not available: {e}"))?;
    let (total, free) = meminfo(&text).ok_or("not available: /proc/meminfo is not understood")?;
    let used = (total - free.min(total)).saturating_mul(100) / total.max(1);
    let details = format!("{used}% of the host's memory in use");
    if used < MEMORY_FULL {
        Ok(details)
    } else {
        Err(details)
    }
}

/// Total and available memory, in KiB.
fn meminfo(text: &str) -> Option<(u64, u64)> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((value("MemTotal:")?, value("MemAvailable:")?))
}

/// A gateway that answers no ping is there if it answers ARP.
fn gateway(gateway: Ipv4Addr) -> Finding {
    let address = gateway.to_string();
    let ping = run(&["ping", "-n", "-c", "1", "-W", PING_SECS, &address], PING_MILLIS);
    if ping.as_ref().is_some_and(|(ok, _)| *ok) {
        return Ok(format!("the upstream gateway {gateway} answers"));
    }
    let neighbour = run(&["ip", "neigh", "show", &address], PING_MILLIS);
    let neighbour = neighbour.map(|(_, seen)| seen).unwrap_or_default();
    let answers = neighbour.contains("lladdr") && !neighbour.contains("FAILED");
    if answers {
        Ok(format!("the upstream gateway {gateway} answers ARP, but no ping"))
    } else {
        Err(format!(
            "the upstream gateway {gateway} answers neither ping nor ARP"
        ))
    }
}

/// Whether a command ended well, and what it printed. `None`: it cannot be started.
fn run(argv: &[&str], timeout_millis: u64) -> Option<(bool, String)> {
    let argv = argv.iter().map(ToString::to_string).collect();
    let output = command::run(&Run { argv, timeout_millis }).ok()?;
    Some((output.code == Some(0), output.stdout))
}

fn rules(status: &Status) -> Finding {
    if let Some(error) = &status.error {
        return Err(error.clone());
    }
    match status.differences.as_slice() {
        [] => Ok("rules, interfaces and services are as wanted".to_owned()),
        some => Err(some.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ")),
    }
}

/// Each guest's lease is configured, and somebody listens for them.
fn dhcp(spec: &RouterSpec) -> Finding {
    let known =
        std::fs::read_to_string(DNSMASQ_DHCP_HOSTS).map_err(|e| format!("{DNSMASQ_DHCP_HOSTS}: {e}"))?;
    let leases = spec.guest_networks.iter().flat_map(|network| &network.leases);
    let mut count = 0;
    for (mac, lease) in leases {
        let wanted = format!("{mac},{}", lease.address);
        if !known.contains(&wanted) {
            return Err(format!(
                "the lease of {} to {mac} is not configured",
                lease.address
            ));
        }
        count += 1;
    }
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    if !sockets.contains(":0043 ") {
        return Err("nobody listens on UDP port 67".to_owned());
    }
    Ok(format!("{count} leases configured, UDP port 67 is listened to"))
}

/// dnsmasq is asked for the router's own name on each guest network.
fn dns(spec: &RouterSpec) -> Finding {
    for network in &spec.guest_networks {
        let server = network.gateway.addr();
        let name = format!("{}.{}", spec.name, network.domain);
        ask(server, &name).map_err(|e| format!("{server} does not answer for {name}: {e}"))?;
    }
    Ok(format!("{} resolvers answer", spec.guest_networks.len()))
}

fn ask(server: Ipv4Addr, name: &str) -> std::io::Result<()> {
    let socket = UdpSocket::bind((server, 0))?;
    socket.set_read_timeout(Some(DNS_PATIENCE))?;
    socket.connect(SocketAddrV4::new(server, 53))?;
    let question = question(name);
    socket.send(&question)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    match answer.get(..length) {
        // The same question's answer, without an error.
        Some([a, b, flags, code, ..]) if question.starts_with(&[*a, *b]) && flags & 0x80 != 0 => {
            match code & 0xf {
                0 => Ok(()),
                code => Err(std::io::Error::other(format!("DNS error {code}"))),
            }
        }
        _ => Err(std::io::Error::other("not an answer")),
    }
}

/// A DNS question for an A record (RFC 1035 section 4).
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x6f, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn balancer() -> Finding {
    if control::serves() {
        Ok("a worker of haproxy serves".to_owned())
    } else {
        Err("haproxy does not serve".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_text() {
        let text = "MemTotal:        1000 kB\nMemFree:  1 kB\nMemAvailable:    250 kB\n";
        assert_eq!(meminfo(text), Some((1000, 250)));
        assert_eq!(meminfo(""), None);
    }

    #[test]
    fn a_question_names_its_labels_with_their_lengths() {
        let message = question("r-1-VM.lab");
        assert_eq!(message[12..], *b"\x06r-1-VM\x03lab\x00\x00\x01\x00\x01");
    }

    #[test]
    fn a_directory_that_is_not_there_cannot_be_written() {
        assert!(writable(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn differences_are_named_and_few() {
        let status = |differences: Vec<String>, error| Status {
            id: outgate_model::id::RouterId::new(),
            name: "r-1-VM".to_owned(),
            boot: 1,
            generation: Some(1),
            differences,
            error,
            fastpath: crate::fast_path::FastPathStatus::default(),
        };
        assert!(rules(&status(Vec::new(), None)).is_ok());
        assert_eq!(
            rules(&status(Vec::new(), Some("no".to_owned()))),
            Err("no".to_owned())
        );
        let many = (0..9).map(|n| n.to_string()).collect();
        assert_eq!(rules(&status(many, None)), Err("0; 1; 2".to_owned()));
    }
}
