// SPDX-License-Identifier: Apache-2.0
//! The HTTP server on `/client/api`.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};
use tokio::sync::Semaphore;

use crate::wire::envelope::Reply;
use crate::wire::error::ApiError;
use crate::wire::request::MAX_BYTES;
use crate::{Api, Incoming, catalog, session};

mod connection;
mod metrics;

use connection::Peer;
pub use metrics::serve_metrics;

/// Where clients look.
pub const PATH: &str = "/client/api";

/// Limits that protect the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// How many connections are open at once; further ones wait to be accepted.
    pub connections: usize,
    /// How many requests are worked on at once; further ones wait for `queue`, then get 503.
    pub concurrency: usize,
    /// How long a request waits for its turn.
    pub queue: Duration,
    /// How long a client may take to send its form, or to send nothing at all.
    pub idle: Duration,
    /// How long a command may take. Afterwards the client gets 530; the command goes on to its end.
    pub handling: Duration,
    /// How long requests may still take when the server shuts down.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            connections: 1_024,
            concurrency: 256,
            queue: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            handling: Duration::from_secs(60),
            drain: Duration::from_secs(5),
        }
    }
}

#[derive(Debug)]
struct Shared {
    api: Api,
    /// Whether this is the integration port.
    trusted: bool,
    config: ServerConfig,
    turns: Semaphore,
    served: AtomicU64,
}

/// Serves the API on a listening socket until `shutdown` resolves; then requests that are being answered get `drain` to
/// finish.
///
/// # Errors
/// When the socket cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    api: impl Into<Api>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    run(listener, api.into(), config, false, shutdown).await
}

/// Serves the API without signatures to programs of this machine: whoever reaches the socket is the root admin.
///
/// # Errors
/// When the socket is not on a loopback address, or cannot be used.
pub async fn serve_integration(
    listener: std::net::TcpListener,
    api: impl Into<Api>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let text = format!(
            "the integration port would give everybody who reaches {address} the whole cloud: it must be on a loopback address"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    run(listener, api.into(), config, true, shutdown).await
}

async fn run(
    listener: std::net::TcpListener,
    api: Api,
    config: ServerConfig,
    trusted: bool,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let listener = connection::Limited::new(listener, config.connections, config.idle);
    let drain = config.drain;
    let shared = Arc::new(Shared {
        api,
        trusted,
        turns: Semaphore::new(config.concurrency),
        config,
        served: AtomicU64::new(0),
    });
    let app = Router::new()
        .route(PATH, any(handle))
        .route(&format!("{PATH}/openapi.json"), get(document))
        .route(&format!("{PATH}/{{command}}"), any(handle))
        .fallback(elsewhere)
        .with_state(shared);
    until(listener, app, drain, shutdown).await
}

/// Serves until `shutdown` resolves and what is being answered is, at most `drain` longer.
async fn until(
    listener: connection::Limited,
    app: Router,
    drain: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (asked, mut was_asked) = tokio::sync::watch::channel(());
    let app = app.into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.await;
        drop(asked);
    });
    let deadline = async move {
        // An error means that the sender is gone: shutdown was asked for.
        while was_asked.changed().await.is_ok() {}
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        ended = server => ended,
        () = deadline => Ok(()),
    }
}

