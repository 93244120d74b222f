// SPDX-License-Identifier: Apache-2.0
//! `network`. A network outside a VPC must not have the key `vpcid` at all: Ansible skips networks that have it.

use outgate_model::key::Object as _;
use outgate_model::object::{Network, NetworkOffering, NetworkPhase, PublicIpRange, Zone};
use outgate_model::router_spec::EgressPolicy;

use crate::view::{network_offering, service, view};
use crate::wire::date;

view! {
    /// A network.
    (look, network: &Network) {
        let offering = look.view.get::<NetworkOffering>(network.offering);
        let zone = look.view.get::<Zone>(network.zone);
        let range = look.view.all::<PublicIpRange>().find(|r| r.zone == network.zone);
    }
    "id" string = network.id;
    "name" string = &network.name;
    "displaytext" string = &network.display_text;
    "created" date = date::format(network.created);
    "state" string = look.view.network_state(network).name();
    "type" string = "Isolated";
    "traffictype" string = "Guest";
    "acltype" string = "Account";
    "internetprotocol" string = "IPv4";
    "broadcastdomaintype" string = "Vlan";
    "broadcasturi" string = (network.phase == NetworkPhase::Implemented).then(|| format!("vlan://{}", network.number));
    "cidr" string = network.cidr();
    "networkcidr" string = network.cidr();
    "gateway" string = network.gateway.addr();
    "netmask" string = network.gateway.netmask();
    "networkdomain" string = &network.domain;
    "dns1" string = zone.and_then(|z| z.dns.first());
    "dns2" string = zone.and_then(|z| z.dns.get(1));
    "privatemtu" integer = network.mtu;
    "publicmtu" integer = zone.map(|z| z.public_mtu);
    "zoneid" string = network.zone;
    "zonename" string = zone.map(|z| &z.name);
    "physicalnetworkid" string = range.map(|r| r.physical_network);
    "networkofferingid" string = network.offering;
    "networkofferingname" string = offering.map(|o| &o.name);
    "networkofferingdisplaytext" string = offering.map(|o| &o.display_text);
    "networkofferingconservemode" boolean = offering.is_some_and(|o| o.conserve_mode);
    "networkofferingavailability" string = offering.map(|o| network_offering::availability(o));
    "egressdefaultpolicy" boolean = offering.is_some_and(|o| o.egress_default == EgressPolicy::Allow);
    "ispersistent" boolean = offering.is_some_and(|o| o.persistent);
    "issystem" boolean = false;
    "isdefault" boolean = false;
    "specifyipranges" boolean = false;
    "specifyvlan" boolean = offering.is_some_and(|o| o.specify_vlan);
    "canusefordeploy" boolean = network.phase != NetworkPhase::Destroyed;
    "restartrequired" boolean = look.view.restart_required(network);
    "redundantrouter" boolean = false;
    "displaynetwork" boolean = true;
    "strechedl2subnet" boolean = false;
    "supportsvmautoscaling" boolean = false;
    "subdomainaccess" boolean = false;
    "hasannotations" boolean = false;
    "related" string = network.id;
    "service" list = offering.map_or(serde_json::Value::Array(Vec::new()), |o| service::render(o));
    "tags" list = look.tags(Network::NAME, network.id.0);
    owned by network.account;
}
