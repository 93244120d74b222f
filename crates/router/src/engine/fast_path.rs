// SPDX-License-Identifier: Apache-2.0
//! Keeps the fast path as the spec wants it. It translates only while the engine knows that the kernel is as it must be:
//! it is suspended before a change and whenever the kernel says that something changed, and runs again when all was seen
//! to be right.

mod carried;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use outgate_fastpath::{FastPath, FastPathError, Hook, Port, Reason, Settings, Timeouts};
use outgate_kernel::link::LinkState;
use outgate_kernel::sysctl;
use outgate_model::RouterSpec;
use outgate_model::router_spec::{FastPathHook, FastPathMode};

use super::Engine;
use crate::RouterError;
use crate::fast_path::{Brake, Carried, FastPathStatus};
use carried::Past;

/// A kernel that could not have it is asked again after so long.
const RETRY: Duration = Duration::from_secs(60);
/// So many leases are a MiB.
const LEASES_OF_MIB: u32 = 1 << 15;
/// What conntrack must not insist on when it does not see every packet, and what it insists on by itself. A checksum that
/// is wrong stays wrong, for the receiver to see, on the fast path; so it does beside it.
const RELAXED: [(&str, &str, &str); 3] = [
    ("net.netfilter.nf_conntrack_tcp_be_liberal", "1", "0"),
    ("net.netfilter.nf_conntrack_tcp_ignore_invalid_rst", "1", "0"),
    ("net.netfilter.nf_conntrack_checksum", "0", "1"),
];

/// The fast path, or why there is none.
#[derive(Debug, Default)]
pub(super) struct Driver {
    loaded: Option<FastPath>,
    /// Why it is not loaded, and when that was found.
    refused: Option<(String, Instant)>,
    /// Whether what is in [`RELAXED`] was relaxed.
    relaxed: bool,
    /// Where the programs have to see packets, if not where it fits best.
    hook: Option<Hook>,
    brake: Brake,
    past: Past,
}

impl Engine {
    /// What suspends the fast path from any thread.
    pub fn brake(&self) -> Brake {
        self.fast_path.brake.clone()
    }

    /// Has another thread's switch suspend the fast path.
    #[must_use]
    pub fn with_brake(mut self, brake: Brake) -> Self {
        self.fast_path.brake = brake;
        self
    }

    /// Has the programs see packets there, whatever fits the interfaces best.
    #[must_use]
    pub fn with_fast_path_at(mut self, hook: Hook) -> Self {
        self.fast_path.hook = Some(hook);
        self
    }

    /// How it is.
    pub fn fast_path(&self) -> FastPathStatus {
        let mode = self.spec().map_or(FastPathMode::Off, |spec| spec.fastpath);
        let loaded = self.fast_path.loaded.as_ref();
        let running = loaded.is_some_and(|fast| fast.control().is_running());
        let refused = self.fast_path.refused.as_ref().map(|(reason, _)| reason.clone());
        let suspended = || "it is suspended until the router is as it must be".to_owned();
        let counters = loaded.and_then(|fast| fast.counters().ok()).unwrap_or_default();
        FastPathStatus {
            mode,
            hook: loaded.map(|fast| fast.settings().hook.to_string()),
            running,
            reason: refused.or_else(|| (!running && !mode.is_off()).then(suspended)),
            without_echo: loaded.and_then(FastPath::without_echo),
            counters: Reason::ALL
                .into_iter()
                .map(|reason| (reason.name().to_owned(), counters.get(reason)))
                .collect(),
        }
    }

    /// What it has carried, of all of its lives.
    pub fn carried(&mut self) -> Carried {
        let Driver { loaded, past, .. } = &mut self.fast_path;
        past.with(loaded.as_ref())
    }

    /// The counters of the kernel begin at zero again; so do these.
    pub(super) fn forget_carried(&mut self) {
        let Driver { loaded, past, .. } = &mut self.fast_path;
        *past = Past::default();
        if let Some(fast) = loaded
            && let Err(error) = fast.count(&BTreeSet::new())
        {
            self.log.error(&error.to_string());
        }
        past.save();
    }

    /// Every packet is the kernel's from now on.
    pub(super) fn suspend_fast_path(&self) {
        self.fast_path.brake.pull();
    }

