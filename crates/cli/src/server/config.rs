// SPDX-License-Identifier: Apache-2.0
//! The server's flags, checked all at once: whoever wrote five wrong ones reads five messages, not one five times.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use outgate_model::router_spec::{FastPathHook, FastPathMode};
use outgate_model::{FieldError, Ipv4Range};

use crate::exit::Usage;
use crate::logging::LogFormat;

/// Run the management server: the CloudStack API on /client/api, the store, reconciliation and one namespace host.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Zone settings matter at the first start only; then they are in the store. \
Routers and guests outlive the server: stop it, upgrade it, kill it, and they go on.

Examples:
  outgate server --data-dir /var/lib/outgate/main --listen 127.0.0.1:8080 \\
      --public-bridge br-public --public-gateway 203.0.113.1/24 --public-range 203.0.113.10-203.0.113.250 \\
      --dns 198.51.100.53 --credentials-file /root/.cloudstack.ini
  OUTGATE_LISTEN=systemd outgate server        with a socket unit

Exit codes: 0 ended by SIGTERM, 1 failed, 64 wrong configuration (every error is listed).")]
pub struct Args {
    /// Folder of the store and its key
    #[arg(long, env = "OUTGATE_DATA_DIR", default_value = "/var/lib/outgate/main")]
    data_dir: PathBuf,
    /// Folder of what lives as long as the machine: sockets of routers and guests
    #[arg(long, env = "OUTGATE_RUN_DIR", default_value = "/run/outgate")]
    run_dir: PathBuf,
    /// Address and port of the API; `systemd`: the socket it passes; `stdin`: the socket on standard input
    #[arg(long, env = "OUTGATE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Address and port where calls need no signature and act as the root admin: 127.0.0.1:8096. Off without it.
    /// Loopback addresses only
    #[arg(long, env = "OUTGATE_INTEGRATION_LISTEN")]
    integration_listen: Option<String>,
    /// Address and port of metrics for Prometheus (GET /metrics): 127.0.0.1:9464. Off without it. Whoever reaches it reads
    /// names, addresses and counts of the whole cloud: let only the monitoring reach it
    #[arg(long, env = "OUTGATE_METRICS")]
    metrics: Option<String>,
    /// Name of this installation; it is part of every name the server makes on the host
    #[arg(long, env = "OUTGATE_INSTANCE", default_value = "main")]
    instance: String,
    /// File for the administrator's endpoint and keys (INI, mode 0600)
    #[arg(long, env = "OUTGATE_CREDENTIALS_FILE")]
    credentials_file: Option<PathBuf>,
    /// File with the administrator's password for sessions (mode 0600); made with a random one if it is not there.
    /// Without it nobody can log in as admin by password
    #[arg(long, env = "OUTGATE_ADMIN_PASSWORD_FILE")]
    admin_password_file: Option<PathBuf>,
    /// Private key for SSH into routers; its public half lies beside it, with `.pub` behind its name
    #[arg(long, env = "OUTGATE_SSH_KEY", default_value = "/root/.ssh/id_rsa.cloud")]
    ssh_key: PathBuf,
    /// Whether eBPF programs translate packets of established sessions, past netfilter: off, auto (where the kernel can
    /// have it), required. What it carries is not in the byte counts of single sessions
    #[arg(long, env = "OUTGATE_FASTPATH", default_value = "off")]
    fastpath: String,
    /// Where these programs see packets: tcx (traffic control: every interface), xdp (drivers: NICs only), auto (xdp where
    /// all of a router's interfaces can, else tcx)
    #[arg(long, env = "OUTGATE_FASTPATH_HOOK", default_value = "auto")]
    fastpath_hook: String,
    /// IPFIX collector of routers' session records, on the control network: 169.254.0.1:4739. What is recorded is a
    /// setting of zones, router.natlog.enabled
    #[arg(long, env = "OUTGATE_NAT_LOG_COLLECTOR")]
    nat_log_collector: Option<String>,
    /// How logs are written
    #[arg(long, env = "OUTGATE_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Zone settings of the first start
    #[command(flatten)]
    zone: ZoneArgs,
}

