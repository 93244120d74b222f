// SPDX-License-Identifier: Apache-2.0
//! The manager's commands: one method for each request, one transaction for each call.

use std::time::Duration;

use outgate_model::host::LbStatistics;
use outgate_model::id::LoadBalancerRuleId;
use outgate_model::id::{GuestId, RouterId, ServiceOfferingId, TemplateId};
use outgate_model::id::{JobId, NetworkId, NetworkOfferingId, PublicIpId};
use outgate_model::job::JobState;
use outgate_model::object::{LoadBalancerRule, RouterState};

use super::request::{AddIpToNic, AddNic, RemoveIpFromNic, RemoveNic, UpdateDefaultNic, UpdateNicIp};
use super::request::{AddSourceNat, HardenNetwork, ReleaseIp, RemoveSourceNat, ReserveIp, UpdateIp};
use super::request::{
    AssociateIp, Caller, CreateEgressRule, CreateFirewallRule, CreateNetwork, CreatePortForwarding,
    DeleteEgressRule, DeleteFirewallRule, DeleteNetwork, DeletePortForwarding, DeployGuest, DestroyGuest,
    DestroyRouter, DisableStaticNat, DisassociateIp, EnableStaticNat, RebootGuest, RebootRouter,
    RestartNetwork, StartGuest, StartRouter, Started, StopGuest, StopRouter, UpdateNetwork,
};
use super::request::{
    ChangeMembers, CreateHealthCheck, CreateIpForwarding, CreateLoadBalancer, CreateStickiness,
    DeleteHealthCheck, DeleteIpForwarding, DeleteLoadBalancer, DeleteStickiness, UpdateEgressRule,
    UpdateFirewallRule, UpdateHealthCheck, UpdateLoadBalancer, UpdatePortForwarding, UpdateStickiness,
};
use super::request::{CreateNetworkOffering, DeleteNetworkOffering, UpdateNetworkOffering};
use super::request::{
    CreateServiceOffering, DeleteServiceOffering, DeleteTemplate, DiscardGuest, ExpungeGuest, RecoverGuest,
    RegisterTemplate, ScaleGuest, ScaleRouter, UpdateGuest, UpdateServiceOffering, UpdateTemplate,
    UpgradeRouter,
};

use super::reserve;
use super::tx::Tx;
use super::{
    address, firewall, forwarding, guest, network, network_offering, router, source_nat_pool, static_nat,
};
use super::{balancing, guest_life, ip_forwarding, nic, provided, secondary_ip, stickiness};
use crate::{CommandError, Manager, reconcile};

/// How long a command that answers only when it is done waits for the router.
const SYNC_DEADLINE: Duration = Duration::from_secs(60);

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($request:ty) -> $out:ty = $decide:expr;)+) => {
        impl Manager {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// Why it was refused, or could not be stored. Nothing was written then.
            pub async fn $name(&self, caller: &Caller, request: $request) -> Result<$out, CommandError> {
                self.commit(|view, draft| {
                    let decide: fn(&mut Tx<'_>, &$request) -> Result<$out, CommandError> = $decide;
                    decide(&mut Tx::new(view, draft, caller), &request)
                })
                .await
            }
        )+}
    };
}

pub(super) use commands;

