// SPDX-License-Identifier: Apache-2.0
//! `router`. Unlike in networks, the key `vpcid` must be there, null outside a VPC: libcloud reads it unguarded.

use std::net::Ipv4Addr;

use outgate_manager::read;
use outgate_model::object::{
    Host, Network, PublicIp, PublicIpRange, Router, RouterHealth, RouterObserved, RouterState, Vpc, Zone,
};
use outgate_model::stats::HealthKind;
use outgate_model::{MacAddr, Realm};
use serde_json::{Value, json};

use crate::view::nic::{self, RouterNic};
use crate::view::{Look, view};
use crate::wire::date;
use crate::wire::envelope::Object;

/// The link-local network's netmask.
const CONTROL_NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 0, 0);

/// What a router's response is put together from.
struct Parts<'a> {
    network: Option<&'a Network>,
    vpc: Option<&'a Vpc>,
    zone: Option<&'a Zone>,
    source_nat: Option<&'a PublicIp>,
    range: Option<&'a PublicIpRange>,
    observed: Option<&'a RouterObserved>,
}

impl<'a> Parts<'a> {
    fn of(look: &Look<'a>, router: &Router) -> Self {
        let (network, vpc) = match router.realm {
            Realm::Network(id) => (look.view.get::<Network>(id).map(|n| &**n), None),
            Realm::Vpc(id) => (None, look.view.get::<Vpc>(id).map(|v| &**v)),
        };
        let source_nat = look.view.source_nat_of(router.realm).map(|ip| &**ip);
        Self {
            network,
            vpc,
            zone: look.view.get::<Zone>(router.zone).map(|z| &**z),
            source_nat,
            range: source_nat
                .and_then(|ip| look.view.get::<PublicIpRange>(ip.range))
                .map(|r| &**r),
            observed: look.view.router_observed(router.id).map(|o| &**o),
        }
    }

    /// In the order of the router's interfaces: guest, control, public; of a VPC's control, public, tiers.
    fn nics(&self, look: &Look<'_>, router: &Router) -> Vec<Value> {
        let tiers = match router.realm {
            Realm::Network(_) => Vec::new(),
            Realm::Vpc(_) => look.view.networks_of_realm(router.realm),
        };
        let guest = self.network.map(|network| guest_nic(network, router.macs[0]));
        let tiers = tiers.iter().filter_map(|tier| {
            Some((
                tier.tier.as_ref()?.device,
                guest_nic(tier, tier.tier.as_ref()?.mac),
            ))
        });
        let control = RouterNic {
            traffic_type: "Control",
            mac: router.macs[1],
            address: router.link_local,
            netmask: CONTROL_NETMASK,
            gateway: None,
            network: None,
        };
        let public = self.source_nat.zip(self.range).map(|(ip, range)| RouterNic {
            traffic_type: "Public",
            mac: router.macs[2],
            address: ip.address,
            netmask: range.gateway.netmask(),
            gateway: Some(range.gateway.addr()),
            network: None,
        });
        let mut nics: Vec<_> = [guest, Some(control), public]
            .into_iter()
            .flatten()
            .enumerate()
            .collect();
        nics.extend(tiers.map(|(device, nic)| (usize::from(device), nic)));
        nics.sort_by_key(|(device, _)| *device);
        let each = nics.into_iter();
        each.map(|(device, nic)| nic::render_router(router, device, nic))
            .collect()
    }

    /// Whether the router has applied what is wanted, and if not, why; then what its health checks found last.
    fn health(&self, look: &Look<'_>, router: &Router) -> Vec<Value> {
        let mut results = self.configuration();
        results.extend(
            look.view
                .router_health(router.id)
                .into_iter()
                .flat_map(|h| health_checks(h)),
        );
        results
    }

    fn configuration(&self) -> Vec<Value> {
        let Some(observed) = self.observed else {
            return Vec::new();
        };
        let applied = format!("generation {} applied", observed.generation);
        vec![json!({
            "checkname": "configuration",
            "checktype": "basic",
            "success": observed.error.is_none(),
            "lastupdated": date::format(observed.at),
            "details": observed.error.as_ref().unwrap_or(&applied),
        })]
    }
}

/// Whether the router is not as wanted, or a health check failed.
pub fn health_failed(look: &Look<'_>, router: &Router) -> bool {
    let observed = look.view.router_observed(router.id);
    let health = look.view.router_health(router.id);
    observed.is_some_and(|o| o.error.is_some()) || health.is_some_and(|h| h.checks.iter().any(|c| !c.success))
}

