// SPDX-License-Identifier: Apache-2.0
//! What the mirror holds: one table for each kind of object, and the indexes over them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::event::Event;
use outgate_model::id::{EventId, GuestId, JobId, NetworkId, RouterId};
use outgate_model::job::{Goal, Job, JobState};
use outgate_model::key::{self, Object};
use outgate_model::object::{
    Account, Alert, Cluster, Domain, FirewallRule, Guest, GuestObserved, Host, Network, NetworkOffering,
    PhysicalNetwork, Pod, PortForwardingRule, Project, PublicIp, PublicIpRange, Role, Router, RouterHealth,
    RouterObserved, ServiceOffering, ServiceProvider, Setting, TagSet, Template, TrafficType, User, Zone,
};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};
use outgate_model::object::{NetworkAclItem, NetworkAclList, PrivateGateway, StaticRoute, Vpc, VpcOffering};
use outgate_store::{Change, Entry, Revision};

use super::index::Indexes;

/// An object as the store holds it.
#[derive(Debug)]
pub struct Stored<O> {
    /// The object.
    pub object: Arc<O>,
    /// The revision that wrote it last.
    pub modified: Revision,
}

impl<O> Clone for Stored<O> {
    fn clone(&self) -> Self {
        Self {
            object: Arc::clone(&self.object),
            modified: self.modified,
        }
    }
}

impl<O> Deref for Stored<O> {
    type Target = O;
    fn deref(&self) -> &O {
        &self.object
    }
}

/// Objects of one kind, by id.
pub type Table<O> = BTreeMap<<O as Object>::Id, Stored<O>>;

/// A value in the store that this build cannot read. It is reported and never taken for an absent one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store's {key} cannot be read: {reason}")]
pub struct Unreadable {
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// Which realms a change is about.
#[derive(Debug, Clone, Default)]
pub struct Affected {
    /// These.
    pub realms: BTreeSet<Realm>,
    /// Every realm there is.
    pub all: bool,
}

impl Affected {
    /// Whether it is about no realm.
    pub fn is_empty(&self) -> bool {
        !self.all && self.realms.is_empty()
    }

    /// Adds what `other` is about.
    pub fn merge(&mut self, other: &Self) {
        self.all |= other.all;
        self.realms.extend(&other.realms);
    }
}

/// What an object says of the realms whose routers or guests depend on it.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Mentions {
    /// These.
    pub realms: Vec<Realm>,
    /// Those of these networks.
    pub networks: Vec<NetworkId>,
    /// Every realm there is.
    pub all: bool,
}

/// An object kind that the mirror keeps.
pub trait Row: Object {
    /// Its table.
    #[doc(hidden)]
    fn table(tables: &Tables) -> &Table<Self>;
    /// Its table, to write.
    #[doc(hidden)]
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
    /// Enters it into (`add`) or takes it out of the indexes.
    #[doc(hidden)]
    fn index(&self, indexes: &mut Indexes, add: bool);
    /// Notes the realms whose routers or guests depend on it.
    #[doc(hidden)]
    fn affects(&self, affected: &mut Mentions);
}

macro_rules! tables {
    ($($field:ident: $type:ty => |$o:ident, $affected:ident| $affects:block;)+) => {
        /// A table for each kind.
        #[doc(hidden)]
        #[derive(Debug, Default)]
        pub struct Tables {
            $($field: Table<$type>,)+
        }

        $(impl Row for $type {
            fn table(tables: &Tables) -> &Table<Self> {
                &tables.$field
            }
            fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
                &mut tables.$field
            }
            fn index(&self, indexes: &mut Indexes, add: bool) {
                indexes.$field(self, add);
            }
            fn affects(&self, $affected: &mut Mentions) {
                let $o = self;
                $affects
            }
        })+

        impl State {
            fn put_object(&mut self, kind: &str, entry: &Entry, affected: &mut Affected) -> Result<(), Unreadable> {
                match kind {
                    $(<$type as Object>::KIND => self.put_row::<$type>(entry, affected),)+
                    _ => { tracing::debug!(key = entry.key, "a kind of object that this build does not know"); Ok(()) }
                }
            }

            fn delete_object(&mut self, kind: &str, id: &str, affected: &mut Affected) {
                match kind {
                    $(<$type as Object>::KIND => self.delete_row::<$type>(id, affected),)+
                    _ => {}
                }
            }
        }
    };
}

