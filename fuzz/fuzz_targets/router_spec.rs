// SPDX-License-Identifier: Apache-2.0
//! Any bytes as a router spec: refused with a reason, or planned; and what is planned differs from itself in nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outgate_model::RouterSpec;
use outgate_plan::{diff, plan};

fuzz_target!(|json: &[u8]| {
    let Ok(spec) = RouterSpec::from_json(json) else { return };
    let plan = plan(&spec);
    assert!(diff(&plan, &plan).is_empty());
});
