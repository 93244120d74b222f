// SPDX-License-Identifier: Apache-2.0
//! The thread that owns the engine: applies what is asked for, and heals on each notification and every three
//! seconds.

mod pace;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use outgate_kernel::watch::Watch;
use outgate_model::RouterSpec;
use outgate_model::host::Applied;
use outgate_model::stats::RouterWork;
use tokio::sync::oneshot;

use super::Shared;
use crate::cloud_log::CloudLog;
use crate::fast_path::{Brake, Carried};
use crate::nat_log::NatLogger;
use crate::protocol::Status;
use crate::services::Wake;
use crate::spec_file::SpecFile;
use crate::{Engine, Repair, RouterError};
use pace::Pace;

/// So many requests may wait.
const WAITING_MAX: usize = 32;
/// How long the watch sleeps before it looks whether it is still wanted.
const WATCH_PATIENCE: Duration = Duration::from_secs(60);

/// What the agent can be asked.
pub(super) enum Message {
    /// Become this.
    Apply(Box<RouterSpec>, oneshot::Sender<Result<Applied, RouterError>>),
    /// What are you?
    Observe(oneshot::Sender<Status>),
    /// What has the fast path carried, and what have you done?
    Work(oneshot::Sender<(Carried, RouterWork)>),
    /// Something may have changed.
    Changed,
}

/// How to reach the agent.
pub(super) type Mailbox = SyncSender<Message>;

struct Agent {
    engine: Engine,
    shared: Arc<Shared>,
    file: SpecFile,
    log: CloudLog,
    nat_log: NatLogger,
    pace: Pace,
    /// What the router was before its process ended, until it is something again.
    last: Option<RouterSpec>,
    /// Whether the file holds what the engine applied last.
    is_kept: bool,
    /// Why the last apply or repair failed.
    error: Option<String>,
    done: RouterWork,
}

/// Starts the agent in the namespaces of the calling thread, with the spec that was applied last if there is one.
pub(super) fn start(
    shared: Arc<Shared>,
    dir: &Path,
    log: CloudLog,
    watch: Watch,
) -> Result<Mailbox, RouterError> {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let changed = Arc::new(AtomicBool::new(false));
    let wake = waker(sender.clone(), Arc::clone(&changed));
    let file = SpecFile::in_dir(dir);
    let engine_wake = Arc::clone(&wake);
    let brake = Brake::default();
    let engine_brake = brake.clone();
    let nat_log = NatLogger::new(dir, shared.options.id, log.clone());
    std::thread::Builder::new()
        .name("agent".to_owned())
        .spawn(move || match Engine::new(log.clone(), engine_wake) {
            Ok(engine) => {
                let _ends_the_process = EndsTheProcess;
                let mut agent = Agent {
                    engine: engine.with_brake(engine_brake),
                    shared,
                    file,
                    log,
                    nat_log,
                    pace: Pace::new(Instant::now()),
                    last: None,
                    is_kept: true,
                    error: None,
                    done: RouterWork::default(),
                };
                agent.read_last();
                agent.run(&receiver, &changed);
            }
            Err(error) => {
                log.error(&error.to_string());
                drop(EndsTheProcess);
            }
        })
        .map_err(|e| RouterError::failed("starting the agent", e))?;
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || listen(&watch, &brake, &wake))
        .map_err(|e| RouterError::failed("starting the watch", e))?;
    Ok(sender)
}

/// Without its agent the process is no router: it ends, and process 1 starts it anew.
struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        std::process::exit(70);
    }
}

/// Puts one `Changed` into the mailbox, however often it is called before the agent takes it.
fn waker(sender: Mailbox, changed: Arc<AtomicBool>) -> Wake {
    Arc::new(move || {
        if !changed.swap(true, Ordering::SeqCst) {
            // A mailbox that is full wakes the agent as well.
            let _ = sender.try_send(Message::Changed);
        }
    })
}

fn listen(watch: &Watch, brake: &Brake, wake: &Wake) {
    loop {
        match watch.wait(WATCH_PATIENCE) {
            Ok(Some(heard)) => {
                // Before the agent comes to it: whatever was changed holds for the next packet.
                brake.hear(heard);
                wake();
            }
            Ok(None) => {}
            Err(error) => {
                // The agent still looks every three seconds.
                tracing::error!(%error, "no notifications any more");
                return;
            }
        }
    }
}

impl Agent {
    /// Reads what the router was before its process ended, to become it again.
    fn read_last(&mut self) {
        match self.file.load() {
            Ok(Some(spec)) => {
                self.last = Some(spec);
                self.heal();
            }
            Ok(None) => self.log.info("waiting for the first spec"),
            Err(error) => self.fail(Vec::new(), &error),
        }
    }

    /// Becomes what the router was before. Its interfaces may still be on their way: it is tried again and again, until
    /// a spec is applied.
    fn resume(&mut self) -> Result<Option<Repair>, RouterError> {
        let Some(spec) = self.last.clone() else {
            return self.engine.heal();
        };
        let applied = self.apply(&spec)?;
        self.log
            .info(&format!("resumed generation {}", applied.generation));
        Ok(None)
    }

