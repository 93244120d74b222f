// SPDX-License-Identifier: Apache-2.0
//! Guests: started, plugged in, and waited for until they have their leases.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outgate_model::GuestSpec;

use super::machines::{Machine, log_tail};
use super::names::Owner;
use super::plug::{Nic, Socket};
use super::{Shared, failed};
use crate::HostError;
use crate::file;
use crate::guest::{LEASE_FILE, Leases, SPEC_FILE};

/// How long a guest may take to get its leases.
const LEASE_LIMIT: Duration = Duration::from_secs(10);
/// How often its lease file is looked at.
const LOOK: Duration = Duration::from_millis(2);

impl Shared {
    /// See [`crate::Host::ensure_guest`].
    pub(super) async fn ensure_guest(self: &Arc<Self>, spec: &GuestSpec) -> Result<(), HostError> {
        let name = &spec.instance_name;
        let nics = nics(spec)?;
        let owner = Owner::Guest(spec.id);
        let text = serde_json::to_vec(spec).map_err(|e| failed(format!("starting {name}"), e))?;
        let lock = self.lock(owner).await;
        let spec_file = self.make_dir(owner)?.join(SPEC_FILE);
        let same = fs::read(&spec_file).is_ok_and(|old| old == text);
        let machine = match self.running(owner) {
            Some(machine) if same => machine,
            old => {
                if let Some(old) = old {
                    self.end(&old).await?;
                }
                file::replace(&spec_file, &text)
                    .map_err(|e| failed(format!("writing {}", spec_file.display()), e))?;
                // A lease of an earlier process would be taken for the new one's.
                let _ = fs::remove_file(self.dir(owner).join(LEASE_FILE));
                self.launch(owner, name, 0).await?
            }
        };
        machine.set_nics(nics.clone());
        self.plug(owner, &machine.process, &nics).await?;
        // Whoever wants to end it need not wait for its lease.
        drop(lock);
        self.leased(&machine, nics.len(), name).await
    }

    /// Waits until every NIC has a lease, or the guest has ended.
    async fn leased(&self, machine: &Machine, nics: usize, name: &str) -> Result<(), HostError> {
        let dir = self.dir(machine.owner);
        let deadline = Instant::now() + LEASE_LIMIT;
        let waiting = async {
            while leases(&dir) < nics {
                if Instant::now() >= deadline {
                    return Err(
                        "it got no DHCP lease within 10 s: is its network's router running?".to_owned(),
                    );
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let outcome = tokio::select! {
            outcome = waiting => outcome,
            _ = machine.process.ended() => Err(format!("it ended; its log ends with: {}", log_tail(&dir))),
        };
        outcome.map_err(|reason| failed(format!("starting guest {name}"), reason))
    }
}

fn leases(dir: &Path) -> usize {
    let leases = fs::read(dir.join(LEASE_FILE))
        .ok()
        .and_then(|text| serde_json::from_slice::<Leases>(&text).ok());
    leases.map_or(0, |leases| leases.0.len())
}

/// The interfaces of the guest whose directory this is; `None` when its spec cannot be read.
pub(super) fn nics_on_disk(dir: &Path) -> Option<Vec<Nic>> {
    nics(&serde_json::from_slice(&fs::read(dir.join(SPEC_FILE)).ok()?).ok()?).ok()
}

fn nics(spec: &GuestSpec) -> Result<Vec<Nic>, HostError> {
    let numbered = spec.nics.iter().enumerate().map(|(number, nic)| {
        let number = u8::try_from(number).ok().filter(|number| *number <= 9)?;
        Some(Nic {
            number,
            mac: nic.mac,
            mtu: nic.mtu,
            socket: Socket::Guest(nic.network),
        })
    });
    let all: Option<Vec<Nic>> = numbered.collect();
    all.ok_or_else(|| {
        failed(
            format!("starting guest {}", spec.instance_name),
            "a guest has at most 10 NICs here",
        )
    })
}
