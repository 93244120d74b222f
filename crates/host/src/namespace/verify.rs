// SPDX-License-Identifier: Apache-2.0
//! Steps 2 to 7 of the reference text's seven: what an operator would do by hand, done.

use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::time::Duration;

use outgate_model::host::{Check, Run};
use outgate_model::id::{GuestId, RouterId};
use outgate_router::RouterClient;
use outgate_router::spec_file::SpecFile;

use super::Shared;
use super::names::Owner;
use super::routers::host_error;
use crate::HostError;

/// How long a login may take.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// How long four pings may take, in milliseconds.
const PING_LIMIT: u64 = 15_000;

impl Shared {
    /// See [`crate::Host::verify_router`].
    pub(super) async fn verify(
        &self,
        id: RouterId,
        guest: Option<GuestId>,
        ping: Ipv4Addr,
    ) -> Result<Vec<Check>, HostError> {
        let owner = Owner::Router(id);
        if self.running(owner).is_none() {
            return Err(HostError::NotRunning {
                what: owner.to_string(),
            });
        }
        let client = RouterClient::new(self.dir(owner));
        // Side by side: while the guest pings, there is a session to count.
        let (login, inside, ping) = tokio::join!(self.login(owner), client.verify(), self.ping(guest, ping));
        let mut checks = vec![login];
        checks.extend(inside.map_err(|error| host_error(error, &id.to_string()))?);
        checks.push(ping);
        checks.sort_by_key(|check| check.step);
        Ok(checks)
    }

    /// Step 2: a real login.
    pub(super) async fn login(&self, router: Owner) -> Check {
        let key = self.config.ssh_key.display();
        let title = "SSH access over the control network".to_owned();
        let spec = match SpecFile::in_dir(self.dir(router)).load() {
            Ok(Some(spec)) => spec,
            other => {
                let seen = other
                    .err()
                    .map_or("it has no spec yet".to_owned(), |error| error.to_string());
                let command = format!("ssh -i {key} -p 3922 root@<link-local address>");
                let remedy = "restart the router: its control address is not known".to_owned();
                return Check {
                    step: 2,
                    title,
                    command,
                    seen,
                    pass: false,
                    remedy,
                };
            }
        };
        let (address, port) = (spec.control.address.addr(), spec.ssh.port);
        let command = format!("ssh -i {key} -p {port} root@{address} true");
        let (pass, seen) = match self.ssh(address, port).await {
            Ok(output) if output.status.success() => (true, "logged in with the key".to_owned()),
            Ok(output) => (false, last_line(&output)),
            Err(reason) => (false, reason),
        };
        let remedy = if pass {
            String::new()
        } else {
            format!(
                "check that sshd runs in the router and listens on {address}:{port}, that {key} is the private half of a \
                 key it knows, and that bridge {} is up",
                self.config.control_bridge
            )
        };
        Check {
            step: 2,
            title,
            command,
            seen,
            pass,
            remedy,
        }
    }

    async fn ssh(&self, address: Ipv4Addr, port: u16) -> Result<Output, String> {
        let mut command = tokio::process::Command::new("ssh");
        // The router's host key is as new as the router: there is nothing to compare it with on this wire inside the host.
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=5",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            // Less would not say why a login failed.
            "LogLevel=INFO",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-F", "none", "-i"]).arg(&self.config.ssh_key);
        command.args(["-p", &port.to_string(), &format!("root@{address}"), "true"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(LOGIN_LIMIT, command.output()).await {
            Ok(output) => output.map_err(|error| format!("ssh cannot be started: {error}")),
            Err(_) => Err(format!("no login within {} s", LOGIN_LIMIT.as_secs())),
        }
    }

    /// Step 7: four real pings from a guest.
    async fn ping(&self, guest: Option<GuestId>, to: Ipv4Addr) -> Check {
        let title = "Outbound connectivity from a guest".to_owned();
        let command = format!("ping -c 4 {to}");
        let check = |seen: String, pass, remedy: &str| Check {
            step: 7,
            title: title.clone(),
            command: command.clone(),
            seen,
            pass,
            remedy: remedy.to_owned(),
        };
        let Some(guest) = guest else {
            let remedy = "deploy a virtual machine on the network, then verify again";
            return check(
                "the network has no running guest to ping from".to_owned(),
                false,
                remedy,
            );
        };
        let argv = ["ping", "-c", "4", &to.to_string()].map(str::to_owned).to_vec();
        match self
            .run_in(
                Owner::Guest(guest),
                &Run {
                    argv,
                    timeout_millis: PING_LIMIT,
                },
            )
            .await
        {
            Ok(output) if output.code == Some(0) && output.stdout.contains(" 0% packet loss") => {
                check(summary(&output.stdout), true, "")
            }
            Ok(output) => {
                let seen = format!("{} {}", summary(&output.stdout), output.stderr.trim());
                let remedy = "look where the packets stop: tcpdump -ni any icmp, in the router; an egress rule or a network \
                              ACL may also forbid ICMP";
                check(seen.trim().to_owned(), false, remedy)
            }
            Err(error) => check(error.to_string(), false, "start the guest, then verify again"),
        }
    }
}

/// ping's line of totals.
fn summary(stdout: &str) -> String {
    let line = stdout.lines().find(|line| line.contains("packet loss"));
    line.unwrap_or("no answer at all").trim().to_owned()
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.trim()
        .lines()
        .last()
        .map_or_else(|| output.status.to_string(), str::to_owned)
}
