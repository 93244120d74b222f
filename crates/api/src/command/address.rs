// SPDX-License-Identifier: Apache-2.0
//! Public addresses and static NAT.

use std::net::Ipv4Addr;

use outgate_manager::Started;
use outgate_manager::command::request::{
    AssociateIp, AssociateIpToVpc, DisableStaticNat, DisassociateIp, EnableStaticNat,
};
use outgate_manager::command::request::{ReleaseIp, ReserveIp, UpdateIp};
use outgate_model::id::{GuestId, NetworkId, PublicIpId, VpcId, ZoneId};
use outgate_model::object::{Dedicated, PublicIp, PublicIpRange};
use serde_json::json;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "associateIpAddress",
        "Acquires a public address for a network or a VPC. Its first one becomes its source NAT address.",
        &[ASSOCIATE, scope::FOR_ACCOUNT],
        Answers::Entity(Entity::Address),
        |call| Box::pin(associate(call)),
    )
    .creating(),
    Command::start(
        "disassociateIpAddress",
        "Releases a public address with its rules. A source NAT address cannot be released.",
        &[DISASSOCIATE],
        Answers::Success,
        |call| Box::pin(disassociate(call)),
    ),
    Command::start(
        "updateIpAddress",
        "Changes whether users see a public address in lists.",
        &[UPDATE],
        Answers::Entity(Entity::Address),
        |call| Box::pin(update(call)),
    ),
    Command::act(
        "reserveIpAddress",
        "Keeps a free public address for an account, which associates it by associateIpAddress with ipaddress.",
        &[RESERVE, scope::FOR_ACCOUNT],
        Answers::Entity(Entity::Address),
        |call| Box::pin(reserve(call)),
    ),
    Command::act(
        "releaseIpAddress",
        "Gives a reserved public address back.",
        &[RELEASE],
        Answers::Success,
        |call| Box::pin(release(call)),
    ),
    Command::read(
        "listPublicIpAddresses",
        "Lists acquired public addresses, with allocatedonly=false the free ones too.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("publicipaddress", view::address::FIELDS),
        addresses,
    ),
    Command::act(
        "enableStaticNat",
        "Gives a public address entirely to a guest.",
        &[ENABLE],
        Answers::Success,
        |call| Box::pin(enable(call)),
    ),
    Command::start(
        "disableStaticNat",
        "Takes a public address back from its guest.",
        &[DISABLE],
        Answers::Success,
        |call| Box::pin(disable(call)),
    ),
];

const ASSOCIATE: &[Param] = &[
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "the network; needed unless vpcid or zoneid is given",
    ),
    Param::optional(
        "zoneid",
        Kind::Uuid(Of::Zone),
        "the zone, for an address without a network yet",
    ),
    Param::optional("ipaddress", Kind::Address, "this address and no other"),
    Param::optional(
        "vpcid",
        Kind::Uuid(Of::Vpc),
        "the VPC, for an address of all its tiers",
    ),
    Param::optional(
        "isportable",
        Kind::Bool,
        "portable addresses are not available: true is refused",
    ),
    Param::optional("regionid", Kind::Int(1, 1), "the one region, 1"),
];

async fn associate(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    if params.flag("isportable") == Some(true) {
        let expected = "false: portable addresses are not available";
        return Err(ApiError::invalid(params.command(), "isportable", "true", expected).into());
    }
    if let Some(vpc) = params.id("vpcid").map(VpcId) {
        return associate_to_vpc(call, vpc).await;
    }
    let request = AssociateIp {
        network: params.id("networkid").map(NetworkId),
        zone: params.id("zoneid").map(ZoneId),
        address: params.address("ipaddress"),
        owner: call.owner()?,
    };
    if request.network.is_none() && request.zone.is_none() {
        return Err(ApiError::missing(params.command(), "networkid or zoneid").into());
    }
    Ok(call.manager.associate_ip(&call.caller, request).await?)
}

/// A tier of the VPC may be named too: the address is all tiers' anyway, until a rule of it leads to one.
async fn associate_to_vpc(call: &Call<'_>, vpc: VpcId) -> Result<Started, Refused> {
    let params = &call.params;
    if let Some(id) = params.id("networkid") {
        let is_tier = |id| {
            let view = call.manager.view();
            let mut tiers = view.tiers_of_vpc(vpc);
            tiers.any(|tier| tier.id == id)
        };
        if !is_tier(NetworkId(id)) {
            let expected = format!("a tier of VPC {vpc}, or nothing");
            return Err(ApiError::invalid(params.command(), "networkid", &id.to_string(), &expected).into());
        }
    }
    let address = params.address("ipaddress");
    let request = AssociateIpToVpc { vpc, address };
    Ok(call.manager.associate_ip_to_vpc(&call.caller, request).await?)
}

const DISASSOCIATE: &[Param] = &[Param::required("id", Kind::Uuid(Of::Address), "the address")];

