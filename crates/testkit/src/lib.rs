// SPDX-License-Identifier: Apache-2.0
//! For tests: network namespaces without names, a small world (guests, a router, an internet), traffic through it, packets
//! that lie, and port scans. Everything ends with the value that stands for it.
//!
//! Needs to be root, of the machine or of a user namespace (`unshare -Ur cargo test`).

mod exposition;
mod http;
mod namespace;
mod packet;
mod poll;
mod scan;
mod stopwatch;
mod tcp;
mod topology;
mod udp;

pub use exposition::{Exposition, Sample};
pub use http::{HttpServer, http_get};
pub use namespace::{Namespace, connect};
pub use packet::{Packet, RawSender, Sniffer, ipv4_packet, send_packet, udp_packet};
pub use poll::{poll_until, wait_until};
pub use scan::{Scan, scan_tcp, scan_udp};
pub use stopwatch::Stopwatch;
pub use tcp::{TcpEcho, TcpProbe};
pub use topology::{Topology, TopologySpec};
pub use udp::{Loss, UdpEcho, UdpStream};
