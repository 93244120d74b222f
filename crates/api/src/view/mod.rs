// SPDX-License-Identifier: Apache-2.0
//! How each kind of object looks in a reply: field names, JSON types and dates exactly as CloudStack's clients read
//! them. A field that has no value is left out, as CloudStack does.
//!
//! Each module lists its object's fields once; rendering and `listApis` both follow from that list.

pub mod address;
pub mod capacity;
pub mod cluster;
pub mod event;
pub mod firewall_rule;
pub mod glossary;
pub mod guest;
pub mod host;
pub mod ip_forwarding_rule;
pub mod job;
pub mod load_balancer;
mod look;
pub mod network;
pub mod network_acl;
pub mod network_acl_list;
pub mod network_offering;
pub mod nic;
pub mod nic_secondary_ip;
pub mod physical_network;
pub mod pod;
pub mod port_forwarding_rule;
pub mod private_gateway;
pub mod provider;
pub mod range;
pub mod router;
pub mod service;
pub mod service_offering;
pub mod static_route;
pub mod stickiness_policy;
pub mod tag;
pub mod template;
pub mod traffic_type;
pub mod usage;
pub mod user;
pub mod vpc;
pub mod vpc_offering;
pub mod zone;

pub use look::{Look, Owner};

use serde_json::Value;

use crate::wire::envelope::Object;

/// A field of a response: its name and its type as `listApis` says it.
pub type Field = (&'static str, &'static str);

/// Puts a field into an object unless its value is null.
pub(crate) fn put(object: &mut Object, key: &str, value: impl serde::Serialize) {
    match serde_json::to_value(value) {
        Ok(Value::Null) => {}
        Ok(value) => {
            object.insert(key.to_owned(), value);
        }
        Err(e) => tracing::error!(key, error = %e, "a field could not be rendered"),
    }
}

/// CloudStack's word of whether something may be used.
pub fn state_name(disabled: bool) -> &'static str {
    if disabled { "Disabled" } else { "Enabled" }
}

/// Says whose an object is: account and domain, or project and domain.
fn put_owner(object: &mut Object, owner: Owner) {
    put(object, "account", owner.account);
    put(object, "domain", owner.domain);
    put(object, "domainid", owner.domain_id);
    put(object, "domainpath", owner.domain_path);
    put(object, "project", owner.project);
    put(object, "projectid", owner.project_id);
}

/// A field that says whose an object is.
macro_rules! owner_field {
    ($name:literal, $owner:expr) => {
        ($name, "string")
    };
}
pub(crate) use owner_field;

/// Declares a module's `FIELDS` and its `render`. The line `owned by <account id>;` at the end stands for the six fields
/// that say whose the object is.
macro_rules! view {
    (
        $(#[$doc:meta])*
        ($look:ident, $object:ident: $type:ty) { $($setup:tt)* }
        $($key:literal $kind:ident = $value:expr;)+
        $(owned by $owner:expr;)?
    ) => {
        /// The fields, by name and type.
        pub const FIELDS: &[$crate::view::Field] = &[
            $(($key, stringify!($kind)),)+
            $(
                $crate::view::owner_field!("account", $owner),
                $crate::view::owner_field!("domain", $owner),
                $crate::view::owner_field!("domainid", $owner),
                $crate::view::owner_field!("domainpath", $owner),
                $crate::view::owner_field!("project", $owner),
                $crate::view::owner_field!("projectid", $owner),
            )?
        ];

        $(#[$doc])*
        pub fn render($look: &$crate::view::Look<'_>, $object: $type) -> $crate::wire::envelope::Object {
            $($setup)*
            let mut object = $crate::wire::envelope::Object::new();
            $($crate::view::put(&mut object, $key, $value);)+
            $($crate::view::put_owner(&mut object, $look.owner($owner));)?
            object
        }
    };
}
pub(crate) use view;

/// CIDRs as CloudStack writes them: one string, joined by commas, in the caller's order.
fn joined(nets: &[ipnet::Ipv4Net]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
