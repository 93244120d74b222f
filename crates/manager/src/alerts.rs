// SPDX-License-Identifier: Apache-2.0
//! Alerts: what an administrator should look at. One for each cause: raised when something begins to be so, taken away
//! when it is over, and not raised again meanwhile, even if an administrator has put it away.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use outgate_model::id::{AlertId, HostId, PodId, ZoneId};
use outgate_model::object::{Alert, AlertKind, Power, Router, RouterState, SettingScope, Zone};

use crate::draft::Draft;
use crate::manager::{CommitError, Manager};
use crate::mirror::{Stored, View};
use crate::settings;

/// How long to wait between two looks for causes.
const PACE: Duration = Duration::from_secs(1);
/// What runs out is over only when its use has fallen so many percent below where it was raised.
const RELIEF: f64 = 5.0;
/// The kinds whose causes are found by looking at what is stored.
const WATCHED: [AlertKind; 3] = [AlertKind::PublicIp, AlertKind::Vlan, AlertKind::Router];

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub kind: AlertKind,
    /// What exactly: a second warning about the same is not raised while the first one's cause lasts.
    pub about: String,
    /// In one sentence.
    pub description: String,
    /// The zone.
    pub zone: Option<ZoneId>,
    /// The pod.
    pub pod: Option<PodId>,
}

/// The alert about this, whether an administrator has put it away or not.
fn known<'a>(view: &'a View<'_>, kind: AlertKind, about: &str) -> Option<&'a Stored<Alert>> {
    let mut alerts = view.all::<Alert>();
    alerts.find(|alert| alert.kind == kind && alert.about == about)
}

/// Raises an alert, unless one about the same is known.
pub fn raise(view: &View<'_>, draft: &mut Draft, warning: &Warning) {
    if known(view, warning.kind, &warning.about).is_some() {
        return;
    }
    draft.create(&Alert {
        // The same for the same cause, so that it is never there twice.
        id: AlertId::of(&format!("{}/{}", warning.kind.number(), warning.about)),
        kind: warning.kind,
        name: None,
        description: warning.description.clone(),
        zone: warning.zone,
        pod: warning.pod,
        about: warning.about.clone(),
        archived: false,
        created: Timestamp::now(),
    });
}

/// Takes the alert about this away: it is over.
pub fn over(view: &View<'_>, draft: &mut Draft, kind: AlertKind, about: &str) {
    if let Some(alert) = known(view, kind, about) {
        draft.delete(alert);
    }
}

fn about_host(id: HostId) -> String {
    format!("host/{id}")
}

impl View<'_> {
    /// Whether a host answered when it was last looked at.
    pub fn host_answers(&self, id: HostId) -> bool {
        known(self, AlertKind::Host, &about_host(id)).is_none()
    }
}

/// Notes whether a host answers, and why not.
pub(crate) async fn host(manager: &Manager, id: HostId, error: Option<&str>) -> Result<(), CommitError> {
    if manager.view().host_answers(id) == error.is_none() {
        return Ok(());
    }
    let about = about_host(id);
    manager
        .commit(|view, draft| {
            let Some(host) = view.get::<outgate_model::object::Host>(id) else {
                return Ok(());
            };
            match error {
                None => over(view, draft, AlertKind::Host, &about),
                Some(error) => {
                    let warning = Warning {
                        kind: AlertKind::Host,
                        about: about.clone(),
                        description: format!("host {} does not answer: {error}", host.name),
                        zone: Some(host.zone),
                        pod: None,
                    };
                    raise(view, draft, &warning);
                }
            }
            Ok(())
        })
        .await
}

/// Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let mut revisions = manager.mirror().revisions();
    loop {
        revisions.mark_unchanged();
        if let Err(error) = look(&manager).await {
            tracing::error!(%error, "alerts could not be written; trying again");
        }
        tokio::time::sleep(PACE).await;
        if revisions.changed().await.is_err() {
            return;
        }
    }
}