    fn run(&mut self, mailbox: &Receiver<Message>, changed: &AtomicBool) {
        loop {
            if changed.swap(false, Ordering::SeqCst) {
                self.pace.hurry(Instant::now());
            }
            if self.engine.is_announcing() {
                self.pace.soon(Instant::now());
            }
            match mailbox.recv_timeout(self.pace.wait(Instant::now())) {
                Ok(Message::Apply(mut spec, reply)) => {
                    let jobs = std::mem::take(&mut spec.jobs);
                    let _about = self.log.about(&jobs);
                    let result = self.apply_and_keep(&spec);
                    // The asker may have gone.
                    let _ = reply.send(result);
                }
                Ok(Message::Observe(reply)) => {
                    let _ = reply.send(self.status());
                }
                Ok(Message::Work(reply)) => {
                    let _ = reply.send((self.engine.carried(), self.work()));
                }
                Ok(Message::Changed) => {}
                Err(RecvTimeoutError::Timeout) => self.heal(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// A spec counts as applied only once it is on disk too: a router that starts anew must not become what it was
    /// before, with rules that were revoked since.
    fn apply_and_keep(&mut self, spec: &RouterSpec) -> Result<Applied, RouterError> {
        let is_new = self.engine.spec() != Some(spec);
        let result = self.apply(spec).and_then(|applied| {
            self.is_kept &= !is_new;
            self.keep().map(|()| applied)
        });
        result.inspect_err(|e| self.error = Some(e.to_string()))
    }

    /// Writes the spec that was applied to disk, if it is not there.
    fn keep(&mut self) -> Result<(), RouterError> {
        if let Some(spec) = self.engine.spec().filter(|_| !self.is_kept) {
            self.file
                .save(spec)
                .inspect_err(|e| self.log.error(&e.to_string()))?;
        }
        self.is_kept = true;
        Ok(())
    }

    fn apply(&mut self, spec: &RouterSpec) -> Result<Applied, RouterError> {
        let id = self.shared.options.id;
        if spec.id != id {
            let reason = format!("it is for router {}, this is router {id}", spec.id);
            return Err(RouterError::BadSpec { reason });
        }
        let applied = self.engine.apply(spec)?;
        self.done.applies += 1;
        self.nat_log.follow(spec.nat_log)?;
        self.last = None;
        self.error = None;
        self.shared.trouble_is_over();
        self.shared
            .set_spec(self.engine.spec().map(|s| Arc::new(s.clone())));
        Ok(applied)
    }

    fn heal(&mut self) {
        let outcome = self.resume().and_then(|repair| match (repair, self.is_kept) {
            (None, false) => self.keep().map(|()| None),
            (repair, _) => Ok(repair),
        });
        let now = Instant::now();
        match outcome {
            Ok(None) => {
                self.pace.fine(now);
                if self.error.take_if(|_| self.engine.spec().is_some()).is_some() {
                    self.shared.trouble_is_over();
                }
            }
            Ok(Some(repair)) => match repair.error {
                None => {
                    self.pace.repaired(now);
                    self.done.repairs += 1;
                    for difference in &repair.differences {
                        self.log.warn(&format!("repaired: {difference}"));
                    }
                    self.error = None;
                    self.shared.tell(repair.differences, None);
                }
                Some(error) => {
                    self.pace.failed(now);
                    self.done.repair_failures += 1;
                    self.fail(repair.differences, &error);
                }
            },
            Err(error) => {
                self.pace.failed(now);
                self.done.repair_failures += 1;
                self.fail(Vec::new(), &error);
            }
        }
    }

    /// Logs and tells an error once, however often the repair fails with it.
    fn fail(&mut self, differences: Vec<String>, error: &RouterError) {
        let text = error.to_string();
        if self.error.as_ref() == Some(&text) {
            return;
        }
        for difference in &differences {
            self.log.error(&format!("not repaired: {difference}"));
        }
        self.log.error(&text);
        self.shared.tell(differences, Some(text.clone()));
        self.error = Some(text);
    }

    fn work(&self) -> RouterWork {
        let fast_path = self.engine.fast_path();
        RouterWork {
            nat_log: self.nat_log.counts(),
            fast_path: (!fast_path.mode.is_off()).then_some(fast_path),
            ..self.done.clone()
        }
    }

    fn status(&mut self) -> Status {
        let options = &self.shared.options;
        let (differences, trouble) = match self.engine.differences() {
            Ok(differences) => (differences, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        Status {
            id: options.id,
            name: options.name.clone(),
            boot: options.boot,
            generation: self.engine.spec().map(|spec| spec.generation),
            differences,
            error: trouble.or_else(|| self.error.clone()),
            fastpath: self.engine.fast_path(),
        }
    }
}
