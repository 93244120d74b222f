// SPDX-License-Identifier: Apache-2.0
//! How each kind of object looks in a reply: field names, JSON types and dates exactly as CloudStack's clients read
//! them. A field that has no value is left out, as CloudStack does.
//!
//! Each module lists its object's fields once; rendering and `listApis` both follow from that list.

pub mod account;
pub mod address;
pub mod alert;
pub mod api_limit;
pub mod capacity;
pub mod cluster;
pub mod configuration;
pub mod counts;
pub mod domain;
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
pub mod project;
pub mod project_account;
pub mod provider;
pub mod range;
pub mod resource_limit;
pub mod role;
pub mod role_permission;
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

/// A field that says whose an object is, or how much somebody holds.
macro_rules! owner_field {
    ($name:literal, $owner:expr) => {
        ($name, "string")
    };
    ($name:literal, $kind:literal, $counts:expr) => {
        ($name, $kind)
    };
}
pub(crate) use owner_field;

/// Declares a module's `FIELDS` and its `render`. The line `owned by <account id or Owner>;` at the end stands for the six fields
/// that say whose the object is, the line `counts <Counts>;` for those that say how much it holds and may hold.
macro_rules! view {
    (
        $(#[$doc:meta])*
        ($look:ident, $object:ident: $type:ty) { $($setup:tt)* }
        $($key:literal $kind:ident = $value:expr;)+
        $(owned by $owner:expr;)?
        $(counts $counts:expr;)?
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
            $(
                $crate::view::owner_field!("vmlimit", "string", $counts),
                $crate::view::owner_field!("vmtotal", "integer", $counts),
                $crate::view::owner_field!("vmavailable", "string", $counts),
                $crate::view::owner_field!("iplimit", "string", $counts),
                $crate::view::owner_field!("iptotal", "integer", $counts),
                $crate::view::owner_field!("ipavailable", "string", $counts),
                $crate::view::owner_field!("networklimit", "string", $counts),
                $crate::view::owner_field!("networktotal", "integer", $counts),
                $crate::view::owner_field!("networkavailable", "string", $counts),
                $crate::view::owner_field!("vpclimit", "string", $counts),
                $crate::view::owner_field!("vpctotal", "integer", $counts),
                $crate::view::owner_field!("vpcavailable", "string", $counts),
                $crate::view::owner_field!("volumelimit", "string", $counts),
                $crate::view::owner_field!("volumetotal", "integer", $counts),
                $crate::view::owner_field!("volumeavailable", "string", $counts),
                $crate::view::owner_field!("snapshotlimit", "string", $counts),
                $crate::view::owner_field!("snapshottotal", "integer", $counts),
                $crate::view::owner_field!("snapshotavailable", "string", $counts),
                $crate::view::owner_field!("templatelimit", "string", $counts),
                $crate::view::owner_field!("templatetotal", "integer", $counts),
                $crate::view::owner_field!("templateavailable", "string", $counts),
                $crate::view::owner_field!("cpulimit", "string", $counts),
                $crate::view::owner_field!("cputotal", "integer", $counts),
                $crate::view::owner_field!("cpuavailable", "string", $counts),
                $crate::view::owner_field!("memorylimit", "string", $counts),
                $crate::view::owner_field!("memorytotal", "integer", $counts),
                $crate::view::owner_field!("memoryavailable", "string", $counts),
                $crate::view::owner_field!("primarystoragelimit", "string", $counts),
                $crate::view::owner_field!("primarystoragetotal", "integer", $counts),
                $crate::view::owner_field!("primarystorageavailable", "string", $counts),
                $crate::view::owner_field!("secondarystoragelimit", "string", $counts),
                $crate::view::owner_field!("secondarystoragetotal", "number", $counts),
                $crate::view::owner_field!("secondarystorageavailable", "string", $counts),
            )?
        ];

        $(#[$doc])*
        pub fn render($look: &$crate::view::Look<'_>, $object: $type) -> $crate::wire::envelope::Object {
            $($setup)*
            let mut object = $crate::wire::envelope::Object::new();
            $($crate::view::put(&mut object, $key, $value);)+
            $($crate::view::put_owner(&mut object, $look.owner($owner));)?
            $($crate::view::counts::put(&mut object, $counts);)?
            object
        }
    };
}
pub(crate) use view;

/// CIDRs as CloudStack writes them: one string, joined by commas, in the caller's order.
fn joined(nets: &[ipnet::Ipv4Net]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
