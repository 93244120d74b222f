// SPDX-License-Identifier: Apache-2.0
//! The reference text's seven steps on one router: the first is what the manager itself believes, the rest the host's.

use std::net::Ipv4Addr;

use outgate_doctor::probe::{self, Flow, Kind};
use outgate_host::Host;
use outgate_model::RouterSpec;
use outgate_model::host::{Check, Run};
use outgate_model::id::{GuestId, HostId, RouterId};
use outgate_model::object::{Guest, PublicIpRange, Router, RouterState, Zone};

use super::request::Caller;
use super::tx::Tx;
use super::{address, router};
use crate::diagnose::{PING, leaves, tcp};
use crate::draft::Draft;
use crate::mirror::{Stored, View};
use crate::read::{GuestState, router_state_name};
use crate::spec::{Source, router_spec};
use crate::{CommandError, Manager};

/// The step that asks a guest.
const LAST: u8 = 7;
/// The port of the resolver that is asked.
const DNS: u16 = 53;

/// What the manager knows beforehand.
#[derive(Debug)]
struct Known {
    host: HostId,
    first: Check,
    guest: Option<GuestId>,
    ping: Ipv4Addr,
    question: Option<Run>,
}

impl Manager {
    /// Checks a router by the seven steps, sorted. Changes nothing.
    ///
    /// # Errors
    /// When the router does not exist or the caller is no admin. A router that does not answer is a check that failed.
    pub async fn verify_router(&self, caller: &Caller, id: RouterId) -> Result<Vec<Check>, CommandError> {
        let known = {
            let view = self.view();
            let mut draft = Draft::new(&view);
            let mut known = believed(
                &mut Tx {
                    view: &view,
                    draft: &mut draft,
                    caller,
                },
                id,
            )?;
            known.question = known.guest.and_then(|guest| {
                let realm = view.get::<Router>(id)?.realm;
                let spec = router_spec(Source::stored(&view), &self.config().router, realm).ok()??;
                question(&view, &spec, guest, known.ping)
            });
            known
        };
        let mut checks = vec![known.first];
        let driver = self.host(known.host).ok_or_else(|| CommandError::Unavailable {
            what: format!("host {} has no driver", known.host),
        })?;
        let pings = known.guest.filter(|_| known.question.is_none());
        let asked = async {
            match (known.guest, &known.question) {
                (Some(guest), Some(question)) => Some(ask(driver.as_ref(), guest, question).await),
                _ => None,
            }
        };
        let (more, asked) = tokio::join!(driver.verify_router(id, pings, known.ping), asked);
        match more {
            Ok(more) => checks.extend(more.into_iter().filter(|c| asked.is_none() || c.step != LAST)),
            Err(error) => checks.push(unreachable(error.to_string())),
        }
        checks.extend(asked);
        checks.sort_by_key(|check| check.step);
        Ok(checks)
    }
}

/// What a guest asks by TCP in step 7, where its rules let a ping not out but this. `None` where they let the ping out,
/// or neither.
fn question(view: &View<'_>, spec: &RouterSpec, guest: GuestId, target: Ipv4Addr) -> Option<Run> {
    let guest = view.get::<Guest>(guest)?;
    let side = spec
        .guest_networks
        .iter()
        .find(|side| guest.nics.iter().any(|nic| nic.network == side.id))?;
    let nic = guest.nics.iter().find(|nic| nic.network == side.id)?;
    let source = side.leases.get(&nic.mac)?.address;
    let leaves = |header| leaves(spec, &side.interface, source, target, header);
    if leaves(PING) || !leaves(tcp(DNS)) {
        return None;
    }
    probe::small(&Flow {
        kind: Kind::Tcp,
        target,
        port: DNS,
        asked: false,
    })
}

/// Step 7 by TCP.
async fn ask(driver: &dyn Host, guest: GuestId, question: &Run) -> Check {
    let done = driver.run_in_guest(guest, question).await;
    let (pass, seen) = match done {
        Ok(output) if output.code == Some(0) => (true, "connected; no ping, which its rules deny".to_owned()),
        Ok(output) => (false, format!("no connection {}", output.stderr.trim())),
        Err(error) => (false, error.to_string()),
    };
    let remedy = if pass {
        String::new()
    } else {
        "run outgate doctor: it follows the packets through the router".to_owned()
    };
    Check {
        step: LAST,
        title: "Outbound connectivity from a guest".to_owned(),
        command: question.argv.join(" "),
        seen: seen.trim_end().to_owned(),
        pass,
        remedy,
    }
}

fn unreachable(seen: String) -> Check {
    Check {
        step: 2,
        title: "Virtual router access".to_owned(),
        command: "ssh -p 3922 root@<link-local address>".to_owned(),
        seen,
        pass: false,
        remedy: "restart the network, or look at the router's /var/log/cloud.log".to_owned(),
    }
}

fn believed(tx: &mut Tx<'_>, id: RouterId) -> Result<Known, CommandError> {
    let router = router::of_admin(tx, id)?;
    let zone = tx.known::<Zone>(router.zone)?;
    let networks = tx.view.networks_of_realm(router.realm);
    let mut guests = networks.iter().flat_map(|n| tx.view.guests_of_network(n.id));
    let guest = guests.find(|guest| tx.view.guest_state(guest) == GuestState::Running);
    let guest = guest.map(|guest: &Stored<Guest>| guest.id);
    let gateway = address::source_nat_of(tx, router.realm).and_then(|ip| {
        tx.view
            .get::<PublicIpRange>(ip.range)
            .map(|range| range.gateway.addr())
    });
    let ping = zone
        .dns
        .first()
        .copied()
        .or(gateway)
        .unwrap_or(Ipv4Addr::LOCALHOST);
    Ok(Known {
        host: router.host,
        first: first_step(tx.view, &router),
        guest,
        ping,
        question: None,
    })
}

/// Step 1: the router is running, has a source NAT address, and has taken the newest generation.
fn first_step(view: &View<'_>, router: &Router) -> Check {
    let state = view.router_state(router);
    let applied = view.router_observed(router.id).map_or(0, |seen| seen.generation);
    let wanted = view.standing(router.realm).map_or(0, |realm| realm.generation);
    let source_nat = view.source_nat_of(router.realm).map(|ip| ip.address);
    let pass = state == RouterState::Running && source_nat.is_some() && applied >= wanted;
    let address = source_nat.map_or_else(|| "none".to_owned(), |address| address.to_string());
    let error = view
        .router_observed(router.id)
        .and_then(|seen| seen.error.clone());
    let mut seen = format!(
        "state {}, source NAT address {address}, generation {applied} of {wanted}",
        router_state_name(state)
    );
    if let Some(error) = error {
        seen = format!("{seen}, error: {error}");
    }
    Check {
        step: 1,
        title: "Virtual router status and assignment".to_owned(),
        command: format!("listRouters id={}", router.id),
        seen,
        pass,
        remedy: if pass {
            String::new()
        } else {
            "start the router, or restart its network with cleanup=true".to_owned()
        },
    }
}
