// SPDX-License-Identifier: Apache-2.0
//! NICs of guests and their secondary addresses.

use outgate_manager::Started;
use outgate_manager::command::request::{
    AddIpToNic, AddNic, RemoveIpFromNic, RemoveNic, UpdateDefaultNic, UpdateNicIp, WantedNic,
};
use outgate_model::id::{GuestId, NetworkId, NicId, SecondaryIpId};
use outgate_model::object::Guest;

use super::filter::Filter;
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::nic::GuestNic;
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listNics",
        "Lists a guest's NICs.",
        &[FILTERS, list::PAGED],
        Answers::List("nic", view::nic::FIELDS),
        nics,
    ),
    Command::start(
        "addNicToVirtualMachine",
        "Gives a guest a NIC on another network, without a restart if it runs.",
        &[ADD],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(add(call)),
    ),
    Command::start(
        "removeNicFromVirtualMachine",
        "Takes a NIC from a guest: not the default one, nor one that rules lead to.",
        &[NIC],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(remove(call)),
    ),
    Command::start(
        "updateDefaultNicForVirtualMachine",
        "Makes another NIC of a guest the default one: the guest leaves by its router and asks its resolver.",
        &[NIC],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(set_default(call)),
    ),
    Command::start(
        "updateVmNicIp",
        "Gives a NIC of a stopped guest another address; static NAT and rules follow it.",
        &[NIC_AND_IP],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(update_ip(call)),
    ),
    Command::start(
        "addIpToNic",
        "Keeps a secondary address for a NIC; the guest gives it to its interface itself.",
        &[NIC_AND_IP],
        Answers::Entity(Entity::NicSecondaryIp),
        |call| Box::pin(add_ip(call)),
    )
    .creating(),
    Command::start(
        "removeIpFromNic",
        "Gives a secondary address back that no rule leads to.",
        &[SECONDARY],
        Answers::Success,
        |call| Box::pin(remove_ip(call)),
    ),
];

const ADD: &[Param] = &[
    Param::required("virtualmachineid", Kind::Uuid(Of::Guest), "the guest"),
    Param::required(
        "networkid",
        Kind::Uuid(Of::Network),
        "a network of the guest's owner and zone on which it has no NIC",
    ),
    Param::optional(
        "ipaddress",
        Kind::Address,
        "its address; a free one when left out",
    ),
    Param::optional(
        "macaddress",
        Kind::Mac,
        "its Ethernet address; made up when left out",
    ),
];

const NIC: &[Param] = &[
    Param::required("virtualmachineid", Kind::Uuid(Of::Guest), "the guest"),
    Param::required("nicid", Kind::Uuid(Of::Nic), "its NIC"),
];

const NIC_AND_IP: &[Param] = &[
    Param::required("nicid", Kind::Uuid(Of::Nic), "the NIC"),
    Param::optional(
        "ipaddress",
        Kind::Address,
        "the address; a free one of the network when left out",
    ),
];

const SECONDARY: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::SecondaryIp),
    "the secondary address",
)];

const FILTERS: &[Param] = &[
    Param::required("virtualmachineid", Kind::Uuid(Of::Guest), "the guest"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "the NIC on this network"),
    Param::optional("nicid", Kind::Uuid(Of::Nic), "the NIC of this id"),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

impl Call<'_> {
    fn guest_and_nic(&self) -> Result<(GuestId, NicId), ApiError> {
        let guest = self.params.need_id("virtualmachineid").map(GuestId)?;
        Ok((guest, NicId(self.params.need_id("nicid")?)))
    }
}

async fn add(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = AddNic {
        guest: GuestId(params.need_id("virtualmachineid")?),
        nic: WantedNic {
            network: NetworkId(params.need_id("networkid")?),
            address: params.address("ipaddress"),
            mac: params.mac("macaddress"),
        },
    };
    Ok(call.manager.add_nic(&call.caller, request).await?)
}

async fn remove(call: &Call<'_>) -> Result<Started, Refused> {
    let (guest, nic) = call.guest_and_nic()?;
    Ok(call
        .manager
        .remove_nic(&call.caller, RemoveNic { guest, nic })
        .await?)
}

async fn set_default(call: &Call<'_>) -> Result<Started, Refused> {
    let (guest, nic) = call.guest_and_nic()?;
    let request = UpdateDefaultNic { guest, nic };
    Ok(call.manager.update_default_nic(&call.caller, request).await?)
}

async fn update_ip(call: &Call<'_>) -> Result<Started, Refused> {
    let request = UpdateNicIp {
        nic: NicId(call.params.need_id("nicid")?),
        address: call.params.address("ipaddress"),
    };
    Ok(call.manager.update_nic_ip(&call.caller, request).await?)
}

async fn add_ip(call: &Call<'_>) -> Result<Started, Refused> {
    let request = AddIpToNic {
        nic: NicId(call.params.need_id("nicid")?),
        address: call.params.address("ipaddress"),
    };
    Ok(call.manager.add_ip_to_nic(&call.caller, request).await?)
}

async fn remove_ip(call: &Call<'_>) -> Result<Started, Refused> {
    let request = RemoveIpFromNic {
        id: SecondaryIpId(call.params.need_id("id")?),
    };
    Ok(call.manager.remove_ip_from_nic(&call.caller, request).await?)
}

fn nics(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let id = params.need_id("virtualmachineid")?;
    let guest = look.view.get::<Guest>(GuestId(id)).map(|g| &**g);
    let Some(guest) = guest.filter(|g| look.caller.may(look.view, g.account)) else {
        return Err(ApiError::no_such(
            params.command(),
            "virtualmachineid",
            &id.to_string(),
        ));
    };
    let matches = GuestNic::each(guest).filter(|at| {
        let addresses: Vec<String> = at.nic.addresses().map(|a| a.to_string()).collect();
        filter.id("networkid", at.nic.network.0)
            && filter.id("nicid", at.nic.id.0)
            && filter.flag("fordisplay", true)
            && filter.keyword(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
    });
    list::reply(look, params, "nic", matches, view::nic::render)
}
