// SPDX-License-Identifier: Apache-2.0
//! Sessions by the ten thousand: of one UDP packet each, that a guest sends to somebody who answers nothing, or written
//! into the router's table as ones that were answered, which the kernel does not give up for new ones.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use outgate_testkit::{RawSender, udp_packet};
use serde_json::Value;

use super::Clinic;
use crate::support::{ip, text, wait_until};

const SILENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);

impl Clinic {
    /// A session from each of these ports of guest1 to port 9 outside.
    pub fn sessions(&self, from: std::ops::RangeInclusive<u16>) {
        let sender = RawSender::new(&self.lab.namespace("guest1")).expect("guest1");
        let guest = ip(&self.lab.guest("guest1")["nic"][0]);
        for from in from {
            let packet = udp_packet(SocketAddrV4::new(guest, from), SocketAddrV4::new(SILENT, 9), b"x");
            sender.send(&packet, SILENT).expect("it leaves");
        }
    }

    /// Has sessions of one packet outlive the test, however slow the machine.
    pub fn let_sessions_last(&self) {
        let lasting = [("name", "router.conntrack.udp.timeout"), ("value", "1800")];
        self.lab.call("updateConfiguration", &lasting);
        let timeout = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
        wait_until(super::RECOVERY, "sessions last", || {
            self.lab.exec(&self.router_name(), &["cat", timeout]).trim() == "1800"
        });
    }

    /// Writes sessions from each of these ports of guest1 to each of these ports outside into the router's table, as
    /// answered ones that live for an hour; stops when the kernel takes no more.
    pub fn hold(&self, from: std::ops::RangeInclusive<u16>, to: std::ops::RangeInclusive<u16>) {
        let (guest, public) = (
            ip(&self.lab.guest("guest1")["nic"][0]),
            ip(&self.lab.source_nat()),
        );
        let mut lines = String::new();
        for to in to {
            for from in from.clone() {
                let _ = writeln!(
                    lines,
                    "-A -p udp -s {guest} -d {SILENT} --sport {from} --dport {to} -r {SILENT} -q {public} \
                     --reply-port-src {to} --reply-port-dst {from} -t 3600 -u SEEN_REPLY,ASSURED"
                );
            }
        }
        let mut child = self
            .lab
            .outgate(&["lab", "exec", &self.router_name(), "--", "conntrack", "-R", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("outgate runs");
        // It stops reading when the table is full.
        let _ = child.stdin.take().expect("its input").write_all(lines.as_bytes());
        child.wait().expect("it ends");
    }

    /// Does this while guest1 asks for a session every millisecond, as in a full table somebody always does: a place that
    /// comes free, because one of the router's or a guest's own queries has ended, is taken at once.
    pub fn pressed<T>(&mut self, act: impl FnOnce(&mut Clinic) -> T) -> T {
        let sender = RawSender::new(&self.lab.namespace("guest1")).expect("guest1");
        let guest = ip(&self.lab.guest("guest1")["nic"][0]);
        let (over, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for from in (20_000..=59_999).cycle() {
                    let packet =
                        udp_packet(SocketAddrV4::new(guest, from), SocketAddrV4::new(SILENT, 9), b"x");
                    sender.send(&packet, SILENT).expect("it leaves");
                    let pause = ended.recv_timeout(Duration::from_millis(1));
                    if pause != Err(RecvTimeoutError::Timeout) {
                        break;
                    }
                }
            });
            let _over = over;
            act(self)
        })
    }

    fn router_name(&self) -> String {
        text(&self.lab.router(), "name").to_owned()
    }

    /// How many sessions the router holds.
    pub fn held(&self) -> u64 {
        let count = self.lab.exec(&self.router_name(), &["conntrack", "-C"]);
        count.trim().parse().expect("a number")
    }

    /// Whether the router holds the session between these ports.
    pub fn holds(&self, from: u16, to: u16) -> bool {
        let (from, to) = (from.to_string(), to.to_string());
        let list = [
            "conntrack",
            "-L",
            "-p",
            "udp",
            "--orig-port-src",
            &from,
            "--orig-port-dst",
            &to,
        ];
        self.lab.exec(&self.router_name(), &list).contains("[ASSURED]")
    }

    /// Whether a guest's ping is answered outside.
    pub fn pings(&self, guest: &str) -> bool {
        let ping = ["ping", "-c", "1", "-W", "1", "198.51.100.53"];
        self.lab.try_exec(guest, &ping).status.success()
    }

    /// Ends every session.
    pub fn flush(&self) {
        self.acts(&[("router", "conntrack -F")]);
    }

    /// How the source NAT address is used.
    pub fn usage(&self) -> Value {
        let network = self.lab.network();
        let used = self
            .lab
            .call("getSourceNatUsage", &[("networkid", text(&network, "id"))]);
        used["sourcenatusage"][0].clone()
    }

    /// The alert that holds these words, if there is one.
    pub fn alert(&self, about: &str) -> Option<String> {
        let alerts = self.lab.list("listAlerts", &[]);
        let mut words = alerts.iter().map(|alert| text(alert, "description"));
        words.find(|words| words.contains(about)).map(str::to_owned)
    }

    /// Has the server look at routers once a second.
    pub fn look_often(&self) {
        let params = [("name", "router.stats.interval"), ("value", "1")];
        self.lab.call("updateConfiguration", &params);
    }

    /// Has it look as rarely as without [`Clinic::look_often`].
    pub fn look_as_usual(&self) {
        self.lab
            .call("resetConfiguration", &[("name", "router.stats.interval")]);
    }

    /// The doctor must name this first and in time; takes a row down for the table.
    pub fn must_name(&mut self, name: &'static str, cause: &'static str, says: &'static str) {
        self.must_name_for(&["lab-net"], name, cause, says);
    }

    /// The same, with these arguments of the doctor.
    pub fn must_name_for(
        &mut self,
        ask: &[&str],
        name: &'static str,
        cause: &'static str,
        says: &'static str,
    ) {
        let fault = super::Fault::outside(name, &[], cause, says);
        let (diagnosis, took) = self.doctor(ask);
        self.judge(&fault, &diagnosis, took)
            .unwrap_or_else(|failure| panic!("{failure}"));
        println!("{name}: {cause} after {took:?}");
        self.row(&fault, &diagnosis, took);
    }

    /// `--fix` mends what the last row named: it says so.
    pub fn must_mend(&mut self, ask: &[&str]) {
        let (diagnosis, _) = self.doctor(&[ask, &["--fix"]].concat());
        assert_eq!(diagnosis["healthy"], true, "{diagnosis:#}");
        if let Some(row) = self.rows.last_mut() {
            *row = row.replace("| by hand |", "| `--fix` |");
        }
    }
}
