// SPDX-License-Identifier: Apache-2.0
//! Routers: their state, and what they said when they were last read.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use outgate_metrics::Page;
use outgate_metrics::catalog as m;
use outgate_model::Realm;
use outgate_model::id::RouterId;
use outgate_model::object::{Account, Host, Power, RedundantState, Router, RouterState, Zone};
use outgate_model::stats::{AddressUse, Census, PORTS, RouterStats, RouterWork, Traffic};

use super::seconds;
use crate::insight::{Pool, Reading, Samples, protocol_name};
use crate::mirror::View;

pub(super) fn write(
    view: &View<'_>,
    readings: &BTreeMap<RouterId, Reading>,
    samples: &Samples,
    page: &mut Page,
) {
    for router in view.all::<Router>() {
        state(view, router, page);
        health(view, router, page);
        let Some(Reading { at, stats, .. }) = readings.get(&router.id) else {
            continue;
        };
        page.put(&m::ROUTER_READ, [&router.name], seconds(*at));
        sessions(router, stats, samples, page);
        drops(&router.name, stats, page);
        work(&router.name, &stats.work, page);
        traffic(&router.name, stats, page);
        for address in stats.census.iter().flat_map(|census| &census.addresses) {
            ports(router, address, samples, page);
        }
        let names = names(view, router);
        refused(&router.name, &names, stats, page);
        if let Some(census) = &stats.census {
            pool(view, router, census, samples, page);
            guests(router, &names, census, page);
        }
    }
}

fn state(view: &View<'_>, router: &Router, page: &mut Page) {
    let name = router.name.as_str();
    let standing = view.standing(router.realm);
    let seen = view.router_observed(router.id);
    let kind = match router.realm {
        Realm::Network(_) => "network",
        Realm::Vpc(_) => "vpc",
    };
    let info = [
        name,
        &router.id.to_string(),
        view.get::<Zone>(router.zone).map_or("", |zone| &zone.name),
        view.get::<Account>(router.account)
            .map_or("", |account| &account.name),
        kind,
        standing.as_ref().map_or("", |standing| &standing.name),
        view.get::<Host>(router.host).map_or("", |host| &host.name),
        seen.and_then(|seen| seen.version.as_deref()).unwrap_or(""),
    ];
    page.put(&m::ROUTER_INFO, info, 1_u64);
    let now = view.router_state(router);
    let wanted = router.power == Power::On;
    page.put(&m::ROUTER_WANTED, [name], wanted);
    page.put(&m::ROUTER_UP, [name], now == RouterState::Running);
    for state in RouterState::ALL {
        page.put(&m::ROUTER_STATE, [name, state.name()], state == now);
    }
    let redundant = view.redundant_state(router);
    for state in RedundantState::ALL {
        page.put(&m::ROUTER_REDUNDANT, [name, state.name()], state == redundant);
    }
    if let (true, Some(standing)) = (wanted, standing) {
        let applied = seen.map_or(0, |seen| seen.generation);
        page.put(
            &m::ROUTER_BEHIND,
            [name],
            standing.generation.saturating_sub(applied),
        );
    }
}

fn health(view: &View<'_>, router: &Router, page: &mut Page) {
    let Some(health) = view.router_health(router.id) else {
        return;
    };
    page.put(&m::ROUTER_HEALTH_TIME, [&router.name], seconds(health.at));
    for check in &health.checks {
        page.put(&m::ROUTER_HEALTH, [&router.name, &check.name], check.success);
    }
}

fn sessions(router: &Router, stats: &RouterStats, samples: &Samples, page: &mut Page) {
    let (name, table) = (router.name.as_str(), &stats.table);
    page.put(&m::SESSIONS, [name], table.sessions);
    page.put(&m::SESSIONS_LIMIT, [name], table.limit);
    if let Some(secs) = samples.sessions_last(router.id, table.limit) {
        page.put(&m::SESSIONS_LAST, [name], secs);
    }
}

fn drops(name: &str, stats: &RouterStats, page: &mut Page) {
    let table = &stats.table;
    for (reason, count) in [
        ("conntrack_insert_failed", table.insert_failed),
        ("conntrack_full", table.dropped),
    ] {
        page.put(&m::DROPS, [name, reason], count);
    }
    for dropped in &stats.dropped {
        page.put(&m::DROPS, [name, dropped.reason.name()], dropped.packets);
    }
    page.put(&m::EARLY_DROPS, [name], table.early_dropped);
    for drops in &stats.drops {
        for (direction, count) in [("receive", drops.received), ("transmit", drops.sent)] {
            page.put(&m::INTERFACE_DROPS, [name, &drops.interface, direction], count);
        }
    }
}

