// SPDX-License-Identifier: Apache-2.0
//! The doctor: gathers what a router, its guests and its host show, all side by side and within seconds, and has
//! [`outgate_doctor`] name the first broken link. Changes nothing.

pub(crate) mod gather;
pub mod trace;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outgate_doctor::evidence::{Books, Evidence, GuestSeen, Repaired};
use outgate_doctor::probe::{Flow, Kind};
use outgate_doctor::{Diagnosis, Link};
use outgate_host::Host;
use outgate_model::id::{GuestId, NetworkId, RouterId, VpcId};
use outgate_model::object::{Guest, Network, Power, Router, Vpc, Zone};
use outgate_model::{Realm, RouterSpec};
use outgate_plan::packet::{Header, Packet, Reason, State, Verdict, verdict};

use tokio::sync::SemaphorePermit;

use crate::command::Caller;
use crate::mirror::{Stored, View};
use crate::read::{GuestState, router_state_name};
use crate::spec::{Source, router_spec};
use crate::{CommandError, Manager};

/// So many diagnoses run at once; each starts some dozens of programs.
pub(crate) const AT_ONCE: usize = 4;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// So many guests of a network are looked at.
const GUESTS: usize = 4;
/// How far back repairs are looked for, in seconds.
const REPAIRS_SECS: i64 = 60;
/// So many of them.
const REPAIRS: usize = 200;
/// The newest events that are looked through for them.
const EVENTS: usize = 2_000;

/// Whom to examine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patient {
    /// An isolated network or a tier.
    Network(NetworkId),
    /// A VPC.
    Vpc(VpcId),
    /// A router.
    Router(RouterId),
    /// A guest, on its first network.
    Guest(GuestId),
}

/// What to send from a guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// To where; the zone's first resolver when left out.
    pub target: Option<Ipv4Addr>,
    /// What; a ping when left out.
    pub kind: Option<Kind>,
    /// To which port.
    pub port: u16,
}

/// What the doctor says, and of whom.
#[derive(Debug, Clone)]
pub struct Examined {
    /// What the router serves.
    pub realm: Realm,
    /// The name of the network or VPC.
    pub name: String,
    /// The router.
    pub router: Option<(RouterId, String)>,
    /// The guests that were looked at.
    pub guests: Vec<String>,
    /// What was sent, and from which guest.
    pub flow: Option<String>,
    /// The answer.
    pub diagnosis: Diagnosis,
    /// How long it took.
    pub took: Duration,
}

/// What is known before anybody looks.
struct Known {
    realm: Realm,
    name: String,
    router: Option<(RouterId, String)>,
    host: Option<outgate_model::id::HostId>,
    spec: Option<RouterSpec>,
    books: Books,
    guests: Vec<(GuestId, GuestSeen)>,
    target: Ipv4Addr,
}

impl Manager {
    /// Names what is wrong with a network's source NAT, the first broken link first.
    ///
    /// # Errors
    /// When there is no such thing for the caller, or too many diagnoses run at once.
    pub async fn diagnose(
        &self,
        caller: &Caller,
        patient: Patient,
        wanted: Wanted,
    ) -> Result<Examined, CommandError> {
        let _turn = self.diagnosis_turn().await?;
        let started = Instant::now();
        let known = known(&self.view(), &self.inner.config, caller, patient)?;
        let flow = known.spec.as_ref().and_then(|spec| flow(spec, &known, wanted));
        let mut evidence = Evidence {
            books: known.books,
            spec: known.spec,
            ..Evidence::default()
        };
        let ids: Vec<GuestId> = known.guests.iter().map(|(id, _)| *id).collect();
        evidence.guests = known.guests.into_iter().map(|(_, seen)| seen).collect();
        let driver = known.host.and_then(|id| self.host(id)).map(Arc::clone);
        if let (Some((router, _)), Some(driver)) = (&known.router, driver) {
            let driver: Arc<dyn Host> = driver;
            gather::all(&driver, *router, &ids, flow, &mut evidence).await;
        }
        if let Some((router, _)) = &known.router {
            // What was repaired while the doctor looked counts too.
            evidence.books.repairs = repairs(&self.view(), *router);
        }
        let sender = evidence
            .flow
            .as_ref()
            .and_then(|f| evidence.guests.get(f.guest).map(|g| (f, g)));
        let described = sender.map(|(seen, guest)| format!("{} from {}", seen.flow, guest.name));
        let mut diagnosis = outgate_doctor::diagnose(&evidence);
        if !caller.admin() {
            discreet(&mut diagnosis);
        }
        Ok(Examined {
            realm: known.realm,
            name: known.name,
            router: known.router,
            guests: evidence.guests.iter().map(|g| g.name.clone()).collect(),
            flow: described,
            diagnosis,
            took: started.elapsed(),
        })
    }

