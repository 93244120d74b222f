// SPDX-License-Identifier: Apache-2.0
//! How full public addresses and session tables are, for how long that will do, and what to do about it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use outgate_host::{Host, HostError};
use outgate_model::id::RouterId;
use outgate_model::object::{AlertKind, Router};
use outgate_model::stats::{
    AddressUse, Census, GuestUse, PORTS, RouterStats, SessionPage, SessionQuery, Traffic,
};

use super::pool::{Pool, busiest, percent};
use super::samples::fullest;
use super::{census_from, driver};

use crate::alerts::{self, Warning};
use crate::command::Caller;
use crate::manager::{CommitError, Manager};
use crate::mirror::Stored;
use crate::reconcile::answer;
use crate::{CommandError, settings};

/// An alert goes away only when use has fallen so many percent below where it was raised.
const SLACK: u32 = 5;
/// The names of protocols by number.
const PROTOCOLS: [(u8, &str); 6] = [
    (1, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (47, "gre"),
    (50, "esp"),
    (132, "sctp"),
];

/// The name of a protocol, or its number.
pub fn protocol_name(number: u8) -> String {
    let known = PROTOCOLS.iter().find(|(n, _)| *n == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// The number of a protocol, by its name or number.
pub fn protocol_number(text: &str) -> Option<u8> {
    let known = PROTOCOLS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
    known.map(|(number, _)| *number).or_else(|| text.parse().ok())
}

/// How a public address is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressCapacity {
    /// The address, its sessions, ports by protocol and destination, and guests.
    pub used: AddressUse,
    /// What it has carried since the router started.
    pub traffic: Traffic,
    /// Ports in use towards the destination that has the most.
    pub fullest: u32,
    /// The same, as percentage of [`PORTS`].
    pub percent: u32,
    /// How many addresses guests may leave through in its place: those of its source NAT pool, itself among them. 1 for an
    /// address that is in no pool.
    pub pool: u32,
    /// The ports in use towards that destination on all of them, as percentage of what they have. What the router warns of:
    /// when one address has no port left, new sessions use the next.
    pub pool_percent: u32,
    /// In how many seconds the address's own run out, if it goes on as lately.
    pub lasts_secs: Option<u64>,
    /// In how many seconds those of its source NAT pool do: when its last address is full for that destination. The address's
    /// own where it is in none.
    pub pool_lasts_secs: Option<u64>,
    /// What to do about it, once it is above the threshold.
    pub remedy: Option<String>,
}

/// How a router is used.
#[derive(Debug, Clone)]
pub struct Capacity {
    /// The router.
    pub router: Stored<Router>,
    /// What it said, at most a second ago.
    pub stats: Arc<RouterStats>,
    /// In how many seconds its table is full, if it goes on as lately.
    pub table_lasts_secs: Option<u64>,
    /// Its public addresses.
    pub addresses: Vec<AddressCapacity>,
}

/// What is the matter with an address of a pool of so many, in one sentence, and what to do, in another. `None` when source
/// NAT does not use it.
pub fn ports_remedy(address: &AddressUse, pool: u32) -> Option<String> {
    let (protocol, destination) = busiest(address)?;
    let name = protocol_name(protocol.protocol);
    let heaviest = address.guests.first().map_or_else(
        String::new,
        |GuestUse {
             address, sessions, ..
         }| { format!("; guest {address} has {sessions} of its sessions") },
    );
    let others = match pool {
        0 | 1 => String::new(),
        _ => format!(", and the {pool} addresses of its source NAT pool together are nearly used up"),
    };
    Some(format!(
        "{} of the {PORTS} {name} ports of {} are in use towards {}:{}{others}{heaviest}. Add a source NAT address \
         (addSourceNatAddress), give the heaviest guest an address of its own (enableStaticNat), shorten the timeouts \
         (router.conntrack.*), or limit what the guest may reach (createEgressFirewallRule)",
        destination.ports, address.address, destination.address, destination.port
    ))
}

impl Manager {
    /// How a router and its addresses are used right now. `None` when it does not run.
    ///
    /// # Errors
    /// When there is no such router for the caller, or it does not answer.
    pub async fn capacity(&self, caller: &Caller, id: RouterId) -> Result<Option<Capacity>, CommandError> {
        let Some((router, host)) = self.running_router(caller, id)? else {
            return Ok(None);
        };
        let pool = Pool::of(&self.view(), &router);
        let stats = self.latest_look(id, host.as_ref(), &pool).await?;
        let threshold = self.threshold();
        let samples = self.inner.insight.samples();
        let pool_lasts = samples.pool_lasts(id, &pool);
        let census = stats.census.clone().unwrap_or_default();
        let of = |used: &AddressUse| {
            let fullest = fullest(used);
            let percent = percent(fullest, PORTS);
            let (count, pool_percent) = pool.used(&census, used);
            let lasts_secs = samples.ports_last(id, used.address);
            let of_pool = pool.holds(used.address);
            AddressCapacity {
                traffic: traffic_of(&stats, used.address),
                fullest,
                percent,
                lasts_secs,
                pool_lasts_secs: if of_pool { pool_lasts } else { lasts_secs },
                remedy: ports_remedy(used, count).filter(|_| pool_percent >= threshold),
                pool: count,
                pool_percent,
                used: used.clone(),
            }
        };
        let addresses = census.addresses.iter().map(of).collect();
        Ok(Some(Capacity {
            table_lasts_secs: samples.sessions_last(id, stats.table.limit),
            addresses,
            stats,
            router,
        }))
    }

    /// A look at the router's sessions that is fresh enough, or a new one.
    async fn latest_look(
        &self,
        id: RouterId,
        host: &dyn Host,
        pool: &Pool,
    ) -> Result<Arc<RouterStats>, CommandError> {
        let insight = &self.inner.insight;
        let turn = insight.looks.turn(id);
        let _held = turn.lock().await;
        if let Some(stats) = insight.looks.fresh(id) {
            return Ok(stats);
        }
        let stats = Arc::new(self.answered(host.router_stats(id, 0)).await?);
        insight.take_in(id, &stats, pool);
        Ok(stats)
    }

    /// Some of a router's sessions; none when it does not run.
    ///
    /// # Errors
    /// When there is no such router for the caller, or it does not answer.
    pub async fn router_sessions(
        &self,
        caller: &Caller,
        id: RouterId,
        query: &SessionQuery,
    ) -> Result<SessionPage, CommandError> {
        match self.running_router(caller, id)? {
            Some((_, host)) => self.answered(host.router_sessions(id, query)).await,
            None => Ok(SessionPage::default()),
        }
    }

    /// The router that parameter `routerid` names, with its host; `None` when it does not run.
    pub(super) fn running_router(
        &self,
        caller: &Caller,
        id: RouterId,
    ) -> Result<Option<super::Driven>, CommandError> {
        let found = driver(self, id).filter(|(router, _)| caller.may(&self.view(), router.account));
        let found = found.ok_or_else(|| CommandError::not_found("routerid", id))?;
        let runs = super::runs(&self.view(), &found.0);
        Ok(Some(found).filter(|_| runs))
    }

    pub(super) async fn answered<T>(
        &self,
        asked: impl Future<Output = Result<T, HostError>>,
    ) -> Result<T, CommandError> {
        answer(self, asked)
            .await
            .map_err(|error| CommandError::Unavailable {
                what: error.to_string(),
            })
    }

    fn threshold(&self) -> u32 {
        u32::try_from(self.view().setting(&settings::PORT_THRESHOLD)).unwrap_or(100)
    }
}

fn traffic_of(stats: &RouterStats, address: Ipv4Addr) -> Traffic {
    let found = stats.addresses.iter().find(|a| a.address == address);
    found.map(|a| a.traffic).unwrap_or_default()
}

/// What is watched, how full it is in percent, and what to say of it.
struct Watched {
    about: String,
    percent: u32,
    description: String,
}

fn watched(router: &Router, stats: &RouterStats, pool: &Pool) -> Vec<Watched> {
    let table = &stats.table;
    let sessions = Watched {
        about: super::about("sessions", router.id),
        percent: percent(table.sessions, table.limit),
        description: format!(
            "router {} holds {} of {} sessions. Raise router.conntrack.max, shorten the timeouts (router.conntrack.*), or \
             look for the guest that opens them (getSourceNatUsage)",
            router.name, table.sessions, table.limit
        ),
    };
    let of_census = |census: &Census| -> Vec<Watched> {
        let each = census.addresses.iter().map(|address| {
            let (count, percent) = pool.used(census, address);
            Watched {
                about: ports_of(router.id, address.address),
                percent,
                description: format!(
                    "router {}: {}",
                    router.name,
                    ports_remedy(address, count).unwrap_or_default()
                ),
            }
        });
        each.collect()
    };
    let ports = stats.census.iter().flat_map(of_census);
    ports.chain([sessions]).collect()
}

fn ports_of(router: RouterId, address: Ipv4Addr) -> String {
    super::about(format_args!("ports of {address}"), router)
}

/// Raises alerts for what is above the threshold, and puts those away that are over.
pub(super) async fn warn(manager: &Manager, read: &[super::Read]) -> Result<(), CommitError> {
    let threshold = manager.threshold();
    let few = census_from(&manager.view());
    manager
        .commit(|view, draft| {
            for (router, stats) in read {
                for Watched {
                    about,
                    percent,
                    description,
                } in watched(router, stats, &Pool::of(view, router))
                {
                    if percent >= threshold {
                        let warning = Warning {
                            kind: AlertKind::Ports,
                            about,
                            description,
                            zone: Some(router.zone),
                            pod: None,
                        };
                        alerts::raise(view, draft, &warning);
                    } else if percent.saturating_add(SLACK) < threshold {
                        alerts::over(view, draft, AlertKind::Ports, &about);
                    }
                }
                // Too few sessions to look at: no address can be near its end.
                if stats.census.is_none() && stats.table.sessions < few {
                    for ip in view.public_ips_of_realm(router.realm) {
                        alerts::over(view, draft, AlertKind::Ports, &ports_of(router.id, ip.address));
                    }
                }
            }
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use outgate_model::stats::{DestinationUse, ProtocolUse};

    fn used(ports: u32) -> AddressUse {
        let server = Ipv4Addr::new(198, 51, 100, 1);
        AddressUse {
            address: Ipv4Addr::new(203, 0, 113, 10),
            sessions: ports,
            protocols: vec![ProtocolUse {
                protocol: 17,
                sessions: ports,
                ports,
                busiest: vec![DestinationUse {
                    address: server,
                    port: 53,
                    ports,
                }],
            }],
            guests: vec![GuestUse {
                address: Ipv4Addr::new(10, 1, 1, 11),
                sessions: ports,
                ports,
                traffic: None,
            }],
        }
    }

    #[test]
    fn a_remedy_names_the_ports_the_destination_and_the_heaviest_guest() {
        let text = ports_remedy(&used(60_000), 1).unwrap();
        for word in [
            "60000",
            "64512",
            "udp",
            "203.0.113.10",
            "198.51.100.1:53",
            "10.1.1.11",
            "addSourceNatAddress",
        ] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert_eq!(
            ports_remedy(
                &AddressUse {
                    protocols: Vec::new(),
                    ..used(0)
                },
                1
            ),
            None
        );
    }

    #[test]
    fn protocols_have_names_and_numbers() {
        for (text, number) in [("TCP", Some(6)), ("17", Some(17)), ("256", None), ("x", None)] {
            assert_eq!(protocol_number(text), number, "{text}");
        }
        assert_eq!(
            (protocol_name(1), protocol_name(99)),
            ("icmp".to_owned(), "99".to_owned())
        );
    }
}
