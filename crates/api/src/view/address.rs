// SPDX-License-Identifier: Apache-2.0
//! `publicipaddress` (in lists) and `ipaddress` (as a job's result).

use std::net::Ipv4Addr;

use outgate_model::Realm;
use outgate_model::key::Object as _;
use outgate_model::object::{Guest, Network, PublicIp, PublicIpRange, Vpc, Zone};

use crate::view::{Look, view};
use crate::wire::date;
use crate::wire::envelope::Object;

/// CloudStack's word for what an address is that somebody holds.
pub fn state(ip: &PublicIp) -> &'static str {
    if ip.reserved { "Reserved" } else { "Allocated" }
}

/// Outgate's own: which of its network's source NAT addresses it is.
fn role(ip: &PublicIp) -> Option<&'static str> {
    ip.is_source_nat()
        .then_some(if ip.source_nat { "default" } else { "additional" })
}

/// Outgate's own: the addresses through which guests leave, the default first.
pub fn source_nat(look: &Look<'_>, realm: Realm) -> Option<Vec<String>> {
    let pool = look.view.source_nat_pool_of(realm);
    let addresses: Vec<_> = pool.iter().map(|ip| ip.address.to_string()).collect();
    (!addresses.is_empty()).then_some(addresses)
}

view! {
    /// An acquired or reserved public address.
    (look, ip: &PublicIp) {
        let range = look.view.get::<PublicIpRange>(ip.range);
        let network = ip.network.and_then(|id| look.view.get::<Network>(id));
        let guest = ip.static_nat.and_then(|s| look.view.get::<Guest>(s.guest));
    }
    "id" string = ip.id;
    "ipaddress" string = ip.address;
    "state" string = state(ip);
    "allocated" date = date::format(ip.created);
    "issourcenat" boolean = ip.is_source_nat();
    "sourcenatrole" string = role(ip);
    "isstaticnat" boolean = ip.static_nat.is_some();
    "forvirtualnetwork" boolean = true;
    "issystem" boolean = false;
    "isportable" boolean = false;
    "fordisplay" boolean = !ip.hidden;
    "hasrules" boolean = has_rules(look, ip);
    "hasannotations" boolean = false;
    "zoneid" string = ip.zone;
    "zonename" string = look.view.get::<Zone>(ip.zone).map(|z| &z.name);
    "vlanid" string = ip.range;
    "vlanname" string = range.map(|r| &r.vlan);
    "physicalnetworkid" string = range.map(|r| r.physical_network);
    "networkid" string = range.map(|r| r.physical_network);
    "vpcid" string = ip.vpc;
    "vpcname" string = ip.vpc.and_then(|id| look.view.get::<Vpc>(id)).map(|v| &v.name);
    "associatednetworkid" string = ip.network;
    "associatednetworkname" string = network.map(|n| &n.name);
    "virtualmachineid" string = ip.static_nat.map(|s| s.guest);
    "virtualmachinename" string = guest.map(|g| &g.name);
    "virtualmachinedisplayname" string = guest.map(|g| &g.display_name);
    "virtualmachinetype" string = ip.static_nat.map(|_| "User");
    "vmipaddress" string = ip.static_nat.map(|s| s.address);
    "tags" list = look.tags(PublicIp::NAME, ip.id.0);
    owned by ip.account;
}

/// An address of a range that nobody holds. It is no stored object; its id is made from range and address, always
/// the same: `reserveIpAddress` takes it.
pub fn render_free(look: &Look<'_>, range: &PublicIpRange, address: Ipv4Addr) -> Object {
    let mut object = Object::new();
    let zone = look.view.get::<Zone>(range.zone);
    super::put(&mut object, "id", range.free_id(address));
    super::put(&mut object, "ipaddress", address);
    super::put(&mut object, "state", "Free");
    for no in [
        "issourcenat",
        "isstaticnat",
        "issystem",
        "isportable",
        "hasrules",
        "hasannotations",
    ] {
        super::put(&mut object, no, false);
    }
    super::put(&mut object, "forvirtualnetwork", true);
    super::put(&mut object, "fordisplay", true);
    super::put(&mut object, "zoneid", range.zone);
    super::put(&mut object, "zonename", zone.map(|z| &z.name));
    super::put(&mut object, "vlanid", range.id);
    super::put(&mut object, "vlanname", &range.vlan);
    super::put(&mut object, "physicalnetworkid", range.physical_network);
    super::put(&mut object, "networkid", range.physical_network);
    super::put(&mut object, "tags", [""; 0]);
    object
}

fn has_rules(look: &Look<'_>, ip: &PublicIp) -> bool {
    look.view.firewall_rules_of_ip(ip.id).next().is_some()
        || look.view.forwards_of_ip(ip.id).next().is_some()
        || look.view.balancers_of_ip(ip.id).next().is_some()
        || look.view.ip_forwards_of_ip(ip.id).next().is_some()
}
