// SPDX-License-Identifier: Apache-2.0
//! Zones.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::ZoneId;
use outgate_model::key;
use outgate_model::object::{
    Guest, Host, Network, PhysicalNetwork, Pod, PublicIpRange, Router, Setting, SettingScope, Template, Vpc,
    Zone,
};

use super::{alone, note, unused, unused_name};
use crate::CommandError;
use crate::command::request::{CreateZone, DeleteZone, UpdateZone};
use crate::command::tx::Tx;
use crate::command::{checks, implement, network, subnet};
use crate::mirror::Stored;
use crate::mirror::View;
use crate::realm::Phase;
use crate::realm::Standing;

/// CloudStack's `guest.domain.suffix`.
const DOMAIN: &str = "cs1cloud.internal";
/// CloudStack's `guest.cidr`.
const GUEST_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 1, 1, 0), 24);
/// Ethernet's.
const MTU: u32 = 1_500;
/// The longest prefix of a guest network: a router and one guest.
const PREFIX_MAX: u8 = 30;

/// `createZone`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateZone) -> Result<ZoneId, CommandError> {
    alone(tx);
    named(tx, &request.name, None)?;
    let domain = request.domain.as_deref().unwrap_or(DOMAIN);
    checks::domain("domain", domain)?;
    let guest_cidr = request.guest_cidr.unwrap_or(GUEST_CIDR);
    check_cidr(guest_cidr)?;
    let zone = Zone {
        id: ZoneId::new(),
        name: request.name.clone(),
        dns: request.dns.clone(),
        internal_dns: request.internal_dns.clone(),
        guest_cidr,
        network_domain: domain.to_owned(),
        public_mtu: MTU,
        disabled: !request.enable,
    };
    tx.draft.create(&zone);
    let text = format!("created zone {}", zone.name);
    note::<Zone>(tx, "ZONE.CREATE", zone.id.0, text);
    Ok(zone.id)
}

/// `updateZone`. Other resolvers reach the routers at once; domain and guest CIDR are for networks made from now on.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateZone) -> Result<ZoneId, CommandError> {
    alone(tx);
    let zone = tx.provided::<Zone>("id", request.id)?;
    let mut next = Zone::clone(&zone);
    if let Some(name) = &request.name {
        named(tx, name, Some(zone.id))?;
        next.name.clone_from(name);
    }
    if let Some(domain) = &request.domain {
        checks::domain("domain", domain)?;
        next.network_domain.clone_from(domain);
    }
    if let Some(cidr) = request.guest_cidr {
        check_cidr(cidr)?;
        next.guest_cidr = cidr;
    }
    if let Some(enable) = request.enable {
        next.disabled = !enable;
    }
    replace(&mut next.dns, request.dns);
    replace(&mut next.internal_dns, request.internal_dns);
    if next.dns != zone.dns {
        touch_routers(tx, |_, standing| standing.zone == zone.id);
    }
    let text = format!("updated zone {}", next.name);
    tx.draft.update(&zone, next);
    note::<Zone>(tx, "ZONE.EDIT", zone.id.0, text);
    Ok(zone.id)
}

fn replace(list: &mut Vec<Ipv4Addr>, with: [Option<Ipv4Addr>; 2]) {
    for (place, address) in with.into_iter().enumerate() {
        let Some(address) = address else { continue };
        match list.get_mut(place) {
            Some(old) => *old = address,
            None => list.push(address),
        }
    }
}

/// `deleteZone`: nothing of it may be left. Its templates and the values of its settings go with it.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteZone) -> Result<(), CommandError> {
    alone(tx);
    for counter in [network::NUMBERS, implement::VM_NUMBERS] {
        tx.draft.counted(counter);
    }
    let zone = tx.provided::<Zone>("id", request.id)?;
    check_unused(tx, &zone)?;
    let templates: Vec<_> = tx.view.all::<Template>().cloned().collect();
    for template in templates.iter().filter(|t| t.zone == zone.id) {
        tx.draft.delete(template);
    }
    let settings: Vec<_> = tx.view.all::<Setting>().cloned().collect();
    for setting in settings.iter().filter(|s| s.scope == SettingScope::Zone(zone.id)) {
        tx.draft.delete(setting);
    }
    tx.draft.delete(&zone);
    tx.draft
        .delete_raw(key::counter(&format!("public-ip/{}", zone.id)));
    let text = format!("deleted zone {}", zone.name);
    note::<Zone>(tx, "ZONE.DELETE", zone.id.0, text);
    Ok(())
}

