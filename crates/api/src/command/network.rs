// SPDX-License-Identifier: Apache-2.0
//! Isolated networks, and tiers of VPCs.

use outgate_manager::Started;
use outgate_manager::command::request::{
    ChosenSettings, CreateNetwork, CreateTier, DeleteNetwork, MigrateNetwork, RestartNetwork, UpdateNetwork,
};
use outgate_model::id::{NetworkAclListId, NetworkId, NetworkOfferingId, PhysicalNetworkId, VpcId, ZoneId};
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
        "Creates an isolated network, which gets its router with its first guest, or at once with a persistent offering; \
         with vpcid a tier of that VPC.",
        &[CREATE, SETTINGS, scope::FOR_ACCOUNT],
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
        "Changes a network while it runs: names, resolvers, MTUs, the part for guests, its offering, its source NAT address.",
        &[UPDATE, SETTINGS],
        Answers::Entity(Entity::Network),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "restartNetwork",
        "Applies a network's rules again, with cleanup on a fresh router.",
        &[RESTART, RESTART_HOW],
        Answers::Success,
        |call| Box::pin(restart(call)),
    ),
    Command::start(
        "migrateNetwork",
        "Makes an isolated network a tier of a VPC: guests keep their addresses, the network its public ones; firewall and \
         egress rules become a network ACL list of the same meaning; sessions go on in the VPC's router.",
        &[MIGRATE],
        Answers::Entity(Entity::Network),
        |call| Box::pin(migrate(call)),
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
    Param::optional("startip", Kind::Address, "the first address that guests get"),
    Param::optional(
        "endip",
        Kind::Address,
        "the last address that guests get; startip when left out",
    ),
    Param::optional(
        "sourcenatipaddress",
        Kind::Address,
        "a free public address to be the source NAT address",
    ),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "the VPC whose tier it becomes"),
    Param::optional(
        "aclid",
        Kind::Uuid(Of::NetworkAclList),
        "of a tier, its network ACL list; default_deny when left out",
    ),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "the physical network; one with the offering's tags when left out",
    ),
    Param::optional(
        "vlan",
        Kind::Text(64),
        "the VLAN, such as 100 or vlan://100: given by root admins exactly when the offering has specifyvlan",
    ),
    Param::optional(
        "bypassvlanoverlapcheck",
        Kind::Bool,
        "whether vlan may be in the physical network's range (false when left out)",
    ),
    Param::optional(
        "acltype",
        Kind::OneOf(&["Account", "Domain"]),
        "Account: an isolated network is one account's",
    ),
    Param::optional(
        "subdomainaccess",
        Kind::Bool,
        "written down and shown: an isolated network is one account's",
    ),
    Param::optional("externalid", NAME, "has no effect"),
    Param::optional("hideipaddressusage", Kind::Bool, "has no effect"),
    Param::optional("isolatedpvlan", NAME, "only Shared and L2 networks have one"),
    Param::optional("associatednetworkid", NAME, "only Shared networks have one"),
    Param::optional("routerip", NAME, "only Shared networks name one"),
    Param::optional("ip6cidr", NAME, "there is no IPv6"),
    Param::optional("ip6gateway", NAME, "there is no IPv6"),
    Param::optional("startipv6", NAME, "there is no IPv6"),
    Param::optional("endipv6", NAME, "there is no IPv6"),
];

/// What `createNetwork` and `updateNetwork` may choose beside the subnet.
const SETTINGS: &[Param] = &[
    Param::optional(
        "dns1",
        Kind::Address,
        "the first resolver; the zone's when left out",
    ),
    Param::optional("dns2", Kind::Address, "the second resolver; needs dns1"),
    Param::optional(
        "publicmtu",
        Kind::Int(0, 65_535),
        "MTU of the public side, at most the zone's, which it is when left out",
    ),
    Param::optional(
        "privatemtu",
        Kind::Int(0, 65_535),
        "MTU of the guest side, at most the public side's, which it is when left out",
    ),
    Param::optional(
        "displaynetwork",
        Kind::Bool,
        "whether users see it in lists; only root admins may say so",
    ),
];

