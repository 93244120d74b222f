// SPDX-License-Identifier: Apache-2.0
//! Isolated networks: to create, change, restart and delete.

mod harden;
mod migrate;
mod placing;
mod settings;
mod update;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::id::NetworkId;
use outgate_model::job::Goal;
use outgate_model::object::{Network, NetworkOffering, NetworkPhase, NetworkSettings, Power, Router, Zone};

use super::address::{self, SourceNat, Wanted};
use super::request::{CreateNetwork, DeleteNetwork, RestartNetwork, Started};
use super::subnet::{self, WantedSubnet};
use super::tx::Tx;
use super::vpc::tier;
use super::{checks, guest, implement, infra, tenancy};
use crate::CommandError;
use crate::mirror::Stored;
use crate::realm::Standing;
pub(crate) use harden::harden;
pub(crate) use update::update;

/// The counter that numbers networks. Every `createNetwork` writes it, so two of them never pass each other unseen.
pub(crate) const NUMBERS: &str = "network";

/// `createNetwork`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateNetwork) -> Result<NetworkId, CommandError> {
    let (network, offering, zone) = new_network(tx, request)?;
    tx.draft.create(&network);
    let text = format!("created network {} with {}", network.name, network.cidr());
    tx.event::<Network>("NETWORK.CREATE", network.account, network.id.0, text);
    if offering.persistent || request.source_nat_address.is_some() {
        let address = request
            .source_nat_address
            .map(|address| ("sourcenatipaddress", address));
        let wanted = Wanted {
            account: network.account,
            realm: Some(network.realm()),
            address,
            source_nat: SourceNat::Default,
        };
        address::acquire(tx, &zone, wanted)?;
    }
    if offering.persistent
        && let Some(standing) = Standing::of_network(&network)
    {
        implement::running_router(tx, &standing, None)?;
    }
    Ok(network.id)
}

/// The network that is asked for, with its offering and zone.
fn new_network(
    tx: &mut Tx<'_>,
    request: &CreateNetwork,
) -> Result<(Network, Stored<NetworkOffering>, Stored<Zone>), CommandError> {
    checks::name("name", &request.name)?;
    let display_text = request.display_text.as_ref().unwrap_or(&request.name);
    checks::name("displaytext", display_text)?;
    let zone = infra::zone_for(tx, request.zone, false)?;
    let account = tx.owner(request.owner)?;
    let offering = tx.offering_for(request.offering, zone.id, account.domain)?;
    not_for_tiers(&offering)?;
    let domain = tenancy::domain_of_network(tx, request.domain.as_deref(), &account, &zone)?;
    let taken: Vec<Ipv4Net> = tx
        .view
        .networks_of_account(account.id)
        .map(|network| network.cidr())
        .collect();
    let wanted = WantedSubnet::of(request);
    let gateway = subnet::choose(wanted, &zone, &address::ranges_of(tx, &zone), &taken)?;
    let physical_network = placing::physical_network(tx, request, &zone, &offering)?;
    let network = Network {
        id: NetworkId::new(),
        number: tx.draft.number(NUMBERS),
        name: request.name.clone(),
        display_text: display_text.clone(),
        zone: zone.id,
        offering: offering.id,
        account: account.id,
        gateway,
        domain,
        mtu: settings::guest_mtu(&zone, &request.settings)?,
        phase: if offering.persistent {
            NetworkPhase::Implemented
        } else {
            NetworkPhase::Allocated
        },
        generation: 1,
        tier: None,
        settings: NetworkSettings {
            guests: subnet::guest_part(wanted, gateway)?,
            dns: settings::dns(&[], &request.settings)?,
            public_mtu: request.settings.public_mtu,
            vlan: placing::vlan(tx, request, &offering, physical_network)?,
            physical_network,
            hidden: request.settings.display == Some(false),
            subdomain_access: request.subdomain_access,
        },
        created: Timestamp::now(),
    };
    Ok((network, offering, zone))
}

