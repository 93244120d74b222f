// SPDX-License-Identifier: Apache-2.0
//! One look at the cloud through one caller's eyes.

use outgate_manager::mirror::View;
use outgate_manager::{Caller, read};
use outgate_model::id::AccountId;
use outgate_model::object::{
    Account, Domain, Guest, Network, Router, RouterObserved, RouterState, RuleState, ServiceOffering,
};

/// A consistent look at everything, for one caller.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What there is.
    pub view: &'a View<'a>,
    /// Who looks.
    pub caller: &'a Caller,
}

/// Whose an object is, as responses say it.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// The account's name.
    pub account: Option<String>,
    /// The domain's name.
    pub domain: Option<String>,
    /// The domain's id.
    pub domain_id: Option<String>,
    /// The domain's path: `ROOT/sales`.
    pub domain_path: Option<String>,
}

impl<'a> Look<'a> {
    /// Account and domain of an object's owner.
    pub fn owner(&self, id: AccountId) -> Owner {
        let Some(account) = self.view.get::<Account>(id) else { return Owner::default() };
        let domain = self.view.get::<Domain>(account.domain);
        Owner {
            account: Some(account.name.clone()),
            domain: domain.map(|d| d.name.clone()),
            domain_id: Some(account.domain.to_string()),
            domain_path: domain.map(|d| d.path.clone()),
        }
    }

    /// A network's router and what was last observed of it.
    pub fn router_of(&self, network: &Network) -> (Option<&'a Router>, Option<&'a RouterObserved>) {
        let router = self.view.router_of_network(network.id).map(|r| &**r);
        (router, router.and_then(|r| self.view.router_observed(r.id)).map(|o| &**o))
    }

    /// A network's state in CloudStack's words.
    pub fn network_state(&self, network: &Network) -> &'static str {
        let (router, observed) = self.router_of(network);
        read::network_state(network, router, observed).name()
    }

    /// Whether a network needs a restart.
    pub fn restart_required(&self, network: &Network) -> bool {
        read::restart_required(network, self.router_of(network).0)
    }

    /// A router's state.
    pub fn router_state(&self, router: &Router) -> RouterState {
        read::router_state(router, self.view.router_observed(router.id).map(|o| &**o))
    }

    /// A guest's state in CloudStack's words.
    pub fn guest_state(&self, guest: &Guest) -> &'static str {
        read::guest_state(guest, self.view.guest_observed(guest.id).map(|o| &**o)).name()
    }

    /// The state of a rule that a generation of its network brought: `Active` or `Add`.
    pub fn rule_state(&self, network: outgate_model::id::NetworkId, since: u64) -> &'static str {
        let (router, observed) =
            self.view.get::<Network>(network).map_or((None, None), |network| self.router_of(network));
        match read::rule_state(since, router, observed) {
            RuleState::Active => "Active",
            RuleState::Add => "Add",
        }
    }

    /// The offering that system VMs, the routers, are made from.
    pub fn system_offering(&self) -> Option<&'a ServiceOffering> {
        self.view.all::<ServiceOffering>().map(|o| &**o).find(|o| o.system)
    }
}
