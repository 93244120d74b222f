// SPDX-License-Identifier: Apache-2.0
//! Isolated networks.

use outgate_manager::Started;
use outgate_manager::command::request::{CreateNetwork, DeleteNetwork, RestartNetwork, UpdateNetwork};
use outgate_model::id::{NetworkId, NetworkOfferingId, ZoneId};
use outgate_model::object::{Network, NetworkOffering};

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createNetwork",
        "Creates an isolated network. It gets its router with its first guest, or at once with a persistent offering.",
        &[CREATE, scope::FOR_ACCOUNT],
        Answers::Entity(Entity::Network),
        |call| Box::pin(create(call)),
    ),
    Command::read(
        "listNetworks",
        "Lists networks.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("network", view::network::FIELDS),
        networks,
    ),
    Command::start(
        "updateNetwork",
        "Changes a network; with sourcenatipaddress the address through which its guests leave.",
        &[UPDATE],
        Answers::Entity(Entity::Network),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "restartNetwork",
        "Applies a network's rules again, with cleanup on a fresh router.",
        &[RESTART],
        Answers::Success,
        |call| Box::pin(restart(call)),
    ),
    Command::start(
        "deleteNetwork",
        "Deletes a network with its router, addresses and rules.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const NAME: Kind = Kind::Text(255);
const DOMAIN: Kind = Kind::Text(253);

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::required(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "the offering",
    ),
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::optional("displaytext", NAME, "what users read; the name when left out"),
    Param::optional("gateway", Kind::Address, "the router's address; needs netmask"),
    Param::optional("netmask", Kind::Address, "the netmask; needs gateway"),
    Param::optional("networkdomain", DOMAIN, "the domain that guests get"),
    Param::optional("startip", Kind::Address, "an address of the network"),
    Param::optional(
        "endip",
        Kind::Address,
        "an address of the network, not below startip",
    ),
    Param::optional(
        "sourcenatipaddress",
        Kind::Address,
        "a free public address to be the source NAT address",
    ),
    Param::optional("vpcid", Kind::Uuid(Of::Nothing), "the VPC; there are none"),
    Param::optional(
        "aclid",
        Kind::Uuid(Of::Nothing),
        "the network ACL; there are none",
    ),
    Param::optional("vlan", Kind::Text(64), "not for users to choose"),
];

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    if let Some(vlan) = params.text("vlan") {
        let expected = "nothing: the offering's networks get their segment from Outgate";
        return Err(ApiError::invalid(params.command(), "vlan", vlan, expected).into());
    }
    let request = CreateNetwork {
        name: params.need_text("name")?.to_owned(),
        display_text: params.string("displaytext"),
        offering: NetworkOfferingId(params.need_id("networkofferingid")?),
        zone: ZoneId(params.need_id("zoneid")?),
        gateway: params.address("gateway"),
        netmask: params.address("netmask"),
        domain: params.string("networkdomain"),
        start_ip: params.address("startip"),
        end_ip: params.address("endip"),
        source_nat_address: params.address("sourcenatipaddress"),
        owner: call.owner()?,
    };
    let id = call.manager.create_network(&call.caller, request).await?;
    Ok(call.entity(Entity::Network, id.0))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Network), "the network of this id"),
    Param::optional("name", NAME, "the network of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "networks of this zone"),
    Param::optional(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "networks of this offering",
    ),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "networks on this physical network",
    ),
    Param::optional(
        "type",
        Kind::OneOf(&["Isolated", "Shared", "L2"]),
        "every network is Isolated",
    ),
    Param::optional("traffictype", Kind::Text(32), "every network is for Guest"),
    Param::optional(
        "acltype",
        Kind::OneOf(&["Account", "Domain"]),
        "every network is an Account's",
    ),
    Param::optional(
        "networkfilter",
        Kind::Text(32),
        "every filter shows the account's networks",
    ),
    Param::optional("forvpc", Kind::Bool, "tiers of VPCs; there are none"),
    Param::optional(
        "vpcid",
        Kind::Uuid(Of::Nothing),
        "tiers of this VPC; there are none",
    ),
    Param::optional("issystem", Kind::Bool, "system networks are not listed"),
    Param::optional(
        "specifyipranges",
        Kind::Bool,
        "no network has IP ranges of its own",
    ),
    Param::optional("restartrequired", Kind::Bool, "whether a restart is due"),
    Param::optional(
        "canusefordeploy",
        Kind::Bool,
        "whether guests can be deployed on it",
    ),
    Param::optional(
        "supportedservices",
        Kind::Text(1024),
        "networks with all these services",
    ),
];

