// SPDX-License-Identifier: Apache-2.0
//! Alerts: what an administrator should look at. Raised when something begins to be so, put away when it is over.

use jiff::Timestamp;
use outgate_model::id::{AlertId, PodId, ZoneId};
use outgate_model::object::{Alert, AlertKind};

use crate::draft::Draft;
use crate::mirror::View;

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub kind: AlertKind,
    /// What exactly: a second warning about the same is not raised while the first stands.
    pub about: String,
    /// In one sentence.
    pub description: String,
    /// The zone.
    pub zone: Option<ZoneId>,
    /// The pod.
    pub pod: Option<PodId>,
}

/// The alert about this that stands.
fn standing<'a>(
    view: &'a View<'_>,
    kind: AlertKind,
    about: &str,
) -> Option<&'a crate::mirror::Stored<Alert>> {
    view.all::<Alert>()
        .find(|alert| !alert.archived && alert.kind == kind && alert.about == about)
}

/// Raises an alert, unless one about the same stands.
pub fn raise(view: &View<'_>, draft: &mut Draft, warning: &Warning) {
    if standing(view, warning.kind, &warning.about).is_some() {
        return;
    }
    draft.create(&Alert {
        id: AlertId::new(),
        kind: warning.kind,
        description: warning.description.clone(),
        zone: warning.zone,
        pod: warning.pod,
        about: warning.about.clone(),
        archived: false,
        created: Timestamp::now(),
    });
}

/// Puts the alert about this away: it is over.
pub fn over(view: &View<'_>, draft: &mut Draft, kind: AlertKind, about: &str) {
    if let Some(alert) = standing(view, kind, about) {
        let archived = Alert {
            archived: true,
            ..Alert::clone(alert)
        };
        draft.update(alert, archived);
    }
}
