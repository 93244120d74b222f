// SPDX-License-Identifier: Apache-2.0
//! `virtualmachine`.

use outgate_model::key::Object as _;
use outgate_model::object::{Guest, Host, Power, ServiceOffering, Template, Zone};

use crate::view::nic::{self, GuestNic};
use crate::view::view;
use crate::wire::date;

view! {
    /// A guest.
    (look, guest: &Guest) {
        let template = look.view.get::<Template>(guest.template);
        let size = look.view.get::<ServiceOffering>(guest.service_offering);
        let host = look.view.get::<Host>(guest.host);
        let shown = host.filter(|_| look.caller.admin() && guest.power == Power::On);
        let public = look.view.static_nat_of_guest(guest.id).next();
    }
    "id" string = guest.id;
    "name" string = &guest.name;
    "displayname" string = &guest.display_name;
    "instancename" string = look.caller.admin().then_some(&guest.instance_name);
    "created" date = date::format(guest.created);
    "state" string = look.view.guest_state(guest).name();
    "zoneid" string = guest.zone;
    "zonename" string = look.view.get::<Zone>(guest.zone).map(|z| &z.name);
    "hostid" string = shown.map(|h| h.id);
    "hostname" string = shown.map(|h| &h.name);
    "hypervisor" string = host.map(|h| &h.hypervisor);
    "templateid" string = guest.template;
    "templatename" string = template.map(|t| &t.name);
    "templatedisplaytext" string = template.map(|t| &t.display_text);
    "osdisplayname" string = template.map(|t| &t.os_type);
    "serviceofferingid" string = guest.service_offering;
    "serviceofferingname" string = size.map(|s| &s.name);
    "cpunumber" integer = size.map(|s| s.cpu_number);
    "cpuspeed" integer = size.map(|s| s.cpu_speed_mhz);
    "memory" integer = size.map(|s| s.memory_mib);
    "ipaddress" string = guest.nics.first().map(|n| n.address);
    "publicip" string = public.map(|ip| ip.address);
    "publicipid" string = public.map(|ip| ip.id);
    "nic" list = GuestNic::each(guest).map(|n| nic::render(look, n)).collect::<Vec<_>>();
    "haenable" boolean = false;
    "passwordenabled" boolean = false;
    "displayvm" boolean = true;
    "isdynamicallyscalable" boolean = false;
    "deleteprotection" boolean = false;
    "hasannotations" boolean = false;
    "vmtype" string = "User";
    "affinitygroup" list = [""; 0];
    "securitygroup" list = [""; 0];
    "tags" list = look.tags(Guest::NAME, guest.id.0);
    owned by guest.account;
}