fn networks(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let services = params.text("supportedservices");
    let restart = params.flag("restartrequired");
    let matches = candidates(look, params, scope).filter(|n| {
        // What costs a look-up is looked up only for who asks for it: an admin's list holds every network.
        let offering = || look.view.get::<NetworkOffering>(n.offering);
        services.is_none_or(|wanted| offering().is_some_and(|o| view::service::all_supported(o, wanted)))
            && scope.shows(look, n.account)
            && filter.id("id", n.id.0)
            && filter.exact("name", &n.name)
            && filter.id("zoneid", n.zone.0)
            && filter.id("networkofferingid", n.offering.0)
            && filter.word("type", "Isolated")
            && filter.exact("traffictype", "Guest")
            && filter.word("acltype", "Account")
            && ["forvpc", "issystem", "specifyipranges"]
                .iter()
                .all(|name| filter.flag(name, false))
            && restart.is_none_or(|wanted| wanted == look.view.restart_required(n))
            && filter.flag(
                "canusefordeploy",
                n.phase != outgate_model::object::NetworkPhase::Destroyed,
            )
            && filter.keyword(&[&n.name, &n.display_text])
    });
    list::reply(look, params, "network", matches, view::network::render)
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a Network> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        return Box::new(view.get::<Network>(NetworkId(id)).into_iter().map(|n| &**n));
    }
    let zone = params.id("zoneid").map(ZoneId);
    let all = || -> Box<dyn Iterator<Item = _>> {
        match zone {
            Some(zone) => Box::new(view.networks_of_zone(zone)),
            None => Box::new(view.all::<Network>()),
        }
    };
    scope.pick(look, |id| view.networks_of_account(id), all)
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Network), "the network"),
    Param::optional("name", NAME, "the new name"),
    Param::optional("displaytext", NAME, "what users read from now on"),
    Param::optional("networkdomain", DOMAIN, "the domain that guests get from now on"),
    Param::optional("sourcenatipaddress", Kind::Address, "the new source NAT address"),
    Param::optional(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "the offering, which cannot be changed",
    ),
    Param::optional("guestvmcidr", Kind::Text(64), "cannot be changed"),
    Param::optional("changecidr", Kind::Bool, "no meaning without another offering"),
];

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let id = NetworkId(params.need_id("id")?);
    if let Some(cidr) = params.text("guestvmcidr") {
        let expected = "nothing: a network's CIDR cannot be changed";
        return Err(ApiError::invalid(params.command(), "guestvmcidr", cidr, expected).into());
    }
    if let Some(offering) = params.id("networkofferingid") {
        let same = call
            .manager
            .view()
            .get::<Network>(id)
            .is_some_and(|n| n.offering.0 == offering);
        if !same {
            let expected = "the network's own offering: it cannot be changed";
            return Err(ApiError::invalid(
                params.command(),
                "networkofferingid",
                &offering.to_string(),
                expected,
            )
            .into());
        }
    }
    let request = UpdateNetwork {
        id,
        name: params.string("name"),
        display_text: params.string("displaytext"),
        domain: params.string("networkdomain"),
        source_nat_address: params.address("sourcenatipaddress"),
    };
    Ok(call.manager.update_network(&call.caller, request).await?)
}

const RESTART: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Network), "the network"),
    Param::optional(
        "cleanup",
        Kind::Bool,
        "whether the router is replaced by a fresh one (false when left out)",
    ),
    Param::optional(
        "livepatch",
        Kind::Bool,
        "every restart without cleanup keeps sessions",
    ),
    Param::optional(
        "makeredundant",
        Kind::Bool,
        "redundant routers are not available: true is refused",
    ),
];

async fn restart(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    if params.flag("makeredundant") == Some(true) {
        let expected = "false: redundant routers are not available";
        return Err(ApiError::invalid(params.command(), "makeredundant", "true", expected).into());
    }
    let request = RestartNetwork {
        id: NetworkId(params.need_id("id")?),
        cleanup: params.flag("cleanup").unwrap_or(false),
    };
    Ok(call.manager.restart_network(&call.caller, request).await?)
}

const DELETE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Network), "the network"),
    Param::optional(
        "forced",
        Kind::Bool,
        "whether guests that are still on it go too (false when left out)",
    ),
];

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteNetwork {
        id: NetworkId(call.params.need_id("id")?),
        forced: call.params.flag("forced").unwrap_or(false),
    };
    Ok(call.manager.delete_network(&call.caller, request).await?)
}

impl Call<'_> {
    /// The account that the request names, if it names one.
    pub(super) fn owner(&self) -> Result<Option<outgate_model::id::AccountId>, ApiError> {
        let view = self.manager.view();
        scope::owner(
            &Look {
                view: &view,
                caller: &self.caller,
            },
            &self.params,
        )
    }

    /// An answer with one object as it is now.
    fn entity(&self, entity: Entity, id: uuid::Uuid) -> Object {
        let view = self.manager.view();
        let look = Look {
            view: &view,
            caller: &self.caller,
        };
        let object = entity.render(&look, id).unwrap_or_default();
        envelope::single(entity.key(), serde_json::Value::Object(object))
    }
}
