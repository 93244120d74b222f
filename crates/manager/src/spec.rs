// SPDX-License-Identifier: Apache-2.0
//! From stored objects to the documents that hosts get: pure, and in an order that depends on nothing but the objects.

mod balancing;
mod vpc;

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use ipnet::Ipv4Net;
use outgate_model::guest_spec::GuestNic;
use outgate_model::id::PublicIpId;
use outgate_model::id::{SettingId, ZoneId};
use outgate_model::object::{
    Direction, FirewallRule, Guest, Network, NetworkOffering, NetworkPhase, PortForwardingRule, Power,
    PublicIp, PublicIpRange, Router, Vpc, Zone,
};
use outgate_model::object::{Setting, SettingScope};
use outgate_model::router_spec::{
    self, Conntrack, ControlSide, Egress, EgressRule, FastPathHook, FastPathMode, FastPathSettings,
    GuestNetwork, Lease, Limits, NatLog, PortForward, PublicAddress, PublicSide, SPEC_VERSION, Ssh,
};
use outgate_model::{GuestSpec, MacAddr, Realm, RouterSpec};

use crate::draft::Draft;
use crate::mirror::{Row, Stored, View};
use crate::realm::{Phase, Standing};
use crate::settings::{self, Known};

/// What every router of this installation has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSettings {
    /// Prefix length of the control network, 16 for 169.254.0.0/16.
    pub control_prefix: u8,
    /// Connection tracking limits and timeouts.
    pub conntrack: Conntrack,
    /// The IPFIX collector of session records; must be on the control network.
    pub nat_log_collector: Option<SocketAddrV4>,
    /// The port of SSH on the control side, 3922.
    pub ssh_port: u16,
    /// Public keys in OpenSSH's `authorized_keys` form.
    pub authorized_keys: Vec<String>,
    /// Whether routers have a fast path.
    pub fastpath: FastPathMode,
    /// Where its programs see packets.
    pub fastpath_hook: FastPathHook,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            control_prefix: 16,
            conntrack: Conntrack::default(),
            nat_log_collector: None,
            ssh_port: 3922,
            authorized_keys: Vec::new(),
            fastpath: FastPathMode::Off,
            fastpath_hook: FastPathHook::Auto,
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

    /// The value that somebody gave to a setting in the first of these scopes, or else everywhere; `None` when nobody
    /// did.
    fn setting(&self, known: &Known, scopes: &[SettingScope]) -> Option<i64> {
        let mut given = scopes
            .iter()
            .chain(&[SettingScope::Global])
            .filter_map(|scope| self.get::<Setting>(SettingId::of(*scope, known.name)));
        known.read(&given.next()?.value)
    }

    /// Where a realm's router has its settings from, the narrowest first.
    pub(crate) fn scopes(&self, realm: Realm, zone: ZoneId) -> Vec<SettingScope> {
        let own = match realm {
            Realm::Network(id) => {
                let offering = self.get::<Network>(id).map(|network| network.offering);
                [
                    Some(SettingScope::Network(id)),
                    offering.map(SettingScope::Offering),
                ]
            }
            Realm::Vpc(id) => {
                let offering = self.get::<Vpc>(id).map(|vpc| vpc.offering);
                [
                    Some(SettingScope::Vpc(id)),
                    offering.map(SettingScope::VpcOffering),
                ]
            }
        };
        let own = own.into_iter().flatten();
        own.chain([SettingScope::Zone(zone)]).collect()
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

    fn router_of(&self, realm: Realm) -> Option<Arc<Router>> {
        let stored = self.view.router_of(realm);
        self.each(stored.into_iter(), |r: &Router| r.realm == realm)
            .into_iter()
            .next()
    }

    fn standing(&self, realm: Realm) -> Option<Standing> {
        match realm {
            Realm::Network(id) => Standing::of_network(&*self.get::<Network>(id)?),
            Realm::Vpc(id) => Some(Standing::of_vpc(&*self.get::<Vpc>(id)?)),
        }
    }

    /// The networks that the realm's router serves, by device.
    fn networks_of(&self, realm: Realm) -> Vec<Arc<Network>> {
        let mut networks = match realm {
            Realm::Network(id) => self.get::<Network>(id).into_iter().collect(),
            Realm::Vpc(id) => {
                let is_tier = |n: &Network| n.tier.as_ref().is_some_and(|tier| tier.vpc == id);
                self.each(self.view.tiers_of_vpc(id), is_tier)
            }
        };
        networks.retain(|n| n.phase == NetworkPhase::Implemented);
        networks.sort_by_key(|n| n.tier.as_ref().map_or(0, |tier| tier.device));
        networks
    }

    fn public_mtu(&self, realm: Realm, zone: &Zone) -> u32 {
        let own = match realm {
            Realm::Network(id) => self
                .get::<Network>(id)
                .and_then(|network| network.settings.public_mtu),
            Realm::Vpc(id) => self.get::<Vpc>(id).and_then(|vpc| vpc.public_mtu),
        };
        own.unwrap_or(zone.public_mtu)
    }

    fn ips_of(&self, realm: Realm) -> Vec<Arc<PublicIp>> {
        let belongs = |ip: &PublicIp| match realm {
            Realm::Network(id) => ip.vpc.is_none() && ip.network == Some(id),
            Realm::Vpc(id) => ip.vpc == Some(id),
        };
        self.each(self.view.public_ips_of_realm(realm), belongs)
    }
}