/// What limits have refused: in all, and of whom most.
fn refused(router: &str, names: &Names<'_>, stats: &RouterStats, page: &mut Page) {
    for refused in &stats.refused {
        let limit = refused.reason.name();
        page.put(&m::REFUSED, [router, limit], refused.packets);
        let guests = refused.addresses.iter().take(m::GUESTS_OF_ROUTER);
        for (address, packets) in guests.filter(|_| refused.reason.is_of_guests()) {
            let guest = names.get(address).copied().unwrap_or_default();
            page.put(
                &m::GUEST_REFUSED,
                [router, guest, &address.to_string(), limit],
                *packets,
            );
        }
    }
}

fn pool(view: &View<'_>, router: &Router, census: &Census, samples: &Samples, page: &mut Page) {
    let (name, pool) = (router.name.as_str(), Pool::of(view, router));
    page.put(&m::POOL_BUSIEST, [name], pool.fullest(census));
    page.put(&m::POOL_LIMIT, [name], pool.ports());
    if let Some(secs) = samples.pool_lasts(router.id, &pool) {
        page.put(&m::POOL_LAST, [name], secs);
    }
}

fn work(name: &str, work: &RouterWork, page: &mut Page) {
    page.put(&m::APPLIES, [name], work.applies);
    page.put(&m::REPAIRS, [name], work.repairs);
    page.put(&m::REPAIR_FAILURES, [name], work.repair_failures);
    page.put(&m::NAT_RECORDS, [name], work.nat_log.written);
    page.put(&m::NAT_LOST, [name], work.nat_log.lost);
    if let Some(fast_path) = &work.fast_path {
        page.put(&m::FAST_PATH, [name], fast_path.running);
        for (way, count) in fast_path.packets() {
            page.put(&m::FAST_PATH_PACKETS, [name, way], count);
        }
    }
}

fn traffic(name: &str, stats: &RouterStats, page: &mut Page) {
    for seen in &stats.addresses {
        let address = seen.address.to_string();
        for (way, bytes, packets) in ways(&seen.traffic) {
            page.put(&m::ADDRESS_BYTES, [name, &address, way], bytes);
            page.put(&m::ADDRESS_PACKETS, [name, &address, way], packets);
        }
    }
}

fn ports(router: &Router, used: &AddressUse, samples: &Samples, page: &mut Page) {
    let (name, address) = (router.name.as_str(), used.address.to_string());
    page.put(&m::ADDRESS_SESSIONS, [name, &address], used.sessions);
    page.put(&m::ADDRESS_LIMIT, [name, &address], PORTS);
    if let Some(secs) = samples.ports_last(router.id, used.address) {
        page.put(&m::ADDRESS_LAST, [name, &address], secs);
    }
    for protocol in &used.protocols {
        let labels = [name, &address, &protocol_name(protocol.protocol)];
        let busiest = protocol
            .busiest
            .first()
            .map_or(0, |destination| destination.ports);
        page.put(&m::ADDRESS_PORTS, labels, protocol.ports);
        page.put(&m::ADDRESS_BUSIEST, labels, busiest);
    }
}

/// Guests' names by their addresses.
type Names<'a> = HashMap<Ipv4Addr, &'a str>;

fn names<'a>(view: &'a View<'_>, router: &Router) -> Names<'a> {
    let networks = view.networks_of_realm(router.realm);
    let guests = networks
        .iter()
        .flat_map(|network| view.guests_of_network(network.id));
    guests
        .flat_map(|guest| guest.nics.iter().map(|nic| (nic.address, guest.name.as_str())))
        .collect()
}

/// The guests with the most sessions, through whatever addresses.
fn guests(router: &Router, names: &Names<'_>, census: &Census, page: &mut Page) {
    let mut sessions: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
    for guest in census.addresses.iter().flat_map(|address| &address.guests) {
        *sessions.entry(guest.address).or_default() += guest.sessions;
    }
    if sessions.is_empty() {
        return;
    }
    let mut busiest: Vec<_> = sessions.into_iter().collect();
    busiest.sort_by_key(|(address, sessions)| (std::cmp::Reverse(*sessions), *address));
    for (address, sessions) in busiest.into_iter().take(m::GUESTS_OF_ROUTER) {
        let guest = names.get(&address).copied().unwrap_or_default();
        let inside = address.to_string();
        page.put(&m::GUEST_SESSIONS, [&router.name, guest, &inside], sessions);
        for used in &census.addresses {
            let its = used.guests.iter().find(|of| of.address == address);
            let Some(carried) = its.and_then(|its| its.traffic) else {
                continue;
            };
            let public = used.address.to_string();
            for (way, bytes, packets) in ways(&carried) {
                let labels = [router.name.as_str(), guest, &inside, &public, way];
                page.put(&m::GUEST_BYTES, labels, bytes);
                page.put(&m::GUEST_PACKETS, labels, packets);
            }
        }
    }
}

/// Bytes and packets by direction.
fn ways(seen: &Traffic) -> [(&'static str, u64, u64); 2] {
    [
        ("in", seen.bytes_in, seen.packets_in),
        ("out", seen.bytes_out, seen.packets_out),
    ]
}
