// SPDX-License-Identifier: Apache-2.0
//! The kinds of objects that commands answer with.

use outgate_model::id::{AccountId, DomainId, ProjectId, RoleId, UserId};
use outgate_model::id::{FirewallRuleId, GuestId, NetworkId, PortForwardingRuleId, PublicIpId, RouterId};
use outgate_model::id::{HostId, PhysicalNetworkId, ServiceProviderId, TrafficTypeId};
use outgate_model::id::{IpForwardingRuleId, LoadBalancerRuleId, SecondaryIpId};
use outgate_model::id::{
    NetworkAclItemId, NetworkAclListId, PrivateGatewayId, StaticRouteId, VpcId, VpcOfferingId,
};
use outgate_model::id::{ServiceOfferingId, TemplateId};
use uuid::Uuid;

use crate::view::{self, Field, Look};
use crate::wire::envelope::Object;

/// A kind of object that a command or job answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// `network`.
    Network,
    /// `ipaddress`: in lists the same object is called `publicipaddress`.
    Address,
    /// `firewallrule`, in or out.
    FirewallRule,
    /// `portforwardingrule`.
    PortForwardingRule,
    /// `loadbalancer`: in lists the same object is called `loadbalancerrule`.
    LoadBalancerRule,
    /// `stickinesspolicies`: a load balancer rule with its policy.
    StickinessPolicies,
    /// `healthcheckpolicies`: a load balancer rule with its policy.
    HealthCheckPolicies,
    /// `ipforwardingrule`.
    IpForwardingRule,
    /// `virtualmachine`.
    Guest,
    /// `nicsecondaryip`.
    NicSecondaryIp,
    /// `router`.
    Router,
    /// `host`.
    Host,
    /// `physicalnetwork`.
    PhysicalNetwork,
    /// `traffictype`.
    TrafficType,
    /// `networkserviceprovider`.
    ServiceProvider,
    /// `virtualrouterelement`.
    RouterElement,
    /// `internalloadbalancerelement`.
    LbElement,
    /// `vpcoffering`.
    VpcOffering,
    /// `vpc`.
    Vpc,
    /// `networkacllist`.
    NetworkAclList,
    /// `networkacl`: an item of a list.
    NetworkAcl,
    /// `privategateway`.
    PrivateGateway,
    /// `staticroute`.
    StaticRoute,
    /// `domain`.
    Domain,
    /// `account`.
    Account,
    /// `user`.
    User,
    /// `role`.
    Role,
    /// `project`.
    Project,
    /// `serviceoffering`.
    ServiceOffering,
    /// `template`.
    Template,
}

