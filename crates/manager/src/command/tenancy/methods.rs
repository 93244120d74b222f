// SPDX-License-Identifier: Apache-2.0
//! The manager's commands about domains, accounts, users, roles, projects and limits.

use outgate_model::id::{AccountId, DomainId, ProjectId, RoleId, RolePermissionId, UserId};
use outgate_model::object::{ProjectState, User};

use super::user::Prepared;
use super::{account, domain, limit, project, role, user};
use crate::bootstrap::Credentials;
use crate::command::methods::commands;
use crate::command::request::{
    AddRoleRule, AddToProject, Caller, ChangeRoleRule, CreateAccount, CreateDomain, CreateProject,
    CreateRole, CreateUser, DeleteDomain, DeleteProject, OrderRoleRules, SetAccountState, SetLimit,
    SetUserState, Started, TakeFromProject, UpdateAccount, UpdateDomain, UpdateProject, UpdateRole,
    UpdateUser,
};
use crate::command::tx::Tx;
use crate::{CommandError, Manager, password};

commands! {
    /// Makes a domain.
    create_domain(CreateDomain) -> DomainId = domain::create;
    /// Changes a domain.
    update_domain(UpdateDomain) -> DomainId = domain::update;
    /// Deletes a domain, and all that is in it when asked to.
    delete_domain(DeleteDomain) -> Started = |tx, request| domain::delete(tx, *request);
    /// Changes an account.
    update_account(UpdateAccount) -> AccountId = account::update;
    /// Lets an account's users call, or no more.
    set_account_state(SetAccountState) -> AccountId = |tx, request| account::set_state(tx, *request);
    /// Keeps an account's users from calling; unless it is only locked, its guests stop.
    disable_account(SetAccountState) -> Started = |tx, request| account::disable(tx, *request);
    /// Deletes an account with all it owns.
    delete_account(AccountId) -> Started = |tx, id| account::delete(tx, *id);
    /// Lets a user call, or no more.
    set_user_state(SetUserState) -> UserId = |tx, request| user::set_state(tx, *request);
    /// Keeps a user from calling.
    disable_user(SetUserState) -> Started = |tx, request| user::disable(tx, *request);
    /// Deletes a user.
    delete_user(UserId) -> () = |tx, id| user::delete(tx, *id);
    /// Makes a role.
    create_role(CreateRole) -> RoleId = role::create;
    /// Changes a role.
    update_role(UpdateRole) -> RoleId = role::update;
    /// Deletes a role that no account has.
    delete_role(RoleId) -> () = |tx, id| role::delete(tx, *id);
    /// Adds a rule to a role.
    add_role_rule(AddRoleRule) -> (RoleId, RolePermissionId) = role::add_rule;
    /// Makes a role's rule allow or deny.
    change_role_rule(ChangeRoleRule) -> () = |tx, request| role::change_rule(tx, *request);
    /// Puts a role's rules into another order.
    order_role_rules(OrderRoleRules) -> () = role::order_rules;
    /// Removes a role's rule.
    delete_role_rule(RolePermissionId) -> () = |tx, id| role::delete_rule(tx, *id);
    /// Makes a project.
    create_project(CreateProject) -> Started = project::create;
    /// Changes a project.
    update_project(UpdateProject) -> Started = project::update;
    /// Lets a project's objects change again.
    activate_project(ProjectId) -> Started = |tx, id| project::set_state(tx, *id, ProjectState::Active);
    /// Stops a project's guests, and lets nothing of it change.
    suspend_project(ProjectId) -> Started = |tx, id| project::set_state(tx, *id, ProjectState::Suspended);
    /// Deletes a project, and all it owns when asked to.
    delete_project(DeleteProject) -> Started = |tx, request| project::delete(tx, *request);
    /// Lets an account take part in a project.
    add_to_project(AddToProject) -> Started = project::add;
    /// Ends an account's part in a project.
    take_from_project(TakeFromProject) -> Started = project::take;
    /// Changes a limit.
    set_limit(SetLimit) -> () = |tx, request| limit::set(tx, *request);
}

impl Manager {
    /// Makes an account with its first user.
    ///
    /// # Errors
    /// Why it was refused, or could not be stored. Nothing was written then.
    pub async fn create_account(
        &self,
        caller: &Caller,
        request: CreateAccount,
    ) -> Result<AccountId, CommandError> {
        let hash = password::hash(&request.user.password.0).await?;
        self.commit(|view, draft| account::create(&mut Tx::new(view, draft, caller), &request, &hash))
            .await
    }

    /// Makes a user of an account.
    ///
    /// # Errors
    /// Why it was refused, or could not be stored. Nothing was written then.
    pub async fn create_user(&self, caller: &Caller, request: CreateUser) -> Result<UserId, CommandError> {
        let hash = password::hash(&request.user.password.0).await?;
        self.commit(|view, draft| user::create(&mut Tx::new(view, draft, caller), &request, &hash))
            .await
    }

    /// Changes a user.
    ///
    /// # Errors
    /// Why it was refused, or could not be stored. Nothing was written then.
    pub async fn update_user(&self, caller: &Caller, request: UpdateUser) -> Result<UserId, CommandError> {
        let hash = match &request.password {
            Some(new) => Some(password::hash(&new.0).await?),
            None => None,
        };
        let proven = match (&request.password, &request.current_password) {
            (Some(_), Some(current)) => {
                let user = self.view().get::<User>(request.id).cloned();
                self.verify_password(user.as_deref(), &current.0).await
            }
            _ => false,
        };
        let seal = |(key, secret): &(String, crate::command::request::Secret)| {
            let sealed = self.seal_secret_key(request.id, &secret.0);
            sealed.map(|sealed| (key.clone(), sealed))
        };
        let keys = request.keys.as_ref().map(seal).transpose().map_err(internal)?;
        let given = Prepared { hash, proven, keys };
        self.commit(|view, draft| user::update(&mut Tx::new(view, draft, caller), &request, &given))
            .await
    }

    /// Gives a user a new pair of keys; the old one is good no more.
    ///
    /// # Errors
    /// Why it was refused, or could not be stored. Nothing was written then.
    pub async fn register_user_keys(&self, caller: &Caller, id: UserId) -> Result<Credentials, CommandError> {
        let pair = Credentials::random();
        let sealed = self.seal_secret_key(id, &pair.secret_key).map_err(internal)?;
        self.commit(|view, draft| {
            user::register(&mut Tx::new(view, draft, caller), id, &pair.api_key, &sealed)
        })
        .await?;
        Ok(pair)
    }

    /// A user's keys, for itself and for who administers it; `None` while it has none.
    ///
    /// # Errors
    /// When there is no such user for the caller, or it may not see its keys.
    pub fn user_keys(&self, caller: &Caller, id: UserId) -> Result<Option<Credentials>, CommandError> {
        let view = self.view();
        let user = view
            .get::<User>(id)
            .filter(|user| caller.may(&view, user.account));
        let user = user.ok_or_else(|| CommandError::not_found("id", id))?;
        if !caller.governs_user(&view, user) {
            return Err(CommandError::permission("User", id));
        }
        if user.api_key.is_empty() {
            return Ok(None);
        }
        let secret_key = self.secret_key(user).map_err(internal)?;
        Ok(Some(Credentials {
            api_key: user.api_key.clone(),
            secret_key,
        }))
    }
}

fn internal(error: crate::secret::SecretError) -> CommandError {
    CommandError::Internal(error.to_string())
}
