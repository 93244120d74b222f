// SPDX-License-Identifier: Apache-2.0
//! `alert`.

use outgate_model::object::{Alert, Pod, Zone};

use crate::view::view;
use crate::wire::date;

view! {
    /// An alert.
    (look, alert: &Alert) {}
    "id" string = alert.id;
    "type" integer = alert.kind.number();
    "name" string = alert.name.as_deref().unwrap_or_else(|| alert.kind.name());
    "description" string = &alert.description;
    "sent" date = date::format(alert.created);
    "zoneid" string = alert.zone;
    "zonename" string = alert.zone.and_then(|id| look.view.get::<Zone>(id)).map(|z| &z.name);
    "podid" string = alert.pod;
    "podname" string = alert.pod.and_then(|id| look.view.get::<Pod>(id)).map(|p| &p.name);
}