/// The chosen settings. Who is no root admin does not choose what is displayed: as CloudStack, what it says of that is
/// ignored.
fn settings(call: &Call<'_>) -> ChosenSettings {
    let params = &call.params;
    let mtu = |name| params.int(name).and_then(|mtu| u32::try_from(mtu).ok());
    ChosenSettings {
        dns1: params.address("dns1"),
        dns2: params.address("dns2"),
        public_mtu: mtu("publicmtu"),
        private_mtu: mtu("privatemtu"),
        display: params.flag("displaynetwork").filter(|_| call.caller.admin()),
    }
}

/// Refuses what only networks of other kinds have.
fn only_isolated(params: &Params) -> Result<(), ApiError> {
    const OTHERS: &[(&str, &str)] = &[
        (
            "isolatedpvlan",
            "nothing: only Shared and L2 networks have a private VLAN",
        ),
        (
            "associatednetworkid",
            "nothing: only Shared networks have an associated network",
        ),
        (
            "routerip",
            "nothing: the router of an isolated network is its gateway",
        ),
        ("ip6cidr", "nothing: there is no IPv6"),
        ("ip6gateway", "nothing: there is no IPv6"),
        ("startipv6", "nothing: there is no IPv6"),
        ("endipv6", "nothing: there is no IPv6"),
    ];
    let refused = |name: &str, value: &str, expected: &str| {
        Err(ApiError::invalid(params.command(), name, value, expected))
    };
    if let Some(word) = params.word("acltype").filter(|word| *word != "Account") {
        return refused(
            "acltype",
            word,
            "Account: networks of a whole domain are Shared ones",
        );
    }
    match OTHERS
        .iter()
        .find_map(|(name, expected)| Some((name, params.text(name)?, expected)))
    {
        Some((name, value, expected)) => refused(name, value, expected),
        None => Ok(()),
    }
}

/// `vlan`: `100` or `vlan://100`.
fn vlan(params: &Params) -> Result<Option<u16>, ApiError> {
    let Some(text) = params.text("vlan") else {
        return Ok(None);
    };
    let number = text.strip_prefix("vlan://").unwrap_or(text).parse().ok();
    match number.filter(|vlan| (1..=4094).contains(vlan)) {
        Some(vlan) => Ok(Some(vlan)),
        None => Err(ApiError::invalid(
            params.command(),
            "vlan",
            text,
            "a VLAN from 1 to 4094, such as 100 or vlan://100",
        )),
    }
}

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    only_isolated(params)?;
    let offering = NetworkOfferingId(params.need_id("networkofferingid")?);
    let zone = ZoneId(params.need_id("zoneid")?);
    let request = CreateNetwork {
        display_text: params.string("displaytext"),
        gateway: params.address("gateway"),
        netmask: params.address("netmask"),
        domain: params.string("networkdomain"),
        start_ip: params.address("startip"),
        end_ip: params.address("endip"),
        source_nat_address: params.address("sourcenatipaddress"),
        owner: call.owner()?,
        physical_network: params.id("physicalnetworkid").map(PhysicalNetworkId),
        vlan: vlan(params)?,
        any_vlan: params.flag("bypassvlanoverlapcheck").unwrap_or(false),
        subdomain_access: params.flag("subdomainaccess").unwrap_or(false),
        settings: settings(call),
        ..CreateNetwork::new(params.need_text("name")?, offering, zone)
    };
    let acl = params.id("aclid").map(NetworkAclListId);
    let id = match (params.id("vpcid").map(VpcId), acl) {
        (Some(vpc), acl) => {
            let network = request;
            let request = CreateTier { network, vpc, acl };
            call.manager.create_tier(&call.caller, request).await?
        }
        (None, Some(acl)) => {
            let expected = "nothing without vpcid: only tiers of VPCs have a network ACL list";
            return Err(ApiError::invalid(params.command(), "aclid", &acl.to_string(), expected).into());
        }
        (None, None) => call.manager.create_network(&call.caller, request).await?,
    };
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
        Kind::OneOf(&["All", "Account", "Domain", "AccountDomain", "Shared"]),
        "Domain and Shared: none, for every network is one account's; the others: all of them",
    ),
    Param::optional("forvpc", Kind::Bool, "tiers of VPCs, or isolated networks"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "tiers of this VPC"),
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
        "whether guests can be deployed on it: it stays, and an address is free",
    ),
    Param::optional(
        "supportedservices",
        Kind::Text(1024),
        "networks with all these services",
    ),
    Param::optional(
        "vlan",
        Kind::Text(64),
        "the network whose VLAN a root admin named so",
    ),
    Param::optional("associatednetworkid", NAME, "no network has an associated one"),
    Param::optional(
        "displaynetwork",
        Kind::Bool,
        "those that users see in lists, or the others; root admins only",
    ),
    Param::optional(
        "retrieveonlyresourcecount",
        Kind::Bool,
        "whether only the count is answered",
    ),
];

