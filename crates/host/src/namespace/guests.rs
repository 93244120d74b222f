// SPDX-License-Identifier: Apache-2.0
//! Guests: started, plugged in, and waited for until they have their leases. NICs of a running one come and go.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use outgate_model::GuestSpec;
use outgate_model::guest_spec::GuestNic;

use super::machines::{Machine, log_tail};
use super::names::Owner;
use super::plug::{Nic, Socket};
use super::{Shared, failed};
use crate::HostError;
use crate::file;
use crate::guest::{LEASE_FILE, Leases, NicLease, SPEC_FILE};

/// How long a guest may take to get its leases.
const LEASE_LIMIT: Duration = Duration::from_secs(10);
/// How often its lease file is looked at.
const LOOK: Duration = Duration::from_millis(2);

impl Shared {
    /// See [`crate::Host::ensure_guest`].
    pub(super) async fn ensure_guest(self: &Arc<Self>, spec: &GuestSpec) -> Result<(), HostError> {
        let name = &spec.instance_name;
        let nics = nics(spec);
        let owner = Owner::Guest(spec.id);
        let lock = self.lock(owner).await;
        let spec_file = self.make_dir(owner)?.join(SPEC_FILE);
        let before = read_spec(&spec_file);
        let machine = match (self.running(owner), before) {
            (Some(machine), Some(before)) if can_go_on(&before, spec) => {
                self.exchange(&machine, &before, spec, &spec_file).await?;
                machine
            }
            (old, _) => {
                if let Some(old) = old {
                    self.end(&old).await?;
                }
                write_spec(&spec_file, spec)?;
                // A lease of an earlier process would be taken for the new one's.
                let _ = fs::remove_file(self.dir(owner).join(LEASE_FILE));
                let machine = self.launch(owner, name, 0).await?;
                machine.set_nics(nics.clone());
                machine
            }
        };
        self.plug(owner, &machine.process, &nics).await?;
        // Whoever wants to end it need not wait for its lease.
        drop(lock);
        self.leased(&machine, spec).await
    }

    /// Unplugs the NICs that a running guest is to lose, and tells it what it is to have. The caller plugs in the rest,
    /// and holds the guest's lock.
    async fn exchange(
        &self,
        machine: &Machine,
        before: &GuestSpec,
        spec: &GuestSpec,
        file: &Path,
    ) -> Result<(), HostError> {
        let doing = || format!("changing the NICs of guest {}", spec.instance_name);
        machine.set_nics(nics(spec));
        let removed = self.unplug_these(machine.owner, surplus(before, spec)).await;
        if removed.map_err(|e| failed(doing(), e))? > 0 {
            self.remove_empty_bridges()
                .await
                .map_err(|e| failed(doing(), e))?;
        }
        if before != spec {
            write_spec(file, spec)?;
        }
        // Even if nothing is new: an earlier driver may have written it and not come to tell.
        machine
            .process
            .signal(Signal::SIGHUP)
            .map_err(|e| failed(doing(), e))
    }

    /// Waits until every NIC has its lease, or the guest has ended.
    async fn leased(&self, machine: &Machine, spec: &GuestSpec) -> Result<(), HostError> {
        let dir = self.dir(machine.owner);
        let deadline = Instant::now() + LEASE_LIMIT;
        let waiting = async {
            while let Some(nic) = without_lease(&dir, spec) {
                if Instant::now() >= deadline {
                    return Err(format!(
                        "{} got no DHCP lease of {} within 10 s: is its network's router running?",
                        nic.interface(),
                        nic.address
                    ));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let outcome = tokio::select! {
            outcome = waiting => outcome,
            _ = machine.process.ended() => Err(format!("it ended; its log ends with: {}", log_tail(&dir))),
        };
        outcome.map_err(|reason| failed(format!("starting guest {}", spec.instance_name), reason))
    }
}

/// Whether a running guest can become what `spec` says without being started anew. Another host name waits for its next
/// start, as in CloudStack.
fn can_go_on(before: &GuestSpec, spec: &GuestSpec) -> bool {
    (before.id, &before.instance_name) == (spec.id, &spec.instance_name)
}

/// The devices that a running guest is to lose: those that go, and those that become other ones.
fn surplus(before: &GuestSpec, spec: &GuestSpec) -> Vec<u8> {
    let stays = |nic: &&GuestNic| spec.nics.iter().any(|wanted| wanted.is_same(nic));
    let goes = before.nics.iter().filter(|nic| !stays(nic));
    goes.map(|nic| nic.device).collect()
}

/// The first NIC that has not got its lease.
fn without_lease<'a>(dir: &Path, spec: &'a GuestSpec) -> Option<&'a GuestNic> {
    let leases = fs::read(dir.join(LEASE_FILE))
        .ok()
        .and_then(|text| serde_json::from_slice::<Leases>(&text).ok())
        .unwrap_or_default();
    let leased = |place: usize, nic: &GuestNic| {
        let lease = leases.0.get(&nic.interface());
        // The first is the default one: the guest leaves by it, and has said so. One of an earlier version does not say.
        let leads_out = |l: &NicLease| l.gateway.is_some() && l.leads_out.unwrap_or(true);
        lease.is_some_and(|l| l.address.addr() == nic.address && (place > 0 || leads_out(l)))
    };
    let mut waiting = spec
        .nics
        .iter()
        .enumerate()
        .filter(|(place, nic)| !leased(*place, nic));
    waiting.next().map(|(_, nic)| nic)
}

fn read_spec(path: &Path) -> Option<GuestSpec> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_spec(path: &Path, spec: &GuestSpec) -> Result<(), HostError> {
    let written = serde_json::to_vec(spec)
        .map_err(io::Error::from)
        .and_then(|text| file::replace(path, &text));
    written.map_err(|e| failed(format!("writing {}", path.display()), e))
}

/// The interfaces of the guest whose directory this is; `None` when its spec cannot be read.
pub(super) fn nics_on_disk(dir: &Path) -> Option<Vec<Nic>> {
    Some(nics(&read_spec(&dir.join(SPEC_FILE))?))
}

fn nics(spec: &GuestSpec) -> Vec<Nic> {
    let each = spec.nics.iter().map(|nic| Nic {
        number: nic.device,
        mac: nic.mac,
        mtu: nic.mtu,
        socket: Socket::Guest(nic.network),
    });
    each.collect()
}
