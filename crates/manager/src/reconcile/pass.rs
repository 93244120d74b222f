// SPDX-License-Identifier: Apache-2.0
//! One look at one realm, and what follows from it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use outgate_host::{Host, HostError};
use outgate_model::host::Applied;
use outgate_model::id::{GuestId, HostId, NetworkId, RouterId, VpcId};
use outgate_model::key;
use outgate_model::object::{
    Guest, Network, NetworkPhase, NetworkSettings, Power, PublicIp, Router, Vpc, VpcPhase,
};
use outgate_model::{GuestSpec, Realm, RouterSpec};
use outgate_store::Revision;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::moved;
use super::observed::{self, Failure, GuestSeen, Seen};
use super::work::{GuestWork, Work, look};
use crate::draft::Draft;
use crate::insight;
use crate::manager::{CommitError, Manager};
use crate::mirror::{Stored, View};
use crate::realm::Phase;
use crate::settings;
use crate::spec::{Source, guest_spec};
use outgate_model::object::SettingScope;

/// How many guests of one realm are started side by side.
const GUESTS_AT_ONCE: usize = 8;

/// What the last looks have brought about, so that only differences reach the host. Empty means: take nothing for
/// granted.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// The router as it was last made: boot and generation; `None` for switched off.
    router: Option<(RouterId, Option<(u64, u64)>)>,
    /// The revision of each guest as it was last made.
    guests: HashMap<GuestId, Revision>,
    /// Since when the realm's router has served in place of these.
    pub(super) serving_for: HashMap<RouterId, Instant>,
    /// When to look again although nothing has happened.
    pub(super) look_again: Option<Instant>,
}

/// Makes the realm as wanted.
pub(super) async fn run(manager: &Manager, realm: Realm, memo: &mut Memo) -> Result<(), Failure> {
    let work = look(&manager.view(), &manager.config().router, realm)?;
    let Some(work) = work else { return Ok(()) };
    let leaving = leaving_guests(manager, &work).await;
    let routed = match &work.router {
        Some(router) => make_router(manager, &work, router, memo).await,
        None => Ok(()),
    };
    // A guest without its router gets no address: it waits. The other way round nothing waits.
    routed?;
    leaving?;
    moved::retire(manager, &work, memo).await?;
    for network in &work.leaving {
        finish_network(manager, *network).await?;
    }
    match work.realm {
        Realm::Vpc(id) if work.phase == Phase::Leaving => finish_vpc(manager, id).await,
        _ => start_guests(manager, work, memo).await,
    }
}

pub(super) fn host(manager: &Manager, id: HostId) -> Result<Arc<dyn Host>, Failure> {
    manager
        .host(id)
        .cloned()
        .ok_or_else(|| Failure::other(format!("host {id} has no driver")))
}

/// Waits for a host's answer, but not forever: a host that hangs must not hold its realm for good.
pub(crate) async fn answer<T>(
    manager: &Manager,
    asked: impl Future<Output = Result<T, HostError>>,
) -> Result<T, Failure> {
    let limit = manager.config().pace.host_answer;
    match tokio::time::timeout(limit, asked).await {
        Ok(result) => result.map_err(Failure::from),
        Err(_) => Err(Failure::other(format!(
            "the host did not answer within {} s",
            limit.as_secs_f64()
        ))),
    }
}

/// Switches off the guests that are not to run, and forgets those that are to go.
async fn leaving_guests(manager: &Manager, work: &Work) -> Result<(), Failure> {
    for GuestWork { guest, seen, .. } in work.guests.iter().filter(|g| !g.wanted()) {
        let _turn = manager.inner.guest_turns.take(guest.id).await;
        // Somebody changed it meanwhile: the next look knows why.
        if manager
            .view()
            .get::<Guest>(guest.id)
            .is_none_or(|now| now.power != guest.power)
        {
            continue;
        }
        if *seen != Some(false) || guest.power == Power::Gone {
            answer(manager, host(manager, guest.host)?.remove_guest(guest.id)).await?;
        }
        if guest.power == Power::Gone {
            forget_guest(manager, guest).await?;
        } else {
            observed::guest(manager, guest.id, GuestSeen::Down).await?;
        }
    }
    Ok(())
}

/// Deletes a guest that is gone, with whatever still leads to it.
async fn forget_guest(manager: &Manager, guest: &Stored<Guest>) -> Result<(), CommitError> {
    let id = guest.id;
    manager
        .commit(|view, draft| {
            let Some(guest) = view.get::<Guest>(id).filter(|g| g.power == Power::Gone) else {
                return Ok(());
            };
            let mut touched: Vec<NetworkId> = Vec::new();
            for forward in view.forwards_of_guest(id) {
                draft.delete(forward);
                touched.push(forward.network);
            }
            for rule in view.ip_forwards_of_guest(id) {
                draft.delete(rule);
                touched.push(rule.network);
            }
            for rule in view.balancers_of_guest(id) {
                let mut next = (*rule.object).clone();
                next.members.retain(|member| member.guest != id);
                draft.update(rule, next);
                touched.push(rule.network);
            }
            for ip in view.static_nat_of_guest(id) {
                let mut next = (*ip.object).clone();
                next.static_nat = None;
                draft.update(ip, next);
                touched.extend(ip.network);
            }
            for network in touched.iter().filter_map(|n| view.get::<Network>(*n)) {
                draft.touch(view, network.realm());
            }
            draft.delete(guest);
            draft.delete_raw(key::observed_guest(id));
            Ok(())
        })
        .await
}

