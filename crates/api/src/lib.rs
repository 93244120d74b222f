// SPDX-License-Identifier: Apache-2.0
//! CloudStack's API on the wire.
pub mod wire;
