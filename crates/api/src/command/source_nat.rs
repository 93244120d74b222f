// SPDX-License-Identifier: Apache-2.0
//! The source NAT pool: more addresses for guests to leave through. Outgate's own commands.

use outgate_manager::Started;
use outgate_manager::command::request::{AddSourceNat, RemoveSourceNat, WantedAddress};
use outgate_model::id::{NetworkId, PublicIpId, VpcId};

use super::{Answers, Call, Command, Entity, Refused};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "addSourceNatAddress",
        "Gives a network or a VPC one more source NAT address: new sessions use it once the ports of those before it run \
         short towards a destination. Sessions go on, and a guest keeps one address while its sessions live.",
        &[ADD],
        Answers::Entity(Entity::Address),
        |call| Box::pin(add(call)),
    ),
    Command::start(
        "removeSourceNatAddress",
        "Takes an additional source NAT address out of its network's or VPC's pool. The address stays theirs: its sessions \
         go on until they end or disassociateIpAddress releases it; new sessions use the others.",
        &[REMOVE],
        Answers::Entity(Entity::Address),
        |call| Box::pin(remove(call)),
    ),
];

const ADD: &[Param] = &[
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "the isolated network; needed unless vpcid is given",
    ),
    Param::optional(
        "vpcid",
        Kind::Uuid(Of::Vpc),
        "the VPC: all its tiers leave through it",
    ),
    Param::optional(
        "ipaddress",
        Kind::Address,
        "a free address, or one of the network's that nothing uses; any free one when left out",
    ),
    Param::optional(
        "ipaddressid",
        Kind::Uuid(Of::Address),
        "the same by its id, for an address that was acquired",
    ),
];

async fn add(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let by_id = params.id("ipaddressid").map(PublicIpId);
    let address = match (params.address("ipaddress"), by_id) {
        (Some(_), Some(id)) => {
            let expected = "nothing beside ipaddress: one of both";
            let refused = ApiError::invalid(params.command(), "ipaddressid", &id.to_string(), expected);
            return Err(refused.into());
        }
        (Some(address), None) => Some(WantedAddress::Address(address)),
        (None, id) => id.map(WantedAddress::Id),
    };
    let request = AddSourceNat {
        network: params.id("networkid").map(NetworkId),
        vpc: params.id("vpcid").map(VpcId),
        address,
    };
    Ok(call.manager.add_source_nat(&call.caller, request).await?)
}

const REMOVE: &[Param] = &[Param::required(
    "ipaddressid",
    Kind::Uuid(Of::Address),
    "the additional source NAT address",
)];

async fn remove(call: &Call<'_>) -> Result<Started, Refused> {
    let request = RemoveSourceNat {
        id: PublicIpId(call.params.need_id("ipaddressid")?),
    };
    Ok(call.manager.remove_source_nat(&call.caller, request).await?)
}
