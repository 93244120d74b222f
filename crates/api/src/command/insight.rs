// SPDX-License-Identifier: Apache-2.0
//! What routers know: their sessions, how full their public addresses are, their health. The first two are Outgate's
//! own commands, in CloudStack's style.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use outgate_manager::View;
use outgate_manager::insight::{AddressCapacity, Capacity, protocol_name, protocol_number};
use outgate_model::id::{GuestId, NetworkId, PublicIpId, RouterId, VpcId};
use outgate_model::object::{Guest, Network, PublicIp, Router, Vpc};
use outgate_model::refusal::Refusal;
use outgate_model::stats::{FastPathStatus, PORTS, ProtocolUse, SessionEntry, SessionQuery, Traffic, Way};
use outgate_model::{Realm, object};
use serde_json::{Value, json};

use super::{Answers, Call, Command, Refused, list};
use crate::view::{self, Field};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "listRouterSessions",
        "Lists the sessions that a router tracks, with their translation. Outgate's own command.",
        &[TARGET, FILTERS, PAGES],
        Answers::List("routersession", SESSION),
        |call| Box::pin(sessions(call)),
    ),
    Command::act(
        "getSourceNatUsage",
        "Tells how full public addresses are: ports in use by protocol and destination, for how long they last, who uses \
         them, and what to do. Outgate's own command.",
        &[TARGET, ADDRESS],
        Answers::List("sourcenatusage", USAGE),
        |call| Box::pin(usage(call)),
    ),
    Command::act(
        "getRouterHealthCheckResults",
        "Tells what the health checks of a router found.",
        &[HEALTH],
        Answers::One("routerhealthchecks", HEALTH_RESULTS),
        |call| Box::pin(health(call)),
    )
    .for_domain_admins(),
];

const TARGET: &[Param] = &[
    Param::optional(
        "routerid",
        Kind::Uuid(Of::Router),
        "the router; or networkid, or vpcid",
    ),
    Param::optional("networkid", Kind::Uuid(Of::Network), "the network or tier"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "the VPC"),
];

const FILTERS: &[Param] = &[
    Param::optional(
        "virtualmachineid",
        Kind::Uuid(Of::Guest),
        "sessions of this guest on the network",
    ),
    Param::optional(
        "insideipaddress",
        Kind::Address,
        "sessions of this inside address",
    ),
    Param::optional(
        "publicipaddress",
        Kind::Address,
        "sessions through this public address",
    ),
    Param::optional(
        "destinationipaddress",
        Kind::Address,
        "sessions with this address outside",
    ),
    Param::optional("protocol", Kind::Text(16), "tcp, udp, icmp or a number"),
    Param::optional("port", Kind::Port, "sessions with this port at any end"),
];

/// Sessions have no name, so no keyword.
const PAGES: &[Param] = &[list::PAGED[1], list::PAGED[2]];

const ADDRESS: &[Param] = &[Param::optional(
    "ipaddressid",
    Kind::Uuid(Of::Address),
    "only this public address",
)];

const HEALTH: &[Param] = &[
    Param::required("routerid", Kind::Uuid(Of::Router), "the router"),
    Param::optional(
        "performfreshchecks",
        Kind::Bool,
        "whether they are run now; else what the last run found is told",
    ),
];

const SESSION: &[Field] = &[
    ("routerid", "string"),
    ("direction", "string"),
    ("protocol", "string"),
    ("insideipaddress", "string"),
    ("insideport", "integer"),
    ("publicipaddress", "string"),
    ("publicport", "integer"),
    ("destinationipaddress", "string"),
    ("destinationport", "integer"),
    ("virtualmachineid", "string"),
    ("virtualmachinename", "string"),
    ("state", "string"),
    ("answered", "boolean"),
    ("age", "integer"),
    ("timeout", "integer"),
    ("receivedbytes", "integer"),
    ("sentbytes", "integer"),
    ("receivedpackets", "integer"),
    ("sentpackets", "integer"),
];

const USAGE: &[Field] = &[
    ("ipaddress", "string"),
    ("ipaddressid", "string"),
    ("routerid", "string"),
    ("sessions", "integer"),
    ("portlimit", "integer"),
    ("portsused", "integer"),
    ("percentused", "integer"),
    ("pooladdresses", "integer"),
    ("poolpercentused", "integer"),
    ("exhaustedin", "integer"),
    ("poolexhaustedin", "integer"),
    ("remedy", "string"),
    ("protocol", "list"),
    ("virtualmachine", "list"),
    ("receivedbytes", "integer"),
    ("sentbytes", "integer"),
    ("receivedpackets", "integer"),
    ("sentpackets", "integer"),
    ("network", "list"),
    ("sessiontable", "map"),
    ("drop", "list"),
    ("refused", "list"),
    ("fastpath", "map"),
    ("readat", "integer"),
    ("epoch", "integer"),
];

