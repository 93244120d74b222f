// SPDX-License-Identifier: Apache-2.0
//! What a zone is built of. Every one of these commands writes one counter, so that two of them never pass each other
//! unseen; those that take something away also depend on the counters of what could use it.

pub(crate) mod cluster;
pub(crate) mod host;
mod methods;
pub(crate) mod notes;
pub(crate) mod physical;
pub(crate) mod pod;
pub(crate) mod provider;
pub(crate) mod range;
pub(crate) mod setting;
pub(crate) mod traffic;
pub(crate) mod zone;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::Ipv4Range;
use outgate_model::key::Object;
use outgate_model::object::PublicIpRange;
use uuid::Uuid;

use super::tx::Tx;
use crate::CommandError;

pub(crate) use zone::{open, zone_for};

/// The counter that every command about the infrastructure writes.
const CHANGES: &str = "infrastructure";
/// How many things of a kind an error text names.
const NAMED: usize = 5;

/// What the transaction decides rests on all other infrastructure as it is.
fn alone(tx: &mut Tx<'_>) {
    tx.draft.number(CHANGES);
}

/// Records what the administrator did.
fn note<O: Object>(tx: &mut Tx<'_>, kind: &str, id: Uuid, text: impl Into<String>) {
    tx.event::<O>(kind, tx.caller.account, id, text);
}

/// Refuses when `users` of kind `of` hold `what`: their number and the first few are named.
fn unused(
    what: &str,
    of: &str,
    users: impl Iterator<Item = String>,
    remedy: &str,
) -> Result<(), CommandError> {
    let users: Vec<String> = users.collect();
    if users.is_empty() {
        return Ok(());
    }
    let (count, named) = (users.len(), users.iter().take(NAMED).cloned());
    let named = named.collect::<Vec<_>>().join(", ");
    let more = if count > NAMED {
        format!(" and {} more", count - NAMED)
    } else {
        String::new()
    };
    Err(CommandError::InUse {
        what: what.to_owned(),
        by: format!("{count} {of}: {named}{more}; {remedy}"),
    })
}

/// A range's addresses, for error texts.
pub(crate) fn range_text(range: &PublicIpRange) -> String {
    format!("{}-{}", range.range.first(), range.range.last())
}

/// The addresses from `start` to `end`: hosts' addresses of the gateway's subnet, without the gateway.
fn hosts_range(gateway: Ipv4Net, start: Ipv4Addr, end: Ipv4Addr) -> Result<Ipv4Range, CommandError> {
    for (field, address) in [("startip", start), ("endip", end)] {
        let host = address != gateway.network() && address != gateway.broadcast();
        if !gateway.contains(&address) || !host {
            let expected = format!("a host's address of {}", gateway.trunc());
            return Err(CommandError::invalid(field, address, expected));
        }
    }
    let range = Ipv4Range::new(start, end)
        .map_err(|_| CommandError::invalid("endip", end, format!("an address not below startip {start}")))?;
    if range.contains(gateway.addr()) {
        let expected = format!("a range without the gateway {}", gateway.addr());
        return Err(CommandError::invalid("startip", start, expected));
    }
    Ok(range)
}

/// Refuses a name that `other` has already.
fn unused_name(field: &str, name: &str, of: &str, other: Option<String>) -> Result<(), CommandError> {
    match other {
        None => Ok(()),
        Some(id) => {
            let expected = format!("a name that no other {of} has; {id} has it");
            Err(CommandError::invalid(field, name, expected))
        }
    }
}
