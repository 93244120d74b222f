// SPDX-License-Identifier: Apache-2.0
//! Whether the ids that a request gives are ids of something, as CloudStack checks before it runs a command.

use outgate_manager::View;
use outgate_model::id::{
    AccountId, DomainId, EventId, FirewallRuleId, GuestId, HostId, JobId, NetworkId, NetworkOfferingId,
    PhysicalNetworkId, PortForwardingRuleId, PublicIpId, PublicIpRangeId, RouterId, ServiceOfferingId,
    TemplateId, ZoneId,
};
use outgate_model::object::{
    Account, Domain, FirewallRule, Guest, Host, Network, NetworkOffering, PhysicalNetwork,
    PortForwardingRule, PublicIp, PublicIpRange, Router, ServiceOffering, Template, Zone,
};
use uuid::Uuid;

use crate::command::Command;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Params};

/// Errors (431) for the first id that is of nothing, in the words that Go's clients look for.
pub fn check(view: &View<'_>, command: &Command, params: &Params) -> Result<(), ApiError> {
    for param in command.parameters() {
        let (of, ids) = match param.kind {
            Kind::Uuid(of) => (of, params.id(param.name).into_iter().collect()),
            Kind::Uuids(of) => (of, params.ids(param.name).to_vec()),
            _ => continue,
        };
        for id in ids {
            if !exists(view, of, id) {
                return Err(ApiError::no_such(command.name, param.name, &id.to_string()));
            }
        }
    }
    Ok(())
}

fn exists(view: &View<'_>, of: Of, id: Uuid) -> bool {
    match of {
        Of::Account => view.get::<Account>(AccountId(id)).is_some(),
        Of::Address => view.get::<PublicIp>(PublicIpId(id)).is_some(),
        Of::Domain => view.get::<Domain>(DomainId(id)).is_some(),
        Of::Event => view.event(EventId(id)).is_some(),
        Of::FirewallRule => view.get::<FirewallRule>(FirewallRuleId(id)).is_some(),
        Of::Guest => view.get::<Guest>(GuestId(id)).is_some(),
        Of::Host => view.get::<Host>(HostId(id)).is_some(),
        Of::Job => view.job(JobId(id)).is_some(),
        Of::Network => view.get::<Network>(NetworkId(id)).is_some(),
        Of::NetworkOffering => view.get::<NetworkOffering>(NetworkOfferingId(id)).is_some(),
        Of::PhysicalNetwork => view.get::<PhysicalNetwork>(PhysicalNetworkId(id)).is_some(),
        Of::PortForwardingRule => view.get::<PortForwardingRule>(PortForwardingRuleId(id)).is_some(),
        Of::Range => view.get::<PublicIpRange>(PublicIpRangeId(id)).is_some(),
        Of::Router => view.get::<Router>(RouterId(id)).is_some(),
        Of::ServiceOffering => view.get::<ServiceOffering>(ServiceOfferingId(id)).is_some(),
        Of::Template => view.get::<Template>(TemplateId(id)).is_some(),
        Of::Zone => view.get::<Zone>(ZoneId(id)).is_some(),
        Of::Nothing => false,
        Of::Anything => true,
    }
}
