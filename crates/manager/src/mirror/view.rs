// SPDX-License-Identifier: Apache-2.0
//! Reading the mirror.

use std::net::Ipv4Addr;
use std::sync::{Arc, RwLockReadGuard};

use outgate_model::Realm;
use outgate_model::event::Event;
use outgate_model::id::{
    AccountId, EventId, GuestId, JobId, NetworkId, NicId, PublicIpId, RouterId, SecondaryIpId, UserId, ZoneId,
};
use outgate_model::job::Job;
use outgate_model::object::{
    FirewallRule, Guest, GuestObserved, Network, NetworkPhase, Nic, PortForwardingRule, Power, PublicIp,
    Router, RouterHealth, RouterObserved, RouterState, SecondaryIp, TagSet, User,
};
use outgate_model::{Ipv4Range, PortRange, Protocol};
use outgate_store::Revision;

use crate::realm::Phase;
use crate::runs::AddressRuns;

use super::state::{Counters, Row, State, Stored};

/// What a network's users see of its way to the wanted phase, in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkState {
    /// Defined, without a router.
    Allocated,
    /// Its router is on its way up.
    Implementing,
    /// Its router runs.
    Implemented,
    /// No guest needs its router, which is on its way down.
    Shutdown,
    /// It is on its way out.
    Destroy,
}

impl NetworkState {
    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocated => "Allocated",
            Self::Implementing => "Implementing",
            Self::Implemented => "Implemented",
            Self::Shutdown => "Shutdown",
            Self::Destroy => "Destroy",
        }
    }
}

/// One consistent look at everything, as of [`View::revision`]. It holds a lock: keep it short, never over an
/// `await`, and never take a second one while holding the first.
#[derive(Debug)]
pub struct View<'a>(pub(super) RwLockReadGuard<'a, State>);