/// Brings the router up with the newest spec, or down.
async fn make_router(
    manager: &Manager,
    work: &Work,
    router: &Stored<Router>,
    memo: &mut Memo,
) -> Result<(), Failure> {
    let gone = router.power == Power::Gone || work.phase == Phase::Leaving;
    let target = work.spec.as_ref().map(|spec| (router.boot, spec.generation));
    if !gone && memo.router == Some((router.id, target)) {
        return Ok(());
    }
    memo.router = None;
    let host = host(manager, router.host)?;
    let Some(spec) = &work.spec else {
        insight::read_last(manager, router).await;
        answer(manager, host.remove_router(router.id)).await?;
        observed::router(manager, router.id, Seen::down(router.boot)).await?;
        if router.power == Power::Gone && work.phase != Phase::Leaving {
            forget_router(manager, router.id).await?;
        } else if !gone {
            memo.router = Some((router.id, None));
        }
        return Ok(());
    };
    if manager
        .view()
        .router_observed(router.id)
        .is_some_and(|seen| seen.boot < router.boot)
    {
        insight::read_last(manager, router).await;
    }
    let made = match spec.validate() {
        Ok(()) => {
            let asked = answer(manager, host.ensure_router(spec, router.boot));
            asked.instrument(span(spec)).await
        }
        Err(problems) => {
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(HostError::BadSpec {
                reason: texts.join("; "),
            }
            .into())
        }
    };
    match made {
        Ok(applied) => {
            manager.inner.counted.applied(&applied);
            span(spec).in_scope(|| told(&applied, !spec.jobs.is_empty()));
            observed::router(manager, router.id, Seen::up(router.boot, applied)).await?;
            memo.router = Some((router.id, target));
            Ok(())
        }
        Err(failure) => {
            manager.inner.counted.not_applied(failure.refused);
            span(spec).in_scope(|| tracing::warn!(%failure, "not applied"));
            observed::router_failed(manager, router.id, spec.generation, &failure).await?;
            Err(failure)
        }
    }
}

/// What is logged meanwhile names the router and the jobs that wait for it.
fn span(spec: &RouterSpec) -> tracing::Span {
    let jobs: Vec<_> = spec.jobs.iter().map(ToString::to_string).collect();
    tracing::info_span!(
        "apply",
        router = spec.name,
        generation = spec.generation,
        jobs = jobs.join(" ")
    )
}

/// What came of it; a look that changed nothing and that nobody waits for is no news.
fn told(applied: &Applied, is_news: bool) {
    let (changes, micros) = (applied.changes.len(), applied.micros);
    if is_news || changes > 0 {
        tracing::info!(changes, micros, "applied");
    } else {
        tracing::debug!(changes, micros, "applied");
    }
}

/// Deletes a router that is gone, unless it is wanted again by now.
async fn forget_router(manager: &Manager, id: RouterId) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            if let Some(router) = view.get::<Router>(id).filter(|r| r.power == Power::Gone) {
                delete_router(view, draft, router.realm);
            }
            Ok(())
        })
        .await
}