    /// Waits for a turn to start programs in a router.
    pub(crate) async fn diagnosis_turn(&self) -> Result<SemaphorePermit<'_>, CommandError> {
        let turn = tokio::time::timeout(TURN, self.inner.diagnoses.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let what = format!("{AT_ONCE} diagnoses are running; try again in a few seconds");
            CommandError::Unavailable { what }
        })
    }

    /// Has a guest ask for its address, gateway, DNS and MTU again.
    ///
    /// # Errors
    /// When there is no such guest for the caller, it does not run, or its host cannot do it.
    pub async fn renew_lease(&self, caller: &Caller, id: GuestId) -> Result<(), CommandError> {
        let host = {
            let view = self.view();
            let guest = view.get::<Guest>(id).filter(|g| g.power != Power::Gone);
            let guest = guest.filter(|guest| caller.may(&view, guest.account));
            guest.ok_or_else(|| CommandError::not_found("id", id))?.host
        };
        let unavailable = |what| CommandError::Unavailable { what };
        let driver = self
            .host(host)
            .ok_or_else(|| unavailable(format!("host {host} has no driver")))?;
        let renewed = driver.renew_lease(id).await;
        renewed.map_err(|error| unavailable(error.to_string()))
    }
}

/// The provider's own affairs are named to users, but not shown.
fn discreet(diagnosis: &mut Diagnosis) {
    diagnosis.not_available.clear();
    for finding in &mut diagnosis.findings {
        if matches!(finding.cause.link(), Link::Host | Link::Control) {
            "the provider's side".clone_into(&mut finding.place);
            finding.evidence.clear();
        }
        finding
            .evidence
            .retain(|text| !text.starts_with("a program in the router"));
    }
}

fn known(
    view: &View<'_>,
    config: &crate::ManagerConfig,
    caller: &Caller,
    patient: Patient,
) -> Result<Known, CommandError> {
    let (realm, asked) = realm_of(view, caller, patient)?;
    let standing = view.standing(realm);
    let standing = standing.ok_or_else(|| CommandError::not_found("networkid", realm))?;
    let router = view.router_of(realm).filter(|router| router.power != Power::Gone);
    let spec = router_spec(Source::stored(view), &config.router, realm)
        .ok()
        .flatten();
    let source_nat = view.source_nat_of(realm).map(|ip| ip.address);
    let zone = view.get::<Zone>(standing.zone);
    let dns = zone.and_then(|zone| zone.dns.first().copied());
    let gateway = spec.as_ref().map(|spec| spec.public.gateway);
    let observed = router.and_then(|router| view.router_observed(router.id));
    let books = Books {
        router: router.map(|router| router.name.clone()),
        state: router.map_or_else(String::new, |r| {
            router_state_name(view.router_state(r)).to_owned()
        }),
        wanted: router.is_some_and(|router| router.power == Power::On),
        generation: standing.generation,
        applied: observed.map_or(0, |seen| seen.generation),
        error: observed.and_then(|seen| seen.error.clone()),
        source_nat,
        repairs: Vec::new(),
    };
    Ok(Known {
        realm,
        name: standing.name.clone(),
        router: router.map(|router| (router.id, router.name.clone())),
        host: router.map(|router| router.host),
        guests: spec
            .as_ref()
            .map(|spec| guests(view, spec, realm, asked))
            .unwrap_or_default(),
        spec,
        books,
        target: dns.or(gateway).unwrap_or(Ipv4Addr::LOCALHOST),
    })
}

/// What the patient's router serves, and the guest that was asked for.
pub(crate) fn realm_of(
    view: &View<'_>,
    caller: &Caller,
    patient: Patient,
) -> Result<(Realm, Option<GuestId>), CommandError> {
    let absent = |param, id: uuid::Uuid| CommandError::not_found(param, id);
    match patient {
        Patient::Network(id) => {
            let network = view.get::<Network>(id).filter(|n| caller.may(view, n.account));
            network
                .map(|n| (n.realm(), None))
                .ok_or_else(|| absent("networkid", id.0))
        }
        Patient::Vpc(id) => {
            let vpc = view.get::<Vpc>(id).filter(|v| caller.may(view, v.account));
            vpc.map(|v| (Realm::Vpc(v.id), None))
                .ok_or_else(|| absent("vpcid", id.0))
        }
        Patient::Router(id) => {
            // Users see no routers.
            let sees = |r: &&Stored<Router>| {
                caller.role != outgate_model::object::RoleType::User && caller.may(view, r.account)
            };
            let router = view.get::<Router>(id).filter(sees);
            router
                .map(|r| (r.realm, None))
                .ok_or_else(|| absent("routerid", id.0))
        }
        Patient::Guest(id) => {
            let guest = view
                .get::<Guest>(id)
                .filter(|g| g.power != Power::Gone && caller.may(view, g.account));
            let guest = guest.ok_or_else(|| absent("virtualmachineid", id.0))?;
            let realm = view.realm_of_guest(guest);
            realm
                .map(|realm| (realm, Some(id)))
                .ok_or_else(|| absent("virtualmachineid", id.0))
        }
    }
}