/// What the router of `realm` must be; `None` when it needs none: the realm is not implemented, has no router, or the
/// router is to go.
///
/// # Errors
/// When an object that belongs to it is missing. The result is not validated yet.
pub fn router_spec(
    source: Source<'_>,
    settings: &RouterSettings,
    realm: Realm,
) -> Result<Option<RouterSpec>, SpecError> {
    let (Some(standing), Some(router)) = (source.standing(realm), source.router_of(realm)) else {
        return Ok(None);
    };
    if standing.phase != Phase::Alive || router.power == Power::Gone {
        return Ok(None);
    }
    let control = Ipv4Net::new(router.link_local, settings.control_prefix).map_err(|e| SpecError {
        what: format!("control prefix length {}: {e}", settings.control_prefix),
    })?;
    let [guest_mac, control_mac, public_mac] = router.macs;
    let (control_interface, public_interface) = match realm {
        Realm::Network(_) => ("eth1", "eth2"),
        Realm::Vpc(_) => ("eth0", "eth1"),
    };
    let zone = source.need::<Zone>(standing.zone)?;
    let scopes = source.scopes(realm, zone.id);
    let networks = source.networks_of(realm);
    let rules: Vec<_> = networks.iter().flat_map(|n| rules_of(source, n)).collect();
    let guest_network = |network: &Arc<Network>| match &network.tier {
        None => guest_network(source, network, &zone, &rules, guest_mac),
        Some(tier) => vpc::tier(source, network, tier, &zone),
    };
    let guest_networks: Vec<_> = networks.iter().map(guest_network).collect::<Result<_, _>>()?;
    Ok(Some(RouterSpec {
        version: SPEC_VERSION,
        id: router.id,
        name: router.name.clone(),
        generation: standing.generation,
        control: ControlSide {
            interface: control_interface.to_owned(),
            mac: control_mac,
            address: control,
        },
        public: PublicSide {
            interface: public_interface.to_owned(),
            mac: public_mac,
            ..public_side(source, realm, &networks, &zone, &rules)?
        },
        guest_networks,
        vpc: match realm {
            Realm::Network(_) => None,
            Realm::Vpc(id) => Some(vpc::side(source, id, &zone)?),
        },
        conntrack: conntrack(source, &settings.conntrack, &scopes),
        limits: limits(source, &scopes),
        ssh: Ssh {
            port: settings.ssh_port,
            authorized_keys: settings.authorized_keys.clone(),
        },
        fastpath: settings.fastpath,
        fastpath_settings: fastpath(source, settings.fastpath_hook, &scopes),
        nat_log: nat_log(source, settings.nat_log_collector, &scopes),
        jobs: Vec::new(),
    }))
}

/// Connection tracking as the settings want it; what nobody has set is the server's.
fn conntrack(source: Source<'_>, server: &Conntrack, scopes: &[SettingScope]) -> Conntrack {
    let value = |known: &Known, default: u32| {
        let given = source.setting(known, scopes);
        given
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(default)
    };
    Conntrack {
        max: value(&settings::CONNTRACK_MAX, server.max),
        tcp_established_secs: value(&settings::CONNTRACK_TCP, server.tcp_established_secs),
        udp_secs: value(&settings::CONNTRACK_UDP, server.udp_secs),
        udp_stream_secs: value(&settings::CONNTRACK_UDP_STREAM, server.udp_stream_secs),
        icmp_secs: value(&settings::CONNTRACK_ICMP, server.icmp_secs),
    }
}

/// How a fast path is made, where there is one.
fn fastpath(source: Source<'_>, hook: FastPathHook, scopes: &[SettingScope]) -> FastPathSettings {
    let known = &settings::FASTPATH_MEMORY;
    let mib = source.setting(known, scopes).unwrap_or(known.default);
    FastPathSettings {
        hook,
        memory_mib: u32::try_from(mib).unwrap_or(FastPathSettings::default().memory_mib),
    }
}

/// The limits that hold for a router now.
pub(crate) fn limits_of(view: &View<'_>, router: &Router) -> Limits {
    let source = Source::stored(view);
    limits(source, &source.scopes(router.realm, router.zone))
}

