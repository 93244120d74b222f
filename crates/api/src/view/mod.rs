// SPDX-License-Identifier: Apache-2.0
//! How each kind of object looks in a reply: field names, JSON types and dates exactly as CloudStack's clients read
//! them. A field that has no value is left out, as CloudStack does.
//!
//! Each module lists its object's fields once; rendering and `listApis` both follow from that list.

pub mod address;
pub mod event;
pub mod firewall_rule;
pub mod guest;
pub mod host;
pub mod job;
mod look;
pub mod network;
pub mod network_offering;
pub mod nic;
pub mod port_forwarding_rule;
pub mod router;
pub mod service;
pub mod service_offering;
pub mod tag;
pub mod template;
pub mod user;
pub mod zone;

pub use look::{Look, Owner};

use serde_json::Value;

use crate::wire::envelope::Object;

/// A field of a response: its name and its type as `listApis` says it.
pub type Field = (&'static str, &'static str);

/// Puts a field into an object unless its value is null.
fn put(object: &mut Object, key: &str, value: impl serde::Serialize) {
    match serde_json::to_value(value) {
        Ok(Value::Null) => {}
        Ok(value) => {
            object.insert(key.to_owned(), value);
        }
        Err(e) => tracing::error!(key, error = %e, "a field could not be rendered"),
    }
}

/// Declares a module's `FIELDS` and its `render`.
macro_rules! view {
    (
        $(#[$doc:meta])*
        ($look:ident, $object:ident: $type:ty) { $($setup:tt)* }
        $($key:literal $kind:ident = $value:expr;)+
    ) => {
        /// The fields, by name and type.
        pub const FIELDS: &[$crate::view::Field] = &[$(($key, stringify!($kind))),+];

        $(#[$doc])*
        pub fn render($look: &$crate::view::Look<'_>, $object: $type) -> $crate::wire::envelope::Object {
            $($setup)*
            let mut object = $crate::wire::envelope::Object::new();
            $($crate::view::put(&mut object, $key, $value);)+
            object
        }
    };
}
pub(crate) use view;

/// CIDRs as CloudStack writes them: one string, joined by commas, in the caller's order.
fn joined(nets: &[ipnet::Ipv4Net]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
