// SPDX-License-Identifier: Apache-2.0
//! From a request's bytes to a reply.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outgate_manager::{Caller, Manager, settings};

use crate::command::{self, Call, Command, Handler, Mode};
use crate::guesses::Guesses;
use crate::measure::Answered;
use crate::session::{self, Sessions};
use crate::throttle::{Limit, Throttle};
use crate::view::Look;
use crate::wire::envelope::{self, Object, Reply};
use crate::wire::error::ApiError;
use crate::wire::params::Params;
use crate::wire::request::{Parameters, RawParameters};
use crate::{auth, exists, login};

/// A request as it came in.
#[derive(Clone, Default)]
pub struct Incoming {
    /// The query string, still encoded.
    pub query: String,
    /// The form, still encoded.
    pub form: Vec<u8>,
    /// The command that the path names: `listZones` of `/client/api/listZones`. Not for signed requests.
    pub command: Option<String>,
    /// The session's token from the cookie.
    pub session: Option<String>,
    /// Where it comes from.
    pub from: Option<IpAddr>,
    /// Whether it came through the integration port, where everybody is the root admin.
    pub trusted: bool,
}

impl std::fmt::Debug for Incoming {
    /// Nothing of what was sent: it holds signatures and passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("from", &self.from)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

/// What is kept between requests.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) sessions: Sessions,
    pub(crate) guesses: Guesses,
    pub(crate) throttle: Throttle,
    pub(crate) answered: Answered,
}

/// The API over one manager. Clones share sessions and counts.
#[derive(Debug, Clone)]
pub struct Api {
    pub(crate) manager: Manager,
    pub(crate) kept: Arc<Kept>,
}

impl From<Manager> for Api {
    fn from(manager: Manager) -> Self {
        Self::new(manager)
    }
}

/// What a command answers: the envelope's content, and cookies to set.
pub(crate) type Answer = (Object, Vec<String>);

impl Api {
    /// An API over this manager.
    pub fn new(manager: Manager) -> Self {
        Self {
            manager,
            kept: Arc::default(),
        }
    }

    /// Answers a request. Never fails: errors are replies too.
    pub async fn answer(&self, incoming: &Incoming) -> Reply {
        let started = Instant::now();
        let (command, result) = self.run(incoming).await;
        let name = command.map(|command| command.name);
        let reply = match (result, name) {
            (Ok((inner, cookies)), Some(name)) => Reply {
                cookies,
                ..Reply::success(name, inner)
            },
            (Ok(_), None) => Reply::error(None, &ApiError::internal("a reply without a command")),
            (Err(e), name) => {
                if e.code == 530 {
                    tracing::error!(command = name, error = %e.text, "a command failed");
                }
                Reply::error(name, &e)
            }
        };
        self.kept.answered.note(name, reply.status, started.elapsed());
        reply.in_format(RawParameters::format(&incoming.query, &incoming.form))
    }

    async fn run(&self, incoming: &Incoming) -> (Option<&'static Command>, Result<Answer, ApiError>) {
        let (raw, named) = match parsed(incoming) {
            Ok(parsed) => parsed,
            Err(e) => return (None, Err(e)),
        };
        let login = command::find(&named).filter(|command| matches!(command.handler, Handler::Login));
        if let Some(command) = login {
            return (
                Some(command),
                login::login(self, command, raw, incoming.from).await,
            );
        }
        let (command, caller, given) = match self.admit(incoming, raw, &named) {
            Ok(admitted) => admitted,
            Err(e) => return (None, Err(e)),
        };
        if matches!(command.handler, Handler::Logout) {
            if let Some(id) = &incoming.session {
                self.kept.sessions.close(id);
            }
            let inner = envelope::single("description", "success".into());
            return (Some(command), Ok((inner, vec![session::no_cookie()])));
        }
        let result = self.call(command, caller, &given).await;
        (Some(command), result.map(|inner| (inner, Vec::new())))
    }

    /// Who asks for what. An error here has no command to be named after.
    fn admit(
        &self,
        incoming: &Incoming,
        raw: RawParameters,
        named: &str,
    ) -> Result<(&'static Command, Caller, Parameters), ApiError> {
        let caller = self.caller(incoming, &raw)?;
        let given = raw.fold()?;
        let view = self.manager.view();
        self.count(&view, caller)?;
        let look = Look {
            view: &view,
            caller: &caller,
        };
        let command = command::find(named)
            .filter(|command| command.open_to(&look))
            .ok_or_else(|| ApiError::unknown_command(named))?;
        Ok((command, caller, given))
    }

    /// Who asks: whoever signed it, else whose session it is; on the integration port the root admin.
    fn caller(&self, incoming: &Incoming, raw: &RawParameters) -> Result<Caller, ApiError> {
        if incoming.trusted {
            return auth::root_admin(&self.manager);
        }
        if let (None, Some(id)) = (raw.get("apikey"), &incoming.session) {
            let key = raw.get("sessionkey").unwrap_or_default();
            let user = self.kept.sessions.touch(id, key, Instant::now());
            return user
                .and_then(|user| auth::user(&self.manager, user))
                .ok_or_else(ApiError::unauthenticated);
        }
        auth::authenticate(&self.manager, raw, Timestamp::now())
    }

    /// Counts the call against the account's limit, if there is one. Errors with 429.
    fn count(&self, view: &outgate_manager::View<'_>, caller: Caller) -> Result<(), ApiError> {
        match limit(view, caller) {
            Some(limit) => self.kept.throttle.count(caller.account, limit, Instant::now()),
            None => Ok(()),
        }
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
            kept: &self.kept,
            caller,
            params,
        };
        let refused = |e: command::Refused| e.into_api(command.name);
        match command.handler {
            Handler::Act(act) => act(&call).await.map_err(refused),
            Handler::Start(start) => {
                let started = start(&call).await.map_err(refused)?;
                let id = started.id.filter(|_| command.mode == Mode::AsyncCreate);
                Ok(envelope::job(started.job, id))
            }
            Handler::Read(_) | Handler::Login | Handler::Logout => {
                Err(ApiError::internal("the command was not answered"))
            }
        }
    }
}

/// How much a caller may call, if there is a limit for it.
pub(crate) fn limit(view: &outgate_manager::View<'_>, caller: Caller) -> Option<Limit> {
    if caller.admin() || !view.setting_is_on(&settings::THROTTLING_ENABLED) {
        return None;
    }
    let number = |known| u32::try_from(view.setting(known)).unwrap_or(u32::MAX);
    Some(Limit {
        max: number(&settings::THROTTLING_MAX),
        interval: Duration::from_secs(number(&settings::THROTTLING_INTERVAL).into()),
    })
}

/// The parameters, and the command that they or the path name. A signature covers parameters only, so a signed request
/// names its command there.
fn parsed(incoming: &Incoming) -> Result<(RawParameters, String), ApiError> {
    let raw = RawParameters::parse(&incoming.query, &incoming.form)?;
    let named = raw.get("command").map(str::trim).filter(|name| !name.is_empty());
    let signed = raw.get("signature").is_some();
    match (named, &incoming.command) {
        (Some(name), None) => {
            let name = name.to_owned();
            Ok((raw, name))
        }
        (Some(name), Some(path)) if name.eq_ignore_ascii_case(path) => {
            let name = name.to_owned();
            Ok((raw, name))
        }
        (None, Some(path)) if !signed => Ok((raw, path.clone())),
        (Some(name), Some(path)) => Err(ApiError::bad_request(format!(
            "command={name} was sent to the path of {path}"
        ))),
        (None, _) => Err(ApiError::bad_request("no command specified")),
    }
}
