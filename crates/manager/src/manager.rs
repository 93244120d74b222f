// SPDX-License-Identifier: Apache-2.0
//! The manager itself: decisions on the mirror, committed as transactions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outgate_host::Host;
use outgate_model::id::{HostId, UserId};
use outgate_model::{FieldError, Realm, object};
use outgate_store::{Outcome, Store, StoreError};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;

use crate::bootstrap::{self, Credentials};
use crate::config::ManagerConfig;
use crate::draft::Draft;
use crate::error::CommandError;
use crate::limits::{self, LimitReached};
use crate::mirror::{Mirror, MirrorError, View};
use crate::secret::{Sealer, SecretError};
use crate::spec::{Source, SpecError, router_spec};
use crate::supervise::supervise;
use crate::turns::Turns;
use crate::{collect, diagnose, insight, jobs, lead, leaving, metrics, prune, reconcile};

/// After how many lost races a commit asks for its turn instead.
const RACES: u32 = 3;
/// How often a commit decides anew before it gives up.
const TRIES: u32 = 32;
/// How long a commit waits for the mirror to hold what it wrote.
const MIRROR_WAIT: Duration = Duration::from_secs(10);

/// Why a transaction could not be committed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else changed the same objects each time.
    #[error("the same objects were changed by others {0} times in a row; try again")]
    Busy(u32),
    /// A router could not use the result.
    #[error("the router of {realm} could not use this: {}", texts(.problems))]
    Unusable {
        /// What it serves.
        realm: Realm,
        /// Every problem.
        problems: Vec<FieldError>,
    },
    /// Rules would make more set elements than a router can be given.
    #[error(transparent)]
    TooComplex(FieldError),
    /// An account, a project or a domain holds as much as it may.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The result does not fit together.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A value could not be written as JSON.
    #[error("an object could not be encoded: {0}")]
    Encode(String),
}

fn texts(problems: &[FieldError]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl From<CommitError> for CommandError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => Self::Store(error),
            CommitError::TooComplex(problem) => Self::TooComplex(problem),
            CommitError::Limit(reached) => Self::ResourceLimit(reached),
            CommitError::Busy(_) => Self::Unavailable {
                what: error.to_string(),
            },
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Why the manager could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The first start's objects could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The key file or a secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A host of the store has no driver.
    #[error("the store knows host {name}, but the server has no driver for it")]
    NoDriver {
        /// The host's name.
        name: String,
    },
}

/// Drivers by the hosts' names.
pub type Drivers = BTreeMap<String, Arc<dyn Host>>;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) mirror: Mirror,
    pub(crate) hosts: BTreeMap<HostId, Arc<dyn Host>>,
    pub(crate) config: ManagerConfig,
    sealer: Sealer,
    /// One host's change at a time for each guest.
    pub(crate) guest_turns: Turns,
    pub(crate) insight: insight::Kept,
    pub(crate) counted: metrics::Counted,
    /// Whether this server leads.
    pub(crate) leading: watch::Sender<bool>,
    /// Read by commits that try their luck, written by those that lost several races.
    turn: RwLock<()>,
    /// Turns of the doctor.
    pub(crate) diagnoses: tokio::sync::Semaphore,
    /// Turns of traces.
    pub(crate) traces: tokio::sync::Semaphore,
    /// Where the server can be reached, once it has said so.
    pub(crate) exposure: std::sync::OnceLock<crate::audit::Exposure>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The manager. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Manager {
    pub(crate) inner: Arc<Inner>,
}

impl Manager {
    /// Reads the store, makes the first start's objects if there are none, and starts the manager's tasks.
    ///
    /// # Errors
    /// When the store or the key file cannot be used, or a host has no driver.
    pub async fn start(
        store: Arc<dyn Store>,
        drivers: Drivers,
        config: ManagerConfig,
    ) -> Result<Self, StartError> {
        let first = Mirror::load(&*store).await?;
        let is_first = !bootstrap::is_done(&first.view());
        let sealer = Sealer::open(&config.key_file, is_first)?;
        if is_first {
            first_start(&*store, &first, &config, &sealer).await?;
        }
        let mut mirror = Mirror::load(&*store).await?;
        if heal(&*store, &mirror).await? {
            mirror = Mirror::load(&*store).await?;
        }
        let hosts = match_drivers(&mirror.view(), &drivers)?;
        let inner = Inner {
            store,
            mirror,
            hosts,
            config,
            sealer,
            guest_turns: Turns::default(),
            insight: insight::Kept::default(),
            counted: metrics::Counted::default(),
            leading: watch::Sender::new(false),
            turn: RwLock::new(()),
            diagnoses: tokio::sync::Semaphore::new(diagnose::AT_ONCE),
            traces: tokio::sync::Semaphore::new(diagnose::trace::AT_ONCE),
            exposure: std::sync::OnceLock::new(),
            stop: watch::Sender::new(false),
            tasks: Mutex::new(Vec::new()),
        };
        let manager = Self {
            inner: Arc::new(inner),
        };
        manager.spawn();
        Ok(manager)
    }