const HEALTH_RESULTS: &[Field] = &[("routerid", "string"), ("healthchecks", "list")];

/// The router that the parameters lead to; `None` when the network has none. Errors (431) when they lead nowhere, or to
/// what is not the caller's.
fn target(call: &Call<'_>) -> Result<Option<RouterId>, ApiError> {
    let (view, params) = (call.manager.view(), &call.params);
    let seen = |name: &str, id: uuid::Uuid, account: Option<outgate_model::id::AccountId>| {
        let fine = account.is_some_and(|account| call.caller.may(&view, account));
        let no_such = || ApiError::no_such(params.command(), name, &id.to_string());
        fine.then_some(()).ok_or_else(no_such)
    };
    if let Some(id) = params.id("routerid") {
        seen(
            "routerid",
            id,
            view.get::<Router>(RouterId(id)).map(|r| r.account),
        )?;
        return Ok(Some(RouterId(id)));
    }
    if let Some(id) = params.id("networkid") {
        let network = NetworkId(id);
        seen("networkid", id, view.get::<Network>(network).map(|n| n.account))?;
        return Ok(view.router_of_network(network).map(|r| r.id));
    }
    if let Some(id) = params.id("vpcid") {
        seen("vpcid", id, view.get::<Vpc>(VpcId(id)).map(|v| v.account))?;
        return Ok(view.router_of(Realm::Vpc(VpcId(id))).map(|r| r.id));
    }
    if let Some(ip) = params
        .id("ipaddressid")
        .and_then(|id| view.get::<PublicIp>(PublicIpId(id)))
    {
        let realm = ip.vpc.map(Realm::Vpc).or(ip.network.map(Realm::Network));
        return Ok(realm.and_then(|realm| view.router_of(realm)).map(|r| r.id));
    }
    Err(ApiError::missing(params.command(), "routerid"))
}

fn query(call: &Call<'_>) -> Result<SessionQuery, ApiError> {
    let params = &call.params;
    let page = params.page()?;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let protocol = params.text("protocol").map(|text| {
        let expected = "tcp, udp, icmp, gre, esp, sctp or a number up to 255";
        protocol_number(text).ok_or_else(|| ApiError::invalid(params.command(), "protocol", text, expected))
    });
    let view = call.manager.view();
    let network = params
        .id("networkid")
        .and_then(|id| view.get::<Network>(NetworkId(id)));
    // An isolated network's router serves nothing else.
    let tier = network.filter(|network| network.tier.is_some());
    let mut nets: Vec<_> = tier.map(|network| network.cidr()).into_iter().collect();
    if let Some(guest) = params
        .id("virtualmachineid")
        .and_then(|id| view.get::<Guest>(GuestId(id)))
    {
        let on = |nic: &&object::Nic| network.is_none_or(|network| network.id == nic.network);
        nets = guest
            .nics
            .iter()
            .filter(on)
            .map(|nic| nic.address.into())
            .collect();
    }
    Ok(SessionQuery {
        inside: params.address("insideipaddress"),
        inside_nets: nets,
        public: params.address("publicipaddress"),
        destination: params.address("destinationipaddress"),
        protocol: protocol.transpose()?,
        port: params.port("port"),
        skip: number(page.skip),
        take: number(page.take),
    })
}

async fn sessions(call: &Call<'_>) -> Result<Object, Refused> {
    let query = query(call)?;
    let Some(router) = target(call)? else {
        return Ok(envelope::list("routersession", 0, Vec::new()));
    };
    let page = call.manager.router_sessions(&call.caller, router, &query).await?;
    let view = call.manager.view();
    let guests = guests(&view, router);
    let items = page
        .sessions
        .iter()
        .map(|s| session(router, s, &guests))
        .collect();
    let total = usize::try_from(page.matching).unwrap_or(usize::MAX);
    Ok(envelope::list("routersession", total, items))
}

/// A router's guests by their addresses.
fn guests(view: &View<'_>, router: RouterId) -> BTreeMap<Ipv4Addr, (GuestId, String)> {
    let router = view.get::<Router>(router);
    let networks = router
        .map(|r| view.networks_of_realm(r.realm))
        .unwrap_or_default();
    let mut found = BTreeMap::new();
    for network in networks {
        for guest in view.guests_of_network(network.id) {
            let here = guest.nics.iter().filter(|nic| nic.network == network.id);
            found.extend(here.map(|nic| (nic.address, (guest.id, guest.name.clone()))));
        }
    }
    found
}

type Guests = BTreeMap<Ipv4Addr, (GuestId, String)>;

