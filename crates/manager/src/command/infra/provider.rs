// SPDX-License-Identifier: Apache-2.0
//! Network service providers and their elements: who does networks' services on a physical network.

use outgate_model::id::{PhysicalNetworkId, ServiceProviderId, ZoneId};
use outgate_model::job::Goal;
use outgate_model::object::{Network, PhysicalNetwork, ServiceProvider, Traffic, TrafficType, Vpc, Zone};

use super::{alone, note, unused};
use crate::CommandError;
use crate::bootstrap::infra::{INTERNAL_LB, PROVIDERS, ROUTER, VPC_ROUTER};
use crate::command::network;
use crate::command::request::{AddProvider, ConfigureElement, DeleteProvider, Started, UpdateProvider};
use crate::command::tx::Tx;
use crate::mirror::View;

/// Why the provider of load balancers inside networks cannot be enabled.
const NO_INTERNAL_LB: &str = "a provider that this release has: networks here have no internal load balancers; \
                              virtual routers balance load from outside";

/// `addNetworkServiceProvider`. It starts disabled.
pub(crate) fn add(tx: &mut Tx<'_>, request: &AddProvider) -> Result<Started, CommandError> {
    alone(tx);
    let physical = tx.provided::<PhysicalNetwork>("physicalnetworkid", request.physical_network)?;
    let mut names = PROVIDERS.iter();
    let Some(name) = names.find(|name| name.eq_ignore_ascii_case(&request.name)) else {
        let expected = format!("one of {}", PROVIDERS.join(", "));
        return Err(CommandError::invalid("name", &request.name, expected));
    };
    let mut others = tx.view.all::<ServiceProvider>();
    if let Some(other) = others.find(|p| p.physical_network == physical.id && p.name == *name) {
        let expected = format!("a provider that the physical network lacks; it has {}", other.id);
        return Err(CommandError::invalid("name", name, expected));
    }
    let provider = ServiceProvider {
        id: ServiceProviderId::new(),
        physical_network: physical.id,
        name: (*name).to_owned(),
        enabled: false,
        element_enabled: false,
    };
    tx.draft.create(&provider);
    let text = format!("added provider {name} to physical network {}", physical.name);
    note::<ServiceProvider>(tx, "SERVICE.PROVIDER.CREATE", provider.id.0, text);
    Ok(stored(tx, "addNetworkServiceProvider", provider.id).made(provider.id.0))
}

/// `updateNetworkServiceProvider`. Networks that there are go on when it is disabled; only new ones are refused.
pub(crate) fn update(tx: &mut Tx<'_>, request: UpdateProvider) -> Result<Started, CommandError> {
    alone(tx);
    let provider = tx.provided::<ServiceProvider>("id", request.id)?;
    if let Some(enable) = request.enable {
        if enable && provider.name == INTERNAL_LB {
            return Err(CommandError::invalid("id", provider.id, NO_INTERNAL_LB));
        }
        if enable && !provider.element_enabled {
            let expected = "Disabled: Provider is not ready, cannot Enable the provider, please configure the \
                            provider first (configureVirtualRouterElement enabled=true)";
            return Err(CommandError::invalid("state", "Enabled", expected));
        }
        let next = ServiceProvider {
            enabled: enable,
            ..ServiceProvider::clone(&provider)
        };
        tx.draft.update(&provider, next);
    }
    let text = format!("updated provider {}", provider.name);
    note::<ServiceProvider>(tx, "SERVICE.PROVIDER.UPDATE", provider.id.0, text);
    Ok(stored(tx, "updateNetworkServiceProvider", provider.id))
}

/// `deleteNetworkServiceProvider`: refused while networks of the zone need it and no other physical network has it.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteProvider) -> Result<Started, CommandError> {
    alone(tx);
    tx.draft.counted(network::NUMBERS);
    let provider = tx.provided::<ServiceProvider>("id", request.id)?;
    let physical = tx.known::<PhysicalNetwork>(provider.physical_network)?;
    if carriers(tx.view, physical.zone) == [physical.id] {
        let users = users(tx, physical.zone, &provider.name).into_iter();
        let what = format!("provider {}", provider.name);
        unused(&what, "networks and VPCs", users, "delete them first")?;
    }
    tx.draft.delete(&provider);
    let text = format!(
        "removed provider {} from physical network {}",
        provider.name, physical.name
    );
    note::<ServiceProvider>(tx, "SERVICE.PROVIDER.DELETE", provider.id.0, text);
    Ok(stored(tx, "deleteNetworkServiceProvider", provider.id))
}

