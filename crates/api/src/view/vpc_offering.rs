// SPDX-License-Identifier: Apache-2.0
//! `vpcoffering`.

use outgate_model::object::{SettingScope, VpcOffering};

use crate::view::{network_offering, service, view};
use crate::wire::date;

/// `state`.
pub fn state(offering: &VpcOffering) -> &'static str {
    if offering.enabled { "Enabled" } else { "Disabled" }
}

view! {
    /// A VPC offering.
    (look, offering: &VpcOffering) {
        let places = network_offering::Places::of(look, &offering.domains, &offering.zones);
        let details = look.view.router_settings(SettingScope::VpcOffering(offering.id));
    }
    "id" string = offering.id;
    "name" string = &offering.name;
    "displaytext" string = &offering.display_text;
    "created" date = date::format(offering.created);
    "state" string = state(offering);
    "isdefault" boolean = offering.default;
    "networkmode" string = "NATTED";
    "internetprotocol" string = "IPv4";
    "distributedvpcrouter" boolean = false;
    "supportsregionLevelvpc" boolean = false;
    "specifyasnumber" boolean = false;
    "fornsx" boolean = false;
    "service" list = service::render_of_vpc(offering);
    "details" map = (!details.is_empty()).then_some(details);
    "domain" string = places.domain;
    "domainid" string = places.domain_id;
    "zone" string = places.zone;
    "zoneid" string = places.zone_id;
}
