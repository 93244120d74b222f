// SPDX-License-Identifier: Apache-2.0
//! CloudStack's API on the wire: signing, parameters, responses, errors and the command table. It decides nothing:
//! lists are answered from the manager's view, changes are the manager's commands.
//!
//! A request passes [`wire::request`] (decode, bound), [`wire::signature`] (who is it), [`command`] (the table: which
//! parameters, what to call), and comes back through [`view`] (how objects look) and [`wire::envelope`].

mod auth;
pub mod catalog;
pub mod command;
mod dispatch;
mod exists;
mod guesses;
mod login;
mod measure;
pub mod server;
mod session;
pub mod throttle;
pub mod view;
pub mod wire;

pub use dispatch::{Api, Incoming};
pub use server::{ServerConfig, serve, serve_integration, serve_metrics};
