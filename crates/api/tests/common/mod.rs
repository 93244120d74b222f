// SPDX-License-Identifier: Apache-2.0
//! A real HTTP server over a manager with a real store and a host that is always content, and a client for it.

#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../../../manager/tests/common/mod.rs"]
pub mod world;

pub mod checked;
pub mod facts;
pub mod stranger;
pub mod vpc;

use std::net::SocketAddr;
use std::time::Duration;

use outgate_api::wire::request::RawParameters;
use outgate_api::wire::signature::{Dialect, canonical, sign};
use outgate_api::{ServerConfig, serve};
use outgate_manager::Credentials;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
pub use world::World;

/// How long a job may take.
const JOB_DEADLINE: Duration = Duration::from_secs(60);

/// A server with its world.
pub struct Served {
    pub world: World,
    pub address: SocketAddr,
    pub admin: Credentials,
    pub ended: JoinHandle<std::io::Result<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// An HTTP reply.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub description: Option<String>,
    pub body: Value,
}

impl Answer {
    /// The one top-level key.
    pub fn key(&self) -> &str {
        let keys: Vec<&String> = self.body.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), 1, "exactly one top-level key: {}", self.body);
        keys[0]
    }

    /// What the envelope holds.
    pub fn inner(&self) -> &Value {
        &self.body[self.key()]
    }
}

impl Served {
    /// A server of a fresh world with so many public addresses.
    pub async fn new(addresses: u32) -> Self {
        Self::with(addresses, ServerConfig::default()).await
    }

    /// The same with other limits.
    pub async fn with(addresses: u32, config: ServerConfig) -> Self {
        let world = World::new(addresses).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let admin = world.manager.admin_credentials().unwrap();
        let server = serve(listener, world.manager.clone(), config, async move {
            let _ = stopped.await;
        });
        Self {
            world,
            address,
            admin,
            ended: tokio::spawn(server),
            stop: Some(stop),
        }
    }

    /// Asks the server to shut down.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// The endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/client/api", self.address)
    }

    /// Sends a query as it is.
    pub async fn get(&self, query: &str) -> Answer {
        let url = format!("{}?{query}", self.url());
        tokio::task::spawn_blocking(move || answered(agent().get(&url).call()))
            .await
            .unwrap()
    }

    /// Sends a form as it is.
    pub async fn post(&self, form: &str) -> Answer {
        let (url, form) = (self.url(), form.to_owned());
        tokio::task::spawn_blocking(move || {
            let post = agent()
                .post(&url)
                .content_type("application/x-www-form-urlencoded");
            answered(post.send(form))
        })
        .await
        .unwrap()
    }

    /// A signed query of the administrator.
    pub fn signed(&self, command: &str, params: &[(&str, &str)]) -> String {
        signed_as(&self.admin, command, params)
    }

    /// Calls a command as the administrator.
    pub async fn call(&self, command: &str, params: &[(&str, &str)]) -> Answer {
        self.get(&self.signed(command, params)).await
    }

    /// Calls a command that succeeds, checks its reply against the table, and returns what the envelope holds.
    pub async fn ok(&self, command: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.call(command, params).await;
        assert_eq!(answer.status, 200, "{command} {params:?}: {}", answer.body);
        assert_eq!(answer.key(), format!("{}response", command.to_lowercase()));
        assert_eq!(facts::reply_faults(command, answer.inner()), Vec::<String>::new());
        answer.inner().clone()
    }

    /// Calls a command that starts a job, waits for its end, and returns the first reply and the job.
    pub async fn job(&self, command: &str, params: &[(&str, &str)]) -> (Value, Value) {
        let started = self.ok(command, params).await;
        let id = started["jobid"].as_str().expect("a job id").to_owned();
        let deadline = std::time::Instant::now() + JOB_DEADLINE;
        loop {
            let job = self.ok("queryAsyncJobResult", &[("jobid", &id)]).await;
            match job["jobstatus"].as_i64() {
                Some(0) => assert!(
                    job.get("jobresult").is_none(),
                    "a pending job has no result: {job}"
                ),
                Some(1) => {
                    assert_eq!(
                        facts::result_faults(command, &job["jobresult"]),
                        Vec::<String>::new()
                    );
                    return (started, job);
                }
                _ => panic!("{command}: {job}"),
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{command}: the job does not end: {job}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A signed query.
pub fn signed_as(who: &Credentials, command: &str, params: &[(&str, &str)]) -> String {
    let mut pairs = vec![("command", command), ("apiKey", &who.api_key)];
    pairs.extend_from_slice(params);
    if !params.iter().any(|(name, _)| *name == "response") {
        pairs.push(("response", "json"));
    }
    let raw = RawParameters::from_pairs(pairs.iter().copied());
    let signature = sign(&canonical(&raw, Dialect::ALL[0]), who.secret_key.as_bytes()).unwrap();
    pairs.push(("signature", &signature));
    encoded(&pairs)
}

/// Pairs as a query.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .proxy(None)
        .build()
        .into()
}

pub fn answered(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = result.unwrap();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap().to_owned())
    };
    Answer {
        status: response.status().as_u16(),
        content_type: header("content-type").unwrap_or_default(),
        description: header("x-description"),
        body: serde_json::from_str(&response.body_mut().read_to_string().unwrap()).expect("JSON"),
    }
}

/// `name=value; name=value` as pairs.
pub fn pairs(text: &str) -> Vec<(&str, &str)> {
    let given = text.split("; ").filter(|pair| !pair.is_empty());
    given
        .map(|pair| pair.split_once('=').expect("name=value"))
        .collect()
}

/// A string field.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}
