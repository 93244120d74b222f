// SPDX-License-Identifier: Apache-2.0
//! Items of network ACL lists.

use outgate_manager::Started;
use outgate_manager::command::request::{
    CreateAclItem, DeleteAclItem, MatchChange, MoveAclItem, UpdateAclItem,
};
use outgate_model::id::{NetworkAclItemId, NetworkAclListId, NetworkId};
use outgate_model::object::{Network, NetworkAclItem, NetworkAclList};
use outgate_model::router_spec::{AclAction, AclDirection};

use super::filter::Filter;
use super::firewall::{given, named_protocol, wanted_match};
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list, network_acl_list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createNetworkACL",
        "Adds an item to a network ACL list. The item with the lowest number that matches a new session decides.",
        &[CREATE, NEEDED_PROTOCOL, ITEM],
        Answers::Entity(Entity::NetworkAcl),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listNetworkACLs",
        "Lists items of network ACL lists; those of built-in lists by aclid or networkid.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("networkacl", view::network_acl::FIELDS),
        items,
    ),
    Command::start(
        "updateNetworkACLItem",
        "Changes an item of a network ACL list; sessions that lose their right are cut.",
        &[ID, PROTOCOL, ITEM, UPDATE],
        Answers::Entity(Entity::NetworkAcl),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "moveNetworkAclItem",
        "Puts an item of a network ACL list between two others, at its begin or at its end.",
        &[ID, MOVE],
        Answers::Entity(Entity::NetworkAcl),
        |call| Box::pin(shift(call)),
    ),
    Command::start(
        "deleteNetworkACL",
        "Deletes an item of a network ACL list; sessions that lose their right are cut.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const ACTION: Kind = Kind::OneOf(&["Allow", "Deny"]);
const TRAFFIC_TYPE: Kind = Kind::OneOf(&["Ingress", "Egress"]);
const PROTOCOL_TEXT: &str = "tcp, udp, icmp, all, or a protocol's number";

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::NetworkAclItem), "the item")];
const NEEDED_PROTOCOL: &[Param] = &[Param::required("protocol", Kind::Text(16), PROTOCOL_TEXT)];
const PROTOCOL: &[Param] = &[Param::optional("protocol", Kind::Text(16), PROTOCOL_TEXT)];

const CREATE: &[Param] = &[
    Param::optional(
        "aclid",
        Kind::Uuid(Of::NetworkAclList),
        "the list; needed unless networkid is given",
    ),
    Param::optional("networkid", Kind::Uuid(Of::Network), "the tier whose list it is"),
];

const ITEM: &[Param] = &[
    Param::optional(
        "number",
        Kind::Int(1, 65_535),
        "its place, which no other item has; a new item comes last when left out",
    ),
    Param::optional("action", ACTION, "Allow (of a new item when left out) or Deny"),
    Param::optional(
        "traffictype",
        TRAFFIC_TYPE,
        "Ingress (of a new item when left out) into the tier, or Egress",
    ),
    Param::optional(
        "startport",
        Kind::Port,
        "the first port, for tcp and udp; every port when left out",
    ),
    Param::optional("endport", Kind::Port, "the last port; startport when left out"),
    Param::optional("icmptype", Kind::Int(-1, 255), "the ICMP type, -1 for any"),
    Param::optional("icmpcode", Kind::Int(-1, 255), "the ICMP code, -1 for any"),
    Param::optional(
        "cidrlist",
        Kind::Cidrs,
        "the other side: sources of Ingress, destinations of Egress; everywhere when left out",
    ),
    Param::optional("reason", Kind::Text(2_500), "why it is there"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every item is shown"),
];

const UPDATE: &[Param] = &[
    Param::optional(
        "partialupgrade",
        Kind::Bool,
        "whether what is left out stays as it is (true when left out), or becomes what it is in a new item",
    ),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
];

const MOVE: &[Param] = &[
    Param::optional(
        "previousaclruleid",
        Kind::Uuid(Of::NetworkAclItem),
        "the item before its new place; none for the begin",
    ),
    Param::optional(
        "nextaclruleid",
        Kind::Uuid(Of::NetworkAclItem),
        "the item after its new place; none for the end",
    ),
    Param::optional(
        "aclconsistencyhash",
        Kind::Text(64),
        "no meaning here: a move is refused when its two neighbours are none any more",
    ),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
];

fn action(params: &Params) -> Option<AclAction> {
    let word = params.word("action")?;
    Some(if word == "Deny" {
        AclAction::Deny
    } else {
        AclAction::Allow
    })
}

fn direction(params: &Params) -> Option<AclDirection> {
    let word = params.word("traffictype")?;
    let egress = word == "Egress";
    Some(if egress {
        AclDirection::Egress
    } else {
        AclDirection::Ingress
    })
}

fn number(params: &Params) -> Option<u16> {
    params.int("number").and_then(|number| u16::try_from(number).ok())
}

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateAclItem {
        list: params.id("aclid").map(NetworkAclListId),
        network: params.id("networkid").map(NetworkId),
        number: number(params),
        direction: direction(params).unwrap_or(AclDirection::Ingress),
        action: action(params).unwrap_or(AclAction::Allow),
        matches: wanted_match(params)?,
        cidrs: params.cidrs("cidrlist"),
        reason: params.string("reason").unwrap_or_default(),
    };
    if request.list.is_none() && request.network.is_none() {
        return Err(ApiError::missing(params.command(), "aclid or networkid").into());
    }
    Ok(call.manager.create_acl_item(&call.caller, request).await?)
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let id = NetworkAclItemId(params.need_id("id")?);
    let request = if params.flag("partialupgrade").unwrap_or(true) {
        UpdateAclItem {
            id,
            number: number(params),
            direction: direction(params),
            action: action(params),
            matches: change(params)?,
            cidrs: given(params, "cidrlist"),
            reason: params.string("reason"),
        }
    } else {
        UpdateAclItem {
            id,
            number: number(params),
            direction: Some(direction(params).unwrap_or(AclDirection::Ingress)),
            action: Some(action(params).unwrap_or(AclAction::Allow)),
            matches: wanted_match(params)?.into(),
            cidrs: Some(params.cidrs("cidrlist")),
            reason: Some(params.string("reason").unwrap_or_default()),
        }
    };
    Ok(call.manager.update_acl_item(&call.caller, request).await?)
}

