// SPDX-License-Identifier: Apache-2.0
//! Items of network ACL lists: to make, change, move and delete.

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::{NetworkAclItemId, NetworkAclListId};
use outgate_model::object::{Network, NetworkAclItem, NetworkAclList, Vpc};

use super::{acl, acl_match};
use crate::CommandError;
use crate::command::checks;
use crate::command::conflicts::{join, match_text};
use crate::command::request::{CreateAclItem, DeleteAclItem, MoveAclItem, Started, UpdateAclItem};
use crate::command::tx::Tx;
use crate::mirror::Stored;

/// How many items an ACL list may have.
pub const ITEMS_PER_LIST: usize = 1_000;
/// How long a reason may be, in characters, as in CloudStack.
const REASON_MAX: usize = 2_500;

/// `createNetworkACL`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateAclItem) -> Result<Started, CommandError> {
    let list = list_of(tx, request)?;
    let (list, vpc) = acl::changeable(tx, "aclid", list)?;
    checks::matches(request.matches)?;
    check_reason(&request.reason)?;
    let items: Vec<_> = tx.view.acl_items_of_list(list.id).cloned().collect();
    room(&list, items.len())?;
    let number = match request.number {
        Some(number) => unused(&items, number, None)?,
        None => match items.last().map_or(Some(1), |item| item.number.checked_add(1)) {
            Some(number) => number,
            None => {
                let what = format!("network ACL list {} has an item number 65535", list.id);
                return Err(CommandError::Capacity { what });
            }
        },
    };
    let item = NetworkAclItem {
        id: NetworkAclItemId::new(),
        list: list.id,
        number,
        direction: request.direction,
        action: request.action,
        matches: request.matches,
        cidrs: checks::cidrs("cidrlist", &request.cidrs, Ipv4Net::default())?,
        reason: request.reason.clone(),
        created: Timestamp::now(),
    };
    tx.draft.create(&item);
    Ok(changed(tx, &vpc, &item, ("createNetworkACL", "NETWORK.ACL.ITEM.CREATE")).made(item.id.0))
}

/// Refuses more items than a list is meant to have.
pub(super) fn room(list: &NetworkAclList, items: usize) -> Result<(), CommandError> {
    if items < ITEMS_PER_LIST {
        return Ok(());
    }
    Err(CommandError::Limit {
        what: format!("network ACL list {}", list.id),
        limit: ITEMS_PER_LIST,
        of: "items",
    })
}

/// The list by `aclid`, or the one of tier `networkid`.
fn list_of(tx: &mut Tx<'_>, request: &CreateAclItem) -> Result<NetworkAclListId, CommandError> {
    match (request.list, request.network) {
        (Some(list), _) => Ok(list),
        (None, Some(network)) => {
            let network = tx.own::<Network>("networkid", network)?;
            let tier = network
                .tier
                .as_ref()
                .ok_or_else(|| CommandError::invalid("networkid", network.id, "a tier of a VPC"))?;
            Ok(tier.acl)
        }
        (None, None) => Err(CommandError::missing("aclid")),
    }
}

fn check_reason(reason: &str) -> Result<(), CommandError> {
    if reason.chars().count() <= REASON_MAX && !reason.chars().any(char::is_control) {
        return Ok(());
    }
    let expected = format!("at most {REASON_MAX} characters, none of them a control character");
    Err(CommandError::invalid("reason", reason, expected))
}

/// `number`, unless an item other than `own` has it.
fn unused(
    items: &[Stored<NetworkAclItem>],
    number: u16,
    own: Option<NetworkAclItemId>,
) -> Result<u16, CommandError> {
    let mut others = items.iter().filter(|item| Some(item.id) != own);
    if number == 0 {
        return Err(CommandError::invalid("number", number, "1 to 65535"));
    }
    match others.find(|item| item.number == number) {
        Some(other) => {
            let expected = format!("a number that no item of the list has; item {} has it", other.id);
            Err(CommandError::invalid("number", number, expected))
        }
        None => Ok(number),
    }
}

/// Raises the VPC's generation and starts the job: done when the router has it.
fn changed(tx: &mut Tx<'_>, vpc: &Vpc, item: &NetworkAclItem, (command, event): (&str, &str)) -> Started {
    let realm = Realm::Vpc(vpc.id);
    let generation = tx.draft.touch(tx.view, realm);
    let text = format!(
        "{command}: {} {:?} {} {}",
        item.number,
        item.action,
        match_text(item.matches),
        join(&item.cidrs)
    );
    tx.event::<NetworkAclItem>(event, vpc.account, item.id.0, text);
    tx.applied::<NetworkAclItem>(command, item.id.0, realm, generation)
}

/// The caller's item that parameter `field` names, with its VPC.
pub(crate) fn owned(
    tx: &mut Tx<'_>,
    field: &str,
    id: NetworkAclItemId,
) -> Result<(Stored<NetworkAclItem>, Stored<Vpc>), CommandError> {
    let item = tx.provided::<NetworkAclItem>(field, id)?;
    let list = tx.known::<NetworkAclList>(item.list)?;
    if list.vpc.is_some_and(|vpc| !super::may_see(tx, vpc)) {
        return Err(CommandError::not_found(field, id));
    }
    let (_, vpc) = acl::changeable(tx, "aclid", list.id)?;
    Ok((item, vpc))
}