impl View<'_> {
    /// The revision that this is.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// One object.
    pub fn get<O: Row>(&self, id: O::Id) -> Option<&Stored<O>> {
        O::table(&self.0.tables).get(&id)
    }

    /// Every object of a kind, by id.
    pub fn all<O: Row>(&self) -> impl ExactSizeIterator<Item = &Stored<O>> {
        O::table(&self.0.tables).values()
    }

    pub(super) fn each<O: Row>(&self, ids: impl Iterator<Item = O::Id>) -> impl Iterator<Item = &Stored<O>> {
        ids.filter_map(|id| self.get::<O>(id))
    }

    /// The acquired address `address` of a zone.
    pub fn public_ip_at(&self, zone: ZoneId, address: Ipv4Addr) -> Option<&Stored<PublicIp>> {
        self.get(*self.0.indexes.ip_by_address.get(&(zone, address))?)
    }

    /// Whether nobody has claimed the address: it is neither acquired nor still being released.
    pub fn is_free(&self, zone: ZoneId, address: Ipv4Addr) -> bool {
        let taken = self.0.indexes.taken.get(&zone);
        !taken.is_some_and(|taken| taken.contains(address))
    }

    /// The first address of `range` that nobody has claimed, looking from `from` upwards and then from the range's
    /// start. Takes time independent of how many are claimed.
    pub fn free_address(&self, zone: ZoneId, range: Ipv4Range, from: Ipv4Addr) -> Option<Ipv4Addr> {
        match self.0.indexes.taken.get(&zone) {
            Some(taken) => taken.first_absent(range, from),
            None => AddressRuns::default().first_absent(range, from),
        }
    }

    /// How many addresses of `range` are claimed.
    pub fn claimed_in(&self, zone: ZoneId, range: Ipv4Range) -> u64 {
        self.0
            .indexes
            .taken
            .get(&zone)
            .map_or(0, |taken| taken.count_in(range))
    }

    /// The acquired addresses of a network.
    pub fn public_ips_of_network(&self, id: NetworkId) -> impl Iterator<Item = &Stored<PublicIp>> {
        self.each(self.0.indexes.ips_by_network.get(id))
    }

    /// The acquired addresses of a zone.
    pub fn public_ips_of_zone(&self, id: ZoneId) -> impl Iterator<Item = &Stored<PublicIp>> {
        self.each(self.0.indexes.ips_by_zone.get(id))
    }

    /// The acquired addresses of an account.
    pub fn public_ips_of_account(&self, id: AccountId) -> impl Iterator<Item = &Stored<PublicIp>> {
        self.each(self.0.indexes.ips_by_account.get(id))
    }

    /// The addresses that a guest owns by static NAT.
    pub fn static_nat_of_guest(&self, id: GuestId) -> impl Iterator<Item = &Stored<PublicIp>> {
        self.each(self.0.indexes.static_nat_by_guest.get(id))
    }

    /// The firewall and egress rules of a network.
    pub fn firewall_rules_of_network(&self, id: NetworkId) -> impl Iterator<Item = &Stored<FirewallRule>> {
        self.each(self.0.indexes.rules_by_network.get(id))
    }

    /// The firewall rules of a public address.
    pub fn firewall_rules_of_ip(&self, id: PublicIpId) -> impl Iterator<Item = &Stored<FirewallRule>> {
        self.each(self.0.indexes.rules_by_ip.get(id))
    }

    /// The port forwarding rules of a network.
    pub fn forwards_of_network(&self, id: NetworkId) -> impl Iterator<Item = &Stored<PortForwardingRule>> {
        self.each(self.0.indexes.forwards_by_network.get(id))
    }

    /// The port forwarding rules of a public address.
    pub fn forwards_of_ip(&self, id: PublicIpId) -> impl Iterator<Item = &Stored<PortForwardingRule>> {
        self.each(self.0.indexes.forwards_by_ip.get(id))
    }

    /// The port forwarding rule of a public address that holds one of these ports. Takes time logarithmic in the
    /// number of rules.
    pub fn forward_at(
        &self,
        id: PublicIpId,
        protocol: Protocol,
        ports: PortRange,
    ) -> Option<&Stored<PortForwardingRule>> {
        let by_port = &self.0.indexes.forwards_by_port;
        // Rules share no ports, so the one that starts last at or below the range's end is the only candidate.
        let (_, (last, rule)) = by_port
            .range((id, protocol, 0)..=(id, protocol, ports.last()))
            .next_back()?;
        if *last >= ports.first() {
            self.get(*rule)
        } else {
            None
        }
    }

    /// How many rules a network has together: firewall, egress, port forwarding, load balancer, IP forwarding.
    pub fn count_rules(&self, id: NetworkId) -> usize {
        self.0.indexes.rules_by_network.count(&id)
            + self.0.indexes.forwards_by_network.count(&id)
            + self.0.indexes.balancers_by_network.count(&id)
            + self.0.indexes.ip_forwards_by_network.count(&id)
    }

    /// How many pairs of a source and a destination CIDR a network's firewall and egress rules list together.
    pub fn count_cidr_pairs(&self, id: NetworkId) -> usize {
        self.0.indexes.cidr_pairs.get(&id).copied().unwrap_or(0)
    }

    /// The port forwarding rules that lead to a guest.
    pub fn forwards_of_guest(&self, id: GuestId) -> impl Iterator<Item = &Stored<PortForwardingRule>> {
        self.each(self.0.indexes.forwards_by_guest.get(id))
    }

    /// The guests with a NIC on a network.
    pub fn guests_of_network(&self, id: NetworkId) -> impl Iterator<Item = &Stored<Guest>> {
        self.each(self.0.indexes.guests_by_network.get(id))
    }

    /// The guests of an account.
    pub fn guests_of_account(&self, id: AccountId) -> impl Iterator<Item = &Stored<Guest>> {
        self.each(self.0.indexes.guests_by_account.get(id))
    }

    /// The guest that has this NIC, and the NIC.
    pub fn guest_of_nic(&self, id: NicId) -> Option<(&Stored<Guest>, &Nic)> {
        let guest = self.get::<Guest>(*self.0.indexes.guest_by_nic.get(&id)?)?;
        Some((guest, guest.nics.iter().find(|nic| nic.id == id)?))
    }

    /// The guest that has this secondary address, its NIC, and the address.
    pub fn guest_of_secondary_ip(&self, id: SecondaryIpId) -> Option<(&Stored<Guest>, &Nic, SecondaryIp)> {
        let guest = self.get::<Guest>(*self.0.indexes.guest_by_secondary_ip.get(&id)?)?;
        let of_nic = |nic: &Nic| nic.secondary.iter().copied().find(|ip| ip.id == id);
        guest.nics.iter().find_map(|nic| Some((guest, nic, of_nic(nic)?)))
    }

    /// A realm's router.
    pub fn router_of(&self, realm: Realm) -> Option<&Stored<Router>> {
        self.get(*self.0.indexes.router_by_realm.get(&realm)?)
    }

    /// The router that serves a network: its own, or its VPC's.
    pub fn router_of_network(&self, id: NetworkId) -> Option<&Stored<Router>> {
        self.router_of(self.get::<Network>(id)?.realm())
    }

    /// The networks of an account.
    pub fn networks_of_account(&self, id: AccountId) -> impl Iterator<Item = &Stored<Network>> {
        self.each(self.0.indexes.networks_by_account.get(id))
    }

    /// The tags of an account's objects.
    pub fn tag_sets_of_account(&self, id: AccountId) -> impl Iterator<Item = &Stored<TagSet>> {
        self.each(self.0.indexes.tag_sets_by_account.get(id))
    }

    /// The networks of a zone.
    pub fn networks_of_zone(&self, id: ZoneId) -> impl Iterator<Item = &Stored<Network>> {
        self.each(self.0.indexes.networks_by_zone.get(id))
    }

    /// The user whom an API key belongs to.
    pub fn user_by_api_key(&self, api_key: &str) -> Option<&Stored<User>> {
        self.get::<User>(*self.0.indexes.user_by_api_key.get(api_key)?)
    }

    /// A user by id.
    pub fn user(&self, id: UserId) -> Option<&Stored<User>> {
        self.get(id)
    }

    /// A job.
    pub fn job(&self, id: JobId) -> Option<&Stored<Job>> {
        self.0.jobs.get(&id)
    }

    /// Every job, by id.
    pub fn jobs(&self) -> impl Iterator<Item = &Stored<Job>> {
        self.0.jobs.values()
    }

    /// The jobs that are not finished.
    pub fn pending_jobs(&self) -> impl Iterator<Item = &Stored<Job>> {
        self.0.pending.iter().filter_map(|id| self.0.jobs.get(id))
    }

    /// Ended jobs with claims that are not given back yet.
    pub(crate) fn holding_jobs(&self) -> impl Iterator<Item = &Stored<Job>> {
        self.0.holding.iter().filter_map(|id| self.0.jobs.get(id))
    }

    /// Finished jobs that hold nothing, the one that ended first first.
    pub fn finished_jobs(&self) -> impl ExactSizeIterator<Item = (jiff::Timestamp, JobId)> + '_ {
        self.0.finished.iter().copied()
    }

    /// Every event, the newest first.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> {
        self.0.events.values().rev()
    }

    /// Every event, the oldest first.
    pub fn events_oldest_first(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> {
        self.0.events.values()
    }

    /// An event.
    pub fn event(&self, id: EventId) -> Option<&Arc<Event>> {
        self.0.events.get(&(*self.0.event_times.get(&id)?, id))
    }

    /// What was last observed of a router.
    pub fn router_observed(&self, id: RouterId) -> Option<&Stored<RouterObserved>> {
        self.0.routers_observed.get(&id)
    }

    /// What a router's health checks last found.
    pub fn router_health(&self, id: RouterId) -> Option<&Stored<RouterHealth>> {
        self.0.routers_health.get(&id)
    }

    /// What was last observed of a guest.
    pub fn guest_observed(&self, id: GuestId) -> Option<&Stored<GuestObserved>> {
        self.0.guests_observed.get(&id)
    }

    /// Whether somebody holds this claim; the revision that made it.
    pub fn claimed(&self, key: &str) -> Option<Revision> {
        self.0.claims.get(key).copied()
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.counters)
    }

    pub(crate) fn realm_of_goal(&self, goal: &outgate_model::job::Goal) -> Option<Realm> {
        self.0.realm_of_goal(goal)
    }

    /// A router's state as users see it: what is wanted beside what was observed.
    pub fn router_state(&self, router: &Router) -> RouterState {
        let seen = self.router_observed(router.id);
        match (router.power, seen.map(|s| s.state)) {
            (Power::On, Some(RouterState::Error)) => RouterState::Error,
            (Power::On, Some(RouterState::Running)) if seen.is_some_and(|s| s.boot >= router.boot) => {
                RouterState::Running
            }
            (Power::On, _) => RouterState::Starting,
            (Power::Off, None | Some(RouterState::Stopped)) => RouterState::Stopped,
            (Power::Off | Power::Gone, _) => RouterState::Stopping,
        }
    }

    fn is_idle(&self, realm: Realm) -> bool {
        self.standing(realm).is_some_and(|s| s.phase == Phase::Idle)
    }

    /// A network's state as users see it.
    pub fn network_state(&self, network: &Network) -> NetworkState {
        match network.phase {
            NetworkPhase::Allocated if self.router_of_network(network.id).is_some() => NetworkState::Shutdown,
            NetworkPhase::Allocated => NetworkState::Allocated,
            NetworkPhase::Destroyed => NetworkState::Destroy,
            NetworkPhase::Implemented if self.is_idle(network.realm()) => NetworkState::Allocated,
            NetworkPhase::Implemented => match self.router_of_network(network.id) {
                Some(r)
                    if r.power == Power::On
                        && self.router_observed(r.id).is_none_or(|s| s.generation == 0) =>
                {
                    NetworkState::Implementing
                }
                _ => NetworkState::Implemented,
            },
        }
    }
}
