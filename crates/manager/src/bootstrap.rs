// SPDX-License-Identifier: Apache-2.0
//! What a first start writes: the operator's world, in one transaction, and only if there is none yet.

pub(crate) mod infra;
mod vpc;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::Ipv4Range;
use outgate_model::id::{
    DomainId, HostId, NetworkOfferingId, PhysicalNetworkId, PublicIpRangeId, ServiceOfferingId, TemplateId,
    ZoneId,
};
use outgate_model::key;
use outgate_model::object::{
    Account, Domain, Host, Limits, NetworkOffering, OfferingState, PhysicalNetwork, PublicIpRange, Role,
    RoleType, Service, ServiceOffering, Template, User, Zone,
};
use outgate_model::router_spec::EgressPolicy;

pub use infra::{INTERNAL_LB, ROUTER, VPC_ROUTER};

use crate::draft::Draft;
use crate::mirror::{Stored, View};
use crate::secret::{Sealer, SecretError};

/// The claim that the first start takes, so that two servers cannot both be first.
const FIRST_START: &str = "bootstrap";
/// The administrator's account and user name.
pub const ADMIN: &str = "admin";
/// CloudStack's default offering: egress denied unless a rule allows it.
pub const OFFERING_DENY: &str = "DefaultIsolatedNetworkOfferingWithSourceNatService";
/// The same with egress allowed unless a rule denies it.
pub const OFFERING_ALLOW: &str = "IsolatedNetworkEgressAllow";
/// A persistent one (its router runs without guests too), egress allowed.
pub const OFFERING_PERSISTENT: &str = "IsolatedNetworkPersistent";
/// CloudStack's default offering of VPC tiers, with network ACLs and load balancing.
pub const OFFERING_TIER: &str = "DefaultIsolatedNetworkOfferingForVpcNetworks";
/// The same without load balancing.
pub const OFFERING_TIER_NO_LB: &str = "DefaultIsolatedNetworkOfferingForVpcNetworksNoLB";

/// A range of public addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeConfig {
    /// The upstream gateway with the subnet's prefix length.
    pub gateway: Ipv4Net,
    /// The addresses that may be handed out.
    pub range: Ipv4Range,
    /// `vlan://untagged` or `vlan://100`.
    pub vlan: String,
}

/// The world that the first start makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapConfig {
    /// The zone's name.
    pub zone: String,
    /// Resolvers for guests.
    pub dns: Vec<Ipv4Addr>,
    /// The CIDR of isolated networks that name none.
    pub guest_cidr: Ipv4Net,
    /// The domain of networks that name none.
    pub network_domain: String,
    /// MTU of the public side in bytes.
    pub public_mtu: u32,
    /// Public addresses.
    pub ranges: Vec<RangeConfig>,
    /// Names of the hosts; the manager is given a driver under each.
    pub hosts: Vec<String>,
    /// CloudStack's hypervisor name for them; `Simulator` for namespaces.
    pub hypervisor: String,
}

/// The administrator's key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub api_key: String,
    /// The secret half.
    pub secret_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// A random pair: 64 characters each, of CloudStack's length class and free of characters that need quoting.
    pub(crate) fn random() -> Self {
        let text = || {
            rand::random::<[u8; 32]>()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect()
        };
        Self {
            api_key: text(),
            secret_key: text(),
        }
    }
}

/// Whether the store has been through its first start.
pub(crate) fn is_done(view: &View<'_>) -> bool {
    view.claimed(&claim()).is_some()
}

/// Adds what this version has built in and the store lacks, because an older version or the first start made it. Each
/// part looks for its own and adds what is missing; run again, it adds nothing.
pub(crate) fn heal(view: &View<'_>, draft: &mut Draft) {
    roles(view, draft);
    infra::heal(view, draft);
    tier_offerings(view, draft);
    vpc::heal(view, draft);
}

fn claim() -> String {
    format!("{}{FIRST_START}", key::CLAIMS)
}

/// The built-in roles.
fn roles(view: &View<'_>, draft: &mut Draft) {
    for role_type in RoleType::ALL {
        if view.get::<Role>(role_type.builtin()).is_none() {
            draft.create(&Role::built_in(role_type));
        }
    }
}

/// Drafts the first start's objects.
pub(crate) fn draft(config: &BootstrapConfig, sealer: &Sealer, draft: &mut Draft) -> Result<(), SecretError> {
    draft.claim(claim());
    admin(sealer, draft)?;
    let zone = Zone {
        id: ZoneId::new(),
        name: config.zone.clone(),
        dns: config.dns.clone(),
        internal_dns: config.dns.clone(),
        guest_cidr: config.guest_cidr,
        network_domain: config.network_domain.clone(),
        public_mtu: config.public_mtu,
        disabled: false,
    };
    draft.create(&zone);
    physical(config, zone.id, draft);
    network_offerings(draft);
    service_offerings(draft);
    draft.create(&Template {
        id: TemplateId::new(),
        zone: zone.id,
        name: "namespace-guest".to_owned(),
        display_text: "A guest with a shell, a DHCP client and network tools".to_owned(),
        hypervisor: config.hypervisor.clone(),
        os_type: "Linux".to_owned(),
        registered: None,
        created: Timestamp::now(),
    });
    Ok(())
}