fn networks(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let scope = Scope::of(look, params)?;
    let vlan = vlan(params)?;
    let nobody = matches!(params.word("networkfilter"), Some("Domain" | "Shared"))
        || params.text("associatednetworkid").is_some();
    let matches = candidates(look, params, scope).filter(|n| {
        !nobody
            && scope.shows(look, n.account)
            && plain(params, n)
            && vlan.is_none_or(|vlan| look.caller.admin() && n.settings.vlan == Some(vlan))
            && costly(look, params, n)
    });
    list::reply(look, params, "network", matches, view::network::render)
}

/// The filters that look at nothing but the network.
fn plain(params: &Params, n: &Network) -> bool {
    let filter = Filter(params);
    filter.id("id", n.id.0)
        && filter.exact("name", &n.name)
        && filter.id("zoneid", n.zone.0)
        && filter.id("networkofferingid", n.offering.0)
        && filter.word("type", "Isolated")
        && filter.exact("traffictype", "Guest")
        && filter.word("acltype", "Account")
        && filter.flag("forvpc", n.tier.is_some())
        && filter.maybe_id("vpcid", n.tier.as_ref().map(|tier| tier.vpc.0))
        && ["issystem", "specifyipranges"]
            .iter()
            .all(|name| filter.flag(name, false))
        && filter.keyword(&[&n.name, &n.display_text])
}