commands! {
    /// Makes a network offering.
    create_network_offering(CreateNetworkOffering) -> NetworkOfferingId = network_offering::create;
    /// Changes a network offering.
    update_network_offering(UpdateNetworkOffering) -> NetworkOfferingId = network_offering::update;
    /// Deletes a network offering that nothing uses.
    delete_network_offering(DeleteNetworkOffering) -> () = |tx, request| network_offering::delete(tx, *request);
    /// Makes an isolated network; with a persistent offering its router too.
    create_network(CreateNetwork) -> NetworkId = network::create;
    /// Lets only web and names leave a network, limits its guests and those outside, and records its sessions.
    harden_network(HardenNetwork) -> Started = network::harden;
    /// Changes a network's names, domain or source NAT address.
    update_network(UpdateNetwork) -> Started = network::update;
    /// Applies a network anew.
    restart_network(RestartNetwork) -> Started = |tx, request| network::restart(tx, *request);
    /// Deletes a network with its router, addresses and rules.
    delete_network(DeleteNetwork) -> Started = |tx, request| network::delete(tx, *request);
    /// Acquires a public address.
    associate_ip(AssociateIp) -> Started = address::associate;
    /// Releases a public address with its rules.
    disassociate_ip(DisassociateIp) -> Started = address::disassociate;
    /// Gives a network or a VPC one more source NAT address.
    add_source_nat(AddSourceNat) -> Started = |tx, request| source_nat_pool::add(tx, *request);
    /// Takes an additional source NAT address out of its pool.
    remove_source_nat(RemoveSourceNat) -> Started = |tx, request| source_nat_pool::remove(tx, *request);
    /// Keeps a free public address for an account.
    reserve_ip(ReserveIp) -> PublicIpId = reserve::reserve;
    /// Gives a reserved public address back.
    release_ip(ReleaseIp) -> () = |tx, request| reserve::release(tx, *request);
    /// Changes whether users see a public address in lists.
    update_ip(UpdateIp) -> Started = reserve::update;
    /// Adds an egress rule.
    create_egress_rule(CreateEgressRule) -> Started = firewall::create_egress;
    /// Removes an egress rule.
    delete_egress_rule(DeleteEgressRule) -> Started = |tx, request| firewall::delete_egress(tx, *request);
    /// Adds a firewall rule.
    create_firewall_rule(CreateFirewallRule) -> Started = firewall::create;
    /// Removes a firewall rule.
    delete_firewall_rule(DeleteFirewallRule) -> Started = |tx, request| firewall::delete(tx, *request);
    /// Forwards ports of a public address to a guest.
    create_port_forwarding(CreatePortForwarding) -> Started = forwarding::create;
    /// Ends a port forwarding.
    delete_port_forwarding(DeletePortForwarding) -> Started = |tx, request| forwarding::delete(tx, *request);
    /// Leads a port forwarding elsewhere.
    update_port_forwarding(UpdatePortForwarding) -> Started = forwarding::update;
    /// Gives a firewall rule other sources.
    update_firewall_rule(UpdateFirewallRule) -> Started = firewall::update;
    /// Gives an egress rule other sources and destinations.
    update_egress_rule(UpdateEgressRule) -> Started = firewall::update_egress;
    /// Lets ports of a static NAT address through to its guest.
    create_ip_forwarding(CreateIpForwarding) -> Started = ip_forwarding::create;
    /// Ends an IP forwarding.
    delete_ip_forwarding(DeleteIpForwarding) -> Started = |tx, request| ip_forwarding::delete(tx, *request);
    /// Balances a port of a public address.
    create_load_balancer(CreateLoadBalancer) -> Started = balancing::create;
    /// Changes a load balancer rule.
    update_load_balancer(UpdateLoadBalancer) -> Started = balancing::update;
    /// Ends a load balancing.
    delete_load_balancer(DeleteLoadBalancer) -> Started = |tx, request| balancing::delete(tx, *request);
    /// Adds guests to a load balancer rule.
    assign_to_load_balancer(ChangeMembers) -> Started = balancing::assign;
    /// Takes guests out of a load balancer rule.
    remove_from_load_balancer(ChangeMembers) -> Started = balancing::remove;
    /// Makes a load balancer rule's clients stay with their guests.
    create_stickiness(CreateStickiness) -> Started = stickiness::create;
    /// Changes nothing, as CloudStack's command.
    update_stickiness(UpdateStickiness) -> Started = |tx, request| stickiness::update(tx, *request);
    /// Ends the staying of clients with their guests.
    delete_stickiness(DeleteStickiness) -> Started = |tx, request| stickiness::delete(tx, *request);
    /// Makes a load balancer rule's guests be asked for a page.
    create_health_check(CreateHealthCheck) -> Started = stickiness::create_check;
    /// Changes nothing, as CloudStack's command.
    update_health_check(UpdateHealthCheck) -> Started = |tx, request| stickiness::update_check(tx, *request);
    /// Ends the asking for a page.
    delete_health_check(DeleteHealthCheck) -> Started = |tx, request| stickiness::delete_check(tx, *request);
    /// Takes a public address back from its guest.
    disable_static_nat(DisableStaticNat) -> Started = |tx, request| static_nat::disable(tx, *request);
    /// Makes a guest, and its networks' routers where they have none.
    deploy_guest(DeployGuest) -> Started = guest::deploy;
    /// Starts a guest.
    start_guest(StartGuest) -> Started = |tx, request| guest::start(tx, *request);
    /// Stops a guest.
    stop_guest(StopGuest) -> Started = |tx, request| guest::stop(tx, *request);
    /// Destroys a guest for good.
    destroy_guest(DestroyGuest) -> Started = |tx, request| guest::destroy(tx, *request);
    /// Destroys a guest and keeps it, off, until it is recovered or expunged.
    discard_guest(DiscardGuest) -> Started = |tx, request| guest_life::discard(tx, *request);
    /// Takes a destroyed guest back.
    recover_guest(RecoverGuest) -> GuestId = |tx, request| guest_life::recover(tx, *request);
    /// Destroys a guest for good.
    expunge_guest(ExpungeGuest) -> Started = |tx, request| guest_life::expunge(tx, *request);
    /// Changes a guest's names.
    update_guest(UpdateGuest) -> GuestId = guest_life::update;
    /// Gives a stopped guest another size.
    scale_guest(ScaleGuest) -> GuestId = |tx, request| guest_life::scale(tx, *request);
    /// Gives a stopped guest another size, by a job.
    scale_guest_by_job(ScaleGuest) -> Started = |tx, request| guest_life::scale_by_job(tx, *request);
    /// Gives a stopped router another size.
    scale_router(ScaleRouter) -> RouterId = |tx, request| router::scale(tx, *request);
    /// Replaces a router of another version than the server's.
    upgrade_router(UpgradeRouter) -> Started = |tx, request| router::upgrade(tx, *request);
    /// Makes a service offering.
    create_service_offering(CreateServiceOffering) -> ServiceOfferingId = provided::create_size;
    /// Changes a service offering's names.
    update_service_offering(UpdateServiceOffering) -> ServiceOfferingId = provided::update_size;
    /// Deletes a service offering; what has it keeps it.
    delete_service_offering(DeleteServiceOffering) -> () = |tx, request| provided::delete_size(tx, *request);
    /// Registers a template.
    register_template(RegisterTemplate) -> Vec<TemplateId> = provided::register;
    /// Changes a template's names.
    update_template(UpdateTemplate) -> TemplateId = provided::update_template;
    /// Deletes a template; guests that run it go on.
    delete_template(DeleteTemplate) -> Started = |tx, request| provided::delete_template(tx, *request);
    /// Gives a guest a NIC on another network.
    add_nic(AddNic) -> Started = |tx, request| nic::add(tx, *request);
    /// Takes a NIC from a guest.
    remove_nic(RemoveNic) -> Started = |tx, request| nic::remove(tx, *request);
    /// Makes another NIC of a guest the default one.
    update_default_nic(UpdateDefaultNic) -> Started = |tx, request| nic::set_default(tx, *request);
    /// Gives a NIC of a stopped guest another address.
    update_nic_ip(UpdateNicIp) -> Started = |tx, request| nic::update_ip(tx, *request);
    /// Keeps a secondary address for a NIC.
    add_ip_to_nic(AddIpToNic) -> Started = |tx, request| secondary_ip::add(tx, *request);
    /// Gives a secondary address back.
    remove_ip_from_nic(RemoveIpFromNic) -> Started = |tx, request| secondary_ip::remove(tx, *request);
    /// Starts a router.
    start_router(StartRouter) -> Started = |tx, request| router::start(tx, *request);
    /// Stops a router.
    stop_router(StopRouter) -> Started = |tx, request| router::stop(tx, *request);
    /// Replaces a router by a fresh one.
    reboot_router(RebootRouter) -> Started = |tx, request| router::reboot(tx, *request);
    /// Destroys a router; its network gets a fresh one when it is restarted.
    destroy_router(DestroyRouter) -> Started = |tx, request| router::destroy(tx, *request);
}