fn session(router: RouterId, session: &SessionEntry, guests: &Guests) -> Value {
    let mut object = Object::new();
    let direction = match session.way {
        Way::Outbound => "Outbound",
        Way::Inbound => "Inbound",
        Way::Local => "Local",
        Way::Routed => "Routed",
    };
    let guest = guests.get(&session.inside.address);
    view::put(&mut object, "routerid", router);
    view::put(&mut object, "direction", direction);
    view::put(&mut object, "protocol", protocol_name(session.protocol));
    view::put(&mut object, "insideipaddress", session.inside.address);
    view::put(&mut object, "insideport", session.inside.port);
    view::put(&mut object, "publicipaddress", session.public.map(|p| p.address));
    view::put(&mut object, "publicport", session.public.map(|p| p.port));
    view::put(&mut object, "destinationipaddress", session.destination.address);
    view::put(&mut object, "destinationport", session.destination.port);
    view::put(&mut object, "virtualmachineid", guest.map(|(id, _)| id));
    view::put(&mut object, "virtualmachinename", guest.map(|(_, name)| name));
    view::put(&mut object, "state", &session.state);
    view::put(&mut object, "answered", session.answered);
    view::put(&mut object, "age", session.age_secs);
    view::put(&mut object, "timeout", session.timeout_secs);
    if let Some(carried) = session.traffic {
        put_traffic(&mut object, carried);
    }
    Value::Object(object)
}

fn put_traffic(object: &mut Object, traffic: Traffic) {
    view::put(object, "receivedbytes", traffic.bytes_in);
    view::put(object, "sentbytes", traffic.bytes_out);
    view::put(object, "receivedpackets", traffic.packets_in);
    view::put(object, "sentpackets", traffic.packets_out);
}

async fn usage(call: &Call<'_>) -> Result<Object, Refused> {
    let none = || Ok(envelope::list("sourcenatusage", 0, Vec::new()));
    let Some(router) = target(call)? else {
        return none();
    };
    let Some(capacity) = call.manager.capacity(&call.caller, router).await? else {
        return none();
    };
    let view = call.manager.view();
    let guests = guests(&view, router);
    let wanted = call.params.id("ipaddressid").map(PublicIpId);
    let of = |address: Ipv4Addr| view.public_ip_at(capacity.router.zone, address);
    let items: Vec<Value> = capacity
        .addresses
        .iter()
        .map(|address| (address, of(address.used.address).map(|ip| ip.id)))
        .filter(|(_, id)| wanted.is_none() || *id == wanted)
        .map(|(address, id)| address_usage(&capacity, address, id, &guests))
        .collect();
    Ok(envelope::list("sourcenatusage", items.len(), items))
}

fn address_usage(
    capacity: &Capacity,
    address: &AddressCapacity,
    id: Option<PublicIpId>,
    guests: &Guests,
) -> Value {
    let mut object = Object::new();
    let users = address.used.guests.iter().map(|used| {
        let guest = guests.get(&used.address);
        let mut object = Object::new();
        view::put(&mut object, "ipaddress", used.address);
        view::put(&mut object, "sessions", used.sessions);
        view::put(&mut object, "portsused", used.ports);
        if let Some(carried) = used.traffic {
            put_traffic(&mut object, carried);
        }
        view::put(&mut object, "id", guest.map(|(id, _)| id));
        view::put(&mut object, "name", guest.map(|(_, name)| name));
        Value::Object(object)
    });
    view::put(&mut object, "ipaddress", address.used.address);
    view::put(&mut object, "ipaddressid", id);
    view::put(&mut object, "routerid", capacity.router.id);
    view::put(&mut object, "sessions", address.used.sessions);
    view::put(&mut object, "portlimit", PORTS);
    view::put(&mut object, "portsused", address.fullest);
    view::put(&mut object, "percentused", address.percent);
    view::put(&mut object, "pooladdresses", address.pool);
    view::put(&mut object, "poolpercentused", address.pool_percent);
    view::put(&mut object, "exhaustedin", address.lasts_secs);
    view::put(&mut object, "poolexhaustedin", address.pool_lasts_secs);
    view::put(&mut object, "remedy", &address.remedy);
    view::put(
        &mut object,
        "protocol",
        address.used.protocols.iter().map(protocol).collect::<Vec<_>>(),
    );
    view::put(&mut object, "virtualmachine", users.collect::<Vec<_>>());
    put_traffic(&mut object, address.traffic);
    view::put(&mut object, "network", networks(capacity));
    put_router(&mut object, capacity, guests);
    Value::Object(object)
}