/// The filters that look elsewhere, which only those requests pay for that ask: an admin's list holds every network.
fn costly(look: &Look<'_>, params: &Params, n: &Network) -> bool {
    let view = look.view;
    let services = params.text("supportedservices");
    let offering = || view.get::<NetworkOffering>(n.offering);
    let flag = |name, value: &dyn Fn() -> bool| params.flag(name).is_none_or(|wanted| wanted == value());
    let physical = params.id("physicalnetworkid");
    let shown = match (look.caller.admin(), params.flag("displaynetwork")) {
        (true, wanted) => wanted.is_none_or(|wanted| wanted != n.settings.hidden),
        (false, _) => !n.settings.hidden,
    };
    shown
        && services.is_none_or(|wanted| offering().is_some_and(|o| view::service::all_supported(o, wanted)))
        && flag("restartrequired", &|| view.restart_required(n))
        && flag("canusefordeploy", &|| view.can_use_for_deploy(n))
        && physical
            .is_none_or(|wanted| view::network::physical_network(look, n).is_some_and(|id| id.0 == wanted))
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
    if let Some(id) = params.id("vpcid") {
        return Box::new(view.tiers_of_vpc(VpcId(id)).map(|n| &**n));
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
        "the new offering; the network changes to it while it runs",
    ),
    Param::optional(
        "forced",
        Kind::Bool,
        "whether rules go that the new offering has no service for (false when left out: they are refused by name)",
    ),
    Param::optional(
        "changecidr",
        Kind::Bool,
        "has no effect: no offering needs another CIDR than another",
    ),
    Param::optional(
        "updateinsequence",
        Kind::Bool,
        "has no effect: there is one router",
    ),
    Param::optional(
        "guestvmcidr",
        Kind::Text(64),
        "the part of the network from which guests get addresses; the whole network lifts the reservation",
    ),
    Param::optional("hideipaddressusage", Kind::Bool, "has no effect"),
    Param::optional(
        "customid",
        Kind::Text(64),
        "the network's own id: ids never change",
    ),
];

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let id = params.need_id("id")?;
    super::own_id(params, id)?;
    let guest_cidr = match params.text("guestvmcidr") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            ApiError::invalid(
                params.command(),
                "guestvmcidr",
                text,
                "a CIDR such as 10.1.1.64/26",
            )
        })?),
    };
    let request = UpdateNetwork {
        name: params.string("name"),
        display_text: params.string("displaytext"),
        domain: params.string("networkdomain"),
        source_nat_address: params.address("sourcenatipaddress"),
        offering: params.id("networkofferingid").map(NetworkOfferingId),
        forced: params.flag("forced").unwrap_or(false),
        guest_cidr,
        settings: settings(call),
        ..UpdateNetwork::of(NetworkId(id))
    };
    Ok(call.manager.update_network(&call.caller, request).await?)
}

const RESTART: &[Param] = &[Param::required("id", Kind::Uuid(Of::Network), "the network")];

/// How a network or a VPC is restarted.
pub(super) const RESTART_HOW: &[Param] = &[
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

/// Whether a restart is to be with a fresh router.
pub(super) fn cleanup(params: &Params) -> Result<bool, ApiError> {
    if params.flag("makeredundant") == Some(true) {
        let expected = "false: redundant routers are not available";
        return Err(ApiError::invalid(
            params.command(),
            "makeredundant",
            "true",
            expected,
        ));
    }
    Ok(params.flag("cleanup").unwrap_or(false))
}

async fn restart(call: &Call<'_>) -> Result<Started, Refused> {
    let request = RestartNetwork {
        id: NetworkId(call.params.need_id("id")?),
        cleanup: cleanup(&call.params)?,
    };
    Ok(call.manager.restart_network(&call.caller, request).await?)
}

const MIGRATE: &[Param] = &[
    Param::required("networkid", Kind::Uuid(Of::Network), "the network"),
    Param::required(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "an offering for tiers of VPCs",
    ),
    Param::optional(
        "vpcid",
        Kind::Uuid(Of::Vpc),
        "the VPC, whose CIDR holds the network's; Outgate's own parameter, needed",
    ),
    Param::optional(
        "aclid",
        Kind::Uuid(Of::NetworkAclList),
        "the tier's network ACL list; Outgate's own parameter. One made from the network's rules when left out",
    ),
    Param::optional(
        "resume",
        Kind::Bool,
        "no meaning here: a migration is one transaction, which nothing can leave half-made",
    ),
];

async fn migrate(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let vpc = params.id("vpcid").map(VpcId);
    let request = MigrateNetwork {
        network: NetworkId(params.need_id("networkid")?),
        offering: NetworkOfferingId(params.need_id("networkofferingid")?),
        vpc: vpc.ok_or_else(|| ApiError::missing(params.command(), "vpcid"))?,
        acl: params.id("aclid").map(NetworkAclListId),
    };
    Ok(call.manager.migrate_network(&call.caller, request).await?)
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
    pub(super) fn entity(&self, entity: Entity, id: uuid::Uuid) -> Object {
        let view = self.manager.view();
        let look = Look {
            view: &view,
            caller: &self.caller,
        };
        let object = entity.render(&look, id).unwrap_or_default();
        envelope::single(entity.key(), serde_json::Value::Object(object))
    }
}
