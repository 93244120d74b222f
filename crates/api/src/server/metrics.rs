// SPDX-License-Identifier: Apache-2.0
//! The metrics' own socket: `GET /metrics`, and nothing else.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use outgate_metrics::Format;
use tokio::sync::Semaphore;

use super::connection::Limited;
use super::until;
use crate::Api;

/// Where a scrape looks.
const PATH: &str = "/metrics";
/// How many scrapers may be connected at once; further ones wait.
const CONNECTIONS: usize = 16;
/// How many pages are written at once.
const AT_ONCE: usize = 2;
/// How long a scraper may say nothing.
const IDLE: Duration = Duration::from_secs(75);
/// How long a page may still take when the server shuts down.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Shared {
    api: Api,
    turns: Semaphore,
}

/// Serves metrics on a socket of their own until `shutdown` resolves: text for Prometheus, or OpenMetrics for who asks for
/// it. Whoever reaches the socket reads names, addresses and counts of the whole cloud, and can change nothing.
///
/// # Errors
/// When the socket cannot be used.
pub async fn serve_metrics(
    listener: std::net::TcpListener,
    api: impl Into<Api>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = Limited::new(tokio::net::TcpListener::from_std(listener)?, CONNECTIONS, IDLE);
    let shared = Arc::new(Shared {
        api: api.into(),
        turns: Semaphore::new(AT_ONCE),
    });
    let app = Router::new()
        .route(PATH, get(page))
        .fallback(elsewhere)
        .with_state(shared);
    until(listener, app, DRAIN, shutdown).await
}

async fn page(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::wanted(accept.unwrap_or_default());
    // Nobody closes the semaphore.
    let _turn = shared.turns.acquire().await.ok();
    let api = shared.api.clone();
    // Some milliseconds of work for a thousand routers: not on a thread that others wait for.
    match tokio::task::spawn_blocking(move || api.metrics().text(format)).await {
        Ok(text) => plain(StatusCode::OK, format.content_type(), text),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            let text = "the metrics could not be written; the log says why\n";
            plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text.to_owned())
        }
    }
}

async fn elsewhere(_: Request) -> Response {
    let text = format!("nothing is here; metrics are at {PATH}\n");
    plain(StatusCode::NOT_FOUND, "text/plain", text)
}

fn plain(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