/// Zone settings of the first start.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Zone (first start)")]
struct ZoneArgs {
    /// The zone's name
    #[arg(long, env = "OUTGATE_ZONE", default_value = "zone1")]
    zone: String,
    /// Bridge that routers' public sides are plugged into
    #[arg(long, env = "OUTGATE_PUBLIC_BRIDGE", default_value = "pub0")]
    public_bridge: String,
    /// Bridge of the link-local control network; made if it is not there
    #[arg(long, env = "OUTGATE_CONTROL_BRIDGE", default_value = "cloud0")]
    control_bridge: String,
    /// The public gateway with its prefix length: 203.0.113.1/24
    #[arg(long, env = "OUTGATE_PUBLIC_GATEWAY")]
    public_gateway: Option<String>,
    /// Public addresses to hand out: 203.0.113.10-203.0.113.250
    #[arg(long, env = "OUTGATE_PUBLIC_RANGE")]
    public_range: Option<String>,
    /// MTU of the public side in bytes
    #[arg(long, env = "OUTGATE_PUBLIC_MTU", default_value = "1500")]
    public_mtu: String,
    /// Resolvers for guests, separated by commas
    #[arg(long, env = "OUTGATE_DNS", default_value = "")]
    dns: String,
    /// Prefix of networks that name none
    #[arg(long, env = "OUTGATE_GUEST_CIDR", default_value = "10.1.1.0/24")]
    guest_cidr: String,
    /// Domain of networks that name none
    #[arg(long, env = "OUTGATE_NETWORK_DOMAIN", default_value = "cs1cloud.internal")]
    network_domain: String,
}

/// Where the API listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// On an address of ours.
    Address(SocketAddr),
    /// On the first socket that systemd passes (`LISTEN_FDS`).
    Systemd,
    /// On the socket that is standard input.
    Stdin,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of the store and its key.
    pub data_dir: PathBuf,
    /// Folder of sockets.
    pub run_dir: PathBuf,
    /// Where the API listens.
    pub listen: Listen,
    /// Where calls need no signature; a loopback address.
    pub integration_listen: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// The IPFIX collector of routers' session records.
    pub nat_log_collector: Option<SocketAddrV4>,
    /// Name of this installation.
    pub instance: String,
    /// File for the administrator's keys.
    pub credentials_file: Option<PathBuf>,
    /// File with the administrator's password.
    pub admin_password_file: Option<PathBuf>,
    /// Private key for SSH into routers.
    pub ssh_key: PathBuf,
    /// Its public half, in OpenSSH's form.
    pub authorized_key: String,
    /// Whether routers have a fast path.
    pub fastpath: FastPathMode,
    /// Where its programs see packets.
    pub fastpath_hook: FastPathHook,
    /// How logs are written.
    pub log_format: LogFormat,
    /// The zone's name.
    pub zone: String,
    /// Bridge of the public side.
    pub public_bridge: String,
    /// Bridge of the control network.
    pub control_bridge: String,
    /// The public gateway with its prefix length.
    pub public_gateway: Ipv4Net,
    /// Public addresses.
    pub public_range: Ipv4Range,
    /// MTU of the public side, in bytes.
    pub public_mtu: u32,
    /// Resolvers for guests.
    pub dns: Vec<Ipv4Addr>,
    /// Prefix of networks that name none.
    pub guest_cidr: Ipv4Net,
    /// Domain of networks that name none.
    pub network_domain: String,
}

/// Collects what is wrong.
#[derive(Debug, Default)]
struct Problems(Vec<FieldError>);

impl Problems {
    fn read<T: std::str::FromStr>(&mut self, field: &str, text: &str, expected: &str) -> Option<T> {
        let value = text.trim().parse().ok();
        if value.is_none() {
            self.wrong(field, text, expected);
        }
        value
    }

    fn wrong(&mut self, field: &str, value: impl ToString, expected: &str) {
        self.0.push(FieldError::new(field, value, expected));
    }

    fn check(&mut self, good: bool, field: &str, value: impl ToString, expected: &str) {
        if !good {
            self.wrong(field, value, expected);
        }
    }
}