tables! {
    domains: Domain => |_o, _affected| {};
    accounts: Account => |_o, _affected| {};
    users: User => |_o, _affected| {};
    roles: Role => |_o, _affected| {};
    projects: Project => |_o, _affected| {};
    zones: Zone => |_o, affected| { affected.all = true; };
    physical_networks: PhysicalNetwork => |_o, _affected| {};
    ranges: PublicIpRange => |_o, affected| { affected.all = true; };
    hosts: Host => |_o, _affected| {};
    network_offerings: NetworkOffering => |_o, affected| { affected.all = true; };
    service_offerings: ServiceOffering => |_o, _affected| {};
    templates: Template => |_o, _affected| {};
    networks: Network => |o, affected| { affected.realms.push(o.realm()); };
    public_ips: PublicIp => |o, affected| {
        affected.networks.extend(o.network);
        affected.realms.extend(o.vpc.map(Realm::Vpc));
    };
    firewall_rules: FirewallRule => |o, affected| { affected.networks.push(o.network); };
    forwards: PortForwardingRule => |o, affected| { affected.networks.push(o.network); };
    balancers: LoadBalancerRule => |o, affected| { affected.networks.push(o.network); };
    ip_forwards: IpForwardingRule => |o, affected| { affected.networks.push(o.network); };
    guests: Guest => |o, affected| { affected.networks.extend(o.nics.iter().map(|n| n.network)); };
    pods: Pod => |_o, _affected| {};
    clusters: Cluster => |_o, _affected| {};
    traffic_types: TrafficType => |_o, _affected| {};
    service_providers: ServiceProvider => |_o, _affected| {};
    settings: Setting => |o, affected| { affected.all |= crate::settings::is_of_routers(&o.name); };
    alerts: Alert => |_o, _affected| {};
    tag_sets: TagSet => |_o, _affected| {};
    routers: Router => |o, affected| { affected.realms.push(o.realm); };
    vpcs: Vpc => |o, affected| { affected.realms.push(Realm::Vpc(o.id)); };
    vpc_offerings: VpcOffering => |_o, _affected| {};
    acl_lists: NetworkAclList => |o, affected| { affected.realms.extend(o.vpc.map(Realm::Vpc)); };
    acl_items: NetworkAclItem => |_o, _affected| {};
    private_gateways: PrivateGateway => |o, affected| { affected.realms.push(Realm::Vpc(o.vpc)); };
    static_routes: StaticRoute => |o, affected| { affected.realms.push(Realm::Vpc(o.vpc)); };
}

/// Counters by name: value and the revision that wrote it.
pub type Counters = HashMap<String, (u64, Revision)>;

/// Everything, as of one revision.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) revision: Revision,
    pub(crate) tables: Tables,
    pub(crate) indexes: Indexes,
    pub(crate) jobs: BTreeMap<JobId, Stored<Job>>,
    pub(crate) pending: BTreeSet<JobId>,
    /// Ended jobs with claims that are not given back yet.
    pub(crate) holding: BTreeSet<JobId>,
    /// Finished jobs that hold nothing, the one that ended first first.
    pub(crate) finished: BTreeSet<(Timestamp, JobId)>,
    pub(crate) events: BTreeMap<(Timestamp, EventId), Arc<Event>>,
    pub(crate) event_times: HashMap<EventId, Timestamp>,
    pub(crate) routers_observed: HashMap<RouterId, Stored<RouterObserved>>,
    pub(crate) routers_health: HashMap<RouterId, Stored<RouterHealth>>,
    pub(crate) guests_observed: HashMap<GuestId, Stored<GuestObserved>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) claims: HashMap<String, Revision>,
}

/// What a change is about: users' wishes, or only what was observed and how jobs went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) desired: Affected,
    pub(crate) observed: Affected,
    pub(crate) happened: Vec<Happened>,
}

/// What is counted, once for each time that it happens.
#[derive(Debug, Clone)]
pub(crate) enum Happened {
    Event(Arc<Event>),
    JobEnded(Arc<Job>),
}

fn read<T: serde::de::DeserializeOwned>(entry: &Entry) -> Result<T, Unreadable> {
    serde_json::from_slice(&entry.value).map_err(|e| Unreadable {
        key: entry.key.clone(),
        reason: e.to_string(),
    })
}

