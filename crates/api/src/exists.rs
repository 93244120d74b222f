// SPDX-License-Identifier: Apache-2.0
//! Whether the ids that a request gives are ids of something that the caller may see, as CloudStack checks before it
//! runs a command.

use outgate_manager::{Row, View};
use outgate_model::id::{
    AccountId, DomainId, EventId, FirewallRuleId, GuestId, HostId, JobId, NetworkId, NetworkOfferingId,
    PhysicalNetworkId, PortForwardingRuleId, ProjectId, PublicIpId, PublicIpRangeId, RoleId, RouterId,
    ServiceOfferingId, TemplateId, UserId, ZoneId,
};
use outgate_model::id::{AlertId, ClusterId, PodId, ServiceProviderId, TrafficTypeId};
use outgate_model::id::{HealthCheckPolicyId, IpForwardingRuleId, LoadBalancerRuleId, StickinessPolicyId};
use outgate_model::id::{
    NetworkAclItemId, NetworkAclListId, PrivateGatewayId, StaticRouteId, VpcId, VpcOfferingId,
};
use outgate_model::id::{NicId, SecondaryIpId};
use outgate_model::object::{
    Account, FirewallRule, Guest, Host, Network, NetworkOffering, PhysicalNetwork, PortForwardingRule,
    PublicIp, PublicIpRange, Role, Router, ServiceOffering, Template, User, Zone,
};
use outgate_model::object::{Alert, Cluster, Pod, ServiceProvider, TrafficType};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};
use outgate_model::object::{NetworkAclItem, NetworkAclList, PrivateGateway, StaticRoute, Vpc, VpcOffering};
use uuid::Uuid;

use crate::command::Command;
use crate::view::Look;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Params};

/// Errors (431) for the first id that is of nothing, in the words that Go's clients look for.
pub fn check(look: &Look<'_>, command: &Command, params: &Params) -> Result<(), ApiError> {
    for param in command.parameters() {
        let (of, ids) = match param.kind {
            Kind::Uuid(of) => (of, params.id(param.name).into_iter().collect()),
            Kind::Uuids(of) => (of, params.ids(param.name).to_vec()),
            _ => continue,
        };
        for id in ids {
            if !exists(look, of, id) {
                return Err(ApiError::no_such(command.name, param.name, &id.to_string()));
            }
        }
    }
    Ok(())
}

/// Whether there is such an object and the caller may see it: one that it may not see is answered as none at all.
fn exists(look: &Look<'_>, of: Of, id: Uuid) -> bool {
    let (view, caller) = (look.view, look.caller);
    match of {
        Of::Address => owned(look, PublicIpId(id), |ip: &PublicIp| Some(ip.account)),
        Of::Event => view
            .event(EventId(id))
            .is_some_and(|event| caller.may_any(view, event.account)),
        Of::FirewallRule => owned(look, FirewallRuleId(id), |rule: &FirewallRule| Some(rule.account)),
        Of::Guest => owned(look, GuestId(id), |guest: &Guest| Some(guest.account)),
        Of::Job => view
            .job(JobId(id))
            .is_some_and(|job| caller.may(view, job.account)),
        Of::Network => owned(look, NetworkId(id), |network: &Network| Some(network.account)),
        Of::Nic => view
            .guest_of_nic(NicId(id))
            .is_some_and(|(guest, _)| caller.may(view, guest.account)),
        Of::SecondaryIp => view
            .guest_of_secondary_ip(SecondaryIpId(id))
            .is_some_and(|(guest, ..)| caller.may(view, guest.account)),
        Of::PortForwardingRule => owned(look, PortForwardingRuleId(id), |rule: &PortForwardingRule| {
            Some(rule.account)
        }),
        Of::Router => owned(look, RouterId(id), |router: &Router| Some(router.account)),
        Of::Account | Of::Domain | Of::Project | Of::Role | Of::RolePermission | Of::User => {
            tenant(look, of, id)
        }
        Of::Template => view
            .get::<Template>(TemplateId(id))
            .is_some_and(|template| caller.may_use_template(view, template)),
        Of::Vpc | Of::NetworkAclList | Of::NetworkAclItem | Of::PrivateGateway | Of::StaticRoute => {
            of_vpc(look, of, id)
        }
        Of::LoadBalancerRule => owned(look, LoadBalancerRuleId(id), |rule: &LoadBalancerRule| {
            Some(rule.account)
        }),
        Of::StickinessPolicy => view
            .balancer_of_stickiness(StickinessPolicyId(id))
            .is_some_and(|rule| caller.may(view, rule.account)),
        Of::HealthCheckPolicy => view
            .balancer_of_health_check(HealthCheckPolicyId(id))
            .is_some_and(|rule| caller.may(view, rule.account)),
        Of::IpForwardingRule => owned(look, IpForwardingRuleId(id), |rule: &IpForwardingRule| {
            Some(rule.account)
        }),
        Of::Nothing => false,
        Of::Anything => true,
        // What a cloud is built of is the operator's own.
        Of::Pod | Of::Cluster if !caller.admin() => false,
        _ => provided(view, of, id),
    }
}