    /// Starts the manager's own tasks: the mirror's feed, the lead, and what the leading server does.
    fn spawn(&self) {
        let (waker, wake_ups) = reconcile::Waker::new();
        let wake_ups = Arc::new(tokio::sync::Mutex::new(wake_ups));
        let leading = self.inner.leading.clone();
        let feed = self.task("mirror", |me| async move {
            me.inner.mirror.follow(Arc::clone(&me.inner.store)).await;
        });
        let mut tasks = vec![
            feed,
            self.leading_task("reconciler", &leading, move |me| {
                reconcile::run(me, Arc::clone(&wake_ups))
            }),
            self.leading_task("jobs", &leading, jobs::run),
            self.leading_task("prune", &leading, prune::run),
            self.leading_task("alerts", &leading, crate::alerts::run),
            self.leading_task("collect", &leading, collect::run),
            self.leading_task("statistics", &leading, insight::run),
            self.leading_task("health", &leading, insight::health::run),
            self.leading_task("leaving", &leading, leaving::run),
        ];
        for host in self.inner.hosts.values() {
            let (host, waker) = (Arc::clone(host), waker.clone());
            let listen = move |me| reconcile::listen(me, Arc::clone(&host), waker.clone());
            tasks.push(self.leading_task("host events", &leading, listen));
        }
        tasks.push(self.task("lead", move |me| lead::run(me, leading.clone())));
        self.inner
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(tasks);
    }

