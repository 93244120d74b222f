// SPDX-License-Identifier: Apache-2.0
//! A network without running guests gives its router back, in a whole cloud, and packets flow again with the next guest.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use outgate_testkit::TcpEcho;
use support::{INTERNET, Lab, PATIENCE, far, session, text, wait_until};

#[test]
fn an_unused_network_is_shut_down_and_its_guests_packets_flow_again() {
    let lab = Lab::up();
    let network = lab.network();
    let id = text(&network, "id").to_owned();
    let address = text(&lab.source_nat(), "ipaddress").to_owned();
    let router = text(&lab.router(), "id").to_owned();
    let _echo = TcpEcho::start(&lab.namespace("internet"), far(7301)).expect("an echo");
    session(&lab.namespace("guest1"), far(7301)).expect("packets flow before");
    for name in ["network.gc.wait", "network.gc.interval"] {
        lab.call("updateConfiguration", &[("name", name), ("value", "1")]);
    }
    for name in ["guest1", "guest2"] {
        lab.job("stopVirtualMachine", &[("id", text(&lab.guest(name), "id"))]);
    }
    wait_until(PATIENCE, "the network is shut down", || {
        text(&lab.network(), "state") == "Allocated"
    });
    assert!(lab.list("listRouters", &[("listall", "true")]).is_empty());
    assert!(
        !lab.try_exec(&router, &["true"]).status.success(),
        "its process is gone"
    );
    lab.job("startVirtualMachine", &[("id", text(&lab.guest("guest1"), "id"))]);
    session(&lab.namespace("guest1"), far(7301)).expect("packets flow again");
    let network = lab.one("listNetworks", &[("id", &id)]);
    assert_eq!(text(&network, "state"), "Implemented");
    assert_eq!(text(&lab.source_nat(), "ipaddress"), address);
    assert!(
        lab.exec("guest1", &["ping", "-c", "1", INTERNET])
            .contains("1 received")
    );
}
