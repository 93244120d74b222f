// SPDX-License-Identifier: Apache-2.0
//! Routers' health, checked again and again and kept as observed state.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use outgate_model::event::Level;
use outgate_model::id::RouterId;
use outgate_model::key;
use outgate_model::object::{Router, RouterHealth};
use outgate_model::stats::{HealthCheck, HealthKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{PARALLEL, TICK, running};
use crate::command::Caller;
use crate::draft::{Draft, Instance};
use crate::manager::{CommitError, Manager};
use crate::mirror::{Stored, View};
use crate::reconcile::answer;
use crate::{CommandError, settings};

/// What did not change is written again after so long, to show that it was looked at.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// Checks all routers again and again. Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let mut last: Option<Instant> = None;
    loop {
        let minutes = u64::try_from(manager.view().setting(&settings::HEALTH_INTERVAL)).unwrap_or(0);
        let interval = Duration::from_secs(minutes * 60);
        if minutes > 0 && last.is_none_or(|last| last.elapsed() >= interval) {
            last = Some(Instant::now());
            pass(&manager).await;
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn pass(manager: &Manager) {
    let mut waiting = running(&manager.view()).into_iter();
    let mut asked = JoinSet::new();
    loop {
        for router in waiting.by_ref().take(PARALLEL.saturating_sub(asked.len())) {
            let manager = manager.clone();
            asked.spawn(async move {
                if let Err(error) = check(&manager, &router).await {
                    tracing::error!(router = router.name, %error, "its health could not be written down");
                }
            });
        }
        if asked.join_next().await.is_none() {
            return;
        }
    }
}

/// Checks a router now and writes down what was found.
async fn check(manager: &Manager, router: &Stored<Router>) -> Result<RouterHealth, CommitError> {
    let asked = match manager.host(router.host) {
        Some(host) => answer(manager, host.router_health(router.id))
            .await
            .map_err(|e| e.text),
        None => Err(format!("host {} has no driver", router.host)),
    };
    let health = RouterHealth {
        id: router.id,
        checks: found(asked),
        at: Timestamp::now(),
    };
    manager
        .commit(|view, draft| {
            write(view, draft, &health);
            Ok::<_, CommitError>(())
        })
        .await?;
    Ok(health)
}

/// The router's own checks, and whether it answers at all.
fn found(asked: Result<Vec<HealthCheck>, String>) -> Vec<HealthCheck> {
    let ours = env!("CARGO_PKG_VERSION");
    let connectivity = HealthCheck {
        name: "connectivity.test".to_owned(),
        kind: HealthKind::Basic,
        success: asked.is_ok(),
        details: asked
            .as_ref()
            .err()
            .map_or_else(|| "the router answers".to_owned(), Clone::clone),
    };
    let mut checks = asked.unwrap_or_default();
    for check in checks.iter_mut().filter(|c| c.name == "router_version_check.py") {
        if check.details != ours {
            check.success = false;
            check.details = format!("the router runs {}, the server {ours}: reboot it", check.details);
        }
    }
    checks.insert(0, connectivity);
    checks
}

/// Writes what is new, and what was not looked at for long. What begins to fail is an event.
fn write(view: &View<'_>, draft: &mut Draft, health: &RouterHealth) {
    let Some(router) = view.get::<Router>(health.id) else {
        return;
    };
    let before = view.router_health(health.id);
    let is_same = |seen: &RouterHealth| {
        let verdict = |h: &RouterHealth| {
            h.checks
                .iter()
                .map(|c| (c.name.clone(), c.success))
                .collect::<Vec<_>>()
        };
        verdict(seen) == verdict(health) && health.at.duration_since(seen.at) < STALE
    };
    if before.is_some_and(|seen| is_same(seen)) {
        return;
    }
    let failed_before =
        |name: &str| before.is_some_and(|b| b.checks.iter().any(|c| c.name == name && !c.success));
    for check in health
        .checks
        .iter()
        .filter(|c| !c.success && !failed_before(&c.name))
    {
        let text = format!("router {}: {} failed: {}", router.name, check.name, check.details);
        let about = Instance::of::<Router>(router.id.0);
        draft.event(
            "ROUTER.HEALTH.CHECKS",
            Level::Warn,
            text,
            Some(router.account),
            Some(about),
        );
    }
    // Nothing is written down of a router that goes away meanwhile.
    draft.read(router);
    draft.put_raw(key::observed_health(health.id), health);
}

impl Manager {
    /// What a router's health checks found: now with `fresh`, else when they were run last.
    ///
    /// # Errors
    /// When there is no such router for the caller, it does not run, or the store fails.
    pub async fn router_health(
        &self,
        caller: &Caller,
        id: RouterId,
        fresh: bool,
    ) -> Result<Option<RouterHealth>, CommandError> {
        let running = self.running_router(caller, id)?;
        if !fresh {
            return Ok(self
                .view()
                .router_health(id)
                .map(|health| RouterHealth::clone(health)));
        }
        let Some((router, _)) = running else {
            return Err(CommandError::Unavailable {
                what: format!("router {id} does not run: start it, then check it"),
            });
        };
        Ok(Some(check(self, &router).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_does_not_answer_fails_one_check_with_the_reason() {
        let checks = found(Err("it hung up".to_owned()));
        assert_eq!(checks.len(), 1);
        assert!(!checks[0].success && checks[0].details == "it hung up");
    }

    #[test]
    fn a_router_of_another_version_says_so() {
        let version = |details: &str| HealthCheck {
            name: "router_version_check.py".to_owned(),
            kind: HealthKind::Advanced,
            success: true,
            details: details.to_owned(),
        };
        let checks = found(Ok(vec![version("0.0.0")]));
        assert!(checks[0].success && !checks[1].success, "{checks:?}");
        assert!(found(Ok(vec![version(env!("CARGO_PKG_VERSION"))]))[1].success);
    }
}
