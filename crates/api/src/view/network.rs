// SPDX-License-Identifier: Apache-2.0
//! `network`. A network outside a VPC must not have the key `vpcid` at all: Ansible skips networks that have it.

use outgate_model::id::PhysicalNetworkId;
use outgate_model::key::Object as _;
use outgate_model::object::{
    Network, NetworkAclList, NetworkOffering, NetworkPhase, PublicIpRange, SettingScope, Vpc, Zone,
};
use outgate_model::router_spec::EgressPolicy;

use crate::view::{Look, address, network_offering, service, view};
use crate::wire::date;

/// The physical network that carries a network; for those made before that was written down, the zone's first.
pub fn physical_network(look: &Look<'_>, network: &Network) -> Option<PhysicalNetworkId> {
    let first = || {
        let mut ranges = look.view.all::<PublicIpRange>();
        ranges
            .find(|r| r.zone == network.zone)
            .map(|r| r.physical_network)
    };
    network.settings.physical_network.or_else(first)
}

/// What is not for guests, as CloudStack writes it.
fn reserved(network: &Network) -> Option<String> {
    let parts = network.reserved();
    let parts: Vec<_> = parts
        .iter()
        .map(|(first, last)| format!("{first}-{last}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" ,  "))
}

view! {
    /// A network.
    (look, network: &Network) {
        let offering = look.view.get::<NetworkOffering>(network.offering);
        let zone = look.view.get::<Zone>(network.zone);
        let tier = network.tier.as_ref();
        let vpc = tier.and_then(|t| look.view.get::<Vpc>(t.vpc));
        let acl = tier.and_then(|t| look.view.get::<NetworkAclList>(t.acl));
        let own = vpc.map_or(&network.settings.dns, |v| &v.dns);
        let dns = if own.is_empty() { zone.map(|z| &z.dns) } else { Some(own) };
        let vlan = network.settings.vlan;
        let details = look.view.router_settings(SettingScope::Network(network.id));
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
    "broadcasturi" string = (network.phase == NetworkPhase::Implemented || vlan.is_some())
        .then(|| format!("vlan://{}", vlan.map_or(network.number, u64::from)));
    "vlan" string = vlan.filter(|_| look.caller.admin()).map(|vlan| vlan.to_string());
    "cidr" string = network.guest_cidr();
    "networkcidr" string = network.cidr();
    "reservediprange" string = reserved(network);
    "gateway" string = network.gateway.addr();
    "sourcenataddresses" list = address::source_nat(look, network.realm());
    "netmask" string = network.gateway.netmask();
    "networkdomain" string = &network.domain;
    "dns1" string = dns.and_then(|dns| dns.first());
    "dns2" string = dns.and_then(|dns| dns.get(1));
    "privatemtu" integer = network.mtu;
    "publicmtu" integer = vpc.map_or(network.settings.public_mtu, |v| v.public_mtu).or(zone.map(|z| z.public_mtu));
    "zoneid" string = network.zone;
    "zonename" string = zone.map(|z| &z.name);
    "physicalnetworkid" string = physical_network(look, network);
    "networkofferingid" string = network.offering;
    "networkofferingname" string = offering.map(|o| &o.name);
    "networkofferingdisplaytext" string = offering.map(|o| &o.display_text);
    "networkofferingconservemode" boolean = offering.is_some_and(|o| o.conserve_mode);
    "networkofferingavailability" string = offering.map(|o| network_offering::availability(o));
    "egressdefaultpolicy" boolean = offering.is_some_and(|o| o.egress_default == EgressPolicy::Allow);
    "vpcid" string = tier.map(|t| t.vpc);
    "vpcname" string = vpc.map(|v| &v.name);
    "aclid" string = tier.map(|t| t.acl);
    "aclname" string = acl.map(|a| &a.name);
    "ispersistent" boolean = offering.is_some_and(|o| o.persistent);
    "issystem" boolean = false;
    "isdefault" boolean = false;
    "specifyipranges" boolean = false;
    "specifyvlan" boolean = offering.is_some_and(|o| o.specify_vlan);
    "canusefordeploy" boolean = look.view.can_use_for_deploy(network);
    "restartrequired" boolean = look.view.restart_required(network);
    "redundantrouter" boolean = false;
    "displaynetwork" boolean = !network.settings.hidden;
    "strechedl2subnet" boolean = false;
    "supportsvmautoscaling" boolean = false;
    "subdomainaccess" boolean = network.settings.subdomain_access;
    "hasannotations" boolean = false;
    "related" string = network.id;
    "service" list = offering.map_or(serde_json::Value::Array(Vec::new()), |o| service::render(o));
    "details" map = (!details.is_empty()).then_some(details);
    "tags" list = look.tags(Network::NAME, network.id.0);
    owned by network.account;
}
