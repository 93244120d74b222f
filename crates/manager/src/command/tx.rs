// SPDX-License-Identifier: Apache-2.0
//! What each command works with: the view it decides on, the transaction it fills, and who asks.

use outgate_model::Realm;
use outgate_model::event::Level;
use outgate_model::id::{AccountId, JobId};
use outgate_model::job::Goal;
use outgate_model::key::Object;
use outgate_model::object::{
    Account, AccountState, FirewallRule, Guest, Network, NetworkPhase, PortForwardingRule, Power, Project,
    ProjectState, PublicIp, Router,
};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};
use outgate_model::object::{PrivateGateway, StaticRoute, Vpc, VpcPhase};
use uuid::Uuid;

use super::request::{Caller, Started};
use crate::CommandError;
use crate::draft::{Draft, Instance};
use crate::mirror::{Row, Stored, View};

/// A command in the making.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    /// What the decision rests on.
    pub view: &'a View<'a>,
    /// What will be written.
    pub draft: &'a mut Draft,
    /// Who asks.
    pub caller: &'a Caller,
}

/// An object that belongs to an account.
pub(crate) trait Owned: Row {
    /// Whose it is.
    fn account(&self) -> AccountId;
    /// Whether it is on its way out, so that no command may name it any more.
    fn leaving(&self) -> bool {
        false
    }
}

impl Owned for Network {
    fn account(&self) -> AccountId {
        self.account
    }
    fn leaving(&self) -> bool {
        self.phase == NetworkPhase::Destroyed
    }
}

impl Owned for PublicIp {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for FirewallRule {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for PortForwardingRule {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for LoadBalancerRule {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for IpForwardingRule {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for Guest {
    fn account(&self) -> AccountId {
        self.account
    }
    fn leaving(&self) -> bool {
        self.power == Power::Gone
    }
}

impl Owned for Vpc {
    fn account(&self) -> AccountId {
        self.account
    }
    fn leaving(&self) -> bool {
        self.phase == VpcPhase::Destroyed
    }
}

impl Owned for Project {
    fn account(&self) -> AccountId {
        self.account
    }
    fn leaving(&self) -> bool {
        self.leaving
    }
}

impl Owned for StaticRoute {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for PrivateGateway {
    fn account(&self) -> AccountId {
        self.account
    }
}

impl Owned for Router {
    fn account(&self) -> AccountId {
        self.account
    }
    fn leaving(&self) -> bool {
        self.power == Power::Gone
    }
}

impl<'a> Tx<'a> {
    /// A command of `caller`, whose name its events bear.
    pub fn new(view: &'a View<'a>, draft: &'a mut Draft, caller: &'a Caller) -> Self {
        draft.by(caller.user);
        Self { view, draft, caller }
    }
}

impl Tx<'_> {
    /// The caller's object that parameter `param` names. The transaction depends on it.
    pub fn own<O: Owned>(&mut self, param: &str, id: O::Id) -> Result<Stored<O>, CommandError> {
        let found = self.view.get::<O>(id).filter(|object| !object.leaving()).cloned();
        let found = found.filter(|object| self.caller.may(self.view, object.account()));
        let found = found.ok_or_else(|| CommandError::not_found(param, id))?;
        self.live(found.account())?;
        self.draft.read(&found);
        Ok(found)
    }

    /// The operator's object (zone, offering ...) that parameter `param` names.
    pub fn provided<O: Row>(&mut self, param: &str, id: O::Id) -> Result<Stored<O>, CommandError> {
        let found = self
            .view
            .get::<O>(id)
            .cloned()
            .ok_or_else(|| CommandError::not_found(param, id))?;
        self.draft.read(&found);
        Ok(found)
    }

    /// An object that another object refers to; it is there unless Outgate itself is wrong.
    pub fn known<O: Row>(&mut self, id: O::Id) -> Result<Stored<O>, CommandError> {
        let found = self.view.get::<O>(id).cloned();
        let found = found.ok_or_else(|| CommandError::Internal(format!("{} {id} is missing", O::NAME)))?;
        self.draft.read(&found);
        Ok(found)
    }

    /// For whom a command is: the caller's account unless it names another that it may use.
    pub fn owner(&mut self, wanted: Option<AccountId>) -> Result<Stored<Account>, CommandError> {
        let id = wanted.unwrap_or(self.caller.account);
        if !self.caller.may(self.view, id) {
            return Err(CommandError::not_found("account", id));
        }
        self.live(id)
    }

    /// An account whose objects may be changed: neither on its way out nor a suspended project's. The transaction
    /// depends on both, so that nothing is made for an account that goes meanwhile.
    pub(super) fn live(&mut self, id: AccountId) -> Result<Stored<Account>, CommandError> {
        let account = self.known::<Account>(id)?;
        if self.caller.is_system() {
            return Ok(account);
        }
        if account.leaving {
            let what = format!("account {} is being deleted", account.name);
            return Err(CommandError::Unavailable { what });
        }
        if let Some(project) = account.project {
            let project = self.known::<Project>(project)?;
            if project.state != ProjectState::Active || project.leaving {
                let what = format!(
                    "project {} ({}) is not active: activateProject first",
                    project.name, project.id
                );
                return Err(CommandError::Forbidden { what });
            }
        }
        Ok(account)
    }

    /// Refuses to make guests of an account run that is disabled.
    pub fn may_run(&self, account: &Account) -> Result<(), CommandError> {
        if account.state != AccountState::Disabled {
            return Ok(());
        }
        let what = format!(
            "the owner of the guest, account {}, is disabled: enableAccount first",
            account.name
        );
        Err(CommandError::Forbidden { what })
    }

    /// Records that the caller did something to an object.
    pub fn event<O: Object>(&mut self, kind: &str, account: AccountId, id: Uuid, text: impl Into<String>) {
        self.draft.event(
            kind,
            Level::Info,
            text,
            Some(account),
            Some(Instance::of::<O>(id)),
        );
    }

    /// Starts the command's job on an object of kind `O`.
    pub fn job<O: Object>(&mut self, command: &str, id: Uuid, goal: Goal) -> JobId {
        self.draft.job(command, self.caller, Instance::of::<O>(id), goal)
    }

    /// Raises the generation of the network's realm and returns the new one; see [`Draft::touch`].
    pub fn touch(&mut self, network: &Network) -> u64 {
        self.draft.touch(self.view, network.realm())
    }

    /// Starts a job that is done once the realm's router has applied `generation`.
    pub fn applied<O: Object>(&mut self, command: &str, id: Uuid, realm: Realm, generation: u64) -> Started {
        let job = self.job::<O>(command, id, Goal::Applied { realm, generation });
        Started { job, id: None }
    }
}

impl Started {
    /// The same with the id of what was made.
    pub(crate) fn made(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }
}
