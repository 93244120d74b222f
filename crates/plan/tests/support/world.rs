// SPDX-License-Identifier: Apache-2.0
//! A router between one segment of guests, a control side and an internet, in namespaces. Needs root.

use outgate_model::RouterSpec;
use outgate_plan::diff::nft_script;
use outgate_plan::{Ruleset, plan};
use outgate_testkit::{Namespace, Topology, TopologySpec};

/// A world in which every address that [`super::random::packets`] uses exists, and every neighbour is known beforehand.
pub async fn world() -> Topology {
    let nets = |all: &[&str]| all.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>();
    let spec = TopologySpec {
        guests: nets(&["10.1.1.5/24"]),
        internet: nets(&["198.51.100.7/24", "198.51.100.200/32", "192.0.2.9/24"]),
        ..TopologySpec::default()
    };
    let world = Topology::new(&spec).await.unwrap();
    let [guest_mac, control_mac, public_mac] = spec.macs.map(|m| m.to_string());
    for n in ["4", "6", "7", "8"] {
        run(&world.guests[0], &format!("ip addr add 10.1.1.{n}/24 dev eth0"));
    }
    run(
        &world.guests[0],
        &format!("ip neigh replace 10.1.1.1 lladdr {guest_mac} dev eth0"),
    );
    run(
        &world.internet,
        &format!("ip neigh replace 203.0.113.99 lladdr {public_mac} dev public"),
    );
    for to in [
        "10.1.1.0/24",
        "169.254.1.2/32",
        "203.0.113.10/32",
        "203.0.113.11/32",
        "203.0.113.12/32",
        "203.0.113.13/32",
    ] {
        run(
            &world.internet,
            &format!("ip route add {to} via 203.0.113.99 dev public"),
        );
    }
    run(
        &world.control,
        &format!("ip neigh replace 169.254.1.2 lladdr {control_mac} dev control"),
    );
    run(&world.control, "ip route add default via 169.254.1.2 dev control");
    for (interface, address) in [("eth0", "10.1.1.1/24"), ("eth1", "169.254.1.2/16")] {
        run(&world.router, &format!("ip addr add {address} dev {interface}"));
    }
    world
}

fn run(namespace: &Namespace, command: &str) -> String {
    namespace.check(&command.split(' ').collect::<Vec<_>>()).unwrap()
}

/// Makes the router what the spec says.
pub fn apply(world: &Topology, spec: &RouterSpec) {
    let plan = plan(spec);
    let router = &world.router;
    run(router, "ip addr flush dev eth2");
    for address in &plan.links["eth2"].addresses {
        run(router, &format!("ip addr add {address} dev eth2"));
    }
    for route in &plan.routes {
        run(router, &format!("ip route replace {route}"));
    }
    for (name, sysctl) in plan.sysctls.iter().filter(|(_, s)| s.required) {
        router.sysctl(name, &sysctl.value).unwrap();
    }
    let script = nft_script(&Ruleset::default(), &plan.ruleset).unwrap();
    router.check(&["nft", &script]).unwrap();
    run(router, "conntrack -F");
}
