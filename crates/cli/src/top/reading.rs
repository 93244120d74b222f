// SPDX-License-Identifier: Apache-2.0
//! What the API tells of a network's or VPC's router at one moment, as `getSourceNatUsage` answers it. What an older
//! server does not tell is absent or zero.

use std::collections::BTreeMap;

use serde_json::Value;

/// A network or a VPC, which has one router.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The parameter that names it: `networkid`, `vpcid`.
    pub param: &'static str,
    /// Its id.
    pub id: String,
}

/// Packets and bytes, in from outside and out to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets in.
    pub packets_in: u64,
    /// Bytes in.
    pub bytes_in: u64,
    /// Packets out.
    pub packets_out: u64,
    /// Bytes out.
    pub bytes_out: u64,
}

/// A guest, with what it uses of all public addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guest {
    /// Its address.
    pub address: String,
    /// Its name; its address when the server knows none.
    pub name: String,
    /// Its sessions.
    pub sessions: u64,
    /// The public ports that they use.
    pub ports: u64,
    /// What they carried, by public address; absent where nobody counts.
    pub carried: BTreeMap<String, Carried>,
    /// Packets of the guest that limits refused.
    pub refused: u64,
}

/// How a protocol uses a public address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protocol {
    /// `tcp`.
    pub name: String,
    /// Sessions.
    pub sessions: u64,
    /// Different public ports among them.
    pub ports: u64,
    /// Destinations (`address:port`) and the ports in use towards each, the busiest first.
    pub destinations: Vec<(String, u64)>,
}

/// A public address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: String,
    /// Sessions.
    pub sessions: u64,
    /// Ports that there are towards one destination.
    pub limit: u64,
    /// Ports in use towards the busiest destination.
    pub used: u64,
    /// In how many seconds they run out: on all addresses of its source NAT pool, which take over for one another.
    pub lasts: Option<u64>,
    /// What is the matter, and what to do about it.
    pub remedy: Option<String>,
    /// By protocol.
    pub protocols: Vec<Protocol>,
    /// What it carried.
    pub carried: Carried,
}

/// The router's table of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Sessions in it.
    pub used: u64,
    /// How many there may be.
    pub limit: u64,
    /// In how many seconds it is full.
    pub lasts: Option<u64>,
}

/// The router's fast path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FastPath {
    /// `off`, `auto` or `required`.
    pub mode: String,
    /// Whether it runs.
    pub running: bool,
    /// Why it does not, though it should.
    pub reason: Option<String>,
    /// Packets that it carried.
    pub hits: u64,
    /// Packets that it left to the kernel.
    pub misses: u64,
}

/// One reading of one router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whose router it is.
    pub target: Target,
    /// Its router's id; none while none runs.
    pub router: Option<String>,
    /// When it was read, in milliseconds by the router's clock.
    pub millis: u64,
    /// Which life of the counters it is from.
    pub epoch: Option<u64>,
    /// Public addresses.
    pub addresses: Vec<Address>,
    /// Guests by address.
    pub guests: BTreeMap<String, Guest>,
    /// Dropped packets by reason, those of the table of sessions (`table ...`) among them.
    pub drops: BTreeMap<String, u64>,
    /// The table of sessions.
    pub table: Table,
    /// The fast path; none where it is off.
    pub fastpath: Option<FastPath>,
    /// Why there is no reading.
    pub silent: Option<String>,
}

/// What the table of sessions counts, and what `drops` calls it.
const TABLE_DROPS: [(&str, &str); 3] = [
    ("dropped", "table full"),
    ("insertfailed", "table insert"),
    ("earlydropped", "table early"),
];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn carried(value: &Value) -> Carried {
    Carried {
        packets_in: number(&value["receivedpackets"]),
        bytes_in: number(&value["receivedbytes"]),
        packets_out: number(&value["sentpackets"]),
        bytes_out: number(&value["sentbytes"]),
    }
}

impl Reading {
    /// A router that says nothing, and why.
    pub fn silent(target: &Target, reason: &str) -> Self {
        Self {
            silent: Some(reason.to_owned()),
            ..Self::of(target, &[])
        }
    }

