// SPDX-License-Identifier: Apache-2.0
//! Settings (CloudStack: configurations): to change and to reset.

use outgate_model::Realm;
use outgate_model::id::SettingId;
use outgate_model::object::{
    Account, Domain, Network, NetworkOffering, Setting, SettingScope, Vpc, VpcOffering, Zone,
};

use super::{alone, note, zone};
use crate::CommandError;
use crate::command::request::UpdateSetting;
use crate::command::tx::Tx;
use crate::mirror::View;
use crate::realm::Standing;
use crate::settings;

/// `updateConfiguration`, and `resetConfiguration` without a value. A change is live at once: whoever needs the value
/// asks for it each time, and the routers that are made from it follow.
pub(crate) fn change(tx: &mut Tx<'_>, request: &UpdateSetting) -> Result<(), CommandError> {
    alone(tx);
    let known = settings::find(&request.name).ok_or_else(|| {
        let expected = "the name of a setting; listConfigurations lists them";
        CommandError::invalid("name", &request.name, expected)
    })?;
    check_scope(tx, known, request.scope)?;
    let id = SettingId::of(request.scope, known.name);
    let old = tx.view.get::<Setting>(id).cloned();
    let new = match &request.value {
        None => None,
        Some(text) => {
            let value = known.read(text);
            let value = value.ok_or_else(|| CommandError::invalid("value", text, known.expected()))?;
            Some(Setting {
                id,
                name: known.name.to_owned(),
                scope: request.scope,
                value: known.text(value),
            })
        }
    };
    if settings::is_of_routers(known.name) {
        zone::touch_routers(tx, |view, standing| reaches(view, request.scope, standing));
    }
    let (kind, text) = match &new {
        Some(new) => (
            "CONFIGURATION.VALUE.EDIT",
            format!("{} is {} ({})", known.name, new.value, new.scope),
        ),
        None => (
            "CONFIGURATION.VALUE.RESET",
            format!(
                "{} is as before anyone changed it ({})",
                known.name, request.scope
            ),
        ),
    };
    match (old, new) {
        (Some(old), Some(new)) => tx.draft.update(&old, new),
        (Some(old), None) => tx.draft.delete(&old),
        (None, Some(new)) => tx.draft.create(&new),
        (None, None) => {}
    }
    note::<Setting>(tx, kind, id.0, text);
    Ok(())
}

/// The setting may have a value of its own there, and what the scope names is there.
fn check_scope(tx: &mut Tx<'_>, known: &settings::Known, scope: SettingScope) -> Result<(), CommandError> {
    let (field, id) = match scope {
        SettingScope::Global => return Ok(()),
        SettingScope::Zone(id) => ("zoneid", id.to_string()),
        SettingScope::Domain(id) => ("domainid", id.to_string()),
        SettingScope::Account(id) => ("accountid", id.to_string()),
        SettingScope::Offering(id) => ("networkofferingid", id.to_string()),
        SettingScope::Network(id) => ("networkid", id.to_string()),
        SettingScope::VpcOffering(id) => ("vpcofferingid", id.to_string()),
        SettingScope::Vpc(id) => ("vpcid", id.to_string()),
    };
    if !known.takes(scope) {
        let expected = format!(
            "nothing: {} has one value in {}",
            known.name,
            known.narrower.words()
        );
        return Err(CommandError::invalid(field, id, expected));
    }
    match scope {
        SettingScope::Global => Ok(()),
        SettingScope::Zone(id) => tx.provided::<Zone>(field, id).map(|_| ()),
        SettingScope::Domain(id) => tx.provided::<Domain>(field, id).map(|_| ()),
        SettingScope::Account(id) => tx.provided::<Account>(field, id).map(|_| ()),
        SettingScope::Offering(id) => tx.provided::<NetworkOffering>(field, id).map(|_| ()),
        SettingScope::Network(id) => match tx.provided::<Network>(field, id)?.tier.as_ref() {
            None => Ok(()),
            Some(tier) => {
                let expected = format!("an isolated network; this is a tier, so give vpcid={}", tier.vpc);
                Err(CommandError::invalid(field, id, expected))
            }
        },
        SettingScope::VpcOffering(id) => tx.provided::<VpcOffering>(field, id).map(|_| ()),
        SettingScope::Vpc(id) => tx.provided::<Vpc>(field, id).map(|_| ()),
    }
}

/// Whether a value in this scope may hold for a router.
fn reaches(view: &View<'_>, scope: SettingScope, of: &Standing) -> bool {
    match (scope, of.realm) {
        (SettingScope::Global, _) => true,
        (SettingScope::Zone(id), _) => of.zone == id,
        (SettingScope::Network(id), Realm::Network(network)) => network == id,
        (SettingScope::Vpc(id), Realm::Vpc(vpc)) => vpc == id,
        (SettingScope::Offering(id), Realm::Network(network)) => {
            view.get::<Network>(network).is_some_and(|n| n.offering == id)
        }
        (SettingScope::VpcOffering(id), Realm::Vpc(vpc)) => {
            view.get::<Vpc>(vpc).is_some_and(|v| v.offering == id)
        }
        _ => false,
    }
}