impl Manager {
    /// Gives a public address entirely to a guest. Returns once the router has it, as CloudStack's does.
    ///
    /// # Errors
    /// Why it was refused or could not be stored; or that the router has not taken it.
    pub async fn enable_static_nat(
        &self,
        caller: &Caller,
        request: EnableStaticNat,
    ) -> Result<(), CommandError> {
        let job = self
            .commit(|view, draft| static_nat::enable(&mut Tx::new(view, draft, caller), request))
            .await?;
        match job {
            Some(job) => self.wait_for_job(job).await,
            None => Ok(()),
        }
    }

    /// Switches a guest off and on.
    ///
    /// # Errors
    /// Why it was refused or could not be stored; or that its host could not switch it off.
    pub async fn reboot_guest(&self, caller: &Caller, request: RebootGuest) -> Result<Started, CommandError> {
        let found = self
            .commit(|view, draft| guest::running(&mut Tx::new(view, draft, caller), request.id))
            .await?;
        let host = self.host(found.host).ok_or_else(|| CommandError::Unavailable {
            what: format!("host {} has no driver", found.host),
        })?;
        reconcile::answer(self, host.remove_guest(found.id))
            .await
            .map_err(|failure| CommandError::Unavailable { what: failure.text })?;
        self.commit(|view, draft| guest::reboot(&mut Tx::new(view, draft, caller), request))
            .await
    }

