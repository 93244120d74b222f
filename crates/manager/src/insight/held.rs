// SPDX-License-Identifier: Apache-2.0
//! Notes since when and until when addresses, networks and VPCs are held, by comparing what is noted with what there is:
//! whatever was missed while no server ran is made up for.

use std::collections::HashMap;

use jiff::Timestamp;
use outgate_model::key;
use outgate_model::object::{Network, PublicIp, Vpc};
use outgate_model::usage::{Held, HeldKind};
use outgate_store::{Txn, Write};
use uuid::Uuid;

use crate::manager::{CommitError, Manager};
use crate::mirror::View;

/// So many are written in one transaction.
const CHUNK: usize = 256;

/// Everything that is held now.
fn there(view: &View<'_>) -> Vec<Held> {
    let addresses = view.all::<PublicIp>().map(|ip| Held {
        kind: HeldKind::Address,
        id: ip.id.0,
        name: ip.address.to_string(),
        account: ip.account,
        zone: ip.zone,
        source_nat: ip.is_source_nat(),
        network: ip.network,
        vpc: ip.vpc,
        offering: None,
        from: ip.created,
        until: None,
    });
    let networks = view.all::<Network>().map(|network| Held {
        kind: HeldKind::Network,
        id: network.id.0,
        name: network.name.clone(),
        account: network.account,
        zone: network.zone,
        source_nat: false,
        network: Some(network.id),
        vpc: network.tier.as_ref().map(|tier| tier.vpc),
        offering: Some(network.offering),
        from: network.created,
        until: None,
    });
    let vpcs = view.all::<Vpc>().map(|vpc| Held {
        kind: HeldKind::Vpc,
        id: vpc.id.0,
        name: vpc.name.clone(),
        account: vpc.account,
        zone: vpc.zone,
        source_nat: false,
        network: None,
        vpc: Some(vpc.id),
        offering: None,
        from: vpc.created,
        until: None,
    });
    addresses.chain(networks).chain(vpcs).collect()
}

/// Brings the notes up to date. Only the leading server does, so nobody else writes them.
pub(super) async fn note(manager: &Manager) -> Result<(), CommitError> {
    let (_, entries) = manager.store().range(&key::usage_held()).await?;
    let noted = entries.iter().filter_map(|entry| {
        let held: Held = serde_json::from_slice(&entry.value).ok()?;
        Some(((held.kind, held.id), held))
    });
    let changed = changes(noted.collect(), there(&manager.view()), Timestamp::now());
    for chunk in changed.chunks(CHUNK) {
        let mut writes = Vec::new();
        for held in chunk {
            writes.push(Write::Put {
                key: key::usage_held_one(held.kind, held.id),
                value: serde_json::to_vec(held).map_err(|e| CommitError::Encode(e.to_string()))?,
                lease: None,
            });
        }
        let conditions = Vec::new();
        manager.store().txn(Txn { conditions, writes }).await?;
    }
    Ok(())
}

/// The notes to write: what is new or is used for something else, and what is no more.
fn changes(mut noted: HashMap<(HeldKind, Uuid), Held>, there: Vec<Held>, now: Timestamp) -> Vec<Held> {
    let mut changed: Vec<Held> = Vec::new();
    for held in there {
        if noted.remove(&(held.kind, held.id)).as_ref() != Some(&held) {
            changed.push(held);
        }
    }
    let gone = noted.into_values().filter(|held| held.until.is_none());
    changed.extend(gone.map(|held| Held {
        until: Some(now),
        ..held
    }));
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use outgate_model::id::{AccountId, ZoneId};

    fn held(name: &str) -> Held {
        Held {
            kind: HeldKind::Address,
            id: Uuid::new_v4(),
            name: name.to_owned(),
            account: AccountId::new(),
            zone: ZoneId::new(),
            source_nat: false,
            network: None,
            vpc: None,
            offering: None,
            from: Timestamp::UNIX_EPOCH,
            until: None,
        }
    }

    #[test]
    fn what_is_new_is_noted_what_is_gone_ends_and_the_rest_stays() {
        let (kept, gone, new) = (held("kept"), held("gone"), held("new"));
        let noted = [&kept, &gone].map(|h| ((h.kind, h.id), h.clone()));
        let now = Timestamp::from_second(60).unwrap();
        let changed = changes(noted.into(), vec![kept.clone(), new.clone()], now);
        let ended = Held {
            until: Some(now),
            ..gone
        };
        assert_eq!(changed, [new.clone(), ended.clone()]);
        let noted = [&kept, &new, &ended].map(|h| ((h.kind, h.id), h.clone()));
        assert_eq!(changes(noted.into(), vec![kept, new], now), []);
    }
}
