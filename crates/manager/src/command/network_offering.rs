// SPDX-License-Identifier: Apache-2.0
//! Network offerings: to make, change and delete; and what a network may do by its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use outgate_model::event::Level;
use outgate_model::id::{DomainId, NetworkOfferingId, ZoneId};
use outgate_model::object::{Network, NetworkOffering, OfferingState, PublicIp, Service};
use outgate_model::router_spec::EgressPolicy;

use super::checks;
use super::request::{CreateNetworkOffering, DeleteNetworkOffering, UpdateNetworkOffering};
use super::tx::Tx;
use crate::CommandError;
use crate::draft::Instance;
use crate::mirror::Stored;
use crate::settings;
use outgate_model::object::SettingScope;

/// How many of `details` an offering may have.
const DETAILS_MAX: usize = 50;

/// `createNetworkOffering`.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    request: &CreateNetworkOffering,
) -> Result<NetworkOfferingId, CommandError> {
    checks::name("name", &request.name)?;
    checks::name("displaytext", &request.display_text)?;
    unused_name(tx, &request.name, None)?;
    check_services(&request.services, request.for_vpc)?;
    checks::known_places(tx, &request.domains, &request.zones)?;
    if request.details.len() > DETAILS_MAX {
        let expected = format!("at most {DETAILS_MAX} details");
        return Err(CommandError::invalid("details", request.details.len(), expected));
    }
    let offering = NetworkOffering {
        id: NetworkOfferingId::new(),
        name: request.name.clone(),
        display_text: request.display_text.clone(),
        egress_default: if request.egress_allowed {
            EgressPolicy::Allow
        } else {
            EgressPolicy::Deny
        },
        persistent: request.persistent,
        conserve_mode: request.conserve_mode,
        default: false,
        // As CloudStack's, an offering starts disabled unless it says otherwise.
        state: if request.enable {
            OfferingState::Enabled
        } else {
            OfferingState::Disabled
        },
        services: request.services.clone(),
        for_vpc: request.for_vpc,
        redundant: request.redundant,
        specify_vlan: request.specify_vlan,
        required: Some(request.required),
        max_connections: request.max_connections,
        network_rate: request.network_rate,
        tags: request.tags.clone(),
        domains: request.domains.clone(),
        zones: request.zones.clone(),
        sort_key: 0,
        details: request.details.clone(),
        created: Timestamp::now(),
    };
    tx.draft.create(&offering);
    event(
        tx,
        "NETWORK.OFFERING.CREATE",
        offering.id,
        format!("created network offering {}", offering.name),
    );
    Ok(offering.id)
}

/// `updateNetworkOffering`.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    request: &UpdateNetworkOffering,
) -> Result<NetworkOfferingId, CommandError> {
    let offering = tx.provided::<NetworkOffering>("id", request.id)?;
    let mut next = NetworkOffering::clone(&offering);
    if let Some(name) = &request.name {
        checks::name("name", name)?;
        unused_name(tx, name, Some(offering.id))?;
        next.name.clone_from(name);
    }
    if let Some(text) = &request.display_text {
        checks::name("displaytext", text)?;
        next.display_text.clone_from(text);
    }
    if let Some(state) = request.state {
        next.state = state;
    }
    if let Some(required) = request.required {
        next.required = Some(required);
    }
    if let Some(max) = request.max_connections {
        next.max_connections = Some(max);
    }
    if let Some(place) = request.sort_key {
        next.sort_key = place;
    }
    if let Some(tags) = &request.tags {
        next.tags.clone_from(tags);
    }
    checks::known_places(
        tx,
        request.domains.as_deref().unwrap_or_default(),
        request.zones.as_deref().unwrap_or_default(),
    )?;
    if let Some(domains) = &request.domains {
        next.domains.clone_from(domains);
    }
    if let Some(zones) = &request.zones {
        next.zones.clone_from(zones);
    }
    let text = format!("updated network offering {}", next.name);
    tx.draft.update(&offering, next);
    event(tx, "NETWORK.OFFERING.EDIT", offering.id, text);
    Ok(offering.id)
}

/// `deleteNetworkOffering`: one that networks use stays.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteNetworkOffering) -> Result<(), CommandError> {
    let offering = tx.provided::<NetworkOffering>("id", request.id)?;
    if offering.default {
        let expected = "an offering that is not one of the built-in default ones";
        return Err(CommandError::invalid("id", offering.id, expected));
    }
    // `createNetwork` reads its offering in the same transaction, so no network can slip in between.
    let mut users = tx
        .view
        .all::<Network>()
        .filter(|network| network.offering == offering.id);
    if let Some(first) = users.next() {
        let more = users.count();
        let by = format!(
            "network {} ({}) and {more} others are made from it; delete them or give them another offering with \
             updateNetwork first, or disable the offering",
            first.name, first.id
        );
        return Err(CommandError::InUse {
            what: format!("NetworkOffering {}", offering.id),
            by,
        });
    }
    settings::forget(tx.view, tx.draft, SettingScope::Offering(offering.id));
    tx.draft.delete(&offering);
    event(
        tx,
        "NETWORK.OFFERING.DELETE",
        offering.id,
        format!("deleted network offering {}", offering.name),
    );
    Ok(())
}

