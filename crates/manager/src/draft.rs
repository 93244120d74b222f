// SPDX-License-Identifier: Apache-2.0
//! One transaction in the making: what was decided on, and what is to be written.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::event::{Event, Level};
use outgate_model::id::{EventId, JobId, UserId};
use outgate_model::job::{Goal, Job, JobState, Undo};
use outgate_model::key::{self, Object};
use outgate_model::object::{FirewallRule, Network, PortForwardingRule, PublicIp, TagSet, Vpc, tag};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};
use outgate_model::object::{NetworkAclItem, StaticRoute};
use outgate_store::{Condition, Revision, Txn, Write};
use uuid::Uuid;

use crate::command::Caller;
use crate::mirror::{Counters, Row, Stored, View};

/// The object that a job or an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// CloudStack's word for its kind: `Network`, see [`Object::NAME`].
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
}

impl Instance {
    /// The instance of kind `O` with this id: `Instance::of::<Network>(id.0)`.
    pub fn of<O: Object>(id: Uuid) -> Self {
        Self { kind: O::NAME, id }
    }
}

/// What a key will hold.
#[derive(Debug)]
enum Staged {
    Put {
        bytes: Vec<u8>,
        object: Option<Arc<dyn Any + Send + Sync>>,
    },
    Delete,
}

/// What a touched realm was.
#[derive(Debug, Clone)]
enum Base {
    Network(Stored<Network>),
    Vpc(Stored<Vpc>),
}

/// A transaction in the making. Everything that a decision rests on must be in it as a condition: what is written
/// is so by itself, the rest by [`Draft::read`].
#[derive(Debug)]
pub struct Draft {
    conditions: BTreeMap<String, Condition>,
    writes: BTreeMap<String, Staged>,
    touched: BTreeMap<Realm, Base>,
    counters: Arc<Counters>,
    jobs: Vec<Job>,
    events: Vec<Event>,
    user: Option<UserId>,
    undo: Vec<Undo>,
    /// Claims to give back when the transaction's job ends.
    later: Vec<String>,
    undoable: bool,
    failure: Option<String>,
}

impl Draft {
    /// An empty transaction on top of `view`.
    pub fn new(view: &View<'_>) -> Self {
        Self {
            conditions: BTreeMap::new(),
            writes: BTreeMap::new(),
            touched: BTreeMap::new(),
            counters: view.counters(),
            jobs: Vec::new(),
            events: Vec::new(),
            user: None,
            undo: Vec::new(),
            later: Vec::new(),
            undoable: true,
            failure: None,
        }
    }

    /// Adds a new object.
    pub fn create<O: Row>(&mut self, object: &O) {
        let key = object.key();
        self.note_undo::<O>(Undo::Remove { key: key.clone() });
        self.conditions
            .entry(key.clone())
            .or_insert(Condition::Absent(key.clone()));
        self.put(key, object);
    }

    /// Replaces `old`, as it was read, by `new`. A second update of the same object wins over the first.
    pub fn update<O: Row>(&mut self, old: &Stored<O>, new: O) {
        let key = old.key();
        if let Some(value) = self.encode(&*old.object) {
            let value = String::from_utf8_lossy(&value).into_owned();
            self.note_undo::<O>(Undo::Restore {
                key: key.clone(),
                value,
            });
        }
        self.read(old);
        self.put(key, &new);
    }

    /// Removes `old`, as it was read, and its tags, whatever they are: who tags it meanwhile depends on it.
    pub fn delete<O: Row>(&mut self, old: &Stored<O>) {
        self.read(old);
        self.undoable = false;
        self.writes.insert(old.key(), Staged::Delete);
        if tag::resource_type(O::NAME).is_some() {
            let tags = format!("{}{}/{}", key::DESIRED, TagSet::KIND, old.id());
            self.writes.insert(tags, Staged::Delete);
        }
    }

    /// The decision rests on `seen`: the transaction fails if somebody changes it meanwhile.
    pub fn read<O: Row>(&mut self, seen: &Stored<O>) {
        self.unchanged(seen.key(), seen.modified);
    }

    /// The decision rests on the key as it was written at `revision`.
    pub fn unchanged(&mut self, key: String, revision: Revision) {
        self.conditions
            .entry(key.clone())
            .or_insert(Condition::Unchanged(key, revision));
    }

    /// Takes a claim (see `outgate_model::key`); the transaction fails if somebody else holds it.
    pub fn claim(&mut self, key: String) {
        self.undo.push(Undo::Remove { key: key.clone() });
        self.conditions
            .entry(key.clone())
            .or_insert(Condition::Absent(key.clone()));
        self.writes.insert(
            key,
            Staged::Put {
                bytes: b"{}".to_vec(),
                object: None,
            },
        );
    }

    /// Gives a claim back.
    pub fn release(&mut self, key: String) {
        self.undoable = false;
        self.writes.insert(key, Staged::Delete);
    }