impl Entity {
    /// The key it stands under.
    pub fn key(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Address => "ipaddress",
            Self::FirewallRule => "firewallrule",
            Self::PortForwardingRule => "portforwardingrule",
            Self::LoadBalancerRule => "loadbalancer",
            Self::StickinessPolicies => "stickinesspolicies",
            Self::HealthCheckPolicies => "healthcheckpolicies",
            Self::IpForwardingRule => "ipforwardingrule",
            Self::Guest => "virtualmachine",
            Self::NicSecondaryIp => "nicsecondaryip",
            Self::Router => "router",
            Self::Host => "host",
            Self::PhysicalNetwork => "physicalnetwork",
            Self::TrafficType => "traffictype",
            Self::ServiceProvider => "networkserviceprovider",
            Self::RouterElement => "virtualrouterelement",
            Self::LbElement => "internalloadbalancerelement",
            Self::VpcOffering => "vpcoffering",
            Self::Vpc => "vpc",
            Self::NetworkAclList => "networkacllist",
            Self::NetworkAcl => "networkacl",
            Self::PrivateGateway => "privategateway",
            Self::StaticRoute => "staticroute",
            Self::Domain => "domain",
            Self::Account => "account",
            Self::User => "user",
            Self::Role => "role",
            Self::Project => "project",
            Self::ServiceOffering => "serviceoffering",
            Self::Template => "template",
        }
    }

    /// Its fields.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Network => view::network::FIELDS,
            Self::Address => view::address::FIELDS,
            Self::FirewallRule => view::firewall_rule::FIELDS,
            Self::PortForwardingRule => view::port_forwarding_rule::FIELDS,
            Self::LoadBalancerRule => view::load_balancer::FIELDS,
            Self::StickinessPolicies => view::stickiness_policy::FIELDS,
            Self::HealthCheckPolicies => view::stickiness_policy::health_check::FIELDS,
            Self::IpForwardingRule => view::ip_forwarding_rule::FIELDS,
            Self::Guest => view::guest::FIELDS,
            Self::NicSecondaryIp => view::nic_secondary_ip::FIELDS,
            Self::Router => view::router::FIELDS,
            Self::Host => view::host::FIELDS,
            Self::PhysicalNetwork => view::physical_network::FIELDS,
            Self::TrafficType => view::traffic_type::FIELDS,
            Self::ServiceProvider => view::provider::FIELDS,
            Self::RouterElement => view::provider::router_element::FIELDS,
            Self::LbElement => view::provider::lb_element::FIELDS,
            Self::VpcOffering => view::vpc_offering::FIELDS,
            Self::Vpc => view::vpc::FIELDS,
            Self::NetworkAclList => view::network_acl_list::FIELDS,
            Self::NetworkAcl => view::network_acl::FIELDS,
            Self::PrivateGateway => view::private_gateway::FIELDS,
            Self::StaticRoute => view::static_route::FIELDS,
            Self::Domain => view::domain::FIELDS,
            Self::Account => view::account::FIELDS,
            Self::User => view::user::FIELDS,
            Self::Role => view::role::FIELDS,
            Self::Project => view::project::FIELDS,
            Self::ServiceOffering => view::service_offering::FIELDS,
            Self::Template => view::template::FIELDS,
        }
    }

    /// The object as it is now; none when it is gone.
    pub fn render(self, look: &Look<'_>, id: Uuid) -> Option<Object> {
        let at = look.view;
        Some(match self {
            Self::Network => view::network::render(look, at.get(NetworkId(id))?),
            Self::Address => view::address::render(look, at.get(PublicIpId(id))?),
            Self::FirewallRule => view::firewall_rule::render(look, at.get(FirewallRuleId(id))?),
            Self::PortForwardingRule => {
                view::port_forwarding_rule::render(look, at.get(PortForwardingRuleId(id))?)
            }
            Self::LoadBalancerRule => view::load_balancer::render(look, at.get(LoadBalancerRuleId(id))?),
            Self::StickinessPolicies => {
                view::stickiness_policy::render(look, at.get(LoadBalancerRuleId(id))?)
            }
            Self::HealthCheckPolicies => {
                view::stickiness_policy::health_check::render(look, at.get(LoadBalancerRuleId(id))?)
            }
            Self::IpForwardingRule => view::ip_forwarding_rule::render(look, at.get(IpForwardingRuleId(id))?),
            Self::Guest => view::guest::render(look, at.get(GuestId(id))?),
            Self::NicSecondaryIp => {
                view::nic_secondary_ip::render(look, at.guest_of_secondary_ip(SecondaryIpId(id))?)
            }
            Self::Router => view::router::render_with_vpc(look, at.get(RouterId(id))?),
            Self::Host => view::host::render(look, at.get(HostId(id))?),
            Self::PhysicalNetwork => view::physical_network::render(look, at.get(PhysicalNetworkId(id))?),
            Self::TrafficType => view::traffic_type::render(look, at.get(TrafficTypeId(id))?),
            Self::ServiceProvider => view::provider::render(look, at.get(ServiceProviderId(id))?),
            Self::RouterElement => {
                view::provider::router_element::render(look, at.get(ServiceProviderId(id))?)
            }
            Self::LbElement => view::provider::lb_element::render(look, at.get(ServiceProviderId(id))?),
            Self::VpcOffering => view::vpc_offering::render(look, at.get(VpcOfferingId(id))?),
            Self::Vpc => view::vpc::render(look, at.get(VpcId(id))?),
            Self::NetworkAclList => view::network_acl_list::render(look, at.get(NetworkAclListId(id))?),
            Self::NetworkAcl => view::network_acl::render(look, at.get(NetworkAclItemId(id))?),
            Self::PrivateGateway => view::private_gateway::render(look, at.get(PrivateGatewayId(id))?),
            Self::StaticRoute => view::static_route::render(look, at.get(StaticRouteId(id))?),
            Self::Domain => view::domain::render(look, at.get(DomainId(id))?),
            Self::Account => view::account::render(look, at.get(AccountId(id))?),
            Self::User => view::user::render(look, at.get(UserId(id))?),
            Self::Role => view::role::render(look, at.get(RoleId(id))?),
            Self::Project => view::project::render(look, at.get(ProjectId(id))?),
            Self::ServiceOffering => view::service_offering::render(look, at.get(ServiceOfferingId(id))?),
            Self::Template => view::template::render(look, at.get(TemplateId(id))?),
        })
    }
}
