// SPDX-License-Identifier: Apache-2.0
//! Network ACL lists: to make, change, delete and put in force.

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::{NetworkAclListId, VpcId};
use outgate_model::job::Goal;
use outgate_model::object::{Network, NetworkAclList, PrivateGateway, Tier, Vpc};

use super::tier;
use crate::CommandError;
use crate::command::checks;
use crate::command::request::{
    AclUser, CreateAclList, DeleteAclList, ReplaceAclList, Started, UpdateAclList,
};
use crate::command::tx::Tx;
use crate::mirror::Stored;

/// How many ACL lists a VPC may have.
pub const LISTS_PER_VPC: usize = 100;

/// `createNetworkACLList`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateAclList) -> Result<Started, CommandError> {
    checks::name("name", &request.name)?;
    let description = request.description.as_ref().unwrap_or(&request.name);
    checks::name("description", description)?;
    let vpc = super::owned(tx, "vpcid", request.vpc)?;
    room(tx, &vpc)?;
    let list = new(tx, &vpc, &request.name, description);
    let job = tx.job::<NetworkAclList>("createNetworkACLList", list.id.0, Goal::Stored);
    Ok(Started { job, id: None }.made(list.id.0))
}

/// Refuses more lists than a VPC is meant to have. The VPC is written, so that two never pass each other unseen.
pub(super) fn room(tx: &mut Tx<'_>, vpc: &Vpc) -> Result<(), CommandError> {
    tx.draft.touch(tx.view, Realm::Vpc(vpc.id));
    if tx.view.acl_lists_of_vpc(Some(vpc.id)).count() < LISTS_PER_VPC {
        return Ok(());
    }
    Err(CommandError::Limit {
        what: format!("VPC {}", vpc.id),
        limit: LISTS_PER_VPC,
        of: "network ACL lists",
    })
}

/// A new, empty list of a VPC.
pub(super) fn new(tx: &mut Tx<'_>, vpc: &Vpc, name: &str, description: &str) -> NetworkAclList {
    let list = NetworkAclList {
        id: NetworkAclListId::new(),
        name: name.to_owned(),
        description: description.to_owned(),
        vpc: Some(vpc.id),
        account: Some(vpc.account),
        created: Timestamp::now(),
    };
    tx.draft.create(&list);
    let text = format!("created network ACL list {} for VPC {}", list.name, vpc.name);
    tx.event::<NetworkAclList>("NETWORK.ACL.CREATE", vpc.account, list.id.0, text);
    list
}

/// The caller's list that parameter `field` names, with its VPC; a built-in one cannot be changed.
pub(crate) fn changeable(
    tx: &mut Tx<'_>,
    field: &str,
    id: NetworkAclListId,
) -> Result<(Stored<NetworkAclList>, Stored<Vpc>), CommandError> {
    let list = tx.provided::<NetworkAclList>(field, id)?;
    let Some(vpc) = list.vpc else {
        let expected = format!("a list of a VPC: {} is built in and cannot be changed", list.name);
        return Err(CommandError::invalid(field, id, expected));
    };
    if !super::may_see(tx, vpc) {
        return Err(CommandError::not_found(field, id));
    }
    let vpc = super::owned(tx, field, vpc)?;
    Ok((list, vpc))
}

/// `updateNetworkACLList`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateAclList) -> Result<Started, CommandError> {
    let (list, vpc) = changeable(tx, "id", request.id)?;
    let mut next = NetworkAclList::clone(&list);
    if let Some(name) = &request.name {
        checks::name("name", name)?;
        next.name.clone_from(name);
    }
    if let Some(text) = &request.description {
        checks::name("description", text)?;
        next.description.clone_from(text);
    }
    tx.draft.update(&list, next);
    let text = format!("updated network ACL list {}", list.name);
    tx.event::<NetworkAclList>("NETWORK.ACL.UPDATE", vpc.account, list.id.0, text);
    let job = tx.job::<NetworkAclList>("updateNetworkACLList", list.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// `deleteNetworkACLList`: with its items.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteAclList) -> Result<Started, CommandError> {
    let (list, vpc) = changeable(tx, "id", request.id)?;
    let tier = tx.view.tiers_of_acl(list.id).next();
    let gateway = tx.view.gateways_of_acl(list.id).next();
    let user = tier
        .map(|tier| format!("tier {} ({})", tier.name, tier.id))
        .or_else(|| gateway.map(|gateway| format!("private gateway {}", gateway.id)));
    if let Some(user) = user {
        return Err(CommandError::InUse {
            what: format!("network ACL list {}", list.id),
            by: format!("{user} has it; give it another one with replaceNetworkACLList first"),
        });
    }
    let items: Vec<_> = tx.view.acl_items_of_list(list.id).cloned().collect();
    items.iter().for_each(|item| tx.draft.delete(item));
    tx.draft.delete(&list);
    // Somebody could put it in force meanwhile.
    tx.draft.touch(tx.view, Realm::Vpc(vpc.id));
    let text = format!("deleted network ACL list {}", list.name);
    tx.event::<NetworkAclList>("NETWORK.ACL.DELETE", vpc.account, list.id.0, text);
    let job = tx.job::<NetworkAclList>("deleteNetworkACLList", list.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// `replaceNetworkACLList`.
pub(crate) fn replace(tx: &mut Tx<'_>, request: ReplaceAclList) -> Result<Started, CommandError> {
    let vpc = match request.user {
        AclUser::Tier(id) => replace_of_tier(tx, request.list, id)?,
        AclUser::Gateway(id) => {
            let gateway = tx.own::<PrivateGateway>("gatewayid", id)?;
            let acl = tier::usable_acl(tx, "aclid", request.list, gateway.vpc)?.id;
            let next = PrivateGateway {
                acl,
                ..PrivateGateway::clone(&gateway)
            };
            tx.draft.update(&gateway, next);
            gateway.vpc
        }
    };
    let realm = Realm::Vpc(vpc);
    let generation = tx.draft.touch(tx.view, realm);
    let account = tx.known::<Vpc>(vpc)?.account;
    let text = format!("network ACL list {} is put in force", request.list);
    tx.event::<NetworkAclList>("NETWORK.ACL.REPLACE", account, request.list.0, text);
    Ok(tx.applied::<NetworkAclList>("replaceNetworkACLList", request.list.0, realm, generation))
}

fn replace_of_tier(
    tx: &mut Tx<'_>,
    list: NetworkAclListId,
    id: outgate_model::id::NetworkId,
) -> Result<VpcId, CommandError> {
    let network = tx.own::<Network>("networkid", id)?;
    let Some(now) = &network.tier else {
        let expected = "a tier of a VPC: an isolated network has firewall and egress rules instead";
        return Err(CommandError::invalid("networkid", id, expected));
    };
    let acl = tier::usable_acl(tx, "aclid", list, now.vpc)?.id;
    let next = Network {
        tier: Some(Tier { acl, ..now.clone() }),
        ..Network::clone(&network)
    };
    tx.draft.update(&network, next);
    Ok(now.vpc)
}
