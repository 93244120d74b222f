// SPDX-License-Identifier: Apache-2.0
//! Understands what programs print. Whatever cannot be understood is `None`: no evidence, never a wrong one.

pub mod arping;
pub mod dns;
pub mod files;
pub mod ip;
pub mod ping;
pub mod tcpdump;
pub mod vrrp;
