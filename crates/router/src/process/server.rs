// SPDX-License-Identifier: Apache-2.0
//! The control socket.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use outgate_model::RouterSpec;
use outgate_model::stats::RouterStats;
use outgate_model::trace::{TraceQuery, Traced};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, oneshot};
use tokio::task::spawn_blocking;

use super::Shared;
use super::agent::{Mailbox, Message};
use crate::protocol::{LINE_MAX, Reply, Request, SOCKET, Status};
use crate::services::control;
use crate::verify::verify;
use crate::{RouterError, command, fast_path, insight, trace};

/// So many connections are served at a time; others wait.
const CONNECTIONS_MAX: usize = 64;
/// A client must have sent its request within this.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// Serves the socket in `dir` for ever.
pub(super) async fn serve(dir: &Path, shared: Arc<Shared>, agent: Mailbox) -> Result<(), RouterError> {
    let listener =
        listen(&dir.join(SOCKET)).map_err(|e| RouterError::failed("opening the control socket", e))?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, agent) = (Arc::clone(&shared), agent.clone());
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, &shared, &agent).await {
                        tracing::debug!(%error, "a client hung up");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a client failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The socket of an earlier process of this router is replaced.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    // Whoever finds it can connect, and only its owner can.
    std::fs::rename(&new, path)?;
    Ok(listener)
}

async fn connection(stream: UnixStream, shared: &Arc<Shared>, agent: &Mailbox) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    let mut limited = (&mut stream).take(limit);
    match tokio::time::timeout(REQUEST_PATIENCE, limited.read_until(b'\n', &mut line)).await {
        Ok(read) => read?,
        Err(_) => return Ok(()),
    };
    if line.last() != Some(&b'\n') {
        let reason = format!("a request is one line of at most {LINE_MAX} bytes");
        return reply(
            &mut stream,
            &Reply::Failed(RouterError::failed("reading a request", reason)),
        )
        .await;
    }
    let answer = match serde_json::from_slice(&line) {
        Ok(Request::Events) => return events(stream, shared).await,
        Ok(request) => answer(request, shared, agent).await,
        Err(error) => Err(RouterError::failed("reading a request", error)),
    };
    reply(&mut stream, &answer.unwrap_or_else(Reply::Failed)).await
}

async fn answer(request: Request, shared: &Arc<Shared>, agent: &Mailbox) -> Result<Reply, RouterError> {
    match request {
        Request::Apply(spec) => {
            let result = ask(agent, |reply| Message::Apply(spec, reply)).await?;
            result.map(Reply::Applied)
        }
        Request::Observe => ask(agent, Message::Observe).await.map(Reply::Status),
        Request::Verify => {
            let status = ask(agent, Message::Observe).await?;
            let mut checks = unhurried(shared, "verifying", |spec| Ok(verify(spec))).await?;
            checks.extend(fast_path::check(&status.fastpath));
            Ok(Reply::Checks(checks))
        }
        Request::Balanced => unhurried(shared, "reading haproxy's statistics", control::statistics)
            .await
            .map(Reply::Balanced),
        Request::Stats { census_from } => {
            let (carried, work) = ask(agent, Message::Work).await?;
            let (meter, telling) = (Arc::clone(&shared.meter), Arc::clone(shared));
            let stats = look(shared, "counting", move |spec| {
                // Looks come one at a time; a panic leaves a meter that counts on from what it has.
                let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
                let stats = insight::stats_on(spec, census_from, &carried, &mut meter)?;
                telling.note_refusals(&spec.limits, &stats.refused);
                Ok(stats)
            });
            let stats = RouterStats { work, ..stats.await? };
            Ok(Reply::Stats(Box::new(stats)))
        }
        Request::Sessions(query) => look(shared, "listing sessions", move |spec| {
            insight::sessions(spec, &query)
        })
        .await
        .map(Reply::Sessions),
        Request::Health => {
            let status = ask(agent, Message::Observe).await?;
            look(shared, "checking its health", move |spec| {
                Ok(insight::health::checks(spec, &status))
            })
            .await
            .map(Reply::Health)
        }
        Request::Trace(query) => {
            let status = ask(agent, Message::Observe).await?;
            follow(shared, &query, &status).await.map(Reply::Traced)
        }
        Request::Run(run) => {
            let output = spawn_blocking(move || command::run(&run)).await;
            output
                .map_err(|e| RouterError::failed("running a command", e))?
                .map(Reply::Output)
        }
        Request::Events => Ok(Reply::Listening),
    }
}

