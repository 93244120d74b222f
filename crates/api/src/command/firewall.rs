// SPDX-License-Identifier: Apache-2.0
//! Firewall rules (in) and egress rules (out).

use outgate_manager::Started;
use outgate_manager::command::request::{
    CreateEgressRule, CreateFirewallRule, DeleteEgressRule, DeleteFirewallRule, NamedProtocol,
    UpdateEgressRule, UpdateFirewallRule,
};
use outgate_model::id::{FirewallRuleId, NetworkId, PublicIpId};
use outgate_model::object::{Direction, FirewallRule};
use outgate_model::{IcmpMatch, Match, PortRange, Protocol};

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createEgressFirewallRule",
        "Makes an exception from a network's egress default policy.",
        &[CREATE_EGRESS, MATCH],
        Answers::Entity(Entity::FirewallRule),
        |call| Box::pin(create_egress(call)),
    )
    .creating(),
    Command::read(
        "listEgressFirewallRules",
        "Lists egress rules.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("firewallrule", view::firewall_rule::FIELDS),
        |look, params| rules(look, params, false),
    ),
    Command::start(
        "updateEgressFirewallRule",
        "Gives an egress rule other sources or destinations; sessions that lose their right are cut.",
        &[UPDATE, UPDATE_EGRESS],
        Answers::Entity(Entity::FirewallRule),
        |call| Box::pin(update_egress(call)),
    ),
    Command::start(
        "deleteEgressFirewallRule",
        "Deletes an egress rule.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete_egress(call)),
    ),
    Command::start(
        "createFirewallRule",
        "Lets sessions in to a public address.",
        &[CREATE, MATCH],
        Answers::Entity(Entity::FirewallRule),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listFirewallRules",
        "Lists firewall rules.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("firewallrule", view::firewall_rule::FIELDS),
        |look, params| rules(look, params, true),
    ),
    Command::start(
        "updateFirewallRule",
        "Gives a firewall rule other sources; sessions that lose their right are cut.",
        &[UPDATE],
        Answers::Entity(Entity::FirewallRule),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "deleteFirewallRule",
        "Deletes a firewall rule; its sessions are cut.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const MATCH: &[Param] = &[
    Param::required(
        "protocol",
        Kind::Text(16),
        "tcp, udp, icmp, all, or a protocol's number",
    ),
    Param::optional(
        "startport",
        Kind::Port,
        "the first port, for tcp and udp; every port when left out",
    ),
    Param::optional("endport", Kind::Port, "the last port; startport when left out"),
    Param::optional("icmptype", Kind::Int(-1, 255), "the ICMP type, -1 for any"),
    Param::optional("icmpcode", Kind::Int(-1, 255), "the ICMP code, -1 for any"),
    Param::optional("cidrlist", Kind::Cidrs, "source CIDRs"),
    Param::optional("type", Kind::Text(32), "no meaning for users"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every rule is shown"),
];

const CREATE_EGRESS: &[Param] = &[
    Param::required("networkid", Kind::Uuid(Of::Network), "the network"),
    Param::optional(
        "destcidrlist",
        Kind::Cidrs,
        "destination CIDRs; everywhere when left out",
    ),
];

const CREATE: &[Param] = &[Param::required(
    "ipaddressid",
    Kind::Uuid(Of::Address),
    "the public address",
)];

const DELETE: &[Param] = &[Param::required("id", Kind::Uuid(Of::FirewallRule), "the rule")];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::FirewallRule), "the rule of this id"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "rules of this network"),
    Param::optional(
        "ipaddressid",
        Kind::Uuid(Of::Address),
        "rules of this public address",
    ),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::FirewallRule), "the rule"),
    Param::optional("cidrlist", Kind::Cidrs, "other source CIDRs"),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every rule is shown"),
];

const UPDATE_EGRESS: &[Param] = &[Param::optional(
    "destcidrlist",
    Kind::Cidrs,
    "other destination CIDRs",
)];

/// Which packets a rule is about. Errors (431) name the parameter that contradicts the protocol.
pub(super) fn wanted_match(params: &Params) -> Result<Match, ApiError> {
    let name = params.need_text("protocol")?;
    let protocol = match named_protocol(params, name)? {
        NamedProtocol::Ports(protocol) => {
            return Ok(Match::Ports {
                protocol,
                ports: wanted_ports(params)?,
            });
        }
        NamedProtocol::Icmp => {
            refuse(params, &["startport", "endport"], name)?;
            return Ok(Match::Icmp {
                icmp: wanted_icmp(params)?,
            });
        }
        NamedProtocol::All => Match::All,
        NamedProtocol::Number(number) => Match::Number { number },
    };
    refuse(params, &["startport", "endport", "icmptype", "icmpcode"], name)?;
    Ok(protocol)
}

/// The protocol of this name or number.
pub(super) fn named_protocol(params: &Params, name: &str) -> Result<NamedProtocol, ApiError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "tcp" | "6" => NamedProtocol::Ports(Protocol::Tcp),
        "udp" | "17" => NamedProtocol::Ports(Protocol::Udp),
        "icmp" | "1" => NamedProtocol::Icmp,
        "all" => NamedProtocol::All,
        number => NamedProtocol::Number(protocol_number(params, number)?),
    })
}

