// SPDX-License-Identifier: Apache-2.0
//! `nicsecondaryip`.

use outgate_manager::Stored;
use outgate_model::object::{Guest, Nic, SecondaryIp};

use crate::view::view;

view! {
    /// A secondary address, with whose it is.
    (_look, at: (&Stored<Guest>, &Nic, SecondaryIp)) {
        let (guest, nic, ip) = at;
    }
    "id" string = ip.id;
    "ipaddress" string = ip.address;
    "networkid" string = nic.network;
    "nicid" string = nic.id;
    "virtualmachineid" string = guest.id;
}