impl State {
    /// Everything in `entries`.
    pub(crate) fn load(revision: Revision, entries: &[Entry]) -> Result<Self, Unreadable> {
        let mut state = Self::default();
        let mut touched = Touched::default();
        for entry in entries {
            state.put(entry, &mut touched)?;
        }
        state.revision = revision;
        Ok(state)
    }

    /// Takes one change in. On an unreadable value the old one stays.
    pub(crate) fn apply(&mut self, change: &Change, touched: &mut Touched) -> Result<(), Unreadable> {
        match change {
            Change::Put(entry) => {
                self.revision = self.revision.max(entry.modified);
                self.put(entry, touched)
            }
            Change::Deleted(key, revision) => {
                self.revision = self.revision.max(*revision);
                self.delete(key, touched);
                Ok(())
            }
        }
    }

    fn put(&mut self, entry: &Entry, touched: &mut Touched) -> Result<(), Unreadable> {
        if let Some(rest) = entry.key.strip_prefix(key::DESIRED) {
            let kind = rest.split_once('/').map_or(rest, |(kind, _)| kind);
            self.put_object(kind, entry, &mut touched.desired)
        } else if entry.key.starts_with(key::OBSERVED) {
            self.put_observed(entry, touched)
        } else if entry.key.starts_with(key::JOBS) {
            self.put_job(entry, touched)
        } else if entry.key.starts_with(key::EVENTS) {
            let event: Arc<Event> = Arc::new(read(entry)?);
            if self.event_times.insert(event.id, event.created).is_none() {
                touched.happened.push(Happened::Event(Arc::clone(&event)));
            }
            self.events.insert((event.created, event.id), event);
            Ok(())
        } else if let Some(name) = entry.key.strip_prefix(key::COUNTERS) {
            let value = read(entry)?;
            Arc::make_mut(&mut self.counters).insert(name.to_owned(), (value, entry.modified));
            Ok(())
        } else {
            if entry.key.starts_with(key::CLAIMS) {
                self.claims.insert(entry.key.clone(), entry.modified);
                if let Some((zone, address)) = key::parse_ip_claim(&entry.key) {
                    self.indexes.taken.entry(zone).or_default().insert(address);
                }
            }
            Ok(())
        }
    }

    fn put_observed(&mut self, entry: &Entry, touched: &mut Touched) -> Result<(), Unreadable> {
        if entry.key.starts_with("observed/router/") {
            let seen: RouterObserved = read(entry)?;
            touched
                .observed
                .realms
                .extend(self.tables.routers.get(&seen.id).map(|r| r.realm));
            self.routers_observed.insert(
                seen.id,
                Stored {
                    object: Arc::new(seen),
                    modified: entry.modified,
                },
            );
        } else if entry.key.starts_with("observed/router-health/") {
            let seen: RouterHealth = read(entry)?;
            let object = Arc::new(seen);
            let modified = entry.modified;
            self.routers_health.insert(object.id, Stored { object, modified });
        } else if entry.key.starts_with("observed/guest/") {
            let seen: GuestObserved = read(entry)?;
            let realms = self.realms_of_guest(seen.id);
            if !seen.running && seen.error.is_none() {
                // Somebody switched it off or lost it: the reconciler must look, too.
                touched.desired.realms.extend(&realms);
            }
            touched.observed.realms.extend(realms);
            self.guests_observed.insert(
                seen.id,
                Stored {
                    object: Arc::new(seen),
                    modified: entry.modified,
                },
            );
        }
        Ok(())
    }

    fn put_job(&mut self, entry: &Entry, touched: &mut Touched) -> Result<(), Unreadable> {
        let job: Arc<Job> = Arc::new(read(entry)?);
        let had_ended = |seen: &Stored<Job>| seen.state != JobState::Pending;
        if job.state != JobState::Pending && !self.jobs.get(&job.id).is_some_and(had_ended) {
            touched.happened.push(Happened::JobEnded(Arc::clone(&job)));
        }
        touched.observed.realms.extend(self.realm_of_goal(&job.until));
        match (&job.state, job.completed) {
            (JobState::Pending, _) => {
                self.pending.insert(job.id);
            }
            (_, ended) => {
                self.pending.remove(&job.id);
                if job.then_release.is_empty() {
                    self.holding.remove(&job.id);
                    self.finished.insert((ended.unwrap_or(job.created), job.id));
                } else {
                    self.holding.insert(job.id);
                }
            }
        }
        self.jobs.insert(
            job.id,
            Stored {
                object: job,
                modified: entry.modified,
            },
        );
        Ok(())
    }

