// SPDX-License-Identifier: Apache-2.0
//! The lab's outside: a public segment, its gateway, and an internet behind it that leads nowhere else.
//!
//! ```text
//! host: pub0 (bridge) ---- gateway: 203.0.113.1/24 | 198.51.100.1/24 ---- internet: 198.51.100.10/24
//!                                                                         lo: 8.8.8.8, 198.51.100.53
//! ```

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The bridge that routers' public sides are plugged into.
pub const PUBLIC_BRIDGE: &str = "pub0";
/// The web server on the internet.
pub const WEB: &str = "198.51.100.10";
/// Where the server's metrics are, inside the lab.
pub const METRICS: &str = "127.0.0.1:9464";
/// Resolvers on the internet; the first is also what everybody pings.
pub const RESOLVERS: [&str; 2] = ["8.8.8.8", "198.51.100.53"];

const HOST: &str = "\
link set lo up
link add pub0 type bridge forward_delay 0
link set pub0 up
link add pub-gw type veth peer name eth0 netns gateway
link set pub-gw master pub0 up
";
const GATEWAY_SIDE: &str = "\
link set lo up
address add 203.0.113.1/24 dev eth0
link set eth0 up
link add eth1 type veth peer name eth0 netns internet
address add 198.51.100.1/24 dev eth1
link set eth1 up
route add 8.8.8.8/32 via 198.51.100.10
route add unreachable default
";
const INTERNET_SIDE: &str = "\
link set lo up
address add 198.51.100.10/24 dev eth0
link set eth0 up
address add 8.8.8.8/32 dev lo
address add 198.51.100.53/32 dev lo
route add default via 198.51.100.1
";

/// Builds it in the current network namespace and two named ones.
pub fn build() -> anyhow::Result<()> {
    // Bridged frames must not pass the host's own firewall hooks, and IPv6 is not what this lab is about.
    sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    sysctl("net.bridge.bridge-nf-call-iptables", "0");
    sysctl("net.bridge.bridge-nf-call-arptables", "0");
    ip(None, "netns add gateway\nnetns add internet\n")?;
    ip(None, HOST)?;
    ip(Some("gateway"), GATEWAY_SIDE)?;
    ip(Some("internet"), INTERNET_SIDE)?;
    let forward = inside("gateway", "sysctl")
        .args(["-qw", "net.ipv4.ip_forward=1"])
        .status();
    if !forward.context("starting sysctl")?.success() {
        bail!("the lab's gateway cannot forward: net.ipv4.ip_forward was refused");
    }
    Ok(())
}

/// A program in one of the named network namespaces.
pub fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg("--")
        .arg(program);
    command
}

/// Runs a batch of `ip` commands, in a named namespace or here.
fn ip(namespace: Option<&str>, batch: &str) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    if let Some(name) = namespace {
        command.args(["-netns", name]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting ip")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(batch.as_bytes())?;
    }
    let done = child.wait_with_output()?;
    if done.status.success() {
        Ok(())
    } else {
        bail!(
            "the lab's network in {}: {}",
            namespace.unwrap_or("host"),
            String::from_utf8_lossy(&done.stderr).trim()
        )
    }
}

/// Sets a kernel parameter that not every kernel has; without it the lab still works, so it is only reported.
fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    if let Err(error) = std::fs::write(&path, value) {
        tracing::warn!(name, %error, "kernel parameter not set");
    }
}
