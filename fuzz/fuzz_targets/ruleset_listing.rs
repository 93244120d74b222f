// SPDX-License-Identifier: Apache-2.0
//! Any text as nft's listing of the table: refused with a reason or read, and what was read can be written as a script.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outgate_plan::parse_ruleset;

fuzz_target!(|listing: &str| {
    let Ok(Some(ruleset)) = parse_ruleset(listing) else { return };
    let _ = ruleset.to_script();
});
