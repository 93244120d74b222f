// SPDX-License-Identifier: Apache-2.0
//! What is known of the management server.

use super::{Audited, Deviation, Risk};

pub(super) fn deviations(seen: &Audited) -> Vec<Deviation> {
    let Some(server) = &seen.server else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(address) = server.listens.filter(|address| !address.ip().is_loopback()) {
        found.push(Deviation {
            id: "api-without-tls",
            risk: Risk::High,
            title: "the API is reached from other machines without TLS".to_owned(),
            evidence: vec![format!("outgate server listens on {address} and speaks HTTP")],
            command: format!(
                "outgate server --listen 127.0.0.1:{} behind a proxy that speaks TLS",
                address.port()
            ),
        });
    }
    if let Some(address) = server.integration {
        found.push(Deviation {
            id: "integration-port",
            risk: Risk::High,
            title: "calls to the integration port need no signature".to_owned(),
            evidence: vec![format!("outgate server --integration-listen {address}")],
            command: "outgate server without --integration-listen (OUTGATE_INTEGRATION_LISTEN)".to_owned(),
        });
    }
    if let Some(password) = &server.guessed_password {
        found.push(Deviation {
            id: "admin-default-password",
            risk: Risk::High,
            title: "the administrator has a password that everybody tries first".to_owned(),
            evidence: vec![format!("admin can log in with {password:?}")],
            command:
                "outgate api updateUser id=ADMIN currentpassword=... password=... (listUsers names the id)"
                    .to_owned(),
        });
    }
    if !server.old_keys.is_empty() {
        found.push(Deviation {
            id: "old-keys",
            risk: Risk::Low,
            title: "API keys may be older than a year".to_owned(),
            evidence: server
                .old_keys
                .iter()
                .map(|name| format!("user {name}"))
                .collect(),
            command: "outgate api registerUserKeys id=USER".to_owned(),
        });
    }
    found
}