/// Limits as the settings want them: 0 is none.
fn limits(source: Source<'_>, scopes: &[SettingScope]) -> Limits {
    let value = |known: &Known| {
        let given = source.setting(known, scopes).unwrap_or(known.default);
        u32::try_from(given).ok().filter(|limit| *limit > 0)
    };
    Limits {
        guest_sessions: value(&settings::GUEST_SESSIONS),
        guest_rate: value(&settings::GUEST_RATE),
        source_rate: value(&settings::SOURCE_RATE),
        ping_rate: value(&settings::PING_RATE),
    }
}

/// Whether and how sessions are recorded, as the settings want it.
fn nat_log(source: Source<'_>, collector: Option<SocketAddrV4>, scopes: &[SettingScope]) -> Option<NatLog> {
    let value = |known: &Known| source.setting(known, scopes).unwrap_or(known.default);
    let number = |known: &Known| u32::try_from(value(known)).unwrap_or_default();
    (value(&settings::NAT_LOG) != 0).then(|| NatLog {
        records_per_second: number(&settings::NAT_LOG_RATE),
        file_mib: number(&settings::NAT_LOG_SIZE),
        collector,
    })
}

fn public_side(
    source: Source<'_>,
    realm: Realm,
    networks: &[Arc<Network>],
    zone: &Zone,
    rules: &[Arc<FirewallRule>],
) -> Result<PublicSide, SpecError> {
    let mut ips = source.ips_of(realm);
    ips.sort_by_key(|ip| (!ip.source_nat, !ip.source_nat_pool, ip.address));
    let mut firewall = ingress_by_ip(rules);
    let mut forwards = forwards_by_ip(source, networks);
    let mut balancers = balancing::by_ip(source, networks);
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
            source_nat_pool: ip.source_nat_pool,
            static_nat: ip.static_nat.map(|s| s.address),
            firewall: firewall.remove(&ip.id).unwrap_or_default(),
            port_forwarding: forwards.remove(&ip.id).unwrap_or_default(),
            load_balancers: balancers.remove(&ip.id).unwrap_or_default(),
        });
    }
    if let Some(ip) = firewall
        .keys()
        .chain(forwards.keys())
        .chain(balancers.keys())
        .next()
    {
        return Err(SpecError {
            what: format!("a rule names IpAddress {ip}, which {realm} does not have"),
        });
    }
    Ok(PublicSide {
        interface: String::new(),
        mac: MacAddr([0; 6]),
        mtu: source.public_mtu(realm, zone),
        gateway,
        addresses,
    })
}

type ByIp<T> = BTreeMap<PublicIpId, Vec<T>>;

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

fn forwards_by_ip(source: Source<'_>, networks: &[Arc<Network>]) -> ByIp<PortForward> {
    let of_network = |network: &Arc<Network>| {
        let stored = source.view.forwards_of_network(network.id);
        source.each(stored, |r: &PortForwardingRule| r.network == network.id)
    };
    let mut forwards: Vec<_> = networks.iter().flat_map(of_network).collect();
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
    mac: MacAddr,
) -> Result<GuestNetwork, SpecError> {
    let offering = source.need::<NetworkOffering>(network.offering)?;
    let egress = rules.iter().filter(|r| r.direction == Direction::Egress);
    let rules = egress.map(|r| EgressRule {
        id: r.id,
        matches: r.matches,
        sources: r.sources.clone(),
        destinations: r.destinations.clone(),
    });
    Ok(GuestNetwork {
        id: network.id,
        interface: "eth0".to_owned(),
        mac,
        mtu: network.mtu,
        gateway: network.gateway,
        domain: network.domain.clone(),
        upstream_dns: match network.settings.dns.as_slice() {
            [] => zone.dns.clone(),
            own => own.to_vec(),
        },
        egress: Egress {
            default: offering.egress_default,
            rules: rules.collect(),
        },
        acl: None,
        leases: leases(source, network),
    })
}

fn leases(source: Source<'_>, network: &Network) -> BTreeMap<MacAddr, Lease> {
    let stored = source.view.guests_of_network(network.id);
    let on_it = |g: &Guest| g.nics.iter().any(|n| n.network == network.id);
    let mut leases = BTreeMap::new();
    for guest in source.each(stored, on_it) {
        if guest.power == Power::Gone || guest.destroyed.is_some() {
            continue;
        }
        for nic in guest.nics.iter().filter(|n| n.network == network.id) {
            let lease = Lease {
                address: nic.address,
                hostname: guest.name.clone(),
                default_route: guest.nics.first().is_some_and(|first| first.id == nic.id),
            };
            leases.insert(nic.mac, lease);
        }
    }
    leases
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
            device: n.device,
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