    /// Gives a claim back when the transaction's job ends; at once when there is no job to wait for.
    pub fn release_with_job(&mut self, key: String) {
        self.undoable = false;
        self.later.push(key);
    }

    /// Raises the generation of the realm by one (however often it is called) and returns the new one. It may be
    /// combined with an [`Draft::update`] of the same network or VPC, in any order. A realm that the transaction
    /// itself makes has generation 1 anyway.
    ///
    /// Every transaction that changes something of what a router's spec is made of calls it, so that two of them
    /// never pass each other unseen.
    pub fn touch(&mut self, view: &View<'_>, realm: Realm) -> u64 {
        let (base, generation) = match realm {
            Realm::Network(id) => {
                let network = view.get::<Network>(id).filter(|network| network.tier.is_none());
                let Some(network) = network else { return 1 };
                self.read(network);
                (Base::Network(network.clone()), network.generation)
            }
            Realm::Vpc(id) => {
                let Some(vpc) = view.get::<Vpc>(id) else { return 1 };
                self.read(vpc);
                (Base::Vpc(vpc.clone()), vpc.generation)
            }
        };
        self.touched.entry(realm).or_insert(base);
        generation + 1
    }

    /// Starts a job: done when `goal` is observed. Events of the same transaction belong to it.
    pub fn job(&mut self, command: &str, caller: &Caller, instance: Instance, goal: Goal) -> JobId {
        let now = Timestamp::now();
        let ended = goal == Goal::Stored;
        let job = Job {
            id: JobId::new(),
            command: command.to_owned(),
            user: caller.user,
            account: caller.account,
            instance_type: instance.kind.to_owned(),
            instance_id: instance.id,
            until: goal,
            undo: Vec::new(),
            then_release: Vec::new(),
            report: None,
            state: if ended {
                JobState::Succeeded
            } else {
                JobState::Pending
            },
            created: now,
            completed: ended.then_some(now),
        };
        let id = job.id;
        self.jobs.push(job);
        id
    }

    /// Says who wants the transaction, for the events in it.
    pub(crate) fn by(&mut self, user: UserId) {
        self.user = Some(user);
    }

    /// Records what happens: type such as `NETWORK.CREATE`, one sentence, whose, and about what.
    pub fn event(
        &mut self,
        kind: &str,
        level: Level,
        description: impl Into<String>,
        account: Option<outgate_model::id::AccountId>,
        about: Option<Instance>,
    ) -> EventId {
        let event = Event {
            id: EventId::new(),
            kind: kind.to_owned(),
            level,
            description: description.into(),
            account,
            job: None,
            user: None,
            resource: about.map(|i| (i.kind.to_owned(), i.id)),
            created: Timestamp::now(),
            archived: false,
        };
        let id = event.id;
        self.events.push(event);
        id
    }

    /// Records what became of a job, about the job's object.
    pub(crate) fn event_of_job(&mut self, job: &Job, kind: &str, level: Level, description: String) {
        self.events.push(Event {
            id: EventId::new(),
            kind: kind.to_owned(),
            level,
            description,
            account: Some(job.account),
            job: Some(job.id),
            user: Some(job.user),
            resource: Some((job.instance_type.clone(), job.instance_id)),
            created: Timestamp::now(),
            archived: false,
        });
    }

    /// The next number of counter `name`, from 1 on, for names such as `r-12-VM`.
    pub fn number(&mut self, name: &str) -> u64 {
        let key = key::counter(name);
        let (value, condition) = match self.counters.get(name) {
            Some((value, revision)) => (*value, Condition::Unchanged(key.clone(), *revision)),
            None => (0, Condition::Absent(key.clone())),
        };
        let next = value + 1;
        let revision = self.counters.get(name).map_or(0, |(_, revision)| *revision);
        Arc::make_mut(&mut self.counters).insert(name.to_owned(), (next, revision));
        self.conditions.entry(key.clone()).or_insert(condition);
        self.writes.insert(
            key,
            Staged::Put {
                bytes: next.to_string().into_bytes(),
                object: None,
            },
        );
        next
    }

    /// The decision rests on counter `name` as it is: whoever takes a number of it meanwhile is noticed.
    pub fn counted(&mut self, name: &str) {
        let key = key::counter(name);
        let condition = match self.counters.get(name) {
            Some((_, revision)) => Condition::Unchanged(key.clone(), *revision),
            None => Condition::Absent(key.clone()),
        };
        self.conditions.entry(key).or_insert(condition);
    }

    /// What the transaction makes of an object so far: `None` when it does not touch it, `Some(None)` when it
    /// removes it.
    pub fn staged<O: Row>(&self, id: O::Id) -> Option<Option<Arc<O>>> {
        self.writes.get(&key::desired::<O>(id)).map(typed)
    }