/// What the health checks found, as CloudStack says it.
pub fn health_checks(health: &RouterHealth) -> Vec<Value> {
    let each = health.checks.iter().map(|check| {
        let kind = match check.kind {
            HealthKind::Basic => "basic",
            HealthKind::Advanced => "advanced",
        };
        json!({
            "checkname": check.name,
            "checktype": kind,
            "success": check.success,
            "lastupdated": date::format(health.at),
            "details": check.details,
        })
    });
    each.collect()
}

fn guest_nic(network: &Network, mac: MacAddr) -> RouterNic<'_> {
    RouterNic {
        traffic_type: "Guest",
        mac,
        address: network.gateway.addr(),
        netmask: network.gateway.netmask(),
        gateway: None,
        network: Some(network),
    }
}

view! {
    /// A router.
    (look, router: &Router) {
        let parts = Parts::of(look, router);
        let (network, vpc, range) = (parts.network, parts.vpc, parts.range);
        let host = look.view.get::<Host>(router.host);
        let size = look.router_size(router);
        // Where things stand is for root admins to know, as in CloudStack.
        let pod = look.place(router.host).1.filter(|_| look.caller.admin());
        let version = look.view.router_version(router);
        let running = look.view.router_state(router) == RouterState::Running;
    }
    "id" string = router.id;
    "name" string = &router.name;
    "role" string = "VIRTUAL_ROUTER";
    "state" string = read::router_state_name(look.view.router_state(router));
    "created" date = date::format(router.created);
    "version" string = &version;
    "softwareversion" string = &version;
    "scriptsversion" string = &version;
    "requiresupgrade" boolean = look.view.requires_upgrade(router);
    "isredundantrouter" boolean = false;
    "redundantstate" string = look.view.redundant_state(router).name();
    "zoneid" string = router.zone;
    "zonename" string = parts.zone.map(|z| &z.name);
    "dns1" string = parts.zone.and_then(|z| z.dns.first());
    "dns2" string = parts.zone.and_then(|z| z.dns.get(1));
    "podid" string = pod.map(|p| p.id);
    "podname" string = pod.map(|p| &p.name);
    "hostid" string = router.host;
    "hostname" string = host.map(|h| &h.name);
    "hypervisor" string = host.map(|h| &h.hypervisor);
    "hostcontrolstate" string = host.filter(|_| running).map(|h| control_state(look, h));
    "serviceofferingid" string = size.map(|s| s.id);
    "serviceofferingname" string = size.map(|s| &s.name);
    "networkdomain" string = network.map(|n| &n.domain).or(vpc.map(|v| &v.domain));
    "vpcid" string = vpc.map(|v| v.id);
    "vpcname" string = vpc.map(|v| &v.name);
    "guestnetworkid" string = network.map(|n| n.id);
    "guestnetworkname" string = network.map(|n| &n.name);
    "guestipaddress" string = network.map(|n| n.gateway.addr());
    "guestnetmask" string = network.map(|n| n.gateway.netmask());
    "guestmacaddress" string = network.map(|_| router.macs[0]);
    "linklocalip" string = router.link_local;
    "linklocalnetmask" string = CONTROL_NETMASK;
    "linklocalmacaddress" string = router.macs[1];
    "publicip" string = parts.source_nat.map(|ip| ip.address);
    "publicnetmask" string = range.map(|r| r.gateway.netmask());
    "publicmacaddress" string = router.macs[2];
    "publicnetworkid" string = range.map(|r| r.physical_network);
    "gateway" string = range.map(|r| r.gateway.addr());
    "nic" list = parts.nics(look, router);
    "healthchecksfailed" boolean = health_failed(look, router);
    "healthcheckresults" list = parts.health(look, router);
    "hasannotations" boolean = false;
    owned by router.account;
}

/// CloudStack's word of whether the server can control a host.
fn control_state(look: &Look<'_>, host: &Host) -> &'static str {
    if look.view.host_answers(host.id) {
        "Enabled"
    } else {
        "Offline"
    }
}

/// A router with the `vpcid` that must be there.
pub fn render_with_vpc(look: &Look<'_>, router: &Router) -> Object {
    let mut object = render(look, router);
    object.entry("vpcid").or_insert(Value::Null);
    object
}
