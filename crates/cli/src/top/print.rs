// SPDX-License-Identifier: Apache-2.0
//! A snapshot without a screen: tables, or one line of JSON. The names are the API's, with `persecond` behind rates.

use serde_json::{Map, Value, json};

use super::grid;
use super::rates::Rate;
use super::reading::{Address, Guest};
use super::state::{State, View, Watched};
use crate::output;

/// Prints the tables.
pub fn tables(state: &State) -> anyhow::Result<()> {
    for view in [View::Overview, View::Guests, View::Addresses, View::Drops] {
        let grid = grid::of(state, view);
        let titles: Vec<&str> = grid.titles.iter().map(|(title, _)| *title).collect();
        let mut table = output::table(&titles);
        for row in grid.rows {
            table.add_row(row.cells.into_iter().map(|cell| cell.text));
        }
        output::line(output::strong(view.name()))?;
        output::show(table)?;
        output::line("")?;
    }
    Ok(())
}

/// The snapshot as a JSON object.
pub fn json(state: &State) -> Value {
    let alerts = state.alerts.iter();
    let alerts = alerts.map(|(at, what)| json!({"sent": at, "description": what}));
    json!({
        "at": jiff::Timestamp::now().to_string(),
        "network": state.watched.values().map(network).collect::<Vec<_>>(),
        "alert": alerts.collect::<Vec<_>>(),
    })
}

fn network(watched: &Watched) -> Value {
    let now = &watched.now;
    let rates = watched.rates.as_ref();
    let address = |address: &Address| {
        let of = rates.and_then(|rates| rates.addresses.get(&address.address));
        with_rate(address_json(address), of)
    };
    let guest = |guest: &Guest| {
        let of = rates.and_then(|rates| rates.guests.get(&guest.address));
        let told = json!({
            "name": guest.name,
            "ipaddress": guest.address,
            "sessions": guest.sessions,
            "portsused": guest.ports,
            "refusedpackets": guest.refused,
            "refusedpacketspersecond": rates.and_then(|rates| rates.refused.get(&guest.address)).copied().flatten(),
        });
        with_rate(told, of)
    };
    let drop = |(reason, packets): (&String, &u64)| {
        let now = rates.and_then(|rates| rates.drops.get(reason)).copied().flatten();
        json!({"reason": reason, "packets": packets, "packetspersecond": now})
    };
    let fast = now.fastpath.as_ref().map(|fast| {
        json!({
            "mode": fast.mode,
            "running": fast.running,
            "reason": fast.reason,
            "share": rates.and_then(|rates| rates.fast_share),
        })
    });
    json!({
        "name": now.target.name,
        "id": now.target.id,
        "routerid": now.router,
        "error": now.silent,
        "sessions": now.sessions(),
        "sessiontable": {
            "used": now.table.used,
            "limit": now.table.limit,
            "exhaustedin": now.table.lasts,
        },
        "fastpath": fast,
        "address": now.addresses.iter().map(address).collect::<Vec<_>>(),
        "virtualmachine": now.guests.values().map(guest).collect::<Vec<_>>(),
        "drop": now.drops.iter().map(drop).collect::<Vec<_>>(),
    })
}

fn address_json(address: &Address) -> Value {
    let protocols = address.protocols.iter().map(|protocol| {
        let destinations = protocol.destinations.iter();
        let destinations = destinations.map(|(to, ports)| json!({"destination": to, "portsused": ports}));
        json!({
            "protocol": protocol.name,
            "sessions": protocol.sessions,
            "portsused": protocol.ports,
            "destination": destinations.collect::<Vec<_>>(),
        })
    });
    json!({
        "ipaddress": address.address,
        "sessions": address.sessions,
        "portlimit": address.limit,
        "portsused": address.used,
        "exhaustedin": address.lasts,
        "remedy": address.remedy,
        "protocol": protocols.collect::<Vec<_>>(),
    })
}

/// What is not known is null.
fn with_rate(mut told: Value, rate: Option<&Rate>) -> Value {
    let rate = rate.copied().unwrap_or_default();
    let rates: Map<String, Value> = [
        ("receivedpacketspersecond", rate.packets_in),
        ("receivedbytespersecond", rate.bytes_in),
        ("sentpacketspersecond", rate.packets_out),
        ("sentbytespersecond", rate.bytes_out),
    ]
    .into_iter()
    .map(|(name, rate)| (name.to_owned(), json!(rate)))
    .collect();
    if let Some(object) = told.as_object_mut() {
        object.extend(rates);
    }
    told
}