    /// Every object of a kind that the transaction writes (`Some`) or removes (`None`), by key.
    pub(crate) fn staged_all<O: Row>(&self) -> impl Iterator<Item = (&str, Option<Arc<O>>)> {
        let prefix = format!("{}{}/", key::DESIRED, O::KIND);
        let after = prefix.clone();
        let from = self.writes.range(prefix..);
        from.take_while(move |(key, _)| key.starts_with(&after))
            .map(|(key, staged)| (key.as_str(), typed(staged)))
    }

    /// The realms whose routers' specs the transaction changes.
    pub(crate) fn realms(&self) -> BTreeSet<Realm> {
        let networks = self.staged_all::<Network>().filter_map(|(_, n)| Some(n?.realm()));
        let vpcs = self
            .staged_all::<Vpc>()
            .filter_map(|(_, v)| Some(Realm::Vpc(v?.id)));
        self.touched.keys().copied().chain(networks).chain(vpcs).collect()
    }

    /// Writes `key` without a look at what it held, for what has one writer only.
    pub(crate) fn put_raw<T: serde::Serialize>(&mut self, key: String, value: &T) {
        if let Some(bytes) = self.encode(value) {
            self.writes.insert(key, Staged::Put { bytes, object: None });
        }
    }

    /// Removes `key` without a look at what it held.
    pub(crate) fn delete_raw(&mut self, key: String) {
        self.undoable = false;
        self.writes.insert(key, Staged::Delete);
    }

    /// Brings the touched realms' generations into their staged objects. Before the specs are built.
    pub(crate) fn settle(&mut self) {
        for (realm, base) in std::mem::take(&mut self.touched) {
            match &base {
                Base::Network(base) => self.raise(base, |n: &mut Network| n.generation = base.generation + 1),
                Base::Vpc(base) => self.raise(base, |v: &mut Vpc| v.generation = base.generation + 1),
            }
            self.touched.insert(realm, base);
        }
    }

    fn raise<O: Row>(&mut self, base: &Stored<O>, raise: impl Fn(&mut O)) {
        let latest = match self.staged::<O>(base.id()) {
            Some(staged) => staged,
            None => Some(Arc::clone(&base.object)),
        };
        if let Some(latest) = latest {
            let mut next = O::clone(&latest);
            raise(&mut next);
            self.put(base.key(), &next);
        }
    }

    /// The transaction. `None` when it would write nothing.
    ///
    /// # Errors
    /// The text of a value that could not be encoded.
    pub(crate) fn finish(mut self) -> Result<Option<Txn>, String> {
        self.settle();
        let job_id = self.jobs.first().map(|j| j.id);
        let undo = if self.undoable {
            std::mem::take(&mut self.undo)
        } else {
            Vec::new()
        };
        let mut later = std::mem::take(&mut self.later);
        if self.jobs.first().is_none_or(|job| job.state != JobState::Pending) {
            later.drain(..).for_each(|key| self.release(key));
        }
        for mut job in std::mem::take(&mut self.jobs) {
            job.undo.clone_from(&undo);
            job.then_release = std::mem::take(&mut later);
            self.put_raw(key::job(job.id), &job);
        }
        for mut event in std::mem::take(&mut self.events) {
            event.job = event.job.or(job_id);
            event.user = event.user.or(self.user);
            self.put_raw(key::event(event.id), &event);
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let writes: Vec<_> = self
            .writes
            .into_iter()
            .map(|(key, staged)| match staged {
                Staged::Put { bytes, .. } => Write::Put {
                    key,
                    value: bytes,
                    lease: None,
                },
                Staged::Delete => Write::Delete(key),
            })
            .collect();
        if writes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Txn {
            conditions: self.conditions.into_values().collect(),
            writes,
        }))
    }

    fn put<O: Row>(&mut self, key: String, object: &O) {
        if let Some(bytes) = self.encode(object) {
            self.writes.insert(
                key,
                Staged::Put {
                    bytes,
                    object: Some(Arc::new(object.clone())),
                },
            );
        }
    }

    fn encode<T: serde::Serialize>(&mut self, value: &T) -> Option<Vec<u8>> {
        serde_json::to_vec(value)
            .map_err(|e| self.failure = Some(e.to_string()))
            .ok()
    }

    /// Only addresses and rules can be taken back: nothing else can depend on them within one job.
    fn note_undo<O: Row>(&mut self, undo: Undo) {
        let kinds = [
            PublicIp::KIND,
            FirewallRule::KIND,
            PortForwardingRule::KIND,
            NetworkAclItem::KIND,
            StaticRoute::KIND,
            LoadBalancerRule::KIND,
            IpForwardingRule::KIND,
        ];
        if kinds.contains(&O::KIND) {
            self.undo.push(undo);
        } else {
            self.undoable = false;
        }
    }
}

fn typed<O: Row>(staged: &Staged) -> Option<Arc<O>> {
    match staged {
        Staged::Put {
            object: Some(object), ..
        } => Arc::clone(object).downcast().ok(),
        Staged::Put { object: None, .. } | Staged::Delete => None,
    }
}
