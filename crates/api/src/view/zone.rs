// SPDX-License-Identifier: Apache-2.0
//! `zone`.

use outgate_model::object::Zone;

use crate::view::{state_name, view};

view! {
    /// A zone.
    (_look, zone: &Zone) {}
    "id" string = zone.id;
    "name" string = &zone.name;
    "domain" string = &zone.network_domain;
    "networktype" string = "Advanced";
    "securitygroupsenabled" boolean = false;
    "localstorageenabled" boolean = true;
    "allocationstate" string = state_name(zone.disabled);
    "type" string = "Core";
    "dns1" string = zone.dns.first();
    "dns2" string = zone.dns.get(1);
    "internaldns1" string = zone.internal_dns.first();
    "internaldns2" string = zone.internal_dns.get(1);
    "guestcidraddress" string = zone.guest_cidr;
    "dhcpprovider" string = "VirtualRouter";
    "zonetoken" string = zone.id;
    "allowuserspecifyvrmtu" boolean = false;
    "routerpublicinterfacemaxmtu" integer = zone.public_mtu;
    "routerprivateinterfacemaxmtu" integer = zone.public_mtu;
    "tags" list = [""; 0];
    // Filled with showcapacities=true.
    "capacity" list = None::<[u8; 0]>;
}