/// The repairs of the last minute, the newest first.
fn repairs(view: &View<'_>, router: RouterId) -> Vec<Repaired> {
    let now = Timestamp::now();
    let ours =
        |resource: &Option<(String, uuid::Uuid)>| resource.as_ref().is_some_and(|(_, id)| *id == router.0);
    let late = view
        .events()
        .take(EVENTS)
        .take_while(|event| now.as_second() - event.created.as_second() <= REPAIRS_SECS);
    let repaired = late.filter(|event| ours(&event.resource)).filter_map(|event| {
        let text = match event.kind.as_str() {
            "ROUTER.DRIFT" => event.description.split_once("was repaired: ")?.1,
            "ROUTER.LOST" => event.description.as_str(),
            _ => return None,
        };
        let ago = now.as_millisecond() - event.created.as_millisecond();
        Some(Repaired {
            ago_millis: u64::try_from(ago).unwrap_or(0),
            text: text.to_owned(),
        })
    });
    repaired.take(REPAIRS).collect()
}

/// The guest that was asked for, or the first ones of the realm's networks, those that run first.
fn guests(
    view: &View<'_>,
    spec: &RouterSpec,
    realm: Realm,
    asked: Option<GuestId>,
) -> Vec<(GuestId, GuestSeen)> {
    let networks = view.networks_of_realm(realm);
    let mut all: Vec<(&Stored<Guest>, &Stored<Network>)> = networks
        .iter()
        .flat_map(|network| {
            view.guests_of_network(network.id)
                .map(move |guest| (guest, network))
        })
        .filter(|(guest, _)| asked.map_or(guest.power != Power::Gone, |id| guest.id == id))
        .collect();
    all.sort_by_key(|(guest, _)| (view.guest_state(guest) != GuestState::Running, guest.number));
    let seen = all.into_iter().filter_map(|(guest, network)| {
        let nic = guest.nics.iter().find(|nic| nic.network == network.id)?;
        let side = spec.guest_networks.iter().find(|n| n.id == network.id)?;
        let seen = GuestSeen {
            name: guest.name.clone(),
            id: guest.id.to_string(),
            asked: asked.is_some(),
            running: view.guest_state(guest) == GuestState::Running,
            mac: Some(nic.mac),
            interface: side.interface.clone(),
            ..GuestSeen::default()
        };
        Some((guest.id, seen))
    });
    seen.take(GUESTS).collect()
}

/// What to send: what was asked for, else the first of ping and a question by TCP that the rules let out. `None` when
/// the rules let out something else only.
fn flow(spec: &RouterSpec, known: &Known, wanted: Wanted) -> Option<Flow> {
    let target = wanted.target.unwrap_or(known.target);
    let asked = wanted.target.is_some() || wanted.kind.is_some();
    let flow = |kind, port| Flow {
        kind,
        target,
        port,
        asked,
    };
    if asked {
        return Some(flow(wanted.kind.unwrap_or_default(), wanted.port));
    }
    let (_, guest) = known.guests.iter().find(|(_, guest)| guest.running)?;
    let source = spec
        .guest_networks
        .iter()
        .find(|n| n.interface == guest.interface)?;
    let source = source.leases.get(&guest.mac?)?.address;
    let leaves = |header| leaves(spec, &guest.interface, source, target, header);
    if leaves(PING) {
        Some(flow(Kind::Ping, 0))
    } else if leaves(tcp(53)) {
        Some(flow(Kind::Tcp, 53))
    } else if leaves(tcp(443)) || leaves(tcp(80)) {
        None
    } else {
        Some(flow(Kind::Ping, 0))
    }
}

/// A ping.
pub(crate) const PING: Header = Header::Icmp { kind: 8, code: 0 };

/// A new session by TCP.
pub(crate) fn tcp(destination: u16) -> Header {
    Header::Tcp {
        source: 40_000,
        destination,
    }
}

/// Whether egress rules and network ACLs let a guest's packet out.
pub(crate) fn leaves(
    spec: &RouterSpec,
    interface: &str,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    header: Header,
) -> bool {
    let packet = Packet {
        interface: interface.to_owned(),
        source,
        destination,
        header,
        state: State::New,
    };
    let denied = Verdict::Drop { why: Reason::Egress };
    let acl = Verdict::Drop { why: Reason::Acl };
    ![denied, acl].contains(&verdict(spec, &packet))
}
