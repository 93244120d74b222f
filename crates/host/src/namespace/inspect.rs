// SPDX-License-Identifier: Apache-2.0
//! What this host sees of a router from the outside, for the doctor: the login, the engine, both ends' cables, the
//! hardware beneath. All of it side by side, within the time that the doctor looks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use outgate_model::host::{Check, EngineSeen, HealthSeen, HostSeen, PortSeen, Run};
use outgate_model::id::{GuestId, RouterId};
use outgate_router::RouterClient;
use tokio::time::timeout;

use super::Shared;
use super::names::{Device, Owner};
use crate::HostError;
use crate::health::{self, Sample};

/// How long a login may take before sshd counts as unreachable.
const LOGIN_LIMIT: Duration = Duration::from_secs(5);
/// How long the engine may take to say what it is.
const ENGINE_LIMIT: Duration = Duration::from_secs(4);
/// No window is longer.
const WINDOW_MAX: Duration = Duration::from_secs(6);
/// So many uplinks of the public bridge are looked at.
const UPLINKS: usize = 8;
/// Kernel names of a bridge port's states: 3 is forwarding.
const FORWARDING: &str = "3";

impl Shared {
    /// See [`crate::Host::inspect`].
    pub(super) async fn inspect(&self, id: RouterId, guests: &[GuestId], window: Duration) -> HostSeen {
        let owner = Owner::Router(id);
        let running = self.running(owner).is_some();
        let (login, engine, (ports, health), ipmi) = tokio::join!(
            self.bounded_login(owner, running),
            self.engine(owner, running),
            self.sample(owner, guests, window.min(WINDOW_MAX)),
            health::ipmi()
        );
        HostSeen {
            running,
            login,
            engine,
            ports,
            health: health.into_iter().chain([ipmi]).collect(),
        }
    }

    /// See [`crate::Host::renew_lease`].
    pub(super) async fn renew_lease(&self, id: GuestId) -> Result<(), HostError> {
        // The guest's process 1 starts its client again, which asks from the beginning.
        let argv = ["pkill", "-KILL", "-f", "^busybox udhcpc "].map(str::to_owned);
        let run = Run {
            argv: argv.to_vec(),
            timeout_millis: 5_000,
        };
        self.run_in(Owner::Guest(id), &run).await.map(drop)
    }

    async fn bounded_login(&self, owner: Owner, running: bool) -> Check {
        let failed = |seen: &str| Check {
            step: 2,
            title: "SSH access over the control network".to_owned(),
            command: "ssh -p 3922 root@<link-local address>".to_owned(),
            seen: seen.to_owned(),
            pass: false,
            remedy: String::new(),
        };
        if !running {
            return failed("the router does not run");
        }
        timeout(LOGIN_LIMIT, self.login(owner))
            .await
            .unwrap_or_else(|_| failed(&format!("no login within {} s", LOGIN_LIMIT.as_secs())))
    }

