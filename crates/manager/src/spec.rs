// SPDX-License-Identifier: Apache-2.0
//! From stored objects to the documents that hosts get: pure, and in an order that depends on nothing but the objects.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use outgate_model::guest_spec::GuestNic;
use outgate_model::id::{NetworkId, PublicIpId};
use outgate_model::object::{
    Direction, FirewallRule, Guest, Network, NetworkOffering, NetworkPhase, PortForwardingRule, Power,
    PublicIp, PublicIpRange, Router, Zone,
};
use outgate_model::router_spec::{
    self, Conntrack, ControlSide, Egress, EgressRule, GuestNetwork, Lease, PortForward, PublicAddress,
    PublicSide, SPEC_VERSION, Ssh,
};
use outgate_model::{GuestSpec, RouterSpec};

use crate::draft::Draft;
use crate::mirror::{Row, Stored, View};

/// What every router of this installation has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSettings {
    /// Prefix length of the control network, 16 for 169.254.0.0/16.
    pub control_prefix: u8,
    /// Connection tracking limits and timeouts.
    pub conntrack: Conntrack,
    /// The port of SSH on the control side, 3922.
    pub ssh_port: u16,
    /// Public keys in OpenSSH's `authorized_keys` form.
    pub authorized_keys: Vec<String>,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            control_prefix: 16,
            conntrack: Conntrack::default(),
            ssh_port: 3922,
            authorized_keys: Vec::new(),
        }
    }
}

/// An object that a spec needs is not there, or does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SpecError {
    /// What, and whose.
    pub what: String,
}

fn missing<O: Row>(id: O::Id) -> SpecError {
    SpecError {
        what: format!("{} {id} does not exist", O::NAME),
    }
}

/// Where specs take their objects from: the mirror, or the mirror with a transaction on top.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    view: &'a View<'a>,
    draft: Option<&'a Draft>,
}

impl<'a> Source<'a> {
    /// The stored objects.
    pub fn stored(view: &'a View<'a>) -> Self {
        Self { view, draft: None }
    }

    /// The objects as they will be after `draft`.
    pub fn after(view: &'a View<'a>, draft: &'a Draft) -> Self {
        Self {
            view,
            draft: Some(draft),
        }
    }

    /// One object.
    pub fn get<O: Row>(&self, id: O::Id) -> Option<Arc<O>> {
        match self.draft.and_then(|d| d.staged::<O>(id)) {
            Some(staged) => staged,
            None => self.view.get::<O>(id).map(|s| Arc::clone(&s.object)),
        }
    }

    fn need<O: Row>(&self, id: O::Id) -> Result<Arc<O>, SpecError> {
        self.get(id).ok_or_else(|| missing::<O>(id))
    }

    /// `stored` as the draft leaves it, with what the draft adds that `belongs`.
    fn each<'s, O: Row>(
        &self,
        stored: impl Iterator<Item = &'s Stored<O>>,
        belongs: impl Fn(&O) -> bool,
    ) -> Vec<Arc<O>> {
        let Some(draft) = self.draft else {
            return stored.map(|s| Arc::clone(&s.object)).collect();
        };
        // A transaction writes few objects, a network may have thousands.
        let written: HashSet<O::Id> = draft
            .staged_all::<O>()
            .filter_map(|(key, _)| key.rsplit('/').next()?.parse().ok())
            .collect();
        let kept = stored
            .filter(|s| !written.contains(&s.id()))
            .map(|s| Arc::clone(&s.object));
        let staged = draft
            .staged_all::<O>()
            .filter_map(|(_, o)| o)
            .filter(|o| belongs(o));
        kept.chain(staged).collect()
    }

    fn router_of(&self, network: NetworkId) -> Option<Arc<Router>> {
        let stored = self.view.router_of_network(network);
        self.each(stored.into_iter(), |r: &Router| r.network == network)
            .into_iter()
            .next()
    }
}

/// What the router of `network` must be; `None` when it needs none: the network is not implemented, has no router, or
/// the router is to go.
///
/// # Errors
/// When an object that belongs to it is missing. The result is not validated yet.
pub fn router_spec(
    source: Source<'_>,
    settings: &RouterSettings,
    network: NetworkId,
) -> Result<Option<RouterSpec>, SpecError> {
    let Some(network) = source.get::<Network>(network) else {
        return Ok(None);
    };
    let Some(router) = source.router_of(network.id) else {
        return Ok(None);
    };
    if network.phase != NetworkPhase::Implemented || router.power == Power::Gone {
        return Ok(None);
    }
    let control = Ipv4Net::new(router.link_local, settings.control_prefix).map_err(|e| SpecError {
        what: format!("control prefix length {}: {e}", settings.control_prefix),
    })?;
    let [guest_mac, control_mac, public_mac] = router.macs;
    let zone = source.need::<Zone>(network.zone)?;
    let rules = rules_of(source, &network);
    let mut guest_network = guest_network(source, &network, &zone, &rules)?;
    guest_network.mac = guest_mac;
    Ok(Some(RouterSpec {
        version: SPEC_VERSION,
        id: router.id,
        name: router.name.clone(),
        generation: network.generation,
        control: ControlSide {
            interface: "eth1".to_owned(),
            mac: control_mac,
            address: control,
        },
        public: PublicSide {
            mac: public_mac,
            ..public_side(source, &network, &zone, &rules)?
        },
        guest_networks: vec![guest_network],
        vpc: None,
        conntrack: settings.conntrack.clone(),
        ssh: Ssh {
            port: settings.ssh_port,
            authorized_keys: settings.authorized_keys.clone(),
        },
    }))
}

