// SPDX-License-Identifier: Apache-2.0
//! CloudStack's wire format: requests in, replies out. Knows nothing of networks or rules.

pub mod date;
pub mod envelope;
pub mod error;
pub mod params;
pub mod request;
pub mod signature;
pub mod xml;
