// SPDX-License-Identifier: Apache-2.0
//! `service[]` of networks and network offerings: what the virtual router does for a network.

use std::collections::BTreeSet;

use outgate_model::object::{NetworkOffering, Service, VpcOffering};
use serde_json::{Value, json};

/// What load balancing can keep a client at one guest by, as CloudStack lists it.
const STICKINESS: &str = concat!(
    r#"[{"methodname":"LbCookie","paramlist":[{"paramname":"cookie-name","required":false,"isflag":false,"#,
    r#""description":" "},{"paramname":"mode","required":false,"isflag":false,"description":" "},"#,
    r#"{"paramname":"nocache","required":false,"isflag":true,"description":" "},"#,
    r#"{"paramname":"indirect","required":false,"isflag":true,"description":" "},"#,
    r#"{"paramname":"postonly","required":false,"isflag":true,"description":" "},"#,
    r#"{"paramname":"domain","required":false,"isflag":false,"description":" "}],"description":"by a cookie"},"#,
    r#"{"methodname":"AppCookie","paramlist":[{"paramname":"cookie-name","required":false,"isflag":false,"#,
    r#""description":" "},{"paramname":"length","required":false,"isflag":false,"description":" "},"#,
    r#"{"paramname":"holdtime","required":false,"isflag":false,"description":" "},"#,
    r#"{"paramname":"request-learn","required":false,"isflag":true,"description":" "},"#,
    r#"{"paramname":"prefix","required":false,"isflag":true,"description":" "},"#,
    r#"{"paramname":"mode","required":false,"isflag":false,"description":" "}],"#,
    r#""description":"by the application's cookie"},"#,
    r#"{"methodname":"SourceBased","paramlist":[{"paramname":"tablesize","required":false,"isflag":false,"#,
    r#""description":" "},{"paramname":"expire","required":false,"isflag":false,"description":" "}],"#,
    r#""description":"by the source address"}]"#
);

/// A service's capabilities.
fn capabilities(redundant: bool, service: Service) -> Vec<(&'static str, &'static str)> {
    let yes = |is: bool| if is { "true" } else { "false" };
    match service {
        Service::Dhcp => vec![("DhcpAccrossMultipleSubnets", "false")],
        Service::Dns => vec![("AllowDnsSuffixModification", "true")],
        Service::Firewall => vec![
            ("MultipleIps", "true"),
            ("SupportedProtocols", "tcp,udp,icmp,all"),
            ("SupportedEgressProtocols", "tcp,udp,icmp,all"),
            ("SupportedTrafficDirection", "ingress, egress"),
            ("TrafficStatistics", "per public ip"),
        ],
        Service::Lb => vec![
            ("SupportedLBAlgorithms", "roundrobin,leastconn,source"),
            ("SupportedLBIsolation", "dedicated"),
            ("SupportedProtocols", "tcp, udp, tcp-proxy"),
            ("LbSchemes", "Public"),
            ("SupportedStickinessMethods", STICKINESS),
        ],
        Service::NetworkAcl => vec![("SupportedProtocols", "tcp,udp,icmp,all")],
        Service::PortForwarding => vec![("SupportedProtocols", "tcp,udp")],
        Service::SourceNat => vec![
            ("SupportedSourceNatTypes", "peraccount"),
            ("RedundantRouter", yes(redundant)),
        ],
        Service::StaticNat => vec![("ElasticIp", "false")],
        Service::UserData | Service::Vpn => Vec::new(),
    }
}

/// The services of an offering with their capabilities and their provider.
pub fn render(offering: &NetworkOffering) -> Value {
    each(&offering.services, offering.redundant, offering.provider())
}

/// The services of a VPC offering.
pub fn render_of_vpc(offering: &VpcOffering) -> Value {
    each(&offering.services, false, "VpcVirtualRouter")
}

fn each(services: &BTreeSet<Service>, redundant: bool, provider: &str) -> Value {
    let each = services
        .iter()
        .map(|service| one(*service, redundant, &[provider]));
    each.collect()
}

fn one(service: Service, redundant: bool, providers: &[&str]) -> Value {
    let capabilities: Vec<Value> = capabilities(redundant, service)
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value, "canchooseservicecapability": false}))
        .collect();
    let providers: Vec<Value> = providers.iter().map(|name| json!({"name": name})).collect();
    json!({"name": service.name(), "capability": capabilities, "provider": providers})
}

/// Whether an offering has every one of the services that `wanted` names, joined by commas.
pub fn all_supported(offering: &NetworkOffering, wanted: &str) -> bool {
    all_in(&offering.services, wanted)
}

/// Whether every one of the services that `wanted` names, joined by commas, is among `services`.
pub fn all_in(services: &BTreeSet<Service>, wanted: &str) -> bool {
    let has = |name| Service::parse(name).is_some_and(|service| services.contains(&service));
    wanted.split(',').all(has)
}

/// A service that networks can have, with all that provide it, whatever offering.
pub fn supported(service: Service) -> Value {
    let of = |services: &BTreeSet<Service>| services.contains(&service);
    let listed = [Service::UserData, Service::Vpn].contains(&service);
    let providers = [
        ("VirtualRouter", of(&Service::of_isolated()) || listed),
        ("VpcVirtualRouter", of(&Service::of_tier()) || listed),
    ];
    let provides = providers.into_iter().filter(|(_, provides)| *provides);
    let names: Vec<&str> = provides.map(|(name, _)| name).collect();
    one(service, false, &names)
}
