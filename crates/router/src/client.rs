// SPDX-License-Identifier: Apache-2.0
//! A router's control socket, from the outside.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outgate_model::RouterSpec;
use outgate_model::host::{Applied, Check, HostEvent, LbStatistics, Run, RunOutput};
use outgate_model::stats::{HealthCheck, RouterStats, SessionPage, SessionQuery};
use outgate_model::trace::{TraceQuery, Traced, WAIT_MAX_MILLIS};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::RouterError;
use crate::protocol::{LINE_MAX, Reply, Request, SOCKET, Status};

/// How long a router may take for what is not a command with a time of its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to say what it is.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Speaks to one router. Each call has a connection of its own, so a router that was started anew answers the next call.
#[derive(Debug, Clone)]
pub struct RouterClient {
    dir: PathBuf,
}

impl RouterClient {
    /// The router in this directory, without asking whether it runs.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
        }
    }

    /// The router in this directory, which must answer.
    ///
    /// # Errors
    /// [`RouterError::Unreachable`] when it does not.
    pub async fn connect(dir: impl AsRef<Path>) -> Result<Self, RouterError> {
        let client = Self::new(dir);
        client.observe().await?;
        Ok(client)
    }

    /// Makes the router be this; returns once the kernel matches.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn apply(&self, spec: &RouterSpec) -> Result<Applied, RouterError> {
        match self
            .ask(&Request::Apply(Box::new(spec.clone())), PATIENCE)
            .await?
        {
            Reply::Applied(applied) => Ok(applied),
            other => Err(unexpected(&other)),
        }
    }

    /// What the router is, and how it differs from its spec.
    ///
    /// # Errors
    /// [`RouterError::Unreachable`] when it does not answer.
    pub async fn observe(&self) -> Result<Status, RouterError> {
        match self.ask(&Request::Observe, STATUS_PATIENCE).await? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Steps 3 to 6 of the reference text's seven.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn verify(&self) -> Result<Vec<Check>, RouterError> {
        match self.ask(&Request::Verify, PATIENCE).await? {
            Reply::Checks(checks) => Ok(checks),
            other => Err(unexpected(&other)),
        }
    }

    /// What haproxy has balanced.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn balanced(&self) -> Result<Vec<LbStatistics>, RouterError> {
        match self.ask(&Request::Balanced, STATUS_PATIENCE).await? {
            Reply::Balanced(statistics) => Ok(statistics),
            other => Err(unexpected(&other)),
        }
    }

    /// Traffic and sessions; these one by one when there are at least `census_from`.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn stats(&self, census_from: u32) -> Result<RouterStats, RouterError> {
        match self.ask(&Request::Stats { census_from }, PATIENCE).await? {
            Reply::Stats(stats) => Ok(*stats),
            other => Err(unexpected(&other)),
        }
    }

    /// Some of the router's sessions.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn sessions(&self, query: &SessionQuery) -> Result<SessionPage, RouterError> {
        match self.ask(&Request::Sessions(query.clone()), PATIENCE).await? {
            Reply::Sessions(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }

    /// The router's health checks, run now.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn health(&self) -> Result<Vec<HealthCheck>, RouterError> {
        match self.ask(&Request::Health, PATIENCE).await? {
            Reply::Health(checks) => Ok(checks),
            other => Err(unexpected(&other)),
        }
    }

    /// The way of a packet.
    ///
    /// # Errors
    /// The router's own; [`RouterError::Unreachable`] when it does not answer.
    pub async fn trace(&self, query: &TraceQuery) -> Result<Traced, RouterError> {
        let waits = Duration::from_millis(query.wait_millis.unwrap_or(0).min(WAIT_MAX_MILLIS));
        match self
            .ask(&Request::Trace(query.clone()), PATIENCE.saturating_add(waits))
            .await?
        {
            Reply::Traced(traced) => Ok(*traced),
            other => Err(unexpected(&other)),
        }
    }

    /// Runs a command in the router.
    ///
    /// # Errors
    /// When it cannot be started; [`RouterError::Unreachable`] when the router does not answer.
    pub async fn run(&self, run: &Run) -> Result<RunOutput, RouterError> {
        let patience = Duration::from_millis(run.timeout_millis).saturating_add(STATUS_PATIENCE);
        match self.ask(&Request::Run(run.clone()), patience).await? {
            Reply::Output(output) => Ok(output),
            other => Err(unexpected(&other)),
        }
    }

    /// What the router notices from now on.
    ///
    /// # Errors
    /// [`RouterError::Unreachable`] when it does not answer.
    pub async fn events(&self) -> Result<RouterEvents, RouterError> {
        let mut lines = self.send(&Request::Events).await?;
        match timeout(STATUS_PATIENCE, receive(&mut lines))
            .await
            .map_err(|_| late())??
        {
            Some(Reply::Listening) => Ok(RouterEvents { lines }),
            Some(other) => Err(unexpected(&other)),
            None => Err(unreachable("it hung up")),
        }
    }

    async fn ask(&self, request: &Request, patience: Duration) -> Result<Reply, RouterError> {
        let exchange = async {
            let mut lines = self.send(request).await?;
            receive(&mut lines)
                .await?
                .ok_or_else(|| unreachable("it hung up"))
        };
        match timeout(patience, exchange).await.map_err(|_| late())?? {
            Reply::Failed(error) => Err(error),
            reply => Ok(reply),
        }
    }

    async fn send(&self, request: &Request) -> Result<BufReader<UnixStream>, RouterError> {
        let mut line = serde_json::to_vec(request).map_err(unreachable)?;
        line.push(b'\n');
        // Through the directory's descriptor: a socket's path may only be 108 bytes long.
        let dir = File::open(&self.dir).map_err(unreachable)?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd());
        let mut stream = UnixStream::connect(path).await.map_err(unreachable)?;
        stream.write_all(&line).await.map_err(unreachable)?;
        Ok(BufReader::new(stream))
    }
}

/// A stream of a router's events.
#[derive(Debug)]
pub struct RouterEvents {
    lines: BufReader<UnixStream>,
}

impl RouterEvents {
    /// The next event; `None` when the router ended.
    ///
    /// # Errors
    /// When its line cannot be understood.
    pub async fn next(&mut self) -> Result<Option<HostEvent>, RouterError> {
        match receive(&mut self.lines).await? {
            Some(Reply::Event(event)) => Ok(Some(event)),
            Some(other) => Err(unexpected(&other)),
            None => Ok(None),
        }
    }
}

async fn receive(lines: &mut BufReader<UnixStream>) -> Result<Option<Reply>, RouterError> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    lines
        .take(limit)
        .read_until(b'\n', &mut line)
        .await
        .map_err(unreachable)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(unreachable)
}

fn unreachable(reason: impl ToString) -> RouterError {
    RouterError::Unreachable {
        reason: reason.to_string(),
    }
}

fn late() -> RouterError {
    unreachable("it took too long")
}

fn unexpected(reply: &Reply) -> RouterError {
    unreachable(format!("it gave another answer than asked for: {reply:?}"))
}
