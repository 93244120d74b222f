// SPDX-License-Identifier: Apache-2.0
//! What interfaces, directories and processes are called.
//!
//! Interface names hold at most 15 bytes, too few for an id, so a name carries a hash of it: `r1a2b3c4e0.3f2a` is the host's end
//! of a router's eth0, `g1a2b3c4d.3f2a` a network's bridge, `p1a2b3c4d.3f2a` a private wire's, where 3f2a is the instance's tag. The alias carries the whole id, and
//! an interface belongs to its alias: two ids whose hashes are equal get different names, never one interface.

use std::fmt;
use std::path::{Path, PathBuf};

use outgate_model::host::PrivateWire;
use outgate_model::id::{GuestId, NetworkId, RouterId};

/// How many names an id may choose from. All being taken by others is as likely as a hash of over 100 bits colliding.
const CHOICES: u64 = 4;

/// A router or a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    Router(RouterId),
    Guest(GuestId),
}

impl Owner {
    /// Its directory below the run directory.
    pub(super) fn dir(self, run_dir: &Path) -> PathBuf {
        match self {
            Self::Router(id) => run_dir.join("routers").join(id.to_string()),
            Self::Guest(id) => run_dir.join("guests").join(id.to_string()),
        }
    }

    /// The subcommand of `outgate` that it runs.
    pub(super) fn subcommand(self) -> &'static str {
        match self {
            Self::Router(_) => "router",
            Self::Guest(_) => "guest",
        }
    }

    /// Reads what `Display` writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(' ')?;
        match kind {
            "router" => id.parse().ok().map(Self::Router),
            "guest" => id.parse().ok().map(Self::Guest),
            _ => None,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(id) => write!(f, "router {id}"),
            Self::Guest(id) => write!(f, "guest {id}"),
        }
    }
}

/// What an interface of this instance is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// The host's end of the cable to `eth<number>` of a router or guest.
    Port(Owner, u8),
    /// A network's bridge.
    Bridge(NetworkId),
    /// A private wire's bridge.
    Wire(PrivateWire),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(owner, number) => write!(f, "{owner} eth{number}"),
            Self::Bridge(network) => write!(f, "network {network}"),
            Self::Wire(wire) => write!(f, "wire {}", wire_text(wire)),
        }
    }
}

/// Makes an instance's names.
#[derive(Debug, Clone)]
pub(super) struct Names {
    instance: String,
    tag: u16,
}

impl Names {
    pub(super) fn new(instance: &str) -> Self {
        let [.., a, b] = fnv(instance, 0).to_be_bytes();
        Self {
            instance: instance.to_owned(),
            tag: u16::from_be_bytes([a, b]),
        }
    }

    /// The names that a device may have, best first.
    pub(super) fn choices(&self, device: Device) -> impl Iterator<Item = String> {
        let tag = self.tag;
        (0..CHOICES).map(move |salt| match device {
            Device::Port(owner, number) => {
                let (letter, id) = match owner {
                    Owner::Router(id) => ('r', id.to_string()),
                    Owner::Guest(id) => ('v', id.to_string()),
                };
                let hash = fnv(&id, salt);
                // The ninth character is the number's last digit: with two, the hash has one less.
                if number <= 0xf {
                    format!("{letter}{:07x}e{number:x}.{tag:04x}", hash & 0x0fff_ffff)
                } else {
                    format!("{letter}{:06x}e{number:02x}.{tag:04x}", hash & 0x00ff_ffff)
                }
            }
            Device::Wire(wire) => {
                format!("p{:08x}.{tag:04x}", fnv(&wire_text(&wire), salt) & 0xffff_ffff)
            }
            Device::Bridge(id) => format!("g{:08x}.{tag:04x}", fnv(&id.to_string(), salt) & 0xffff_ffff),
        })
    }

    /// The alias that says what a device is.
    pub(super) fn alias(&self, device: Device) -> String {
        format!("outgate {} {device}", self.instance)
    }

    /// What the device with this alias is; `None` when it is not this instance's.
    pub(super) fn device(&self, alias: &str) -> Option<Device> {
        let rest = alias
            .strip_prefix("outgate ")?
            .strip_prefix(self.instance.as_str())?
            .strip_prefix(' ')?;
        if let Some(id) = rest.strip_prefix("network ") {
            return id.parse().ok().map(Device::Bridge);
        }
        if let Some(wire) = rest.strip_prefix("wire ") {
            let (physical_network, vlan) = wire.split_once(' ')?;
            return Some(Device::Wire(PrivateWire {
                physical_network: physical_network.parse().ok()?,
                vlan: vlan.parse().ok()?,
            }));
        }
        let (owner, interface) = rest.rsplit_once(' ')?;
        Some(Device::Port(
            Owner::parse(owner)?,
            interface.strip_prefix("eth")?.parse().ok()?,
        ))
    }

    /// Whether an interface's name has this instance's form and tag, though its alias may not be set yet.
    pub(super) fn is_ours(&self, name: &str) -> bool {
        let stem = name.strip_suffix(&format!(".{:04x}", self.tag));
        stem.is_some_and(|stem| {
            let fine =
                |rest: &str, digits| rest.len() >= digits && rest.bytes().all(|b| b.is_ascii_hexdigit());
            match stem.split_at_checked(1) {
                Some(("g" | "p", rest)) => rest.len() == 8 && fine(rest, 8),
                // A hash, `e` (itself a hexadecimal digit) and the interface's number.
                Some(("r" | "v", rest)) => {
                    let e_at = |at| rest.as_bytes().get(at) == Some(&b'e');
                    rest.len() == 9 && fine(rest, 9) && (e_at(7) || e_at(6))
                }
                _ => false,
            }
        })
    }
}

fn wire_text(wire: &PrivateWire) -> String {
    format!("{} {}", wire.physical_network, wire.vlan)
}

/// FNV-1a of 64 bits, folded so that every bit of the text reaches every bit that is used.
fn fnv(text: &str, salt: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ salt;
    let hash = text.bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use outgate_model::id::PhysicalNetworkId;

    use super::*;

    #[test]
    fn every_name_fits_and_every_alias_reads_back() {
        let names = Names::new("a name with spaces and 63 letters");
        let (router, guest) = (Owner::Router(RouterId::new()), Owner::Guest(GuestId::new()));
        for device in [
            Device::Port(router, 2),
            Device::Port(guest, 9),
            Device::Port(router, 15),
            Device::Port(router, 16),
            Device::Port(router, 254),
            Device::Wire(PrivateWire {
                physical_network: PhysicalNetworkId::new(),
                vlan: 4_094,
            }),
            Device::Bridge(NetworkId::new()),
        ] {
            for name in names.choices(device) {
                assert!(name.len() <= 15 && names.is_ours(&name), "{name}");
                assert!(!Names::new("another").is_ours(&name), "{name}");
            }
            assert_eq!(names.device(&names.alias(device)), Some(device));
            assert_eq!(Names::new("another").device(&names.alias(device)), None);
        }
        assert!(!names.is_ours("eth0") && !names.is_ours(""));
    }

    #[test]
    fn an_id_chooses_from_names_that_differ() {
        let names = Names::new("lab");
        let device = Device::Port(Owner::Router(RouterId::new()), 0);
        assert_eq!(names.choices(device).collect::<HashSet<_>>().len(), 4);
    }
}
