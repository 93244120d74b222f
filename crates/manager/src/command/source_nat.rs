// SPDX-License-Identifier: Apache-2.0
//! Another source NAT address for a network or a VPC, live.

use std::net::Ipv4Addr;

use outgate_model::Realm;
use outgate_model::object::{Network, PublicIp, Vpc, Zone};

use super::address::{self, SourceNat, Wanted};
use super::checks;
use super::tx::Tx;
use crate::CommandError;
use crate::realm::Standing;

const FIELD: &str = "sourcenatipaddress";

/// Makes `address` the one through which the realm's guests leave. The old one stays the realm's, as an ordinary
/// address.
pub(crate) fn change(tx: &mut Tx<'_>, realm: Realm, address: Ipv4Addr) -> Result<(), CommandError> {
    let missing = || CommandError::Internal(format!("{realm} is missing"));
    let standing = tx.view.standing(realm).ok_or_else(missing)?;
    let old = address::source_nat_of(tx, realm);
    if old.as_ref().is_some_and(|old| old.address == address) {
        return Ok(());
    }
    take(tx, &standing, Some((FIELD, address)), SourceNat::Default)?;
    if let Some(old) = old {
        tx.draft.update(&old, SourceNat::No.of(PublicIp::clone(&old)));
    }
    let text = format!("the source NAT address of {} becomes {address}", standing.name);
    match realm {
        Realm::Network(id) => {
            tx.event::<Network>("NETWORK.UPDATE.SOURCENAT", standing.account, id.0, text);
        }
        Realm::Vpc(id) => tx.event::<Vpc>("VPC.UPDATE.SOURCENAT", standing.account, id.0, text),
    }
    Ok(())
}

/// An address for the guests of a realm to leave through: one that is acquired and used for nothing else, or a free one;
/// any free one when none is named.
pub(super) fn take(
    tx: &mut Tx<'_>,
    standing: &Standing,
    address: Option<(&'static str, Ipv4Addr)>,
    source_nat: SourceNat,
) -> Result<PublicIp, CommandError> {
    let realm = standing.realm;
    let known = address.and_then(|(field, address)| {
        let ip = tx.view.public_ip_at(standing.zone, address)?;
        Some((field, ip.clone()))
    });
    let Some((field, ip)) = known else {
        let zone = tx.known::<Zone>(standing.zone)?;
        let wanted = Wanted {
            account: standing.account,
            realm: Some(realm),
            address,
            source_nat,
        };
        return address::acquire(tx, &zone, wanted);
    };
    let (network, vpc) = match realm {
        Realm::Network(id) => (Some(id), None),
        Realm::Vpc(id) => (ip.network.filter(|_| ip.vpc == Some(id)), Some(id)),
    };
    let free = ip.network.is_none() && ip.vpc.is_none();
    let ours = ip.vpc == vpc && (vpc.is_some() || ip.network == network);
    if ip.account != standing.account || !(free || ours) {
        let expected = format!("an address of {realm} or a free one of its zone");
        return Err(CommandError::invalid(field, ip.address, expected));
    }
    super::pick::same_subnet(tx, field, &ip, realm)?;
    checks::free_for_source_nat(tx, &ip)?;
    let next = source_nat.of(PublicIp {
        network,
        vpc,
        reserved: false,
        ..PublicIp::clone(&ip)
    });
    tx.draft.update(&ip, next.clone());
    Ok(next)
}
