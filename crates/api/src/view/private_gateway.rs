// SPDX-License-Identifier: Apache-2.0
//! `privategateway`.

use outgate_model::object::{NetworkAclList, PrivateGateway, Vpc, Zone};

use crate::view::view;

/// `vlan`.
pub fn vlan(gateway: &PrivateGateway) -> String {
    format!("vlan://{}", gateway.vlan)
}

view! {
    /// A private gateway.
    (look, gateway: &PrivateGateway) {
        let acl = look.view.get::<NetworkAclList>(gateway.acl);
    }
    "id" string = gateway.id;
    "gateway" string = gateway.gateway;
    "ipaddress" string = gateway.address.addr();
    "netmask" string = gateway.address.netmask();
    "vlan" string = vlan(gateway);
    "physicalnetworkid" string = gateway.physical_network;
    "vpcid" string = gateway.vpc;
    "vpcname" string = look.view.get::<Vpc>(gateway.vpc).map(|v| &v.name);
    "zoneid" string = gateway.zone;
    "zonename" string = look.view.get::<Zone>(gateway.zone).map(|z| &z.name);
    "aclid" string = gateway.acl;
    "aclname" string = acl.map(|a| &a.name);
    "sourcenatsupported" boolean = gateway.source_nat;
    "state" string = "Ready";
    "hasannotations" boolean = false;
    owned by gateway.account;
}
