// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules, their members and what they have done.

use std::collections::BTreeMap;

use outgate_manager::command::request::{
    ChangeMembers, CreateLoadBalancer, DeleteLoadBalancer, UpdateLoadBalancer,
};
use outgate_manager::{Started, Stored};
use outgate_model::host::LbStatistics;
use outgate_model::id::{GuestId, LoadBalancerRuleId, NetworkId, PublicIpId};
use outgate_model::object::{Guest, LoadBalancerRule, PublicIp};
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};
use serde_json::{Value, json};

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Field, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createLoadBalancerRule",
        "Spreads connections to a port of a public address over guests.",
        &[CREATE, scope::FOR_ACCOUNT],
        Answers::Entity(Entity::LoadBalancerRule),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::start(
        "updateLoadBalancerRule",
        "Changes a load balancer rule. Sessions of sources that it takes the right from are cut, no others.",
        &[UPDATE],
        Answers::Entity(Entity::LoadBalancerRule),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "deleteLoadBalancerRule",
        "Deletes a load balancer rule, together with the firewall rule that was opened for it; its sessions are cut.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::read(
        "listLoadBalancerRules",
        "Lists load balancer rules.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("loadbalancerrule", view::load_balancer::FIELDS),
        rules,
    ),
    Command::start(
        "assignToLoadBalancerRule",
        "Adds guests to a load balancer rule.",
        &[ID, MEMBERS],
        Answers::Success,
        |call| Box::pin(assign(call)),
    ),
    Command::start(
        "removeFromLoadBalancerRule",
        "Takes guests out of a load balancer rule; their sessions go on until they end.",
        &[ID, MEMBERS],
        Answers::Success,
        |call| Box::pin(remove(call)),
    ),
    Command::read(
        "listLoadBalancerRuleInstances",
        "Lists the guests of a load balancer rule, or those that could become members.",
        &[ID, INSTANCES, list::PAGED],
        Answers::List("loadbalancerruleinstance", view::guest::FIELDS),
        instances,
    ),
    Command::act(
        "getLoadBalancerStatistics",
        "What a load balancer rule has done since the router's rules changed last, by member. Outgate's own command.",
        &[ID],
        Answers::One("loadbalancerstatistics", STATISTICS),
        |call| Box::pin(statistics(call)),
    ),
];

const ID: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::LoadBalancerRule),
    "the load balancer rule",
)];

const ALGORITHMS: Kind = Kind::OneOf(&["roundrobin", "leastconn", "source"]);

const CREATE: &[Param] = &[
    Param::required("name", Kind::Text(255), "its name"),
    Param::required("algorithm", ALGORITHMS, "roundrobin, leastconn or source"),
    Param::required("publicport", Kind::Port, "the port of the public address"),
    Param::required("privateport", Kind::Port, "the guests' port"),
    Param::optional(
        "publicipid",
        Kind::Uuid(Of::Address),
        "the public address; the network's source NAT address when left out",
    ),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "the guests' network or tier, for an address that has none yet",
    ),
    Param::optional("protocol", Kind::Text(16), "tcp (when left out) or tcp-proxy"),
    Param::optional(
        "cidrlist",
        Kind::Cidrs,
        "sources that may connect; everywhere when left out",
    ),
    Param::optional(
        "openfirewall",
        Kind::Bool,
        "whether a firewall rule is made too (true when left out, outside a VPC)",
    ),
    Param::optional("description", Kind::Text(4096), "what users read"),
    Param::optional(
        "zoneid",
        Kind::Uuid(Of::Zone),
        "the zone; the address has one anyway",
    ),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every rule is shown"),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::LoadBalancerRule), "the rule"),
    Param::optional("name", Kind::Text(255), "its name"),
    Param::optional("description", Kind::Text(4096), "what users read"),
    Param::optional("algorithm", ALGORITHMS, "roundrobin, leastconn or source"),
    Param::optional("protocol", Kind::Text(16), "tcp or tcp-proxy"),
    Param::optional("cidrlist", Kind::Cidrs, "sources that may connect"),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every rule is shown"),
];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::LoadBalancerRule), "the rule of this id"),
    Param::optional("name", Kind::Text(255), "rules of this name"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "rules of this network"),
    Param::optional(
        "publicipid",
        Kind::Uuid(Of::Address),
        "rules of this public address",
    ),
    Param::optional(
        "virtualmachineid",
        Kind::Uuid(Of::Guest),
        "rules that this guest is a member of",
    ),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "rules of this zone"),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

const MEMBERS: &[Param] = &[
    Param::optional("virtualmachineids", Kind::Uuids(Of::Guest), "the guests"),
    Param::optional(
        "vmidipmap",
        Kind::Maps,
        "guests with the addresses to use: vmidipmap[0].vmid and vmidipmap[0].vmip",
    ),
];

