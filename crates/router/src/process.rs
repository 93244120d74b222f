// SPDX-License-Identifier: Apache-2.0
//! The router's process: what `outgate router serve` runs.

mod agent;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use outgate_kernel::watch::Watch;
use outgate_model::RouterSpec;
use outgate_model::host::HostEvent;
use outgate_model::id::RouterId;
use outgate_model::refusal::Refused;
use outgate_model::router_spec::Limits;
use tokio::sync::broadcast;

use crate::cloud_log::{self, CloudLog};
use crate::contain::{CONTROL_DIR, contain};
use crate::insight::{Meter, Refusals};
use crate::{RouterError, init, trace};

/// So many events wait for a reader that is slow; it misses the oldest beyond.
const EVENTS_MAX: usize = 256;

/// What a router is told when it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// Its directory on the machine: the control socket, the last spec, the SSH host key. Must exist.
    pub dir: PathBuf,
    /// Its id; specs of other routers are refused.
    pub id: RouterId,
    /// Its name and host name: `r-12-VM`.
    pub name: String,
    /// The boot that it was started for.
    pub boot: u64,
}

/// Is a router until it is ended. Must be called by process 1 of PID, mount, UTS, IPC and network namespaces of its own,
/// outside any async runtime: it contains itself, and then runs this program with the same arguments again as its
/// child, which comes here too and does the work.
///
/// # Errors
/// When it is not process 1, or cannot get what it needs.
pub fn serve(options: &ServeOptions) -> Result<(), RouterError> {
    let log = CloudLog::new(cloud_log::PATH);
    if std::env::var_os(init::CONTAINED).is_none() {
        contain(&options.dir, &options.name)?;
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        log.info(&format!("{} starts, boot {}", options.name, options.boot));
        return init::supervise(&arguments, &log);
    }
    work(options, Path::new(CONTROL_DIR), &log)
}

/// Does a router's work in the namespaces of the calling thread, until the process ends.
fn work(options: &ServeOptions, dir: &Path, log: &CloudLog) -> Result<(), RouterError> {
    let shared = Arc::new(Shared {
        options: options.clone(),
        spec: Mutex::new(None),
        trouble: Mutex::new(None),
        events: broadcast::channel(EVENTS_MAX).0,
        looking: tokio::sync::Mutex::new(()),
        meter: Arc::default(),
        tracing: tokio::sync::Mutex::new(()),
        refusals: Mutex::default(),
        log: log.clone(),
    });
    if let Err(error) = trace::clear() {
        log.warn(&format!("what a trace has left stays: {error}"));
    }
    let watch = Watch::open().map_err(|e| RouterError::failed("watching the kernel", e))?;
    let agent = agent::start(Arc::clone(&shared), dir, log.clone(), watch)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RouterError::failed("starting the control socket", e))?;
    runtime.block_on(server::serve(dir, shared, agent))
}

/// What the agent's thread and the control socket both know.
#[derive(Debug)]
struct Shared {
    options: ServeOptions,
    /// The spec that was applied last.
    spec: Mutex<Option<Arc<RouterSpec>>>,
    /// What is wrong right now, for those who begin to listen.
    trouble: Mutex<Option<HostEvent>>,
    events: broadcast::Sender<HostEvent>,
    /// Held by whoever looks at all sessions.
    looking: tokio::sync::Mutex<()>,
    /// What guests carry, from look to look.
    meter: Arc<Mutex<Meter>>,
    /// Held by whoever follows a packet.
    tracing: tokio::sync::Mutex<()>,
    /// What the limits had refused at the last look.
    refusals: Mutex<Refusals>,
    log: CloudLog,
}

impl Shared {
    fn spec(&self) -> Option<Arc<RouterSpec>> {
        self.spec.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_spec(&self, spec: Option<Arc<RouterSpec>>) {
        *self.spec.lock().unwrap_or_else(PoisonError::into_inner) = spec;
    }

    fn trouble(&self) -> Option<HostEvent> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Logs it when a limit begins to refuse packets, and when it is over.
    fn note_refusals(&self, limits: &Limits, refused: &[Refused]) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        for line in refusals.look(limits, refused) {
            self.log.warn(&line);
        }
    }

    /// Tells everybody who listens. Trouble is told to those who begin to listen later too, until it is over.
    fn tell(&self, differences: Vec<String>, error: Option<String>) {
        let router = self.options.id;
        let is_trouble = error.is_some();
        let event = HostEvent::Drift {
            router,
            differences,
            error,
        };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = is_trouble.then(|| event.clone());
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    fn trouble_is_over(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
