// SPDX-License-Identifier: Apache-2.0
//! The plan against the real kernel: what is written is what is read back. Needs root or user namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_model::router_spec::Limits;
use outgate_plan::diff::nft_script;
use outgate_plan::{RouterPlan, Ruleset, diff, parse_ruleset, plan};
use proptest::prelude::*;
use support::random::specs;
use support::vpc::{vpc_spec, vpc_specs};
use support::{WITH_LINKS, in_namespaces, links, nft, spec};

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
fn the_kernel_lists_what_was_planned_for_a_vpc() {
    let wanted = plan(&vpc_spec()).ruleset;
    assert_eq!(read_back(&[wanted.to_script()]), wanted);
}

/// Rules know interfaces by number: one that came back under its name has another, and no rule is for it until the
/// difference is mended, as any other.
#[test]
fn an_interface_that_was_taken_away_and_came_back_is_a_difference_that_one_transaction_mends() {
    for spec in [spec(), vpc_spec()] {
        let wanted = plan(&spec).ruleset;
        let script = wanted.to_script();
        let again = "ip link del eth2; ip link add eth2 type veth peer name eth3 || exit 1";
        let program = format!(
            "{WITH_LINKS}; IFS= read -r -d '' script; nft -f - <<<\"$script\" && {again}
            nft -n -s list table ip outgate"
        );
        let input = [links(std::slice::from_ref(&script)), script];
        let seen = parse_ruleset(&in_namespaces(&program, &input).unwrap())
            .unwrap()
            .unwrap();
        assert_ne!(seen, wanted);
        let mends = nft_script(&seen, &wanted).expect("there is a difference");
        assert!(!mends.contains("delete table"), "{mends}");
        let program = format!(
            "{WITH_LINKS}; IFS= read -r -d '' script; IFS= read -r -d '' mends
            nft -f - <<<\"$script\" && {again}; nft -f - <<<\"$mends\" && nft -n -s list table ip outgate"
        );
        let listing = in_namespaces(&program, &[&input[..], &[mends]].concat()).unwrap();
        assert_eq!(parse_ruleset(&listing).unwrap().unwrap(), wanted);
    }
}

#[test]
fn a_plan_differs_from_itself_in_nothing() {
    let plan = plan(&spec());
    assert_eq!(diff(&plan, &plan), Default::default());
    assert!(!diff(&RouterPlan::default(), &plan).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the rules and however they overlap: the kernel takes them, and gives back the plan.
    #[test]
    fn the_kernel_takes_every_spec_and_lists_its_plan(spec in specs()) {
        let wanted = plan(&spec).ruleset;
        let script = nft_script(&Ruleset::default(), &wanted).unwrap();
        prop_assert_eq!(read_back(&[script]), wanted);
    }

    #[test]
    fn the_kernel_takes_every_vpcs_spec_and_lists_its_plan(spec in vpc_specs()) {
        let wanted = plan(&spec).ruleset;
        let script = nft_script(&Ruleset::default(), &wanted).unwrap();
        prop_assert_eq!(read_back(&[script]), wanted);
    }

    /// One network ACL is replaced, an isolated network becomes a VPC, or the reverse.
    #[test]
    fn the_kernel_gets_from_any_vpcs_plan_to_any_other_in_one_transaction(
        from in prop_oneof![3 => vpc_specs(), 1 => specs()], to in prop_oneof![3 => vpc_specs(), 1 => specs()],
    ) {
        let (from, to) = (plan(&from).ruleset, plan(&to).ruleset);
        let first = nft_script(&Ruleset::default(), &from).unwrap();
        let scripts: Vec<_> = [Some(first), nft_script(&from, &to)].into_iter().flatten().collect();
        prop_assert_eq!(read_back(&scripts), to);
    }

    /// One transaction leads from any plan to any other, and what the kernel then holds is the other.
    #[test]
    fn the_kernel_gets_from_any_plan_to_any_other_in_one_transaction(from in specs(), to in specs()) {
        let (from, to) = (plan(&from).ruleset, plan(&to).ruleset);
        let first = nft_script(&Ruleset::default(), &from).unwrap();
        let scripts: Vec<_> = [Some(first), nft_script(&from, &to)].into_iter().flatten().collect();
        prop_assert_eq!(read_back(&scripts), to);
    }
}

/// nft loads some prefixes as parts of an address; it must print them as prefixes still.
#[test]
fn the_kernel_lists_every_size_of_network_as_planned() {
    for length in 8..=30 {
        let mut spec = spec();
        spec.guest_networks[0].gateway = format!("10.0.0.1/{length}").parse().unwrap();
        spec.guest_networks[0].leases.clear();
        spec.control.address = format!("169.254.0.2/{}", length.max(16)).parse().unwrap();
        assert_eq!(spec.validate(), Ok(()));
        let wanted = plan(&spec).ruleset;
        let script = nft_script(&Ruleset::default(), &wanted).unwrap();
        assert_eq!(read_back(&[script]), wanted);
    }
}

/// nft leaves a burst of 5 out.
#[test]
fn the_kernel_lists_every_limit_as_planned() {
    for limit in [1, 5, 60, 3_600, 1_000_000] {
        let mut spec = spec();
        spec.limits = Limits {
            guest_sessions: Some(limit),
            guest_rate: Some(limit),
            source_rate: Some(limit),
            ping_rate: Some(limit),
        };
        assert_eq!(spec.validate(), Ok(()));
        let wanted = plan(&spec).ruleset;
        assert_eq!(read_back(&[wanted.to_script()]), wanted);
    }
}
