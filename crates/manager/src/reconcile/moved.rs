// SPDX-License-Identifier: Apache-2.0
//! The end of an isolated network's migration into a VPC: sessions are handed over to the VPC's router, and the network's
//! own router goes.

use std::time::Duration;

use outgate_model::Realm;
use outgate_model::id::{NetworkId, RouterId};
use outgate_model::object::{Network, Router, Tier};
use tokio::time::Instant;

use super::observed::Failure;
use super::pass::{Memo, answer, delete_router, host};
use super::work::Work;
use crate::manager::{CommitError, Manager};

/// How long the former router stays beside the one that serves: until every neighbour has heard who has the addresses,
/// which the new one announces at once and a second later again.
const BESIDE: Duration = Duration::from_secs(3);

/// Brings the migrations of the realm's tiers on, once its router serves them.
pub(super) async fn retire(manager: &Manager, work: &Work, memo: &mut Memo) -> Result<(), Failure> {
    memo.look_again = None;
    let moved = |id: &RouterId| work.moved.iter().any(|(_, router)| router == id);
    memo.serving_for.retain(|id, _| moved(id));
    for (network, old) in &work.moved {
        let since = memo.serving_for.get(old).copied();
        let over = since.is_some_and(|since| since.elapsed() >= BESIDE);
        if since.is_none() || over {
            hand_over(manager, work, *old).await?;
        }
        if over {
            remove(manager, *network, *old).await?;
            continue;
        }
        let due = *memo.serving_for.entry(*old).or_insert_with(Instant::now) + BESIDE;
        memo.look_again = Some(memo.look_again.map_or(due, |at| at.min(due)));
    }
    Ok(())
}

/// What lives in the former router goes on in the new one. What cannot be handed over ends with it, which is no reason to
/// keep two routers with the same addresses.
async fn hand_over(manager: &Manager, work: &Work, old: RouterId) -> Result<(), Failure> {
    let Some(new) = work.router.as_ref().filter(|_| work.spec.is_some()) else {
        return Ok(());
    };
    let host = host(manager, new.host)?;
    match answer(manager, host.hand_over_sessions(old, new.id)).await {
        Ok(taken) => tracing::info!(router = new.name, %old, taken, "took sessions over"),
        Err(error) => tracing::error!(router = new.name, %old, %error, "sessions could not be handed over"),
    }
    Ok(())
}

async fn remove(manager: &Manager, network: NetworkId, old: RouterId) -> Result<(), Failure> {
    let on = manager.view().get::<Router>(old).map(|router| router.host);
    if let Some(id) = on {
        answer(manager, host(manager, id)?.remove_router(old)).await?;
    }
    let done = manager.commit(|view, draft| {
        delete_router(view, draft, Realm::Network(network));
        let Some(network) = view.get::<Network>(network) else {
            return Ok(());
        };
        if let Some(tier) = network.tier.clone() {
            let tier = Tier {
                moved_from: None,
                ..tier
            };
            let next = Network {
                tier: Some(tier),
                ..Network::clone(network)
            };
            draft.update(network, next);
        }
        Ok(())
    });
    done.await.map_err(|error: CommitError| error.into())
}