/// Whether there is such an object of the operator's.
fn provided(view: &View<'_>, of: Of, id: Uuid) -> bool {
    match of {
        Of::Host => view.get::<Host>(HostId(id)).is_some(),
        Of::PhysicalNetwork => view.get::<PhysicalNetwork>(PhysicalNetworkId(id)).is_some(),
        Of::Range => view.get::<PublicIpRange>(PublicIpRangeId(id)).is_some(),
        Of::ServiceOffering => view.get::<ServiceOffering>(ServiceOfferingId(id)).is_some(),
        Of::Zone => view.get::<Zone>(ZoneId(id)).is_some(),
        Of::NetworkOffering => view.get::<NetworkOffering>(NetworkOfferingId(id)).is_some(),
        Of::Alert => view
            .get::<Alert>(AlertId(id))
            .is_some_and(|alert| !alert.archived),
        Of::Cluster => view.get::<Cluster>(ClusterId(id)).is_some(),
        Of::Pod => view.get::<Pod>(PodId(id)).is_some(),
        Of::ServiceProvider => view.get::<ServiceProvider>(ServiceProviderId(id)).is_some(),
        Of::TrafficType => view.get::<TrafficType>(TrafficTypeId(id)).is_some(),
        Of::VpcOffering => view.get::<VpcOffering>(VpcOfferingId(id)).is_some(),
        _ => false,
    }
}

/// The same for what belongs to VPCs.
fn of_vpc(look: &Look<'_>, of: Of, id: Uuid) -> bool {
    let view = look.view;
    match of {
        Of::Vpc => owned(look, VpcId(id), |vpc: &Vpc| Some(vpc.account)),
        Of::NetworkAclList => owned(look, NetworkAclListId(id), |list: &NetworkAclList| list.account),
        Of::NetworkAclItem => view
            .get::<NetworkAclItem>(NetworkAclItemId(id))
            .is_some_and(|item| owned(look, item.list, |list: &NetworkAclList| list.account)),
        Of::PrivateGateway => owned(look, PrivateGatewayId(id), |gateway: &PrivateGateway| {
            Some(gateway.account)
        }),
        Of::StaticRoute => owned(look, StaticRouteId(id), |route: &StaticRoute| Some(route.account)),
        _ => false,
    }
}

/// The same for accounts and what is around them.
fn tenant(look: &Look<'_>, of: Of, id: Uuid) -> bool {
    let (view, caller) = (look.view, look.caller);
    match of {
        Of::Account => {
            // A project's account is nobody's to name: projectid is how.
            let account = view.get::<Account>(AccountId(id));
            account.is_some_and(|account| account.project.is_none() && caller.may(view, account.id))
        }
        Of::Domain => caller.may_domain(view, DomainId(id)),
        Of::Project => caller.may_project(view, ProjectId(id)),
        Of::Role => view
            .get::<Role>(RoleId(id))
            .is_some_and(|role| caller.admin() || role.public),
        Of::RolePermission => {
            let has = |role: &Role| role.permissions.iter().any(|rule| rule.id.0 == id);
            caller.admin() && view.all::<Role>().any(|role| has(role))
        }
        Of::User => owned(look, UserId(id), |user: &User| Some(user.account)),
        _ => false,
    }
}

/// Whether the object is there and its owner's objects are the caller's to see. An object of no account, such as a
/// built-in one, is everybody's.
fn owned<O: Row>(look: &Look<'_>, id: O::Id, account: fn(&O) -> Option<AccountId>) -> bool {
    let object = look.view.get::<O>(id);
    object.is_some_and(|object| account(object).is_none_or(|account| look.caller.may(look.view, account)))
}