/// Refuses an offering of VPC tiers for an isolated network.
fn not_for_tiers(offering: &NetworkOffering) -> Result<(), CommandError> {
    if !offering.for_vpc {
        return Ok(());
    }
    let expected = format!(
        "an offering for isolated networks; {} is for tiers of VPCs",
        offering.name
    );
    Err(CommandError::invalid("networkofferingid", offering.id, expected))
}

/// `restartNetwork`: everything is applied anew; with `cleanup` by a fresh router.
pub(crate) fn restart(tx: &mut Tx<'_>, request: RestartNetwork) -> Result<Started, CommandError> {
    let network = tx.own::<Network>("id", request.id)?;
    if network.phase != NetworkPhase::Implemented {
        let expected =
            "a network in state Implemented; this one has no router yet and gets it with its first guest";
        return Err(CommandError::invalid("id", network.id, expected));
    }
    let before = tx.view.router_of_network(network.id).cloned();
    let generation = implement::network(tx, &network)?;
    let how = if request.cleanup {
        " with a fresh router"
    } else {
        ""
    };
    let text = format!("restarting network {}{how}", network.name);
    tx.event::<Network>("NETWORK.RESTART", network.account, network.id.0, text);
    // A tier's is its VPC's: the other tiers' sessions must live on. restartVPC replaces it.
    let own = tier::vpc_of(&network).is_none();
    match before.filter(|router| own && request.cleanup && router.power != Power::Gone) {
        Some(router) => {
            let boot = router.boot + 1;
            tx.draft.update(
                &router,
                Router {
                    power: Power::On,
                    boot,
                    ..Router::clone(&router)
                },
            );
            let goal = Goal::RouterSettled {
                router: router.id,
                boot,
            };
            Ok(Started {
                job: tx.job::<Network>("restartNetwork", network.id.0, goal),
                id: None,
            })
        }
        None => Ok(tx.applied::<Network>("restartNetwork", network.id.0, network.realm(), generation)),
    }
}

/// `deleteNetwork`: its router goes, then everything that belongs to it, then the network. Its addresses stay claimed
/// until the router is gone, so that none is ever held by two routers.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteNetwork) -> Result<Started, CommandError> {
    let network = tx.own::<Network>("id", request.id)?;
    let on_network: Vec<_> = tx.view.guests_of_network(network.id).cloned().collect();
    let staying: Vec<_> = on_network
        .iter()
        .filter(|guest| guest.power != Power::Gone)
        .collect();
    if !request.forced && !staying.is_empty() {
        let names = staying
            .iter()
            .take(5)
            .map(|guest| format!("{} ({})", guest.name, guest.id));
        let by = format!(
            "{} guests are on it, such as {}; destroy them first, or use forced=true",
            staying.len(),
            names.collect::<Vec<_>>().join(", ")
        );
        return Err(CommandError::InUse {
            what: format!("network {}", network.id),
            by,
        });
    }
    for guest in staying {
        guest::leave(tx, guest)?;
    }
    tx.touch(&network);
    tx.draft.update(
        &network,
        Network {
            phase: NetworkPhase::Destroyed,
            ..Network::clone(&network)
        },
    );
    if let Some(vpc) = tier::vpc_of(&network) {
        tier::unrouted(tx, &network, vpc)?;
        tier::clear(tx, &network);
    } else if let Some(router) = tx.view.router_of_network(network.id).cloned() {
        tx.draft.update(
            &router,
            Router {
                power: Power::Gone,
                ..Router::clone(&router)
            },
        );
    }
    tx.event::<Network>(
        "NETWORK.DELETE",
        network.account,
        network.id.0,
        format!("deleting network {}", network.name),
    );
    let goal = Goal::NetworkGone { network: network.id };
    Ok(Started {
        job: tx.job::<Network>("deleteNetwork", network.id.0, goal),
        id: None,
    })
}
