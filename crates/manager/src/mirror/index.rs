// SPDX-License-Identifier: Apache-2.0
//! Secondary indexes: which objects belong to what, so that no list scans a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::Ipv4Addr;

use outgate_model::id::{
    AccountId, DomainId, FirewallRuleId, GuestId, NetworkId, PortForwardingRuleId, ProjectId, PublicIpId,
    RouterId, TagSetId, UserId, ZoneId,
};
use outgate_model::id::{
    NetworkAclItemId, NetworkAclListId, PrivateGatewayId, StaticRouteId, VpcId, VpcOfferingId,
};
use outgate_model::object::{
    Account, Alert, Cluster, Direction, Domain, FirewallRule, Guest, Host, Network, NetworkOffering,
    PhysicalNetwork, Pod, PortForwardingRule, Project, PublicIp, PublicIpRange, Role, Router,
    ServiceOffering, ServiceProvider, Setting, TagSet, Template, TrafficType, User, Zone,
};
use outgate_model::object::{NetworkAclItem, NetworkAclList, PrivateGateway, StaticRoute, Vpc, VpcOffering};
use outgate_model::{Protocol, Realm};

use outgate_model::id::{HealthCheckPolicyId, IpForwardingRuleId, LoadBalancerRuleId, StickinessPolicyId};
use outgate_model::id::{NicId, SecondaryIpId};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};

use crate::runs::AddressRuns;

/// Several ids under one key.
#[derive(Debug)]
pub(crate) struct Multi<K, V>(HashMap<K, BTreeSet<V>>);

impl<K, V> Default for Multi<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Ord + Copy> Multi<K, V> {
    fn set(&mut self, key: K, value: V, add: bool) {
        if add {
            self.0.entry(key).or_default().insert(value);
        } else if let Some(values) = self.0.get_mut(&key) {
            values.remove(&value);
            if values.is_empty() {
                self.0.remove(&key);
            }
        }
    }

    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }

    pub(crate) fn get(&self, key: K) -> impl Iterator<Item = V> + use<'_, K, V> {
        self.0.get(&key).into_iter().flatten().copied()
    }
}

/// Every secondary index.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Indexes {
    pub(crate) ip_by_address: HashMap<(ZoneId, Ipv4Addr), PublicIpId>,
    /// Public addresses that are claimed.
    pub(crate) taken: HashMap<ZoneId, AddressRuns>,
    pub(crate) ips_by_network: Multi<NetworkId, PublicIpId>,
    pub(crate) ips_by_zone: Multi<ZoneId, PublicIpId>,
    pub(crate) ips_by_account: Multi<AccountId, PublicIpId>,
    pub(crate) static_nat_by_guest: Multi<GuestId, PublicIpId>,
    pub(crate) rules_by_network: Multi<NetworkId, FirewallRuleId>,
    /// Pairs of a source and a destination CIDR in a network's firewall and egress rules.
    pub(crate) cidr_pairs: HashMap<NetworkId, usize>,
    pub(crate) rules_by_ip: Multi<PublicIpId, FirewallRuleId>,
    pub(crate) forwards_by_network: Multi<NetworkId, PortForwardingRuleId>,
    pub(crate) forwards_by_ip: Multi<PublicIpId, PortForwardingRuleId>,
    /// Port forwards by address, protocol and first public port: last public port and rule. Two rules of one address
    /// never share a port.
    pub(crate) forwards_by_port: BTreeMap<(PublicIpId, Protocol, u16), (u16, PortForwardingRuleId)>,
    pub(crate) forwards_by_guest: Multi<GuestId, PortForwardingRuleId>,
    pub(crate) balancers_by_network: Multi<NetworkId, LoadBalancerRuleId>,
    pub(crate) balancers_by_ip: Multi<PublicIpId, LoadBalancerRuleId>,
    pub(crate) balancer_by_port: HashMap<(PublicIpId, u16), LoadBalancerRuleId>,
    pub(crate) balancers_by_guest: Multi<GuestId, LoadBalancerRuleId>,
    pub(crate) balancer_by_stickiness: HashMap<StickinessPolicyId, LoadBalancerRuleId>,
    pub(crate) balancer_by_health_check: HashMap<HealthCheckPolicyId, LoadBalancerRuleId>,
    pub(crate) ip_forwards_by_network: Multi<NetworkId, IpForwardingRuleId>,
    pub(crate) ip_forwards_by_ip: Multi<PublicIpId, IpForwardingRuleId>,
    pub(crate) ip_forwards_by_guest: Multi<GuestId, IpForwardingRuleId>,
    pub(crate) guests_by_network: Multi<NetworkId, GuestId>,
    pub(crate) guests_by_account: Multi<AccountId, GuestId>,
    pub(crate) guest_by_nic: HashMap<NicId, GuestId>,
    pub(crate) guest_by_secondary_ip: HashMap<SecondaryIpId, GuestId>,
    pub(crate) router_by_realm: HashMap<Realm, RouterId>,
    pub(crate) vpcs_by_account: Multi<AccountId, VpcId>,
    pub(crate) vpcs_by_offering: Multi<VpcOfferingId, VpcId>,
    pub(crate) tiers_by_vpc: Multi<VpcId, NetworkId>,
    pub(crate) tiers_by_acl: Multi<NetworkAclListId, NetworkId>,
    pub(crate) ips_by_vpc: Multi<VpcId, PublicIpId>,
    /// The lists of a VPC; under `None` the built-in ones.
    pub(crate) acls_by_vpc: Multi<Option<VpcId>, NetworkAclListId>,
    /// The items of a list by number.
    pub(crate) items_by_acl: Multi<NetworkAclListId, (u16, NetworkAclItemId)>,
    pub(crate) gateways_by_vpc: Multi<VpcId, PrivateGatewayId>,
    pub(crate) gateways_by_acl: Multi<NetworkAclListId, PrivateGatewayId>,
    pub(crate) routes_by_vpc: Multi<VpcId, StaticRouteId>,
    pub(crate) routes_by_gateway: Multi<PrivateGatewayId, StaticRouteId>,
    pub(crate) networks_by_account: Multi<AccountId, NetworkId>,
    pub(crate) networks_by_zone: Multi<ZoneId, NetworkId>,
    pub(crate) user_by_api_key: HashMap<String, UserId>,
    pub(crate) tag_sets_by_account: Multi<AccountId, TagSetId>,
    pub(crate) users_by_account: Multi<AccountId, UserId>,
    pub(crate) users_by_name: Multi<String, UserId>,
    pub(crate) domains_by_parent: Multi<DomainId, DomainId>,
    pub(crate) accounts_by_domain: Multi<DomainId, AccountId>,
    pub(crate) account_by_name: HashMap<(DomainId, String), AccountId>,
    pub(crate) projects_by_domain: Multi<DomainId, ProjectId>,
    pub(crate) projects_by_member: Multi<AccountId, ProjectId>,
    /// What is on its way out with all that is in it.
    pub(crate) leaving_domains: BTreeSet<DomainId>,
    pub(crate) leaving_accounts: BTreeSet<AccountId>,
    pub(crate) leaving_projects: BTreeSet<ProjectId>,
}

