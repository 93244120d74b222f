// SPDX-License-Identifier: Apache-2.0
//! `vlan`: a public IP range. In lists the same object is called `vlaniprange`.

use outgate_manager::View;
use outgate_model::object::{Account, Dedicated, Domain, PublicIpRange};

use crate::view::{Owner, view};

/// For whom a range is kept; nobody when it is everybody's.
fn owner(look: &crate::view::Look<'_>, range: &PublicIpRange) -> Owner {
    match dedicated(look.view, range) {
        None => Owner::default(),
        Some(Dedicated::Account(id)) => look.owner(id),
        Some(Dedicated::Domain(id)) => {
            let domain = look.view.get::<Domain>(id);
            Owner {
                domain: domain.map(|d| d.name.clone()),
                domain_id: Some(id.to_string()),
                domain_path: domain.map(|d| d.path.clone()),
                ..Owner::default()
            }
        }
    }
}

/// Whom a range is kept for, unless they are gone.
pub fn dedicated(view: &View<'_>, range: &PublicIpRange) -> Option<Dedicated> {
    range.dedicated.filter(|dedicated| match dedicated {
        Dedicated::Account(id) => view.get::<Account>(*id).is_some(),
        Dedicated::Domain(id) => view.get::<Domain>(*id).is_some(),
    })
}

view! {
    /// A public IP range.
    (look, range: &PublicIpRange) {
        let owner = owner(look, range);
    }
    "id" string = range.id;
    "zoneid" string = range.zone;
    "physicalnetworkid" string = range.physical_network;
    "networkid" string = range.physical_network;
    "vlan" string = &range.vlan;
    "gateway" string = range.gateway.addr();
    "netmask" string = range.gateway.netmask();
    "cidr" string = range.gateway.trunc();
    "startip" string = range.range.first();
    "endip" string = range.range.last();
    "description" string = format!("{}-{}", range.range.first(), range.range.last());
    "forvirtualnetwork" boolean = true;
    "forsystemvms" boolean = false;
    owned by owner;
}
