// SPDX-License-Identifier: Apache-2.0
//! `configuration`: a setting with its value in a scope.

use outgate_manager::settings::{Form, Known, Narrower};
use outgate_model::object::SettingScope;

use crate::view::view;

/// A setting as it is in a scope; without one, everywhere.
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

view! {
    /// A setting.
    (look, configuration: &Configuration) {
        let known = configuration.known;
        let value = look.view.setting_in(known, &[configuration.scope]);
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
    "isdynamic" boolean = true;
}
