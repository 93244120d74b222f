// SPDX-License-Identifier: Apache-2.0
//! One virtual router: plan -> observe -> diff -> apply, heal, verify; its process and its socket protocol.

pub mod client;
pub mod cloud_log;
pub mod command;
pub mod error;
pub mod protocol;
pub mod spec_file;

pub use client::RouterClient;
pub use error::RouterError;