/// The OpenAPI document. It says nothing that is not in the program.
async fn document() -> Response {
    let mut response = Response::new(Body::from(catalog::openapi().to_string()));
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn elsewhere() -> Response {
    let e = ApiError::new(404, format!("nothing is here; the API is at {PATH}"));
    rendered(&Reply::error(None, &e))
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let started = Instant::now();
    let number = shared.served.fetch_add(1, Ordering::Relaxed) + 1;
    let method = request.method().clone();
    let reply = answer(&shared, request).await.unwrap_or_else(|e| {
        let reply = Reply::error(None, &e);
        shared.api.note_unanswered(reply.status, started.elapsed());
        reply
    });
    // The reply's key names the command; queries hold signatures and are never logged.
    let (key, inner) = reply
        .body
        .as_object()
        .and_then(|o| o.iter().next())
        .map_or(("", None), |(key, inner)| (key.as_str(), Some(inner)));
    let job = inner.and_then(|inner| inner.get("jobid")?.as_str());
    tracing::info!(
        request = number,
        %method,
        answer = key,
        status = reply.status,
        millis = started.elapsed().as_millis(),
        job,
        error = reply.description.as_deref(),
    );
    let mut response = rendered(&reply);
    if let Ok(value) = HeaderValue::from_str(&number.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

async fn answer(shared: &Arc<Shared>, request: Request) -> Result<Reply, ApiError> {
    let is_post = request.method() == Method::POST;
    if !is_post && request.method() != Method::GET {
        return Err(ApiError::new(
            405,
            format!("method {} is not available; use GET or POST", request.method()),
        ));
    }
    if shared.trusted {
        refuse_browsers(&request)?;
    }
    let mut incoming = incoming(&request, shared.trusted);
    if is_post {
        incoming.form = form_of(shared, request).await?;
    }
    // Only now: a client that sends its form slowly takes nobody's turn.
    let turn = tokio::time::timeout(shared.config.queue, shared.turns.acquire());
    let Ok(Ok(_turn)) = turn.await else {
        return Err(ApiError::busy());
    };
    let (api, limit) = (shared.api.clone(), shared.config.handling);
    // A task of its own: a client that hangs up does not leave a command half done.
    let work = tokio::spawn(async move { api.answer(&incoming).await });
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(e)) => {
            tracing::error!(error = %e, "a command's task ended badly");
            Err(ApiError::internal(
                "the command failed in Outgate itself; the server's log says why",
            ))
        }
        Err(_) => {
            let seconds = limit.as_secs();
            Err(ApiError::internal(format!(
                "no answer within {seconds} s; the command goes on, list to see its end"
            )))
        }
    }
}

/// What the head of a request says.
fn incoming(request: &Request, trusted: bool) -> Incoming {
    let path = request.uri().path();
    let command = path.strip_prefix(PATH).map(|rest| rest.trim_matches('/'));
    let cookies = request.headers().get_all(header::COOKIE);
    let session = cookies.iter().find_map(|c| session::in_cookies(c.to_str().ok()?));
    Incoming {
        query: request.uri().query().unwrap_or_default().to_owned(),
        form: Vec::new(),
        command: command.filter(|name| !name.is_empty()).map(str::to_owned),
        session: session.map(str::to_owned),
        from: request
            .extensions()
            .get::<ConnectInfo<Peer>>()
            .map(|peer| peer.0.0.ip()),
        trusted,
    }
}

/// A page of another site must not use its visitor's browser to reach the integration port: its requests say so, or
/// ask for a name that is not this machine's own.
fn refuse_browsers(request: &Request) -> Result<(), ApiError> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = header("host").unwrap_or("localhost");
    let port = host
        .rsplit_once(':')
        .filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()));
    let name = port.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if !is_local || header("origin").is_some() || header("sec-fetch-site").is_some_and(|site| site != "none")
    {
        return Err(ApiError::unauthenticated());
    }
    Ok(())
}

async fn form_of(shared: &Shared, request: Request) -> Result<Vec<u8>, ApiError> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|v| v.to_str().unwrap_or("?").to_owned());
    let is_form = content_type.as_deref().is_none_or(|t| {
        t.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded"
    });
    if !is_form {
        return Err(ApiError::bad_request(
            "the body must be application/x-www-form-urlencoded",
        ));
    }
    let body = to_bytes(request.into_body(), MAX_BYTES);
    match tokio::time::timeout(shared.config.idle, body).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_)) => Err(ApiError::malformed(format!(
            "the request's body broke off or is longer than {MAX_BYTES} bytes"
        ))),
        Err(_) => Err(ApiError::bad_request("the request's body did not arrive in time")),
    }
}

fn rendered(reply: &Reply) -> Response {
    let mut response = Response::new(Body::from(reply.bytes()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(reply.content_type()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    for cookie in &reply.cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    if reply.status == 405 {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    }
    if let Some(text) = &reply.description {
        let plain: String = text
            .chars()
            .take(500)
            .map(|c| {
                if c.is_ascii() && !c.is_ascii_control() {
                    c
                } else {
                    '?'
                }
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&plain) {
            headers.insert("x-description", value);
        }
    }
    response
}
