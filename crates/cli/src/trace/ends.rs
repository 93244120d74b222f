// SPDX-License-Identifier: Apache-2.0
//! The two ends of a flow as people name them, and whose router they meet.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use ipnet::Ipv4Net;
use serde_json::Value;

use crate::client::{Client, EVERYTHING, is_called};
use crate::doctor::End;
use crate::exit::Usage;
use crate::near::instead;

/// An address or a guest's name, with a port or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    who: Who,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Address(Ipv4Addr),
    Guest(String),
}

impl std::str::FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(End { address, port }) = text.parse() {
            let who = Who::Address(address);
            return Ok(Self { who, port });
        }
        let wrong = || {
            format!(
                "{text:?} is neither an IPv4 address nor a guest's name, with a port or without, such as 192.0.2.10:443 or \
                 guest1:80"
            )
        };
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let tame = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        // Names have letters: what has none was meant as an address.
        if !name.chars().all(tame) || !name.contains(|c: char| c.is_ascii_alphabetic()) {
            return Err(wrong());
        }
        let who = Who::Guest(name.to_owned());
        Ok(Self { who, port })
    }
}

/// What the server knows of where addresses are.
pub struct Places {
    guests: Vec<Value>,
    addresses: Vec<Value>,
    networks: Vec<Value>,
}

impl Places {
    /// Asks for them.
    pub fn of(client: &Client) -> anyhow::Result<Self> {
        let list = |command| client.list(command, EVERYTHING);
        Ok(Self {
            guests: list("listVirtualMachines")?,
            addresses: list("listPublicIpAddresses")?,
            networks: list("listNetworks")?,
        })
    }

    /// The address that is meant: of a guest that of its default NIC. Errors (usage) when no guest has that name.
    pub fn end(&self, whom: &Whom) -> anyhow::Result<End> {
        let port = whom.port;
        let name = match &whom.who {
            Who::Address(address) => {
                let address = *address;
                return Ok(End { address, port });
            }
            Who::Guest(name) => name,
        };
        let guest = self
            .guests
            .iter()
            .find(|guest| is_called(guest, name))
            .with_context(|| {
                let names = self
                    .guests
                    .iter()
                    .filter_map(|guest| guest["name"].as_str().map(str::to_owned));
                let instead = instead(name, &names.collect::<Vec<_>>());
                Usage(format!(
                    "{name} is no IPv4 address, and there is no guest of that name{instead}"
                ))
            })?;
        let default = nics(guest).find(|nic| nic["isdefault"] == true);
        let address = default.or_else(|| nics(guest).next()).and_then(address);
        let address = address.with_context(|| Usage(format!("guest {name} has no address")))?;
        Ok(End { address, port })
    }

    /// Whose router a flow meets, as a parameter of the API: the network of a guest that has one of the addresses, the
    /// sender's first; else who has one as a public address; else the network whose CIDR holds one. `None` when nobody does.
    /// Errors (usage) when guests of several networks have it.
    pub fn router(&self, src: Ipv4Addr, dst: Ipv4Addr) -> anyhow::Result<Option<(String, String)>> {
        for wanted in [src, dst] {
            if let Some(network) = self.network_of_guest(wanted)? {
                return Ok(Some(network));
            }
        }
        let owner = [dst, src].into_iter().find_map(|wanted| self.owner(wanted));
        let near = || {
            [src, dst]
                .into_iter()
                .find_map(|wanted| self.network_around(wanted))
        };
        Ok(owner.or_else(near))
    }

    fn network_of_guest(&self, wanted: Ipv4Addr) -> anyhow::Result<Option<(String, String)>> {
        let nics = self.guests.iter().flat_map(nics);
        let mut found: Vec<(&str, &str)> = nics
            .filter(|nic| address(nic) == Some(wanted))
            .filter_map(|nic| Some((nic["networkid"].as_str()?, nic["networkname"].as_str()?)))
            .collect();
        found.sort_unstable();
        found.dedup();
        match found[..] {
            [] => Ok(None),
            [(id, _)] => Ok(Some(("networkid".to_owned(), id.to_owned()))),
            _ => {
                let names: Vec<&str> = found.iter().map(|(_, name)| *name).collect();
                let told = format!(
                    "guests of several networks have {wanted}: say which by --network, one of {}",
                    names.join(", ")
                );
                Err(Usage(told).into())
            }
        }
    }

