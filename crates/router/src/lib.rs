// SPDX-License-Identifier: Apache-2.0
//! One virtual router: plan -> observe -> diff -> apply, heal, verify; its process and its socket protocol.

pub mod client;
pub mod cloud_log;
pub mod command;
pub mod contain;
pub mod engine;
pub mod error;
pub mod fast_path;
pub mod init;
pub mod insight;
pub mod nat_log;
pub mod process;
pub mod protocol;
pub mod services;
pub mod spec_file;
pub mod trace;
pub mod verify;

pub use client::RouterClient;
pub use engine::{Engine, Repair};
pub use error::RouterError;
pub use process::{ServeOptions, serve};
pub use services::control::statistics as load_balancer_statistics;
