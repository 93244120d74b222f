// SPDX-License-Identifier: Apache-2.0
//! A small client of our own API: signed requests, jobs, and the names people use.

mod credentials;
mod sign;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

pub use credentials::Credentials;

use crate::exit::Unavailable;
use crate::lab::state::Instance;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a job may take.
const JOB_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a job is asked about.
const POLL: Duration = Duration::from_millis(50);

/// Whom a command talks to.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The lab to ask
    #[arg(long, default_value = "default", env = "OUTGATE_INSTANCE")]
    pub instance: Instance,
    /// Ask the server that this file names instead (INI with endpoint, key and secret, as `cs` reads it)
    #[arg(long, env = "OUTGATE_CREDENTIALS")]
    pub credentials_file: Option<PathBuf>,
}

/// A client of one server, for one account.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    credentials: Credentials,
}

impl Client {
    /// A client of the target's server. Nothing is asked yet.
    pub fn connect(target: &Target) -> anyhow::Result<Self> {
        let path = match &target.credentials_file {
            Some(path) => path.clone(),
            None => target.instance.paths()?.credentials(),
        };
        Ok(Self::new(Credentials::read(&path)?))
    }

    /// A client with these credentials.
    pub fn new(credentials: Credentials) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            credentials,
        }
    }

    /// Calls a command and returns what its envelope holds. Errors carry the server's own text.
    pub fn call(&self, command: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        let form = sign::signed(command, params, &self.credentials);
        let sent = self
            .agent
            .post(&self.credentials.endpoint)
            .content_type("application/x-www-form-urlencoded")
            .send(form);
        let mut response = sent.map_err(|e| {
            Unavailable(format!(
                "the server at {} does not answer: {e}",
                self.credentials.endpoint
            ))
        })?;
        let body: Value = response
            .body_mut()
            .read_json()
            .with_context(|| format!("{command}: no JSON came back"))?;
        let inner = body
            .as_object()
            .and_then(|o| o.values().next())
            .cloned()
            .unwrap_or(Value::Null);
        match inner["errortext"].as_str() {
            Some(text) => bail!("{command}: {text} (error {})", inner["errorcode"]),
            None => Ok(inner),
        }
    }

    /// Calls an asynchronous command, waits for its job and returns the job's result.
    pub fn job(&self, command: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        let reply = self.call(command, params)?;
        let job = reply["jobid"]
            .as_str()
            .with_context(|| format!("{command} named no job"))?;
        let deadline = Instant::now() + JOB_TIMEOUT;
        loop {
            let state = self.call("queryAsyncJobResult", &[("jobid", job)])?;
            match state["jobstatus"].as_i64() {
                Some(0) if Instant::now() < deadline => std::thread::sleep(POLL),
                Some(0) => bail!(
                    "{command}: job {job} is not done after {} s",
                    JOB_TIMEOUT.as_secs()
                ),
                Some(1) => return Ok(state["jobresult"].clone()),
                _ => bail!(
                    "{command}: {}",
                    state["jobresult"]["errortext"]
                        .as_str()
                        .unwrap_or("the job failed")
                ),
            }
        }
    }

    /// Every object that a list command finds.
    pub fn list(&self, command: &str, params: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
        let reply = self.call(command, params)?;
        let found = reply
            .as_object()
            .and_then(|o| o.values().find_map(Value::as_array));
        Ok(found.cloned().unwrap_or_default())
    }

    /// The one router with this name or id; without one, the first there is.
    pub fn router(&self, wanted: Option<&str>) -> anyhow::Result<Value> {
        let routers = self.list("listRouters", &[("listall", "true")])?;
        let known: Vec<String> = routers
            .iter()
            .filter_map(|r| r["name"].as_str().map(str::to_owned))
            .collect();
        let mut found = routers
            .into_iter()
            .filter(|r| wanted.is_none_or(|w| is_called(r, w)));
        found.next().with_context(|| match wanted {
            Some(name) => format!("there is no router {name}; there are: {}", known.join(", ")),
            None => "there is no router; a network gets one with its first guest".to_owned(),
        })
    }
}

/// Whether an object's name, display name, instance name or id is `wanted`.
pub fn is_called(object: &Value, wanted: &str) -> bool {
    ["name", "displayname", "instancename", "id"]
        .iter()
        .any(|key| object[key].as_str() == Some(wanted))
}
