// SPDX-License-Identifier: Apache-2.0
//! Any bytes as a frame of VRRP, and as what the doctor's programs print: understood or left out, never a panic.

#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use outgate_doctor::read::{arping, dns, files, ip, ping, tcpdump, vrrp};

fuzz_target!(|bytes: &[u8]| {
    if let Some(advert) = vrrp::advert("eth0", bytes) {
        assert!(advert.vrid > 0 && [2, 3].contains(&advert.version) && !advert.addresses.is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (arping::answers(text), dns::resolved(text, "", true), ping::pinged(text, ""));
    let _ = (ip::links(text), ip::routes(text), ip::policy(text), ip::neighbour(text, Ipv4Addr::LOCALHOST));
    let _ = (files::files(text), files::counter(text, "TcpExt", "A"), files::conntrack_stat(text, "drop"));
    let _ = (tcpdump::captured(text, "listening on eth0"), vrrp::heard(text, "listening on any"));
});
