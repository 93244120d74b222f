// SPDX-License-Identifier: Apache-2.0
//! What routers know: asked of their processes.

use outgate_model::host::LbStatistics;
use outgate_model::id::RouterId;
use outgate_model::stats::{HealthCheck, RouterStats, SessionPage, SessionQuery};
use outgate_model::trace::{TraceQuery, Traced};
use outgate_router::{RouterClient, RouterError};

use super::Shared;
use super::names::Owner;
use super::routers::host_error;
use crate::HostError;

impl Shared {
    /// See [`crate::Host::router_stats`].
    pub(super) async fn stats(&self, id: RouterId, census_from: u32) -> Result<RouterStats, HostError> {
        self.ask(id, async |router| router.stats(census_from).await).await
    }

    /// See [`crate::Host::router_sessions`].
    pub(super) async fn sessions(
        &self,
        id: RouterId,
        query: &SessionQuery,
    ) -> Result<SessionPage, HostError> {
        self.ask(id, async |router| router.sessions(query).await).await
    }

    /// See [`crate::Host::router_health`].
    pub(super) async fn health(&self, id: RouterId) -> Result<Vec<HealthCheck>, HostError> {
        self.ask(id, async |router| router.health().await).await
    }

    /// See [`crate::Host::trace_flow`].
    pub(super) async fn trace_flow(&self, id: RouterId, query: &TraceQuery) -> Result<Traced, HostError> {
        self.ask(id, async |router| router.trace(query).await).await
    }

    /// See [`crate::Host::load_balancer_statistics`].
    pub(super) async fn balanced(&self, id: RouterId) -> Result<Vec<LbStatistics>, HostError> {
        self.ask(id, async |router| router.balanced().await).await
    }

    /// Asks a router that runs here.
    async fn ask<T>(
        &self,
        id: RouterId,
        question: impl AsyncFnOnce(RouterClient) -> Result<T, RouterError>,
    ) -> Result<T, HostError> {
        let owner = Owner::Router(id);
        if self.running(owner).is_none() {
            return Err(HostError::NotRunning {
                what: owner.to_string(),
            });
        }
        let answer = question(RouterClient::new(self.dir(owner))).await;
        answer.map_err(|error| host_error(error, &id.to_string()))
    }
}
