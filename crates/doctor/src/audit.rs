// SPDX-License-Identifier: Apache-2.0
//! How a network deviates from the hardened profile, each deviation with its risk, what shows it, and the command that
//! closes it.

mod open;
mod router;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::EgressPolicy;
use outgate_model::{Match, Realm};
use serde::Serialize;

/// How much a deviation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// An attacker gains by it right away.
    High,
    /// It makes an attack worse, or hides it.
    Medium,
    /// Worth a look.
    Low,
}

/// A way in which something differs from the hardened profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// Its name for programs: `egress-default-allow`.
    pub id: &'static str,
    /// How much it matters.
    pub risk: Risk,
    /// What it is, in a few words.
    pub title: String,
    /// What was seen.
    pub evidence: Vec<String>,
    /// What closes it, as one would type it.
    pub command: String,
}

/// What the audit looks at. What could not be found out is `None`, and named.
#[derive(Debug, Clone, Default)]
pub struct Audited {
    /// What the router should be; `None` while there is no router.
    pub spec: Option<RouterSpec>,
    /// The network or VPC.
    pub realm: Option<Realm>,
    /// Kernel parameters of the router by path.
    pub parameters: Option<BTreeMap<String, String>>,
    /// Every rule in the router's kernel, as nft lists them.
    pub listing: Option<String>,
    /// Who listens in the router, as `ss -Hlntup` says.
    pub sockets: Option<String>,
    /// What the router's sshd said to somebody without a key.
    pub login: Option<String>,
    /// The server, for those who may know.
    pub server: Option<ServerSeen>,
}

/// What is known of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSeen {
    /// Where the API listens, which speaks HTTP only; `None` when it is not known.
    pub listens: Option<SocketAddr>,
    /// Where calls need no signature.
    pub integration: Option<SocketAddr>,
    /// A password that everybody would try first, if it is the administrator's.
    pub guessed_password: Option<String>,
    /// Users with keys that are older than a year, by name.
    pub old_keys: Vec<String>,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// The deviations, the gravest first.
    pub deviations: Vec<Deviation>,
    /// What could not be looked at.
    pub not_available: Vec<&'static str>,
}

/// Every deviation from the hardened profile.
pub fn audit(seen: &Audited) -> Audit {
    let mut audit = Audit::default();
    let Some(spec) = &seen.spec else {
        audit
            .not_available
            .push("the router: the network has none, or it does not run");
        audit.deviations.extend(server::deviations(seen));
        return audit;
    };
    let target = Target::of(seen.realm);
    audit.deviations.extend(egress(spec, &target));
    audit.deviations.extend(open::deviations(spec));
    audit.deviations.extend(limits(spec, &target));
    audit.deviations.extend(router::deviations(spec, seen, &target));
    audit.deviations.extend(server::deviations(seen));
    audit.not_available.extend(router::unseen(seen));
    audit.deviations.sort_by_key(|deviation| deviation.risk);
    audit
}

/// How the network or VPC is named in commands.
struct Target {
    /// `networkid=...` or `vpcid=...`.
    scope: String,
    /// The command that replaces its router by a fresh one.
    restart: String,
    /// The id.
    id: String,
}

impl Target {
    fn of(realm: Option<Realm>) -> Self {
        let (key, command, id) = match realm {
            Some(Realm::Network(id)) => ("networkid", "restartNetwork", id.to_string()),
            Some(Realm::Vpc(id)) => ("vpcid", "restartVPC", id.to_string()),
            None => ("networkid", "restartNetwork", "NETWORK".to_owned()),
        };
        Self {
            scope: format!("{key}={id}"),
            restart: format!("outgate api {command} id={id} cleanup=true"),
            id,
        }
    }

    fn set(&self, setting: &str, value: impl std::fmt::Display) -> String {
        format!(
            "outgate api updateConfiguration name={setting} value={value} {}",
            self.scope
        )
    }
}

/// What may leave. In a VPC the tiers' ACLs decide: with no item for what leaves, everything does.
fn egress(spec: &RouterSpec, target: &Target) -> Vec<Deviation> {
    let mut found = Vec::new();
    for network in &spec.guest_networks {
        if network.acl.is_some() {
            found.extend(open::tier_egress(spec, network));
            continue;
        }
        if network.egress.default == EgressPolicy::Allow {
            found.push(Deviation {
                id: "egress-default-allow",
                risk: Risk::High,
                title: "everything may leave that no rule denies".to_owned(),
                evidence: vec![format!("the egress default of network {} is allow", network.id)],
                command: format!("outgate api hardenNetwork id={}", target.id),
            });
            continue;
        }
        let wide = |rule: &&outgate_model::router_spec::EgressRule| {
            rule.matches == Match::All && rule.destinations.iter().any(|net| net.prefix_len() == 0)
        };
        found.extend(network.egress.rules.iter().filter(wide).map(|rule| Deviation {
            id: "egress-rule-any",
            risk: Risk::High,
            title: "an egress rule lets every protocol out to everywhere".to_owned(),
            evidence: vec![format!("egress rule {}: all protocols to 0.0.0.0/0", rule.id)],
            command: format!("outgate api deleteEgressFirewallRule id={}", rule.id),
        }));
    }
    found
}

/// Limits and records that are off.
fn limits(spec: &RouterSpec, target: &Target) -> Vec<Deviation> {
    let mut found = Vec::new();
    let mut off = |id, risk, title: &str, setting: &str, value: &str| {
        found.push(Deviation {
            id,
            risk,
            title: title.to_owned(),
            evidence: vec![format!("{setting} is not set")],
            command: target.set(setting, value),
        });
    };
    if spec.limits.guest_sessions.is_none() {
        let title = "one guest may hold every session that the router and its public addresses have";
        off(
            "no-guest-session-limit",
            Risk::Medium,
            title,
            "router.guest.sessions.max",
            "5000",
        );
    }
    if spec.limits.guest_rate.is_none() {
        let title = "one guest may open sessions as fast as it can";
        off(
            "no-guest-rate-limit",
            Risk::Medium,
            title,
            "router.guest.sessions.rate",
            "200",
        );
    }
    if spec.limits.source_rate.is_none() && open::lets_in(spec) {
        let title = "one address outside may open sessions to what is open as fast as it can";
        off(
            "no-source-rate-limit",
            Risk::Medium,
            title,
            "router.source.sessions.rate",
            "100",
        );
    }
    if spec.limits.ping_rate.is_none() && open::answers_pings(spec) {
        let title = "the router answers pings from outside as fast as they come";
        off("no-ping-limit", Risk::Low, title, "router.public.ping.rate", "50");
    }
    if spec.nat_log.is_none() {
        let title = "nobody can tell later which guest had a public address and port";
        off(
            "nat-log-off",
            Risk::Medium,
            title,
            "router.natlog.enabled",
            "true",
        );
    }
    found
}