fn set_one<K: Eq + Hash, V: PartialEq>(index: &mut HashMap<K, V>, key: K, value: V, add: bool) {
    if add {
        index.insert(key, value);
    } else if index.get(&key) == Some(&value) {
        index.remove(&key);
    }
}

fn set_in<V: Ord>(set: &mut BTreeSet<V>, value: V, add: bool) {
    if add {
        set.insert(value);
    } else {
        set.remove(&value);
    }
}

macro_rules! not_indexed {
    ($($field:ident: $type:ty),+ $(,)?) => {
        impl Indexes {
            $(#[allow(clippy::unused_self, reason = "same shape for every kind")]
            pub(crate) fn $field(&mut self, _object: &$type, _add: bool) {})+
        }
    };
}

not_indexed! {
    roles: Role, zones: Zone, physical_networks: PhysicalNetwork, ranges: PublicIpRange,
    hosts: Host, network_offerings: NetworkOffering, service_offerings: ServiceOffering, templates: Template,
    pods: Pod, clusters: Cluster, traffic_types: TrafficType, service_providers: ServiceProvider, settings: Setting,
    alerts: Alert,
    vpc_offerings: VpcOffering,
}

impl Indexes {
    pub(crate) fn users(&mut self, user: &User, add: bool) {
        if !user.api_key.is_empty() {
            set_one(&mut self.user_by_api_key, user.api_key.clone(), user.id, add);
        }
        self.users_by_account.set(user.account, user.id, add);
        self.users_by_name.set(user.username.to_lowercase(), user.id, add);
    }

    pub(crate) fn domains(&mut self, domain: &Domain, add: bool) {
        if let Some(parent) = domain.parent {
            self.domains_by_parent.set(parent, domain.id, add);
        }
        set_in(&mut self.leaving_domains, domain.id, add && domain.leaving);
    }

    pub(crate) fn accounts(&mut self, account: &Account, add: bool) {
        self.accounts_by_domain.set(account.domain, account.id, add);
        let place = (account.domain, account.name.clone());
        set_one(&mut self.account_by_name, place, account.id, add);
        set_in(&mut self.leaving_accounts, account.id, add && account.leaving);
    }

    pub(crate) fn projects(&mut self, project: &Project, add: bool) {
        self.projects_by_domain.set(project.domain, project.id, add);
        set_in(&mut self.leaving_projects, project.id, add && project.leaving);
        for member in &project.members {
            self.projects_by_member.set(member.account, project.id, add);
        }
    }

    pub(crate) fn networks(&mut self, network: &Network, add: bool) {
        self.networks_by_account.set(network.account, network.id, add);
        self.networks_by_zone.set(network.zone, network.id, add);
        if let Some(tier) = &network.tier {
            self.tiers_by_vpc.set(tier.vpc, network.id, add);
            self.tiers_by_acl.set(tier.acl, network.id, add);
        }
    }