    async fn engine(&self, owner: Owner, running: bool) -> Result<EngineSeen, String> {
        if !running {
            return Err("the router does not run".to_owned());
        }
        let client = RouterClient::new(self.dir(owner));
        match timeout(ENGINE_LIMIT, client.observe()).await {
            Ok(Ok(status)) => Ok(EngineSeen {
                generation: status.generation,
                differences: status.differences,
                error: status.error,
            }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", ENGINE_LIMIT.as_secs())),
        }
    }

    /// Counters at the window's beginning and end.
    async fn sample(
        &self,
        router: Owner,
        guests: &[GuestId],
        window: Duration,
    ) -> (Vec<PortSeen>, Vec<HealthSeen>) {
        let names = self.ports(router, guests).await;
        let look = |names: &[(String, String)]| -> Vec<PortSeen> {
            names
                .iter()
                .map(|(name, what)| port(Path::new("/"), name, what))
                .collect()
        };
        let root = Path::new("/");
        let (before, sample) = (look(&names), Sample::read(root));
        let drops_before = queue_drops(&names).await;
        tokio::time::sleep(window).await;
        let drops_after = queue_drops(&names).await;
        let mut ports = look(&names);
        for (after, before) in ports.iter_mut().zip(&before) {
            after.rose = rose(&before.counters, &after.counters);
            let at = |drops: &BTreeMap<String, u64>| drops.get(&after.name).copied().unwrap_or(0);
            let dropped = at(&drops_after).saturating_sub(at(&drops_before));
            if dropped > 0 {
                after.rose.insert("queue_drops".to_owned(), dropped);
            }
        }
        (ports, health::judge(root, &sample, &Sample::read(root)))
    }

    /// Names of interfaces on this host, and what each is.
    async fn ports(&self, router: Owner, guests: &[GuestId]) -> Vec<(String, String)> {
        let Ok(links) = self.links.list().await else {
            return Vec::new();
        };
        let mut wanted: Vec<(Device, String)> = Vec::new();
        if let Some(machine) = self.running(router) {
            let nics = machine.nics();
            wanted.extend(nics.iter().map(|nic| {
                (
                    Device::Port(router, nic.number),
                    format!("eth{} of the router", nic.number),
                )
            }));
        }
        for id in guests {
            let nics = self
                .running(Owner::Guest(*id))
                .map(|m| m.nics())
                .unwrap_or_default();
            wanted.extend(nics.iter().map(|nic| {
                let device = Device::Port(Owner::Guest(*id), nic.number);
                (device, format!("eth{} of guest {id}", nic.number))
            }));
        }
        let found = wanted.into_iter().filter_map(|(device, what)| {
            let alias = self.names.alias(device);
            let (name, _) = links.iter().find(|(_, link)| link.alias == alias)?;
            Some((name.clone(), what))
        });
        let bridge = &self.config.public_bridge;
        let index = links.get(bridge).map(|link| link.index);
        let uplinks = links
            .iter()
            .filter(|(_, link)| index.is_some() && link.master == index && link.alias.is_empty())
            .map(|(name, _)| (name.clone(), format!("uplink of {bridge}")));
        found.chain(uplinks.take(UPLINKS)).collect()
    }
}

/// An interface as /sys shows it.
fn port(root: &Path, name: &str, what: &str) -> PortSeen {
    let folder = root.join("sys/class/net").join(name);
    let read = |file: &str| fs::read_to_string(folder.join(file)).map(|text| text.trim().to_owned());
    let counters = fs::read_dir(folder.join("statistics"))
        .into_iter()
        .flatten()
        .flatten();
    let counters = counters.filter_map(|entry| {
        let count = fs::read_to_string(entry.path()).ok()?.trim().parse().ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), count))
    });
    PortSeen {
        name: name.to_owned(),
        what: what.to_owned(),
        up: read("operstate").is_ok_and(|state| state == "up" || state == "unknown"),
        forwards: read("brport/state").ok().map(|state| state == FORWARDING),
        mtu: read("mtu").ok().and_then(|mtu| mtu.parse().ok()).unwrap_or(0),
        counters: counters.collect(),
        rose: BTreeMap::new(),
    }
}

fn rose(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let risen = after.iter().filter_map(|(name, now)| {
        let by = now.saturating_sub(*before.get(name)?);
        (by > 0).then(|| (name.clone(), by))
    });
    risen.collect()
}

/// How many frames the queueing disciplines and filters of the uplinks have dropped: no counter of the interface has it.
async fn queue_drops(names: &[(String, String)]) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    for (name, what) in names {
        if !what.starts_with("uplink") {
            continue;
        }
        let mut command = tokio::process::Command::new("tc");
        command
            .args(["-s", "-j", "qdisc", "show", "dev", name])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Ok(Ok(output)) = timeout(Duration::from_secs(2), command.output()).await {
            drops.insert(name.clone(), sum_drops(&output.stdout));
        }
    }
    drops
}

fn sum_drops(json: &[u8]) -> u64 {
    let all: Vec<serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    all.iter().filter_map(|qdisc| qdisc["drops"].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_read_with_what_rose_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sys/class/net/uplink0");
        fs::create_dir_all(folder.join("statistics")).unwrap();
        fs::create_dir_all(folder.join("brport")).unwrap();
        let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        write("operstate", "up\n");
        write("mtu", "1500\n");
        write("brport/state", "1\n");
        write("statistics/rx_crc_errors", "3\n");
        write("statistics/rx_packets", "10\n");
        let before = port(dir.path(), "uplink0", "uplink of pub0");
        assert_eq!(
            (before.up, before.forwards, before.mtu),
            (true, Some(false), 1500)
        );
        write("statistics/rx_crc_errors", "7\n");
        let after = port(dir.path(), "uplink0", "uplink of pub0");
        let rose = rose(&before.counters, &after.counters);
        assert_eq!(rose, BTreeMap::from([("rx_crc_errors".to_owned(), 4)]));
    }

    #[test]
    fn drops_of_every_queue_are_summed() {
        let json = br#"[{"kind":"noqueue","root":true,"drops":0},{"kind":"clsact","drops":7}]"#;
        assert_eq!(sum_drops(json), 7);
        assert_eq!(sum_drops(b"nonsense"), 0);
    }
}
