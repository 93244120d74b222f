// SPDX-License-Identifier: Apache-2.0
//! `service[]` of networks and network offerings: what the virtual router does for a network.

use serde_json::{Value, json};

/// The services by name, each with its capabilities.
const SERVICES: &[(&str, &[(&str, &str)])] = &[
    ("Dhcp", &[("DhcpAccrossMultipleSubnets", "false")]),
    ("Dns", &[("AllowDnsSuffixModification", "true")]),
    (
        "Firewall",
        &[
            ("MultipleIps", "true"),
            ("SupportedProtocols", "tcp,udp,icmp,all"),
            ("SupportedEgressProtocols", "tcp,udp,icmp,all"),
            ("SupportedTrafficDirection", "ingress, egress"),
        ],
    ),
    ("PortForwarding", &[("SupportedProtocols", "tcp,udp")]),
    (
        "SourceNat",
        &[
            ("SupportedSourceNatTypes", "peraccount"),
            ("RedundantRouter", "false"),
        ],
    ),
    ("StaticNat", &[("ElasticIp", "false")]),
];

/// The services with their capabilities and their provider.
pub fn render() -> Value {
    SERVICES
        .iter()
        .map(|(name, capabilities)| {
            let capabilities: Vec<Value> = capabilities
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value, "canchooseservicecapability": false}))
                .collect();
            json!({"name": name, "capability": capabilities, "provider": [{"name": "VirtualRouter"}]})
        })
        .collect()
}

/// Whether every one of these services is among them.
pub fn all_supported(wanted: &str) -> bool {
    wanted.split(',').all(|w| {
        SERVICES
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(w.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_services_are_matched_by_name_in_any_case() {
        assert!(all_supported("SourceNat,staticnat"));
        assert!(!all_supported("SourceNat,Lb"));
    }
}
