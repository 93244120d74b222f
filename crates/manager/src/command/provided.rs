// SPDX-License-Identifier: Apache-2.0
//! Service offerings and templates. Both are entries that guests refer to: a guest's size limits nothing here, and what it
//! runs is its host's.

use jiff::Timestamp;
use outgate_model::id::{ServiceOfferingId, TemplateId, ZoneId};
use outgate_model::job::Goal;
use outgate_model::object::{Guest, Host, Registered, RoleType, ServiceOffering, Template, Zone};

use super::checks;
use super::request::{
    CreateServiceOffering, DeleteServiceOffering, DeleteTemplate, RegisterTemplate, Started,
    UpdateServiceOffering, UpdateTemplate,
};
use super::tx::Tx;
use crate::CommandError;
use crate::mirror::Stored;

/// How many templates an account may register.
const TEMPLATES_PER_ACCOUNT: usize = 1_000;

/// `createServiceOffering`.
pub(crate) fn create_size(
    tx: &mut Tx<'_>,
    request: &CreateServiceOffering,
) -> Result<ServiceOfferingId, CommandError> {
    checks::name("name", &request.name)?;
    checks::name("displaytext", &request.display_text)?;
    let offering = ServiceOffering {
        id: ServiceOfferingId::new(),
        name: request.name.clone(),
        display_text: request.display_text.clone(),
        cpu_number: request.cpu_number,
        cpu_speed_mhz: request.cpu_speed_mhz,
        memory_mib: request.memory_mib,
        system: request.system,
        removed: false,
        created: Timestamp::now(),
    };
    tx.draft.create(&offering);
    let text = format!("created service offering {}", offering.name);
    tx.event::<ServiceOffering>("SERVICE.OFFERING.CREATE", tx.caller.account, offering.id.0, text);
    Ok(offering.id)
}

/// `updateServiceOffering`.
pub(crate) fn update_size(
    tx: &mut Tx<'_>,
    request: &UpdateServiceOffering,
) -> Result<ServiceOfferingId, CommandError> {
    let offering = present(tx, request.id)?;
    let mut next = ServiceOffering::clone(&offering);
    rename(
        &mut next.name,
        &mut next.display_text,
        &request.name,
        &request.display_text,
    )?;
    let text = format!("updated service offering {}", next.name);
    tx.draft.update(&offering, next);
    tx.event::<ServiceOffering>("SERVICE.OFFERING.EDIT", tx.caller.account, offering.id.0, text);
    Ok(offering.id)
}

/// `deleteServiceOffering`: guests and routers that have it keep it, no other gets it.
pub(crate) fn delete_size(tx: &mut Tx<'_>, request: DeleteServiceOffering) -> Result<(), CommandError> {
    let offering = present(tx, request.id)?;
    let mut sizes = tx.view.all::<ServiceOffering>();
    let another = sizes.any(|o| o.system && !o.removed && o.id != offering.id);
    if offering.system && !another {
        let expected = "an offering that is not the last one for system VMs";
        return Err(CommandError::invalid("id", offering.id, expected));
    }
    let text = format!("deleted service offering {}", offering.name);
    tx.event::<ServiceOffering>("SERVICE.OFFERING.DELETE", tx.caller.account, offering.id.0, text);
    // Kept even when nothing has it: a guest that is being made at this moment may.
    let next = ServiceOffering {
        removed: true,
        ..ServiceOffering::clone(&offering)
    };
    tx.draft.update(&offering, next);
    Ok(())
}

fn present(tx: &mut Tx<'_>, id: ServiceOfferingId) -> Result<Stored<ServiceOffering>, CommandError> {
    let offering = tx.provided::<ServiceOffering>("id", id)?;
    if offering.removed {
        return Err(CommandError::not_found("id", id));
    }
    Ok(offering)
}

/// A service offering that a router may be given.
pub(crate) fn router_size(
    tx: &mut Tx<'_>,
    id: ServiceOfferingId,
) -> Result<Stored<ServiceOffering>, CommandError> {
    const FIELD: &str = "serviceofferingid";
    let offering = tx.provided::<ServiceOffering>(FIELD, id)?;
    if offering.removed {
        return Err(CommandError::not_found(FIELD, id));
    }
    if !offering.system {
        return Err(CommandError::invalid(FIELD, id, "an offering for system VMs"));
    }
    Ok(offering)
}

