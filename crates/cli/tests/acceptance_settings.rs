// SPDX-License-Identifier: Apache-2.0
//! A zone's settings are in its running routers' kernels at once, and no session ends with a change.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use outgate_testkit::TcpEcho;
use support::{Lab, PATIENCE, far, lives, session, text, wait_until};

const TIMEOUT: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";

#[test]
fn a_zones_conntrack_settings_are_in_the_running_routers_kernel_at_once() {
    let lab = Lab::up();
    let router = text(&lab.router(), "name").to_owned();
    let zone = text(&lab.network(), "zoneid").to_owned();
    let kept = |seconds: &str| lab.exec(&router, &["cat", TIMEOUT]).trim() == seconds;
    assert!(kept("7440"));
    let echo = TcpEcho::start(&lab.namespace("internet"), far(7101)).expect("an echo");
    let mut open = session(&lab.namespace("guest1"), far(7101)).expect("a session");
    let name = "router.conntrack.tcp.timeout.established";
    let change = [("name", name), ("value", "1234"), ("zoneid", zone.as_str())];
    lab.call("updateConfiguration", &change);
    wait_until(PATIENCE, "the router keeps idle sessions for 1234 s", || {
        kept("1234")
    });
    assert!(lives(&mut open), "the session lives on");
    lab.call("resetConfiguration", &change);
    wait_until(PATIENCE, "the router keeps idle sessions as before", || {
        kept("7440")
    });
    drop(echo);
}