    pub(crate) fn public_ips(&mut self, ip: &PublicIp, add: bool) {
        set_one(&mut self.ip_by_address, (ip.zone, ip.address), ip.id, add);
        self.ips_by_zone.set(ip.zone, ip.id, add);
        self.ips_by_account.set(ip.account, ip.id, add);
        if let Some(network) = ip.network {
            self.ips_by_network.set(network, ip.id, add);
        }
        if let Some(vpc) = ip.vpc {
            self.ips_by_vpc.set(vpc, ip.id, add);
        }
        if let Some(static_nat) = ip.static_nat {
            self.static_nat_by_guest.set(static_nat.guest, ip.id, add);
        }
    }

    pub(crate) fn firewall_rules(&mut self, rule: &FirewallRule, add: bool) {
        self.rules_by_network.set(rule.network, rule.id, add);
        let pairs = rule.sources.len() * rule.destinations.len().max(1);
        let count = self.cidr_pairs.entry(rule.network).or_default();
        *count = if add {
            *count + pairs
        } else {
            count.saturating_sub(pairs)
        };
        if *count == 0 {
            self.cidr_pairs.remove(&rule.network);
        }
        if let Direction::Ingress { public_ip } = rule.direction {
            self.rules_by_ip.set(public_ip, rule.id, add);
        }
    }

    pub(crate) fn forwards(&mut self, rule: &PortForwardingRule, add: bool) {
        self.forwards_by_network.set(rule.network, rule.id, add);
        self.forwards_by_ip.set(rule.public_ip, rule.id, add);
        self.forwards_by_guest.set(rule.guest, rule.id, add);
        let place = (rule.public_ip, rule.protocol, rule.public_ports.first());
        if add {
            self.forwards_by_port
                .insert(place, (rule.public_ports.last(), rule.id));
        } else if self
            .forwards_by_port
            .get(&place)
            .is_some_and(|(_, id)| *id == rule.id)
        {
            self.forwards_by_port.remove(&place);
        }
    }

    pub(crate) fn balancers(&mut self, rule: &LoadBalancerRule, add: bool) {
        self.balancers_by_network.set(rule.network, rule.id, add);
        self.balancers_by_ip.set(rule.public_ip, rule.id, add);
        let place = (rule.public_ip, rule.public_port);
        set_one(&mut self.balancer_by_port, place, rule.id, add);
        for member in &rule.members {
            self.balancers_by_guest.set(member.guest, rule.id, add);
        }
        if let Some(policy) = &rule.stickiness {
            set_one(&mut self.balancer_by_stickiness, policy.id, rule.id, add);
        }
        if let Some(policy) = &rule.health_check {
            set_one(&mut self.balancer_by_health_check, policy.id, rule.id, add);
        }
    }

    pub(crate) fn ip_forwards(&mut self, rule: &IpForwardingRule, add: bool) {
        self.ip_forwards_by_network.set(rule.network, rule.id, add);
        self.ip_forwards_by_ip.set(rule.public_ip, rule.id, add);
        self.ip_forwards_by_guest.set(rule.guest, rule.id, add);
    }

    pub(crate) fn guests(&mut self, guest: &Guest, add: bool) {
        self.guests_by_account.set(guest.account, guest.id, add);
        for nic in &guest.nics {
            self.guests_by_network.set(nic.network, guest.id, add);
            set_one(&mut self.guest_by_nic, nic.id, guest.id, add);
            for ip in &nic.secondary {
                set_one(&mut self.guest_by_secondary_ip, ip.id, guest.id, add);
            }
        }
    }

    pub(crate) fn routers(&mut self, router: &Router, add: bool) {
        set_one(&mut self.router_by_realm, router.realm, router.id, add);
    }

    pub(crate) fn vpcs(&mut self, vpc: &Vpc, add: bool) {
        self.vpcs_by_account.set(vpc.account, vpc.id, add);
        self.vpcs_by_offering.set(vpc.offering, vpc.id, add);
    }

    pub(crate) fn acl_lists(&mut self, list: &NetworkAclList, add: bool) {
        self.acls_by_vpc.set(list.vpc, list.id, add);
    }

    pub(crate) fn acl_items(&mut self, item: &NetworkAclItem, add: bool) {
        self.items_by_acl.set(item.list, (item.number, item.id), add);
    }

    pub(crate) fn private_gateways(&mut self, gateway: &PrivateGateway, add: bool) {
        self.gateways_by_vpc.set(gateway.vpc, gateway.id, add);
        self.gateways_by_acl.set(gateway.acl, gateway.id, add);
    }

    pub(crate) fn static_routes(&mut self, route: &StaticRoute, add: bool) {
        self.routes_by_vpc.set(route.vpc, route.id, add);
        if let Some(gateway) = route.gateway {
            self.routes_by_gateway.set(gateway, route.id, add);
        }
    }

    pub(crate) fn tag_sets(&mut self, set: &TagSet, add: bool) {
        self.tag_sets_by_account.set(set.account, set.id, add);
    }
}