async fn disassociate(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DisassociateIp {
        id: PublicIpId(call.params.need_id("id")?),
    };
    Ok(call.manager.disassociate_ip(&call.caller, request).await?)
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Address), "the address"),
    FOR_DISPLAY,
    Param::optional(
        "customid",
        Kind::Text(64),
        "the address's own id: ids never change",
    ),
];

/// As CloudStack's, it means something when a root admin says it.
const FOR_DISPLAY: Param = Param::optional(
    "fordisplay",
    Kind::Bool,
    "whether users see it in lists; only root admins may say so",
);

/// `fordisplay`, if the caller may say it.
fn display(call: &Call<'_>) -> Option<bool> {
    call.params.flag("fordisplay").filter(|_| call.caller.admin())
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let id = call.params.need_id("id")?;
    super::own_id(&call.params, id)?;
    let request = UpdateIp {
        id: PublicIpId(id),
        display: display(call),
    };
    Ok(call.manager.update_ip(&call.caller, request).await?)
}

const RESERVE: &[Param] = &[
    Param::required(
        "id",
        Kind::Uuid(Of::Anything),
        "a free address, as listPublicIpAddresses state=Free lists it",
    ),
    FOR_DISPLAY,
];

async fn reserve(call: &Call<'_>) -> Result<Object, Refused> {
    let request = ReserveIp {
        id: PublicIpId(call.params.need_id("id")?),
        owner: call.owner()?,
        display: display(call),
    };
    let id = call.manager.reserve_ip(&call.caller, request).await?;
    Ok(call.entity(Entity::Address, id.0))
}

const RELEASE: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::Address),
    "the reserved address",
)];

async fn release(call: &Call<'_>) -> Result<Object, Refused> {
    let request = ReleaseIp {
        id: PublicIpId(call.params.need_id("id")?),
    };
    call.manager.release_ip(&call.caller, request).await?;
    Ok(envelope::single("success", json!(true)))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Address), "the address of this id"),
    Param::optional("ipaddress", Kind::Address, "this address"),
    Param::optional(
        "associatednetworkid",
        Kind::Uuid(Of::Network),
        "addresses of this network",
    ),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "addresses of this zone"),
    Param::optional("vlanid", Kind::Uuid(Of::Range), "addresses of this range"),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "addresses on this physical network",
    ),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Anything),
        "addresses of this public network",
    ),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "addresses of this VPC"),
    Param::optional(
        "issourcenat",
        Kind::Bool,
        "whether guests of a network leave through it",
    ),
    Param::optional(
        "isstaticnat",
        Kind::Bool,
        "whether it belongs entirely to a guest",
    ),
    Param::optional(
        "forvirtualnetwork",
        Kind::Bool,
        "every address is for virtual networks",
    ),
    Param::optional(
        "forloadbalancing",
        Kind::Bool,
        "whether it has load balancer rules",
    ),
    Param::optional(
        "allocatedonly",
        Kind::Bool,
        "only acquired ones (true when left out)",
    ),
    Param::optional(
        "state",
        Kind::OneOf(&["Allocated", "Allocating", "Free", "Releasing", "Reserved"]),
        "the state",
    ),
    Param::optional(
        "fordisplay",
        Kind::Bool,
        "those that users see in lists, or the others; root admins only",
    ),
    Param::optional("forsystemvms", Kind::Bool, "no address is kept for system VMs"),
    Param::optional("forprovider", Kind::Bool, "no address is an external provider's"),
    Param::optional(
        "retrieveonlyresourcecount",
        Kind::Bool,
        "whether only the count is answered",
    ),
];

fn addresses(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let scope = Scope::of(look, params)?;
    let free = params.flag("allocatedonly") == Some(false) || params.word("state") == Some("Free");
    let held = candidates(look, params, scope)
        .filter(|ip| scope.shows(look, ip.account) && matches_held(look, params, ip))
        .map(Either::Held);
    let free = free.then(|| free_addresses(look, params)).into_iter().flatten();
    list::reply(
        look,
        params,
        "publicipaddress",
        held.chain(free),
        |look, either| match either {
            Either::Held(ip) => view::address::render(look, ip),
            Either::Free(range, address) => view::address::render_free(look, range, address),
        },
    )
}

