// SPDX-License-Identifier: Apache-2.0
//! Takes away what leaving domains, projects and accounts own, then themselves. Level-triggered: each step looks at what
//! is still there and goes on, whoever did the steps before, also after a crash.

use std::time::Duration;

use outgate_model::id::{AccountId, DomainId, ProjectId};
use outgate_model::object::{
    Account, Dedicated, Domain, Network, NetworkPhase, Power, Project, PublicIp, PublicIpRange, Setting,
    SettingScope, VpcPhase,
};

use crate::command::request::{
    Caller, DeleteNetwork, DeleteStaticRoute, DeleteVpc, DestroyGuest, DisassociateIp,
};
use crate::command::tenancy::removal;
use crate::command::tx::Tx;
use crate::draft::Draft;
use crate::manager::Manager;
use crate::mirror::{Stored, View};
use crate::{CommandError, limits};

/// How long a look waits for a change, and after a failure.
const TICK: Duration = Duration::from_secs(2);
/// How many objects one transaction takes away.
const CHUNK: usize = 32;

/// Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let mut revisions = manager.mirror().revisions();
    loop {
        revisions.mark_unchanged();
        let mut moved = false;
        let leavers = leavers(&manager.view());
        for leaver in leavers {
            match step(&manager, leaver).await {
                Ok(did) => moved |= did,
                Err(error) => tracing::error!(%error, ?leaver, "it could not be removed; trying again"),
            }
        }
        if !moved {
            // Nobody to go, or waiting for hosts: until something changes, and a failure is tried again in any case.
            let _ = tokio::time::timeout(TICK, revisions.changed()).await;
        }
    }
}

/// Who leaves.
#[derive(Debug, Clone, Copy)]
enum Leaver {
    Domain(DomainId),
    Project(ProjectId),
    Account(AccountId),
}

fn leavers(view: &View<'_>) -> Vec<Leaver> {
    let accounts = view.leaving_accounts().map(|one| Leaver::Account(one.id));
    let projects = view.leaving_projects().map(|one| Leaver::Project(one.id));
    let domains = view.leaving_domains().map(|one| Leaver::Domain(one.id));
    accounts.chain(projects).chain(domains).collect()
}

/// One transaction nearer to the end. Returns whether there was anything to do.
async fn step(manager: &Manager, leaver: Leaver) -> Result<bool, CommandError> {
    manager
        .commit(|view, draft| match leaver {
            Leaver::Account(id) => account(view, draft, id),
            Leaver::Project(id) => Ok(project(view, draft, id)),
            Leaver::Domain(id) => Ok(domain(view, draft, id)),
        })
        .await
}

/// All that a domain holds leaves, then the domain.
fn domain(view: &View<'_>, draft: &mut Draft, id: DomainId) -> bool {
    let Some(domain) = view.get::<Domain>(id).filter(|domain| domain.leaving) else {
        return false;
    };
    let (mut rest, mut marked) = (false, false);
    for below in view.domains_of(id) {
        rest = true;
        if !below.leaving {
            marked = true;
            removal::domain(draft, below);
        }
    }
    for project in view.projects_of_domain(id) {
        rest = true;
        if !project.leaving {
            marked = true;
            removal::project(view, draft, project);
        }
    }
    // Projects' accounts go with their projects, the others when no project needs an owner any more.
    let projects = view.projects_of_domain(id).next().is_some();
    for account in view.accounts_of_domain(id) {
        rest = true;
        if !account.leaving && !projects && account.project.is_none() {
            marked = true;
            removal::account(draft, account);
        }
    }
    if !rest {
        forget(view, draft, SettingScope::Domain(id), Dedicated::Domain(id));
        limits::forget_domain(draft, id);
        draft.delete(domain);
    }
    marked || !rest
}

/// A project goes with the account through which it owns.
fn project(view: &View<'_>, draft: &mut Draft, id: ProjectId) -> bool {
    let Some(project) = view.get::<Project>(id).filter(|project| project.leaving) else {
        return false;
    };
    match view.get::<Account>(project.account) {
        Some(account) if account.leaving => false,
        Some(account) => {
            removal::account(draft, account);
            true
        }
        None => {
            draft.delete(project);
            true
        }
    }
}

