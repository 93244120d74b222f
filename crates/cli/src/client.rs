// SPDX-License-Identifier: Apache-2.0
//! A client of the API, ours or a CloudStack's: signed requests, jobs, and the names people use.

mod credentials;
mod options;
mod sign;
mod tls;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

pub use credentials::Credentials;
pub use options::{Method, Options};
pub use tls::{Tls, Trust};

use crate::exit::{Unavailable, Usage};
use crate::lab::state::Instance;
use crate::near::instead;

/// How often a job is asked about at first; later less and less often.
const POLL: Duration = Duration::from_millis(50);
/// CloudStack's code for a caller that it does not know.
const UNKNOWN: i64 = 401;
/// The largest answer that is read, in bytes: a CloudStack's listApis has some three million.
const MAX_ANSWER: u64 = 256 << 20;

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

impl Target {
    /// Where to look when the server does not answer.
    fn next_step(&self) -> String {
        let next = if self.credentials_file.is_some() {
            "see on its host whether outgate server runs, and what its log ends with".to_owned()
        } else {
            format!(
                "see what of the lab runs: outgate lab status --instance {}",
                self.instance
            )
        };
        format!("; {next} (routers go on without it: guests keep their way out)")
    }
}

/// What a server said when it refused a command, or when the command's job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The command: `createNetwork`.
    pub command: String,
    /// The server's code: 431 for a parameter, 537 for a conflict of rules.
    pub code: i64,
    /// The server's own words.
    pub text: String,
    /// The job that failed, if it was one.
    pub job: Option<String>,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} (error {}", self.command, self.text, self.code)?;
        match &self.job {
            Some(job) => write!(f, ", job {job})")?,
            None => f.write_str(")")?,
        }
        if self.code == UNKNOWN {
            f.write_str(
                "; the key or the secret key is wrong or was replaced, its user is disabled, or a clock is wrong: registerUserKeys \
                 makes new keys",
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}

/// A client of one server, for one account.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    credentials: Credentials,
    options: Options,
    /// What to do when the server does not answer, as the end of a sentence.
    next: String,
}

/// Parameters of a list of all that the caller may see, what projects own too.
pub const EVERYTHING: &[(&str, &str)] = &[("listall", "true"), ("projectid", "-1")];

impl Client {
    /// A client of the target's server. Nothing is asked yet.
    pub fn connect(target: &Target) -> anyhow::Result<Self> {
        Self::connect_with(target, Options::default())
    }

    /// A client of the target's server that makes its requests so. Nothing is asked yet.
    pub fn connect_with(target: &Target, options: Options) -> anyhow::Result<Self> {
        let path = match &target.credentials_file {
            Some(path) => path.clone(),
            None => target.instance.paths()?.credentials(),
        };
        let mut client = Self::with(Credentials::read(&path)?, options)?;
        client.next = target.next_step();
        Ok(client)
    }

    /// A client with these credentials, without TLS.
    pub fn new(credentials: Credentials) -> Self {
        let options = Options::default();
        let agent = options.agent(&credentials.endpoint, None);
        Self {
            agent,
            credentials,
            options,
            next: String::new(),
        }
    }

    /// A client with these credentials that makes its requests so. Errors when a file for TLS cannot be used.
    pub fn with(credentials: Credentials, options: Options) -> anyhow::Result<Self> {
        let encrypted = credentials.endpoint.to_ascii_lowercase().starts_with("https:");
        let tls = encrypted.then(|| options.tls.config()).transpose()?;
        let agent = options.agent(&credentials.endpoint, tls);
        Ok(Self {
            agent,
            credentials,
            options,
            next: String::new(),
        })
    }

    /// Calls a command and returns what its envelope holds. Errors carry the server's own text as [`ServerError`].
    pub fn call(&self, command: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        let form = sign::signed(command, params, &self.credentials, self.options.expiration);
        let endpoint = &self.credentials.endpoint;
        let sent = if self.options.method.is_get(command) {
            let mark = if endpoint.contains('?') { '&' } else { '?' };
            let mut request = self.agent.get(format!("{endpoint}{mark}{form}"));
            for (name, value) in &self.options.headers {
                request = request.header(name, value);
            }
            request.call()
        } else {
            let mut request = self.agent.post(endpoint);
            for (name, value) in &self.options.headers {
                request = request.header(name, value);
            }
            request
                .content_type("application/x-www-form-urlencoded")
                .send(form)
        };
        let response = sent.map_err(|error| self.unavailable(&error))?;
        opened(command, endpoint, response)
    }

    fn unavailable(&self, error: &ureq::Error) -> Unavailable {
        let why = match error {
            ureq::Error::Timeout(_) => format!("nothing within {} s", self.options.timeout.as_secs()),
            error => error.to_string(),
        };
        let (endpoint, next) = (&self.credentials.endpoint, &self.next);
        Unavailable(format!("the server at {endpoint} does not answer: {why}{next}"))
    }

    /// Calls an asynchronous command, waits for its job and returns the job's result.
    pub fn job(&self, command: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        let reply = self.call(command, params)?;
        let job = reply["jobid"]
            .as_str()
            .with_context(|| format!("{command} named no job"))?;
        self.wait(command, job, |_| ())
    }

    /// Waits for a job of `command` and returns its result. `tell` is called between two looks, with the time so far.
    pub fn wait(&self, command: &str, job: &str, tell: impl Fn(Duration)) -> anyhow::Result<Value> {
        let start = Instant::now();
        let mut pause = POLL.min(self.options.poll);
        loop {
            let mut state = self.call("queryAsyncJobResult", &[("jobid", job)])?;
            let result = state["jobresult"].take();
            match state["jobstatus"].as_i64() {
                Some(0) if start.elapsed() < self.options.job_timeout => {
                    tell(start.elapsed());
                    std::thread::sleep(pause);
                    pause = (pause * 5 / 4).min(self.options.poll);
                }
                Some(0) => anyhow::bail!(
                    "{command}: job {job} is not done after {} s; it goes on: queryAsyncJobResult jobid={job}",
                    self.options.job_timeout.as_secs()
                ),
                Some(1) => return Ok(result),
                _ => {
                    let code = result["errorcode"].as_i64().or(state["jobresultcode"].as_i64());
                    return Err(ServerError {
                        command: command.to_owned(),
                        code: code.unwrap_or(530),
                        text: result["errortext"]
                            .as_str()
                            .unwrap_or("the job failed")
                            .to_owned(),
                        job: Some(job.to_owned()),
                    }
                    .into());
                }
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

    /// The one router with this name or id; without one, the first there is. Errors (usage) when there is none.
    pub fn router(&self, wanted: Option<&str>) -> anyhow::Result<Value> {
        let routers = self.list("listRouters", EVERYTHING)?;
        let known: Vec<String> = routers
            .iter()
            .filter_map(|r| r["name"].as_str().map(str::to_owned))
            .collect();
        let mut found = routers
            .into_iter()
            .filter(|r| wanted.is_none_or(|w| is_called(r, w)));
        found.next().with_context(|| {
            Usage(match wanted {
                Some(name) => format!("there is no router {name}{}", instead(name, &known)),
                None => "there is no router; a network gets one with its first guest".to_owned(),
            })
        })
    }
}

/// What an answer's envelope holds.
fn opened(
    command: &str,
    endpoint: &str,
    mut response: ureq::http::Response<ureq::Body>,
) -> anyhow::Result<Value> {
    let status = response.status().as_u16();
    let body: Result<Value, _> = response.body_mut().with_config().limit(MAX_ANSWER).read_json();
    let Some(inner) = body
        .ok()
        .and_then(|body| body.as_object().and_then(|o| o.values().next()).cloned())
    else {
        let told = format!(
            "{command}: {endpoint} answered with HTTP status {status} and no JSON; is that the address of a CloudStack API \
             (https://HOST/client/api)?"
        );
        return Err(Unavailable(told).into());
    };
    match inner["errortext"].as_str() {
        Some(text) => Err(ServerError {
            command: command.to_owned(),
            code: inner["errorcode"].as_i64().unwrap_or(i64::from(status)),
            text: text.to_owned(),
            job: None,
        }
        .into()),
        None if status >= 400 => Err(ServerError {
            command: command.to_owned(),
            code: i64::from(status),
            text: inner.to_string(),
            job: None,
        }
        .into()),
        None => Ok(inner),
    }
}

/// Whether an object's name, display name, instance name, user name, address or id is `wanted`.
pub fn is_called(object: &Value, wanted: &str) -> bool {
    [
        "name",
        "displayname",
        "instancename",
        "username",
        "ipaddress",
        "id",
    ]
    .iter()
    .any(|key| object[key].as_str() == Some(wanted))
}
