// SPDX-License-Identifier: Apache-2.0
//! `networkoffering`.

use std::collections::BTreeMap;

use outgate_model::id::{DomainId, ZoneId};
use outgate_model::object::{Domain, NetworkOffering, Service, SettingScope, Zone};
use outgate_model::router_spec::EgressPolicy;

use crate::view::{Look, service, view};
use crate::wire::date;

/// `availability`.
pub fn availability(offering: &NetworkOffering) -> &'static str {
    if offering.is_required() {
        "Required"
    } else {
        "Optional"
    }
}

/// Texts joined by commas; `None` for none.
fn joined<T>(each: &[T], text: impl Fn(&T) -> Option<String>) -> Option<String> {
    let texts: Vec<String> = each.iter().filter_map(text).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// Where an offering may be used; `None` for everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The domains' paths.
    pub domain: Option<String>,
    /// The domains' ids.
    pub domain_id: Option<String>,
    /// The zones' names.
    pub zone: Option<String>,
    /// The zones' ids.
    pub zone_id: Option<String>,
}

impl Places {
    /// These domains and zones.
    pub fn of(look: &Look<'_>, domains: &[DomainId], zones: &[ZoneId]) -> Self {
        let view = look.view;
        Self {
            domain: joined(domains, |id| view.get::<Domain>(*id).map(|d| d.path.clone())),
            domain_id: joined(domains, |id| Some(id.to_string())),
            zone: joined(zones, |id| view.get::<Zone>(*id).map(|z| z.name.clone())),
            zone_id: joined(zones, |id| Some(id.to_string())),
        }
    }
}

/// What was given when it was made, and the settings of its networks' routers.
fn details(look: &Look<'_>, offering: &NetworkOffering) -> BTreeMap<String, String> {
    let settings = look.view.router_settings(SettingScope::Offering(offering.id));
    let given = offering
        .details
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
    given.chain(settings).collect()
}

view! {
    /// A network offering.
    (look, offering: &NetworkOffering) {
        let places = Places::of(look, &offering.domains, &offering.zones);
        let details = details(look, offering);
    }
    "id" string = offering.id;
    "name" string = &offering.name;
    "displaytext" string = &offering.display_text;
    "created" date = date::format(offering.created);
    "guestiptype" string = "Isolated";
    "traffictype" string = "Guest";
    "networkmode" string = "NATTED";
    "internetprotocol" string = "IPv4";
    "state" string = offering.state.name();
    "availability" string = availability(offering);
    "isdefault" boolean = offering.default;
    "ispersistent" boolean = offering.persistent;
    "conservemode" boolean = offering.conserve_mode;
    "egressdefaultpolicy" boolean = offering.egress_default == EgressPolicy::Allow;
    "forvpc" boolean = offering.for_vpc;
    "fornsx" boolean = false;
    "fortungsten" boolean = false;
    "specifyvlan" boolean = offering.specify_vlan;
    "specifyipranges" boolean = false;
    "supportsinternallb" boolean = false;
    "supportspublicaccess" boolean = offering.has(Service::SourceNat);
    "supportsstrechedl2subnet" boolean = false;
    "networkrate" integer = offering.network_rate.map_or(-1, i64::from);
    "maxconnections" integer = offering.max_connections;
    "serviceofferingid" string = look.system_offering().map_or_else(String::new, |o| o.id.to_string());
    "service" list = service::render(offering);
    "tags" string = &offering.tags;
    "details" map = (!details.is_empty()).then_some(details);
    "domain" string = places.domain;
    "domainid" string = places.domain_id;
    "zone" string = places.zone;
    "zoneid" string = places.zone_id;
    "hasannotations" boolean = false;
}
