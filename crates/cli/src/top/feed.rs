// SPDX-License-Identifier: Apache-2.0
//! Asks the API what there is to show. Bounded: at most so many routers in one round, however many networks there are.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::reading::{Reading, Target};
use super::state::{Event, SessionRow};
use crate::client::{Client, EVERYTHING, ServerError, is_called};
use crate::exit::Usage;
use crate::near::instead;

/// At most so many routers are read in one round of the screen; the others have their turn in the next.
pub const ROUND_MAX: usize = 16;
/// How often it is looked what networks and alerts there are.
const SELDOM: Duration = Duration::from_secs(10);
/// Alerts of the last so many minutes are shown.
const ALERT_MINUTES: i64 = 15;
/// So many sessions are listed.
const SESSIONS: &str = "200";

/// Asks, round by round.
#[derive(Debug)]
pub struct Feed {
    client: Client,
    /// The one network, VPC or router to watch.
    wanted: Option<String>,
    /// How many routers a round reads.
    most: usize,
    targets: Vec<Target>,
    /// Whose turn it is.
    next: usize,
    /// When networks and alerts were looked for.
    looked: Option<Instant>,
}

impl Feed {
    /// Finds out what there is to watch: everything, or what has this name or id. Errors when there is no such thing, or
    /// the server does not answer.
    pub fn new(client: Client, wanted: Option<String>, most: usize) -> anyhow::Result<Self> {
        let mut feed = Self {
            client,
            wanted,
            most,
            targets: Vec::new(),
            next: 0,
            looked: None,
        };
        feed.find()?;
        Ok(feed)
    }

    /// One round: what was read, or why nothing could be.
    pub fn round(&mut self) -> Vec<Event> {
        self.read().unwrap_or_else(|error| {
            vec![Event::Lost {
                at: now(),
                // The first line: a screen has no room for a story.
                reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
            }]
        })
    }

    fn read(&mut self) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        if self.looked.is_none_or(|looked| looked.elapsed() >= SELDOM) {
            self.find()?;
            events.push(Event::Alerts(self.alerts()?));
        }
        let mut readings = Vec::new();
        for _ in 0..self.most.min(self.targets.len()) {
            self.next = (self.next + 1) % self.targets.len();
            if let Some(target) = self.targets.get(self.next) {
                readings.push(self.reading(target)?);
            }
        }
        events.push(Event::Read {
            at: now(),
            targets: self.targets.clone(),
            readings,
        });
        Ok(events)
    }

    /// What the server refuses is told of that router; an error is that it does not answer at all.
    fn reading(&self, target: &Target) -> anyhow::Result<Reading> {
        match self
            .client
            .list("getSourceNatUsage", &[(target.param, &target.id)])
        {
            Ok(items) => Ok(Reading::of(target, &items)),
            Err(error) => match error.downcast_ref::<ServerError>() {
                Some(refused) => Ok(Reading::silent(target, &refused.text)),
                None => Err(error),
            },
        }
    }

    /// Looks for networks and VPCs, or for the one thing that is wanted.
    fn find(&mut self) -> anyhow::Result<()> {
        let networks = self.client.list("listNetworks", EVERYTHING)?;
        let vpcs = self.optional("listVPCs", EVERYTHING)?;
        let kinds = [("networkid", networks), ("vpcid", vpcs)];
        let Some(wanted) = &self.wanted else {
            let all = kinds.iter().flat_map(|(param, found)| {
                let watched = found.iter().filter(|object| serves(param, object));
                watched.filter_map(|object| target(param, object))
            });
            self.targets = all.collect();
            self.looked = Some(Instant::now());
            return Ok(());
        };
        let routers = self.optional("listRouters", EVERYTHING)?;
        let kinds = kinds.into_iter().chain([("routerid", routers)]);
        let (mut names, mut found) = (Vec::new(), None);
        for (param, objects) in kinds {
            let called = objects.iter().find(|object| is_called(object, wanted));
            found = found.or_else(|| called.and_then(|object| target(param, object)));
            names.extend(
                objects
                    .iter()
                    .filter_map(|o| o["name"].as_str().map(str::to_owned)),
            );
        }
        let Some(found) = found else {
            let instead = instead(wanted, &names);
            return Err(Usage(format!("there is no network, VPC or router {wanted}{instead}")).into());
        };
        self.targets = vec![found];
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// What a server or an account does not have is nothing.
    fn optional(&self, command: &str, params: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
        match self.client.list(command, params) {
            Err(error) if error.downcast_ref::<ServerError>().is_some() => Ok(Vec::new()),
            found => found,
        }
    }

    fn alerts(&self) -> anyhow::Result<Vec<(String, String)>> {
        let found = self.optional("listAlerts", &[("page", "1"), ("pagesize", "50")])?;
        let since = Timestamp::now() - SignedDuration::from_mins(ALERT_MINUTES);
        let recent = found.iter().filter_map(|alert| {
            let sent = Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", alert["sent"].as_str()?).ok()?;
            let text = alert["description"].as_str()?.to_owned();
            (sent >= since).then_some((sent, text))
        });
        let mut recent: Vec<_> = recent.collect();
        recent.sort_by_key(|(sent, _)| std::cmp::Reverse(*sent));
        Ok(recent
            .into_iter()
            .map(|(sent, text)| (clock(sent), text))
            .collect())
    }

    /// The first sessions of a target. What the server refuses is no session.
    pub fn sessions(&self, target: &Target) -> Event {
        let params = [
            (target.param, target.id.as_str()),
            ("page", "1"),
            ("pagesize", SESSIONS),
        ];
        let answer = self.client.call("listRouterSessions", &params);
        let answer = answer.unwrap_or_default();
        let rows = answer["routersession"].as_array().map(Vec::as_slice);
        Event::Sessions {
            of: target.id.clone(),
            total: answer["count"].as_u64().unwrap_or(0),
            rows: rows.unwrap_or_default().iter().map(session).collect(),
        }
    }
}

/// Whether a network has a router of its own and is at work; a tier's is its VPC's.
fn serves(param: &str, object: &Value) -> bool {
    param == "vpcid" || (object["vpcid"].is_null() && object["state"] == "Implemented")
}

fn target(param: &'static str, object: &Value) -> Option<Target> {
    let id = object["id"].as_str()?.to_owned();
    let name = object["name"].as_str().unwrap_or(&id).to_owned();
    Some(Target { name, param, id })
}

fn session(session: &Value) -> SessionRow {
    let end = |address: &str, port: &str| match session[address].as_str() {
        Some(address) => format!("{address}:{}", session[port]),
        None => "-".to_owned(),
    };
    let word = |key: &str| session[key].as_str().unwrap_or("-").to_owned();
    SessionRow {
        words: [
            word("protocol"),
            end("insideipaddress", "insideport"),
            end("publicipaddress", "publicport"),
            end("destinationipaddress", "destinationport"),
            word("state"),
        ],
        numbers: ["age", "receivedbytes", "sentbytes"].map(|key| session[key].as_u64()),
    }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

fn now() -> String {
    clock(Timestamp::now())
}
