// SPDX-License-Identifier: Apache-2.0
//! Follows one packet through the router: by the model of its spec, and by its kernel with nftables' trace. Where no real
//! packet is waited for, the router puts one into its own interface, as if it had come in there. It takes the way that
//! any packet takes, and ends where it would leave: nothing reaches a guest or the outside, and no session stays.

mod fast_path;
mod flows;
mod path;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use outgate_kernel::inject::{self, Injector};
use outgate_kernel::nft_trace::{Event, Listener};
use outgate_kernel::{KernelError, nft};
use outgate_model::host::Run;
use outgate_model::stats::Endpoint;
use outgate_model::trace::{KernelPath, TraceProtocol, TraceQuery, TraceVerdict, Traced, WAIT_MAX_MILLIS};
use outgate_model::{MacAddr, RouterSpec};
use outgate_plan::packet::{Header, Packet, State, comes_in_on, explain};
use outgate_plan::trace::{self as plan, Listing, Probe};

use crate::command::run;
use crate::fast_path::FastPathStatus;
use crate::{RouterError, insight};
use flows::Flows;

/// Without a word of the kernel for so long, a packet is gone.
const QUIET: Duration = Duration::from_millis(1_000);
/// How long `ip route get` may take.
const ROUTE_MILLIS: u64 = 5_000;

/// Removes what a trace has left whose process ended in its middle.
///
/// # Errors
/// When the kernel refuses.
pub fn clear() -> Result<(), RouterError> {
    inject::clear().map_err(failed)?;
    nft::load(&plan::clear_script()).map_err(failed)
}

/// Follows one packet of a flow. One at a time in a network namespace.
///
/// # Errors
/// When the query cannot be, or the kernel cannot be read. That no packet could be followed is no error, but a note.
pub fn follow(
    spec: &RouterSpec,
    query: &TraceQuery,
    fast_path: &FastPathStatus,
) -> Result<Traced, RouterError> {
    let interface = query.interface.as_deref();
    let interface = interface.unwrap_or_else(|| comes_in_on(spec, query.source));
    let mac = mac_of(spec, interface)
        .ok_or_else(|| RouterError::failed("tracing", format!("the router has no interface {interface}")))?;
    let flows = Flows::look(query)?;
    let mut trace = Trace {
        spec,
        interface,
        probe: flows.probe(query),
        flows,
        asked: query.source_port,
        notes: Vec::new(),
        state: State::New,
    };
    let kernel = match query.wait_millis {
        None => trace.inject(mac),
        Some(millis) => trace.watch(Duration::from_millis(millis.min(WAIT_MAX_MILLIS))),
    };
    let kernel = kernel.unwrap_or_else(|error| {
        trace
            .notes
            .push(format!("no packet could be followed through the kernel: {error}"));
        None
    });
    Ok(trace.answer(kernel, fast_path))
}

struct Trace<'a> {
    spec: &'a RouterSpec,
    interface: &'a str,
    probe: Probe,
    flows: Flows,
    /// The source port that was asked for.
    asked: Option<u16>,
    notes: Vec<String>,
    /// What connection tracking says of the packet that is followed.
    state: State,
}