fn check_unused(tx: &Tx<'_>, zone: &Zone) -> Result<(), CommandError> {
    let (view, id) = (tx.view, zone.id);
    let what = format!("zone {}", zone.name);
    let named = |name: &str, id: &dyn std::fmt::Display| format!("{name} ({id})");
    let networks = view.networks_of_zone(id).map(|n| named(&n.name, &n.id));
    unused(&what, "networks", networks, "delete them first")?;
    let vpcs = view.all::<Vpc>().filter(|v| v.zone == id);
    unused(
        &what,
        "VPCs",
        vpcs.map(|v| named(&v.name, &v.id)),
        "delete them first",
    )?;
    let guests = view.all::<Guest>().filter(|g| g.zone == id);
    let guests = guests.map(|g| named(&g.name, &g.id));
    unused(&what, "guests", guests, "destroy them first")?;
    let routers = view.all::<Router>().filter(|r| r.zone == id);
    let routers = routers.map(|r| named(&r.name, &r.id));
    unused(&what, "routers", routers, "destroy them first")?;
    let ips = view.public_ips_of_zone(id).map(|ip| ip.address.to_string());
    unused(&what, "public addresses", ips, "release them first")?;
    let ranges = view.all::<PublicIpRange>().filter(|r| r.zone == id);
    let ranges = ranges.map(|r| named(&super::range_text(r), &r.id));
    unused(&what, "public IP ranges", ranges, "delete them first")?;
    let physical = view.all::<PhysicalNetwork>().filter(|p| p.zone == id);
    let physical = physical.map(|p| named(&p.name, &p.id));
    unused(&what, "physical networks", physical, "delete them first")?;
    let hosts = view.all::<Host>().filter(|h| h.zone == id);
    let hosts = hosts.map(|h| named(&h.name, &h.id));
    unused(&what, "hosts", hosts, "a server's own hosts stay")?;
    let pods = view.all::<Pod>().filter(|p| p.zone == id);
    unused(
        &what,
        "pods",
        pods.map(|p| named(&p.name, &p.id)),
        "delete them first",
    )
}

fn named(tx: &Tx<'_>, name: &str, own: Option<ZoneId>) -> Result<(), CommandError> {
    checks::name("name", name)?;
    let mut zones = tx.view.all::<Zone>();
    let other = zones.find(|z| z.name.eq_ignore_ascii_case(name) && Some(z.id) != own);
    unused_name("name", name, "zone", other.map(|z| z.id.to_string()))
}

fn check_cidr(cidr: Ipv4Net) -> Result<(), CommandError> {
    const FIELD: &str = "guestcidraddress";
    if cidr.trunc() != cidr {
        let expected = format!("a CIDR without host bits: {}", cidr.trunc());
        return Err(CommandError::invalid(FIELD, cidr, expected));
    }
    if !subnet::is_private(cidr) {
        return Err(CommandError::invalid(FIELD, cidr, subnet::PRIVATE_TEXT));
    }
    if !(8..=PREFIX_MAX).contains(&cidr.prefix_len()) {
        return Err(CommandError::invalid(
            FIELD,
            cidr,
            format!("a CIDR from /8 to /{PREFIX_MAX}"),
        ));
    }
    Ok(())
}

/// The zone of a new network, or of a new VPC: one where the caller may make it, with a provider for it.
pub(crate) fn zone_for(tx: &mut Tx<'_>, id: ZoneId, for_vpc: bool) -> Result<Stored<Zone>, CommandError> {
    let zone = tx.provided::<Zone>("zoneid", id)?;
    open(tx, &zone)?;
    super::provider::provided(tx, &zone, for_vpc)?;
    Ok(zone)
}

/// Refuses to make something in a disabled zone, unless a root admin does, as CloudStack.
pub(crate) fn open(tx: &Tx<'_>, zone: &Zone) -> Result<(), CommandError> {
    if !zone.disabled || tx.caller.admin() {
        return Ok(());
    }
    Err(CommandError::Forbidden {
        what: format!(
            "Cannot perform this operation, Zone is currently disabled: {}",
            zone.name
        ),
    })
}

/// Raises the generation of every router that this `concerns`.
pub(crate) fn touch_routers(tx: &mut Tx<'_>, concerns: impl Fn(&View<'_>, &Standing) -> bool) {
    let realms = tx.view.realms();
    let standings = realms.filter_map(|realm| tx.view.standing(realm));
    let concerned = standings.filter(|s| s.phase == Phase::Alive && concerns(tx.view, s));
    let realms: Vec<_> = concerned.map(|s| s.realm).collect();
    for realm in realms {
        tx.draft.touch(tx.view, realm);
    }
}

/// Networks of a zone, for error texts.
pub(super) fn networks_of(tx: &Tx<'_>, zone: ZoneId) -> Vec<String> {
    let named = |n: &Network| format!("{} ({})", n.name, n.id);
    tx.view.networks_of_zone(zone).map(|n| named(n)).collect()
}
