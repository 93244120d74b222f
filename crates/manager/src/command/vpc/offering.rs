// SPDX-License-Identifier: Apache-2.0
//! VPC offerings: to make, change and delete; and which one a new VPC is made from.

use std::collections::BTreeSet;

use jiff::Timestamp;
use outgate_model::event::Level;
use outgate_model::id::{DomainId, VpcOfferingId, ZoneId};
use outgate_model::job::Goal;
use outgate_model::object::{Service, VpcOffering};

use crate::CommandError;
use crate::command::checks;
use crate::command::request::{CreateVpcOffering, DeleteVpcOffering, Started, UpdateVpcOffering};
use crate::command::tx::Tx;
use crate::draft::Instance;
use crate::settings;
use outgate_model::object::SettingScope;

/// The counter that every new or renamed offering writes, so that two of them never pass each other unseen.
const NAMES: &str = "vpc-offering";
const FIELD: &str = "vpcofferingid";

/// `createVPCOffering`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateVpcOffering) -> Result<Started, CommandError> {
    checks::name("name", &request.name)?;
    checks::name("displaytext", &request.display_text)?;
    unused_name(tx, &request.name, None)?;
    checks::known_places(tx, &request.domains, &request.zones)?;
    let offering = VpcOffering {
        id: VpcOfferingId::new(),
        name: request.name.clone(),
        display_text: request.display_text.clone(),
        enabled: request.enable,
        default: false,
        services: services(&request.services)?,
        domains: request.domains.clone(),
        zones: request.zones.clone(),
        created: Timestamp::now(),
    };
    tx.draft.create(&offering);
    event(tx, "VPC.OFFERING.CREATE", &offering, "created");
    let job = tx.job::<VpcOffering>("createVPCOffering", offering.id.0, Goal::Stored);
    Ok(Started { job, id: None }.made(offering.id.0))
}

/// What a VPC cannot do without, and what no VPC can.
fn services(wanted: &BTreeSet<Service>) -> Result<BTreeSet<Service>, CommandError> {
    const FIELD: &str = "supportedservices";
    if wanted.is_empty() {
        return Ok(Service::of_tier());
    }
    let needed = [Service::SourceNat, Service::Dhcp, Service::NetworkAcl];
    if let Some(lacking) = needed.iter().find(|service| !wanted.contains(service)) {
        let expected = format!("services with {}, which every VPC has", lacking.name());
        return Err(CommandError::invalid(FIELD, names(wanted), expected));
    }
    if wanted.contains(&Service::Firewall) {
        let expected = "services without Firewall: in a VPC network ACLs decide (NetworkACL)";
        return Err(CommandError::invalid(FIELD, names(wanted), expected));
    }
    Ok(wanted.clone())
}

fn names(services: &BTreeSet<Service>) -> String {
    let names: Vec<_> = services.iter().map(|service| service.name()).collect();
    names.join(",")
}

fn unused_name(tx: &mut Tx<'_>, name: &str, own: Option<VpcOfferingId>) -> Result<(), CommandError> {
    tx.draft.number(NAMES);
    let mut others = tx.view.all::<VpcOffering>().filter(|o| Some(o.id) != own);
    match others.find(|o| o.name == name) {
        Some(other) => {
            let expected = format!("a name that no VPC offering has; {} has it", other.id);
            Err(CommandError::invalid("name", name, expected))
        }
        None => Ok(()),
    }
}

/// `updateVPCOffering`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateVpcOffering) -> Result<Started, CommandError> {
    let offering = tx.provided::<VpcOffering>("id", request.id)?;
    let mut next = VpcOffering::clone(&offering);
    if let Some(name) = &request.name {
        checks::name("name", name)?;
        unused_name(tx, name, Some(offering.id))?;
        next.name.clone_from(name);
    }
    if let Some(text) = &request.display_text {
        checks::name("displaytext", text)?;
        next.display_text.clone_from(text);
    }
    let domains = request.domains.as_deref().unwrap_or_default();
    let zones = request.zones.as_deref().unwrap_or_default();
    checks::known_places(tx, domains, zones)?;
    next.enabled = request.enabled.unwrap_or(next.enabled);
    next.domains = request.domains.clone().unwrap_or(next.domains);
    next.zones = request.zones.clone().unwrap_or(next.zones);
    tx.draft.update(&offering, next);
    event(tx, "VPC.OFFERING.UPDATE", &offering, "updated");
    let job = tx.job::<VpcOffering>("updateVPCOffering", offering.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// `deleteVPCOffering`.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteVpcOffering) -> Result<Started, CommandError> {
    let offering = tx.provided::<VpcOffering>("id", request.id)?;
    if offering.default {
        let expected = "an offering that is not the built-in default one";
        return Err(CommandError::invalid("id", offering.id, expected));
    }
    if let Some(vpc) = tx.view.vpcs_of_offering(offering.id).next() {
        return Err(CommandError::InUse {
            what: format!("VPC offering {}", offering.id),
            by: format!("VPC {} is made from it; disable it instead", vpc.id),
        });
    }
    settings::forget(tx.view, tx.draft, SettingScope::VpcOffering(offering.id));
    tx.draft.delete(&offering);
    event(tx, "VPC.OFFERING.DELETE", &offering, "deleted");
    let job = tx.job::<VpcOffering>("deleteVPCOffering", offering.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

fn event(tx: &mut Tx<'_>, kind: &str, offering: &VpcOffering, done: &str) {
    let text = format!("{done} VPC offering {}", offering.name);
    let about = Instance::of::<VpcOffering>(offering.id.0);
    tx.draft.event(kind, Level::Info, text, None, Some(about));
}

/// The offering from which a new VPC of `domain` in `zone` is to be made.
pub(super) fn for_new(
    tx: &mut Tx<'_>,
    id: VpcOfferingId,
    zone: ZoneId,
    domain: DomainId,
) -> Result<VpcOfferingId, CommandError> {
    let offering = tx.provided::<VpcOffering>(FIELD, id)?;
    let refused = |expected: String| Err(CommandError::invalid(FIELD, id, expected));
    if !offering.enabled {
        return refused(format!("an enabled offering; {} is disabled", offering.name));
    }
    if !offering.zones.is_empty() && !offering.zones.contains(&zone) {
        return refused(format!(
            "an offering for zone {zone}; {} is for others",
            offering.name
        ));
    }
    let above = &offering.domains;
    if !above.is_empty() && !above.iter().any(|a| tx.view.is_within(domain, *a)) {
        return refused(format!(
            "an offering for domain {domain}; {} is for others",
            offering.name
        ));
    }
    Ok(offering.id)
}
