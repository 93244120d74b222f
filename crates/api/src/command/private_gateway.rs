// SPDX-License-Identifier: Apache-2.0
//! Private gateways of VPCs.

use outgate_manager::Started;
use outgate_manager::command::request::{CreatePrivateGateway, DeletePrivateGateway};
use outgate_model::id::{NetworkAclListId, PhysicalNetworkId, PrivateGatewayId, VpcId};
use outgate_model::object::PrivateGateway;

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
        "createPrivateGateway",
        "Gives a VPC's router an interface on a private VLAN, to a data centre or another VPC.",
        &[CREATE],
        Answers::Entity(Entity::PrivateGateway),
        |call| Box::pin(create(call)),
    )
    .creating()
    .for_admins(),
    Command::read(
        "listPrivateGateways",
        "Lists private gateways.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("privategateway", view::private_gateway::FIELDS),
        gateways,
    ),
    Command::start(
        "deletePrivateGateway",
        "Deletes a private gateway that no static route leads through.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
];

const CREATE: &[Param] = &[
    Param::required("vpcid", Kind::Uuid(Of::Vpc), "the VPC"),
    Param::required("ipaddress", Kind::Address, "the router's address there"),
    Param::required("netmask", Kind::Address, "its netmask"),
    Param::required("gateway", Kind::Address, "the router on the other side"),
    Param::optional("vlan", Kind::Text(64), "the VLAN, 909 or vlan://909; needed"),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "the physical network; the zone's only one when left out",
    ),
    Param::optional(
        "aclid",
        Kind::Uuid(Of::NetworkAclList),
        "what may come in and go out; default_deny when left out",
    ),
    Param::optional(
        "sourcenatsupported",
        Kind::Bool,
        "whether what leaves through it takes ipaddress as its source (false when left out)",
    ),
    Param::optional(
        "bypassvlanoverlapcheck",
        Kind::Bool,
        "no meaning here: a VLAN with public addresses is refused, private gateways may share one",
    ),
    Param::optional(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "no meaning here: private gateways have no offering",
    ),
    Param::optional(
        "associatednetworkid",
        Kind::Uuid(Of::Nothing),
        "not available: name a vlan",
    ),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let address = |name| {
        params
            .address(name)
            .ok_or_else(|| ApiError::missing(params.command(), name))
    };
    let request = CreatePrivateGateway {
        vpc: VpcId(params.need_id("vpcid")?),
        physical_network: params.id("physicalnetworkid").map(PhysicalNetworkId),
        vlan: vlan(params)?,
        address: address("ipaddress")?,
        netmask: address("netmask")?,
        gateway: address("gateway")?,
        source_nat: params.flag("sourcenatsupported").unwrap_or(false),
        acl: params.id("aclid").map(NetworkAclListId),
    };
    Ok(call.manager.create_private_gateway(&call.caller, request).await?)
}

fn vlan(params: &Params) -> Result<u16, ApiError> {
    let text = params.need_text("vlan")?;
    let number = text.strip_prefix("vlan://").unwrap_or(text);
    number.parse().map_err(|_| {
        let expected = "a VLAN from 1 to 4094, such as 909 or vlan://909";
        ApiError::invalid(params.command(), "vlan", text, expected)
    })
}

const DELETE: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::PrivateGateway),
    "the private gateway",
)];

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = PrivateGatewayId(call.params.need_id("id")?);
    let request = DeletePrivateGateway { id };
    Ok(call.manager.delete_private_gateway(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::PrivateGateway), "the gateway of this id"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "gateways of this VPC"),
    Param::optional(
        "ipaddress",
        Kind::Address,
        "gateways with this address of the router",
    ),
    Param::optional("vlan", Kind::Text(64), "gateways on this VLAN"),
    Param::optional(
        "state",
        Kind::OneOf(&["Ready", "Creating", "Deleting"]),
        "every gateway is Ready",
    ),
];

fn gateways(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let wanted = params
        .text("vlan")
        .map(|text| text.strip_prefix("vlan://").unwrap_or(text));
    let matches = candidates(look, params, scope).filter(|gateway| {
        let address = gateway.address.addr();
        scope.shows(look, gateway.account)
            && filter.id("id", gateway.id.0)
            && filter.id("vpcid", gateway.vpc.0)
            && params.address("ipaddress").is_none_or(|wanted| wanted == address)
            && wanted.is_none_or(|vlan| vlan == gateway.vlan.to_string())
            && filter.word("state", "Ready")
            && filter.keyword(&[&address.to_string(), &gateway.gateway.to_string()])
    });
    list::reply(
        look,
        params,
        "privategateway",
        matches,
        view::private_gateway::render,
    )
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a PrivateGateway> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        let gateway = view.get::<PrivateGateway>(PrivateGatewayId(id));
        return Box::new(gateway.into_iter().map(|g| &**g));
    }
    if let Some(id) = params.id("vpcid") {
        return Box::new(view.gateways_of_vpc(VpcId(id)).map(|g| &**g));
    }
    let vpcs = scope.pick(look, |id| view.vpcs_of_account(id), || view.all());
    let gateways = vpcs.flat_map(move |vpc: &outgate_model::object::Vpc| view.gateways_of_vpc(vpc.id));
    Box::new(gateways.map(|g| &**g))
}
