// SPDX-License-Identifier: Apache-2.0
//! Port forwarding rules.

use outgate_manager::Started;
use outgate_manager::command::request::{CreatePortForwarding, DeletePortForwarding, UpdatePortForwarding};
use outgate_model::id::{GuestId, NetworkId, PortForwardingRuleId, PublicIpId};
use outgate_model::object::PortForwardingRule;
use outgate_model::{PortRange, Protocol};

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
        "createPortForwardingRule",
        "Forwards ports of a public address to ports of a guest.",
        &[CREATE],
        Answers::Entity(Entity::PortForwardingRule),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listPortForwardingRules",
        "Lists port forwarding rules.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("portforwardingrule", view::port_forwarding_rule::FIELDS),
        rules,
    ),
    Command::start(
        "deletePortForwardingRule",
        "Deletes a port forwarding rule, together with the firewall rule that was opened for it; its sessions are cut.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::start(
        "updatePortForwardingRule",
        "Leads a port forwarding rule to other ports or another guest; sessions with the former one are cut.",
        &[UPDATE],
        Answers::Entity(Entity::PortForwardingRule),
        |call| Box::pin(update(call)),
    ),
];

const CREATE: &[Param] = &[
    Param::required("ipaddressid", Kind::Uuid(Of::Address), "the public address"),
    Param::required("protocol", Kind::OneOf(&["tcp", "udp"]), "tcp or udp"),
    Param::required("publicport", Kind::Port, "the first port of the public address"),
    Param::optional(
        "publicendport",
        Kind::Port,
        "the last one; publicport when left out",
    ),
    Param::required("privateport", Kind::Port, "the first port of the guest"),
    Param::optional(
        "privateendport",
        Kind::Port,
        "the last one; as many as public ports when left out",
    ),
    Param::required("virtualmachineid", Kind::Uuid(Of::Guest), "the guest"),
    Param::optional("vmguestip", Kind::Address, "the guest's address"),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "the network, for an address that has none yet",
    ),
    Param::optional(
        "openfirewall",
        Kind::Bool,
        "whether a firewall rule is made too (true when left out, outside a VPC)",
    ),
    Param::optional(
        "cidrlist",
        Kind::Cidrs,
        "sources of that firewall rule; everywhere when left out",
    ),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every rule is shown"),
];

const DELETE: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::PortForwardingRule),
    "the rule",
)];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::PortForwardingRule), "the rule of this id"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "rules of this network"),
    Param::optional(
        "ipaddressid",
        Kind::Uuid(Of::Address),
        "rules of this public address",
    ),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::PortForwardingRule), "the rule"),
    Param::optional("privateport", Kind::Port, "the first port of the guest"),
    Param::optional(
        "privateendport",
        Kind::Port,
        "the last one; as many as public ports when left out",
    ),
    Param::optional("virtualmachineid", Kind::Uuid(Of::Guest), "the guest"),
    Param::optional("vmguestip", Kind::Address, "the guest's address"),
    Param::optional(
        "cidrlist",
        Kind::Cidrs,
        "sources of the firewall rule that was opened with it",
    ),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every rule is shown"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let public_ports = ports(params, "publicport", "publicendport", None)?;
    let count = public_ports.last() - public_ports.first();
    let request = CreatePortForwarding {
        public_ip: PublicIpId(params.need_id("ipaddressid")?),
        protocol: if params.word("protocol") == Some("udp") {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
        public_ports,
        private_ports: ports(params, "privateport", "privateendport", Some(count))?,
        guest: GuestId(params.need_id("virtualmachineid")?),
        guest_address: params.address("vmguestip"),
        network: params.id("networkid").map(NetworkId),
        open_firewall: params.flag("openfirewall"),
        sources: params.cidrs("cidrlist"),
    };
    Ok(call.manager.create_port_forwarding(&call.caller, request).await?)
}

/// A range from its first port and its last. Without a last one it reaches `more` ports further.
pub(super) fn ports(
    params: &Params,
    first: &str,
    last: &str,
    more: Option<u16>,
) -> Result<PortRange, ApiError> {
    let from = params.need_port(first)?;
    let to = match (params.port(last), more) {
        (Some(to), _) => to,
        (None, more) => from.checked_add(more.unwrap_or(0)).ok_or_else(|| {
            let expected = "a port that leaves room for as many ports as there are public ones";
            ApiError::invalid(params.command(), first, &from.to_string(), expected)
        })?,
    };
    PortRange::new(from, to).map_err(|_| {
        let expected = format!("a port not below {first} {from}");
        ApiError::invalid(params.command(), last, &to.to_string(), &expected)
    })
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let sources = params.cidrs("cidrlist");
    let request = UpdatePortForwarding {
        id: PortForwardingRuleId(params.need_id("id")?),
        private_port: params.port("privateport"),
        private_end: params.port("privateendport"),
        guest: params.id("virtualmachineid").map(GuestId),
        guest_address: params.address("vmguestip"),
        sources: (!sources.is_empty()).then_some(sources),
    };
    Ok(call.manager.update_port_forwarding(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeletePortForwarding {
        id: PortForwardingRuleId(call.params.need_id("id")?),
    };
    Ok(call.manager.delete_port_forwarding(&call.caller, request).await?)
}

fn rules(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let matches = candidates(look, params, scope).filter(|rule| {
        scope.shows(look, rule.account)
            && filter.id("id", rule.id.0)
            && filter.id("networkid", rule.network.0)
            && filter.id("ipaddressid", rule.public_ip.0)
            && filter.flag("fordisplay", true)
            && filter.keyword(&[rule.protocol.name()])
    });
    list::reply(
        look,
        params,
        "portforwardingrule",
        matches,
        view::port_forwarding_rule::render,
    )
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a PortForwardingRule> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        let rule = view.get::<PortForwardingRule>(PortForwardingRuleId(id));
        return Box::new(rule.into_iter().map(|r| &**r));
    }
    if let Some(id) = params.id("ipaddressid") {
        return Box::new(view.forwards_of_ip(PublicIpId(id)).map(|r| &**r));
    }
    if let Some(id) = params.id("networkid") {
        return Box::new(view.forwards_of_network(NetworkId(id)).map(|r| &**r));
    }
    let networks = scope.networks(look);
    Box::new(
        networks
            .flat_map(move |id| view.forwards_of_network(id))
            .map(|r| &**r),
    )
}