/// An acquired address, or one that nobody holds.
enum Either<'a> {
    Held(&'a PublicIp),
    Free(&'a PublicIpRange, Ipv4Addr),
}

fn matches_held(look: &Look<'_>, params: &Params, ip: &PublicIp) -> bool {
    let filter = Filter(params);
    let physical = look
        .view
        .get::<PublicIpRange>(ip.range)
        .map(|r| r.physical_network.0);
    filter.id("id", ip.id.0)
        && params
            .address("ipaddress")
            .is_none_or(|wanted| wanted == ip.address)
        && filter.maybe_id("associatednetworkid", ip.network.map(|n| n.0))
        && filter.maybe_id("vpcid", ip.vpc.map(|vpc| vpc.0))
        && filter.id("zoneid", ip.zone.0)
        && filter.id("vlanid", ip.range.0)
        && filter.maybe_id("physicalnetworkid", physical)
        && filter.maybe_id("networkid", physical)
        && filter.flag("issourcenat", ip.is_source_nat())
        && filter.flag("isstaticnat", ip.static_nat.is_some())
        && filter.flag("forvirtualnetwork", true)
        && filter.flag(
            "forloadbalancing",
            look.view.balancers_of_ip(ip.id).next().is_some(),
        )
        && filter.word("state", view::address::state(ip))
        && shown(look, params, ip.hidden)
        && ["forsystemvms", "forprovider"]
            .iter()
            .all(|name| filter.flag(name, false))
        && filter.keyword(&[&ip.address.to_string()])
}

/// Whether the list shows what is hidden, or not: to root admins as they ask for it, to users never.
fn shown(look: &Look<'_>, params: &Params, hidden: bool) -> bool {
    if look.caller.admin() {
        Filter(params).flag("fordisplay", !hidden)
    } else {
        !hidden
    }
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a PublicIp> + 'a> {
    let view = look.view;
    let zone = params.id("zoneid").map(ZoneId);
    if let Some(id) = params.id("id") {
        return Box::new(view.get::<PublicIp>(PublicIpId(id)).into_iter().map(|ip| &**ip));
    }
    if let Some(id) = params.id("associatednetworkid") {
        return Box::new(view.public_ips_of_network(NetworkId(id)).map(|ip| &**ip));
    }
    if let Some(id) = params.id("vpcid") {
        return Box::new(view.public_ips_of_vpc(VpcId(id)).map(|ip| &**ip));
    }
    if let (Some(zone), Some(address)) = (zone, params.address("ipaddress")) {
        return Box::new(view.public_ip_at(zone, address).into_iter().map(|ip| &**ip));
    }
    let all = || -> Box<dyn Iterator<Item = _>> {
        match zone {
            Some(zone) => Box::new(view.public_ips_of_zone(zone)),
            None => Box::new(view.all::<PublicIp>()),
        }
    };
    scope.pick(look, |id| view.public_ips_of_account(id), all)
}

/// The addresses of the ranges that nobody holds, with the filters that make sense for them.
fn free_addresses<'a>(look: &Look<'a>, params: &'a Params) -> impl Iterator<Item = Either<'a>> {
    let (look, view, filter) = (*look, look.view, Filter(params));
    let only_held = ["id", "associatednetworkid", "vpcid"]
        .iter()
        .any(|name| params.id(name).is_some())
        || ["issourcenat", "isstaticnat"]
            .iter()
            .any(|name| params.flag(name) == Some(true))
        || ["forsystemvms", "forprovider"]
            .iter()
            .any(|name| params.flag(name) == Some(true))
        || ["forvirtualnetwork", "fordisplay"]
            .iter()
            .any(|name| params.flag(name) == Some(false))
        || params.flag("forloadbalancing") == Some(true)
        || params.word("state").is_some_and(|state| state != "Free")
        || !params.maps("tags").is_empty();
    let ranges = view.all::<PublicIpRange>().map(|r| &**r).filter(move |r| {
        !only_held
            && is_for(&look, r)
            && filter.id("zoneid", r.zone.0)
            && filter.id("vlanid", r.id.0)
            && filter.id("physicalnetworkid", r.physical_network.0)
            && filter.id("networkid", r.physical_network.0)
    });
    ranges.flat_map(move |range| {
        range
            .range
            .iter()
            .filter(move |address| {
                params
                    .address("ipaddress")
                    .is_none_or(|wanted| wanted == *address)
                    && view.is_free(range.zone, *address)
                    && filter.keyword(&[&address.to_string()])
            })
            .map(move |address| Either::Free(range, address))
    })
}

/// Whether the caller may be given addresses of a range: those that are kept for others are nobody else's to see.
fn is_for(look: &Look<'_>, range: &PublicIpRange) -> bool {
    match range.dedicated {
        _ if look.caller.admin() => true,
        None => true,
        Some(Dedicated::Account(account)) => look.caller.may(look.view, account),
        Some(Dedicated::Domain(domain)) => look.view.is_within(look.caller.domain, domain),
    }
}

const ENABLE: &[Param] = &[
    Param::required("ipaddressid", Kind::Uuid(Of::Address), "the address"),
    Param::required("virtualmachineid", Kind::Uuid(Of::Guest), "the guest"),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "the network, for an address that has none yet",
    ),
    Param::optional("vmguestip", Kind::Address, "the guest's address"),
];

async fn enable(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = EnableStaticNat {
        public_ip: PublicIpId(params.need_id("ipaddressid")?),
        guest: GuestId(params.need_id("virtualmachineid")?),
        network: params.id("networkid").map(NetworkId),
        guest_address: params.address("vmguestip"),
    };
    call.manager.enable_static_nat(&call.caller, request).await?;
    Ok(envelope::single("success", json!(true)))
}

const DISABLE: &[Param] = &[Param::required(
    "ipaddressid",
    Kind::Uuid(Of::Address),
    "the address",
)];

async fn disable(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DisableStaticNat {
        public_ip: PublicIpId(call.params.need_id("ipaddressid")?),
    };
    Ok(call.manager.disable_static_nat(&call.caller, request).await?)
}