fn protocol_number(params: &Params, text: &str) -> Result<u8, ApiError> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
        ApiError::invalid(
            params.command(),
            "protocol",
            text,
            "tcp, udp, icmp, all or a number from 1 to 255",
        )
    })
}

fn wanted_ports(params: &Params) -> Result<PortRange, ApiError> {
    refuse(params, &["icmptype", "icmpcode"], params.need_text("protocol")?)?;
    let command = params.command();
    match (params.port("startport"), params.port("endport")) {
        (None, None) => Ok(PortRange::ALL),
        (None, Some(_)) => Err(ApiError::missing(command, "startport")),
        (Some(first), last) => {
            let last = last.unwrap_or(first);
            PortRange::new(first, last).map_err(|_| {
                let expected = format!("a port not below startport {first}");
                ApiError::invalid(command, "endport", &last.to_string(), &expected)
            })
        }
    }
}

fn wanted_icmp(params: &Params) -> Result<IcmpMatch, ApiError> {
    let number = |name| params.int(name).and_then(|value| u8::try_from(value).ok());
    let (kind, code) = (number("icmptype"), number("icmpcode"));
    if kind.is_none() && code.is_some() {
        let value = code.map(|c| c.to_string()).unwrap_or_default();
        let expected = "-1, or an icmptype beside it";
        return Err(ApiError::invalid(params.command(), "icmpcode", &value, expected));
    }
    Ok(IcmpMatch { kind, code })
}

/// Refuses parameters that mean nothing for the protocol. A port range or ICMP type that is silently ignored would
/// open more than was asked for.
fn refuse(params: &Params, names: &[&str], protocol: &str) -> Result<(), ApiError> {
    for name in names {
        let value = params.port(name).map(i64::from).or_else(|| params.int(name));
        if let Some(value) = value.filter(|value| *value != -1) {
            let expected = format!("nothing: it has no meaning for protocol {protocol}");
            return Err(ApiError::invalid(
                params.command(),
                name,
                &value.to_string(),
                &expected,
            ));
        }
    }
    Ok(())
}

async fn create_egress(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateEgressRule {
        network: NetworkId(params.need_id("networkid")?),
        matches: wanted_match(params)?,
        sources: params.cidrs("cidrlist"),
        destinations: params.cidrs("destcidrlist"),
    };
    Ok(call.manager.create_egress_rule(&call.caller, request).await?)
}

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateFirewallRule {
        public_ip: PublicIpId(params.need_id("ipaddressid")?),
        matches: wanted_match(params)?,
        sources: params.cidrs("cidrlist"),
    };
    Ok(call.manager.create_firewall_rule(&call.caller, request).await?)
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let request = UpdateFirewallRule {
        id: FirewallRuleId(call.params.need_id("id")?),
        sources: given(&call.params, "cidrlist"),
    };
    Ok(call.manager.update_firewall_rule(&call.caller, request).await?)
}

async fn update_egress(call: &Call<'_>) -> Result<Started, Refused> {
    let request = UpdateEgressRule {
        id: FirewallRuleId(call.params.need_id("id")?),
        sources: given(&call.params, "cidrlist"),
        destinations: given(&call.params, "destcidrlist"),
    };
    Ok(call.manager.update_egress_rule(&call.caller, request).await?)
}

pub(super) fn given(params: &Params, name: &str) -> Option<Vec<ipnet::Ipv4Net>> {
    Some(params.cidrs(name)).filter(|cidrs| !cidrs.is_empty())
}

async fn delete_egress(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteEgressRule {
        id: FirewallRuleId(call.params.need_id("id")?),
    };
    Ok(call.manager.delete_egress_rule(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteFirewallRule {
        id: FirewallRuleId(call.params.need_id("id")?),
    };
    Ok(call.manager.delete_firewall_rule(&call.caller, request).await?)
}

fn rules(look: &Look<'_>, params: &Params, ingress: bool) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let matches = candidates(look, params, scope).filter(|rule| {
        let ip = match rule.direction {
            Direction::Ingress { public_ip } => Some(public_ip.0),
            Direction::Egress => None,
        };
        ip.is_some() == ingress
            && scope.shows(look, rule.account)
            && filter.id("id", rule.id.0)
            && filter.id("networkid", rule.network.0)
            && filter.maybe_id("ipaddressid", ip)
            && filter.flag("fordisplay", true)
            && filter.keyword(&[&rule.matches.protocol_name()])
    });
    list::reply(look, params, "firewallrule", matches, view::firewall_rule::render)
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a FirewallRule> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        return Box::new(
            view.get::<FirewallRule>(FirewallRuleId(id))
                .into_iter()
                .map(|r| &**r),
        );
    }
    if let Some(id) = params.id("ipaddressid") {
        return Box::new(view.firewall_rules_of_ip(PublicIpId(id)).map(|r| &**r));
    }
    if let Some(id) = params.id("networkid") {
        return Box::new(view.firewall_rules_of_network(NetworkId(id)).map(|r| &**r));
    }
    let networks = scope.networks(look);
    Box::new(
        networks
            .flat_map(move |id| view.firewall_rules_of_network(id))
            .map(|r| &**r),
    )
}