impl Trace<'_> {
    /// Follows a packet of the router's own making, of a session that does not exist yet.
    fn inject(&mut self, mac: MacAddr) -> Result<Option<KernelPath>, KernelError> {
        if self.asked.is_some_and(|port| port != self.probe.source_port) {
            let from = self.probe.source_port;
            self.notes.push(format!(
                "that session exists, and is left alone: a new one from port {from} was followed; --wait follows the \
                 next real packet"
            ));
        }
        // Never 0, which every packet has.
        let mark = flows::random() | 0x8000_0000;
        let listener = Listener::open()?;
        let injector = Injector::open(self.interface)?;
        let _table = Table::load(&plan::inject_script(&self.probe, mark))?;
        injector.send(&plan::frame(&self.probe, mac), mark)?;
        let events = listen(&listener, QUIET)?;
        self.read(&events).map(Some)
    }

    /// Follows the next real packet of the flow.
    fn watch(&mut self, limit: Duration) -> Result<Option<KernelPath>, KernelError> {
        let listener = Listener::open()?;
        let _table = Table::load(&plan::watch_script(&self.probe))?;
        let events = listen(&listener, limit)?;
        let Some(shown) = events.iter().find_map(|event| event.packet) else {
            self.notes.push(format!(
                "no packet of the flow came in on {} within {} s",
                self.interface,
                limit.as_secs()
            ));
            return Ok(None);
        };
        if let Some((source, destination)) = shown.ports {
            self.probe.source_port = source;
            self.probe.destination_port = destination;
        }
        if self.flows.exact(&self.probe).is_some() {
            self.state = State::Known;
        }
        self.read(&events).map(Some)
    }

    fn read(&self, events: &[Event]) -> Result<KernelPath, KernelError> {
        let listing = Listing::read(&nft::list_rules_with_handles()?);
        let mut read = path::read(events, &listing, &names());
        let route = self.route(&read);
        if let (TraceVerdict::Vanished { by }, Some(route)) = (&mut read.verdict, &route) {
            by.push_str("; its routing says: ");
            by.push_str(route);
        }
        Ok(KernelPath { route, ..read })
    }

    /// What routing says of the packet, with its destination as translated.
    fn route(&self, read: &KernelPath) -> Option<String> {
        let to = match &read.verdict {
            TraceVerdict::Leaves { to, .. } => to.address,
            _ => path::last_destination(read).unwrap_or(self.probe.destination),
        };
        let (to, from) = (to.to_string(), self.probe.source.to_string());
        let argv = ["ip", "route", "get", &to, "from", &from, "iif", self.interface];
        let output = run(&Run {
            argv: argv.map(str::to_owned).to_vec(),
            timeout_millis: ROUTE_MILLIS,
        });
        output
            .ok()
            .map(|output| path::route_words(&output.stdout, &output.stderr))
    }

    fn answer(self, kernel: Option<KernelPath>, fast_path: &FastPathStatus) -> Traced {
        let Probe {
            protocol,
            source,
            source_port,
            destination,
            destination_port,
        } = self.probe;
        let packet = Packet {
            interface: self.interface.to_owned(),
            source,
            destination,
            header: header(&self.probe),
            state: self.state,
        };
        let model = explain(self.spec, &packet);
        let (agree, comparison) = match &kernel {
            Some(kernel) => {
                let pool: Vec<_> = self.spec.source_nat_pool().collect();
                let (agree, says) = plan::compare(&model.verdict, &kernel.verdict, &pool);
                (Some(agree), says)
            }
            None => (None, format!("by the model it {}", model.verdict)),
        };
        let session = self.flows.session(&self.probe, self.asked);
        let is_router = model.verdict == TraceVerdict::Delivered;
        Traced {
            interface: self.interface.to_owned(),
            from: end(source, source_port, protocol),
            to: end(destination, destination_port, protocol),
            generation: self.spec.generation,
            fastpath: fast_path::says(fast_path, protocol, session, is_router),
            session: session.map(|flow| insight::session(self.spec, flow)),
            model,
            kernel,
            notes: self.notes,
            agree,
            comparison,
        }
    }
}

/// The table, which goes when the packet has been followed.
struct Table;

impl Table {
    fn load(script: &str) -> Result<Self, KernelError> {
        nft::load(script)?;
        Ok(Self)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Err(error) = nft::load(&plan::clear_script()) {
            tracing::warn!(%error, "the table of a trace stays behind");
        }
    }
}

/// What the kernel tells of one packet, waited for up to `limit`, until that has ended or nothing more comes.
fn listen(listener: &Listener, limit: Duration) -> Result<Vec<Event>, KernelError> {
    let mut events: Vec<Event> = Vec::new();
    let mut deadline = Instant::now() + limit;
    while !path::has_ended(&events) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let more = listener.wait(left)?;
        if more.is_empty() {
            continue;
        }
        let id = events.first().map(|event| event.id);
        let id = id.or_else(|| more.iter().find(|e| path::begins(e)).map(|e| e.id));
        let before = events.len();
        events.extend(more.into_iter().filter(|event| Some(event.id) == id));
        if events.len() > before {
            deadline = Instant::now() + QUIET;
        }
    }
    Ok(events)
}

fn header(probe: &Probe) -> Header {
    let (source, destination) = (probe.source_port, probe.destination_port);
    match probe.protocol {
        TraceProtocol::Tcp => Header::Tcp { source, destination },
        TraceProtocol::Udp => Header::Udp { source, destination },
        TraceProtocol::Icmp => Header::Icmp { kind: 8, code: 0 },
    }
}

fn end(address: std::net::Ipv4Addr, port: u16, protocol: TraceProtocol) -> Endpoint {
    let port = if protocol == TraceProtocol::Icmp { 0 } else { port };
    Endpoint { address, port }
}

fn mac_of(spec: &RouterSpec, interface: &str) -> Option<MacAddr> {
    let guests = spec.guest_networks.iter().map(|n| (&n.interface, n.mac));
    let gateways = spec.private_gateways().iter().map(|g| (&g.interface, g.mac));
    let public = (&spec.public.interface, spec.public.mac);
    let control = (&spec.control.interface, spec.control.mac);
    let mut all = guests.chain(gateways).chain([public, control]);
    all.find(|(name, _)| *name == interface).map(|(_, mac)| mac)
}

/// Interfaces by index. Without them a trace still says the rest.
fn names() -> BTreeMap<u32, String> {
    let all = nix::net::if_::if_nameindex();
    let all = all.iter().flat_map(|all| all.iter());
    all.map(|one| (one.index(), one.name().to_string_lossy().into_owned()))
        .collect()
}

fn failed(error: KernelError) -> RouterError {
    RouterError::failed("tracing", error)
}