/// The router's guest networks: sessions, and what was forwarded for them.
fn networks(capacity: &Capacity) -> Vec<Value> {
    let stats = &capacity.stats;
    let used = stats.census.iter().flat_map(|census| &census.networks);
    let sessions: BTreeMap<NetworkId, u32> = used.map(|used| (used.network, used.sessions)).collect();
    let carried: BTreeMap<NetworkId, Traffic> =
        stats.networks.iter().map(|n| (n.network, n.traffic)).collect();
    let ids: BTreeSet<NetworkId> = sessions.keys().chain(carried.keys()).copied().collect();
    let each = ids.into_iter().map(|id| {
        let mut object = Object::new();
        view::put(&mut object, "id", id);
        view::put(&mut object, "sessions", sessions.get(&id));
        if let Some(carried) = carried.get(&id) {
            put_traffic(&mut object, *carried);
        }
        Value::Object(object)
    });
    each.collect()
}

/// What limits have refused, of the guests, public addresses and addresses outside that they refused most of.
fn refused(capacity: &Capacity, guests: &Guests) -> Vec<Value> {
    let each = capacity.stats.refused.iter().flat_map(|refused| {
        refused.addresses.iter().map(|(address, packets)| {
            let guest = guests.get(address).filter(|_| refused.reason.is_of_guests());
            let mut object = Object::new();
            view::put(&mut object, "reason", refused.reason.setting());
            view::put(&mut object, "ipaddress", address);
            view::put(&mut object, "packets", packets);
            view::put(&mut object, "id", guest.map(|(id, _)| id));
            view::put(&mut object, "name", guest.map(|(_, name)| name));
            Value::Object(object)
        })
    });
    let sources = capacity.stats.refused_sources.iter();
    let sources = sources.map(|(source, packets)| {
        json!({
            "reason": Refusal::SourceRate.setting(),
            "sourceipaddress": source,
            "packets": packets,
        })
    });
    each.chain(sources).collect()
}

/// What is not one address's but its router's.
fn put_router(object: &mut Object, capacity: &Capacity, guests: &Guests) {
    let table = capacity.stats.table;
    view::put(
        object,
        "sessiontable",
        json!({
            "used": table.sessions,
            "limit": table.limit,
            "exhaustedin": capacity.table_lasts_secs,
            "invalid": table.invalid,
            "insertfailed": table.insert_failed,
            "dropped": table.dropped,
            "earlydropped": table.early_dropped,
        }),
    );
    let drops = capacity.stats.dropped.iter().map(|dropped| {
        json!({
            "reason": dropped.reason.name(),
            "packets": dropped.packets,
            "bytes": dropped.bytes,
        })
    });
    view::put(object, "drop", drops.collect::<Vec<_>>());
    view::put(object, "refused", refused(capacity, guests));
    view::put(
        object,
        "fastpath",
        capacity.stats.work.fast_path.as_ref().map(fast_path),
    );
    view::put(object, "readat", capacity.stats.read_millis);
    view::put(object, "epoch", capacity.stats.epoch);
}

/// Packets by the way they went: `hit` took the fast path, everything else was the kernel's.
fn fast_path(status: &FastPathStatus) -> Value {
    let mut object = Object::new();
    let (hits, others): (Vec<_>, Vec<_>) = status.packets().partition(|(way, _)| *way == "hit");
    let misses: Vec<Value> = others
        .iter()
        .filter(|(_, packets)| *packets > 0)
        .map(|(way, packets)| json!({"reason": way, "packets": packets}))
        .collect();
    view::put(&mut object, "mode", status.mode);
    view::put(&mut object, "hook", &status.hook);
    view::put(&mut object, "running", status.running);
    view::put(&mut object, "reason", &status.reason);
    view::put(&mut object, "withoutecho", &status.without_echo);
    view::put(&mut object, "hits", hits.iter().map(|(_, n)| n).sum::<u64>());
    view::put(&mut object, "misses", others.iter().map(|(_, n)| n).sum::<u64>());
    view::put(&mut object, "miss", misses);
    Value::Object(object)
}

fn protocol(used: &ProtocolUse) -> Value {
    let destinations = used
        .busiest
        .iter()
        .map(|d| json!({"ipaddress": d.address, "port": d.port, "portsused": d.ports}));
    json!({
        "protocol": protocol_name(used.protocol),
        "sessions": used.sessions,
        "portsused": used.ports,
        "destination": destinations.collect::<Vec<_>>(),
    })
}

async fn health(call: &Call<'_>) -> Result<Object, Refused> {
    let id = RouterId(call.params.need_id("routerid")?);
    let fresh = call.params.flag("performfreshchecks").unwrap_or(false);
    let health = call.manager.router_health(&call.caller, id, fresh).await?;
    let results = json!({
        "routerid": id,
        "healthchecks": health.map(|h| view::router::health_checks(&h)).unwrap_or_default(),
    });
    Ok(envelope::single("routerhealthchecks", results))
}
