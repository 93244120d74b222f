// SPDX-License-Identifier: Apache-2.0
//! Any bytes as what nftables tells of a packet, and as nft's listing with handles: read or left out, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outgate_kernel::nft_trace::decode;
use outgate_plan::trace::Listing;

fuzz_target!(|bytes: &[u8]| {
    for event in decode(bytes) {
        assert!(event.packet.is_none_or(|packet| packet.source.is_some() || packet.ports.is_none()));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Listing::read(text);
    }
});
