// SPDX-License-Identifier: Apache-2.0
//! A router spec that could not work is refused whole, and each refusal names its field.

use outgate_model::router_spec::{PublicAddress, RouterSpec, SpecError};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A sound spec: one network, three public addresses, one rule of each kind.
fn sound() -> Value {
    json!({
        "version": 1,
        "id": "11111111-1111-4111-8111-111111111111",
        "name": "r-1-VM",
        "generation": 7,
        "control": {"interface": "eth1", "mac": "02:00:00:00:00:01", "address": "169.254.10.20/16"},
        "public": {
            "interface": "eth2", "mac": "02:00:00:00:00:02", "mtu": 1500, "gateway": "203.0.113.1",
            "addresses": [
                {"address": "203.0.113.10/24", "source_nat": true, "static_nat": null,
                 "firewall": [{"id": "22222222-2222-4222-8222-222222222222",
                    "match": {"kind": "ports", "protocol": "tcp", "ports": [80, 80]}, "sources": ["0.0.0.0/0"]}],
                 "port_forwarding": [{"id": "33333333-3333-4333-8333-333333333333", "protocol": "tcp",
                    "public_ports": [80, 80], "guest": "10.1.1.5", "private_ports": [8080, 8080]}]},
                {"address": "203.0.113.11/24", "source_nat": false, "static_nat": "10.1.1.6",
                 "firewall": [], "port_forwarding": []}
            ]
        },
        "guest_networks": [{
            "id": "44444444-4444-4444-8444-444444444444", "interface": "eth0", "mac": "02:00:00:00:00:00",
            "mtu": 1500, "gateway": "10.1.1.1/24", "domain": "cs1cloud.internal", "upstream_dns": ["198.51.100.53"],
            "egress": {"default": "deny", "rules": [{"id": "55555555-5555-4555-8555-555555555555",
                "match": {"kind": "icmp", "icmp": {"kind": 8, "code": null}},
                "sources": ["10.1.1.0/24"], "destinations": ["0.0.0.0/0"]}]},
            "leases": {"02:00:00:00:01:05": {"address": "10.1.1.5", "hostname": "web"}}
        }],
        "conntrack": {"max": 262144, "tcp_established_secs": 7440, "udp_secs": 120, "udp_stream_secs": 300, "icmp_secs": 60},
        "limits": {"guest_sessions": 5000, "guest_rate": 200, "source_rate": 100, "ping_rate": 50},
        "fastpath_settings": {"hook": "tcx", "memory_mib": 64},
        "ssh": {"port": 3922, "authorized_keys": ["ssh-ed25519 AAAA root@lab"]},
        "nat_log": {"records_per_second": 20000, "file_mib": 64, "collector": "169.254.0.1:4739"}
    })
}

fn read(spec: &Value) -> Result<RouterSpec, SpecError> {
    RouterSpec::from_json(spec.to_string().as_bytes())
}

/// The field that a spec is refused for after `pointer` was set to `value`.
fn refused_field(pointer: &str, value: Value) -> String {
    let mut spec = sound();
    *spec
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("no {pointer}")) = value;
    match read(&spec) {
        Err(SpecError::Fields(problems)) => problems[0].field.clone(),
        Err(SpecError::Shape(error)) => format!("shape: {error}"),
        Ok(_) => "accepted".to_owned(),
    }
}

