// SPDX-License-Identifier: Apache-2.0
//! Sessions by the ten thousand, each of one UDP packet that a guest sends to somebody who answers nothing.

use std::net::{Ipv4Addr, SocketAddrV4};

use outgate_testkit::{RawSender, udp_packet};

use super::Clinic;
use crate::support::ip;

impl Clinic {
    /// A session from each of these ports of guest1 to each of these ports outside.
    pub fn sessions(&self, from: std::ops::RangeInclusive<u16>, to: std::ops::RangeInclusive<u16>) {
        let sender = RawSender::new(&self.lab.namespace("guest1")).expect("guest1");
        let guest = ip(&self.lab.guest("guest1")["nic"][0]);
        let silent = Ipv4Addr::new(198, 51, 100, 10);
        for port in to {
            for from in from.clone() {
                let to = SocketAddrV4::new(silent, port);
                let packet = udp_packet(SocketAddrV4::new(guest, from), to, b"x");
                sender.send(&packet, silent).expect("it leaves");
            }
        }
    }

    /// How many sessions the router holds.
    pub fn held(&self) -> u64 {
        let name = self.lab.router()["name"].as_str().expect("a name").to_owned();
        let count = self.lab.exec(&name, &["conntrack", "-C"]);
        count.trim().parse().expect("a number")
    }

    /// Ends every session.
    pub fn flush(&self) {
        self.acts(&[("router", "conntrack -F")]);
    }

    /// The doctor must name this first and in time; takes a row down for the table.
    pub fn must_name(&mut self, name: &'static str, cause: &'static str, says: &'static str) {
        let fault = super::Fault::outside(name, &[], cause, says);
        let (diagnosis, took) = self.doctor(fault.ask);
        super::judge(&fault, &diagnosis, took).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{name}: {cause} after {took:?}");
        self.row(&fault, &diagnosis, took);
    }
}