fn admin(sealer: &Sealer, draft: &mut Draft) -> Result<(), SecretError> {
    let root = Domain {
        id: DomainId::new(),
        name: "ROOT".to_owned(),
        path: "ROOT".to_owned(),
        parent: None,
        network_domain: None,
        leaving: false,
        limits: Limits::new(),
        created: Some(Timestamp::now()),
    };
    let account = Account::new(draft.number("account"), ADMIN, root.id, RoleType::Admin);
    let pair = Credentials::random();
    let mut user = User::new(account.id, ADMIN);
    user.sealed_secret_key = sealer.seal(&user.id.to_string(), &pair.secret_key)?;
    user.api_key = pair.api_key;
    draft.create(&root);
    draft.create(&account);
    draft.create(&user);
    Ok(())
}

fn physical(config: &BootstrapConfig, zone: ZoneId, draft: &mut Draft) {
    let physical = PhysicalNetwork {
        id: PhysicalNetworkId::new(),
        zone,
        name: "physnet1".to_owned(),
        vlans: Vec::new(),
        disabled: false,
        speed: None,
        tags: Vec::new(),
        isolation: None,
    };
    draft.create(&physical);
    for range in &config.ranges {
        draft.create(&PublicIpRange {
            id: PublicIpRangeId::new(),
            zone,
            physical_network: physical.id,
            vlan: range.vlan.clone(),
            gateway: range.gateway,
            range: range.range,
            dedicated: None,
        });
    }
    for name in &config.hosts {
        draft.create(&Host {
            id: HostId::new(),
            zone,
            name: name.clone(),
            hypervisor: config.hypervisor.clone(),
            cluster: None,
            disabled: false,
            maintenance: false,
            created: Timestamp::now(),
        });
    }
}

fn network_offerings(draft: &mut Draft) {
    let offerings = [
        (
            OFFERING_DENY,
            "Isolated network with source NAT; egress denied unless a rule allows it",
            EgressPolicy::Deny,
            false,
        ),
        (
            OFFERING_ALLOW,
            "Isolated network with source NAT; egress allowed unless a rule denies it",
            EgressPolicy::Allow,
            false,
        ),
        (
            OFFERING_PERSISTENT,
            "Isolated network with source NAT that keeps its router without guests",
            EgressPolicy::Allow,
            true,
        ),
    ];
    for (name, text, egress_default, persistent) in offerings {
        draft.create(&NetworkOffering {
            egress_default,
            persistent,
            default: name == OFFERING_DENY,
            ..built_in(name, text)
        });
    }
}

/// An offering for isolated networks with everything.
fn built_in(name: &str, text: &str) -> NetworkOffering {
    NetworkOffering {
        id: NetworkOfferingId::new(),
        name: name.to_owned(),
        display_text: text.to_owned(),
        egress_default: EgressPolicy::Deny,
        persistent: false,
        conserve_mode: true,
        default: false,
        state: OfferingState::Enabled,
        services: Service::of_isolated(),
        for_vpc: false,
        redundant: false,
        specify_vlan: false,
        required: None,
        max_connections: None,
        network_rate: None,
        tags: String::new(),
        domains: Vec::new(),
        zones: Vec::new(),
        sort_key: 0,
        details: BTreeMap::new(),
        created: Timestamp::now(),
    }
}

/// Adds the offerings of VPC tiers.
fn tier_offerings(view: &View<'_>, draft: &mut Draft) {
    let no_lb = Service::of_tier().into_iter().filter(|s| *s != Service::Lb);
    let tiers = [
        (OFFERING_TIER, "Tier of a VPC", Service::of_tier()),
        (
            OFFERING_TIER_NO_LB,
            "Tier of a VPC without load balancing",
            no_lb.collect(),
        ),
    ];
    for (name, text, services) in tiers {
        let claim = built_in_claim(name);
        if view.claimed(&claim).is_none() {
            draft.claim(claim);
            draft.create(&NetworkOffering {
                // What a tier lets out is its ACL's to say.
                egress_default: EgressPolicy::Allow,
                for_vpc: true,
                required: Some(false),
                default: true,
                services,
                ..built_in(name, text)
            });
        }
    }
}

/// The claim of a built-in object, by which a start knows that it was made: its name may be changed.
pub(super) fn built_in_claim(name: &str) -> String {
    format!("{}built-in/{name}", key::CLAIMS)
}

fn service_offerings(draft: &mut Draft) {
    let offerings = [
        ("Small Instance", false, 512),
        ("System Offering For Software Router", true, 256),
    ];
    for (name, system, memory_mib) in offerings {
        draft.create(&ServiceOffering {
            id: ServiceOfferingId::new(),
            name: name.to_owned(),
            display_text: name.to_owned(),
            cpu_number: 1,
            cpu_speed_mhz: 500,
            memory_mib,
            system,
            removed: false,
            created: Timestamp::now(),
        });
    }
}
/// The first start's user: other domains may have users of this name, too.
pub(crate) fn administrator(view: &View<'_>) -> Option<Stored<User>> {
    let is_root = |user: &User| {
        let account = view.get::<Account>(user.account);
        let domain = account.and_then(|account| view.get::<Domain>(account.domain));
        domain.is_some_and(|domain| domain.parent.is_none())
    };
    let mut users = view.all::<User>().filter(|user| user.username == ADMIN);
    users.find(|user| is_root(user)).cloned()
}
