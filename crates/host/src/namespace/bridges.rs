// SPDX-License-Identifier: Apache-2.0
//! Bridges: the control network's, the public segment's, and one for each guest network and private wire.

use std::fs;
use std::io;
use std::path::Path;

use outgate_kernel::link::{LinkError, LinkState};

use super::names::Device;
use super::{Shared, failed};
use crate::HostError;

/// MTU of the control network.
const CONTROL_MTU: u32 = 1_500;
/// A bridge forwards what its ports can carry; its own MTU shall not be the limit.
const BRIDGE_MTU: u32 = 65_535;

impl Shared {
    /// Makes the control bridge if it is missing, and checks the public one.
    pub(super) async fn prepare_bridges(&self) -> Result<(), HostError> {
        bypass_firewall();
        make_room_for_neighbours();
        self.public_bridge().await?;
        let name = &self.config.control_bridge;
        let doing = || format!("making the control bridge {name}");
        match self.links.add_bridge(name, CONTROL_MTU).await {
            Ok(()) | Err(LinkError::Exists { .. }) => {}
            Err(error) => return Err(failed(doing(), error)),
        }
        without_ipv6(name);
        self.links.set_up(name).await.map_err(|e| failed(doing(), e))?;
        self.links
            .add_address(name, self.config.control_address)
            .await
            .map_err(|e| failed(doing(), e))
    }

    /// The index of the public bridge.
    pub(super) async fn public_bridge(&self) -> Result<u32, HostError> {
        let name = &self.config.public_bridge;
        let reason = match self.links.find(name).await {
            Ok(Some(link)) if link.kind == "bridge" => return Ok(link.index),
            Ok(Some(_)) => format!("interface {name} is no bridge"),
            Ok(None) => format!(
                "there is no bridge {name} in this network namespace: make it, and make the uplink its port"
            ),
            Err(error) => error.to_string(),
        };
        Err(failed("looking for the public bridge", reason))
    }

    /// The index of the control bridge, which an operator may have removed.
    pub(super) async fn control_bridge(&self) -> Result<u32, HostError> {
        let found = self.links.find(&self.config.control_bridge).await;
        if let Ok(Some(link)) = found {
            return Ok(link.index);
        }
        self.prepare_bridges().await?;
        let link = self.links.get(&self.config.control_bridge).await;
        link.map(|link| link.index)
            .map_err(|error| failed("making the control bridge", error))
    }

    /// The index of the bridge of a network or a private wire, which is made if it is missing.
    pub(super) async fn bridge(&self, device: Device) -> Result<u32, HostError> {
        let doing = || format!("making the bridge of {device}");
        if let Some((name, link)) = self.find_device(device).await.map_err(|e| failed(doing(), e))? {
            if !link.up {
                self.links.set_up(&name).await.map_err(|e| failed(doing(), e))?;
            }
            return Ok(link.index);
        }
        for name in self.names.choices(device) {
            match self.links.add_bridge(&name, BRIDGE_MTU).await {
                Ok(()) => {}
                Err(LinkError::Exists { .. }) => match self.bridge_made_meanwhile(device).await {
                    Some(index) => return Ok(index),
                    None => continue,
                },
                Err(error) => return Err(failed(doing(), error)),
            }
            without_ipv6(&name);
            self.claim(&name, device).await.map_err(|e| failed(doing(), e))?;
            let made = self.links.get(&name).await.map_err(|e| failed(doing(), e))?;
            return Ok(made.index);
        }
        Err(failed(
            doing(),
            "every name it may have is taken by another interface",
        ))
    }

    /// Somebody else took the name: for the same device, and is about to set the alias, or for another.
    async fn bridge_made_meanwhile(&self, device: Device) -> Option<u32> {
        for _ in 0..100 {
            if let Ok(Some((_, link))) = self.find_device(device).await {
                return Some(link.index);
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        None
    }

    /// Removes the bridges of guest networks and private wires that have lost their last port.
    pub(super) async fn remove_empty_bridges(&self) -> Result<(), LinkError> {
        let _alone = self.devices.write().await;
        let links = self.links.list().await?;
        for (name, link) in &links {
            let device = self.names.device(&link.alias);
            let ours = matches!(device, Some(Device::Bridge(_) | Device::Wire(_)));
            if ours && !has_ports(links.values(), link.index) {
                ignore_missing(self.links.delete(name).await)?;
            }
        }
        Ok(())
    }
}

fn has_ports<'a>(mut links: impl Iterator<Item = &'a LinkState>, bridge: u32) -> bool {
    links.any(|link| link.master == Some(bridge))
}

/// What is gone already needs no removing.
pub(super) fn ignore_missing(result: Result<(), LinkError>) -> Result<(), LinkError> {
    match result {
        Err(LinkError::NotFound { .. }) => Ok(()),
        other => other,
    }
}

/// Bridged frames of guests must not pass this namespace's own rules (they would, by the kernel's default).
fn bypass_firewall() {
    for table in ["iptables", "ip6tables", "arptables"] {
        write_sysctl(&format!("net/bridge/bridge-nf-call-{table}"), "0");
    }
}

/// A bridge with an IPv6 address would let guests reach this host itself.
fn without_ipv6(bridge: &str) {
    write_sysctl(&format!("net/ipv6/conf/{bridge}/disable_ipv6"), "1");
}

/// All network namespaces share one table of neighbours, of 1,024 by default: four guests that make up sources of their
/// networks would fill it for everybody. Only the machine's own namespace may change it; elsewhere the files are not there.
fn make_room_for_neighbours() {
    for (name, least) in [
        ("gc_thresh3", 65_536),
        ("gc_thresh2", 32_768),
        ("gc_thresh1", 4_096),
    ] {
        let path = Path::new("/proc/sys/net/ipv4/neigh/default").join(name);
        if let Err(error) = raise(&path, least) {
            tracing::warn!("raising {} to {least} failed: {error}", path.display());
        }
    }
}

/// Raises a number in a file that is there, and never lowers it.
fn raise(path: &Path, least: u64) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let now: u64 = text.trim().parse().map_err(io::Error::other)?;
    if now < least {
        fs::write(path, least.to_string())?;
    }
    Ok(())
}

fn write_sysctl(path: &str, value: &str) {
    match std::fs::write(format!("/proc/sys/{path}"), value) {
        // A kernel without IPv6 or bridge netfilter has nothing to switch off.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("setting {path} to {value} failed: {error}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_and_never_lowered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gc_thresh3");
        raise(&path, 5).unwrap();
        assert!(!path.exists(), "a namespace without the file is left alone");
        for (before, after) in [("1024\n", "65536"), ("100000\n", "100000\n")] {
            fs::write(&path, before).unwrap();
            raise(&path, 65_536).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
        fs::write(&path, "nonsense").unwrap();
        assert!(raise(&path, 5).is_err());
    }
}