    /// What `getSourceNatUsage` answered: an item for each public address.
    pub fn of(target: &Target, items: &[Value]) -> Self {
        // What is the router's stands in each item alike.
        let router = items.first().unwrap_or(&Value::Null);
        let table = &router["sessiontable"];
        let mut drops: BTreeMap<String, u64> = each(&router["drop"])
            .map(|drop| (text(&drop["reason"]), number(&drop["packets"])))
            .collect();
        for (key, name) in TABLE_DROPS {
            drops.insert(name.to_owned(), number(&table[key]));
        }
        let mut guests = BTreeMap::new();
        for item in items {
            let address = text(&item["ipaddress"]);
            for guest in each(&item["virtualmachine"]) {
                add_guest(&mut guests, &address, guest);
            }
        }
        // Only guests have an id there: a limit on what comes from outside names the public address.
        for refused in each(&router["refused"]).filter(|refused| refused["id"].is_string()) {
            guest(&mut guests, refused).refused += number(&refused["packets"]);
        }
        Self {
            target: target.clone(),
            router: router["routerid"].as_str().map(str::to_owned),
            millis: number(&router["readat"]),
            epoch: router["epoch"].as_u64(),
            addresses: items.iter().map(address).collect(),
            guests,
            drops: if items.is_empty() { BTreeMap::new() } else { drops },
            table: Table {
                used: number(&table["used"]),
                limit: number(&table["limit"]),
                lasts: table["exhaustedin"].as_u64(),
            },
            fastpath: router["fastpath"]
                .is_object()
                .then(|| fast_path(&router["fastpath"])),
            silent: items.is_empty().then(|| "no router runs".to_owned()),
        }
    }

    /// Sessions through all public addresses.
    pub fn sessions(&self) -> u64 {
        self.addresses.iter().map(|address| address.sessions).sum()
    }

    /// The address whose ports are nearest to their end.
    pub fn fullest(&self) -> Option<&Address> {
        self.addresses.iter().max_by_key(|address| address.used)
    }

    /// In how many seconds the first thing runs out, and what: `table`, or a public address.
    pub fn first_to_end(&self) -> Option<(u64, &str)> {
        let table = self.table.lasts.map(|lasts| (lasts, "table"));
        let ports = |a: &'_ Address| a.lasts.map(|lasts| (lasts, a.address.clone()));
        let first = self.addresses.iter().filter_map(ports).min();
        let first = first.and_then(|(lasts, address)| {
            let found = self.addresses.iter().find(|a| a.address == address)?;
            Some((lasts, found.address.as_str()))
        });
        [table, first].into_iter().flatten().min()
    }
}

/// The guest that an object with `ipaddress` and `name` is about.
fn guest<'a>(guests: &'a mut BTreeMap<String, Guest>, value: &Value) -> &'a mut Guest {
    let address = text(&value["ipaddress"]);
    guests.entry(address.clone()).or_insert_with(|| Guest {
        name: value["name"].as_str().unwrap_or(&address).to_owned(),
        address,
        ..Guest::default()
    })
}

/// A guest may leave through several addresses: it is one row.
fn add_guest(guests: &mut BTreeMap<String, Guest>, public: &str, value: &Value) {
    let guest = guest(guests, value);
    guest.sessions += number(&value["sessions"]);
    guest.ports += number(&value["portsused"]);
    if value["receivedbytes"].is_u64() {
        guest.carried.insert(public.to_owned(), carried(value));
    }
}

fn address(item: &Value) -> Address {
    let protocol = |value: &Value| Protocol {
        name: text(&value["protocol"]),
        sessions: number(&value["sessions"]),
        ports: number(&value["portsused"]),
        destinations: each(&value["destination"])
            .map(|d| {
                let end = format!("{}:{}", text(&d["ipaddress"]), number(&d["port"]));
                (end, number(&d["portsused"]))
            })
            .collect(),
    };
    Address {
        address: text(&item["ipaddress"]),
        sessions: number(&item["sessions"]),
        limit: number(&item["portlimit"]),
        used: number(&item["portsused"]),
        lasts: match item["pooladdresses"].as_u64() {
            // An older server says nothing of pools.
            None | Some(0 | 1) => item["exhaustedin"].as_u64(),
            Some(_) => item["poolexhaustedin"].as_u64(),
        },
        remedy: item["remedy"].as_str().map(str::to_owned),
        protocols: each(&item["protocol"]).map(protocol).collect(),
        carried: carried(item),
    }
}

fn fast_path(value: &Value) -> FastPath {
    FastPath {
        mode: text(&value["mode"]),
        running: value["running"] == true,
        reason: value["reason"].as_str().map(str::to_owned),
        hits: number(&value["hits"]),
        misses: number(&value["misses"]),
    }
}
