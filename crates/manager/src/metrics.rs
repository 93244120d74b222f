// SPDX-License-Identifier: Apache-2.0
//! What the manager knows, as metrics: from memory only, so that a scrape asks no router and waits for nobody. What
//! routers say is as old as their last reading, and says so.

mod networks;
mod routers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use outgate_metrics::catalog as m;
use outgate_metrics::{Bounds, Histogram, Page};
use outgate_model::host::Applied;
use outgate_model::object::{
    Alert, AlertKind, FirewallRule, Guest, LoadBalancerRule, Network, PortForwardingRule, PublicIp, Router,
    Vpc, Zone,
};

use crate::capacity::Resource;
use crate::manager::Manager;
use crate::mirror::View;

/// A transaction into the kernel takes milliseconds, the start of a whole router seconds.
const APPLY_BOUNDS: Bounds = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What this server has counted since it started.
#[derive(Debug)]
pub(crate) struct Counted {
    started: Timestamp,
    applies: Mutex<Histogram>,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            started: Timestamp::now(),
            applies: Mutex::new(Histogram::new(APPLY_BOUNDS)),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
}

impl Counted {
    /// A router has applied a spec.
    pub(crate) fn applied(&self, applied: &Applied) {
        let took = std::time::Duration::from_micros(applied.micros);
        let mut applies = self.applies.lock().unwrap_or_else(PoisonError::into_inner);
        applies.observe(took.as_secs_f64());
    }

    /// A spec was not applied: refused for good, or to be tried again.
    pub(crate) fn not_applied(&self, refused: bool) {
        let counter = if refused { &self.refused } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, page: &mut Page) {
        page.put(&m::START_TIME, [], seconds(self.started));
        page.histogram(
            &m::APPLY_SECONDS,
            [],
            &self.applies.lock().unwrap_or_else(PoisonError::into_inner),
        );
        for (reason, counter) in [("refused", &self.refused), ("failed", &self.failed)] {
            page.put(&m::APPLY_FAILURES, [reason], counter.load(Ordering::Relaxed));
        }
    }
}

/// Seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

impl Manager {
    /// Puts all that the manager knows onto a page. Takes no time by the number of sessions, and asks nobody.
    pub fn metrics(&self, page: &mut Page) {
        let readings = self.inner.insight.looks.scrape();
        page.put(&m::BUILD_INFO, [env!("CARGO_PKG_VERSION")], 1_u64);
        page.put(&m::LEADING, [], *self.inner.leading.borrow());
        self.inner.counted.write(page);
        self.happened(page);
        let view = self.view();
        stored(&view, page);
        jobs(&view, page);
        networks::write(&view, &readings, page);
        let samples = self.inner.insight.samples();
        routers::write(&view, &readings, &samples, page);
    }

    /// What the mirror has counted.
    fn happened(&self, page: &mut Page) {
        let tally = &self.inner.mirror.tally;
        for ((kind, level), count) in tally.events.all() {
            page.put(&m::EVENTS, [&kind, level], count);
        }
        let failures = tally.job_failures.all();
        for (command, seen) in tally.jobs.all() {
            page.histogram(&m::JOB_SECONDS, [&command], &seen);
            // None is told too: a counter that begins with its first failure hides it.
            let failed = failures.get(&command).copied().unwrap_or(0);
            page.put(&m::JOB_FAILURES, [&command], failed);
        }
    }
}

/// How much of what there is.
fn stored(view: &View<'_>, page: &mut Page) {
    page.put(&m::STORE_REVISION, [], view.revision());
    let objects = [
        ("network", view.all::<Network>().len()),
        ("vpc", view.all::<Vpc>().len()),
        ("router", view.all::<Router>().len()),
        ("guest", view.all::<Guest>().len()),
        ("public_address", view.all::<PublicIp>().len()),
        ("firewall_rule", view.all::<FirewallRule>().len()),
        ("port_forwarding", view.all::<PortForwardingRule>().len()),
        ("load_balancer", view.all::<LoadBalancerRule>().len()),
    ];
    for (kind, count) in objects {
        page.put(&m::OBJECTS, [kind], count);
    }
    for zone in view.all::<Zone>() {
        for capacity in view.capacities(zone.id) {
            let resource = match capacity.resource {
                Resource::PublicAddresses => "public_addresses",
                Resource::ControlAddresses => "control_addresses",
                Resource::Vlans => "vlans",
            };
            page.put(&m::CAPACITY_USED, [&zone.name, resource], capacity.used);
            page.put(&m::CAPACITY, [&zone.name, resource], capacity.total);
        }
    }
    let watched = [
        AlertKind::PublicIp,
        AlertKind::Vlan,
        AlertKind::Host,
        AlertKind::Guest,
        AlertKind::Router,
        AlertKind::Ports,
        AlertKind::Limit,
    ];
    let mut alerts: BTreeMap<&str, u64> = watched.into_iter().map(|kind| (kind.name(), 0)).collect();
    for alert in view.all::<Alert>().filter(|alert| !alert.archived) {
        *alerts.entry(alert.kind.name()).or_default() += 1;
    }
    for (kind, count) in alerts {
        page.put(&m::ALERTS, [kind], count);
    }
}

fn jobs(view: &View<'_>, page: &mut Page) {
    let now = Timestamp::now();
    let ages = view
        .pending_jobs()
        .map(|job| now.duration_since(job.created).as_secs_f64());
    let (count, oldest) = ages.fold((0_u64, 0.0_f64), |(count, oldest), age| {
        (count + 1, oldest.max(age))
    });
    page.put(&m::JOBS_PENDING, [], count);
    page.put(&m::JOBS_OLDEST, [], oldest);
}
