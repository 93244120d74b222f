// SPDX-License-Identifier: Apache-2.0
//! Pure: what to look at when a network's source NAT fails, how to read it, and which link is broken.
//!
//! The reference text's seven steps and troubleshooting matrix as a function: [`diagnose`] takes [`Evidence`] and names
//! the causes, the first broken link first. [`probe`] says which programs to run where; [`read`] understands what they
//! print. Nothing here reads a clock, a file or the kernel: whoever gathers evidence does.

pub mod audit;
mod check;
pub mod evidence;
pub mod finding;
pub mod probe;
pub mod read;

pub use check::diagnose;
pub use evidence::Evidence;
pub use finding::{Cause, Diagnosis, Finding, Fix, Link, LinkState};
