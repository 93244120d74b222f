// SPDX-License-Identifier: Apache-2.0
//! The states that users see: what is wanted beside what was observed, in CloudStack's words. A network's and a
//! router's are [`View::network_state`] and [`View::router_state`].

use outgate_model::Realm;
use outgate_model::object::{
    FirewallRule, Guest, Network, NetworkPhase, Nic, PortForwardingRule, Power, RedundantState, Router,
    RouterState, RuleState,
};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};
use outgate_model::object::{Vpc, VpcPhase};

use crate::mirror::View;
use crate::realm::Phase;

/// The server's own version, which is that of the routers that it starts.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What is said of a router that is too old to say its version.
const UNKNOWN: &str = "UNKNOWN";

/// A guest's state in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// On its way up.
    Starting,
    /// Up.
    Running,
    /// On its way down.
    Stopping,
    /// Down.
    Stopped,
    /// Down, and kept until it is recovered or expunged.
    Destroyed,
    /// On its way out for good.
    Expunging,
    /// Could not be brought up.
    Error,
}

impl GuestState {
    /// CloudStack's name: `Running`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Destroyed => "Destroyed",
            Self::Expunging => "Expunging",
            Self::Error => "Error",
        }
    }
}

/// CloudStack's name of a router's state: `Running`.
pub fn router_state_name(state: RouterState) -> &'static str {
    match state {
        RouterState::Starting => "Starting",
        RouterState::Running => "Running",
        RouterState::Stopping => "Stopping",
        RouterState::Stopped => "Stopped",
        RouterState::Error => "Error",
    }
}

/// CloudStack's name of a rule's state: `Active`.
pub fn rule_state_name(state: RuleState) -> &'static str {
    match state {
        RuleState::Active => "Active",
        RuleState::Add => "Add",
    }
}

impl View<'_> {
    /// Which of its pair a router is. There are no redundant routers yet: each stands alone.
    pub fn redundant_state(&self, _router: &Router) -> RedundantState {
        RedundantState::Unknown
    }

    /// The version of Outgate that a router runs; of one that does not run, that of its next start.
    pub fn router_version(&self, router: &Router) -> String {
        let seen = self.router_observed(router.id);
        let runs = seen.filter(|seen| seen.state == RouterState::Running);
        match runs {
            Some(seen) => seen.version.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
            None => VERSION.to_owned(),
        }
    }

    /// Whether a router runs another version than the server, so that it should be replaced.
    pub fn requires_upgrade(&self, router: &Router) -> bool {
        self.router_version(router) != VERSION
    }

    /// A guest's state.
    pub fn guest_state(&self, guest: &Guest) -> GuestState {
        let seen = self.guest_observed(guest.id);
        let running = seen.is_some_and(|seen| seen.running);
        match guest.power {
            Power::On if running => GuestState::Running,
            Power::On if seen.is_some_and(|seen| seen.error.is_some()) => GuestState::Error,
            Power::On => GuestState::Starting,
            Power::Off if running => GuestState::Stopping,
            Power::Off if guest.destroyed.is_some() => GuestState::Destroyed,
            Power::Off => GuestState::Stopped,
            Power::Gone => GuestState::Expunging,
        }
    }

    /// The state of a firewall or egress rule.
    pub fn firewall_rule_state(&self, rule: &FirewallRule) -> RuleState {
        self.state_since(rule.network, rule.since)
    }

    /// The state of a port forwarding rule.
    pub fn forward_state(&self, rule: &PortForwardingRule) -> RuleState {
        self.state_since(rule.network, rule.since)
    }

    /// The state of a load balancer rule.
    pub fn balancer_state(&self, rule: &LoadBalancerRule) -> RuleState {
        self.state_since(rule.network, rule.since)
    }

    /// The state of an IP forwarding rule.
    pub fn ip_forward_state(&self, rule: &IpForwardingRule) -> RuleState {
        self.state_since(rule.network, rule.since)
    }

    /// Whether the network lacks its router, so that a restart is due (`restartrequired`).
    pub fn restart_required(&self, network: &Network) -> bool {
        let router = self.router_of_network(network.id);
        let alive = self
            .standing(network.realm())
            .is_some_and(|s| s.phase == Phase::Alive);
        alive
            && network.phase == NetworkPhase::Implemented
            && router.is_none_or(|router| router.power == Power::Gone)
    }

    /// Whether guests can be deployed on a network: it stays, and a guest's address is free.
    pub fn can_use_for_deploy(&self, network: &Network) -> bool {
        if network.phase == NetworkPhase::Destroyed {
            return false;
        }
        let (first, last) = network.guest_addresses();
        let all = u64::from(last.to_bits()) - u64::from(first.to_bits()) + 1;
        let router = u64::from((first..=last).contains(&network.gateway.addr()));
        // Most networks have far more addresses than guests; no more are counted than needed.
        let nics = self
            .guests_of_network(network.id)
            .flat_map(|guest| guest.nics.iter())
            .filter(|nic| nic.network == network.id);
        let used = nics
            .flat_map(Nic::addresses)
            .filter(|address| network.is_for_guests(*address));
        let free = usize::try_from(all - router).unwrap_or(usize::MAX);
        used.take(free).count() < free
    }

    /// Whether the VPC lacks its router, so that a restart is due (`restartrequired`).
    pub fn vpc_restart_required(&self, vpc: &Vpc) -> bool {
        let router = self.router_of(Realm::Vpc(vpc.id));
        vpc.phase == VpcPhase::Enabled && router.is_none_or(|router| router.power == Power::Gone)
    }

    /// A network without a running router holds its rules ready: they count as active.
    fn state_since(&self, network: outgate_model::id::NetworkId, since: u64) -> RuleState {
        let Some(router) = self
            .router_of_network(network)
            .filter(|router| router.power == Power::On)
        else {
            return RuleState::Active;
        };
        let applied = self.router_observed(router.id).map_or(0, |seen| seen.generation);
        if applied < since {
            RuleState::Add
        } else {
            RuleState::Active
        }
    }
}
