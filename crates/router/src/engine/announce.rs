// SPDX-License-Identifier: Apache-2.0
//! Tells the neighbours which Ethernet address has an address now, and tells them again: the bridge behind a link that
//! has just come up may drop the first announcement, since it takes its new port into service only a moment later. A
//! neighbour that knew another router by this address would keep sending to that one for eight seconds.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use outgate_kernel::arp;

use super::Engine;

/// How often an address is announced.
const TIMES: u8 = 4;
/// How long to wait between two announcements. RFC 5227 section 2.3 waits two seconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// An address that has not been announced often enough.
#[derive(Debug)]
pub(super) struct Announcement {
    interface: String,
    address: Ipv4Addr,
    left: u8,
    due: Instant,
}

impl Engine {
    /// Announces an address now, and a few times more with each look at the router.
    pub(super) fn announce(&mut self, interface: &str, address: Ipv4Addr) {
        self.fall_silent(interface, address);
        let interface = interface.to_owned();
        self.announcements.push(Announcement {
            interface,
            address,
            left: TIMES,
            due: Instant::now(),
        });
        self.announce_due();
    }

    /// Announces an address no more: it goes, and somebody else may get it.
    pub(super) fn fall_silent(&mut self, interface: &str, address: Ipv4Addr) {
        self.announcements
            .retain(|a| a.address != address || a.interface != interface);
    }

    /// Whether an announcement is due within a second: the router must be looked at by then.
    pub(crate) fn is_announcing(&self) -> bool {
        !self.announcements.is_empty()
    }

    /// Makes the announcements that are due.
    pub(super) fn announce_due(&mut self) {
        let now = Instant::now();
        let mut waiting = std::mem::take(&mut self.announcements);
        for announcement in waiting.iter_mut().filter(|a| a.due <= now) {
            announcement.left = announcement.left.saturating_sub(1);
            announcement.due = now + INTERVAL;
            self.announce_once(announcement);
        }
        waiting.retain(|a| a.left > 0);
        self.announcements = waiting;
    }

    /// Nothing is lost when it fails: neighbours that miss it learn the address by asking.
    fn announce_once(&self, announcement: &Announcement) {
        let Ok(link) = self.runtime.block_on(self.links.get(&announcement.interface)) else {
            return;
        };
        if let Some(mac) = link.mac.filter(|_| link.up)
            && let Err(error) = arp::announce(link.index, mac, announcement.address)
        {
            tracing::debug!(%error, "no gratuitous ARP");
        }
    }
}
