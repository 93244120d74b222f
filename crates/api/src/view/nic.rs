// SPDX-License-Identifier: Apache-2.0
//! `nic`, of guests (`listNics`, `listVirtualMachines`) and of routers.

use outgate_model::MacAddr;
use outgate_model::object::{Guest, Network, Nic, SecondaryIp, Vpc};
use serde_json::{Value, json};

use crate::view::view;
use crate::wire::envelope::Object;

/// A NIC with the guest whose it is.
#[derive(Debug, Clone, Copy)]
pub struct GuestNic<'a> {
    /// The guest.
    pub guest: &'a Guest,
    /// The NIC.
    pub nic: &'a Nic,
}

impl<'a> GuestNic<'a> {
    /// Each NIC of a guest, the default one first.
    pub fn each(guest: &'a Guest) -> impl Iterator<Item = Self> {
        guest.nics.iter().map(move |nic| Self { guest, nic })
    }
}

view! {
    /// A guest's NIC.
    (look, at: GuestNic<'_>) {
        let network = look.view.get::<Network>(at.nic.network);
        let default = at.guest.nics.first().is_some_and(|first| first.id == at.nic.id);
        let vpc = network.and_then(|n| n.tier.as_ref()).map(|tier| tier.vpc);
        let secondary = |ip: &SecondaryIp| json!({ "id": ip.id, "ipaddress": ip.address });
        let public = look.view.static_nat_of_guest(at.guest.id).find(|ip| {
            ip.static_nat.is_some_and(|s| s.nic == at.nic.id)
        });
    }
    "id" string = at.nic.id;
    "networkid" string = at.nic.network;
    "networkname" string = network.map(|n| &n.name);
    "vpcid" string = vpc;
    "vpcname" string = vpc.and_then(|id| look.view.get::<Vpc>(id)).map(|v| &v.name);
    "ipaddress" string = at.nic.address;
    "netmask" string = network.map(|n| n.gateway.netmask());
    "gateway" string = network.map(|n| n.gateway.addr());
    "macaddress" string = at.nic.mac;
    "isdefault" boolean = default;
    "deviceid" string = at.nic.device.to_string();
    "type" string = "Isolated";
    "traffictype" string = "Guest";
    "broadcasturi" string = network.map(|n| format!("vlan://{}", n.number));
    "isolationuri" string = network.map(|n| format!("vlan://{}", n.number));
    "mtu" integer = network.map(|n| n.mtu);
    "publicip" string = public.map(|ip| ip.address);
    "publicipid" string = public.map(|ip| ip.id);
    "virtualmachineid" string = at.guest.id;
    "secondaryip" list = at.nic.secondary.iter().map(secondary).collect::<Vec<_>>();
    "extradhcpoption" list = [""; 0];
}

/// One side of a router, as its `nic[]` says it.
#[derive(Debug, Clone, Copy)]
pub struct RouterNic<'a> {
    /// `Guest`, `Control` or `Public`.
    pub traffic_type: &'a str,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// Its netmask.
    pub netmask: std::net::Ipv4Addr,
    /// The gateway on that side.
    pub gateway: Option<std::net::Ipv4Addr>,
    /// The guest network, on the guest side.
    pub network: Option<&'a Network>,
}

/// A router's NIC; `device` is 0 for eth0.
pub fn render_router(router: &outgate_model::object::Router, device: usize, nic: RouterNic<'_>) -> Value {
    let mut object = Object::new();
    super::put(&mut object, "id", nic_id(router.id.0, device));
    super::put(&mut object, "networkid", nic.network.map(|n| n.id));
    super::put(&mut object, "networkname", nic.network.map(|n| &n.name));
    super::put(&mut object, "ipaddress", nic.address);
    super::put(&mut object, "netmask", nic.netmask);
    super::put(&mut object, "gateway", nic.gateway);
    super::put(&mut object, "macaddress", nic.mac);
    super::put(&mut object, "isdefault", nic.traffic_type == "Public");
    super::put(&mut object, "deviceid", device.to_string());
    super::put(&mut object, "type", nic.network.map(|_| "Isolated"));
    super::put(&mut object, "traffictype", nic.traffic_type);
    object.insert("secondaryip".to_owned(), json!([]));
    Value::Object(object)
}

/// A router's NICs are no stored objects: their ids are the router's with the last byte changed.
fn nic_id(router: uuid::Uuid, device: usize) -> uuid::Uuid {
    let mut bytes = *router.as_bytes();
    bytes[15] ^= u8::try_from(device + 1).unwrap_or(u8::MAX);
    uuid::Uuid::from_bytes(bytes)
}
