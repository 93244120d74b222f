// SPDX-License-Identifier: Apache-2.0
//! The objects that the API changes and the store holds: desired state, in CloudStack's words.
//!
//! An object never holds what was observed: a router's state is under `observed/`.

mod account;
mod guest;
mod infra;
mod load_balancer;
mod network;
mod network_offering;
mod project;
mod role;
mod router;
mod rule;
pub mod tag;
mod vpc;
mod zone;

pub use account::{Account, AccountState, Domain, Limits, User};
pub use guest::{Guest, GuestObserved, Nic, Power, SecondaryIp};
pub use infra::{
    ALERT_TYPES, Alert, AlertKind, Cluster, Dedicated, Pod, ServiceProvider, Setting, SettingScope, Traffic,
    TrafficType, VlanRange,
};
pub use load_balancer::{HealthCheckPolicy, IpForwardingRule, LbMember, LoadBalancerRule, StickinessPolicy};
pub use network::{GuestPart, Network, NetworkPhase, NetworkSettings, PublicIp, StaticNat};
pub use network_offering::{NetworkOffering, OfferingState, Service};
pub use project::{Project, ProjectMember, ProjectState};
pub use role::{Role, RolePermission, RoleType};
pub use router::{RedundantState, Router, RouterHealth, RouterObserved, RouterState};
pub use rule::{Direction, FirewallRule, PortForwardingRule, RuleState};
pub use tag::TagSet;
pub use vpc::{
    NetworkAclItem, NetworkAclList, PrivateGateway, StaticRoute, Tier, Vpc, VpcOffering, VpcPhase,
};
pub use zone::{Host, PhysicalNetwork, PublicIpRange, Registered, ServiceOffering, Template, Zone};

macro_rules! objects {
    ($($type:ty, $id:ty, $kind:literal, $name:literal;)+) => {$(
        impl crate::key::Object for $type {
            const KIND: &'static str = $kind;
            const NAME: &'static str = $name;
            type Id = $id;
            fn id(&self) -> $id {
                self.id
            }
        }
    )+};
}

objects! {
    Domain, crate::id::DomainId, "domain", "Domain";
    Account, crate::id::AccountId, "account", "Account";
    User, crate::id::UserId, "user", "User";
    Role, crate::id::RoleId, "role", "Role";
    Project, crate::id::ProjectId, "project", "Project";
    Zone, crate::id::ZoneId, "zone", "Zone";
    PhysicalNetwork, crate::id::PhysicalNetworkId, "physical-network", "PhysicalNetwork";
    PublicIpRange, crate::id::PublicIpRangeId, "public-ip-range", "VlanIpRange";
    Host, crate::id::HostId, "host", "Host";
    NetworkOffering, crate::id::NetworkOfferingId, "network-offering", "NetworkOffering";
    ServiceOffering, crate::id::ServiceOfferingId, "service-offering", "ServiceOffering";
    Template, crate::id::TemplateId, "template", "Template";
    Network, crate::id::NetworkId, "network", "Network";
    PublicIp, crate::id::PublicIpId, "public-ip", "IpAddress";
    FirewallRule, crate::id::FirewallRuleId, "firewall-rule", "FirewallRule";
    PortForwardingRule, crate::id::PortForwardingRuleId, "port-forwarding-rule", "PortForwardingRule";
    LoadBalancerRule, crate::id::LoadBalancerRuleId, "load-balancer-rule", "LoadBalancerRule";
    IpForwardingRule, crate::id::IpForwardingRuleId, "ip-forwarding-rule", "IpForwardingRule";
    Guest, crate::id::GuestId, "guest", "VirtualMachine";
    Pod, crate::id::PodId, "pod", "Pod";
    Cluster, crate::id::ClusterId, "cluster", "Cluster";
    TrafficType, crate::id::TrafficTypeId, "traffic-type", "TrafficType";
    ServiceProvider, crate::id::ServiceProviderId, "service-provider", "PhysicalNetworkServiceProvider";
    Setting, crate::id::SettingId, "setting", "Configuration";
    Alert, crate::id::AlertId, "alert", "Alert";
    Router, crate::id::RouterId, "router", "DomainRouter";
    Vpc, crate::id::VpcId, "vpc", "Vpc";
    VpcOffering, crate::id::VpcOfferingId, "vpc-offering", "VpcOffering";
    NetworkAclList, crate::id::NetworkAclListId, "network-acl-list", "NetworkACLList";
    NetworkAclItem, crate::id::NetworkAclItemId, "network-acl-item", "NetworkACL";
    PrivateGateway, crate::id::PrivateGatewayId, "private-gateway", "PrivateGateway";
    StaticRoute, crate::id::StaticRouteId, "static-route", "StaticRoute";
    TagSet, crate::id::TagSetId, "tags", "ResourceTag";
}