fn event(tx: &mut Tx<'_>, kind: &str, id: NetworkOfferingId, text: String) {
    let about = Some(Instance::of::<NetworkOffering>(id.0));
    tx.draft
        .event(kind, Level::Info, text, Some(tx.caller.account), about);
}

fn unused_name(tx: &Tx<'_>, name: &str, but: Option<NetworkOfferingId>) -> Result<(), CommandError> {
    let mut others = tx.view.all::<NetworkOffering>();
    match others.find(|other| other.name == name && Some(other.id) != but) {
        Some(other) => {
            let expected = format!("a name that no network offering has; {} has it", other.id);
            Err(CommandError::invalid("name", name, expected))
        }
        None => Ok(()),
    }
}

/// Services that make sense together.
fn check_services(services: &BTreeSet<Service>, for_vpc: bool) -> Result<(), CommandError> {
    const FIELD: &str = "supportedservices";
    let (wrong, instead) = if for_vpc {
        (
            Service::Firewall,
            "NetworkACL in its place: tiers of VPCs have network ACLs",
        )
    } else {
        (
            Service::NetworkAcl,
            "Firewall in its place: only tiers of VPCs have network ACLs",
        )
    };
    if services.contains(&wrong) {
        return Err(CommandError::invalid(FIELD, wrong.name(), instead));
    }
    Ok(())
}

impl Tx<'_> {
    /// Refuses what the network's offering does not have.
    pub fn offers(&mut self, network: &Network, service: Service) -> Result<(), CommandError> {
        let offering = self.known::<NetworkOffering>(network.offering)?;
        if offering.has(service) {
            return Ok(());
        }
        let expected = format!(
            "a network whose offering has service {}; network offering {} ({}) lacks it",
            service.name(),
            offering.name,
            offering.id
        );
        Err(CommandError::invalid("networkid", network.id, expected))
    }

    /// Refuses a second purpose for an address where the offering lacks conserve mode. `wanted` is the new one.
    pub fn one_purpose(
        &mut self,
        network: &Network,
        ip: &PublicIp,
        wanted: Service,
    ) -> Result<(), CommandError> {
        let offering = self.known::<NetworkOffering>(network.offering)?;
        if offering.conserve_mode {
            return Ok(());
        }
        let forward = || self.view.forwards_of_ip(ip.id).next();
        let other = match forward() {
            _ if ip.is_source_nat() => format!("source NAT of network {}", network.id),
            Some(rule) if wanted != Service::PortForwarding => format!("port forwarding rule {}", rule.id),
            None if wanted != Service::Lb => match self.view.balancers_of_ip(ip.id).next() {
                Some(rule) => format!("load balancer rule {}", rule.id),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        Err(CommandError::Conflict {
            wanted: format!("{} on {}", wanted.name(), ip.address),
            other,
            holds: format!(
                "all of it: network offering {} has no conserve mode, one address serves one purpose",
                offering.name
            ),
        })
    }

    /// The offering from which a new network of `domain` in `zone` is to be made.
    pub fn offering_for(
        &mut self,
        id: NetworkOfferingId,
        zone: ZoneId,
        domain: DomainId,
    ) -> Result<Stored<NetworkOffering>, CommandError> {
        const FIELD: &str = "networkofferingid";
        let offering = self.provided::<NetworkOffering>(FIELD, id)?;
        let refused = |expected: String| Err(CommandError::invalid(FIELD, id, expected));
        if offering.state != OfferingState::Enabled {
            return refused(format!(
                "an enabled offering; {} is {}",
                offering.name,
                offering.state.name()
            ));
        }
        if !offering.zones.is_empty() && !offering.zones.contains(&zone) {
            return refused(format!(
                "an offering for zone {zone}; {} is for others",
                offering.name
            ));
        }
        let within = |above: &DomainId| self.view.is_within(domain, *above);
        if !offering.domains.is_empty() && !offering.domains.iter().any(within) {
            return refused(format!(
                "an offering for domain {domain}; {} is for others",
                offering.name
            ));
        }
        let lacks = [Service::SourceNat, Service::Dhcp]
            .into_iter()
            .find(|needed| !offering.has(*needed));
        if let Some(lacks) = lacks {
            return refused(format!(
                "an offering with {}, which every network of Outgate has; {} lacks it",
                lacks.name(),
                offering.name
            ));
        }
        if offering.redundant {
            return refused(format!(
                "an offering without redundant routers: they are not available yet, and {} wants them",
                offering.name
            ));
        }
        Ok(offering)
    }
}