    /// The same, for a change that is about to be made: whoever drives the fast path afterwards knows of it.
    pub(super) fn pause_fast_path(&self) {
        self.fast_path.brake.pause();
    }

    /// Whether the spec asks for another fast path than the one there is. What is replaced must be at rest before, or not all
    /// that it carries is counted.
    pub(super) fn remakes_fast_path(&self, spec: &RouterSpec) -> bool {
        let asked = |spec: &RouterSpec| (spec.fastpath, spec.fastpath_settings);
        self.spec().is_none_or(|now| asked(now) != asked(spec))
    }

    /// Ends every lease: sessions were deleted.
    pub(super) fn end_leases(&self) {
        let loaded = self.fast_path.loaded.as_ref();
        if let Some(Err(error)) = loaded.map(|fast| fast.control().renew()) {
            self.log.error(&error.to_string());
        }
    }

    /// The engine's own change of rules is about to get this generation, or has it and is right. Until it is known to have
    /// failed, nobody who hears of it need suspend the fast path: established sessions go on meanwhile on every path.
    pub(super) fn expect_rules(&self, generation: Option<u32>) {
        self.fast_path.brake.expect(generation);
    }

    /// Before a change: a router that must have it refuses a spec when it cannot.
    pub(super) fn require_fast_path(&mut self, spec: &RouterSpec) -> Result<(), RouterError> {
        if spec.fastpath != FastPathMode::Required {
            return Ok(());
        }
        self.fast_path.refused = None;
        self.serve(spec)
            .map_err(|error| RouterError::failed("starting the fast path", error))
    }

    /// After everything was seen to be right: brings it to what the spec says and lets it run, unless something changed
    /// since `seen`.
    pub(super) fn drive_fast_path(&mut self, seen: u64) {
        let Some(target) = self.target.take() else { return };
        self.bring_fast_path_to(&target.spec, seen);
        self.target = Some(target);
    }

    fn bring_fast_path_to(&mut self, spec: &RouterSpec, seen: u64) {
        if spec.fastpath.is_off() {
            return self.drop_fast_path();
        }
        let waits = |(_, since): &(String, Instant)| since.elapsed() < RETRY;
        if self.fast_path.refused.as_ref().is_some_and(waits) {
            return;
        }
        if let Err(error) = self.serve(spec).and_then(|()| self.run(spec, seen)) {
            let reason = error.to_string();
            let before = self.fast_path.refused.take();
            self.drop_fast_path();
            if before.is_none_or(|(before, _)| before != reason) {
                self.log.warn(&format!("no fast path: {reason}"));
            }
            self.fast_path.refused = Some((reason, Instant::now()));
        }
    }

    /// How many times it was suspended so far.
    pub(super) fn suspensions(&self) -> u64 {
        let loaded = self.fast_path.loaded.as_ref();
        loaded.map_or(0, |fast| fast.control().suspensions())
    }

    fn run(&mut self, spec: &RouterSpec, seen: u64) -> Result<(), FastPathError> {
        self.relax(true);
        let Some(fast) = &self.fast_path.loaded else {
            return Ok(());
        };
        let control = fast.control();
        if control.is_running() {
            self.expect_rules(self.known);
            return control.keep_alive();
        }
        let timeouts = Timeouts {
            tcp: Duration::from_secs(spec.conntrack.tcp_established_secs.into()),
            udp: Duration::from_secs(spec.conntrack.udp_stream_secs.into()),
        };
        // What suspended it between loading and now was the loading itself.
        self.fast_path.brake.release(seen.max(1), self.known, timeouts)
    }