/// Follows a packet, once more if the router became something else meanwhile: rules and kernel were of two generations.
async fn follow(
    shared: &Arc<Shared>,
    query: &TraceQuery,
    status: &Status,
) -> Result<Box<Traced>, RouterError> {
    let once = || {
        let (query, fast_path) = (query.clone(), status.fastpath.clone());
        let work = move |spec: &RouterSpec| trace::follow(spec, &query, &fast_path);
        with_spec(&shared.tracing, shared, "tracing", work)
    };
    let traced = once().await?;
    let is_current = shared
        .spec()
        .is_some_and(|spec| spec.generation == traced.generation);
    if is_current || query.wait_millis.is_some() {
        return Ok(Box::new(traced));
    }
    once().await.map(Box::new)
}

/// Does something that reads and takes its time. One at a time: each may look at every session.
async fn look<T: Send + 'static>(
    shared: &Arc<Shared>,
    doing: &'static str,
    work: impl FnOnce(&RouterSpec) -> Result<T, RouterError> + Send + 'static,
) -> Result<T, RouterError> {
    with_spec(&shared.looking, shared, doing, work).await
}

/// Does something that takes its time, one at a time under `turn`.
async fn with_spec<T: Send + 'static>(
    turn: &tokio::sync::Mutex<()>,
    shared: &Arc<Shared>,
    doing: &'static str,
    work: impl FnOnce(&RouterSpec) -> Result<T, RouterError> + Send + 'static,
) -> Result<T, RouterError> {
    let _turn = turn.lock().await;
    unhurried(shared, doing, work).await
}

/// Does something with the spec that takes its time.
async fn unhurried<T: Send + 'static>(
    shared: &Shared,
    doing: &'static str,
    work: impl FnOnce(&RouterSpec) -> Result<T, RouterError> + Send + 'static,
) -> Result<T, RouterError> {
    let spec = shared
        .spec()
        .ok_or_else(|| RouterError::failed(doing, "the router has no spec yet"))?;
    spawn_blocking(move || work(&spec))
        .await
        .map_err(|e| RouterError::failed(doing, e))?
}

async fn ask<T>(
    agent: &Mailbox,
    message: impl FnOnce(oneshot::Sender<T>) -> Message,
) -> Result<T, RouterError> {
    let (sender, receiver) = oneshot::channel();
    let refused = |reason| RouterError::Unreachable {
        reason: str::to_owned(reason),
    };
    agent.try_send(message(sender)).map_err(|error| match error {
        TrySendError::Full(_) => refused("it is busy"),
        TrySendError::Disconnected(_) => refused("its engine has ended"),
    })?;
    receiver.await.map_err(|_| refused("its engine has ended"))
}

/// Sends what is wrong already, then what happens, until the client hangs up.
async fn events(mut stream: BufReader<UnixStream>, shared: &Shared) -> std::io::Result<()> {
    let mut events = shared.events.subscribe();
    reply(&mut stream, &Reply::Listening).await?;
    if let Some(trouble) = shared.trouble() {
        reply(&mut stream, &Reply::Event(trouble)).await?;
    }
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => reply(&mut stream, &Reply::Event(event)).await?,
                Err(broadcast::error::RecvError::Lagged(missed)) => tracing::warn!(missed, "a listener is slow"),
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
            // A client says nothing more: it can only hang up.
            _ = stream.read(&mut nothing) => return Ok(()),
        }
    }
}

async fn reply(stream: &mut BufReader<UnixStream>, reply: &Reply) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.get_mut().write_all(&line).await
}