/// What of the match is to change.
fn change(params: &Params) -> Result<MatchChange, ApiError> {
    // -1 stands for any type or code.
    let icmp = |name| params.int(name).map(|value| u8::try_from(value).ok());
    let protocol = params.text("protocol").map(|name| named_protocol(params, name));
    Ok(MatchChange {
        protocol: protocol.transpose()?,
        start: params.port("startport"),
        end: params.port("endport"),
        icmp_type: icmp("icmptype"),
        icmp_code: icmp("icmpcode"),
    })
}

async fn shift(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = MoveAclItem {
        id: NetworkAclItemId(params.need_id("id")?),
        previous: params.id("previousaclruleid").map(NetworkAclItemId),
        next: params.id("nextaclruleid").map(NetworkAclItemId),
    };
    if request.previous.is_none() && request.next.is_none() {
        return Err(ApiError::missing(params.command(), "previousaclruleid or nextaclruleid").into());
    }
    Ok(call.manager.move_acl_item(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = NetworkAclItemId(call.params.need_id("id")?);
    let request = DeleteAclItem { id };
    Ok(call.manager.delete_acl_item(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::NetworkAclItem), "the item of this id"),
    Param::optional("aclid", Kind::Uuid(Of::NetworkAclList), "items of this list"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "items of this tier's list"),
    Param::optional("action", ACTION, "items that allow, or that deny"),
    Param::optional("traffictype", TRAFFIC_TYPE, "items that look in, or out"),
    Param::optional("protocol", Kind::Text(16), "items with this protocol"),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

fn items(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let of_tier = params.id("networkid").map(|id| list_of_tier(look, NetworkId(id)));
    let shown = |list| {
        let list = look.view.get::<NetworkAclList>(list);
        list.is_some_and(|list| list.account.is_none_or(|account| scope.shows(look, account)))
    };
    let matches = candidates(look, params, scope).filter(|item| {
        shown(item.list)
            && filter.id("id", item.id.0)
            && filter.id("aclid", item.list.0)
            && of_tier.is_none_or(|list| list == Some(item.list))
            && filter.word("action", view::network_acl::action(item))
            && filter.word("traffictype", view::network_acl::traffic_type(item))
            && filter.exact("protocol", &item.matches.protocol_name())
            && filter.flag("fordisplay", true)
            && filter.keyword(&[&item.matches.protocol_name(), &item.reason])
    });
    list::reply(look, params, "networkacl", matches, view::network_acl::render)
}

fn list_of_tier(look: &Look<'_>, network: NetworkId) -> Option<NetworkAclListId> {
    let network = look.view.get::<Network>(network)?;
    Some(network.tier.as_ref()?.acl)
}

/// The narrowest index that holds every match, each list's items by their numbers.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a NetworkAclItem> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        let item = view.get::<NetworkAclItem>(NetworkAclItemId(id));
        return Box::new(item.into_iter().map(|item| &**item));
    }
    let list = params.id("aclid").map(NetworkAclListId);
    let tier = params.id("networkid").map(NetworkId);
    if list.is_some() || tier.is_some() {
        let list = list.or_else(|| list_of_tier(look, tier?));
        let items = list.into_iter().flat_map(|id| view.acl_items_of_list(id));
        return Box::new(items.map(|item| &**item));
    }
    let lists = network_acl_list::of_vpcs(look, scope);
    let items = lists.flat_map(move |list| view.acl_items_of_list(list.id));
    Box::new(items.map(|item| &**item))
}