impl Args {
    /// Checks everything. The error lists every problem, one line each, and ends the program with 64.
    pub fn check(self) -> anyhow::Result<Config> {
        let mut problems = Problems::default();
        let config = self.read(&mut problems);
        match config.filter(|_| problems.0.is_empty()) {
            Some(config) => Ok(config),
            None => {
                let lines: Vec<String> = problems.0.iter().map(|p| format!("\n  {p}")).collect();
                Err(Usage(format!("the configuration is wrong:{}", lines.concat())).into())
            }
        }
    }

    fn read(self, problems: &mut Problems) -> Option<Config> {
        let zone = self.zone;
        let listen = listen(&self.listen, problems);
        let integration_listen = integration_address(self.integration_listen.as_deref(), problems);
        let metrics = self.metrics.as_deref().and_then(|text| {
            let expected = "an address and port such as 127.0.0.1:9464";
            problems.read("--metrics", text, expected)
        });
        let nat_log_collector = collector(self.nat_log_collector.as_deref(), problems);
        let authorized_key = public_key(&self.ssh_key, problems);
        let fastpath = problems.read("--fastpath", &self.fastpath, "off, auto or required");
        let fastpath_hook = problems.read("--fastpath-hook", &self.fastpath_hook, "auto, tcx or xdp");
        let gateway = problems.read::<Ipv4Net>(
            "--public-gateway",
            zone.public_gateway.as_deref().unwrap_or_default(),
            "an address with a prefix length such as 203.0.113.1/24",
        );
        let range = range(
            zone.public_range.as_deref().unwrap_or_default(),
            gateway,
            problems,
        );
        let mtu = public_mtu(&zone.public_mtu, problems);
        let guest_cidr = problems.read("--guest-cidr", &zone.guest_cidr, "a prefix such as 10.1.1.0/24");
        let dns = zone.dns.split(',').filter(|t| !t.trim().is_empty());
        let dns = dns
            .filter_map(|t| problems.read("--dns", t, "IPv4 addresses separated by commas"))
            .collect();
        names(&[("--instance", &self.instance)], 20, problems);
        let bridges = [
            ("--public-bridge", zone.public_bridge.as_str()),
            ("--control-bridge", zone.control_bridge.as_str()),
        ];
        names(&bridges, 15, problems);
        Some(Config {
            data_dir: self.data_dir,
            run_dir: self.run_dir,
            listen: listen?,
            integration_listen,
            metrics,
            nat_log_collector,
            instance: self.instance,
            credentials_file: self.credentials_file,
            admin_password_file: self.admin_password_file,
            ssh_key: self.ssh_key,
            authorized_key: authorized_key?,
            fastpath: fastpath?,
            fastpath_hook: fastpath_hook?,
            log_format: self.log_format,
            zone: zone.zone,
            public_bridge: zone.public_bridge,
            control_bridge: zone.control_bridge,
            public_gateway: gateway?,
            public_range: range?,
            public_mtu: mtu?,
            dns,
            guest_cidr: guest_cidr?,
            network_domain: zone.network_domain,
        })
    }
}

fn listen(text: &str, problems: &mut Problems) -> Option<Listen> {
    match text {
        "systemd" => Some(Listen::Systemd),
        "stdin" => Some(Listen::Stdin),
        _ => problems
            .read(
                "--listen",
                text,
                "an address and port such as 127.0.0.1:8080, or systemd, or stdin",
            )
            .map(Listen::Address),
    }
}

/// Whoever reaches this port has the whole cloud.
fn integration_address(text: Option<&str>, problems: &mut Problems) -> Option<SocketAddr> {
    let text = text?;
    let expected = "a loopback address and port such as 127.0.0.1:8096: whoever reaches it is the root admin";
    let address: SocketAddr = problems.read("--integration-listen", text, expected)?;
    let is_loopback = address.ip().is_loopback();
    problems.check(is_loopback, "--integration-listen", text, expected);
    is_loopback.then_some(address)
}

/// Routers reach nothing else from their control side.
fn collector(text: Option<&str>, problems: &mut Problems) -> Option<SocketAddrV4> {
    let text = text?;
    let expected = "an address of the control network 169.254.0.0/16 and a port, such as 169.254.0.1:4739";
    let address: SocketAddrV4 = problems.read("--nat-log-collector", text, expected)?;
    let fine = address.ip().is_link_local() && address.port() != 0;
    problems.check(fine, "--nat-log-collector", text, expected);
    fine.then_some(address)
}

