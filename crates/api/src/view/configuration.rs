// SPDX-License-Identifier: Apache-2.0
//! `configuration`: a setting with its value in a scope.

use outgate_manager::settings::{Form, Known, Narrower};
use outgate_model::object::SettingScope;

use crate::view::view;

/// A setting as it holds in a scope; without one, everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Configuration {
    /// The setting.
    pub known: &'static Known,
    /// Where.
    pub scope: SettingScope,
}

/// CloudStack's word of where a setting may have a value of its own.
pub fn scope_name(known: &Known) -> &'static str {
    match known.narrower {
        Narrower::Nowhere => "Global",
        Narrower::Zone => "Zone",
        Narrower::Router => "Zone,NetworkOffering,Network,VpcOffering,Vpc",
        Narrower::Account => "Account",
    }
}

/// What kind of thing gives a value, and its id.
fn giver(scope: SettingScope) -> (&'static str, Option<String>) {
    match scope {
        SettingScope::Global => ("Global", None),
        SettingScope::Zone(id) => ("Zone", Some(id.to_string())),
        SettingScope::Domain(id) => ("Domain", Some(id.to_string())),
        SettingScope::Account(id) => ("Account", Some(id.to_string())),
        SettingScope::Offering(id) => ("NetworkOffering", Some(id.to_string())),
        SettingScope::Network(id) => ("Network", Some(id.to_string())),
        SettingScope::VpcOffering(id) => ("VpcOffering", Some(id.to_string())),
        SettingScope::Vpc(id) => ("Vpc", Some(id.to_string())),
    }
}

view! {
    /// A setting.
    (look, configuration: &Configuration) {
        let known = configuration.known;
        let scopes = look.view.setting_scopes(configuration.scope);
        let given = look.view.setting_as_given(known, &scopes);
        let value = given.map_or(known.default, |(_, value)| value);
        let (giver, giver_id) = given.map_or(("Default", None), |(scope, _)| giver(scope));
    }
    "name" string = known.name;
    "category" string = known.category;
    "group" string = known.category;
    "component" string = "outgate";
    "description" string = known.description;
    "displaytext" string = known.description;
    "value" string = known.text(value);
    "defaultvalue" string = known.text(known.default);
    "type" string = match known.form {
        Form::Number(..) => "Number",
        Form::Truth => "Boolean",
    };
    "scope" string = scope_name(known);
    "valuescope" string = giver;
    "valuescopeid" string = giver_id;
    "isdynamic" boolean = true;
}
