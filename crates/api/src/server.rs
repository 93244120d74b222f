// SPDX-License-Identifier: Apache-2.0
//! The HTTP server on `/client/api`.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use outgate_manager::Manager;
use tokio::sync::Semaphore;

use crate::Api;
use crate::wire::envelope::Reply;
use crate::wire::error::ApiError;
use crate::wire::request::MAX_BYTES;

mod connection;

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
    config: ServerConfig,
    turns: Semaphore,
    served: AtomicU64,
}

/// Serves the manager's API on a listening socket until `shutdown` resolves; then requests that are being answered
/// get `drain` to finish.
///
/// # Errors
/// When the socket cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    manager: Manager,
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let listener = connection::Limited::new(listener, config.connections, config.idle);
    let drain = config.drain;
    let shared = Arc::new(Shared {
        api: Api::new(manager),
        turns: Semaphore::new(config.concurrency),
        config,
        served: AtomicU64::new(0),
    });
    let app = Router::new()
        .route(PATH, any(handle))
        .fallback(elsewhere)
        .with_state(shared);
    let (asked, mut was_asked) = tokio::sync::watch::channel(());
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

async fn elsewhere() -> Response {
    let e = ApiError::new(404, format!("nothing is here; the API is at {PATH}"));
    rendered(&Reply::error(None, &e))
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let started = Instant::now();
    let number = shared.served.fetch_add(1, Ordering::Relaxed) + 1;
    let method = request.method().clone();
    let reply = answer(&shared, request)
        .await
        .unwrap_or_else(|e| Reply::error(None, &e));
    // The reply's key names the command; queries hold signatures and are never logged.
    let key = reply
        .body
        .as_object()
        .and_then(|o| o.keys().next())
        .map_or("", String::as_str);
    tracing::info!(
        request = number,
        %method,
        answer = key,
        status = reply.status,
        millis = started.elapsed().as_millis(),
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
    let query = request.uri().query().unwrap_or_default().to_owned();
    let form = if is_post {
        form_of(shared, request).await?
    } else {
        Vec::new()
    };
    // Only now: a client that sends its form slowly takes nobody's turn.
    let turn = tokio::time::timeout(shared.config.queue, shared.turns.acquire());
    let Ok(Ok(_turn)) = turn.await else {
        return Err(ApiError::busy());
    };
    let (api, limit) = (shared.api.clone(), shared.config.handling);
    // A task of its own: a client that hangs up does not leave a command half done.
    let work = tokio::spawn(async move { api.answer(&query, &form).await });
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