#[test]
fn a_sound_spec_is_read_and_written_back_unchanged() {
    let spec = read(&sound()).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), sound());
    assert_eq!(
        spec.source_nat_address().unwrap().address.to_string(),
        "203.0.113.10/24"
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn each_contradiction_is_refused_and_names_its_field() {
    let cases = [
        ("/version", json!(2), "version"),
        ("/name", json!("r 1; reboot"), "name"),
        ("/control/interface", json!("eth2"), "interface"),
        ("/control/interface", json!("../eth1"), "interface"),
        ("/control/address", json!("10.0.0.1/16"), "control.address"),
        ("/public/mtu", json!(20), "public.mtu"),
        ("/public/gateway", json!("192.0.2.1"), "public.gateway"),
        ("/public/addresses/0/source_nat", json!(false), "public.addresses"),
        ("/public/addresses/1/source_nat", json!(true), "public.addresses"),
        (
            "/public/addresses/1/address",
            json!("203.0.113.10/24"),
            "public.addresses[1].address",
        ),
        (
            "/public/addresses/1/address",
            json!("203.0.113.255/24"),
            "public.addresses[1].address",
        ),
        (
            "/public/addresses/1/static_nat",
            json!("10.9.9.9"),
            "public.addresses[1].static_nat",
        ),
        (
            "/public/addresses/0/static_nat",
            json!("10.1.1.7"),
            "public.addresses[0].static_nat",
        ),
        (
            "/public/addresses/0/firewall/0/sources",
            json!([]),
            "public.addresses[0].firewall[0].sources",
        ),
        (
            "/public/addresses/0/port_forwarding/0/guest",
            json!("10.2.0.5"),
            "public.addresses[0].port_forwarding[0].guest",
        ),
        (
            "/public/addresses/0/port_forwarding/0/private_ports",
            json!([80, 81]),
            "public.addresses[0].port_forwarding[0].private_ports",
        ),
        ("/guest_networks/0/mtu", json!(9000), "guest_networks[0].mtu"),
        (
            "/nat_log/records_per_second",
            json!(0),
            "nat_log.records_per_second",
        ),
        ("/nat_log/file_mib", json!(7), "nat_log.file_mib"),
        (
            "/fastpath_settings/memory_mib",
            json!(0),
            "fastpath_settings.memory_mib",
        ),
        (
            "/fastpath_settings/memory_mib",
            json!(1_025),
            "fastpath_settings.memory_mib",
        ),
        (
            "/nat_log/collector",
            json!("198.51.100.1:4739"),
            "nat_log.collector",
        ),
        (
            "/nat_log/collector",
            json!("169.254.10.20:4739"),
            "nat_log.collector",
        ),
        ("/nat_log/collector", json!("169.254.0.1:0"), "nat_log.collector"),
        (
            "/guest_networks/0/gateway",
            json!("10.1.1.0/24"),
            "guest_networks[0].gateway",
        ),
        (
            "/guest_networks/0/domain",
            json!("a b"),
            "guest_networks[0].domain",
        ),
        (
            "/guest_networks/0/leases/02:00:00:00:01:05/address",
            json!("10.1.1.1"),
            "guest_networks[0].leases[02:00:00:00:01:05].address",
        ),
        (
            "/guest_networks/0/leases/02:00:00:00:01:05/hostname",
            json!("a\nb"),
            "guest_networks[0].leases[02:00:00:00:01:05].hostname",
        ),
        ("/guest_networks", json!([]), "guest_networks"),
        ("/conntrack/max", json!(0), "conntrack.max"),
        (
            "/limits/guest_sessions",
            json!(16_777_217),
            "limits.guest_sessions",
        ),
        ("/limits/guest_rate", json!(0), "limits.guest_rate"),
        ("/limits/source_rate", json!(1_000_001), "limits.source_rate"),
        ("/limits/ping_rate", json!(0), "limits.ping_rate"),
        ("/ssh/port", json!(0), "ssh.port"),
        (
            "/ssh/authorized_keys",
            json!(["ssh-rsa AAAA\ncommand=evil"]),
            "ssh.authorized_keys[0]",
        ),
    ];
    for (pointer, value, field) in cases {
        assert_eq!(
            refused_field(pointer, value.clone()),
            field,
            "{pointer} = {value}"
        );
    }
}

#[test]
fn what_cannot_even_be_written_down_is_refused_by_its_shape() {
    for (pointer, value) in [
        (
            "/public/addresses/0/port_forwarding/0/public_ports",
            json!([90, 80]),
        ),
        (
            "/public/addresses/0/port_forwarding/0/public_ports",
            json!([0, 0]),
        ),
        (
            "/public/addresses/0/firewall/0/sources",
            json!(["203.0.113.300/33"]),
        ),
        ("/public/addresses/0/port_forwarding/0/protocol", json!("any")),
        ("/guest_networks/0/mac", json!("02:00")),
        ("/id", json!("not-an-id")),
    ] {
        assert!(
            refused_field(pointer, value.clone()).starts_with("shape: "),
            "{pointer} = {value}"
        );
    }
    let mut spec = sound();
    spec["surprise"] = json!(1);
    assert!(
        matches!(read(&spec), Err(SpecError::Shape(_))),
        "unknown fields are not half understood"
    );
}

#[test]
fn overlapping_forwards_of_one_protocol_are_refused_and_of_two_are_not() {
    let mut spec = sound();
    let forwards = spec
        .pointer_mut("/public/addresses/0/port_forwarding")
        .unwrap()
        .as_array_mut()
        .unwrap();
    let mut wide = forwards[0].clone();
    wide["public_ports"] = json!([79, 90]);
    wide["private_ports"] = json!([79, 90]);
    forwards.push(wide);
    assert!(matches!(read(&spec), Err(SpecError::Fields(_))));
    spec["public"]["addresses"][0]["port_forwarding"][1]["protocol"] = json!("udp");
    read(&spec).unwrap();
}

#[test]
fn all_problems_are_told_at_once() {
    let mut spec = sound();
    spec["public"]["mtu"] = json!(1);
    spec["conntrack"]["max"] = json!(1);
    spec["ssh"]["port"] = json!(0);
    let Err(SpecError::Fields(problems)) = read(&spec) else {
        panic!("accepted")
    };
    assert_eq!(
        problems.len(),
        4,
        "the guest MTU is above the public one as well: {problems:?}"
    );
}

proptest! {
    #[test]
    fn a_truncated_spec_is_never_read(cut in 0usize..1500) {
        let text = sound().to_string();
        prop_assume!(cut < text.len());
        prop_assert!(RouterSpec::from_json(&text.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(RouterSpec::from_json(&bytes).is_err());
    }

    /// The overlap check against the plain definition of overlap.
    #[test]
    fn a_set_of_forwards_is_accepted_exactly_when_no_two_overlap(ranges in proptest::collection::vec((1u16..60, 0u16..6), 1..12)) {
        let forwards: Vec<_> = ranges.iter().map(|(first, more)| json!({
            "id": "33333333-3333-4333-8333-333333333333", "protocol": "tcp", "guest": "10.1.1.5",
            "public_ports": [first, first + more], "private_ports": [first, first + more]})).collect();
        let overlap = ranges.iter().enumerate().any(|(i, a)| ranges[..i].iter().any(|b| a.0 <= b.0 + b.1 && b.0 <= a.0 + a.1));
        let mut spec = sound();
        spec["public"]["addresses"][0]["port_forwarding"] = json!(forwards);
        prop_assert_eq!(read(&spec).is_err(), overlap);
    }
}

#[test]
fn exactly_the_source_nat_address_is_the_source_nat_address() {
    let spec = read(&sound()).unwrap();
    let others: Vec<&PublicAddress> = spec.public.addresses.iter().filter(|a| !a.source_nat).collect();
    assert_eq!(others.len(), 1);
}

#[test]
fn a_pool_has_at_most_sixteen_addresses_and_its_default_is_not_an_additional_one() {
    let mut spec = read(&sound()).unwrap();
    spec.public.addresses[0].source_nat_pool = true;
    let problems = spec.validate().unwrap_err();
    assert_eq!(problems[0].field, "public.addresses[0].source_nat_pool");
    spec.public.addresses[0].source_nat_pool = false;
    for n in 100..115_u8 {
        spec.public.addresses.push(PublicAddress {
            address: format!("203.0.113.{n}/24").parse().unwrap(),
            source_nat: false,
            source_nat_pool: true,
            static_nat: None,
            firewall: Vec::new(),
            port_forwarding: Vec::new(),
            load_balancers: Vec::new(),
        });
    }
    assert_eq!(spec.validate(), Ok(()), "sixteen");
    let mut more = spec.clone();
    let mut last = more.public.addresses.last().unwrap().clone();
    last.address = "203.0.113.200/24".parse().unwrap();
    more.public.addresses.push(last);
    assert_eq!(more.validate().unwrap_err()[0].value, "17");
}
