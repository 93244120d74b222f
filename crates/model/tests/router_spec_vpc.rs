// SPDX-License-Identifier: Apache-2.0
//! A VPC router's spec that could not work is refused whole, and each refusal names its field.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use outgate_model::router_spec::{RouterSpec, SpecError};
use serde_json::{Value, json};

fn acl() -> Value {
    let item = |number: u16, direction: &str| {
        json!({"id": "99999999-9999-4999-8999-999999999999", "number": number, "direction": direction,
            "action": "allow", "match": {"kind": "all"}, "cidrs": ["0.0.0.0/0"]})
    };
    json!({"id": "88888888-8888-4888-8888-888888888888", "items": [item(10, "ingress"), item(20, "egress")]})
}

fn tier(interface: &str, gateway: &str) -> Value {
    json!({"id": "44444444-4444-4444-8444-444444444444", "interface": interface, "mac": "02:00:00:00:00:10",
        "mtu": 1500, "gateway": gateway, "domain": "vpc.internal", "upstream_dns": [],
        "egress": {"default": "allow", "rules": []}, "acl": acl(), "leases": {}})
}

/// Two tiers, a private gateway, a static route through it.
fn sound() -> Value {
    json!({
        "version": 1,
        "id": "11111111-1111-4111-8111-111111111111",
        "name": "r-2-VM",
        "generation": 7,
        "control": {"interface": "eth0", "mac": "02:00:00:00:00:01", "address": "169.254.10.20/16"},
        "public": {
            "interface": "eth1", "mac": "02:00:00:00:00:02", "mtu": 1500, "gateway": "203.0.113.1",
            "addresses": [
                {"address": "203.0.113.10/24", "source_nat": true, "static_nat": null, "firewall": [],
                 "port_forwarding": []},
                {"address": "203.0.113.11/24", "source_nat": false, "static_nat": "10.0.2.6", "firewall": [],
                 "port_forwarding": []}
            ]
        },
        "guest_networks": [tier("eth2", "10.0.1.1/24"), tier("eth3", "10.0.2.1/24")],
        "vpc": {
            "cidr": "10.0.0.0/16",
            "private_gateways": [{"id": "66666666-6666-4666-8666-666666666666",
                "physical_network": "77777777-7777-4777-8777-777777777777", "vlan": 100, "interface": "eth4",
                "mac": "02:00:00:00:00:14", "mtu": 1500, "address": "192.168.7.2/24", "gateway": "192.168.7.1",
                "source_nat": true, "acl": acl()}],
            "static_routes": [{"id": "55555555-5555-4555-8555-555555555555", "to": "172.16.0.0/12",
                "via": "192.168.7.1"}]
        },
        "conntrack": {"max": 262144, "tcp_established_secs": 7440, "udp_secs": 120, "udp_stream_secs": 300, "icmp_secs": 60},
        "ssh": {"port": 3922, "authorized_keys": []}
    })
}

fn problems(spec: &Value) -> Vec<String> {
    match RouterSpec::from_json(spec.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(SpecError::Fields(problems)) => problems.into_iter().map(|p| p.field).collect(),
        Err(SpecError::Shape(error)) => vec![format!("shape: {error}")],
    }
}

fn refused_fields(pointer: &str, value: Value) -> Vec<String> {
    let mut spec = sound();
    *spec
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("no {pointer}")) = value;
    problems(&spec)
}

#[test]
fn a_sound_vpc_is_read_and_written_back_unchanged() {
    let spec = RouterSpec::from_json(sound().to_string().as_bytes()).unwrap();
    assert_eq!(spec.private_gateways().len() + spec.static_routes().len(), 2);
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(
        RouterSpec::from_json(written.to_string().as_bytes()).unwrap(),
        spec
    );
}