fn public_side(
    source: Source<'_>,
    network: &Network,
    zone: &Zone,
    rules: &[Arc<FirewallRule>],
) -> Result<PublicSide, SpecError> {
    let stored = source.view.public_ips_of_network(network.id);
    let mut ips = source.each(stored, |ip: &PublicIp| ip.network == Some(network.id));
    ips.retain(|ip| ip.network == Some(network.id));
    ips.sort_by_key(|ip| (!ip.source_nat, ip.address));
    let mut firewall = ingress_by_ip(rules);
    let mut forwards = forwards_by_ip(source, network);
    let mut addresses = Vec::with_capacity(ips.len());
    let mut gateway = Ipv4Addr::UNSPECIFIED;
    for (i, ip) in ips.iter().enumerate() {
        let range = source.need::<PublicIpRange>(ip.range)?;
        if i == 0 {
            gateway = range.gateway.addr();
        }
        addresses.push(PublicAddress {
            address: Ipv4Net::new_assert(ip.address, range.gateway.prefix_len()),
            source_nat: ip.source_nat,
            static_nat: ip.static_nat.map(|s| s.address),
            firewall: firewall.remove(&ip.id).unwrap_or_default(),
            port_forwarding: forwards.remove(&ip.id).unwrap_or_default(),
            load_balancers: Vec::new(),
        });
    }
    if let Some(ip) = firewall.keys().chain(forwards.keys()).next() {
        return Err(SpecError {
            what: format!(
                "a rule names IpAddress {ip}, which network {} does not have",
                network.id
            ),
        });
    }
    Ok(PublicSide {
        interface: "eth2".to_owned(),
        mac: outgate_model::MacAddr([0; 6]),
        mtu: zone.public_mtu,
        gateway,
        addresses,
    })
}

type ByIp<T> = std::collections::BTreeMap<PublicIpId, Vec<T>>;

/// A network's rules in the order they were made.
fn rules_of(source: Source<'_>, network: &Network) -> Vec<Arc<FirewallRule>> {
    let stored = source.view.firewall_rules_of_network(network.id);
    let mut rules = source.each(stored, |r: &FirewallRule| r.network == network.id);
    rules.sort_by_key(|r| (r.created, r.id));
    rules
}

fn ingress_by_ip(rules: &[Arc<FirewallRule>]) -> ByIp<router_spec::FirewallRule> {
    let mut by_ip = ByIp::new();
    for rule in rules {
        if let Direction::Ingress { public_ip } = rule.direction {
            by_ip
                .entry(public_ip)
                .or_default()
                .push(router_spec::FirewallRule {
                    id: rule.id,
                    matches: rule.matches,
                    sources: rule.sources.clone(),
                });
        }
    }
    by_ip
}

fn forwards_by_ip(source: Source<'_>, network: &Network) -> ByIp<PortForward> {
    let stored = source.view.forwards_of_network(network.id);
    let mut forwards = source.each(stored, |r: &PortForwardingRule| r.network == network.id);
    forwards.sort_by_key(|r| (r.protocol, r.public_ports, r.id));
    let mut by_ip = ByIp::new();
    for rule in forwards {
        by_ip.entry(rule.public_ip).or_default().push(PortForward {
            id: rule.id,
            protocol: rule.protocol,
            public_ports: rule.public_ports,
            guest: rule.guest_address,
            private_ports: rule.private_ports,
        });
    }
    by_ip
}

fn guest_network(
    source: Source<'_>,
    network: &Network,
    zone: &Zone,
    rules: &[Arc<FirewallRule>],
) -> Result<GuestNetwork, SpecError> {
    let offering = source.need::<NetworkOffering>(network.offering)?;
    let egress = rules.iter().filter(|r| r.direction == Direction::Egress);
    let rules = egress.map(|r| EgressRule {
        id: r.id,
        matches: r.matches,
        sources: r.sources.clone(),
        destinations: r.destinations.clone(),
    });
    let stored = source.view.guests_of_network(network.id);
    let on_it = |g: &Guest| g.nics.iter().any(|n| n.network == network.id);
    let guests = source.each(stored, on_it);
    let leases = guests
        .iter()
        .filter(|g| g.power != Power::Gone)
        .flat_map(|guest| {
            let nics = guest.nics.iter().filter(|n| n.network == network.id);
            nics.map(|n| {
                (
                    n.mac,
                    Lease {
                        address: n.address,
                        hostname: guest.name.clone(),
                    },
                )
            })
        });
    Ok(GuestNetwork {
        id: network.id,
        interface: "eth0".to_owned(),
        mac: outgate_model::MacAddr([0; 6]),
        mtu: network.mtu,
        gateway: network.gateway,
        domain: network.domain.clone(),
        upstream_dns: zone.dns.clone(),
        egress: Egress {
            default: offering.egress_default,
            rules: rules.collect(),
        },
        acl: None,
        leases: leases.collect(),
    })
}

/// What a host must run for `guest`.
///
/// # Errors
/// When one of its networks is missing.
pub fn guest_spec(source: Source<'_>, guest: &Guest) -> Result<GuestSpec, SpecError> {
    let nic = |n: &outgate_model::object::Nic| {
        let network = source.need::<Network>(n.network)?;
        Ok(GuestNic {
            id: n.id,
            network: n.network,
            mac: n.mac,
            address: n.address,
            mtu: network.mtu,
        })
    };
    Ok(GuestSpec {
        id: guest.id,
        instance_name: guest.instance_name.clone(),
        hostname: guest.name.clone(),
        nics: guest.nics.iter().map(nic).collect::<Result<_, SpecError>>()?,
    })
}