fn public_mtu(text: &str, problems: &mut Problems) -> Option<u32> {
    let expected = "a number of bytes from 68 to 65535";
    let mtu: u32 = problems.read("--public-mtu", text, expected)?;
    let fine = (68..=65_535).contains(&mtu);
    problems.check(fine, "--public-mtu", text, expected);
    fine.then_some(mtu)
}

fn range(text: &str, gateway: Option<Ipv4Net>, problems: &mut Problems) -> Option<Ipv4Range> {
    let expected =
        "addresses of the gateway's prefix, such as 203.0.113.10-203.0.113.250, without the gateway";
    let read = text
        .split_once('-')
        .and_then(|(first, last)| Ipv4Range::new(first.trim().parse().ok()?, last.trim().parse().ok()?).ok());
    let inside = |range: &Ipv4Range| {
        gateway.is_none_or(|g| {
            let hosts = g.network() < range.first() && range.last() < g.broadcast();
            hosts && !range.contains(g.addr())
        })
    };
    let range = read.filter(inside);
    problems.check(range.is_some(), "--public-range", text, expected);
    range
}

fn public_key(private: &Path, problems: &mut Problems) -> Option<String> {
    let path = PathBuf::from(format!("{}.pub", private.display()));
    let expected = "a private key with its public half beside it; make one with ssh-keygen -f FILE";
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let good = private.is_file() && (text.starts_with("ssh-") || text.starts_with("ecdsa-"));
    problems.check(good, "--ssh-key", private.display(), expected);
    good.then(|| text.trim().to_owned())
}

/// Names that become part of interface names and paths.
fn names(fields: &[(&str, &str)], longest: usize, problems: &mut Problems) {
    for (field, value) in fields {
        let tame = value
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let good = tame
            && (1..=longest).contains(&value.len())
            && value.starts_with(|c: char| c.is_ascii_lowercase());
        problems.check(
            good,
            field,
            value,
            &format!("1 to {longest} lower-case letters, digits and hyphens"),
        );
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn check(flags: &[&str]) -> Result<Config, String> {
        let args = Only::try_parse_from([&["server"], flags].concat())
            .map_err(|e| e.to_string())?
            .args;
        args.check().map_err(|e| e.to_string())
    }

    #[test]
    fn every_error_is_told_at_once() {
        let text = check(&[
            "--listen",
            "nowhere",
            "--integration-listen",
            "0.0.0.0:8096",
            "--metrics",
            "9464",
            "--public-gateway",
            "203.0.113.1",
            "--public-range",
            "9-1",
            "--public-mtu",
            "12",
            "--dns",
            "8.8.8.8,x",
            "--guest-cidr",
            "10/33",
            "--instance",
            "../x",
            "--ssh-key",
            "/nonexistent",
        ])
        .unwrap_err();
        for field in [
            "--listen",
            "--integration-listen",
            "--metrics",
            "--public-gateway",
            "--public-range",
            "--public-mtu",
            "--dns",
            "--guest-cidr",
            "--instance",
            "--ssh-key",
        ] {
            assert!(text.contains(field), "{field} is missing in: {text}");
        }
    }

    #[test]
    fn a_public_range_that_holds_the_gateway_or_leaves_its_prefix_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "").unwrap();
        std::fs::write(folder.path().join("key.pub"), "ssh-ed25519 AAAA").unwrap();
        let key = key.to_str().unwrap();
        let with = |range| {
            check(&[
                "--ssh-key",
                key,
                "--public-gateway",
                "203.0.113.1/24",
                "--public-range",
                range,
            ])
        };
        assert!(with("203.0.113.10-203.0.113.250").is_ok());
        for wrong in [
            "203.0.113.1-203.0.113.9",
            "203.0.113.10-203.0.113.255",
            "198.51.100.1-198.51.100.2",
        ] {
            assert!(with(wrong).unwrap_err().contains("--public-range"), "{wrong}");
        }
    }
}
