// SPDX-License-Identifier: Apache-2.0
//! The words of Outgate as types: ids, addresses, rules, the objects that the store holds, and the
//! [`RouterSpec`], the one document that says what a virtual router must be.
//!
//! Pure: no I/O, no clock, no randomness except [`id`]'s `new`. Everything here serialises.

pub mod address;
pub mod error;
pub mod event;
pub mod guest_spec;
pub mod host;
pub mod id;
pub mod job;
pub mod key;
pub mod object;
pub mod protocol;
pub mod realm;
pub mod refusal;
pub mod router_spec;
mod router_spec_check;
pub mod stats;
pub mod trace;
pub mod usage;

pub use address::{Ipv4Range, MacAddr, PortRange};
pub use error::FieldError;
pub use guest_spec::GuestSpec;
pub use protocol::{IcmpMatch, Match, Protocol};
pub use realm::Realm;
pub use router_spec::RouterSpec;