/// `updateNetworkACLItem`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateAclItem) -> Result<Started, CommandError> {
    let (item, vpc) = owned(tx, "id", request.id)?;
    let mut next = NetworkAclItem::clone(&item);
    if let Some(number) = request.number {
        let items: Vec<_> = tx.view.acl_items_of_list(item.list).cloned().collect();
        next.number = unused(&items, number, Some(item.id))?;
    }
    next.matches = acl_match::changed(item.matches, request.matches)?;
    checks::matches(next.matches)?;
    if let Some(cidrs) = &request.cidrs {
        next.cidrs = checks::cidrs("cidrlist", cidrs, Ipv4Net::default())?;
    }
    if let Some(reason) = &request.reason {
        check_reason(reason)?;
        next.reason.clone_from(reason);
    }
    next.direction = request.direction.unwrap_or(next.direction);
    next.action = request.action.unwrap_or(next.action);
    tx.draft.update(&item, next.clone());
    let how = ("updateNetworkACLItem", "NETWORK.ACL.ITEM.UPDATE");
    Ok(changed(tx, &vpc, &next, how))
}

/// `deleteNetworkACL`.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteAclItem) -> Result<Started, CommandError> {
    let (item, vpc) = owned(tx, "id", request.id)?;
    tx.draft.delete(&item);
    let how = ("deleteNetworkACL", "NETWORK.ACL.ITEM.DELETE");
    Ok(changed(tx, &vpc, &item, how))
}

/// `moveNetworkAclItem`: the item takes a number between its new neighbours; where there is none, those after it move
/// up.
pub(crate) fn shift(tx: &mut Tx<'_>, request: MoveAclItem) -> Result<Started, CommandError> {
    let (item, vpc) = owned(tx, "id", request.id)?;
    let all: Vec<_> = tx.view.acl_items_of_list(item.list).cloned().collect();
    let rest: Vec<_> = all.into_iter().filter(|other| other.id != item.id).collect();
    let place = place_among(&rest, request)?;
    let order: Vec<u16> = rest.iter().map(|other| other.number).collect();
    let Some((number, moved)) = renumber(&order, place) else {
        let what = format!(
            "network ACL list {} has no number left after that item",
            item.list
        );
        return Err(CommandError::Capacity { what });
    };
    for (other, number) in rest.iter().skip(place).zip(moved) {
        let next = NetworkAclItem {
            number,
            ..NetworkAclItem::clone(other)
        };
        tx.draft.update(other, next);
    }
    let next = NetworkAclItem {
        number,
        ..NetworkAclItem::clone(&item)
    };
    tx.draft.update(&item, next.clone());
    let how = ("moveNetworkAclItem", "NETWORK.ACL.ITEM.MOVE");
    Ok(changed(tx, &vpc, &next, how))
}

/// How many of the other items come before the item's new place.
fn place_among(rest: &[Stored<NetworkAclItem>], request: MoveAclItem) -> Result<usize, CommandError> {
    let find = |field: &str, id: NetworkAclItemId| {
        rest.iter()
            .position(|item| item.id == id)
            .ok_or_else(|| CommandError::invalid(field, id, "another item of the same network ACL list"))
    };
    match (request.previous, request.next) {
        (None, None) => Err(CommandError::missing("previousaclruleid")),
        (Some(previous), None) => Ok(find("previousaclruleid", previous)? + 1),
        (None, Some(next)) => find("nextaclruleid", next),
        (Some(previous), Some(next)) => {
            let (before, after) = (find("previousaclruleid", previous)?, find("nextaclruleid", next)?);
            if before + 1 == after {
                return Ok(after);
            }
            let expected = format!("the item that follows item {previous}; the list has changed, look again");
            Err(CommandError::invalid("nextaclruleid", next, expected))
        }
    }
}

/// The number of an item put at `place` among others with these ascending numbers, and the new numbers of as many of
/// those after it as must move up; `None` when 65535 is not enough.
fn renumber(others: &[u16], place: usize) -> Option<(u16, Vec<u16>)> {
    let before = place
        .checked_sub(1)
        .and_then(|i| others.get(i))
        .copied()
        .unwrap_or(0);
    let number = match others.get(place) {
        // The top: just before the first, so that the numbers below stay for others.
        Some(&next) if before == 0 && next > 1 => next - 1,
        _ => before.checked_add(1)?,
    };
    let mut last = number;
    let mut moved = Vec::new();
    for &other in others.iter().skip(place) {
        if other > last {
            break;
        }
        last = last.checked_add(1)?;
        moved.push(last);
    }
    Some((number, moved))
}

#[cfg(test)]
mod tests {
    use super::renumber;

    #[test]
    fn an_item_moves_into_a_gap_without_moving_others() {
        assert_eq!(renumber(&[10, 20, 30], 1), Some((11, vec![])));
        assert_eq!(renumber(&[10, 20, 30], 0), Some((9, vec![])));
        assert_eq!(renumber(&[10, 20, 30], 3), Some((31, vec![])));
        assert_eq!(renumber(&[], 0), Some((1, vec![])));
    }

    #[test]
    fn without_a_gap_those_after_move_up_until_there_is_one() {
        assert_eq!(renumber(&[1, 2, 3, 7], 1), Some((2, vec![3, 4])));
        assert_eq!(renumber(&[1, 2], 0), Some((1, vec![2, 3])));
    }

    #[test]
    fn beyond_the_last_number_there_is_no_place() {
        assert_eq!(renumber(&[u16::MAX], 1), None);
        assert_eq!(renumber(&[u16::MAX - 1, u16::MAX], 1), None);
    }
}