    fn delete(&mut self, key: &str, touched: &mut Touched) {
        if let Some(rest) = key.strip_prefix(key::DESIRED) {
            if let Some((kind, id)) = rest.split_once('/') {
                self.delete_object(kind, id, &mut touched.desired);
            }
        } else if let Some(id) = key
            .strip_prefix("observed/router/")
            .and_then(|id| id.parse().ok())
        {
            self.routers_observed.remove(&id);
        } else if let Some(id) = key
            .strip_prefix("observed/router-health/")
            .and_then(|id| id.parse().ok())
        {
            self.routers_health.remove(&id);
        } else if let Some(id) = key.strip_prefix("observed/guest/").and_then(|id| id.parse().ok()) {
            self.guests_observed.remove(&id);
        } else if let Some(id) = key.strip_prefix(key::JOBS).and_then(|id| id.parse().ok()) {
            self.pending.remove(&id);
            self.holding.remove(&id);
            if let Some(job) = self.jobs.remove(&id) {
                self.finished.remove(&(job.completed.unwrap_or(job.created), id));
            }
        } else if let Some(id) = key.strip_prefix(key::EVENTS).and_then(|id| id.parse().ok()) {
            if let Some(created) = self.event_times.remove(&id) {
                self.events.remove(&(created, id));
            }
        } else if let Some(name) = key.strip_prefix(key::COUNTERS) {
            Arc::make_mut(&mut self.counters).remove(name);
        } else {
            self.claims.remove(key);
            if let Some((zone, address)) = key::parse_ip_claim(key) {
                self.indexes.taken.entry(zone).or_default().remove(address);
            }
        }
    }

    fn put_row<O: Row>(&mut self, entry: &Entry, affected: &mut Affected) -> Result<(), Unreadable> {
        let object: O = read(entry)?;
        let id = object.id();
        if let Some(old) = O::table(&self.tables).get(&id) {
            old.index(&mut self.indexes, false);
            self.mention(&**old, affected);
        }
        object.index(&mut self.indexes, true);
        self.mention(&object, affected);
        let stored = Stored {
            object: Arc::new(object),
            modified: entry.modified,
        };
        O::table_mut(&mut self.tables).insert(id, stored);
        Ok(())
    }

    fn delete_row<O: Row>(&mut self, id: &str, affected: &mut Affected) {
        let Ok(id) = id.parse::<O::Id>() else { return };
        if let Some(old) = O::table_mut(&mut self.tables).remove(&id) {
            old.index(&mut self.indexes, false);
            self.mention(&*old, affected);
        }
    }

    fn mention<O: Row>(&self, object: &O, affected: &mut Affected) {
        let mut mentions = Mentions::default();
        object.affects(&mut mentions);
        // Whoever writes or deletes a network mentions its realm himself.
        let of_networks = mentions.networks.iter().filter_map(|id| self.realm_of(*id));
        affected.realms.extend(of_networks);
        affected.realms.extend(mentions.realms);
        affected.all |= mentions.all;
    }

    fn realm_of(&self, network: NetworkId) -> Option<Realm> {
        self.tables.networks.get(&network).map(|network| network.realm())
    }

    fn realms_of_guest(&self, id: GuestId) -> Vec<Realm> {
        let nics = self
            .tables
            .guests
            .get(&id)
            .into_iter()
            .flat_map(|guest| &guest.nics);
        nics.filter_map(|nic| self.realm_of(nic.network)).collect()
    }

    /// The realm that a job waits for, as far as it is known (its objects may be gone already).
    pub(crate) fn realm_of_goal(&self, goal: &Goal) -> Option<Realm> {
        match goal {
            Goal::Stored
            | Goal::Reported
            | Goal::AccountGone { .. }
            | Goal::ProjectGone { .. }
            | Goal::DomainGone { .. }
            | Goal::GuestsDown { .. } => None,
            Goal::Applied { realm, .. } => Some(*realm),
            Goal::VpcGone { vpc } | Goal::NetworkMoved { vpc, .. } => Some(Realm::Vpc(*vpc)),
            Goal::NetworkGone { network } => self.realm_of(*network),
            Goal::GuestSettled { guest, .. } => self.realms_of_guest(*guest).first().copied(),
            Goal::RouterSettled { router, .. } => self.tables.routers.get(router).map(|r| r.realm),
        }
    }
}
