// SPDX-License-Identifier: Apache-2.0
//! Any bytes on a router's control socket: no request, or one that is written back as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outgate_router::protocol::Request;

fuzz_target!(|line: &[u8]| {
    let Ok(request) = serde_json::from_slice::<Request>(line) else { return };
    let text = serde_json::to_string(&request).expect("a request can be written");
    let again: Request = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).expect("a request can be written"), text);
});
