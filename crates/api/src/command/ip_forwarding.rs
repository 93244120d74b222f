// SPDX-License-Identifier: Apache-2.0
//! Legacy IP forwarding rules, and what Outgate says of remote access VPNs.

use outgate_manager::Started;
use outgate_manager::command::request::{CreateIpForwarding, DeleteIpForwarding};
use outgate_model::Protocol;
use outgate_model::id::{GuestId, IpForwardingRuleId, PublicIpId};
use outgate_model::object::IpForwardingRule;

use super::filter::Filter;
use super::forwarding::ports;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createIpForwardingRule",
        "Lets ports of an address with static NAT through to its guest.",
        &[CREATE],
        Answers::Entity(Entity::IpForwardingRule),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listIpForwardingRules",
        "Lists IP forwarding rules.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("ipforwardingrule", view::ip_forwarding_rule::FIELDS),
        rules,
    ),
    Command::start(
        "deleteIpForwardingRule",
        "Deletes an IP forwarding rule, together with the firewall rule that was opened for it; its sessions are cut.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::start(
        "createRemoteAccessVpn",
        "Refused: Outgate offers no remote access VPN, and reserves no ports for one.",
        &[VPN],
        Answers::Success,
        |call| Box::pin(async move { Err(no_vpn(call)) }),
    ),
    Command::read(
        "listRemoteAccessVpns",
        "Lists remote access VPNs. Outgate has none, so ports 500, 1701 and 4500 are free for rules.",
        &[VPNS, scope::OWNED, list::PAGED],
        Answers::List("remoteaccessvpn", &[]),
        |_, params| {
            params.page()?;
            Ok(envelope::list("remoteaccessvpn", 0, Vec::new()))
        },
    ),
];

const CREATE: &[Param] = &[
    Param::required(
        "ipaddressid",
        Kind::Uuid(Of::Address),
        "the public address, which has static NAT",
    ),
    Param::required("protocol", Kind::OneOf(&["tcp", "udp"]), "tcp or udp"),
    Param::required("startport", Kind::Port, "the first port"),
    Param::optional("endport", Kind::Port, "the last one; startport when left out"),
    Param::optional(
        "openfirewall",
        Kind::Bool,
        "whether a firewall rule is made too (true when left out)",
    ),
    Param::optional(
        "cidrlist",
        Kind::Cidrs,
        "sources of that firewall rule; everywhere when left out",
    ),
];

const DELETE: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::IpForwardingRule),
    "the rule",
)];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::IpForwardingRule), "the rule of this id"),
    Param::optional(
        "ipaddressid",
        Kind::Uuid(Of::Address),
        "rules of this public address",
    ),
    Param::optional("virtualmachineid", Kind::Uuid(Of::Guest), "rules of this guest"),
];

const VPN: &[Param] = &[Param::optional(
    "publicipid",
    Kind::Uuid(Of::Address),
    "the public address",
)];

const VPNS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Nothing), "the VPN of this id"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "VPNs of this network"),
    Param::optional(
        "publicipid",
        Kind::Uuid(Of::Address),
        "VPNs of this public address",
    ),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: there are none"),
];

fn no_vpn(call: &Call<'_>) -> Refused {
    let text = format!(
        "Unable to execute API command {}: Outgate offers no remote access VPN. Forward the ports of a VPN server of your \
         own, or give it an address by static NAT; ports 500, 1701 and 4500 are not reserved",
        call.params.command().to_ascii_lowercase()
    );
    Refused::Api(ApiError::parameter(text))
}

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateIpForwarding {
        public_ip: PublicIpId(params.need_id("ipaddressid")?),
        protocol: if params.word("protocol") == Some("udp") {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
        ports: ports(params, "startport", "endport", None)?,
        open_firewall: params.flag("openfirewall").unwrap_or(true),
        sources: params.cidrs("cidrlist"),
    };
    Ok(call.manager.create_ip_forwarding(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteIpForwarding {
        id: IpForwardingRuleId(call.params.need_id("id")?),
    };
    Ok(call.manager.delete_ip_forwarding(&call.caller, request).await?)
}

fn rules(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let matches = candidates(look, params, scope).filter(|rule| {
        scope.shows(look, rule.account)
            && filter.id("id", rule.id.0)
            && filter.id("ipaddressid", rule.public_ip.0)
            && filter.id("virtualmachineid", rule.guest.0)
            && filter.keyword(&[rule.protocol.name()])
    });
    list::reply(
        look,
        params,
        "ipforwardingrule",
        matches,
        view::ip_forwarding_rule::render,
    )
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a IpForwardingRule> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        let rule = view.get::<IpForwardingRule>(IpForwardingRuleId(id));
        return Box::new(rule.into_iter().map(|r| &**r));
    }
    if let Some(id) = params.id("ipaddressid") {
        return Box::new(view.ip_forwards_of_ip(PublicIpId(id)).map(|r| &**r));
    }
    if let Some(id) = params.id("virtualmachineid") {
        return Box::new(view.ip_forwards_of_guest(GuestId(id)).map(|r| &**r));
    }
    let networks = scope.networks(look);
    Box::new(
        networks
            .flat_map(move |id| view.ip_forwards_of_network(id))
            .map(|r| &**r),
    )
}
