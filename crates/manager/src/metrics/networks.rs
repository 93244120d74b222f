// SPDX-License-Identifier: Apache-2.0
//! Networks and tiers: what they are, and what crossed the public side for them.

use std::collections::BTreeMap;

use outgate_metrics::Page;
use outgate_metrics::catalog as m;
use outgate_model::id::RouterId;
use outgate_model::object::{Account, Network, Router, Zone};

use crate::insight::Reading;
use crate::mirror::View;

pub(super) fn write(view: &View<'_>, readings: &BTreeMap<RouterId, Reading>, page: &mut Page) {
    for network in view.all::<Network>() {
        let id = network.id.to_string();
        let router = view.router_of(network.realm());
        let labels = [
            id.as_str(),
            network.name.as_str(),
            view.get::<Zone>(network.zone).map_or("", |zone| &zone.name),
            view.get::<Account>(network.account)
                .map_or("", |account| &account.name),
            view.network_state(network).name(),
            router.map_or("", |router| &router.name),
        ];
        page.put(&m::NETWORK_INFO, labels, 1_u64);
        page.put(
            &m::NETWORK_GUESTS,
            [&id],
            view.guests_of_network(network.id).count(),
        );
    }
    for (router, reading) in readings {
        let Some(router) = view.get::<Router>(*router) else {
            continue;
        };
        for used in reading.stats.census.iter().flat_map(|census| &census.networks) {
            let id = used.network.to_string();
            page.put(&m::NETWORK_SESSIONS, [&id, &router.name], used.sessions);
        }
        for network in &reading.stats.networks {
            let (id, seen) = (network.network.to_string(), &network.traffic);
            for (way, bytes, packets) in [
                ("in", seen.bytes_in, seen.packets_in),
                ("out", seen.bytes_out, seen.packets_out),
            ] {
                page.put(&m::NETWORK_BYTES, [&id, &router.name, way], bytes);
                page.put(&m::NETWORK_PACKETS, [&id, &router.name, way], packets);
            }
        }
    }
}
