// SPDX-License-Identifier: Apache-2.0
//! The plan against the real kernel: what is written is what is read back. Needs root or user namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_plan::diff::nft_script;
use outgate_plan::{RouterPlan, Ruleset, diff, parse_ruleset, plan};
use support::{nft, spec};

fn read_back(scripts: &[String]) -> Ruleset {
    let listing =
        nft(scripts).unwrap_or_else(|error| panic!("nft refused:\n{error}\n{}", scripts.join("\n---\n")));
    parse_ruleset(&listing).unwrap().expect("the table is there")
}

#[test]
fn the_kernel_lists_what_was_planned() {
    let wanted = plan(&spec()).ruleset;
    let script = nft_script(&Ruleset::default(), &wanted).expect("a script that makes the table");
    assert_eq!(read_back(&[script]), wanted);
}

#[test]
fn a_plan_differs_from_itself_in_nothing() {
    let plan = plan(&spec());
    assert_eq!(diff(&plan, &plan), Default::default());
    assert!(!diff(&RouterPlan::default(), &plan).is_empty());
}