    fn owner(&self, wanted: Ipv4Addr) -> Option<(String, String)> {
        let mut addresses = self.addresses.iter();
        let found = addresses.find(|object| address(object) == Some(wanted))?;
        let of = |param: &str, key: &str| Some((param.to_owned(), found[key].as_str()?.to_owned()));
        of("vpcid", "vpcid").or_else(|| of("networkid", "associatednetworkid"))
    }

    fn network_around(&self, wanted: Ipv4Addr) -> Option<(String, String)> {
        let mut networks = self.networks.iter();
        let found = networks.find(|network| {
            let cidr = network["cidr"]
                .as_str()
                .and_then(|cidr| cidr.parse::<Ipv4Net>().ok());
            cidr.is_some_and(|cidr| cidr.contains(&wanted))
        })?;
        Some(("networkid".to_owned(), found["id"].as_str()?.to_owned()))
    }
}

fn nics(guest: &Value) -> impl Iterator<Item = &Value> {
    guest["nic"].as_array().into_iter().flatten()
}

fn address(object: &Value) -> Option<Ipv4Addr> {
    object["ipaddress"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::json;

    use super::*;

    fn places() -> Places {
        let nic = |address: &str, network: &str| json!({ "ipaddress": address, "networkid": format!("id-{network}"), "networkname": network, "isdefault": true });
        Places {
            guests: vec![
                json!({ "name": "web1", "nic": [nic("10.1.1.2", "shop")] }),
                json!({ "name": "db1", "nic": [nic("10.2.1.2", "tier")] }),
                json!({ "name": "one", "nic": [nic("10.9.1.2", "a")] }),
                json!({ "name": "two", "nic": [nic("10.9.1.2", "b")] }),
            ],
            addresses: vec![
                json!({ "ipaddress": "203.0.113.11", "associatednetworkid": "id-shop" }),
                json!({ "ipaddress": "203.0.113.12", "vpcid": "id-vpc", "associatednetworkid": "id-tier" }),
            ],
            networks: vec![json!({ "id": "id-shop", "cidr": "10.1.1.0/24" })],
        }
    }

    #[test]
    fn an_end_is_an_address_or_a_guests_name() {
        let end = |text: &str| {
            let End { address, port } = places().end(&text.parse().unwrap()).unwrap();
            (address.to_string(), port)
        };
        assert_eq!(end("192.0.2.1:443"), ("192.0.2.1".to_owned(), Some(443)));
        assert_eq!(end("web1:80"), ("10.1.1.2".to_owned(), Some(80)));
        for wrong in ["10.1.1", "10.1.1.2:x", "web1:99999", "", "a b", "10.1.1.300"] {
            let told = wrong.parse::<Whom>().unwrap_err();
            assert!(told.contains("such as 192.0.2.10:443 or guest1:80"), "{told}");
        }
        let told = places().end(&"wbe1".parse().unwrap()).unwrap_err().to_string();
        assert!(
            told.contains("there is no guest of that name; did you mean") && told.contains("web1"),
            "{told}"
        );
    }

    #[test]
    fn the_addresses_say_whose_router_it_is() {
        let router = |src: &str, dst: &str| {
            let found = places().router(src.parse().unwrap(), dst.parse().unwrap());
            found.map(|found| found.map(|(param, id)| format!("{param}={id}")))
        };
        let known = |src, dst| router(src, dst).unwrap();
        assert_eq!(
            known("10.2.1.2", "192.0.2.1").as_deref(),
            Some("networkid=id-tier")
        );
        assert_eq!(
            known("192.0.2.1", "10.1.1.2").as_deref(),
            Some("networkid=id-shop")
        );
        assert_eq!(
            known("192.0.2.1", "203.0.113.11").as_deref(),
            Some("networkid=id-shop")
        );
        assert_eq!(
            known("192.0.2.1", "203.0.113.12").as_deref(),
            Some("vpcid=id-vpc")
        );
        assert_eq!(
            known("10.1.1.77", "192.0.2.1").as_deref(),
            Some("networkid=id-shop")
        );
        assert_eq!(known("192.0.2.1", "192.0.2.2"), None);
        let told = router("10.9.1.2", "192.0.2.1").unwrap_err().to_string();
        assert!(told.contains("--network, one of a, b"), "{told}");
    }
}