    /// What a load balancer rule has done, by its router's count; `None` while the router does not run.
    ///
    /// # Errors
    /// When there is no such rule for the caller, or the router does not answer.
    pub async fn load_balancer_statistics(
        &self,
        caller: &Caller,
        id: LoadBalancerRuleId,
    ) -> Result<Option<LbStatistics>, CommandError> {
        let router = {
            let view = self.view();
            let rule = view.get::<LoadBalancerRule>(id);
            let rule = rule.filter(|rule| caller.may(&view, rule.account));
            let rule = rule.ok_or_else(|| CommandError::not_found("id", id))?;
            let router = view.router_of_network(rule.network);
            router
                .filter(|router| view.router_state(router) == RouterState::Running)
                .map(|router| (router.id, router.host))
        };
        let Some((router, host)) = router else {
            return Ok(None);
        };
        let driver = self.host(host).ok_or_else(|| CommandError::Unavailable {
            what: format!("host {host} has no driver"),
        })?;
        let answer = driver.load_balancer_statistics(router).await;
        let all = answer.map_err(|error| CommandError::Unavailable {
            what: error.to_string(),
        })?;
        Ok(all.into_iter().find(|one| one.rule == id))
    }

    /// Returns when a job has ended well.
    async fn wait_for_job(&self, id: JobId) -> Result<(), CommandError> {
        let mut revisions = self.mirror().revisions();
        let ended = async {
            loop {
                let state = self.view().job(id).map(|job| job.state.clone());
                match state {
                    None | Some(JobState::Succeeded) => return Ok(()),
                    Some(JobState::Failed { text, .. }) => {
                        return Err(CommandError::Unavailable { what: text });
                    }
                    Some(JobState::Pending) => {}
                }
                if revisions.changed().await.is_err() {
                    return Err(CommandError::Unavailable {
                        what: "the server is stopping".to_owned(),
                    });
                }
            }
        };
        let late = |_| CommandError::Unavailable {
            what: format!("the router has not taken the change yet; job {id} goes on"),
        };
        tokio::time::timeout(SYNC_DEADLINE, ended).await.map_err(late)?
    }
}
