// SPDX-License-Identifier: Apache-2.0
//! `vpc`, with its tiers.

use outgate_model::Realm;
use outgate_model::key::Object as _;
use outgate_model::object::{SettingScope, Vpc, VpcOffering, VpcPhase, Zone};

use crate::view::{address, network, service, view};
use crate::wire::date;

/// `state`. CloudStack calls a VPC without a router, and one on its way out, inactive.
pub fn state(vpc: &Vpc) -> &'static str {
    match vpc.phase {
        VpcPhase::Enabled => "Enabled",
        VpcPhase::Inactive | VpcPhase::Destroyed => "Inactive",
    }
}

view! {
    /// A VPC.
    (look, vpc: &Vpc) {
        let offering = look.view.get::<VpcOffering>(vpc.offering);
        let zone = look.view.get::<Zone>(vpc.zone);
        let dns: &[_] = if vpc.dns.is_empty() { zone.map_or(&[], |z| &z.dns) } else { &vpc.dns };
        let details = look.view.router_settings(SettingScope::Vpc(vpc.id));
        let tiers = look.view.tiers_of_vpc(vpc.id).map(|tier| network::render(look, tier));
    }
    "id" string = vpc.id;
    "name" string = &vpc.name;
    "displaytext" string = &vpc.display_text;
    "created" date = date::format(vpc.created);
    "state" string = state(vpc);
    "cidr" string = vpc.cidr;
    "networkdomain" string = &vpc.domain;
    "dns1" string = dns.first();
    "dns2" string = dns.get(1);
    "sourcenataddresses" list = address::source_nat(look, Realm::Vpc(vpc.id));
    "publicmtu" integer = vpc.public_mtu.or(zone.map(|z| z.public_mtu));
    "zoneid" string = vpc.zone;
    "zonename" string = zone.map(|z| &z.name);
    "vpcofferingid" string = vpc.offering;
    "vpcofferingname" string = offering.map(|o| &o.name);
    "network" list = tiers.collect::<Vec<_>>();
    "restartrequired" boolean = look.view.vpc_restart_required(vpc);
    "redundantvpcrouter" boolean = false;
    "distributedvpcrouter" boolean = false;
    "regionlevelvpc" boolean = false;
    "fordisplay" boolean = true;
    "hasannotations" boolean = false;
    "service" list = offering.map_or(serde_json::Value::Array(Vec::new()), |o| service::render_of_vpc(o));
    "details" map = (!details.is_empty()).then_some(details);
    "tags" list = look.tags(Vpc::NAME, vpc.id.0);
    owned by vpc.account;
}