    fn task<F>(&self, name: &'static str, work: impl Fn(Self) -> F + Send + 'static) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let me = self.clone();
        supervise(name, self.inner.stop.subscribe(), move || work(me.clone()))
    }

    fn leading_task<F>(
        &self,
        name: &'static str,
        leading: &watch::Sender<bool>,
        work: impl Fn(Self) -> F + Send + Sync + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (leading, work) = (leading.subscribe(), Arc::new(work));
        self.task(name, move |me| {
            let (leading, work) = (leading.clone(), Arc::clone(&work));
            async move { lead::while_leading(leading, || work(me.clone())).await }
        })
    }

    /// Ends the manager's tasks and returns when they have ended. Routers and guests run on. What was begun is
    /// finished by the next start.
    pub async fn shutdown(&self) {
        self.inner.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A supervisor only ends; there is nothing to learn from how.
            let _ = task.await;
        }
        if let Err(error) = lead::give_up(self).await {
            tracing::warn!(%error, "the lead was not given up; another server takes over when its lease has run out");
        }
    }

    /// The in-memory copy of the store.
    pub fn mirror(&self) -> &Mirror {
        &self.inner.mirror
    }

    /// A consistent look at everything; see [`View`] for how long to hold it.
    pub fn view(&self) -> View<'_> {
        self.inner.mirror.view()
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The driver of a host.
    pub fn host(&self, id: HostId) -> Option<&Arc<dyn Host>> {
        self.inner.hosts.get(&id)
    }

    /// The configuration.
    pub fn config(&self) -> &ManagerConfig {
        &self.inner.config
    }

    /// The administrator's key pair, for the credentials file.
    ///
    /// # Errors
    /// When the key file does not belong to the store.
    pub fn admin_credentials(&self) -> Result<Credentials, SecretError> {
        let view = self.view();
        let user = bootstrap::administrator(&view).ok_or(SecretError::NotOurs)?;
        Ok(Credentials {
            api_key: user.api_key.clone(),
            secret_key: self.secret_key(&user)?,
        })
    }

    /// A secret key, sealed for a user.
    pub(crate) fn seal_secret_key(&self, user: UserId, secret: &str) -> Result<String, SecretError> {
        self.inner.sealer.seal(&user.to_string(), secret)
    }

    /// A user's secret key, to check a signature with.
    ///
    /// # Errors
    /// When the key file does not belong to the store.
    pub fn secret_key(&self, user: &object::User) -> Result<String, SecretError> {
        self.inner
            .sealer
            .open_secret(&user.id.to_string(), &user.sealed_secret_key)
    }

    /// Decides on the mirror and commits what `decide` drafted, as one transaction. When somebody else was faster,
    /// `decide` runs again on the newer state. Before anything is written, the specs of all routers that it changes
    /// are built and validated. After this returns, the mirror holds the result.
    ///
    /// # Errors
    /// What `decide` returns, or a [`CommitError`].
    pub async fn commit<T, E>(
        &self,
        mut decide: impl FnMut(&View<'_>, &mut Draft) -> Result<T, E> + Send,
    ) -> Result<T, E>
    where
        T: Send,
        E: From<CommitError> + Send,
    {
        for attempt in 0..TRIES {
            // After lost races the commits queue up for the lock's fair writer side, so that each comes through.
            let (mut shared, mut alone) = (None, None);
            if attempt < RACES {
                shared = Some(self.inner.turn.read().await);
            } else {
                alone = Some(self.inner.turn.write().await);
            }
            let (value, txn) = self.decide(&mut decide)?;
            let Some(txn) = txn else { return Ok(value) };
            let outcome = self.inner.store.txn(txn).await.map_err(CommitError::from)?;
            let revision = match outcome {
                Outcome::Committed(revision) => revision,
                Outcome::Conflict => self.inner.store.revision().await.map_err(CommitError::from)?,
            };
            if tokio::time::timeout(MIRROR_WAIT, self.inner.mirror.wait_for(revision))
                .await
                .is_err()
            {
                tracing::warn!(revision, "the mirror is late");
            }
            drop((shared.take(), alone.take()));
            if outcome != Outcome::Conflict {
                return Ok(value);
            }
        }
        Err(CommitError::Busy(TRIES).into())
    }

    fn decide<T, E: From<CommitError>>(
        &self,
        decide: &mut impl FnMut(&View<'_>, &mut Draft) -> Result<T, E>,
    ) -> Result<(T, Option<outgate_store::Txn>), E> {
        let view = self.view();
        let mut draft = Draft::new(&view);
        let value = decide(&view, &mut draft)?;
        draft.settle();
        limits::check(&view, &mut draft).map_err(CommitError::from)?;
        self.check_specs(&view, &draft)?;
        let txn = draft.finish().map_err(CommitError::Encode)?;
        Ok((value, txn))
    }

    /// Nothing is stored that a router could refuse.
    fn check_specs(&self, view: &View<'_>, draft: &Draft) -> Result<(), CommitError> {
        for realm in draft.realms() {
            if let Some(spec) = router_spec(Source::after(view, draft), &self.inner.config.router, realm)? {
                spec.validate()
                    .map_err(|problems| CommitError::Unusable { realm, problems })?;
                outgate_plan::check(&spec).map_err(CommitError::TooComplex)?;
            }
        }
        Ok(())
    }
}

async fn first_start(
    store: &dyn Store,
    mirror: &Mirror,
    config: &ManagerConfig,
    sealer: &Sealer,
) -> Result<(), StartError> {
    let txn = {
        let mut draft = Draft::new(&mirror.view());
        bootstrap::draft(&config.bootstrap, sealer, &mut draft)?;
        draft.finish().map_err(CommitError::Encode)?
    };
    // On a conflict another server was first, with the same result.
    if let Some(txn) = txn {
        store.txn(txn).await.map_err(CommitError::from)?;
    }
    Ok(())
}

/// Adds the built-in objects that the store of an older version lacks. Returns whether there were any.
async fn heal(store: &dyn Store, mirror: &Mirror) -> Result<bool, StartError> {
    let txn = {
        let view = mirror.view();
        let mut draft = Draft::new(&view);
        bootstrap::heal(&view, &mut draft);
        draft.finish().map_err(CommitError::Encode)?
    };
    let Some(txn) = txn else { return Ok(false) };
    // On a conflict another server was first, with the same result.
    store.txn(txn).await.map_err(CommitError::from)?;
    Ok(true)
}

fn match_drivers(view: &View<'_>, drivers: &Drivers) -> Result<BTreeMap<HostId, Arc<dyn Host>>, StartError> {
    view.all::<object::Host>()
        .map(|host| {
            let driver = drivers.get(&host.name).ok_or_else(|| StartError::NoDriver {
                name: host.name.clone(),
            })?;
            Ok((host.id, Arc::clone(driver)))
        })
        .collect()
}