/// `registerTemplate`: one entry for each zone.
pub(crate) fn register(tx: &mut Tx<'_>, request: &RegisterTemplate) -> Result<Vec<TemplateId>, CommandError> {
    checks::name("name", &request.name)?;
    checks::name("displaytext", &request.display_text)?;
    let owner = tx.owner(request.owner)?;
    if request.featured && tx.caller.role != RoleType::Admin {
        let what = "only a root admin may feature a template".to_owned();
        return Err(CommandError::Forbidden { what });
    }
    let zones = zones(tx, &request.zones)?;
    let held = tx.view.all::<Template>();
    let held = held.filter(|t| t.registered.as_ref().is_some_and(|r| r.account == owner.id));
    if held.count() + zones.len() > TEMPLATES_PER_ACCOUNT {
        return Err(CommandError::Limit {
            what: format!("account {}", owner.name),
            limit: TEMPLATES_PER_ACCOUNT,
            of: "templates",
        });
    }
    let known = hypervisor(tx, &request.hypervisor)?;
    let mut made = Vec::with_capacity(zones.len());
    for zone in zones {
        let template = Template {
            id: TemplateId::new(),
            zone,
            name: request.name.clone(),
            display_text: request.display_text.clone(),
            hypervisor: known.clone(),
            os_type: "Linux".to_owned(),
            registered: Some(Registered {
                account: owner.id,
                format: request.format.clone(),
                url: request.url.clone(),
                public: request.public,
                featured: request.featured,
                removed: false,
            }),
            created: Timestamp::now(),
        };
        tx.draft.create(&template);
        let text = format!("registered template {} in zone {zone}", template.name);
        tx.event::<Template>("TEMPLATE.CREATE", owner.id, template.id.0, text);
        made.push(template.id);
    }
    Ok(made)
}

fn zones(tx: &mut Tx<'_>, named: &[ZoneId]) -> Result<Vec<ZoneId>, CommandError> {
    if named.is_empty() {
        return Ok(tx.view.all::<Zone>().map(|zone| zone.id).collect());
    }
    let mut found: Vec<ZoneId> = Vec::new();
    for id in named {
        let zone = tx.provided::<Zone>("zoneid", *id)?;
        if !found.contains(&zone.id) {
            found.push(zone.id);
        }
    }
    Ok(found)
}

/// The hypervisor as its hosts call it.
fn hypervisor(tx: &Tx<'_>, wanted: &str) -> Result<String, CommandError> {
    let mut names: Vec<String> = tx
        .view
        .all::<Host>()
        .map(|host| host.hypervisor.clone())
        .collect();
    names.sort_unstable();
    names.dedup();
    match names.iter().find(|name| name.eq_ignore_ascii_case(wanted)) {
        Some(name) => Ok(name.clone()),
        None => {
            let expected = format!("the hypervisor of a host: {}", names.join(", "));
            Err(CommandError::invalid("hypervisor", wanted, expected))
        }
    }
}

/// `updateTemplate`.
pub(crate) fn update_template(tx: &mut Tx<'_>, request: &UpdateTemplate) -> Result<TemplateId, CommandError> {
    let template = governed(tx, request.id)?;
    let mut next = Template::clone(&template);
    rename(
        &mut next.name,
        &mut next.display_text,
        &request.name,
        &request.display_text,
    )?;
    tx.draft.update(&template, next);
    Ok(template.id)
}

/// `deleteTemplate`: guests that run it go on, no other gets it.
pub(crate) fn delete_template(tx: &mut Tx<'_>, request: DeleteTemplate) -> Result<Started, CommandError> {
    let template = governed(tx, request.id)?;
    let Some(registered) = &template.registered else {
        let expected = "a template that somebody registered, not a built-in one";
        return Err(CommandError::invalid("id", template.id, expected));
    };
    let account = registered.account;
    let used = tx.view.all::<Guest>().any(|guest| guest.template == template.id);
    if used {
        let mut next = Template::clone(&template);
        if let Some(registered) = &mut next.registered {
            registered.removed = true;
        }
        tx.draft.update(&template, next);
    } else {
        tx.draft.delete(&template);
    }
    let text = format!("deleted template {}", template.name);
    tx.event::<Template>("TEMPLATE.DELETE", account, template.id.0, text);
    Ok(Started {
        job: tx.job::<Template>("deleteTemplate", template.id.0, Goal::Stored),
        id: None,
    })
}

/// A template that the caller may change: its own, or any for a root admin.
fn governed(tx: &mut Tx<'_>, id: TemplateId) -> Result<Stored<Template>, CommandError> {
    let template = usable_template(tx, "id", id)?;
    let own = template
        .registered
        .as_ref()
        .is_some_and(|r| tx.caller.may(tx.view, r.account));
    if own || tx.caller.role == RoleType::Admin {
        return Ok(template);
    }
    Err(CommandError::permission("Template", id))
}

/// A template that the caller may use: a built-in or public one, or its own.
pub(crate) fn usable_template(
    tx: &mut Tx<'_>,
    field: &str,
    id: TemplateId,
) -> Result<Stored<Template>, CommandError> {
    let template = tx.provided::<Template>(field, id)?;
    if tx.caller.may_use_template(tx.view, &template) {
        return Ok(template);
    }
    Err(CommandError::not_found(field, id))
}

fn rename(
    name: &mut String,
    text: &mut String,
    new_name: &Option<String>,
    new_text: &Option<String>,
) -> Result<(), CommandError> {
    if let Some(new) = new_name {
        checks::name("name", new)?;
        name.clone_from(new);
    }
    if let Some(new) = new_text {
        checks::name("displaytext", new)?;
        text.clone_from(new);
    }
    Ok(())
}
