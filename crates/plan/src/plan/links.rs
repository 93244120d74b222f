// SPDX-License-Identifier: Apache-2.0
//! Interfaces and their addresses.

use std::collections::{BTreeMap, BTreeSet};

use outgate_model::RouterSpec;

use crate::router_plan::Link;

/// Ethernet's MTU: the control network carries SSH and nothing else, so it needs no setting of its own.
const CONTROL_MTU: u32 = 1500;

pub(super) fn links(spec: &RouterSpec) -> BTreeMap<String, Link> {
    let control = Link {
        mac: spec.control.mac,
        mtu: CONTROL_MTU,
        up: true,
        addresses: BTreeSet::from([spec.control.address]),
    };
    let public = Link {
        mac: spec.public.mac,
        mtu: spec.public.mtu,
        up: true,
        addresses: spec.public.addresses.iter().map(|a| a.address).collect(),
    };
    let guests = spec.guest_networks.iter().map(|n| {
        let link = Link {
            mac: n.mac,
            mtu: n.mtu,
            up: true,
            addresses: BTreeSet::from([n.gateway]),
        };
        (n.interface.clone(), link)
    });
    let gateways = spec.private_gateways().iter().map(|g| {
        let link = Link {
            mac: g.mac,
            mtu: g.mtu,
            up: true,
            addresses: BTreeSet::from([g.address]),
        };
        (g.interface.clone(), link)
    });
    let fixed = [
        (spec.control.interface.clone(), control),
        (spec.public.interface.clone(), public),
    ];
    fixed.into_iter().chain(guests).chain(gateways).collect()
}
