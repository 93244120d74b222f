// SPDX-License-Identifier: Apache-2.0
//! Network ACL lists, the built-in ones and those of VPCs.

use outgate_manager::Started;
use outgate_manager::command::request::{
    AclUser, CreateAclList, DeleteAclList, ReplaceAclList, UpdateAclList,
};
use outgate_model::id::{NetworkAclListId, NetworkId, PrivateGatewayId, VpcId};
use outgate_model::object::{Network, NetworkAclList};

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
        "createNetworkACLList",
        "Creates an empty network ACL list for a VPC's tiers and private gateways.",
        &[CREATE],
        Answers::Entity(Entity::NetworkAclList),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listNetworkACLLists",
        "Lists network ACL lists, the built-in default_allow and default_deny too.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("networkacllist", view::network_acl_list::FIELDS),
        lists,
    ),
    Command::start(
        "updateNetworkACLList",
        "Changes a network ACL list's name and description.",
        &[ID, UPDATE],
        Answers::Success,
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "deleteNetworkACLList",
        "Deletes a network ACL list that no tier and no private gateway has, with its items.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::start(
        "replaceNetworkACLList",
        "Gives a tier or a private gateway another network ACL list; sessions that lose their right are cut.",
        &[REPLACE],
        Answers::Success,
        |call| Box::pin(replace(call)),
    ),
];

const NAME: Kind = Kind::Text(255);

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::NetworkAclList), "the list")];

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::required("vpcid", Kind::Uuid(Of::Vpc), "the VPC"),
    Param::optional("description", NAME, "what users read; the name when left out"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every list is shown"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateAclList {
        name: params.need_text("name")?.to_owned(),
        description: params.string("description"),
        vpc: VpcId(params.need_id("vpcid")?),
    };
    Ok(call.manager.create_acl_list(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::NetworkAclList), "the list of this id"),
    Param::optional("name", NAME, "lists of this name"),
    Param::optional(
        "vpcid",
        Kind::Uuid(Of::Vpc),
        "lists that tiers of this VPC can have",
    ),
    Param::optional("networkid", Kind::Uuid(Of::Network), "the list of this tier"),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

fn lists(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let vpc = params.id("vpcid").map(VpcId);
    let of_tier = params.id("networkid").map(|id| {
        let network = look.view.get::<Network>(NetworkId(id));
        network.and_then(|n| n.tier.as_ref()).map(|tier| tier.acl)
    });
    let matches = candidates(look, params, scope).filter(|list| {
        list.account.is_none_or(|account| scope.shows(look, account))
            && filter.id("id", list.id.0)
            && filter.exact("name", &list.name)
            && vpc.is_none_or(|vpc| list.vpc.is_none_or(|of| of == vpc))
            && of_tier.is_none_or(|acl| acl == Some(list.id))
            && filter.flag("fordisplay", true)
            && filter.keyword(&[&list.name, &list.description])
    });
    list::reply(
        look,
        params,
        "networkacllist",
        matches,
        view::network_acl_list::render,
    )
}

/// The narrowest index that holds every match: the built-in lists first.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a NetworkAclList> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        let list = view.get::<NetworkAclList>(NetworkAclListId(id));
        return Box::new(list.into_iter().map(|list| &**list));
    }
    let own: Box<dyn Iterator<Item = &'a NetworkAclList>> = match params.id("vpcid") {
        Some(id) => Box::new(view.acl_lists_of_vpc(Some(VpcId(id))).map(|list| &**list)),
        None => of_vpcs(look, scope),
    };
    let built_in = view.acl_lists_of_vpc(None).map(|list| &**list);
    Box::new(built_in.chain(own))
}

/// The lists of the VPCs that the scope shows, and maybe more; never a built-in one.
pub(super) fn of_vpcs<'a>(
    look: &Look<'a>,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a NetworkAclList> + 'a> {
    let view = look.view;
    let vpcs = scope.pick(look, |id| view.vpcs_of_account(id), || view.all());
    let lists = vpcs.flat_map(move |vpc: &outgate_model::object::Vpc| view.acl_lists_of_vpc(Some(vpc.id)));
    Box::new(lists.map(|list| &**list))
}

const UPDATE: &[Param] = &[
    Param::optional("name", NAME, "the new name"),
    Param::optional("description", NAME, "what users read from now on"),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every list is shown"),
];

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = UpdateAclList {
        id: NetworkAclListId(params.need_id("id")?),
        name: params.string("name"),
        description: params.string("description"),
    };
    Ok(call.manager.update_acl_list(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = NetworkAclListId(call.params.need_id("id")?);
    let request = DeleteAclList { id };
    Ok(call.manager.delete_acl_list(&call.caller, request).await?)
}

const REPLACE: &[Param] = &[
    Param::required("aclid", Kind::Uuid(Of::NetworkAclList), "the list"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "the tier"),
    Param::optional(
        "gatewayid",
        Kind::Uuid(Of::PrivateGateway),
        "or the private gateway",
    ),
];

async fn replace(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let user = match (params.id("networkid"), params.id("gatewayid")) {
        (Some(tier), None) => AclUser::Tier(NetworkId(tier)),
        (None, Some(gateway)) => AclUser::Gateway(PrivateGatewayId(gateway)),
        (Some(_), Some(gateway)) => {
            let expected = "nothing beside networkid";
            return Err(
                ApiError::invalid(params.command(), "gatewayid", &gateway.to_string(), expected).into(),
            );
        }
        (None, None) => return Err(ApiError::missing(params.command(), "networkid or gatewayid").into()),
    };
    let list = NetworkAclListId(params.need_id("aclid")?);
    let request = ReplaceAclList { list, user };
    Ok(call.manager.replace_acl_list(&call.caller, request).await?)
}
