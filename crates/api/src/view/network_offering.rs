// SPDX-License-Identifier: Apache-2.0
//! `networkoffering`.

use outgate_model::object::NetworkOffering;
use outgate_model::router_spec::EgressPolicy;

use crate::view::{service, view};
use crate::wire::date;

/// `availability`: the built-in source NAT offering cannot be taken away.
pub fn availability(offering: &NetworkOffering) -> &'static str {
    if offering.default { "Required" } else { "Optional" }
}

view! {
    /// A network offering.
    (look, offering: &NetworkOffering) {}
    "id" string = offering.id;
    "name" string = &offering.name;
    "displaytext" string = &offering.display_text;
    "created" date = date::format(offering.created);
    "guestiptype" string = "Isolated";
    "traffictype" string = "Guest";
    "internetprotocol" string = "IPv4";
    "state" string = "Enabled";
    "availability" string = availability(offering);
    "isdefault" boolean = offering.default;
    "ispersistent" boolean = offering.persistent;
    "conservemode" boolean = offering.conserve_mode;
    "egressdefaultpolicy" boolean = offering.egress_default == EgressPolicy::Allow;
    "forvpc" boolean = false;
    "specifyvlan" boolean = false;
    "specifyipranges" boolean = false;
    "supportsinternallb" boolean = false;
    "supportspublicaccess" boolean = false;
    "supportsstrechedl2subnet" boolean = false;
    "networkrate" integer = -1;
    "serviceofferingid" string = look.system_offering().map_or_else(String::new, |o| o.id.to_string());
    "service" list = service::render();
    "tags" string = "";
    "hasannotations" boolean = false;
}