const INSTANCES: &[Param] = &[
    Param::optional(
        "applied",
        Kind::Bool,
        "true (when left out) for members, false for guests of the network that are none",
    ),
    Param::optional(
        "lbvmips",
        Kind::Bool,
        "whether the members' addresses are told too",
    ),
];

const STATISTICS: &[Field] = &[
    ("id", "string"),
    ("running", "boolean"),
    ("currentsessions", "integer"),
    ("totalsessions", "integer"),
    ("receivedbytes", "integer"),
    ("sentbytes", "integer"),
    ("member", "list"),
];

fn algorithm(params: &Params) -> Option<LbAlgorithm> {
    params.word("algorithm").map(|word| match word {
        "leastconn" => LbAlgorithm::LeastConn,
        "source" => LbAlgorithm::Source,
        _ => LbAlgorithm::RoundRobin,
    })
}

fn protocol(params: &Params) -> Result<Option<LbProtocol>, ApiError> {
    let Some(text) = params.text("protocol") else {
        return Ok(None);
    };
    let expected = match text.to_ascii_lowercase().as_str() {
        "tcp" => return Ok(Some(LbProtocol::Tcp)),
        "tcp-proxy" => return Ok(Some(LbProtocol::TcpProxy)),
        "udp" => {
            "tcp or tcp-proxy: haproxy balances connections, and UDP has none; forward its ports instead"
        }
        "ssl" => "tcp or tcp-proxy: the router holds no certificates, guests speak TLS themselves",
        _ => "tcp or tcp-proxy",
    };
    Err(ApiError::invalid(params.command(), "protocol", text, expected))
}

