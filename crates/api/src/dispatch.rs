// SPDX-License-Identifier: Apache-2.0
//! From a request's bytes to a reply.

use jiff::Timestamp;
use outgate_manager::{Caller, Manager};

use crate::command::{self, Call, Command, Handler, Mode};
use crate::view::Look;
use crate::wire::envelope::{self, Object, Reply};
use crate::wire::error::ApiError;
use crate::wire::params::Params;
use crate::wire::request::{Parameters, RawParameters};
use crate::{auth, exists};

/// The API over one manager.
#[derive(Debug, Clone)]
pub struct Api {
    manager: Manager,
}

impl Api {
    /// An API over this manager.
    pub fn new(manager: Manager) -> Self {
        Self { manager }
    }

    /// Answers a request: its query string and its form, both still encoded. Never fails: errors are replies too.
    pub async fn answer(&self, query: &str, form: &[u8]) -> Reply {
        let (command, result) = self.run(query, form).await;
        let name = command.map(|command| command.name);
        let reply = match (result, name) {
            (Ok(inner), Some(name)) => Reply::success(name, inner),
            (Ok(_), None) => Reply::error(None, &ApiError::internal("a reply without a command")),
            (Err(e), name) => {
                if e.code == 530 {
                    tracing::error!(command = name, error = %e.text, "a command failed");
                }
                Reply::error(name, &e)
            }
        };
        reply.in_format(RawParameters::format(query, form))
    }

    async fn run(&self, query: &str, form: &[u8]) -> (Option<&'static Command>, Result<Object, ApiError>) {
        let (command, caller, given) = match self.admit(query, form) {
            Ok(admitted) => admitted,
            Err(e) => return (None, Err(e)),
        };
        (Some(command), self.call(command, caller, &given).await)
    }

    /// Who asks for what. An error here has no command to be named after.
    fn admit(&self, query: &str, form: &[u8]) -> Result<(&'static Command, Caller, Parameters), ApiError> {
        let raw = RawParameters::parse(query, form)?;
        if raw.get("command").is_none_or(|name| name.trim().is_empty()) {
            return Err(ApiError::bad_request("no command specified"));
        }
        let caller = auth::authenticate(&self.manager, &raw, Timestamp::now())?;
        let given = raw.fold()?;
        let name = given.get("command").unwrap_or_default();
        let view = self.manager.view();
        let look = Look {
            view: &view,
            caller: &caller,
        };
        let command = command::find(name)
            .filter(|command| command.open_to(&look))
            .ok_or_else(|| ApiError::unknown_command(name))?;
        Ok((command, caller, given))
    }

    async fn call(
        &self,
        command: &'static Command,
        caller: Caller,
        given: &Parameters,
    ) -> Result<Object, ApiError> {
        let params = Params::parse(command.name, command.parameters(), given)?;
        {
            let view = self.manager.view();
            let look = Look {
                view: &view,
                caller: &caller,
            };
            exists::check(&look, command, &params)?;
            if let Handler::Read(read) = command.handler {
                return read(&look, &params);
            }
        }
        let call = Call {
            manager: &self.manager,
            caller,
            params,
        };
        let refused = |e: command::Refused| e.into_api(command.name);
        match command.handler {
            Handler::Read(_) => Err(ApiError::internal("a read was not answered")),
            Handler::Act(act) => act(&call).await.map_err(refused),
            Handler::Start(start) => {
                let started = start(&call).await.map_err(refused)?;
                let id = started.id.filter(|_| command.mode == Mode::AsyncCreate);
                Ok(envelope::job(started.job, id))
            }
        }
    }
}