/// Raises what has begun and takes away what is over.
async fn look(manager: &Manager) -> Result<(), CommitError> {
    let same = |view: &View<'_>| {
        let causes = causes(view);
        let watched = view.all::<Alert>().filter(|alert| is_watched(alert));
        let mut all = watched.map(|alert| causes.contains_key(&(alert.kind.number(), alert.about.clone())));
        let lasting = all.by_ref().filter(|lasts| *lasts).count();
        let total = view.all::<Alert>().filter(|alert| is_watched(alert)).count();
        lasting == total && total == causes.len()
    };
    if same(&manager.view()) {
        return Ok(());
    }
    manager
        .commit(|view, draft| {
            let causes = causes(view);
            for alert in view.all::<Alert>().filter(|alert| is_watched(alert)) {
                if !causes.contains_key(&(alert.kind.number(), alert.about.clone())) {
                    draft.delete(alert);
                }
            }
            causes.values().for_each(|warning| raise(view, draft, warning));
            Ok(())
        })
        .await
}

/// Whether it was raised by looking at what is stored.
fn is_watched(alert: &Alert) -> bool {
    WATCHED.contains(&alert.kind) && !alert.about.is_empty()
}

/// Everything that an administrator should look at now, by kind and what it is about.
fn causes(view: &View<'_>) -> BTreeMap<(u16, String), Warning> {
    let zones = view.all::<Zone>().flat_map(|zone| running_out(view, zone));
    let routers = view.all::<Router>().filter_map(|router| unwell(view, router));
    let all = zones.chain(routers);
    all.map(|warning| ((warning.kind.number(), warning.about.clone()), warning))
        .collect()
}

/// What runs out in a zone.
fn running_out(view: &View<'_>, zone: &Zone) -> Vec<Warning> {
    let of = [
        (
            AlertKind::PublicIp,
            "public-ip",
            view.public_capacity(zone.id),
            &settings::PUBLIC_IP_THRESHOLD,
            "public addresses",
            "add some (createVlanIpRange), or release some",
        ),
        (
            AlertKind::Vlan,
            "vlan",
            view.vlan_capacity(zone.id),
            &settings::VLAN_THRESHOLD,
            "VLANs",
            "add some (updatePhysicalNetwork vlan=...)",
        ),
    ];
    let each = of
        .into_iter()
        .filter_map(|(kind, word, (used, total), known_as, what, remedy)| {
            let about = format!("{word}/{}", zone.id);
            let threshold = view.setting_in(known_as, &[SettingScope::Zone(zone.id)]);
            let relief = if known(view, kind, &about).is_some() {
                RELIEF
            } else {
                0.0
            };
            let percent = percent(used, total);
            #[allow(clippy::cast_precision_loss, reason = "a percentage is at most 100")]
            let reached = total > 0 && percent >= threshold as f64 - relief;
            reached.then(|| Warning {
                kind,
                about,
                description: format!(
                    "{used} of {total} {what} of zone {} are in use: {remedy}",
                    zone.name
                ),
                zone: Some(zone.id),
                pod: None,
            })
        });
    each.collect()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a percentage needs no more than a double's digits"
)]
fn percent(used: u64, total: u64) -> f64 {
    used as f64 * 100.0 / total.max(1) as f64
}

/// Why a router that is to run is not as wanted.
fn unwell(view: &View<'_>, router: &Router) -> Option<Warning> {
    let seen = view
        .router_observed(router.id)
        .filter(|_| router.power == Power::On)?;
    let lost = seen.state == RouterState::Starting && seen.boot == 0;
    let why = match &seen.error {
        Some(error) => format!("is not as wanted: {error}"),
        None if lost => "was lost and is being started again".to_owned(),
        None => return None,
    };
    Some(Warning {
        kind: AlertKind::Router,
        about: format!("router/{}", router.id),
        description: format!("router {} {why}", router.name),
        zone: Some(router.zone),
        pod: None,
    })
}