fn rule_id(params: &Params) -> Result<LoadBalancerRuleId, ApiError> {
    Ok(LoadBalancerRuleId(params.need_id("id")?))
}

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateLoadBalancer {
        name: params.need_text("name")?.to_owned(),
        description: params.string("description").unwrap_or_default(),
        public_ip: params.id("publicipid").map(PublicIpId),
        network: params.id("networkid").map(NetworkId),
        public_port: params.need_port("publicport")?,
        private_port: params.need_port("privateport")?,
        algorithm: algorithm(params).unwrap_or(LbAlgorithm::RoundRobin),
        protocol: protocol(params)?.unwrap_or(LbProtocol::Tcp),
        sources: params.cidrs("cidrlist"),
        open_firewall: params.flag("openfirewall"),
    };
    Ok(call.manager.create_load_balancer(&call.caller, request).await?)
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let sources = params.cidrs("cidrlist");
    let request = UpdateLoadBalancer {
        id: rule_id(params)?,
        name: params.string("name"),
        description: params.string("description"),
        algorithm: algorithm(params),
        protocol: protocol(params)?,
        sources: (!sources.is_empty()).then_some(sources),
    };
    Ok(call.manager.update_load_balancer(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteLoadBalancer {
        id: rule_id(&call.params)?,
    };
    Ok(call.manager.delete_load_balancer(&call.caller, request).await?)
}

async fn assign(call: &Call<'_>) -> Result<Started, Refused> {
    let request = members(&call.params)?;
    Ok(call
        .manager
        .assign_to_load_balancer(&call.caller, request)
        .await?)
}

async fn remove(call: &Call<'_>) -> Result<Started, Refused> {
    let request = members(&call.params)?;
    Ok(call
        .manager
        .remove_from_load_balancer(&call.caller, request)
        .await?)
}

fn members(params: &Params) -> Result<ChangeMembers, ApiError> {
    let plain = params.ids("virtualmachineids").iter();
    let mut members: Vec<_> = plain.map(|id| (GuestId(*id), None)).collect();
    for map in params.maps("vmidipmap") {
        let field = |name: &str| {
            map.get(name)
                .map(|text| text.trim())
                .filter(|text| !text.is_empty())
        };
        let wrong =
            |value: &str, expected: &str| ApiError::invalid(params.command(), "vmidipmap", value, expected);
        let guest = field("vmid")
            .ok_or_else(|| wrong("", "vmidipmap[i].vmid, and vmidipmap[i].vmip if it matters"))?;
        let guest = guest
            .parse()
            .map_err(|_| ApiError::no_such(params.command(), "vmidipmap", guest))?;
        let address = field("vmip")
            .map(|text| text.parse().map_err(|_| wrong(text, "an IPv4 address")))
            .transpose()?;
        members.push((guest, address));
    }
    Ok(ChangeMembers {
        id: rule_id(params)?,
        members,
    })
}

fn rules(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let zone = |rule: &LoadBalancerRule| look.view.get::<PublicIp>(rule.public_ip).map(|ip| ip.zone.0);
    let guest = params.id("virtualmachineid").map(GuestId);
    let matches = candidates(look, params, scope).filter(|rule| {
        scope.shows(look, rule.account)
            && filter.id("id", rule.id.0)
            && filter.exact("name", &rule.name)
            && filter.id("networkid", rule.network.0)
            && filter.id("publicipid", rule.public_ip.0)
            && guest.is_none_or(|guest| rule.members.iter().any(|m| m.guest == guest))
            && filter.maybe_id("zoneid", zone(rule))
            && filter.flag("fordisplay", true)
            && filter.keyword(&[&rule.name])
    });
    list::reply(
        look,
        params,
        "loadbalancerrule",
        matches,
        view::load_balancer::render,
    )
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a LoadBalancerRule> + 'a> {
    let view = look.view;
    let plain = |rule: &'a Stored<LoadBalancerRule>| &**rule;
    if let Some(id) = params.id("id") {
        let rule = view.get::<LoadBalancerRule>(LoadBalancerRuleId(id));
        return Box::new(rule.into_iter().map(plain));
    }
    if let Some(id) = params.id("publicipid") {
        return Box::new(view.balancers_of_ip(PublicIpId(id)).map(plain));
    }
    if let Some(id) = params.id("virtualmachineid") {
        return Box::new(view.balancers_of_guest(GuestId(id)).map(plain));
    }
    if let Some(id) = params.id("networkid") {
        return Box::new(view.balancers_of_network(NetworkId(id)).map(plain));
    }
    let networks = scope.networks(look);
    Box::new(
        networks
            .flat_map(move |id| view.balancers_of_network(id))
            .map(plain),
    )
}

fn instances(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let id = rule_id(params)?;
    let no_such = || ApiError::no_such(params.command(), "id", &id.to_string());
    let rule = look.view.get::<LoadBalancerRule>(id).ok_or_else(no_such)?;
    let addresses = |guest: GuestId| {
        let of = rule.members.iter().filter(move |m| m.guest == guest);
        of.map(|m| m.address).collect::<Vec<_>>()
    };
    let mut seen = std::collections::BTreeSet::new();
    let ids = rule.members.iter().map(|m| m.guest).filter(|id| seen.insert(*id));
    let members: Vec<GuestId> = ids.collect();
    if !params.flag("applied").unwrap_or(true) {
        let others = look.view.guests_of_network(rule.network);
        let others = others.filter(|g| !members.contains(&g.id)).map(|g| &**g);
        return list::reply(
            look,
            params,
            "loadbalancerruleinstance",
            others,
            view::guest::render,
        );
    }
    let guests = members
        .iter()
        .filter_map(|id| look.view.get::<Guest>(*id))
        .map(|g| &**g);
    if params.flag("lbvmips").unwrap_or(false) {
        let with_addresses = |look: &Look<'_>, guest: &Guest| {
            let fields = [
                (
                    "loadbalancerruleinstance",
                    Value::Object(view::guest::render(look, guest)),
                ),
                ("lbvmipaddresses", json!(addresses(guest.id))),
            ];
            fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
        };
        return list::reply(look, params, "lbrulevmidip", guests, with_addresses);
    }
    list::reply(
        look,
        params,
        "loadbalancerruleinstance",
        guests,
        view::guest::render,
    )
}

async fn statistics(call: &Call<'_>) -> Result<Object, Refused> {
    let id = rule_id(&call.params)?;
    let counted = call.manager.load_balancer_statistics(&call.caller, id).await?;
    let view = call.manager.view();
    let names: BTreeMap<_, _> = view
        .get::<LoadBalancerRule>(id)
        .map(|rule| rule.members.iter().map(|m| (m.address, m.guest)).collect())
        .unwrap_or_default();
    let running = counted.is_some();
    let counted = counted.unwrap_or(LbStatistics {
        rule: id,
        sessions: 0,
        total_sessions: 0,
        bytes_in: 0,
        bytes_out: 0,
        members: Vec::new(),
    });
    let members = counted.members.iter().map(|member| {
        json!({
            "ipaddress": member.address,
            "virtualmachineid": names.get(&member.address),
            "healthy": member.healthy,
            "status": member.status,
            "currentsessions": member.sessions,
            "totalsessions": member.total_sessions,
            "receivedbytes": member.bytes_in,
            "sentbytes": member.bytes_out,
            "connectionerrors": member.connection_errors,
        })
    });
    let statistics = json!({
        "id": id,
        "running": running,
        "currentsessions": counted.sessions,
        "totalsessions": counted.total_sessions,
        "receivedbytes": counted.bytes_in,
        "sentbytes": counted.bytes_out,
        "member": members.collect::<Vec<_>>(),
    });
    Ok([("loadbalancerstatistics".to_owned(), statistics)]
        .into_iter()
        .collect())
}
