// SPDX-License-Identifier: Apache-2.0
//! Any bytes as a form: decoded, folded and read against every command's parameters without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outgate_api::command;
use outgate_api::wire::params::Params;
use outgate_api::wire::request::{MAX_PARAMETERS, RawParameters};

fuzz_target!(|form: &[u8]| {
    let Ok(raw) = RawParameters::parse("", form) else { return };
    assert!(raw.iter().count() <= MAX_PARAMETERS);
    let Ok(given) = raw.fold() else { return };
    for command in command::all() {
        if let Ok(params) = Params::parse(command.name, command.parameters(), &given) {
            let _ = params.page();
        }
    }
});