/// What needs a provider in a zone.
fn users(tx: &Tx<'_>, zone: ZoneId, provider: &str) -> Vec<String> {
    let networks = tx.view.networks_of_zone(zone);
    let isolated = |n: &&crate::Stored<Network>| n.tier.is_none();
    match provider {
        ROUTER => {
            let networks = networks.filter(isolated);
            networks.map(|n| format!("{} ({})", n.name, n.id)).collect()
        }
        VPC_ROUTER => {
            let vpcs = tx.view.all::<Vpc>().filter(|v| v.zone == zone);
            vpcs.map(|v| format!("{} ({})", v.name, v.id)).collect()
        }
        _ => Vec::new(),
    }
}

/// `configureVirtualRouterElement` and `configureInternalLoadBalancerElement`.
pub(crate) fn configure(tx: &mut Tx<'_>, request: ConfigureElement) -> Result<Started, CommandError> {
    alone(tx);
    let provider = tx.provided::<ServiceProvider>("id", request.id)?;
    if request.internal_lb != (provider.name == INTERNAL_LB) {
        return Err(CommandError::not_found("id", request.id));
    }
    if request.internal_lb && request.enabled {
        return Err(CommandError::invalid(
            "enabled",
            true,
            format!("false, or {NO_INTERNAL_LB}"),
        ));
    }
    let next = ServiceProvider {
        element_enabled: request.enabled,
        // A provider whose element is off has nobody to do its work.
        enabled: provider.enabled && request.enabled,
        ..ServiceProvider::clone(&provider)
    };
    tx.draft.update(&provider, next);
    let how = if request.enabled { "on" } else { "off" };
    let text = format!("switched the element of provider {} {how}", provider.name);
    note::<ServiceProvider>(tx, "NETWORK.ELEMENT.CONFIGURE", provider.id.0, text);
    let command = if request.internal_lb {
        "configureInternalLoadBalancerElement"
    } else {
        "configureVirtualRouterElement"
    };
    Ok(stored(tx, command, provider.id))
}

/// `createVirtualRouterElement` and `createInternalLoadBalancerElement`: each provider has its element from the start.
pub(crate) fn create_element(tx: &mut Tx<'_>, request: ConfigureElement) -> Result<Started, CommandError> {
    let provider = tx.provided::<ServiceProvider>("nspid", request.id)?;
    if request.internal_lb != (provider.name == INTERNAL_LB) {
        let kind = if request.internal_lb {
            INTERNAL_LB
        } else {
            "VirtualRouter or VpcVirtualRouter"
        };
        let expected = format!("a provider {kind}; this one is {}", provider.name);
        return Err(CommandError::invalid("nspid", provider.id, expected));
    }
    let command = if request.internal_lb {
        "createInternalLoadBalancerElement"
    } else {
        "createVirtualRouterElement"
    };
    Ok(stored(tx, command, provider.id).made(provider.id.0))
}

fn stored(tx: &mut Tx<'_>, command: &str, id: ServiceProviderId) -> Started {
    let job = tx.job::<ServiceProvider>(command, id.0, Goal::Stored);
    Started { job, id: None }
}

/// The physical networks of a zone that are enabled and carry guests' traffic.
pub(super) fn carriers(view: &View<'_>, zone: ZoneId) -> Vec<PhysicalNetworkId> {
    let physical = view
        .all::<PhysicalNetwork>()
        .filter(|p| p.zone == zone && !p.disabled);
    let carries = |id| {
        let mut types = view.all::<TrafficType>();
        types.any(|t| t.physical_network == id && t.traffic == Traffic::Guest)
    };
    physical.map(|p| p.id).filter(|id| carries(*id)).collect()
}

/// Refuses a network that needs a provider which no physical network of the zone has enabled. A network that is not
/// made for a VPC needs `VirtualRouter`, the others `VpcVirtualRouter`.
pub(super) fn provided(tx: &mut Tx<'_>, zone: &Zone, for_vpc: bool) -> Result<(), CommandError> {
    let name = if for_vpc { VPC_ROUTER } else { ROUTER };
    let carriers = carriers(tx.view, zone.id);
    let mut found = None;
    for provider in tx.view.all::<ServiceProvider>().filter(|p| p.name == name) {
        if !carriers.contains(&provider.physical_network) {
            continue;
        }
        if provider.enabled && provider.element_enabled {
            let provider = provider.clone();
            tx.draft.read(&provider);
            // What is taken away meanwhile is noticed by the number of networks, which VPCs share.
            if for_vpc {
                tx.draft.number(network::NUMBERS);
            }
            return Ok(());
        }
        found = Some(provider.id);
    }
    let what = match (found, carriers.first()) {
        (Some(id), _) => format!(
            "provider {name} is disabled in zone {}: updateNetworkServiceProvider id={id} state=Enabled",
            zone.name
        ),
        (None, Some(physical)) => format!(
            "physical network {physical} of zone {} has no provider {name}: addNetworkServiceProvider",
            zone.name
        ),
        (None, None) => format!(
            "zone {} has no enabled physical network that carries Guest traffic: updatePhysicalNetwork, addTrafficType",
            zone.name
        ),
    };
    Err(CommandError::Unavailable { what })
}
