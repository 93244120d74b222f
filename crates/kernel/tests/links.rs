// SPDX-License-Identifier: Apache-2.0
//! Interfaces, addresses and routes of real network namespaces. Needs to be root (of the machine or of a user
//! namespace), since only root may make namespaces.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::process::Command;

use outgate_kernel::link::{LinkChange, LinkError, Links, Route, Veth, VethEnd};
use outgate_kernel::namespace::{new_network, within};
use outgate_model::MacAddr;

const MAC: MacAddr = MacAddr([2, 0, 0x5e, 0, 0, 1]);

fn end(name: &str) -> VethEnd<'_> {
    VethEnd { name, mac: None }
}

#[tokio::test]
async fn a_veth_pair_is_made_complete_across_two_namespaces() {
    let (here, there) = (new_network().unwrap(), new_network().unwrap());
    let (near, far) = (
        Links::open_in(here.as_fd()).unwrap(),
        Links::open_in(there.as_fd()).unwrap(),
    );
    near.add_bridge("br", 1_400).await.unwrap();
    let master = near.get("br").await.unwrap().index;
    near.add_veth(&Veth {
        near: end("port"),
        master: Some(master),
        far: VethEnd {
            name: "eth0",
            mac: Some(MAC),
        },
        namespace: Some(there.as_fd()),
        mtu: 1_400,
    })
    .await
    .unwrap();
    let port = near.get("port").await.unwrap();
    assert_eq!(
        (port.master, port.mtu, port.up, port.kind.as_str()),
        (Some(master), 1_400, true, "veth")
    );
    let eth0 = far.get("eth0").await.unwrap();
    assert_eq!((eth0.mac, eth0.mtu, eth0.up), (Some(MAC), 1_400, false));
    near.delete("port").await.unwrap();
    assert!(far.find("eth0").await.unwrap().is_none());
}

#[tokio::test]
async fn a_missing_interface_is_named_by_the_error() {
    let namespace = new_network().unwrap();
    let links = Links::open_in(namespace.as_fd()).unwrap();
    let change = LinkChange {
        up: Some(true),
        mtu: Some(1_400),
        ..LinkChange::default()
    };
    let address = "10.1.1.1/24".parse().unwrap();
    for result in [
        links.change("eth2", &change).await,
        links.delete("eth2").await,
        links.add_address("eth2", address).await,
        links.remove_address("eth2", address).await,
        links.get("eth2").await.map(drop),
    ] {
        assert_eq!(result.unwrap_err().to_string(), "Interface eth2 not found");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_an_error_of_its_own() {
    let namespace = new_network().unwrap();
    let links = Links::open_in(namespace.as_fd()).unwrap();
    links.add_bridge("br", 1_500).await.unwrap();
    assert!(matches!(links.add_bridge("br", 1_500).await, Err(LinkError::Exists { name }) if name == "br"));
}

#[tokio::test]
async fn addresses_and_routes_are_read_back_as_they_were_set() {
    let namespace = new_network().unwrap();
    let links = Links::open_in(namespace.as_fd()).unwrap();
    links.set_up("lo").await.unwrap();
    links.add_bridge("br", 1_500).await.unwrap();
    links
        .change(
            "br",
            &LinkChange {
                alias: Some("a b".into()),
                ..LinkChange::default()
            },
        )
        .await
        .unwrap();
    let address = "203.0.113.10/24".parse().unwrap();
    for _ in 0..2 {
        links.add_address("br", address).await.unwrap();
    }
    let route = Route {
        to: "0.0.0.0/0".parse().unwrap(),
        via: Some("203.0.113.1".parse().unwrap()),
        interface: "br".into(),
        source: None,
        by_kernel: false,
    };
    for _ in 0..2 {
        links.add_route(&route).await.unwrap();
    }
    let all = links.list().await.unwrap();
    assert_eq!(all["br"].addresses, [address].into());
    assert_eq!(
        (all["br"].alias.as_str(), all["lo"].mac, all["lo"].up),
        ("a b", None, true)
    );
    let routes = links.routes(&all).await.unwrap();
    assert_eq!(
        routes.iter().filter(|r| !r.by_kernel).collect::<Vec<_>>(),
        [&route]
    );
    assert_eq!(routes.len(), 2);
    for _ in 0..2 {
        links.remove_route(&route).await.unwrap();
        links.remove_address("br", address).await.unwrap();
    }
    let all = links.list().await.unwrap();
    assert!(all["br"].addresses.is_empty());
    assert!(links.routes(&all).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_a_bridge_port_can_be_isolated() {
    let namespace = new_network().unwrap();
    let links = Links::open_in(namespace.as_fd()).unwrap();
    links.add_bridge("br", 1_500).await.unwrap();
    let master = Some(links.get("br").await.unwrap().index);
    let veth = Veth {
        near: end("port"),
        master,
        far: end("far"),
        namespace: None,
        mtu: 1_500,
    };
    links.add_veth(&veth).await.unwrap();
    links.isolate_port("port").await.unwrap();
    assert!(links.isolate_port("far").await.is_err());
    assert!(matches!(
        links.isolate_port("none").await,
        Err(LinkError::NotFound { .. })
    ));
}

/// `ip route add` names another origin than ours, and one route is on the link itself.
#[tokio::test]
async fn a_route_that_somebody_else_made_is_removed() {
    let namespace = new_network().unwrap();
    let links = Links::open_in(namespace.as_fd()).unwrap();
    links.add_bridge("br", 1_500).await.unwrap();
    links
        .add_address("br", "203.0.113.10/24".parse().unwrap())
        .await
        .unwrap();
    for to in ["192.0.2.0/24 via 203.0.113.1", "198.51.100.0/24 dev br"] {
        let made = within(namespace.as_fd(), || {
            let mut words = vec!["route", "add"];
            words.extend(to.split(' '));
            Command::new("ip").args(words).status().unwrap()
        });
        assert!(made.unwrap().success(), "{to}");
    }
    let all = links.list().await.unwrap();
    let foreign = |routes: BTreeSet<Route>| routes.into_iter().filter(|r| !r.by_kernel).collect::<Vec<_>>();
    let routes = foreign(links.routes(&all).await.unwrap());
    assert_eq!(routes.len(), 2);
    for route in routes {
        links.remove_route(&route).await.unwrap();
    }
    assert_eq!(foreign(links.routes(&all).await.unwrap()), []);
}