    /// Loads and attaches it where it is not.
    fn serve(&mut self, spec: &RouterSpec) -> Result<(), FastPathError> {
        let links = match self.runtime.block_on(self.links.list()) {
            Ok(links) => links,
            Err(error) => {
                // The next look tells.
                tracing::warn!(%error, "the fast path waits for the interfaces");
                return Ok(());
            }
        };
        let ports = ports(spec, &links);
        let hook = match self.fast_path.hook {
            Some(hook) => hook,
            None => hook(spec, &ports)?,
        };
        let cpus = outgate_fastpath::cpus();
        let settings = Settings {
            hook,
            // Two for a session, one for each direction. All of a router's packets may come on one CPU: a virtual cable has one
            // queue.
            leases: spec
                .conntrack
                .max
                .saturating_mul(2)
                .saturating_mul(cpus)
                .min(spec.fastpath_settings.memory_mib.saturating_mul(LEASES_OF_MIB)),
            cpus,
            accounts: 4_095,
            ..Settings::default()
        };
        let loaded = self.fast_path.loaded.as_ref();
        if loaded.is_some_and(|fast| fast.settings() != settings) {
            self.unload();
        }
        if self.fast_path.loaded.is_none() {
            self.fast_path.past = Past::load();
            let fast = FastPath::load(settings)?;
            if let Some(reason) = fast.without_echo() {
                self.log
                    .warn(&format!("pings do without the fast path: {reason}"));
            }
            self.fast_path.brake.hold(Some(fast.control().clone()));
            self.fast_path.loaded = Some(fast);
            self.log.info(&format!("the fast path is loaded, at {hook}"));
        }
        let Driver { loaded, past, .. } = &mut self.fast_path;
        let Some(fast) = loaded else { return Ok(()) };
        let accounts = accounts(spec, &ports);
        past.keep(fast, &accounts, &names(&links))?;
        fast.serve(&ports)?;
        fast.count(&accounts)?;
        self.fast_path.refused = None;
        Ok(())
    }

    fn unload(&mut self) {
        self.fast_path.brake.hold(None);
        let Driver { loaded, past, .. } = &mut self.fast_path;
        if let Some(fast) = loaded.take() {
            past.add(&fast);
            past.save();
        }
    }

    fn drop_fast_path(&mut self) {
        self.unload();
        self.fast_path.refused = None;
        self.relax(false);
    }

    fn relax(&mut self, relaxed: bool) {
        if !relaxed && !self.fast_path.relaxed {
            return;
        }
        for (name, loose, strict) in RELAXED {
            let wanted = if relaxed { loose } else { strict };
            if sysctl::read(name).is_ok_and(|now| now == wanted) {
                continue;
            }
            if let Err(error) = sysctl::write(name, wanted) {
                self.log.warn(&format!("for the fast path: {error}"));
            }
        }
        self.fast_path.relaxed = relaxed;
    }
}

/// Where the programs have to see packets.
fn hook(spec: &RouterSpec, ports: &[Port]) -> Result<Hook, FastPathError> {
    match spec.fastpath_settings.hook {
        FastPathHook::Auto => Ok(Hook::best(ports)),
        FastPathHook::Tcx => Ok(Hook::Tcx),
        FastPathHook::Xdp => match ports.iter().find(|port| !port.is_nic) {
            Some(port) => Err(FastPathError::NotForXdp {
                interface: port.name.clone(),
            }),
            None => Ok(Hook::Xdp),
        },
    }
}

/// The interfaces that packets of guests cross.
fn ports(spec: &RouterSpec, links: &BTreeMap<String, LinkState>) -> Vec<Port> {
    let inner = spec.guest_networks.iter().map(|n| n.interface.as_str());
    let private = spec.private_gateways().iter().map(|g| g.interface.as_str());
    let public = spec.public.interface.as_str();
    let port = |name: &str| {
        let link = links.get(name)?;
        let is_shaped = !["noqueue", "mq", "pfifo_fast", "fq_codel", "fq"].contains(&link.queue.as_str());
        Some(Port {
            name: name.to_owned(),
            interface: link.index,
            mac: link.mac?.0,
            is_public: name == public,
            is_nic: link.kind.is_empty() && !is_shaped,
            // Straight into the other end would pass by what the host has there for XDP, and hide packets from tcpdump
            // here; what it gains is within the noise of bench/README.md.
            skips_queue: false,
        })
    };
    inner.chain(private).chain([public]).filter_map(port).collect()
}

fn accounts(spec: &RouterSpec, ports: &[Port]) -> BTreeSet<(std::net::Ipv4Addr, u32)> {
    let addresses = || spec.public.addresses.iter().map(|a| a.address.addr());
    let inner = ports.iter().filter(|port| !port.is_public);
    inner
        .flat_map(|port| addresses().map(|address| (address, port.interface)))
        .collect()
}

fn names(links: &BTreeMap<String, LinkState>) -> BTreeMap<u32, String> {
    links
        .iter()
        .map(|(name, link)| (link.index, name.clone()))
        .collect()
}
