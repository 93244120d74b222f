// SPDX-License-Identifier: Apache-2.0
//! Puts a frame into an interface's receive path, as if it had come in there: out of one end of a cable that leads
//! nowhere, from where traffic control turns it round. It works without access to the other side of the interface, and
//! in a user namespace too.

use crate::KernelError;
use crate::frame::{self, Given};
use crate::program::run;

/// The end of the cable that frames are sent out of; its other end stays down.
const CABLE: &str = "outgate-trace";
const OTHER_END: &str = "outgate-trace1";
const ETHERTYPE_IPV4: u16 = 0x0800;

/// Puts IPv4 frames into one interface. Removes what it made when it is dropped.
#[derive(Debug)]
pub struct Injector {
    index: u32,
}

impl Injector {
    /// Prepares to put frames into `interface` of the calling thread's network namespace. One may exist at a time; what
    /// one that crashed left is replaced.
    ///
    /// # Errors
    /// When the kernel has no traffic control (`sch_clsact`, `cls_u32`, `act_mirred`) or refuses.
    pub fn open(interface: &str) -> Result<Self, KernelError> {
        clear()?;
        run(
            &[
                "ip", "link", "add", CABLE, "type", "veth", "peer", "name", OTHER_END,
            ],
            "",
        )?;
        let prepared = prepare(interface);
        if prepared.is_err() {
            clear()?;
        }
        prepared
    }

    /// Puts an Ethernet frame of IPv4 into the interface, with this packet mark.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&self, bytes: &[u8], mark: u32) -> Result<(), KernelError> {
        frame::send(self.index, ETHERTYPE_IPV4, bytes, Given::Whole(mark))
            .map_err(|e| KernelError::os("putting a packet into an interface", &e))
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        if let Err(error) = clear() {
            tracing::warn!(%error, "the cable of a trace stays behind");
        }
    }
}

/// Removes what an injector that crashed has left in the calling thread's network namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn clear() -> Result<(), KernelError> {
    match run(&["ip", "link", "del", CABLE], "") {
        Err(KernelError::Refused { reason, .. }) if reason.contains("Cannot find device") => Ok(()),
        other => other.map(drop),
    }
}

fn prepare(interface: &str) -> Result<Injector, KernelError> {
    run(&["ip", "link", "set", CABLE, "up"], "")?;
    run(&["tc", "qdisc", "add", "dev", CABLE, "clsact"], "")?;
    let everything = ["protocol", "ip", "u32", "match", "u32", "0", "0"];
    let turn = ["action", "mirred", "ingress", "redirect", "dev", interface];
    let filter = ["tc", "filter", "add", "dev", CABLE, "egress"];
    run(&[&filter[..], &everything, &turn].concat(), "")?;
    let index = nix::net::if_::if_nametoindex(CABLE);
    let index = index.map_err(|e| KernelError::os("finding the cable of a trace", &e.into()))?;
    Ok(Injector { index })
}