fn account(view: &View<'_>, draft: &mut Draft, id: AccountId) -> Result<bool, CommandError> {
    let Some(account) = view.get::<Account>(id).filter(|account| account.leaving).cloned() else {
        return Ok(false);
    };
    let caller = Caller::system(id, account.domain);
    let mut tx = Tx {
        view,
        draft,
        caller: &caller,
    };
    let mut did = false;
    let users: Vec<_> = view.users_of_account(id).collect();
    for user in users {
        tx.draft.delete(user);
        did = true;
    }
    did |= take_away(&mut tx, id)?;
    if did || holds_anything(view, id) {
        return Ok(did);
    }
    for project in view.projects_of_member(id) {
        let mut next = Project::clone(project);
        next.members.retain(|member| member.account != id);
        tx.draft.update(project, next);
    }
    forget(view, tx.draft, SettingScope::Account(id), Dedicated::Account(id));
    limits::forget_account(tx.draft, id);
    view.tag_sets_of_account(id).for_each(|set| tx.draft.delete(set));
    if let Some(project) = account.project.and_then(|id| view.get::<Project>(id)) {
        tx.draft.delete(project);
    }
    tx.draft.delete(&account);
    Ok(true)
}

/// Puts some of what an account owns on its way out: guests first, then networks, VPCs without tiers, addresses.
fn take_away(tx: &mut Tx<'_>, id: AccountId) -> Result<bool, CommandError> {
    use crate::command::{address, guest, network, vpc};
    let view = tx.view;
    // One at a time: two of them may share what their transactions change, such as a load balancer rule or a router.
    let mut guests = view
        .guests_of_account(id)
        .filter(|guest| guest.power != Power::Gone);
    if let Some(id) = guests.next().map(|guest| guest.id) {
        guest::destroy(tx, DestroyGuest { id })?;
        return Ok(true);
    }
    let mut routes = view
        .vpcs_of_account(id)
        .flat_map(|vpc| view.routes_of_vpc(vpc.id));
    if let Some(id) = routes.next().map(|route| route.id) {
        vpc::route::delete(tx, DeleteStaticRoute { id })?;
        return Ok(true);
    }
    let stays = |network: &&Stored<Network>| network.phase != NetworkPhase::Destroyed;
    let mut networks = view.networks_of_account(id).filter(stays);
    if let Some(id) = networks.next().map(|network| network.id) {
        network::delete(tx, DeleteNetwork { id, forced: true })?;
        return Ok(true);
    }
    let vpcs = view
        .vpcs_of_account(id)
        .filter(|vpc| vpc.phase != VpcPhase::Destroyed);
    let vpcs: Vec<_> = vpcs.take(CHUNK).map(|vpc| vpc.id).collect();
    for id in &vpcs {
        vpc::delete(tx, DeleteVpc { id: *id })?;
    }
    let lone = |ip: &&Stored<PublicIp>| ip.network.is_none() && ip.vpc.is_none();
    let ips = view.public_ips_of_account(id).filter(lone);
    let ips: Vec<_> = ips.take(CHUNK).map(|ip| ip.id).collect();
    for id in &ips {
        address::disassociate(tx, &DisassociateIp { id: *id })?;
    }
    Ok(!vpcs.is_empty() || !ips.is_empty())
}

/// Whether an account still owns something, be it on its way out.
fn holds_anything(view: &View<'_>, id: AccountId) -> bool {
    view.guests_of_account(id).next().is_some()
        || view.networks_of_account(id).next().is_some()
        || view.vpcs_of_account(id).next().is_some()
        || view.public_ips_of_account(id).next().is_some()
}

/// Removes settings that were only for it, and gives ranges back that were dedicated to it.
fn forget(view: &View<'_>, draft: &mut Draft, scope: SettingScope, dedicated: Dedicated) {
    for setting in view.all::<Setting>().filter(|setting| setting.scope == scope) {
        draft.delete(setting);
    }
    for range in view
        .all::<PublicIpRange>()
        .filter(|range| range.dedicated == Some(dedicated))
    {
        let next = PublicIpRange {
            dedicated: None,
            ..PublicIpRange::clone(range)
        };
        draft.update(range, next);
    }
}