/// Starts the guests that are to run and do not yet.
async fn start_guests(manager: &Manager, work: Work, memo: &mut Memo) -> Result<(), Failure> {
    let present: HashSet<_> = work.guests.iter().map(|g| g.guest.id).collect();
    memo.guests.retain(|id, _| present.contains(id));
    let known =
        |g: &GuestWork| g.seen == Some(true) && memo.guests.get(&g.guest.id) == Some(&g.guest.modified);
    let mut waiting: Vec<_> = work
        .guests
        .into_iter()
        .filter(|g| g.wanted() && !known(g))
        .collect();
    let mut tasks = JoinSet::new();
    let mut failed = None;
    while !waiting.is_empty() || !tasks.is_empty() {
        while tasks.len() < GUESTS_AT_ONCE
            && let Some(next) = waiting.pop()
        {
            let manager = manager.clone();
            tasks.spawn(async move { start_guest(&manager, next).await });
        }
        match tasks.join_next().await {
            Some(Ok(Ok((id, revision)))) => {
                memo.guests.insert(id, revision);
            }
            Some(Ok(Err(failure))) => failed = Some(failure),
            Some(Err(error)) => failed = Some(Failure::other(error)),
            None => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn start_guest(manager: &Manager, work: GuestWork) -> Result<(GuestId, Revision), Failure> {
    let id = work.guest.id;
    // A guest whose first NIC has changed is another realm's now: both may be at it, and the newest look counts.
    let _turn = manager.inner.guest_turns.take(id).await;
    let Some((guest, spec)) = as_wanted_now(manager, id)? else {
        return Ok((id, work.guest.modified));
    };
    match answer(manager, host(manager, guest.host)?.ensure_guest(&spec)).await {
        Ok(()) => {
            observed::guest(manager, id, GuestSeen::Up(guest.generation)).await?;
            Ok((id, guest.modified))
        }
        Err(failure) => {
            observed::guest(manager, id, GuestSeen::Failed(&failure.text)).await?;
            Err(failure)
        }
    }
}

/// A guest that is to run, and what its host must run for it.
fn as_wanted_now(manager: &Manager, id: GuestId) -> Result<Option<(Stored<Guest>, GuestSpec)>, Failure> {
    let view = manager.view();
    let Some(guest) = view.get::<Guest>(id).filter(|guest| guest.power == Power::On) else {
        return Ok(None);
    };
    let spec = guest_spec(Source::stored(&view), guest)?;
    Ok(Some((guest.clone(), spec)))
}

/// The last step of a network's life: everything of it is released and deleted, in one transaction. A tier's public
/// addresses stay the VPC's.
async fn finish_network(manager: &Manager, id: NetworkId) -> Result<(), Failure> {
    let done = manager.commit(|view, draft| {
        let Some(network) = view.get::<Network>(id) else {
            return Ok(());
        };
        // Guests of other networks with a NIC here leave first, and so does a router that served it before.
        let moving = network
            .tier
            .as_ref()
            .is_some_and(|tier| tier.moved_from.is_some());
        if network.phase != NetworkPhase::Destroyed || moving || view.guests_of_network(id).next().is_some() {
            return Ok(());
        }
        view.firewall_rules_of_network(id)
            .for_each(|rule| draft.delete(rule));
        view.forwards_of_network(id).for_each(|rule| draft.delete(rule));
        view.balancers_of_network(id).for_each(|rule| draft.delete(rule));
        view.ip_forwards_of_network(id)
            .for_each(|rule| draft.delete(rule));
        for ip in view.public_ips_of_network(id) {
            match network.realm() {
                Realm::Network(_) => release(draft, ip),
                Realm::Vpc(_) => draft.update(ip, untied(ip)),
            }
        }
        match network.realm() {
            Realm::Network(_) => delete_router(view, draft, network.realm()),
            Realm::Vpc(_) => {
                draft.touch(view, network.realm());
            }
        }
        if let NetworkSettings {
            physical_network: Some(physical),
            vlan: Some(vlan),
            ..
        } = network.settings
        {
            draft.release(key::guest_vlan_claim(physical, vlan));
        }
        settings::forget(view, draft, SettingScope::Network(id));
        draft.delete(network);
        Ok(())
    });
    done.await.map_err(|error: CommitError| error.into())
}

/// The last step of a VPC's life, once its tiers are gone.
async fn finish_vpc(manager: &Manager, id: VpcId) -> Result<(), Failure> {
    let done = manager.commit(|view, draft| {
        let Some(vpc) = view.get::<Vpc>(id) else {
            return Ok(());
        };
        if vpc.phase != VpcPhase::Destroyed || view.tiers_of_vpc(id).next().is_some() {
            return Ok(());
        }
        view.public_ips_of_vpc(id).for_each(|ip| release(draft, ip));
        view.routes_of_vpc(id).for_each(|route| draft.delete(route));
        for gateway in view.gateways_of_vpc(id) {
            draft.delete(gateway);
            let (vlan, address) = (gateway.vlan, gateway.address.addr());
            draft.release(key::private_gateway_claim(
                gateway.physical_network,
                vlan,
                address,
            ));
        }
        for list in view.acl_lists_of_vpc(Some(id)) {
            view.acl_items_of_list(list.id)
                .for_each(|item| draft.delete(item));
            draft.delete(list);
        }
        delete_router(view, draft, Realm::Vpc(id));
        settings::forget(view, draft, SettingScope::Vpc(id));
        draft.delete(vpc);
        Ok(())
    });
    done.await.map_err(|error: CommitError| error.into())
}

fn release(draft: &mut Draft, ip: &Stored<PublicIp>) {
    draft.delete(ip);
    draft.release(key::ip_claim(ip.zone, ip.address));
}

/// A VPC's address without the tier that it was used for.
fn untied(ip: &PublicIp) -> PublicIp {
    PublicIp {
        network: None,
        static_nat: None,
        ..ip.clone()
    }
}

pub(super) fn delete_router(view: &View<'_>, draft: &mut Draft, realm: Realm) {
    if let Some(router) = view.router_of(realm) {
        draft.delete(router);
        draft.release(key::link_local_claim(router.link_local));
        draft.delete_raw(key::observed_router(router.id));
        draft.delete_raw(key::observed_health(router.id));
        draft.delete_raw(key::usage_reading(router.id));
    }
}