#[test]
fn a_vpc_may_have_no_tier_and_an_isolated_network_no_acl() {
    let mut spec = sound();
    spec["guest_networks"] = json!([]);
    spec["public"]["addresses"][1]["static_nat"] = Value::Null;
    assert_eq!(problems(&spec), Vec::<String>::new());
    let mut isolated = sound();
    isolated.as_object_mut().unwrap().remove("vpc");
    assert_eq!(
        problems(&isolated),
        ["guest_networks", "guest_networks[0].acl", "guest_networks[1].acl"]
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn each_contradiction_in_a_vpc_is_refused_and_names_its_field() {
    let tier = "/guest_networks/1";
    let gateway = "/vpc/private_gateways/0";
    let route = "/vpc/static_routes/0";
    let cases = [
        (format!("{tier}/acl"), Value::Null, "guest_networks[1].acl"),
        (format!("{tier}/interface"), json!("eth2"), "interface"),
        (format!("{tier}/interface"), json!("eth255"), "interface"),
        (format!("{tier}/interface"), json!("eth03"), "interface"),
        (format!("{gateway}/interface"), json!("eth3"), "interface"),
        (
            format!("{tier}/gateway"),
            json!("10.9.2.1/24"),
            "guest_networks[1].gateway",
        ),
        (
            format!("{tier}/gateway"),
            json!("10.0.1.129/25"),
            "guest_networks[1].gateway",
        ),
        (
            format!("{tier}/egress/default"),
            json!("deny"),
            "guest_networks[1].egress",
        ),
        (
            format!("{tier}/acl/items/1/number"),
            json!(10),
            "guest_networks[1].acl.items[1].number",
        ),
        (
            format!("{tier}/acl/items/0/number"),
            json!(0),
            "guest_networks[1].acl.items[0].number",
        ),
        (
            format!("{tier}/acl/items/0/cidrs"),
            json!([]),
            "guest_networks[1].acl.items[0].cidrs",
        ),
        ("/vpc/cidr".to_owned(), json!("203.0.0.0/8"), "vpc.cidr"),
        (
            format!("{gateway}/vlan"),
            json!(4095),
            "vpc.private_gateways[0].vlan",
        ),
        (
            format!("{gateway}/address"),
            json!("10.0.1.200/25"),
            "vpc.private_gateways[0].address",
        ),
        (
            format!("{gateway}/address"),
            json!("203.0.113.200/25"),
            "vpc.private_gateways[0].address",
        ),
        (
            format!("{gateway}/gateway"),
            json!("192.168.8.1"),
            "vpc.private_gateways[0].gateway",
        ),
        (
            format!("{gateway}/gateway"),
            json!("192.168.7.2"),
            "vpc.private_gateways[0].gateway",
        ),
        (
            format!("{gateway}/acl/items/1/number"),
            json!(1),
            "vpc.private_gateways[0].acl.items[1].number",
        ),
        (
            format!("{route}/to"),
            json!("10.0.200.0/24"),
            "vpc.static_routes[0].to",
        ),
        (
            format!("{route}/to"),
            json!("0.0.0.0/0"),
            "vpc.static_routes[0].to",
        ),
        (
            format!("{route}/to"),
            json!("192.168.7.128/25"),
            "vpc.static_routes[0].to",
        ),
        (
            format!("{route}/via"),
            json!("172.16.0.1"),
            "vpc.static_routes[0].via",
        ),
        (
            format!("{route}/via"),
            json!("192.168.7.2"),
            "vpc.static_routes[0].via",
        ),
    ];
    for (pointer, value, field) in cases {
        let fields = refused_fields(&pointer, value.clone());
        assert!(
            fields.iter().any(|f| f == field),
            "{pointer} = {value}: {fields:?}"
        );
    }
}

#[test]
fn a_vpcs_public_address_has_no_firewall_rule() {
    let rule = json!([{"id": "22222222-2222-4222-8222-222222222222", "match": {"kind": "all"},
        "sources": ["0.0.0.0/0"]}]);
    assert_eq!(
        refused_fields("/public/addresses/0/firewall", rule),
        ["public.addresses[0].firewall"]
    );
}

#[test]
fn two_static_routes_to_one_destination_are_refused() {
    let mut spec = sound();
    let twin = spec["vpc"]["static_routes"][0].clone();
    spec["vpc"]["static_routes"].as_array_mut().unwrap().push(twin);
    assert_eq!(problems(&spec), ["vpc.static_routes[1].to"]);
}
